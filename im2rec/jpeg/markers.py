"""The head of a JPEG: what has to be known before its image data can be decoded, and whether the kernel takes it.

A JPEG begins with segments: 0xFF, a marker byte, a length of two bytes that counts itself, data. They hold the
quantisation tables (DQT), the size and the components (SOF), the Huffman tables (DHT), and at last the start of the
scan (SOS), behind which the compressed data lies.

The kernel takes what nearly all files are: 8 bits, sequential, Huffman codes, one scan, grey or YCbCr with the
chroma at full, half width, or half width and height. Everything else has a word for why it is left to libjpeg, and so
has everything odd that libjpeg may warn of: a refusal costs time and is never wrong.

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
_OTHER_FRAMES = {0xC2: "progressive", 0xC3: "lossless", 0xC9: "arithmetic coding", 0xCA: "arithmetic coding"}
_ADOBE_BYTES, _JFIF_BYTES = 12, 14  # of their segments, as many as libjpeg wants to see
_MOST_CODES = 256
_DC_MOST_BITS = 15  # of a difference
_HEADS_KEPT = 512  # most are of 600 bytes
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
    """A Huffman table as the file has it: how many codes there are of 1 to 16 bits, and what they stand for."""

    counts: bytes
    symbols: bytes


class Component(NamedTuple):
    """One of the one or three components of an image, with its tables."""

    quanta: tuple[int, ...]  # 64, in the order of the zigzag
    dc: HuffmanSpec
    ac: HuffmanSpec


@dataclass(frozen=True, eq=False)  # hashed by identity, which is quick
class JpegHeader:
    """What the head of a JPEG tells. *reason* is empty when the kernel takes the image, else the word for why not."""

    reason: str
    height: int = 0
    width: int = 0
    luma_v: int = 1  # rows of luma for one of chroma
    luma_h: int = 1
    components: tuple[Component, ...] = ()


class RefusedError(Exception):
    """Ends the reading of a head; its only argument is the reason."""


@dataclass
class ParsedSegments:
    """What has been read of a head so far."""

    quanta: dict[int, tuple[int, ...]] = field(default_factory=dict)
    huffman: dict[int, HuffmanSpec] = field(default_factory=dict)  # by class << 4 | number
    frame: bytes = b""
    jfif: bool = False
    adobe: int | None = None  # its colour transform


def read_header(content: bytes) -> tuple[JpegHeader, int]:
    """The head of a JPEG, and where its image data starts. Images that share a head share the object as well."""
    head = jpeg.header_bytes(content)
    if head:
        known = _known(head)
        if known.reason != DAMAGED:
            return known, len(head)
    return _read_long(content)


def _read_long(content: bytes) -> tuple[JpegHeader, int]:
    """The same for a head with long segments: what decides about the pixels is picked out of it, and that is kept."""
    parts, at = [content[:2]], 2
    while content[at : at + 1] == b"\xff":
        marker = content[at + 1 : at + 2]
        if marker == b"\xff":  # any number of them may fill the place before a marker
            at += 1
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        number = marker[0] if marker else 0
        if not (_APP0 < number <= _APP_LAST and number != _APP14) and number != _COM:
            parts.append(content[at:end])
        if number == SOS:
            return _known(b"".join(parts)), end
        if end <= at + 2 or end > len(content):
            break
        at = end
    return JpegHeader(DAMAGED), len(content)


@functools.lru_cache(maxsize=_HEADS_KEPT)
def _known(head: bytes) -> JpegHeader:
    try:
        return _read(head)
    except RefusedError as refusal:
        return JpegHeader(str(refusal))


def _read(head: bytes) -> JpegHeader:
    """Read *head*, from the first marker up to the image data. Raises RefusedError."""
    found, at = ParsedSegments(), 2
    _demand(head[:2] == b"\xff\xd8")
    while True:
        _demand(len(head) >= at + 4 and head[at] == 0xFF)
        marker, end = head[at + 1], at + 2 + int.from_bytes(head[at + 2 : at + 4], "big")
        if marker == 0xFF:
            at += 1
            continue
        _demand(at + 4 <= end <= len(head))
        data = head[at + 4 : end]
        if marker == SOS:
            _demand(end == len(head))
            return complete(found, data)
        take(found, marker, data)
        at = end


def take(found: ParsedSegments, marker: int, data: bytes) -> None:
    """Note what the segment *data* says."""
    if marker in (_SOF_BASELINE, _SOF_EXTENDED):
        _demand(not found.frame and len(data) >= 6)
        found.frame = data
    elif marker == _DQT:
        _take_quanta(found, data)
    elif marker == _DHT:
        _take_codes(found, data)
    elif marker == _DRI:
        _demand(len(data) == 2)
        _demand(data == b"\0\0", RESTARTS)
    elif marker == _APP0 and data[:5] == b"JFIF\0" and len(data) >= _JFIF_BYTES:
        _demand(data[5] == 1, "version of JFIF")  # libjpeg warns of others
        found.jfif = True
    elif marker == _APP14 and data[:5] == b"Adobe" and len(data) >= _ADOBE_BYTES:
        found.adobe = data[11]
    else:
        _demand(_APP0 <= marker <= _APP_LAST or marker == _COM, _OTHER_FRAMES.get(marker, "kind of frame or marker"))


def _take_quanta(found: ParsedSegments, data: bytes) -> None:
    """Quantisation tables: precision and number in one byte, then 64 values, in the order of the zigzag. B.2.4.1."""
    while data:
        width, number = 1 + (data[0] >> 4), data[0] & 15
        _demand(width <= 2 and number < 4 and len(data) >= 1 + 64 * width)
        quanta = tuple(int.from_bytes(data[1 + i * width : 1 + (i + 1) * width], "big") for i in range(64))
        _demand(max(quanta) <= MAX_QUANTUM, "quantisation")
        found.quanta[number] = quanta
        data = data[1 + 64 * width :]


def _take_codes(found: ParsedSegments, data: bytes) -> None:
    """Huffman tables: class and number in one byte, 16 counts, then the symbols. B.2.4.2."""
    while data:
        counts = data[1:17]
        total = sum(counts)
        _demand(data[0] & 0xEC == 0 and len(data) >= 17 + total and total <= _MOST_CODES)
        symbols = data[17 : 17 + total]
        code = 0
        for bits, count in enumerate(counts, start=1):
            # They must fit, with one to spare: no code is all ones.
            _demand(not count or code + count < 1 << bits)
            code = (code + count) << 1
        _demand(data[0] >> 4 != 0 or all(symbol <= _DC_MOST_BITS for symbol in symbols))
        found.huffman[data[0]] = HuffmanSpec(counts, symbols)
        data = data[17 + total :]


def complete(found: ParsedSegments, scan: bytes) -> JpegHeader:
    """The head with the start of its *scan*, which names the tables of each component. B.2.2, B.2.3."""
    frame = found.frame
    _demand(frame)
    height, width, count = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    _demand(frame[0] == 8, "bits a sample")
    _demand(count in (1, 3), "CMYK" if count == 4 else "components")
    _demand(len(frame) == 6 + 3 * count and 0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE)
    _demand(scan and scan[0] == count and len(scan) == 4 + 2 * count, "several scans")
    _demand(scan[-3:] == b"\0\x3f\0")
    ids = tuple(frame[6::3])
    _demand(len(set(ids)) == count and ids == tuple(scan[1:-3:2]))
    _demand(count == 1 or _is_ycbcr(found, ids), "RGB")
    factors = tuple((byte >> 4, byte & 15) for byte in frame[7::3])
    sampling = _SAMPLINGS.get(factors)
    if sampling is None:
        raise RefusedError(SAMPLING)
    try:
        components = tuple(
            Component(found.quanta[quanta], found.huffman[codes >> 4], found.huffman[0x10 | codes & 15])
            for quanta, codes in zip(frame[8::3], scan[2:-3:2], strict=True)
        )
    except KeyError:
        raise RefusedError("no table") from None
    return JpegHeader("", height, width, sampling[1], sampling[0], components)


def _is_ycbcr(found: ParsedSegments, ids: tuple[int, ...]) -> bool:
    """Whether libjpeg takes three components for YCbCr, not RGB."""
    if found.jfif:
        return True
    if found.adobe is not None:
        return found.adobe == 1  # libjpeg warns of others than 0 and 1
    return ids != _RGB_IDS


def _demand(condition: object, reason: str = DAMAGED) -> None:
    if not condition:
        raise RefusedError(reason)
