"""A crop of an image, from its file to rows of pixels: the compiled function that ties the steps together.

One row of MCUs (the unit of a scan: the blocks of all components that cover the same square) is read at a time. Where
it has nothing of the crop, only the DCs are followed, and so they are left and right of it. The others are transformed
into a *strip*: eight lines, in which the blocks of the row lie side by side, luma line by line, then Cb, then Cr. There
are two strips, as the triangle filter needs the chroma of the row before and after. Each row of the crop is then
upsampled, converted and written while its samples are in the cache.

The scan is read to its end, though its pixels may have been written long before: only so is a damaged file noticed
that libjpeg refuses.
"""

from __future__ import annotations

from im2rec.jpeg.color import PLANES, color_row, grey_row, put_row
from im2rec.jpeg.compiled import PIXELS, PIXELS_ONCE, i16, i64, u64
from im2rec.jpeg.entropy import GOOD, GROUP, LANES, LARGE, STATE_SIZE, end_of_scan, read_row, remove_stuffing
from im2rec.jpeg.idct import transform_groups
from im2rec.jpeg.scale import is_wanted, prepare, scale_row
from im2rec.jpeg.scaling import SAME
from im2rec.jpeg.upsample import reverse, upsample_row

# What an image is described by; from TABLES on, the places of the DC and the AC table of each component.
HEIGHT, WIDTH, LUMA_V, LUMA_H, COMPONENTS, TABLES = range(6)
IMAGE_SIZE = TABLES + 2 * 3


@PIXELS
def needed_mcus(start, count, factor, limit):
    """The first MCU, and the one behind the last, that *count* rows or columns from *start* on need.

    Chroma at half size needs a sample more on both sides, where the image has it.
    """
    margin = factor if factor > 1 else 0
    first = max(start // factor * factor - margin, 0) // (8 * factor)
    last = ((start + count - 1) // factor * factor + margin) // (8 * factor)
    return first, min(last + 1, limit)


@PIXELS
def _plan_blocks(image, mcus, plan):
    """Write to *plan* where :func:`read_row` finds and leaves the blocks of an MCU; return how many they are."""
    luma_v, luma_h = image[u64(LUMA_V)], image[u64(LUMA_H)]
    number = 0
    place = i64(0)  # among the blocks of a strip
    for component in range(image[u64(COMPONENTS)]):
        lines, blocks = (luma_v, luma_h) if component == 0 else (i64(1), i64(1))
        for _ in range(lines):
            for block in range(blocks):
                plan[number, 0] = component
                plan[number, 1] = image[u64(TABLES + 2 * component)]
                plan[number, 2] = image[u64(TABLES + 2 * component + 1)]
                plan[number, 3] = place + block
                plan[number, 4] = blocks
                number += 1
            place += mcus * blocks
    return number


@PIXELS
def _clear(coefs, count):
    for i in range(count):
        coefs[u64(i)] = i16(0)


@PIXELS
def _convert_row(image, y, left, width, mirror, strip, strips, sums, rows, pairs, room, levels, to, apart):
    """Upsample and convert row *y* of the image, *width* pixels from *left* on; write *levels*, channels *apart*.

    *strip* is its first MCU, how many it has, and its pitch. *rows* has eight lines of *room* samples each: two
    upsampled, three mirrored, and three for levels.
    """
    first_mcu, mcus, pitch = strip
    luma_v, luma_h = image[u64(LUMA_V)], image[u64(LUMA_H)]
    half_v, half_h = luma_v - 1, luma_h - 1  # 1 where it is halved, which a shift by it does: faster than dividing
    line = y & (8 * luma_v - 1)
    luma_width = mcus * 8 * luma_h
    luma = (y >> (3 + half_v) & 1) * 8 * pitch + (line & 7) * pitch
    luma += (line >> 3) * luma_width + left - first_mcu * 8 * luma_h
    is_color = image[u64(COMPONENTS)] == 3
    chroma, cb, cr = strips, i64(0), i64(0)
    if is_color:
        first = left >> half_h
        count = ((left + width - 1) >> half_h) - first + 1
        near, far = y >> half_v, i64(-1)
        height_c = (image[u64(HEIGHT)] + half_v) >> half_v
        width_c = (image[u64(WIDTH)] + half_h) >> half_h
        start = luma_v * luma_width + first - first_mcu * 8
        if luma_v == 2:
            beyond = min(max(near + (1 if y & 1 else -1), 0), height_c - 1)
            far = (beyond >> 3 & 1) * 8 * pitch + (beyond & 7) * pitch + start
        near = (near >> 3 & 1) * 8 * pitch + (near & 7) * pitch + start
        cb, cr = near, near + mcus * 8
        if luma_h == 2:
            upsample_row(strips, cb, far, first, count, width_c, sums, rows, pairs, i64(0))
            far = far + mcus * 8 if far >= 0 else far
            upsample_row(strips, cr, far, first, count, width_c, sums, rows, pairs, room)
            chroma, cb, cr = rows, left & 1, room + (left & 1)
    brightness = strips
    if mirror:
        reverse(strips, luma, width, rows, 2 * room)
        if is_color:
            reverse(chroma, cb, width, rows, 3 * room)
            reverse(chroma, cr, width, rows, 4 * room)
        brightness, luma, chroma, cb, cr = rows, 2 * room, rows, 3 * room, 4 * room
    if is_color:
        color_row(brightness, luma, chroma, cb, cr, width, levels, to, apart)
    else:
        grey_row(brightness, luma, width, levels, to, apart)


@PIXELS_ONCE
def decode_crop(
    content, start, image, tables, steps, crop, scale,
    plan, state, data, coefs, work, strips, strips_4, sums, rows, pairs,
    halves, numbers, floats, out, values, mean, factor,
):  # fmt: skip
    """Decode *crop* (top, left, height, width, mirror, kind of output) of the image in *content*; return a status.

    The image data is at *start*; *image*, *tables* and *steps* are from the head. *scale* says how the crop is
    scaled, before it is mirrored; see scale.py. *plan* to *floats* are memory for what is in between. Levels go to
    *out*, values to *values*, flat.
    """
    top, left, height, width, mirror, kind = crop
    luma_v, luma_h = image[u64(LUMA_V)], image[u64(LUMA_H)]
    mcu_columns = (image[u64(WIDTH)] + 8 * luma_h - 1) // (8 * luma_h)
    mcu_rows = (image[u64(HEIGHT)] + 8 * luma_v - 1) // (8 * luma_v)
    first, last = needed_mcus(left, width, luma_h, mcu_columns)
    first_row, last_row = needed_mcus(top, height, luma_v, mcu_rows)
    blocks = _plan_blocks(image, last - first, plan)
    groups = (blocks * (last - first) + LANES - 1) // LANES
    pitch = groups * 8 * LANES
    room = len(rows) // 8
    for i in range(STATE_SIZE):
        state[u64(i)] = u64(0)
    nbytes = remove_stuffing(content, start, data)
    if nbytes < 0:
        return -nbytes
    is_scaled = scale[0] != SAME
    prepare(scale, numbers, floats)
    y, done = top, i64(0)
    for row in range(mcu_rows):
        is_needed = first_row <= row < last_row
        if is_needed:
            _clear(coefs, groups * GROUP)
        status = read_row(
            data, nbytes, state, tables, steps, plan, blocks, mcu_columns, first if is_needed else last, last, coefs
        )
        if status != GOOD:
            return status
        if not is_needed:
            continue
        if transform_groups(coefs, groups, work, strips_4, (row & 1) * 2 * pitch):
            return LARGE
        # The last line of an MCU row waits for the chroma of the next one.
        end = 8 * luma_v * (row + 1) - (1 if luma_v == 2 else 0)
        end = top + height if row == last_row - 1 else min(end, top + height)
        strip = (first, last - first, pitch)
        while y < end:
            if is_wanted(scale, y - top, done, numbers):
                to, levels, apart = 5 * room, rows, room
                if kind == PLANES and not is_scaled:
                    to, levels, apart = (y - top) * width, out, height * width
                _convert_row(
                    image, y, left, width, i64(0) if is_scaled else mirror,
                    strip, strips, sums, rows, pairs, room, levels, to, apart,
                )  # fmt: skip
                if is_scaled:
                    done = scale_row(
                        scale, y - top, done, rows, to, apart, kind,
                        halves, numbers, floats, out, values, mean, factor,
                    )  # fmt: skip
                else:
                    put_row(kind, levels, to, apart, y - top, height, width, out, values, mean, factor)
            y += 1
    return end_of_scan(nbytes, state)
