"""Decode every image of a ``.rec``, and list those that fail."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from im2rec.errors import CorruptRecordError, ImageError
from im2rec.format.irheader import HEADER_BYTES, decode_image_record
from im2rec.format.recordio import read_record
from im2rec.images.codec import EMPTY, decode
from im2rec.inspection.report import Failure, Verification
from im2rec.parallel import available_cpus, run_ordered
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.scan import whole_records

BATCH_BYTES = 1 << 20  # of records in one task of a worker: some 10 ms of decoding
SHORT = "no image header"


def verify(
    path: PathLike, *, workers: int | None = None, progress: Callable[[int, float], None] | None = None
) -> Verification:
    """Decode the image of every whole record of the file at *path*, in *workers* processes (default: all CPUs).

    Failures come in file order. *progress* is called with the records done and the share of the file they are in.
    Raises InputError, WorkerDiedError.
    """
    found, flaws = Verification(), Counter[str]()
    work = functools.partial(_decode_batch, Path(path))
    count = available_cpus() if workers is None else workers
    with InputFile(path) as file:
        records = enumerate(whole_records(file))  # numbered as the survey counts them
        batches = run_ordered(work, _batches(records), workers=count, processes=True, name=_held)
        with contextlib.closing(batches):
            for batch, last in batches:
                found.decoded += batch.decoded
                found.without += batch.without
                found.failures += batch.failures
                flaws.update(batch.flaws)
                if progress:
                    progress(found.decoded + found.without + len(found.failures), last / file.size)
    found.flaws = dict(flaws.most_common())
    return found


def _batches(records: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Cut *records* where about ``BATCH_BYTES`` of the file lie between the first and the last."""
    for _, batch in itertools.groupby(records, key=lambda record: record[1] // BATCH_BYTES):
        yield list(batch)


def _held(batch: list[tuple[int, int]]) -> str:
    (first, start), (last, _) = batch[0], batch[-1]
    return f"records {first} to {last}, from byte {start} on"


@functools.lru_cache(maxsize=1)
def _open(path: Path) -> InputFile:
    return InputFile(path)


def _decode_batch(path: Path, records: list[tuple[int, int]]) -> tuple[Verification, int]:
    """Decode the images of *records* (ordinal, offset); the counts, and the offset of the last record."""
    file, batch = _open(path), Verification()
    for ordinal, offset in records:
        id_ = None
        try:
            payload, _ = read_record(file, offset)
            if len(payload) < HEADER_BYTES:
                raise ImageError(f"a payload of {len(payload)} bytes", reason=SHORT)  # noqa: TRY301 - told below
            header, content = decode_image_record(payload)
            id_ = header.id
            if flaw := decode(content).flaw:
                batch.flaws[flaw] = batch.flaws.get(flaw, 0) + 1
        except ImageError as error:
            if error.reason == EMPTY:
                batch.without += 1
            else:
                batch.failures.append(Failure(ordinal, offset, id_, error.reason, error.problem))
        except CorruptRecordError as error:
            batch.failures.append(Failure(ordinal, offset, id_, "damaged record", error.problem))
        else:
            batch.decoded += 1
    return batch, offset
