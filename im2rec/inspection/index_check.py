"""Compare an index with the records of its ``.rec``, by the rule by which ``im2rec.open`` uses it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from im2rec.errors import IndexFormatError, InputError, counted
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.insightface import HEADER_KEY, range_payload
from im2rec.format.recordio import encode_record
from im2rec.inspection.report import IndexCheck
from im2rec.storage.blocks import Damage
from im2rec.storage.damaged_range import DamagedRange
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.index import load_index
from im2rec.storage.index_match import FoundRecords
from im2rec.storage.record_map import NO_KEY, ids_agree, match_lines, missing_records

_HEADER_RECORD_BYTES = len(encode_record(range_payload(HEADER_KEY, 1, 1)))


class Compared(NamedTuple):
    """An index compared with the records of its file: the *check*, and what an index alone tells.

    *missing* is the damage, of no bytes, where the first record is missing from a file that shows no damage, else None.
    *keys* (uint64) are the keys of all records, ``NO_KEY`` for those that it does not list; None without an index, or
    with a wrong one. *header_lost* is True if it lists the header record of a face-recognition set that is lost.
    """

    check: IndexCheck
    missing: Damage | None = None
    keys: Keys | None = None
    header_lost: bool = False


def compare_index(
    file: InputFile,
    found: FoundRecords,
    index: PathLike | None,
    damage: Sequence[DamagedRange] = (),
    doubtful: Sequence[int] = (),
) -> Compared:
    """Compare *index* with the records that a scan of *file* has *found*, and with its *damage*.

    *doubtful* are ordinals of records. An index that cannot be read is reported as wrong, not raised. Its lines may
    mean records that are lost, or elsewhere now: an index is not called wrong for that.
    """
    if index is None:
        return Compared(IndexCheck(None, "none"))
    name, starts, ids = os.fspath(index), found.offsets, found.ids
    try:
        keys, offsets = load_index(index, file.size)
    except (IndexFormatError, InputError) as error:
        error.path = None  # the report has it already
        return Compared(IndexCheck(name, "wrong", str(error)))
    # Nearly always; the rest takes another 60 bytes per record.
    if np.array_equal(offsets, starts) and not damage and ids_agree(keys, offsets, found):
        check = IndexCheck(name, "agrees", key_kind=_kind_of_keys(keys, ids), listed=len(starts))
        return Compared(check, keys=keys)
    order = np.argsort(offsets, kind="stable")
    keys, offsets = keys[order], offsets[order]
    wrong = offsets[~np.isin(offsets, starts)]
    doubled = len(offsets) - len(np.unique(offsets))
    is_possible = len(offsets) > 0 and not doubled
    match = match_lines(keys, offsets, found, doubtful, is_damaged=bool(damage)) if is_possible else None
    if match is None:
        return Compared(IndexCheck(name, "wrong", _wrong_index(offsets, _outside(wrong, damage), doubled)))
    rows = np.flatnonzero(match.lines >= 0)
    rows = rows[np.argsort(match.lines[rows], kind="stable")]
    lines = match.lines[rows]
    lost = np.setdiff1d(np.arange(len(offsets)), lines)
    unlisted = len(starts) - len(rows)
    check = IndexCheck(
        name,
        "partial" if unlisted else "agrees",
        key_kind=_kind_of_keys(keys[lines], ids[rows], rows) if len(rows) else None,
        listed=len(rows),
        unlisted=unlisted,
        damaged=len(lost),
        moved=int(np.sum(offsets[lines] != starts[rows])),
    )
    missing = missing_records(file, lost, match.lines, found) if len(lost) and not damage else None
    keys_of_records = np.full(len(starts), NO_KEY, np.uint64)
    keys_of_records[rows] = keys[lines]
    return Compared(check, missing, keys_of_records, _is_header(keys, offsets, lost))


def _is_header(keys: Keys, offsets: Offsets, lost: Offsets) -> bool:
    """True if one of the *lost* lines is that of a header record: key 0, and as large as one, or the last in the file.

    In a set without one, key 0 is the first image.
    """
    lines = lost[keys[lost] == HEADER_KEY]
    if not len(lines):
        return False
    line = int(lines[0])
    is_last = line == len(offsets) - 1
    return bool(is_last and line > 0) or (not is_last and offsets[line + 1] - offsets[line] == _HEADER_RECORD_BYTES)


def _outside(offsets: Offsets, damage: Sequence[DamagedRange]) -> Offsets:
    """Return those of *offsets* that are not in damaged bytes, for which no index is blamed."""
    if not damage:
        return offsets
    rows = np.searchsorted([bad.start for bad in damage], offsets, side="right") - 1
    return offsets[(rows < 0) | (offsets >= np.array([bad.end for bad in damage])[rows])]


def _wrong_index(offsets: Offsets, wrong: Offsets, doubled: int) -> str:
    """Return what is wrong with an index of these *offsets*, of which *wrong* are those of no record."""
    if doubled:
        return f"{counted(doubled, 'record is', 'records are')} in it twice"
    if not len(offsets):
        return "lists no records"
    if not len(wrong):
        return "most of its lines are those of no record in the file"
    are = f"{len(wrong)} of its {len(offsets)} offsets {'is' if len(wrong) == 1 else 'are'}"
    return f"{are} not the start of a record, byte {wrong[0]} for example"


def _kind_of_keys(keys: Keys, ids: Keys, ordinals: Offsets | None = None) -> str:
    """Describe *keys* of the records with these *ids*; *ordinals* are theirs in the file if it has others as well."""
    if np.array_equal(keys, ids):
        return "ids"
    counts = np.arange(len(keys))
    if np.array_equal(keys, counts) or (ordinals is not None and np.array_equal(keys, ordinals)):
        return "ordinals"
    return f"neither ids nor ordinals ({int(np.sum(keys != ids))} differ from the ids)"
