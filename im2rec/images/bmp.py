"""Uncompressed images: a BMP of 24 bits is read where it lies, as an array with a stride of its own.

Source: Microsoft's BITMAPFILEHEADER and BITMAPINFOHEADER.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]

_HEADER = struct.Struct("<2s4xHHIIiiHHI")  # up to the kind of compression
_INFO_BYTES = 40  # of the shortest header that has all of it
_UNCOMPRESSED, _BITS = 0, 24


def bmp_view(content: bytes, max_pixels: int) -> Image | None:
    """The pixels of an uncompressed 24-bit BMP: uint8 (height, width, 3), RGB order, a read-only view of *content*.

    Rows are stored from the bottom up and colours as BGR, so that two of the strides are negative. None for any other
    file, also one that is cut short, has more than *max_pixels* or a header that contradicts itself.
    """
    if len(content) < _HEADER.size:
        return None
    magic, _, _, start, info, width, height, planes, bits, compression = _HEADER.unpack_from(content)
    if (magic, planes, bits, compression) != (b"BM", 1, _BITS, _UNCOMPRESSED) or info < _INFO_BYTES:
        return None
    rows, stride = abs(height), (3 * width + 3) & -4
    if width < 1 or not rows or rows * width > max_pixels or start < 14 + info or len(content) < start + rows * stride:
        return None
    stored = np.frombuffer(content, np.uint8, rows * stride, start).reshape(rows, stride)[:, : 3 * width]
    pixels = stored.reshape(rows, width, 3)[:, :, ::-1]
    return pixels[::-1] if height > 0 else pixels
