"""Rates in images per second, as medians of short repetitions; the options and the progress of all measurements."""

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
from im2rec.parallel import available_cpus
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.schema import described

T = TypeVar("T")
K = TypeVar("K")

ROUNDS = 3  # of runs that are compared: in rounds, because other load on the machine then slows all of them alike
REPETITIONS = 9  # of one measurement over all rounds: enough that an outlier does not move the quartiles
_MAX_OVERRUN = 3.0  # times the planned seconds of all rounds: after that no further round is started
_CHUNKS_PER_THREAD = 16  # in one repetition: small enough that all threads end at about the same time


@dataclasses.dataclass(frozen=True)
class Rate:
    """Images per second in some *repetitions* of a measurement, half of which lie between *low* and *high*."""

    median: float = described("Median of the numbers.")
    low: float = described("Lower quartile.")
    high: float = described("Upper quartile.")
    repetitions: int = described("Number of measurements.")

    @classmethod
    def of(cls, rates: Sequence[float]) -> Rate:
        """Return the rate that summarises *rates*, one number per repetition and at least one."""
        low, median, high = statistics.quantiles(rates, n=4, method="inclusive") if len(rates) > 1 else [rates[0]] * 3
        return cls(median, low, high, len(rates))

    @property
    def spread(self) -> float:
        """The interquartile range as a fraction of the median."""
        return (self.high - self.low) / self.median


def now() -> float:
    """Return seconds on the clock that times all measurements; only differences have a meaning."""
    return time.perf_counter()


TimedRun = Callable[[float], list[float]]  # works for about the given seconds; returns images/s of each repetition


def in_rounds(
    runs: Mapping[K, TimedRun],
    seconds: float,
    *,
    rounds: int = ROUNDS,
    before_each: Callable[[K], None] | None = None,
    after_each: Callable[[], None] | None = None,
) -> dict[K, Rate]:
    """Return the rate of each of *runs*, which take turns in *rounds* and get about *seconds* each in all.

    *before_each* is called with its name before every turn, and *after_each* after it. When runs take far longer than
    planned, fewer rounds are made.
    """
    rates: dict[K, list[float]] = {name: [] for name in runs}
    end = now() + _MAX_OVERRUN * seconds * len(runs)
    for number in range(rounds):
        for name, run in runs.items():
            if before_each:
                before_each(name)
            rates[name] += run(seconds / rounds)
            if after_each:
                after_each()
        if number + 1 < rounds and now() > end:
            break
    return {name: Rate.of(repetitions) for name, repetitions in rates.items()}


def speedup(current: TimedRun, alternative: TimedRun, seconds: float) -> float:
    """Return the rate of *alternative* divided by that of *current*, timed in rounds for about *seconds* each."""
    rates = in_rounds({"current": current, "alternative": alternative}, seconds)
    return rates["alternative"].median / rates["current"].median


def timed_repetitions(work: Callable[[], int], seconds: float, repetitions: int = REPETITIONS // ROUNDS) -> list[float]:
    """Call *work* for about *seconds* and return the images per second of each repetition.

    *work* returns the number of images that it handled. A repetition is one call, or as many calls as fit into its
    share of the time.
    """
    rates: list[float] = []
    end = now() + seconds
    while not rates or (len(rates) < repetitions and now() < end):
        start, images = now(), 0
        while (elapsed := now() - start) < seconds / repetitions or not images:
            images += work()
        rates.append(images / elapsed)
    return rates


def timed_run(work: Callable[[T], object], items: Sequence[T], *, threads: int = 1) -> TimedRun:
    """Return a run that calls *work* on all *items*, repeatedly, with *threads*."""

    def run(seconds: float) -> list[float]:
        with passes(work, items, threads) as one_pass:
            return timed_repetitions(one_pass, seconds)

    return run


@contextlib.contextmanager
def passes(work: Callable[[T], object], items: Sequence[T], threads: int) -> Iterator[Callable[[], int]]:
    """Give a function that calls *work* on all *items* with *threads* and returns the number of calls.

    Few items are handled several times in one pass, each equally often, so that every thread has work. The threads
    end with the block.
    """
    times = max(1, -(-_CHUNKS_PER_THREAD * threads // len(items))) if threads > 1 else 1
    all_items = list(items) * times

    def handle(chunk: Sequence[T]) -> None:
        for item in chunk:
            work(item)

    if threads == 1:

        def pass_in_this_thread() -> int:
            handle(all_items)
            return len(all_items)

        yield pass_in_this_thread
        return
    size = -(-len(all_items) // (_CHUNKS_PER_THREAD * threads))
    chunks = [all_items[start : start + size] for start in range(0, len(all_items), size)]
    with concurrent.futures.ThreadPoolExecutor(threads, "im2rec-bench") as pool:

        def pass_in_threads() -> int:
            list(pool.map(handle, chunks))
            return len(all_items)

        yield pass_in_threads


MIN_SHARE = 0.25  # of the time per image: for stages that take less, no alternative is timed
_TOTAL_S, _MAX_MEASUREMENT_S = 30.0, 2.5  # by default: of all measurements together, and of a single one


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """The numbers of *threads* (or workers) to measure with, and the *seconds* of each measurement.

    By default the numbers of threads double up to the CPUs, and all measurements share half a minute. *against* maps
    the name of a peer library to the Python interpreter that has it. Raises ParameterError for values out of range.
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
    def thread_counts(self) -> list[int]:
        """The numbers of threads to measure with, ascending."""
        return sorted(set(self.threads)) if self.threads else doubling_counts(available_cpus())

    def seconds_each(self, measurements: int) -> float:
        """Return the seconds for each of *measurements*."""
        return self.seconds if self.seconds is not None else min(_MAX_MEASUREMENT_S, _TOTAL_S / measurements)


def doubling_counts(cpus: int) -> list[int]:
    """Return 1, 2, 4 and so on below *cpus*, and *cpus* itself."""
    return sorted({2**power for power in range(cpus.bit_length())} | {cpus})


class ProgressSteps:
    """Calls *progress* after each of *total* measurements, and names the one that is made."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._done = total, progress, 0
        self.name("reading")

    def name(self, what: str) -> None:
        """Say *what* is timed from now on."""
        begin_phase(self._progress, Phase(f"timing {what}", "step", is_rated=False))

    def set_remaining(self, count: int) -> None:
        """Correct the total: *count* measurements are still to come."""
        self._total = self._done + count

    def finish(self) -> None:
        """Say that all is measured, in fewer steps than were planned if the steps were slow."""
        self._total = self._done
        if self._progress:
            self._progress(self._done, 1.0)

    def advance(self) -> None:
        """Count one measurement as done."""
        self._done += 1
        if self._progress:
            self._progress(self._done, min(1.0, self._done / self._total))


def has_opencv() -> bool:
    """Return True if OpenCV can be imported."""
    try:
        load_engine("opencv")
    except ParameterError:
        return False
    return True
