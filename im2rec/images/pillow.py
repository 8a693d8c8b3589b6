"""The Pillow engine, which needs no optional package; unlike OpenCV, it smooths whenever it shrinks an image."""

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
# Pillow warps by these three interpolations only, and without smoothing.
_WARPS = (_Resampling.NEAREST, _Resampling.BILINEAR, _Resampling.BICUBIC, _Resampling.BILINEAR, _Resampling.BICUBIC)
_FORMATS = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP"}


class Pillow:
    """The engine called ``pillow``; its methods are those of :class:`~im2rec.images.engine.Engine`."""

    name = "pillow"
    shift_hls = staticmethod(shifted_hls)  # Pillow has no HLS
    planes = staticmethod(write_planes)

    def resize(self, image: Image, width: int, height: int, inter_method: int) -> Image:
        """Scale *image* to *width* x *height* pixels by interpolation 0 to 4; a new array. Raises ImageError."""
        try:
            scaled = _unweighted(_eight_bit_color(image)).resize((width, height), _INTERPOLATIONS[inter_method])
        except (OSError, ValueError, MemoryError) as error:
            raise ImageError(f"does not resize: {error}", reason="does not resize") from None
        return np.asarray(scaled).reshape(height, width, -1)

    def warp(self, image: Image, matrix: Matrix, width: int, height: int, inter_method: int, fill: int) -> Image:
        """Transform *image* by *matrix* onto a canvas of *width* x *height* pixels; a new array. Raises ImageError.

        A new pixel is *fill* if its centre lies outside the image; at the edges pixels are not mixed with *fill*.
        """
        a, b, x, c, d, y = (float(number) for number in inverse(matrix))
        # In Pillow's coordinates the centre of the first pixel is 0.5, not 0.
        coefficients = (a, b, x + 0.5 - 0.5 * (a + b), c, d, y + 0.5 - 0.5 * (c + d))
        channels = image.shape[2]
        border = (fill, fill, fill, 0)[:channels] if channels > 1 else fill
        try:
            warped = _unweighted(image).transform(
                (width, height), PillowImage.Transform.AFFINE, coefficients, _WARPS[inter_method], fillcolor=border
            )
        except (OSError, ValueError, MemoryError) as error:
            raise ImageError(f"does not warp: {error}", reason="does not warp") from None
        return np.array(warped).reshape(height, width, channels)

    def encode(self, image: Image, encoding: str, *, quality: int, png_level: int) -> bytes:
        """Encode *image* as a JPEG (4:2:0, *quality* 0 to 100), PNG (*png_level* 0 to 9) or BMP. Raises ImageError."""
        if image.dtype != np.uint8 and encoding != ".png":
            image = (image >> 8).astype(np.uint8)
        if image.shape[2] == 4 and encoding != ".png":
            image = image[:, :, :3]
        image = _eight_bit_color(image)
        options: dict[str, dict[str, Any]] = {
            # libjpeg treats quality 0 as 1, but Pillow takes 0 as "use the default".
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
    """Return 16-bit colours by their high bytes, as Pillow has no such images; other images unchanged."""
    return (image >> 8).astype(np.uint8) if image.dtype != np.uint8 and image.shape[2] > 1 else image


def _unweighted(image: Image) -> PillowImage.Image:
    """Return a Pillow image whose fourth channel is no alpha: Pillow would weight the colours of RGBA by it."""
    if image.shape[2] < 4:
        return _image(image)
    return PillowImage.frombytes("RGBX", (image.shape[1], image.shape[0]), image.tobytes())


def _image(image: Image) -> PillowImage.Image:
    return PillowImage.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


ENGINE = Pillow()
