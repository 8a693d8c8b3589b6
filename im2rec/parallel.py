"""Work on many items, bounded and in order: in the calling thread, in threads, or in processes."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from im2rec.errors import Im2RecError
from im2rec.workers import Worker, start_worker

S = TypeVar("S")
T = TypeVar("T")
J = TypeVar("J")
P = TypeVar("P")
R = TypeVar("R")

Progress = Callable[[int, float], None]  # takes how many are done, and the share of all the work that is done, 0 to 1


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
            started = _ProcessPool(work, name)
            stack.callback(started.end)
            work = started.call
        jobs = ((None, [item]) for item in items)
        done = ordered_map(pool, lambda _, item: work(item), jobs, workers=workers, ahead=3 * workers - 1)
        yield from (results[0] for _, results in stack.enter_context(contextlib.closing(done)))


class _ProcessPool(Generic[S, T]):
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

    def end(self) -> None:
        """End the processes. A call that waits for one of them raises WorkerDiedError."""
        with self._lock:
            started, self._started = self._started or [], None
        for worker in started:
            worker.end()


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"


_IN_QUEUE = 2  # pieces for each worker that are the pool's; the others wait here


def ordered_map(
    pool: Executor, work: Callable[[J, P], R], jobs: Iterable[tuple[J, list[P]]], *, workers: int, ahead: int
) -> Generator[tuple[J, list[R]], None, None]:
    """Yield each job with the results of ``work(job, piece)`` for its pieces, in order.

    While the consumer is busy with a job, at most *ahead* later ones are in work or finished. *jobs* is drawn as they
    are started. A failure is raised in the place of its job. Closing the generator cancels what was not begun, and does
    not wait for what was: it may be collected by one of the very threads that are at work. *pool* has so many *workers*
    and is the caller's to shut down.
    """
    submitter: _BoundedSubmitter[J, P, R] = _BoundedSubmitter(pool, work, _IN_QUEUE * workers)
    in_flight: deque[tuple[J, list[Future[R]]]] = deque()
    started = map(submitter.start, jobs)
    try:
        while True:
            in_flight.extend(itertools.islice(started, 1 + ahead - len(in_flight)))
            if not in_flight:
                return
            yield _finished(in_flight)
    finally:
        submitter.cancel()
        for future in itertools.chain.from_iterable(futures for _, futures in in_flight):
            future.cancel()  # unless it was begun
        in_flight.clear()  # an error keeps this frame, and must not keep the jobs


def _finished(in_flight: deque[tuple[J, list[Future[R]]]]) -> tuple[J, list[R]]:
    """Wait for the oldest job."""
    results = [future.result() for future in in_flight[0][1]]
    return in_flight.popleft()[0], results


class _BoundedSubmitter(Generic[J, P, R]):
    """Submits pieces in the order they come, so that the queue of the pool never holds more than *most*.

    When a program ends, Python has pools work off what is in their queues: this keeps them short. What waits here is
    then cancelled.
    """

    def __init__(self, pool: Executor, work: Callable[[J, P], R], most: int) -> None:
        self._pool = pool
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[R], J, P]] = deque()
        self._submitted = 0

    def start(self, whole: tuple[J, list[P]]) -> tuple[J, list[Future[R]]]:
        """Return the job and a future for each of its pieces."""
        job, pieces = whole
        futures: list[Future[R]] = [Future() for _ in pieces]
        with self._lock:
            self._waiting.extend(zip(futures, itertools.repeat(job), pieces))
        for _ in pieces:
            self._submit()
        return job, futures

    def _submit(self) -> None:
        """Submit the piece that has waited longest, unless the queue is full."""
        with self._lock:
            if self._submitted >= self._most or not self._waiting:
                return
            self._submitted += 1
            first = [self._waiting.popleft()]
        try:
            self._pool.submit(self._do, first)
        except RuntimeError:  # the pool was shut down, or the program ends
            first[0][0].cancel()
            self.cancel()

    def _do(self, one: list[tuple[Future[R], J, P]]) -> None:
        # Taken out: an error would keep the pool's frames, and what they were called with, as long as it lives itself.
        future, job, piece = one.pop()
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(self._work(job, piece))
        except BaseException as error:  # noqa: BLE001 - raised at the consumer, in its place
            traceback.clear_frames(error.__traceback__)
            future.set_exception(error)
        finally:
            del future, job, piece
            with self._lock:
                self._submitted -= 1
            self._submit()

    def cancel(self) -> None:
        """Cancel the pieces that wait here."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for future, _, _ in waiting:
            future.cancel()


def pieces_wanted(workers: int, ahead: int) -> int:
    """Into how many pieces to cut a job, so that each of *workers* has one in work and one to go on with.

    No more than that, and often one: whatever is handed over costs as much as decoding an image.
    """
    return min(workers, -(-2 * workers // (1 + ahead)))
