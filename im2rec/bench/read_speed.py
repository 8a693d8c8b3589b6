"""Reading alone: in order and shuffled, for the first time and again, from memory or from a disk.

Where the operating system answers, it is asked which bytes of a file are in memory.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from im2rec.bench.timing import REPETITIONS, Rate, now, passes, repeated
from im2rec.format.irheader import ImageRecord
from im2rec.pipeline.order import piece_size
from im2rec.pipeline.records import Records
from im2rec.storage.files import Closeable

MEMORY, DISK, UNKNOWN = "memory", "disk", "unknown"
MOSTLY, HARDLY = 0.9, 0.1  # shares of probes that count as all, and as none
_PROBES = 32
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class FileSpan(NamedTuple):
    """Bytes of a file."""

    path: Path
    start: int
    stop: int


class PageCache(Closeable):
    """Looks at files, and lets the system forget parts of them. A context manager: holds the files open."""

    def __init__(self) -> None:
        self._handles: dict[Path, int] = {}

    def share(self, spans: Sequence[FileSpan]) -> float | None:
        """The share of *spans*, by their first bytes, that the system holds in memory; None where it does not say."""
        step = max(1, len(spans) // _PROBES)
        held = [self._holds(span) for span in spans[::step]]
        known = [answer for answer in held if answer is not None]
        return sum(known) / len(known) if len(known) == len(held) and known else None

    def _holds(self, span: FileSpan) -> bool | None:
        if not hasattr(os, "preadv") or not hasattr(os, "RWF_NOWAIT"):
            return None
        try:
            return os.preadv(self._handle(span.path), [bytearray(1)], span.start, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False
        except OSError:  # a file system that does not know the question
            return None

    def forget(self, spans: Sequence[FileSpan]) -> bool:
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
            [FileSpan(path, (start + stop) // 2, stop) for path, start, stop in spans[:: len(spans) // 4 + 1]]
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


T = TypeVar("T")
Read = Callable[[T], int]  # reads something, and says how many bytes that was

_WINDOW_BYTES, _WINDOW_RECORDS = 32 << 20, 4096  # read to see how fast it goes
_SLICES = 8  # of a first reading, each a repetition: there is no second first time
_MUCH_SLOWER = 3.0  # first than again: that was no memory
_FITS = 0.8  # of the memory there is: a file of more is read from the disk in every epoch
# What memory always does better, whatever else runs: a record that takes longer comes from somewhere else.
_SLOW_S, _SLOW_BYTES_PER_S = 1e-3, 100e6


@dataclasses.dataclass(frozen=True)
class Reads:
    """Images read a second *again*, when memory holds them, and the *first* time, None unless it was from a disk."""

    again: Rate
    first: Rate | None
    bytes_per_image: float

    def met(self, source: str) -> Rate:
        """The rate at which they are read from *source*."""
        return self.first if source == DISK and self.first else self.again

    @property
    def from_memory(self) -> float:
        """Bytes a second when memory holds them."""
        return self.again.median * self.bytes_per_image

    @property
    def from_disk(self) -> float | None:
        """Bytes a second from the disk, None unless they came from one."""
        return self.first.median * self.bytes_per_image if self.first else None


@dataclasses.dataclass(frozen=True)
class Reading:
    """How fast records are read on one thread, and as the parameters ask on as many as there are.

    *source* is where the iterator gets them: MEMORY, DISK, or UNKNOWN. *in_memory* is the share of the file that memory
    held beforehand, None where the system does not say.
    """

    in_order: Reads
    shuffled: Reads
    in_threads: Reads
    source: str
    in_memory: float | None


def read_stage(records: Records, *, batch_size: int, threads: int, shuffle: bool, seconds: float) -> Reading:
    """Read the records in the middle of the file, about *seconds* in all; they are in memory afterwards."""
    window = _window(records)
    every = np.unique(np.linspace(0, len(records) - 1, 64).astype(np.int64))

    def read(ordinals: list[int]) -> int:
        return sum(len(record.content) for record in records.each(ordinals) if isinstance(record, ImageRecord))

    def measured(ordinals: list[int], threads: int) -> Reads:
        piece = piece_size(batch_size, threads)
        groups = [ordinals[at : at + piece] for at in range(0, len(ordinals), piece)]
        return read_twice(read, groups, _spans(records, window), residence, seconds=seconds / 3, threads=threads)

    with PageCache() as residence:
        held = residence.share([_spans(records, [ordinal])[0] for ordinal in records.ordinals(every).tolist()])
        mixed = np.random.default_rng(0).permutation(window).tolist()
        in_order, shuffled = measured(window, 1), measured(mixed, 1)
        asked = shuffled if shuffle else in_order
        in_threads = measured(mixed if shuffle else window, threads) if threads > 1 else asked
    size = sum(file.size for file in records.files)
    return Reading(in_order, shuffled, in_threads, source_of(asked, held, size), held)


def read_twice(
    read: Read[list[T]],
    groups: Sequence[list[T]],
    spans: Sequence[FileSpan],
    residence: PageCache,
    *,
    seconds: float,
    threads: int = 1,
) -> Reads:
    """Read *groups*, which lie at *spans*, for the first time and again, at most about *seconds* each."""
    forgotten = residence.forget(spans)
    held = residence.share(spans) if not forgotten else 0.0
    first, done, bytes_read = _first(read, groups, seconds, threads)
    images = sum(map(len, groups[:done]))
    with passes(read, groups[:done], threads) as one_pass:
        again = Rate.of(repeated(lambda: round(one_pass() * images / done), seconds, REPETITIONS))
    from_disk = held <= HARDLY if held is not None else first.median * _MUCH_SLOWER < again.median
    return Reads(again, first if from_disk else None, bytes_read / images)


def _first(read: Read[list[T]], groups: Sequence[list[T]], seconds: float, threads: int) -> tuple[Rate, int, int]:
    """The rate of reading *groups* once, how many were read in the time, and their bytes."""
    size = max(threads, -(-len(groups) // _SLICES))
    rates: list[float] = []
    done = bytes_read = 0
    end = now() + seconds
    with concurrent.futures.ThreadPoolExecutor(threads, "im2rec-bench") as pool:
        while done < len(groups) and (not done or now() < end):
            some = groups[done : done + size]
            start = now()
            bytes_read += sum(pool.map(read, some))
            rates.append(sum(map(len, some)) / (now() - start))
            done += len(some)
    return Rate.of(rates), done, bytes_read


def source_of(reads: Reads, held: float | None, size: int) -> str:
    """Where a file of *size* bytes is read from, of which memory held the share *held*."""
    memory = memory_size()
    if memory is not None and size > _FITS * memory:
        return DISK
    if held is None:
        return DISK if reads.first else UNKNOWN
    if held < MOSTLY:
        return DISK
    slow = 1 / reads.again.median > _SLOW_S + reads.bytes_per_image / _SLOW_BYTES_PER_S
    return UNKNOWN if slow else MEMORY


def _window(records: Records) -> list[int]:
    """Ordinals of neighbouring records from the middle of the file on."""
    middle = min(len(records) // 2, max(0, len(records) - _WINDOW_RECORDS))
    positions = np.arange(middle, min(len(records), middle + _WINDOW_RECORDS))
    ordinals: list[int] = records.ordinals(positions).tolist()
    bytes_read, window = 0, []
    for ordinal in ordinals:
        window.append(ordinal)
        bytes_read += records.locate(ordinal).span.bytes
        if bytes_read > _WINDOW_BYTES:
            break
    return window


def _spans(records: Records, ordinals: Sequence[int]) -> list[FileSpan]:
    """Where *ordinals* are; those that follow one another are one span."""
    spans: list[FileSpan] = []
    for ordinal in ordinals:
        file, (_, start, stop) = records.locate(ordinal)
        if spans and spans[-1].path == file.path and spans[-1].stop == start:
            spans[-1] = spans[-1]._replace(stop=stop)
        else:
            spans.append(FileSpan(file.path, start, stop))
    return spans
