"""The header of a JPEG: all segments before its image data, and whether the compiled decoder supports the image.

A JPEG begins with segments: 0xFF, a marker byte, a length of two bytes that counts itself, data. They hold the
quantisation tables (DQT), the size and the components (SOF), the Huffman tables (DHT), and at last the start of the
scan (SOS), which the compressed data follows.

The compiled decoder supports what nearly all files are: 8 bits, sequential, Huffman codes, one scan, grey or YCbCr with
the chroma at full size, half width, or half width and height (4:4:4, 4:2:2, 4:2:0). Everything else is refused, with a
reason of a few words, and left to libjpeg; so is every oddity of which libjpeg may warn: a refusal costs time and is
never wrong.

Source: ITU-T T.81, annex B (segments), C (Huffman tables); libjpeg-turbo jdmarker.c and jdapimin.c,
``default_decompress_parms``, for the colour space; measured against simplejpeg 1.9, strict mode.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import NamedTuple

from im2rec.images import jpeg

MAX_SIDE = 65500  # JPEG_MAX_DIMENSION of libjpeg
MAX_QUANTUM = 32767  # a larger step does not fit the 16 bits that libjpeg-turbo multiplies in
SOS, EOI = 0xDA, 0xD9
_SOF_BASELINE, _SOF_EXTENDED, _DHT, _DQT, _DRI, _COM = 0xC0, 0xC1, 0xC4, 0xDB, 0xDD, 0xFE
_APP0, _APP14, _APP_LAST = 0xE0, 0xEE, 0xEF
_UNSUPPORTED_FRAMES = {0xC2: "progressive", 0xC3: "lossless", 0xC9: "arithmetic coding", 0xCA: "arithmetic coding"}
_ADOBE_BYTES, _JFIF_BYTES = 12, 14  # libjpeg ignores shorter ones: APP14_DATA_LEN, APP0_DATA_LEN of jdmarker.c
_MAX_CODES = 256
_MAX_DC_BITS = 15  # of a DC difference; libjpeg refuses tables with more
_MAX_CACHED_HEADERS = 512  # most have 600 bytes
_MAX_CACHED_BYTES = 1 << 13
_RGB_IDS = (82, 71, 66)  # "R", "G", "B"

DAMAGED, RESTARTS, SAMPLING = "damaged head", "restart markers", "sampling factors"
# Columns and rows of luma for one of chroma, by the sampling factors of the components.
_SAMPLINGS: dict[tuple[tuple[int, int], ...], tuple[int, int]] = {
    ((1, 1),): (1, 1),
    ((1, 1), (1, 1), (1, 1)): (1, 1),
    ((2, 1), (1, 1), (1, 1)): (2, 1),
    ((2, 2), (1, 1), (1, 1)): (2, 2),
}


class HuffmanSpec(NamedTuple):
    """A Huffman table as stored in the file: the numbers of codes of 1 to 16 bits, and the symbols in their order."""

    counts: bytes
    symbols: bytes


class Component(NamedTuple):
    """One of the one or three components of an image, with its tables."""

    quanta: tuple[int, ...]  # 64, in zigzag order
    dc: HuffmanSpec
    ac: HuffmanSpec


@dataclass(frozen=True, eq=False)  # hashed by identity, which is quick; equal headers are the same object, mostly
class JpegHeader:
    """Size, sampling and tables of a JPEG.

    *reason* is empty if the compiled decoder supports the image; else it is why not, and all other fields are unset.
    """

    reason: str
    height: int = 0
    width: int = 0
    luma_v: int = 1  # rows of luma for one of chroma
    luma_h: int = 1
    components: tuple[Component, ...] = ()


class RefusedError(Exception):
    """Raised at the first thing in a header that is not supported; its only argument is the reason."""


@dataclass
class ParsedSegments:
    """The content of the segments read so far."""

    quanta: dict[int, tuple[int, ...]] = field(default_factory=dict)
    huffman: dict[int, HuffmanSpec] = field(default_factory=dict)  # by class << 4 | number; class 0 is DC, 1 AC
    frame: bytes = b""  # the data of SOF
    jfif: bool = False
    adobe: int | None = None  # the colour transform of the Adobe segment: 0 RGB or CMYK, 1 YCbCr, 2 YCCK


def read_header(content: bytes) -> tuple[JpegHeader, int]:
    """The header of a JPEG, and the offset of its image data. Images with equal headers share the header object."""
    head = jpeg.header_bytes(content)
    if head:
        known = _cached_header(head)
        if known.reason != DAMAGED:
            return known, len(head)
    return _read_long_header(content)


def _read_long_header(content: bytes) -> tuple[JpegHeader, int]:
    """The header and data offset of a JPEG with long segments, as of EXIF.

    Only the segments that influence the pixels are parsed and cached, so that images that differ in the others share a
    header.
    """
    parts, at = [content[:2]], 2
    while content[at : at + 1] == b"\xff":
        marker = content[at + 1 : at + 2]
        if marker == b"\xff":  # a fill byte; any number of them may precede a marker (T.81, B.1.1.2)
            at += 1
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        number = marker[0] if marker else 0
        if not (_APP0 < number <= _APP_LAST and number != _APP14) and number != _COM:
            parts.append(content[at:end])
        if number == SOS:
            head = b"".join(parts)
            # Of hostile images, each of megabytes of tables, those that are kept would fill the memory.
            return (_cached_header if len(head) <= _MAX_CACHED_BYTES else _header_of)(head), end
        at = end
    return JpegHeader(DAMAGED), len(content)


@functools.lru_cache(maxsize=_MAX_CACHED_HEADERS)
def _cached_header(head: bytes) -> JpegHeader:
    return _header_of(head)


def _header_of(head: bytes) -> JpegHeader:
    try:
        return _parse_header(head)
    except RefusedError as refusal:
        return JpegHeader(str(refusal))


def _parse_header(head: bytes) -> JpegHeader:
    """Parse *head*, all bytes from the first marker up to the image data. Raises RefusedError."""
    parsed, at = ParsedSegments(), 2
    _require(head[:2] == b"\xff\xd8")
    while True:
        _require(len(head) >= at + 4 and head[at] == 0xFF)
        marker, end = head[at + 1], at + 2 + int.from_bytes(head[at + 2 : at + 4], "big")
        if marker == 0xFF:
            at += 1
            continue
        _require(at + 4 <= end <= len(head))
        data = head[at + 4 : end]
        if marker == SOS:
            _require(end == len(head))
            return finish_header(parsed, data)
        apply_segment(parsed, marker, data)
        at = end


def apply_segment(parsed: ParsedSegments, marker: int, data: bytes) -> None:
    """Add the content of a segment, whose *data* follows the length, to *parsed*. Raises RefusedError."""
    if marker in (_SOF_BASELINE, _SOF_EXTENDED):
        _require(not parsed.frame and len(data) >= 6)
        parsed.frame = data
    elif marker == _DQT:
        _apply_dqt(parsed, data)
    elif marker == _DHT:
        _apply_dht(parsed, data)
    elif marker == _DRI:
        _require(len(data) == 2)
        _require(data == b"\0\0", RESTARTS)
    elif marker == _APP0 and data[:5] == b"JFIF\0" and len(data) >= _JFIF_BYTES:
        _require(data[5] == 1, "version of JFIF")  # libjpeg warns of others
        parsed.jfif = True
    elif marker == _APP14 and data[:5] == b"Adobe" and len(data) >= _ADOBE_BYTES:
        parsed.adobe = data[11]
    else:
        reason = _UNSUPPORTED_FRAMES.get(marker, "kind of frame or marker")
        _require(_APP0 <= marker <= _APP_LAST or marker == _COM, reason)


def _apply_dqt(parsed: ParsedSegments, data: bytes) -> None:
    """Add quantisation tables: precision and number in one byte, then 64 values in zigzag order. T.81, B.2.4.1."""
    while data:
        width, number = 1 + (data[0] >> 4), data[0] & 15
        _require(width <= 2 and number < 4 and len(data) >= 1 + 64 * width)
        quanta = tuple(int.from_bytes(data[1 + i * width : 1 + (i + 1) * width], "big") for i in range(64))
        _require(max(quanta) <= MAX_QUANTUM, "quantisation")
        parsed.quanta[number] = quanta
        data = data[1 + 64 * width :]


def _apply_dht(parsed: ParsedSegments, data: bytes) -> None:
    """Add Huffman tables: class and number in one byte, 16 counts, then the symbols. T.81, B.2.4.2."""
    while data:
        counts = data[1:17]
        total = sum(counts)
        _require(data[0] & 0xEC == 0 and len(data) >= 17 + total and total <= _MAX_CODES)
        symbols = data[17 : 17 + total]
        code = 0
        for bits, count in enumerate(counts, start=1):
            # The codes must fit their length with one to spare: no code is all ones (T.81, C.2).
            _require(not count or code + count < 1 << bits)
            code = (code + count) << 1
        _require(data[0] >> 4 != 0 or all(symbol <= _MAX_DC_BITS for symbol in symbols))
        parsed.huffman[data[0]] = HuffmanSpec(counts, symbols)
        data = data[17 + total :]


def finish_header(parsed: ParsedSegments, scan: bytes) -> JpegHeader:
    """The header, completed by the data of SOS, *scan*, which assigns tables to the components. T.81, B.2.2, B.2.3.

    Raises RefusedError.
    """
    frame = parsed.frame
    _require(frame)
    height, width, count = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    _require(frame[0] == 8, "bits a sample")
    _require(count in (1, 3), "CMYK" if count == 4 else "components")
    _require(len(frame) == 6 + 3 * count and 0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE)
    _require(scan and scan[0] == count and len(scan) == 4 + 2 * count, "several scans")
    _require(scan[-3:] == b"\0\x3f\0")  # coefficients 0 to 63, at full precision: not a part of a progressive image
    ids = tuple(frame[6::3])
    _require(len(set(ids)) == count and ids == tuple(scan[1:-3:2]))
    _require(count == 1 or _is_ycbcr(parsed, ids), "RGB")
    factors = tuple((byte >> 4, byte & 15) for byte in frame[7::3])
    sampling = _SAMPLINGS.get(factors)
    if sampling is None:
        raise RefusedError(SAMPLING)
    try:
        components = tuple(
            Component(parsed.quanta[quanta], parsed.huffman[codes >> 4], parsed.huffman[0x10 | codes & 15])
            for quanta, codes in zip(frame[8::3], scan[2:-3:2], strict=True)
        )
    except KeyError:
        raise RefusedError("no table") from None
    return JpegHeader("", height, width, sampling[1], sampling[0], components)


def _is_ycbcr(parsed: ParsedSegments, ids: tuple[int, ...]) -> bool:
    """True if libjpeg takes the three components for YCbCr, not RGB: JFIF decides first, then Adobe, then the ids."""
    if parsed.jfif:
        return True
    if parsed.adobe is not None:
        return parsed.adobe == 1  # libjpeg warns of others than 0 and 1
    return ids != _RGB_IDS


def _require(condition: object, reason: str = DAMAGED) -> None:
    if not condition:
        raise RefusedError(reason)
