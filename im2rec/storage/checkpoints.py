"""Save how far a run has written its files, so often that little is lost, and so seldom that it costs nothing.

Two kinds of states are saved in the journal (:mod:`im2rec.storage.journal`). Ten times a second one that outlives this
process, however it is killed: all data is handed to the system first. And at intervals one that outlives a power
failure: a thread writes all data to the disk, then the state, while the run goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from im2rec.parallel import StartedJob, WorkerThreads
from im2rec.storage import disk
from im2rec.storage.files import InputFile
from im2rec.storage.journal import Journal, State
from im2rec.storage.output import AtomicFile, partial_path, writing

SAVE_S = 0.1  # between two states, unless saving one takes more than 1/100 of that
MAX_SAVE_S = 1.0
SYNC_S = 1.0  # between two synchronised ones, likewise
MAX_SYNC_S = 30.0
COST = 100  # an interval is at least as many times as long as what ends it takes, up to the longest


class Checkpoints:
    """Saves states of a run that writes *files*, which may be added later too, to *journal*.

    With *resumed*, a state of :func:`last_state`, the files have what an earlier run has written up to it::

        checkpoints.offer(progress)  # often: it saves a state if one is due
        checkpoints.finish(progress)  # all is written
    """

    def __init__(self, journal: Journal, resumed: State | None = None) -> None:
        self._journal = journal
        self._files: dict[str, AtomicFile] = {}
        self._number = resumed.number if resumed else 0
        # The sums at the synchronised state; below zero if that is of an earlier run, as this one sums its own bytes.
        self._base = {name: -total for name, total in resumed.sums.items()} if resumed else {}
        self._sizes: dict[str, int] = dict(resumed.sizes) if resumed else {}
        self._threads = WorkerThreads(1, "im2rec-sync")
        self._syncing: StartedJob[State, float] | None = None
        self._is_synced = threading.Event()  # set when the thread is done, be it by an error
        self._totals: dict[str, int] = {}
        self._named: set[str] = set()  # the files whose names are on the disk
        self.saved: Mapping[str, Any] | None = None  # the progress of the last state that was saved
        self._due, self._sync_due = time.monotonic() + SAVE_S, time.monotonic() + SYNC_S

    def add(self, file: AtomicFile) -> None:
        """Include *file*, to which nothing has been written yet, in the states from now on."""
        file.raw.total = 0
        self._files[file.path.name] = file

    def offer(self, progress: Mapping[str, Any]) -> None:
        """Save a state with *progress* if it is time. Raises OutputError, also for an earlier one in the thread."""
        if time.monotonic() < self._due:
            return
        self._take_synced(wait=False)
        state, totals = self._save(progress)
        if self._syncing is None and time.monotonic() >= self._sync_due:
            self._totals = totals
            self._is_synced.clear()
            self._syncing = self._threads.start(self._sync, state, [None])

    def save(self, progress: Mapping[str, Any]) -> None:
        """Save a state with *progress* that outlives this process: the last one of a run that is cut short.

        It is never synchronised: after an error of the disk the system may say of lost data that it is there.
        Raises OutputError.
        """
        self._save(progress)

    def _save(self, progress: Mapping[str, Any]) -> tuple[State, dict[str, int]]:
        """Save a state that is not synchronised; return it, and the sums of all that this run has written."""
        if self.saved is None and not self._number:
            self._begin()
        started = time.monotonic()
        state, totals = self._state(progress)
        self._journal.save(state, synced=False)
        self.saved = progress
        ended = time.monotonic()
        self._due = ended + min(max(SAVE_S, COST * (ended - started)), MAX_SAVE_S)
        return state, totals

    def _begin(self) -> None:
        """Synchronise the state that nothing is written, so that from now on a synchronised one is always there."""
        self._journal.save(State(0, {}, {}), synced=True)
        disk.sync_folder(self._journal.path.parent)

    def finish(self, progress: Mapping[str, Any]) -> None:
        """Write all data to the disk, then the state *progress*. Raises OutputError."""
        self._take_synced(wait=True)
        self._sync(self._state(progress)[0], None)
        self.saved = progress

    def close(self) -> None:
        """End the thread."""
        self._threads.shut_down(wait=True)

    def _state(self, progress: Mapping[str, Any]) -> tuple[State, dict[str, int]]:
        """Hand all data to the system; return the state after it, and the sums of all that this run has written."""
        sizes, totals = {}, {}
        for name, file in self._files.items():
            sizes[name], totals[name] = file.flush(), file.raw.total or 0
            disk.start_writing_back(file.raw, self._sizes.get(name, 0), sizes[name])
        self._sizes = sizes
        sums = {name: (total - self._base.get(name, 0)) & disk.SUM_MASK for name, total in totals.items()}
        return State(self._number, sizes, dict(progress), sums), totals

    def _sync(self, state: State, _: None) -> float:
        """Write all data of *state* to the disk, then the state itself; return the seconds it took."""
        started = time.monotonic()
        try:
            for name in state.sizes:
                self._files[name].sync()
            if set(state.sizes) - self._named:
                disk.sync_folder(self._journal.path.parent)
                self._named = set(state.sizes)
            self._journal.save(State(state.number + 1, state.sizes, state.progress), synced=True)
        finally:
            self._is_synced.set()
        return time.monotonic() - started

    def _take_synced(self, *, wait: bool) -> None:
        """Let states build on the last synchronised one from now on, if it is on the disk. Raises OutputError."""
        if self._syncing is None or not (wait or self._is_synced.is_set()):
            return
        syncing, self._syncing = self._syncing, None  # an error is raised once
        seconds = syncing.results()[0]
        self._number += 1
        self._base = self._totals
        self._sync_due = time.monotonic() + min(max(SYNC_S, COST * seconds), MAX_SYNC_S)


def last_state(journal: Journal) -> State | None:
    """Return the last state of an earlier run whose data is there, or None; its sums count from the synchronised one.

    The latest state is believed if the bytes behind the synchronised one that it builds on have the sums that it gives.
    Raises OutputError.
    """
    newest, latest = journal.synced[0] if journal.synced else None, journal.latest
    if newest is None or latest is None or not _is_later(latest, newest):
        return newest
    base = next((state for state in journal.synced if state.number == latest.number), None)
    if base is None or _sums(journal, base, latest) != latest.sums:
        return newest
    sums = latest.sums if base is newest else _sums(journal, newest, latest)
    return latest._replace(number=newest.number, sums=sums or {})


def _is_later(state: State, other: State) -> bool:
    return sum(state.sizes.values()) > sum(other.sizes.values())


def _sums(journal: Journal, base: State, state: State) -> dict[str, int] | None:
    """Return the sums of the bytes of the partial files between *base* and *state*; None if some are missing."""
    sums = {}
    for name, size in state.sizes.items():
        path = journal.path.with_name(name)
        offset = base.sizes.get(name, 0)
        total = 0
        with writing(path):
            partial = partial_path(path)
            if not partial.is_file() or partial.stat().st_size < size:
                return None
        with InputFile(partial) as file:
            for piece in file.pieces(offset, size):
                total = (total + disk.sum_bytes(piece, offset)) & disk.SUM_MASK
                offset += len(piece)
        sums[name] = total
    return sums
