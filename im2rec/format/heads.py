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
_BEYOND = 2**62  # an offset after all others, for the head after the last one in *data*, which is not known
_NOTHING = np.empty(0, np.int64)
# The image header after a part head: its size in bytes, the word of the record at which its id2 starts, and the largest
# number of labels that is taken for likely.
_HEADER_BYTES, _ID2_WORD, _MAX_LABELS = 24, 6, 1 << 20


def aligned_magics(data: bytes, shift: int = 0) -> Offsets:
    """Return the positions in *data* of all magics at a multiple of 4 bytes from *shift* that a length word follows."""
    count = (len(data) - shift) // 4
    if count < 2:
        return _NOTHING
    words = np.frombuffer(data, "<u4", count, shift)
    return np.flatnonzero(words[:-1] == MAGIC_WORD) * 4 + shift


def image_record_heads(data: bytes) -> Offsets:
    """Return the positions in *data*, at multiples of 4 bytes, of heads of image records, by the zeros in their header.

    Their length words may be damaged. Eight zero bytes where ``id2`` is after a magic are no coincidence.
    """
    at = aligned_magics(data)
    words = np.frombuffer(data, "<u4", len(data) // 4)
    rows = at[at + (HEAD_BYTES + _HEADER_BYTES) <= 4 * len(words)] // 4
    is_start = words[rows + 1] >> FLAG_SHIFT <= FIRST
    has_zeros = (words[rows + _ID2_WORD] == 0) & (words[rows + _ID2_WORD + 1] == 0)
    return np.asarray(rows[is_start & has_zeros & (words[rows + 2] <= _MAX_LABELS)] * 4)


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
        # A head with a wrong length still shows that a record started there.
        self._all_starts = at[flags <= FIRST] + base
        valid = (flags <= LAST) & (ends <= size) & ((lengths & 3 == 0) | (flags == WHOLE) | (flags == LAST))
        self.offsets, self.flags, self.ends = at[valid] + base, flags[valid], ends[valid]
        self._is_complete = base + len(data) >= size  # no head follows the last one
        self._following = np.append(self.offsets[1:], _BEYOND)
        self.is_intact = self.ends <= self._following

    def __len__(self) -> int:
        return len(self.offsets)

    def middle_parts(self) -> tuple[int, int, int]:
        """Return how many middle parts follow each other from the first row on, their bytes of data, and their end.

        None of them is the last part that *data* shows. The end is the offset of the next part.
        """
        is_middle = (self.flags == MIDDLE) & (self.ends == self._following)
        count = len(self) if is_middle.all() else int(is_middle.argmin())
        count = min(count, len(self) - 1)
        if count <= 0:
            return 0, 0, int(self.offsets[0])
        end = int(self.ends[count - 1])
        return count, end - int(self.offsets[0]) - HEAD_BYTES * count, end

    def record_starts(self) -> tuple[Offsets, Mask, Mask]:
        """Return the offsets (int64) at which records start whose parts are all there and intact, and two masks.

        The first mask is True where the head of another part confirms that of the record, or the end of the file does;
        the second where *data* does not show all of the record.
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
        ends = self.ends[last[rows]]
        is_followed = (ends == self._size) | np.isin(ends, self._all_starts) | (last[rows] > rows)
        return self.offsets[rows], is_followed, is_unsure[rows]
