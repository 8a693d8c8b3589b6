"""Where the work of packing runs: here, in threads, or in processes; bounded and ordered in every case."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from im2rec.errors import Im2RecError

S = TypeVar("S")
T = TypeVar("T")


class WorkerDiedError(Im2RecError):
    """A worker process ended without an answer: killed, out of memory, or crashed inside a library."""


def available_cpus() -> int:
    """The CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_ordered(
    work: Callable[[S], T], items: Iterable[S], *, workers: int, processes: bool, name: Callable[[S], str]
) -> Iterator[T]:
    """Yield ``work(item)`` for every item, in order, computed by *workers* processes or threads (1: right here).

    *items* is drawn lazily, a few per worker ahead. A failure is raised at its own place in the order. Closing the
    generator cancels what has not begun and waits for the rest. *name* says what an item holds, for the error that is
    raised when a process dies.
    """
    if workers == 1:
        yield from map(work, items)
        return
    with _pool(workers, processes=processes) as pool:
        yield from _ordered_map(pool, work, items, ahead=3 * workers, name=name)


@contextlib.contextmanager
def _pool(workers: int, *, processes: bool) -> Iterator[Executor]:
    # spawn on every platform: no copy of locks that other threads hold, one behaviour to know.
    pool: Executor = (
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
        if processes
        else ThreadPoolExecutor(workers)
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()


def _exit_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _ordered_map(
    pool: Executor, work: Callable[[S], T], items: Iterable[S], *, ahead: int, name: Callable[[S], str]
) -> Iterator[T]:
    in_flight: deque[tuple[S, Future[T]]] = deque()
    try:
        for item in items:
            in_flight.append((item, pool.submit(work, item)))
            if len(in_flight) == ahead:
                yield _settle(in_flight, name)
        while in_flight:
            yield _settle(in_flight, name)
    except BrokenProcessPool:  # the pool refuses new work as soon as one process is gone
        raise _died([item for item, _ in in_flight], name) from None
    finally:
        for _, future in in_flight:
            future.cancel()


def _settle(in_flight: deque[tuple[S, Future[T]]], name: Callable[[S], str]) -> T:
    _, future = in_flight[0]
    try:
        result = future.result()
    except BrokenProcessPool:
        raise _died([item for item, future in in_flight if not _answered(future)], name) from None
    in_flight.popleft()
    return result


def _answered(future: Future[T]) -> bool:
    return future.done() and future.exception() is None


def _died(items: list[S], name: Callable[[S], str]) -> WorkerDiedError:
    held = "; ".join(map(name, items[:2])) or "nothing"
    return WorkerDiedError(
        f"a worker process died while it held one of: {held}",
        hint="out of memory or a crash in an image library; --workers 1 finds the picture",
    )
