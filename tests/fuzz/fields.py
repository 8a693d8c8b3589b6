"""The fields that a parser trusts in its input: heads, lengths, counts. Each function takes any bytes."""

from __future__ import annotations

import hashlib
import pickletools
import zlib

from fuzz.mutations import BIG, FIXED, LITTLE, TEXT, Field, number_fields

from im2rec.format.recordio import MAGIC

_MOST_FIELDS = 200  # of one input, so that a large one is mutated as quickly


def of_frames(data: bytes, start: int = 0) -> list[Field]:
    """Return the magic and the length word of each part head."""
    fields, at = [], data.find(MAGIC, start)
    while at >= 0 and len(data) >= at + 8 and len(fields) < _MOST_FIELDS:
        fields += [Field(at, 4), Field(at + 4, 4), Field(at + 4, 4), Field(at + 4, 1)]
        at = data.find(MAGIC, at + 4)
    return fields


def of_pair(data: bytes) -> list[Field]:
    """Return the fields of a ``.rec`` and the numbers of its index."""
    size = int.from_bytes(data[:4], "little")
    index = data[4 : 4 + size][:4096]
    numbers = [Field(4 + start, length, TEXT) for start, length, _ in number_fields(index)]
    return [*of_frames(data, min(len(data), 4 + size)), *numbers[:_MOST_FIELDS]]


def of_header(data: bytes) -> list[Field]:
    """Return the four fields of an image header, and the first labels."""
    return _within(data, [Field(0, 4), Field(0, 4), Field(4, 4), Field(8, 8), Field(16, 8), Field(24, 4)])


def of_arrays(data: bytes) -> list[Field]:
    """Return the numbers of the heads of an array file, which are at multiples of 4, and that of its names."""
    starts = [*range(0, 80, 4), max(0, len(data) - 16), max(0, len(data) - 8)]
    return _within(data, [Field(start, size) for start in starts for size in (4, 8)])


def of_idx(data: bytes) -> list[Field]:
    """Return the four numbers of an IDX file, or those of a gzip file."""
    if data.startswith(b"\x1f\x8b"):
        return _within(data, [Field(3, 1), Field(4, 4), *(Field(len(data) - at, 4) for at in (4, 8) if len(data) > 8)])
    return _within(data, [Field(start, 4, BIG) for start in (0, 4, 8, 12)])


def of_pickle(data: bytes) -> list[Field]:
    """Return the opcodes, and the numbers and lengths that follow them."""
    fields = []
    try:
        for opcode, argument, at in pickletools.genops(data):
            if at is None or len(fields) > _MOST_FIELDS:
                break
            fields.append(Field(at, 1))
            if argument is not None:
                fields += [Field(at + 1, size) for size in (1, 4, 8) if opcode.arg is not None]
    except Exception:  # noqa: BLE001 - pickletools raises errors of any class for damaged bytes
        fields.append(Field(0, 1))
    return _within(data, fields)


def of_tar(data: bytes) -> list[Field]:
    """Return name, size, checksum, type, link and magic of each member, also in the digits of their numbers."""
    if data.startswith(b"\x1f\x8b"):
        return of_idx(data)
    fields = []
    for at in range(0, min(len(data), 1 << 15), 512):
        if data[at + 257 : at + 262] == b"ustar":
            fields += [Field(at + 124, 12, FIXED), Field(at + 124, 1), Field(at + 134, 1), Field(at + 148, 8)]
            fields += [Field(at + 156, 1), Field(at + 257, 8), Field(at + 345, 8), Field(at, 1)]
    return _within(data, fields)


def of_jpeg(data: bytes) -> list[Field]:
    """Return marker, length and first bytes of each segment: precision, size and components, tables."""
    fields, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and len(fields) < _MOST_FIELDS:
        fields += [Field(at + 1, 1), Field(at + 2, 2, BIG)]
        fields += [Field(at + 4 + number, 1) for number in range(20)]
        fields += [Field(at + 5, 2, BIG), Field(at + 7, 2, BIG)]
        if data[at + 1] == 0xDA:
            break
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return _within(data, fields)


def of_tiff(data: bytes) -> list[Field]:
    """Return the offset of the first directory, and tag, type, count and value of each entry."""
    order = LITTLE if data.startswith(b"II") else BIG
    is_big = data[2:4] in (b"+\0", b"\0+")
    wide, start, first = (8, 8, 8) if is_big else (4, 2, 4)
    at = int.from_bytes(data[first : first + wide], order)  # type: ignore[arg-type]
    fields = [Field(first, wide, order), Field(at, start, order)]
    count = min(40, int.from_bytes(data[at : at + start], order))  # type: ignore[arg-type]
    for entry in range(at + start, at + start + count * (4 + 2 * wide), 4 + 2 * wide):
        fields += [Field(entry, 2, order), Field(entry + 2, 2, order), Field(entry + 4, wide, order)]
        fields += [Field(entry + 4 + wide, size, order) for size in (2, wide)]
    return _within(data, fields)


def of_image(data: bytes) -> list[Field]:
    """Return the lengths and heads of chunks in a PNG, and the first numbers of any other kind."""
    if data.startswith(b"\x89PNG"):
        fields, at = [], 8
        while at + 12 <= len(data) and len(fields) < _MOST_FIELDS:
            fields += [Field(at, 4, BIG), Field(at + 4, 1), Field(at + 8, 4, BIG), Field(at + 12, 4, BIG)]
            fields += [Field(at + 16 + number, 1) for number in range(5)]
            at += 12 + int.from_bytes(data[at : at + 4], "big")
        return _within(data, fields)
    if data.startswith(b"P"):
        return number_fields(data[:64])
    order = LITTLE if data.startswith((b"BM", b"GIF", b"RIFF")) else BIG
    return _within(data, [Field(start, size, order) for start in range(4, 120, 2) for size in (1, 2, 4)])


def with_checksums(data: bytes) -> bytes:
    """Return a tar file or a PNG with the checksums that fit its content, so that a damage gets past them."""
    if data.startswith(b"\x89PNG"):
        return _with_crcs(data)
    mended = bytearray(data)
    for at in range(0, min(len(data), 1 << 15) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            block = mended[at : at + 512]
            block[148:156] = b" " * 8
            mended[at + 148 : at + 156] = b"%06o\0 " % sum(block)
    return bytes(mended)


def with_end_line(digest: bytes) -> bytes:
    """Return the lines of a digest file with the last one, their checksum, as it should be."""
    lines = digest[: digest.rfind(b"\n", 0, -1) + 1]
    return lines + b"end %s\n" % hashlib.sha256(lines).hexdigest().encode()


def _with_crcs(data: bytes) -> bytes:
    mended, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        mended[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(mended)


def _within(data: bytes, fields: list[Field]) -> list[Field]:
    return [field for field in fields if 0 <= field.start <= field.start + field.size <= len(data)]
