"""Images, by the names of ``mxnet.image``: decode, resize and crop.

::

    from im2rec.mx import image

    pixels = image.resize_short(image.imdecode(content), 112)

Images are arrays (height, width, channels), by default of uint8 and RGB, and sizes are (width, height). Resizing gives
the pixels of MXNet 1.9.1, bit for bit: it is done by the engine ``reference``. What is random is drawn by Python's
module ``random``, in MXNet's order, so that a seed gives the same crops.

Source: mxnet python/mxnet/image/image.py and src/io/image_io.cc; measured on MXNet 1.9.1.
"""

from __future__ import annotations

import functools
import logging
import operator
import os
import random
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from im2rec.errors import ImageError, ParameterError
from im2rec.images.choices import AUTO, BICUBIC, BILINEAR, INTERPOLATIONS, RANDOM, REFERENCE
from im2rec.images.codec import CUT, Image, decode, orientation
from im2rec.images.engine import Engine, auto_interpolation, load_engine, load_resampler, resized_short
from im2rec.images.jpeg import EXIF_PREFIX, UPRIGHT, apply_orientation, is_upright, segments
from im2rec.images.signatures import sniff
from im2rec.mx.arithmetic import converted
from im2rec.mx.arrays import NDArray, plain, wrapped
from im2rec.mx.missing import missing
from im2rec.storage.files import PathLike, read_file, reading, with_path

__path__: list[str] = []  # so that `from mxnet.image import x` asks the finders, which say what is there
image = sys.modules[__name__]  # MXNet's module of this name within its package
__all__ = [
    "center_crop",
    "color_normalize",
    "copyMakeBorder",
    "fixed_crop",
    "imdecode",
    "imread",
    "imresize",
    "random_crop",
    "resize_short",
    "scale_down",
]
Size = Sequence[int]  # width, height
Rectangle = tuple[int, int, int, int]  # x and y of the upper left corner, width, height

_LOG = logging.getLogger(__name__)
_BACK = {6: 8, 8: 6}  # the orientation that undoes one; every other one undoes itself
_APP_0_1 = (0xE0, 0xE1)  # markers of the segments JFIF, and EXIF or XMP
_BORDERS = ("constant", "edge", "symmetric", "wrap", "reflect")  # NumPy's names of OpenCV's border types 0 to 4


def imdecode(buf: Any, flag: int = 1, to_rgb: int = 1, out: NDArray | None = None) -> NDArray:
    """Decode the encoded image *buf* to an array of uint8 (height, width, channels).

    *buf* is bytes, a bytearray, a memoryview, or an array of uint8. *flag* 1 gives three channels and 0 one; *to_rgb* 0
    gives colours in the order B, G, R. With *out* the pixels are written to that array of the same shape, which is
    returned. The image is not turned by its EXIF orientation, unless it is a TIFF, or a JPEG that begins with its EXIF
    data, as photos of cameras do. A JPEG whose data ends early is decoded as far as it goes, with a warning in the log
    for the first one.

    Raises ImageError for bytes that are no image, or a damaged one, ParameterError for what is not bytes.

    Source: mxnet src/io/image_io.cc, ``Imdecode``.
    """
    if flag not in (0, 1):
        raise ParameterError(f"flag={flag} must be 0 (grey) or 1 (colour)")
    content = _content(buf)
    pixels, flaw = decode(content, int(flag), cut_ok=True)
    if flaw == CUT:
        _warn_of_cut()
    if not _is_turned(content) and (turn := orientation(content)) != UPRIGHT:
        pixels = apply_orientation(pixels, _BACK.get(turn, turn))
    if flag and not to_rgb:
        pixels = pixels[:, :, ::-1]
    if out is None:
        return wrapped(pixels if pixels.flags.writeable else pixels.copy())
    if out.shape != pixels.shape:
        raise ParameterError(f"out has the shape {out.shape}, the image {pixels.shape}")
    out[:] = pixels
    return out


def _is_turned(content: bytes) -> bool:
    """True for the images that MXNet turns by their EXIF orientation, and those that need no turning.

    Of JPEGs it turns only those whose first application segment, of the two kinds in use, is EXIF: as cameras write it,
    while most programs write another one before it.
    """
    kind = sniff(content)
    if kind == "TIFF" or (kind == "JPEG" and is_upright(content)):
        return True
    first = next((data for marker, data in segments(content) if marker in _APP_0_1), b"") if kind == "JPEG" else b""
    return first.startswith(EXIF_PREFIX)


def _content(buf: Any) -> bytes:
    if isinstance(buf, bytes):
        content = buf
    elif isinstance(buf, (bytearray, memoryview)):
        content = bytes(buf)
    elif isinstance(buf, np.ndarray) and buf.dtype.itemsize == 1:
        content = buf.tobytes()
    else:
        kind = f"an array of {buf.dtype}" if isinstance(buf, np.ndarray) else type(buf).__name__
        raise ParameterError(f"buf must be the bytes of an encoded image, or an array of uint8, not {kind}")
    if not content:
        raise ImageError("is empty: no bytes to decode")
    return content


@functools.cache
def _warn_of_cut() -> None:
    """Log a warning, once in a process."""
    _LOG.warning("imdecode: a JPEG whose data ends early was decoded as far as it goes; others are not named")


def imread(filename: PathLike, flag: int = 1, to_rgb: int = 1, out: NDArray | None = None) -> NDArray:
    """Decode the image file *filename*, otherwise as :func:`imdecode` does.

    Raises InputError for a file that cannot be read, ImageError, with its path, for one that is no image.
    """
    with reading(filename):
        content = read_file(filename)
    try:
        return imdecode(content, flag, to_rgb, out)
    except ImageError as error:
        raise with_path(error, os.fspath(filename)) from None


def imresize(src: Any, w: int, h: int, interp: int = BILINEAR, out: NDArray | None = None) -> NDArray:
    """Scale the image *src* to width *w* and height *h*; a new array, or *out*.

    *interp*: 0 nearest, 1 bilinear, 2 bicubic, 3 area, 4 Lanczos; 9 bicubic if both edges grow, area if both shrink,
    else bilinear; 10 one of the first five by chance. Images of float32 are scaled by OpenCV, whose sums may differ in
    their last digits. Raises ParameterError for a size below 1, another *interp*, arrays that are no image, and float32
    without OpenCV.

    Source: mxnet src/io/image_io.cc, ``Imresize``.
    """
    image = _image(src)
    width, height = _checked_size((w, h))
    method = _interpolation(interp, image.shape[1::-1], (width, height))
    if image.dtype == np.uint8:
        scaled = load_resampler(REFERENCE).resize(image, width, height, method)
    else:
        scaled = _opencv().resize(image, width, height, method)
    if out is None:
        return wrapped(scaled)
    out[:] = scaled
    return out


def _opencv() -> Engine:
    try:
        return load_engine("opencv")
    except ParameterError:
        problem = "an image of float32 is resized by OpenCV, which cannot be imported"
        raise ParameterError(problem, hint="resize it before it is float32, or install OpenCV") from None


def _image(src: Any) -> Image:
    """Return *src* as a plain array. Raises ParameterError unless it is uint8 or float32 (height, width, channels)."""
    if not isinstance(src, np.ndarray) or src.ndim != 3 or not src.size or src.dtype not in (np.uint8, np.float32):
        found = f"an array of {src.dtype}, shape {src.shape}" if isinstance(src, np.ndarray) else type(src).__name__
        raise ParameterError(f"an image must be an array (height, width, channels) of uint8 or float32, not {found}")
    return np.ascontiguousarray(src)


def _checked_size(size: Size) -> tuple[int, int]:
    try:
        width, height = map(operator.index, size)
    except (TypeError, ValueError):
        raise ParameterError(f"size={size} must be two integers, width and height") from None
    if min(width, height) < 1:
        raise ParameterError(f"size={width, height} must be a width and a height of 1 or more")
    return width, height


def _interpolation(interp: int, old: Sequence[int], new: Sequence[int]) -> int:
    """Return the interpolation, 0 to 4, that *interp* means for the sizes *old* and *new*, (width, height)."""
    if interp not in INTERPOLATIONS:
        raise ParameterError(f"interp={interp} must be {', '.join(map(str, INTERPOLATIONS))}")
    if interp == AUTO:
        return auto_interpolation((old[0], old[1]), (new[0], new[1]))
    return random.randint(0, 4) if interp == RANDOM else interp  # noqa: S311 - drawn as MXNet draws it


def resize_short(src: Any, size: int, interp: int = BICUBIC) -> NDArray:
    """Scale the image *src* so that its shorter edge becomes *size* pixels; the longer one is rounded down.

    Raises ParameterError as :func:`imresize` does.
    """
    image = _image(src)
    height, width = image.shape[:2]
    short, _ = _checked_size((size, size))
    return imresize(image, *resized_short(width, height, short), interp)


def scale_down(src_size: Size, size: Size) -> tuple[int, int]:
    """Return *size* scaled so that it fits *src_size*, both (width, height); itself if it fits, with integers."""
    (available, available_height), (width, height) = src_size, size
    exact: tuple[float, float] = (width, height)
    if available_height < height:
        exact = width * available_height / height, available_height
    if available < exact[0]:
        exact = available, exact[1] * available / exact[0]
    return int(exact[0]), int(exact[1])


def fixed_crop(src: Any, x0: int, y0: int, w: int, h: int, size: Size | None = None, interp: int = BICUBIC) -> NDArray:
    """Cut *w* times *h* pixels out of *src* from column *x0* and row *y0* on, and scale them to *size* if it is given.

    What is beyond the image is left out. Raises ParameterError if nothing remains.
    """
    part = plain(src)[y0 : y0 + h, x0 : x0 + w]
    if not part.size:
        problem = f"a crop of {w}x{h} pixels from ({x0}, {y0}) on has none of an image of shape {np.shape(src)}"
        raise ParameterError(problem)
    if size is None or (w, h) == size:  # a list is never equal: then it is scaled, and interp=10 draws, as in MXNet
        return wrapped(part)
    width, height = _checked_size(size)
    return imresize(part, width, height, _interpolation(interp, (w, h), (width, height)))


def random_crop(src: Any, size: Size, interp: int = BICUBIC) -> tuple[NDArray, Rectangle]:
    """Cut a rectangle of *size* out of *src* at a random place; return it and (x, y, width, height).

    If *src* is smaller than *size*, the largest rectangle of that shape is cut out and scaled up to it.
    """
    height, width = _image(src).shape[:2]
    wide, high = scale_down((width, height), _checked_size(size))
    x = random.randint(0, width - wide)  # noqa: S311 - as in _interpolation
    y = random.randint(0, height - high)  # noqa: S311
    return fixed_crop(src, x, y, wide, high, size, interp), (x, y, wide, high)


def center_crop(src: Any, size: Size, interp: int = BICUBIC) -> tuple[NDArray, Rectangle]:
    """Cut a rectangle of *size* out of the middle of *src*; return it and (x, y, width, height).

    If *src* is smaller than *size*, the largest rectangle of that shape is cut out and scaled up to it.
    """
    height, width = _image(src).shape[:2]
    wide, high = scale_down((width, height), _checked_size(size))
    x, y = (width - wide) // 2, (height - high) // 2
    return fixed_crop(src, x, y, wide, high, size, interp), (x, y, wide, high)


def copyMakeBorder(  # noqa: N802 - MXNet's name
    src: Any,
    top: int,
    bot: int,
    left: int,
    right: int,
    type: int = 0,  # noqa: A002 - MXNet's name
    value: float = 0.0,
    values: Sequence[float] = (),
) -> NDArray:
    """Return *src* with a border of so many pixels on its four sides.

    *type* 0 fills it with *value*, or with *values*, one for each channel; 1 repeats the outermost pixels; 2 mirrors
    the image at its edge, and 4 at the outermost pixels; 3 repeats the image. (MXNet's documentation numbers them
    otherwise than MXNet.) Raises ParameterError for another type and negative widths.
    """
    if type not in range(len(_BORDERS)):
        raise ParameterError(f"type={type} must be 0 to {len(_BORDERS) - 1}")
    if min(top, bot, left, right) < 0:
        raise ParameterError("a border cannot be negative: cut the image with fixed_crop()")
    image = _image(src)
    framed = np.pad(image, ((top, bot), (left, right), (0, 0)), mode=_BORDERS[type])  # type: ignore[call-overload]
    if type == 0:
        filled = np.empty_like(framed)
        filled[:] = converted(values or value, framed.dtype)
        filled[top : top + image.shape[0], left : left + image.shape[1]] = image
        framed = filled
    return wrapped(framed)


def color_normalize(src: NDArray, mean: Any, std: Any = None) -> NDArray:
    """Subtract *mean* from *src* and divide it by *std*, in place; either may be None. Return *src*."""
    if mean is not None:
        src -= mean
    if std is not None:
        src /= std
    return src


def __getattr__(name: str) -> NoReturn:
    reason = ""
    if name.endswith("Aug") or name in ("Augmenter", "CreateAugmenter"):
        reason = "random augmentation is done by mx.io.ImageRecordIter, or by torchvision.transforms"
    elif name in ("ImageIter", "ImageDetIter"):
        reason = "mx.io.ImageRecordIter reads .rec files, im2rec.torch.RecordDataset feeds torch's DataLoader"
    raise missing("mx.image", name, __all__, reason)
