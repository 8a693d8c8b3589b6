"""The segments before the image data of a JPEG: its size, its quality, and the EXIF tag for which way up it is.

Nothing is decoded. EXIF data is read here and not by Pillow, which warns of every oddity in the rest of the data, and
takes longer over it than libjpeg takes over a small image.

Source: ITU-T T.81, annex B; the EXIF 2.32 standard, section 4.6.4, tag 274; TIFF 6.0, section 2, for its byte layout.
"""

from __future__ import annotations

import bisect
import functools
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

CUT, STRAY, NO_END = "cut short", "stray bytes", "no end marker"  # what may be wrong with the data of a JPEG
TOO_LARGE = "too many pixels"
_HEADS_KEPT = 1024  # each of 2 kB at the most
END_OF_IMAGE = b"\xff\xd9"
EXIF_PREFIX = b"Exif\x00\x00"
_SEARCH_BYTES = 1 << 16  # no segment is longer
_TABLES, _SCAN = 0xDB, 0xDA  # DQT, SOS
_LOST = -1  # no marker
_START_OF_SCAN = b"\xff\xda"
_HEAD_BYTES = 2048  # of the longest head that is worth keeping; without EXIF they have 600

# The luminance table of T.81, annex K.1, which libjpeg scales by quality; in any order, as only its sum is used.
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29),
    *(51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121),
    *(120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)


def _table_sum(quality: int) -> int:
    """The sum of the luminance table that libjpeg writes for *quality*."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(255, max(1, (value * scale + 50) // 100)) for value in _LUMINANCE)


_SUMS = [_table_sum(quality) for quality in range(100, 0, -1)]  # growing


def _walk(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the data of each segment, then ``_SCAN`` or ``_LOST`` for where they end."""
    at, last = 2, len(content) - 4
    while at <= last and content[at] == 0xFF and content[at + 1] != _SCAN:
        if content[at + 1] == 0xFF:  # any number of them may fill the place before a marker
            at += 1
            continue
        end = at + 2 + (content[at + 2] << 8 | content[at + 3])
        yield content[at + 1], at + 4, end
        at = end
    yield _SCAN if content[at : at + 1] == b"\xff" else _LOST, at, at


def segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, data) of each segment up to the image data; ends at the first byte that fits no segment."""
    for marker, start, end in _walk(content):
        if marker not in (_SCAN, _LOST):
            yield marker, content[start:end]


def head(content: bytes) -> bytes:
    """All that comes before the image data of a JPEG; empty where that is long, or there is no telling.

    Images of one size that one program wrote mostly share it, so what it tells can be kept.
    """
    at = content.find(_START_OF_SCAN, 0, _HEAD_BYTES)
    if at < 0 or len(content) < at + 4:
        return b""
    end = at + 2 + (content[at + 2] << 8 | content[at + 3])
    return content[:end] if end < _HEAD_BYTES else b""


def is_orderly(head: bytes) -> bool:
    """Whether a :func:`head` is segment after segment up to the image data."""
    return all(marker != _LOST for marker, _, _ in _walk(head))


def exif(content: bytes) -> bytes:
    """The EXIF data of a JPEG, with its prefix; empty when there is none."""
    for marker, start, end in _walk(content):
        if marker == _LOST:  # stray bytes between segments: look for it the long way
            found = content.find(EXIF_PREFIX, 0, _SEARCH_BYTES)
            return content[found : found + _SEARCH_BYTES] if found >= 0 else b""
        if content.startswith(EXIF_PREFIX, start):
            return content[start:end]
    return b""


def is_upright(content: bytes) -> bool:
    """Whether a JPEG is decoded as it is stored: its EXIF data says nothing of a turn."""
    known = _head_orientation(start) if (start := head(content)) else None
    return (known or parse_orientation(exif(content))) == UPRIGHT


@functools.lru_cache(maxsize=_HEADS_KEPT)
def _head_orientation(head: bytes) -> int | None:
    return parse_orientation(exif(head)) if is_orderly(head) else None


def estimated_quality(content: bytes) -> int | None:
    """The libjpeg quality, 1 to 100, whose luminance table is nearest to the one in the file; None without a table.

    Exact for files written by libjpeg and its kin with their standard tables; a fair guess for others.
    """
    for marker, data in segments(content):
        if marker == _TABLES and len(data) >= 65 and data[0] & 0x0F == 0:
            wide = data[0] >> 4  # 16-bit values
            values = data[1 : 1 + 64 * (1 + wide)]
            return _nearest_quality(sum(values[1::2]) + 256 * sum(values[::2]) if wide else sum(values))
    return None


def _nearest_quality(total: int) -> int:
    at = bisect.bisect_left(_SUMS, total)
    near = min(range(max(0, at - 1), min(len(_SUMS), at + 1)), key=lambda index: abs(_SUMS[index] - total))
    return 100 - near


UPRIGHT = 1
FIRST_TRANSPOSED = 5  # from this orientation on, width and height change places
ORIENTATION_TAG = 274
ORIENTATIONS = range(1, 9)
_KINDS = {3: "H", 4: "I"}  # TIFF's numbers for 16 bits, as it should be, and 32, as some write it
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}

Image = npt.NDArray[Any]

_TURNS: dict[int, Callable[[Image], Image]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}


def turned(image: Image, orientation: int) -> Image:
    """*image* (height, width, channels) turned upright; contiguous, and a copy only where that is needed."""
    return np.ascontiguousarray(_TURNS[orientation](image))


def parse_orientation(exif: bytes) -> int:
    """The orientation in EXIF data (with or without its ``Exif`` prefix), 1 to 8; ``UPRIGHT`` where it says nothing."""
    tiff = exif.removeprefix(EXIF_PREFIX)
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(at + 2, min(at + 2 + 12 * count, len(tiff)), 12):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", tiff, entry)
            if tag == ORIENTATION_TAG and kind in _KINDS:
                (value,) = struct.unpack_from(order + _KINDS[kind], tiff, entry + 8)
                return value if value in ORIENTATIONS else UPRIGHT
    except struct.error:  # offsets and counts that lead out of the data
        return UPRIGHT
    return UPRIGHT
