"""Resizing of an image that arrives row by row from the top: an old row goes in, finished new rows come out.

The columns of each old row are scaled at once, and only as many of the results are kept as a new row has taps: two,
four or eight, in a ring buffer, or for means the sum so far. So the memory does not grow with the height, and stays in
the processor's caches. Old rows that contribute to no new row are not even converted from YCbCr.

One block of memory, of 32-bit numbers, holds the taps of the columns, then those of the rows (see taps.py), then the
kept rows, whose three channels follow one another. It is passed as three views: ``halves`` (int16), ``numbers`` (int32)
and ``floats`` (float32).

*scale* is always a tuple of seven numbers: kind, taps, old height, old width, new height, new width, is mirrored.

Source: im2rec/images/reference.py, which this equals bit for bit.
"""

from __future__ import annotations

import numpy as np

from im2rec.jpeg.color import INTERLEAVED, PLANES, split_row, write_row
from im2rec.jpeg.compiled import (
    BLEND_WIDTH,
    PIXEL_LOOP,
    PIXEL_LOOP_INLINE,
    blend_pixels,
    f32,
    i16,
    i32,
    i64,
    u8,
    u32,
    u64,
)
from im2rec.jpeg.scaling import AREA_MEAN, BLOCK_MEAN, CUBIC, EIGHT_TAPS, ONE_TAP, UNSCALED
from im2rec.jpeg.taps import clear, fill_taps, row_taps, rows_start

_FRACTION_BITS = 22  # of a level weighted by a column and a row, 11 bits each
_OPENCV_LANES = 8  # samples that OpenCV's vector code computes at a time


@PIXEL_LOOP
def is_row_used(scale, y, done, numbers):
    """True if the old row *y* contributes to a new row from *done* on, the number of new rows written so far."""
    if scale[0] == UNSCALED:
        return True
    return done < scale[4] and y >= numbers[u64(row_taps(scale) + done)]


# For one tap, and for two, a pixel is packed into the four bytes of a number: one load brings all its channels.


@PIXEL_LOOP
def _pack_pixels(rows, at, pitch, count, numbers, to):
    """Write a row of three channels, *pitch* apart, to *numbers*, a pixel each; the top byte is 0."""
    for i in range(count):
        red, green, blue = rows[u64(at + i)], rows[u64(at + pitch + i)], rows[u64(at + 2 * pitch + i)]
        numbers[u64(to + i)] = i32(u32(red) | u32(green) << u32(8) | u32(blue) << u32(16))


@PIXEL_LOOP
def _write_nearest(numbers, at, count, out, to, out_pitch):
    """Write *count* pixels of the packed row at *at* to three channels of *out*; tap i is the position of pixel i."""
    for i in range(count):
        pixel = numbers[u64(at + numbers[u64(i)])]
        out[u64(to + i)] = u8(pixel)
        out[u64(to + out_pitch + i)] = u8(pixel >> 8)
        out[u64(to + 2 * out_pitch + i)] = u8(pixel >> 16)


# Two taps. As OpenCV does, a level with 11 bits of fraction loses four bits, so that it fits 16 bits; the rows' weights
# drop 16 more, and 2 bits are left to round.


@PIXEL_LOOP
def _blend_columns(numbers, pixels, count, halves, to):
    """Write *count* weighted sums of two packed pixels each, from the row at *pixels*, to three channels of *halves*.

    The number after the last pixel may be read too, with a weight of 0.
    """
    whole = count // BLEND_WIDTH * BLEND_WIDTH
    for i in range(0, whole, BLEND_WIDTH):
        _ = halves[u64(to + 2 * count + i + BLEND_WIDTH - 1)]  # has the last index checked; see entropy.py
        blend_pixels(numbers, u64(i), u64(count), u64(pixels), halves, u64(to + i))
    for i in range(whole, count):
        first, weights = pixels + numbers[u64(i)], numbers[u64(count + i)]
        one, other = numbers[u64(first)], numbers[u64(first + 1)]
        for c in range(3):
            total = (one >> (8 * c) & 255) * (weights & 0xFFFF) + (other >> (8 * c) & 255) * (weights >> 16)
            halves[u64(to + c * count + i)] = i16(total >> 4)


@PIXEL_LOOP
def _blend_rows(halves, first, second, share, rest, count, out, to):
    """Write the weighted sum of two rows of a channel as levels; each product is rounded down, as by pmulhw."""
    for i in range(count):
        upper = i16(i32(i32(halves[u64(first + i)]) * share) >> 16)
        lower = i16(i32(i32(halves[u64(second + i)]) * rest) >> 16)
        out[u64(to + i)] = u8(i16(i16(upper + lower + i16(2)) >> i16(2)))


# Means of blocks of whole pixels: the rows are added up first, as integers can be added in any order.


@PIXEL_LOOP
def _add_row(rows, at, count, is_first, numbers, to):
    """Add a row of levels to the sums at *to*, or start the sums with it."""
    if is_first:
        for i in range(count):
            numbers[u64(to + i)] = i32(rows[u64(at + i)])
    else:
        for i in range(count):
            numbers[u64(to + i)] = i32(numbers[u64(to + i)] + i32(rows[u64(at + i)]))


@PIXEL_LOOP
def _write_block_means(numbers, at, across, down, count, out, to):
    """Write the means of blocks of *across* x *down* pixels, from the sums of their rows at *at*."""
    is_quad = across == 2 and down == 2
    share = f32(f32(1) / f32(across * down))
    for i in range(count):
        first = at + numbers[u64(i)]
        if is_quad:  # as in OpenCV, means of 2 x 2 round halves up, and all others to even
            out[u64(to + i)] = u8((numbers[u64(first)] + numbers[u64(first + 1)] + 2) >> 2)
            continue
        total = i32(0)
        for x in range(first, first + across):
            total = i32(total + numbers[u64(x)])
        mean = i32(np.rint(f32(total) * share))
        out[u64(to + i)] = u8(min(max(mean, i32(0)), i32(255)))


# Means of areas, in 32-bit floats, added up in the order of the reference.


@PIXEL_LOOP
def _to_floats(rows, at, count, floats, to):
    for i in range(count):
        floats[u64(to + i)] = f32(rows[u64(at + i)])


@PIXEL_LOOP
def _sum_spans(numbers, floats, at, pitch, count, to):
    """Write for each new column the weighted sum of the old pixels that its area covers, added from left to right."""
    for i in range(count):
        lead, last = at + numbers[u64(i)], at + numbers[u64(2 * count + i)]
        weight = floats[u64(3 * count + i)]
        red = floats[u64(lead)] * weight
        green = floats[u64(lead + pitch)] * weight
        blue = floats[u64(lead + 2 * pitch)] * weight
        weight = floats[u64(4 * count + i)]
        for x in range(at + numbers[u64(count + i)], last):
            red += floats[u64(x)] * weight
            green += floats[u64(x + pitch)] * weight
            blue += floats[u64(x + 2 * pitch)] * weight
        weight = floats[u64(5 * count + i)]
        floats[u64(to + i)] = red + floats[u64(last)] * weight
        floats[u64(to + count + i)] = green + floats[u64(last + pitch)] * weight
        floats[u64(to + 2 * count + i)] = blue + floats[u64(last + 2 * pitch)] * weight


@PIXEL_LOOP
def _accumulate(floats, at, weight, count, to):
    """Add a row of floats, times *weight*, to the one at *to*."""
    for i in range(count):
        floats[u64(to + i)] = floats[u64(to + i)] + floats[u64(at + i)] * weight


@PIXEL_LOOP
def _write_rounded(floats, at, count, out, to):
    for i in range(count):
        # Limited first and then rounded: without AVX, the instruction that rounds a value straight from memory needs it
        # aligned, LLVM does not see to that, and the program crashes.
        value = min(max(floats[u64(at + i)], f32(0)), f32(255))
        out[u64(to + i)] = u8(i32(np.rint(value)))


# Four and eight taps, four at a time.


@PIXEL_LOOP
def _sum_four_taps(rows, at, numbers, taps, weights, count, to, is_first):
    """Add the weighted levels of four taps of each column to the sums at *to*, or start the sums with them."""
    for i in range(count):
        total = i32(0) if is_first else numbers[u64(to + i)]
        for tap in range(4):
            level = rows[u64(at + numbers[u64(taps + tap * count + i)])]
            total = i32(total + i32(i32(level) * numbers[u64(weights + tap * count + i)]))
        numbers[u64(to + i)] = total


@PIXEL_LOOP
def _add_weighted_ints(numbers, at, weight, count, to, is_first):
    """Add a row of numbers, times *weight*, to the one at *to*, or start that with it."""
    if is_first:
        for i in range(count):
            numbers[u64(to + i)] = i32(numbers[u64(at + i)] * weight)
    else:
        for i in range(count):
            numbers[u64(to + i)] = i32(numbers[u64(to + i)] + i32(numbers[u64(at + i)] * weight))


@PIXEL_LOOP
def _round_sum(total):
    """A sum with 22 bits of fraction as a level, 0 to 255."""
    return u8(min(max(i32(i32(total + i32(1 << (_FRACTION_BITS - 1))) >> _FRACTION_BITS), i32(0)), i32(255)))


@PIXEL_LOOP
def _write_sums(numbers, at, count, out, to):
    for i in range(count):
        out[u64(to + i)] = _round_sum(numbers[u64(at + i)])


@PIXEL_LOOP
def _add_weighted_floats(numbers, floats, at, share, count, to, is_first):
    """Add a row of numbers, as floats times *share*, to the one at *to*, or start that with it."""
    if is_first:
        for i in range(count):
            floats[u64(to + i)] = f32(numbers[u64(at + i)]) * share
    else:
        for i in range(count):
            floats[u64(to + i)] = floats[u64(to + i)] + f32(numbers[u64(at + i)]) * share


@PIXEL_LOOP_INLINE
def _write_cubic_tail(scale, done, numbers, rows_at, out, to, out_pitch):
    """Write the last samples of a cubic row again, in integers: OpenCV uses floats only for what fills its vectors.

    The two ways differ by one level now and then. OpenCV works on interleaved samples, before any mirroring, so which
    ones fill its vectors is counted in these.
    """
    height, width, is_mirrored = scale[4], scale[5], scale[6]
    taps = row_taps(scale) + done
    in_floats = 3 * width // _OPENCV_LANES * _OPENCV_LANES
    for c in range(3):
        for x in range((in_floats - c + 2) // 3, width):
            i = c * width + (width - 1 - x if is_mirrored else x)
            total = i32(0)
            for tap in range(4):
                row = rows_at + (numbers[u64(taps + tap * height)] & 3) * 3 * width
                total = i32(total + i32(numbers[u64(row + i)] * numbers[u64(taps + (4 + tap) * height)]))
            out[u64(to + c * (out_pitch - width) + i)] = _round_sum(total)


# An old row goes in, new rows come out.


@PIXEL_LOOP
def _scale_columns(scale, y, done, rows, at, pitch, halves, numbers, floats):
    """Scale the columns of the old row *y*, at *at* of *rows*, and keep the result for all new rows that use it.

    The row's place in the ring buffer is its number modulo the taps, which are a power of 2.
    """
    kind, count, _, old_width, _, width, _ = scale
    rows_at = rows_start(scale)
    if kind in (CUBIC, EIGHT_TAPS):
        for c in range(3):
            for four in range(0, count, 4):
                taps = four * width
                to = rows_at + ((y & (count - 1)) * 3 + c) * width
                _sum_four_taps(rows, at + c * pitch, numbers, taps, taps + count * width, width, to, four == 0)
    elif kind == BLOCK_MEAN:
        is_first = y == numbers[u64(row_taps(scale) + done)]
        for c in range(3):
            _add_row(rows, at + c * pitch, old_width, is_first, numbers, rows_at + c * old_width)
    elif kind == AREA_MEAN:
        for c in range(3):
            _to_floats(rows, at + c * pitch, old_width, floats, rows_at + c * old_width)
        _sum_spans(numbers, floats, rows_at, old_width, width, rows_at + 3 * old_width)
    else:
        _pack_pixels(rows, at, pitch, old_width, numbers, rows_at)
        if kind == ONE_TAP:
            return
        _blend_columns(numbers, rows_at, width, halves, 2 * (rows_at + old_width + 1) + (y & 1) * 3 * width)


@PIXEL_LOOP_INLINE
def _add_to_area_mean(scale, y, done, numbers, floats):
    """Add the old row *y* to the mean of areas of the new row *done*."""
    _, _, _, old_width, height, width, _ = scale
    taps = row_taps(scale) + done
    tap = 2 if y == numbers[u64(taps + 2 * height)] else 1 if y >= numbers[u64(taps + height)] else 0
    row = rows_start(scale) + 3 * old_width
    _accumulate(floats, row, floats[u64(taps + (3 + tap) * height)], 3 * width, row + 3 * width)


@PIXEL_LOOP_INLINE
def _sum_rows(scale, done, numbers, floats, total):
    """Write the weighted sum of the four or eight kept rows of the new row *done* to the row at *total*, after them."""
    kind, count, _, _, height, width, _ = scale
    taps = row_taps(scale) + done
    for tap in range(count):
        row = rows_start(scale) + (numbers[u64(taps + tap * height)] & (count - 1)) * 3 * width
        weight = numbers[u64(taps + (count + tap) * height)]
        if kind == CUBIC:
            share = f32(f32(weight) * f32(1 / (1 << _FRACTION_BITS)))
            _add_weighted_floats(numbers, floats, row, share, 3 * width, total, tap == 0)
        else:
            _add_weighted_ints(numbers, row, weight, 3 * width, total, tap == 0)


@PIXEL_LOOP
def _write_new_row(scale, done, halves, numbers, floats, out, to, out_pitch):
    """Write the levels of the new row *done* to *out*, channels *out_pitch* apart; its old rows have been taken in."""
    kind, count, old_height, old_width, height, width, _ = scale
    rows_at = rows_start(scale)
    taps = row_taps(scale) + done
    if kind in (CUBIC, EIGHT_TAPS):
        rows_at += 3 * count * width
        _sum_rows(scale, done, numbers, floats, rows_at)
    elif kind == AREA_MEAN:
        rows_at += 3 * (old_width + width)
    elif kind == ONE_TAP:
        _write_nearest(numbers, rows_at, width, out, to, out_pitch)
        return
    for c in range(3):
        place = to + c * out_pitch
        if kind == BLOCK_MEAN:
            across, down = old_width // width, old_height // height
            _write_block_means(numbers, rows_at + c * old_width, across, down, width, out, place)
        elif kind in (AREA_MEAN, CUBIC):
            _write_rounded(floats, rows_at + c * width, width, out, place)
            if kind == AREA_MEAN:
                clear(floats, rows_at + c * width, width)
        elif kind == EIGHT_TAPS:
            _write_sums(numbers, rows_at + c * width, width, out, place)
        else:
            sums = 2 * (rows_at + old_width + 1) + c * width
            first = sums + (numbers[u64(taps)] & 1) * 3 * width
            second = sums + (numbers[u64(taps + height)] & 1) * 3 * width
            share, rest = numbers[u64(taps + 2 * height)], numbers[u64(taps + 3 * height)]
            _blend_rows(halves, first, second, share, rest, width, out, place)
    if kind == CUBIC:
        _write_cubic_tail(scale, done, numbers, rows_at - 3 * count * width, out, to, out_pitch)


@PIXEL_LOOP
def scale_row(scale, y, done, rows, at, pitch, kind, halves, numbers, floats, out, values, mean, factor):
    """Take in the old row *y*, write all new rows that it completes, and return the number of rows written so far.

    Its levels are at *at* of *rows*, channels *pitch* apart; :func:`is_row_used` must hold for it. *done* is the number
    of rows written before. New levels that are not the output itself, by its *kind*, are put at the start of *rows*
    first.
    """
    height, width = scale[4], scale[5]
    _scale_columns(scale, y, done, rows, at, pitch, halves, numbers, floats)
    taps = row_taps(scale)
    last_tap = (scale[1] - 1) * height
    while done < height and numbers[u64(taps + done)] <= y:
        if scale[0] == AREA_MEAN:
            _add_to_area_mean(scale, y, done, numbers, floats)
        if numbers[u64(taps + last_tap + done)] > y:
            break
        to, levels, out_pitch = (done * width, out, height * width) if kind == PLANES else (i64(0), rows, pitch)
        _write_new_row(scale, done, halves, numbers, floats, levels, to, out_pitch)
        write_row(kind, levels, to, out_pitch, done, height, width, out, values, mean, factor)
        done += 1
    return done


@PIXEL_LOOP_INLINE
def resize_image(image, scale, rows, halves, numbers, floats, out, values, mean, factor):
    """Scale *image* to *out*, both interleaved. *rows* is memory for six channels of a row, old and new."""
    old_height, old_width = scale[2], scale[3]
    pitch = len(rows) // 6
    fill_taps(scale, numbers, floats)
    done = i64(0)
    for y in range(old_height):
        if is_row_used(scale, y, done, numbers):
            split_row(image, 3 * y * old_width, old_width, rows, 3 * pitch, pitch)
            done = scale_row(
                scale, y, done, rows, 3 * pitch, pitch, i64(INTERLEAVED),
                halves, numbers, floats, out, values, mean, factor,
            )  # fmt: skip
