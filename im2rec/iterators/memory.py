"""Memory for batches, used again as soon as nobody looks at it any more.

Fresh memory is dear: the system clears each page when it is first touched, which takes a third as long as decoding the
pictures that go into it. The arrays are the caller's to keep nevertheless: memory is used again only when the last
array in it is gone.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

Block = npt.NDArray[np.uint8]


class MemoryPool:
    """Blocks of memory of one size; at most *spare* of them are kept while they are not in use. Not for threads."""

    def __init__(self, spare: int) -> None:
        self._spare = spare
        self._blocks: list[Block] = [np.empty(0, np.uint8)]
        self._unseen = self._references()[0]  # how many references a block has that only the pool knows of
        self._blocks.clear()

    def empty(self, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """An array of *shape* and *dtype*, its content left over from earlier ones; C-contiguous."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        # Every view of an array holds the array that owns the memory, and so adds a reference to the block.
        free = [number for number, count in enumerate(self._references()) if count == self._unseen]
        if not free or len(self._blocks[free[0]]) != size:
            self._blocks.insert(0, np.empty(size, np.uint8))
            return self._blocks[0].view(dtype).reshape(shape)
        block = self._blocks[free[0]]
        for number in reversed(free[1 + self._spare :]):
            del self._blocks[number]
        return block.view(dtype).reshape(shape)

    def _references(self) -> list[int]:
        return [sys.getrefcount(block) for block in self._blocks]
