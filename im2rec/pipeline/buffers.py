"""Batch buffers: the memory of batches, recycled when the last array over it is gone.

New pages are costly: the system clears each when it is first touched, which takes a third as long as decoding the
images that go into it. Yet the caller may keep the arrays of a batch for as long as it likes. So each batch *leases* a
:class:`MemoryBlock`: a :class:`BatchBuffer` owns the block while the batch is made, then the arrays that the caller
gets own it, and it is free again when they and all views of them are gone.

Threads write into memory of this process (:class:`MemoryPool`), decoding processes into shared memory
(:class:`SharedBuffers`). Shared memory has no name that outlives the processes: it is an anonymous file where the
system has them, and on Windows a mapping that ends with its last user. So a process that is killed leaves nothing.
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

BatchArrays = tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.uint64]]  # data, label, ids
_PAGE_BYTES = 4096  # each array starts on a new page
_POLL_S, _MAX_POLLS = 0.01, 100  # waiting for a free slot: it comes free just after the work on it is done


class BatchLayout:
    """Offsets of the arrays of a batch in a block of ``size`` bytes.

    *shape* (rows first) and *dtype* are those of data; float32 labels and uint64 ids follow it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, label_width: int) -> None:
        rows = shape[0]
        self._arrays = ((shape, dtype), (label_shape(rows, label_width), "float32"), ((rows,), "uint64"))
        sizes = [math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in self._arrays]
        self._starts = np.cumsum([0, *(-(-size // _PAGE_BYTES) * _PAGE_BYTES for size in sizes)]).tolist()
        self._sizes = sizes
        self.size: int = self._starts[-1]

    def view(self, memory: npt.NDArray[np.uint8]) -> BatchArrays:
        """Return data, label float32 (rows,) or (rows, width), and ids uint64 (rows,), as views of *memory*."""
        data, label, ids = (
            memory[start : start + size].view(dtype).reshape(shape)
            for start, size, (shape, dtype) in zip(self._starts, self._sizes, self._arrays, strict=False)
        )
        return data, label, ids


def label_shape(rows: int, label_width: int) -> tuple[int, ...]:
    """Return (rows,), or (rows, width) with more than one label per row."""
    return (rows,) if label_width == 1 else (rows, label_width)


class MemoryBlock:
    """Memory for one batch and a weak reference to its *owner*: a BatchBuffer, or the base of the caller's arrays.

    Weak references are checked when memory is needed. A callback at the end of the owner (``weakref.finalize``) would
    run wherever the caller drops a batch, and a KeyboardInterrupt raised in it would be swallowed, and the memory lost.
    """

    def __init__(self, memory: memoryview, slot: int | None = None) -> None:
        self.memory = memory
        self.slot = slot
        self.owner: weakref.ref[Any] | None = None

    @property
    def is_free(self) -> bool:
        """True if no owner is left."""
        return self.owner is None or self.owner() is None


class BatchBuffer:
    """A block of memory in which one batch is made, and arrays over it: ``data``, ``label`` and ``ids``.

    ``pad`` is the number of filler rows at the end; ``slot`` the number of the block in shared memory, None elsewhere.
    The buffer owns the block until it is detached, released or garbage. Shapes are those of its :class:`BatchLayout`.
    """

    def __init__(self, layout: BatchLayout, block: MemoryBlock) -> None:
        self.data, self.label, self.ids = layout.view(np.frombuffer(block.memory, np.uint8))
        self.pad = 0
        self.slot = block.slot
        self._layout = layout
        self._block = block
        block.owner = weakref.ref(self)

    @classmethod
    def new(cls, layout: BatchLayout) -> BatchBuffer:
        """Return a buffer over new memory, all zeros."""
        return cls(layout, MemoryBlock(np.zeros(layout.size, np.uint8).data))

    @property
    def arrays(self) -> BatchArrays:
        """Data, label and ids."""
        return self.data, self.label, self.ids

    def detach(self) -> BatchArrays:
        """Return data, label and ids for the caller to keep; from now on they own the memory and the buffer does not.

        They are new views of a new base array, to which NumPy makes every view of them refer as well. The base is gone
        when the last of them is, even while something (a frame in a traceback) still refers to the buffer.
        """
        base = np.frombuffer(self._block.memory, np.uint8)
        # One assignment: an interrupt before it leaves the buffer as owner, one after it a base that is soon gone.
        self._block.owner = weakref.ref(base)
        return self._layout.view(base)

    def release(self) -> None:
        """Free the memory of a batch that is not delivered. Nothing may be written to its arrays afterwards.

        For batches that end in an error, which may keep the buffer alive through its traceback.
        """
        self._block.owner = None


class MemoryPool:
    """Buffers over memory of this process; at most *max_free* free blocks of it are kept. For use by one thread."""

    def __init__(self, layout: BatchLayout, max_free: int) -> None:
        self._layout = layout
        self._max_free = max_free
        self._blocks: list[MemoryBlock] = []

    def lease(self) -> BatchBuffer:
        """Return a buffer over a free block, with the bytes of an earlier batch in it, or over new memory."""
        free = [block for block in self._blocks if block.is_free]
        for block in free[self._max_free :]:
            self._blocks.remove(block)
        if not free:
            free = [MemoryBlock(np.empty(self._layout.size, np.uint8).data)]
            self._blocks += free
        return BatchBuffer(self._layout, free[0])

    def deliver(self, buffer: BatchBuffer) -> BatchArrays:
        """Return the arrays of a finished batch, for the caller to keep."""
        return buffer.detach()


class SharedBuffers:
    """Buffers over *count* slots of shared memory, which other processes map by :attr:`handle`.

    *busy* returns the number of threads whose work may free a slot. :meth:`close` closes the handle.
    """

    def __init__(self, layout: BatchLayout, count: int, busy: Callable[[], int]) -> None:
        self.layout = layout
        self.count = count
        self._busy = busy
        self.handle: int | str  # a file descriptor, or on Windows the name of the mapping
        size = layout.size * count
        if sys.platform == "win32":
            self.handle = f"im2rec-{os.getpid()}-{os.urandom(8).hex()}"
            self._map = mmap.mmap(-1, size, tagname=self.handle)
        else:
            self.handle = _open_anonymous_file()
            os.ftruncate(self.handle, size)
            self._map = mmap.mmap(self.handle, size)
        self._slots = _split(self._map, layout, count)

    def _free_slots(self) -> list[MemoryBlock]:
        return [slot for slot in self._slots if slot.is_free]

    def lease(self) -> BatchBuffer:
        """Return a buffer over a free slot, with the bytes of an earlier batch in it.

        Waits where no slot is free: after a loop left its epoch in the middle and kept several batches, the batches
        begun ahead free their slots only when their pieces are done. Raises Im2RecError if all slots are owned and no
        thread is at work.
        """
        for number in range(_MAX_POLLS):
            if number == _MAX_POLLS // 2:
                gc.collect()  # an error and the frames of its traceback may form a cycle that holds a buffer
            while not (free := self._free_slots()) and self._busy() and self.handle != "":
                time.sleep(_POLL_S)  # polled: a slot comes free without a callback, see MemoryBlock
            if free:
                return BatchBuffer(self.layout, free[0])
            if self.handle == "":
                raise Im2RecError("the memory for batches is closed")
            time.sleep(_POLL_S)
        raise Im2RecError("all memory for batches is in use", hint="let go of batches and errors, or keep copies")

    def deliver(self, buffer: BatchBuffer) -> BatchArrays:
        """Return the arrays of a finished batch, for the caller to keep; copies of them when one slot at most is free.

        So a caller may keep any number of batches, and a slot is left for the next one.
        """
        if len(self._free_slots()) > 1:
            return buffer.detach()
        data, label, ids = buffer.arrays
        copies = data.copy(), label.copy(), ids.copy()
        buffer.release()
        return copies

    def close(self) -> None:
        """Close the handle. Closing twice is allowed. The memory itself is unmapped with the last array over it."""
        if isinstance(self.handle, int):
            os.close(self.handle)
        self.handle = ""  # its number may be that of another file by now


class ReusedBuffers:
    """Buffers of *source* that are filled again after the caller takes the next batch, even if it kept the arrays."""

    def __init__(self, source: MemoryPool | SharedBuffers) -> None:
        self._source = source
        self._delivered: BatchBuffer | None = None

    def lease(self) -> BatchBuffer:
        """Return a buffer of the source: one that was delivered before the last one, or another."""
        return self._source.lease()

    def deliver(self, buffer: BatchBuffer) -> BatchArrays:
        """Return the arrays of the buffer itself; those of the delivery before may be overwritten from now on."""
        # Kept until the next delivery: the buffer owns the memory, not the arrays. The one before it is dropped here.
        self._delivered = buffer
        return buffer.arrays


BufferSource = MemoryPool | SharedBuffers | ReusedBuffers  # lease() returns a buffer, deliver() its arrays


def attach_buffers(handle: int | str, layout: BatchLayout, count: int) -> list[BatchBuffer]:
    """Map the shared memory of *handle* in another process and return a buffer over each slot. Closes the handle."""
    size = layout.size * count
    if sys.platform == "win32":
        memory = mmap.mmap(-1, size, tagname=str(handle))
    else:
        memory = mmap.mmap(int(handle), size)
        os.close(int(handle))  # the mapping holds the file
    return [BatchBuffer(layout, slot) for slot in _split(memory, layout, count)]


def _split(memory: mmap.mmap, layout: BatchLayout, count: int) -> list[MemoryBlock]:
    """Return a block for each slot of *memory*."""
    whole, size = memoryview(memory), layout.size
    return [MemoryBlock(whole[number * size : (number + 1) * size], number) for number in range(count)]


def _open_anonymous_file() -> int:
    """Open a file in memory, or a deleted one on disk (macOS has no other), and return its descriptor."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("im2rec")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
