"""Colours to grey by the weights of OpenCV's decoders, which differ by file format.

JPEGs need none of this, as they store their grey.

Source: libpng 1.6 (the PNG specification, section 13.13, for its gamma) and OpenCV 4.8; measured on both.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
Ints = npt.NDArray[np.int32]

_UNIT = 100_000  # PNG files store gamma in 100000ths
SRGB_GAMMA = 45455
_GAMMA_THRESHOLD = 5000  # libpng takes a gamma this near to 1 for 1
_VALID_GAMMAS = range(16, 625_000_001)  # libpng ignores others

# By Pillow's name of the format: weights of red, green and blue, the rounding term added, and the bits shifted out.
_WEIGHTS = {"PNG": ((9797, 19234, 3737), 0, 15), "WEBP": ((9798, 19235, 3735), 1 << 14, 15)}
_OTHER_WEIGHTS = ((4899, 9617, 1868), 1 << 13, 14)


def grey(colors: Image, kind: str, gamma: int = 0) -> Image:
    """Return *colors*, uint8 (h, w, 3), as grey (h, w, 1), by the weights OpenCV has for files of *kind*.

    *kind* is Pillow's name of the format. The colours of a PNG with a *gamma*, in 100000ths, are averaged in linear
    light, which differs from the plain weighted sum by up to 62 levels.
    """
    weights, rounding, bits = _WEIGHTS.get(kind, _OTHER_WEIGHTS)
    gamma = gamma if kind == "PNG" and gamma in _VALID_GAMMAS else _UNIT
    inverse = _reciprocal(gamma)
    if not (_is_significant(gamma) or _is_significant(inverse)):
        return (_weighted_sum(colors, weights, rounding) >> bits).astype(np.uint8)
    linear = _weighted_sum(_power_table(inverse)[colors], weights, 1 << (bits - 1)) >> bits
    mixed = _power_table(_reciprocal(inverse))[linear]
    is_grey = (colors == colors[:, :, :1]).all(axis=2, keepdims=True)
    return np.where(is_grey, colors[:, :, :1], mixed)


def _weighted_sum(colors: Image, weights: tuple[int, int, int], rounding: int) -> Ints:
    red, green, blue = (colors[:, :, channel, None].astype(np.int32) * weights[channel] for channel in range(3))
    return red + green + blue + rounding


def _reciprocal(gamma: int) -> int:
    """1 / *gamma*, both in 100000ths, rounded as libpng rounds it."""
    return math.floor(_UNIT * _UNIT / gamma + 0.5)


def _is_significant(gamma: int) -> bool:
    return abs(gamma - _UNIT) > _GAMMA_THRESHOLD


@functools.lru_cache(maxsize=16)
def _power_table(gamma: int) -> Image:
    """The 256 levels raised to the power *gamma*, in 100000ths, as uint8; the levels themselves if it is nearly 1."""
    if not _is_significant(gamma):
        return np.arange(256, dtype=np.uint8)
    return np.array([math.floor(255 * (level / 255) ** (gamma * 1e-5) + 0.5) for level in range(256)], np.uint8)
