"""Run an iterator for some epochs: count and time its batches and compute a digest to compare runs by."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from im2rec.errors import DAMAGED_RECORD
from im2rec.iterators.batch import Array, CSRArray, DataBatch
from im2rec.iterators.image_record import (
    ImageRecordInt8Iter,
    ImageRecordIter,
    ImageRecordUInt8Iter,
    loader_of,
    lost_count,
)
from im2rec.iterators.mnist import MNISTIter, MNISTParams
from im2rec.iterators.ordered import OrderedIterator
from im2rec.iterators.text import CSVIter, LibSVMIter
from im2rec.iterators.text_params import CSVParams, LibSVMParams
from im2rec.pipeline.params import GROUPS, ImageRecordParams
from im2rec.pipeline.records import Records
from im2rec.pipeline.sample import sampled_sizes
from im2rec.progress import Progress
from im2rec.schema import DRY_RUN, ENGINE, FILES, INPUT, KERNEL, PEAK_MEMORY, RATE, RECORDS, SECONDS, described
from im2rec.storage.damaged_range import DAMAGED_BYTES, DAMAGED_RANGES, DAMAGED_RECORDS, DOUBTFUL, LOST


class IteratorKind(NamedTuple):
    """An iterator class, its parameters class, and the name of the parameter that names its file."""

    iterator: type[OrderedIterator[Any]]
    params: type[Any]
    file: str

    @property
    def groups(self) -> dict[str, type[Any]]:
        """Parameter classes by title, as ``--help`` groups them."""
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
    """Result of a run. *engine*, *kernel*, *threads* and *backend* are empty for iterators that decode no images."""

    iterator_kind: str = described("The `--kind` of the iterator.")
    input: str = described(INPUT)
    records: int = described(RECORDS)
    data_shape: list[int] = described("Shape of an image or a row.")
    batch_size: int = described("Rows in a batch.")
    dtype: str = described("Type of the numbers in a batch.")
    engine: str = described(ENGINE, "")
    kernel: str = described(KERNEL, "")
    threads: int = described("Threads or processes that worked.", 0)
    backend: str = described("`threads` or `processes`: what decoded the images.", "")
    epochs: int = described("Epochs that were begun.", 0)
    batches: int = described("Batches that were delivered.", 0)
    images: int = described("Images or rows that were delivered, without filler.", 0)
    pad: int = described("Rows of filler.", 0)
    seconds: float = described(SECONDS, 0.0)
    digest: str = described("Digest of all batches, to compare runs by.", "")
    without_image: int = described("Records with labels and no image.", 0)
    skipped: list[str] = described("Records that were skipped, a sentence each.", factory=list)
    truncated: list[str] = described("Records with a JPEG that is cut short, a sentence each.", factory=list)
    peak_memory: int | None = described(PEAK_MEMORY, None)
    files: list[str] = described(FILES, factory=list)
    dry_run: bool = described(DRY_RUN, False)
    num_parts: int = described("Parts that the data is divided into.", 1)
    part_index: int = described("The part that was read, from 0.", 0)
    part_records: int = described("Records of an epoch of this part.", 0)
    opening_s: float = described("Seconds before the iterator was open.", 0.0)
    first_batch_s: float = described("Seconds from there to the first batch.", 0.0)
    images_per_s: float | None = described(RATE, None)
    damaged_ranges: int = described(DAMAGED_RANGES, 0)
    damaged_bytes: int = described(DAMAGED_BYTES, 0)
    lost: int | None = described(LOST, None)
    doubtful: int = described(DOUBTFUL, 0)
    damaged_records: int = described(DAMAGED_RECORDS, 0)


def summary_of(it: OrderedIterator[Any]) -> RunSummary:
    """Return a summary of *it* with what is known before the run."""
    (description,) = it.provide_data
    kind = next(name for name, kind in KINDS.items() if type(it) is kind.iterator)
    summary = RunSummary(
        iterator_kind=kind,
        input=str(getattr(it.params, KINDS[kind].file)),
        records=it.count,
        data_shape=list(description.shape[1:]),
        batch_size=it.batch_size,
        dtype=np.dtype(description.dtype).name,
        num_parts=it.params.num_parts,
        part_index=it.params.part_index,
        part_records=it.part_count,
    )
    if isinstance(it, ImageRecordIter):
        summary.data_shape = list(it.params.shape)  # (channels, height, width) with every layout
        summary.engine, summary.threads, summary.backend = it.engine, it.params.preprocess_threads, it.backend
        summary.kernel = it.kernel
        records = loader_of(it).records
        summary.without_image = records.without_image
        summary = dataclasses.replace(summary, **records.damage()._asdict())
    return summary


DEFAULT_SIDE = 224  # pixels
_SAMPLED_IMAGES = 64
Sink = Callable[[int, DataBatch], None]  # called with the epoch and each of its batches


def arrays_of(batch: DataBatch) -> dict[str, Array]:
    """Return the arrays of *batch* by name: data, label, index, pad; sparse ones as NAME, NAME_indices, NAME_indptr."""
    assert batch.label is not None
    assert batch.index is not None
    arrays: dict[str, Array] = {}
    for name, array in (("data", batch.data[0]), ("label", batch.label[0])):
        if isinstance(array, CSRArray):
            arrays |= {name: array.data, f"{name}_indices": array.indices, f"{name}_indptr": array.indptr}
        else:
            arrays[name] = array
    return {**arrays, "index": batch.index, "pad": np.array(batch.pad)}


def digest_of(batch: DataBatch) -> bytes:
    """Return the SHA-256 of all arrays of *batch*."""
    digest = hashlib.sha256()
    for array in arrays_of(batch).values():
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def run(
    it: OrderedIterator[Any], *, epochs: int, max_batches: int | None, sink: Sink, progress: Progress | None = None
) -> RunSummary:
    """Take *epochs* of *it*, or *max_batches* in all, call *sink* with each batch, and return the summary."""
    summary = summary_of(it)
    all_batches = hashlib.sha256()
    expected = epochs * len(it) if max_batches is None else min(max_batches, epochs * len(it))
    start = time.perf_counter()
    first_images = 0
    for epoch, batch in _take(it, epochs, max_batches):
        if not summary.batches:
            summary.first_batch_s = time.perf_counter() - start
            first_images = it.batch_size - (batch.pad or 0)
        all_batches.update(digest_of(batch))
        sink(epoch, batch)
        summary.epochs = epoch + 1
        summary.batches += 1
        summary.images += it.batch_size - (batch.pad or 0)
        summary.pad += batch.pad or 0
        if progress:
            progress(summary.images, min(1.0, summary.batches / max(1, expected)))
    if progress:
        progress(summary.images, 1.0)  # also where fewer batches came than expected
    summary.seconds = time.perf_counter() - start
    if summary.batches > 1:  # the time of the first batch holds the start of threads and what compiles meanwhile
        summary.images_per_s = (summary.images - first_images) / (summary.seconds - summary.first_batch_s)
    summary.digest = all_batches.hexdigest()[:16]
    if isinstance(it, ImageRecordIter):
        summary.kernel = it.kernel  # it may have been compiled meanwhile
        summary.skipped = [str(error) for error in it.skipped]
        summary.truncated = [str(error) for error in it.truncated]
        summary.damaged_records = damaged_records(it)
    summary.peak_memory = peak_memory()
    return summary


def damaged_records(it: ImageRecordIter) -> int:
    """Return how many records *it* has skipped that turned out to be damaged when they were read."""
    return sum(error.reason == DAMAGED_RECORD for error in it.skipped[lost_count(it) :])


def _take(it: OrderedIterator[Any], epochs: int, max_batches: int | None) -> Iterator[tuple[int, DataBatch]]:
    remaining = sys.maxsize if max_batches is None else max_batches
    for epoch in range(epochs):
        for batch in it:
            yield epoch, batch
            remaining -= 1
            if not remaining:
                return


def default_shape(words: dict[str, Any]) -> str:
    """Return a data_shape for an iterator that was given none: square, the least side of 64 images, at most 224."""
    params = ImageRecordParams(**{"batch_size": 1, **words, "data_shape": (3, 1, 1)})
    with contextlib.closing(Records(params)) as records:
        side = min([DEFAULT_SIDE, *(min(size) for size in sampled_sizes(records, _SAMPLED_IMAGES))])
    return f"3,{side},{side}"


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes; None on Windows, where Python cannot read it."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB elsewhere
