"""Scan a ``.rec`` without an index: find every record by its part head, at more than a million records per second.

Runs of small records are read in large windows. Of a large record only its first bytes are read, so that a scan of
large images reads little of the file.
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
from im2rec.storage.foreign import known_format, likely_format

FRONT_BYTES = 64  # bytes of a record in a block: part head 8, image header 24, and the start of labels or content
_WINDOW_BYTES = 1 << 18
_DENSE_BYTES = 4096  # after a payload of at most this size a window is read, after a larger one only a front
_BLOCK_RECORDS = 8192
_KIND_BYTES = 1 << 16  # a magic in the first bytes of a file is enough to take it for a RecordIO file
_BLANK_PROBES = 1024  # places at which a file that begins with zeros is looked at
_LINE_ENDS_BYTES = 1 << 20
_LOST_BYTES = 64  # at most, of one record in which every 0D 0A became 0A
_unpack_head = struct.Struct("<II").unpack_from


class RecordBlock(NamedTuple):
    """Consecutive records: their offsets and payload sizes in bytes, and the first bytes of each.

    *fronts* is uint8 (records, ``FRONT_BYTES``), the first bytes of each record on disk. In a row for a short record
    they are followed by bytes of the next one, at the end of the file by zeros. A record of several parts has its
    payload joined after the first part head, followed by zeros. *split* maps the row of each such record to its number
    of parts.
    """

    offsets: list[int]
    sizes: list[int]
    fronts: npt.NDArray[np.uint8]
    split: dict[int, int]

    @property
    def headers(self) -> npt.NDArray[np.void]:
        """The image header of each record, with dtype ``HEADER_FIELDS``; meaningless for payloads below 24 bytes."""
        fields = self.fronts[:, HEAD_BYTES : HEAD_BYTES + HEADER_FIELDS.itemsize]
        return np.ascontiguousarray(fields).view(HEADER_FIELDS)[:, 0]


class Damage(NamedTuple):
    """A byte range of a file, *start* to *end*, without a whole record; *error* describes the damage."""

    start: int
    end: int
    error: CorruptRecordError


def scan(source: Source) -> Iterator[RecordBlock]:
    """Yield all records in blocks, in file order. Raises CorruptRecordError, with the ordinal, at the first damage."""
    damage = yield from _walk(source, 0, 0)
    if damage is not None:
        raise damage[1]


def scan_file(file: InputFile) -> Iterator[RecordBlock]:
    """Yield all records of *file* in blocks, in file order.

    Raises CorruptRecordError, with path, ordinal and hint, at the first damage; InputError if the damage shows that the
    file went through text mode.
    """
    try:
        yield from scan(file)
    except CorruptRecordError as error:
        check_line_ends(file, error.offset or 0)
        error.hint = error.hint or INSPECT
        raise with_path(error, file.path) from None


def scanned_index(file: InputFile) -> tuple[Keys, Offsets]:
    """Scan *file* and return keys (uint64) and offsets (int64) of all records.

    The keys are the image ids, or the ordinals if any payload is too short for an image header. Raises
    CorruptRecordError at the first damage, as :func:`scan_file` does.
    """
    keys, offsets, all_have_headers = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], True
    for block in scan_file(file):
        keys.append(block.headers["id"].astype(np.uint64))
        offsets.append(np.array(block.offsets, np.int64))
        all_have_headers = all_have_headers and min(block.sizes) >= HEADER_BYTES
    all_offsets = np.concatenate(offsets)
    return (np.concatenate(keys) if all_have_headers else np.arange(len(all_offsets), dtype=np.uint64)), all_offsets


def scan_damaged(source: Source) -> Iterator[RecordBlock | Damage]:
    """Yield, in file order, all whole records in blocks and a Damage for each byte range between them."""
    start, ordinal = 0, 0
    while True:
        walk = _walk(source, start, ordinal)
        while True:  # a for loop would lose the value that _walk() returns
            try:
                block = next(walk)
            except StopIteration as stop:
                damage = stop.value
                break
            ordinal += len(block.offsets)
            yield block
        if damage is None:
            return
        damage_start, error = damage
        start = find_record(source, damage_start + 1) or source.size
        yield Damage(damage_start, start, error)


def whole_records(source: Source) -> Iterator[int]:
    """Yield the offset of every whole record, skipping damage."""
    for item in scan_damaged(source):
        if isinstance(item, RecordBlock):
            yield from item.offsets


def _walk(
    source: Source, start: int, ordinal: int
) -> Generator[RecordBlock, None, tuple[int, CorruptRecordError] | None]:
    """Yield blocks of the records from offset *start* on, of which the first has number *ordinal*.

    Returns None at the end of the file, else the offset at which damage begins, and the error that describes it.
    """
    offset, size, builder = start, source.size, _BlockBuilder()
    window, base, window_bytes = b"", offset, _WINDOW_BYTES
    while offset < size:
        at = offset - base
        if at + FRONT_BYTES > len(window) and base + len(window) < size:
            window, base, at = source.read_at(offset, window_bytes), offset, 0
        front = window[at : at + FRONT_BYTES]
        magic, word = _unpack_head(front) if len(front) >= HEAD_BYTES else (0, 0)
        end = offset + HEAD_BYTES + (word + 3 & -4)
        # Inline, as nearly all records are a single whole part: read_parts() would take several times as long.
        if magic == MAGIC_WORD and word >> FLAG_SHIFT == 0 and end <= size:
            if len(builder.offsets) >= _BLOCK_RECORDS:
                ordinal += len(builder.offsets)
                yield builder.block()
                builder = _BlockBuilder()
            builder.add(offset, word, front)
            window_bytes = _WINDOW_BYTES if word <= _DENSE_BYTES else FRONT_BYTES
            offset = end
            continue
        try:
            offset = builder.add_split(source, offset)
        except CorruptRecordError as error:
            offset, error = _locate_damage(source, builder, offset, error)
            error.record = ordinal + len(builder.offsets)
            if builder.offsets:
                yield builder.block()
            return offset, error
    if builder.offsets:
        yield builder.block()
    return None


def _locate_damage(
    source: Source, builder: _BlockBuilder, offset: int, error: CorruptRecordError
) -> tuple[int, CorruptRecordError]:
    """Return the offset at which the damage noticed at *offset* begins, and the error that describes it.

    Usually these are *offset* and *error*. But if another record starts inside the last one before *offset*, then that
    one is damaged: its length word is wrong, or bytes were lost from it. It is dropped from *builder*, and the record
    inside it is whole.
    """
    if builder.offsets and _is_not_a_part(source, offset):
        last = builder.offsets[-1]
        inside = find_record(source, last + 4)
        # At another distance than a multiple of 4, these may be bytes of an image; but then they end inside it.
        if inside is not None and inside < offset and (inside % 4 == last % 4 or _record_end(source, inside) > offset):
            length = builder.drop()
            problem = f"the length word says {length} bytes, but another record starts at byte {inside}"
            return last, CorruptRecordError(problem, offset=last + 4)
    return offset, error


def _record_end(source: Source, offset: int) -> int:
    return read_parts(source, offset)[-1].end


def _is_not_a_part(source: Source, offset: int) -> bool:
    """True if *offset* has no magic, or too few bytes for a part head."""
    try:
        parse_head(source.read_at(offset, HEAD_BYTES), offset, source.size)
    except CorruptRecordError as error:
        return error.offset == offset
    return False


class _BlockBuilder:
    """Collects the records of one block."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        self.fronts: list[bytes] = []
        self.split: dict[int, int] = {}

    def add(self, offset: int, size: int, front: bytes) -> None:
        """Add a record of *size* payload bytes; *front* are its first ``FRONT_BYTES`` bytes, or all up to the end."""
        self.offsets.append(offset)
        self.sizes.append(size)
        self.fronts.append(front)

    def add_split(self, source: Source, offset: int) -> int:
        """Add the record at *offset*, which may have several parts; return its end. Raises CorruptRecordError."""
        parts = read_parts(source, offset)
        front = source.read_at(offset, HEAD_BYTES) + read_start(source, offset, FRONT_BYTES - HEAD_BYTES)
        self.split[len(self.offsets)] = len(parts)
        self.add(offset, sum(part.length for part in parts) + 4 * (len(parts) - 1), front)
        return parts[-1].end

    def drop(self) -> int:
        """Remove the last record and return its payload size."""
        self.offsets.pop()
        self.fronts.pop()
        self.split.pop(len(self.offsets), None)
        return self.sizes.pop()

    def block(self) -> RecordBlock:
        """Return the collected records."""
        joined = b"".join(self.fronts)
        if len(joined) != FRONT_BYTES * len(self.fronts):  # some front is shorter: at the end of the file, or split
            joined = b"".join(front.ljust(FRONT_BYTES, b"\0") for front in self.fronts)
        fronts = np.frombuffer(joined, np.uint8).reshape(-1, FRONT_BYTES)
        return RecordBlock(self.offsets, self.sizes, fronts, self.split)


def check_kind(file: InputFile) -> None:
    """Raise InputError, which says what the file is, for an empty file and for one that is not a RecordIO file.

    A RecordIO file has a magic in its first 64 KiB, or a whole record anywhere.
    """
    if file.size == 0:
        raise InputError("is empty: it holds no records", path=file.path, hint="make or fetch it again")
    start = file.read_at(0, _KIND_BYTES)
    foreign = known_format(start)
    if foreign is None and MAGIC not in start and (_is_blank(file, start) or find_record(file, 0) is None):
        foreign = likely_format(start)
    if foreign is not None:
        raise InputError(f"is not a RecordIO file: it is {foreign.kind}", path=file.path, hint=foreign.hint)


def _is_blank(file: InputFile, start: bytes) -> bool:
    """True if a large file, which begins with *start*, holds zeros wherever it is looked at: a download that failed.

    To search all of a file of 30 GB for records would take a minute.
    """
    step = file.size // _BLANK_PROBES
    if any(start) or step < _KIND_BYTES:
        return False
    return not any(any(file.read_at(at, _DENSE_BYTES)) for at in range(step, file.size, step))


def check_line_ends(file: InputFile, offset: int) -> None:
    """Raise InputError if the damage at *offset* is that of a file in which every 0D 0A became 0A.

    Then the record before is a few bytes shorter than its length word says, and no 0D 0A is left.
    """
    before = max(0, offset - _LOST_BYTES)
    if MAGIC in file.read_at(before, offset - before + len(MAGIC) - 1) and lacks_line_ends(file):
        problem = "is a .rec that went through text mode, in which every line end 0D 0A became 0A"
        raise InputError(problem, path=file.path, hint="fetch it again in binary mode")


def lacks_line_ends(file: InputFile) -> bool:
    """True if 0D 0A is missing where it should be: in the signature of a PNG, or in the first MiB of compressed images.

    That MiB holds sixteen on average.
    """
    start = file.read_at(0, _LINE_ENDS_BYTES)
    has_many = min(start.count(b"\r"), start.count(b"\n")) > _LINE_ENDS_BYTES // 1024
    return b"\r\n" not in start and (has_many or b"\x89PNG\n\x1a\n" in start)
