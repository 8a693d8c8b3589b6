"""The files of ``make-list``: locked from the start, published together, and what killed runs leave of them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from image_helpers import im2rec, names_in

from im2rec.packing import list_files, make_list
from im2rec.packing.list_files import ListFiles
from im2rec.packing.make_list import ListOptions, ListSummary
from im2rec.storage import disk
from im2rec.storage.output import AtomicFile

HALVES = ListOptions(split=(0.5, 0.5))
LISTS = ["l.classes.txt", "l_test.lst", "l_train.lst"]


@pytest.fixture(autouse=True)
def root(here: Path) -> Path:
    """Two images."""
    (here / "r").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (here / "r" / name).touch()
    return here / "r"


def run(options: ListOptions = HALVES, **words: Any) -> ListSummary:
    return make_list.make_list("r", "l", options, **words)


def there() -> list[str]:
    return [name for name in names_in(Path()) if name != "r"]


def test_a_second_run_of_the_same_prefix_is_refused_before_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    with ListFiles(Path("l"), [], force=False), monkeypatch.context() as patch:
        patch.setattr(make_list, "walk_folder", None)
        for options in (HALVES, ListOptions()):
            busy = "l.classes.txt: another im2rec is writing it (wait for it, or choose another name)"
            assert busy == message_of(run, options)
    assert [] == there()
    run()
    assert LISTS == there()


def test_what_killed_runs_of_the_prefix_have_left_is_written_over_or_removed() -> None:
    left = ["l_train.lst", "l.lst", "l_7_val.lst", "l.classes.txt"]
    kept = ["l2.lst.im2rec-partial", "l_x_val.lst.im2rec-partial", "l.rec.im2rec-partial"]
    for name in [*(f"{name}.im2rec-partial" for name in left), *kept]:
        Path(name).write_bytes(b"a" * 1000)
    run()

    assert sorted([*LISTS, *kept]) == there()
    assert b"0\t0\ta.jpg\n" == Path("l_train.lst").read_bytes()


def test_a_list_that_a_run_of_another_prefix_is_writing_is_not_removed() -> None:
    with AtomicFile("l_7.lst") as other:
        other.write(b"theirs")
        run()
    assert b"theirs" == Path("l_7.lst").read_bytes()


def test_the_files_of_an_unfinished_run_are_no_files_of_the_folder(root: Path) -> None:
    for name in ("out.im2rec-partial", "out.im2rec-earlier"):
        (root / name).mkdir()
        (root / name / "c.jpg").touch()
    (root / "out.rec.im2rec-journal").touch()
    summary = make_list.make_list(root, root / "l")

    assert (2, {}) == (summary.images, summary.left_out)


def test_very_many_lists_are_not_open_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    open_at_once: list[int] = []
    files: list[AtomicFile] = []
    real = AtomicFile.finish

    def finish(file: AtomicFile) -> None:
        real(file)
        files.append(file)
        open_at_once.append(sum(not file.raw.closed for file in files))

    monkeypatch.setattr(AtomicFile, "finish", finish)
    monkeypatch.setattr(list_files, "_MAX_OPEN", 1)
    run()
    assert LISTS == there()
    assert 1 == max(open_at_once)


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    """Raise *error* where the file *name* would get its name."""

    def failing(real: Callable[[Path, Path], None], source: Path, target: Path) -> None:
        if target.name == name and not failed:
            failed.append(name)
            raise error
        real(source, target)

    failed: list[str] = []
    for function in ("replace", "rename_new"):
        real = getattr(disk, function)
        monkeypatch.setattr(disk, function, lambda *paths, real=real: failing(real, *paths))


DENIED = OSError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("name", LISTS)
def test_when_a_file_cannot_have_its_name_none_appears(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fail_at(monkeypatch, name, DENIED)

    expected = f"{name}: cannot be written: permission denied (none of the files exists under its name)"
    assert expected == message_of(run)
    assert [] == there()


STAND = {
    "l_train.lst": "l_train.lst is old; l_test.lst, l.classes.txt are missing",
    "l_test.lst": "l_train.lst is new; l_test.lst, l.classes.txt are missing",
    "l.classes.txt": "l_train.lst, l_test.lst are new; l.classes.txt is missing",
}


@pytest.mark.parametrize("name", STAND)
def test_with_force_no_list_of_an_earlier_run_is_beside_a_new_one_and_the_error_says_which_are_there(
    monkeypatch: pytest.MonkeyPatch, name: str, root: Path
) -> None:
    run()
    (root / "c").mkdir()
    (root / "c" / "c.jpg").touch()
    fail_at(monkeypatch, name, DENIED)

    assert f"{name}: cannot be written: permission denied ({STAND[name]})" == message_of(run, force=True)
    run(force=True)
    assert LISTS == there()
    assert ".\nc\n" == Path("l.classes.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", LISTS)
def test_after_an_interrupt_between_two_names_all_files_are_there(
    monkeypatch: pytest.MonkeyPatch, name: str, force: bool
) -> None:
    fail_at(monkeypatch, name, KeyboardInterrupt())
    words = ["make-list", "r", "--prefix", "l", "--split", "0.5,0.5", *["--force"] * force]
    done = im2rec(*words)

    again = " ".join(["im2rec", *words, *["--force"] * (not force)])
    assert (130, f"im2rec: interrupted; to begin again: {again}\n") == (done.code, done.err)
    assert LISTS == there()


def test_a_file_that_appears_during_the_walk_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    walk = make_list.walk_folder
    for name in LISTS:
        with monkeypatch.context() as patch:
            patch.setattr(
                make_list, "walk_folder", lambda *words, name=name: (Path(name).write_bytes(b"mine"), walk(*words))[1]
            )
            assert message_of(run).startswith(f"{name}: exists already")
        assert [name] == there()
        assert b"mine" == Path(name).read_bytes()
        Path(name).unlink()
