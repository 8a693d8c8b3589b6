"""The output folder of extract: what it replaces, its journal, its lock, and the files in it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of

from im2rec.errors import OutputError
from im2rec.extraction import resumable_folder as module
from im2rec.extraction.resumable_folder import (
    MARKER,
    MARKER_TEMP,
    ExtractionProgress,
    ResumableFolder,
    check_replaceable,
    destination,
    replace_folder,
)

IDENTITY = {"rec": "a.rec", "head": 3, "keys": [1, 2]}
HINT = "the files written so far stay; the same command resumes the extraction"
links = pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")


def a_folder(out: Path, **options: Any) -> ResumableFolder:
    return ResumableFolder(out, **{"identity": IDENTITY, **options})


def stopped(out: Path, **counts: int) -> Path:
    """``DIR.partial`` of a run that wrote ``a.bin`` and ended with these counts in its journal."""
    with a_folder(out) as folder:
        folder.write("a.bin", b"content")
        folder.progress = ExtractionProgress(**counts)
        folder.save()
    return folder.path


def extraction(path: Path) -> Path:
    """A finished extraction with a single file."""
    path.mkdir()
    (path / MARKER).write_text("{}")
    (path / "old").touch()
    return path


# The destination.


@links
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
        check_replaceable(tmp_path / "new", [], force=force)
        check_replaceable(tmp_path / "empty", [], force=force)


def test_an_extraction_can_be_replaced_with_force_unless_it_contains_an_input(tmp_path: Path) -> None:
    old = extraction(tmp_path / "old")
    hint = "choose another folder, or replace it with force=True"
    check_replaceable(old, [tmp_path / "a.rec", tmp_path / "older" / "b.rec"], force=True)

    assert f"{old}: exists already and is not empty ({hint})" == message_of(check_replaceable, old, [], force=False)
    inputs = [tmp_path / "a.rec", old / "sub" / "b.rec"]
    expected = f"{old}: holds {inputs[1]} and is not replaced (choose another folder)"
    assert expected == message_of(check_replaceable, old, inputs, force=True)


def test_other_folders_and_files_cannot_be_replaced(here: Path) -> None:
    mine = here / "mine"
    (mine / MARKER).mkdir(parents=True)  # a folder of that name is no journal
    (here / "file").touch()

    for force in (False, True):
        full = f"{mine}: exists already and is not empty (choose another folder)"
        assert full == message_of(check_replaceable, mine, [], force=force)
        assert f"{here / 'file'}: is a file (name a folder)" == message_of(
            check_replaceable, here / "file", [], force=force
        )
        missing = here / "no" / "new"
        assert f"{missing}: the folder {here / 'no'} is missing (make it first)" == message_of(
            check_replaceable, missing, [], force=force
        )
        assert "is a mount point or the folder you are in" in message_of(check_replaceable, here, [], force=force)


def test_a_finished_folder_replaces_an_extraction_only_with_force(tmp_path: Path) -> None:
    old = extraction(tmp_path / "out")
    new = tmp_path / "new"
    new.mkdir()
    (new / "image").touch()
    with pytest.raises(OSError, match="not empty") as caught:
        replace_folder(new, old, force=False)
    assert errno.ENOTEMPTY == caught.value.errno
    assert ["image"] == [path.name for path in new.iterdir()]

    replace_folder(new, old, force=True)
    assert ["image"] == [path.name for path in old.iterdir()]
    assert ["out"] == [path.name for path in tmp_path.iterdir()]


def test_a_finished_folder_replaces_an_empty_folder_or_nothing(tmp_path: Path) -> None:
    for name in ("empty", "missing"):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "image").touch()
        if name == "empty":
            (tmp_path / name).mkdir()
        replace_folder(tmp_path / "new", tmp_path / name, force=False)
        assert ["image"] == [path.name for path in (tmp_path / name).iterdir()]
    assert ["empty", "missing"] == sorted(path.name for path in tmp_path.iterdir())


def test_the_extraction_is_restored_when_the_new_folder_cannot_be_renamed(tmp_path: Path) -> None:
    old = extraction(tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "gone", old, force=True)

    assert [MARKER, "old"] == sorted(path.name for path in old.iterdir())
    assert ["out"] == [path.name for path in tmp_path.iterdir()]


# The journal.


def test_the_constructor_writes_nothing_and_the_block_makes_folder_and_journal(out: Path) -> None:
    folder = a_folder(out)
    assert [] == list(out.parent.iterdir())

    with folder:
        text = (out.with_name("out.partial") / MARKER).read_text(encoding="utf-8")
    journal = json.loads(text)
    assert json.dumps(journal, indent=1) + "\n" == text
    zeros = dict.fromkeys(("records", "shards", "list_bytes", "bytes", "not_images", "lost_bits", "damaged"), 0)
    assert {"extraction": IDENTITY, "done": zeros, "complete": False} == journal
    assert [MARKER] == [path.name for path in folder.path.iterdir()]


def test_a_run_with_the_same_identity_resumes_with_the_counts_of_the_journal(out: Path) -> None:
    counts = {"records": 7, "shards": 2, "list_bytes": 30, "bytes": 99, "not_images": 1, "lost_bits": 3}
    stopped(out, **counts)

    folder = a_folder(out)
    assert ExtractionProgress(**counts) == folder.progress
    assert 7 == folder.resumed
    with folder:
        assert ExtractionProgress(**counts) == folder.progress
        assert 7 == folder.resumed
        assert b"content" == (folder.path / "a.bin").read_bytes()


@pytest.mark.parametrize("exists", [False, True])
def test_the_journal_is_read_again_when_the_folder_is_locked(out: Path, exists: bool) -> None:
    if exists:
        out.with_name("out.partial").mkdir()
    folder = a_folder(out)
    stopped(out, records=5)  # another run, between the constructor and the block
    assert 0 == folder.resumed

    with folder:
        assert 5 == folder.resumed == folder.progress.records


def test_completing_renames_the_folder_and_leaves_the_journal_in_it(out: Path) -> None:
    stopped(out, records=7)
    with a_folder(out) as folder:
        folder.complete()

    assert ["out"] == [path.name for path in out.parent.iterdir()]
    assert [MARKER, "a.bin"] == sorted(path.name for path in out.iterdir())
    journal = json.loads((out / MARKER).read_text(encoding="utf-8"))
    assert journal["complete"]
    assert 7 == journal["done"]["records"]


def test_completing_replaces_an_extraction_only_with_force(out: Path) -> None:
    with a_folder(out) as folder:
        extraction(out)
        assert f"{out}: cannot be written: directory not empty ({HINT})" == message_of(folder.complete)
    with a_folder(out, force=True) as folder:
        folder.complete()
    assert [MARKER] == [path.name for path in out.iterdir()]


@pytest.mark.parametrize(
    ("identity", "difference"),
    [
        ({**IDENTITY, "head": 4}, "head=3, not head=4"),
        ({**IDENTITY, "keys": [1]}, "keys=[1, 2], not keys=[1]"),
        ({**IDENTITY, "rec": "b.rec", "head": 4}, "rec=a.rec, not rec=b.rec"),
        ({**IDENTITY, "new": 1}, "new=None, not new=1"),
        ({"rec": "a.rec", "head": 3}, "keys=[1, 2], not keys=None"),
    ],
)
def test_another_identity_is_refused_by_its_first_difference_and_removed_with_force(
    out: Path, identity: dict[str, Any], difference: str
) -> None:
    partial = stopped(out, records=7)
    (partial / "sub").mkdir()
    (partial / "sub" / "b.bin").touch()
    expected = f"{partial}: was begun with {difference} (remove it, or start again with force=True)"
    assert expected == message_of(a_folder, out, identity=identity)

    folder = a_folder(out, identity=identity, force=True)
    assert 0 == folder.resumed
    assert (partial / "sub" / "b.bin").exists()
    with folder:
        assert [MARKER] == [path.name for path in partial.iterdir()]
        assert identity == json.loads((partial / MARKER).read_text(encoding="utf-8"))["extraction"]


@links
def test_removing_another_extraction_leaves_the_target_of_a_link_alone(tmp_path: Path, out: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").touch()
    (stopped(out) / "link").symlink_to(outside)
    with a_folder(out, identity={}, force=True):
        pass

    assert ["mine"] == [path.name for path in outside.iterdir()]


def test_the_journal_of_another_extraction_is_removed_last(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It tells the next run, after a kill, that these files are those of an extraction.
    partial = stopped(out)
    (partial / "zzz").touch()
    removed: list[str] = []
    real = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path: (removed.append(path.name), real(path))[1])
    with a_folder(out, identity={}, force=True):
        pass

    assert MARKER == removed[-1]
    assert ["a.bin", "zzz"] == sorted(removed[:-1])


def test_a_journal_with_a_further_name_without_a_value_is_one_of_the_same_extraction(out: Path) -> None:
    partial = stopped(out, records=1)
    (partial / MARKER).write_text(json.dumps({"extraction": {**IDENTITY, "more": None}, "done": {"records": 1}}))

    assert 1 == a_folder(out).resumed


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_without_a_readable_journal_is_refused(out: Path, force: bool) -> None:
    partial = out.with_name("out.partial")
    partial.mkdir()
    (partial / "mine").touch()
    expected = f"{partial}: holds no journal that can be read (remove it)"
    counts = ("-1", "Infinity", "NaN", "null", "[" * 10**5)
    contents = [f'{{"extraction": {{}}, "done": {{"records": {count}}}}}' for count in counts]
    for content in ("", "[]", "{}", *contents, '{"extraction": 1, "done": {}}'):
        (partial / MARKER).write_text(content)
        assert expected == message_of(a_folder, out, force=force)
    (partial / MARKER).write_text(json.dumps({"extraction": IDENTITY, "done": {"records": 0}}))
    assert 0 == a_folder(out, force=force).resumed


def test_a_folder_of_a_run_killed_before_its_first_journal_is_taken_over(out: Path) -> None:
    partial = out.with_name("out.partial")
    partial.mkdir()
    assert 0 == a_folder(out).resumed
    (partial / MARKER_TEMP).write_text("half a jour")
    with a_folder(out) as folder:
        assert 0 == folder.resumed
    assert [MARKER] == [path.name for path in partial.iterdir()]


@links
@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_a_link_in_place_of_the_partial_folder_is_refused(tmp_path: Path, out: Path, kind: str) -> None:
    partial = out.with_name("out.partial")
    (tmp_path / "real").mkdir()
    partial.touch() if kind == "file" else partial.symlink_to("real")

    assert f"{partial}: exists and is not a folder (remove it)" == message_of(a_folder, out, force=True)


# The lock.


def test_a_second_run_is_refused_while_the_first_has_the_folder(out: Path) -> None:
    pytest.importorskip("fcntl")
    busy = f"{out}.partial: another im2rec is writing it (wait for it, or choose another folder)"
    with a_folder(out):
        assert busy == message_of(a_folder(out).__enter__)
        assert busy == message_of(a_folder(out).__enter__)
    with a_folder(out):
        pass


def test_a_file_system_without_locks_is_used_without_one(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with a_folder(out) as first, a_folder(out):
        first.write("a", b"")
        assert first._lock is None  # it is closed


def test_a_run_that_is_refused_in_the_block_keeps_no_lock(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: ResumableFolder) -> None:
        raise OutputError(f"{folder.path}: cannot be written: no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ResumableFolder, "save", full)
        assert "no space left on device" in message_of(a_folder(out).__enter__)
    with a_folder(out):
        pass


# Files.


def test_files_are_written_into_folders_that_are_made(out: Path) -> None:
    with a_folder(out) as folder:
        folder.write("a/b/1.bin", b"one")
        folder.write("a/b/2.bin", b"two")
        folder.write("3.bin", b"three")
        folder.write("3.bin", b"again")  # as after a kill

    assert b"one" == (folder.path / "a" / "b" / "1.bin").read_bytes()
    assert b"two" == (folder.path / "a" / "b" / "2.bin").read_bytes()
    assert b"again" == (folder.path / "3.bin").read_bytes()


@links
def test_a_link_in_place_of_a_file_is_replaced(tmp_path: Path, out: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    with a_folder(out) as folder:
        (folder.path / "a").symlink_to(tmp_path / "mine")
        folder.write("a", b"content")

    assert b"mine" == (tmp_path / "mine").read_bytes()
    assert b"content" == (folder.path / "a").read_bytes()


@links
def test_a_link_in_place_of_a_folder_is_refused_however_deep_it_is(tmp_path: Path, out: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with a_folder(out) as folder:
        (folder.path / "a").mkdir()
        (folder.path / "a" / "link").symlink_to(outside)
        for name in ("a/link/1.bin", "a/link/b/1.bin"):
            expected = f"{folder.path / 'a' / 'link'}: is a link that leads out of {folder.path} (remove it)"
            assert expected == message_of(folder.write, name, b"")
    assert [] == list(outside.iterdir())


def test_folders_are_checked_once_and_again_when_the_memory_of_them_is_full(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FOLDERS_KEPT", 2)
    made: list[str] = []
    real = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", lambda path, **words: (made.append(path.name), real(path, **words))[1])
    with a_folder(out) as folder:
        made.clear()
        for name in ("a", "a", "b", "b", "c", "c", "b"):
            folder.write(f"{name}/1.bin", b"")

    assert ["a", "b", "c", "b"] == made


def test_a_file_is_reopened_at_the_size_of_the_journal(out: Path) -> None:
    with a_folder(out) as folder:
        folder.write("l.lst", b"one\ntwo\nhalf a li")
        with folder.reopen("l.lst", 8) as stream:
            stream.write(b"three\n")
        assert b"one\ntwo\nthree\n" == (folder.path / "l.lst").read_bytes()
        with folder.reopen("l.lst", 14) as stream:
            stream.write(b"four\n")
        assert b"one\ntwo\nthree\nfour\n" == (folder.path / "l.lst").read_bytes()
        with folder.reopen("l.lst", 0) as stream:
            stream.write(b"new\n")
        assert b"new\n" == (folder.path / "l.lst").read_bytes()


@links
def test_a_file_that_is_shorter_than_the_journal_records_or_not_a_file_is_refused(tmp_path: Path, out: Path) -> None:
    (tmp_path / "mine").write_bytes(b"much content")
    with a_folder(out) as folder:
        folder.write("short", b"1234")
        (folder.path / "folder").mkdir()
        (folder.path / "link").symlink_to(tmp_path / "mine")
        for name in ("short", "folder", "link", "missing"):
            expected = f"{folder.path / name}: is not the file that the journal describes (remove {folder.path})"
            assert expected == message_of(folder.reopen, name, 5)


def test_an_os_error_becomes_an_output_error_with_the_path_and_the_hint(out: Path) -> None:
    folder = a_folder(out)
    with pytest.raises(OutputError) as caught, folder.writing():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert f"{folder.path}: cannot be written: no space left on device ({HINT})" == str(caught.value)
    with pytest.raises(OutputError) as caught, folder.writing(hint="do this"):
        raise OSError(errno.EACCES, "Permission denied", str(out / "x"))
    assert f"{out / 'x'}: cannot be written: permission denied (do this)" == str(caught.value)


def test_a_parent_that_may_not_be_read_is_an_output_error(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", refuse)
    expected = f"{out.parent}: cannot be written: permission denied (check who may read and write there)"
    assert expected == message_of(a_folder, out)
