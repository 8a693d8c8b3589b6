"""Batch buffers: memory that batches are made in, recycled when the last array over it is gone.

New pages are costly: the system clears each when it is first touched, which takes a third as long as decoding the
images that go into it. The arrays are the caller's to keep nevertheless. So memory is *leased*: to a
:class:`BatchBuffer` while a batch is made in it, then to the arrays that are handed out; it comes free when they and
all views of them are gone.

Decoding processes write into shared memory. It has no name that outlives the processes: an open file without a name
where there is fork, a mapping that ends with its last user on Windows. So nothing is left behind by a process that is
killed.
"""

from __future__ import annotations

import gc
import math
import mmap
import os
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.errors import Im2RecError

Arrays = tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.uint64]]
_ALIGNED = 4096  # arrays begin where a page does
_WAIT_S, _WAITS = 0.01, 100  # a slot comes free just after the work on it is done


class BatchLayout:
    """Where the arrays of a batch lie in ``size`` bytes: data of *shape* (rows first) and *dtype*, labels, ids."""

    def __init__(self, shape: tuple[int, ...], dtype: str, label_width: int) -> None:
        rows = shape[0]
        self._arrays = ((shape, dtype), (label_shape(rows, label_width), "float32"), ((rows,), "uint64"))
        sizes = [math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in self._arrays]
        self._starts = np.cumsum([0, *(-(-size // _ALIGNED) * _ALIGNED for size in sizes)]).tolist()
        self._sizes = sizes
        self.size: int = self._starts[-1]

    def arrays(self, memory: npt.NDArray[np.uint8]) -> Arrays:
        """Data, label float32 (rows,) or (rows, width), and ids uint64 (rows,), as views of *memory*."""
        data, label, ids = (
            memory[start : start + size].view(dtype).reshape(shape)
            for start, size, (shape, dtype) in zip(self._starts, self._sizes, self._arrays, strict=False)
        )
        return data, label, ids


def label_shape(rows: int, label_width: int) -> tuple[int, ...]:
    """(rows,), or with more than one label (rows, width)."""
    return (rows,) if label_width == 1 else (rows, label_width)


class MemoryBlock:
    """A piece of memory for one batch, and its holder: a buffer, or the array that those handed out are views of.

    Whether the holder still exists is checked when memory is needed. A callback at its end would run wherever the
    caller drops a batch, and an interrupt during the callback would be lost, and the memory with it.
    """

    def __init__(self, content: memoryview, slot: int = 0) -> None:
        self.content = content
        self.slot = slot
        self.holder: weakref.ref[Any] | None = None

    @property
    def is_free(self) -> bool:
        """Whether it has no holder."""
        return self.holder is None or self.holder() is None


class BatchBuffer:
    """Memory in which one batch is made, as arrays over it: ``data``, ``label`` and ``ids``, as BatchLayout says.

    ``pad`` counts the rows at the end that are filler; ``slot`` is the number of the memory where processes share it.
    The buffer holds *memory* until it is gone, handed out or released.
    """

    def __init__(self, layout: BatchLayout, memory: MemoryBlock) -> None:
        self.data, self.label, self.ids = layout.arrays(np.frombuffer(memory.content, np.uint8))
        self.pad = 0
        self.slot = memory.slot
        self._layout = layout
        self._memory = memory
        memory.holder = weakref.ref(self)

    @classmethod
    def new(cls, layout: BatchLayout) -> BatchBuffer:
        """A buffer over memory of its own, all zeros."""
        return cls(layout, MemoryBlock(np.zeros(layout.size, np.uint8).data))

    @property
    def arrays(self) -> Arrays:
        """Data, label and ids."""
        return self.data, self.label, self.ids

    def hand_out(self) -> Arrays:
        """Data, label and ids for the caller to keep; from now on they hold the memory, and the buffer does not.

        They are new views of an array of their own, which every view of them refers to in turn: when that is gone so
        are all of them, whatever still refers to the buffer.
        """
        base = np.frombuffer(self._memory.content, np.uint8)
        self._memory.holder = weakref.ref(base)
        return self._layout.arrays(base)

    def release(self) -> None:
        """Give the memory of a batch back that is not handed out; nothing may be written to it any more."""
        self._memory.holder = None


class MemoryPool:
    """Buffers over memory of this process, leased by one thread; at most *spare* free pieces of it are kept."""

    def __init__(self, layout: BatchLayout, spare: int) -> None:
        self._layout = layout
        self._spare = spare
        self._pieces: list[MemoryBlock] = []

    def lease(self) -> BatchBuffer:
        """A buffer over free memory, its content left over from earlier batches, or over new memory."""
        free = [piece for piece in self._pieces if piece.is_free]
        for piece in free[self._spare :]:
            self._pieces.remove(piece)
        if not free:
            free = [MemoryBlock(np.empty(self._layout.size, np.uint8).data)]
            self._pieces += free
        return BatchBuffer(self._layout, free[0])

    def hand_out(self, buffer: BatchBuffer) -> Arrays:
        """The arrays of a finished batch, for the caller."""
        return buffer.hand_out()


class SharedBuffers:
    """Buffers over *count* slots of shared memory. Other processes attach by :attr:`handle`.

    *busy* counts the threads at work, which may give slots back.
    """

    def __init__(self, layout: BatchLayout, count: int, busy: Callable[[], int]) -> None:
        self.layout = layout
        self.count = count
        self._busy = busy
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

    def _free(self) -> list[MemoryBlock]:
        return [slot for slot in self._slots if slot.is_free]

    def lease(self) -> BatchBuffer:
        """A buffer over a free slot; its content is left over from earlier batches.

        There is none for a while when an epoch was left in its middle and the caller holds batches of it: what was
        begun of later ones goes on, and gives its slots back when it is done. Raises Im2RecError when that does not
        help.
        """
        for number in range(_WAITS):
            if number == _WAITS // 2:
                gc.collect()  # an error and what it was raised over may hold each other
            while not (free := self._free()) and self._busy():
                time.sleep(_WAIT_S)  # nothing signals that a slot is free
            if free:
                return BatchBuffer(self.layout, free[0])
            time.sleep(_WAIT_S)
        raise Im2RecError("all memory for batches is in use", hint="let go of batches and errors, or keep copies")

    def hand_out(self, buffer: BatchBuffer) -> Arrays:
        """The arrays of a finished batch, for the caller; copies when so many were kept that slots run out."""
        if len(self._free()) > 1:
            return buffer.hand_out()
        data, label, ids = buffer.arrays
        copies = data.copy(), label.copy(), ids.copy()
        buffer.release()
        return copies

    def close(self) -> None:
        """Give the handle back; the memory itself goes with the last array in it."""
        if isinstance(self.handle, int):
            os.close(self.handle)
            self.handle = ""


class ReusedBuffers:
    """Buffers of *source*, filled again once the caller takes the next batch, even if their arrays are still in use."""

    def __init__(self, source: MemoryPool | SharedBuffers) -> None:
        self._source = source
        self._spare: list[BatchBuffer] = []
        self._lent: BatchBuffer | None = None

    def lease(self) -> BatchBuffer:
        """A buffer whose batch the caller is done with, or another one."""
        return self._spare.pop() if self._spare else self._source.lease()

    def hand_out(self, buffer: BatchBuffer) -> Arrays:
        """The arrays themselves; those that were handed out before may be filled again from now on."""
        if self._lent is not None:
            self._spare.append(self._lent)
        self._lent = buffer
        return buffer.arrays


BufferSource = MemoryPool | SharedBuffers | ReusedBuffers  # lease() gives a buffer, hand_out() its arrays


def attached(handle: int | str, layout: BatchLayout, count: int) -> list[BatchBuffer]:
    """Buffers over all slots, in another process than the one that made them."""
    size = layout.size * count
    if sys.platform == "win32":
        memory = mmap.mmap(-1, size, tagname=str(handle))
    else:
        memory = mmap.mmap(int(handle), size)
        os.close(int(handle))
    return [BatchBuffer(layout, slot) for slot in _slots(memory, layout, count)]


def _slots(memory: mmap.mmap, layout: BatchLayout, count: int) -> list[MemoryBlock]:
    whole, size = memoryview(memory), layout.size
    return [MemoryBlock(whole[number * size : (number + 1) * size], number) for number in range(count)]


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("im2rec")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
