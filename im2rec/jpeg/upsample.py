"""Chroma at half size, brought to the size of the image by a triangle filter.

Each new sample is three parts of the nearest old one and one part of the next nearest, across and, where the rows are
halved too, down. There the two steps are one: the rows are blended without rounding, to 10 bits, and the sum is rounded
once. Rounding alternates between up and down, so that a flat area gets no drift. At the edges of the image the last
sample stands for the one that is missing.

Chroma of no more than two columns is only repeated.

Source: libjpeg-turbo jdsample.c, ``h2v1_fancy_upsample`` and ``h2v2_fancy_upsample`` ("triangle filter").
"""

from __future__ import annotations

from im2rec.jpeg.compiled import PIXELS, u8, u16, u64


@PIXELS
def _blend(strips, near, far, count, sums, to):
    for i in range(count):
        sums[u64(to + i)] = u16(u16(strips[u64(near + i)]) * u16(3) + u16(strips[u64(far + i)]))


@PIXELS
def _copy(strips, near, count, sums, to):
    for i in range(count):
        sums[u64(to + i)] = u16(strips[u64(near + i)])


@PIXELS
def _widen(sums, at, count, pairs, to, half_even, half_odd, shift):
    """Two samples for each of *count* from *at* on; each has a neighbour on both sides. One store writes two."""
    for i in range(count):
        three = u16(sums[u64(at + i)] * u16(3))
        even = u16(u16(three + sums[u64(at + i - 1)] + half_even) >> shift)
        odd = u16(u16(three + sums[u64(at + i + 1)] + half_odd) >> shift)
        pairs[u64(to + i)] = u16(even | odd << u16(8))


@PIXELS
def _repeat(strips, near, count, rows, to):
    for i in range(count):
        rows[u64(to + 2 * i)] = rows[u64(to + 2 * i + 1)] = strips[u64(near + i)]


@PIXELS
def upsample_row(strips, near, far, first, count, width, sums, rows, pairs, to):
    """Write 2 * *count* samples to *rows* (*pairs* are its bytes two by two), at *to*, which is even.

    *near* and *far* are the places in *strips* of the chroma sample *first* in the nearest row and in the next nearest;
    they are the same where rows are not halved. *width* is that of the chroma of the image.
    """
    if width <= 2:
        _repeat(strips, near, count, rows, to)
        return
    before, after = min(first, 1), min(width - first - count, 1)  # neighbours that there are
    start = 1 - before
    if far >= 0:
        _blend(strips, near - before, far - before, before + count + after, sums, start)
    else:
        _copy(strips, near - before, before + count + after, sums, start)
    if before == 0:
        sums[u64(0)] = sums[u64(1)]
    if after == 0:
        sums[u64(count + 1)] = sums[u64(count)]
    if far >= 0:
        _widen(sums, 1, count, pairs, to // 2, u16(8), u16(7), u16(4))
    else:
        _widen(sums, 1, count, pairs, to // 2, u16(1), u16(2), u16(2))


@PIXELS
def reverse(source, at, count, rows, to):
    """Write *count* samples to *rows*, the last one first."""
    for i in range(count):
        rows[u64(to + i)] = u8(source[u64(at + count - 1 - i)])
