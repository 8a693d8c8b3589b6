"""The taps of a resize: for each new row and column, the old ones that contribute to it, and their weights.

The number of taps of a new pixel along an axis depends on the kind of scaling (``TAPS`` of scaling.py). The taps of an
axis form one array of 32-bit numbers: first the positions, of the first tap for all new pixels, of the second tap, and
so on; then the weights in the same order, as int32 multiples of 1/2048, or as float32 for means of areas. Positions
outside the image are moved to its edge.

The kinds that compute means use their taps in their own way. ``BLOCK_MEAN``: the first and the last pixel of the block;
no weights. ``AREA_MEAN``: the pixel covered in part at the start of the area, the first that is covered whole, and the
last one; the weights of the first, of each of those between, and of the last.

Source: im2rec/images/reference.py and fixed_point.py. Results are equal bit for bit only with the same order of
operations, each in the same precision, 32 or 64 bits.
"""

from __future__ import annotations

import numpy as np

from im2rec.jpeg.compiled import PIXEL_LOOP, f32, f64, i32, i64, u64
from im2rec.jpeg.scaling import AREA_LINEAR, AREA_MEAN, BLOCK_MEAN, CUBIC, LINEAR, ONE_TAP, WEIGHT_ONE

_CUBIC_A = -0.75  # the parameter of the cubic kernel, as OpenCV has it
_MIN_COVER = 1e-3  # a pixel at the edge of an area of which a smaller part is covered gets no weight, as in OpenCV


@PIXEL_LOOP
def _step(old, new):
    """Old pixels per new pixel, as :func:`scaling.step_between` computes it."""
    return f64(1) / (f64(new) / f64(old))


@PIXEL_LOOP
def _weight(share):
    """A weight of 0 to 1 in units of 1/2048."""
    return i32(np.rint(share * f32(WEIGHT_ONE)))


@PIXEL_LOOP
def _linear_position(i, step):
    """The last old pixel before the centre of the new pixel *i*, or at it, and the distance from it to the centre."""
    place = f32((f64(i) + 0.5) * step - 0.5)
    before = np.floor(place)
    return i64(before), f32(place - before)


@PIXEL_LOOP
def _area_position(i, step, old, new):
    """The old pixel at the start of the new pixel *i*, and the share of the next one, if an axis is enlarged by area.

    The share is above 0 only for a new pixel that lies across the edge between the two.
    """
    before = np.floor(f64(i) * step)
    beyond = f32(f64(i + 1) - (before + 1.0) * (f64(new) / f64(old)))
    return i64(before), f32(beyond - np.floor(beyond)) if beyond > f32(0) else f32(0)


@PIXEL_LOOP
def _write_positions(before, count, old, numbers, at, new):
    """Write the positions of *count* taps, of which the middle two are *before* and the pixel after it."""
    for tap in range(count):
        numbers[u64(at + tap * new)] = i32(min(max(before + tap + 1 - count // 2, 0), old - 1))


@PIXEL_LOOP
def _write_cubic_weights(fraction, numbers, at, new):
    """Write the weights of four taps by the cubic kernel: R. Keys, "Cubic convolution interpolation", 1981.

    The last one is what is missing to 1, as OpenCV computes it, so that the four add up to 1.
    """
    before, after = f32(fraction + f32(1)), f32(f32(1) - fraction)
    outer = ((f32(_CUBIC_A) * before - f32(5 * _CUBIC_A)) * before + f32(8 * _CUBIC_A)) * before - f32(4 * _CUBIC_A)
    near = (f32(_CUBIC_A + 2) * fraction - f32(_CUBIC_A + 3)) * fraction * fraction + f32(1)
    far = (f32(_CUBIC_A + 2) * after - f32(_CUBIC_A + 3)) * after * after + f32(1)
    numbers[u64(at)] = _weight(outer)
    numbers[u64(at + new)] = _weight(near)
    numbers[u64(at + 2 * new)] = _weight(far)
    numbers[u64(at + 3 * new)] = _weight(f32(1) - outer - near - far)


@PIXEL_LOOP
def _write_span(i, step, old, numbers, floats, at, weights, new):
    """Write the taps of the area that the new pixel *i* covers; see the module's docstring."""
    start = f64(i) * step
    stop = start + step
    length = min(step, f64(old) - start)
    last = min(np.floor(stop), f64(old - 1))
    first = min(np.ceil(start), last)
    lead, tail = first - start, stop - last
    numbers[u64(at)] = i32(max(first - 1.0, 0.0))
    numbers[u64(at + new)] = i32(first)
    numbers[u64(at + 2 * new)] = i32(last)
    floats[u64(weights)] = f32((lead if lead > _MIN_COVER else 0.0) / length)
    floats[u64(weights + new)] = f32(1.0 / length)
    floats[u64(weights + 2 * new)] = f32((min(tail, 1.0, length) if tail > _MIN_COVER else 0.0) / length)


@PIXEL_LOOP
def fill_axis(kind, count, old, new, is_mirrored, numbers, floats, start):
    """Write the taps of an axis from *old* to *new* pixels, *count* of each, from *start* on.

    *numbers* and *floats* are views of the same memory. If *is_mirrored*, the last new pixel comes first. The weights
    of eight taps are not written: the caller has done so (``write_lanczos_weights`` of scaling.py).
    """
    step = _step(old, new)
    for i in range(new):
        at = start + (new - 1 - i if is_mirrored else i)
        weights = at + count * new
        if kind == ONE_TAP:
            numbers[u64(at)] = i32(min(np.floor(f64(i) * step), f64(old - 1)))
        elif kind == BLOCK_MEAN:
            size = old // new
            numbers[u64(at)] = i32(i * size)
            numbers[u64(at + new)] = i32((i + 1) * size - 1)
        elif kind == AREA_MEAN:
            _write_span(i, step, old, numbers, floats, at, weights, new)
        else:
            before, fraction = _area_position(i, step, old, new) if kind == AREA_LINEAR else _linear_position(i, step)
            _write_positions(before, count, old, numbers, at, new)
            if kind in (LINEAR, AREA_LINEAR):
                numbers[u64(weights)] = _weight(f32(f32(1) - fraction))
                numbers[u64(weights + new)] = _weight(fraction)
            elif kind == CUBIC:
                _write_cubic_weights(fraction, numbers, weights, new)


@PIXEL_LOOP
def row_taps(scale):
    """Offset of the taps of the rows; those of the columns are at 0."""
    return 2 * scale[1] * scale[5]


@PIXEL_LOOP
def rows_start(scale):
    """Offset of the kept rows, after all taps."""
    return 2 * scale[1] * (scale[4] + scale[5])


@PIXEL_LOOP
def clear(floats, at, count):
    """Set *count* numbers of *floats* from *at* on to 0."""
    for i in range(count):
        floats[u64(at + i)] = f32(0)


@PIXEL_LOOP
def _pair_weights(numbers, count):
    """Rewrite the taps of the columns as the position of the first pixel and both weights in one number.

    The second pixel is always the next one, so that both are one load of eight bytes. At the edges, where both taps are
    the same pixel, the first gets both weights and the next one 0, whatever memory is there.
    """
    for i in range(count):
        first, share, rest = numbers[u64(i)], numbers[u64(2 * count + i)], numbers[u64(3 * count + i)]
        is_single = numbers[u64(count + i)] == first
        numbers[u64(count + i)] = i32(share + rest) if is_single else i32(share | rest << 16)


@PIXEL_LOOP
def fill_taps(scale, numbers, floats):
    """Write the taps of both axes; nothing if the size stays the same, as *scale* then gives the new size as 0."""
    kind, count, old_height, old_width, height, width, is_mirrored = scale
    fill_axis(kind, count, old_width, width, is_mirrored, numbers, floats, i64(0))
    fill_axis(kind, count, old_height, height, i64(0), numbers, floats, row_taps(scale))
    if kind in (LINEAR, AREA_LINEAR):
        _pair_weights(numbers, width)
    if kind == AREA_MEAN:
        clear(floats, rows_start(scale) + 3 * (old_width + width), 3 * width)
