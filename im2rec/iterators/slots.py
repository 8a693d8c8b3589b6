"""Memory that decoding processes and the iterator share: slots for the arrays of batches.

It has no name that outlives the processes: an open file without a name where there is fork, a mapping that ends with
its last user on Windows. So whoever is killed, nothing is left behind.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile

import numpy as np

from im2rec.pipeline.buffers import BatchLayout, Block, unseen
from im2rec.pipeline.loader import Arrays


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
