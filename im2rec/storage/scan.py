"""Scan a ``.rec``: find every whole record by its part heads, damaged files included, and the damaged ranges between.

Runs of small records are read in large windows. Of a large record only its first bytes are read, so that a scan of
large images reads little of the file. A *thorough* scan reads every byte, since only the data of a record shows that it
contains other records: that its length word is damaged, or that bytes of the file were moved.

Source: ours; MXNet stops at the first damage.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Iterator
from typing import NamedTuple

from im2rec.errors import CorruptRecordError
from im2rec.format.heads import FLAG_SHIFT, HEAD_BYTES, MAGIC_WORD, Offsets
from im2rec.format.recordio import Extent, Source, iter_parts, measure
from im2rec.format.resync import RecordFinder, starts_record
from im2rec.storage.blocks import FRONT_BYTES, UNPROVED, ZEROS, BlockBuilder, Damage, RecordBlock
from im2rec.storage.proof import Proofs

_WINDOW_BYTES = 1 << 18
_DENSE_BYTES = 4096  # after a payload of at most this size a window is read, after a larger one only the next front
_BLOCK_RECORDS = 8192
_MAX_INSIDE = 100_000  # listed of those in the data of one record: it bounds the memory for data made to contain many
_BLOCK_BYTES = 64 << 20  # of the file in a block, so that a copy of it can begin soon
_unpack_head = struct.Struct("<II").unpack_from


def scan_damaged(
    source: Source, *, listed: Offsets | None = None, thorough: bool = False, drop_doubtful: bool = False
) -> Iterator[RecordBlock | Damage]:
    """Yield, in file order, all whole records in blocks and a Damage for each byte range between them.

    A record is whole if its parts are complete, its padding is zero, and something proves that it ends where its length
    word says: the head of the next record, even one with a damaged magic or flag, the end of the file, or the end of
    its image. One without proof ends at damage; it is *doubtful*, and left out if *drop_doubtful* is true. *listed* are
    the ascending offsets of an index, which may belong to the file as it was before the damage: it can prove that a
    length is wrong.

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
                    error = piece.error if damage.error.problem == UNPROVED else damage.error
                    damage = Damage(damage.start, max(damage.end, piece.end), error)
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
    """Damage that a scan has met: where it begins, the error that describes it, and where the next record starts.

    It becomes a Damage when the records before it are out.
    """

    start: int
    error: CorruptRecordError
    resume: int


class _Scanner:
    def __init__(self, source: Source, listed: Offsets | None, *, thorough: bool, search_data: bool) -> None:
        self._source, self._size, self._proofs = source, source.size, Proofs(source, listed)
        self._thorough, self._search_data = thorough, search_data
        self._finder, self._builder = RecordFinder(source), BlockBuilder()
        self._records = 0  # in the blocks that were yielded
        self._window, self._base = b"", 0
        self._padding = 0  # bytes of the last record
        self._suspect: int | None = None  # offset of a record that may be the damaged part of the one before it

    def items(self) -> Iterator[RecordBlock | Damage]:
        """Yield blocks and damage; two damaged ranges that touch are one."""
        offset = 0
        damage: Damage | None = None
        while offset < self._size:
            offset, trouble = self._fill(offset)
            # While the scan goes on, the last record stays: what follows it may show that it is not whole.
            block = self._builder.take(keep_last=trouble is None and offset < self._size)
            if damage is not None and (block is not None or trouble is None or trouble.start > damage.end):
                yield damage
                damage = None
            if block is not None:
                self._records += len(block.offsets)
                yield block
            if trouble is not None:
                trouble.error.record = self._records
                first = damage or Damage(trouble.start, trouble.resume, trouble.error)
                damage = first._replace(end=trouble.resume)
                offset, self._padding = trouble.resume, 0
        if damage is not None:
            yield damage

    def _fill(self, offset: int) -> tuple[int, _Trouble | None]:
        """Add the records from *offset* on to the builder, until it has enough for a block, or to the first trouble.

        Returns the offset after the last one, and the trouble, if any.
        """
        size, builder, thorough, window_bytes = self._size, self._builder, self._thorough, _WINDOW_BYTES
        stop = min(size, offset + _BLOCK_BYTES)
        trouble: _Trouble | None = None
        has_magic = self._finder.magics.is_between
        while offset < stop and len(builder.offsets) <= _BLOCK_RECORDS:
            at = offset - self._base
            if at < 0 or at + FRONT_BYTES > len(self._window):
                at = self._read_window(offset, window_bytes)
            if self._padding and self._window[at - self._padding : at] != ZEROS[self._padding]:
                return offset, self._bad_padding(offset)
            front = self._window[at : at + FRONT_BYTES]
            magic, word = _unpack_head(front) if len(front) >= HEAD_BYTES else (0, 0)
            end = offset + HEAD_BYTES + (word + 3 & -4)
            # Inline, as nearly all records are a single whole part: measure() would take several times as long.
            if magic == MAGIC_WORD and word >> FLAG_SHIFT == 0 and end <= size:
                if thorough and has_magic(offset, end):
                    trouble = self._examine(offset, Extent(end, word, 1))
                    if trouble is not None:
                        break
                builder.add(offset, word, front)
                self._padding, window_bytes = -word & 3, _WINDOW_BYTES if word <= _DENSE_BYTES else FRONT_BYTES
            else:
                trouble, end = self._add_split(offset)
                if trouble is not None:
                    break
            builder.end = end
            if self._search_data or offset == self._suspect:
                self._doubt(offset, end)
            offset = end
        if trouble is None and offset == size and self._padding:
            trouble = (
                self._bad_padding(size) if any(self._source.read_at(size - self._padding, self._padding)) else None
            )
        return offset, trouble

    def _read_window(self, offset: int, size: int) -> int:
        """Read *size* bytes from *offset* on, and the padding before it, unless they are read; return its place."""
        if not self._base <= offset < self._base + len(self._window) or self._base + len(self._window) < self._size:
            self._base = max(0, offset - 4)
            self._window = self._source.read_at(self._base, size + 4)
        return offset - self._base

    def _add_split(self, offset: int) -> tuple[_Trouble | None, int]:
        """Add the record at *offset*, which may have several parts; return its trouble, if any, and its end."""
        try:
            extent = measure(self._source, offset)
        except CorruptRecordError as error:
            return self._resolve(offset, error), offset
        # Of the parts of a record every byte is read, in a scan of the heads too: such records are rare.
        trouble = self._examine(offset, extent) if self._thorough or extent.parts > 1 else None
        if trouble is None:
            self._builder.add_split(self._source, offset, extent)
            self._padding = -extent.size & 3
        return trouble, extent.end

    def _bad_padding(self, end: int) -> _Trouble:
        """Return the trouble of the last record, which ends at *end* with padding that is not zero."""
        start, _ = self._builder.drop_last()
        found = self._source.read_at(end - self._padding, self._padding)
        problem, hint = f"expected zero padding, found {found.hex(' ')}", "the length word may be damaged"
        error = CorruptRecordError(problem, offset=end - self._padding, hint=hint)
        follows = end == self._size or starts_record(self._source, end)
        return _Trouble(start, error, end if follows else self._next_start(start + 4, start))

    def _examine(self, offset: int, extent: Extent) -> _Trouble | None:
        """Return the trouble of the record at *offset* if its data contains the head of a part, else None."""
        other = self._finder.first_other_head(offset, extent)
        if other is None:
            return None
        where = f"at byte {other}" if extent.parts == 1 else "inside it"
        problem = f"its length word says that it ends at byte {extent.end}, but another part starts {where}"
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
        if offset == self._suspect and not self._proofs.has_header(offset, builder.sizes[builder.last]):
            builder.doubtful.add(builder.last)
        if self._search_data:
            inside = self._finder.inside(offset + HEAD_BYTES, end, offset)
            for start, extent in itertools.islice(inside, _MAX_INSIDE):
                if self._finder.first_other_head(start, extent) is None:
                    builder.add_inner(self._source, start, extent)

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
            before = builder.offsets[builder.last - 1] if builder.last else None
            proof = self._proofs.is_whole(last, offset, before, resume)
            if proof is None:
                builder.doubt_last()
            elif not proof:
                _, size = builder.drop_last()
                problem = f"the length word says {size} bytes, and the index has the next record elsewhere"
                return _Trouble(last, CorruptRecordError(problem, offset=last + 4), resume)
        if is_start and error.offset == resume < self._size and not self._is_explained(offset, resume):
            self._suspect = resume
        return _Trouble(offset, error, resume)

    def _is_explained(self, offset: int, resume: int) -> bool:
        """True if the parts from *offset* on, up to the record at *resume*, contain another part head.

        Then one of their lengths is damaged. Otherwise the flag of that record may be, if it is their last part.
        """
        parts = 0
        with contextlib.suppress(CorruptRecordError):
            for _ in iter_parts(self._source, offset):
                parts += 1
        return self._finder.has_other_heads(offset, resume, parts)

    def _next_start(self, begin: int, grid: int) -> int:
        found = self._finder.first(begin, self._size, grid)
        return self._size if found is None else found
