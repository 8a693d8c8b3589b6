"""The files of ``import``: locked before anything is read or fetched, and what killed and failed runs leave of them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from dataset_helpers import PYTHON10, write_files
from helpers import message_of
from image_helpers import im2rec, names_in

from im2rec.datasets import importing
from im2rec.datasets.importing import import_set
from im2rec.datasets.set_files import SetFiles, output_files
from im2rec.storage import disk

OUT = Path("out")
NAMES = ["classes.txt", "image.lst", "test.classes.txt", "test.idx", "test.lst", "test.rec"]
NAMES += ["train.classes.txt", "train.idx", "train.rec"]


@pytest.fixture(autouse=True)
def source(here: Path) -> Path:
    return write_files(here / "in", PYTHON10)


def run(*, force: bool = False) -> None:
    import_set("cifar10", OUT, "in", force=force)


def test_the_files_are_those_of_the_set() -> None:
    run()
    assert NAMES == names_in(OUT) == sorted(path.name for path in output_files("cifar10", OUT))


def test_a_second_run_is_refused_before_anything_is_read_or_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "read_set", None)
    with SetFiles("mnist", OUT, ["train"], force=False):
        before = names_in(OUT)
        busy = f"{OUT / 'train.rec'}: another im2rec is writing it (wait for it, or choose another name)"
        assert busy == message_of(run)
        assert busy == message_of(import_set, "cifar10", OUT, lambda: pytest.fail("it is fetched"))
        assert f"im2rec: {busy}\n" == im2rec("import", "cifar10", OUT, "--download").err
        assert before == names_in(OUT)
    assert not OUT.exists()


def test_a_source_that_is_a_function_is_called_when_the_files_are_locked() -> None:
    def fetch() -> Path:
        assert "train.rec.im2rec-journal" in names_in(OUT)
        return Path("in")

    assert "in" == import_set("cifar10", OUT, fetch).input
    assert NAMES == names_in(OUT)


def test_what_a_killed_run_of_this_or_another_set_has_left_is_written_over_or_removed() -> None:
    OUT.mkdir()
    for name in (*NAMES, "train.lst", "coarse_classes.txt", "mine.txt"):
        (OUT / f"{name}.im2rec-partial").write_bytes(b"a" * 10_000)
    (OUT / "train.rec.im2rec-journal").touch()
    run()

    assert [*NAMES[:2], "mine.txt.im2rec-partial", *NAMES[2:]] == names_in(OUT)
    assert b"a" * 100 not in (OUT / "train.rec").read_bytes() + (OUT / "classes.txt").read_bytes()


def test_a_list_that_a_run_of_another_set_is_writing_is_not_removed() -> None:
    with SetFiles("cifar10", OUT, ["train"], force=False), SetFiles("mnist", Path("other"), ["train"], force=False):
        assert (OUT / "image.lst.im2rec-partial").exists()
        assert message_of(import_set, "mnist", OUT, {}).startswith(f"{OUT / 'classes.txt'}: another im2rec is")
        assert (OUT / "image.lst.im2rec-partial").exists()


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the file *name* not get its name."""

    def failing(real: Callable[[Path, Path], None], source: Path, target: Path) -> None:
        if target.name == name:
            raise OSError(errno.EACCES, "Permission denied")
        real(source, target)

    for function in ("replace", "rename_new"):
        real = getattr(disk, function)
        monkeypatch.setattr(disk, function, lambda *paths, real=real: failing(real, *paths))


STAND = {
    "train.rec": "no file exists under the name out/train.rec",
    "train.idx": "out/train.rec is complete, and train.idx is missing beside it; 'im2rec index' makes one",
    "test.rec": "no file exists under the name out/test.rec; out/train.rec is complete",
    "image.lst": "none of the files exists under its name; out/train.rec is complete; out/test.rec is complete",
}


@pytest.mark.parametrize("name", STAND)
def test_a_file_that_cannot_have_its_name_is_an_error_that_says_what_is_there(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as patch:
        fail_at(patch, name)
        message = message_of(run)
    hint = STAND[name].replace("out/", f"{OUT / 'x'}"[:-1])
    assert f"{OUT / name}: cannot be written: permission denied ({hint})" == message
    assert not [name for name in (names_in(OUT) if OUT.exists() else []) if "im2rec-" in name]
    run(force=True)
    assert NAMES == names_in(OUT)


@pytest.mark.parametrize("name", ["train.rec", "test.rec"])
def test_with_force_no_list_of_an_earlier_run_is_beside_a_new_file(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    run()
    fail_at(monkeypatch, name)
    message = message_of(run, force=True)

    old = OUT / name
    expected = f"{old} is the old one, and {name[:-3]}idx is missing beside it; 'im2rec index' makes one"
    assert message.startswith(f"{old}: cannot be written: permission denied ({expected}")
    assert [name for name in NAMES if name.endswith((".rec", ".idx")) and name != f"{old.stem}.idx"] == names_in(OUT)
