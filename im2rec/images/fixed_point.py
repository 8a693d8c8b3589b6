"""Weights of linear, cubic and Lanczos interpolation, and how sums become pixels again.

In the 32-bit floats of the library MXNet was built with: the order of the operations counts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.images.codec import Image

Floats = npt.NDArray[np.float32]

_LANCZOS_TAPS = 8
_A = -0.75  # of the cubic kernel: steeper than the -0.5 of Pillow
_ROOT = 0.70710678118654752440
# Of the taps' angles, pi / 4 apart, with the alternating sign of sin(pi t).
_SINES = np.array([1, -_ROOT, 0, _ROOT, -1, _ROOT, 0, -_ROOT])
_COSINES = np.array([0, -_ROOT, 1, -_ROOT, 0, _ROOT, -1, _ROOT])
_LEAST, _MOST = -32768, 32767
_NO_FRACTION = 1.1920929e-07  # below it a position is that of a pixel


def linear_weights(fraction: Floats) -> Floats:
    """Weights (n, 2) of the two pixels around each of the n places, *fraction* behind the first of them."""
    return np.stack([1 - fraction, fraction], axis=1)


def cubic_weights(fraction: Floats) -> Floats:
    """Weights (n, 4) of the pixels at -1, 0, 1, 2 seen from the pixel before each of the n places.

    Source: R. Keys, "Cubic convolution interpolation", 1981, with A = -0.75; the last is what the others leave of 1.
    """
    before, after = fraction + 1, 1 - fraction
    outer = ((_A * before - 5 * _A) * before + 8 * _A) * before - 4 * _A
    near = ((_A + 2) * fraction - (_A + 3)) * fraction * fraction + 1
    far = ((_A + 2) * after - (_A + 3)) * after * after + 1
    return np.stack([outer, near, far, 1 - outer - near - far], axis=1)


def lanczos_weights(fraction: Floats) -> Floats:
    """Weights (n, 8) of the pixels at -3 to 4 seen from the pixel before each of the n places; they add up to 1.

    A fraction of 1, which comes of rounding, has no weights: they are not a number, as they were for MXNet.

    Source: the Lanczos kernel of order 4, sin(pi t) sin(pi t / 4) / t^2 up to a factor.
    """
    on_pixel = fraction < _NO_FRACTION
    behind = np.where(on_pixel, np.float32(0.5), fraction) + np.float32(3)  # the first of the eight pixels
    angles = -(behind[:, None] - np.arange(_LANCZOS_TAPS, dtype=np.float32)).astype(np.float64) * np.pi * 0.25
    # Sine and cosine of the first angle give all others; from the C library, as their last bit counts.
    sines, cosines = (np.array([function(angle) for angle in angles[:, 0]]) for function in (math.sin, math.cos))
    with np.errstate(invalid="ignore", divide="ignore"):
        waves = _SINES * sines[:, None] + _COSINES * cosines[:, None]
        weights: Floats = (waves / (angles * angles)).astype(np.float32)
        total = np.zeros(len(fraction), np.float32)
        for tap in weights.T:  # one after the other: the order counts in 32 bits
            total += tap
        weights *= (1 / total)[:, None]
    weights[on_pixel] = np.arange(-3, 5) == 0
    return weights


def fixed_point(weights: Floats, one: int) -> npt.NDArray[np.int32]:
    """*weights* as int32 multiples of 1 / *one*, rounded to the nearest, ties to even, in the range of 16 bits.

    What is no number becomes the least of the range, as the processor has it.
    """
    scaled = np.rint(weights * np.float32(one))
    return np.where(np.isnan(scaled), _LEAST, np.clip(scaled, _LEAST, _MOST)).astype(np.int32)


def levels(values: npt.NDArray[Any]) -> Image:
    """*values*, whole numbers of any type, clipped to 0 to 255, as uint8; same shape."""
    clipped: Image = np.clip(values, 0, 255).astype(np.uint8)
    return clipped


def rounded(values: Floats) -> Image:
    """*values* as the nearest of the :func:`levels`, halves as the even one."""
    return levels(np.rint(values))
