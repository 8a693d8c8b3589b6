"""The face that OpenCV and Pillow show the rest: resize and encode. Which of the two is a parameter.

Images are uint8 (height, width, channels) in RGB order, as :mod:`im2rec.images.codec` gives them; uint16 where a
16-bit picture is kept as stored.
"""

from __future__ import annotations

import functools
import importlib
from typing import Protocol

from im2rec.errors import ParameterError
from im2rec.images.choices import AREA, BICUBIC, BILINEAR, ENGINES
from im2rec.images.codec import Image


class Engine(Protocol):
    """One way to resize and encode."""

    name: str

    def resize(self, image: Image, width: int, height: int, inter_method: int) -> Image:
        """*image* scaled to *width* x *height* pixels by interpolation 0 to 4; a new array. Raises ImageError."""

    def encode(self, image: Image, encoding: str, *, quality: int, png_level: int) -> bytes:
        """*image* as a JPEG (4:2:0, *quality* 0 to 100), PNG (*png_level* 0 to 9) or BMP file."""


@functools.cache
def load_engine(name: str) -> Engine:
    """The engine called *name*; ``auto`` is OpenCV where it can be imported, else Pillow.

    Raises ParameterError for an unknown name, and for ``opencv`` where it is not installed.
    """
    if name not in ENGINES:
        raise ParameterError(f"engine={name} must be {', '.join(ENGINES)}")
    try:
        module = importlib.import_module(f"im2rec.images.{'opencv' if name == 'auto' else name}")
    except ImportError as error:  # not installed, or without a library of the system that it needs
        if name == "auto":
            return load_engine("pillow")
        hint = "pip install opencv-python-headless"
        raise ParameterError(f"engine=opencv needs OpenCV: {error}", hint=hint) from None
    engine: Engine = module.ENGINE
    return engine


def resized_short(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height after the shorter edge of *width* x *height* becomes *size*; the longer is rounded down.

    640 x 427 at 256 gives 383 x 256. The longer edge is never below *size*, so neither ends at 0.

    Source: mxnet tools/im2rec.cc and im2rec.py, ``image_encode``.
    """
    if height > width:
        return size, height * size // width
    return width * size // height, size


def resized_long(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height after the longer edge becomes *size*; the shorter is rounded down, but not to 0."""
    if height > width:
        return max(1, width * size // height), size
    return size, max(1, height * size // width)


def auto_interpolation(old: tuple[int, int], new: tuple[int, int]) -> int:
    """What ``inter_method=9`` means: bicubic when both edges grow, area when both shrink, else bilinear.

    Source: mxnet tools/im2rec.cc, ``GetInterMethod``.
    """
    if new[0] > old[0] and new[1] > old[1]:
        return BICUBIC
    if new[0] < old[0] and new[1] < old[1]:
        return AREA
    return BILINEAR


def center_square(image: Image) -> Image:
    """The centred square of *image*, its side the shorter edge; the margin before it is rounded down. A view.

    Source: mxnet tools/im2rec.cc and im2rec.py, ``image_encode``.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]
