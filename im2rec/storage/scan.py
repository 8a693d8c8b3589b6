"""Scan a ``.rec``: find every whole record by its part heads, damaged files included, and the damaged ranges between.

Runs of small records are read in large windows. Of a large record only its first bytes are read, so that a scan of
large images reads little of the file. A *thorough* scan reads every byte, since only the data of a record shows that it
contains other records: that its length word is damaged, or that bytes of the file were moved.

Source: ours; MXNet stops at the first damage.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
import struct
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError
from im2rec.format.heads import FLAG_SHIFT, HEAD_BYTES, LAST, LENGTH_MASK, MAGIC, MAGIC_WORD, MIDDLE, Offsets
from im2rec.format.irheader import HEADER_BYTES, HEADER_FIELDS, parse_header
from im2rec.format.recordio import Extent, Source, iter_parts, measure, read_start
from im2rec.format.resync import RecordFinder, follows_record, starts_record
from im2rec.images.endings import ENDING_BYTES, has_its_end
from im2rec.images.endings import FRONT_BYTES as IMAGE_FRONT_BYTES

FRONT_BYTES = 64  # bytes of a record in a block: part head 8, image header 24, and the start of labels or content
_WINDOW_BYTES = 1 << 18
_DENSE_BYTES = 4096  # after a payload of at most this size a window is read, after a larger one only a front
_BLOCK_RECORDS = 8192
_MAX_INSIDE = 100_000  # records in the data of one other, which bounds the memory for data made to contain many
_BLOCK_BYTES = 64 << 20  # of the file, so that what copies the records meanwhile need not wait for long
_ZEROS = (b"", b"\0", b"\0\0", b"\0\0\0")
_unpack_head = struct.Struct("<II").unpack_from


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
            error = CorruptRecordError("nothing proves that the record is whole", offset=self.offsets[row])
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


def scan_damaged(
    source: Source, *, listed: Offsets | None = None, thorough: bool = False, drop_doubtful: bool = False
) -> Iterator[RecordBlock | Damage]:
    """Yield, in file order, all whole records in blocks and a Damage for each byte range between them.

    A record is whole if its parts are complete, its padding is zero, and something proves that it ends where its length
    word says: the head of the next record, the end of the file, an index, or the end of its image. One without proof
    ends at damage; it is *doubtful*, and left out if *drop_doubtful* is true. *listed* are the ascending offsets of an
    index, which may belong to the file as it was before the damage.

    A *thorough* scan reads every byte, and so finds records in the data of others. If the file shows other damage too,
    these may be at any byte offset, and nothing tells whether the outer record or those in it are the true ones: all
    are doubtful then. So records may lie in one another; offsets ascend all the same.
    """
    search_data = thorough and any(isinstance(item, Damage) for item in scan_damaged(source, listed=listed))
    items = _Scanner(source, listed, thorough=thorough, search_data=search_data).items()
    return _without_doubtful(items) if drop_doubtful else items


def _without_doubtful(items: Iterator[RecordBlock | Damage]) -> Iterator[RecordBlock | Damage]:
    """Yield *items* with damage in the place of doubtful records; two ranges that touch are one."""
    damage: Damage | None = None
    ordinal = 0
    for item in items:
        for piece in [item] if isinstance(item, Damage) else item.without_doubtful():
            if isinstance(piece, Damage):
                piece.error.record = ordinal
                if damage is not None and piece.start <= damage.end:
                    damage = damage._replace(end=max(damage.end, piece.end))
                    continue
            if damage is not None:
                yield damage
            damage = None
            if isinstance(piece, Damage):
                damage = piece
            else:
                ordinal += len(piece.offsets)
                yield piece
    if damage is not None:
        yield damage


class _Trouble(NamedTuple):
    """Damage that a scan has met: where it begins, the error that describes it, and where the next record starts."""

    start: int
    error: CorruptRecordError
    resume: int


class _Scanner:
    def __init__(self, source: Source, listed: Offsets | None, *, thorough: bool, search_data: bool) -> None:
        self._source, self._size, self._listed = source, source.size, listed
        self._thorough, self._search_data = thorough, search_data
        self._finder, self._builder = RecordFinder(source), _BlockBuilder()
        self._records = 0  # in the blocks that were yielded
        self._window, self._base = b"", 0
        self._suspect: int | None = None  # offset of a record that may be the damaged part of the one before it

    def items(self) -> Iterator[RecordBlock | Damage]:
        """Yield blocks and damage."""
        start = 0
        damage: Damage | None = None
        while True:
            run = self._run(start)
            trouble: _Trouble | None = None
            while True:  # a for loop would lose the value that _run() returns
                try:
                    block = next(run)
                except StopIteration as stop:
                    trouble = stop.value
                    break
                if damage is not None:
                    yield damage
                    damage = None
                yield self._counted(block)
            last = self._builder.take()
            if damage is not None and (last is not None or trouble is None or trouble.start > damage.end):
                yield damage
                damage = None
            if last is not None:
                yield self._counted(last)
            if trouble is None:
                return
            trouble.error.record = self._records
            if damage is None:
                damage = Damage(trouble.start, trouble.resume, trouble.error)
            else:  # two ranges that touch are one
                damage = damage._replace(end=trouble.resume)
            start = trouble.resume

    def _counted(self, block: RecordBlock) -> RecordBlock:
        self._records += len(block.offsets)
        return block

    def _run(self, start: int) -> Generator[RecordBlock, None, _Trouble | None]:
        """Yield blocks of the records from offset *start* on, up to the first trouble, which is returned.

        The last records stay in the builder. Returns None at the end of the file.
        """
        size, builder, thorough = self._size, self._builder, self._thorough
        offset, padding, window_bytes = start, 0, _WINDOW_BYTES
        limit = start + _BLOCK_BYTES
        while offset < size:
            at = offset - self._base
            if at < 0 or at + FRONT_BYTES > len(self._window):
                at = self._read_window(offset, window_bytes)
            if padding and self._window[at - padding : at] != _ZEROS[padding]:
                return self._bad_padding(offset, padding)
            front = self._window[at : at + FRONT_BYTES]
            magic, word = _unpack_head(front) if len(front) >= HEAD_BYTES else (0, 0)
            end = offset + HEAD_BYTES + (word + 3 & -4)
            # Inline, as nearly all records are a single whole part: measure() would take several times as long.
            if magic == MAGIC_WORD and word >> FLAG_SHIFT == 0 and end <= size:
                trouble = self._examine(offset, Extent(end, word, 1)) if thorough else None
                if offset > limit or len(builder.offsets) > _BLOCK_RECORDS:
                    limit = offset + _BLOCK_BYTES
                    if (block := builder.take(keep_last=True)) is not None:
                        yield block
                if trouble is None:
                    builder.add(offset, word, front)
                padding, window_bytes = -word & 3, _WINDOW_BYTES if word <= _DENSE_BYTES else FRONT_BYTES
            else:
                trouble, extent = self._add_split(offset)
                padding, end = -extent.size & 3, extent.end
            if trouble is None:
                builder.end = end
                if self._search_data or offset == self._suspect:
                    self._doubt(offset, end)
            if trouble is not None:
                return trouble
            offset = end
        is_good = not padding or self._source.read_at(size - padding, padding) == _ZEROS[padding]
        return None if is_good else self._bad_padding(size, padding)

    def _read_window(self, offset: int, size: int) -> int:
        """Read *size* bytes from *offset* on, and the padding before it, unless they are read; return its place."""
        if not self._base <= offset < self._base + len(self._window) or self._base + len(self._window) < self._size:
            self._base = max(0, offset - 4)
            self._window = self._source.read_at(self._base, size + 4)
        return offset - self._base

    def _add_split(self, offset: int) -> tuple[_Trouble | None, Extent]:
        """Add the record at *offset*, which may have several parts; return its trouble, if any, and its extent."""
        try:
            extent = measure(self._source, offset)
        except CorruptRecordError as error:
            return self._resolve(offset, error), Extent(offset, 0, 0)
        # Of the parts of a record every byte is read, in a scan of the heads too: such records are rare.
        trouble = self._examine(offset, extent) if self._thorough or extent.parts > 1 else None
        if trouble is None:
            self._builder.add_split(self._source, offset, extent)
        return trouble, extent

    def _bad_padding(self, end: int, padding: int) -> _Trouble:
        """Return the trouble of the last record, which ends at *end* with *padding* bytes that are not zero."""
        start, _ = self._builder.drop_last()
        found = self._source.read_at(end - padding, padding)
        error = CorruptRecordError(
            f"expected zero padding, found {found.hex(' ')}",
            offset=end - padding,
            hint="the length word may be damaged",
        )
        if end == self._size or starts_record(self._source, end):
            return _Trouble(start, error, end)
        return _Trouble(start, error, self._next_start(start + 4, start))

    def _examine(self, offset: int, extent: Extent) -> _Trouble | None:
        """Return the trouble of the record at *offset* if its data contains the head of a part, else None."""
        other = self._finder.first_other_head(offset, extent)
        if other is None:
            return None
        problem = f"its length word says that it ends at byte {extent.end}, but another part starts inside it"
        inside = self._finder.first(offset + 4, extent.end, offset)
        return _Trouble(
            offset, CorruptRecordError(problem, offset=offset + 4), extent.end if inside is None else inside
        )

    def _doubt(self, offset: int, end: int) -> None:
        """Mark the record at *offset*, which was added last, as doubtful if its data may be something else.

        Either it contains what looks like records off the grid, which are added too, or its first part may be a middle
        part of the record before it, with a damaged flag.
        """
        builder = self._builder
        if offset == self._suspect and not self._has_header(offset, builder.sizes[builder.last]):
            builder.doubtful.add(builder.last)
        if self._search_data:
            inside = self._finder.inside(offset + HEAD_BYTES, end, offset)
            for start, extent in itertools.islice(inside, _MAX_INSIDE):
                if self._finder.first_other_head(start, extent) is None:
                    builder.add_inner(self._source, start, extent)

    def _has_header(self, offset: int, size: int) -> bool:
        """True if the payload of *size* bytes of the record at *offset* starts with what may be an image header."""
        start = read_start(self._source, offset, HEADER_BYTES)
        if len(start) < HEADER_BYTES:
            return False
        header = parse_header(start)
        return header.content_start <= size and header.id2 == 0

    def _resolve(self, offset: int, error: CorruptRecordError) -> _Trouble:
        """Return the trouble at *offset*, at which no whole record starts, and decide on the record that ends there.

        That one is dropped if it is proved to be wrong, and counted as doubtful if nothing proves that it is whole.
        """
        finder, builder = self._finder, self._builder
        has_last = bool(builder.offsets) and builder.end == offset
        last = builder.offsets[builder.last] if has_last else offset
        is_start = starts_record(self._source, offset)
        if has_last and not is_start:
            inside = finder.first_on_grid(last + 4, offset, last)
            if inside is None:
                inside = finder.first_crossing(last + 4, offset, last)
            if inside is not None:
                _, size = builder.drop_last()
                problem = f"the length word says {size} bytes, but another record starts at byte {inside}"
                error = CorruptRecordError(problem, offset=last + 4)
                return _Trouble(last, error, self._next_start(last + 4, last))
        resume = self._next_start(offset + 1, last)
        if has_last and not is_start:
            proof = self._proof(last, offset, resume)
            if proof is None:
                builder.doubt_last()
            elif not proof:
                _, size = builder.drop_last()
                problem = f"the length word says {size} bytes, and the index has the next record elsewhere"
                return _Trouble(last, CorruptRecordError(problem, offset=last + 4), resume)
        if is_start and error.offset == resume and not self._is_explained(offset, resume):
            self._suspect = resume
        return _Trouble(offset, error, resume)

    def _is_explained(self, offset: int, resume: int) -> bool:
        """True if the parts from *offset* on, which the record at *resume* interrupts, contain another head.

        Then one of their lengths is damaged. Otherwise it may be the flag of that record, if it is their last part.
        """
        parts = 0
        with contextlib.suppress(CorruptRecordError):
            for _ in iter_parts(self._source, offset):
                parts += 1
        return self._finder.has_other_heads(offset, resume, parts)

    def _next_start(self, begin: int, grid: int) -> int:
        found = self._finder.first(begin, self._size, grid)
        return self._size if found is None else found

    def _proof(self, start: int, end: int, resume: int) -> bool | None:
        """Return True if the record from *start* to *end* is proved to be whole, False if it is not, None for neither.

        After it there is damage, and the next record starts at *resume*. That an index has another record at *end*
        proves the length word alone, and not that no byte was lost or added before it.
        """
        if self._leads_to_record(end, resume) or self._has_its_end(start):
            return True
        # An index is of the file before the damage: it knows where the record ended if the records on both sides are
        # where it has them.
        before = self._builder.offsets[self._builder.last - 1] if self._builder.last else start
        in_place = self._is_listed(before) and self._following(before) == start and self._is_listed(resume)
        return False if in_place and self._following(start) != end else None

    def _leads_to_record(self, offset: int, resume: int) -> bool:
        """True if *offset* has a head with a damaged magic or flag: its length leads to another record, at *resume*.

        Of the magic half must be left, since bytes that were added may stand before any length word.
        """
        head = self._source.read_at(offset, HEAD_BYTES)
        if len(head) < HEAD_BYTES or sum(map(operator.eq, head, MAGIC)) < len(MAGIC) // 2:
            return False
        word = _unpack_head(head)[1]
        end = offset + HEAD_BYTES + ((word & LENGTH_MASK) + 3 & -4)
        may_start = word >> FLAG_SHIFT not in (MIDDLE, LAST)
        return may_start and end < self._size and (end == resume or self._is_listed(end))

    def _is_listed(self, offset: int) -> bool:
        row = 0 if self._listed is None else int(np.searchsorted(self._listed, offset))
        return self._listed is not None and row < len(self._listed) and self._listed[row] == offset

    def _following(self, offset: int) -> int | None:
        """Return the offset that the index has after *offset*; None after the last one."""
        assert self._listed is not None
        row = int(np.searchsorted(self._listed, offset, side="right"))
        return int(self._listed[row]) if row < len(self._listed) else None

    def _has_its_end(self, offset: int) -> bool:
        """True if the content of the record at *offset* is an image that ends as its kind does."""
        if self._builder.sizes[self._builder.last] < HEADER_BYTES + IMAGE_FRONT_BYTES:
            return False
        extent = measure(self._source, offset)
        header = read_start(self._source, offset, HEADER_BYTES)
        start = parse_header(header).content_start
        front = read_start(self._source, offset, min(start, extent.size) + IMAGE_FRONT_BYTES)[start:]
        if extent.size - start < IMAGE_FRONT_BYTES:
            return False
        tail_at = extent.end - (-extent.size & 3) - ENDING_BYTES
        return has_its_end(front, self._source.read_at(tail_at, ENDING_BYTES))


class _BlockBuilder:
    """Collects the records of one block. ``last`` is the row of the last record that is in no other one."""

    def __init__(self) -> None:
        self.end = self.last = 0  # offset after the last record, and its row
        self._clear()

    def _clear(self) -> None:
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        self.fronts: list[bytes] = []
        self.split: dict[int, int] = {}
        self.doubtful: set[int] = set()
        self._followed: set[int] = set()  # rows of records in the last one that the head of another follows

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
        if source.read_at(extent.end - padding, padding) != _ZEROS[padding]:
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
