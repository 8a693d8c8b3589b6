"""Shuffling for slow disks: pieces of the file in random order, and the records of several pieces mixed.

A disk that seeks slowly gives its speed only to long reads. Here the file is cut into *blocks* of some MiB; their order
is random, and ``WINDOW`` blocks at a time are mixed record by record. So a batch comes out of a few long reads, and
out of a few places of the file only: :func:`mixing` says how few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.augment.draws import absorb
from im2rec.pipeline.permutation import Permutation, Positions

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
