"""The reference engine: what MXNet 1.9.1 computed, bit for bit, in NumPy; slow, and what the others are tested against.

It resizes and warps by the 8-bit arithmetic of OpenCV 3.4.2. A resize scales along the columns first, then along the
rows; weights are multiples of 1/2048, or 32-bit floats for means over areas. A warp takes 15-bit weights from tables
with an entry for every 1/32 pixel along both axes.

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
from im2rec.images.engine import FRACTION_BITS, Ints, Matrix, padded, source_coordinates, write_planes
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

Indices = npt.NDArray[np.intp]
Centres = Callable[[int, int], tuple[Indices, Floats]]  # (old size, new size) to the result of _centres

_ONE = 2048  # weight 1, in 11 bits
_PRODUCT_BITS = 22  # of the product of two weights
_VECTOR_SAMPLES = 8  # that OpenCV's vector code processes at once
_MIN_COVER = 1e-3  # of a pixel at the edge of an area: a smaller part is ignored
_STEPS = 1 << FRACTION_BITS
_WARP_WEIGHT_BITS = 15


class Taps(NamedTuple):
    """The old pixels along one axis that each of n new pixels is a weighted sum of: *indices* and *weights*, (n, k)."""

    indices: Indices
    weights: Ints


def resized(image: Image, width: int, height: int, inter_method: int) -> Image:
    """Scale *image*, uint8 (h, w, c), to *width* x *height* pixels by interpolation 0 to 4; a new array."""
    if image.shape[:2] == (height, width):
        return image.copy()
    return np.ascontiguousarray(_METHODS[inter_method](image, width, height))


def _steps(image: Image, width: int, height: int) -> tuple[float, float]:
    """Old pixels per new pixel, across and down."""
    return _step(image.shape[1], width), _step(image.shape[0], height)


def _step(old: int, new: int) -> float:
    return 1 / (new / old)  # OpenCV inverts twice, so that 49 to 1 is slightly off 49


def _nearest(image: Image, width: int, height: int) -> Image:
    rows, columns = (
        np.minimum(np.floor(np.arange(new) * _step(old, new)).astype(np.intp), old - 1)
        for old, new in zip(image.shape[:2], (height, width), strict=True)
    )
    chosen: Image = image[rows[:, None], columns]
    return chosen


# Weighted sums of neighbours.


def _centres(old: int, new: int) -> tuple[Indices, Floats]:
    """For each new pixel: the last old pixel before its centre, and the distance between the two, 0 to 1."""
    centre = ((np.arange(new) + 0.5) * _step(old, new) - 0.5).astype(np.float32)
    before = np.floor(centre)
    return before.astype(np.intp), centre - before


def _area_centres(old: int, new: int) -> tuple[Indices, Floats]:
    """As :func:`_centres`, for areas along an axis that grows: only new pixels across an edge mix two old ones."""
    before = np.floor(np.arange(new) * _step(old, new))
    beyond = (np.arange(1, new + 1) - (before + 1) * (new / old)).astype(np.float32)
    return before.astype(np.intp), np.where(beyond <= 0, np.float32(0), beyond - np.floor(beyond))


def _taps(before: Indices, fraction: Floats, old: int, kernel: Callable[[Floats], Floats]) -> Taps:
    weights = fixed_point(kernel(fraction), _ONE)
    count = weights.shape[1]
    return Taps(np.clip(before[:, None] + np.arange(1 - count // 2, 1 + count // 2), 0, old - 1), weights)


def _both_taps(
    image: Image, width: int, height: int, kernel: Callable[[Floats], Floats], centres: Centres = _centres
) -> tuple[Taps, Taps]:
    """The taps of the new columns, and those of the new rows."""
    old_height, old_width = image.shape[:2]
    columns = _taps(*centres(old_width, width), old_width, kernel)
    return columns, _taps(*centres(old_height, height), old_height, kernel)


def _row_sums(image: Image, columns: Taps) -> Ints:
    """Weighted sums along each row, (old height, new width, c), in units of 1/2048."""
    sums = np.zeros((image.shape[0], len(columns.indices), image.shape[2]), np.int32)
    for index, weight in zip(columns.indices.T, columns.weights.T, strict=True):
        sums += image[:, index] * weight[:, None]
    return sums


def _column_sums(sums: Ints, rows: Taps) -> Image:
    """Weighted sums of *sums* along the columns, (new height, new width, c), rounded to uint8."""
    total = np.full((len(rows.indices), *sums.shape[1:]), 1 << (_PRODUCT_BITS - 1), np.int32)
    for index, weight in zip(rows.indices.T, rows.weights.T, strict=True):
        total += sums[index] * weight[:, None, None]
    return levels(total >> _PRODUCT_BITS)


def _bilinear(image: Image, width: int, height: int) -> Image:
    if _steps(image, width, height) == (2, 2):  # OpenCV takes a bilinear half for one by area
        return _block_means(image, 2, 2)
    return _mixed(image, *_both_taps(image, width, height, linear_weights))


def _mixed(image: Image, columns: Taps, rows: Taps) -> Image:
    """Weighted sums of two pixels along each axis."""
    sums = _row_sums(image, columns)
    # As in OpenCV's vector code, 4 bits are dropped before the product, so that it fits 32 bits, and 16 after it.
    total = np.full((len(rows.indices), *sums.shape[1:]), 2, np.int32)
    for index, weight in zip(rows.indices.T, rows.weights.T, strict=True):
        total += (weight[:, None, None] * (sums[index] >> 4)) >> 16
    return (total >> 2).astype(np.uint8)


def _lanczos(image: Image, width: int, height: int) -> Image:
    columns, rows = _both_taps(image, width, height, lanczos_weights)
    return _column_sums(_row_sums(image, columns), rows)


def _bicubic(image: Image, width: int, height: int) -> Image:
    columns, rows = _both_taps(image, width, height, cubic_weights)
    sums = _row_sums(image, columns)
    scaled = _column_sums(sums, rows)
    # OpenCV adds up the whole vectors of a row in 32-bit floats, and only the samples left at its end in integers.
    samples = width * image.shape[2] // _VECTOR_SAMPLES * _VECTOR_SAMPLES
    total = np.zeros((height, samples), np.float32)
    flat = sums.reshape(len(sums), -1)[:, :samples].astype(np.float32)
    weights = rows.weights.astype(np.float32) * np.float32(2.0**-_PRODUCT_BITS)
    for index, weight in zip(rows.indices.T, weights.T, strict=True):
        total += flat[index] * weight[:, None]
    scaled.reshape(height, -1)[:, :samples] = rounded(total)
    return scaled


# Means over areas.


def _area(image: Image, width: int, height: int) -> Image:
    across, down = _steps(image, width, height)
    if min(across, down) < 1:
        return _mixed(image, *_both_taps(image, width, height, linear_weights, _area_centres))
    if across == int(across) and down == int(down):
        return _block_means(image, int(across), int(down))
    means = _interval_means(image.astype(np.float32).swapaxes(0, 1), width).swapaxes(0, 1)
    return rounded(_interval_means(means, height))


def _block_means(image: Image, across: int, down: int) -> Image:
    """Means of the blocks of *across* x *down* pixels that *image* consists of."""
    height, width, channels = image.shape
    blocks = image.reshape(height // down, down, width // across, across, channels)
    sums: Ints = blocks.sum(axis=(1, 3), dtype=np.int32)
    if (across, down) == (2, 2):
        return ((sums + 2) >> 2).astype(np.uint8)  # rounds halves up, where rounded() takes the even number
    return rounded(sums.astype(np.float32) * (np.float32(1) / np.float32(across * down)))


def _interval_means(samples: Floats, new: int) -> Floats:
    """Means of *samples*, (old, ...), over *new* equal intervals of the first axis, added up in 32-bit floats."""
    indices, weights = _area_taps(len(samples), new)
    total = np.zeros((new, *samples.shape[1:]), np.float32)
    for index, weight in zip(indices.T, weights.T, strict=True):
        total += samples[index] * weight[:, None, None]
    return total


def _area_taps(old: int, new: int) -> tuple[Indices, Floats]:
    """Indices and weights, (new, k), of the pixels in each interval; weight 0 where it has fewer than k."""
    step = _step(old, new)
    start = np.arange(new) * step
    stop = start + step
    length = np.minimum(step, old - start)
    last = np.minimum(np.floor(stop), old - 1)
    first = np.minimum(np.ceil(start), last)  # the first pixel that is covered from its beginning
    lead, tail = (np.where(cover > _MIN_COVER, cover, 0) for cover in (first - start, stop - last))
    index = first[:, None] + np.arange(-1, int((last - first).max()) + 1)
    cover = np.where(index < last[:, None], 1.0, 0.0)
    cover[:, 0] = lead
    cover += np.where(index == last[:, None], np.minimum(np.minimum(tail, 1), length)[:, None], 0)
    return np.clip(index, 0, old - 1).astype(np.intp), (cover / length[:, None]).astype(np.float32)


_METHODS: dict[int, Callable[[Image, int, int], Image]] = {
    NEAREST: _nearest,
    BILINEAR: _bilinear,
    BICUBIC: _bicubic,
    AREA: _area,
    LANCZOS: _lanczos,
}

_KERNELS = {
    BILINEAR: linear_weights,
    BICUBIC: cubic_weights,
    AREA: linear_weights,  # a warp has no areas
    LANCZOS: lanczos_weights,
}


def warped(image: Image, matrix: Matrix, width: int, height: int, inter_method: int, fill: int) -> Image:
    """Transform *image*, uint8 (h, w, c), onto a canvas of *width* x *height* pixels; see ``Resampler.warp``."""
    bits = 0 if inter_method == NEAREST else FRACTION_BITS
    columns, rows = source_coordinates(matrix, width, height, bits)
    if inter_method == NEAREST:
        nearest: Image = padded(image, 1, fill)[_padded(rows, 1, image.shape[0]), _padded(columns, 1, image.shape[1])]
        return nearest
    table = _weight_table(inter_method)
    taps = table.shape[1]
    canvas = padded(image, taps, fill)
    # Row and column of the first tap in *canvas*, whose margin holds all taps of a pixel that lies fully outside.
    before = taps // 2 - 1
    top = _padded((rows >> bits) - before, taps, image.shape[0])
    left = _padded((columns >> bits) - before, taps, image.shape[1])
    fraction = (rows & _STEPS - 1) * _STEPS + (columns & _STEPS - 1)
    total = np.full((height, width, image.shape[2]), 1 << _WARP_WEIGHT_BITS - 1, np.int32)
    for down in range(taps):
        for right in range(taps):
            total += canvas[top + down, left + right] * table[fraction, down, right, None]
    return levels(total >> _WARP_WEIGHT_BITS)


def _padded(coordinates: Ints, margin: int, size: int) -> Ints:
    """Indices in the padded image of *coordinates* in the image, clipped to the outermost pixels of the margin."""
    return np.clip(coordinates, -margin, size) + margin


@functools.cache
def _weight_table(inter_method: int) -> Ints:
    """The 15-bit weights of the k x k pixels around a point, (32 * 32, k, k), by its fractions down and right.

    OpenCV corrects weights whose sum is not exactly 1: it adds what is missing to the largest of four weights, or
    takes the excess from the smallest of them. It means the central four, but takes those after the middle.
    """
    along = _KERNELS[inter_method](np.arange(_STEPS, dtype=np.float32) / np.float32(_STEPS))
    taps = along.shape[1]
    products = along[:, None, :, None] * along[None, :, None, :]
    table = fixed_point(products.reshape(-1, taps, taps), 1 << _WARP_WEIGHT_BITS)
    after_middle = slice(taps // 2, taps // 2 + 2)
    for weights, excess in zip(table, table.sum(axis=(1, 2)) - (1 << _WARP_WEIGHT_BITS), strict=True):
        near = weights[after_middle, after_middle]
        chosen = near.argmax() if excess < 0 else near.argmin()
        near[np.unravel_index(chosen, near.shape)] -= excess
    return table


class Reference:
    """The engine called ``reference``; its methods are those of :class:`~im2rec.images.engine.Resampler`."""

    name = "reference"
    resize = staticmethod(resized)
    warp = staticmethod(warped)
    shift_hls = staticmethod(shifted_hls)
    planes = staticmethod(write_planes)


ENGINE = Reference()
