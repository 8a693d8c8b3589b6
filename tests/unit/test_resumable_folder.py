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
from im2rec.extraction.resumable_folder import MARKER, MARKER_TEMP, ExtractionProgress, ResumableFolder

IDENTITY = {"rec": "a.rec", "head": 3, "keys": [1, 2]}
HINT = "the files written so far stay; the same command resumes the extraction"
links = pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")


def a_folder(out: Path, **options: Any) -> ResumableFolder:
    return ResumableFolder(out, **{"identity": IDENTITY, **options})


def stopped(out: Path, records: int = 1, **counts: int) -> Path:
    """``DIR.im2rec-partial`` of a run that wrote ``a.bin`` and ended with these counts in its journal."""
    with a_folder(out) as folder:
        folder.write("a.bin", b"content")
        folder.progress = ExtractionProgress(records=records, **counts)
        folder.save()
    return folder.path


def extraction(path: Path) -> Path:
    """A finished extraction with a single file."""
    path.mkdir()
    (path / MARKER).write_text(json.dumps({"extraction": {"stem": "a"}}))
    (path / "old").touch()
    return path


# The journal.


def test_the_constructor_writes_nothing_and_the_block_makes_folder_and_journal(out: Path) -> None:
    folder = a_folder(out)
    assert [] == list(out.parent.iterdir())

    with folder:
        text = (out.with_name("out.im2rec-partial") / MARKER).read_text(encoding="utf-8")
        assert [MARKER] == [path.name for path in folder.path.iterdir()]
    journal = json.loads(text)
    assert json.dumps(journal, indent=1) + "\n" == text
    zeros = dict.fromkeys(("records", "shards", "list_bytes", "bytes", "not_images", "lost_bits", "damaged"), 0)
    assert {"extraction": IDENTITY, "done": zeros, "complete": False} == journal


def test_a_run_that_has_saved_no_record_leaves_nothing(out: Path) -> None:
    with a_folder(out) as folder:
        folder.write("a/b.bin", b"content")
        folder.progress.records += 1  # and is not saved
    assert [] == list(out.parent.iterdir())

    assert ["a.bin"] == [path.name for path in stopped(out).glob("*.bin")]


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
        out.with_name("out.im2rec-partial").mkdir()
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


def test_all_files_are_on_the_disk_before_the_folder_has_its_name(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr("im2rec.storage.disk.sync_file_system", lambda folder: synced.append((folder, out.exists())))
    with a_folder(out) as folder:
        folder.complete()
        assert [(folder.path, False)] == synced


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
def test_another_identity_is_refused_by_its_first_difference_and_removed_by_a_restart(
    out: Path, identity: dict[str, Any], difference: str
) -> None:
    partial = stopped(out, records=7)
    (partial / "sub").mkdir()
    (partial / "sub" / "b.bin").touch()
    expected = f"{partial}: was begun with {difference} (remove it, or begin again with restart=True)"
    for force in (False, True):
        assert expected == message_of(a_folder, out, identity=identity, force=force)

    folder = a_folder(out, identity=identity, restart=True)
    assert 0 == folder.resumed
    assert (partial / "sub" / "b.bin").exists()
    with folder:
        assert [MARKER] == [path.name for path in partial.iterdir()]
        assert identity == json.loads((partial / MARKER).read_text(encoding="utf-8"))["extraction"]


def test_a_restart_removes_what_a_run_of_the_same_extraction_has_left_once(out: Path) -> None:
    stopped(out, records=7)
    with a_folder(out, restart=True) as folder:
        assert 0 == folder.resumed
        assert [MARKER] == [path.name for path in folder.path.iterdir()]
        folder.progress.records += 1
        folder.save()

    assert 1 == a_folder(out).resumed


@links
def test_removing_another_extraction_leaves_the_target_of_a_link_alone(tmp_path: Path, out: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").touch()
    (stopped(out) / "link").symlink_to(outside)
    with a_folder(out, identity={}, restart=True):
        pass

    assert ["mine"] == [path.name for path in outside.iterdir()]


def test_the_journal_of_another_extraction_is_removed_last(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It tells the next run, after a kill, that these files are those of an extraction.
    partial = stopped(out)
    (partial / "zzz").touch()
    removed: list[str] = []
    real = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **words: (removed.append(path.name), real(path, **words))[1])
    with a_folder(out, identity={}, restart=True):
        assert MARKER == removed[-1]
        assert ["a.bin", "zzz"] == sorted(removed[:-1])


def test_a_journal_with_a_further_name_without_a_value_is_one_of_the_same_extraction(out: Path) -> None:
    partial = stopped(out, records=1)
    (partial / MARKER).write_text(json.dumps({"extraction": {**IDENTITY, "more": None}, "done": {"records": 1}}))

    assert 1 == a_folder(out).resumed


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_without_a_readable_journal_is_refused(out: Path, force: bool) -> None:
    partial = out.with_name("out.im2rec-partial")
    partial.mkdir()
    (partial / "mine").touch()
    expected = f"{partial}: holds no journal that can be read (remove it)"
    for restart in (False, True):  # nothing shows that an extraction wrote it
        assert expected == message_of(a_folder, out, force=force, restart=restart)
    expected = f"{partial}: holds no journal that can be read (remove it, or begin again with restart=True)"
    counts = ("-1", "Infinity", "NaN", "null", "[" * 10**5)
    contents = [f'{{"extraction": {{}}, "done": {{"records": {count}}}}}' for count in counts]
    for content in ("", "[]", "{}", *contents, '{"extraction": 1, "done": {}}'):
        (partial / MARKER).write_text(content)
        assert expected == message_of(a_folder, out, force=force)
    with a_folder(out, force=force, restart=True):
        assert not (partial / "mine").exists()
    partial.mkdir()
    (partial / MARKER).write_text(json.dumps({"extraction": IDENTITY, "done": {"records": 0}}))
    assert 0 == a_folder(out, force=force).resumed


def test_a_folder_of_a_run_killed_before_its_first_journal_is_taken_over(out: Path) -> None:
    partial = out.with_name("out.im2rec-partial")
    partial.mkdir()
    assert 0 == a_folder(out).resumed
    (partial / MARKER_TEMP).write_text("half a jour")
    with a_folder(out) as folder:
        assert 0 == folder.resumed
        assert [MARKER] == [path.name for path in partial.iterdir()]


# The lock.


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
        assert b"content" == (folder.path / "a").read_bytes()

    assert b"mine" == (tmp_path / "mine").read_bytes()


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
