"""Let the power fail at any moment of a job that writes files, and run it again: the files must be the same.

A job is anything that can be run again with the same words. Before that, the files under their final names must be
whole, and fit each other. Nothing here asks im2rec what is on the disk.
"""

from __future__ import annotations

import random
import struct
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faults.disk_model import (
    PLAIN_LOSSES,
    Disk,
    History,
    Loss,
    Operation,
    State,
    Sync,
    Truncate,
    key_of,
    set_state,
    state_of,
)
from faults.disk_recorder import Failure, recorded, unsynced


@dataclass(frozen=True)
class Job:
    """*run* writes into a folder with the files *before*; *group* are the names of a ``.rec`` and what belongs to it.

    *partial* and *journal* are the names of the temporary file of the ``.rec`` and of the journal, and *images* the
    paths of the images that the records are made of. *raw_files* are the classes below ``FileIO`` that it writes by.
    *restart* does the same as *run*, but from the beginning. *forced* does that too, as the error of *run* asks for,
    for a job that does not go on and is refused once a part of its files have their names.
    """

    run: Callable[[Path], object]
    before: State = field(default_factory=dict)
    group: tuple[str, ...] = ("o.rec", "o.idx", "o.rec.digest")
    images: tuple[str, ...] = ()
    raw_files: tuple[type, ...] = ()
    restart: Callable[[Path], object] | None = None
    forced: Callable[[Path], object] | None = None

    @property
    def partial(self) -> str:
        return f"{self.group[0]}.im2rec-partial"

    @property
    def journal(self) -> str:
        return f"{self.group[0]}.im2rec-journal"


class Replay:
    """A *job* that ran undisturbed in *folder*: ``history`` of it, and the files ``expected`` of it."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self.folder = job, folder
        set_state(folder, job.before)
        with recorded(folder, *job.raw_files) as recording:
            job.run(folder)
        self.history = recording.history
        self.expected = state_of(folder)

    def run_on(self, earlier: History, failure: Failure | None, *, restart: bool = False) -> tuple[History, str]:
        """Run the job after *earlier*, from the beginning with *restart*; return the history, and the error if any.

        *failure* may end it, which is no error.
        """
        set_state(self.folder, earlier.disk().now())
        run = self.job.restart if restart and self.job.restart else self.job.run
        problem = ""
        with recorded(self.folder, *self.job.raw_files, failure=failure, earlier=earlier) as recording:
            try:
                run(self.folder)
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a problem like any other
                problem = "" if failure or state_of(self.folder) == self.expected else described(error)
        return recording.history, problem

    def moments(self, history: History) -> Iterator[tuple[int, Disk, int]]:
        """Yield for each moment the number of operations done, the disk, and the number of records that are safe.

        Safe are those that were written when the journal was synced for the last time but two. What it says now was
        taken down after that, as at its start a run may only sync, once or twice, what an earlier one has taken down.
        """
        disk, safe = Disk(history.before), _SafeRecords(self.job)
        yield 0, disk, 0
        for done, operation in enumerate(history.operations, 1):
            disk.apply(operation)
            safe.follow(disk, operation)
            yield done, disk, safe.records

    def problem_of(self, state: State) -> str:
        """Return the problem of the final names in *state*, as they are after a power loss; empty if there is none."""
        before, expected = self.job.before, self.expected
        versions: dict[str, set[str]] = {}
        for name in (before.keys() | expected.keys()) & state.keys():
            ages = {"old": before.get(name), "new": expected.get(name)}
            versions[name] = {age for age, content in ages.items() if content == state[name]}
            if not versions[name]:
                return f"{name} is neither old nor new: {len(state[name])} bytes"
        rec, *others = self.job.group
        if rec in before and rec not in state:
            return f"{rec} is gone"
        for name in others:
            if name in versions and not versions[name] & versions.get(rec, set()):
                return f"{name} is {versions[name]}, {rec} is {versions.get(rec, 'missing')}"
        return ""

    def problem_from(self, state: State, safe: int = 0) -> str:
        """Return what is wrong with *state*, which a power loss has left, or with going on from it; or empty text.

        Of the first *safe* records the images must not be read again.
        """
        if problem := self.problem_of(state):
            return problem
        if state == self.expected:  # all was done
            return ""
        set_state(self.folder, state)
        opened: set[str] = set()
        with unsynced(opened.add):
            try:
                self.job.run(self.folder)
            except Exception as error:  # noqa: BLE001 - a problem like any other
                problem = described(error)
                if "exists already" in problem and self.job.forced:
                    self.job.forced(self.folder)
                    problem = ""
        if again := opened & set(self.job.images[:safe]):
            return f"{len(again)} of {safe} images are read again"
        difference = self.difference(state_of(self.folder))  # none: "exists already", and nothing is left behind
        return "; ".join(filter(None, (problem, difference))) if difference else ""

    def missing(self, state: State) -> list[str]:
        """Return the names of the files that *state* lacks, or has otherwise: none may be lost behind the end."""
        return sorted(name for name in self.expected if state.get(name) != self.expected[name])

    def difference(self, found: State) -> str:
        """Return in which file *found* is not as expected, or empty text."""
        if left := sorted(found.keys() - self.expected.keys()):
            return f"left behind: {left}"
        if absent := sorted(self.expected.keys() - found.keys()):
            return f"missing: {absent}"
        wrong = self.missing(found)
        return f"other bytes: {wrong}" if wrong else ""


class _SafeRecords:
    """The number of *records* that no power loss takes, as it follows from the operations up to some moment."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.records = 0
        self._written = [0, 0]  # at the syncs of the journal in this run

    def follow(self, disk: Disk, operation: Operation) -> None:
        """Bring the number up to date after *operation*, which has led to *disk*."""
        journal, partial = disk.file(self._job.journal), disk.file(self._job.partial)
        is_cut = isinstance(operation, Truncate)
        if journal is None or (is_cut and operation.file == journal):  # complete, or begun again
            self.records = 0
            self._written = [0, 0]
        elif is_cut and operation.file == partial:  # a run begins
            self._written = [0, 0]
        elif isinstance(operation, Sync) and operation.file == journal and disk.is_safe(self._job.journal):
            self.records = max(self.records, self._written[-2])
            self._written.append(whole_records(disk.content(self._job.partial)))


def described(error: BaseException) -> str:
    """Return kind, text and place of *error*."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"


def whole_records(data: bytes) -> int:
    """Return the number of whole records at the start of *data*, the bytes of a ``.rec``."""
    records = at = 0
    while at + 8 <= len(data):
        magic, word = struct.unpack_from("<II", data, at)
        at += 8 + (word & 0x1FFFFFFF) + -word % 4
        if magic != 0xCED7230A or at > len(data):
            break
        records += word >> 29 in (0, 3)  # a whole record, or the last part of one
    return records


def problems_at_every_moment(
    replay: Replay, history: History | None = None, *, first: int = 0, drawn: int = 6
) -> list[str]:
    """Return what goes wrong when the power fails at any moment, in *drawn* random ways beside the plain ones.

    That is any moment of *history*, of the undisturbed run if it is None, from the number *first* on.
    """
    rng = random.Random(1)
    history = history or replay.history
    found, seen = [], set()
    for done, disk, safe in replay.moments(history):
        if done < first:
            continue
        losses = [Loss(names, data) for names in disk.name_losses() for data in ("all data", "no data")]
        for loss in [*losses, *PLAIN_LOSSES, *(Loss.drawn(rng) for _ in range(drawn))]:
            state = disk.after(loss, rng)
            key = key_of(state), safe
            if key not in seen and (problem := replay.problem_from(state, safe)):
                found.append(f"after {done} of {len(history.operations)} operations, {loss}: {problem}")
            elif done == len(history.operations) and (missing := replay.missing(state)):
                found.append(f"at the end, {loss}: {missing} may be lost")
            seen.add(key)
    return found
