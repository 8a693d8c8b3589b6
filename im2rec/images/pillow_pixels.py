"""Pixels of opened Pillow images as arrays: uint8 (height, width, channels), RGB; uint16 for 16 bits as stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from im2rec.images.grey import SRGB_GAMMA, grey

Image = npt.NDArray[Any]

# Modes and formats as Pillow names them.
_GREY_MODES = ("L", "1", "LA", "La")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I")  # of grey; older Pillows open such files as "I"
_JPEG_FORMATS = ("JPEG", "MPO")  # an MPO file is several JPEGs, of which the first is decoded
_TIFF_TILE_SIZE = (322, 323)  # tags of width and height
_BAND_PIXELS = 1 << 20


def eight_bit(image: PillowImage.Image, kind: str, gamma: int, *, is_grey: bool) -> Image:
    """Pixels of *image* as uint8: one channel if *is_grey*, else three.

    *kind* is the format of its file, as Pillow names it, and *gamma* what :func:`gamma_of` returned for it.
    """
    if image.mode in _SIXTEEN_BIT_MODES:
        image = PillowImage.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if "transparency" in image.info and image.mode == "P":
        image = image.convert("RGBA")  # straight to RGB, Pillow warns about alpha given as bytes
    if not is_grey:
        return np.asarray(image.convert("RGB"))
    if image.mode in _GREY_MODES or kind in _JPEG_FORMATS:
        return np.asarray(image.convert("L"))[:, :, None]
    return grey(np.asarray(image.convert("RGB")), kind, gamma)


def gamma_of(image: PillowImage.Image) -> int:
    """Gamma given in a PNG, in 100000ths; 0 if none is."""
    return SRGB_GAMMA if "srgb" in image.info else round(100_000 * image.info.get("gamma", 0))


def as_stored(image: PillowImage.Image) -> Image:
    """Pixels of *image* with its own number of channels and, if it is grey, its own depth."""
    if image.mode in _SIXTEEN_BIT_MODES:
        return np.asarray(image).astype(np.uint16)[:, :, None]
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))[:, :, None]
    has_alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if has_alpha else "RGB"))


def canvas(image: PillowImage.Image) -> tuple[int, int]:
    """Width and height of all that is decoded for *image*; a tile of a TIFF may be larger than the image."""
    tags = getattr(image, "tag_v2", {})
    width, height = (tags.get(tag, 0) for tag in _TIFF_TILE_SIZE)
    return max(image.width, width), max(image.height, height)


def in_bands(image: PillowImage.Image, convert: Callable[[PillowImage.Image], Image]) -> Image:
    """Return what *convert* makes of *image*, made band by band if that is large.

    Pillow copies an image several times while it is converted and becomes an array.
    """
    size = image.size
    if size[0] * size[1] <= _BAND_PIXELS:
        return convert(image)
    axis = int(size[1] >= size[0])  # bands across the longer edge, so that none is large
    step = max(1, _BAND_PIXELS // size[1 - axis])
    pixels: Image | None = None
    for start in range(0, size[axis], step):
        end = min(start + step, size[axis])
        band = convert(image.crop((0, start, size[0], end) if axis else (start, 0, end, size[1])))
        if pixels is None:
            pixels = np.empty((size[1], size[0], band.shape[2]), band.dtype)
        pixels[(slice(start, end), slice(None))[:: 1 if axis else -1]] = band
    assert pixels is not None
    return pixels
