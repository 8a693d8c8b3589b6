"""Decode the images of records in parallel, and list those that fail: one judgement for all commands."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from im2rec.errors import CorruptRecordError, ImageError, InputError
from im2rec.format.irheader import HEADER_BYTES, decode_image_record
from im2rec.format.recordio import read_record
from im2rec.images.codec import decode
from im2rec.images.signatures import EMPTY
from im2rec.parallel import available_cpus, run_ordered
from im2rec.process_pool import KILLED, ItemKilledError, Retry
from im2rec.schema import described
from im2rec.storage.files import InputFile, PathLike

BATCH_BYTES = 1 << 20  # of the file per task of a worker: about 10 ms of decoding
NO_HEADER, DAMAGED_RECORD = "no image header", "damaged record"

Record = tuple[int, int]  # ordinal and offset


@dataclasses.dataclass(frozen=True)
class Failure:
    """A record whose image cannot be decoded."""

    record: int = described("Ordinal of the record in its file, from 0.")
    offset: int = described("First byte of the record, from the start of its file.")
    id: int | None = described("Id in the image header; null if the header cannot be read.")
    reason: str = described("Reason, one of a fixed set of phrases.")
    detail: str = described("Reason in a sentence.")


@dataclasses.dataclass
class Verification:
    """Result of decoding every image."""

    decoded: int = described("Images that were decoded.", 0)
    without_image: int = described("Records with labels and no image.", 0)
    failures: list[Failure] = described("Records whose image cannot be decoded.", factory=list)
    flaws: dict[str, int] = described("Decoded images by harmless flaw.", factory=dict)

    def add(self, other: Verification) -> None:
        """Add the counts and the failures of *other*, whose records follow; the most common flaw is the first one."""
        self.decoded += other.decoded
        self.without_image += other.without_image
        self.failures += other.failures
        self.flaws = dict((Counter(self.flaws) + Counter(other.flaws)).most_common())

    @property
    def records(self) -> int:
        """Number of records that were looked at."""
        return self.decoded + self.without_image + len(self.failures)


def decode_records(
    path: PathLike,
    records: Iterable[Record],
    *,
    workers: int | None = None,
    max_pixels: int | None = None,
    report: Callable[[int, int], None],
) -> Verification:
    """Decode the images of *records* of the file at *path*, (ordinal, offset) each, in *workers* processes.

    By default there are as many processes as CPUs; 1 worker is this process. Failures are listed in the order of
    *records*. One of them is an image above the limit of *max_pixels*, as in :func:`~im2rec.images.codec.decode`, and
    one whose process dies, which is tried again alone in a new process. An image with a harmless flaw counts as
    decoded. *report* is called with the number of records done and the offset of the last of them. Raises InputError,
    WorkerDiedError.
    """
    result, path = Verification(), Path(path)
    work = functools.partial(_decode_batch, path, max_pixels)
    retry = Retry(_single_records, functools.partial(_killed, path), _joined, list[Record]())
    batches = run_ordered(
        work,
        _batches(records),
        workers=available_cpus() if workers is None else workers,
        processes=workers != 1,
        name=_describe_batch,
        retry=retry,
    )
    with contextlib.closing(batches), contextlib.ExitStack() as stack:
        stack.callback(_open.cache_clear)  # one worker is this process, where the path may mean another file later
        for batch, last in batches:
            result.add(batch)
            report(result.records, last)
    return result


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Group *records* by ``BATCH_BYTES`` of the file."""
    for _, batch in itertools.groupby(records, key=lambda record: record[1] // BATCH_BYTES):
        yield list(batch)


def _describe_batch(batch: list[Record]) -> str:
    (first, start), (last, _) = batch[0], batch[-1]
    return f"records {first} to {last}, from byte {start} on"


@functools.lru_cache(maxsize=1)
def _open(path: Path) -> InputFile:
    return InputFile(path)


def _decode_batch(path: Path, max_pixels: int | None, records: list[Record]) -> tuple[Verification, int]:
    """Decode the images of *records*; return the counts, and the offset of the last record, 0 without any."""
    file, batch, offset = _open(path), Verification(), 0
    for ordinal, offset in records:
        id_ = None
        try:
            payload, _ = read_record(file, offset)
            if len(payload) < HEADER_BYTES:
                raise ImageError(f"a payload of {len(payload)} bytes", reason=NO_HEADER)  # noqa: TRY301 - reported below
            header, content = decode_image_record(payload)
            id_ = header.id
            if flaw := decode(content, max_pixels=max_pixels).flaw:
                batch.flaws[flaw] = batch.flaws.get(flaw, 0) + 1
        except ImageError as error:
            if error.reason == EMPTY:
                batch.without_image += 1
            else:
                batch.failures.append(Failure(ordinal, offset, id_, error.reason, str(error)))
        except CorruptRecordError as error:
            batch.failures.append(Failure(ordinal, offset, id_, DAMAGED_RECORD, error.problem))
        else:
            batch.decoded += 1
    return batch, offset


def _single_records(records: list[Record]) -> list[list[Record]]:
    return [[record] for record in records]


def _killed(path: Path, records: list[Record], error: ItemKilledError) -> tuple[Verification, int]:
    """Return the result for a single record whose process died."""
    ((ordinal, offset),) = records
    id_ = None
    with contextlib.suppress(InputError, CorruptRecordError), InputFile(path) as file:
        id_ = decode_image_record(read_record(file, offset)[0])[0].id
    return Verification(failures=[Failure(ordinal, offset, id_, KILLED, error.detail)]), offset


def _joined(_nothing: tuple[Verification, int], results: list[tuple[Verification, int]]) -> tuple[Verification, int]:
    """Return one result of those of single records."""
    total = Verification()
    for batch, _ in results:
        total.add(batch)
    return total, results[-1][1]
