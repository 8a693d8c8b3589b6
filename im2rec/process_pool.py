"""A worker process for each thread that has work for one, and a second try for items whose process dies."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from im2rec.errors import Im2RecError
from im2rec.workers import Worker, start_worker

S = TypeVar("S")
T = TypeVar("T")

_STARTS = 3  # processes that may die before their first item, one after the other, until the run ends
KILLED = "killed its process"  # reason that an item failed
_MEMORY, _CRASH = "out of memory", "a crash in an image library"
_LIKELY_CAUSE = {"SIGKILL": f"{_MEMORY}?"} | dict.fromkeys(("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE"), _CRASH)


class WorkerDiedError(Im2RecError):
    """A worker process died before it returned its result, or none can be started."""


class ItemKilledError(WorkerDiedError):
    """A worker process died while it worked on an item, or was killed because that took too long (*timed_out*).

    *detail* is what happened in words, without the name of the item.
    """

    detail = ""
    timed_out = False


@dataclasses.dataclass(frozen=True)
class Retry(Generic[S, T]):
    """The second try of an item whose process died: *split* cuts it into parts, and each is worked on alone.

    A part whose process dies as well has the result *failed* of the part and of the error. *empty* is an item without
    parts: each new process gets it first, to import and load all that the work needs. *join* makes one result of that
    of the empty item and those of all parts, in order.

    With *timeout_s* a process that works longer than that on one item or part is killed, and counts as one that died;
    the *empty* item may take any time. An item of many parts has no more time than a part: if it takes longer, nothing
    is lost but time, as each part then has all of *timeout_s* for itself.
    """

    split: Callable[[S], list[S]]
    failed: Callable[[S, ItemKilledError], T]
    join: Callable[[T, list[T]], T]
    empty: S
    timeout_s: float | None = None


class ProcessPool(Generic[S, T]):
    """One worker process for each thread that calls :meth:`call`; one that has died is replaced.

    When a process dies, even in the middle of an answer, the one thread that waits for it reaches the end of its pipe,
    and the item it worked on is known. (A ProcessPoolExecutor reads all answers from one pipe. A process that dies
    while writing leaves half an answer in it, and the run would wait for the rest for ever.)
    """

    def __init__(self, work: Callable[[S], T], name: Callable[[S], str], retry: Retry[S, T] | None = None) -> None:
        self._work = work
        self._name = name
        self._retry = retry
        self._thread_local = threading.local()
        self._lock = threading.Lock()
        self._workers: set[Worker] | None = set()  # None after end()

    def call(self, item: S) -> T:
        """Return ``work(item)``, computed in the calling thread's process; the first call of a thread starts it.

        Raises any exception of *work*, WorkerDiedError when no process can be started or the pool has ended, and
        without a second try ItemKilledError when the process dies.
        """
        retry = self._retry
        if retry is None:
            return self._try(item)
        try:
            return self._try(item)
        except ItemKilledError:
            results = [self._try_again(part, retry) for part in retry.split(item)]
            return retry.join(self._thread_local.of_empty, results)

    def _try_again(self, part: S, retry: Retry[S, T]) -> T:
        try:
            return self._try(part)
        except ItemKilledError as error:
            return retry.failed(part, error)

    def _try(self, item: S) -> T:
        """Return ``work(item)``. Raises ItemKilledError when the process dies or takes too long; it is then removed."""
        timeout_s = self._retry.timeout_s if self._retry else None
        worker = self._worker()
        try:
            succeeded, answer = worker.call(item, timeout_s)
        except (EOFError, OSError) as error:
            del self._thread_local.worker
            timed_out = isinstance(error, TimeoutError)
            exitcode = self._remove(worker, is_dead=not timed_out)
        else:
            return _result(succeeded, answer)  # type: ignore[no-any-return]
        if timed_out:
            killed = ItemKilledError(f"working on {self._name(item)} took longer than {timeout_s:g} s")
            killed.detail = f"took longer than {timeout_s:g} s"
        else:
            how, cause = _describe_exit(exitcode), _likely_cause(exitcode)
            problem = f"a worker process died ({how}) while working on {self._name(item)}"
            killed = ItemKilledError(problem, hint=f"{_MEMORY}, or {_CRASH}")
            killed.detail = f"its process died, {how}" + (f": {cause}" if cause else "")
        killed.timed_out = timed_out
        raise killed

    def _worker(self) -> Worker:
        """Return the calling thread's worker process, started if it has none.

        With a second try it has worked on the empty item. A process that dies meanwhile died of no item, but perhaps
        of the system, which might let no other one live either.
        """
        if not hasattr(self._thread_local, "worker"):
            self._thread_local.worker = self._start() if self._retry is None else self._start_ready(self._retry)
        worker: Worker = self._thread_local.worker
        return worker

    def _start_ready(self, retry: Retry[S, T]) -> Worker:
        """Start a process and have it work on the empty item; up to ``_STARTS`` times if it dies."""
        exitcode = None
        for _ in range(_STARTS):
            worker = self._start()
            try:
                succeeded, answer = worker.call(retry.empty)
            except (EOFError, OSError):
                exitcode = self._remove(worker, is_dead=True)
            else:
                self._thread_local.of_empty = _result(succeeded, answer)
                return worker
        problem = f"{_STARTS} worker processes died at their start (the last one {_describe_exit(exitcode)})"
        raise WorkerDiedError(problem, hint=f"{_MEMORY}, or {_CRASH}: try fewer workers")

    def _start(self) -> Worker:
        with self._lock:
            if self._workers is None:
                raise WorkerDiedError("the worker processes have been ended")
            try:
                worker = start_worker(self._work)
            except OSError as error:
                problem = f"no worker process can be started: {(error.strerror or str(error)).lower()}"
                raise WorkerDiedError(problem, hint="end other programs, or try fewer workers") from error
            self._workers.add(worker)
            return worker

    def _remove(self, worker: Worker, *, is_dead: bool) -> int | None:
        """End *worker*. If it *is_dead*, return its exit code."""
        exitcode = worker.exitcode() if is_dead else None
        worker.end()
        with self._lock:
            if self._workers is not None:
                self._workers.discard(worker)
        return exitcode

    def end(self) -> None:
        """End all processes; a call that waits for one of them raises WorkerDiedError. Calling it twice is allowed."""
        with self._lock:
            workers, self._workers = self._workers or set(), None
        for worker in workers:
            worker.end()


def _result(succeeded: bool, answer: Any) -> Any:
    """Return the *answer* of a worker, or raise it."""
    if not succeeded:
        raise answer
    return answer


def _signal_name(exitcode: int | None) -> str:
    """Return the name of the signal that ended a process, or an empty string."""
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-exitcode).name
    return ""


def _describe_exit(exitcode: int | None) -> str:
    if exitcode is None:
        return "for an unknown reason"
    name = _signal_name(exitcode)
    return f"by {name}" if name else f"exit code {exitcode}"


def _likely_cause(exitcode: int | None) -> str:
    return _LIKELY_CAUSE.get(_signal_name(exitcode), "")
