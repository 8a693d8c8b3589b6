"""Match the lines of an index with the records that were found in its ``.rec``, which may be damaged.

The offsets of an index are those of the file before the damage. Where bytes were lost, added or moved, records are at
other offsets now; their ids and sizes show which line each of them belongs to.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.format.indexfile import Keys, Offsets

Mask = npt.NDArray[np.bool_]
_NONE = -1
_PATTERN = 4  # sizes of consecutive records by which lines are recognised
_ROUNDS = 64  # of looking for another distance by which records were moved: there is one for each damage at most


class FoundRecords(NamedTuple):
    """Records that a scan has found, in file order: offset and end in bytes (int64), and image id (uint64) of each."""

    offsets: Offsets
    ends: Offsets
    ids: Keys


class Match(NamedTuple):
    """Result of matching an index with records.

    *lines* (int64) is the line of each record, -1 for one that belongs to none. *extra* are the rows of the records that
    belong to none although the index lists all records around them: copies, or records whose line cannot be told.
    *has_gaps* is True if the index leaves out records between others. *belongs* is False if so few lines have a record
    that the index must be that of another file.
    """

    lines: Offsets
    extra: Offsets
    has_gaps: bool
    belongs: bool


def match_index(keys: Keys, offsets: Offsets, found: FoundRecords) -> Match:
    """Return the line of each of the *found* records in an index with these *keys* and ascending *offsets*."""
    matcher = _Matcher(keys, offsets, found)
    matcher.by_offset()
    if matcher.keys_are_ids():
        matcher.by_id()
    matcher.by_distance()
    return matcher.result()


class _Matcher:
    def __init__(self, keys: Keys, offsets: Offsets, found: FoundRecords) -> None:
        self._keys, self._offsets, self._found = keys, offsets, found
        self._lines = np.full(len(found.offsets), _NONE, np.int64)
        self._is_taken = np.zeros(len(offsets), np.bool_)
        # Bytes from each line to the next; -1 for the last, of which they are not known.
        self._gaps = np.append(np.diff(offsets), _NONE)

    def by_offset(self) -> None:
        """Give each record at the offset of a line that line."""
        self._assign_at(0)

    def _assign_at(self, distance: int) -> int:
        """Give each record without a line the one that is *distance* bytes before it, if free; return how many got one."""
        free = np.flatnonzero(self._lines == _NONE)
        places = self._found.offsets[free] - distance
        lines = np.minimum(np.searchsorted(self._offsets, places), len(self._offsets) - 1)
        fits = (self._offsets[lines] == places) & ~self._is_taken[lines]
        if distance:  # a record that is longer than the place of the line is another one
            gaps, sizes = self._gaps[lines], (self._found.ends - self._found.offsets)[free]
            fits &= (gaps == _NONE) | (sizes <= gaps)
        self._lines[free[fits]] = lines[fits]
        self._is_taken[lines[fits]] = True
        return int(np.sum(fits))

    def keys_are_ids(self) -> bool:
        """True if most keys of the lines that have a record are the id of that record."""
        matched = self._lines != _NONE
        if not matched.any():
            return bool(np.mean(np.isin(self._found.ids, self._keys)) > 0.5) and len(np.unique(self._keys)) > 1
        agree = self._keys[self._lines[matched]] == self._found.ids[matched]
        if np.mean(agree) > 0.5:
            return True
        # Of records of one size, all may be at the offset of a line and none at its own.
        return bool(np.mean(np.isin(self._found.ids, self._keys)) > 0.9) and not np.array_equal(
            self._keys, np.arange(len(self._keys), dtype=np.uint64)
        )

    def by_id(self) -> None:
        """Give each record whose id one line only has as key that line, whatever its offset is."""
        keys, first, counts = np.unique(self._keys, return_index=True, return_counts=True)
        rows = np.minimum(np.searchsorted(keys, self._found.ids), len(keys) - 1)
        has_line = (keys[rows] == self._found.ids) & (counts[rows] == 1)
        lines = np.where(has_line, first[rows], _NONE)
        # Of copies the one at the offset of the line has it, or else the first.
        agrees = has_line & (self._lines == lines)
        undecided = np.flatnonzero(has_line & ~agrees)
        undecided = undecided[~np.isin(lines[undecided], lines[agrees])]
        _, unique = np.unique(lines[undecided], return_index=True)
        chosen = undecided[unique]
        # Whoever is at the offset of such a line, with an id of another one, is not the record of the line.
        displaced = np.flatnonzero((self._lines != _NONE) & ~agrees & has_line)
        self._lines[displaced] = _NONE
        losers = np.flatnonzero(np.isin(self._lines, lines[chosen]))
        self._lines[losers] = _NONE
        self._lines[chosen] = lines[chosen]
        self._is_taken[:] = False
        self._is_taken[self._lines[self._lines != _NONE]] = True

    def by_distance(self) -> None:
        """Give the records that were moved by the same number of bytes their lines."""
        for _ in range(_ROUNDS):
            distance = self._next_distance()
            if distance is None or not self._assign_at(distance):
                return

    def _next_distance(self) -> int | None:
        """Return by how many bytes some of the records without a line were moved, or None if nothing tells."""
        free, lines = np.flatnonzero(self._lines == _NONE), np.flatnonzero(~self._is_taken)
        if not len(free) or not len(lines):
            return None
        sizes = self._found.ends - self._found.offsets
        for length in range(min(_PATTERN, len(free), len(lines)), 0, -1):
            for row in free[:: max(1, len(free) // _ROUNDS)].tolist():
                pattern = sizes[row : row + length]
                if len(pattern) < length or (length > 1 and np.any(self._lines[row : row + length] != _NONE)):
                    continue
                fits = ~self._is_taken[lines]
                for number, size in enumerate(pattern.tolist()):
                    at = np.minimum(lines + number, len(self._gaps) - 1)
                    fits &= (lines + number < len(self._gaps)) & ((self._gaps[at] == size) | (self._gaps[at] == _NONE))
                if fits.any():
                    return int(self._found.offsets[row] - self._offsets[lines[fits][0]])
        return None

    def result(self) -> Match:
        """Return the match."""
        lines, offsets, ends = self._lines, self._found.offsets, self._found.ends
        without = lines == _NONE
        belongs = 2 * int(np.sum(~without)) >= min(len(self._offsets), len(lines))
        if not without.any():
            return Match(lines, np.empty(0, np.int64), has_gaps=False, belongs=belongs)
        # Chains are records that follow each other directly. One without a line is left out on purpose if the records
        # around it in its chain have lines, and are at the distance that their lines have.
        joined = ends[:-1] == offsets[1:]
        distance = np.where(without, 0, offsets - self._offsets[lines])
        rows = np.arange(len(lines))
        before = np.maximum.accumulate(np.where(without, _NONE, rows))
        after = np.minimum.accumulate(np.where(without, len(lines), rows)[::-1])[::-1]
        breaks = np.concatenate([[0], np.cumsum(~joined)])  # equal numbers: the same chain
        last = len(lines) - 1
        has_before = (before >= 0) & (breaks[np.maximum(before, 0)] == breaks)
        has_after = (after <= last) & (breaks[np.minimum(after, last)] == breaks)
        left, right = distance[np.maximum(before, 0)], distance[np.minimum(after, last)]
        is_gap = without & has_before & has_after & (left == right)
        at_start = without & ~has_before & has_after & (right == 0) & (offsets < self._offsets[0])
        at_end = without & has_before & ~has_after & (left == 0) & (offsets > self._offsets[-1])
        extra = np.flatnonzero(without & ~is_gap & ~at_start & ~at_end)
        return Match(lines, extra, has_gaps=bool(is_gap.any()), belongs=belongs)
