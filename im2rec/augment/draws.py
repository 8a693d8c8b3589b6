"""Draws: a counter-based 64-bit hash, so that every random number is a pure function of where it is needed.

No state is carried from one draw to the next: any worker computes any draw alone, and gets the same.
"""

from __future__ import annotations

MASK = 2**64 - 1
_STEP = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, odd


def mix64(value: int) -> int:
    """Scramble 64 bits so that every input bit moves half of the output bits; a bijection.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), in the variant with Stafford's constants 13.
    """
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def hash64(*counters: int) -> int:
    """A 64-bit number that depends on every one of *counters* and on their order.

    >>> hash64(0), hash64(100, 7)
    (16294208416658607535, 11534323074136820269)
    """
    value = 0
    for counter in counters:
        value = mix64((value + _STEP + mix64(counter & MASK)) & MASK)
    return value
