"""Run one of the iterators, by its word, for some epochs: what it delivered, how fast, and a digest to compare by."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from im2rec.errors import BadRecordError, ImageError
from im2rec.images.codec import image_info
from im2rec.iterators.base import OrderedIterator
from im2rec.iterators.batch import Array, CSRArray, DataBatch
from im2rec.iterators.image_record import ImageRecordInt8Iter, ImageRecordIter, ImageRecordUInt8Iter, loader_of
from im2rec.iterators.mnist import MNISTIter, MNISTParams
from im2rec.iterators.text import CSVIter, LibSVMIter
from im2rec.iterators.text_params import CSVParams, LibSVMParams
from im2rec.parallel import Progress
from im2rec.pipeline.params import GROUPS, ImageRecordParams
from im2rec.pipeline.records import Records


class IteratorKind(NamedTuple):
    """An iterator, its parameters, and which of them names its file."""

    iterator: type[OrderedIterator[Any]]
    params: type[Any]
    file: str

    @property
    def groups(self) -> dict[str, type[Any]]:
        """The tables of its parameters, by title."""
        return GROUPS if self.params is ImageRecordParams else {self.iterator.__name__: self.params}


KINDS = {
    "image": IteratorKind(ImageRecordIter, ImageRecordParams, "path_imgrec"),
    "uint8": IteratorKind(ImageRecordUInt8Iter, ImageRecordParams, "path_imgrec"),
    "int8": IteratorKind(ImageRecordInt8Iter, ImageRecordParams, "path_imgrec"),
    "mnist": IteratorKind(MNISTIter, MNISTParams, "image"),
    "csv": IteratorKind(CSVIter, CSVParams, "data_csv"),
    "libsvm": IteratorKind(LibSVMIter, LibSVMParams, "data_libsvm"),
}


@dataclasses.dataclass
class RunSummary:
    """What a run delivered. *images* counts without filler; *peak_memory* is in bytes, None where nothing tells it.

    *kernel* names the compiled JPEG decoder, or says why there is none. *engine*, *kernel*, *threads* and *backend* are
    empty for iterators that decode no images.
    """

    kind: str
    rec: str
    records: int
    data_shape: list[int]
    batch_size: int
    dtype: str
    engine: str = ""
    kernel: str = ""
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
        summary.kernel = it.kernel
        summary.left_out = len(loader_of(it).records.left_out)
    return summary


DEFAULT_SIDE = 224
_SAMPLED = 64
Sink = Callable[[int, DataBatch], None]  # called with the epoch and each of its batches


def arrays_of(batch: DataBatch) -> dict[str, Array]:
    """Everything in *batch*, by name: data, label, index and pad; sparse rows as values, NAME_indices, NAME_indptr."""
    assert batch.label is not None
    assert batch.index is not None
    found: dict[str, Array] = {}
    for name, array in (("data", batch.data[0]), ("label", batch.label[0])):
        if isinstance(array, CSRArray):
            found |= {name: array.data, f"{name}_indices": array.indices, f"{name}_indptr": array.indptr}
        else:
            found[name] = array
    return {**found, "index": batch.index, "pad": np.array(batch.pad)}


def digest_of(batch: DataBatch) -> bytes:
    """SHA-256 of everything in *batch*."""
    found = hashlib.sha256()
    for array in arrays_of(batch).values():
        found.update(np.ascontiguousarray(array).data)
    return found.digest()


def run(
    it: OrderedIterator[Any], *, epochs: int, max_batches: int | None, sink: Sink, progress: Progress | None = None
) -> RunSummary:
    """Take *epochs* of *it*, or *max_batches* in all; each batch goes to *sink*."""
    summary = summary_of(it)
    all_batches = hashlib.sha256()
    wanted = epochs * len(it) if max_batches is None else min(max_batches, epochs * len(it))
    start = time.perf_counter()
    for epoch, batch in _taken(it, epochs, max_batches):
        all_batches.update(digest_of(batch))
        sink(epoch, batch)
        summary.epochs = epoch + 1
        summary.batches += 1
        summary.images += it.batch_size - (batch.pad or 0)
        summary.pad += batch.pad or 0
        if progress:
            progress(summary.images, min(1.0, summary.batches / max(1, wanted)))
    summary.seconds = time.perf_counter() - start
    summary.digest = all_batches.hexdigest()[:16]
    if isinstance(it, ImageRecordIter):
        summary.kernel = it.kernel  # it may have been compiled meanwhile
        summary.skipped = [str(error) for error in it.skipped]
        summary.truncated = [str(error) for error in it.truncated]
    summary.peak_memory = peak_memory()
    return summary


def _taken(it: OrderedIterator[Any], epochs: int, max_batches: int | None) -> Iterator[tuple[int, DataBatch]]:
    left = sys.maxsize if max_batches is None else max_batches
    for epoch in range(epochs):
        for batch in it:
            yield epoch, batch
            left -= 1
            if not left:
                return


def default_shape(words: dict[str, Any]) -> str:
    """The data_shape for records whose iterator was given none: square, the shorter side of 64 of them, at most 224."""
    params = ImageRecordParams(**{"batch_size": 1, **words, "data_shape": (3, 1, 1)})
    with contextlib.closing(Records(params)) as records:
        side = min([DEFAULT_SIDE, *_sides(records)])
    return f"3,{side},{side}"


def _sides(records: Records) -> Iterator[int]:
    """Shorter sides of evenly spread images; those that cannot be read say nothing."""
    if not len(records):
        return
    positions = np.unique(np.linspace(0, len(records) - 1, _SAMPLED).astype(np.int64))
    for ordinal in records.ordinals(positions).tolist():
        record = records.read(ordinal)
        if isinstance(record, BadRecordError):
            continue
        try:
            _, height, width, _ = image_info(record.content)
        except ImageError:
            continue
        yield min(height, width)


def peak_memory() -> int | None:
    """The most memory this process has had, in bytes; None on Windows, whose library does not say."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
