"""From YCbCr to RGB, and from levels to the values of a batch; a row of a channel at a time.

    R = Y + 1.402 (Cr - 128)
    G = Y - 0.344136 (Cb - 128) - 0.714136 (Cr - 128)
    B = Y + 1.772 (Cb - 128)

in fixed point with 16 bits of fraction, what is added to Y rounded to a whole number. The two products of green are
rounded together.

Source: ITU-T T.871, section 7; libjpeg-turbo jdcolor.c, ``build_ycc_rgb_table``, for the constants and the rounding.
"""

from __future__ import annotations

import numpy as np

from im2rec.jpeg.compiled import LINE, PIXELS, fetch_line, i32, i64, u8, u64


def _fixed(value: float) -> int:
    return round(value * (1 << 16))


_CR_RED, _CB_BLUE, _CB_GREEN, _CR_GREEN = _fixed(1.402), _fixed(1.772), _fixed(0.34414), _fixed(0.71414)
_HALF = 1 << 15
PLANES, INTERLEAVED, VALUE_PLANES, VALUE_INTERLEAVED = range(4)  # kinds of output


@PIXELS
def _level(value):
    return u8(min(max(value, i32(0)), i32(255)))


@PIXELS
def _one_chroma(luma, y, chroma, c, count, factor, out, to):
    half = i32(_HALF - 128 * factor)
    for i in range(count):
        more = i32(i32(i32(chroma[u64(c + i)]) * factor + half) >> 16)
        out[u64(to + i)] = _level(i32(i32(luma[u64(y + i)]) + more))


@PIXELS
def _two_chromas(luma, y, blue, cb, red, cr, count, out, to):
    half = i32(_HALF + 128 * (_CB_GREEN + _CR_GREEN))
    for i in range(count):
        less = i32(i32(blue[u64(cb + i)]) * i32(_CB_GREEN) + i32(red[u64(cr + i)]) * i32(_CR_GREEN))
        out[u64(to + i)] = _level(i32(i32(luma[u64(y + i)]) + i32(i32(half - less) >> 16)))


@PIXELS
def color_row(luma, y, chroma, cb, cr, count, out, to, pitch):
    """Write *count* pixels to the three planes of *out*, *pitch* apart, at *to*; samples come from the places given."""
    _one_chroma(luma, y, chroma, cr, count, i32(_CR_RED), out, to)
    _two_chromas(luma, y, chroma, cb, chroma, cr, count, out, to + pitch)
    _one_chroma(luma, y, chroma, cb, count, i32(_CB_BLUE), out, to + 2 * pitch)


@PIXELS
def grey_row(luma, y, count, out, to, pitch):
    """The same for an image without colours."""
    for i in range(count):
        level = luma[u64(y + i)]
        out[u64(to + i)] = level
        out[u64(to + pitch + i)] = level
        out[u64(to + 2 * pitch + i)] = level


@PIXELS
def interleave_row(rows, at, pitch, count, out, to):
    """Write three rows of *rows*, *pitch* apart, as pixels."""
    for i in range(count):
        out[u64(to + 3 * i)] = rows[u64(at + i)]
        out[u64(to + 3 * i + 1)] = rows[u64(at + pitch + i)]
        out[u64(to + 3 * i + 2)] = rows[u64(at + 2 * pitch + i)]


@PIXELS
def value_row(rows, at, count, mean, factor, out, to, step):
    """Write ``(level - mean) * factor`` in 32 bits, each step rounded, as augment/normalize.py computes it."""
    if step == 1:
        for i in range(count):
            out[u64(to + i)] = (np.float32(rows[u64(at + i)]) - mean) * factor
    else:
        for i in range(count):
            out[u64(to + step * i)] = (np.float32(rows[u64(at + i)]) - mean) * factor


@PIXELS
def fetch_row(values, at, count):
    """Have memory brought into the caches for the next row, which is computed meanwhile; it saves 8 % of all time."""
    for i in range(0, count, LINE):
        fetch_line(values, u64(at + i))


@PIXELS
def put_row(kind, rows, at, pitch, y, height, width, out, values, mean, factor):
    """Write the levels at *at* of *rows*, channels *pitch* apart, as row *y* of *kind*; planes of levels are there."""
    if kind == INTERLEAVED:
        interleave_row(rows, at, pitch, width, out, 3 * y * width)
    elif kind != PLANES:
        step = i64(1) if kind == VALUE_PLANES else i64(3)
        for c in range(3):
            place = (c * height + y) * width if kind == VALUE_PLANES else 3 * y * width + c
            value_row(rows, at + c * pitch, width, mean[u64(c)], factor[u64(c)], values, place, step)
            if kind == VALUE_PLANES:
                fetch_row(values, place + width, width)
        if kind != VALUE_PLANES:
            fetch_row(values, 3 * (y + 1) * width, 3 * width)


@PIXELS
def split_row(pixels, at, count, rows, to, pitch):
    """The opposite of :func:`interleave_row`."""
    for i in range(count):
        rows[u64(to + i)] = pixels[u64(at + 3 * i)]
        rows[u64(to + pitch + i)] = pixels[u64(at + 3 * i + 1)]
        rows[u64(to + 2 * pitch + i)] = pixels[u64(at + 3 * i + 2)]
