"""What the rows and columns of a scaled image are made of: positions of old pixels, and their weights.

A new pixel along an axis has as many *taps* as its kind of scaling says (``TAPS`` of scaling.py). They lie in one array
of 32-bit numbers, first the positions, tap after tap, each for all new pixels; then the weights in the same order:
whole multiples of 1/2048, or 32-bit floats where areas are weighed. Positions outside the image are moved to its
edge.

Two kinds have their own: blocks have their first and last pixel and no weights; a stretch has the pixel that it covers
the end of, the first that it covers whole, and the last, with the weights of the one, of each from there on, and of the
last.

Source: im2rec/images/reference.py and fixed_point.py. The order of the operations and their 32 or 64 bits count.
"""

from __future__ import annotations

import numpy as np

from im2rec.jpeg.compiled import PIXELS, f32, f64, i32, i64, u64
from im2rec.jpeg.scaling import BLOCKS, CENTRED, CUBIC, GROWN, ONE, SINGLE, STRETCHES

_A = -0.75  # of the cubic kernel
_LEAST_COVER = 1e-3  # of a pixel at the edge of a stretch: less counts as nothing


@PIXELS
def _step(old, new):
    return f64(1) / (f64(new) / f64(old))


@PIXELS
def _weight(share):
    return i32(np.rint(share * f32(ONE)))


@PIXELS
def _centre(i, step):
    """The old pixel before the centre of the new pixel *i*, and how far behind it the centre is, 0 to 1."""
    place = f32((f64(i) + 0.5) * step - 0.5)
    before = np.floor(place)
    return i64(before), f32(place - before)


@PIXELS
def _edge(i, step, old, new):
    """The same where an axis grows by area: a new pixel is a mixture only where it lies across an edge."""
    before = np.floor(f64(i) * step)
    behind = f32(f64(i + 1) - (before + 1.0) * (f64(new) / f64(old)))
    return i64(before), f32(behind - np.floor(behind)) if behind > f32(0) else f32(0)


@PIXELS
def _put_positions(before, count, old, numbers, at, new):
    """The positions of *count* taps, of which the middle two are *before* and behind it."""
    for tap in range(count):
        numbers[u64(at + tap * new)] = i32(min(max(before + tap + 1 - count // 2, 0), old - 1))


@PIXELS
def _put_cubic(fraction, numbers, at, new):
    """Weights of four pixels by the cubic kernel: R. Keys, "Cubic convolution interpolation", 1981."""
    before, after = f32(fraction + f32(1)), f32(f32(1) - fraction)
    outer = ((f32(_A) * before - f32(5 * _A)) * before + f32(8 * _A)) * before - f32(4 * _A)
    near = (f32(_A + 2) * fraction - f32(_A + 3)) * fraction * fraction + f32(1)
    far = (f32(_A + 2) * after - f32(_A + 3)) * after * after + f32(1)
    numbers[u64(at)] = _weight(outer)
    numbers[u64(at + new)] = _weight(near)
    numbers[u64(at + 2 * new)] = _weight(far)
    numbers[u64(at + 3 * new)] = _weight(f32(1) - outer - near - far)


@PIXELS
def _put_stretch(i, step, old, numbers, floats, at, weights, new):
    start = f64(i) * step
    stop = start + step
    length = min(step, f64(old) - start)
    last = min(np.floor(stop), f64(old - 1))
    first = min(np.ceil(start), last)
    lead, tail = first - start, stop - last
    numbers[u64(at)] = i32(max(first - 1.0, 0.0))
    numbers[u64(at + new)] = i32(first)
    numbers[u64(at + 2 * new)] = i32(last)
    floats[u64(weights)] = f32((lead if lead > _LEAST_COVER else 0.0) / length)
    floats[u64(weights + new)] = f32(1.0 / length)
    floats[u64(weights + 2 * new)] = f32((min(tail, 1.0, length) if tail > _LEAST_COVER else 0.0) / length)


@PIXELS
def fill_axis(kind, count, old, new, is_mirrored, numbers, floats, start):
    """Write the taps of *new* pixels, *count* of each, to *numbers* and *floats*, the same memory, from *start* on.

    Where *is_mirrored* the last new pixel comes first. The weights of eight taps are the caller's.
    """
    step = _step(old, new)
    for i in range(new):
        at = start + (new - 1 - i if is_mirrored else i)
        weights = at + count * new
        if kind == SINGLE:
            numbers[u64(at)] = i32(min(np.floor(f64(i) * step), f64(old - 1)))
        elif kind == BLOCKS:
            size = old // new
            numbers[u64(at)] = i32(i * size)
            numbers[u64(at + new)] = i32((i + 1) * size - 1)
        elif kind == STRETCHES:
            _put_stretch(i, step, old, numbers, floats, at, weights, new)
        else:
            before, fraction = _edge(i, step, old, new) if kind == GROWN else _centre(i, step)
            _put_positions(before, count, old, numbers, at, new)
            if kind in (CENTRED, GROWN):
                numbers[u64(weights)] = _weight(f32(f32(1) - fraction))
                numbers[u64(weights + new)] = _weight(fraction)
            elif kind == CUBIC:
                _put_cubic(fraction, numbers, weights, new)
