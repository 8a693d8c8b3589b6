"""The inverse DCT (IDCT): from coefficients to samples, 16 blocks at a time.

It has two passes, down the columns and along the rows. Each pass is eight one-dimensional transforms of eight numbers
in fixed point with 13 bits of fraction, 12 multiplications each by the algorithm of Loeffler, Ligtenberg and Moschytz.
The first pass keeps two fractional bits for the second one. Each lane of a vector transforms another block, so
that no step has to move numbers between lanes; the loops over lanes are the innermost ones for that reason.

The result must equal that of libjpeg-turbo's SIMD code (jidctint-sse2.asm and its kin) bit for bit. That code adds
numbers of 16 bits, which wrap around, and saturates to 16 bits between the passes. An image where any of that could
happen is refused: the code adds at most two numbers before it widens them, so every number must lie in -16384 to 16383.
Pixels of 8 bits give coefficients within 4 x 1024, and rounding adds some thousands with the coarsest quantisation
tables, so no encoder writes such a file.

Source: ITU-T T.81, A.3.3; C. Loeffler, A. Ligtenberg, G. Moschytz, "Practical fast 1-D DCT algorithms with 11
multiplications", ICASSP 1989; the accurate integer method ("islow") of libjpeg, jidctint.c, ``jpeg_idct_islow``.
"""

from __future__ import annotations

from im2rec.jpeg.compiled import PIXEL_LOOP, i32, u32, u64
from im2rec.jpeg.entropy import GROUP, LANES, MAX_COEFFICIENT

_FRACTION, _EXTRA = 13, 2  # bits: CONST_BITS and PASS1_BITS of jidctint.c


def _fixed(value: float) -> int:
    return round(value * (1 << _FRACTION))


# Named by their values, as FIX_0_298631336 of jidctint.c: cosines of k pi / 16 times the square root of 2, and sums and
# differences of these.
_0_298, _0_390, _0_541, _0_765 = _fixed(0.298631336), _fixed(0.390180644), _fixed(0.541196100), _fixed(0.765366865)
_0_899, _1_175, _1_501, _1_847 = _fixed(0.899976223), _fixed(1.175875602), _fixed(1.501321110), _fixed(1.847759065)
_1_961, _2_053, _2_562, _3_072 = _fixed(1.961570560), _fixed(2.053119869), _fixed(2.562915447), _fixed(3.072711026)
# Bits that each pass drops. The 3: each pass makes its numbers larger by the square root of 8, 8 in all.
_DOWN_1, _DOWN_2 = _FRACTION - _EXTRA, _FRACTION + _EXTRA + 3
# Half of the last bit kept, to round by; and 128, as samples are centred on 0 before the DCT (T.81, A.3.1).
_HALF_1, _HALF_2 = 1 << (_DOWN_1 - 1), (1 << (_DOWN_2 - 1)) + (128 << _DOWN_2)


@PIXEL_LOOP
def _transform(x0, x1, x2, x3, x4, x5, x6, x7, half):
    """The one-dimensional IDCT of eight int32, in fixed point with 13 more bits of fraction, plus *half*.

    *half* is added where it reaches all eight results in two additions.
    """
    z = i32((x2 + x6) * _0_541)
    even_2 = i32(z - x6 * _1_847)
    even_3 = i32(z + x2 * _0_765)
    sum_04 = i32(((x0 + x4) << _FRACTION) + half)
    dif_04 = i32(((x0 - x4) << _FRACTION) + half)
    e0, e3 = i32(sum_04 + even_3), i32(sum_04 - even_3)
    e1, e2 = i32(dif_04 + even_2), i32(dif_04 - even_2)
    z5 = i32((x7 + x3 + x5 + x1) * _1_175)
    z3 = i32(z5 - (x7 + x3) * _1_961)
    z4 = i32(z5 - (x5 + x1) * _0_390)
    z1 = i32((x7 + x1) * _0_899)
    z2 = i32((x5 + x3) * _2_562)
    o0 = i32(x7 * _0_298 - z1 + z3)
    o1 = i32(x5 * _2_053 - z2 + z4)
    o2 = i32(x3 * _3_072 - z2 + z3)
    o3 = i32(x1 * _1_501 - z1 + z4)
    return (
        i32(e0 + o3), i32(e1 + o2), i32(e2 + o1), i32(e3 + o0),
        i32(e3 - o0), i32(e2 - o1), i32(e1 - o2), i32(e0 - o3),
    )  # fmt: skip


@PIXEL_LOOP
def _columns(coefs, first, work):
    """Transform the columns of the group of blocks at *first* into *work*, int32; return True if a result is too large.

    Results are compared with the limit as coefficients are, all with one comparison: see ``_read_ac`` of entropy.py.
    """
    large = i32(0)
    for column in range(8):
        for lane in range(LANES):
            at = first + column * LANES + lane
            y0, y1, y2, y3, y4, y5, y6, y7 = _transform(
                i32(coefs[u64(at)]),
                i32(coefs[u64(at + 8 * LANES)]),
                i32(coefs[u64(at + 16 * LANES)]),
                i32(coefs[u64(at + 24 * LANES)]),
                i32(coefs[u64(at + 32 * LANES)]),
                i32(coefs[u64(at + 40 * LANES)]),
                i32(coefs[u64(at + 48 * LANES)]),
                i32(coefs[u64(at + 56 * LANES)]),
                i32(_HALF_1),
            )
            y0, y1, y2, y3 = i32(y0 >> _DOWN_1), i32(y1 >> _DOWN_1), i32(y2 >> _DOWN_1), i32(y3 >> _DOWN_1)
            y4, y5, y6, y7 = i32(y4 >> _DOWN_1), i32(y5 >> _DOWN_1), i32(y6 >> _DOWN_1), i32(y7 >> _DOWN_1)
            to = column * LANES + lane
            work[u64(to)] = y0
            work[u64(to + 8 * LANES)] = y1
            work[u64(to + 16 * LANES)] = y2
            work[u64(to + 24 * LANES)] = y3
            work[u64(to + 32 * LANES)] = y4
            work[u64(to + 40 * LANES)] = y5
            work[u64(to + 48 * LANES)] = y6
            work[u64(to + 56 * LANES)] = y7
            more = i32(MAX_COEFFICIENT + 1)
            large |= i32(i32(y0 + more) | i32(y1 + more) | i32(y2 + more) | i32(y3 + more))
            large |= i32(i32(y4 + more) | i32(y5 + more) | i32(y6 + more) | i32(y7 + more))
    return large < 0 or large > 2 * MAX_COEFFICIENT + 1


@PIXEL_LOOP
def _sample(y):
    """A result of the second pass as a sample, limited to 0 to 255."""
    return u32(min(max(i32(y >> _DOWN_2), i32(0)), i32(255)))


@PIXEL_LOOP
def _rows(work, strip, to, pitch):
    """Transform the rows of *work* into *strip*, at *to* and the seven lines below, *pitch* apart.

    *strip* holds four samples in each uint32: one store of four is faster than four of one.
    """
    for row in range(8):
        for lane in range(LANES):
            at = row * 8 * LANES + lane
            y0, y1, y2, y3, y4, y5, y6, y7 = _transform(
                work[u64(at)],
                work[u64(at + LANES)],
                work[u64(at + 2 * LANES)],
                work[u64(at + 3 * LANES)],
                work[u64(at + 4 * LANES)],
                work[u64(at + 5 * LANES)],
                work[u64(at + 6 * LANES)],
                work[u64(at + 7 * LANES)],
                i32(_HALF_2),
            )
            left = u32(_sample(y0) | _sample(y1) << u32(8) | _sample(y2) << u32(16) | _sample(y3) << u32(24))
            right = u32(_sample(y4) | _sample(y5) << u32(8) | _sample(y6) << u32(16) | _sample(y7) << u32(24))
            place = to + row * pitch + 2 * lane
            strip[u64(place)] = left
            strip[u64(place + 1)] = right


@PIXEL_LOOP
def transform_groups(coefs, groups, work, strip, start):
    """Transform *groups* groups of blocks into *strip* from *start* on: eight lines of samples, block beside block.

    Return True if a number is too large, so that libjpeg has to decode the image.
    """
    pitch = groups * 2 * LANES
    for group in range(groups):
        if _columns(coefs, group * GROUP, work):
            return True
        _rows(work, strip, start + group * 2 * LANES, pitch)
    return False
