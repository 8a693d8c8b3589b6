"""Find images that are there twice: a hash of the content of every record, and a table of those hashes."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from im2rec.format.heads import FLAG_SHIFT, HEAD_BYTES, LENGTH_MASK, MAGIC_WORD, WHOLE
from im2rec.format.indexfile import Offsets
from im2rec.format.irheader import HEADER_BYTES
from im2rec.hashing import Words, mix64_array
from im2rec.rewriting.copying import read_frames
from im2rec.storage.reader import RecordFile

Mask = npt.NDArray[np.bool_]
_TAG_SHIFT = np.uint64(48)
_FLAG_WORD = HEAD_BYTES // 4  # of a frame


def hash_contents(rec: RecordFile, ordinals: Offsets) -> Words:
    """Return a hash (uint64) of the content of each record of *rec* at *ordinals* (int64, in any order).

    It is made of the size and the CRC-32 of the content, so different contents may have the same one. Labels and ids do
    not count. All frames are read at once, so give a few megabytes. Raises CorruptRecordError, InputError.
    """
    starts, sizes = rec.offsets[ordinals], rec.frame_sizes(ordinals)
    data = memoryview(read_frames(rec, starts, starts + sizes))
    sums, lengths = np.zeros(len(ordinals), np.uint64), np.zeros(len(ordinals), np.uint64)
    for row, found in enumerate(_contents(data, np.cumsum(sizes) - sizes, sizes)):
        content = rec[int(ordinals[row])].content if found is None else found
        sums[row], lengths[row] = zlib.crc32(content), len(content)
    return mix64_array(lengths << np.uint64(32) | sums)


def _contents(data: memoryview, starts: Offsets, sizes: Offsets) -> list[memoryview | None]:
    """Return the contents of the frames that begin at *starts* in *data* and have *sizes* bytes.

    None for a frame that is not that of a record of a single part with all its labels.
    """
    words = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
    is_plain = (starts % 4 == 0) & (starts + HEAD_BYTES + HEADER_BYTES <= 4 * len(words))
    if not is_plain.any():
        return [None] * len(starts)
    at = np.where(is_plain, starts, starts[is_plain.argmax()]) // 4
    lengths, flags = (words[at + 1] & LENGTH_MASK).astype(np.int64), words[at + _FLAG_WORD].astype(np.int64)
    begins, ends = starts + HEAD_BYTES + HEADER_BYTES + 4 * flags, starts + HEAD_BYTES + lengths
    is_plain &= (words[at] == MAGIC_WORD) & (words[at + 1] >> FLAG_SHIFT == WHOLE)
    is_plain &= (begins <= ends) & (ends <= starts + sizes) & (ends <= len(data))
    return [
        data[begin:end] if plain else None
        for begin, end, plain in zip(begins.tolist(), ends.tolist(), is_plain.tolist(), strict=True)
    ]


class SameContents:
    """Finds contents that repeat an earlier one among at most *records*, in 8 bytes of memory a record.

    The hashes are given in batches of consecutive rows. Of each, 16 bits are kept for its row, and the place of the row
    in a table of one and a half times as many places (open addressing), which says about as many bits again. Rows that
    seem to be equal are compared by *equal*, which is called with two arrays of rows (int64) and returns which are.
    """

    def __init__(self, records: int, equal: Callable[[Offsets, Offsets], Mask]) -> None:
        self._equal = equal
        # Places hold the row + 1; 0 is an empty one.
        self._places = np.zeros(max(8, records + records // 2), np.uint32 if records < 2**32 - 1 else np.uint64)
        self._tags = np.zeros(records, np.uint16)

    def add(self, first_row: int, hashes: Words) -> Offsets:
        """Add rows from *first_row* on; return for each the row (int64) of the first equal one, -1 for a new one."""
        count = len(hashes)
        tags = (hashes >> _TAG_SHIFT).astype(np.uint16)
        self._tags[first_row : first_row + count] = tags
        slots = (hashes % np.uint64(len(self._places))).astype(np.int64)
        earlier, pending = np.full(count, -1), np.arange(count)
        while len(pending):
            pending = pending[~self._claim(first_row, pending, slots)]
            # Those left are at a place that is taken: by an equal content, or by another one.
            found = self._places[slots[pending]].astype(np.int64) - 1
            is_same = self._tags[found] == tags[pending]
            if is_same.any():
                is_same[is_same] = self._equal(first_row + pending[is_same], found[is_same])
                earlier[pending[is_same]] = found[is_same]
                pending = pending[~is_same]
            slots[pending] = (slots[pending] + 1) % len(self._places)
        return earlier

    def _claim(self, first_row: int, pending: Offsets, slots: Offsets) -> Mask:
        """Give empty places to rows of *pending*, each to the first that asks for it; return which have got one."""
        has_place = np.zeros(len(pending), np.bool_)
        asking = np.flatnonzero(self._places[slots[pending]] == 0)
        if len(asking):
            wanted, first = np.unique(slots[pending[asking]], return_index=True)
            winners = asking[first]
            self._places[wanted] = first_row + pending[winners] + 1
            has_place[winners] = True
        return has_place
