"""Shifts of hue, lightness and saturation, by the 8-bit arithmetic that MXNet 1.9.1 had from OpenCV 3.4.2.

Source: measured on MXNet 1.9.1 (``ImageRecordIter`` with ``random_h``, ``random_l`` and ``random_s``).
"""

from __future__ import annotations

import numpy as np

from im2rec.images.codec import Image
from im2rec.images.fixed_point import Floats, rounded

MOST_HUE, MOST_LEVEL = 180, 255
_NO_COLOR = np.float32(1.1920929e-07)  # the least difference of two colours that makes a hue
_SHARE = np.float32(1) / np.float32(255)
# Which of the four values each sector of the hue gives red, green and blue.
_SECTORS = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 3], [1, 2, 0], [3, 1, 0], [0, 1, 2]])


def shifted_hls(image: Image, hue: int, lightness: int, saturation: int) -> Image:
    """*image*, uint8 (h, w, 3 or 4) in RGB order, with its colours shifted; see ``Resampler.shift_hls``."""
    shifted = image.copy()
    red, green, blue = (image[:, :, channel].astype(np.float32) * _SHARE for channel in range(3))
    hls = _hls(red, green, blue)
    limits = MOST_HUE, MOST_LEVEL, MOST_LEVEL
    moved = [
        np.clip(values.astype(np.int64) + shift, 0, most).astype(np.float32)
        for values, shift, most in zip(hls, (hue, lightness, saturation), limits, strict=True)
    ]
    shifted[:, :, :3] = _rgb(*moved)
    return shifted


def _hls(red: Floats, green: Floats, blue: Floats) -> tuple[Floats, Floats, Floats]:
    """Hue in 0 to 180, lightness and saturation in 0 to 255, as whole numbers, of colours in 0 to 1."""
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    total, difference = most + least, most - least
    lightness = total * np.float32(0.5)
    colored = difference > _NO_COLOR
    divisor = np.where(colored, np.where(lightness < 0.5, total, 2 - total), np.float32(1))
    saturation = np.where(colored, difference / divisor, np.float32(0))
    slope = np.float32(60) / np.where(colored, difference, np.float32(1))
    hue = np.where(
        most == red,
        (green - blue) * slope,
        np.where(most == green, (blue - red) * slope + 120, (red - green) * slope + 240),
    )
    hue = np.where(colored, np.where(hue < 0, hue + 360, hue), np.float32(0))
    return np.rint(hue * np.float32(0.5)), np.rint(lightness * np.float32(255)), np.rint(saturation * np.float32(255))


def _rgb(hue: Floats, lightness: Floats, saturation: Floats) -> Image:
    """Colours (..., 3) of hue in 0 to 180, lightness and saturation in 0 to 255; uint8."""
    lightness, saturation = lightness * _SHARE, saturation * _SHARE
    top = np.where(lightness <= 0.5, lightness * (1 + saturation), lightness + saturation - lightness * saturation)
    bottom = 2 * lightness - top
    turn = hue * (np.float32(6) / np.float32(MOST_HUE))
    turn = np.where(turn >= 6, turn - 6, turn)
    sector = np.floor(turn)
    part = turn - sector
    values = np.stack([top, bottom, bottom + (top - bottom) * (1 - part), bottom + (top - bottom) * part], axis=-1)
    colors = np.take_along_axis(values, _SECTORS[sector.astype(np.intp)], axis=-1)
    colors = np.where((saturation == 0)[..., None], lightness[..., None], colors)
    return rounded(colors * np.float32(255))
