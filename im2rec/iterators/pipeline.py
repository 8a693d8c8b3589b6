"""Work done ahead of who asks for it: bounded, in order, on threads that are owned."""

from __future__ import annotations

import concurrent.futures
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

J = TypeVar("J")
P = TypeVar("P")
R = TypeVar("R")


def in_order(
    pool: concurrent.futures.Executor, work: Callable[[J, P], R], jobs: Iterable[tuple[J, list[P]]], *, ahead: int
) -> Generator[tuple[J, list[R]], None, None]:
    """Yield each job with the results of ``work(job, piece)`` for its pieces, in order.

    While the consumer is busy with a job, at most *ahead* later ones are in work or finished. *jobs* is drawn as they
    are started. Closing the generator cancels what was not begun and waits for what was. *pool* is the caller's.
    """
    owner = os.getpid()
    in_flight: deque[tuple[J, list[concurrent.futures.Future[R]]]] = deque()
    try:
        for job, pieces in jobs:
            in_flight.append((job, [pool.submit(work, job, piece) for piece in pieces]))
            if len(in_flight) > ahead:
                yield _finished(in_flight)
        while in_flight:
            yield _finished(in_flight)
    finally:
        futures = [future for _, pieces in in_flight for future in pieces]
        running = [future for future in futures if not future.cancel()]
        if os.getpid() == owner:  # in a forked child nobody is at work
            # What runs still writes into its arrays: they must not be handed on before it has ended.
            concurrent.futures.wait(running)


def _finished(in_flight: deque[tuple[J, list[concurrent.futures.Future[R]]]]) -> tuple[J, list[R]]:
    """The oldest job, when it is done. It stays in flight while it is waited for, to be cancelled with the others."""
    job, futures = in_flight[0]
    results = [future.result() for future in futures]
    in_flight.popleft()
    return job, results


def pieces_of(items: list[P], workers: int, least: int = 4) -> list[list[P]]:
    """*items* in pieces, several for each of *workers* so that they end together, but of *least* items and more."""
    size = max(least, -(-len(items) // (4 * workers)))
    return [items[start : start + size] for start in range(0, len(items), size)]
