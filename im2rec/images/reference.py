"""The engine that computes what MXNet 1.9.1 computed, bit for bit, in numpy: slow, and the measure of the others.

It resizes and warps by the 8-bit arithmetic of OpenCV 3.4.2. A resize takes both axes one after the other, columns
first; weights are whole multiples of 1/2048, or 32-bit floats where pixels are weighed by their area. A warp keeps the
weights of the pixels around a place in tables, for whole multiples of 1/32 pixel, in 15 bits.

Source: measured on MXNet 1.9.1 (``mx.image.imresize``, and the iterators with ``rotate``, ``max_random_scale`` and
the like).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.images.choices import AREA, BICUBIC, BILINEAR, LANCZOS, NEAREST
from im2rec.images.codec import Image
from im2rec.images.engine import STEP_BITS, Ints, Matrix, padded, places, write_planes
from im2rec.images.fixed_point import (
    Floats,
    cubic_weights,
    fixed_point,
    lanczos_weights,
    levels,
    linear_weights,
    rounded,
)
from im2rec.images.hls import shifted_hls

Positions = npt.NDArray[np.intp]
Neighbours = Callable[[int, int], tuple[Positions, Floats]]  # for each new pixel the old one before it, and how far

_ONE = 2048  # 11 bits for a weight
_SHARE_BITS = 22  # of a product of two weights
_LANES = 8  # samples that the vector code takes at a time
_LEAST_COVER = 1e-3  # of a pixel at the edge of an area: less counts as nothing


class Taps(NamedTuple):
    """What n new pixels along an axis are made of: *positions* (n, k) inside the old ones, and *weights* (n, k)."""

    positions: Positions
    weights: Ints


def resized(image: Image, width: int, height: int, inter_method: int) -> Image:
    """*image*, uint8 (h, w, c), scaled to *width* x *height* pixels by interpolation 0 to 4; a new array."""
    if image.shape[:2] == (height, width):
        return image.copy()
    return np.ascontiguousarray(_METHODS[inter_method](image, width, height))


def _steps(image: Image, width: int, height: int) -> tuple[float, float]:
    """Old pixels per new pixel, across and down."""
    return _step(image.shape[1], width), _step(image.shape[0], height)


def _step(old: int, new: int) -> float:
    return 1 / (new / old)  # turned over twice, so 49 to 1 is not quite 49


def _nearest(image: Image, width: int, height: int) -> Image:
    rows, columns = (
        np.minimum(np.floor(np.arange(new) * _step(old, new)).astype(np.intp), old - 1)
        for old, new in zip(image.shape[:2], (height, width), strict=True)
    )
    chosen: Image = image[rows[:, None], columns]
    return chosen


# Weighted sums of neighbours.


def _centred(old: int, new: int) -> tuple[Positions, Floats]:
    """The old pixel before the centre of each new one, and how far behind it the centre is, 0 to 1."""
    place = ((np.arange(new) + 0.5) * _step(old, new) - 0.5).astype(np.float32)
    before = np.floor(place)
    return before.astype(np.intp), place - before


def _grown(old: int, new: int) -> tuple[Positions, Floats]:
    """The same for areas where an axis grows: a new pixel is a mixture only where it lies across an edge."""
    before = np.floor(np.arange(new) * _step(old, new))
    behind = (np.arange(1, new + 1) - (before + 1) * (new / old)).astype(np.float32)
    return before.astype(np.intp), np.where(behind <= 0, np.float32(0), behind - np.floor(behind))


def _taps(before: Positions, fraction: Floats, old: int, kernel: Callable[[Floats], Floats]) -> Taps:
    weights = fixed_point(kernel(fraction), _ONE)
    count = weights.shape[1]
    return Taps(np.clip(before[:, None] + np.arange(1 - count // 2, 1 + count // 2), 0, old - 1), weights)


def _both_taps(
    image: Image, width: int, height: int, kernel: Callable[[Floats], Floats], place: Neighbours = _centred
) -> tuple[Taps, Taps]:
    """What the columns and the rows of the new image are made of."""
    old_height, old_width = image.shape[:2]
    columns = _taps(*place(old_width, width), old_width, kernel)
    return columns, _taps(*place(old_height, height), old_height, kernel)


def _row_sums(image: Image, columns: Taps) -> Ints:
    """The weighted sums along each row, (old height, new width, c), in units of 1/2048."""
    sums = np.zeros((image.shape[0], len(columns.positions), image.shape[2]), np.int32)
    for position, weight in zip(columns.positions.T, columns.weights.T, strict=True):
        sums += image[:, position] * weight[:, None]
    return sums


def _column_sums(sums: Ints, rows: Taps) -> Image:
    """The weighted sums of row sums along the columns, (new height, new width, c), rounded to levels."""
    total = np.full((len(rows.positions), *sums.shape[1:]), 1 << (_SHARE_BITS - 1), np.int32)
    for position, weight in zip(rows.positions.T, rows.weights.T, strict=True):
        total += sums[position] * weight[:, None, None]
    return levels(total >> _SHARE_BITS)


def _bilinear(image: Image, width: int, height: int) -> Image:
    if _steps(image, width, height) == (2, 2):
        return _block_means(image, 2, 2)
    return _mixed(image, *_both_taps(image, width, height, linear_weights))


def _mixed(image: Image, columns: Taps, rows: Taps) -> Image:
    sums = _row_sums(image, columns)
    # Bits are dropped twice on the way, so that a product fits 32 bits, of which the upper 16 are kept.
    total = np.full((len(rows.positions), *sums.shape[1:]), 2, np.int32)
    for position, weight in zip(rows.positions.T, rows.weights.T, strict=True):
        total += (weight[:, None, None] * (sums[position] >> 4)) >> 16
    return (total >> 2).astype(np.uint8)


def _lanczos(image: Image, width: int, height: int) -> Image:
    columns, rows = _both_taps(image, width, height, lanczos_weights)
    return _column_sums(_row_sums(image, columns), rows)


def _bicubic(image: Image, width: int, height: int) -> Image:
    columns, rows = _both_taps(image, width, height, cubic_weights)
    sums = _row_sums(image, columns)
    scaled = _column_sums(sums, rows)
    # Whole vectors of a row are added up in 32-bit floats; in integers only what is left over at its end.
    whole = width * image.shape[2] // _LANES * _LANES
    total = np.zeros((height, whole), np.float32)
    flat = sums.reshape(len(sums), -1)[:, :whole].astype(np.float32)
    shares = rows.weights.astype(np.float32) * np.float32(2.0**-_SHARE_BITS)
    for position, share in zip(rows.positions.T, shares.T, strict=True):
        total += flat[position] * share[:, None]
    scaled.reshape(height, -1)[:, :whole] = rounded(total)
    return scaled


# Means over areas.


def _area(image: Image, width: int, height: int) -> Image:
    across, down = _steps(image, width, height)
    if min(across, down) < 1:
        return _mixed(image, *_both_taps(image, width, height, linear_weights, _grown))
    if across == int(across) and down == int(down):
        return _block_means(image, int(across), int(down))
    sums = _stretch_means(image.astype(np.float32).swapaxes(0, 1), width).swapaxes(0, 1)
    return rounded(_stretch_means(sums, height))


def _block_means(image: Image, across: int, down: int) -> Image:
    """The means of the blocks of *across* x *down* pixels that *image* is made up of."""
    height, width, channels = image.shape
    blocks = image.reshape(height // down, down, width // across, across, channels)
    sums: Ints = blocks.sum(axis=(1, 3), dtype=np.int32)
    if (across, down) == (2, 2):
        return ((sums + 2) >> 2).astype(np.uint8)  # halves upwards, unlike all others
    return rounded(sums.astype(np.float32) * (np.float32(1) / np.float32(across * down)))


def _stretch_means(samples: Floats, new: int) -> Floats:
    """The means of *samples* (old, ...) over *new* equal stretches of the first axis, added up in 32 bits."""
    positions, weights = _area_taps(len(samples), new)
    total = np.zeros((new, *samples.shape[1:]), np.float32)
    for position, weight in zip(positions.T, weights.T, strict=True):
        total += samples[position] * weight[:, None, None]
    return total


def _area_taps(old: int, new: int) -> tuple[Positions, Floats]:
    """Positions and weights (new, k) of the pixels under each stretch; a weight of 0 where there are fewer than k."""
    step = _step(old, new)
    start = np.arange(new) * step
    stop = start + step
    length = np.minimum(step, old - start)
    last = np.minimum(np.floor(stop), old - 1)
    first = np.minimum(np.ceil(start), last)  # the first that is covered from its beginning
    lead, tail = (np.where(cover > _LEAST_COVER, cover, 0) for cover in (first - start, stop - last))
    position = first[:, None] + np.arange(-1, int((last - first).max()) + 1)
    cover = np.where(position < last[:, None], 1.0, 0.0)
    cover[:, 0] = lead
    cover += np.where(position == last[:, None], np.minimum(np.minimum(tail, 1), length)[:, None], 0)
    return np.clip(position, 0, old - 1).astype(np.intp), (cover / length[:, None]).astype(np.float32)


_METHODS: dict[int, Callable[[Image, int, int], Image]] = {
    NEAREST: _nearest,
    BILINEAR: _bilinear,
    BICUBIC: _bicubic,
    AREA: _area,
    LANCZOS: _lanczos,
}

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
        chosen: Image = padded(image, 1, fill)[_clipped(rows, 1, image.shape[0]), _clipped(columns, 1, image.shape[1])]
        return chosen
    table = _weights(inter_method)
    taps = table.shape[1]
    framed = padded(image, taps, fill)
    # The first tap's row and column in *framed*: whoever is farther outside than all taps reach sees only the fill.
    before = taps // 2 - 1
    top = _clipped((rows >> bits) - before, taps, image.shape[0])
    left = _clipped((columns >> bits) - before, taps, image.shape[1])
    step = (rows & _STEPS - 1) * _STEPS + (columns & _STEPS - 1)
    total = np.full((height, width, image.shape[2]), 1 << _WEIGHT_BITS - 1, np.int32)
    for down in range(taps):
        for right in range(taps):
            total += framed[top + down, left + right] * table[step, down, right, None]
    return levels(total >> _WEIGHT_BITS)


def _clipped(place: Ints, margin: int, size: int) -> Ints:
    """Index in the padded image of a *place* in the image itself."""
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


class Reference:
    """Resize, warp and shift colours as MXNet 1.9.1 did."""

    name = "reference"
    resize = staticmethod(resized)
    warp = staticmethod(warped)
    shift_hls = staticmethod(shifted_hls)
    planes = staticmethod(write_planes)


ENGINE = Reference()
