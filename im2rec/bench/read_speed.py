"""Reading alone: in order and shuffled, from the disk and from memory.

On systems that report it, the share of a file that is in the page cache is measured first.
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

from im2rec.bench.timing import REPETITIONS, Rate, now, passes, timed_repetitions
from im2rec.format.irheader import ImageRecord
from im2rec.pipeline.order import piece_size
from im2rec.pipeline.records import Records
from im2rec.storage.files import Closeable

MEMORY, DISK, UNKNOWN = "memory", "disk", "unknown"
MOSTLY_CACHED, HARDLY_CACHED = 0.9, 0.1  # shares of probed bytes that count as all of them, and as none
_PROBES = 32
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class FileSpan(NamedTuple):
    """The bytes of the file *path* from offset *start* up to *stop*, exclusive."""

    path: Path
    start: int
    stop: int


class PageCache(Closeable):
    """The operating system's cache of file contents: which spans it holds, and how to evict them.

    A context manager that keeps the files open until its end.
    """

    def __init__(self) -> None:
        self._handles: dict[Path, int] = {}

    def cached_share(self, spans: Sequence[FileSpan]) -> float | None:
        """Return the share of *spans* whose first byte is cached, from 0 to 1; None if the system cannot answer."""
        step = max(1, len(spans) // _PROBES)
        answers = [self._is_cached(span) for span in spans[::step]]
        known = [answer for answer in answers if answer is not None]
        return sum(known) / len(known) if len(known) == len(answers) and known else None

    def _is_cached(self, span: FileSpan) -> bool | None:
        if not hasattr(os, "preadv") or not hasattr(os, "RWF_NOWAIT"):
            return None
        try:
            return os.preadv(self._handle(span.path), [bytearray(1)], span.start, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False
        except OSError:  # the file system does not support RWF_NOWAIT
            return None

    def evict(self, spans: Sequence[FileSpan]) -> bool:
        """Ask the system to drop *spans* from the cache. Return True if it is known that they are gone.

        The caller reads the spans again, so the cache ends as it began.
        """
        if not hasattr(os, "posix_fadvise"):
            return False
        for span in spans:
            with contextlib.suppress(OSError):
                handle = self._handle(span.path)
                os.posix_fadvise(handle, span.start, span.stop - span.start, os.POSIX_FADV_DONTNEED)
        # A probe makes the system load the page it asks about: few probes, and none at the start of a span, where the
        # measurement that follows begins to read.
        middles = [FileSpan(path, (start + stop) // 2, stop) for path, start, stop in spans[:: len(spans) // 4 + 1]]
        share = self.cached_share(middles)
        return share is not None and share <= HARDLY_CACHED

    def _handle(self, path: Path) -> int:
        if path not in self._handles:
            self._handles[path] = os.open(path, os.O_RDONLY)
            if hasattr(os, "posix_fadvise"):  # without this, a probe would start read-ahead
                with contextlib.suppress(OSError):
                    os.posix_fadvise(self._handles[path], 0, 0, os.POSIX_FADV_RANDOM)
        return self._handles[path]

    def close(self) -> None:
        """Close the files. Closing twice is allowed."""
        while self._handles:
            os.close(self._handles.popitem()[1])


def usable_memory() -> int | None:
    """Return the bytes of memory that the machine and its container allow this process; None if unknown."""
    sizes = list(_container_limits())
    try:
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None
    return min(sizes)


def _container_limits() -> Iterator[int]:
    for name in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            yield int(Path(name).read_text(encoding="ascii"))  # "max" when there is no limit


T = TypeVar("T")
Read = Callable[[T], int]  # reads something and returns the number of bytes

_WINDOW_BYTES, _WINDOW_RECORDS = 32 << 20, 4096  # the most that is read to measure the speed
_SLICES = (
    8  # of the first reading, each timed as a repetition: it cannot be repeated, as the cache then holds the bytes
)
_DISK_SLOWDOWN = 3.0  # a first reading that is slower than the second one by this factor came from a disk
_MAX_MEMORY_SHARE = 0.8  # of usable memory: a larger file does not stay cached from one epoch to the next
# No memory is slower than this, whatever else runs: a record that takes longer comes from somewhere else.
_SLOW_S, _SLOW_BYTES_PER_S = 1e-3, 100e6


@dataclasses.dataclass(frozen=True)
class ReadRates:
    """Images read per second when the page cache holds them, and from the disk; *uncached* is None if not measured."""

    cached: Rate
    uncached: Rate | None
    bytes_per_image: float

    def rate_from(self, source: str) -> Rate:
        """Return the rate of reading from *source*: ``DISK`` or any other."""
        return self.uncached if source == DISK and self.uncached else self.cached

    @property
    def memory_bytes_per_s(self) -> float:
        """Bytes per second when the page cache holds them."""
        return self.cached.median * self.bytes_per_image

    @property
    def disk_bytes_per_s(self) -> float | None:
        """Bytes per second from the disk; None if not measured."""
        return self.uncached.median * self.bytes_per_image if self.uncached else None


@dataclasses.dataclass(frozen=True)
class ReadMeasurement:
    """The speed of reading records: on one thread in both orders, and as the iterator reads on all its threads.

    *source* is where the iterator reads from: ``MEMORY``, ``DISK`` or ``UNKNOWN``. *cached_share* is the share of the
    file that was in the page cache beforehand, None if the system does not report it.
    """

    in_order: ReadRates
    shuffled: ReadRates
    in_threads: ReadRates
    source: str
    cached_share: float | None


def measure_reading(
    records: Records, *, batch_size: int, threads: int, shuffle: bool, seconds: float
) -> ReadMeasurement:
    """Time the reading of records from the middle of the file for about *seconds*; afterwards they are cached."""
    window = _middle_window(records)
    probed = np.unique(np.linspace(0, len(records) - 1, 64).astype(np.int64))

    def read(ordinals: list[int]) -> int:
        return sum(len(record.content) for record in records.read_many(ordinals) if isinstance(record, ImageRecord))

    def measured(ordinals: list[int], threads: int) -> ReadRates:
        piece = piece_size(batch_size, threads)
        groups = [ordinals[start : start + piece] for start in range(0, len(ordinals), piece)]
        return read_twice(read, groups, _merged_spans(records, window), cache, seconds=seconds / 3, threads=threads)

    with PageCache() as cache:
        # Before anything is read: reading fills the cache.
        starts = [_merged_spans(records, [ordinal])[0] for ordinal in records.ordinals(probed).tolist()]
        share = cache.cached_share(starts)
        mixed = np.random.default_rng(0).permutation(window).tolist()
        in_order, shuffled = measured(window, 1), measured(mixed, 1)
        as_iterated = shuffled if shuffle else in_order
        in_threads = measured(mixed if shuffle else window, threads) if threads > 1 else as_iterated
    size = sum(file.size for file in records.files)
    return ReadMeasurement(in_order, shuffled, in_threads, source_of(as_iterated, share, size), share)


def read_twice(
    read: Read[list[T]],
    groups: Sequence[list[T]],
    spans: Sequence[FileSpan],
    cache: PageCache,
    *,
    seconds: float,
    threads: int = 1,
) -> ReadRates:
    """Evict *spans*, time reading *groups* from there once, then again from memory; about *seconds* at most for each.

    The first reading counts as one from the disk only if nothing was cached, or, where the system does not report
    that, if it was much slower than the second.
    """
    share = 0.0 if cache.evict(spans) else cache.cached_share(spans)
    first, groups_read, bytes_read = _first_reading(read, groups, seconds, threads)
    images = sum(map(len, groups[:groups_read]))
    with passes(read, groups[:groups_read], threads) as one_pass:
        rates = timed_repetitions(lambda: round(one_pass() * images / groups_read), seconds, REPETITIONS)
    cached = Rate.of(rates)
    from_disk = share <= HARDLY_CACHED if share is not None else first.median * _DISK_SLOWDOWN < cached.median
    return ReadRates(cached, first if from_disk else None, bytes_read / images)


def _first_reading(
    read: Read[list[T]], groups: Sequence[list[T]], seconds: float, threads: int
) -> tuple[Rate, int, int]:
    """Read *groups* once, until *seconds* have passed. Return the rate, how many groups were read, and their bytes."""
    size = max(threads, -(-len(groups) // _SLICES))
    rates: list[float] = []
    groups_read = bytes_read = 0
    end = now() + seconds
    with concurrent.futures.ThreadPoolExecutor(threads, "im2rec-bench") as pool:
        while groups_read < len(groups) and (not groups_read or now() < end):
            slice_ = groups[groups_read : groups_read + size]
            start = now()
            bytes_read += sum(pool.map(read, slice_))
            rates.append(sum(map(len, slice_)) / (now() - start))
            groups_read += len(slice_)
    return Rate.of(rates), groups_read, bytes_read


def source_of(rates: ReadRates, cached_share: float | None, size: int) -> str:
    """Return where a file of *size* bytes is read from in a long run, given the share that was cached beforehand."""
    memory = usable_memory()
    if memory is not None and size > _MAX_MEMORY_SHARE * memory:
        return DISK
    if cached_share is None:
        return DISK if rates.uncached else UNKNOWN
    if cached_share < MOSTLY_CACHED:
        return DISK
    is_slow = 1 / rates.cached.median > _SLOW_S + rates.bytes_per_image / _SLOW_BYTES_PER_S
    return UNKNOWN if is_slow else MEMORY


def _middle_window(records: Records) -> list[int]:
    """Return the ordinals of consecutive records from the middle of the file on, as many as a measurement needs."""
    middle = min(len(records) // 2, max(0, len(records) - _WINDOW_RECORDS))
    positions = np.arange(middle, min(len(records), middle + _WINDOW_RECORDS))
    ordinals: list[int] = records.ordinals(positions).tolist()
    bytes_read, window = 0, []
    for ordinal in ordinals:
        window.append(ordinal)
        bytes_read += records.locate(ordinal).span.nbytes
        if bytes_read > _WINDOW_BYTES:
            break
    return window


def _merged_spans(records: Records, ordinals: Sequence[int]) -> list[FileSpan]:
    """Return the bytes of the records *ordinals*; adjacent records are one span."""
    spans: list[FileSpan] = []
    for ordinal in ordinals:
        file, (_, start, stop) = records.locate(ordinal)
        if spans and spans[-1].path == file.path and spans[-1].stop == start:
            spans[-1] = spans[-1]._replace(stop=stop)
        else:
            spans.append(FileSpan(file.path, start, stop))
    return spans
