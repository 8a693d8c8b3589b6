"""The engine interface: resize, warp, shift colours, encode; OpenCV, Pillow and the reference implement it.

Which of them is a parameter. Images are uint8 (height, width, channels) in RGB order, as
:mod:`im2rec.images.codec` gives them; where an image is only resized and encoded, also uint16. The places that the
pixels of a warped image come from are computed here, in the fixed point of the library MXNet was built with.

Source: measured on MXNet 1.9.1 (``ImageRecordIter`` with ``rotate``, ``max_random_scale`` and the like).
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from im2rec.errors import ParameterError
from im2rec.images.choices import AREA, BICUBIC, BILINEAR, ENGINES, FEED_ENGINES, REFERENCE
from im2rec.images.codec import Image


def write_planes(image: Image, out: Image, *, mirror: bool) -> None:
    """Write the channels of *image*, flipped left to right if *mirror*, to *out*: uint8 (channels, height, width)."""
    out[...] = (image[:, ::-1] if mirror else image).transpose(2, 0, 1)


def padded(image: Image, margin: int, fill: int) -> Image:
    """*image* with *margin* pixels of *fill* around it, 0 in a fourth channel; a new array."""
    height, width, channels = image.shape
    framed = np.full((height + 2 * margin, width + 2 * margin, channels), fill, np.uint8)
    framed[:, :, 3:] = 0
    framed[margin : margin + height, margin : margin + width] = image
    return framed


Matrix = npt.NDArray[Any]  # float32 (2, 3), old to new coordinates
Ints = npt.NDArray[np.int32]

STEP_BITS = 5  # of the place that the weights of the pixels around it are taken for
_PLACE_BITS = 10  # of a place before it is rounded
_FARTHEST = (1 << 30) - 1  # as far as two of them can be added up in 32 bits: a million pixels


def inverse(matrix: Matrix) -> tuple[float, ...]:
    """The six numbers of the mapping back, row by row, in 64 bits; all 0 where there is none."""
    a, b, x, c, d, y = (float(number) for number in matrix.reshape(-1))
    determinant = a * d - b * c
    share = 1 / determinant if determinant else 0.0
    a, b, c, d = d * share, -b * share, -c * share, a * share
    return a, b, -a * x - b * y, c, d, -c * x - d * y


def places(matrix: Matrix, width: int, height: int, bits: int) -> tuple[Ints, Ints]:
    """Where each new pixel comes from, columns and rows, (height, width) each in units of 2 ** -*bits* pixels.

    *bits* is 0 for the nearest pixel and ``STEP_BITS`` for mixtures.
    """
    back = inverse(matrix)
    x, y = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
    dropped = _PLACE_BITS - bits
    columns, rows = (
        ((_fixed(along_y * y + start) + (1 << dropped - 1))[:, None] + _fixed(along_x * x)) >> dropped
        for along_x, along_y, start in (back[:3], back[3:])
    )
    return columns, rows


def _fixed(place: npt.NDArray[np.float64]) -> Ints:
    # Rounded before they are added, as the vector code does.
    return np.clip(np.rint(place * (1 << _PLACE_BITS)), -_FARTHEST, _FARTHEST).astype(np.int32)


class Resampler(Protocol):
    """One way to compute new images from old ones; what the iterators need."""

    name: str

    def resize(self, image: Image, width: int, height: int, inter_method: int) -> Image:
        """*image* scaled to *width* x *height* pixels by interpolation 0 to 4; a new array. Raises ImageError."""

    def warp(self, image: Image, matrix: Matrix, width: int, height: int, inter_method: int, fill: int) -> Image:
        """*image* moved by *matrix* onto a canvas of *width* x *height* pixels; a new array, same channels.

        *image* is uint8, of 1, 3 or 4 channels. *matrix*, float32 (2, 3), leads from the old coordinates of a pixel
        (x to the right, y down, whole numbers at the centres) to the new ones. Interpolation is 0 to 4, of which 3
        (area) is bilinear. What lies outside the old image is *fill*, 0 to 255, but 0 in a fourth channel.
        Raises ImageError.

        Source: OpenCV ``warpAffine``, as MXNet's augmenter calls it.
        """

    def shift_hls(self, image: Image, hue: int, lightness: int, saturation: int) -> Image:
        """*image* with its colours shifted in 8-bit HLS: *hue* in units of 2 degrees of 180, the others of 255.

        *image* is uint8, of 3 or 4 channels, of which the fourth stays as it is; the result is a new array. All
        three are held in their range, hue too: it does not go round. Shifts of 0 change colours slightly as well.

        Source: mxnet src/io/image_aug_default.cc, ``random_h``, ``random_s`` and ``random_l``.
        """

    def planes(self, image: Image, out: Image, *, mirror: bool) -> None:
        """Write the channels of *image*, mirrored if *mirror*, to *out*, uint8 (channels, height, width)."""


class Engine(Resampler, Protocol):
    """A resampler that encodes as well; what packing needs."""

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


def load_resampler(name: str) -> Resampler:
    """The engine called *name*, as :func:`load_engine` knows them, or ``reference``, which does not encode.

    Raises ParameterError as that does.
    """
    if name not in FEED_ENGINES:
        raise ParameterError(f"engine={name} must be {', '.join(FEED_ENGINES)}")
    if name != REFERENCE:
        return load_engine(name)
    resampler: Resampler = importlib.import_module(f"im2rec.images.{name}").ENGINE
    return resampler


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
