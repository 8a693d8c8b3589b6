"""The engine that needs nothing beyond the base install; it smooths when it shrinks, whatever the interpolation."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from im2rec.errors import ImageError
from im2rec.images.codec import Image
from im2rec.images.engine import Matrix, inverse, write_planes
from im2rec.images.hls import shifted_hls

_Resampling = PillowImage.Resampling
_INTERPOLATIONS = (_Resampling.NEAREST, _Resampling.BILINEAR, _Resampling.BICUBIC, _Resampling.BOX, _Resampling.LANCZOS)
# Pillow's warps know neither areas nor Lanczos; nor do they smooth.
_WARPS = (_Resampling.NEAREST, _Resampling.BILINEAR, _Resampling.BICUBIC, _Resampling.BILINEAR, _Resampling.BICUBIC)
_FORMATS = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP"}


class Pillow:
    """Resize, warp, shift colours and encode by Pillow."""

    name = "pillow"
    shift_hls = staticmethod(shifted_hls)  # Pillow has no such colours
    planes = staticmethod(write_planes)

    def resize(self, image: Image, width: int, height: int, inter_method: int) -> Image:
        """*image* scaled to *width* x *height* pixels by interpolation 0 to 4; a new array."""
        try:
            scaled = _samples(_eight_bit_color(image)).resize((width, height), _INTERPOLATIONS[inter_method])
        except (OSError, ValueError, MemoryError) as error:
            raise ImageError(f"does not resize: {error}", reason="does not resize") from None
        return np.asarray(scaled).reshape(height, width, -1)

    def warp(self, image: Image, matrix: Matrix, width: int, height: int, inter_method: int, fill: int) -> Image:
        """*image* moved by *matrix* onto a canvas of *width* x *height* pixels; a new array.

        A new pixel is *fill* when its centre comes from outside the image, and not mixed with it at the edges.
        """
        a, b, x, c, d, y = (float(number) for number in inverse(matrix))
        # Pillow's coordinates are 0.5, not 0, at the centre of the first pixel.
        back = (a, b, x + 0.5 - 0.5 * (a + b), c, d, y + 0.5 - 0.5 * (c + d))
        channels = image.shape[2]
        border = (fill, fill, fill, 0)[:channels] if channels > 1 else fill
        try:
            moved = _samples(image).transform(
                (width, height), PillowImage.Transform.AFFINE, back, _WARPS[inter_method], fillcolor=border
            )
        except (OSError, ValueError, MemoryError) as error:
            raise ImageError(f"does not warp: {error}", reason="does not warp") from None
        return np.array(moved).reshape(height, width, channels)

    def encode(self, image: Image, encoding: str, *, quality: int, png_level: int) -> bytes:
        """*image* as a JPEG (4:2:0, *quality* 0 to 100), PNG (*png_level* 0 to 9) or BMP file."""
        if image.dtype != np.uint8 and encoding != ".png":
            image = np.minimum(image, 255).astype(np.uint8)  # as OpenCV does
        if image.shape[2] == 4 and encoding != ".png":
            image = image[:, :, :3]
        image = _eight_bit_color(image)
        options: dict[str, dict[str, Any]] = {
            # Quality 0 and 1 are the same to libjpeg, but Pillow takes 0 for "not given".
            ".jpg": {"quality": max(1, quality), **({"subsampling": "4:2:0"} if image.shape[2] > 1 else {})},
            ".png": {"compress_level": png_level},
        }
        buffer = io.BytesIO()
        try:
            _image(image).save(buffer, _FORMATS[encoding], **options.get(encoding, {}))
        except (OSError, ValueError) as error:
            raise ImageError(f"does not encode: {error}", reason="does not encode") from None
        return buffer.getvalue()


def _eight_bit_color(image: Image) -> Image:
    """*image*, its colours by their high byte where they have 16 bits: Pillow has no 16-bit colour."""
    return (image >> 8).astype(np.uint8) if image.dtype != np.uint8 and image.shape[2] > 1 else image


def _samples(image: Image) -> PillowImage.Image:
    """*image* with its channels taken as they are; of RGBA Pillow would weigh the colours by their alpha."""
    if image.shape[2] < 4:
        return _image(image)
    return PillowImage.frombytes("RGBX", (image.shape[1], image.shape[0]), image.tobytes())


def _image(image: Image) -> PillowImage.Image:
    return PillowImage.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


ENGINE = Pillow()
