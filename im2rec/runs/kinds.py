"""The iterators that can be run, by the word for each, and what is known of one before it runs."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from im2rec.iterators.csv import CSVIter
from im2rec.iterators.image_record import ImageRecordInt8Iter, ImageRecordIter, ImageRecordUInt8Iter
from im2rec.iterators.libsvm import LibSVMIter
from im2rec.iterators.mnist import MNISTIter, MNISTParams
from im2rec.iterators.ordered import OrderedIterator
from im2rec.iterators.text_params import CSVParams, LibSVMParams
from im2rec.pipeline.params import GROUPS, ImageRecordParams


class Kind(NamedTuple):
    """An iterator, its parameters, and which of them names its file."""

    iterator: type[OrderedIterator[Any]]
    params: type[Any]
    file: str

    @property
    def groups(self) -> dict[str, type[Any]]:
        """The tables of its parameters, by title."""
        return GROUPS if self.params is ImageRecordParams else {self.iterator.__name__: self.params}


KINDS = {
    "image": Kind(ImageRecordIter, ImageRecordParams, "path_imgrec"),
    "uint8": Kind(ImageRecordUInt8Iter, ImageRecordParams, "path_imgrec"),
    "int8": Kind(ImageRecordInt8Iter, ImageRecordParams, "path_imgrec"),
    "mnist": Kind(MNISTIter, MNISTParams, "image"),
    "csv": Kind(CSVIter, CSVParams, "data_csv"),
    "libsvm": Kind(LibSVMIter, LibSVMParams, "data_libsvm"),
}


@dataclasses.dataclass
class RunSummary:
    """What a run delivered. *images* counts without filler; *peak_memory* is in bytes, None where nothing tells it.

    *engine*, *threads* and *backend* are empty for iterators that decode no pictures.
    """

    kind: str
    rec: str
    records: int
    data_shape: list[int]
    batch_size: int
    dtype: str
    engine: str = ""
    threads: int = 0
    backend: str = ""
    epochs: int = 0
    batches: int = 0
    images: int = 0
    pad: int = 0
    seconds: float = 0.0
    digest: str = ""
    left_out: int = 0
    skipped: list[str] = dataclasses.field(default_factory=list)
    truncated: list[str] = dataclasses.field(default_factory=list)
    peak_memory: int | None = None
    written: str = ""
    dry_run: bool = False

    @property
    def images_per_s(self) -> float:
        """Images delivered a second."""
        return self.images / self.seconds if self.seconds else 0.0


def summary_of(it: OrderedIterator[Any]) -> RunSummary:
    """What is known before a run."""
    (described,) = it.provide_data
    kind = next(name for name, kind in KINDS.items() if type(it) is kind.iterator)
    summary = RunSummary(
        kind=kind,
        rec=str(getattr(it.params, KINDS[kind].file)),
        records=it.count,
        data_shape=list(described.shape[1:]),
        batch_size=it.batch_size,
        dtype=np.dtype(described.dtype).name,
    )
    if isinstance(it, ImageRecordIter):
        summary.data_shape = list(it.params.shape)  # whatever the layout
        summary.engine, summary.threads, summary.backend = it.engine, it.params.preprocess_threads, it.backend
        summary.left_out = len(it.records.left_out)
    return summary
