"""Huffman look-up tables, indexed by the next 12 bits of the data.

A Huffman code has 1 to 16 bits. Codes of equal length are consecutive numbers, and the first code of a length follows
from the last one of the length before. The symbol of a code gives the number of value bits after it: for a DC
coefficient that is the symbol itself; for an AC coefficient it is the low half, and the high half counts the zero
coefficients before this one.

Each Huffman table is expanded into two look-up tables of 4096 entries, and three small ones for codes of 13 to 16 bits:

* ``CODE`` describes the next code: its length, the number of value bits, the sum of both, and its step: by how many
  coefficients it advances in zigzag order, which is 1 more than its zeros, and 0 for the end of the block (EOB).
* ``SKIP`` (AC only) describes all codes that start and end within the 12 bits, for blocks that are read but not
  decoded: the sum of their bits, the sum of their steps, and whether the last one is EOB. The value of the last code
  may extend past the 12 bits.

Why 12 bits: two codes of 12 bits with values of up to 15 bits need 54 bits, and the bit buffer is refilled to at least
56 (see entropy.py), so one refill serves two look-ups. A longer code belongs to a symbol that a good table expects less
than once in 4096. (libjpeg-turbo looks at 8 bits: ``HUFF_LOOKAHEAD`` of jdhuff.h.)

Source: ITU-T T.81, annex C, F.2.2.1 and F.2.2.3 (DECODE, EXTEND).
"""

from __future__ import annotations

from im2rec.jpeg.compiled import BOUNDS_CHECKED, PROVEN_BOUNDS, i64, u64

LOOKAHEAD = 12  # bits
# Offsets of the parts of a table, all int32. LIMIT and SYMBOL_OFFSET are indexed by code length, 1 to 16, hence 17.
CODE, SKIP = 0, 1 << LOOKAHEAD
LIMIT = 2 << LOOKAHEAD  # the smallest 16 bits that start with no code of this or a shorter length (T.81: MAXCODE)
SYMBOL_OFFSET = LIMIT + 17  # the index of a code's symbol, less the code (T.81: VALPTR less MINCODE)
SYMBOLS = SYMBOL_OFFSET + 17  # an entry for each symbol, in the order of the codes
TABLE_SIZE = SYMBOLS + 256

# The bit fields of an entry; an entry of 0 means that there is no such code. Fields that serve as shift counts have 6
# bits: a 64-bit shift instruction uses no more of its count, so the mask that Python needs compiles to nothing.
FIELD_MASK = 63  # bits 0 to 5: length of code and value together
LENGTH_SHIFT = 6  # bits 6 to 11: length of the code
ALIGN_SHIFT = 12  # bits 12 to 17: 64 less the length of the value, which moves it from the top of a word to bit 0; or 0
STEP_SHIFT, STEP_MASK = 18, 31  # bits 18 to 22: the step of a CODE entry; bits 18 to 24: the steps of a SKIP entry
ONE_STEP = 1 << STEP_SHIFT  # a smaller CODE entry is EOB or no code
ZRL = 1 << 30  # CODE: 16 zeros and no coefficient (T.81, F.1.2.2.1); its step field is 0, and it is above all others
EOB, NO_CODE = 1 << 25, 1 << 28  # SKIP: EOB is the last code, and is counted as one step; not one code is complete
_MAX_STEPS = 127 - 17  # a SKIP entry stops here: one more code adds at most 16 and EOB 1, and the field has 7 bits


@BOUNDS_CHECKED
def _entry(length, symbol, is_dc):
    """The CODE entry of a code of *length* bits for *symbol*.

    Any AC symbol without value bits but ZRL ends the block, as in libjpeg-turbo jdhuff.c.
    """
    size = symbol & 15
    entry = length + size | length << LENGTH_SHIFT | ((64 - size) & FIELD_MASK) << ALIGN_SHIFT
    if is_dc:
        return entry
    if size == 0:
        return entry | (ZRL if symbol >> 4 == 15 else 0)
    return entry | ((symbol >> 4) + 1) << STEP_SHIFT


@BOUNDS_CHECKED
def step_of(entry):
    """Coefficients by which a CODE *entry* advances in zigzag order; 0 for the end of the block."""
    return i64(16) if entry & ZRL else entry >> STEP_SHIFT & STEP_MASK


@BOUNDS_CHECKED
def _spread_codes(counts, symbols, is_dc, out):
    """Assign the codes (T.81, C.2) and write each one's entry to all 12-bit indices that start with it."""
    code = 0
    place = 0
    for length in range(1, 17):
        out[SYMBOL_OFFSET + length] = place - code
        for _ in range(counts[length - 1]):
            entry = _entry(length, i64(symbols[place]), is_dc)
            out[SYMBOLS + place] = entry
            if length <= LOOKAHEAD:
                first = code << (LOOKAHEAD - length)
                for at in range(first, first + (1 << (LOOKAHEAD - length))):
                    out[CODE + at] = entry
            code += 1
            place += 1
        out[LIMIT + length] = code << (16 - length)
        code <<= 1


@BOUNDS_CHECKED
def _skip_entry(bits, out):
    """The SKIP entry for the 12 *bits*, from the finished CODE entries."""
    used = 0
    steps = 0
    while used < LOOKAHEAD and steps <= _MAX_STEPS:
        entry = out[CODE + ((bits << used) & ((1 << LOOKAHEAD) - 1))]
        if entry == 0 or used + (entry >> LENGTH_SHIFT & FIELD_MASK) > LOOKAHEAD:
            break
        used += entry & FIELD_MASK
        step = step_of(entry)
        if step == 0:
            return used | (steps + 1) << STEP_SHIFT | EOB
        steps += step
    return used | steps << STEP_SHIFT if used > 0 else NO_CODE


@BOUNDS_CHECKED
def fill_table(counts, symbols, is_dc, out):
    """Write the look-up tables of a Huffman table to *out*, ``TABLE_SIZE`` int32.

    *counts* are the numbers of codes of 1 to 16 bits, *symbols* their symbols, both uint8. markers.py has checked that
    the codes fit their lengths and that there are no more than 256.
    """
    for at in range(TABLE_SIZE):
        out[at] = 0
    _spread_codes(counts, symbols, is_dc, out)
    if not is_dc:
        for bits in range(1 << LOOKAHEAD):
            out[SKIP + bits] = _skip_entry(bits, out)


@BOUNDS_CHECKED
def _long_code(tables, table, window):
    """The CODE entry for a code of 13 to 16 bits at the top of *window*; 0 if there is no such code."""
    start = i64(window >> u64(48))
    for length in range(LOOKAHEAD + 1, 17):
        if start < tables[u64(table + LIMIT + length)]:
            place = (start >> (16 - length)) + tables[u64(table + SYMBOL_OFFSET + length)]
            return i64(tables[u64(table + SYMBOLS + place)])
    return i64(0)


@PROVEN_BOUNDS
def code_at(tables, table, window):
    """The CODE entry for the code at the top of *window*, a word of 64 bits; 0 if there is no such code.

    *table* is the offset of the Huffman table in *tables*.
    """
    entry = i64(tables[u64(table + CODE) + (window >> u64(64 - LOOKAHEAD))])
    return entry if entry != 0 else _long_code(tables, table, window)
