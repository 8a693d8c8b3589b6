"""``im2rec iterate --dump`` and ``--sheet``: which folders they replace, and what killed and interrupted runs leave."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_helpers import POSIX, Ran, ended, im2rec, names_in, started, until
from iterator_helpers import a_rec

from im2rec.runs import outputs
from im2rec.runs.outputs import MANIFEST, BatchOutputs

SMALL = ["some.rec", "--batch-size", "4", "-q"]
BATCHES = [f"batch_{n:05}.npz" for n in range(3)]
SHEETS = [f"sheet_{n:05}.png" for n in range(3)]
FILES = {"--dump": [*BATCHES, MANIFEST], "--sheet": SHEETS}
both = pytest.mark.parametrize("option", FILES)
BUSY = "another im2rec is writing it (wait for it, or choose another folder)"


@pytest.fixture(autouse=True)
def some(here: Path) -> Path:
    """Ten records in the current folder."""
    return a_rec(here)


def iterate(*words: str) -> Ran:
    return im2rec("iterate", *SMALL, *words)


def there() -> list[str]:
    return [name for name in names_in(Path()) if not name.startswith("some.")]


def refusal(name: str, kind: str) -> Ran:
    problem = f"holds {name}, which is not of an earlier {kind}, and is not replaced"
    return Ran(1, "", f"im2rec: out: {problem} (choose another folder)\n")


# What is replaced.


@both
def test_an_earlier_folder_of_the_same_kind_is_replaced_with_force_alone(option: str) -> None:
    assert 0 == iterate(option, "out").code
    assert FILES[option] == names_in(Path("out"))
    hint = "choose another folder, or replace it with --force"
    expected = Ran(1, "", f"im2rec: out: exists already and is not empty ({hint})\n")
    assert [expected, expected] == [iterate(option, "out"), iterate(option, "out", "--dry-run")]

    Path("out/.DS_Store").touch()  # as the file manager of macOS leaves it
    assert 0 == iterate(option, "out", "--force", "--max-batches", "1").code
    assert [name for name in FILES[option] if not name[-5].isdigit() or "00000" in name] == names_in(Path("out"))
    assert ["out"] == there()


@both
@pytest.mark.parametrize("force", [[], ["--force"]], ids=str)
def test_a_folder_with_anything_else_in_it_is_never_replaced(option: str, force: list[str]) -> None:
    iterate(option, "out")
    for name in ("mine.txt", "batch_00003.npz", ".im2rec-extract.json"):
        Path("out", name).touch()
        before = names_in(Path("out"))
        assert refusal(name, option[2:]) == iterate(option, "out", *force)
        assert before == names_in(Path("out"))
        Path("out", name).unlink()
    Path("out", "sub").mkdir()
    assert refusal("sub", option[2:]) == iterate(option, "out", *force)
    assert ["out"] == there()


@both
def test_a_folder_of_the_other_kind_is_not_replaced(option: str) -> None:
    other = "--sheet" if option == "--dump" else "--dump"
    iterate(other, "out")

    assert refusal(FILES[other][0], option[2:]) == iterate(option, "out", "--force")


MANIFESTS = {
    "of another program": lambda _: {"schema": 1, "batches": [{"file": "batch_00000.npz"}]},
    "that lists other files": lambda manifest: manifest | {"batches": [{"file": "../some.rec"}]},
    "without batches": lambda manifest: manifest | {"batches": None},
    "in a list": lambda manifest: [manifest],
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_folder_whose_manifest_is_not_of_a_dump_is_not_replaced(case: str) -> None:
    iterate("--dump", "out")
    path = Path("out", MANIFEST)
    path.write_text(json.dumps(MANIFESTS[case](json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")

    assert refusal(BATCHES[0], "dump") == iterate("--dump", "out", "--force")
    for content in (b"", b"[" * 100_000, b"\xff"):
        path.write_bytes(content)
        assert refusal(BATCHES[0], "dump") == iterate("--dump", "out", "--force")


def test_both_kinds_may_go_to_one_folder() -> None:
    assert 0 == iterate("--dump", "out", "--sheet", "sub/../out").code
    assert sorted([*FILES["--dump"], *FILES["--sheet"]]) == names_in(Path("out"))
    assert refusal(SHEETS[0], "dump") == iterate("--dump", "out", "--force")
    assert refusal(BATCHES[0], "sheet") == iterate("--sheet", "out", "--force")

    Path("out", "mine").touch()
    assert refusal("mine", "dump or sheet") == iterate("--dump", "out", "--sheet", "out", "--force")
    Path("out", "mine").unlink()
    assert 0 == iterate("--dump", "out", "--sheet", "out", "--force", "--max-batches", "1").code
    assert [BATCHES[0], MANIFEST, SHEETS[0]] == names_in(Path("out"))


@pytest.mark.parametrize(("dump", "sheet"), [("out", "out/sheets"), ("a/../out/dump", "out")])
def test_one_of_the_folders_in_the_other_is_wrong_usage(dump: str, sheet: str) -> None:
    inner, outer = sorted((os.path.realpath(dump), os.path.realpath(sheet)), key=len, reverse=True)
    expected = f"im2rec: {inner} is a folder in {outer}, and both would be written (choose another)\n"

    assert Ran(2, "", expected) == iterate("--dump", dump, "--sheet", sheet)
    assert [] == there()


# Runs that fail, are interrupted or killed.


@both
def test_a_run_that_fails_leaves_no_folder(option: str) -> None:
    assert 4 == im2rec("iterate", "none.rec", option, "new/out").code
    assert [] == there()


@both
def test_a_disk_that_is_full_leaves_no_folder_and_the_earlier_one_as_it_was(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    iterate(option, "out", "--max-batches", "1")
    before = names_in(Path("out"))
    written: list[Any] = []

    def full(file: Any) -> None:
        written.append(file)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "sync_and_close", full)
    problem = "cannot be written: no space left on device (nothing of this run is kept; the same command begins again)"
    assert Ran(1, "", f"im2rec: out.im2rec-partial: {problem}\n") == iterate(option, "out", "--force")
    assert (before, ["out"]) == (names_in(Path("out")), there())


@both
def test_a_second_run_is_refused_at_its_start_and_disturbs_nothing(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    folder = {option[2:]: Path("out")}
    with BatchOutputs(folder.get("dump"), folder.get("sheet"), force=False):
        Path("out.im2rec-partial/batch_00000.npz").touch()
        with monkeypatch.context() as patch:
            patch.setattr("im2rec.iterators.image_record.ImageRecordIter.__init__", None)  # nothing is opened
            assert Ran(1, "", f"im2rec: out.im2rec-partial: {BUSY}\n") == iterate(option, "out")
        assert ["batch_00000.npz"] == names_in(Path("out.im2rec-partial"))
    assert [] == there()


@both
def test_what_a_killed_run_has_left_is_removed_by_the_next_one(option: str) -> None:
    partial = Path("out.im2rec-partial")
    partial.mkdir()
    for name in ("batch_00007.npz", "sheet_100000.png", MANIFEST):
        (partial / name).touch()

    assert 0 == iterate(option, "out").code
    assert FILES[option] == names_in(Path("out"))
    assert ["out"] == there()


@both
@pytest.mark.parametrize("name", [".im2rec-extract.json", "mine.txt"])
def test_what_no_run_of_iterate_has_left_is_not_removed(option: str, name: str) -> None:
    partial = Path("out.im2rec-partial")
    partial.mkdir()
    (partial / name).touch()

    problem = f"holds {name}, which no run of iterate has left (remove it, or choose another folder)"
    assert Ran(1, "", f"im2rec: out.im2rec-partial: {problem}\n") == iterate(option, "out")
    assert [name] == names_in(partial)


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has written batches and has far more to write."""
    partial = tmp_path / "out.im2rec-partial"
    with started("iterate", *SMALL, "--epochs", "1000000", "--dump", tmp_path / "out") as process:
        try:
            until(lambda: partial.is_dir() and "batch_00003.npz" in names_in(partial), "no batch is written")
            yield process
        finally:
            process.kill()


@POSIX
@pytest.mark.parametrize(("number", "code", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_an_interrupted_run_leaves_nothing_and_prints_the_command_that_begins_again(
    endless: subprocess.Popen[bytes], tmp_path: Path, number: str, code: int, word: str
) -> None:
    endless.send_signal(getattr(signal, number))
    done = ended(endless)

    again = f"im2rec iterate some.rec --batch-size 4 -q --epochs 1000000 --dump {tmp_path / 'out'}"
    assert Ran(code, "", f"im2rec: {word}; to begin again: {again}\n") == done
    assert [] == there()


@POSIX
def test_a_killed_run_leaves_its_batches_aside_and_the_same_words_begin_again(
    endless: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    endless.kill()
    endless.wait()
    assert ["out.im2rec-partial"] == there()

    words = shlex.split(f"iterate some.rec --batch-size 4 -q --dump {tmp_path / 'out'}")
    assert 0 == im2rec(*words).code
    assert [*BATCHES, MANIFEST] == names_in(tmp_path / "out")
    assert ["out"] == there()
