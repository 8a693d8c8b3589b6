"""RecordIO framing: encode payloads as frames, and decode frames.

A record is stored as one *part*, or as several parts if its payload contains the magic at a 4-byte boundary::

    part  =  magic u32 0xced7230a | length word u32: flag << 29 | bytes of data | data | zeros up to 4 bytes

The flag is ``WHOLE`` for a record in one part, else ``FIRST``, ``MIDDLE`` or ``LAST``. Everything is little-endian,
every part starts at a multiple of 4 bytes, and a file consists of parts only. Magic and length word together are the
*part head*; all parts of a record with heads and padding are its *frame*.

Source: dmlc-core include/dmlc/recordio.h, src/recordio.cc.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from im2rec.errors import CorruptRecordError, ParameterError, as_bytes, check_payload
from im2rec.format.heads import (
    FIRST,
    FLAG_SHIFT,
    HEAD_BYTES,
    LAST,
    LENGTH_MASK,
    MAGIC,
    MAGIC_WORD,
    MIDDLE,
    HeadTable,
    Offsets,
    aligned_magics,
    image_record_heads,
)

_HEAD = struct.Struct("<II")
_HEADS_READ_BYTES = 64 << 10  # of the parts of a record at once, after its first ones
_FIRST_PARTS = 4
_PARTS_READ_BYTES = 1 << 20  # of a record of very many parts at once
_FEW_PARTS = 1000
_NO_HEADS = np.empty(0, np.int64)
_SMALL_BYTES = 4096  # below this size bytes.find() is faster than setting up a numpy array
_CUT_SHORT = "the file was cut short; make or fetch it again"


class Source(Protocol):
    """A file, or bytes in memory, that can be read at any offset."""

    @property
    def size(self) -> int:
        """Size in bytes."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on; fewer only at the end of the source."""


class Part(NamedTuple):
    """One part of a record: its flag, the offset of its data, and the bytes of data, without padding."""

    flag: int
    start: int
    length: int

    @property
    def end(self) -> int:
        """Offset after the padding, at which the next part starts."""
        return self.start + (self.length + 3 & -4)


def encode_record(payload: bytes) -> bytes:
    """Frame *payload* as one RecordIO record, ready to append to a ``.rec`` file.

    Returns magic, length word, payload and zero padding: always a multiple of 4 bytes.
    A payload that contains the magic at a 4-byte boundary is cut there and the magic itself
    is dropped, so that a reader can find the next record from any aligned offset.
    Raises RecordTooLargeError above 2**29 - 1 bytes, ParameterError if *payload* is not bytes: a bytearray, a
    memoryview and a flat array of uint8 are taken too, as wherever bytes are expected.

    >>> im2rec.encode_record(b"data").hex(" ", 4)
    '0a23d7ce 04000000 64617461'

    Source: dmlc-core src/recordio.cc, ``RecordIOWriter::WriteRecord``.
    """
    payload = as_bytes(payload, "a payload")
    check_payload(payload)
    cuts = _cuts(payload)
    if not cuts:
        return b"".join((_HEAD.pack(MAGIC_WORD, len(payload)), payload, bytes(-len(payload) % 4)))
    frame: list[bytes] = []
    for start, end in zip([0, *(cut + 4 for cut in cuts)], [*cuts, len(payload)], strict=True):
        part = payload[start:end]
        flag = LAST if end == len(payload) else FIRST if start == 0 else MIDDLE
        frame += _HEAD.pack(MAGIC_WORD, flag << FLAG_SHIFT | len(part)), part, bytes(-len(part) % 4)
    return b"".join(frame)


def _cuts(payload: bytes) -> list[int]:
    """Return the offsets, multiples of 4, at which *payload* contains the magic."""
    if len(payload) < _SMALL_BYTES and MAGIC not in payload:
        return []
    # Compared as 32-bit words, ten times faster than a search for bytes: every byte that is packed passes here.
    words = np.frombuffer(payload, "<u4", len(payload) // 4)
    return [4 * int(word) for word in np.flatnonzero(words == MAGIC_WORD)]


def parse_head(head: bytes, offset: int, size: int) -> Part:
    """Parse a part head: the first ``HEAD_BYTES`` bytes of a part, at *offset* of a file of *size* bytes.

    The length is checked against *size*, so that callers may allocate it. Raises CorruptRecordError with the offset of
    the first byte that is wrong or missing.
    """
    if len(head) < HEAD_BYTES:
        problem = f"expected {HEAD_BYTES} bytes of part head, found {len(head)}"
        raise CorruptRecordError(problem, offset=offset, hint=_CUT_SHORT)
    magic, word = _HEAD.unpack_from(head)
    if magic != MAGIC_WORD:
        raise CorruptRecordError(f"expected the magic {MAGIC.hex(' ')}, found {head[:4].hex(' ')}", offset=offset)
    part = Part(word >> FLAG_SHIFT, offset + HEAD_BYTES, word & LENGTH_MASK)
    if part.flag > LAST:
        raise CorruptRecordError(f"expected a part flag from 0 to 3, found {part.flag}", offset=offset + 4)
    if part.end > size:
        problem = f"expected {part.end - part.start} bytes of data and padding, found {max(0, size - part.start)}"
        raise CorruptRecordError(problem, offset=offset + HEAD_BYTES, hint=_CUT_SHORT)
    return part


class Extent(NamedTuple):
    """Extent of a record: the offset at which it ends, the bytes of its payload, and the number of its parts."""

    end: int
    size: int
    parts: int


def measure(source: Source, offset: int) -> Extent:
    """Return the extent of the record that starts at *offset*; only the part heads are read, in bounded memory.

    Raises CorruptRecordError for a wrong part head, a record that begins with a middle or last part, one that another
    record or the end of the file interrupts, and a part before the last whose length is not a multiple of 4.
    """
    size = parts = 0
    for part in iter_parts(source, offset):
        size += part.length + len(MAGIC)
        parts += 1
        if parts == _FEW_PARTS and part.flag == MIDDLE:
            return _measure_many(source, offset, part.end, size, parts)
    return Extent(part.end, size - len(MAGIC), parts)


def _measure_many(source: Source, offset: int, end: int, size: int, parts: int) -> Extent:
    """Return the extent of a record at *offset*, of which so many *parts*, up to *end*, are known: many at a time.

    *size* are their bytes, a magic after each of them included.
    """
    single = 0  # parts to read one by one, where few follow each other closely
    while True:
        if not single:
            window = source.read_at(end, min(_PARTS_READ_BYTES, source.size - end))
            table = HeadTable(window, 0, end, source.size)
            count, data, after = table.middle_parts() if len(table) and table.offsets[0] == end else (0, 0, end)
            end, size, parts = after, size + data + len(MAGIC) * count, parts + count
            single = 1 if count > _FEW_PARTS else _FEW_PARTS
        part = _next_part(source.read_at(end, HEAD_BYTES), offset, end, source.size)
        end, size, parts, single = part.end, size + part.length + len(MAGIC), parts + 1, single - 1
        if part.flag == LAST:
            return Extent(end, size - len(MAGIC), parts)
        if part.length % 4:
            problem = f"expected a multiple of 4 bytes before a cut, found {part.length}"
            raise CorruptRecordError(problem, offset=part.start - 4)


def iter_parts(source: Source, offset: int) -> Iterator[Part]:
    """Yield the parts of the record that starts at *offset*, reading each head only when it is needed.

    Raises the errors of :func:`measure`, after the parts before the damage.
    """
    part = parse_head(source.read_at(offset, HEAD_BYTES), offset, source.size)
    if part.flag in (MIDDLE, LAST):
        raise CorruptRecordError(f"expected the start of a record, found a part with flag {part.flag}", offset=offset)
    yield part
    heads, base, count = b"", 0, 0
    while part.flag in (FIRST, MIDDLE):
        # Writers cut at aligned magics only, so the data before a cut is never padded.
        if part.length % 4:
            problem = f"expected a multiple of 4 bytes before a cut, found {part.length}"
            raise CorruptRecordError(problem, offset=part.start - 4)
        start, count = part.end, count + 1
        at = start - base
        if at + HEAD_BYTES > len(heads):
            # A record of many parts has them close together: then a call for each would take most of the time.
            nearby = count > _FIRST_PARTS and part.length < _SMALL_BYTES
            heads = source.read_at(start, _HEADS_READ_BYTES if nearby else HEAD_BYTES)
            base, at = start, 0
        part = _next_part(heads[at : at + HEAD_BYTES], offset, start, source.size)
        yield part


def _next_part(head: bytes, offset: int, start: int, size: int) -> Part:
    """Return the part with *head* at *start* of the record at *offset*. Raises CorruptRecordError."""
    if start == size:
        problem = "expected another part of the record, found the end of the file"
        raise CorruptRecordError(problem, offset=start, hint=_CUT_SHORT)
    part = parse_head(head, start, size)
    if part.flag not in (MIDDLE, LAST):
        problem = f"expected a middle or last part of the record at byte {offset}, found a new record"
        raise CorruptRecordError(problem, offset=start)
    return part


def read_record(source: Source, offset: int) -> tuple[bytes, int]:
    """Return the payload of the record at *offset*, and the offset at which the record ends.

    Raises CorruptRecordError for everything that :func:`measure` refuses, for a part whose data contains the head of
    another one, which means that its length word or its data is damaged, and for padding that is not zero: every
    writer pads with zeros, and other bytes are the only sign of a length that became smaller by one to three.
    """
    extent = measure(source, offset)
    return read_payload(source, offset, extent), extent.end


def read_payload(source: Source, offset: int, extent: Extent) -> bytes:
    """Return the payload of the record at *offset*, whose *extent* is known. Raises what :func:`read_record` raises."""
    start = offset + HEAD_BYTES
    data = source.read_at(start, extent.end - start)  # without the first head: then one part is not copied
    if len(data) < extent.end - start:
        problem = f"expected {extent.end - start} bytes of data and padding, found {len(data)}"
        raise CorruptRecordError(problem, offset=start, hint="the file was cut while open")
    heads = aligned_magics(data) if extent.parts > 1 or _may_contain_magic(data) else _NO_HEADS
    other = _other_head(source, data, start, extent, heads)
    if other is not None:
        problem = f"its length word says that it ends at byte {extent.end}, but another part starts at byte {other}"
        raise CorruptRecordError(problem, offset=offset + 4)
    padded = extent.size + (HEAD_BYTES - len(MAGIC)) * (extent.parts - 1)
    if any(data[padded:]):
        problem = f"expected zero padding, found {data[padded:].hex(' ')}"
        raise CorruptRecordError(problem, offset=start + padded, hint="the length word may be damaged")
    if extent.parts == 1:
        return data[:padded]
    # The payload is the data of all parts without the length words between, since the magic of a head stands for the
    # one that was cut out.
    if extent.parts <= _FEW_PARTS:
        view, bounds = memoryview(data), [0, *(edge for at in heads.tolist() for edge in (at + 4, at + 8)), padded]
        return b"".join(view[first:last] for first, last in zip(bounds[::2], bounds[1::2], strict=True))
    words = np.frombuffer(data, "<u4")
    stays = np.ones(len(words), np.bool_)
    stays[heads // 4 + 1] = False
    return words[stays].view(np.uint8)[: extent.size].tobytes()


def _other_head(source: Source, data: bytes, start: int, extent: Extent, heads: Offsets) -> int | None:
    """Return the offset of a part head in *data*, from *start* on, that is not one of the record; None without one.

    *data* has magics at *heads*, and is that of a record of this *extent*, after its first head. In files of a program
    that cuts no payloads a magic may be anywhere, so one in a record of a single part must be the head of a part that
    is there up to its end, or of an image record.
    """
    if len(heads) == extent.parts - 1:
        return None
    if extent.parts > 1:
        own = np.fromiter((part.start - HEAD_BYTES for part in iter_parts(source, start - HEAD_BYTES)), np.int64)
        return int(np.setdiff1d(heads + start, own)[0])
    table = HeadTable(data, 0, start, extent.end)
    others = [*table.offsets[table.is_intact], *(image_record_heads(data) + start)]
    return int(min(others)) if others else None


def single_part_end(frame: bytes, *, confirmed: bool) -> int | None:
    """Return the end of the payload in *frame* if *frame* is exactly one whole part, as it nearly always is, else None.

    A fast path: the payload is ``frame[HEAD_BYTES:end]``. None means that only :func:`read_record` can tell.
    *confirmed* means that an index names a record right after the frame. Otherwise the length word may be damaged and
    the frame contain other records, so it is searched for a magic, which takes as long as reading it.
    """
    length = single_part_length(frame, len(frame))
    if length is None or (not confirmed and _may_contain_magic(frame, HEAD_BYTES)):
        return None
    end = HEAD_BYTES + length
    return end if end == len(frame) or not any(frame[end:]) else None


def single_part_length(head: bytes, frame_bytes: int) -> int | None:
    """Return the payload length in *head* if it is the head of a single part of exactly *frame_bytes*, else None."""
    if len(head) < HEAD_BYTES:
        return None
    magic, length = _HEAD.unpack_from(head)
    # A flag other than WHOLE is in the upper bits: it makes the length larger than any frame.
    return length if magic == MAGIC_WORD and HEAD_BYTES + length + 3 & -4 == frame_bytes else None


def _may_contain_magic(data: bytes, start: int = 0) -> bool:
    """True if *data*, of a multiple of 4 bytes, has an aligned magic from *start* on; in short data, any magic."""
    if len(data) <= _SMALL_BYTES:
        return data.find(MAGIC, start) >= 0
    return bool((np.frombuffer(data, "<u4", offset=start) == MAGIC_WORD).any())


def read_start(source: Source, offset: int, size: int) -> bytes:
    """Return the first *size* bytes of the payload of the record at *offset*, all of a shorter one; reads no more.

    Raises CorruptRecordError for everything that :func:`measure` refuses in the parts that are read.
    """
    start = b""
    for part in iter_parts(source, offset):
        start += MAGIC if part.flag in (MIDDLE, LAST) else b""
        start += source.read_at(part.start, min(part.length, size))
        if len(start) >= size:
            break
    return start[:size]


class BytesSource:
    """A :class:`Source` over *data*, which are the bytes from offset *base* of a file of *size* bytes."""

    def __init__(self, data: bytes, base: int = 0, size: int | None = None) -> None:
        self.data = data
        self.base = base
        self.size = base + len(data) if size is None else size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from file offset *offset* on, fewer where the data ends, none before its start."""
        start = offset - self.base
        return self.data[start : start + size] if start >= 0 else b""


def decode_record(frame: bytes, offset: int = 0) -> bytes:
    """Return the payload of the one record in *frame*; *offset*, the frame's in its file, is for error messages.

    Raises CorruptRecordError if *frame* is not exactly one record, ParameterError if it is not bytes.

    >>> im2rec.decode_record(im2rec.encode_record(b"data"))
    b'data'
    """
    frame = as_bytes(frame, "a frame")
    payload, end = read_record(BytesSource(frame, offset), offset)
    if end != offset + len(frame):
        raise CorruptRecordError(f"expected the end of the record, found {offset + len(frame) - end} bytes", offset=end)
    return payload


def read_records(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the payload of every record of *stream*, a seekable binary file, from its start and in file order.

    Raises CorruptRecordError at the first damage, after all records before it, and ParameterError for anything else.

    >>> with open("photos_train.rec", "rb") as stream:
    ...     sum(1 for payload in im2rec.read_records(stream))
    32
    """
    source, offset = _StreamSource(stream), 0
    while offset < source.size:
        payload, offset = read_record(source, offset)
        yield payload


class _StreamSource:
    """A :class:`Source` over a seekable binary stream."""

    def __init__(self, stream: BinaryIO) -> None:
        if isinstance(stream, io.TextIOBase) or not hasattr(stream, "seek"):
            kind = "a text file" if isinstance(stream, io.TextIOBase) else type(stream).__name__
            raise ParameterError(f"a stream must be a binary file, not {kind}", hint="open the path with 'rb'")
        self.stream = stream
        self.size = stream.seek(0, 2)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on, fewer at the end of the stream. Moves the stream's position."""
        self.stream.seek(offset)
        return self.stream.read(size)
