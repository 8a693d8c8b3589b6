"""Find out which records are lost: those that the old index or the list names, and that were not found.

Memory is 8 bytes a line of the index while records are found, and 16 bytes afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from im2rec.errors import IndexFormatError, InputError, ListFormatError
from im2rec.format.indexfile import MAX_OFFSET, Keys, Offsets
from im2rec.format.listfile import parse_labels
from im2rec.storage.damaged_range import DamagedRange
from im2rec.storage.files import PathLike, with_path
from im2rec.storage.index import resolve_index, sorted_index
from im2rec.storage.list_lines import list_lines, opened_list

IDS, KEYS = "ids", "keys"
_NO_LIMIT = 2**62  # bytes, in place of the size of the file: one that was cut has fewer records than its index
_SAMPLES = 16  # records of each block whose ids are compared with the keys of the index
_AGREEING = 10  # the keys of an index are ids if more than one in so many of these samples agrees
_CHUNK = 1 << 15
_MODULUS = 1 << 64


class Gap(NamedTuple):
    """The ids of the records around a damaged range; None at the start and at the end of the file."""

    before: int | None
    after: int | None


class Losses(NamedTuple):
    """Lost records: how many of how many, and their numbers, of the kind ``ids`` or ``keys``, by damaged range.

    *kind* is None if no numbers are known; *placed* then only counts. *moved* is True if the ids show records at other
    offsets than those of the index. *first* is the line of the first lost record if the one before it is where the
    index has it, and *at* the offset there; None if that is not known.
    """

    lost: int
    listed: int
    kind: str | None
    placed: list[list[int]]
    unplaced: list[int]
    moved: bool = False
    first: int | None = None
    at: int | None = None


class OldIndex:
    """The index of a damaged file: the offsets of its lines, sorted, and which of them were found.

    Raises InputError and IndexFormatError for an index that cannot be read.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = path
        self.offsets = self._load()[1]
        self.found: list[tuple[int, int]] = []  # ranges of lines, ascending
        self.unlisted = 0  # records that start where no line says so
        self._samples: list[tuple[int, int]] = []  # line, and the id of the record there
        self._checksum = 0  # of lines and the ids of the records at their offsets
        self._pairs = self._steps = 0  # neighbours, and those of which the ids are n and n + 1

    def _load(self) -> tuple[Keys, Offsets]:
        return sorted_index(self.path, _NO_LIMIT)

    def add(self, offsets: Offsets, ids: Keys | None) -> None:
        """Note the *offsets* of records that were found, which ascend, and their *ids*, if they have any."""
        lines = np.searchsorted(self.offsets, offsets)
        hits = np.flatnonzero(self.offsets[np.minimum(lines, len(self.offsets) - 1)] == offsets)
        self.unlisted += len(offsets) - len(hits)
        if ids is not None:
            self._pairs += len(ids) - 1
            self._steps += int(np.sum(ids[1:] == ids[:-1] + np.uint64(1)))
        if not len(hits):
            return
        lines = lines[hits]
        if ids is not None:
            self._checksum = (self._checksum + _weighted(lines, ids[hits])) % _MODULUS
            self._samples += zip(lines[:_SAMPLES].tolist(), ids[hits[:_SAMPLES]].tolist(), strict=True)
        for first, stop in _runs(lines):
            start = int(lines[first])
            if self.found and self.found[-1][1] == start:
                start = self.found.pop()[0]
            self.found.append((start, int(lines[stop - 1]) + 1))

    def forget_offsets(self) -> None:
        """Free the memory of the offsets, which are needed only while records are found."""
        self.offsets = np.empty(0, np.int64)

    def losses(
        self, ids: Callable[[], Keys] | None, gaps: Sequence[Gap], damage: Sequence[DamagedRange], size: int
    ) -> Losses | None:
        """Return what is lost; None if the index does not belong to the file.

        *ids* returns the ids of all records that were found; it is None if they have none. *gaps* and *damage* are the
        damaged ranges of the file, which has *size* bytes.
        """
        keys, offsets = self._load()
        missing = _complement(self.found, len(offsets))
        lost_at = _ranges_of(offsets[missing], damage, size)
        matched = len(offsets) - len(missing)
        contradicted = int(np.sum((lost_at < 0) & (offsets[missing] < size)))
        fits = matched > 0 and matched >= contradicted
        if ids is not None and self._are_ids(keys):
            found = ids()
            losses = losses_by_ids(keys, found, gaps, (missing, lost_at))
            # Where all is in place, ids that are no keys are those of records with a key of another kind.
            is_in_place = not (len(missing) or self.unlisted or damage)
            if losses is not None and not (losses.lost and is_in_place):
                moved = len(_not_in(keys[missing], found)) < len(missing) or self._checksum != self._checksum_of(keys)
                return self._with_place(losses, _not_in(keys, found), offsets)._replace(moved=moved)
        del offsets
        if fits:
            return self._by_offset(keys, missing, lost_at, len(damage))
        if not _are_ordinals(keys):
            return None
        # Bytes were lost or added near the start of the file. Only the number of records can be compared.
        return Losses(max(0, len(missing) - self.unlisted), len(keys), None, [[] for _ in damage], [])

    def _checksum_of(self, keys: Keys) -> int:
        """Return the sum that ``add`` makes if the ids of all records at the offsets of lines are their *keys*."""
        return sum(_weighted(np.arange(start, stop), keys[start:stop]) for start, stop in self.found) % _MODULUS

    def _with_place(self, losses: Losses, lost: Offsets, offsets: Offsets) -> Losses:
        """Return *losses* with the place of the first of the *lost* lines."""
        first = int(lost[0]) if len(lost) else None
        if first and not any(start <= first - 1 < stop for start, stop in self.found):
            first = None
        return losses._replace(first=first, at=None if first is None else int(offsets[first]))

    def _are_ids(self, keys: Keys) -> bool:
        """True if *keys* may be ids: they are no ordinals, or are the ids of many records as well.

        Not of most, since records of equal sizes fit the lines of others behind lost ones. If hardly any record is
        where the index has it, the ids of most of them must be those of their neighbours and one more.
        """
        if not _are_ordinals(keys):
            return True
        if len(self._samples) < _AGREEING:
            return 2 * self._steps > self._pairs
        agreeing = sum(int(keys[line]) == id_ for line, id_ in self._samples)
        return _AGREEING * agreeing > len(self._samples)

    def _by_offset(self, keys: Keys, missing: Offsets, lost_at: Offsets, ranges: int) -> Losses:
        """Return what is lost where keys are not ids: the lines at whose offsets nothing was found.

        Where records were found that no line names, they may be those, moved: then they are counted only.
        """
        placed: list[list[int]] = [[] for _ in range(ranges)]
        if self.unlisted:
            return Losses(max(0, len(missing) - self.unlisted), len(keys), None, placed, [])
        for line, place in zip(missing.tolist(), lost_at.tolist(), strict=True):
            if place >= 0:
                placed[place].append(int(keys[line]))
        return Losses(len(missing), len(keys), KEYS, placed, keys[missing[lost_at < 0]].tolist())


def find_old_index(rec: PathLike, index: PathLike | bool | None) -> tuple[OldIndex | None, list[str]]:
    """Return *index*, or the one beside *rec*, and warnings: one that cannot be used is no reason not to recover.

    Raises InputError for a given *index* that is missing.
    """
    path = resolve_index(rec, index)
    if path is None:
        return None, []
    try:
        return OldIndex(path), []
    except (InputError, IndexFormatError) as error:
        if isinstance(error, InputError) and not isinstance(index, (bool, type(None))):
            raise
        return None, [f"{error}; it is not used"]


def losses_by_ids(
    expected: Keys, found: Keys, gaps: Sequence[Gap], known: tuple[Offsets, Offsets] | None = None
) -> Losses | None:
    """Compare the ids *expected*, in file order, with those *found*, which are sorted; None if they do not fit.

    They fit if at least half of those found are expected. A run of missing ids is placed in the damaged range that lies
    between the ids around the run, or else where *known* says: places in *expected*, ascending, and for each the number
    of the damaged range where its record was, or -1.
    """
    missing = _not_in(expected, found)
    if 2 * (len(expected) - len(missing)) < len(found):
        return None
    into = np.full(len(missing), -1)
    before = {gap.before: number for number, gap in reversed(list(enumerate(gaps)))}
    after = {gap.after: number for number, gap in reversed(list(enumerate(gaps)))}
    for first, stop in _runs(missing):
        place = before.get(int(expected[missing[first] - 1]) if missing[first] else None, -1)
        last = int(missing[stop - 1]) + 1
        if place == after.get(int(expected[last]) if last < len(expected) else None):
            into[first:stop] = place
    if known is not None and len(known[0]):
        at = np.minimum(np.searchsorted(known[0], missing), len(known[0]) - 1)
        into = np.where((into < 0) & (known[0][at] == missing), known[1][at], into)
    lost, order = expected[missing], np.argsort(into, kind="stable")
    borders = np.searchsorted(into[order], np.arange(len(gaps) + 1))
    placed = [lost[order[start:stop]].tolist() for start, stop in itertools.pairwise(borders.tolist())]
    unplaced = lost[order[: borders[0]]].tolist()
    # An id that several records have is missing only when all of them are: then the number of records tells more.
    return Losses(max(len(missing), len(expected) - len(found)), len(expected), IDS, placed, unplaced)


def list_ids(path: PathLike) -> Keys:
    """Return the ids (uint64) of the list at *path*, in its order. Raises InputError, ListFormatError."""
    ids: list[Keys] = []
    chunk: list[int] = []
    with opened_list(path) as stream:
        for number, line in enumerate(list_lines(path, stream), 1):
            try:
                entry = parse_labels(line.decode("utf-8", "surrogateescape"), number, 0)
            except ListFormatError as error:
                raise with_path(error, path) from None
            if entry is not None:
                chunk.append(entry[0])
            if len(chunk) == _CHUNK:
                ids.append(np.array(chunk, np.uint64))
                chunk.clear()
    return np.concatenate([*ids, np.array(chunk, np.uint64)])


def _not_in(values: Keys, sorted_: Keys) -> Offsets:
    """Return the places in *values* of those that are not in *sorted_*, chunk by chunk, to save memory."""
    if not len(sorted_):
        return np.arange(len(values))
    places = [np.empty(0, np.int64)]
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        at = np.minimum(np.searchsorted(sorted_, chunk), len(sorted_) - 1)
        places.append(start + np.flatnonzero(sorted_[at] != chunk))
    return np.concatenate(places)


def _weighted(lines: Offsets, ids: Keys) -> int:
    """Return the sum of the products of line numbers, from 1, and ids: another one if two ids change places."""
    return int(np.sum((lines + 1).astype(np.uint64) * ids))


def _are_ordinals(keys: Keys) -> bool:
    return np.array_equal(keys, np.arange(len(keys)))


def _complement(ranges: Iterable[tuple[int, int]], count: int) -> Offsets:
    """Return the numbers from 0 to *count* - 1 that are in none of *ranges*."""
    is_missing = np.ones(count, np.bool_)
    for start, stop in ranges:
        is_missing[start:stop] = False
    return np.flatnonzero(is_missing)


def _ranges_of(offsets: Offsets, damage: Sequence[DamagedRange], size: int) -> Offsets:
    """Return for each of *offsets* the number of the damaged range that contains it, or -1.

    Damage at the end of the file, which has *size* bytes, contains all that was after it.
    """
    starts = np.array([-1, *(piece.start for piece in damage)], np.int64)
    ends = np.array([-1, *(piece.end for piece in damage)], np.int64)
    if damage and ends[-1] == size:
        ends[-1] = MAX_OFFSET
    at = np.searchsorted(starts, offsets, side="right") - 1
    return np.where(offsets < ends[at], at - 1, -1)


def _runs(places: Offsets) -> Iterator[tuple[int, int]]:
    """Yield, for each run of consecutive numbers in *places*, which ascend, its first and its stop in *places*."""
    if len(places):
        breaks = (np.flatnonzero(np.diff(places) != 1) + 1).tolist()
        yield from itertools.pairwise([0, *breaks, len(places)])
