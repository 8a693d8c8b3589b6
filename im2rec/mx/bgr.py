"""Encode and decode images as OpenCV does, with their channels in the order B, G, R.

OpenCV itself does it where it is installed. Elsewhere the codec of im2rec does, for the usual kinds and flags: it
decodes to the same pixels, and what Pillow encodes decodes to nearly the same.

Source: mxnet 1.9.1, python/mxnet/recordio.py, which calls ``cv2.imdecode`` and ``cv2.imencode``.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.errors import ImageError, ParameterError
from im2rec.images.choices import ENCODINGS
from im2rec.images.codec import AS_STORED, COLOR, GREY, TOO_LARGE, Image, decode
from im2rec.images.engine import load_engine

_FLAGS = (AS_STORED, GREY, COLOR)
_INSTALL = "pip install opencv-python-headless"


@functools.cache
def _opencv() -> Any:
    """Return the module cv2, or None where it cannot be imported."""
    try:
        return importlib.import_module("cv2")
    except ImportError:
        return None


def decode_bgr(content: bytes, flags: int) -> Image | None:
    """Return the pixels of an image, or None if it does not decode, as ``cv2.imdecode`` does.

    *flags* are -1 for the image as it is stored, 0 for grey, and 1 for colours, both upright; with OpenCV all others
    too. Grey images have the shape (height, width), others (height, width, channels), in the order B, G, R, A.
    Raises ImageError for an empty *content* and for an image that claims gigabytes, ParameterError.
    """
    if not content:
        raise ImageError("is empty", reason="is empty", hint="the record has no image")
    opencv = _opencv()
    if opencv is not None:
        try:
            pixels: Image | None = opencv.imdecode(np.frombuffer(content, np.uint8), flags)
        except opencv.error as error:
            raise _image_error("decode", error) from None
        if pixels is not None or flags not in _FLAGS:
            return pixels  # else a JPEG that is cut, of which some versions give the part that is there, and some None
    if flags not in _FLAGS:
        raise ParameterError(f"iscolor={flags!r} must be -1, 0 or 1 without OpenCV", hint=_INSTALL)
    try:
        pixels = np.require(decode(content, flags, cut_ok=True).pixels, requirements="W")
    except ImageError as error:
        if error.reason == TOO_LARGE:
            raise
        return None
    return np.ascontiguousarray(_reversed(pixels)) if pixels.shape[2] > 1 else pixels[:, :, 0]


def encode_bgr(image: npt.NDArray[Any], encoding: str, quality: int) -> bytes:
    """Encode *image*, of the shape (height, width) or (height, width, channels), in the order B, G, R, A.

    *encoding* is ``.jpg`` or ``.jpeg``, of which *quality* is that of the JPEG, ``.png``, of which it is the level of
    compression, ``.bmp``, and with OpenCV whatever else it encodes. Raises ImageError, ParameterError.
    """
    if not isinstance(image, np.ndarray) or image.ndim not in (2, 3) or not image.size:
        found = f"of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ParameterError(f"an image must be an array (height, width, channels) of pixels, not {found}")
    encoding, opencv = encoding.lower(), _opencv()
    encoding = ".jpg" if encoding == ".jpeg" else encoding
    # OpenCV does the same with numbers out of range, and newer versions print a line for each image.
    quality, level = min(max(quality, 0), 100), min(max(quality, 0), 9)
    if encoding in ENCODINGS:
        image = _integers(np.asarray(image), deep=encoding == ".png")
    if opencv is not None:
        options = {".jpg": [opencv.IMWRITE_JPEG_QUALITY, quality], ".png": [opencv.IMWRITE_PNG_COMPRESSION, level]}
        try:
            is_encoded, content = opencv.imencode(encoding, np.asarray(image), options.get(encoding, []))
        except opencv.error as error:
            raise _image_error(f"encode as {encoding}", error) from None
        if not is_encoded:
            raise ImageError(f"does not encode as {encoding}", reason="does not encode")
        return bytes(content)
    if encoding not in ENCODINGS:
        raise ParameterError(f"img_fmt={encoding} must be {', '.join(ENCODINGS)} without OpenCV", hint=_INSTALL)
    pixels = _reversed(image if image.ndim == 3 else image[:, :, None])
    return load_engine("pillow").encode(pixels, encoding, quality=quality, png_level=level)


def _reversed(pixels: Image) -> Image:
    """Return *pixels* with the first and the third channel exchanged, if there are three or more."""
    channels = pixels.shape[2]
    return pixels[:, :, [2, 1, 0, *range(3, channels)]] if channels > 2 else pixels


def _integers(image: npt.NDArray[Any], *, deep: bool) -> Image:
    """Return *image* as uint8, or if *deep* allows it as uint16; other numbers are rounded and clipped."""
    if image.dtype == np.uint8 or (deep and image.dtype == np.uint16):
        return image
    rounded: Image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return rounded


def _image_error(verb: str, error: Exception) -> ImageError:
    # The message of OpenCV has several lines and a path of its source code; the cause is behind the last "error: ".
    cause = " ".join(str(error).split()).rpartition("error: ")[2]
    return ImageError(f"does not {verb}: {cause}", reason=f"does not {verb.partition(' ')[0]}")
