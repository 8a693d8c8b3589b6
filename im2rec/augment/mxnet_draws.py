"""MXNet's random numbers: MT19937 and the distributions of libstdc++, drawn as its augmenter draws them.

They serve only to replay an old training run: the state is carried from draw to draw and from record to record, so each
number depends on everything drawn before it, and records cannot be shared among workers.

Source: the C++ standard, ``mersenne_twister_engine``; distributions as MXNet 1.9.1 was observed to draw them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar

import numpy as np

from im2rec.augment.draws import Draws, Float

_WORD = 2**32
_MAX_WORD = _WORD - 1
_BLOCK_WORDS = 624  # taken from numpy at a time, as a call for each word is slow; MT19937 makes as many at a time
_BELOW_ONE = np.nextafter(Float(1), Float(0))
_ONE, _TWO = Float(1), Float(2)

T = TypeVar("T")


class MersenneState(NamedTuple):
    """The state of a :class:`Mersenne`: numpy's state before its block of words, and how many of them are used."""

    bits: Any
    used: int


class Mersenne:
    """``std::mt19937(seed)``: a stream of 32-bit words, seeded by one whole number modulo 2**32.

    This is not the stream of Python's ``random.Random(seed)``, which seeds by an array. A generator can be pickled, and
    continues from its :meth:`state`.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937(0)
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start the stream of *seed*, in a third of the time that a new generator takes."""
        # np.random.MT19937(seed) would hash the seed first. Only the legacy RandomState takes the plain number, as C++.
        np.random.RandomState(self._bits).seed(seed % _WORD)
        self._refill()

    def _refill(self) -> None:
        self._before = self._bits.state
        self._words: list[int] = self._bits.random_raw(_BLOCK_WORDS).tolist()
        self._used = 0

    def state(self) -> MersenneState:
        """Return the state for :meth:`restore`: 2.5 kB, and can be pickled."""
        return MersenneState(self._before, self._used)

    def restore(self, state: MersenneState) -> None:
        """Continue from a *state* that :meth:`state` returned."""
        self._bits.state = state.bits
        self._refill()
        self._used = state.used

    def __getstate__(self) -> MersenneState:
        return self.state()

    def __setstate__(self, state: MersenneState) -> None:
        self._bits = np.random.MT19937(0)
        self.restore(state)

    def next32(self) -> int:
        """Return the next word, 0 to 2**32 - 1."""
        if self._used == _BLOCK_WORDS:
            self._refill()
        word = self._words[self._used]
        self._used += 1
        return word

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from *low* to *high*, both included and less than 2**32 - 1 apart.

        Words beyond the last full multiple of the range are rejected, so that all numbers are equally likely. One word
        is consumed even if *low* is *high*.

        Source: libstdc++ ``uniform_int_distribution``, the branch for a range below that of the generator.
        """
        count = high - low + 1
        share = _MAX_WORD // count
        while (word := self.next32()) >= count * share:
            pass
        return low + word // share

    def shuffle(self, items: list[T]) -> None:
        """Permute *items* in place; a million takes less than a second.

        Source: libstdc++ ``std::shuffle``, one draw an item: each in turn changes places with itself or an earlier one.
        """
        for last in range(1, len(items)):
            other = self.integer(0, last)
            items[last], items[other] = items[other], items[last]


class MersenneDraws(Draws):
    """Draws from one generator that continues from value to value and from record to record.

    The *name* and *attempt* of a value are ignored: only the order of the draws counts. *seed* is any whole number;
    MXNet's first decode worker has 111. ``generator`` holds the state.
    """

    def __init__(self, seed: int) -> None:
        self.generator = Mersenne(seed)

    def unit(self, name: str, attempt: int = 0) -> Float:
        """Draw a number uniform in [0, 1) from one word. What rounds up to 1 becomes the largest float below 1.

        Source: libstdc++ ``generate_canonical<float, 24>``.
        """
        value = Float(self.generator.next32()) / Float(_WORD)
        return value if value < _ONE else _BELOW_ONE

    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        """Draw a whole number from *low* to *high*, both included; see :meth:`Mersenne.integer`."""
        return self.generator.integer(low, high)

    def coin(self, name: str) -> bool:
        """Draw True or False from two words, of which the second is the more significant.

        Source: libstdc++ ``bernoulli_distribution(0.5)``, which draws a double.
        """
        low, high = self.generator.next32(), self.generator.next32()
        return (low + float(high) * _WORD) / 2.0**64 < 0.5

    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        """Draw a normal number for each of *names*: two at a time, and of an odd number the last one's twin is dropped.

        The logarithm is computed in 64 bits and rounded to 32; MXNet uses that of the C library it runs on, which may
        differ in the last bit.

        Source: libstdc++ ``normal_distribution<float>``, Marsaglia's polar method; the second coordinate comes first.
        """
        pairs = [self._normal_pair() for _ in range((len(names) + 1) // 2)]
        return tuple(Float(value * deviation) for pair in pairs for value in pair)[: len(names)]

    def _normal_pair(self) -> tuple[Float, Float]:
        """Draw a pair from the unit circle without its centre, where the logarithm is infinite; reject other points."""
        while True:
            x, y = (_TWO * self.unit("") - _ONE for _ in range(2))
            square = x * x + y * y
            if 0 < square <= 1:
                break
        factor = np.sqrt(Float(-2) * Float(math.log(square)) / square)
        return Float(y * factor), Float(x * factor)  # libstdc++ returns y, and saves x for the next call
