"""The power fails at any moment of a pack: the same words go on to the same bytes, and no half file is ever seen."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from faults.disk_model import FOLDER, Disk, History, Loss, Names, State, Sync, Write
from faults.disk_recorder import recorded
from faults.power_loss import ALL_STATES, MISSING, NO_IMAGE, NO_LINE, OK, Steps, old_files, pack_job, run_all
from faults.power_loss_replay import Job, Replay, problems_at_every_moment
from helpers import image_payload, joined
from image_helpers import POSIX, im2rec, write_images

from im2rec.packing.pack import PackOptions
from im2rec.packing.params import PackParams
from im2rec.storage.disk import OutputStream
from im2rec.storage.writer import RecordWriter

SEED, CASES, CHUNK = 18, 30, 10

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
        step("sync the last rename", os.fsync, entries)


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
        ("sync the last rename", "at the end, Loss(names=0, data='all data'): ['o.idx'] may be lost"),
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


# Packs.


def a_replay(
    tmp_path: Path, kinds: list[str], *, force: bool = False, digest: bool = True, steps: Steps = ALL_STATES
) -> Replay:
    """Return the undisturbed pack of images of these *kinds*; with *force* over an old one with all its files."""
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir(exist_ok=True)
    out.mkdir(exist_ok=True)
    options = PackOptions(workers=1, max_bad="100%", digest=digest, force=force)
    job = pack_job(inputs, kinds, PackParams(unchanged=True), options, steps=steps)
    return Replay(replace(job, before=old_files(job)) if force else job, out)


def test_a_pack_goes_on_to_the_same_bytes_after_a_power_loss_at_any_moment(tmp_path: Path) -> None:
    assert [] == problems_at_every_moment(a_replay(tmp_path, [OK] * 7 + [MISSING, OK, NO_LINE] + [OK] * 6))


def test_a_pack_over_an_old_one_leaves_no_mixed_pair_after_a_power_loss_at_any_moment(tmp_path: Path) -> None:
    replay = a_replay(tmp_path, [OK, NO_IMAGE, *[OK] * 10], force=True, steps=Steps(save_s=2, sync_s=12))

    assert [] == problems_at_every_moment(replay)


def test_a_pack_that_began_again_never_goes_on_by_the_journal_from_before(tmp_path: Path) -> None:
    often_synced = a_replay(tmp_path, [OK] * 12, digest=False, steps=Steps(chunk_lines=1))
    moment = next(done for done, _, safe in often_synced.moments(often_synced.history) if safe >= 2)
    replay = a_replay(tmp_path, [OK] * 12, digest=False, steps=Steps(save_s=8, sync_s=1000, buffer_bytes=300))

    unfinished = History(often_synced.history.up_to(moment).disk().now())
    history, problem = replay.run_on(unfinished, None, restart=True)

    assert OK == problem
    assert [] == problems_at_every_moment(replay, history)


def test_files_get_their_names_only_by_a_state_that_is_on_the_disk(tmp_path: Path) -> None:
    replay = a_replay(tmp_path, [OK] * 3, digest=False)
    disk, saved = Disk(replay.history.before), 0
    for done, operation in enumerate(replay.history.operations, 1):
        disk.apply(operation)
        if isinstance(operation, Write) and operation.file == disk.file(replay.job.journal):
            saved = done

    history, problem = replay.run_on(replay.history.up_to(saved), None)  # killed before that was synced

    assert OK == problem
    assert [] == problems_at_every_moment(replay, history, first=saved)


@pytest.mark.parametrize("first", range(0, CASES, CHUNK))
def test_drawn_packs_go_on_after_several_kills_and_power_losses(first: int) -> None:
    assert [] == run_all(SEED, range(first, first + CHUNK)).problems


# The other commands that write: nothing goes on here, but no half file is seen, and nothing is left.


THREE = joined(image_payload(key, 1.0, b"x" * 700) for key in range(3))
# The words for a folder, its files before, and the names of a .rec and its companions among those that are written.
COMMANDS: dict[str, tuple[str, State, tuple[str, ...]]] = {
    "index": ("index {0}/o.rec", {"o.rec": THREE}, ("o.rec", "o.idx")),
    "index --force": ("index {0}/o.rec --force", {"o.rec": THREE, "o.idx": b"0\t0\n"}, ("o.idx",)),
    "digest": ("digest {0}/o.rec", {"o.rec": THREE}, ("o.rec", "o.rec.digest")),
    "recover": ("recover {0}/in.rec {0}/o.rec", {"in.rec": THREE}, ("o.rec", "o.idx")),
    "recover --force": ("recover {0}/in.rec {0}/o.rec --force", OLD | {"in.rec": THREE}, ("o.rec", "o.idx")),
    "make-list": ("make-list {0}/../root --prefix {0}/l --split 0.5", {}, ("l_train.lst",)),
    "make-list --force": (
        "make-list {0}/../root --prefix {0}/l --split 0.5 --force",
        dict.fromkeys(("l_train.lst", "l_test.lst", "l.classes.txt"), b"old"),
        ("l_train.lst",),
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_other_commands_leave_whole_files_after_a_power_loss_at_any_moment(tmp_path: Path, name: str) -> None:
    words, before, group = COMMANDS[name]
    write_images(tmp_path / "root", ["a/0.jpg", "a/1.jpg", "b/2.jpg", "b/3.jpg"], height=4, width=4)
    out = tmp_path / "out"
    out.mkdir()

    def run(folder: Path, *more: str) -> None:
        ran = im2rec(*words.format(folder).split(), "-qq", *more)
        if ran.code not in {0, 3}:
            raise RuntimeError(ran.err)

    job = Job(run, before, group, raw_files=(OutputStream,), forced=lambda folder: run(folder, "--force"))

    assert [] == problems_at_every_moment(Replay(job, out))


def test_a_record_writer_leaves_whole_files_after_a_power_loss_at_any_moment(tmp_path: Path) -> None:
    def run(folder: Path) -> None:
        with RecordWriter(folder / "o.rec", digest=True, force=True) as writer:
            for key in range(3):
                writer.write(b"x" * (700 * key), key=key)

    job = Job(run, OLD | {"o.rec.digest": b"old"}, raw_files=(OutputStream,))

    assert [] == problems_at_every_moment(Replay(job, tmp_path))
