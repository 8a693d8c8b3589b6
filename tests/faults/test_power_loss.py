"""The power fails at any moment of a pack: the same words go on to the same bytes, and no half file is ever seen."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults.disk_model import FOLDER, Disk, History, Loss, Names, Sync, Write
from faults.disk_recorder import recorded
from faults.power_loss_replay import Job, Replay, problems_at_every_moment
from image_helpers import POSIX

pytestmark = POSIX  # elsewhere folders cannot be synced, nor does a lost name have a meaning


# The model of a disk.


def left(disk: Disk, loss: Loss, tries: int = 200) -> set[tuple[tuple[str, bytes], ...]]:
    """Return all states that *loss* leaves in some tries."""
    return {tuple(sorted(disk.after(loss, random.Random(seed)).items())) for seed in range(tries)}


def test_a_loss_takes_no_data_that_was_synced_and_any_of_the_later() -> None:
    disk = History({"a": b"0"}, [Write(0, 1, b"1"), Sync(0), Write(0, 2, b"2"), Write(0, 3, b"3")]).disk()

    assert {"a": b"0123"} == disk.now()
    assert {(("a", b"01"),)} == left(disk, Loss("no names", "no data"))
    assert {(("a", b"01\0\0"),)} == left(disk, Loss("no names", "zeros for data"))
    assert {(("a", data),) for data in (b"01", b"012", b"0123", b"01\0003")} == left(
        disk, Loss("no names", "some writes")
    )
    assert {(("a", data),) for data in (b"01", b"012", b"0123")} == left(disk, Loss("all names", "data up to a moment"))


def test_a_loss_leaves_sectors_of_different_moments() -> None:
    old, new = b"o" * 1024, b"n" * 1024
    disk = History({"a": old}, [Write(0, 0, new)]).disk()

    expected = {old, new, old[:512] + new[:512], new[:512] + old[:512]}
    assert expected == {dict(state)["a"] for state in left(disk, Loss("all names", "some sectors"))}


def test_a_loss_leaves_zeros_or_other_bytes_in_place_of_sectors() -> None:
    disk = History({"a": b""}, [Write(0, 0, b"n" * 700)]).disk()

    found = {dict(state)["a"] for state in left(disk, Loss("all names", "some sectors"))}

    assert {700} == {len(data) for data in found}
    assert {b"n" * 512 + bytes(188), bytes(512) + b"n" * 188, bytes(700), b"n" * 700} <= found
    assert any(data.startswith(b"n" * 512) and len(set(data[512:])) > 100 for data in found)


def test_a_loss_takes_no_entry_that_was_synced_and_any_of_the_later() -> None:
    changes = [Names((("a", None), ("b", 0))), Sync(FOLDER), Names((("c", 0),)), Names((("b", None),))]
    disk = History({"a": b"0"}, changes).disk()

    def names(loss: str) -> set[str]:
        return {"".join(name for name, _ in state) for state in left(disk, Loss(loss, "all data"))}

    assert {"b"} == names("no names")
    assert {"c"} == names("all names")
    assert {"b", "bc", "c"} == names("names up to a moment")
    assert {"b", "bc", "c", ""} == names("some names")
    assert [False, True] == [disk.is_safe(name) for name in "ba"]


def test_a_write_that_the_recorder_does_not_see_is_an_error(tmp_path: Path) -> None:
    def write_unseen() -> None:
        with recorded(tmp_path):
            handle = os.open(tmp_path / "a", os.O_CREAT | os.O_WRONLY)
            with os.fdopen(handle, "wb") as stream:
                stream.write(b"unseen")

    with pytest.raises(AssertionError, match="writes were not recorded"):
        write_unseen()


# Writers that are careless in one way: the replay must find each of them.


def run_pair(folder: Path, leave_out: str = "") -> None:
    """Write ``o.rec`` and ``o.idx`` over old ones as im2rec does, but for the step *leave_out*."""

    def step(name: str, function: Callable[..., object], *args: object) -> None:
        if name != leave_out:
            function(*args)

    for name in ("o.rec", "o.idx"):
        handle = os.open(folder / f"{name}.partial", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        for piece in (b"new ", name.encode()):
            os.write(handle, piece)
        step(f"sync {name}", os.fsync, handle)
        os.close(handle)
    with opened(folder) as entries:
        with contextlib.suppress(FileNotFoundError):
            step("unlink old", os.unlink, folder / "o.idx")
        step("sync the unlink", os.fsync, entries)
        (folder / "o.rec.partial").replace(folder / "o.rec")
        step("sync the first rename", os.fsync, entries)
        (folder / "o.idx.partial").replace(folder / "o.idx")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


OLD = {"o.rec": b"old rec", "o.idx": b"old idx"}


def test_a_careful_writer_of_a_pair_has_no_problem(tmp_path: Path) -> None:
    assert [] == problems_at_every_moment(Replay(Job(run_pair, OLD), tmp_path))


@pytest.mark.parametrize(
    ("leave_out", "problem"),
    [
        ("sync o.rec", "o.rec is neither old nor new"),
        ("sync o.idx", "o.idx is neither old nor new"),
        ("unlink old", "o.idx is {'old'}, o.rec is {'new'}"),
        ("sync the unlink", "o.idx is {'old'}, o.rec is {'new'}"),
        ("sync the first rename", "o.idx is {'new'}, o.rec is {'old'}"),
    ],
)
def test_a_writer_that_leaves_out_one_step_is_caught(tmp_path: Path, leave_out: str, problem: str) -> None:
    found = problems_at_every_moment(Replay(Job(lambda folder: run_pair(folder, leave_out), OLD), tmp_path))

    assert any(problem in line for line in found), found


# Writers that go on, by a journal of their own.

RECORD = struct.pack("<II", 0xCED7230A, 4) + b"data"
RECORDS = 5


def run_journal(folder: Path, images: list[str], *, careless: str = "") -> None:
    """Append a record for each of *images* to ``o.rec``, and note its size in a journal; *careless* leaves out a step.

    The step is ``"journal"``, which is then not read, or ``"data"``, which is then synced behind the journal.
    """
    rec, journal = folder / "o.rec.im2rec-partial", folder / "o.rec.im2rec-journal"
    handles = [os.open(path, os.O_CREAT | os.O_RDWR) for path in (rec, journal)]
    with opened(folder) as entries:
        os.fsync(entries)
        number = max([int(line or 0) for line in os.read(handles[1], 1024).split(b"\0")] or [0])
        number = 0 if careless == "journal" else number
        os.ftruncate(handles[0], len(RECORD) * number)
        os.lseek(handles[0], 0, os.SEEK_END)
        for done, image in enumerate(images[number:], number + 1):
            os.close(os.open(image, os.O_RDONLY))
            os.write(handles[0], RECORD)
            for handle in handles[:: -1 if careless == "data" else 1]:
                if handle == handles[1]:
                    os.pwrite(handle, b"%d\0" % done, done % 2 * 512)
                os.fsync(handle)
        if (folder / "o.rec").exists():  # an earlier run was killed between the last two steps
            rec.unlink()
        else:
            rec.replace(folder / "o.rec")
        os.fsync(entries)
        journal.unlink()
    for handle in handles:
        os.close(handle)


def journal_problems(tmp_path: Path, careless: str) -> list[str]:
    root, out = tmp_path / "root", tmp_path / "out"
    root.mkdir()
    out.mkdir()
    images = [str(root / str(number)) for number in range(RECORDS)]
    for image in images:
        Path(image).write_bytes(b"")
    run = functools.partial(run_journal, images=images, careless=careless)
    return problems_at_every_moment(Replay(Job(run, images=tuple(images)), out))


def test_a_careful_writer_that_goes_on_has_no_problem(tmp_path: Path) -> None:
    assert [] == journal_problems(tmp_path, "")


def test_a_writer_that_begins_again_in_place_of_going_on_is_caught(tmp_path: Path) -> None:
    assert any("images are read again" in line for line in journal_problems(tmp_path, "journal"))


def test_a_writer_whose_journal_is_ahead_of_its_data_is_caught(tmp_path: Path) -> None:
    assert any("other bytes: ['o.rec']" in line for line in journal_problems(tmp_path, "data"))
