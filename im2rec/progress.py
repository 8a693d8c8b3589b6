"""How long work tells how far it is: a function that takes a count and a share, and the phases of the work.

A function of the library that may take long has a parameter ``progress``, any function of a count and a share. What
also has a method ``begin_phase``, as the bars of the command line do, is told which phase begins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

Progress = Callable[[int, float], None]  # takes the number of finished items and the finished share of the work, 0 to 1

BYTE = "byte"  # a unit


@dataclasses.dataclass(frozen=True)
class Phase:
    """One of the phases of some work, which follow one another.

    *what* says in a word or two what is done, and *unit*, in the singular, what is counted meanwhile. The phase takes
    the share of the whole work from *start* to *end*. *count* items and *share* of the phase are those that earlier
    runs have finished: this run begins behind them. *share* is None if none can be known, as the end is not. Without
    *is_rated* a rate says nothing.
    """

    what: str
    unit: str
    start: float = 0.0
    end: float = 1.0
    count: int = 0
    share: float | None = 0.0
    is_rated: bool = True


def begin_phase(progress: Progress | None, phase: Phase) -> Progress:
    """Tell *progress* that *phase* begins, if it has the method ``begin_phase`` for that.

    Returns the function to call meanwhile, with the count and the share of the phase.
    """
    if progress is None:
        return _ignore
    if (begin := getattr(progress, "begin_phase", None)) is not None:
        begin(phase)
    if (phase.start, phase.end) == (0.0, 1.0):
        return progress
    start, width = phase.start, phase.end - phase.start
    return lambda count, share: progress(count, start + width * share)


def _ignore(_count: int, _share: float) -> None:
    pass
