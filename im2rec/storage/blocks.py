"""Blocks of records that a scan has found, and the damaged ranges between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError
from im2rec.format.heads import HEAD_BYTES, Offsets
from im2rec.format.irheader import HEADER_FIELDS
from im2rec.format.recordio import Extent, Source, read_start
from im2rec.format.resync import follows_record

FRONT_BYTES = 64  # bytes of a record in a block: part head 8, image header 24, and the start of labels or content
UNPROVED = "nothing proves that the record is whole"
ZEROS = (b"", b"\0", b"\0\0", b"\0\0\0")  # padding of 0 to 3 bytes


class RecordBlock(NamedTuple):
    """Consecutive records: their offsets and payload sizes in bytes, and the first bytes of each.

    *fronts* is uint8 (records, ``FRONT_BYTES``), the first bytes of each record on disk. In a row for a short record
    they are followed by bytes of the next one, at the end of the file by zeros. A record of several parts has its
    payload joined after the first part head, followed by zeros. *split* maps the row of each such record to its number
    of parts. *doubtful* are the rows of records that nothing proves to be whole.
    """

    offsets: list[int]
    sizes: list[int]
    fronts: npt.NDArray[np.uint8]
    split: dict[int, int]
    doubtful: set[int]

    @property
    def headers(self) -> npt.NDArray[np.void]:
        """The image header of each record, with dtype ``HEADER_FIELDS``; meaningless for payloads below 24 bytes."""
        fields = self.fronts[:, HEAD_BYTES : HEAD_BYTES + HEADER_FIELDS.itemsize]
        return np.ascontiguousarray(fields).view(HEADER_FIELDS)[:, 0]

    @property
    def ends(self) -> Offsets:
        """The offset (int64) at which each record ends."""
        ends = np.array(self.offsets, np.int64) + HEAD_BYTES + (np.array(self.sizes, np.int64) + 3 & -4)
        for row, parts in self.split.items():
            ends[row] += 4 * (parts - 1)  # each further head has 8 bytes, 4 of which are the magic that was cut out
        return ends

    def without_doubtful(self) -> Iterator[RecordBlock | Damage]:
        """Yield the records that are not doubtful, and a damage in the place of each one that is."""
        first, ends = 0, self.ends
        for row in sorted(self.doubtful):
            yield from self._rows(first, row)
            error = CorruptRecordError(UNPROVED, offset=self.offsets[row])
            yield Damage(self.offsets[row], int(ends[row]), error)
            first = row + 1
        yield from self._rows(first, len(self.offsets))

    def _rows(self, start: int, stop: int) -> Iterator[RecordBlock]:
        if start < stop:
            split = {row - start: parts for row, parts in self.split.items() if start <= row < stop}
            yield RecordBlock(self.offsets[start:stop], self.sizes[start:stop], self.fronts[start:stop], split, set())


class Damage(NamedTuple):
    """A byte range of a file, *start* to *end*, without a whole record; *error* describes the damage."""

    start: int
    end: int
    error: CorruptRecordError


class BlockBuilder:
    """Collects the records of one block. ``last`` is the row of the last record that lies in no other record."""

    def __init__(self) -> None:
        self.end = self.last = 0  # offset after the last record, and its row
        self._clear()

    def _clear(self) -> None:
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        self.fronts: list[bytes] = []
        self.split: dict[int, int] = {}
        self.doubtful: set[int] = set()
        self._followed: set[int] = set()  # rows of records in the data of the last one that another head follows

    def add(self, offset: int, size: int, front: bytes) -> None:
        """Add a record of *size* payload bytes; *front* are its first ``FRONT_BYTES`` bytes, or all up to the end."""
        self.last = len(self.offsets)
        self._followed = set()
        self.offsets.append(offset)
        self.sizes.append(size)
        self.fronts.append(front)

    def add_split(self, source: Source, offset: int, extent: Extent) -> None:
        """Add the record at *offset*, which may have several parts."""
        front = source.read_at(offset, HEAD_BYTES) + read_start(source, offset, FRONT_BYTES - HEAD_BYTES)
        if extent.parts > 1:
            self.split[len(self.offsets)] = extent.parts
        self.add(offset, extent.size, front)

    def add_inner(self, source: Source, offset: int, extent: Extent) -> None:
        """Add a record in the data of the last one: both are doubtful. One with wrong padding is left out."""
        padding = -extent.size & 3
        if source.read_at(extent.end - padding, padding) != ZEROS[padding]:
            return
        outer, row, followed = self.last, len(self.offsets), self._followed
        self.add_split(source, offset, extent)
        self.last, self._followed = outer, followed
        self.doubtful |= {outer, row}
        if follows_record(source, extent.end):
            followed.add(row)

    def doubt_last(self) -> None:
        """Mark the last record as doubtful, and no longer those in it that the head of another record follows."""
        self.doubtful.add(self.last)
        self.doubtful -= self._followed

    def drop_last(self) -> tuple[int, int]:
        """Remove the last record, and those in it; return its offset and its payload size."""
        row = self.last
        dropped = self.offsets[row], self.sizes[row]
        for column in (self.offsets, self.sizes, self.fronts):
            del column[row:]
        self.split = {key: parts for key, parts in self.split.items() if key < row}
        self.doubtful = {key for key in self.doubtful if key < row}
        return dropped

    def take(self, *, keep_last: bool = False) -> RecordBlock | None:
        """Return the collected records and forget them, all but the last one if *keep_last*; None if there are none."""
        count = self.last if keep_last else len(self.offsets)
        if not count:
            return None
        rest = self.offsets[count:], self.sizes[count:], self.fronts[count:]
        split = {row - count: parts for row, parts in self.split.items() if row >= count}
        doubtful, followed = ({row - count for row in rows if row >= count} for rows in (self.doubtful, self._followed))
        fronts = self.fronts[:count]
        joined = b"".join(fronts)
        if len(joined) != FRONT_BYTES * count:  # some front is shorter: at the end of the file, or split
            joined = b"".join(front.ljust(FRONT_BYTES, b"\0") for front in fronts)
        block = RecordBlock(
            self.offsets[:count],
            self.sizes[:count],
            np.frombuffer(joined, np.uint8).reshape(-1, FRONT_BYTES),
            {row: parts for row, parts in self.split.items() if row < count},
            {row for row in self.doubtful if row < count},
        )
        self._clear()
        self.offsets, self.sizes, self.fronts = rest
        self.split, self.doubtful, self._followed, self.last = split, doubtful, followed, 0
        return block
