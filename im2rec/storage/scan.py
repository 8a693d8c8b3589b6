"""Walk a ``.rec`` from record to record by its part heads alone, at a million records a second and more.

Small records are walked inside windows read at once; large ones with one short read each, so that a scan touches
little more of the file than the bytes it reports.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, InputError
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import HEADER_BYTES, HEADER_FIELDS
from im2rec.format.recordio import (
    FLAG_SHIFT,
    HEAD_BYTES,
    MAGIC,
    MAGIC_WORD,
    Source,
    find_record,
    parse_head,
    read_parts,
    read_start,
)
from im2rec.storage.files import INSPECT, InputFile, with_path

_FRONT_BYTES = 1 << 16

FRONT_BYTES = 64  # of a record on disk: part head 8, image header 24, and the first bytes of labels or content
_WINDOW_BYTES = 1 << 18
_DENSE_BYTES = 4096  # records up to this size are walked inside a window
_BLOCK_RECORDS = 8192
_unpack_head = struct.Struct("<II").unpack_from


class RecordBlock(NamedTuple):
    """A run of records: byte offsets and payload sizes as lists, and the front of each.

    *fronts* is uint8 (records, ``FRONT_BYTES``): the record's first bytes as on disk, a split record's joined again,
    zeros behind its end of the file (but bytes of the next record behind its own end). *split* counts parts by
    position in the block, for records in several parts only.
    """

    offsets: list[int]
    sizes: list[int]
    fronts: npt.NDArray[np.uint8]
    split: dict[int, int]

    @property
    def headers(self) -> npt.NDArray[np.void]:
        """The image header of each record, by ``HEADER_FIELDS``; behind a short payload stands what follows it."""
        fields = self.fronts[:, HEAD_BYTES : HEAD_BYTES + HEADER_FIELDS.itemsize]
        return np.ascontiguousarray(fields).view(HEADER_FIELDS)[:, 0]


class Damage(NamedTuple):
    """Bytes *start* to *end* of a file hold no whole record; *error* says what was found first."""

    start: int
    end: int
    error: CorruptRecordError


def scan(source: Source) -> Iterator[RecordBlock]:
    """Yield all records in blocks, in file order. Raises CorruptRecordError (with its ordinal) at the first damage."""
    damage = yield from _walk(source, 0, 0)
    if damage is not None:
        raise damage[1]


def scan_file(file: InputFile) -> Iterator[RecordBlock]:
    """As :func:`scan`, of a whole *file*; the error names it, and what to do about it."""
    try:
        yield from scan(file)
    except CorruptRecordError as error:
        error.hint = error.hint or INSPECT
        raise with_path(error, file.path) from None


def scanned_index(file: InputFile) -> tuple[Keys, Offsets]:
    """Keys and offsets of all records of *file*: the ids, or the ordinals where a payload is too short for an id.

    Raises CorruptRecordError as :func:`scan_file` does.
    """
    keys, offsets, headers = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], True
    for block in scan_file(file):
        keys.append(block.headers["id"].astype(np.uint64))
        offsets.append(np.array(block.offsets, np.int64))
        headers = headers and min(block.sizes) >= HEADER_BYTES
    all_offsets = np.concatenate(offsets)
    return (np.concatenate(keys) if headers else np.arange(len(all_offsets), dtype=np.uint64)), all_offsets


def scan_damaged(source: Source) -> Iterator[RecordBlock | Damage]:
    """Yield all whole records in blocks and, between them, the byte ranges that are damaged."""
    start, ordinal = 0, 0
    while start < source.size:
        walk = _walk(source, start, ordinal)
        while True:
            try:
                block = next(walk)
            except StopIteration as stop:
                damage = stop.value
                break
            ordinal += len(block.offsets)
            yield block
        if damage is None:
            return
        at, error = damage
        start = find_record(source, at + 1) or source.size
        yield Damage(at, start, error)


def whole_records(source: Source) -> Iterator[int]:
    """Yield the offset of every whole record, damaged or not what lies between them."""
    for piece in scan_damaged(source):
        if isinstance(piece, RecordBlock):
            yield from piece.offsets


def _walk(
    source: Source, position: int, ordinal: int
) -> Generator[RecordBlock, None, tuple[int, CorruptRecordError] | None]:
    """Yield blocks from *position* on; return None at the end of the file, or where damage begins and what it is."""
    size, rows = source.size, _BlockBuilder()
    window, base, window_bytes = b"", position, _WINDOW_BYTES
    while position < size:
        at = position - base
        if at + FRONT_BYTES > len(window) and base + len(window) < size:
            window, base, at = source.read_at(position, window_bytes), position, 0
        front = window[at : at + FRONT_BYTES]
        magic, word = _unpack_head(front) if len(front) >= HEAD_BYTES else (0, 0)
        end = position + HEAD_BYTES + (word + 3 & -4)
        if magic == MAGIC_WORD and word >> FLAG_SHIFT == 0 and end <= size:
            if len(rows.offsets) >= _BLOCK_RECORDS:
                ordinal += len(rows.offsets)
                yield rows.block()
                rows = _BlockBuilder()
            rows.add(position, word, front)
            window_bytes = _WINDOW_BYTES if word <= _DENSE_BYTES else FRONT_BYTES
            position = end
            continue
        try:
            position = rows.add_split(source, position)
        except CorruptRecordError as error:
            position, error = _blame(source, rows, position, error)
            error.record = ordinal + len(rows.offsets)
            if rows.offsets:
                yield rows.block()
            return position, error
    if rows.offsets:
        yield rows.block()
    return None


def _blame(
    source: Source, rows: _BlockBuilder, position: int, error: CorruptRecordError
) -> tuple[int, CorruptRecordError]:
    """Where the damage seen at *position* begins, and what it is.

    No record starts inside a whole one. When one does inside the record before *position*, the length word of that one
    is wrong, or bytes were lost from it: it is the damage, and the record inside it is whole.
    """
    if rows.offsets and _no_magic(source, position):
        last = rows.offsets[-1]
        inside = find_record(source, last + 4)
        # Off the grid an image may hold what looks like records, but they end inside it.
        if inside is not None and inside < position and (inside % 4 == last % 4 or _end(source, inside) > position):
            length = rows.drop()
            problem = f"the length word says {length} bytes, but another record starts at byte {inside}"
            return last, CorruptRecordError(problem, offset=last + 4)
    return position, error


def _end(source: Source, offset: int) -> int:
    return read_parts(source, offset)[-1].end


def _no_magic(source: Source, position: int) -> bool:
    try:
        parse_head(source.read_at(position, HEAD_BYTES), position, source.size)
    except CorruptRecordError as error:
        return error.offset == position
    return False


class _BlockBuilder:
    """Records collected for one block."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        self.fronts: list[bytes] = []
        self.split: dict[int, int] = {}

    def add(self, offset: int, size: int, front: bytes) -> None:
        self.offsets.append(offset)
        self.sizes.append(size)
        self.fronts.append(front)

    def add_split(self, source: Source, offset: int) -> int:
        """Add a record that may be in several parts; its end. Raises CorruptRecordError."""
        parts = read_parts(source, offset)
        front = source.read_at(offset, HEAD_BYTES) + read_start(source, offset, FRONT_BYTES - HEAD_BYTES)
        self.split[len(self.offsets)] = len(parts)
        self.add(offset, sum(part.length for part in parts) + 4 * (len(parts) - 1), front)
        return parts[-1].end

    def drop(self) -> int:
        """Take the last record back; its payload size."""
        self.offsets.pop()
        self.fronts.pop()
        self.split.pop(len(self.offsets), None)
        return self.sizes.pop()

    def block(self) -> RecordBlock:
        joined = b"".join(self.fronts)
        if len(joined) != FRONT_BYTES * len(self.fronts):  # records at the end of the file, or short split ones
            joined = b"".join(front.ljust(FRONT_BYTES, b"\0") for front in self.fronts)
        fronts = np.frombuffer(joined, np.uint8).reshape(-1, FRONT_BYTES)
        return RecordBlock(self.offsets, self.sizes, fronts, self.split)


def check_kind(file: InputFile) -> None:
    """Raise InputError for a file without a byte, or one that holds no record anywhere."""
    if file.size == 0:
        raise InputError(f"{file.path}: is empty: it holds no records", hint="make or fetch it again")
    if MAGIC not in file.read_at(0, _FRONT_BYTES) and find_record(file, 0) is None:
        start = file.read_at(0, 4).hex(" ")
        raise InputError(f"{file.path}: is not a RecordIO file: it starts with {start}", hint="name a .rec")
