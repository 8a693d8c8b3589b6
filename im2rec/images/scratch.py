"""Memory for intermediate images, one piece a thread, used again and again.

Fresh memory of the size of an image costs its pages each time: the system clears every one that is touched.
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


class Arena:
    """Memory under *name*, for this thread alone, for several arrays that are needed together: *size* bytes in all.

    The first array that does not fit has memory of its own, which is kept as well; any further one has fresh memory.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._memory = scratch(name, size)
        self._used = 0

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """*size* bytes; content left over."""
        start, self._used = self._used, self._used + size
        if self._used <= len(self._memory):
            return self._memory[start : self._used]
        return scratch(f"{self._name}, the last", size) if start <= len(self._memory) else np.empty(size, np.uint8)

    def reset(self) -> None:
        """Make all of its memory free again."""
        self._used = 0
