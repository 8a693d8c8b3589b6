"""Where work on many items runs: here, in threads, or in processes; bounded and ordered in every case."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from im2rec.errors import Im2RecError
from im2rec.workers import Worker, start_worker

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
) -> Generator[T, None, None]:
    """Yield ``work(item)`` for every item, in order, computed by *workers* processes or threads (1: right here).

    *items* is drawn lazily, a few per worker ahead. A failure is raised at its own place in the order. Closing the
    generator ends the processes. *name* says what an item holds, for the WorkerDiedError that is raised when the
    process working on it dies.
    """
    if workers == 1:
        yield from map(work, items)
        return
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        if processes:
            work = stack.enter_context(_Processes(work, name)).call
        yield from _ordered_map(pool, work, items, ahead=3 * workers)


def _ordered_map(pool: ThreadPoolExecutor, work: Callable[[S], T], items: Iterable[S], *, ahead: int) -> Iterator[T]:
    in_flight: deque[Future[T]] = deque()
    try:
        for item in items:
            in_flight.append(pool.submit(work, item))
            if len(in_flight) == ahead:
                yield in_flight.popleft().result()
        while in_flight:
            yield in_flight.popleft().result()
    finally:
        for future in in_flight:
            future.cancel()


class _Processes(Generic[S, T]):
    """A worker process for each thread that calls.

    So the death of a process is an end of file in the one thread that waits for it, even in the middle of an answer,
    and which item it held is known. (In a ProcessPoolExecutor all answers come through one pipe, which a process that
    dies while it writes leaves with half an answer: the run would wait for the rest for ever.)
    """

    def __init__(self, work: Callable[[S], T], name: Callable[[S], str]) -> None:
        self._work = work
        self._name = name
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._started: list[Worker] | None = []

    def call(self, item: S) -> T:
        """``work(item)``, in the calling thread's process. Raises what it raises, and WorkerDiedError."""
        worker = self._worker()
        try:
            done, answer = worker.ask(item)
        except (EOFError, OSError):
            raise WorkerDiedError(
                f"a worker process died ({_how(worker.exitcode())}) while it held {self._name(item)}",
                hint="out of memory, or a crash in an image library",
            ) from None
        if not done:
            raise answer
        return answer  # type: ignore[no-any-return]

    def _worker(self) -> Worker:
        if not hasattr(self._mine, "worker"):
            with self._lock:
                if self._started is None:
                    raise WorkerDiedError("the run is over")
                self._mine.worker = start_worker(self._work)
                self._started.append(self._mine.worker)
        return self._mine.worker  # type: ignore[no-any-return]

    def __enter__(self) -> _Processes[S, T]:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            started, self._started = self._started or [], None
        for worker in started:
            worker.end()


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"
