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

import functools
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


class BatchBuffer:
    """Memory in which one batch is made, as arrays over it: ``data``, ``label`` and ``ids``, as BatchLayout says.

    ``pad`` counts the rows at the end that are filler; ``slot`` is the number of the memory where processes share it.
    *give_back* is called once, when the lease of *memory* ends: with the buffer, or with what :meth:`hand_out` gave.
    """

    def __init__(
        self, layout: BatchLayout, memory: memoryview, give_back: Callable[[], object], *, slot: int = 0
    ) -> None:
        self.data, self.label, self.ids = layout.arrays(np.frombuffer(memory, np.uint8))
        self.pad = 0
        self.slot = slot
        self._layout = layout
        self._memory = memory
        self._give_back = give_back
        self._lease = self._leased_to(self)

    @classmethod
    def new(cls, layout: BatchLayout) -> BatchBuffer:
        """A buffer over memory of its own, all zeros."""
        return cls(layout, np.zeros(layout.size, np.uint8).data, lambda: None)

    def _leased_to(self, holder: Any) -> weakref.finalize[..., Any]:
        lease = weakref.finalize(holder, self._give_back)
        lease.atexit = False
        return lease

    @property
    def arrays(self) -> Arrays:
        """Data, label and ids."""
        return self.data, self.label, self.ids

    def hand_out(self) -> Arrays:
        """Data, label and ids for the caller to keep; from now on they hold the memory, and the buffer does not.

        They are made afresh, over an array of their own that every view of them refers to: when that is gone nobody
        has any of them, whatever still refers to the buffer.
        """
        self._lease.detach()
        base = np.frombuffer(self._memory, np.uint8)
        self._leased_to(base)
        return self._layout.arrays(base)

    def release(self) -> None:
        """End the lease of a batch that is not handed out; nothing may be written to it any more."""
        self._lease()


class MemoryPool:
    """Buffers over memory of this process; *spare* pieces of it at most are kept while they are free."""

    def __init__(self, layout: BatchLayout, spare: int) -> None:
        self._layout = layout
        self._spare = spare
        self._free: list[memoryview] = []

    def lease(self) -> BatchBuffer:
        """A buffer over the memory that came free last, or over new memory."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(self._layout.size, np.uint8).data
        return BatchBuffer(self._layout, memory, functools.partial(self._keep, memory))

    def _keep(self, memory: memoryview) -> None:
        if len(self._free) < self._spare:
            self._free.append(memory)

    def hand_out(self, buffer: BatchBuffer) -> Arrays:
        """The arrays themselves."""
        return buffer.hand_out()

    def close(self) -> None:
        """Keep no memory any longer."""
        self._spare = 0
        self._free.clear()


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
        self._free = list(range(count))

    def lease(self) -> BatchBuffer:
        """A buffer over a free slot.

        There is none for a while when an epoch was left in its middle and the caller holds batches of it: what was
        begun of later ones goes on, and gives its slots back when it is done. Raises Im2RecError when that does not
        help.
        """
        for number in range(_WAITS):
            if number == _WAITS // 2:
                gc.collect()  # an error and what it was raised over may hold each other
            while not self._free and self._busy():
                time.sleep(_WAIT_S)  # a lock would not do: leases end wherever the garbage collector runs
            if self._free:
                slot = self._free.pop()
                give_back = functools.partial(self._free.append, slot)
                return BatchBuffer(self.layout, self._slots[slot], give_back, slot=slot)
            time.sleep(_WAIT_S)
        raise Im2RecError("all memory for batches is in use", hint="let go of batches and errors, or keep copies")

    def hand_out(self, buffer: BatchBuffer) -> Arrays:
        """The arrays themselves, or copies when the caller has kept so many that slots run out."""
        if len(self._free) > 1:
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
    """Buffers of *source* that are filled again when the caller takes the next batch, whoever still has the arrays."""

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
    return [BatchBuffer(layout, slot, lambda: None) for slot in _slots(memory, layout, count)]


def _slots(memory: mmap.mmap, layout: BatchLayout, count: int) -> list[memoryview]:
    whole = memoryview(memory)
    return [whole[number * layout.size : (number + 1) * layout.size] for number in range(count)]


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("im2rec")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
