"""The compressed data of a scan: from bytes to coefficients.

First the byte stuffing is removed: the encoder puts 0x00 behind every 0xFF, so that markers can be told from data.
Then the blocks are read one after the other. A block is 8 x 8 coefficients: the first one (DC) is coded as the
difference to that of the block before, the others (AC) in the order of the zigzag, as (zeros before it, value).

Bits wait in a buffer of 64, the next one at the top. It is filled up to at least 32, which is enough for any
code (16) with its value (15).

Source: ITU-T T.81, F.1.1.5 and F.1.2.3 (byte stuffing), F.2.2 (decoding), A.2.3 (order of the blocks), A.3.6
(zigzag). What counts as damage: libjpeg-turbo jdhuff.c, wherever it warns; and a block that runs past its end.
"""

from __future__ import annotations

from im2rec.jpeg.compiled import PROVEN, READS_FILE, i16, i64, leading_zeros, load_eight, store_eight, u8, u64
from im2rec.jpeg.tables import (
    DOWN_AT,
    END,
    LENGTH_AT,
    LOOK,
    MANY,
    SHIFT_MASK,
    SHORTEST_STEP,
    STEP_AT,
    STEP_MASK,
    ZEROS_16,
    code_at,
    step_of,
)

# How an image ends; all but GOOD leave it to libjpeg. kernel.py has a word for each.
GOOD, NO_END, MARKER, BAD_CODE, LONG_BLOCK, CUT, LEFT_OVER, FAR_DC, LARGE = range(9)

LANES = 16  # blocks that the inverse transform takes at a time
GROUP = 64 * LANES  # numbers of a group of blocks: coefficient after coefficient, each of 16 blocks
REACH = 64 + 32  # coefficients that a damaged block can get to before that is seen: a step is of 5 bits
SPARE = 16  # bytes behind the data that the bit buffer may read
MOST_COEFFICIENT = 16383  # after dequantisation; see idct.py
_FARTHEST_DC = 1 << 29  # far from where the sums of libjpeg overflow

# The bit reader and the DC predictors, between two calls: the buffer, the bits in it, the next byte to take.
BUFFER, HAVE, AT, DC0 = 0, 1, 2, 3
STATE_SIZE = 6

_LOW_BITS = 0x7F7F7F7F7F7F7F7F  # of eight bytes, all but the highest


@PROVEN
def _eight_bytes(data, at):
    """The eight bytes from *at* on as one number, the first at the top; the caller has made sure of them."""
    _ = data[u64(at + 7)]  # where indices are checked, this is
    return load_eight(data, u64(at))


@PROVEN
def _put_eight_bytes(word, data, at):
    """The opposite."""
    _ = data[u64(at + 7)]
    store_eight(data, u64(at), word)


@PROVEN
def _marked_ff(word):
    """The top bit of each byte of *word* that is 0xFF; all other bits are 0.

    Those bytes of the complement are 0; of any other byte, the sum of its low bits and 127 or itself has the top bit.
    """
    rest = ~word
    return ~(((rest & u64(_LOW_BITS)) + u64(_LOW_BITS)) | rest | u64(_LOW_BITS))


@READS_FILE
def remove_stuffing(content, start, data):
    """Copy what is in *content* from *start* on to *data*, without stuffing; return the number of bytes, or -status.

    The data must be followed by the end of the image and by no other marker.
    """
    end = len(content)
    at, to = start, 0
    while at < end:
        if at + 8 <= end and to + 8 <= len(data):
            word = _eight_bytes(content, at)
            _put_eight_bytes(word, data, to)
            marks = _marked_ff(word)
            if marks == u64(0):
                at += 8
                to += 8
                continue
            before = i64(leading_zeros(marks) >> u64(3))
            at += before
            to += before
        elif content[u64(at)] != 0xFF:
            data[u64(to)] = content[u64(at)]
            at += 1
            to += 1
            continue
        if at + 1 >= end:
            break
        marker = content[u64(at + 1)]
        if marker != 0:
            return to if marker == 0xD9 else -MARKER
        data[u64(to)] = u8(0xFF)
        at += 2
        to += 1
    return -NO_END


@PROVEN
def _refill(data, window, have, at):
    """Fill the bit buffer; it counts 56 bits at the least, and what it does not count is there as well."""
    return window | _eight_bytes(data, at) >> u64(have), have | 56, at + ((63 - have) >> 3)


@PROVEN
def _value(window, entry):
    """The value behind the code at the top of *window*, without a branch; not for codes that have none.

    It is negative when its first bit is 0, and then less by all ones in its bits. Figure F.12.
    """
    rest = window << u64(entry >> LENGTH_AT & SHIFT_MASK)
    ones = u64(~(i64(rest) >> 63))  # where the first bit is 0
    down = u64(entry >> DOWN_AT & SHIFT_MASK)
    return i64((rest >> down) - (ones >> down))


@PROVEN
def _dc(data, tables, table, window, have, at):
    """Read a difference of DCs: window, have, at, the difference, status."""
    if at + 8 > len(data):
        return window, have, at, i64(0), CUT
    window, have, at = _refill(data, window, have, at)
    entry = code_at(tables, table, window)
    if entry == 0:
        return window, have, at, i64(0), BAD_CODE
    difference = _value(window, entry) if entry >> DOWN_AT != 0 else i64(0)
    total = entry & SHIFT_MASK
    return window << u64(total), have - total, at, difference, GOOD


@PROVEN
def _keep_ac(data, tables, table, steps, step, coefs, base, window, have, at):
    """Read the ACs of a block, dequantised, into *coefs*: window, have, at, whether a value is large, status."""
    k = i64(0)
    large = i64(0)
    while k < 63:
        if at + 8 > len(data):
            return window, have, at, large, CUT
        window, have, at = _refill(data, window, have, at)
        for turn in range(2):  # two codes of 12 bits with their values at the most
            entry = i64(tables[u64(table) + (window >> u64(64 - LOOK))])
            if entry < SHORTEST_STEP or entry >= ZEROS_16:
                if entry == 0:
                    if turn == 1:
                        break
                    entry = code_at(tables, table, window)
                total = entry & SHIFT_MASK
                if entry < SHORTEST_STEP:
                    return window << u64(total), have - total, at, large, GOOD if entry != 0 else BAD_CODE
                if entry >= ZEROS_16:
                    window <<= u64(total)
                    have -= total
                    k += 16
                    break
            total = entry & SHIFT_MASK
            value = _value(window, entry)
            window <<= u64(total)
            have -= total
            k += entry >> STEP_AT & STEP_MASK
            place = i64(steps[u64(step + k)])
            value *= place >> 16
            large |= value + (MOST_COEFFICIENT + 1)
            coefs[u64(base + (place & (GROUP - 1)))] = i16(value)
            if k >= 63 or have < 31:
                break
    return window, have, at, large, GOOD if k == 63 else LONG_BLOCK


@PROVEN
def _skip_ac(data, tables, table, window, have, at):
    """Read over the ACs of a block, several at a look-up: window, have, at, status."""
    k = i64(0)
    while k < 63:
        if at + 8 > len(data):
            return window, have, at, CUT
        window, have, at = _refill(data, window, have, at)
        further = i64(0)
        entry = i64(0)
        for _ in range(2):  # two look-ups of 12 bits, with the value of the last code at the most
            entry = i64(tables[u64(table + MANY) + (window >> u64(64 - LOOK))])
            further = k + (entry >> STEP_AT)
            if further >= 63:
                break
            total = entry & SHIFT_MASK
            window <<= u64(total)
            have -= total
            k = further
        if further < 63:
            continue
        # Nearly always the end of the block, which counts as one step.
        total = entry & SHIFT_MASK
        if further == 63 or 0 <= further - (END >> STEP_AT) <= 63:
            return window << u64(total), have - total, at, GOOD
        if have < 31:
            continue
        # Past the end of the block it is the next block's codes that the look-up has read: one code only.
        entry = code_at(tables, table, window)
        if entry == 0:
            return window, have, at, BAD_CODE
        total = entry & SHIFT_MASK
        window <<= u64(total)
        have -= total
        forward = step_of(entry)
        if forward == 0:
            return window, have, at, GOOD
        k += forward
    return window, have, at, GOOD if k == 63 else LONG_BLOCK


@READS_FILE
def read_row(data, nbytes, state, tables, steps, plan, blocks, mcus, first, last, coefs):
    """Read a row of *mcus* MCUs and return a status; those from *first* up to *last* leave coefficients in *coefs*.

    *plan* has for each of the *blocks* blocks of an MCU: component, DC and AC table, the place of the MCU's first such
    block among all blocks of a row, and how many of them an MCU has in a line. *steps* has for each component and
    coefficient the quantum << 16 and its place in a group. *coefs* has been cleared.
    """
    window, have, at = state[BUFFER], i64(state[HAVE]), i64(state[AT])
    for mcu in range(mcus):
        kept = first <= mcu < last
        large = 0
        for number in range(blocks):
            component = plan[u64(number), u64(0)]
            window, have, at, difference, status = _dc(data, tables, plan[u64(number), u64(1)], window, have, at)
            if status != GOOD:
                return status
            dc = i64(state[u64(DC0 + component)]) + difference
            state[u64(DC0 + component)] = u64(dc)
            table = plan[u64(number), u64(2)]
            if kept:
                block = plan[u64(number), u64(3)] + (mcu - first) * plan[u64(number), u64(4)]
                base = (block >> 4) * GROUP + (block & (LANES - 1))
                step = component * REACH
                value = dc * (i64(steps[u64(step)]) >> 16)
                large |= value + (MOST_COEFFICIENT + 1)
                coefs[u64(base)] = i16(value)
                window, have, at, more, status = _keep_ac(
                    data, tables, table, steps, step, coefs, base, window, have, at
                )
                large |= more
            else:
                window, have, at, status = _skip_ac(data, tables, table, window, have, at)
            if status != GOOD:
                return status
        if large < 0 or large > 2 * MOST_COEFFICIENT + 1:
            return LARGE
        if 8 * at - have > 8 * nbytes:
            return CUT
    state[BUFFER], state[HAVE], state[AT] = window, u64(have), u64(at)
    for component in range(3):
        if abs(i64(state[u64(DC0 + component)])) > _FARTHEST_DC:
            return FAR_DC
    return GOOD


@READS_FILE
def end_of_scan(nbytes, state):
    """What is wrong with the place where the last block ended: fewer than 8 bits may follow it."""
    used = 8 * i64(state[AT]) - i64(state[HAVE])
    return GOOD if 0 <= 8 * nbytes - used < 8 else LEFT_OVER
