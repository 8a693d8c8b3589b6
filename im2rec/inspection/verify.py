"""Decode every image of a ``.rec`` in parallel, and list those that fail."""

from __future__ import annotations

from im2rec.progress import Phase, Progress, begin_phase
from im2rec.selection.decoding import Verification, decode_records
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.index import resolve_index
from im2rec.storage.record_map import whole_offsets


def verify(
    path: PathLike,
    *,
    index: PathLike | bool | None = None,
    workers: int | None = None,
    max_pixels: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Decode the image of every whole record of the file at *path*, in *workers* processes (default: all CPUs).

    What fails, and what *workers* and *max_pixels* mean, is as in :func:`~im2rec.selection.decoding.decode_records`.
    Failures are listed in file order. *progress* is called with the number of records done and the share of
    the file up to the last of them. The records, and their ordinals, are those that a survey with *index* counts.
    Raises InputError, WorkerDiedError.
    """
    progress = begin_phase(progress, Phase("verifying", "record"))
    with InputFile(path) as file:
        records = enumerate(map(int, whole_offsets(file, resolve_index(path, index))))
        found = decode_records(
            path,
            records,
            workers=workers,
            max_pixels=max_pixels,
            report=lambda done, offset: progress(done, offset / file.size),
        )
        progress(found.records, 1.0)
    return found
