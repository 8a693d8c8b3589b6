"""A random order of n records that is never written down: any place of it is computed alone, in constant memory.

A shuffled list of 40 million numbers would take 320 MB in every process, and would be made again at the start of every
epoch and wherever an epoch is resumed. A keyed permutation takes a few hashes for each place instead: see
:class:`Permutation`.

A disk that seeks slowly is fast only in long reads. For those :class:`BlockOrder` cuts the file into *blocks* of some
MiB; their order is random, and ``WINDOW`` blocks at a time are mixed record by record. So a batch takes a few long
reads, but comes from a few places of the file only: :func:`blocks_per_batch` counts them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.hashing import absorb, mix64_array

Positions = npt.NDArray[np.int64]
# In a chi-square test of which number follows which (256 places, 4000 keys) 3 rounds differ from chance by z = 50, 4 by
# 2.3, and 5 no longer. The number is part of what a seed means.
ROUNDS = 6
_MIN_HALF_BITS = 4  # with 2 bits even 4 rounds differ from chance (z = 47)


class Permutation:
    """A permutation of 0 .. *count*-1, a pure function of *count* and *key* (64 bits).

    It is a Feistel network: the bits of a place are cut into two halves, and each of ``ROUNDS`` rounds changes one half
    by a hash of the other, with an exclusive or. Every round can be undone, whatever the hash is, so no two places give
    the same value. But such a network permutes 4**k numbers; here 4**k is the smallest power of 4 that is not below
    *count*, and at least 256.

    Cycle walking makes that a permutation of *count* numbers: a value of *count* or more is put through the network
    again until it is below. As all values lie on cycles, this ends, and two places never end at the same value. From 64
    records on 4**k is at most 4 * *count*, so a place takes fewer than four walks on average::

        Permutation(5, key)(np.arange(5))  # 0 to 4 in random order
    """

    def __init__(self, count: int, key: int) -> None:
        self._count = count
        half = max(_MIN_HALF_BITS, ((count - 1).bit_length() + 1) // 2)
        self._half = np.uint64(half)
        self._mask = np.uint64((1 << half) - 1)
        self._keys = [np.uint64(absorb(key, number)) for number in range(ROUNDS)]
        self._table = self._small_table() if half == _MIN_HALF_BITS else None

    def __len__(self) -> int:
        return self._count

    def __call__(self, places: npt.NDArray[Any]) -> Positions:
        """Return the numbers at *places*, each 0 .. count-1: int64, of the same shape."""
        if self._table is not None:
            numbers: Positions = self._table[places]
            return numbers
        values = self._walk(np.asarray(places).astype(np.uint64))
        while len(outside := np.flatnonzero(values >= self._count)):
            values[outside] = self._walk(values[outside])
        return values.astype(np.int64)

    def _small_table(self) -> Positions:
        """Compute the whole of a permutation of 256 or fewer.

        With few records among the 256 values a place takes many walks; here a walk is a look-up in a list.
        """
        step = self._walk(np.arange(1 << 2 * _MIN_HALF_BITS, dtype=np.uint64)).tolist()
        values = step[: self._count]
        for place, value in enumerate(values):
            while value >= self._count:
                value = step[value]  # noqa: PLW2901 - the walk
            values[place] = value
        return np.array(values, np.int64)

    def _walk(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Put *values* through the network once."""
        left, right = values >> self._half, values & self._mask
        for key in self._keys:
            left, right = right, left ^ (mix64_array(right + key) & self._mask)
        return left << self._half | right


WINDOW = 8  # blocks mixed with each other


class BlockOrder:
    """A random order of records by blocks, a pure function of *starts* and *key*.

    *starts* holds the first record of each block and, last, the end of the last block: int64. The blocks are put in a
    random order; of that order every ``WINDOW`` blocks are one *window*, whose records are permuted. Memory is
    proportional to the number of blocks.
    """

    def __init__(self, starts: Positions, key: int) -> None:
        blocks = len(starts) - 1
        order = Permutation(blocks, absorb(key, 0))(np.arange(blocks))
        counts = (starts[1:] - starts[:-1])[order]
        self._first_records = starts[:-1][order]
        self._block_places = np.concatenate([[0], np.cumsum(counts)])  # of each block, and of the end
        self._window_places = self._block_places[::WINDOW]
        if self._window_places[-1] != self._block_places[-1]:
            self._window_places = np.append(self._window_places, self._block_places[-1])
        self._key = absorb(key, 1)

    def __len__(self) -> int:
        return int(self._block_places[-1])

    def __call__(self, places: npt.NDArray[Any]) -> Positions:
        """Return the records at *places* of the order: int64, of the same shape."""
        records = np.empty(len(places), np.int64)
        windows = np.searchsorted(self._window_places, places, side="right") - 1
        for window in np.unique(windows):
            here = np.flatnonzero(windows == window)
            low, high = int(self._window_places[window]), int(self._window_places[window + 1])
            mixed = low + Permutation(high - low, absorb(self._key, int(window)))(places[here] - low)
            block = np.searchsorted(self._block_places, mixed, side="right") - 1
            records[here] = self._first_records[block] + mixed - self._block_places[block]
        return records


def blocks_per_batch(blocks: int, batch_size: int) -> tuple[float, float]:
    """Return the expected number of blocks in a batch of *batch_size*: in an order by blocks, and in a full shuffle."""

    def expected(among: int) -> float:
        # Of *among* blocks each is missed by a record with probability 1 - 1/among.
        return among * (1 - (1 - 1 / among) ** batch_size)

    return expected(min(WINDOW, blocks)), expected(blocks)
