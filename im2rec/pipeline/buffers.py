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

from im2rec.pipeline.loader import Arrays, label_shape

Block = npt.NDArray[np.uint8]
_ALIGNED = 4096  # arrays begin where a page does


class BatchLayout:
    """Where the arrays of a batch lie in ``size`` bytes: data of *shape* (rows first) and *dtype*, labels, ids."""

    def __init__(self, shape: tuple[int, ...], dtype: str, label_width: int) -> None:
        rows = shape[0]
        self._arrays = ((shape, dtype), (label_shape(rows, label_width), "float32"), ((rows,), "uint64"))
        sizes = [math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in self._arrays]
        self._starts = np.cumsum([0, *(-(-size // _ALIGNED) * _ALIGNED for size in sizes)]).tolist()
        self._sizes = sizes
        self.size: int = self._starts[-1]

    def arrays(self, memory: Any) -> Arrays:
        """The arrays in *memory*, a uint8 array."""
        found = [
            memory[start : start + size].view(dtype).reshape(shape)
            for start, size, (shape, dtype) in zip(self._starts, self._sizes, self._arrays, strict=False)
        ]
        return Arrays(*found)


def unseen(blocks: list[Block]) -> list[int]:
    """Which of *blocks* nobody looks at: every view of an array holds the array that owns the memory."""
    return [number for number, references in enumerate(_references(blocks)) if references == _UNSEEN]


def _references(blocks: list[Block]) -> list[int]:
    return [sys.getrefcount(block) for block in blocks]


_UNSEEN = _references([np.empty(0, np.uint8)])[0]  # references to a block that only its list knows of


class MemoryPool:
    """Blocks of memory of one *layout*; at most *spare* of them are kept while they are not in use. Not for threads."""

    def __init__(self, layout: BatchLayout, spare: int) -> None:
        self._layout = layout
        self._spare = spare
        self._blocks: list[Block] = []

    def arrays(self) -> Arrays:
        """The arrays of a batch, their content left over from earlier ones."""
        free = unseen(self._blocks)
        for number in reversed(free[1 + self._spare :]):
            del self._blocks[number]
        if not free:
            self._blocks.append(np.empty(self._layout.size, np.uint8))
        return self._layout.arrays(self._blocks[free[0] if free else -1])
