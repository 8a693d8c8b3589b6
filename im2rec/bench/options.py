"""What both kinds of run have in common: how to measure, how far it is, and the shares of stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from im2rec.bench.report import Stage
from im2rec.bench.timing import Rate
from im2rec.errors import ParameterError
from im2rec.images.engine import load_engine
from im2rec.parallel import available_cpus

READ = "reading"
WORTH_TRYING = 0.25  # share of the time from which on another way to do it is timed
_ALL_S, _MOST_S = 30.0, 2.5  # for all measurements together, and the most for one
Progress = Callable[[int, float], None]


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

    def next(self) -> None:
        """A measurement is over."""
        self._done += 1
        if self._progress:
            self._progress(self._done, min(1.0, self._done / self._total))


def shares(alone: Mapping[str, Rate], whole: Rate | None) -> list[Stage]:
    """The stages with their shares of the time of the *whole* on one thread, or of their sum where that is longer."""
    total = sum(1 / stage.median for stage in alone.values())
    if whole is not None:
        total = max(total, 1 / whole.median)
    return [Stage(name, stage, 1 / stage.median / total) for name, stage in alone.items()]


def opencv_installed() -> bool:
    """Whether OpenCV can be imported."""
    try:
        load_engine("opencv")
    except ParameterError:
        return False
    return True
