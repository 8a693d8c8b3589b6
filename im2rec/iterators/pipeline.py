"""Work done ahead of who asks for it: bounded, in order, on threads that are owned."""

from __future__ import annotations

import concurrent.futures
import itertools
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar

J = TypeVar("J")
P = TypeVar("P")
R = TypeVar("R")
_IN_QUEUE = 2  # pieces for each worker that are the pool's; the others wait here


def in_order(
    pool: concurrent.futures.Executor,
    work: Callable[[J, P], R],
    jobs: Iterable[tuple[J, list[P]]],
    *,
    workers: int,
    ahead: int,
) -> Generator[tuple[J, list[R]], None, None]:
    """Yield each job with the results of ``work(job, piece)`` for its pieces, in order.

    While the consumer is busy with a job, at most *ahead* later ones are in work or finished. *jobs* is drawn as they
    are started. Closing the generator cancels what was not begun, and does not wait for what was: it may be collected
    by one of the very threads that are at work. *pool* has so many *workers* and is the caller's.
    """
    line: _Line[J, P, R] = _Line(pool, work, _IN_QUEUE * workers)
    in_flight: deque[tuple[J, list[concurrent.futures.Future[R]]]] = deque()
    started = map(line.start, jobs)
    # No variable here is a job: who keeps an error keeps this frame, and with it all that it names.
    try:
        while True:
            in_flight.extend(itertools.islice(started, 1 + ahead - len(in_flight)))
            if not in_flight:
                return
            yield _finished(in_flight)
    finally:
        line.cancel()
        in_flight.clear()


def _finished(in_flight: deque[tuple[J, list[concurrent.futures.Future[R]]]]) -> tuple[J, list[R]]:
    """The oldest job, when it is done."""
    results = [future.result() for future in in_flight[0][1]]
    return in_flight.popleft()[0], results


class _Line(Generic[J, P, R]):
    """Pieces in the order they came, of which a few at a time are in the pool.

    When a program ends, Python has pools work off what is in their queues: this keeps them short. What waits here is
    then cancelled.
    """

    def __init__(self, pool: concurrent.futures.Executor, work: Callable[[J, P], R], most: int) -> None:
        self._pool = pool
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[tuple[concurrent.futures.Future[R], J, P]] = deque()
        self._begun = 0

    def start(self, whole: tuple[J, list[P]]) -> tuple[J, list[concurrent.futures.Future[R]]]:
        """A job and the results of its pieces, which are to come."""
        job, pieces = whole
        return job, [self._join(job, piece) for piece in pieces]

    def _join(self, job: J, piece: P) -> concurrent.futures.Future[R]:
        future: concurrent.futures.Future[R] = concurrent.futures.Future()
        self._waiting.append((future, job, piece))
        self._begin()
        return future

    def _begin(self) -> None:
        with self._lock:
            if self._begun >= self._most or not self._waiting:
                return
            self._begun += 1
            first = [self._waiting.popleft()]
        try:
            self._pool.submit(self._do, first)
        except RuntimeError:  # the pool was shut down, or the program ends
            first[0][0].cancel()
            self.cancel()

    def _do(self, one: list[tuple[concurrent.futures.Future[R], J, P]]) -> None:
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
                self._begun -= 1
            self._begin()

    def cancel(self) -> None:
        """Forget what was not begun."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for future, _, _ in waiting:
            future.cancel()


def pieces_wanted(workers: int, ahead: int) -> int:
    """Into how many pieces to cut a job, so that each of *workers* has one in work and one to go on with.

    No more than that, and often one: whatever is handed over costs as much as decoding a picture.
    """
    return min(workers, -(-2 * workers // (1 + ahead)))


def piece_size(items: int, pieces: int, least: int = 8) -> int:
    """How many of *items* make one of so many *pieces*; none is tiny."""
    return max(least, -(-items // pieces))
