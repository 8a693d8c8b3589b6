"""Whether bytes of a file come from memory or from the disk: asked of the system, where it answers."""

from __future__ import annotations

import contextlib
import os
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

MEMORY, DISK, UNKNOWN = "memory", "disk", "unknown"
MOSTLY, HARDLY = 0.9, 0.1  # shares of probes that count as all, and as none
_PROBES = 32
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class Span(NamedTuple):
    """Bytes of a file."""

    path: Path
    start: int
    stop: int


class Residence:
    """Looks at files, and lets the system forget parts of them. A context manager: holds the files open."""

    def __init__(self) -> None:
        self._handles: dict[Path, int] = {}

    def share(self, spans: Sequence[Span]) -> float | None:
        """The share of *spans*, by their first bytes, that the system holds in memory; None where it does not say."""
        step = max(1, len(spans) // _PROBES)
        held = [self._holds(span) for span in spans[::step]]
        known = [answer for answer in held if answer is not None]
        return sum(known) / len(known) if len(known) == len(held) and known else None

    def _holds(self, span: Span) -> bool | None:
        if not hasattr(os, "preadv") or not hasattr(os, "RWF_NOWAIT"):
            return None
        try:
            return os.preadv(self._handle(span.path), [bytearray(1)], span.start, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False
        except OSError:  # a file system that does not know the question
            return None

    def forget(self, spans: Sequence[Span]) -> bool:
        """Let the system drop *spans* from memory, if it will: whether they are gone now, as far as it says.

        They are read again right away by who asks for this: afterwards memory holds what it held.
        """
        if not hasattr(os, "posix_fadvise"):
            return False
        for span in spans:
            with contextlib.suppress(OSError):
                handle = self._handle(span.path)
                os.posix_fadvise(handle, span.start, span.stop - span.start, os.POSIX_FADV_DONTNEED)
        # A probe makes the system load what it asked for, so few of them, and not at the start of anything.
        share = self.share(
            [Span(path, (start + stop) // 2, stop) for path, start, stop in spans[:: len(spans) // 4 + 1]]
        )
        return share is not None and share <= HARDLY

    def _handle(self, path: Path) -> int:
        if path not in self._handles:
            self._handles[path] = os.open(path, os.O_RDONLY)
            if hasattr(os, "posix_fadvise"):  # no reading ahead because of a probe
                with contextlib.suppress(OSError):
                    os.posix_fadvise(self._handles[path], 0, 0, os.POSIX_FADV_RANDOM)
        return self._handles[path]

    def close(self) -> None:
        """Close the files; again is fine."""
        while self._handles:
            os.close(self._handles.popitem()[1])

    def __enter__(self) -> Residence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()


def memory_size() -> int | None:
    """Bytes of memory this process may use, that of the machine or of its container; None where nothing tells."""
    found = list(_limits())
    try:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None
    return min(found)


def _limits() -> Iterator[int]:
    for name in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            yield int(Path(name).read_text(encoding="ascii"))  # "max" when there is no limit
