"""Colours to grey, as each of OpenCV's decoders weighs them when it is asked for grey images.

JPEGs are not among them: their grey is stored as it is.

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

SRGB_GAMMA = 45455  # of 100000, as PNG files write it
_SIGNIFICANT = 5000  # of 100000: a gamma nearer to 1 is as good as 1
_UNIT = 100_000
_GAMMAS = range(16, 625_000_001)  # what libpng believes

# Weights of red, green and blue, what is added, and the bits dropped.
_WEIGHTS = {"PNG": ((9797, 19234, 3737), 0, 15), "WEBP": ((9798, 19235, 3735), 1 << 14, 15)}
_OTHERS = ((4899, 9617, 1868), 1 << 13, 14)


def grey(colors: Image, kind: str, gamma: int = 0) -> Image:
    """The grey (h, w, 1) of *colors*, uint8 (h, w, 3), as OpenCV weighs them in a file of *kind*, Pillow's name of it.

    Of a PNG that tells its *gamma*, in 100000ths, colours are weighed as light: up to 62 levels from the plain sum.
    """
    weights, half, bits = _WEIGHTS.get(kind, _OTHERS)
    gamma = gamma if kind == "PNG" and gamma in _GAMMAS else _UNIT
    inverse = _reciprocal(gamma)
    if not (_is_significant(gamma) or _is_significant(inverse)):
        return (_weighed(colors, weights, half) >> bits).astype(np.uint8)
    sums = _weighed(_power_table(inverse)[colors], weights, 1 << (bits - 1)) >> bits
    mixed = _power_table(_reciprocal(inverse))[sums]
    is_grey = (colors == colors[:, :, :1]).all(axis=2, keepdims=True)
    return np.where(is_grey, colors[:, :, :1], mixed)


def _weighed(colors: Image, weights: tuple[int, int, int], half: int) -> Ints:
    red, green, blue = (colors[:, :, channel, None].astype(np.int32) * weights[channel] for channel in range(3))
    return red + green + blue + half


def _reciprocal(gamma: int) -> int:
    return math.floor(_UNIT * _UNIT / gamma + 0.5)


def _is_significant(gamma: int) -> bool:
    return abs(gamma - _UNIT) > _SIGNIFICANT


@functools.lru_cache(maxsize=16)
def _power_table(gamma: int) -> Image:
    """Each level to the power of *gamma*, in 100000ths; as it is where that makes no difference to speak of."""
    if not _is_significant(gamma):
        return np.arange(256, dtype=np.uint8)
    return np.array([math.floor(255 * (level / 255) ** (gamma * 1e-5) + 0.5) for level in range(256)], np.uint8)
