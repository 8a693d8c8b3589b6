"""Output files: their temporary names, and the moment at which several of them get their own."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from image_helpers import names_in

from im2rec.errors import OutputError
from im2rec.storage import disk
from im2rec.storage.output import AtomicFile, partial_path, publish, remove_leftover

posix = pytest.mark.skipif(os.name == "nt", reason="Windows renames without links, and no open file")
EXISTS = "exists already (replace it with force=True, or choose another name)"


# One file.


def test_a_file_is_written_beside_its_name_and_renamed(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "a.lst") as file:
        file.write(b"text")
        assert ["a.lst.im2rec-partial"] == names_in(tmp_path)
        assert 4 == file.flush()

    assert ["a.lst"] == names_in(tmp_path)
    assert b"text" == (tmp_path / "a.lst").read_bytes()


def test_the_name_of_a_file_is_on_the_disk_when_its_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[list[str]] = []
    monkeypatch.setattr(disk, "sync_folder", lambda folder: synced.append(names_in(folder)))
    for force in (False, True):
        with AtomicFile(tmp_path / "a", force=force) as file:
            file.write(b"text")
        assert ["a"] == synced[-1]


def test_a_second_file_of_the_same_name_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for force in (False, True):
        with AtomicFile(path, force=True) as file:
            file.write(b"te")
            expected = f"{path}: another im2rec is writing it (wait for it, or choose another name)"
            assert expected == message_of(AtomicFile, path, force=True)
            assert expected == message_of(remove_leftover, path)
            file.write(b"xt")
        assert b"text" == path.read_bytes(), force


def test_what_a_killed_process_left_is_written_over_and_nothing_of_it_stays(tmp_path: Path) -> None:
    (tmp_path / "a.im2rec-partial").write_bytes(b"left by a killed process")
    with AtomicFile(tmp_path / "a") as file:
        file.write(b"new")

    assert ["a"] == names_in(tmp_path)
    assert b"new" == (tmp_path / "a").read_bytes()


def test_what_a_killed_process_left_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "a.im2rec-partial").write_bytes(b"left")
    (tmp_path / "a").write_bytes(b"whole")
    for _ in range(2):
        remove_leftover(tmp_path / "a")
        assert ["a"] == names_in(tmp_path)


def test_a_file_can_be_kept_and_written_on_from_a_given_size(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "a")
    file.write(b"0123456789")
    file.flush()
    file.keep()
    file.keep()
    del file
    gc.collect()
    with AtomicFile(tmp_path / "a", size=4) as file:
        assert 4 == file.flush()
        with file.reopen() as written:
            assert b"0123" == written.read_at(0, 100)
        file.write(b"new")

    assert ["a"] == names_in(tmp_path)
    assert b"0123new" == (tmp_path / "a").read_bytes()


def test_a_file_that_is_shorter_than_its_journal_says_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.im2rec-partial"
    path.write_bytes(b"0123")
    expected = f"{path}: has 4 bytes, and its journal says 5,000 (begin again with restart=True)"

    assert expected == message_of(AtomicFile, tmp_path / "a", size=5000)
    assert b"0123" == path.read_bytes()


@posix
def test_a_file_that_was_killed_between_two_names_is_whole_and_its_second_name_goes(tmp_path: Path) -> None:
    for force in (False, True):
        (tmp_path / "a").write_bytes(b"whole")
        os.link(tmp_path / "a", tmp_path / "a.im2rec-partial")
        if force:
            with AtomicFile(tmp_path / "a", force=True) as file:
                file.write(b"new")
        else:
            assert f"{tmp_path / 'a'}: {EXISTS}" == message_of(AtomicFile, tmp_path / "a")
        assert ["a"] == names_in(tmp_path)
        assert [b"whole", b"new"][force] == (tmp_path / "a").read_bytes()


@pytest.mark.parametrize("letter", ["x", "字", "é"])
def test_names_of_any_length_have_a_temporary_name_of_their_own(tmp_path: Path, letter: str) -> None:
    longest = 255 // len(letter.encode())
    names = [letter * count for count in range(longest - 30, longest + 1)]
    names.append(f"{letter * (longest - 1)}y")  # the same start as another one
    temporary = [partial_path(tmp_path / name) for name in names]

    assert len(names) == len(set(temporary))
    assert all(len(os.fsencode(path.name)) <= 255 for path in temporary)
    assert all(path.name.endswith(".im2rec-partial") and path.parent == tmp_path for path in temporary)
    with AtomicFile(tmp_path / names[-1]) as file:
        file.write(b"new")
    assert [names[-1]] == names_in(tmp_path)


@posix
def test_a_link_under_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "a.im2rec-partial").symlink_to("mine")

    assert "a: cannot be written: " in message_of(AtomicFile, tmp_path / "a")
    assert b"mine" == (tmp_path / "mine").read_bytes()


# Several files.

OURS = ("o.rec", "o.idx", "o.rec.digest")


def finished(folder: Path, *, force: bool = False, digest: bool = True) -> list[AtomicFile]:
    """A ``.rec``, its index and digest, written but without their names."""
    files = [AtomicFile(folder / name, force=force) for name in OURS[: 2 + digest]]
    for file in files:
        file.write(f"new {file.path.name}".encode())
        file.finish()
    return files


def publish_all(files: list[AtomicFile], *, force: bool = False) -> None:
    folder = files[0].path.parent
    old = [folder / "o.rec.digest", folder / "o.idx"]
    publish([file.path for file in files], old=old, force=force, files=files)


def publish_again(folder: Path, *, force: bool = False) -> None:
    """Publish what an earlier run has finished."""
    publish([folder / name for name in OURS], old=[folder / "o.rec.digest", folder / "o.idx"], force=force)


def contents(folder: Path) -> dict[str, str]:
    """What is in each file under its final name: ``new`` or ``old``."""
    return {
        path.name: path.read_text().split()[0]
        for path in sorted(folder.iterdir())
        if not path.name.endswith(".im2rec-partial")
    }


def old_files(folder: Path, names: tuple[str, ...] = OURS) -> None:
    for name in names:
        (folder / name).write_text(f"old {name}")


def is_pair_of_one(found: dict[str, str]) -> bool:
    """True if the files are of one run, and an index or a digest is beside its ``.rec``."""
    return not found or ("o.rec" in found and len(set(found.values())) == 1)


@pytest.mark.parametrize("force", [False, True])
def test_all_files_get_their_names_and_old_companions_go(tmp_path: Path, *, force: bool) -> None:
    if force:
        old_files(tmp_path)
    files = finished(tmp_path, force=force, digest=False)
    publish_all(files, force=force)
    for file in files:
        file.discard()

    assert {"o.idx": "new", "o.rec": "new"} == contents(tmp_path)
    assert ["o.idx", "o.rec"] == names_in(tmp_path)


class Broken(BaseException):
    """The process ends here."""


class Steps:
    """Raises *error* before the step *number* of all changes of the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> None:
        self.left, self.error = number, error
        self.log: list[str] = []
        for name in ("remove", "replace", "rename_new"):
            monkeypatch.setattr(disk, name, self._wrapped(name, getattr(disk, name)))

    def _wrapped(self, name: str, real: Any) -> Any:
        def step(*paths: Path) -> None:
            if not paths[-1].name.endswith(".im2rec-partial"):  # the second half of rename_new()
                self.log.append(f"{name} {paths[-1].name}")
            if len(self.log) == self.left:
                raise self.error
            real(*paths)

        return step


def no_space() -> OSError:
    return OSError(errno.EIO, "Input/output error")


STEPS = {
    False: ["rename_new o.rec", "rename_new o.idx", "rename_new o.rec.digest"],
    True: ["remove o.rec.digest", "remove o.idx", "replace o.rec", "replace o.idx", "replace o.rec.digest"],
}
_OLD_ALONE = "{rec} is the old one, and o.idx and o.rec.digest are missing beside it; 'im2rec index' makes one"
_DIGEST_LACKS = "{rec} is complete, and o.rec.digest is missing beside it; 'im2rec digest' makes one"
_BOTH_LACK = "{rec} is complete, and o.idx and o.rec.digest are missing beside it; 'im2rec index' makes one"
STANDING = {  # after the failure of each step, with the names of old ones and new ones
    False: [
        ("no file exists under the name {rec}", "", ""),
        (_BOTH_LACK, "", "o.rec"),
        (_DIGEST_LACKS, "", "o.idx o.rec"),
    ],
    True: [
        ("{rec} and its index are the old ones", "o.idx o.rec o.rec.digest", ""),
        ("{rec} is the old one, and o.rec.digest is missing beside it; 'im2rec digest' makes one", "o.idx o.rec", ""),
        (_OLD_ALONE, "o.rec", ""),
        (_BOTH_LACK, "", "o.rec"),
        (_DIGEST_LACKS, "", "o.idx o.rec"),
    ],
}
CASES = [(force, number) for force, steps in STEPS.items() for number in range(1, len(steps) + 1)]


@posix
@pytest.mark.parametrize(("force", "number"), CASES)
def test_a_step_that_fails_leaves_no_mixed_pair_and_the_error_says_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, force: bool
) -> None:
    if force:
        old_files(tmp_path)
    files = finished(tmp_path, force=force)
    with monkeypatch.context() as patch:
        steps = Steps(patch, number, no_space())
        message = message_of(publish_all, files, force=force)
    hint, old, new = STANDING[force][number - 1]
    path = tmp_path / STEPS[force][number - 1].split()[1]

    assert STEPS[force][:number] == steps.log
    assert f"{path}: cannot be written: input/output error ({hint.format(rec=tmp_path / 'o.rec')})" == message
    assert {**dict.fromkeys(old.split(), "old"), **dict.fromkeys(new.split(), "new")} == contents(tmp_path)
    for file in files:
        file.keep()
    publish_again(tmp_path, force=force)
    assert dict.fromkeys(sorted(OURS), "new") == contents(tmp_path)
    assert sorted(OURS) == names_in(tmp_path)


@posix
@pytest.mark.parametrize(("force", "number"), CASES)
def test_a_process_that_ends_before_a_step_leaves_no_mixed_pair_and_the_next_one_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, force: bool
) -> None:
    if force:
        old_files(tmp_path)
    files = finished(tmp_path, force=force)
    with monkeypatch.context() as patch:
        Steps(patch, number, Broken())
        with pytest.raises(Broken):
            publish_all(files, force=force)
    assert is_pair_of_one(contents(tmp_path))
    for file in files:
        file.keep()

    publish_again(tmp_path, force=force)
    assert sorted(OURS) == names_in(tmp_path)
    assert dict.fromkeys(sorted(OURS), "new") == contents(tmp_path)


@posix
def test_a_process_that_ends_within_a_rename_leaves_two_names_and_the_next_one_finishes(tmp_path: Path) -> None:
    for name in OURS:
        for file in finished(tmp_path):
            file.keep()
        for earlier in OURS[: OURS.index(name)]:
            partial_path(tmp_path / earlier).rename(tmp_path / earlier)
        os.link(partial_path(tmp_path / name), tmp_path / name)
        publish_again(tmp_path)
        assert sorted(OURS) == names_in(tmp_path)
        for other in OURS:
            (tmp_path / other).unlink()


@posix
@pytest.mark.parametrize("name", OURS)
def test_a_file_that_another_program_has_made_meanwhile_stays_and_ours_have_no_names(tmp_path: Path, name: str) -> None:
    files = finished(tmp_path)
    old_files(tmp_path, (name,))

    assert f"{tmp_path / name}: {EXISTS}" == message_of(publish_all, files)
    assert {name: "old"} == contents(tmp_path)
    for file in files:
        file.keep()
    (tmp_path / name).unlink()
    publish_again(tmp_path)
    assert dict.fromkeys(sorted(OURS), "new") == contents(tmp_path)


@posix
@pytest.mark.parametrize("name", OURS)
def test_a_file_that_appears_at_the_last_moment_is_not_replaced_and_ours_have_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    files = finished(tmp_path)
    real = disk.rename_new

    def appear(source: Path, target: Path) -> None:
        if target.name == name:
            old_files(tmp_path, (name,))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "rename_new", appear)
        assert f"{tmp_path / name}: {EXISTS}" == message_of(publish_all, files)
    assert {name: "old"} == contents(tmp_path)
    for file in files:
        file.discard()
    assert [name] == names_in(tmp_path)


@posix
def test_without_force_a_digest_that_appears_at_the_last_moment_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = finished(tmp_path, digest=False)
    real = disk.finish_rename

    def appear(source: Path, target: Path) -> None:
        real(source, target)
        if not (tmp_path / "o.rec.digest").exists() and target.name == "o.idx":
            old_files(tmp_path, ("o.rec.digest",))

    monkeypatch.setattr(disk, "finish_rename", appear)
    assert f"{tmp_path / 'o.rec.digest'}: {EXISTS}" == message_of(publish_all, files)
    assert {"o.rec.digest": "old"} == contents(tmp_path)
    for file in files:
        file.discard()


def test_the_names_are_on_the_disk_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_files(tmp_path)
    files = finished(tmp_path, force=True)
    log: list[str] = []
    monkeypatch.setattr(disk, "sync_folder", lambda _: log.append(" ".join(f"{k}={v}" for k, v in found().items())))

    def found() -> dict[str, str]:
        return contents(tmp_path)

    publish_all(files, force=True)
    for file in files:
        file.discard()
    assert ["o.rec=old", "o.rec=new", "o.idx=new o.rec=new o.rec.digest=new"] == log


def test_an_error_of_an_output_has_its_path(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        AtomicFile(tmp_path / "none" / "a")
    assert tmp_path / "none" / "a" == caught.value.path
