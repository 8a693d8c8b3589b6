"""Huffman tables as look-ups: what the next 12 bits mean.

A Huffman code has 1 to 16 bits; equally long codes are consecutive numbers, and the first of a length follows from the
last of the one before. Its symbol tells how many bits of value come after it: for a DC coefficient the symbol is that
number, for an AC coefficient its low half is, and the high half counts the zeros before the coefficient.

Two look-ups of 4096 entries are made of each table, and what is needed for the codes of 13 to 16 bits:

* ``CODE``: the next code; its length, how many bits of value follow, both together, and how many coefficients it leads
  forward: 1 more than its zeros, and 0 for the end of the block.
* ``MANY`` (AC only): as many codes as start and end within the 12 bits, for blocks that are skipped; the bits of all
  together, the coefficients they lead forward, and whether the end of the block is the last of them. The value of the
  last one may reach further than the 12 bits.

Source: ITU-T T.81, annex C, F.2.2.1 and F.2.2.3 (DECODE, EXTEND).
"""

from __future__ import annotations

from im2rec.jpeg.compiled import PROVEN, READS_FILE, i64, u64

LOOK = 12  # bits
CODE, MANY = 0, 1 << LOOK
LIMIT = 2 << LOOK  # by length: the first number of 16 bits that begins with no code of that length or a shorter one
SHIFT = LIMIT + 17  # by length: the place of a code's symbol, less the code
SYMBOLS = SHIFT + 17  # each as an entry
TABLE_SIZE = SYMBOLS + 256

# The fields of an entry; 0 is no entry. Those that a number is shifted by are of 6 bits: as many as a shift looks at.
SHIFT_MASK = 63
LENGTH_AT = 6  # bits of the code alone; below, those of code and value
DOWN_AT = 12  # 64 less the bits of the value, by which they come down from the top of a word; 0 for none
STEP_AT, STEP_MASK = 18, 31  # forward
SHORTEST_STEP = 1 << STEP_AT
ZEROS_16 = 1 << 30  # 16 zeros and no coefficient; its step is 0
END, NONE = 1 << 25, 1 << 28  # of MANY: the end of the block is the last, and has counted 1; not one code is in it
_MANY_MOST = 127 - 17


@READS_FILE
def _entry(length, symbol, is_dc):
    """The entry of a code of *length* bits for *symbol*."""
    size = symbol & 15
    entry = length + size | length << LENGTH_AT | ((64 - size) & SHIFT_MASK) << DOWN_AT
    if is_dc:
        return entry
    if size == 0:
        return entry | (ZEROS_16 if symbol >> 4 == 15 else 0)
    return entry | ((symbol >> 4) + 1) << STEP_AT


@READS_FILE
def step_of(entry):
    """How many coefficients *entry* leads forward; 0 for the end of the block."""
    return i64(16) if entry & ZEROS_16 else entry >> STEP_AT & STEP_MASK


@READS_FILE
def _spread_codes(counts, symbols, is_dc, out):
    """Number the codes and spread each over all the 12 bits that begin with it."""
    code = 0
    place = 0
    for length in range(1, 17):
        out[SHIFT + length] = place - code
        for _ in range(counts[length - 1]):
            entry = _entry(length, i64(symbols[place]), is_dc)
            out[SYMBOLS + place] = entry
            if length <= LOOK:
                first = code << (LOOK - length)
                for at in range(first, first + (1 << (LOOK - length))):
                    out[CODE + at] = entry
            code += 1
            place += 1
        out[LIMIT + length] = code << (16 - length)
        code <<= 1


@READS_FILE
def _many(bits, out):
    """The MANY entry for 12 *bits*."""
    used = 0
    steps = 0
    while used < LOOK and steps <= _MANY_MOST:
        entry = out[CODE + ((bits << used) & ((1 << LOOK) - 1))]
        if entry == 0 or used + (entry >> LENGTH_AT & SHIFT_MASK) > LOOK:
            break
        used += entry & SHIFT_MASK
        step = step_of(entry)
        if step == 0:
            return used | (steps + 1) << STEP_AT | END
        steps += step
    return used | steps << STEP_AT if used > 0 else NONE


@READS_FILE
def fill_table(counts, symbols, is_dc, out):
    """Write the look-ups of a Huffman table, ``TABLE_SIZE`` int32, to *out*; its codes have been checked to fit."""
    for at in range(TABLE_SIZE):
        out[at] = 0
    _spread_codes(counts, symbols, is_dc, out)
    if not is_dc:
        for bits in range(1 << LOOK):
            out[MANY + bits] = _many(bits, out)


@READS_FILE
def _long_code(tables, table, window):
    """The entry for a code of more than 12 bits at the top of *window*; 0 when there is no such code."""
    start = i64(window >> u64(48))
    for length in range(LOOK + 1, 17):
        if start < tables[u64(table + LIMIT + length)]:
            place = (start >> (16 - length)) + tables[u64(table + SHIFT + length)]
            return i64(tables[u64(table + SYMBOLS + place)])
    return i64(0)


@PROVEN
def code_at(tables, table, window):
    """The entry for the code at the top of *window*; 0 when there is no such code."""
    entry = i64(tables[u64(table + CODE) + (window >> u64(64 - LOOK))])
    return entry if entry != 0 else _long_code(tables, table, window)
