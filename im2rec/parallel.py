"""Parallel work on many items, with ordered results and bounded look-ahead: in threads or in processes."""

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

Progress = Callable[[int, float], None]  # takes the number of finished items and the finished share of the work, 0 to 1


class WorkerDiedError(Im2RecError):
    """A worker process died before it returned its result: killed, out of memory, or crashed inside a library."""


def available_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_ordered(
    work: Callable[[S], T], items: Iterable[S], *, workers: int, processes: bool, name: Callable[[S], str]
) -> Generator[T, None, None]:
    """Yield ``work(item)`` for every item, in the order of *items*, computed by *workers* processes or threads.

    With one worker the calling thread computes everything. *items* is read lazily, at most three items per worker
    ahead of the consumer. An exception from *work* is raised where its result would have been yielded. Closing the
    generator ends the processes. *name* describes an item in the WorkerDiedError that is raised when the process that
    works on it dies.
    """
    if workers == 1:
        yield from map(work, items)
        return
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        if processes:
            worker_processes = _ProcessPool(work, name)
            stack.callback(worker_processes.end)
            work = worker_processes.call
        jobs = ((None, [item]) for item in items)
        finished = ordered_map(pool, lambda _, item: work(item), jobs, workers=workers, ahead=3 * workers - 1)
        yield from (results[0] for _, results in stack.enter_context(contextlib.closing(finished)))


class _ProcessPool(Generic[S, T]):
    """One worker process for each thread that calls :meth:`call`.

    When a process dies, even in the middle of an answer, the one thread that waits for it reaches the end of its pipe,
    and the item it worked on is known. (A ProcessPoolExecutor reads all answers from one pipe. A process that dies
    while writing leaves half an answer in it, and the run would wait for the rest for ever.)
    """

    def __init__(self, work: Callable[[S], T], name: Callable[[S], str]) -> None:
        self._work = work
        self._name = name
        self._thread_local = threading.local()
        self._lock = threading.Lock()
        self._workers: list[Worker] | None = []  # None after end()

    def call(self, item: S) -> T:
        """Return ``work(item)``, computed in the calling thread's process; the first call of a thread starts it.

        Raises any exception of *work*, and WorkerDiedError when the process dies or the pool has ended.
        """
        worker = self._worker()
        try:
            succeeded, answer = worker.call(item)
        except (EOFError, OSError):
            raise WorkerDiedError(
                f"a worker process died ({_describe_exit(worker.exitcode())}) while working on {self._name(item)}",
                hint="out of memory, or a crash in an image library",
            ) from None
        if not succeeded:
            raise answer
        return answer  # type: ignore[no-any-return]

    def _worker(self) -> Worker:
        """Return the calling thread's worker process, started on first use."""
        if not hasattr(self._thread_local, "worker"):
            with self._lock:
                if self._workers is None:
                    raise WorkerDiedError("the worker processes have been ended")
                self._thread_local.worker = start_worker(self._work)
                self._workers.append(self._thread_local.worker)
        return self._thread_local.worker  # type: ignore[no-any-return]

    def end(self) -> None:
        """End all processes; a call that waits for one of them raises WorkerDiedError. Calling it twice is allowed."""
        with self._lock:
            workers, self._workers = self._workers or [], None
        for worker in workers:
            worker.end()


def _describe_exit(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"


_QUEUED_PER_WORKER = 2  # pieces that are in the pool at once: one in work, and one to start without a pause after it


def ordered_map(
    pool: Executor, work: Callable[[J, P], R], jobs: Iterable[tuple[J, list[P]]], *, workers: int, ahead: int
) -> Generator[tuple[J, list[R]], None, None]:
    """Yield each job with the list of ``work(job, piece)`` for its pieces, in the order of *jobs*.

    While the consumer is busy with one job, at most *ahead* later jobs are in work or finished; *jobs* is read only as
    they are started. An exception from *work* is raised where its job would have been yielded. Closing the generator
    cancels the pieces that have not started. It does not wait for those in work: the garbage collector may close the
    generator in one of the pool's own threads, which would then wait for itself. *pool* has *workers* threads; the
    caller shuts it down.
    """
    submitter: _BoundedSubmitter[J, P, R] = _BoundedSubmitter(pool, work, _QUEUED_PER_WORKER * workers)
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
            future.cancel()
        in_flight.clear()  # the traceback of an error keeps this frame alive, and must not keep the jobs with it


def _finished(in_flight: deque[tuple[J, list[Future[R]]]]) -> tuple[J, list[R]]:
    """Wait for the oldest job, remove it and return it with its results; on an error it stays."""
    results = [future.result() for future in in_flight[0][1]]
    return in_flight.popleft()[0], results


class _BoundedSubmitter(Generic[J, P, R]):
    """Submits pieces in first-in, first-out order, with at most *max_submitted* of them in the pool at once.

    When a program ends, Python lets every pool finish the pieces in its queue before it exits. This class keeps that
    queue short; the pieces that wait here are cancelled instead.
    """

    def __init__(self, pool: Executor, work: Callable[[J, P], R], max_submitted: int) -> None:
        self._pool = pool
        self._work = work
        self._max_submitted = max_submitted
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[R], J, P]] = deque()
        self._submitted = 0

    def start(self, job_and_pieces: tuple[J, list[P]]) -> tuple[J, list[Future[R]]]:
        """Enqueue all pieces of a job; return the job with a future for each piece."""
        job, pieces = job_and_pieces
        futures: list[Future[R]] = [Future() for _ in pieces]
        with self._lock:
            self._waiting.extend(zip(futures, itertools.repeat(job), pieces))
        for _ in pieces:
            self._submit()
        return job, futures

    def _submit(self) -> None:
        """Submit the piece that has waited longest, unless *max_submitted* pieces are in the pool already."""
        with self._lock:
            if self._submitted >= self._max_submitted or not self._waiting:
                return
            self._submitted += 1
            oldest = [self._waiting.popleft()]
        try:
            self._pool.submit(self._run, oldest)
        except RuntimeError:  # the pool was shut down, or the interpreter is exiting
            oldest[0][0].cancel()
            self.cancel()

    def _run(self, container: list[tuple[Future[R], J, P]]) -> None:
        """Run the one piece in *container*, which is a list only so that it can be emptied."""
        # The traceback of an error keeps the pool's frames and their arguments alive: the job must not be among them.
        future, job, piece = container.pop()
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(self._work(job, piece))
        except BaseException as error:  # noqa: BLE001 - raised at the consumer, where the result would be yielded
            traceback.clear_frames(error.__traceback__)
            future.set_exception(error)
        finally:
            del future, job, piece
            with self._lock:
                self._submitted -= 1
            self._submit()

    def cancel(self) -> None:
        """Cancel the pieces that have not been submitted to the pool."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for future, _, _ in waiting:
            future.cancel()


def pieces_per_job(workers: int, ahead: int) -> int:
    """Return the number of pieces to cut a job into, so that each worker has one piece in work and one waiting.

    With *ahead* jobs besides the current one in progress. Not more pieces than that, and often one: handing a piece to
    a worker costs as much as decoding an image.
    """
    return min(workers, -(-2 * workers // (1 + ahead)))
