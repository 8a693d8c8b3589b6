"""Paths: names of indexes, positional reads, and files that appear only when complete."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from helpers import message_of

from im2rec.errors import InputError, OutputError
from im2rec.storage.files import AtomicFile, InputFile, check_folder, reading, refuse_existing, writing
from im2rec.storage.index import find_index, index_to_write

INDEX_NAMES = {
    "out.rec": "out.idx",
    "output.bin": "output.idx",
    "train.v2.rec": "train.v2.idx",
    "OUT.REC": "OUT.idx",
    "output": "output.idx",
    ".rec": ".rec.idx",
    "out.idx": "out.idx.idx",
    "out.rec.part000": "out.rec.part000.idx",
    "out.rec.part1999": "out.rec.part1999.idx",
    "out.part1": "out.idx",
}


def test_the_index_is_named_after_the_rec() -> None:
    folder = Path("some.folder")

    assert {name: folder / index for name, index in INDEX_NAMES.items()} == {
        name: index_to_write(folder / name) for name in INDEX_NAMES
    }


def test_an_index_is_looked_for_where_the_name_says_first(tmp_path: Path) -> None:
    for name in ("a.idx", "a.rec.idx", "b.bin.idx", "b.idx", "c.idx", "d.rec.part000.idx"):
        (tmp_path / name).touch()
    (tmp_path / "e.idx").mkdir()

    expected = {
        "a.rec": "a.idx",
        "b.bin": "b.bin.idx",
        "c.bin": "c.idx",
        "c.rec": "c.idx",
        "e.rec": None,
        "f.rec": None,
    }
    expected |= {"d.rec.part000": "d.rec.part000.idx", "c": "c.idx"}
    assert {name: index and tmp_path / index for name, index in expected.items()} == {
        name: find_index(tmp_path / name) for name in expected
    }


def test_an_input_is_read_at_any_place(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"0123456789")
    file = InputFile(path)

    assert (10, path) == (file.size, file.path)
    assert (b"345", b"012", b"89", b"", b"") == (
        file.read_at(3, 3),
        file.read_at(0, 3),
        file.read_at(8, 5),
        file.read_at(10, 5),
        file.read_at(99, 5),
    )
    file.close()


def test_short_answers_of_the_system_are_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(bytes(range(256)))
    file = InputFile(path)
    real = file._pread
    monkeypatch.setattr(file, "_pread", lambda size, offset: real(min(size, 7), offset))

    assert bytes(range(100, 256)) == file.read_at(100, 1000)
    file.close()


def test_a_closed_input_says_so_and_closes_again(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"abc")
    file = InputFile(path)
    file.close()
    file.close()

    assert f"{path}: is closed (open it again)" == message_of(file.read_at, 0, 1)


def test_an_input_that_is_missing_or_no_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.rec"

    assert f"{missing}: cannot be read: no such file or directory (check the path)" == message_of(InputFile, missing)
    with pytest.raises(InputError, match=f"^{re.escape(str(tmp_path))}: "):  # Windows does not even open folders
        InputFile(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    both_ends = os.open(path, os.O_RDWR)  # so that opening it to read does not wait for a writer
    try:
        assert f"{path}: is not a regular file (name a file)" == message_of(InputFile, path)
    finally:
        os.close(both_ends)


def test_errors_of_the_system_become_ours(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught, reading("a.lst"):
        raise PermissionError(13, "Permission denied", "a.lst")
    assert "a.lst: cannot be read: permission denied (check the path)" == str(caught.value)

    taken = tmp_path / "taken"
    taken.touch()
    for path, hint in (
        (tmp_path / "free", "nothing stands under this name"),
        (taken, "the file that was there is untou"),
    ):
        with pytest.raises(OutputError) as failed, writing(path):
            raise OSError(28, "No space left on device")
        assert str(failed.value).startswith(f"{path}: cannot be written: no space left on device ({hint}")
        assert isinstance(failed.value.__cause__, OSError)


def test_a_file_written_aside_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with AtomicFile(path) as file:
        file.write(b"one ")
        file.write(b"two")
        assert not path.exists()
        assert [file.aside] == list(tmp_path.iterdir())
        assert re.fullmatch(rf"out\.txt\.{os.getpid()}-[0-9a-f]{{6}}\.tmp", file.aside.name)

    assert [path] == list(tmp_path.iterdir())
    assert b"one two" == path.read_bytes()


def test_a_file_written_aside_is_gone_after_an_exception(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "out.txt")
    file.write(b"half")

    with pytest.raises(ZeroDivisionError), file:
        raise ZeroDivisionError

    assert [] == list(tmp_path.iterdir())
    file.discard()


def test_an_existing_file_is_replaced_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_bytes(b"old")

    expected = f"{path}: exists already (replace it with --force, or choose another name)"
    assert expected == message_of(AtomicFile, path)
    assert expected == message_of(refuse_existing, [tmp_path / "other", path], force=False)

    with pytest.raises(ZeroDivisionError), AtomicFile(path, force=True):
        raise ZeroDivisionError
    assert b"old" == path.read_bytes()
    with AtomicFile(path, force=True) as file:
        file.write(b"new")
        assert b"old" == path.read_bytes()
    assert b"new" == path.read_bytes()


def test_a_folder_is_no_output_whatever_the_force(tmp_path: Path) -> None:
    assert f"{tmp_path}: is a folder (name a file)" == message_of(AtomicFile, tmp_path, force=True)


def test_a_folder_that_is_missing_is_named_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "no" / "out.txt"

    assert f"{path}: the folder {path.parent} is missing (make it first)" == message_of(AtomicFile, path)
    assert [] == list(tmp_path.iterdir())


def test_a_root_must_be_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    check_folder(tmp_path)

    hint = "name the folder that holds the images"
    assert f"{file}: is not a folder ({hint})" == message_of(check_folder, file)
    missing = tmp_path / "missing"
    assert f"{missing}: cannot be read: no such file or directory (check the path)" == message_of(check_folder, missing)
