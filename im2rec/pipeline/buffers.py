"""Batch buffers, recycled when the last array over them is gone, and memory shared with decoding processes.

New pages are costly: the system clears each when it is first touched, which takes a third as long as decoding the
images that go into it. The arrays are the caller's to keep nevertheless: memory is used again only when the last array
over it is gone. Shared memory has no name that outlives the processes: an open file without a name where there is
fork, a mapping that ends with its last user on Windows. So nothing is left behind by a process that is killed.
"""

from __future__ import annotations

import math
import mmap
import os
import sys
import tempfile
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Arrays(NamedTuple):
    """The arrays of one batch: data, labels float32 (rows,) or (rows, width), and record ids uint64 (rows,)."""

    data: npt.NDArray[Any]
    label: npt.NDArray[np.float32]
    ids: npt.NDArray[np.uint64]


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


def new_arrays(rows: int, label_width: int, data: npt.NDArray[Any]) -> Arrays:
    """Arrays for *rows* pictures that go into *data*; labels and ids are zero."""
    return Arrays(data, np.zeros(label_shape(rows, label_width), np.float32), np.zeros(rows, np.uint64))


def label_shape(rows: int, label_width: int) -> tuple[int, ...]:
    """(rows,), or with more than one label (rows, width)."""
    return (rows,) if label_width == 1 else (rows, label_width)


class SharedSlots:
    """*count* slots of one layout. Made by the process that iterates; others attach by :attr:`handle`."""

    def __init__(self, layout: BatchLayout, count: int) -> None:
        self.layout = layout
        self.count = count
        self.handle: int | str
        size = layout.size * count
        if sys.platform == "win32":
            self.handle = f"im2rec-{os.getpid()}-{os.urandom(8).hex()}"
            self._map = mmap.mmap(-1, size, tagname=self.handle)
        else:
            self.handle = _nameless_file()
            os.ftruncate(self.handle, size)
            self._map = mmap.mmap(self.handle, size)
        self._slots = _slots(self._map, layout, count)

    def free(self) -> list[int]:
        """The slots that nobody looks at."""
        return unseen(self._slots)

    def arrays(self, number: int) -> Arrays:
        """The arrays of a slot."""
        return self.layout.arrays(self._slots[number])

    def close(self) -> None:
        """Give the handle back; the memory itself goes with the last array in it."""
        if isinstance(self.handle, int):
            os.close(self.handle)
            self.handle = ""


def attached(handle: int | str, layout: BatchLayout, count: int) -> list[Arrays]:
    """The arrays of all slots, in another process than the one that made them."""
    size = layout.size * count
    if sys.platform == "win32":
        memory = mmap.mmap(-1, size, tagname=str(handle))
    else:
        memory = mmap.mmap(int(handle), size)
        os.close(int(handle))
    return [layout.arrays(slot) for slot in _slots(memory, layout, count)]


def copied(arrays: Arrays) -> Arrays:
    """The same in memory of its own."""
    return Arrays(arrays.data.copy(), arrays.label.copy(), arrays.ids.copy())


def _slots(memory: mmap.mmap, layout: BatchLayout, count: int) -> list[Block]:
    return [np.frombuffer(memory, np.uint8, layout.size, number * layout.size) for number in range(count)]


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("im2rec")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
