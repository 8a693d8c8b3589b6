"""Read a file on a disk that cannot give all of its bytes: zeros are read in the place of the others."""

from __future__ import annotations

import bisect
import errno
import threading

from im2rec.errors import InputError
from im2rec.storage.files import InputFile, PathLike

_SECTOR_BYTES = 4096  # disks and file systems read no less; smaller pieces would give nothing more
# Errors after which other bytes of the file may still be readable: of bad sectors, and of wrong checksums.
_LOST = {
    getattr(errno, name)
    for name in ("EIO", "ENODATA", "EBADMSG", "EUCLEAN", "EREMOTEIO", "EILSEQ")
    if hasattr(errno, name)
}


class SalvagingFile(InputFile):
    """An :class:`~im2rec.storage.files.InputFile` that reads around unreadable places.

    ``read_at()`` gives zeros for a sector that the disk cannot read, and never asks for it again, as each attempt may
    take seconds. ``unreadable`` has the byte ranges of all that were met so far, ascending and apart from each other.
    Raises InputError for every other error.
    """

    def __init__(self, path: PathLike) -> None:
        super().__init__(path)
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._ranges_lock = threading.Lock()

    @property
    def unreadable(self) -> list[tuple[int, int]]:
        """Start and end of each unreadable range, in bytes from the start of the file."""
        with self._ranges_lock:
            return list(zip(self._starts, self._ends, strict=True))

    def unreadable_within(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first unreadable range that has bytes in *start* to *end*, cut to these; None if there is none."""
        if not self._starts:  # nearly always
            return None
        with self._ranges_lock:
            at = bisect.bisect_right(self._ends, start)
            if at == len(self._starts) or self._starts[at] >= end:
                return None
            return max(start, self._starts[at]), min(end, self._ends[at])

    def read_at(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on, fewer only at the end of the file; zeros where it cannot be read."""
        end = min(offset + size, self.size)
        if self.unreadable_within(offset, end):
            return self._read_around(offset, end)
        try:
            return super().read_at(offset, size)
        except InputError as error:
            if not _is_lost(error):
                raise
        return self._read_around(offset, end)

    def _read_around(self, start: int, end: int) -> bytes:
        """Return the bytes *start* to *end*, of which some cannot be read."""
        pieces: list[bytes] = []
        pending = [(start, end)]
        while pending:
            start, end = pending.pop()
            known = self.unreadable_within(start, end)
            if known == (start, end):
                pieces.append(bytes(end - start))
                continue
            if known is not None:
                pending += [piece for piece in ((known[1], end), known, (start, known[0])) if piece[0] < piece[1]]
                continue
            try:
                pieces.append(super().read_at(start, end - start))
            except InputError as error:
                if not _is_lost(error):
                    raise
                middle = _middle(start, end)
                if middle is None:
                    self._add(start - start % _SECTOR_BYTES, min(end + -end % _SECTOR_BYTES, self.size))
                    pieces.append(bytes(end - start))
                else:
                    pending += [(middle, end), (start, middle)]
        return b"".join(pieces)

    def _add(self, start: int, end: int) -> None:
        """Add an unreadable range, joined with those that it touches."""
        with self._ranges_lock:
            first, last = bisect.bisect_left(self._ends, start), bisect.bisect_right(self._starts, end)
            if first < last:
                start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
            self._starts[first:last], self._ends[first:last] = [start], [end]


def _middle(start: int, end: int) -> int | None:
    """Return the border of sectors that is next to the middle of a range; None if it lies in a single sector."""
    middle = (start + end) // 2
    for border in (middle - middle % _SECTOR_BYTES, middle + -middle % _SECTOR_BYTES):
        if start < border < end:
            return border
    return None


def _is_lost(error: InputError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _LOST
