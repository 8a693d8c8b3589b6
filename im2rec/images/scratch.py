"""Memory for intermediate pictures, one piece a thread, used again and again.

Fresh memory of the size of a picture costs its pages each time: the system clears every one that is touched.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

_MOST_BYTES = 32 << 20  # larger pieces are rare, and would stay for ever
_MINE = threading.local()


def scratch(name: str, size: int) -> npt.NDArray[np.uint8]:
    """*size* bytes under *name*, for this thread alone and until it asks for that name again; content left over."""
    if size > _MOST_BYTES:
        return np.empty(size, np.uint8)
    held: npt.NDArray[np.uint8] | None = getattr(_MINE, name, None)
    if held is None or len(held) < size:
        held = np.empty(size, np.uint8)
        setattr(_MINE, name, held)
    return held[:size]


class Shelf:
    """Memory under *name*, for this thread alone, for several arrays that are needed together: *size* bytes in all.

    The first array that does not fit in is put elsewhere, and makes the shelf full: there must be no other behind it.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._memory = scratch(name, size)
        self._used = 0

    @property
    def full(self) -> bool:
        """Whether it must be cleared before the next array."""
        return self._used >= len(self._memory)

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """*size* bytes; content left over."""
        start, self._used = self._used, self._used + size
        fits = self._used <= len(self._memory)
        return self._memory[start : self._used] if fits else scratch(f"{self._name}, the last", size)

    def clear(self) -> None:
        """Take everything back."""
        self._used = 0
