"""Linear, cubic and Lanczos interpolation weights, and rounding of weighted sums to pixels.

All of it repeats the 32-bit float arithmetic of the OpenCV that MXNet was built with, operation by operation: another
order gives other last bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.images.codec import Image

Floats = npt.NDArray[np.float32]

_LANCZOS_TAPS = 8
_A = -0.75  # parameter of the cubic kernel, which Pillow has as -0.5
_HALF_ROOT = 0.70710678118654752440
# Coefficients that give sin(pi t / 4) of each tap from sine and cosine of the first one's angle: the angles are pi / 4
# apart, and sin(pi t) alternates in sign.
_SINES = np.array([1, -_HALF_ROOT, 0, _HALF_ROOT, -1, _HALF_ROOT, 0, -_HALF_ROOT])
_COSINES = np.array([0, -_HALF_ROOT, 1, -_HALF_ROOT, 0, _HALF_ROOT, -1, _HALF_ROOT])
_INT16_MIN, _INT16_MAX = -32768, 32767
_EPSILON = 1.1920929e-07  # FLT_EPSILON: a smaller fraction counts as a pixel's own centre


def linear_weights(fraction: Floats) -> Floats:
    """Return weights (n, 2) of the two pixels around each of n points, *fraction* pixels after the first one."""
    return np.stack([1 - fraction, fraction], axis=1)


def cubic_weights(fraction: Floats) -> Floats:
    """Return weights (n, 4) of the pixels at -1, 0, 1, 2 relative to the last one before each of n points.

    *fraction*, 0 to 1, is the distance of each point from that pixel. The fourth weight is 1 minus the other three.

    Source: R. Keys, "Cubic convolution interpolation", 1981, with A = -0.75.
    """
    from_outer, to_next = fraction + 1, 1 - fraction
    outer = ((_A * from_outer - 5 * _A) * from_outer + 8 * _A) * from_outer - 4 * _A
    last = ((_A + 2) * fraction - (_A + 3)) * fraction * fraction + 1
    following = ((_A + 2) * to_next - (_A + 3)) * to_next * to_next + 1
    return np.stack([outer, last, following, 1 - outer - last - following], axis=1)


def lanczos_weights(fraction: Floats) -> Floats:
    """Return weights (n, 8) of the pixels at -3 to 4 relative to the last one before each of n points; their sum is 1.

    *fraction*, 0 to 1, is the distance of each point from that pixel. For a fraction of exactly 1, which rounding can
    give, the weights are NaN, as they were in MXNet.

    Source: the Lanczos kernel of order 4, sin(pi t) sin(pi t / 4) / t^2 up to a factor.
    """
    on_pixel = fraction < _EPSILON
    # Distance from the first of the eight pixels; 0.5 stands in where the formula would divide by zero.
    distance = np.where(on_pixel, np.float32(0.5), fraction) + np.float32(3)
    angles = -(distance[:, None] - np.arange(_LANCZOS_TAPS, dtype=np.float32)).astype(np.float64) * np.pi * 0.25
    # math.sin and math.cos are those of the C library, as in MXNet: NumPy's may differ in the last bit.
    sines, cosines = (np.array([function(angle) for angle in angles[:, 0]]) for function in (math.sin, math.cos))
    with np.errstate(invalid="ignore", divide="ignore"):
        waves = _SINES * sines[:, None] + _COSINES * cosines[:, None]
        weights: Floats = (waves / (angles * angles)).astype(np.float32)
        total = np.zeros(len(fraction), np.float32)
        for tap in weights.T:  # a loop, as np.sum adds in another order, with another rounding
            total += tap
        weights *= (1 / total)[:, None]
    weights[on_pixel] = np.arange(-3, 5) == 0
    return weights


def fixed_point(weights: Floats, one: int) -> npt.NDArray[np.int32]:
    """Return *weights* as int32 multiples of 1 / *one*, rounded to nearest, ties to even, clipped to the int16 range.

    NaN becomes -32768, as in the float-to-integer conversion of x86 processors.
    """
    scaled = np.rint(weights * np.float32(one))
    return np.where(np.isnan(scaled), _INT16_MIN, np.clip(scaled, _INT16_MIN, _INT16_MAX)).astype(np.int32)


def levels(values: npt.NDArray[Any]) -> Image:
    """Return *values*, whole numbers of any type, as uint8, clipped to 0 to 255; same shape."""
    clipped: Image = np.clip(values, 0, 255).astype(np.uint8)
    return clipped


def rounded(values: Floats) -> Image:
    """Return *values* rounded to the nearest whole number, halves to even, as uint8, clipped to 0 to 255."""
    return levels(np.rint(values))
