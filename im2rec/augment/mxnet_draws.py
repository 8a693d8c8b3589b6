"""MXNet's random numbers: MT19937 and the distributions of libstdc++, the way its augmenter asks for them.

For replaying an old training run, and for nothing else: the state is carried from draw to draw and from record to
record, so the numbers depend on everything drawn before.

Source: the C++ standard, ``mersenne_twister_engine``; distributions as MXNet 1.9.1 was observed to draw them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar

import numpy as np

from im2rec.augment.draws import Draws, Float

_WORD = 2**32
_MOST = _WORD - 1  # the largest word, and so the span of one
_BLOCK_WORDS = 624  # what the generator makes at a time anyway
_BELOW_ONE = np.nextafter(Float(1), Float(0))
_ONE, _TWO = Float(1), Float(2)

T = TypeVar("T")


class MersenneState(NamedTuple):
    """Where a :class:`Mersenne` stands: numpy's state before its block of words, and how many of them are used."""

    bits: Any
    used: int


class Mersenne:
    """``std::mt19937(seed)``: 32-bit words, seeded by one whole number, which is taken modulo 2**32.

    Not the stream of Python's ``random.Random(seed)``, which seeds by an array. Pickles, as its :meth:`state`.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937(0)
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start again from *seed*; a third of the time that a new generator takes."""
        # Seeding by a single number is what numpy calls legacy: only this front does it in public.
        np.random.RandomState(self._bits).seed(seed % _WORD)
        self._refill()

    def _refill(self) -> None:
        self._before = self._bits.state
        self._words: list[int] = self._bits.random_raw(_BLOCK_WORDS).tolist()
        self._used = 0

    def state(self) -> MersenneState:
        """Where the generator stands, for :meth:`restore`; 2.5 kB, and pickles."""
        return MersenneState(self._before, self._used)

    def restore(self, state: MersenneState) -> None:
        """Go on from where :meth:`state` was asked."""
        self._bits.state = state.bits
        self._refill()
        self._used = state.used

    def __getstate__(self) -> MersenneState:
        return self.state()

    def __setstate__(self, state: MersenneState) -> None:
        self._bits = np.random.MT19937(0)
        self.restore(state)

    def next32(self) -> int:
        """The next word, 0 to 2**32 - 1."""
        if self._used == _BLOCK_WORDS:
            self._refill()
        word = self._words[self._used]
        self._used += 1
        return word

    def integer(self, low: int, high: int) -> int:
        """A whole number from *low* to *high*, both included and less than 2**32 - 1 apart.

        Words are refused until one divides evenly; a single word is used up even when *low* is *high*.

        Source: libstdc++ ``uniform_int_distribution``, the branch for a range below that of the generator.
        """
        count = high - low + 1
        share = _MOST // count
        while (word := self.next32()) >= count * share:
            pass
        return low + word // share

    def shuffle(self, items: list[T]) -> None:
        """Permute *items* in place; a million in under a second.

        Source: libstdc++ ``std::shuffle``, one draw an item: each in turn changes places with itself or an earlier one.
        """
        for place in range(1, len(items)):
            other = self.integer(0, place)
            items[place], items[other] = items[other], items[place]


class MersenneDraws(Draws):
    """Draws from one generator that runs on from value to value and from record to record.

    The *name* and *attempt* of a value are ignored: what counts is the order of asking, and which values are asked at
    all. *seed* is any whole number; MXNet's first decode worker has 111. ``generator`` carries the state.
    """

    def __init__(self, seed: int) -> None:
        self.generator = Mersenne(seed)

    def unit(self, name: str, attempt: int = 0) -> Float:
        """Uniform in [0, 1): one word. What rounds up to 1 becomes the float below.

        Source: libstdc++ ``generate_canonical<float, 24>``.
        """
        value = Float(self.generator.next32()) / Float(_WORD)
        return value if value < _ONE else _BELOW_ONE

    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        """A whole number from *low* to *high*, both included; see :meth:`Mersenne.integer`."""
        return self.generator.integer(low, high)

    def coin(self, name: str) -> bool:
        """True in half of the cases: two words, the second of which counts most.

        Source: libstdc++ ``bernoulli_distribution(0.5)``, which draws a double.
        """
        low, high = self.generator.next32(), self.generator.next32()
        return (low + float(high) * _WORD) / 2.0**64 < 0.5

    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        """One normal number for each of *names*, made two at a time; of an odd number the last one's twin is dropped.

        The logarithm is rounded from 64 bits; MXNet takes that of the C library it runs on, which may differ in the
        last bit.

        Source: libstdc++ ``normal_distribution<float>``, Marsaglia's polar method; the second coordinate comes first.
        """
        pairs = [self._normal_pair() for _ in range((len(names) + 1) // 2)]
        return tuple(Float(value * deviation) for pair in pairs for value in pair)[: len(names)]

    def _normal_pair(self) -> tuple[Float, Float]:
        while True:
            x, y = (_TWO * self.unit("") - _ONE for _ in range(2))
            square = x * x + y * y
            if 0 < square <= 1:
                break
        factor = np.sqrt(Float(-2) * Float(math.log(square)) / square)
        return Float(y * factor), Float(x * factor)
