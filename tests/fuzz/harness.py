"""Fuzzing of every parser: each returns or raises one of our errors, for any input, in bounded time and memory.

``targets.py`` lists the parsers, ``mutations.py`` makes the inputs. An input is a finding if its parser raises anything
else, warns, allocates more than the size of the input allows, takes longer than ``SLOW_S``, or ends the process.

Time is measured only where ``make fuzz`` runs, and only to find what does not end. What Python and numpy allocate is
counted exactly; what libraries allocate is seen, where the system reports it, in the memory of the process.
"""

from __future__ import annotations

import random
import sys
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fuzz.mutations import mutated
from fuzz.targets import TARGETS, Target

from im2rec.errors import Im2RecError

try:
    import resource
except ImportError:  # Windows
    resource: Any = None  # type: ignore[no-redef]

FOLDER = Path(__file__).parent
FINDINGS, REGRESSIONS = FOLDER / "findings", FOLDER / "regressions"
SLOW_S = 10.0  # of one input, all of which take a hundredth of that
MOST_BYTES = 1 << 20  # of an input
_MOST_RESIDENT = 512 << 20  # by which the memory of the process may grow, beyond what the target allows
_COUNTED_EVERY = 4  # inputs in a timed run: of the others the time is measured
_MOST_SEEDS = 400
_PACKAGE = "im2rec"


class Problem(NamedTuple):
    """The *kind* of a finding, the same for all inputs that show the same fault, and a *text* that describes it."""

    kind: str
    text: str


class Finding(NamedTuple):
    """An input with a problem."""

    problem: Problem
    data: bytes


class Checked(NamedTuple):
    """The outcome of one input: its problem, if it has one, and the *place* in the code where an error was raised."""

    problem: Problem | None
    place: str = ""


def check(target: Target, data: bytes, *, timed: bool = False) -> Checked:
    """Run *target* on *data*, and count what it allocates; if *timed*, measure time and memory of the process instead.

    Counting makes some code a hundred times slower.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="PIL")  # as the command line does: of odd metadata
        checked, excess = (_timed if timed else _counted)(target, data)
    if checked.problem is None and excess is not None:
        size = f"for an input of {len(data):,} bytes"
        return Checked(Problem(excess.kind, f"{excess.text} {size}"), checked.place)
    return checked


def _counted(target: Target, data: bytes) -> tuple[Checked, Problem | None]:
    most = target.most_memory(len(data))
    tracemalloc.start()
    try:
        checked = _outcome(target, data)
        allocated = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    is_fine = allocated <= most
    return checked, None if is_fine else Problem("memory", f"allocates {allocated:,} bytes, more than {most:,},")


def _timed(target: Target, data: bytes) -> tuple[Checked, Problem | None]:
    begun, resident = time.process_time(), _resident()
    checked = _outcome(target, data)
    seconds, grown = time.process_time() - begun, _resident() - resident
    if seconds > SLOW_S:
        return checked, Problem("slow", f"takes {seconds:.0f} s")
    if grown > target.most_memory(len(data)) + _MOST_RESIDENT:
        return checked, Problem("resident", f"lets the process grow by {grown:,} bytes")
    return checked, None


def _outcome(target: Target, data: bytes) -> Checked:
    try:
        target.run(data)
    except target.errors as error:
        try:
            str(error)
        except Exception as other:  # noqa: BLE001 - a message that cannot be made is a fault of ours
            return Checked(_problem_of(other))
        return Checked(None, _place_of(error))
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return Checked(_problem_of(error), _place_of(error))
    return Checked(None)


def _problem_of(error: Exception) -> Problem:
    text = f"{type(error).__name__}: {error}".partition("\n")[0][:300]
    note = " (an error of ours, but not one that this parser may raise)" if isinstance(error, Im2RecError) else ""
    place = _place_of(error)
    return Problem(f"{type(error).__name__}-{place}", f"{text}{note}, at {place}")


def _place_of(error: BaseException) -> str:
    """Return file and line of the innermost call in the package."""
    frames = traceback.extract_tb(error.__traceback__, limit=-60)
    own = [
        frame
        for frame in frames
        if f"{_PACKAGE}/" in frame.filename.replace("\\", "/") and "/tests/" not in frame.filename
    ]
    return f"{Path(own[-1].filename).stem}:{own[-1].lineno}" if own else ""


def _resident() -> int:
    """Return the most bytes that the process has had in memory; 0 where the system does not say."""
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def an_input(target: Target, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return one of *seeds*, mutated in the ways of *target*."""
    if target.reshape is not None and rng.random() < 0.7:
        data = rng.choice(seeds)
        for _ in range(rng.randrange(1, 4)):
            data = target.reshape(rng, data)
    else:
        data = mutated(rng, seeds, target.fields, target.tokens)
        data = target.mend(data) if target.mend and rng.random() < 0.7 else data
    return data[:MOST_BYTES]


class Inputs:
    """The inputs of *target* that follow from *seed*: first its valid ones, which it must take, then mutated ones.

    An input by which an error is raised at a new place of the code is mutated further.
    """

    def __init__(self, target: Target, seed: int) -> None:
        self._target = target
        self._rng = random.Random(f"{target.name} {seed}")
        self._seeds = target.make_seeds()
        self._first = list(self._seeds)
        self._places = {""}

    def __iter__(self) -> Iterator[bytes]:
        yield from self._first
        while True:
            yield an_input(self._target, self._rng, self._seeds)

    def learn(self, data: bytes, place: str) -> None:
        """Keep *data* as a seed if it is small, and the first that led to an error at *place*."""
        if place not in self._places and len(self._seeds) < _MOST_SEEDS and len(data) < 1 << 14:
            self._places.add(place)
            self._seeds.append(data)


class Outcome(NamedTuple):
    """The number of *inputs* that were run, of *places* at which errors were raised, and a finding of each kind."""

    inputs: int
    places: int
    findings: dict[str, Finding]


class Recorder:
    """Runs a target on inputs, and keeps the smallest input of each fault."""

    def __init__(self, target: Target) -> None:
        self.inputs = 0
        self._target = target
        self._places: set[str] = set()
        self._findings: dict[str, Finding] = {}

    def run(self, data: bytes, *, timed: bool) -> str:
        """Run the target on *data*, also by the clock if *timed*; return the place at which an error was raised."""
        problem, place = check(self._target, data, timed=timed and self.inputs % _COUNTED_EVERY != 0)
        self.inputs += 1
        self._places.add(place)
        known = self._findings.get(problem.kind) if problem else None
        if problem and (known is None or len(data) < len(known.data)):
            self._findings[problem.kind] = Finding(problem, data)
        return place

    def outcome(self) -> Outcome:
        """Return what was found so far."""
        return Outcome(self.inputs, len(self._places - {""}), dict(self._findings))


def fuzz(
    target: Target,
    seed: int,
    *,
    goes_on: Callable[[int], bool],
    announce: Callable[[bytes], object] = lambda _: None,
    timed: bool = False,
) -> Outcome:
    """Run *target* on inputs while *goes_on*, called with their number, is true; *announce* gets each before that."""
    inputs, recorder = Inputs(target, seed), Recorder(target)
    for data in inputs:
        if not goes_on(recorder.inputs):
            break
        announce(data)
        inputs.learn(data, recorder.run(data, timed=timed))
    return recorder.outcome()


def minimised(target: Target, finding: Finding, *, goes_on: Callable[[], bool]) -> Finding:
    """Return the smallest input with the same fault that is found by removing bytes, while *goes_on* is true."""
    data, step = finding.data, max(1, len(finding.data) // 2)
    while step and finding.problem.kind not in ("slow", "resident"):
        at = 0
        while at < len(data):
            if not goes_on():
                return finding
            shorter = data[:at] + data[at + step :]
            found = check(target, shorter).problem
            if found is not None and found.kind == finding.problem.kind:
                data, finding = shorter, Finding(found, shorter)
            else:
                at += step
        step //= 2
    return finding


def replay(path: Path) -> Problem | None:
    """Return the problem of a saved input, ``TARGET-name.bin``; None if it has none."""
    return check(TARGETS[path.name.partition("-")[0]], path.read_bytes()).problem
