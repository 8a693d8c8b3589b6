"""Uncompressed 24-bit BMPs as strided views of their file, without a copy.

Source: Microsoft's BITMAPFILEHEADER and BITMAPINFOHEADER.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]

_HEADER = struct.Struct("<2s4xHHIIiiHHI")  # up to the compression field
_FILE_HEADER_BYTES, _MIN_INFO_BYTES = 14, 40  # shorter info headers have other fields
_UNCOMPRESSED, _BITS_PER_PIXEL = 0, 24


def bmp_view(content: bytes, max_pixels: int) -> Image | None:
    """Return the pixels of an uncompressed 24-bit BMP: uint8 (height, width, 3), RGB, a read-only view of *content*.

    Rows are stored from the bottom up and colours as BGR, so two of the strides are negative. Returns None for any
    other file, one that is cut short, one of more than *max_pixels*, and one whose header contradicts itself.
    """
    if len(content) < _HEADER.size:
        return None
    magic, _, _, start, info_bytes, width, height, planes, bits, compression = _HEADER.unpack_from(content)
    if (magic, planes, bits, compression) != (b"BM", 1, _BITS_PER_PIXEL, _UNCOMPRESSED) or info_bytes < _MIN_INFO_BYTES:
        return None
    rows, stride = abs(height), (3 * width + 3) & -4  # rows are padded to multiples of 4 bytes
    if width < 1 or not rows or rows * width > max_pixels:
        return None
    if start < _FILE_HEADER_BYTES + info_bytes or len(content) < start + rows * stride:
        return None
    stored = np.frombuffer(content, np.uint8, rows * stride, start).reshape(rows, stride)[:, : 3 * width]
    pixels = stored.reshape(rows, width, 3)[:, :, ::-1]
    return pixels[::-1] if height > 0 else pixels  # a negative height means from the top down


class BmpHeader(NamedTuple):
    """Size and bits per pixel in the header of a BMP."""

    height: int
    width: int
    bits: int


def read_header(content: bytes) -> BmpHeader | None:
    """Return the header of the BMP *content*; None if it is cut short, or of the older layout of OS/2."""
    if len(content) < _HEADER.size:
        return None
    _, _, _, _, info_bytes, width, height, _, bits, _ = _HEADER.unpack_from(content)
    return BmpHeader(abs(height), width, bits) if info_bytes >= _MIN_INFO_BYTES and width > 0 and height else None
