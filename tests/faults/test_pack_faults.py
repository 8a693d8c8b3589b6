"""Packing with killed workers, signals, full disks, and inputs and outputs that cannot be used."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from full_disk_helpers import fill_disk
from helpers import GOLDEN
from image_helpers import (
    KEPT,
    POSIX,
    PROC,
    READ_PIPES,
    SAVE_AT_ONCE,
    HeldPipe,
    Ran,
    a_list_of_images,
    encoded,
    ended,
    held_pipe,
    im2rec,
    left_in,
    names_in,
    processes,
    records_of,
    started,
    texture,
    until,
    wait_for_state,
    write_list,
)

from im2rec.errors import ImageError
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.storage import checkpoints, disk

SERIAL = PackOptions(workers=1)
REPORT_KEPT = "o.rec.bad.jsonl.im2rec-partial"


# Processes that are killed. An image that is a named pipe keeps the worker that reads it inside its chunk.


class Packing:
    """A run of ``im2rec pack`` with two workers, each in the middle of an image."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], pipes: list[HeldPipe]) -> None:
        self.folder = folder
        self.process = process
        self.pipes = pipes

    def end(self) -> Ran:
        """Complete the images, and wait for the run and for every process that it started."""
        for pipe in self.pipes:
            pipe.release()
        ran = ended(self.process)
        self.wait_for_group()
        return ran

    def goes_on(self) -> None:
        """Check that the same words, with the images in place of the pipes, end with the bytes of a whole run."""
        for seed, pipe in enumerate(self.pipes):
            pipe.path.unlink()
            pipe.path.write_bytes(encoded(texture(seed=seed)))
        listed, root, out = self.folder / "l.lst", self.folder / "root", self.folder / "out"
        summary = pack(listed, root, out / "o.rec", PackParams(resize=16), SERIAL)
        assert 1 <= summary.resumed <= 40
        assert 120 == summary.images
        pack(listed, root, self.folder / "whole.rec", PackParams(resize=16), SERIAL)
        assert ["o.idx", "o.rec"] == names_in(out)
        for suffix in (".rec", ".idx"):
            assert (self.folder / f"whole{suffix}").read_bytes() == (out / f"o{suffix}").read_bytes()

    def wait_for_group(self) -> None:
        until(lambda: not processes(self.process.pid), "a process outlives the run")


@contextlib.contextmanager
def packing(folder: Path, *, wait: bool = True) -> Iterator[Packing]:
    # Chunks of at most 4 lines, as the two images must be in different ones; and near each other, as no more than five
    # chunks, which on a slow machine have a line each, are given out ahead of the one that is held.
    fork_server = (
        "from im2rec.workers import start_fork_server; start_fork_server()"  # as the command does: before numpy
    )
    small_chunks = f"from im2rec.packing import pack; pack.MAX_CHUNK_LINES = 4; {SAVE_AT_ONCE}"
    before = f"{READ_PIPES}; {fork_server}; {small_chunks}"
    listed, root = a_list_of_images(folder, 120)
    held = [root / "40.jpg", root / "45.jpg"]
    for path in held:
        path.unlink()
    with contextlib.ExitStack() as stack:
        pipes = [stack.enter_context(held_pipe(path)) for path in held]
        out = folder / "out"
        out.mkdir()
        process = started("pack", listed, root, out / "o.rec", "resize=16", "--workers", "2", before=before)
        try:
            if wait:
                for pipe in pipes:
                    pipe.wait_for_reader()
                wait_for_state(out / "o.rec")
            yield Packing(folder, process, pipes)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@PROC
def test_a_kill_9_leaves_no_worker_and_nothing_under_the_final_names_and_the_same_words_go_on(tmp_path: Path) -> None:
    with packing(tmp_path) as run:
        run.process.kill()
        run.process.wait()
        for pipe in run.pipes:
            pipe.release()
        run.wait_for_group()

    assert KEPT == names_in(tmp_path / "out")
    run.goes_on()


SIGNALS = (
    [
        (signal.SIGINT, False, 130, "interrupted"),
        (signal.SIGINT, True, 130, "interrupted"),  # to the whole group, as Ctrl-C
        (signal.SIGTERM, False, 143, "terminated"),
        (signal.SIGTERM, True, 143, "terminated"),
    ]
    if os.name == "posix"
    else []
)


@PROC
@pytest.mark.parametrize(("number", "group", "code", "word"), SIGNALS)
def test_a_signal_ends_the_run_with_its_code_and_one_line_and_the_same_words_go_on(
    tmp_path: Path, number: int, code: int, word: str, *, group: bool
) -> None:
    with packing(tmp_path) as run:
        (os.killpg if group else os.kill)(run.process.pid, number)
        ran = run.end()

    words = [tmp_path / "l.lst", tmp_path / "root", tmp_path / "out" / "o.rec", "resize=16", "--workers", "2"]
    line = f"im2rec: {word}; to go on: im2rec pack {' '.join(map(str, words))}"
    assert (code, "", [line]) == (ran.code, ran.out, ran.err.split("\n")[-2:-1])
    assert line == ran.err.strip()
    assert KEPT == names_in(tmp_path / "out")
    run.goes_on()


@PROC
@pytest.mark.parametrize("group", [False, True])
def test_ctrl_c_while_workers_start_prints_one_line(tmp_path: Path, *, group: bool) -> None:
    with packing(tmp_path, wait=False) as run:
        until(lambda: names_in(tmp_path / "out") and len(processes(run.process.pid)) > 2, "no worker starts")
        (os.killpg if group else os.kill)(run.process.pid, signal.SIGINT)
        ran = run.end()

    assert 130 == ran.code
    assert 1 == ran.err.strip().count("\n") + 1, ran.err
    assert names_in(tmp_path / "out") in ([], KEPT)  # by whether a record was packed by then


def test_an_interrupt_between_two_records_keeps_the_first_and_the_same_words_go_on(tmp_path: Path) -> None:
    def interrupt(images: int, _share: float) -> None:
        if images >= 2:
            raise KeyboardInterrupt

    listed, root = a_list_of_images(tmp_path, 30)
    with pytest.raises(KeyboardInterrupt):
        pack(listed, root, tmp_path / "o.rec", PackParams(unchanged=True), SERIAL, progress=interrupt)
    assert ["l.lst", *KEPT, "root"] == names_in(tmp_path)

    assert 1 == pack(listed, root, tmp_path / "o.rec", PackParams(unchanged=True), SERIAL).resumed
    assert ["l.lst", "o.idx", "o.rec", "root"] == names_in(tmp_path)
    assert [*range(30)] == [record.header.id for record in records_of(tmp_path / "o.rec")]


def test_an_interrupt_before_the_first_record_leaves_no_file(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    listed, root = a_list_of_images(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        pack(listed, root, tmp_path / "o.rec", PackParams(unchanged=True), SERIAL, progress=interrupt)
    assert ["l.lst", "root"] == names_in(tmp_path)


# A disk that is full.


@pytest.mark.parametrize("fails", ["write", "flush"])
@pytest.mark.parametrize("name", ["o.rec", "o.idx", "o.rec.bad.jsonl"])
def test_a_full_disk_is_an_error_that_names_the_file_and_no_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fails: str
) -> None:
    fill_disk(monkeypatch, name, fails)
    listed, root = a_list_of_images(tmp_path)
    (root / "1.jpg").unlink()
    ran = im2rec("pack", listed, root, tmp_path / "o.rec", "unchanged=1")

    why = "cannot be written: no space left on device (no file exists under this name)"
    assert Ran(1, "", f"im2rec: {tmp_path / name}: {why}\n") == ran
    assert ["l.lst", "root"] == names_in(tmp_path)


@pytest.mark.parametrize("name", ["o.rec", "o.idx", "o.rec.bad.jsonl"])
def test_a_disk_that_fills_up_keeps_the_records_so_far_and_the_same_words_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    listed, root = a_list_of_images(tmp_path, 30)
    bad = (5, 11, 28)
    for number in bad:
        (root / f"{number}.jpg").unlink()
    words = ("pack", listed, root, tmp_path / "o.rec", "unchanged=1", "--workers", "1", "--max-bad", "3")
    assert 3 == im2rec("pack", listed, root, tmp_path / "whole.rec", *words[4:]).code
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "SAVE_S", 0)  # the first chunk is saved, however fast the others follow
        fill_disk(patch, name, "write", before=1 if name == "o.rec.bad.jsonl" else 10)
        ran = im2rec(*words)

    assert (1, "") == (ran.code, ran.out)
    why = "cannot be written: no space left on device (no file exists under this name; "
    assert re.fullmatch(
        rf"im2rec: {re.escape(f'{tmp_path / name}: {why}')}\d+ images? so far (is|are) kept,"
        r" and the same command goes on\)\n",
        ran.err,
    )
    kept = KEPT if REPORT_KEPT not in names_in(tmp_path) else [*KEPT, REPORT_KEPT]
    assert sorted(kept) == left_in(tmp_path)
    assert 3 == im2rec(*words).code
    assert [] == left_in(tmp_path)
    for suffix in (".rec", ".idx", ".rec.bad.jsonl"):
        assert (tmp_path / f"whole{suffix}").read_bytes() == (tmp_path / f"o{suffix}").read_bytes()


# Runs that fail leave what was there.


def old_files(folder: Path) -> dict[str, bytes]:
    contents = {"o.rec": b"the old rec", "o.idx": b"the old index", "o.rec.bad.jsonl": b"the old report"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return contents


def test_a_failed_run_with_force_leaves_the_old_files_as_they_are(tmp_path: Path) -> None:
    old = old_files(tmp_path)
    listed, root = a_list_of_images(tmp_path)
    (root / "1.jpg").unlink()

    with pytest.raises(ImageError, match=r"l\.lst, line 2: 1\.jpg: no such file \(--on-error skip packs the rest; 1 "):
        pack(listed, root, tmp_path / "o.rec", PackParams(), PackOptions(workers=1, on_error="fail", force=True))
    assert old == {name: (tmp_path / name).read_bytes() for name in old}
    assert sorted([*old, *KEPT, "l.lst", "root"]) == names_in(tmp_path)


def test_a_clean_run_removes_the_report_of_the_run_before(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    content = (root / "1.jpg").read_bytes()
    (root / "1.jpg").unlink()
    assert tmp_path / "o.rec.bad.jsonl" == Path(pack(listed, root, tmp_path / "o.rec", options=SERIAL).report or "")
    assert (tmp_path / "o.rec.bad.jsonl").exists()

    (root / "1.jpg").write_bytes(content)
    summary = pack(listed, root, tmp_path / "o.rec", options=PackOptions(workers=1, force=True))
    assert 3 == summary.images
    assert summary.report is None
    assert ["l.lst", "o.idx", "o.rec", "root"] == names_in(tmp_path)


def test_on_error_fail_stops_at_the_first_in_list_order(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 60)
    for number in (11, 12, 50):
        (root / f"{number}.jpg").write_bytes(b"hello")
    done: list[int] = []

    with pytest.raises(ImageError, match=r"line 12: 11\.jpg: "):
        pack(
            listed,
            root,
            tmp_path / "o.rec",
            PackParams(unchanged=True),
            PackOptions(workers=2, on_error="fail"),
            progress=lambda images, _: done.append(images),
        )
    assert max(done, default=0) <= 11
    assert ["l.lst", *KEPT, "root"] == names_in(tmp_path)


# Inputs that cannot be used: exit 4.

Break = Callable[[Path], tuple[Path, Path, str]]  # folder to list, root, and the message


def root_missing(folder: Path) -> tuple[Path, Path, str]:
    root = folder / "no"
    return (
        write_list(folder / "l.lst", ["a.jpg"]),
        root,
        f"{root}: cannot be read: no such file or directory (check the path)",
    )


def root_is_a_file(folder: Path) -> tuple[Path, Path, str]:
    listed = write_list(folder / "l.lst", ["a.jpg"])
    return listed, listed, f"{listed}: is not a folder (name the folder that holds the images)"


def list_missing(folder: Path) -> tuple[Path, Path, str]:
    listed = folder / "no.lst"
    return listed, folder, f"{listed}: cannot be read: no such file or directory (check the path)"


def list_is_a_rec(folder: Path) -> tuple[Path, Path, str]:
    listed = GOLDEN / "plain.rec"
    return listed, folder, f"{listed}: is a RecordIO file, not a list (name the .lst instead)"


def list_is_empty(folder: Path) -> tuple[Path, Path, str]:
    listed = write_list(folder / "l.lst", [])
    return listed, folder, f"{listed}: lists no images (make one with 'im2rec make-list')"


def list_is_an_image(folder: Path) -> tuple[Path, Path, str]:
    listed = folder / "a.jpg"
    listed.write_bytes(encoded(texture()))
    return listed, folder, f"{listed}: is not a list: it contains zero bytes, which no text does (name a .lst)"


def no_image_is_there(folder: Path) -> tuple[Path, Path, str]:
    listed = write_list(folder / "l.lst", ["a.jpg", "b.jpg"])
    expected = f"{listed}: none of its images could be packed: 2 missing; line 1: a.jpg: no such file"
    return listed, folder, expected


INPUTS: list[Break] = [
    root_missing,
    root_is_a_file,
    list_missing,
    list_is_a_rec,
    list_is_empty,
    list_is_an_image,
    no_image_is_there,
]


@pytest.mark.parametrize("options", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_an_input_that_cannot_be_used_is_exit_4_and_nothing_is_written(tmp_path: Path, options: list[str]) -> None:
    for broken in INPUTS:
        folder = tmp_path / broken.__name__
        folder.mkdir()
        listed, root, expected = broken(folder)
        before = names_in(folder)
        ran = im2rec("pack", listed, root, folder / "o.rec", "--workers", "1", *options)
        assert (4, "") == (ran.code, ran.out), broken
        assert f"im2rec: {expected}" == ran.err.rstrip("\n")[: len(f"im2rec: {expected}")]
        assert 1 == ran.err.count("\n")
        assert before == names_in(folder)


@POSIX
def test_a_folder_for_a_list_is_exit_4(tmp_path: Path) -> None:
    ran = im2rec("pack", tmp_path, tmp_path, tmp_path / "o.rec")

    assert Ran(4, "", f"im2rec: {tmp_path}: is a folder (name a file)\n") == ran


def test_a_root_that_may_not_be_read_is_exit_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, root = a_list_of_images(tmp_path)

    def scandir(path: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr("im2rec.storage.files.os.scandir", scandir)
        ran = im2rec("pack", listed, root, tmp_path / "o.rec")
    assert Ran(4, "", f"im2rec: {root}: cannot be read: permission denied (check the path)\n") == ran


def test_an_empty_part_of_a_list_is_packed_to_an_empty_rec(tmp_path: Path) -> None:
    _, root = a_list_of_images(tmp_path)
    listed = write_list(tmp_path / "one.lst", ["0.jpg"])
    parts = [
        pack(listed, root, tmp_path / "o.rec", PackParams(nsplit=3, part=part), SERIAL).images for part in range(3)
    ]

    assert [0, 0, 1] == sorted(parts)
    assert 3 == len(list(tmp_path.glob("o.rec.part???")))
    assert 1 == sum(len(records_of(path)) for path in tmp_path.glob("o.rec.part???"))


# Outputs that cannot be written: exit 1.


@pytest.mark.parametrize("there", ["o.rec", "o.idx"])
def test_an_output_that_exists_is_exit_1_and_stays_as_it_is(tmp_path: Path, there: str) -> None:
    listed, root = a_list_of_images(tmp_path)
    (tmp_path / there).write_bytes(b"mine")

    expected = f"im2rec: {tmp_path / there}: exists already (replace it with --force, or choose another name)\n"
    for options in ([], ["--dry-run"]):
        assert Ran(1, "", expected) == im2rec("pack", listed, root, tmp_path / "o.rec", *options)
    assert b"mine" == (tmp_path / there).read_bytes()
    assert sorted(["l.lst", there, "root"]) == names_in(tmp_path)


def test_an_output_in_a_missing_folder_is_exit_1(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    out = tmp_path / "no" / "o.rec"

    expected = f"im2rec: {out}: the folder {tmp_path / 'no'} is missing (make it first)\n"
    assert Ran(1, "", expected) == im2rec("pack", listed, root, out)


def test_an_output_that_is_a_folder_is_exit_1(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    for out in (f"{tmp_path}", f"{tmp_path}/", f"{tmp_path}/."):
        expected = f"im2rec: {tmp_path}: is a folder (name a file)\n"
        assert Ran(1, "", expected) == im2rec("pack", listed, root, out, "--force")


def test_an_output_without_a_name_is_reported_as_a_folder(here: Path) -> None:
    listed, root = a_list_of_images(here)
    for out in (".", "..", "/"):
        ran = im2rec("pack", listed, root, out, "--force")
        assert (1, "") == (ran.code, ran.out)
        assert "is a folder" in ran.err


def test_an_output_that_cannot_be_created_is_exit_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, root = a_list_of_images(tmp_path)

    def refuse(path: Path, **_: object) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(disk, "open_output", refuse)
        ran = im2rec("pack", listed, root, tmp_path / "o.rec", "unchanged=1")
    why = "cannot be written: permission denied (no file exists under this name)"
    assert Ran(1, "", f"im2rec: {tmp_path / 'o.rec'}: {why}\n") == ran
    assert ["l.lst", "root"] == names_in(tmp_path)


# Warnings.


def warnings_of(folder: Path, text: str, **params: Any) -> list[str]:
    _, root = a_list_of_images(folder)
    (folder / "w.lst").write_text(text)
    options = PackOptions(workers=1, force=True)
    return pack(folder / "w.lst", root, folder / "o.rec", PackParams(unchanged=True, **params), options).warnings


def test_repeated_ids_give_one_warning(tmp_path: Path) -> None:
    (warning,) = warnings_of(tmp_path, "7\t1\t0.jpg\n8\t1\t1.jpg\n7\t1\t2.jpg\n7\t1\t2.jpg\n")

    assert "2 lines repeat an id, 7 for one; by key, the last is read" == warning
    assert [7, 8, 7, 7] == [record.header.id for record in records_of(tmp_path / "o.rec")]


def test_dropped_labels_give_one_warning_and_none_with_pack_label(tmp_path: Path) -> None:
    text = "7\t1\t2\t0.jpg\n8\t1\t1.jpg\n9\t1\t2\t3\t2.jpg\n"

    assert ["2 images have several labels, only the first is stored; keep all with pack_label=1"] == warnings_of(
        tmp_path, text
    )
    assert [] == warnings_of(tmp_path, text, pack_label=True)


ROUNDED = "are rounded, as float32 holds whole numbers up to 2^24"
NOT_FINITE = "are nan, infinite or beyond float32"


def test_integers_that_float32_cannot_hold_give_a_warning_with_their_number_and_first_line(tmp_path: Path) -> None:
    text = "7\t16777216\t0.jpg\n8\t16777217\t1.jpg\n9\t33554433\t2.jpg\n"

    first = "first 16777217 in line 2, which becomes 16777216"
    assert [f"labels of 2 lines {ROUNDED}; {first}"] == warnings_of(tmp_path, text)
    assert [] == warnings_of(tmp_path, "7\t16777216\t0.jpg\n8\t16777218\t1.jpg\n9\t0.1\t2.jpg\n")


def test_infinite_and_nan_labels_are_stored_without_a_warning_of_numpy(tmp_path: Path) -> None:
    # Warnings are errors here.
    text = "7\t1e39\t0.jpg\n8\tinf\t1.jpg\n9\tnan\t2.jpg\n"
    assert [f"labels of 3 lines {NOT_FINITE}, first 1e+39 in line 1"] == warnings_of(tmp_path, text)
    assert ["inf", "inf", "nan"] == [str(record.header.label) for record in records_of(tmp_path / "o.rec")]


def test_the_report_has_one_json_object_per_bad_image(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 2)
    (root / "1.jpg").write_bytes(b"")
    with listed.open("ab") as stream:
        stream.write("\nnot a line\n9\t1\t日本\udcff.jpg\n".encode("utf-8", "surrogateescape"))
    summary = pack(listed, root, tmp_path / "o.rec", PackParams(unchanged=True), SERIAL)

    rows = [json.loads(line) for line in (tmp_path / "o.rec.bad.jsonl").read_text(encoding="ascii").splitlines()]
    assert [
        {"line": 2, "id": 1, "path": "1.jpg", "reason": "empty", "detail": "is empty: fetch it again"},
        {
            "line": 4,
            "id": None,
            "path": None,
            "reason": "bad list line",
            "detail": "expected a number as label, found 'a'",
        },
        {
            "line": 5,
            "id": 9,
            "path": "日本\udcff.jpg",
            "reason": "missing",
            "detail": "no such file: its letters are not UTF-8; save the list as UTF-8",
        },
    ] == rows
    assert {"empty": 1, "bad list line": 1, "missing": 1} == summary.bad
