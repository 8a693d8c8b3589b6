"""States of a run: how often they are saved, and which of them a later run believes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import message_of
from image_helpers import names_in

from im2rec.errors import OutputError
from im2rec.storage import checkpoints as module
from im2rec.storage import disk
from im2rec.storage.checkpoints import Checkpoints, last_state
from im2rec.storage.journal import Journal, State
from im2rec.storage.output import AtomicFile

REC, INDEX, REPORT = "o.rec", "o.idx", "o.rec.bad.jsonl"


class Writer:
    """A run that writes files and saves states, and never finishes: *files* by name, *sizes* those to keep."""

    def __init__(self, folder: Path, names: tuple[str, ...] = (REC, INDEX), *, resumed: State | None = None) -> None:
        self.folder = folder
        self.journal = Journal(folder / REC)
        self.checkpoints = Checkpoints(self.journal, resumed)
        self.files: dict[str, AtomicFile] = {}
        for name in dict.fromkeys([*names, *(resumed.sizes if resumed else ())]):
            self.add(name, resumed.sizes.get(name, 0) if resumed else 0)

    def add(self, name: str, size: int = 0) -> None:
        self.files[name] = AtomicFile(self.folder / name, size=size)
        self.checkpoints.add(self.files[name])

    def write(self, data: bytes, number: int, *, name: str = REC) -> None:
        """Write *data* to a file, and a line to the index; save a state with this *number*."""
        self.files[name].write(data)
        self.files[INDEX].write(b"%d\n" % number)
        self.checkpoints.save({"number": number})

    def sync(self, *, take: bool = True) -> None:
        """Let the thread write what was saved last to the disk; *take*: let later states build on it."""
        self.checkpoints._sync_due = 0.0
        self.checkpoints._due = 0.0
        self.checkpoints.offer(self.checkpoints.saved or {})
        assert self.checkpoints._is_synced.wait(60)
        if take:
            self.checkpoints._take_synced(wait=False)

    def stop(self) -> None:
        """End as a killed process does: the files and the journal stay as they are."""
        self.checkpoints.close()
        for file in self.files.values():
            file.keep()
        self.journal.close()


@contextlib.contextmanager
def writing_in(folder: Path, **options: Any) -> Iterator[Writer]:
    writer = Writer(folder, **options)
    try:
        yield writer
    finally:
        writer.stop()


def found(folder: Path) -> State | None:
    """The state that a later run believes."""
    with Journal(folder / REC) as journal:
        return last_state(journal)


def number_found(folder: Path) -> Any:
    state = found(folder)
    return state and state.progress.get("number")


def change(path: Path, at: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)


# Which state is believed.


def test_a_run_that_was_killed_before_its_first_state_has_none(tmp_path: Path) -> None:
    with writing_in(tmp_path) as writer:
        writer.files[REC].write(b"text")
    assert found(tmp_path) is None


def test_the_latest_state_is_believed_while_its_bytes_are_there(tmp_path: Path) -> None:
    with writing_in(tmp_path) as writer:
        for number in range(3):
            writer.write(b"record %d, " % number, number)
        writer.files[REC].write(b"not in any state")

    state = found(tmp_path)
    assert state is not None
    assert ({REC: 30, INDEX: 6}, {"number": 2}) == (state.sizes, state.progress)


@pytest.mark.parametrize("at", [0, 7, 8, 29])
@pytest.mark.parametrize("how", ["changed", "zeroed", "cut", "removed"])
def test_without_its_bytes_a_state_is_left_for_the_synchronised_one(tmp_path: Path, how: str, at: int) -> None:
    with writing_in(tmp_path) as writer:
        writer.write(b"before, ", 0)
        writer.sync()
        writer.write(b"record " * 5, 1)
    path = tmp_path / f"{REC}.im2rec-partial"
    if how == "removed":
        (tmp_path / f"{INDEX}.im2rec-partial").unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[: 8 + at])
    else:
        change(path, 8 + at, b"\0" if how == "zeroed" else b"!")

    assert State(1, {REC: 8, INDEX: 2}, {"number": 0}) == found(tmp_path)


def test_bytes_before_the_synchronised_state_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing_in(tmp_path) as writer:
        writer.write(bytes(100), 0)
        writer.sync()
        writer.write(b"more", 1)
    reads: list[tuple[str, int, int]] = []
    real = module.InputFile.read_at

    def read_at(file: Any, offset: int, size: int) -> bytes:
        reads.append((file.path.name, offset, size))
        return real(file, offset, size)

    monkeypatch.setattr(module.InputFile, "read_at", read_at)
    assert 1 == number_found(tmp_path)
    assert {(f"{REC}.im2rec-partial", 100, 4), (f"{INDEX}.im2rec-partial", 2, 2)} == set(reads)


def test_the_sums_of_many_pieces_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.storage.files._PIECE_BYTES", 7)
    with writing_in(tmp_path) as writer:
        writer.write(bytes(range(50)), 0)
        writer.sync()
        writer.write(bytes(range(100)), 1)
    assert 1 == number_found(tmp_path)
    change(tmp_path / f"{REC}.im2rec-partial", 149, b"!")
    assert 0 == number_found(tmp_path)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_synchronised_state_that_is_later_than_the_latest_one_is_believed(tmp_path: Path, *, is_there: bool) -> None:
    """The thread writes its state after later ones; and the place of the latest one may be lost."""
    with writing_in(tmp_path) as writer:
        writer.write(b"a", 0)
        writer.sync()
        if not is_there:
            writer.journal._stream.write_at(bytes(200), 2 << 16)
    assert State(1, {REC: 1, INDEX: 2}, {"number": 0}) == found(tmp_path)


def test_the_latest_state_may_build_on_the_synchronised_one_before_the_last(tmp_path: Path) -> None:
    with writing_in(tmp_path) as writer:
        for number in range(3):
            writer.write(b"record %d, " % number, number)
            writer.sync(take=number < 2)
        writer.write(b"three", 3)  # builds on the second, as the third is not taken yet
    state = found(tmp_path)
    assert state is not None
    with Journal(tmp_path / REC) as journal:
        assert [3, 2] == [synced.number for synced in journal.synced]
        assert journal.latest is not None
        assert 2 == journal.latest.number

    assert (3, {REC: 35, INDEX: 8}) == (state.number, state.sizes)
    assert {REC: disk.sum_bytes(b"three", 30), INDEX: disk.sum_bytes(b"3\n", 6)} == state.sums
    change(tmp_path / f"{REC}.im2rec-partial", 25, b"!")  # behind the second, before the third
    assert 2 == number_found(tmp_path)


def test_without_the_state_that_it_builds_on_the_latest_one_is_not_believed(tmp_path: Path) -> None:
    with writing_in(tmp_path) as writer:
        writer.write(b"a", 0)
        writer.sync(take=False)
        writer.write(b"b", 1)
        writer.journal._stream.write_at(b"x", 0)  # state 0
    assert State(1, {REC: 1, INDEX: 2}, {"number": 0}) == found(tmp_path)


# Several runs.


@pytest.mark.parametrize("synced", [(), (2,), (1, 3), (0, 1, 2, 3, 4)])
def test_many_runs_go_on_from_each_other(tmp_path: Path, synced: tuple[int, ...]) -> None:
    """Each run is killed; those in *synced* have a synchronised state in the middle."""
    records = [b"record %d, " % number * (number + 1) for number in range(15)]
    state = None
    for run in range(5):
        with writing_in(tmp_path, resumed=state) as writer:
            for number in range(3 * run, 3 * run + 3):
                writer.write(records[number], number)
                if number % 3 == 1 and run in synced:
                    writer.sync()
            writer.files[REC].write(b"in no state")
            writer.files[REC].flush()
        state = found(tmp_path)
        assert state is not None
        assert 3 * run + 2 == state.progress["number"]
        assert len(b"".join(records[: 3 * run + 3])) == state.sizes[REC]
    partial = (tmp_path / f"{REC}.im2rec-partial").read_bytes()
    assert b"".join(records) == partial[: state.sizes[REC]] if state else b""


def test_a_run_that_went_back_to_the_synchronised_state_is_gone_on_with(tmp_path: Path) -> None:
    with writing_in(tmp_path) as writer:
        writer.write(b"first, ", 0)
        writer.sync()
        writer.write(b"lost by a power failure", 1)
    change(tmp_path / f"{REC}.im2rec-partial", 7, bytes(23))
    state = found(tmp_path)
    assert state == State(1, {REC: 7, INDEX: 2}, {"number": 0})

    with writing_in(tmp_path, resumed=state) as writer:
        assert 0 == number_found_in(writer)  # the old latest state is still there, and not true
        writer.write(b"written anew", 7)
    again = found(tmp_path)
    assert again is not None
    assert (1, {REC: 19, INDEX: 4}, {"number": 7}) == (again.number, again.sizes, again.progress)


def number_found_in(writer: Writer) -> Any:
    """What a later run would believe if this one were killed now."""
    for file in writer.files.values():
        file.flush()
    state = last_state(writer.journal)
    return state and state.progress["number"]


def test_a_file_that_is_added_later_is_in_the_states_from_then_on(tmp_path: Path) -> None:
    with writing_in(tmp_path) as writer:
        writer.write(b"a", 0)
        writer.sync()
        writer.add(REPORT)
        writer.write(b"bad", 1, name=REPORT)
    state = found(tmp_path)
    assert state is not None
    assert {REC: 1, INDEX: 4, REPORT: 3} == state.sizes
    with writing_in(tmp_path, resumed=state) as writer:
        writer.write(b"worse", 2, name=REPORT)
        writer.sync()
    assert State(2, {REC: 1, INDEX: 6, REPORT: 8}, {"number": 2}) == found(tmp_path)


def test_the_last_state_is_on_the_disk_when_all_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(AtomicFile, "sync", lambda file: log.append(file.path.name))
    monkeypatch.setattr(disk, "sync_folder", lambda folder: log.append(folder.name))
    monkeypatch.setattr(disk, "sync", lambda _: log.append("journal"))
    with writing_in(tmp_path) as writer:
        writer.files[REC].write(b"all")
        writer.checkpoints.finish({"number": 9})
        assert {"number": 9} == writer.checkpoints.saved
        assert [REC, INDEX, tmp_path.name, "journal"] == log
    assert State(1, {REC: 3, INDEX: 0}, {"number": 9}) == found(tmp_path)


def test_names_are_synchronised_again_when_a_file_was_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(disk, "sync_folder", lambda _: log.append(" ".join(names_in(tmp_path))))
    with writing_in(tmp_path) as writer:
        writer.write(b"a", 0)  # the state that nothing is written, before the first one
        assert 1 == len(log)
        writer.sync()
        writer.sync()
        assert 2 == len(log)
        writer.add(REPORT)
        writer.sync()
        assert 3 == len(log)
        assert f"{REPORT}.im2rec-partial" in log[-1]


def test_before_the_first_state_there_is_a_synchronised_one_that_nothing_is_written(tmp_path: Path) -> None:
    with writing_in(tmp_path) as writer:
        writer.write(b"a", 0)
    with Journal(tmp_path / REC) as journal:
        assert [State(0, {}, {})] == journal.synced
    change(tmp_path / f"{REC}.im2rec-partial", 0, b"!")
    assert State(0, {}, {}) == found(tmp_path)


# When states are saved.


class Ticks:
    """A clock that only the test advances; ``cost`` passes whenever data is handed to the system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.cost = 100.0, 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        real = AtomicFile.flush

        def flush(file: AtomicFile) -> int:
            self.now += self.cost
            return real(file)

        monkeypatch.setattr(AtomicFile, "flush", flush)


class Log:
    """Counts the states that are saved: ``latest`` and ``synced``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.latest = self.synced = 0
        real = Journal.save

        def save(journal: Journal, state: State, *, synced: bool) -> None:
            real(journal, state, synced=synced)
            self.latest, self.synced = self.latest + (not synced), self.synced + synced

        monkeypatch.setattr(Journal, "save", save)


def test_states_are_saved_at_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log = Ticks(monkeypatch), Log(monkeypatch)
    with writing_in(tmp_path, names=(REC,)) as writer:
        for step in range(40):
            writer.checkpoints.offer({"number": step})
            clock.now += 0.01
        assert 3 == log.latest  # after 0.1, 0.2 and 0.3 seconds


def test_a_state_that_takes_long_to_save_is_saved_so_much_the_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, log = Ticks(monkeypatch), Log(monkeypatch)
    with writing_in(tmp_path, names=(REC,)) as writer:
        writer.checkpoints.save({})
        for cost, pause in ((1 / 256, 100 / 256), (0.25, 1.0)):
            clock.now += 2.0
            clock.cost = cost
            writer.checkpoints.save({})
            saved, clock.cost = log.latest, 0.0
            ended = clock.now
            for share, count in ((0.99, 0), (1.01, 1)):
                clock.now = ended + share * pause
                writer.checkpoints.offer({})
                assert saved + count == log.latest


def test_the_time_of_the_first_synchronised_state_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, log = Ticks(monkeypatch), Log(monkeypatch)

    def sync_folder(_: Path) -> None:
        clock.now += 5.0

    monkeypatch.setattr(disk, "sync_folder", sync_folder)
    with writing_in(tmp_path, names=(REC,)) as writer:
        writer.checkpoints.save({})
        clock.now += 0.11
        writer.checkpoints.offer({})
        assert 2 == log.latest


@pytest.mark.parametrize(("seconds", "pause"), [(0.0, 1.0), (0.25, 25.0), (5.0, 30.0)])
def test_synchronised_states_are_saved_at_intervals_that_grow_with_what_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, pause: float
) -> None:
    clock, log = Ticks(monkeypatch), Log(monkeypatch)
    real = AtomicFile.sync

    def sync(file: AtomicFile) -> None:
        clock.now += seconds
        real(file)

    monkeypatch.setattr(AtomicFile, "sync", sync)

    def offer(now: float) -> int:
        """Offer a state at this time, wait for the thread, and return how many were synchronised by then."""
        clock.now = now
        writer.checkpoints.offer({})
        if writer.checkpoints._syncing is not None:
            assert writer.checkpoints._is_synced.wait(60)
        return log.synced

    with writing_in(tmp_path, names=(REC,)) as writer:
        assert 1 == offer(100.5)  # that nothing is written
        assert 1 == offer(100.9)
        assert 2 == offer(101.1)
        ended = clock.now + 1
        assert 2 == offer(ended)  # takes the end of the one before, from which the pause counts
        assert 2 == offer(ended + pause - 0.1)
        assert 3 == offer(ended + pause + 0.1)


def test_an_error_of_the_thread_is_raised_once_and_the_last_state_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_S", 0.0)
    monkeypatch.setattr(module, "COST", 0)

    def sync(file: AtomicFile) -> None:
        raise OutputError("cannot be written: input/output error", path=file.path)

    with writing_in(tmp_path) as writer:
        writer.write(b"a", 0)
        with monkeypatch.context() as patch:
            patch.setattr(AtomicFile, "sync", sync)
            writer.sync(take=False)
        assert f"{tmp_path / REC}: cannot be written: input/output error" == message_of(
            writer.checkpoints.offer, {"number": 1}
        )
        writer.checkpoints._sync_due = 0.0
        writer.write(b"b", 2)
        assert writer.checkpoints._syncing is None  # what is said to be on the disk now may be lost
    assert 2 == number_found(tmp_path)
    with Journal(tmp_path / REC) as journal:
        assert [State(0, {}, {})] == journal.synced


def test_an_error_of_the_thread_is_raised_at_the_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(file: AtomicFile) -> None:
        raise OutputError("cannot be written: input/output error", path=file.path)

    with writing_in(tmp_path) as writer:
        writer.write(b"a", 0)
        with monkeypatch.context() as patch:
            patch.setattr(AtomicFile, "sync", sync)
            writer.sync(take=False)
        assert "input/output error" in message_of(writer.checkpoints.finish, {"number": 1})


def test_the_thread_ends_with_the_run(tmp_path: Path) -> None:
    with writing_in(tmp_path) as writer:
        writer.write(b"a", 0)
        writer.sync()
        threads = list(writer.checkpoints._threads._threads)
        assert ["im2rec-sync_0"] == [thread.name for thread in threads]
    assert not any(thread.is_alive() for thread in threads)
