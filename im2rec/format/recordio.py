"""RecordIO framing: payloads to frames and back, and how to find a record again behind damage.

A record is stored as one *part*, or as several where its payload holds the magic word at a 4-byte boundary::

    part  =  magic u32 0xced7230a | length word u32: flag << 29 | bytes of data | data | zeros up to 4 bytes

Flags: ``WHOLE`` record in one part; ``FIRST``, ``MIDDLE``, ``LAST`` part of several. Everything is little-endian,
every part starts at a multiple of 4 bytes, and a file is nothing but parts.

Source: dmlc-core include/dmlc/recordio.h, src/recordio.cc.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from im2rec.errors import MAX_PAYLOAD, CorruptRecordError, ParameterError, check_payload

MAGIC = b"\x0a\x23\xd7\xce"
MAGIC_WORD = 0xCED7230A
HEAD_BYTES = 8  # magic and length word
WHOLE, FIRST, MIDDLE, LAST = range(4)
FLAG_SHIFT = 29
LENGTH_MASK = MAX_PAYLOAD

_HEAD = struct.Struct("<II")
_FIND_BYTES = (1 << 12, 1 << 20)  # the first and the longest read in search of a record: most are near
_SMALL_BYTES = 4096  # up to here a search for bytes beats the start of numpy
_CUT_SHORT = "the file was cut short; make or fetch it again"


class Source(Protocol):
    """Bytes at known places: a file, or bytes in memory."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read_at(self, offset: int, size: int) -> bytes:
        """*size* bytes from *offset* on; fewer only where the source ends."""


class Part(NamedTuple):
    """One part: its flag, where its data starts, and how many bytes of data it has."""

    flag: int
    start: int
    length: int

    @property
    def end(self) -> int:
        """The offset behind the padding: where the next part starts."""
        return self.start + (self.length + 3 & -4)


def encode_record(payload: bytes) -> bytes:
    """Frame *payload* as one RecordIO record, ready to append to a ``.rec`` file.

    Returns magic, length word, payload and zero padding: always a multiple of 4 bytes.
    A payload holding the magic at a 4-byte boundary is cut there and the magic itself
    is dropped, so that a reader can find the next record from any aligned offset.
    Raises RecordTooLargeError above ``MAX_PAYLOAD`` bytes, ParameterError for what is no ``bytes``.

    Source: dmlc-core src/recordio.cc, ``RecordIOWriter::WriteRecord``.
    """
    if not isinstance(payload, bytes):
        raise ParameterError(f"a payload must be bytes, not {type(payload).__name__}")
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
    if len(payload) < _SMALL_BYTES and MAGIC not in payload:
        return []
    # As words, at ten times the speed of a search for bytes: this looks at all that is ever packed.
    words = np.frombuffer(payload, "<u4", len(payload) // 4)
    return [4 * int(word) for word in np.flatnonzero(words == MAGIC_WORD)]


def parse_head(head: bytes, offset: int, size: int) -> Part:
    """The part whose first ``HEAD_BYTES`` bytes are *head*, at *offset* of a file of *size* bytes.

    The length is held against the file before anything trusts it. Raises CorruptRecordError with the offset of the
    first byte that is wrong or missing.
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
    """The parts of the record that starts at *offset*, without reading its data.

    Raises CorruptRecordError where the chain breaks: a part that is no first one, a first part followed by another
    first one, an end of file inside, or an inner part whose length is no multiple of 4.
    """
    return list(_chain(source, offset))


def _chain(source: Source, offset: int) -> Iterator[Part]:
    part = parse_head(source.read_at(offset, HEAD_BYTES), offset, source.size)
    if part.flag in (MIDDLE, LAST):
        raise CorruptRecordError(f"expected the start of a record, found a part with flag {part.flag}", offset=offset)
    yield part
    while part.flag in (FIRST, MIDDLE):
        # The writer cuts at aligned magics only, so data before a cut is never padded.
        if part.length % 4:
            problem = f"expected a multiple of 4 bytes before a cut, found {part.length}"
            raise CorruptRecordError(problem, offset=part.start - 4)
        at = part.end
        if at == source.size:
            problem = "expected another part of the record, found the end of the file"
            raise CorruptRecordError(problem, offset=at, hint=_CUT_SHORT)
        part = parse_head(source.read_at(at, HEAD_BYTES), at, source.size)
        if part.flag not in (MIDDLE, LAST):
            problem = f"expected a middle or last part of the record at byte {offset}, found a new record"
            raise CorruptRecordError(problem, offset=at)
        yield part


def read_record(source: Source, offset: int) -> tuple[bytes, int]:
    """The payload of the record at *offset*, and the offset of the record behind it.

    Raises CorruptRecordError as :func:`read_parts` does, and when the padding is not zero: no writer leaves it so,
    and it is the only sign of a length that shrank by a byte or two.
    """
    parts = read_parts(source, offset)
    return join_parts(source, parts), parts[-1].end


def join_parts(source: Source, parts: list[Part]) -> bytes:
    """The payload that *parts* hold between them; raises CorruptRecordError as :func:`read_record` does."""
    return MAGIC.join([_data(source, part) for part in parts])


def plain_end(frame: bytes, *, confirmed: bool) -> int | None:
    """Where the payload ends in a *frame* that is one whole part and nothing else, as nearly all are; None for others.

    A short cut: from ``HEAD_BYTES`` to there is what :func:`read_record` would give; others it must look into.
    *confirmed*: that a record starts behind the frame is known from elsewhere than length words, so that no other
    records can be inside; else they are searched for, which takes as long as reading.
    """
    length = plain_length(frame, len(frame))
    if length is None or (not confirmed and _may_hold_magic(frame)):
        return None
    end = HEAD_BYTES + length
    return end if end == len(frame) or not any(frame[end:]) else None


def plain_length(head: bytes, frame_bytes: int) -> int | None:
    """The bytes of the payload, when *head* says that a frame of so many bytes is one whole part; None for others."""
    if len(head) < HEAD_BYTES:
        return None
    magic, length = _HEAD.unpack_from(head)
    # A flag makes the length far larger than any frame, so that it needs no test of its own.
    return length if magic == MAGIC_WORD and HEAD_BYTES + length + 3 & -4 == frame_bytes else None


def _may_hold_magic(frame: bytes) -> bool:
    """Whether there may be an aligned magic in a *frame*, of a multiple of 4 bytes, behind its head."""
    if len(frame) <= _SMALL_BYTES:
        return frame.find(MAGIC, HEAD_BYTES) >= 0
    return bool((np.frombuffer(frame, "<u4", offset=HEAD_BYTES) == MAGIC_WORD).any())


def read_start(source: Source, offset: int, size: int) -> bytes:
    """The first *size* bytes of the payload of the record at *offset*, all of a shorter one; the rest is not read.

    Raises CorruptRecordError as :func:`read_parts` does.
    """
    parts = read_parts(source, offset)
    start = source.read_at(parts[0].start, min(parts[0].length, size))
    for part in parts[1:]:
        if len(start) >= size:
            break
        start += MAGIC + source.read_at(part.start, min(part.length, size))
    return start[:size]


def _data(source: Source, part: Part) -> bytes:
    data = source.read_at(part.start, part.end - part.start)
    if len(data) < part.end - part.start:
        problem = f"expected {part.end - part.start} bytes of data and padding, found {len(data)}"
        raise CorruptRecordError(problem, offset=part.start, hint="the file was cut while open")
    inside = _swallowed(data)
    if inside is not None:
        problem = f"the length word says {part.length} bytes, but another record starts at byte {part.start + inside}"
        raise CorruptRecordError(problem, offset=part.start - 4)
    if any(data[part.length :]):
        problem = f"expected zero padding, found {data[part.length :].hex(' ')}"
        raise CorruptRecordError(problem, offset=part.start + part.length, hint="the length word may be damaged")
    return data[: part.length]


def _swallowed(data: bytes) -> int | None:
    """Where in *data* whole parts begin that reach up to its end: records that a wrong length word has swallowed.

    A magic that just happens to be there, in a file of a writer that does not cut, is not taken for one.
    """
    ends = {len(data)}
    for at in reversed(_aligned_magics(data)):
        try:
            if parse_head(data[at : at + HEAD_BYTES], at, len(data)).end in ends:
                ends.add(at)
        except CorruptRecordError:  # noqa: PERF203 - an aligned magic is rare, one that is no head rarer
            continue
    first = min(ends)
    return first if first < len(data) else None


class BytesSource:
    """A :class:`Source` over bytes in memory, placed at *base* of a file of *size* bytes."""

    def __init__(self, data: bytes, base: int = 0, size: int | None = None) -> None:
        self.data = data
        self.base = base
        self.size = base + len(data) if size is None else size

    def read_at(self, offset: int, size: int) -> bytes:
        """*size* bytes from file offset *offset* on, as far as the data reaches."""
        at = offset - self.base
        return self.data[at : at + size] if at >= 0 else b""


def decode_record(frame: bytes, offset: int = 0) -> bytes:
    """The payload of the one record that *frame* holds whole; *offset* is its place in the file, for messages."""
    payload, end = read_record(BytesSource(frame, offset), offset)
    if end != offset + len(frame):
        raise CorruptRecordError(f"expected the end of the record, found {offset + len(frame) - end} bytes", offset=end)
    return payload


def read_records(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the payloads of a seekable *stream*, in file order, from its start.

    Raises CorruptRecordError at the first damage, after every whole record before it.
    """
    source, offset = _StreamSource(stream), 0
    while offset < source.size:
        payload, offset = read_record(source, offset)
        yield payload


class _StreamSource:
    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.size = stream.seek(0, 2)

    def read_at(self, offset: int, size: int) -> bytes:
        self.stream.seek(offset)
        return self.stream.read(size)


def find_record(source: Source, offset: int) -> int | None:
    """The first offset from *offset* on where a whole record starts, or None: the way back in behind damage.

    A record counts when its chain of parts is complete and the file ends there or goes on with another magic. A
    record found off the 4-byte grid means that bytes were lost or added before it; as an image may hold such bytes by
    chance, another whole record must then follow it and go on in the same way, or end with the file.

    Source: ours; the reference has no way back.
    """
    wanted, longest = _FIND_BYTES
    dead_ends: set[int] = set()  # parts from which no chain comes to an end: looked at once, however many lead there
    while offset < source.size:
        window = source.read_at(offset, wanted)
        wanted = min(2 * wanted, longest)
        at = window.find(MAGIC)
        while at >= 0:
            if _whole_record(source, offset + at, dead_ends, follow=1 if (offset + at) % 4 else 0):
                return offset + at
            at = window.find(MAGIC, at + 1)
        if offset + len(window) >= source.size or len(window) < len(MAGIC):  # the end, or a file cut while open
            return None
        offset += len(window) - 3  # a magic may lie across the border of two windows
    return None


def _whole_record(source: Source, offset: int, dead_ends: set[int], *, follow: int) -> bool:
    seen = []
    try:
        for part in _chain(source, offset):
            if part.start in dead_ends:
                raise CorruptRecordError("leads nowhere")  # noqa: TRY301 - as what made it one
            seen.append(part.start)
    except CorruptRecordError:
        dead_ends.update(seen)
        return False
    end = part.end
    if end == source.size:
        return True
    if follow:
        return _whole_record(source, end, dead_ends, follow=follow - 1)
    return source.read_at(end, 4) == MAGIC
