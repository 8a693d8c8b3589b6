"""The engine MXNet's own tools are built on: resizing and encoding by OpenCV, byte for byte as im2rec.py's."""

from __future__ import annotations

import cv2
import numpy as np

from im2rec.errors import ImageError
from im2rec.images.choices import NEAREST
from im2rec.images.codec import Image
from im2rec.images.engine import STEP_BITS, Matrix, places, write_planes
from im2rec.images.hls import MOST_HUE, MOST_LEVEL
from im2rec.images.scratch import scratch

# Work is spread over processes and threads already; OpenCV's own would only stand in their way.
cv2.setNumThreads(1)

# Silent: what goes wrong is in the report. OpenCV 4 and 5 call it differently, and some versions have neither.
if hasattr(cv2, "setLogLevel"):
    cv2.setLogLevel(0)
elif hasattr(cv2, "utils") and hasattr(cv2.utils, "logging"):
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4)
_WARPS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_LANCZOS4)  # no areas here
_FARTHEST, _LAST_STEP = (1 << 15) - 1, (1 << STEP_BITS) - 1  # of a place, in pixels and in parts of one
_NO_PART = np.empty((0, 0), np.uint16)
_TO_BGR = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}


class OpenCV:
    """Resize, warp, shift colours and encode by OpenCV."""

    name = "opencv"

    def resize(self, image: Image, width: int, height: int, inter_method: int) -> Image:
        """*image* scaled to *width* x *height* pixels by interpolation 0 to 4; a new array."""
        try:
            scaled = cv2.resize(image, (width, height), interpolation=_INTERPOLATIONS[inter_method])
        except cv2.error as error:
            raise _failed("resize", error) from None
        return scaled.reshape(height, width, -1)  # OpenCV drops the axis of a single channel

    def warp(self, image: Image, matrix: Matrix, width: int, height: int, inter_method: int, fill: int) -> Image:
        """*image* moved by *matrix* onto a canvas of *width* x *height* pixels; a new array."""
        bits = 0 if inter_method == NEAREST else STEP_BITS
        columns, rows = places(matrix, width, height, bits)
        # Not by warpAffine: OpenCV 5 takes finer steps there, up to 7 levels from what MXNet had; remap takes these.
        whole = np.empty((height, width, 2), np.int16)
        np.clip(columns >> bits, -_FARTHEST, _FARTHEST, out=whole[:, :, 0], casting="unsafe")
        np.clip(rows >> bits, -_FARTHEST, _FARTHEST, out=whole[:, :, 1], casting="unsafe")
        part = ((rows & _LAST_STEP) << bits | columns & _LAST_STEP).astype(np.uint16) if bits else _NO_PART
        border, edge = (fill, fill, fill, 0), cv2.BORDER_CONSTANT
        try:
            moved = cv2.remap(image, whole, part, _WARPS[inter_method], borderMode=edge, borderValue=border)
        except cv2.error as error:
            raise _failed("warp", error) from None
        return moved.reshape(height, width, -1)

    def shift_hls(self, image: Image, hue: int, lightness: int, saturation: int) -> Image:
        """*image* with its hue, lightness and saturation shifted; a new array."""
        levels = np.arange(256)[:, None] + (hue, lightness, saturation)
        table = np.clip(levels, 0, (MOST_HUE, MOST_LEVEL, MOST_LEVEL)).astype(np.uint8)
        hls = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HLS), table[None])
        shifted = cv2.cvtColor(hls, cv2.COLOR_HLS2RGB)
        return shifted if image.shape[2] == 3 else np.concatenate([shifted, image[:, :, 3:]], axis=2)

    def planes(self, image: Image, out: Image, *, mirror: bool) -> None:
        """Write the channels of *image*, flipped left to right if *mirror*, to *out*: uint8 (channels, height, width).

        Five times as fast as by numpy, which walks through memory in the order of one of the two alone.
        """
        if image.shape[2] == 1:
            write_planes(image, out, mirror=mirror)
            return
        planes = list(out)
        if image.strides[2] < 0:  # channels and rows as a BMP has them
            image, planes = image[:, :, ::-1], planes[::-1]
        upended = image.strides[0] < 0
        if upended:
            image = image[::-1]
        # From a view OpenCV splits row by row, past the cache at the start of each and through it at the end: ten times
        # slower than making the view an image of its own first.
        if upended or mirror or not image.flags.c_contiguous:
            whole = scratch("whole", image.size).reshape(image.shape)
            image = _flipped(image, whole, rows=upended, columns=mirror)
        cv2.split(image, planes)

    def encode(self, image: Image, encoding: str, *, quality: int, png_level: int) -> bytes:
        """*image* as a JPEG (4:2:0, *quality* 0 to 100), PNG (*png_level* 0 to 9) or BMP file."""
        if image.dtype != np.uint8 and encoding != ".png":
            image = np.minimum(image, 255).astype(np.uint8)  # as OpenCV saturates, but without its warning
        if image.shape[2] == 4 and encoding != ".png":
            image = np.ascontiguousarray(image[:, :, :3])
        if image.shape[2] > 1:
            image = cv2.cvtColor(image, _TO_BGR[image.shape[2]])
        options = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality], ".png": [cv2.IMWRITE_PNG_COMPRESSION, png_level]}
        try:
            done, encoded = cv2.imencode(encoding, image, options.get(encoding, []))
        except cv2.error as error:
            raise _failed("encode", error) from None
        if not done:
            raise ImageError(f"does not encode as {encoding}", reason="does not encode")
        return bytes(encoded)


def _flipped(image: Image, to: Image, *, rows: bool, columns: bool) -> Image:
    """*to* with the pixels of *image*, their rows and columns in the other order or as they are."""
    if not rows and not columns:
        np.copyto(to, image)
        return to
    return cv2.flip(image, -1 if rows and columns else 0 if rows else 1, to)


def _failed(what: str, error: cv2.error) -> ImageError:
    # OpenCV's own text is several lines with the path of its source in them; what it means is behind the last colon.
    cause = " ".join(str(error).split()).rpartition("error: ")[2]
    return ImageError(f"does not {what}: {cause}", reason=f"does not {what}")


ENGINE = OpenCV()
