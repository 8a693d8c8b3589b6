"""Parallel work on many items, with ordered results and bounded look-ahead: in threads or in processes."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import queue
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, Protocol, TypeVar

from im2rec.errors import Im2RecError
from im2rec.process_pool import ProcessPool, Retry
from im2rec.workers import interrupts_blocked

S = TypeVar("S")
T = TypeVar("T")
J = TypeVar("J")
P = TypeVar("P")
R = TypeVar("R")

_MAX_FORK_WAIT_S = 10.0  # decoding a piece of a batch takes some milliseconds
_MAX_END_WAIT_S, _END_POLL_S = 1.0, 0.0002


def available_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_ordered(
    work: Callable[[S], T],
    items: Iterable[S],
    *,
    workers: int,
    processes: bool,
    name: Callable[[S], str],
    retry: Retry[S, T] | None = None,
) -> Generator[T, None, None]:
    """Yield ``work(item)`` for every item, in the order of *items*, computed by *workers* processes or threads.

    One worker that is no process is the calling thread. *items* is read lazily, at most three items per worker ahead of
    the consumer. An exception from *work* is raised where its result would have been yielded. Closing the generator
    ends the processes. *name* describes an item in the ItemKilledError that is raised when the process that works on it
    dies. With *retry* the item is tried again in a new process instead, part by part. Raises WorkerDiedError when no
    process can be started.
    """
    if workers == 1 and not processes:
        yield from map(work, items)
        return
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(WorkerThreads(workers, "im2rec-work"))
        if processes:
            pool = ProcessPool(work, name, retry)
            stack.callback(pool.end)
            work = pool.call
        jobs = ((None, [item]) for item in items)
        finished = ordered_map(threads, lambda _, item: work(item), jobs, ahead=3 * workers - 1)
        yield from (results[0] for _, results in stack.enter_context(contextlib.closing(finished)))


class ThreadsEndedError(Im2RecError):
    """A piece of work was not done, because its threads were ended."""


class WorkerThreads:
    """Up to *count* threads that work on pieces of jobs, in the order in which they come.

    They work until :meth:`shut_down`, or until the program ends: after its main thread has ended, other threads of the
    program may go on and wait for results. (The threads of a ThreadPoolExecutor end with the main thread.) At the end
    of the program the piece in work is finished, and no other begins.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._queue: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()  # None, which stays in it, ends all threads
        self._threads: list[threading.Thread] = []
        self._is_shut_down = False
        self._lock = threading.RLock()  # no thread is started once it is shut down
        self._owner_pid = os.getpid()
        weakref.finalize(self, _end_threads, self._queue).atexit = False  # threads whose pool is dropped end as well
        end_with_program(self)

    def start(self, work: Callable[[J, P], R], job: J, pieces: list[P]) -> StartedJob[J, R]:
        """Enqueue ``work(job, piece)`` for all *pieces* of *job*."""
        started: StartedJob[J, R] = StartedJob(job, work, pieces)
        for piece in started.pieces:
            self._queue.put(piece)
            if len(self._threads) < self._count:
                self._start_thread()
        if self._is_shut_down:  # asked last: another thread may shut down at any time
            _cancel_queued(self._queue)
        return started

    def _start_thread(self) -> None:
        name = f"{self._name}_{len(self._threads)}"
        thread = threading.Thread(target=_work_on, args=(self._queue,), name=name, daemon=True)
        # Ctrl-C reaches the main thread then, and never while it waits for the new one.
        with self._lock, interrupts_blocked():
            if not self._is_shut_down:
                _running[thread] = self._queue
                thread.start()
                self._threads.append(thread)

    def shut_down(self, *, wait: bool) -> None:
        """Cancel the pieces that have not begun and end the threads; *wait* for those in work. Twice is allowed."""
        if os.getpid() != self._owner_pid:  # a forked child has no copy of the threads
            return
        with self._lock:
            self._is_shut_down = True
        _cancel_queued(self._queue)
        for thread in self._threads if wait else ():
            if thread is not threading.current_thread():
                thread.join()

    def _end_with_program(self) -> None:
        self.shut_down(wait=True)

    def __enter__(self) -> WorkerThreads:
        return self

    def __exit__(self, *_: object) -> None:
        self.shut_down(wait=True)


class _Forks:
    """Lets forks wait for the threads that are inside :func:`forks_wait`, and new ones wait for a fork.

    A child of ``os.fork()`` has the locks of the C++ libraries as they are at that moment. One that another thread
    holds is never released in the child, which then waits for ever when it calls the library: so hung, at times, the
    workers of a DataLoader that were forked while an iterator decoded images ahead.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as in a forked child, where no thread of the parent is there to release the lock."""
        self._condition = threading.Condition(threading.Lock())
        self._inside = 0  # threads inside
        self._forks = 0  # that are about to happen

    def __enter__(self) -> None:
        with self._condition:
            while self._forks:
                self._condition.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify_all()

    def begin(self) -> None:
        """Wait until no thread is inside, though not for ever, and let none enter."""
        with interrupts_blocked():  # Python would print an interrupt here, and forget it
            with self._condition:
                self._forks += 1
                self._condition.notify_all()
                self._condition.wait_for(lambda: not self._inside, _MAX_FORK_WAIT_S)
            _wait_for_ending_threads()

    def end(self) -> None:
        """Let threads enter again."""
        with self._condition:
            self._forks = max(0, self._forks - 1)  # registered once more while this fork waited: ended twice
            self._condition.notify_all()


_forks = _Forks()


def delay_forks() -> None:
    """Let forks wait for the threads inside :func:`forks_wait` before they take the locks of modules imported so far.

    Python calls what was registered last first, and some modules let a fork take their locks, which those threads may
    need. So this is called again after such modules have been imported.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_forks.begin, after_in_parent=_forks.end, after_in_child=_forks.reset)


delay_forks()


def forks_wait() -> contextlib.AbstractContextManager[None]:
    """Let a fork of this process wait until the block ends. For threads of ours that call into C++ libraries."""
    return _forks


# Threads of all WorkerThreads that have not ended, those of dropped ones too, and the queue that each reads.
_running: dict[threading.Thread, queue.SimpleQueue[_Piece | None]] = {}
_ended: weakref.WeakSet[queue.SimpleQueue[_Piece | None]] = weakref.WeakSet()  # those whose threads are to end
_ending: deque[int] = deque(maxlen=64)  # native ids of the last threads that had no more to do
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)  # a forked child has none of them


def _work_on(pieces: queue.SimpleQueue[_Piece | None]) -> None:
    while (piece := pieces.get()) is not None:
        piece.run()
        del piece  # it refers to the results of its job
    pieces.put(None)  # for the next thread
    _ending.append(threading.get_native_id())
    _running.pop(threading.current_thread(), None)


def _end_threads(pieces: queue.SimpleQueue[_Piece | None]) -> None:
    """End the threads that take *pieces* when there is none left."""
    _ended.add(pieces)
    pieces.put(None)


def _wait_for_ending_threads() -> None:
    """Wait, though not for long, until threads that are to end have ended, at which C++ libraries lock as well."""
    end = time.monotonic() + _MAX_END_WAIT_S
    while _are_threads_ending() and time.monotonic() < end:
        time.sleep(_END_POLL_S)  # nothing tells of the end of a native thread; join() does since Python 3.13


def _are_threads_ending() -> bool:
    while _ending and not os.path.exists(f"/proc/self/task/{_ending[0]}"):  # noqa: PTH110 - quicker than a Path
        _ending.popleft()
    others = [pieces for thread, pieces in list(_running.items()) if thread is not threading.current_thread()]
    return bool(_ending) or any(pieces in _ended for pieces in others)


def _cancel_queued(pieces: queue.SimpleQueue[_Piece | None]) -> None:
    """Cancel the *pieces* that have not begun, and end the threads that take them."""
    with contextlib.suppress(queue.Empty):
        while True:
            piece = pieces.get_nowait()
            if piece is not None:
                piece.cancel()
    _end_threads(pieces)


class _Piece:
    """One piece of a job: run or cancelled once, whichever comes first, and then without reference to the job.

    What comes of it is put to *outcomes*: its number, whether it succeeded, and the result or the error.
    """

    def __init__(self, outcomes: queue.SimpleQueue[tuple[int, bool, Any]], number: int, *call: Any) -> None:
        self._outcomes = outcomes
        self._number = number
        self._call = [call]

    def run(self) -> None:
        """Run the piece, unless it was cancelled."""
        try:
            work, job, piece = self._call.pop()  # one step: no two threads get it
        except IndexError:
            return
        # The traceback of an error keeps frames and their variables alive, this one's too: the job must not be among
        # them, nor the error itself.
        try:
            result = work(job, piece)
        except BaseException as error:  # noqa: BLE001 - raised at the consumer, where the result would be yielded
            traceback.clear_frames(error.__traceback__)
            self._outcomes.put((self._number, False, error))
        else:
            self._outcomes.put((self._number, True, result))
        finally:
            del work, job, piece

    def cancel(self) -> None:
        """Let whoever waits for the job have a ThreadsEndedError, if the piece has not begun."""
        with contextlib.suppress(IndexError):
            self._call.pop()
            self._outcomes.put((self._number, False, ThreadsEndedError("the threads that work have been ended")))


class StartedJob(Generic[J, R]):
    """A job whose pieces are in work, or wait for it."""

    def __init__(self, job: J, work: Callable[[J, P], R], pieces: list[P]) -> None:
        self.job = job
        self._outcomes: queue.SimpleQueue[tuple[int, bool, Any]] = queue.SimpleQueue()
        self.pieces = [_Piece(self._outcomes, number, work, job, piece) for number, piece in enumerate(pieces)]

    def results(self) -> list[R]:
        """Wait for all pieces and return their results in order; raises the error of the first one that has one."""
        results: list[Any] = [None] * len(self.pieces)
        errors: dict[int, BaseException] = {}
        for _ in self.pieces:
            number, succeeded, outcome = self._outcomes.get()
            if succeeded:
                results[number] = outcome
            else:
                errors[number] = outcome
            del outcome
        try:
            if errors:
                raise errors[min(errors)]
            return results
        finally:
            del self, errors  # see _Piece.run

    def cancel(self) -> None:
        """Cancel the pieces that have not begun."""
        for piece in self.pieces:
            piece.cancel()


def ordered_map(
    threads: WorkerThreads, work: Callable[[J, P], R], jobs: Iterable[tuple[J, list[P]]], *, ahead: int
) -> Generator[tuple[J, list[R]], None, None]:
    """Yield each job with the list of ``work(job, piece)`` for its pieces, in the order of *jobs*.

    While the consumer is busy with one job, at most *ahead* later jobs are in work or finished; *jobs* is read only as
    they are started. An exception from *work* is raised where its job would have been yielded, ThreadsEndedError if
    *threads* are shut down meanwhile. Closing the generator cancels the pieces that have not started. It does not wait
    for those in work: the garbage collector may close the generator in one of the threads, which would then wait for
    itself.
    """
    in_flight: deque[StartedJob[J, R]] = deque()
    started = itertools.starmap(functools.partial(threads.start, work), jobs)
    try:
        while True:
            in_flight.extend(itertools.islice(started, 1 + ahead - len(in_flight)))
            if not in_flight:
                return
            yield _finished(in_flight)
    finally:
        # The traceback of an error keeps this frame alive, and its variables must not keep jobs.
        while in_flight:
            in_flight.popleft().cancel()


def _finished(in_flight: deque[StartedJob[J, R]]) -> tuple[J, list[R]]:
    """Wait for the oldest job, remove it and return it with its results; on an error it stays."""
    results = in_flight[0].results()
    return in_flight.popleft().job, results


class _EndsWithProgram(Protocol):
    def _end_with_program(self) -> None: ...


_open: weakref.WeakSet[_EndsWithProgram] = weakref.WeakSet()
_program_ends = threading.Event()


def end_with_program(owner: _EndsWithProgram) -> None:
    """Call ``_end_with_program()`` of *owner* when the program ends, after all threads that keep it from ending."""
    _open.add(owner)


def _end_program() -> None:
    _program_ends.set()
    for owner in list(_open):
        owner._end_with_program()  # noqa: SLF001 - not for users of the classes
    # A thread that Python stops inside a C++ library would abort the program, also if its WorkerThreads was dropped.
    for thread, pieces in list(_running.items()):
        _cancel_queued(pieces)
        if thread.is_alive():  # no other can be joined
            thread.join()


atexit.register(_end_program)


def stay_if_program_ends() -> None:
    """Do not return if the program ends and the calling thread is a daemon, which Python stops wherever it is.

    For a thread that would raise an error only because what it uses was shut down by then.
    """
    if _program_ends.is_set() and threading.current_thread().daemon:
        threading.Event().wait()


def pieces_per_job(workers: int, ahead: int) -> int:
    """Return the number of pieces to cut a job into, so that each worker has one piece in work and one waiting.

    With *ahead* jobs besides the current one in progress. Not more pieces than that, and often one: handing a piece to
    a worker costs as much as decoding an image.
    """
    return min(workers, -(-2 * workers // (1 + ahead)))
