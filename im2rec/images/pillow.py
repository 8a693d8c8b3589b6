"""The engine that needs nothing beyond the base install; it smooths when it shrinks, whatever the interpolation."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from im2rec.errors import ImageError
from im2rec.images.codec import Image

_Resampling = PillowImage.Resampling
_INTERPOLATIONS = (_Resampling.NEAREST, _Resampling.BILINEAR, _Resampling.BICUBIC, _Resampling.BOX, _Resampling.LANCZOS)
_FORMATS = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP"}


class Pillow:
    """Resize and encode by Pillow."""

    name = "pillow"

    def resize(self, image: Image, width: int, height: int, inter_method: int) -> Image:
        """*image* scaled to *width* x *height* pixels by interpolation 0 to 4; a new array."""
        try:
            scaled = _picture(_eight_bit_color(image)).resize((width, height), _INTERPOLATIONS[inter_method])
        except (OSError, ValueError, MemoryError) as error:
            raise ImageError(f"does not resize: {error}", reason="does not resize") from None
        return np.asarray(scaled).reshape(height, width, -1)

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
            _picture(image).save(buffer, _FORMATS[encoding], **options.get(encoding, {}))
        except (OSError, ValueError) as error:
            raise ImageError(f"does not encode: {error}", reason="does not encode") from None
        return buffer.getvalue()


def _eight_bit_color(image: Image) -> Image:
    """*image*, its colours by their high byte where they have 16 bits: Pillow has no 16-bit colour."""
    return (image >> 8).astype(np.uint8) if image.dtype != np.uint8 and image.shape[2] > 1 else image


def _picture(image: Image) -> PillowImage.Image:
    return PillowImage.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


ENGINE = Pillow()
