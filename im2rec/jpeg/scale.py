"""Scaling of an image whose rows come one after the other, from the top: a row goes in, some scaled rows go out.

The columns are scaled first, in each row as it comes, and only as many such rows are held as one new row is made of:
two, four or eight, in turn, or for means the sum so far. Rows that no new row is made of are not even converted.

Memory of 32-bit numbers holds first the taps of the columns, then those of the rows (see taps.py), then rows. It is
used as numbers of 16 and of 32 bits and as floats (``halves``, ``numbers``, ``floats``). A row has three channels, one
behind the other.

*scale* is of seven numbers everywhere: kind, taps, old height and width, new height and width, whether it is mirrored.

Source: im2rec/images/reference.py, which this equals bit for bit.
"""

from __future__ import annotations

import numpy as np

from im2rec.jpeg.color import INTERLEAVED, PLANES, put_row, split_row
from im2rec.jpeg.compiled import MIXED, PIXELS, PIXELS_ONCE, f32, i16, i32, i64, mix_pixels, u8, u32, u64
from im2rec.jpeg.scaling import BLOCKS, CENTRED, CUBIC, EIGHT, GROWN, SAME, SINGLE, STRETCHES
from im2rec.jpeg.taps import fill_axis

_SHARE_BITS = 22  # of a product of two weights
_LANES = 8  # samples that the vector code of OpenCV takes at a time


@PIXELS
def _row_taps(scale):
    """Where the taps of the rows are; those of the columns are at 0."""
    return 2 * scale[1] * scale[5]


@PIXELS
def _behind_taps(scale):
    return 2 * scale[1] * (scale[4] + scale[5])


@PIXELS
def _clear(floats, at, count):
    for i in range(count):
        floats[u64(at + i)] = f32(0)


@PIXELS
def prepare(scale, numbers, floats):
    """Write the taps of *scale*. Where the size stays, the new one is given as 0, and nothing is written."""
    kind, count, old_height, old_width, height, width, is_mirrored = scale
    fill_axis(kind, count, old_width, width, is_mirrored, numbers, floats, i64(0))
    fill_axis(kind, count, old_height, height, i64(0), numbers, floats, _row_taps(scale))
    if kind in (CENTRED, GROWN):
        _pair_columns(numbers, width)
    if kind == STRETCHES:
        _clear(floats, _behind_taps(scale) + 3 * (old_width + width), 3 * width)


@PIXELS
def is_wanted(scale, y, done, numbers):
    """Whether the old row *y* is part of any new row, when *done* of these have been written."""
    if scale[0] == SAME:
        return True
    return done < scale[4] and y >= numbers[u64(_row_taps(scale) + done)]


# A pixel is four bytes of a number where one is chosen and where two are mixed.


@PIXELS
def _pack(rows, at, pitch, count, numbers, to):
    for i in range(count):
        red, green, blue = rows[u64(at + i)], rows[u64(at + pitch + i)], rows[u64(at + 2 * pitch + i)]
        numbers[u64(to + i)] = i32(u32(red) | u32(green) << u32(8) | u32(blue) << u32(16))


@PIXELS
def _put_chosen(numbers, at, count, out, to, apart):
    for i in range(count):
        pixel = numbers[u64(at + numbers[u64(i)])]
        out[u64(to + i)] = u8(pixel)
        out[u64(to + apart + i)] = u8(pixel >> 8)
        out[u64(to + 2 * apart + i)] = u8(pixel >> 16)


# Mixtures of two pixels, as sums of 16 bits: four bits are dropped.


@PIXELS
def _pair_columns(numbers, count):
    """Make of the taps of columns the place of the first of two pixels, and both weights as one number.

    At the edges, where both taps are the same pixel, it takes all the weight, whatever lies behind it.
    """
    for i in range(count):
        first, share, rest = numbers[u64(i)], numbers[u64(2 * count + i)], numbers[u64(3 * count + i)]
        is_single = numbers[u64(count + i)] == first
        numbers[u64(count + i)] = i32(share + rest) if is_single else i32(share | rest << 16)


@PIXELS
def _mix_columns(numbers, pixels, count, halves, to):
    """Mix the *pixels*, a number each, to *count* of them; one more than they are may be read, for a weight of 0."""
    whole = count // MIXED * MIXED
    for i in range(0, whole, MIXED):
        _ = halves[u64(to + 2 * count + i + MIXED - 1)]  # where indices are checked, this is
        mix_pixels(numbers, u64(i), u64(count), u64(pixels), halves, u64(to + i))
    for i in range(whole, count):
        first, weights = pixels + numbers[u64(i)], numbers[u64(count + i)]
        one, other = numbers[u64(first)], numbers[u64(first + 1)]
        for c in range(3):
            total = (one >> (8 * c) & 255) * (weights & 0xFFFF) + (other >> (8 * c) & 255) * (weights >> 16)
            halves[u64(to + c * count + i)] = i16(total >> 4)


@PIXELS
def _mix_rows(halves, first, second, share, rest, count, out, to):
    for i in range(count):
        upper = i16(i32(i32(halves[u64(first + i)]) * share) >> 16)
        lower = i16(i32(i32(halves[u64(second + i)]) * rest) >> 16)
        out[u64(to + i)] = u8(i16(i16(upper + lower + i16(2)) >> i16(2)))


# Means of blocks: the rows are added up first, as whole numbers may be added in any order.


@PIXELS
def _add_row(rows, at, count, is_first, numbers, to):
    if is_first:
        for i in range(count):
            numbers[u64(to + i)] = i32(rows[u64(at + i)])
    else:
        for i in range(count):
            numbers[u64(to + i)] = i32(numbers[u64(to + i)] + i32(rows[u64(at + i)]))


@PIXELS
def _put_blocks(numbers, at, across, down, count, out, to):
    is_quad = across == 2 and down == 2
    share = f32(f32(1) / f32(across * down))
    for i in range(count):
        first = at + numbers[u64(i)]
        if is_quad:  # they halve upwards, unlike all others
            out[u64(to + i)] = u8((numbers[u64(first)] + numbers[u64(first + 1)] + 2) >> 2)
            continue
        total = i32(0)
        for x in range(first, first + across):
            total = i32(total + numbers[u64(x)])
        mean = i32(np.rint(f32(total) * share))
        out[u64(to + i)] = u8(min(max(mean, i32(0)), i32(255)))


# Means of stretches, in 32-bit floats.


@PIXELS
def _floats_of(rows, at, count, floats, to):
    for i in range(count):
        floats[u64(to + i)] = f32(rows[u64(at + i)])


@PIXELS
def _sum_stretches(numbers, floats, at, pitch, count, to):
    """The columns: each new pixel is the sum of what its stretch covers, from left to right."""
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


@PIXELS
def _add_weighed(floats, at, weight, count, to):
    for i in range(count):
        floats[u64(to + i)] = floats[u64(to + i)] + floats[u64(at + i)] * weight


@PIXELS
def _put_rounded(floats, at, count, out, to):
    for i in range(count):
        # Cut off first: the instruction that rounds a value straight from memory crashes on processors without AVX, as
        # LLVM forgets that it wants memory to be aligned.
        value = min(max(floats[u64(at + i)], f32(0)), f32(255))
        out[u64(to + i)] = u8(i32(np.rint(value)))


# Mixtures of four pixels and of eight, four at a time.


@PIXELS
def _sum_four(rows, at, numbers, taps, weights, count, to, is_first):
    for i in range(count):
        total = i32(0) if is_first else numbers[u64(to + i)]
        for tap in range(4):
            level = rows[u64(at + numbers[u64(taps + tap * count + i)])]
            total = i32(total + i32(i32(level) * numbers[u64(weights + tap * count + i)]))
        numbers[u64(to + i)] = total


@PIXELS
def _weigh(numbers, at, weight, count, to, is_first):
    if is_first:
        for i in range(count):
            numbers[u64(to + i)] = i32(numbers[u64(at + i)] * weight)
    else:
        for i in range(count):
            numbers[u64(to + i)] = i32(numbers[u64(to + i)] + i32(numbers[u64(at + i)] * weight))


@PIXELS
def _share(total):
    return u8(min(max(i32(i32(total + i32(1 << (_SHARE_BITS - 1))) >> _SHARE_BITS), i32(0)), i32(255)))


@PIXELS
def _put_shares(numbers, at, count, out, to):
    for i in range(count):
        out[u64(to + i)] = _share(numbers[u64(at + i)])


@PIXELS
def _weigh_in_floats(numbers, floats, at, share, count, to, is_first):
    if is_first:
        for i in range(count):
            floats[u64(to + i)] = f32(numbers[u64(at + i)]) * share
    else:
        for i in range(count):
            floats[u64(to + i)] = floats[u64(to + i)] + f32(numbers[u64(at + i)]) * share


@PIXELS_ONCE
def _put_cubic_ends(scale, done, numbers, held, out, to, apart):
    """The last samples of a cubic row in whole numbers: OpenCV adds up in floats only as many as fill its vectors."""
    height, width, is_mirrored = scale[4], scale[5], scale[6]
    taps = _row_taps(scale) + done
    in_floats = 3 * width // _LANES * _LANES  # samples of the row, pixel by pixel, before it is mirrored
    for c in range(3):
        for x in range((in_floats - c + 2) // 3, width):
            i = c * width + (width - 1 - x if is_mirrored else x)
            total = i32(0)
            for tap in range(4):
                row = held + (numbers[u64(taps + tap * height)] & 3) * 3 * width
                total = i32(total + i32(numbers[u64(row + i)] * numbers[u64(taps + (4 + tap) * height)]))
            out[u64(to + c * (apart - width) + i)] = _share(total)


# A row in, and rows out.


@PIXELS
def _take_row(scale, y, done, rows, at, pitch, halves, numbers, floats):
    """Scale the columns of the old row *y*, at *at* of *rows*, as far as that is done once for all its new rows."""
    kind, count, _, old_width, _, width, _ = scale
    held = _behind_taps(scale)
    if kind in (CUBIC, EIGHT):
        for c in range(3):
            for four in range(0, count, 4):
                taps = four * width
                to = held + ((y & (count - 1)) * 3 + c) * width
                _sum_four(rows, at + c * pitch, numbers, taps, taps + count * width, width, to, four == 0)
    elif kind == BLOCKS:
        is_first = y == numbers[u64(_row_taps(scale) + done)]
        for c in range(3):
            _add_row(rows, at + c * pitch, old_width, is_first, numbers, held + c * old_width)
    elif kind == STRETCHES:
        for c in range(3):
            _floats_of(rows, at + c * pitch, old_width, floats, held + c * old_width)
        _sum_stretches(numbers, floats, held, old_width, width, held + 3 * old_width)
    else:
        _pack(rows, at, pitch, old_width, numbers, held)
        if kind == SINGLE:
            return
        _mix_columns(numbers, held, width, halves, 2 * (held + old_width + 1) + (y & 1) * 3 * width)


@PIXELS_ONCE
def _add_stretch(scale, y, done, numbers, floats):
    """Add the old row *y* to the new row *done*."""
    _, _, _, old_width, height, width, _ = scale
    taps = _row_taps(scale) + done
    tap = 2 if y == numbers[u64(taps + 2 * height)] else 1 if y >= numbers[u64(taps + height)] else 0
    row = _behind_taps(scale) + 3 * old_width
    _add_weighed(floats, row, floats[u64(taps + (3 + tap) * height)], 3 * width, row + 3 * width)


@PIXELS_ONCE
def _mix_many_rows(scale, done, numbers, floats, total):
    """Mix the four or eight held rows that the new row *done* is made of, into a row at *total*, behind them."""
    kind, count, _, _, height, width, _ = scale
    taps = _row_taps(scale) + done
    for tap in range(count):
        row = _behind_taps(scale) + (numbers[u64(taps + tap * height)] & (count - 1)) * 3 * width
        weight = numbers[u64(taps + (count + tap) * height)]
        if kind == CUBIC:
            share = f32(f32(weight) * f32(1 / (1 << _SHARE_BITS)))
            _weigh_in_floats(numbers, floats, row, share, 3 * width, total, tap == 0)
        else:
            _weigh(numbers, row, weight, 3 * width, total, tap == 0)


@PIXELS
def _put_new_row(scale, done, halves, numbers, floats, out, to, apart):
    """Write the levels of the new row *done* to *out*, its channels *apart*; all it is made of has been taken."""
    kind, count, old_height, old_width, height, width, _ = scale
    held = _behind_taps(scale)
    taps = _row_taps(scale) + done
    if kind in (CUBIC, EIGHT):
        held += 3 * count * width
        _mix_many_rows(scale, done, numbers, floats, held)
    elif kind == STRETCHES:
        held += 3 * (old_width + width)
    elif kind == SINGLE:
        _put_chosen(numbers, held, width, out, to, apart)
        return
    for c in range(3):
        place = to + c * apart
        if kind == BLOCKS:
            across, down = old_width // width, old_height // height
            _put_blocks(numbers, held + c * old_width, across, down, width, out, place)
        elif kind in (STRETCHES, CUBIC):
            _put_rounded(floats, held + c * width, width, out, place)
            if kind == STRETCHES:
                _clear(floats, held + c * width, width)
        elif kind == EIGHT:
            _put_shares(numbers, held + c * width, width, out, place)
        else:
            sums = 2 * (held + old_width + 1) + c * width
            first = sums + (numbers[u64(taps)] & 1) * 3 * width
            second = sums + (numbers[u64(taps + height)] & 1) * 3 * width
            share, rest = numbers[u64(taps + 2 * height)], numbers[u64(taps + 3 * height)]
            _mix_rows(halves, first, second, share, rest, width, out, place)
    if kind == CUBIC:
        _put_cubic_ends(scale, done, numbers, held - 3 * count * width, out, to, apart)


@PIXELS
def scale_row(scale, y, done, rows, at, pitch, kind, halves, numbers, floats, out, values, mean, factor):
    """Take the old row *y*, of which the levels are at *at* of *rows*, channels *pitch* apart; return the new *done*.

    That is the number of new rows written so far; *y* must be wanted. New levels that are not yet what is put out, by
    its *kind*, go to the start of *rows*.
    """
    height, width = scale[4], scale[5]
    _take_row(scale, y, done, rows, at, pitch, halves, numbers, floats)
    taps = _row_taps(scale)
    last_tap = (scale[1] - 1) * height
    while done < height and numbers[u64(taps + done)] <= y:
        if scale[0] == STRETCHES:
            _add_stretch(scale, y, done, numbers, floats)
        if numbers[u64(taps + last_tap + done)] > y:
            break
        to, levels, apart = (done * width, out, height * width) if kind == PLANES else (i64(0), rows, pitch)
        _put_new_row(scale, done, halves, numbers, floats, levels, to, apart)
        put_row(kind, levels, to, apart, done, height, width, out, values, mean, factor)
        done += 1
    return done


@PIXELS_ONCE
def resize_image(image, scale, rows, halves, numbers, floats, out, values, mean, factor):
    """Scale *image*, pixel by pixel, to *out*, in the same order; *rows* has six lines."""
    old_height, old_width = scale[2], scale[3]
    pitch = len(rows) // 6
    prepare(scale, numbers, floats)
    done = i64(0)
    for y in range(old_height):
        if is_wanted(scale, y, done, numbers):
            split_row(image, 3 * y * old_width, old_width, rows, 3 * pitch, pitch)
            done = scale_row(
                scale, y, done, rows, 3 * pitch, pitch, i64(INTERLEAVED),
                halves, numbers, floats, out, values, mean, factor,
            )  # fmt: skip
