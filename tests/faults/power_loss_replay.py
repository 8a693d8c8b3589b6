"""Let the power fail at any moment of a job that writes files, and run it again: the files must be the same.

A job is anything that can be run again with the same words. Before that, the files under their final names must be
whole, and fit each other. Nothing here asks im2rec what is on the disk.
"""

from __future__ import annotations

import contextlib
import random
import struct
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
from faults.disk_recorder import Failure, Recording, recorded


@dataclass(frozen=True)
class Job:
    """*run* writes into a folder with the files *before*; *group* are the names of a ``.rec`` and what belongs to it.

    *partial* and *journal* are the names of the temporary file of the ``.rec`` and of the journal, and *images* the
    paths of the images that the records are made of. *raw_files* are the classes below ``FileIO`` that it writes by.
    """

    run: Callable[[Path], object]
    before: State = field(default_factory=dict)
    group: tuple[str, ...] = ("o.rec", "o.idx", "o.rec.digest")
    images: tuple[str, ...] = ()
    raw_files: tuple[type, ...] = ()

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
        self.history = self.run().history
        self.expected = state_of(folder)

    def run(self, failure: Failure | None = None, earlier: History | None = None) -> Recording:
        """Run the job in the folder as it is now; *failure* may end it, *earlier* is what was done before."""
        with recorded(self.folder, *self.job.raw_files, failure=failure, earlier=earlier) as recording:
            if failure is None:
                self.job.run(self.folder)
            else:
                with contextlib.suppress(Exception, KeyboardInterrupt):
                    self.job.run(self.folder)
        return recording

    def moments(self, history: History) -> Iterator[tuple[int, Disk, int]]:
        """Yield for each moment the number of operations done, the disk, and the number of records that are safe."""
        disk, safe = Disk(history.before), 0
        yield 0, disk, safe
        for done, operation in enumerate(history.operations, 1):
            disk.apply(operation)
            safe = self._safe_records(disk, operation, safe)
            yield done, disk, safe

    def _safe_records(self, disk: Disk, operation: Operation, before: int) -> int:
        """Return the number of records that no power loss takes after *operation*, with *before* ahead of it.

        These are the whole ones that were synced when the journal was.
        """
        journal = disk.file(self.job.journal)
        if journal is None:  # not begun, or complete
            return 0
        if isinstance(operation, Truncate) and operation.file == journal:  # begun again
            return 0
        if not isinstance(operation, Sync) or operation.file != journal or not disk.is_safe(self.job.journal):
            return before
        return max(before, whole_records(disk.synced(self.job.partial)))

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
        try:
            recording = self.run()
        except Exception as error:  # noqa: BLE001 - a problem like any other
            is_done = state_of(self.folder) == self.expected  # "exists already", and nothing is left behind
            return "" if is_done else f"{type(error).__name__}: {error}"
        if again := recording.opened & set(self.job.images[:safe]):
            return f"{len(again)} of {safe} images are read again"
        return self.difference(state_of(self.folder))

    def difference(self, found: State) -> str:
        """Return in which file *found* is not as expected, or empty text."""
        if left := sorted(found.keys() - self.expected.keys()):
            return f"left behind: {left}"
        if missing := sorted(self.expected.keys() - found.keys()):
            return f"missing: {missing}"
        wrong = sorted(name for name in found if found[name] != self.expected[name])
        return f"other bytes: {wrong}" if wrong else ""


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


def problems_at_every_moment(replay: Replay, *, drawn: int = 6) -> list[str]:
    """Return what goes wrong when the power fails at any moment, in *drawn* random ways beside the plain ones."""
    rng = random.Random(1)
    found, seen = [], set()
    for done, disk, safe in replay.moments(replay.history):
        losses = [Loss(names, data) for names in disk.name_losses() for data in ("all data", "no data")]
        for loss in [*losses, *PLAIN_LOSSES, *(Loss.drawn(rng) for _ in range(drawn))]:
            state = disk.after(loss, rng)
            key = key_of(state), safe
            if key not in seen and (problem := replay.problem_from(state, safe)):
                found.append(f"after {done} of {len(replay.history.operations)} operations, {loss}: {problem}")
            seen.add(key)
    return found
