"""Images a second, as the median of several short repetitions; the options and the progress of every measurement."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from im2rec.errors import ParameterError
from im2rec.images.engine import load_engine
from im2rec.parallel import Progress, available_cpus

T = TypeVar("T")
K = TypeVar("K")
Each = Callable[[], None]

ROUNDS = 3  # of measurements that are to be compared: whatever else the machine does meets all of them
REPETITIONS = 9  # of a measurement in all: the middle half of so many is more than an accident
_LATE = 3.0  # times what a measurement should take: then a single round has to do
_PIECES = 16  # of the work of a repetition, for each thread: so that all of them end at about the same time


@dataclasses.dataclass(frozen=True)
class Rate:
    """Images a second: the *median* of some *repetitions*; half of them lie from *low* to *high*."""

    median: float
    low: float
    high: float
    repetitions: int

    @classmethod
    def of(cls, rates: Sequence[float]) -> Rate:
        """The rate of repetitions with *rates*, of which there is one at least."""
        low, median, high = statistics.quantiles(rates, n=4, method="inclusive") if len(rates) > 1 else [rates[0]] * 3
        return cls(median, low, high, len(rates))

    @property
    def spread(self) -> float:
        """What lies between *low* and *high*, as a part of the median."""
        return (self.high - self.low) / self.median


def now() -> float:
    """Seconds on the clock that times everything here, from a start of its own."""
    return time.perf_counter()


TimedRun = Callable[[float], list[float]]  # works for about so many seconds: the images a second of each repetition


def in_rounds(
    turns: Mapping[K, TimedRun], seconds: float, *, rounds: int = ROUNDS, each: Each | None = None
) -> dict[K, Rate]:
    """Take the *turns* one after the other, and again, for about *seconds* each in all; *each* is called after one."""
    rates: dict[K, list[float]] = {name: [] for name in turns}
    end = now() + _LATE * seconds * len(turns)
    for number in range(rounds):
        for name, turn in turns.items():
            rates[name] += turn(seconds / rounds)
            if each:
                each()
        if number + 1 < rounds and now() > end:
            break
    return {name: Rate.of(found) for name, found in rates.items()}


def gain(now: TimedRun, other: TimedRun, seconds: float) -> float:
    """The speed of *other* as a multiple of that of *now*, timed in turns for about *seconds* each."""
    both = in_rounds({"now": now, "other": other}, seconds)
    return both["other"].median / both["now"].median


def repeated(work: Callable[[], int], seconds: float, repetitions: int = REPETITIONS // ROUNDS) -> list[float]:
    """Call *work*, which says how many images it handled, for about *seconds*; the images a second of each repetition.

    A repetition is one call, or as many as its share of the time allows.
    """
    rates: list[float] = []
    end = now() + seconds
    while not rates or (len(rates) < repetitions and now() < end):
        start, images = now(), 0
        while (took := now() - start) < seconds / repetitions or not images:
            images += work()
        rates.append(images / took)
    return rates


def timed_run(work: Callable[[T], object], items: Sequence[T], *, threads: int = 1) -> TimedRun:
    """A turn of letting *work* handle *items* on *threads*, all of them again and again."""

    def turn(seconds: float) -> list[float]:
        with passes(work, items, threads) as one_pass:
            return repeated(one_pass, seconds)

    return turn


@contextlib.contextmanager
def passes(work: Callable[[T], object], items: Sequence[T], threads: int) -> Iterator[Callable[[], int]]:
    """A function that lets *work* handle all of *items* on *threads*, several times if they are few; how many it did.

    The threads end with the block.
    """
    times = max(1, -(-_PIECES * threads // len(items))) if threads > 1 else 1
    todo = list(items) * times

    def handle(piece: Sequence[T]) -> None:
        for item in piece:
            work(item)

    if threads == 1:

        def one_pass() -> int:
            handle(todo)
            return len(todo)

        yield one_pass
        return
    size = -(-len(todo) // (_PIECES * threads))
    pieces = [todo[at : at + size] for at in range(0, len(todo), size)]
    with concurrent.futures.ThreadPoolExecutor(threads, "im2rec-bench") as pool:

        def in_threads() -> int:
            list(pool.map(handle, pieces))
            return len(todo)

        yield in_threads


READ = "reading"
WORTH_TRYING = 0.25  # share of the time from which on another way to do it is timed
_ALL_S, _MOST_S = 30.0, 2.5  # for all measurements together, and the most for one


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """How to measure: on which numbers of *threads* (or workers; None: doubled up to the CPUs), *seconds* each.

    *against* gives the Python of each peer, by name.
    """

    threads: tuple[int, ...] | None = None
    seconds: float | None = None
    against: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.threads is not None and (not self.threads or min(self.threads) < 1):
            shown = ",".join(map(str, self.threads))
            raise ParameterError(f"--threads {shown} must be numbers from 1 on, joined by commas")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise ParameterError(f"--seconds {self.seconds:g} must be above 0")

    @property
    def counts(self) -> list[int]:
        """The numbers of threads, ascending."""
        return sorted(set(self.threads)) if self.threads else doubled(available_cpus())

    def each(self, measurements: int) -> float:
        """Seconds for one measurement of so many."""
        return self.seconds if self.seconds is not None else min(_MOST_S, _ALL_S / measurements)


def doubled(cpus: int) -> list[int]:
    """1, 2, 4 and so on, and *cpus*."""
    return sorted({2**power for power in range(cpus.bit_length())} | {cpus})


class Steps:
    """Tells *progress* of one measurement after the other, of *total*."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def expect(self, more: int) -> None:
        """So many measurements are to come, whatever was expected before."""
        self._total = self._done + more

    def next(self) -> None:
        """A measurement is over."""
        self._done += 1
        if self._progress:
            self._progress(self._done, min(1.0, self._done / self._total))


def opencv_installed() -> bool:
    """Whether OpenCV can be imported."""
    try:
        load_engine("opencv")
    except ParameterError:
        return False
    return True
