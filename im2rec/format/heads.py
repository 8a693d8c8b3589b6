"""Part heads of RecordIO: the constants of the format, and all heads in a stretch of bytes, found as whole arrays.

By the format an aligned magic is always the start of a part, because writers cut payloads there. So where the chain of
parts is broken, the heads themselves show which records are whole: those with no other head in their data.

Source: dmlc-core include/dmlc/recordio.h.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAGIC = b"\x0a\x23\xd7\xce"
MAGIC_WORD = 0xCED7230A
HEAD_BYTES = 8  # part head: magic and length word
WHOLE, FIRST, MIDDLE, LAST = range(4)
FLAG_SHIFT = 29
LENGTH_MASK = 2**29 - 1

Offsets = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_BEYOND = 2**62  # an offset after all others: the head that follows the last one at hand is not known
_NOTHING = np.empty(0, np.int64)


def aligned_magics(data: bytes, shift: int = 0) -> Offsets:
    """Return the positions in *data* of all magics at a multiple of 4 bytes from *shift* that a length word follows."""
    count = (len(data) - shift) // 4
    if count < 2:
        return _NOTHING
    words = np.frombuffer(data, "<u4", count, shift)
    return np.flatnonzero(words[:-1] == MAGIC_WORD) * 4 + shift


class HeadTable:
    """The valid part heads in *data* at multiples of 4 bytes from *shift*: one row for each, ascending.

    *data* are the bytes from offset *base* of a file of *size* bytes; ``offsets`` (int64) are those in the file. A head
    is valid if its flag is, its part ends within the file, and the length before a cut is a multiple of 4.
    ``is_intact`` is True for parts with no other head in their data, as far as *data* shows.
    """

    def __init__(self, data: bytes, shift: int, base: int, size: int) -> None:
        self._size = size
        at = aligned_magics(data, shift)
        words = np.frombuffer(data, "<u4", max(0, len(data) - shift) // 4, shift)[at // 4 + 1]
        flags, lengths = words >> FLAG_SHIFT, (words & LENGTH_MASK).astype(np.int64)
        ends = at + (base + HEAD_BYTES) + (lengths + 3 & -4)
        valid = (flags <= LAST) & (ends <= size) & ((lengths & 3 == 0) | (flags == WHOLE) | (flags == LAST))
        self.offsets, self.flags, self.ends = at[valid] + base, flags[valid], ends[valid]
        self._is_complete = base + len(data) >= size  # no head follows the last one
        self._following = np.append(self.offsets[1:], size if self._is_complete else _BEYOND)
        self.is_intact = self.ends <= self._following

    def __len__(self) -> int:
        return len(self.offsets)

    def record_starts(self) -> tuple[Offsets, Mask, Mask]:
        """Return the offsets (int64) at which records start whose parts are all there and intact, and two masks.

        The first mask is True where the end of the file, or the start of another record, follows the record; the second
        where *data* does not show all of the record.
        """
        flags, count = self.flags, len(self)
        is_joined = self.ends == self._following
        goes_on = np.append(flags[1:] > FIRST, False)
        is_link = is_joined & goes_on & ((flags == FIRST) | (flags == MIDDLE))
        # For each head, the row of the last part of its record: the first one that does not lead to another.
        breaks = np.flatnonzero(~is_link)
        last = breaks[np.searchsorted(breaks, np.arange(count))]
        is_unsure = (last == count - 1) & (not self._is_complete)
        is_complete = np.where(flags == WHOLE, True, flags[last] == LAST) & self.is_intact[last]
        rows = np.flatnonzero((flags <= FIRST) & (is_complete | (is_unsure & (flags == FIRST))))
        last = last[rows]
        is_followed = is_joined[last] & np.append(flags[1:] <= FIRST, True)[last]
        return self.offsets[rows], is_followed, is_unsure[rows]
