"""Decode every image of a ``.rec`` in parallel, and list those that fail."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from im2rec.errors import CorruptRecordError, ImageError
from im2rec.format.irheader import HEADER_BYTES, decode_image_record
from im2rec.format.recordio import read_record
from im2rec.images.codec import decode
from im2rec.images.signatures import EMPTY
from im2rec.inspection.report import Failure, Verification
from im2rec.parallel import available_cpus, run_ordered
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.index import resolve_index
from im2rec.storage.record_map import whole_offsets

BATCH_BYTES = 1 << 20  # of the file per task of a worker: about 10 ms of decoding
NO_HEADER = "no image header"


def verify(
    path: PathLike,
    *,
    index: PathLike | bool | None = None,
    workers: int | None = None,
    max_pixels: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Decode the image of every whole record of the file at *path*, in *workers* processes (default: all CPUs).

    Failures are listed in file order; an image above the limit of *max_pixels*, as in
    :func:`~im2rec.images.codec.decode`, is one. *progress* is called with the number of records done and the share of
    the file up to the last of them. The records, and their ordinals, are those that a survey with *index* counts.
    Raises InputError, WorkerDiedError.
    """
    result, flaws, done = Verification(), Counter[str](), 0
    progress = begin_phase(progress, Phase("verifying", "record"))
    work = functools.partial(_decode_batch, Path(path), max_pixels)
    count = available_cpus() if workers is None else workers
    with InputFile(path) as file:
        records = enumerate(map(int, whole_offsets(file, resolve_index(path, index))))
        batches = run_ordered(work, _batches(records), workers=count, processes=count > 1, name=_describe_batch)
        with contextlib.closing(batches), contextlib.ExitStack() as stack:
            stack.callback(_open.cache_clear)  # one worker is this process, where the path may mean another file later
            for batch, last in batches:
                result.decoded += batch.decoded
                result.without_image += batch.without_image
                result.failures += batch.failures
                flaws.update(batch.flaws)
                done = result.decoded + result.without_image + len(result.failures)
                progress(done, last / file.size)
        progress(done, 1.0)
    result.flaws = dict(flaws.most_common())
    return result


def _batches(records: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Group *records*, (ordinal, offset) each, by ``BATCH_BYTES`` of the file."""
    for _, batch in itertools.groupby(records, key=lambda record: record[1] // BATCH_BYTES):
        yield list(batch)


def _describe_batch(batch: list[tuple[int, int]]) -> str:
    (first, start), (last, _) = batch[0], batch[-1]
    return f"records {first} to {last}, from byte {start} on"


@functools.lru_cache(maxsize=1)
def _open(path: Path) -> InputFile:
    return InputFile(path)


def _decode_batch(path: Path, max_pixels: int | None, records: list[tuple[int, int]]) -> tuple[Verification, int]:
    """Decode the images of *records*, (ordinal, offset) each; return the counts, and the offset of the last record."""
    file, batch = _open(path), Verification()
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
            batch.failures.append(Failure(ordinal, offset, id_, "damaged record", error.problem))
        else:
            batch.decoded += 1
    return batch, offset
