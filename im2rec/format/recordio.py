"""RecordIO framing: encode payloads as frames, decode frames, and find the next record after damage.

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

from im2rec.errors import MAX_PAYLOAD, CorruptRecordError, ParameterError, as_bytes, check_payload

MAGIC = b"\x0a\x23\xd7\xce"
MAGIC_WORD = 0xCED7230A
HEAD_BYTES = 8  # part head: magic and length word
WHOLE, FIRST, MIDDLE, LAST = range(4)
FLAG_SHIFT = 29
LENGTH_MASK = MAX_PAYLOAD

_HEAD = struct.Struct("<II")
# find_record() reads windows of these sizes, each twice the one before: the next record is near in most files.
_FIRST_WINDOW_BYTES, _MAX_WINDOW_BYTES = 1 << 12, 1 << 20
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
    Raises RecordTooLargeError above ``MAX_PAYLOAD`` bytes, ParameterError if *payload* is not bytes: a bytearray, a
    memoryview and a flat array of uint8 are taken too, as wherever bytes are expected.

    Source: dmlc-core src/recordio.cc, ``RecordIOWriter::WriteRecord``.
    """
    payload = as_bytes(payload, "a payload")
    check_payload(payload)
    cuts = _aligned_magics(payload)
    if not cuts:
        return b"".join((_HEAD.pack(MAGIC_WORD, len(payload)), payload, bytes(-len(payload) % 4)))
    frame: list[bytes] = []
    for start, end in zip([0, *(cut + 4 for cut in cuts)], [*cuts, len(payload)], strict=True):
        part = payload[start:end]
        flag = LAST if end == len(payload) else FIRST if start == 0 else MIDDLE
        frame += _HEAD.pack(MAGIC_WORD, flag << FLAG_SHIFT | len(part)), part, bytes(-len(part) % 4)
    return b"".join(frame)


def _aligned_magics(payload: bytes) -> list[int]:
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


def read_parts(source: Source, offset: int) -> list[Part]:
    """Return the parts of the record that starts at *offset*; only the part heads are read.

    Raises CorruptRecordError for a wrong part head, a record that begins with a middle or last part, one that another
    record or the end of the file interrupts, and a part before the last whose length is not a multiple of 4.
    """
    return list(_iter_parts(source, offset))


def _iter_parts(source: Source, offset: int) -> Iterator[Part]:
    """Yield what :func:`read_parts` returns, reading each head only when it is needed."""
    part = parse_head(source.read_at(offset, HEAD_BYTES), offset, source.size)
    if part.flag in (MIDDLE, LAST):
        raise CorruptRecordError(f"expected the start of a record, found a part with flag {part.flag}", offset=offset)
    yield part
    while part.flag in (FIRST, MIDDLE):
        # Writers cut at aligned magics only, so the data before a cut is never padded.
        if part.length % 4:
            problem = f"expected a multiple of 4 bytes before a cut, found {part.length}"
            raise CorruptRecordError(problem, offset=part.start - 4)
        next_offset = part.end
        if next_offset == source.size:
            problem = "expected another part of the record, found the end of the file"
            raise CorruptRecordError(problem, offset=next_offset, hint=_CUT_SHORT)
        part = parse_head(source.read_at(next_offset, HEAD_BYTES), next_offset, source.size)
        if part.flag not in (MIDDLE, LAST):
            problem = f"expected a middle or last part of the record at byte {offset}, found a new record"
            raise CorruptRecordError(problem, offset=next_offset)
        yield part


def read_record(source: Source, offset: int) -> tuple[bytes, int]:
    """Return the payload of the record at *offset*, and the offset at which the record ends.

    Raises CorruptRecordError for everything that :func:`read_parts` refuses, for a part whose data contains whole
    records up to its end, which means that its length word is damaged, and for padding that is not zero: every writer
    pads with zeros, and other bytes are the only sign of a length that became smaller by one to three.
    """
    parts = read_parts(source, offset)
    return join_parts(source, parts), parts[-1].end


def join_parts(source: Source, parts: list[Part]) -> bytes:
    """Read *parts* and join their data to the payload, with the magic that was dropped at each cut.

    Raises CorruptRecordError for data that :func:`read_record` refuses.
    """
    return MAGIC.join([_read_part_data(source, part) for part in parts])


def single_part_end(frame: bytes, *, confirmed: bool) -> int | None:
    """Return the end of the payload in *frame* if *frame* is exactly one whole part, as it nearly always is, else None.

    A fast path: the payload is ``frame[HEAD_BYTES:end]``. None means that only :func:`read_record` can tell.
    *confirmed* means that an index names a record right after the frame. Otherwise the length word may be damaged and
    the frame contain other records, so it is searched for a magic, which takes as long as reading it.
    """
    length = single_part_length(frame, len(frame))
    if length is None or (not confirmed and _may_contain_magic(frame)):
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


def _may_contain_magic(frame: bytes) -> bool:
    """True if *frame*, of a multiple of 4 bytes, has an aligned magic after its head; in a small one, any magic."""
    if len(frame) <= _SMALL_BYTES:
        return frame.find(MAGIC, HEAD_BYTES) >= 0
    return bool((np.frombuffer(frame, "<u4", offset=HEAD_BYTES) == MAGIC_WORD).any())


def read_start(source: Source, offset: int, size: int) -> bytes:
    """Return the first *size* bytes of the payload of the record at *offset*, all of a shorter one; reads no more.

    Raises CorruptRecordError for everything that :func:`read_parts` refuses.
    """
    parts = read_parts(source, offset)
    start = source.read_at(parts[0].start, min(parts[0].length, size))
    for part in parts[1:]:
        if len(start) >= size:
            break
        start += MAGIC + source.read_at(part.start, min(part.length, size))
    return start[:size]


def _read_part_data(source: Source, part: Part) -> bytes:
    data = source.read_at(part.start, part.end - part.start)
    if len(data) < part.end - part.start:
        problem = f"expected {part.end - part.start} bytes of data and padding, found {len(data)}"
        raise CorruptRecordError(problem, offset=part.start, hint="the file was cut while open")
    swallowed = _find_swallowed_record(data)
    if swallowed is not None:
        other = part.start + swallowed
        problem = f"the length word says {part.length} bytes, but another record starts at byte {other}"
        raise CorruptRecordError(problem, offset=part.start - 4)
    if any(data[part.length :]):
        problem = f"expected zero padding, found {data[part.length :].hex(' ')}"
        raise CorruptRecordError(problem, offset=part.start + part.length, hint="the length word may be damaged")
    return data[: part.length]


def _find_swallowed_record(data: bytes) -> int | None:
    """Return the first offset in *data* from which whole parts follow each other up to its end, or None.

    Such parts are records that a damaged length word covers. A single magic does not prove it: in files of a writer
    that does not split payloads it may be anywhere.
    """
    # From the last magic to the first, so that one pass finds every offset from which parts lead to the end.
    ends = {len(data)}
    for offset in reversed(_aligned_magics(data)):
        try:
            if parse_head(data[offset : offset + HEAD_BYTES], offset, len(data)).end in ends:
                ends.add(offset)
        except CorruptRecordError:  # noqa: PERF203 - aligned magics are rare, those without a valid head rarer
            continue
    first = min(ends)
    return first if first < len(data) else None


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
    """
    frame = as_bytes(frame, "a frame")
    payload, end = read_record(BytesSource(frame, offset), offset)
    if end != offset + len(frame):
        raise CorruptRecordError(f"expected the end of the record, found {offset + len(frame) - end} bytes", offset=end)
    return payload


def read_records(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the payload of every record of *stream*, a seekable binary file, from its start and in file order.

    Raises CorruptRecordError at the first damage, after all records before it, and ParameterError for anything else.
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


def find_record(source: Source, offset: int) -> int | None:
    """Return the first offset from *offset* on at which a whole record starts, or None; to resume after damage.

    A record counts as whole if all its parts are there and the file ends after them or another magic follows. At an
    offset that is not a multiple of 4, which means that bytes were lost or added before it, a second whole record must
    follow in the same way, because an image may contain the bytes of one record by chance.

    Source: ours; MXNet cannot resume after damage.
    """
    window_bytes = _FIRST_WINDOW_BYTES
    # Parts that do not lead to the end of a record. Remembered, as many magics may lead to the same part.
    dead_ends: set[int] = set()
    while len(window := source.read_at(offset, window_bytes)) >= len(MAGIC):
        window_bytes = min(2 * window_bytes, _MAX_WINDOW_BYTES)
        at = window.find(MAGIC)
        while at >= 0:
            if _is_whole_record(source, offset + at, dead_ends, following=1 if (offset + at) % 4 else 0):
                return offset + at
            at = window.find(MAGIC, at + 1)
        offset += len(window) - 3  # so that a magic across the border of two windows is found
    return None


def _is_whole_record(source: Source, offset: int, dead_ends: set[int], *, following: int) -> bool:
    """True if a whole record starts at *offset*, and after it *following* more and a magic, or the end of the file."""
    starts = []
    try:
        for part in _iter_parts(source, offset):
            if part.start in dead_ends:
                raise CorruptRecordError("no whole record")  # noqa: TRY301 - handled as any part that is not valid
            starts.append(part.start)
    except CorruptRecordError:
        dead_ends.update(starts)
        return False
    end = part.end
    if end == source.size:
        return True
    if following:
        return _is_whole_record(source, end, dead_ends, following=following - 1)
    return source.read_at(end, 4) == MAGIC
