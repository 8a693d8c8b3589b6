"""Shifts of hue, lightness and saturation in 8-bit HLS, bit for bit as OpenCV 3.4.2 in MXNet 1.9.1 computed them.

Source: measured on MXNet 1.9.1 (``ImageRecordIter`` with ``random_h``, ``random_l`` and ``random_s``).
"""

from __future__ import annotations

import numpy as np

from im2rec.images.codec import Image
from im2rec.images.fixed_point import Floats, rounded

MAX_HUE, MAX_LEVEL = 180, 255
_EPSILON = np.float32(1.1920929e-07)  # FLT_EPSILON: channels that differ by no more are grey, without a hue
_PER_LEVEL = np.float32(1) / np.float32(255)  # multiplied by, as OpenCV does: a division rounds otherwise
# For each of the six sectors of the hue: which of the four values of _rgb become red, green and blue.
_SECTORS = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 3], [1, 2, 0], [3, 1, 0], [0, 1, 2]])


def shifted_hls(image: Image, hue: int, lightness: int, saturation: int) -> Image:
    """Shift the colours of *image*, uint8 (h, w, 3 or 4) in RGB order; a new array. See ``Resampler.shift_hls``."""
    shifted = image.copy()
    red, green, blue = (image[:, :, channel].astype(np.float32) * _PER_LEVEL for channel in range(3))
    hls = _hls(red, green, blue)
    limits = MAX_HUE, MAX_LEVEL, MAX_LEVEL
    moved = [
        np.clip(values.astype(np.int64) + shift, 0, limit).astype(np.float32)
        for values, shift, limit in zip(hls, (hue, lightness, saturation), limits, strict=True)
    ]
    shifted[:, :, :3] = _rgb(*moved)
    return shifted


def _hls(red: Floats, green: Floats, blue: Floats) -> tuple[Floats, Floats, Floats]:
    """Hue from 0 to 180, lightness and saturation from 0 to 255, as whole numbers, of channels from 0 to 1."""
    largest, smallest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    total, difference = largest + smallest, largest - smallest
    lightness = total * np.float32(0.5)
    has_hue = difference > _EPSILON
    divisor = np.where(has_hue, np.where(lightness < 0.5, total, 2 - total), np.float32(1))
    saturation = np.where(has_hue, difference / divisor, np.float32(0))
    degrees = np.float32(60) / np.where(has_hue, difference, np.float32(1))
    hue = np.where(
        largest == red,
        (green - blue) * degrees,
        np.where(largest == green, (blue - red) * degrees + 120, (red - green) * degrees + 240),
    )
    hue = np.where(has_hue, np.where(hue < 0, hue + 360, hue), np.float32(0))
    return np.rint(hue * np.float32(0.5)), np.rint(lightness * np.float32(255)), np.rint(saturation * np.float32(255))


def _rgb(hue: Floats, lightness: Floats, saturation: Floats) -> Image:
    """RGB colours, uint8 (..., 3), of hue from 0 to 180, lightness and saturation from 0 to 255."""
    lightness, saturation = lightness * _PER_LEVEL, saturation * _PER_LEVEL
    high = np.where(lightness <= 0.5, lightness * (1 + saturation), lightness + saturation - lightness * saturation)
    low = 2 * lightness - high
    sectors = hue * (np.float32(6) / np.float32(MAX_HUE))
    sectors = np.where(sectors >= 6, sectors - 6, sectors)
    sector = np.floor(sectors)
    fraction = sectors - sector
    values = np.stack([high, low, low + (high - low) * (1 - fraction), low + (high - low) * fraction], axis=-1)
    colors = np.take_along_axis(values, _SECTORS[sector.astype(np.intp)], axis=-1)
    colors = np.where((saturation == 0)[..., None], lightness[..., None], colors)
    return rounded(colors * np.float32(255))
