"""Entropy decoding: from the bytes of a scan to the coefficients of its blocks.

First the byte stuffing is removed: an encoder writes 0x00 after every 0xFF of the data, so that no data looks like a
marker. Without it the bit buffer can be refilled from any eight bytes, with no test of each byte.
Then the blocks are read one after another. A block is 8 x 8 coefficients: the first one (DC) is coded as the
difference from that of the previous block of its component, the others (AC) follow in zigzag order, each coded as
(zeros before it, value).

The bit buffer is a word of 64 bits, the next bit at the top. A refill leaves at least 56 bits in it (see
:func:`_refill`). The longest code (16) with the longest value (15) takes 31; two look-ups of 12 bits with their values
take 2 x (12 + 15) = 54. So one refill serves two look-ups, which is faster than a refill for each.

Source: ITU-T T.81, F.1.1.5 and F.1.2.3 (byte stuffing), F.2.2 (decoding), A.2.3 (order of the blocks), A.3.6
(zigzag). Damage is whatever libjpeg-turbo's jdhuff.c warns of, and a block with more than 64 coefficients.
"""

from __future__ import annotations

from im2rec.jpeg.compiled import (
    BOUNDS_CHECKED,
    PROVEN_BOUNDS,
    i16,
    i64,
    leading_zeros,
    load_eight,
    store_eight,
    u8,
    u64,
)
from im2rec.jpeg.tables import (
    ALIGN_SHIFT,
    EOB,
    FIELD_MASK,
    LENGTH_SHIFT,
    LOOKAHEAD,
    ONE_STEP,
    SKIP,
    STEP_MASK,
    STEP_SHIFT,
    ZRL,
    code_at,
    step_of,
)

# The statuses of a decoded image; all but GOOD leave it to libjpeg. REASONS of kernel.py has the word for each.
GOOD, NO_END, MARKER, BAD_CODE, LONG_BLOCK, CUT, LEFT_OVER, FAR_DC, LARGE = range(9)

# The IDCT transforms 16 blocks at a time, a block in each lane of its vectors: 16 coefficients of 16 bits fill a vector
# of 256 bits, or two of 128. So coefficients are stored in groups of 16 blocks: coefficient 0 of all, coefficient 1 ...
LANES = 16
GROUP = 64 * LANES  # coefficients of a group
# Length of the table of quanta of a block. The loop ends once k is 63 or more, and its last step can take k from 62 to
# 62 + 31, the largest step of 5 bits. So no file leads out of the table, and the loop needs no test of k.
REACH = 64 + 32
# Bytes after the data that may be read: a refill loads eight from the next byte on, which is up to eight past the last
# one used. Their content does not matter; what was decoded from them is found by the count of bits after each MCU.
SPARE = 16
MAX_COEFFICIENT = 16383  # after dequantisation; see idct.py
# The sum of DC differences is compared with this after each row of MCUs, which adds less than 2^30 (16,376 blocks of 15
# bits): so it is noticed before the int of libjpeg, of 32 bits, would overflow.
_MAX_DC = 1 << 29

# The state of the bit reader between two calls: the bit buffer, the number of bits in it, the offset of the next byte
# to load; then the DC predictors of three components.
BUFFER, BITS_LEFT, NEXT_BYTE, DC0 = 0, 1, 2, 3
STATE_SIZE = 6

_LOW_BITS = 0x7F7F7F7F7F7F7F7F  # the low seven bits of each of eight bytes


@PROVEN_BOUNDS
def _load_eight_bytes(data, at):
    """The eight bytes from *at* on as one number, the first at the top; the caller has checked that they exist."""
    _ = data[u64(at + 7)]  # has the index checked in a build that checks indices; costs nothing in others
    return load_eight(data, u64(at))


@PROVEN_BOUNDS
def _store_eight_bytes(word, data, at):
    """Write the eight bytes of *word*, the top one first, to *data* from *at* on."""
    _ = data[u64(at + 7)]
    store_eight(data, u64(at), word)


@PROVEN_BOUNDS
def _ff_bytes(word):
    """A word with the top bit of each byte set where that byte of *word* is 0xFF, and all other bits 0.

    Eight bytes are tested in five operations. In the complement, 0xFF bytes are 0. For any other byte, its top bit is
    set or its low seven bits plus 127 carry into the top bit; the sum stays in its byte.
    """
    rest = ~word
    return ~(((rest & u64(_LOW_BITS)) + u64(_LOW_BITS)) | rest | u64(_LOW_BITS))


@BOUNDS_CHECKED
def remove_stuffing(content, start, data):
    """Copy *content* from *start* up to the end marker to *data*, without stuffing.

    Returns the number of bytes; minus the status if another marker comes first or no end marker is found. Eight bytes
    are copied at a time; those with a 0xFF among them are written whole too, and what follows the 0xFF is overwritten.
    """
    end = len(content)
    at, to = start, 0
    while at < end:
        if at + 8 <= end and to + 8 <= len(data):
            word = _load_eight_bytes(content, at)
            _store_eight_bytes(word, data, to)
            marks = _ff_bytes(word)
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


@PROVEN_BOUNDS
def _refill(data, window, bits_left, at):
    """Fill the bit buffer to 56 bits or more; return window, bits_left, at.

    Without a loop or branch: eight bytes are loaded and put below the bits in the buffer, and *at* advances by the
    bytes of which all bits fit. That adds a multiple of 8 to *bits_left*, which becomes 56 to 63, hence the ``|``. The
    buffer then also has some bits of the next byte, which are not counted; the next refill loads them again.
    """
    return window | _load_eight_bytes(data, at) >> u64(bits_left), bits_left | 56, at + ((63 - bits_left) >> 3)


@PROVEN_BOUNDS
def _value(window, entry):
    """The value after the code at the top of *window*, without a branch; only for codes that have one.

    A value of n bits whose first bit is 0 is negative: its bits less 2^n - 1. T.81, figure F.12 (EXTEND).
    """
    rest = window << u64(entry >> LENGTH_SHIFT & FIELD_MASK)
    ones = u64(~(i64(rest) >> 63))  # all bits set if the first bit of the value is 0, else none
    down = u64(entry >> ALIGN_SHIFT & FIELD_MASK)
    return i64((rest >> down) - (ones >> down))


@PROVEN_BOUNDS
def _read_dc(data, tables, table, window, bits_left, at):
    """Read a DC difference; return window, bits_left, at, difference, status."""
    if at + 8 > len(data):
        return window, bits_left, at, i64(0), CUT
    window, bits_left, at = _refill(data, window, bits_left, at)
    entry = code_at(tables, table, window)
    if entry == 0:
        return window, bits_left, at, i64(0), BAD_CODE
    difference = _value(window, entry) if entry >> ALIGN_SHIFT != 0 else i64(0)
    total = entry & FIELD_MASK
    return window << u64(total), bits_left - total, at, difference, GOOD


@PROVEN_BOUNDS
def _read_ac(data, tables, table, quanta, first_quantum, coefs, base, window, bits_left, at):
    """Read the AC coefficients of a block, dequantised, into *coefs*; return window, bits_left, at, large, status.

    *base* is where *coefs* has the block's DC coefficient. *large* is the OR of all coefficients plus 16384, which lies
    in 0 to 32767 exactly if every one of them does, that is, if none is outside -16384 to 16383: one comparison for
    each MCU instead of two for each coefficient.
    """
    k = i64(0)
    large = i64(0)
    while k < 63:
        if at + 8 > len(data):
            return window, bits_left, at, large, CUT
        window, bits_left, at = _refill(data, window, bits_left, at)
        for turn in range(2):  # at most two codes of 12 bits with their values: 54 of 56 bits
            entry = i64(tables[u64(table) + (window >> u64(64 - LOOKAHEAD))])
            if entry < ONE_STEP or entry >= ZRL:
                if entry == 0:
                    if turn == 1:  # a long code needs up to 31 bits, so it is read after the next refill
                        break
                    entry = code_at(tables, table, window)
                total = entry & FIELD_MASK
                if entry < ONE_STEP:
                    return window << u64(total), bits_left - total, at, large, GOOD if entry != 0 else BAD_CODE
                if entry >= ZRL:
                    window <<= u64(total)
                    bits_left -= total
                    k += 16
                    break
            total = entry & FIELD_MASK
            value = _value(window, entry)
            window <<= u64(total)
            bits_left -= total
            k += entry >> STEP_SHIFT & STEP_MASK
            quantum_and_place = i64(quanta[u64(first_quantum + k)])
            value *= quantum_and_place >> 16
            large |= value + (MAX_COEFFICIENT + 1)
            coefs[u64(base + (quantum_and_place & (GROUP - 1)))] = i16(value)
            if k >= 63 or bits_left < 31:
                break
    return window, bits_left, at, large, GOOD if k == 63 else LONG_BLOCK


@PROVEN_BOUNDS
def _skip_ac(data, tables, table, window, bits_left, at):
    """Read past the AC coefficients of a block, several codes at a look-up; return window, bits_left, at, status."""
    k = i64(0)
    while k < 63:
        if at + 8 > len(data):
            return window, bits_left, at, CUT
        window, bits_left, at = _refill(data, window, bits_left, at)
        next_k = i64(0)
        entry = i64(0)
        for _ in range(2):  # two look-ups of 12 bits, each with the value of its last code: at most 54 of 56 bits
            entry = i64(tables[u64(table + SKIP) + (window >> u64(64 - LOOKAHEAD))])
            next_k = k + (entry >> STEP_SHIFT)
            if next_k >= 63:
                break
            total = entry & FIELD_MASK
            window <<= u64(total)
            bits_left -= total
            k = next_k
        if next_k < 63:
            continue
        # Nearly always the block ends here: at coefficient 63, or by EOB, whose step of 1 may take k from 62 to 63.
        total = entry & FIELD_MASK
        if next_k == 63 or 0 <= next_k - (EOB >> STEP_SHIFT) <= 63:
            return window << u64(total), bits_left - total, at, GOOD
        if bits_left < 31:
            continue
        # The look-up has read codes of the next block too, or no code: read a single one. It takes up to 31 bits.
        entry = code_at(tables, table, window)
        if entry == 0:
            return window, bits_left, at, BAD_CODE
        total = entry & FIELD_MASK
        window <<= u64(total)
        bits_left -= total
        step = step_of(entry)
        if step == 0:
            return window, bits_left, at, GOOD
        k += step
    return window, bits_left, at, GOOD if k == 63 else LONG_BLOCK


@BOUNDS_CHECKED
def read_row(data, nbytes, state, tables, quanta, plan, blocks, mcus, first, last, coefs):
    """Read a row of *mcus* MCUs and return a status; write the coefficients of MCUs *first* up to *last* to *coefs*.

    *plan* has for each of the *blocks* blocks of an MCU: the component; the offsets of its DC and AC tables in
    *tables*; the index of this block of the first MCU among the blocks of a strip, and by how many blocks it moves on
    with each MCU. *quanta* has for each component and coefficient, in zigzag order, its quantum << 16 | its offset in
    a group of blocks. *coefs*, int16, has been cleared.
    """
    window, bits_left, at = state[BUFFER], i64(state[BITS_LEFT]), i64(state[NEXT_BYTE])
    for mcu in range(mcus):
        is_needed = first <= mcu < last
        large = 0  # see _read_ac
        for number in range(blocks):
            component = plan[u64(number), u64(0)]
            window, bits_left, at, difference, status = _read_dc(
                data, tables, plan[u64(number), u64(1)], window, bits_left, at
            )
            if status != GOOD:
                return status
            dc = i64(state[u64(DC0 + component)]) + difference
            state[u64(DC0 + component)] = u64(dc)
            table = plan[u64(number), u64(2)]
            if is_needed:
                block = plan[u64(number), u64(3)] + (mcu - first) * plan[u64(number), u64(4)]
                base = (block >> 4) * GROUP + (block & (LANES - 1))  # a group, and a lane of it
                first_quantum = component * REACH
                value = dc * (i64(quanta[u64(first_quantum)]) >> 16)
                large |= value + (MAX_COEFFICIENT + 1)
                coefs[u64(base)] = i16(value)
                window, bits_left, at, more, status = _read_ac(
                    data, tables, table, quanta, first_quantum, coefs, base, window, bits_left, at
                )
                large |= more
            else:
                window, bits_left, at, status = _skip_ac(data, tables, table, window, bits_left, at)
            if status != GOOD:
                return status
        if large < 0 or large > 2 * MAX_COEFFICIENT + 1:
            return LARGE
        if 8 * at - bits_left > 8 * nbytes:  # bits from beyond the data have been used
            return CUT
    state[BUFFER], state[BITS_LEFT], state[NEXT_BYTE] = window, u64(bits_left), u64(at)
    for component in range(3):
        if abs(i64(state[u64(DC0 + component)])) > _MAX_DC:
            return FAR_DC
    return GOOD


@BOUNDS_CHECKED
def end_of_scan(nbytes, state):
    """The status of the end of the last block: GOOD if fewer than 8 bits follow it, the padding of the last byte."""
    used = 8 * i64(state[NEXT_BYTE]) - i64(state[BITS_LEFT])
    return GOOD if 0 <= 8 * nbytes - used < 8 else LEFT_OVER
