"""The OpenCV engine: resizes and encodes with the library that MXNet's tools use, byte for byte as im2rec.py."""

from __future__ import annotations

import cv2
import numpy as np

from im2rec.errors import ImageError
from im2rec.images.choices import NEAREST
from im2rec.images.codec import AS_STORED, COLOR, Image
from im2rec.images.engine import FRACTION_BITS, Matrix, source_coordinates, write_planes
from im2rec.images.hls import MAX_HUE, MAX_LEVEL
from im2rec.images.scratch import scratch
from im2rec.images.tiff import UNSUPPORTED

# The callers run in parallel processes and threads already, and OpenCV's own threads would compete with them.
cv2.setNumThreads(1)

# Errors are reported by us, so OpenCV is silenced. Its versions 4 and 5 name this differently; some have neither.
if hasattr(cv2, "setLogLevel"):
    cv2.setLogLevel(0)
elif hasattr(cv2, "utils") and hasattr(cv2.utils, "logging"):
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4)
# A warp has no areas: OpenCV warps bilinearly instead.
_WARPS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_LANCZOS4)
_MAX_PIXEL, _FRACTION_MASK = (1 << 15) - 1, (1 << FRACTION_BITS) - 1
_NO_FRACTIONS = np.empty((0, 0), np.uint16)
_TO_BGR = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
_TO_RGB = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}


def decode(content: bytes, color: int) -> Image | None:
    """Return the pixels that ``imread`` gives for *color*, in RGB order; None if OpenCV declines the file.

    Only TIFFs are turned by their orientation. Raises ImageError for numbers that are neither uint8 nor uint16.
    """
    flags = cv2.IMREAD_UNCHANGED
    if color != AS_STORED:
        flags = (cv2.IMREAD_COLOR if color == COLOR else cv2.IMREAD_GRAYSCALE) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    if pixels is None:
        return None
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"holds {pixels.dtype} numbers: convert it to 8 or 16 bits first", reason=UNSUPPORTED)
    channels = pixels.shape[2] if pixels.ndim > 2 else 1
    return cv2.cvtColor(pixels, _TO_RGB[channels]) if channels in _TO_RGB else pixels.reshape(*pixels.shape[:2], -1)


class OpenCV:
    """The engine called ``opencv``; its methods are those of :class:`~im2rec.images.engine.Engine`."""

    name = "opencv"

    def resize(self, image: Image, width: int, height: int, inter_method: int) -> Image:
        """Scale *image* to *width* x *height* pixels by interpolation 0 to 4; a new array. Raises ImageError."""
        try:
            scaled = cv2.resize(image, (width, height), interpolation=_INTERPOLATIONS[inter_method])
        except cv2.error as error:
            raise _image_error("resize", error) from None
        return scaled.reshape(height, width, -1)  # OpenCV drops the axis of a single channel

    def warp(self, image: Image, matrix: Matrix, width: int, height: int, inter_method: int, fill: int) -> Image:
        """Transform *image* by *matrix* onto a canvas of *width* x *height* pixels; a new array. Raises ImageError."""
        bits = 0 if inter_method == NEAREST else FRACTION_BITS
        columns, rows = source_coordinates(matrix, width, height, bits)
        # Not by warpAffine, whose finer fractions in OpenCV 5 give up to 7 levels from MXNet's; remap takes ours.
        pixels = np.empty((height, width, 2), np.int16)
        np.clip(columns >> bits, -_MAX_PIXEL, _MAX_PIXEL, out=pixels[:, :, 0], casting="unsafe")
        np.clip(rows >> bits, -_MAX_PIXEL, _MAX_PIXEL, out=pixels[:, :, 1], casting="unsafe")
        fractions = _NO_FRACTIONS
        if bits:  # remap's format: the row's fraction above the column's, in one number
            fractions = ((rows & _FRACTION_MASK) << bits | columns & _FRACTION_MASK).astype(np.uint16)
        border, edge = (fill, fill, fill, 0), cv2.BORDER_CONSTANT
        try:
            warped = cv2.remap(image, pixels, fractions, _WARPS[inter_method], borderMode=edge, borderValue=border)
        except cv2.error as error:
            raise _image_error("warp", error) from None
        return warped.reshape(height, width, -1)

    def shift_hls(self, image: Image, hue: int, lightness: int, saturation: int) -> Image:
        """Shift hue, lightness and saturation of *image* in 8-bit HLS; a new array."""
        levels = np.arange(256)[:, None] + (hue, lightness, saturation)
        table = np.clip(levels, 0, (MAX_HUE, MAX_LEVEL, MAX_LEVEL)).astype(np.uint8)
        hls = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HLS), table[None])
        shifted = cv2.cvtColor(hls, cv2.COLOR_HLS2RGB)
        return shifted if image.shape[2] == 3 else np.concatenate([shifted, image[:, :, 3:]], axis=2)

    def planes(self, image: Image, out: Image, *, mirror: bool) -> None:
        """Write *image*, flipped left to right if *mirror*, to *out*: uint8 (channels, height, width).

        Five times as fast as NumPy, which can follow the memory order of only one of the two arrays.
        """
        if image.shape[2] == 1:
            write_planes(image, out, mirror=mirror)
            return
        planes = list(out)
        if image.strides[2] < 0:  # a view of a BMP, with its channels as BGR and its rows from the bottom up
            image, planes = image[:, :, ::-1], planes[::-1]
        is_bottom_up = image.strides[0] < 0
        if is_bottom_up:
            image = image[::-1]
        # A view is split row by row, and OpenCV writes past the cache at the start of each row but through it at the
        # end: ten times slower than copying the view to a contiguous array first.
        if is_bottom_up or mirror or not image.flags.c_contiguous:
            contiguous = scratch("contiguous", image.size).reshape(image.shape)
            image = _flip_into(image, contiguous, rows=is_bottom_up, columns=mirror)
        cv2.split(image, planes)

    def encode(self, image: Image, encoding: str, *, quality: int, png_level: int) -> bytes:
        """Encode *image* as a JPEG (4:2:0, *quality* 0 to 100), PNG (*png_level* 0 to 9) or BMP. Raises ImageError."""
        if image.dtype != np.uint8 and encoding != ".png":
            image = (image >> 8).astype(np.uint8)  # OpenCV itself would clip them to 255
        if image.shape[2] == 4 and encoding != ".png":
            image = np.ascontiguousarray(image[:, :, :3])
        if image.shape[2] > 1:
            image = cv2.cvtColor(image, _TO_BGR[image.shape[2]])
        options = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality], ".png": [cv2.IMWRITE_PNG_COMPRESSION, png_level]}
        try:
            is_encoded, content = cv2.imencode(encoding, image, options.get(encoding, []))
        except cv2.error as error:
            raise _image_error("encode", error) from None
        if not is_encoded:
            raise ImageError(f"does not encode as {encoding}", reason="does not encode")
        return bytes(content)


def _flip_into(image: Image, out: Image, *, rows: bool, columns: bool) -> Image:
    """Copy *image* to *out*, with the order of its *rows* and *columns* reversed on request; return *out*."""
    if not rows and not columns:
        np.copyto(out, image)
        return out
    return cv2.flip(image, -1 if rows and columns else 0 if rows else 1, out)


def _image_error(verb: str, error: cv2.error) -> ImageError:
    # OpenCV's message has several lines and a path of its source code; the cause follows the last "error: ".
    cause = " ".join(str(error).split()).rpartition("error: ")[2]
    return ImageError(f"does not {verb}: {cause}", reason=f"does not {verb}")


ENGINE = OpenCV()
