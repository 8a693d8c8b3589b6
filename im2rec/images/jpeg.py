"""JPEG segments before the image data: estimated quality, EXIF orientation, and the header bytes to cache by.

Nothing is decoded here. EXIF data is parsed here and not by Pillow, which warns about every oddity in the rest of the
data and takes longer for it than libjpeg takes to decode a small image.

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

CUT, STRAY, NO_END = "cut short", "stray bytes", "no end marker"  # flaws of a JPEG's data
TOO_LARGE = "too many pixels"
END_OF_IMAGE = b"\xff\xd9"
EXIF_PREFIX = b"Exif\x00\x00"
UPRIGHT = 1
FIRST_TRANSPOSED = 5  # orientations from here to 8 exchange width and height
ORIENTATION_TAG = 274
ORIENTATIONS = range(1, 9)

_DQT, _SOS = 0xDB, 0xDA
_BASELINE = (0xC0, 0xC1)  # SOF0 and SOF1
_SEQUENTIAL = (*_BASELINE, 0xC3, 0xC9)  # and the lossless and the arithmetic one
_NOT_A_MARKER = -1  # yielded in place of a marker where a segment is followed by other bytes
_START_OF_SCAN = b"\xff\xda"
_MAX_HEADER_BYTES = 2048  # longer headers are not cached; one without EXIF data has 600 bytes
_CACHED_HEADERS = 1024
_EXIF_SEARCH_BYTES = 1 << 16  # more than the data of the longest segment
_TIFF_TYPES = {3: "H", 4: "I"}  # 16 bits, as the standard demands, and 32 bits, as some cameras write
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}

# The luminance table of T.81, annex K.1, which libjpeg scales by quality; row by row, but only its sum is used.
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29),
    *(51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121),
    *(120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)

Image = npt.NDArray[Any]


def _table_sum(quality: int) -> int:
    """Sum of the 64 values of the luminance table that libjpeg writes for *quality*, 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(255, max(1, (value * scale + 50) // 100)) for value in _LUMINANCE)


_TABLE_SUMS = [_table_sum(quality) for quality in range(100, 0, -1)]  # ascending: quality 100 first


def _walk(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of the data of each segment, and at last what ends the walk, with its offset twice.

    That is ``_SOS``, also for any other marker too close to the end of *content* to have a length, or
    ``_NOT_A_MARKER``.
    """
    offset, last = 2, len(content) - 4
    while offset <= last and content[offset] == 0xFF and content[offset + 1] != _SOS:
        if content[offset + 1] == 0xFF:  # any number of fill bytes may precede a marker (T.81, B.1.1.2)
            offset += 1
            continue
        end = offset + 2 + (content[offset + 2] << 8 | content[offset + 3])
        yield content[offset + 1], offset + 4, end
        offset = end
    yield _SOS if content[offset : offset + 1] == b"\xff" else _NOT_A_MARKER, offset, offset


def segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, data) of each segment before the image data; stop at the first byte that is not a marker."""
    for marker, start, end in _walk(content):
        if marker not in (_SOS, _NOT_A_MARKER):
            yield marker, content[start:end]


def header_bytes(content: bytes) -> bytes:
    """Return everything before the image data of a JPEG; empty if that is 2048 bytes or more, or cannot be found.

    Images of one size written by one program mostly share these bytes, so what is parsed from them can be cached.
    The image data is found by the first start-of-scan marker, which may be that of a thumbnail in the EXIF data:
    :func:`is_well_formed` is False for the result then.
    """
    scan = content.find(_START_OF_SCAN, 0, _MAX_HEADER_BYTES)
    if scan < 0 or len(content) < scan + 4:
        return b""
    end = scan + 2 + (content[scan + 2] << 8 | content[scan + 3])
    return content[:end] if end < _MAX_HEADER_BYTES else b""


def is_well_formed(header: bytes) -> bool:
    """True if *header*, from :func:`header_bytes`, is segment after segment up to the image data."""
    return all(marker != _NOT_A_MARKER for marker, _, _ in _walk(header))


def exif(content: bytes) -> bytes:
    """Return the EXIF data of a JPEG, including its ``Exif`` prefix; empty if there is none.

    Where the walk over the segments ends at bytes that are not a marker, which decoders skip, the first 64 KiB are
    searched for the prefix instead.
    """
    for marker, start, end in _walk(content):
        if marker == _NOT_A_MARKER:
            prefix = content.find(EXIF_PREFIX, 0, _EXIF_SEARCH_BYTES)
            return content[prefix : prefix + _EXIF_SEARCH_BYTES] if prefix >= 0 else b""
        if content.startswith(EXIF_PREFIX, start):
            return content[start:end]
    return b""


def is_upright(content: bytes) -> bool:
    """True if the EXIF orientation of a JPEG is 1 or not given, so that its pixels need no turning."""
    header = header_bytes(content)
    orientation = _header_orientation(header) if header else None
    return (orientation or parse_orientation(exif(content))) == UPRIGHT


@functools.lru_cache(maxsize=_CACHED_HEADERS)
def _header_orientation(header: bytes) -> int | None:
    """EXIF orientation in *header*; None if it is not well formed, so that the whole file is needed."""
    return parse_orientation(exif(header)) if is_well_formed(header) else None


def is_baseline(content: bytes) -> bool:
    """True if a JPEG is decoded row by row. Of a progressive one all coefficients are in memory at once."""
    return any(marker in _BASELINE for marker, _, _ in _walk(content))


def scan_count(content: bytes) -> int:
    """Return the number of scans that libjpeg decodes of a JPEG: 1 where the first has all components, as in most.

    Each of them may be a few bytes that it takes as long to decode as the whole image.
    """
    components = 256  # if there is no frame header, all scans count
    for marker, start, _ in _walk(content):
        if marker in _SEQUENTIAL:
            components = int.from_bytes(content[start + 5 : start + 6], "big")
        if marker == _SOS and 0 < components <= int.from_bytes(content[start + 4 : start + 5], "big"):
            return 1
    return content.count(_START_OF_SCAN)


def estimated_quality(content: bytes) -> int | None:
    """Return the libjpeg quality, 1 to 100, whose luminance table is nearest to that of the file; None without a table.

    The estimate is exact for the standard tables of libjpeg and its relatives, and fair for other tables.
    """
    for marker, data in segments(content):
        if marker == _DQT and data and data[0] & 0x0F == 0:  # table 0 is that of luminance
            is_16_bit = data[0] >> 4 == 1
            values = data[1 : 1 + 64 * (1 + is_16_bit)]
            if len(values) < 64 * (1 + is_16_bit):  # cut short
                continue
            return _nearest_quality(sum(values[1::2]) + 256 * sum(values[::2]) if is_16_bit else sum(values))
    return None


def _nearest_quality(total: int) -> int:
    """The quality whose luminance table has the sum nearest to *total*; the better one on a tie."""
    index = bisect.bisect_left(_TABLE_SUMS, total)
    nearest = min(range(max(0, index - 1), min(len(_TABLE_SUMS), index + 1)), key=lambda i: abs(_TABLE_SUMS[i] - total))
    return 100 - nearest


_VIEWS: dict[int, Callable[[Image], Image]] = {  # by EXIF orientation
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}


def apply_orientation(image: Image, orientation: int) -> Image:
    """Turn *image*, (height, width, channels), upright; return a contiguous array, *image* itself where it is one."""
    return np.ascontiguousarray(_VIEWS[orientation](image))


def parse_orientation(exif: bytes) -> int:
    """Return the orientation in EXIF data, 1 to 8; ``UPRIGHT`` if it is missing or damaged.

    *exif* may have its ``Exif`` prefix, as in a JPEG, or not, as in PNG and WebP files.
    """
    tiff = exif.removeprefix(EXIF_PREFIX)
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, min(directory + 2 + 12 * count, len(tiff)), 12):
            tag, type_, _ = struct.unpack_from(f"{order}HHI", tiff, entry)
            if tag == ORIENTATION_TAG and type_ in _TIFF_TYPES:
                (value,) = struct.unpack_from(order + _TIFF_TYPES[type_], tiff, entry + 8)
                return value if value in ORIENTATIONS else UPRIGHT
    except struct.error:  # offsets and counts that point outside the data
        return UPRIGHT
    return UPRIGHT
