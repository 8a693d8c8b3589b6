"""Where work on many items runs: here, in threads, or in processes; bounded and ordered in every case."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from im2rec.errors import Im2RecError

S = TypeVar("S")
T = TypeVar("T")
_JOIN_S = 5.0  # a terminated process that is still there after this long gets a kill


class WorkerDiedError(Im2RecError):
    """A worker process ended without an answer: killed, out of memory, or crashed inside a library."""


def available_cpus() -> int:
    """The CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _context() -> Any:
    """Where processes come from: never a fork of this one, whose threads may hold locks.

    On Linux they are forked from a server that has done nothing but import what they need, so a tenth process starts
    in no time; elsewhere, where such a server is missing or not safe, each imports for itself.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    return multiprocessing.get_context("forkserver")


def warm_up(*modules: str) -> None:
    """Let the server of processes begin to import *modules*, while the caller goes on with its own imports."""
    if sys.platform == "linux":
        _context().set_forkserver_preload(list(modules))
        with _interrupts_held():
            multiprocessing.forkserver.ensure_running()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back from this thread, and for good from processes that it starts: they would die with a traceback.

    Where threads cannot hold signals (Windows) nothing is done.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    multiprocessing.resource_tracker.ensure_running()  # which lets go of all interrupts when it starts: let it be first
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
    """A process for each thread that calls; it works on one item at a time, at the other end of a pipe of its own.

    So the death of a process is an end of file in the one thread that waits for it, even in the middle of an answer,
    and which item it held is known. (In a ProcessPoolExecutor all answers come through one pipe, which a process that
    dies while it writes leaves with half an answer: the run would wait for the rest for ever.)
    """

    def __init__(self, work: Callable[[S], T], name: Callable[[S], str]) -> None:
        self._work = work
        self._name = name
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._started: list[tuple[Any, Connection]] | None = []

    def call(self, item: S) -> T:
        """``work(item)``, in the calling thread's process. Raises what it raises, and WorkerDiedError."""
        process, pipe = self._process()
        try:
            pipe.send(item)
            done, answer = pipe.recv()
        except (EOFError, OSError):
            process.join(_JOIN_S)
            raise WorkerDiedError(
                f"a worker process died ({_how(process.exitcode)}) while it held {self._name(item)}",
                hint="out of memory, or a crash in an image library",
            ) from None
        if not done:
            raise answer
        return answer  # type: ignore[no-any-return]

    def _process(self) -> tuple[Any, Connection]:
        if not hasattr(self._mine, "pair"):
            context = _context()
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(self._work, theirs), daemon=True)
            with self._lock:
                if self._started is None:
                    raise WorkerDiedError("the run is over")
                with _interrupts_held():
                    process.start()
                self._started.append((process, ours))
            theirs.close()  # or our end would never see the end of file
            self._mine.pair = process, ours
        return self._mine.pair  # type: ignore[no-any-return]

    def __enter__(self) -> _Processes[S, T]:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            started, self._started = self._started or [], None
        for process, _pipe in started:
            process.terminate()
        for process, pipe in started:
            process.join(_JOIN_S)
            if process.exitcode is None:
                process.kill()
                process.join()
            pipe.close()
            process.close()


def _serve(work: Callable[[Any], Any], pipe: Connection) -> None:
    """Answer items with ``(True, work(item))`` or ``(False, exception)`` until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.filterwarnings("ignore", module="PIL")  # of a damaged picture the report tells
    with contextlib.suppress(EOFError, OSError):
        while True:
            item = pipe.recv()
            try:
                answer = True, work(item)
            except Exception as error:  # noqa: BLE001 - carried to the consumer, who raises it
                answer = False, error
            pipe.send(answer)


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"
