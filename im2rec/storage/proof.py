"""Proofs that a record in front of damage is whole, or that it is not."""

from __future__ import annotations

import operator

import numpy as np

from im2rec.format.heads import FLAG_SHIFT, HEAD_BYTES, LAST, LENGTH_MASK, MAGIC, MIDDLE, Offsets
from im2rec.format.irheader import HEADER_BYTES, parse_header
from im2rec.format.recordio import Source, measure, read_start
from im2rec.images.endings import ENDING_BYTES, FRONT_BYTES, has_its_end


class Proofs:
    """Proofs about records of *source*; *listed* are the ascending offsets of an index of it, if there is one.

    The index may be that of the file before the damage.
    """

    def __init__(self, source: Source, listed: Offsets | None) -> None:
        self._source, self._listed = source, listed

    def is_whole(self, start: int, end: int, before: int | None, resume: int) -> bool | None:
        """Return True if the record from *start* to *end* is proved to be whole, False if the contrary is; else None.

        After it there is damage, and the next record starts at *resume*; the one directly before it, if there is one,
        starts at *before*. That an index has another record at *end* proves the length word alone, and not that no byte
        was lost or added before it.
        """
        if self._leads_to_record(end, resume) or self._has_its_end(start, end):
            return True
        # An index knows where the record ended if the records on both sides are where it has them.
        in_place = before is not None and self._is_listed(before) and self._following(before) == start
        is_known = in_place and self._is_listed(resume)
        return False if is_known and self._following(start) != end else None

    def has_header(self, offset: int, size: int) -> bool:
        """True if the payload of *size* bytes of the record at *offset* starts with what may be an image header."""
        start = read_start(self._source, offset, HEADER_BYTES)
        if len(start) < HEADER_BYTES:
            return False
        header = parse_header(start)
        return header.content_start <= size and header.id2 == 0

    def _leads_to_record(self, offset: int, resume: int) -> bool:
        """True if *offset* has a head with a damaged magic or flag: its length leads to another record, at *resume*.

        At least half of the magic must be intact, since bytes that were added may stand before any length word.
        """
        head = self._source.read_at(offset, HEAD_BYTES)
        if len(head) < HEAD_BYTES or sum(map(operator.eq, head, MAGIC)) < len(MAGIC) // 2:
            return False
        word = int.from_bytes(head[4:], "little")
        end = offset + HEAD_BYTES + ((word & LENGTH_MASK) + 3 & -4)
        may_start = word >> FLAG_SHIFT not in (MIDDLE, LAST)
        return may_start and end < self._source.size and (end == resume or self._is_listed(end))

    def _has_its_end(self, offset: int, end: int) -> bool:
        """True if the content of the record from *offset* to *end* is an image that ends as its kind does."""
        if end - offset < HEAD_BYTES + HEADER_BYTES + FRONT_BYTES:
            return False
        size = measure(self._source, offset).size
        if size < HEADER_BYTES + FRONT_BYTES:
            return False
        start = parse_header(read_start(self._source, offset, HEADER_BYTES)).content_start
        if size - start < FRONT_BYTES:
            return False
        front = read_start(self._source, offset, start + FRONT_BYTES)[start:]
        return has_its_end(front, self._source.read_at(end - (-size & 3) - ENDING_BYTES, ENDING_BYTES))

    def _is_listed(self, offset: int) -> bool:
        row = 0 if self._listed is None else int(np.searchsorted(self._listed, offset))
        return self._listed is not None and row < len(self._listed) and bool(self._listed[row] == offset)

    def _following(self, offset: int) -> int | None:
        """Return the offset that the index has after *offset*; None after the last one, and without an index."""
        if self._listed is None:
            return None
        row = int(np.searchsorted(self._listed, offset, side="right"))
        return int(self._listed[row]) if row < len(self._listed) else None
