"""Upsampling of chroma from half size to the size of the image, by libjpeg's "fancy" (triangle) filter.

Each new sample is 3/4 of the nearest old sample plus 1/4 of the next nearest, across and, if the rows are halved too,
down. In that case (4:2:0) the rows are weighted first, without rounding, which gives 10 bits, and the result is rounded
once, after the columns: rounding twice would give other pixels than libjpeg. Halves are rounded up and down in turn,
column by column, so that the average does not drift. At an edge of the image its last sample replaces the missing
neighbour.

Chroma of at most two columns is only replicated, as libjpeg does (``jinit_upsampler`` filters only above two).

Source: libjpeg-turbo jdsample.c, ``h2v1_fancy_upsample`` and ``h2v2_fancy_upsample`` ("triangle filter").
"""

from __future__ import annotations

from im2rec.jpeg.compiled import PIXEL_LOOP, u8, u16, u64


@PIXEL_LOOP
def _weigh_rows(strips, near, far, count, sums, to):
    """Write 3 x *near* + *far*, samples of two rows, to *sums*, uint16."""
    for i in range(count):
        sums[u64(to + i)] = u16(u16(strips[u64(near + i)]) * u16(3) + u16(strips[u64(far + i)]))


@PIXEL_LOOP
def _copy_row(strips, near, count, sums, to):
    for i in range(count):
        sums[u64(to + i)] = u16(strips[u64(near + i)])


@PIXEL_LOOP
def _upsample_columns(sums, at, count, pairs, to, half_even, half_odd, shift):
    """Write two samples for each of *count* sums from *at* on, all of which have a neighbour on both sides.

    *pairs* holds two samples in each uint16, the even one first on a little-endian machine: one store writes both.
    """
    for i in range(count):
        three = u16(sums[u64(at + i)] * u16(3))
        even = u16(u16(three + sums[u64(at + i - 1)] + half_even) >> shift)
        odd = u16(u16(three + sums[u64(at + i + 1)] + half_odd) >> shift)
        pairs[u64(to + i)] = u16(even | odd << u16(8))


@PIXEL_LOOP
def _replicate(strips, near, count, rows, to):
    """Write each sample twice."""
    for i in range(count):
        rows[u64(to + 2 * i)] = rows[u64(to + 2 * i + 1)] = strips[u64(near + i)]


@PIXEL_LOOP
def upsample_row(strips, near, far, first, count, width, sums, rows, pairs, to):
    """Write 2 * *count* samples, upsampled from *count* of a chroma row, to *rows* from *to* on, which is even.

    *first* is the column of the first chroma sample, *near* its offset in *strips* in the nearest row, *far* its offset
    in the next nearest row, or -1 if rows are not halved. *width* is the width of the image's chroma. *sums*, uint16,
    is memory for *count* + 2 numbers; *pairs* is *rows* viewed as uint16.
    """
    if width <= 2:
        _replicate(strips, near, count, rows, to)
        return
    before, after = min(first, 1), min(width - first - count, 1)  # 1 if the image has a sample there, else 0
    start = 1 - before  # so that the sums of the row itself always start at 1
    if far >= 0:
        _weigh_rows(strips, near - before, far - before, before + count + after, sums, start)
    else:
        _copy_row(strips, near - before, before + count + after, sums, start)
    if before == 0:
        sums[u64(0)] = sums[u64(1)]
    if after == 0:
        sums[u64(count + 1)] = sums[u64(count)]
    if far >= 0:
        _upsample_columns(sums, 1, count, pairs, to // 2, u16(8), u16(7), u16(4))  # sixteenths
    else:
        _upsample_columns(sums, 1, count, pairs, to // 2, u16(1), u16(2), u16(2))  # quarters


@PIXEL_LOOP
def mirror_row(source, at, count, rows, to):
    """Write *count* samples of *source* from *at* on to *rows*, the last one first."""
    for i in range(count):
        rows[u64(to + i)] = u8(source[u64(at + count - 1 - i)])
