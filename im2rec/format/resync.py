"""Find the records that follow damage, and those that the data of another record contains.

Source: ours; MXNet cannot resume after damage.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import numpy as np

from im2rec.errors import CorruptRecordError
from im2rec.format.heads import FIRST, HEAD_BYTES, MAGIC, HeadTable, aligned_magics, image_record_heads
from im2rec.format.recordio import Extent, Source, measure

# Windows are read with these sizes, each twice the one before: the next record is near in most files.
_FIRST_WINDOW_BYTES, _MAX_WINDOW_BYTES = 1 << 14, 1 << 20
_GRIDS = 4  # a record may start at any byte, and its parts are then at multiples of 4 bytes from it


def starts_record(source: Source, offset: int) -> bool:
    """True if *offset* has the head of a whole record or of a first part, even if its length is damaged."""
    head = source.read_at(offset, HEAD_BYTES)
    return len(head) == HEAD_BYTES and head.startswith(MAGIC) and head[7] >> 5 <= FIRST


def follows_record(source: Source, end: int) -> bool:
    """True if the end of the file, or the head of another record, is at *end*."""
    return end == source.size or starts_record(source, end)


class RecordFinder:
    """Finds records anywhere in *source*, in any order of ranges; bytes are read once where the ranges ascend.

    A record is *on the grid* if it starts at a multiple of 4 bytes from another one. There, a head whose parts are all
    present and contain no other head is a record, as writers leave no magic in their data. Off the grid, data may
    contain the bytes of a record by chance: there it must have several parts, or the head of another record or the end
    of the file must follow it. None of that is needed at multiples of 4 bytes from the start of the file, where records
    stay when only those around them are moved.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.magics = Magics(source)
        # The records that start from _base on and before _end, in the window that was read last.
        self._base = self._end = 0
        self._window_bytes = _FIRST_WINDOW_BYTES
        self._offsets: list[int] = []
        self._is_followed: list[bool] = []
        self._is_unsure: list[bool] = []

    def first(self, begin: int, stop: int, grid: int) -> int | None:
        """Return the first offset from *begin* on and before *stop* at which a record starts, or None.

        *grid* is the offset of a record, or of any other place on the grid.
        """
        return next(self._starts(begin, stop, grid, off_grid=None), None)

    def first_on_grid(self, begin: int, stop: int, grid: int) -> int | None:
        """Return what :meth:`first` returns if records off the grid are left out."""
        return next(self._starts(begin, stop, grid, off_grid=False), None)

    def first_crossing(self, begin: int, stop: int, grid: int) -> int | None:
        """Return the first offset between *begin* and *stop* from which records off the grid lead beyond *stop*."""
        for start in self._starts(begin, stop, grid, off_grid=True):
            if start >= begin:
                for _, extent in self._chain(start, stop):
                    begin = extent.end
                if begin > stop:
                    return start
        return None

    def inside(self, begin: int, stop: int, grid: int) -> Iterator[tuple[int, Extent]]:
        """Yield offset and extent of the records off the grid between *begin* and *stop*.

        The last one of a chain, which no other follows, may have a damaged length, and so contain others too.
        """
        for start in self._starts(begin, stop, grid, off_grid=True):
            if start >= begin:
                for offset, extent in self._chain(start, stop):
                    begin = extent.end if follows_record(self._source, extent.end) else offset + HEAD_BYTES
                    if extent.end <= stop:
                        yield offset, extent

    def _chain(self, start: int, stop: int) -> Iterator[tuple[int, Extent]]:
        """Yield offset and extent of the record at *start*, and of those that follow it directly before *stop*."""
        while start < stop:
            try:
                extent = measure(self._source, start)
            except CorruptRecordError:
                return
            yield start, extent
            start = extent.end

    def first_other_head(self, offset: int, extent: Extent) -> int | None:
        """Return the offset of a part head in the data of the record at *offset*, or None.

        In files of a program that cuts no payloads a magic may be anywhere in the data of a single part. There it must
        be the head of a part that is there up to its end, or of an image record.
        """
        if extent.parts > 1:
            return None if self.magics.count(offset, extent.end) == extent.parts else offset
        begin = offset + HEAD_BYTES
        while (magic := self.magics.first(begin, extent.end)) is not None:
            window = self._source.read_at(magic, min(extent.end - magic, _MAX_WINDOW_BYTES))
            table = HeadTable(window, 0, magic, extent.end)
            heads = [*table.offsets[table.is_intact][:1], *(image_record_heads(window)[:1] + magic)]
            if heads:
                return int(min(heads))
            begin = magic + max(4, len(window) - HEAD_BYTES & -4)
        return None

    def has_other_heads(self, offset: int, stop: int, parts: int) -> bool:
        """True if there are more magics between *offset* and *stop*, on the grid of *offset*, than *parts*."""
        return self.magics.count(offset, stop) > parts

    def _starts(self, begin: int, stop: int, grid: int, *, off_grid: bool | None) -> Iterator[int]:
        """Yield the offsets from *begin* on and before *stop* at which records start.

        *off_grid* chooses those off the grid (True), those on it (False), or both (None).
        """
        while begin < stop:
            if not self._base <= begin < self._end and not self._read_window(begin):
                return
            for row in range(bisect_left(self._offsets, begin), len(self._offsets)):
                offset = self._offsets[row]
                if offset >= stop:
                    return
                is_off = (offset - grid) % _GRIDS != 0
                needs_follower = is_off and offset % _GRIDS != 0
                if off_grid in (None, is_off) and self._is_record(row, needs_follower=needs_follower):
                    yield offset
            begin = self._end

    def _is_record(self, row: int, *, needs_follower: bool) -> bool:
        """True if a record starts at *row* of the window and, if *needs_follower*, another part head follows it."""
        if not self._is_unsure[row]:
            return self._is_followed[row] or not needs_follower
        try:
            extent = measure(self._source, self._offsets[row])
        except CorruptRecordError:
            return False
        return not needs_follower or extent.parts > 1 or follows_record(self._source, extent.end)

    def _read_window(self, begin: int) -> bool:
        """Read the window from *begin* on and find the records that start in it; False at the end of the file."""
        self._window_bytes = (
            min(2 * self._window_bytes, _MAX_WINDOW_BYTES) if begin == self._end else _FIRST_WINDOW_BYTES
        )
        window = self._source.read_at(begin, self._window_bytes)
        if len(window) < HEAD_BYTES:
            return False
        self._base, self._end = begin, begin + len(window) - HEAD_BYTES + 1
        tables = [HeadTable(window, shift, begin, self._source.size).record_starts() for shift in range(_GRIDS)]
        offsets, followed, unsure = (np.concatenate(columns) for columns in zip(*tables, strict=True))
        order = np.argsort(offsets, kind="stable")
        self._offsets, self._is_followed = offsets[order].tolist(), followed[order].tolist()
        self._is_unsure = unsure[order].tolist()
        return True


class Magics:
    """The magics on one grid of a source, found in large windows: nearly all bytes of a file pass here."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._base = self._end = 0  # those from _base on and before _end are known
        self._window_bytes = _FIRST_WINDOW_BYTES
        self._offsets = np.empty(0, np.int64)
        self._listed: list[int] = []

    def first(self, begin: int, stop: int) -> int | None:
        """Return the first offset from *begin* on and before *stop* of a magic on the grid of *begin*, or None."""
        while begin + HEAD_BYTES <= stop and self._read(begin):
            row = int(np.searchsorted(self._offsets, begin))
            if row < len(self._offsets):
                found = int(self._offsets[row])
                return found if found < stop else None
            begin = self._end
        return None

    def is_between(self, offset: int, stop: int) -> bool:
        """True if there is a magic after *offset* and before *stop* on the grid of *offset*."""
        if self._base <= offset < self._end and (offset - self._base) % _GRIDS == 0:
            # Nearly every record of a file is looked at here: a list is faster than an array.
            row = bisect_right(self._listed, offset)
            if row < len(self._listed):
                return self._listed[row] < stop
            if stop <= self._end:
                return False
        return self.first(offset + 4, stop) is not None

    def count(self, begin: int, stop: int) -> int:
        """Return the number of magics from *begin* on and before *stop* on the grid of *begin*."""
        count = 0
        while begin + HEAD_BYTES <= stop and self._read(begin):
            first, last = np.searchsorted(self._offsets, (begin, stop))
            count += int(last) - int(first)
            begin = self._end
        return count

    def _read(self, begin: int) -> bool:
        """Make sure that the magics from *begin* on are known; False at the end of the file."""
        if self._base <= begin < self._end and (begin - self._base) % _GRIDS == 0:
            return True
        self._window_bytes = (
            min(2 * self._window_bytes, _MAX_WINDOW_BYTES) if begin == self._end else _FIRST_WINDOW_BYTES
        )
        window = self._source.read_at(begin, self._window_bytes)
        if len(window) < HEAD_BYTES:
            return False
        self._offsets = aligned_magics(window) + begin
        self._listed = self._offsets.tolist()
        self._base, self._end = begin, begin + (len(window) - 4 & -4)
        return True
