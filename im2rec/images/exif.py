"""The one thing in EXIF data that changes a picture: which way up it is.

Read here and not by Pillow, which warns of every oddity in the rest of the data, and takes longer over it than libjpeg
takes over a small picture.

Source: the EXIF 2.32 standard, section 4.6.4, tag 274; the byte layout is that of TIFF 6.0, section 2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.images.jpeg import EXIF_PREFIX

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
