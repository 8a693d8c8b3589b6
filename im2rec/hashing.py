"""The 64-bit hash from which shuffled orders, random draws and pack's random interpolation are computed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MASK = 2**64 - 1
_STEP = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, rounded to an odd number: the step of SplitMix64
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
Words = npt.NDArray[np.uint64]


def mix64(value: int) -> int:
    """Mix the 64 bits of *value*, 0 to 2**64 - 1, so that each input bit flips half of the output bits; a bijection.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), in the variant with Stafford's constants 13.
    """
    value = (value ^ (value >> 30)) * _MIX_1 & MASK
    value = (value ^ (value >> 27)) * _MIX_2 & MASK
    return value ^ (value >> 31)


def hash64(*counters: int) -> int:
    """Return a 64-bit number that depends on all *counters* and on their order; each is taken modulo 2**64.

    >>> hash64(0), hash64(100, 7)
    (16294208416658607535, 11534323074136820269)
    """
    value = 0
    for counter in counters:
        value = absorb(value, counter)
    return value


def absorb(state: int, counter: int) -> int:
    """Return the hash *state* extended by *counter*: ``hash64(a, b)`` is ``absorb(absorb(0, a), b)``."""
    return mix64((state + _STEP + mix64(counter & MASK)) & MASK)


def mix64_array(values: Words) -> Words:
    """Apply :func:`mix64` to every element of a uint64 array; returns a new array."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_MIX_1)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_MIX_2)
    return values ^ (values >> np.uint64(31))


def absorb_array(states: Words, counters: Words) -> Words:
    """Apply :func:`absorb` to uint64 arrays, broadcast against each other; returns a new array."""
    return mix64_array(states + np.uint64(_STEP) + mix64_array(counters))
