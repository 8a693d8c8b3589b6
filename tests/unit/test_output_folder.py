"""Output folders that are written aside: what they replace, their lock, and what the next run makes of a killed one."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from image_helpers import names_in

from im2rec.storage import output_folder as module
from im2rec.storage.output_folder import AsideFolder, check_replaceable, destination, make_folders, remove_folder

MARK = "mark"
BUSY = "another im2rec is writing it (wait for it, or choose another folder)"
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no locks of folders, and links need a right")


def find_refusal(folder: Path) -> str:
    return "" if (folder / MARK).is_file() else "is not mine"


def a_folder(out: Path, **options: Any) -> AsideFolder:
    return AsideFolder(out, find_refusal, marker=MARK, **options)


def written(path: Path, *names: str) -> Path:
    """A folder that the command wrote, with the files *names*."""
    path.mkdir()
    for name in (MARK, *names):
        (path / name).touch()
    return path


def publish(out: Path, name: str = "new", **options: Any) -> None:
    with a_folder(out, **options) as folder:
        (folder.path / MARK).touch()
        (folder.path / name).touch()
        folder.publish()


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


# The destination.


@posix
def test_the_destination_of_a_link_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    assert tmp_path / "real" == destination(tmp_path / "link")


def test_the_destination_of_a_path_without_a_name_is_its_real_path(here: Path) -> None:
    (here / "sub").mkdir()

    assert Path("out") == destination("out")
    assert Path("sub/out") == destination("sub/out")
    assert Path(os.path.realpath(here)) == destination(".") == destination("sub/..")
    assert Path("/") == destination("/")


def test_a_new_name_and_an_empty_folder_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for force in (False, True):
        check_replaceable(tmp_path / "new", find_refusal, force=force)
        check_replaceable(tmp_path / "empty", find_refusal, force=force)


def test_a_folder_of_the_command_can_be_replaced_with_force_alone(tmp_path: Path) -> None:
    old = written(tmp_path / "old")
    hint = "choose another folder, or replace it with force=True"
    check_replaceable(old, find_refusal, force=True)

    expected = f"{old}: exists already and is not empty ({hint})"
    assert expected == message_of(check_replaceable, old, find_refusal, force=False)


def test_other_folders_and_files_cannot_be_replaced(here: Path) -> None:
    (here / "mine" / MARK).mkdir(parents=True)  # a folder of that name shows nothing
    (here / "file").touch()
    expected = {
        here / "mine": "is not mine (choose another folder)",
        here / "file": "is a file (name a folder)",
        here / "no" / "new": f"the folder {here / 'no'} is missing (make it first)",
        here: "is a mount point or the folder you are in, which cannot be replaced by a finished one"
        " (name a new folder in it)",
    }

    for force in (False, True):
        messages = {path: message_of(check_replaceable, path, find_refusal, force=force) for path in expected}
        assert {path: f"{path}: {message}" for path, message in expected.items()} == messages


def test_the_folders_above_are_made_if_asked_for_and_removed_again_if_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "out"
    with a_folder(out, parents=True):
        assert ["out.im2rec-partial"] == names_in(out.parent)
    assert [] == names_in(tmp_path)

    publish(out, parents=True)
    assert [MARK, "new"] == names_in(out)
    (tmp_path / "file").touch()
    expected = f"{tmp_path / 'file'}: is not a folder (name a folder to write to)"
    assert expected == message_of(a_folder, tmp_path / "file" / "out", parents=True)


def test_folders_are_removed_again_up_to_one_that_was_there_or_holds_something(tmp_path: Path) -> None:
    with make_folders(tmp_path / "a" / "b" / "c"):
        (tmp_path / "a" / "mine").touch()
    assert ["mine"] == names_in(tmp_path / "a")


# Publishing.


def test_the_constructor_changes_nothing_and_the_block_leaves_what_is_written(parent: Path) -> None:
    folder = a_folder(parent / "out")
    assert [] == names_in(parent)

    with folder:
        (folder.path / "file").touch()
    assert ["out.im2rec-partial"] == names_in(parent)
    with a_folder(parent / "out") as folder:
        folder.clear()
    assert [] == names_in(parent)  # empty


@pytest.mark.parametrize("there", ["nothing", "empty", "earlier"])
def test_a_finished_folder_replaces_nothing_an_empty_folder_or_with_force_an_earlier_one(
    parent: Path, there: str
) -> None:
    out = parent / "out"
    if there == "empty":
        out.mkdir()
    elif there == "earlier":
        written(out, "old")
    publish(out, force=there == "earlier")

    assert ["out"] == names_in(parent)
    assert [MARK, "new"] == names_in(out)


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_appears_during_the_run_is_not_replaced(parent: Path, force: bool) -> None:
    out = parent / "out"
    with a_folder(out, force=force) as folder:
        (folder.path / "new").touch()
        out.mkdir()
        (out / "mine").touch()
        with pytest.raises(OSError, match=r"(?i)not empty") as caught:
            folder.publish()

    assert errno.ENOTEMPTY == caught.value.errno
    assert ["mine"] == names_in(out)
    assert ["new"] == names_in(folder.path)


def test_the_earlier_folder_is_put_back_when_the_new_one_cannot_be_renamed(parent: Path) -> None:
    out = written(parent / "out", "old")
    with a_folder(out, force=True) as folder:
        folder.path.rmdir()
        with pytest.raises(FileNotFoundError):
            folder.publish()

    assert ["out"] == names_in(parent)
    assert [MARK, "old"] == names_in(out)


@pytest.mark.parametrize("replaces", [False, True])
def test_the_names_are_on_the_disk_before_and_after_the_renames(
    parent: Path, monkeypatch: pytest.MonkeyPatch, replaces: bool
) -> None:
    out, steps = parent / "out", []
    if replaces:
        written(out, "old")
    rename, remove = Path.rename, remove_folder
    monkeypatch.setattr("im2rec.storage.disk.sync_folder", lambda folder: steps.append(f"sync {folder.name}"))
    monkeypatch.setattr(Path, "rename", lambda path, to: (steps.append(f"rename {path.name}"), rename(path, to))[1])
    monkeypatch.setattr(
        module, "remove_folder", lambda path, **words: (steps.append(f"remove {path.name}"), remove(path, **words))[1]
    )
    publish(out, force=replaces)

    before, after = ["rename out", "sync in"], ["remove out.im2rec-earlier"]
    expected = ["sync out.im2rec-partial", *before * replaces, "rename out.im2rec-partial", "sync in"]
    assert [*expected, *after * replaces] == steps


@posix
def test_a_name_as_long_as_a_file_system_has_them_can_be_written(parent: Path) -> None:
    out = parent / ("ä" * 127)
    publish(out)
    publish(out, force=True)
    assert [out.name] == names_in(parent)


class KilledError(BaseException):
    """Ends a run where a kill would."""


def killed_while_publishing(out: Path, step: int) -> bool:
    """Publish over an earlier folder, ended before the *step*-th change on disk; False if there are fewer."""
    with pytest.MonkeyPatch.context() as patch, a_folder(out, force=True) as folder:
        for name in (MARK, "new"):
            (folder.path / name).touch()
        steps = iter(range(1, step))

        def end_at(path: Path, real: Callable[..., Any], *words: Any, **options: Any) -> Any:
            if next(steps, None) is None:
                for other in ("rename", "rmdir", "unlink"):  # nothing is tidied up after a kill
                    patch.setattr(Path, other, lambda *_words, **_options: None)
                raise KilledError
            return real(path, *words, **options)

        for name in ("rename", "rmdir", "unlink"):
            patch.setattr(Path, name, functools.partialmethod(end_at, getattr(Path, name)))
        try:
            folder.publish()
        except KilledError:
            return True
        return False


@pytest.mark.parametrize("then", ["another", "another, in an empty folder", "refused"])
def test_after_a_kill_at_any_step_of_a_replacement_the_next_run_leaves_one_whole_folder(
    tmp_path: Path, then: str
) -> None:
    for step in range(1, 20):
        parent = tmp_path / str(step)
        parent.mkdir()
        out = written(parent / "out", "a", "old")
        if not killed_while_publishing(out, step):
            assert step > 5  # two renames, and the removal of three files and of a folder
            return
        if then == "refused":
            if not out.exists():  # what is half done is undone all the same
                assert message_of(a_folder(out).__enter__).startswith(f"{out}: exists already and is not empty")
                assert ["a", MARK, "old"] == names_in(out)
            continue
        if "empty" in then and not out.exists():
            out.mkdir()
        with a_folder(out, force=True) as folder:
            folder.clear()  # as a run that begins again
            if "old" in names_in(out):  # put back
                assert ["a", MARK, "old"] == names_in(out)
            else:
                assert [MARK, "new"] == names_in(out)
            assert not folder.earlier.exists()
            (folder.path / "newest").touch()
            folder.publish()
        assert ["out"] == names_in(parent)
        assert ["newest"] == names_in(out)
    raise AssertionError(step)


def test_a_folder_of_another_origin_with_the_name_of_an_earlier_one_is_left_alone(parent: Path) -> None:
    earlier = parent / "out.im2rec-earlier"
    earlier.mkdir()
    (earlier / "mine").touch()

    assert f"{earlier}: is not mine (move it away)" == message_of(a_folder(parent / "out").__enter__)
    assert ["out.im2rec-earlier"] == names_in(parent)
    assert ["mine"] == names_in(earlier)
    (earlier / "mine").unlink()
    earlier.rmdir()
    earlier.touch()
    expected = f"{earlier}: exists and is not a folder (remove it)"
    assert expected == message_of(a_folder(parent / "out").__enter__)


def test_an_earlier_folder_that_cannot_be_removed_is_no_error(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = written(parent / "out", "old")

    def denied(_path: Path, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", denied)
        publish(out, force=True)
    assert [MARK, "new"] == names_in(out)
    assert ["out", "out.im2rec-earlier"] == names_in(parent)
    publish(out, "newest", force=True)
    assert ["out"] == names_in(parent)


@posix
@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_a_link_in_place_of_the_unfinished_folder_is_refused(tmp_path: Path, parent: Path, kind: str) -> None:
    partial = parent / "out.im2rec-partial"
    (tmp_path / "real").mkdir()
    partial.touch() if kind == "file" else partial.symlink_to(tmp_path / "real")

    expected = f"{partial}: exists and is not a folder (remove it)"
    assert expected == message_of(a_folder, parent / "out", force=True)


@posix
def test_the_marker_is_removed_last_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = written(tmp_path / "outside")
    folder = written(tmp_path / "folder", "a", "z")
    (folder / "link").symlink_to(outside)
    removed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        real = Path.unlink
        patch.setattr(Path, "unlink", lambda path, **words: (removed.append(path.name), real(path, **words))[1])
        remove_folder(folder, last=MARK)

    assert (["a", "link", "z"], MARK) == (sorted(removed[:-1]), removed[-1])
    assert ["outside"] == names_in(tmp_path)
    assert [MARK] == names_in(outside)


# The lock.


@posix
def test_a_second_run_is_refused_while_the_first_has_the_folder(parent: Path) -> None:
    out = parent / "out"
    with a_folder(out) as first:
        for _ in range(2):
            assert f"{out}.im2rec-partial: {BUSY}" == message_of(a_folder(out).__enter__)
        assert first.path.is_dir()
    with a_folder(out):
        pass


@posix
def test_the_lock_goes_with_a_folder_that_is_renamed_and_its_name_is_free_for_the_next_run(parent: Path) -> None:
    out = parent / "out"
    with a_folder(out) as first:
        (first.path / MARK).touch()
        first.publish()
        with a_folder(out, force=True) as second:
            (second.path / MARK).touch()
            first.remove()  # it is published: nothing is removed
            assert second.path.is_dir()
            assert f"{out}: {BUSY}" == message_of(second.publish)
    assert [MARK] == names_in(out)


@posix
def test_an_earlier_folder_that_another_run_is_about_to_remove_keeps_the_next_one_out(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = written(parent / "out", "old")
    messages = []
    real = remove_folder

    def removing(folder: Path, **words: Any) -> None:
        messages.append(message_of(a_folder(out, force=True).__enter__))
        real(folder, **words)

    monkeypatch.setattr(module, "remove_folder", removing)
    publish(out, force=True)
    assert [f"{out}.im2rec-earlier: {BUSY}"] == messages
    assert ["out"] == names_in(parent)


@posix
def test_a_folder_that_is_renamed_before_it_is_locked_is_made_anew(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, moved = parent / "out", iter([parent / "first", parent / "second"])
    real_open, real_lock = os.open, module.fcntl.flock

    def before_opening(path: Any, *words: Any) -> int:
        if target := next(moved, None):
            Path(path).rename(target)
        return real_open(path, *words)

    def before_locking(*words: Any) -> None:
        if target := next(moved, None):
            folder.path.rename(target)
        real_lock(*words)

    folder = a_folder(out)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", before_opening)
        patch.setattr(module.fcntl, "flock", before_locking)
        with folder:
            assert ["first", "out.im2rec-partial", "second"] == names_in(parent)
            assert f"{folder.path}: {BUSY}" == message_of(a_folder(out).__enter__)


@pytest.fixture
def _no_locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    return


@posix
@pytest.mark.usefixtures("_no_locks")
def test_a_file_system_without_locks_is_used_without_one(parent: Path) -> None:
    opened = len([*Path("/dev/fd").iterdir()])
    with a_folder(parent / "out"), a_folder(parent / "out"):
        assert opened == len([*Path("/dev/fd").iterdir()])
    publish(parent / "out")
    publish(parent / "out", "newest", force=True)
    assert [MARK, "newest"] == names_in(parent / "out")


def test_a_system_without_locks_is_used_without_them(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fcntl", None)
    written(parent / "out.im2rec-earlier", "old")
    with a_folder(parent / "out", force=True):
        assert [MARK, "old"] == names_in(parent / "out")
    publish(parent / "out", force=True)
    assert ["out"] == names_in(parent)
