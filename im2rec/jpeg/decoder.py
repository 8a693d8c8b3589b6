"""Decoding of a crop, from the bytes of a file to rows of pixels: the compiled function that runs all the steps.

The scan is read one row of MCUs at a time (minimum coded units, T.81 A.2: the blocks of all components that cover the
same square of the image). MCUs outside the crop, above and below it or left and right of it, are only skipped over: the
DC predictors need their differences, and nothing else of them is computed. The others are transformed into a *strip* of
eight lines, in which all blocks of the row lie side by side: the luma blocks, row by row of blocks, then those of Cb,
then those of Cr. Two strips take turns, as the upsampling filter needs the chroma of the rows above and below. Each row
of the crop is then upsampled, converted and written while its samples are in the processor's caches.

The scan is read to its end even after the last row of the crop: damage further down, for which libjpeg refuses the
file, would go unnoticed otherwise, and a file would be good or bad depending on its crop.
"""

from __future__ import annotations

from im2rec.jpeg.color import PLANES, color_row, grey_row, write_row
from im2rec.jpeg.compiled import PIXEL_LOOP, PIXEL_LOOP_INLINE, i16, i64, u64
from im2rec.jpeg.entropy import GOOD, GROUP, LANES, LARGE, STATE_SIZE, end_of_scan, read_row, remove_stuffing
from im2rec.jpeg.idct import transform_groups
from im2rec.jpeg.scale import is_row_used, scale_row
from im2rec.jpeg.scaling import UNSCALED
from im2rec.jpeg.taps import fill_taps
from im2rec.jpeg.upsample import mirror_row, upsample_row

# Indices of the numbers that describe an image; from TABLES on, the offsets of the DC and AC tables of each component.
HEIGHT, WIDTH, LUMA_V, LUMA_H, COMPONENTS, TABLES = range(6)
IMAGE_SIZE = TABLES + 2 * 3


@PIXEL_LOOP
def needed_mcus(start, count, factor, limit):
    """The range of MCUs, first and end, that *count* rows or columns from *start* on need, of *limit* in all.

    *factor* is 2 if chroma is at half size, else 1. Its upsampling needs a sample more on both sides, if the image has
    one.
    """
    margin = factor if factor > 1 else 0
    first = max(start // factor * factor - margin, 0) // (8 * factor)
    last = ((start + count - 1) // factor * factor + margin) // (8 * factor)
    return first, min(last + 1, limit)


@PIXEL_LOOP
def _plan_blocks(image, mcus, plan):
    """Write the *plan* of :func:`read_row` for strips of *mcus* MCUs; return the number of blocks of an MCU."""
    luma_v, luma_h = image[u64(LUMA_V)], image[u64(LUMA_H)]
    number = 0
    place = i64(0)  # index among the blocks of a strip
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


@PIXEL_LOOP
def _clear(coefs, count):
    for i in range(count):
        coefs[u64(i)] = i16(0)


@PIXEL_LOOP
def _convert_row(image, y, left, width, mirror, strip, strips, sums, rows, pairs, line_size, levels, to, out_pitch):
    """Upsample and convert row *y* of the image, *width* pixels from *left* on, to *levels* at *to*.

    The channels are written *out_pitch* apart. *strip* holds the number of its first MCU, of its MCUs, and the length
    of its lines. *rows* is memory for eight lines of *line_size* samples: two for upsampled chroma, three for mirrored
    samples, and three that are the caller's, for levels.
    """
    first_mcu, mcus, pitch = strip
    luma_v, luma_h = image[u64(LUMA_V)], image[u64(LUMA_H)]
    half_v, half_h = luma_v - 1, luma_h - 1  # 1 if chroma is halved, else 0: shifts, which are faster than divisions
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
            # The next nearest row: below for odd rows of the image, above for even ones.
            beyond = min(max(near + (1 if y & 1 else -1), 0), height_c - 1)
            far = (beyond >> 3 & 1) * 8 * pitch + (beyond & 7) * pitch + start
        near = (near >> 3 & 1) * 8 * pitch + (near & 7) * pitch + start
        cb, cr = near, near + mcus * 8
        if luma_h == 2:
            upsample_row(strips, cb, far, first, count, width_c, sums, rows, pairs, i64(0))
            far = far + mcus * 8 if far >= 0 else far
            upsample_row(strips, cr, far, first, count, width_c, sums, rows, pairs, line_size)
            chroma, cb, cr = rows, left & 1, line_size + (left & 1)
    luma_samples = strips
    if mirror:
        mirror_row(strips, luma, width, rows, 2 * line_size)
        if is_color:
            mirror_row(chroma, cb, width, rows, 3 * line_size)
            mirror_row(chroma, cr, width, rows, 4 * line_size)
        luma_samples, luma, chroma, cb, cr = rows, 2 * line_size, rows, 3 * line_size, 4 * line_size
    if is_color:
        color_row(luma_samples, luma, chroma, cb, cr, width, levels, to, out_pitch)
    else:
        grey_row(luma_samples, luma, width, levels, to, out_pitch)


@PIXEL_LOOP_INLINE
def decode_crop(
    content, start, image, tables, quanta, crop, scale,
    plan, state, data, coefs, work, strips, strips_4, sums, rows, pairs,
    halves, numbers, floats, out, values, mean, factor,
):  # fmt: skip
    """Decode *crop* (top, left, height, width, mirror, kind of output) of the image in *content*; return a status.

    The image data starts at *start*; *image*, *tables* and *quanta* are made from the header by kernel.py. *scale*
    describes how the crop is scaled (see scale.py), before it is mirrored. *plan* to *floats* are working memory.
    Levels go to *out*, values to *values*, both flat.
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
    line_size = len(rows) // 8
    for i in range(STATE_SIZE):
        state[u64(i)] = u64(0)
    nbytes = remove_stuffing(content, start, data)
    if nbytes < 0:
        return -nbytes
    is_scaled = scale[0] != UNSCALED
    fill_taps(scale, numbers, floats)
    y, done = top, i64(0)
    for row in range(mcu_rows):
        is_needed = first_row <= row < last_row
        if is_needed:
            _clear(coefs, groups * GROUP)
        status = read_row(
            data, nbytes, state, tables, quanta, plan, blocks, mcu_columns, first if is_needed else last, last, coefs
        )
        if status != GOOD:
            return status
        if not is_needed:
            continue
        if transform_groups(coefs, groups, work, strips_4, (row & 1) * 2 * pitch):
            return LARGE
        # The last line of an MCU row waits for the chroma of the next row, which its upsampling needs.
        end = 8 * luma_v * (row + 1) - (1 if luma_v == 2 else 0)
        end = top + height if row == last_row - 1 else min(end, top + height)
        strip = (first, last - first, pitch)
        while y < end:
            if is_row_used(scale, y - top, done, numbers):
                to, levels, out_pitch = 5 * line_size, rows, line_size
                if kind == PLANES and not is_scaled:
                    to, levels, out_pitch = (y - top) * width, out, height * width
                _convert_row(
                    image, y, left, width, i64(0) if is_scaled else mirror,
                    strip, strips, sums, rows, pairs, line_size, levels, to, out_pitch,
                )  # fmt: skip
                if is_scaled:
                    done = scale_row(
                        scale, y - top, done, rows, to, out_pitch, kind,
                        halves, numbers, floats, out, values, mean, factor,
                    )  # fmt: skip
                else:
                    write_row(kind, levels, to, out_pitch, y - top, height, width, out, values, mean, factor)
            y += 1
    return end_of_scan(nbytes, state)
