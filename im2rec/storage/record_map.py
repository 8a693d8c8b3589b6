"""Where the records of a ``.rec`` are, by its index or by a scan, damaged files included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from im2rec.errors import CorruptRecordError, IndexFormatError, InputError, counted
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import HEADER_BYTES
from im2rec.format.recordio import Extent
from im2rec.format.resync import RecordFinder
from im2rec.storage.blocks import Damage, RecordBlock
from im2rec.storage.damaged_range import DamageLog
from im2rec.storage.files import INSPECT, InputFile, PathLike, with_path
from im2rec.storage.foreign import check_line_ends, lacks_line_ends
from im2rec.storage.index import belongs, check_index, no_record_at, sorted_index
from im2rec.storage.index_match import FoundRecords, Match, keys_are_ids, match_index
from im2rec.storage.record_keys import RecordKeys
from im2rec.storage.scan import scan_damaged

NO_KEY = 2**64 - 1  # the key of an ordinal without a record
# So much of a file without an index is read if its heads show no damage: its largest records.
READ_WHOLE_BYTES = 1 << 30
_LINE_ENDS_TESTED = 8  # the first damaged ranges are searched for the effects of text mode
_FEW_RECORDS = 4
_NOTHING = np.empty(0, np.int64)


class RecordMap(NamedTuple):
    """Where the records are: ``keys`` and ``offsets`` (int64), one for each ordinal.

    *stops* (int64) is the offset at which each record ends. It is None where each ends at the next offset, as in files
    without damage; *end* is that of the last. *lost* and *doubtful* (int64) are ordinals; those lost have no record at
    their offset. *damage* are the damaged ranges that were found. *unlisted* says which records the index does not
    list; *has_gaps* is True if some of them are between listed ones.
    """

    keys: RecordKeys
    offsets: Offsets
    end: int
    stops: Offsets | None = None
    lost: Offsets = _NOTHING
    doubtful: Offsets = _NOTHING
    damage: DamageLog = DamageLog()
    unlisted: str = ""
    has_gaps: bool = False


class Collector(Protocol):
    """Takes the results of a scan."""

    damage: DamageLog

    def add(self, block: RecordBlock) -> None:
        """Take the next records."""

    def found(self) -> FoundRecords:
        """Return all records."""


C = TypeVar("C", bound=Collector)


class ScannedRecords:
    """Offsets, ends, ids and sizes of the records of a scan; subclasses may collect more."""

    def __init__(self) -> None:
        self.damage = DamageLog()
        self.doubtful: list[int] = []
        self.records = 0
        self.all_have_headers = True
        self._offsets, self._ends, self._ids = [_NOTHING], [_NOTHING], [np.empty(0, np.uint64)]

    def add(self, block: RecordBlock) -> None:
        """Take the next records."""
        self.doubtful += [self.records + row for row in sorted(block.doubtful)]
        self.records += len(block.offsets)
        self.all_have_headers = self.all_have_headers and min(block.sizes) >= HEADER_BYTES
        self._offsets.append(np.array(block.offsets, np.int64))
        self._ends.append(block.ends)
        # A payload that is too short for an image header has no id: those bytes are of the next record.
        has_id = np.array(block.sizes) >= HEADER_BYTES
        self._ids.append(np.where(has_id, block.headers["id"].astype(np.uint64), np.uint64(NO_KEY)))

    def found(self) -> FoundRecords:
        """Return all records."""
        return FoundRecords(*map(np.concatenate, (self._offsets, self._ends, self._ids)))  # type: ignore[arg-type]


def scan_all(
    file: InputFile,
    new: Callable[[], C],
    *,
    listed: Offsets | None = None,
    careful: bool = False,
    drop_doubtful: bool = False,
    thorough: bool = False,
) -> C:
    """Scan *file*, and return what ``new()`` has collected of it.

    *listed* and *drop_doubtful* are those of :func:`~im2rec.storage.scan.scan_damaged`. The part heads are read first.
    If they show damage, or are not where *listed* says, or if *thorough*, every byte is read. If *careful*, so are the
    bytes of a file without *listed*, or of its largest records if there are more than 1 GiB: a record that covers
    others because of a damaged length word is larger than they are.

    Raises InputError for a file that went through text mode.
    """
    thorough = thorough or (careful and listed is None and file.size <= READ_WHOLE_BYTES)
    while True:
        collected = new()
        for item in scan_damaged(file, listed=listed, thorough=thorough, drop_doubtful=drop_doubtful):
            if isinstance(item, RecordBlock):
                collected.add(item)
                continue
            if not thorough:
                break
            if len(collected.damage) < _LINE_ENDS_TESTED:
                check_line_ends(file, item.start + HEAD_BYTES)
            collected.damage.append(item)
        else:
            if thorough or not _is_suspect(file, collected, listed, careful=careful):
                return collected
        thorough = True


def _is_suspect(file: InputFile, collected: Collector, listed: Offsets | None, *, careful: bool) -> bool:
    """True if a file is damaged although its heads do not show it: an index does, or a record that covers others."""
    if listed is None and not careful:
        return False
    found = collected.found()
    if listed is not None:
        # If the index belongs to another file, hardly any record starts where it says; the caller decides on that.
        return _first_missing(listed, found.offsets) is not None and belongs(file, listed)
    sizes, finder = found.ends - found.offsets, RecordFinder(file)
    largest = np.argsort(sizes, kind="stable")[::-1]
    chosen = np.sort(largest[np.cumsum(sizes[largest]) <= READ_WHOLE_BYTES])
    for offset, end in zip(found.offsets[chosen].tolist(), found.ends[chosen].tolist(), strict=True):
        if finder.first_other_head(offset, Extent(end, 0, 1)) is not None:
            return True
    return False


def listed_offsets(file: InputFile, index: PathLike | None) -> Offsets | None:
    """Return the ascending offsets (int64) of *index* for a scan of *file*; None if it cannot be used for that."""
    if index is None:
        return None
    try:
        _, offsets = sorted_index(index, file.size)
    except (IndexFormatError, InputError):
        return None
    return offsets if belongs(file, offsets) else None


def whole_offsets(file: InputFile, index: PathLike | None) -> Offsets:
    """Return the offsets (int64) of all whole records of *file*, in file order; damage is skipped."""
    return scan_all(file, ScannedRecords, listed=listed_offsets(file, index), careful=True).found().offsets


def map_by_scan(file: InputFile, *, skip: bool, drop_doubtful: bool) -> RecordMap:
    """Return where the records of *file* are, without an index; keys are ids, or ordinals if any has no image header.

    Unless *skip*, each damaged range takes the place of one record. Raises InputError.
    """
    scanned = scan_all(file, ScannedRecords, careful=skip, drop_doubtful=drop_doubtful)
    return map_of_scan(file, scanned, skip=skip)


def map_of_scan(file: InputFile, scanned: ScannedRecords, *, skip: bool) -> RecordMap:
    """Return the map of the records of a scan; parameters as in :func:`map_by_scan`."""
    offsets, ends, ids = scanned.found()
    keys = ids if scanned.all_have_headers else np.arange(len(offsets), dtype=np.uint64)
    damage, doubtful = scanned.damage, np.array(scanned.doubtful, np.int64)
    _complete_errors(file, damage)
    if not damage:
        return RecordMap(RecordKeys(keys), offsets, file.size)
    lost = _NOTHING
    if not skip:
        places = damage.starts
        at = np.searchsorted(offsets, places)
        lost = at + np.arange(len(at))
        offsets = np.insert(offsets, at, places)
        ends = np.insert(ends, at, damage.ends)
        keys = (
            np.insert(keys, at, np.uint64(NO_KEY))
            if scanned.all_have_headers
            else np.arange(len(offsets), dtype=np.uint64)
        )
        doubtful = doubtful + np.searchsorted(at, doubtful, side="right")
    return RecordMap(RecordKeys(keys), offsets, file.size, ends, lost, doubtful, damage)


def map_by_index(file: InputFile, path: PathLike, without: str, *, skip: bool, drop_doubtful: bool) -> RecordMap:
    """Return where the records of *file* are, by the index at *path*: its lines are the ordinals, in file order.

    A few part heads are read; if one is not where the index has it, or if *skip*, the file is scanned, and each line
    gets the record that it meant, wherever that is now. *without* is what the caller may write to have the index left
    out: it ends the hint of an IndexFormatError.

    Raises InputError, and IndexFormatError for an index that cannot be parsed or belongs to another file.
    """
    try:
        keys, offsets = sorted_index(path, file.size)
        problem: IndexFormatError | None = None
        if not skip:
            try:
                checked = check_index(file, offsets)
                return RecordMap(
                    RecordKeys(keys), offsets, checked.end, unlisted=checked.unlisted, has_gaps=checked.has_gaps
                )
            except CorruptRecordError:
                pass
            except IndexFormatError as error:
                problem = error
        return _matched(file, keys, offsets, problem, drop_doubtful=drop_doubtful)
    except IndexFormatError as error:
        if lacks_line_ends(file):
            scan_all(file, ScannedRecords)  # raises an InputError if it is the .rec that is wrong
        error.hint = "; ".join(filter(None, (error.hint, f"with {without} the .rec is scanned instead")))
        raise with_path(error, path) from None


def _matched(
    file: InputFile, keys: Keys, offsets: Offsets, problem: IndexFormatError | None, *, drop_doubtful: bool
) -> RecordMap:
    scanned = scan_all(file, ScannedRecords, listed=offsets, drop_doubtful=drop_doubtful)
    found, damage = scanned.found(), scanned.damage
    missing = _first_missing(offsets, found.offsets)
    if missing is None and not damage and problem is None and ids_agree(keys, offsets, found):
        checked = check_index(file, offsets)
        return RecordMap(RecordKeys(keys), offsets, checked.end, unlisted=checked.unlisted, has_gaps=checked.has_gaps)
    match = match_lines(keys, offsets, found, scanned.doubtful, is_damaged=len(damage) > 0)
    if match is not None and not damage and (len(match.odd) or np.sum(match.lines >= 0) < len(offsets)):
        # Records are missing, or one has a wrong size, although no head is damaged: a record may cover others.
        scanned = scan_all(file, ScannedRecords, listed=offsets, drop_doubtful=drop_doubtful, thorough=True)
        found, damage = scanned.found(), scanned.damage
        match = match_lines(keys, offsets, found, scanned.doubtful, is_damaged=len(damage) > 0)
    if match is None:
        raise problem or no_record_at(int(offsets[missing or 0]), missing or 0)
    if drop_doubtful and len(match.odd):
        match = match.without_odd()
    lost = np.setdiff1d(np.arange(len(offsets)), match.lines)
    if len(lost) and not damage:
        damage.append(missing_records(file, lost, match.lines, found))
    _complete_errors(file, damage)
    rows = np.flatnonzero(match.lines >= 0)
    places = np.concatenate([match.lines[rows], len(offsets) + np.arange(len(match.extra))])
    rows = np.concatenate([rows, match.extra])
    all_offsets = np.concatenate([offsets, found.offsets[match.extra]])
    # Lost records of a cut file lie behind its end: no span ends before it begins.
    stops = np.maximum(all_offsets, np.append(all_offsets[1:], file.size))
    all_offsets[places], stops[places] = found.offsets[rows], found.ends[rows]
    is_doubtful = np.zeros(len(found.offsets), np.bool_)
    is_doubtful[scanned.doubtful] = True
    is_doubtful[match.odd] = True
    left_out = len(found.offsets) - len(rows)
    return RecordMap(
        RecordKeys(np.concatenate([keys, found.ids[match.extra]])),
        all_offsets,
        file.size,
        stops,
        lost=lost,
        doubtful=np.sort(places[is_doubtful[rows]]),
        damage=damage,
        unlisted=counted(left_out, "whole record") if left_out else "",
        has_gaps=match.has_gaps,
    )


def match_lines(
    keys: Keys, offsets: Offsets, found: FoundRecords, doubtful: Sequence[int], *, is_damaged: bool
) -> Match | None:
    """Return which records an index with *keys* and ascending *offsets* means; None if it belongs to another file.

    *found* are the records of the file, *doubtful* rows of them; *is_damaged* is True if the scan has found damage.
    """
    if not is_damaged and _first_missing(offsets, found.offsets) is None and ids_agree(keys, offsets, found):
        lines = np.full(len(found.offsets), -1)
        lines[np.searchsorted(found.offsets, offsets)] = np.arange(len(offsets))
        return Match(lines, _NOTHING, _NOTHING, has_gaps=False, fits=True)
    match = match_index(keys, offsets, found, doubtful)
    if not is_damaged:
        match = match.with_records_in_place(keys, offsets, found)
    # In a file without damage every record has the size that the index gives for it. In a damaged file it may be that
    # only a few records are left, and that none of them shows which line it is.
    few = min(len(offsets), len(found.offsets)) // 2 if len(found.offsets) >= _FEW_RECORDS else 0
    if int(np.sum(match.lines >= 0)) < few or not (is_damaged or match.fits):
        return None
    return None if _names_inside(offsets, match.lines, found, doubtful) else match


def _names_inside(offsets: Offsets, lines: Offsets, found: FoundRecords, doubtful: Sequence[int]) -> bool:
    """True if a line without a record has an offset inside a whole record that is where its own line says."""
    lost = np.setdiff1d(np.arange(len(offsets)), lines)
    if not len(lost) or not len(lines):
        return False
    rows = np.searchsorted(found.offsets, offsets[lost], side="right") - 1
    in_place = (rows >= 0) & (lines[rows] >= 0) & ~np.isin(rows, np.array(doubtful, np.int64))
    in_place &= offsets[lines[rows]] == found.offsets[rows]
    return bool(np.any(in_place & (offsets[lost] < found.ends[rows])))


def _first_missing(offsets: Offsets, found: Offsets) -> int | None:
    """Return the number of the first of *offsets* that is not among those *found*, both ascending; or None."""
    if np.array_equal(offsets, found):  # nearly always; what follows takes another 17 bytes for each
        return None
    missing = np.flatnonzero(~np.isin(offsets, found))
    return int(missing[0]) if len(missing) else None


def ids_agree(keys: Keys, offsets: Offsets, found: FoundRecords) -> bool:
    """True unless the keys are ids and some of them not those of the records at their offsets, which were moved.

    Then every key is the id of a record, and each line has one of its size. Keys that count the lines may be ordinals,
    and the ids the same numbers in another order: of these most must be the ids.
    """
    lines = np.flatnonzero(np.isin(found.offsets, offsets)) if len(found.offsets) != len(offsets) else slice(None)
    agreeing = keys == found.ids[lines]
    if agreeing.all() or not np.isin(keys, found.ids).all():
        return True
    is_counted = np.array_equal(keys, np.arange(len(keys), dtype=np.uint64))
    if (is_counted and 2 * int(np.sum(agreeing)) <= len(keys)) or not keys_are_ids(keys, offsets, found):
        return True
    match = match_index(keys, offsets, found)
    return not match.fits or len(match.odd) > 0 or len(np.unique(match.lines[match.lines >= 0])) < len(offsets)


def missing_records(file: InputFile, lost: Offsets, lines: Offsets, found: FoundRecords) -> Damage:
    """Return the damage, of no bytes, where the records of the *lost* lines are missing in a file that looks whole."""
    before = np.flatnonzero(lines == lost[0] - 1) if lost[0] else _NOTHING
    at = int(found.ends[before[0]]) if len(before) else 0
    where = "the file ends" if at == file.size else "the file goes on"
    problem = f"{where} here, but the index lists {counted(len(lost), 'more record')}"
    error = CorruptRecordError(problem, offset=at, hint="fetch it again")
    error.record = int(before[0]) + 1 if len(before) else 0
    return Damage(at, at, error)


def _complete_errors(file: InputFile, damage: Iterable[Damage]) -> None:
    """Set path and hint of the errors of *damage*."""
    for item in damage:
        with_path(item.error, file.path)
        item.error.hint = item.error.hint or INSPECT
