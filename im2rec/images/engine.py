"""The engine interface: resize, warp, shift colours, encode. OpenCV, Pillow and the reference engine implement it.

Images are uint8 (height, width, channels) in RGB order, as :mod:`im2rec.images.codec` returns them; where they are
only resized and encoded, also uint16. The coordinates that the pixels of a warped image are taken from are computed
here, in the fixed-point arithmetic of the OpenCV that MXNet was built with.

Source: measured on MXNet 1.9.1 (``ImageRecordIter`` with ``rotate``, ``max_random_scale`` and the like).
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from im2rec.errors import ParameterError
from im2rec.images.choices import AREA, BICUBIC, BILINEAR, ENGINES, ITERATOR_ENGINES, REFERENCE
from im2rec.images.codec import Image

Matrix = npt.NDArray[Any]  # float32 (2, 3), maps old (x, y, 1) to new coordinates
Ints = npt.NDArray[np.int32]

FRACTION_BITS = 5  # interpolation weights are kept for every 1/32 pixel
_COORDINATE_BITS = 10  # of a coordinate's fraction before it is rounded to those
_MAX_COORDINATE = (1 << 30) - 1  # the sum of two still fits 32 bits: about a million pixels


def write_planes(image: Image, out: Image, *, mirror: bool) -> None:
    """Write *image*, flipped left to right if *mirror*, to *out*: uint8 (channels, height, width)."""
    out[...] = (image[:, ::-1] if mirror else image).transpose(2, 0, 1)


def padded(image: Image, margin: int, fill: int) -> Image:
    """Return *image* with a border of *margin* pixels of *fill*, but 0 in a fourth channel; a new array."""
    height, width, channels = image.shape
    canvas = np.full((height + 2 * margin, width + 2 * margin, channels), fill, np.uint8)
    canvas[:, :, 3:] = 0
    canvas[margin : margin + height, margin : margin + width] = image
    return canvas


def inverse(matrix: Matrix) -> tuple[float, ...]:
    """Return the six coefficients of the inverse mapping, row by row, as 64-bit floats; all 0 if there is none."""
    a, b, x, c, d, y = (float(number) for number in matrix.reshape(-1))
    determinant = a * d - b * c
    factor = 1 / determinant if determinant else 0.0
    a, b, c, d = d * factor, -b * factor, -c * factor, a * factor
    return a, b, -a * x - b * y, c, d, -c * x - d * y


def source_coordinates(matrix: Matrix, width: int, height: int, bits: int) -> tuple[Ints, Ints]:
    """Return the column and row in the old image for each pixel of the new one, as two arrays (height, width).

    Their unit is 2 ** -*bits* pixels: *bits* is 0 for the nearest pixel and ``FRACTION_BITS`` for interpolation.
    """
    coefficients = inverse(matrix)
    x, y = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
    dropped = _COORDINATE_BITS - bits
    columns, rows = (
        ((_fixed_point(per_y * y + start) + (1 << dropped - 1))[:, None] + _fixed_point(per_x * x)) >> dropped
        for per_x, per_y, start in (coefficients[:3], coefficients[3:])
    )
    return columns, rows


def _fixed_point(coordinates: npt.NDArray[np.float64]) -> Ints:
    # The terms along x and y are rounded one by one, before they are added, as OpenCV's vector code rounds them.
    scaled = np.rint(coordinates * (1 << _COORDINATE_BITS))
    return np.clip(scaled, -_MAX_COORDINATE, _MAX_COORDINATE).astype(np.int32)


class Resampler(Protocol):
    """An engine as the iterators use it: resize, warp, shift colours, and write a batch row.

    ``load_resampler("auto").resize(image, 224, 224, 1)`` returns *image* scaled to 224 x 224 pixels.
    """

    name: str

    def resize(self, image: Image, width: int, height: int, inter_method: int) -> Image:
        """Scale *image* to *width* x *height* pixels by interpolation 0 to 4; a new array.

        *image* is uint8, or uint16 if the engine encodes as well. Raises ImageError.
        """

    def warp(self, image: Image, matrix: Matrix, width: int, height: int, inter_method: int, fill: int) -> Image:
        """Transform *image* by *matrix* onto a canvas of *width* x *height* pixels; a new array, same channels.

        *image* is uint8, with 1, 3 or 4 channels. *matrix*, float32 (2, 3), maps the old coordinates of a pixel to the
        new ones; x points right, y down, and pixel centres have whole coordinates. *inter_method* is 0 to 4, where 3
        (area) means bilinear. Outside the old image, pixels are *fill*, 0 to 255, but 0 in a fourth channel.
        Raises ImageError.

        Source: OpenCV ``warpAffine``, as MXNet's augmenter calls it.
        """

    def shift_hls(self, image: Image, hue: int, lightness: int, saturation: int) -> Image:
        """Shift the colours of *image* in 8-bit HLS; a new array.

        *hue* is in units of 2 degrees and has values from 0 to 180; *lightness* and *saturation* have values from 0 to
        255. All three are clipped to their range, hue too: it does not wrap around. Shifts of 0 change colours
        slightly as well, by rounding. *image* is uint8, with 3 or 4 channels, of which the fourth is kept.

        Source: mxnet src/io/image_aug_default.cc, ``random_h``, ``random_s`` and ``random_l``.
        """

    def planes(self, image: Image, out: Image, *, mirror: bool) -> None:
        """Write *image*, flipped left to right if *mirror*, to *out*: uint8 (channels, height, width)."""


class Engine(Resampler, Protocol):
    """An engine as packing uses it: a resampler that encodes images as well."""

    def encode(self, image: Image, encoding: str, *, quality: int, png_level: int) -> bytes:
        """Encode *image* as a JPEG (4:2:0, *quality* 0 to 100), PNG (*png_level* 0 to 9) or BMP file.

        *encoding* is ``.jpg``, ``.png`` or ``.bmp``. Only PNG keeps a fourth channel, which the others drop, and 16
        bits, of which the others take the high byte. Raises ImageError.
        """


@functools.cache
def load_engine(name: str) -> Engine:
    """Return the engine called *name*; ``auto`` is OpenCV if it can be imported, else Pillow.

    Raises ParameterError for an unknown name, and for ``opencv`` if it is not installed.
    """
    if name not in ENGINES:
        raise ParameterError(f"engine={name} must be {', '.join(ENGINES)}")
    try:
        module = importlib.import_module(f"im2rec.images.{'opencv' if name == 'auto' else name}")
    except ImportError as error:  # not installed, or a system library that it needs is missing
        if name == "auto":
            return load_engine("pillow")
        hint = "pip install opencv-python-headless"
        raise ParameterError(f"engine=opencv needs OpenCV: {error}", hint=hint) from None
    engine: Engine = module.ENGINE
    return engine


def opencv_problem() -> str:
    """Return a line if OpenCV is installed and cannot be imported, so that ``auto`` is Pillow; else an empty text."""
    if importlib.util.find_spec("cv2") is None:
        return ""
    try:
        importlib.import_module("cv2")
    except ImportError as error:  # libGL is missing, for example
        reason = str(error).partition("\n")[0]
        return f"OpenCV is installed but cannot be imported: {reason}; Pillow is used, whose pixels differ a little"
    return ""


def load_resampler(name: str) -> Resampler:
    """Return the engine called *name*: one of those of :func:`load_engine`, or ``reference``, which does not encode.

    Raises ParameterError for an unknown name, and for ``opencv`` if it is not installed.
    """
    if name not in ITERATOR_ENGINES:
        raise ParameterError(f"engine={name} must be {', '.join(ITERATOR_ENGINES)}")
    if name != REFERENCE:
        return load_engine(name)
    resampler: Resampler = importlib.import_module(f"im2rec.images.{name}").ENGINE
    return resampler


def resized_short(width: int, height: int, size: int) -> tuple[int, int]:
    """Return width and height after scaling the shorter edge to *size*; the longer is rounded down.

    640 x 427 at *size* 256 gives 383 x 256. The longer edge is never below *size*, so neither can become 0.

    Source: mxnet tools/im2rec.cc and im2rec.py, ``image_encode``.
    """
    if height > width:
        return size, height * size // width
    return width * size // height, size


def resized_long(width: int, height: int, size: int) -> tuple[int, int]:
    """Return width and height after scaling the longer edge to *size*; the shorter is rounded down, but at least 1."""
    if height > width:
        return max(1, width * size // height), size
    return size, max(1, height * size // width)


def auto_interpolation(old: tuple[int, int], new: tuple[int, int]) -> int:
    """Return the interpolation that ``inter_method=9`` selects for *old* and *new*, both (width, height).

    It is bicubic if both edges grow, area if both shrink, and bilinear otherwise.

    Source: mxnet tools/im2rec.cc, ``GetInterMethod``.
    """
    if new[0] > old[0] and new[1] > old[1]:
        return BICUBIC
    if new[0] < old[0] and new[1] < old[1]:
        return AREA
    return BILINEAR


def center_square(image: Image) -> Image:
    """Return the largest centred square of *image*, a view; the margin above or left of it is rounded down.

    Source: mxnet tools/im2rec.cc and im2rec.py, ``image_encode``.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]
