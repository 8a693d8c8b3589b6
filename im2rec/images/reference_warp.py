"""How MXNet 1.9.1 turned and sheared: the affine warp of OpenCV 3.4.2 in numpy, to the last bit. Slow.

The weights of the pixels around a place are kept in tables, for whole multiples of 1/32 pixel, in 15 bits.

Source: measured on MXNet 1.9.1 (``ImageRecordIter`` with ``rotate``, ``max_random_scale`` and the like).
"""

from __future__ import annotations

import functools

import numpy as np

from im2rec.images.affine import STEP_BITS, Ints, Matrix, places
from im2rec.images.choices import AREA, BICUBIC, BILINEAR, LANCZOS, NEAREST
from im2rec.images.codec import Image
from im2rec.images.fixed_point import cubic_weights, fixed_point, lanczos_weights, levels, linear_weights

_STEPS = 1 << STEP_BITS
_WEIGHT_BITS = 15
_KERNELS = {
    BILINEAR: linear_weights,
    BICUBIC: cubic_weights,
    AREA: linear_weights,  # a warp knows no areas
    LANCZOS: lanczos_weights,
}


def warped(image: Image, matrix: Matrix, width: int, height: int, inter_method: int, fill: int) -> Image:
    """*image*, uint8 (h, w, c), moved by *matrix* onto a canvas of *width* x *height*; see ``Resampler.warp``."""
    bits = 0 if inter_method == NEAREST else STEP_BITS
    columns, rows = places(matrix, width, height, bits)
    if inter_method == NEAREST:
        padded = _padded(image, 1, fill)
        chosen: Image = padded[_clipped(rows, 1, image.shape[0]), _clipped(columns, 1, image.shape[1])]
        return chosen
    table = _weights(inter_method)
    taps = table.shape[1]
    padded = _padded(image, taps, fill)
    # The first tap's row and column in *padded*: whoever is farther outside than all taps reach sees only the fill.
    before = taps // 2 - 1
    top = _clipped((rows >> bits) - before, taps, image.shape[0])
    left = _clipped((columns >> bits) - before, taps, image.shape[1])
    step = (rows & _STEPS - 1) * _STEPS + (columns & _STEPS - 1)
    total = np.full((height, width, image.shape[2]), 1 << _WEIGHT_BITS - 1, np.int32)
    for down in range(taps):
        for right in range(taps):
            total += padded[top + down, left + right] * table[step, down, right, None]
    return levels(total >> _WEIGHT_BITS)


def _padded(image: Image, margin: int, fill: int) -> Image:
    """*image* with *margin* pixels of *fill* around it, 0 in a fourth channel."""
    height, width, channels = image.shape
    padded = np.full((height + 2 * margin, width + 2 * margin, channels), fill, np.uint8)
    padded[:, :, 3:] = 0
    padded[margin : margin + height, margin : margin + width] = image
    return padded


def _clipped(place: Ints, margin: int, size: int) -> Ints:
    """Index in the padded picture of a *place* in the picture itself."""
    return np.clip(place, -margin, size) + margin


@functools.cache
def _weights(inter_method: int) -> Ints:
    """The weights (32 * 32, k, k) of the pixels around a place, for each of its fractions down and right; 15 bits.

    What their sum lacks of 1 is given to the largest of four of them, what it has too much taken from the smallest:
    the four behind the middle, where the central ones would be meant.
    """
    along = _KERNELS[inter_method](np.arange(_STEPS, dtype=np.float32) / np.float32(_STEPS))
    taps = along.shape[1]
    products = along[:, None, :, None] * along[None, :, None, :]
    table = fixed_point(products.reshape(-1, taps, taps), 1 << _WEIGHT_BITS)
    middle = slice(taps // 2, taps // 2 + 2)
    for weights, excess in zip(table, table.sum(axis=(1, 2)) - (1 << _WEIGHT_BITS), strict=True):
        near = weights[middle, middle]
        chosen = near.argmax() if excess < 0 else near.argmin()
        near[np.unravel_index(chosen, near.shape)] -= excess
    return table
