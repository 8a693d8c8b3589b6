"""Colour conversion from YCbCr to RGB, and from levels to the float values of a batch, row by row.

    R = Y + 1.402 (Cr - 128)
    G = Y - 0.344136 (Cb - 128) - 0.714136 (Cr - 128)
    B = Y + 1.772 (Cb - 128)

in fixed point with 16 bits of fraction. What is added to Y is rounded to a whole number; for green the sum of both
products is rounded, not each of them. A row is converted channel by channel: each loop then writes one run of bytes,
which suits both vector instructions and the planes of a batch.

Source: ITU-T T.871, section 7; libjpeg-turbo jdcolor.c, ``build_ycc_rgb_table``, for the constants, of which those of
green have five digits there, and the rounding.
"""

from __future__ import annotations

import numpy as np

from im2rec.jpeg.compiled import CACHE_LINE, PIXEL_LOOP, i32, i64, prefetch_line, u8, u64


def _fixed(value: float) -> int:
    return round(value * (1 << 16))


_CR_RED, _CB_BLUE, _CB_GREEN, _CR_GREEN = _fixed(1.402), _fixed(1.772), _fixed(0.34414), _fixed(0.71414)
_HALF = 1 << 15  # of the last bit kept, to round by
# Kinds of output: levels (uint8) or values (float32), in planes (3, height, width) or interleaved (height, width, 3).
PLANES, INTERLEAVED, VALUE_PLANES, VALUE_INTERLEAVED = range(4)


@PIXEL_LOOP
def _clamp(value):
    return u8(min(max(value, i32(0)), i32(255)))


@PIXEL_LOOP
def _fill_red_or_blue(luma, y, chroma, c, count, factor, out, to):
    half = i32(_HALF - 128 * factor)
    for i in range(count):
        more = i32(i32(i32(chroma[u64(c + i)]) * factor + half) >> 16)
        out[u64(to + i)] = _clamp(i32(i32(luma[u64(y + i)]) + more))


@PIXEL_LOOP
def _fill_green(luma, y, blue, cb, red, cr, count, out, to):
    half = i32(_HALF + 128 * (_CB_GREEN + _CR_GREEN))
    for i in range(count):
        less = i32(i32(blue[u64(cb + i)]) * i32(_CB_GREEN) + i32(red[u64(cr + i)]) * i32(_CR_GREEN))
        out[u64(to + i)] = _clamp(i32(i32(luma[u64(y + i)]) + i32(i32(half - less) >> 16)))


@PIXEL_LOOP
def color_row(luma, y, chroma, cb, cr, count, out, to, pitch):
    """Write *count* pixels as RGB to three rows of *out*, at *to* and *pitch* apart.

    *y*, *cb* and *cr* are the offsets of the first samples in *luma* and *chroma*.
    """
    _fill_red_or_blue(luma, y, chroma, cr, count, i32(_CR_RED), out, to)
    _fill_green(luma, y, chroma, cb, chroma, cr, count, out, to + pitch)
    _fill_red_or_blue(luma, y, chroma, cb, count, i32(_CB_BLUE), out, to + 2 * pitch)


@PIXEL_LOOP
def grey_row(luma, y, count, out, to, pitch):
    """Write *count* pixels of a grey image as RGB to three rows of *out*, at *to* and *pitch* apart."""
    for i in range(count):
        level = luma[u64(y + i)]
        out[u64(to + i)] = level
        out[u64(to + pitch + i)] = level
        out[u64(to + 2 * pitch + i)] = level


@PIXEL_LOOP
def interleave_row(rows, at, pitch, count, out, to):
    """Write the three channels at *at* of *rows*, *pitch* apart, to *out* as pixels of three bytes."""
    for i in range(count):
        out[u64(to + 3 * i)] = rows[u64(at + i)]
        out[u64(to + 3 * i + 1)] = rows[u64(at + pitch + i)]
        out[u64(to + 3 * i + 2)] = rows[u64(at + 2 * pitch + i)]


@PIXEL_LOOP
def value_row(rows, at, count, mean, factor, out, to, step):
    """Write ``(level - mean) * factor`` of a channel to every *step*-th place of *out*.

    In float32, each operation rounded, as augment/normalize.py computes it.
    """
    if step == 1:  # a separate loop, which the compiler can vectorise
        for i in range(count):
            out[u64(to + i)] = (np.float32(rows[u64(at + i)]) - mean) * factor
    else:
        for i in range(count):
            out[u64(to + step * i)] = (np.float32(rows[u64(at + i)]) - mean) * factor


@PIXEL_LOOP
def prefetch_row(values, at, count):
    """Prefetch the memory that the next row will be written to, while that row is computed; saves 8 % of all time."""
    for i in range(0, count, CACHE_LINE):
        prefetch_line(values, u64(at + i))


@PIXEL_LOOP
def write_row(kind, rows, at, pitch, y, height, width, out, values, mean, factor):
    """Write the levels at *at* of *rows*, channels *pitch* apart, as row *y* of the output, of *kind*.

    Levels in planes need nothing more: they were computed in place. Levels go to *out*, values to *values*, both flat.
    """
    if kind == INTERLEAVED:
        interleave_row(rows, at, pitch, width, out, 3 * y * width)
    elif kind != PLANES:
        step = i64(1) if kind == VALUE_PLANES else i64(3)
        for c in range(3):
            place = (c * height + y) * width if kind == VALUE_PLANES else 3 * y * width + c
            value_row(rows, at + c * pitch, width, mean[u64(c)], factor[u64(c)], values, place, step)
            if kind == VALUE_PLANES:
                prefetch_row(values, place + width, width)
        if kind != VALUE_PLANES:
            prefetch_row(values, 3 * (y + 1) * width, 3 * width)


@PIXEL_LOOP
def split_row(pixels, at, count, rows, to, pitch):
    """Write *count* pixels of three bytes, from *at* on, as three channels to *rows*, at *to* and *pitch* apart."""
    for i in range(count):
        rows[u64(to + i)] = pixels[u64(at + 3 * i)]
        rows[u64(to + pitch + i)] = pixels[u64(at + 3 * i + 1)]
        rows[u64(to + 2 * pitch + i)] = pixels[u64(at + 3 * i + 2)]
