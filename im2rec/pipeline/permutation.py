"""A random order of n things that is never written down: any place of it is computed alone, in constant memory.

A disk that seeks slowly gives its speed only to long reads. For those the file is cut into *blocks* of some MiB; their
order is random, and ``WINDOW`` blocks at a time are mixed record by record. So a batch comes out of a few long reads,
and out of a few places of the file only: :func:`mixing` says how few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.hashing import absorb, mix64_array

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


WINDOW = 8  # blocks mixed with each other


class BlockOrder:
    """An order of records 0 .. n-1 by blocks, a pure function of *starts* and *key*.

    *starts* are the first record of each block, and n: int64. Memory is proportional to the blocks.
    """

    def __init__(self, starts: Positions, key: int) -> None:
        blocks = len(starts) - 1
        order = Permutation(blocks, absorb(key, 0))(np.arange(blocks))
        counts = (starts[1:] - starts[:-1])[order]
        self._first = starts[:-1][order]  # record of each block, in the order of blocks
        self._place = np.concatenate([[0], np.cumsum(counts)])  # where each block begins, and n
        self._windows = self._place[::WINDOW]
        if self._windows[-1] != self._place[-1]:
            self._windows = np.append(self._windows, self._place[-1])
        self._key = absorb(key, 1)

    def __len__(self) -> int:
        return int(self._place[-1])

    def __call__(self, places: npt.NDArray[Any]) -> Positions:
        """The records at *places* of the order: int64, of the same shape."""
        records = np.empty(len(places), np.int64)
        windows = np.searchsorted(self._windows, places, side="right") - 1
        for window in np.unique(windows):
            here = np.flatnonzero(windows == window)
            low, high = int(self._windows[window]), int(self._windows[window + 1])
            mixed = low + Permutation(high - low, absorb(self._key, int(window)))(places[here] - low)
            block = np.searchsorted(self._place, mixed, side="right") - 1
            records[here] = self._first[block] + mixed - self._place[block]
        return records


def mixing(blocks: int, batch_size: int) -> tuple[float, float]:
    """How many blocks a batch of *batch_size* draws from, on average: in this order, and in a full shuffle."""

    def drawn(among: int) -> float:
        return among * (1 - (1 - 1 / among) ** batch_size)

    return drawn(min(WINDOW, blocks)), drawn(blocks)
