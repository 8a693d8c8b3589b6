"""Match the lines of an index with the records that were found in its ``.rec``, which may be damaged.

The offsets of an index are those of the file before the damage. Where bytes were lost, added or moved, records are at
other offsets now; their ids and sizes show which line each of them belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.format.indexfile import Keys, Offsets

Mask = npt.NDArray[np.bool_]
_NONE = -1
_NO_ROWS = np.empty(0, np.int64)
_CHUNK = 1 << 15  # lines are compared at once
_PATTERN = 4  # so many consecutive records of the sizes that an index gives show which lines they are
_ROUNDS = 64  # the most distances, by which records were moved, that are tried: each damage makes one at most


class FoundRecords(NamedTuple):
    """Records that a scan has found, in file order: offset and end in bytes (int64), and image id (uint64) of each."""

    offsets: Offsets
    ends: Offsets
    ids: Keys


class Match(NamedTuple):
    """Result of matching an index with records.

    *lines* (int64) is the line of each record, -1 for one that belongs to none. *extra* are the rows of the records
    that belong to none although the index lists all records around them: copies, or records whose line nothing shows.
    *odd* are the rows of those that are at the offset of a line, or have it, with another size than the index gives.
    *has_gaps* is True if the index leaves out records between others. *fits* is True if nearly all lines that have
    a record have one of the size that the index gives: it was made for these records, wherever they are now.
    """

    lines: Offsets
    extra: Offsets
    odd: Offsets
    has_gaps: bool
    fits: bool

    def without_odd(self) -> Match:
        """Return the match without the *odd* records, which belong to no line then and are not extra."""
        lines = self.lines.copy()
        lines[self.odd] = _NONE
        return self._replace(lines=lines, extra=np.setdiff1d(self.extra, self.odd), odd=_NO_ROWS)

    def with_records_in_place(self, keys: Keys, offsets: Offsets, found: FoundRecords) -> Match:
        """Return the match where each record at the offset of a line has that line, if neither has another.

        Such a record is *odd* already. In a file without damage, its size differs from that in the index because the
        offset of the next line is wrong. A record with the id of another line is a copy of that line's.
        """
        rows = np.flatnonzero((self.lines == _NONE) & np.isin(found.offsets, offsets))
        lines, ids = np.searchsorted(offsets, found.offsets[rows]), found.ids[rows]
        is_free = ~np.isin(lines, self.lines)
        if keys_are_ids(keys, offsets, found):
            is_free &= (keys[lines] == ids) | ~np.isin(ids, keys)
        taken, matched = rows[is_free], self.lines.copy()
        matched[taken] = lines[is_free]
        return self._replace(lines=matched, extra=np.setdiff1d(self.extra, taken), odd=np.union1d(self.odd, taken))


def match_index(keys: Keys, offsets: Offsets, found: FoundRecords, doubtful: Sequence[int] = ()) -> Match:
    """Return the line of each of the *found* records in an index with these *keys* and ascending *offsets*.

    *doubtful* are the rows of records of which another copy is preferred.
    """
    by_id = keys_are_ids(keys, offsets, found)
    start, tail = _in_place(keys, offsets, found, by_id=by_id)
    if len(doubtful):  # another copy may be better
        start, tail = min(start, *doubtful), min(tail, len(found.offsets) - 1 - max(doubtful))
    row_stop, line_stop = len(found.offsets) - tail, len(offsets) - tail
    rows = slice(start, row_stop)
    between = FoundRecords(found.offsets[rows], found.ends[rows], found.ids[rows])
    after = int(offsets[line_stop]) if tail else None
    matcher = _Matcher(keys[start:line_stop], offsets[start:line_stop], between, by_id=by_id, after=after)
    for outside in (keys[:start], keys[line_stop:]) if by_id else ():
        matcher.note_keys_in_place(outside)
    match = matcher.match([row - start for row in doubtful if start <= row < row_stop], is_known=start + tail > 0)
    lines = np.arange(len(found.offsets))
    lines[start:row_stop] = np.where(match.lines == _NONE, _NONE, match.lines + start)
    lines[row_stop:] += line_stop - row_stop
    return Match(lines, match.extra + start, match.odd + start, has_gaps=match.has_gaps, fits=match.fits)


def _in_place(keys: Keys, offsets: Offsets, found: FoundRecords, *, by_id: bool) -> tuple[int, int]:
    """Return how many of the first records, and of the last, are where the index has them, with their size and id.

    In most damaged files few others are left, and matching takes some 200 bytes of memory for each of them.
    """
    count = min(len(offsets), len(found.offsets))

    def is_in_place(lines: slice, rows: slice, following: Offsets) -> Mask:
        good = (offsets[lines] == found.offsets[rows]) & (found.ends[rows][: len(following)] == following)
        return np.asarray(good & (keys[lines] == found.ids[rows])) if by_id else good

    start = 0
    while start < count - 1:
        chunk = slice(start, min(start + _CHUNK, count - 1))
        good = is_in_place(chunk, chunk, offsets[chunk.start + 1 : chunk.stop + 1])
        start += len(good) if good.all() else int(good.argmin())
        if not good.all():
            break
    # Backwards from the end. The index does not know the size of the last record, which is in place if the one before
    # it is.
    tail = 0
    while tail < count - 1 - start:
        size = min(_CHUNK, count - 1 - start - tail)
        lines = slice(len(offsets) - 1 - tail - size, len(offsets) - 1 - tail)
        rows = slice(len(found.offsets) - 1 - tail - size, len(found.offsets) - 1 - tail)
        good = is_in_place(lines, rows, offsets[lines.start + 1 : lines.stop + 1])[::-1]
        tail += len(good) if good.all() else int(good.argmin())
        if not good.all():
            break
    last_is_in_place = tail > 0 and (not by_id or keys[-1] == found.ids[-1])
    return start, tail + 1 if last_is_in_place else 0


def keys_are_ids(keys: Keys, offsets: Offsets, found: FoundRecords) -> bool:
    """True if the keys of the index are the ids of the records, as far as the *found* ones show."""
    if not len(found.offsets):
        return False
    lines = np.minimum(np.searchsorted(offsets, found.offsets), len(offsets) - 1)
    in_place = offsets[lines] == found.offsets
    agreeing = _share(keys[lines[in_place]] == found.ids[in_place])
    if agreeing > 0.5:
        return True
    gaps = np.diff(offsets)
    known = in_place & (lines < len(gaps))
    has_size = gaps[lines[known]] == (found.ends - found.offsets)[known]
    if _share(has_size) > 0.5 and len(gaps) and np.any(gaps != gaps[0]):
        return False  # these records were not moved, and their ids are not the keys
    # Records were moved, or the keys are ordinals and the ids the same numbers in another order.
    is_counted = np.array_equal(keys, np.arange(len(keys), dtype=np.uint64))
    if _share(np.isin(found.ids, keys)) < (0.9 if is_counted else 0.5):
        return False
    return not is_counted or agreeing > 0.1 or _share(np.diff(found.ids) == 1) > 0.5


def _share(mask: npt.NDArray[Any]) -> float:
    return float(np.mean(mask)) if len(mask) else 0.0


def _mostly(fitting: Mask) -> bool:
    """True if at most a tenth of the lines, or one, does not fit, and never two in a row: those have a wrong offset."""
    odd = np.flatnonzero(~fitting)
    return len(odd) <= max(1, len(fitting) // 10) and not bool(np.any(np.diff(odd) == 1))


class _Matcher:
    """Matches all lines and records that it is given; *after* is the offset after the last line, None if unknown."""

    def __init__(self, keys: Keys, offsets: Offsets, found: FoundRecords, *, by_id: bool, after: int | None) -> None:
        self._keys, self._offsets, self._found = keys, offsets, found
        self._lines = np.full(len(found.offsets), _NONE, np.int64)
        self._is_free = np.ones(len(offsets), np.bool_)  # lines without a record
        self._is_copy = np.zeros(len(found.offsets), np.bool_)  # records whose line has another record with their id
        self._sizes = found.ends - found.offsets
        # Bytes from each line to the next; -1 for the last, if they are not known.
        self._gaps = np.append(np.diff(offsets), _NONE if after is None else after - offsets[-1:])
        self._by_id = by_id
        self._is_unique = np.ones(len(offsets), np.bool_)  # lines with a key that no line in place has
        self._is_complete = self._lists_all()

    def match(self, doubtful: Sequence[int], *, is_known: bool) -> Match:
        """Return the match; where a line has several copies, it gets none of the rows *doubtful* if it can.

        *is_known* is True if other records show that the index is that of the file.
        """
        if not len(self._offsets) or not len(self._lines):
            rows = np.arange(len(self._lines))
            return Match(self._lines, rows, _NO_ROWS, has_gaps=False, fits=is_known)
        if self._by_id:
            self._match_ids(np.isin(np.arange(len(self._lines)), np.array(doubtful, np.int64)))
        self._match_distance(0)
        self._match_last(only_next=True)
        for _ in range(_ROUNDS):
            distance = self._next_distance()
            if distance is None or not self._match_distance(distance):
                break
        self._match_last(is_known=is_known)
        return self._result(is_known=is_known)

    def note_keys_in_place(self, keys: Keys) -> None:
        """Note the *keys* of lines whose records are in place: these ids tell nothing about the other lines."""
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            self._is_unique &= ~np.isin(self._keys, chunk)
            self._is_copy |= np.isin(self._found.ids, chunk) & ~np.isin(self._found.ids, self._keys)

    def _lists_all(self) -> bool:
        """True unless the index leaves out records in most places without damage."""
        lines = self._lines_at(0)
        rows = np.flatnonzero(self._offsets[lines] == self._found.offsets)
        if len(rows) < 2:
            return True
        # Pairs of lines that follow each other, whose records are in one chain of records without gaps.
        chains = np.concatenate([[0], np.cumsum(self._found.ends[:-1] != self._found.offsets[1:])])
        pairs = (np.diff(lines[rows]) == 1) & (np.diff(chains[rows]) == 0)
        return bool(2 * np.sum(np.diff(rows)[pairs] == 1) >= np.sum(pairs))

    def _lines_at(self, distance: int) -> Offsets:
        """Return for each record the line that is nearest to *distance* bytes before it, from above."""
        return np.minimum(np.searchsorted(self._offsets, self._found.offsets - distance), len(self._offsets) - 1)

    def _fits(self, sizes: Offsets, lines: Offsets) -> Mask:
        """Return a mask of the records whose *sizes* are those that the index gives for *lines*."""
        gaps = self._gaps[lines]
        return np.asarray((gaps == sizes) | ((gaps > sizes) if not self._is_complete else False))

    def _give(self, rows: Offsets, lines: Offsets) -> None:
        self._lines[rows] = lines
        self._is_free[lines] = False

    def _match_ids(self, is_doubtful: Mask) -> None:
        """Give each line with a key of its own the record of that id: of copies the one at its offset, or the first."""
        keys, first, counts = np.unique(self._keys, return_index=True, return_counts=True)
        at = np.minimum(np.searchsorted(keys, self._found.ids), len(keys) - 1)
        rows = np.flatnonzero((keys[at] == self._found.ids) & (counts[at] == 1) & self._is_unique[first[at]])
        lines = first[at[rows]]
        moved = self._found.offsets[rows] != self._offsets[lines]
        order = np.lexsort((rows, moved, is_doubtful[rows], lines))
        _, chosen = np.unique(lines[order], return_index=True)
        self._give(rows[order[chosen]], lines[order[chosen]])
        self._is_copy[rows] = self._lines[rows] == _NONE

    def _match_distance(self, distance: int) -> int:
        """Give each record without a line the one that is *distance* bytes before it; return how many have got one."""
        lines = self._lines_at(distance)
        fits = (self._lines == _NONE) & ~self._is_copy & self._is_free[lines]
        fits &= (self._offsets[lines] == self._found.offsets - distance) & self._fits(self._sizes, lines)
        if self._by_id:  # a record with another key's id belongs there; an id that is no key may be damaged
            fits &= (self._keys[lines] == self._found.ids) | ((distance == 0) & ~np.isin(self._found.ids, self._keys))
        self._give(np.flatnonzero(fits), lines[fits])
        return int(np.sum(fits))

    def _match_last(self, *, only_next: bool = False, is_known: bool = False) -> None:
        """Give the last line, whose record may have any size, the record that follows the one of the line before it.

        If there is none, and not *only_next*, it is the record at the offset of the last line, or else the last one,
        unless that is at the offset of another line.
        """
        last, count = len(self._offsets) - 1, len(self._lines)
        if not self._is_free[last] or self._gaps[last] != _NONE:
            return
        before = np.flatnonzero(self._lines == last - 1) if last else _NO_ROWS
        after = before[before < count - 1] + 1
        rows = after[self._found.ends[after - 1] == self._found.offsets[after]].tolist()
        if not only_next:
            rows += np.flatnonzero(self._found.offsets == self._offsets[last]).tolist()
            has_own = self._found.offsets[-1] in self._offsets[:last][self._is_free[:last]]
            rows += [count - 1] if not has_own and (is_known or bool(self._lines.max() >= 0)) else []
        for row in rows:
            id_ = self._found.ids[row]
            is_free = self._lines[row] == _NONE and not self._is_copy[row]
            if is_free and (not self._by_id or self._keys[last] == id_ or id_ not in self._keys):
                self._give(np.array([row]), np.array([last]))
                return

    def _next_distance(self) -> int | None:
        """Return by how many bytes some of the records without a line were moved, or None if nothing shows it."""
        rows, lines = np.flatnonzero((self._lines == _NONE) & ~self._is_copy), np.flatnonzero(self._is_free)
        if not len(rows) or not len(lines):
            return None
        for length in range(min(_PATTERN, len(rows), len(lines)), 0, -1):
            for row in rows[:: max(1, len(rows) // _ROUNDS)].tolist():
                there = lines[lines + length <= len(self._gaps)]
                fits = np.full(len(there), row + length <= len(self._lines))
                for number in range(length if row + length <= len(self._lines) else 0):
                    fits &= self._fits(self._sizes[row + number], there + number) & self._is_free[there + number]
                    fits &= self._lines[row + number] == _NONE
                    if self._by_id:
                        fits &= self._keys[there + number] == self._found.ids[row + number]
                if fits.any():
                    return int(self._found.offsets[row] - self._offsets[there[fits][0]])
        return None

    def _result(self, *, is_known: bool) -> Match:
        lines, offsets, ends = self._lines, self._found.offsets, self._found.ends
        without = lines == _NONE
        given, last = lines[~without], len(self._offsets) - 1
        has_size = self._fits(self._sizes[~without], given)
        is_open = (given == last) & (self._gaps[last] == _NONE)
        in_place = offsets[~without] == self._offsets[given]
        order = np.argsort(given)
        is_known = is_known or bool(np.any((has_size & ~is_open) | in_place))
        fits = is_known and _mostly(has_size[order] | is_open[order])
        # Chains are records that follow each other directly. One without a line is left out on purpose if the records
        # around it in its chain have lines, and are at the distance that their lines have.
        distance = np.where(without, 0, offsets - self._offsets[lines])
        rows, end = np.arange(len(lines)), len(lines) - 1
        before = np.maximum.accumulate(np.where(without, _NONE, rows))
        after = np.minimum.accumulate(np.where(without, len(lines), rows)[::-1])[::-1]
        chains = np.concatenate([[0], np.cumsum(ends[:-1] != offsets[1:])])  # equal numbers: the same chain
        has_before = (before >= 0) & (chains[np.maximum(before, 0)] == chains)
        has_after = (after <= end) & (chains[np.minimum(after, end)] == chains)
        left, right = distance[np.maximum(before, 0)], distance[np.minimum(after, end)]
        is_gap = without & has_before & has_after & (left == right) & (not self._is_complete)
        at_end = without & has_before & ~has_after & (left == 0) & (offsets > self._offsets[-1])
        at_start = without & ~has_before & has_after & (right == 0) & (offsets < self._offsets[0])
        left_out = is_gap | at_start | (at_end & (not self._is_complete))
        extra = np.flatnonzero(without & (self._is_copy | ~left_out))
        # Also a record at the offset of a line that has no record, as it has another size.
        at_line = np.isin(offsets, self._offsets[self._is_free]) & without & self._is_complete
        odd = np.union1d(np.flatnonzero(~without)[~has_size & ~is_open], np.flatnonzero(at_line & ~self._is_copy))
        return Match(lines, extra, odd, has_gaps=bool(is_gap.any()), fits=fits)
