"""Reusable memory for intermediate images, one buffer per name and thread.

Newly allocated memory of the size of an image costs time for its pages, as the system clears each one at first use.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

_MAX_BYTES = 32 << 20  # larger buffers are rare, and would never be freed
_buffers = threading.local()


def scratch(name: str, size: int) -> npt.NDArray[np.uint8]:
    """Return *size* bytes of uninitialised memory, shared with no other name or thread.

    The next call with the same *name* in the same thread reuses the memory.
    """
    if size > _MAX_BYTES:
        return np.empty(size, np.uint8)
    buffer: npt.NDArray[np.uint8] | None = getattr(_buffers, name, None)
    if buffer is None or len(buffer) < size:
        buffer = np.empty(size, np.uint8)
        setattr(_buffers, name, buffer)
    return buffer[:size]


class Arena:
    """Memory for several arrays that are in use together: *size* bytes under *name*, for this thread only.

    The first array that does not fit gets its own reused buffer; each later one gets newly allocated memory. As in
    :func:`scratch`, memory is uninitialised::

        arena = Arena("decoded", 1 << 20)
        images = [arena.take(1000), arena.take(2000)]
        arena.reset()  # the images may be overwritten from now on
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._memory = scratch(name, size)
        self._used = 0

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """Return *size* bytes that no other array since the last reset shares."""
        start, self._used = self._used, self._used + size
        if self._used <= len(self._memory):
            return self._memory[start : self._used]
        # Only the take that overflows starts inside the memory.
        overflows_first = start <= len(self._memory)
        return scratch(f"{self._name} overflow", size) if overflows_first else np.empty(size, np.uint8)

    def reset(self) -> None:
        """Make all of the memory free again."""
        self._used = 0
