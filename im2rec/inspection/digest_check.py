"""Compare a ``.rec`` with the digest beside it: the byte ranges that changed, and the records in them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from im2rec.errors import DigestFormatError, InputError, counted
from im2rec.format.digestfile import FileDigest
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.schema import described
from im2rec.storage.digest import find_blocks, find_digest, load_digest
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.index import resolve_index
from im2rec.storage.opening import open_rec
from im2rec.storage.record_map import ScannedRecords, listed_offsets, scan_all

NONE, AGREES, CHANGED, OTHER_FILE, WRONG = "none", "agrees", "changed", "other file", "wrong"
_SHOWN_IDS = 10  # of the records in a range
_TELLING_BLOCKS = 4  # damage to all of this many blocks is far less likely than another file


@dataclasses.dataclass
class ChangedRange:
    """A range of bytes that are in no block of the digest, and the records in it."""

    start: int = described("First byte of the range, from the start of the file.")
    end: int = described("First byte after the range.")
    records: int = described("Whole records with bytes in the range.", 0)
    first_record: int | None = described("Ordinal of the first of them.", None)
    last_record: int | None = described("Ordinal of the last of them.", None)
    first_ids: list[int] = described(
        f"Ids of the first {_SHOWN_IDS} of them; none if records lack image headers.", factory=list
    )


@dataclasses.dataclass
class DigestCheck:
    """Comparison of a ``.rec`` with its digest."""

    path: str | None = described("Path of the digest.", None)
    state: str = described(
        f"`{NONE}`, `{AGREES}`, `{CHANGED}`, `{OTHER_FILE}` (no block agrees), or `{WRONG}` (it cannot be read).", NONE
    )
    problem: str | None = described("Problem in a sentence.", None)
    size: int | None = described("Size in bytes that the digest gives.", None)
    records: int | None = described("Whole records that the digest gives.", None)
    damaged_bytes: int | None = described("Bytes that were damaged already when the digest was made.", None)
    changed: list[ChangedRange] = described("Ranges that changed.", factory=list)
    moved_blocks: int = described(
        "Blocks that are unchanged but in another place, as bytes before them were added or removed.", 0
    )
    changed_bytes: int = described("Bytes in all ranges that changed.", 0)


def check_digest(
    path: PathLike, *, index: PathLike | bool | None = None, progress: Progress | None = None
) -> DigestCheck:
    """Compare all bytes of the ``.rec`` at *path* with the digest beside it, if there is one.

    *index* is that of :func:`~im2rec.inspection.survey.survey`, whose ordinals are given. *progress* is called with the
    number of blocks so far and their share of all. A digest that cannot be read is reported, not raised. Raises
    InputError when the ``.rec`` cannot be read.
    """
    found = find_digest(path)
    if found is None:
        return DigestCheck()
    name = os.fspath(found)
    try:
        digest = load_digest(found)
    except (DigestFormatError, InputError) as error:
        error.path = None  # the report has it already
        return DigestCheck(name, WRONG, str(error))
    check = DigestCheck(name, AGREES, size=digest.size, records=digest.records, damaged_bytes=digest.damaged_bytes)
    with open_rec(path) as file:
        report = begin_phase(progress, Phase("checking the digest", "block"))
        places = list(find_blocks(file, digest, progress=report))
        starts = [digest.block_range(number)[0] for number in range(len(places))]
        if places == starts and file.size == digest.size:
            return check
        check.problem = _size_problem(file.size, digest.size)
        if len(places) >= _TELLING_BLOCKS and places.count(None) == len(places):
            check.state = OTHER_FILE
            facts = [check.problem, f"none of the {len(places):,} blocks agrees"]
            check.problem = ", and ".join(filter(None, facts)) + ": the digest is probably that of another file"
            return check
        check.state = CHANGED
        check.moved_blocks = sum(place not in (None, start) for place, start in zip(places, starts, strict=True))
        check.changed = list(_changed_ranges(digest, places, file.size))
        check.changed_bytes = sum(part.end - part.start for part in check.changed)
        if check.changed:
            _add_records(file, index, check.changed)
    return check


def _size_problem(size: int, expected: int) -> str | None:
    if size == expected:
        return None
    difference = f"{counted(abs(size - expected), 'byte')} {'more' if size > expected else 'fewer'}"
    return f"the file has {size:,} bytes, {difference} than the digest says"


def _changed_ranges(digest: FileDigest, places: Sequence[int | None], size: int) -> Iterator[ChangedRange]:
    """Yield the ranges of a file of *size* bytes that are in none of the blocks, which it has at *places*."""
    found = [
        (place, place + end - start)
        for place, (start, end) in zip(places, map(digest.block_range, range(len(places))), strict=True)
        if place is not None
    ]
    reached = 0
    for start, end in [*sorted(found), (size, size)]:
        if start > reached:
            yield ChangedRange(reached, start)
        reached = max(reached, end)


def _add_records(file: InputFile, index: PathLike | bool | None, ranges: Sequence[ChangedRange]) -> None:
    """Add to each of *ranges* the records of *file* that have bytes in it, with the ordinals of a survey."""
    listed = listed_offsets(file, resolve_index(file.path, index))
    scanned = scan_all(file, ScannedRecords, listed=listed, careful=True)
    offsets, ends, ids = scanned.found()
    for part in ranges:
        rows = np.flatnonzero((offsets < part.end) & (ends > part.start))
        part.records = len(rows)
        if len(rows):
            part.first_record, part.last_record = int(rows[0]), int(rows[-1])
        if scanned.all_have_headers:
            part.first_ids = ids[rows[:_SHOWN_IDS]].tolist()
