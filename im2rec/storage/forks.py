"""Keep forked children from writing into the output files of their parent.

A child of ``os.fork()`` has a copy of what a buffered file holds back. When the child drops the file or ends, Python
writes that copy through the descriptor both share, and the bytes are in the parent's file twice.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Protocol


class _Open(Protocol):
    def fileno(self) -> int: ...


_FILES: weakref.WeakSet[_Open] = weakref.WeakSet()


def write_in_this_process_only(file: _Open) -> None:
    """Let whatever a forked child writes to *file*, which is open, go nowhere; the child has no share in its lock."""
    _FILES.add(file)


def _cut_off() -> None:
    for file in list(_FILES):
        # ValueError: it is closed. The file itself is not closed here: a thread that the child lacks may hold its lock.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, file.fileno(), inheritable=False)
            os.close(null)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_cut_off)
