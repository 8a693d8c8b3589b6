"""A random order of n things that is never written down: any place of it is computed alone, in constant memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.augment.draws import absorb, mix64_array

Positions = npt.NDArray[np.int64]
ROUNDS = 6
_LEAST_HALF_BITS = 4  # with fewer, a chi-square test tells the network from chance (seen: z = 47 at 2 bits, 4 rounds)


class Permutation:
    """A permutation of 0 .. *count*-1, a pure function of *count* and *key* (64 bits).

    A Feistel network over the smallest even number of bits that holds *count*: each of six rounds adds a hash of one
    half to the other, which can always be taken back, so no two places give the same value. A value that is *count* or
    more goes through again (cycle walking) until it is not: less than four times on average, from 64 records on.
    """

    def __init__(self, count: int, key: int) -> None:
        self._count = count
        half = max(_LEAST_HALF_BITS, ((count - 1).bit_length() + 1) // 2)
        self._half = np.uint64(half)
        self._mask = np.uint64((1 << half) - 1)
        self._keys = [np.uint64(absorb(key, number)) for number in range(ROUNDS)]
        self._table = self._small() if half == _LEAST_HALF_BITS else None

    def __len__(self) -> int:
        return self._count

    def __call__(self, places: npt.NDArray[Any]) -> Positions:
        """What stands at *places*, each 0 .. count-1: int64, of the same shape."""
        if self._table is not None:
            here: Positions = self._table[places]
            return here
        values = self._walk(np.asarray(places).astype(np.uint64))
        while len(outside := np.flatnonzero(values >= self._count)):
            values[outside] = self._walk(values[outside])
        return values.astype(np.int64)

    def _small(self) -> Positions:
        """All of it, where walking would take long: the few that are asked for are rare among 256."""
        step = self._walk(np.arange(1 << 2 * _LEAST_HALF_BITS, dtype=np.uint64)).tolist()
        values = step[: self._count]
        for place, value in enumerate(values):
            while value >= self._count:
                value = step[value]  # noqa: PLW2901 - the walk
            values[place] = value
        return np.array(values, np.int64)

    def _walk(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        left, right = values >> self._half, values & self._mask
        for key in self._keys:
            left, right = right, left ^ (mix64_array(right + key) & self._mask)
        return left << self._half | right
