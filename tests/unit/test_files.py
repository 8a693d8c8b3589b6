"""Files: names of indexes, positional reads, whole reads, and files that appear only when complete."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import pickle
import re
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of

from im2rec.errors import InputError, OutputError
from im2rec.storage import disk, files
from im2rec.storage.companions import find_index, index_to_write
from im2rec.storage.files import InputFile, check_folder, file_name, name_text, open_binary, read_file, reading
from im2rec.storage.output import AtomicFile, refuse_existing, writing

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

    expected = {name: folder / index for name, index in INDEX_NAMES.items()}
    assert expected == {name: index_to_write(folder / name) for name in INDEX_NAMES}


FOUND_INDEXES = {
    "a.rec": "a.idx",
    "b.bin": "b.bin.idx",
    "c.bin": "c.idx",
    "c.rec": "c.idx",
    "c": "c.idx",
    "d.rec.part000": "d.rec.part000.idx",
    "e.rec": None,
    "f.rec": None,
}


def test_the_index_whose_name_fits_best_is_found(tmp_path: Path) -> None:
    for name in ("a.idx", "a.rec.idx", "b.bin.idx", "b.idx", "c.idx", "d.rec.part000.idx"):
        (tmp_path / name).touch()
    (tmp_path / "e.idx").mkdir()

    expected = {name: index and tmp_path / index for name, index in FOUND_INDEXES.items()}
    assert expected == {name: find_index(tmp_path / name) for name in FOUND_INDEXES}


def test_an_input_file_is_read_at_any_offset(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"0123456789")

    with InputFile(path) as file:
        assert path == file.path
        assert 10 == file.size
        assert b"345" == file.read_at(3, 3)
        assert b"012" == file.read_at(0, 3)
        assert b"89" == file.read_at(8, 5)
        assert b"" == file.read_at(10, 5)
        assert b"" == file.read_at(99, 5)


def test_an_input_file_is_read_at_any_offset_without_pread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread", raising=False)  # as on Windows
    path = tmp_path / "some.bin"
    path.write_bytes(b"0123456789")

    with InputFile(path) as file:
        assert [b"345", b"012", b"89"] == [file.read_at(3, 3), file.read_at(0, 3), file.read_at(8, 5)]


def test_an_input_file_that_is_never_closed_is_closed_when_it_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"abc")
    file = InputFile(path)
    handle = file._handle
    del file
    gc.collect()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)


def test_a_short_read_of_the_system_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(bytes(range(256)))
    file = InputFile(path)
    real = file._pread
    monkeypatch.setattr(file, "_pread", lambda handle, size, offset: real(handle, min(size, 7), offset))

    assert bytes(range(100, 256)) == file.read_at(100, 1000)
    file.close()


def test_reading_a_closed_input_file_is_an_error_and_closing_it_twice_is_not(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"abc")
    file = InputFile(path)
    handle = file._handle
    file.close()
    file.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)

    assert f"{path}: is closed (open it again)" == message_of(file.read_at, 0, 1)


def test_an_input_file_that_is_missing_or_a_folder_is_an_error_with_its_path(tmp_path: Path) -> None:
    missing = tmp_path / "missing.rec"

    assert f"{missing}: cannot be read: no such file or directory (check the path)" == message_of(InputFile, missing)
    with pytest.raises(InputError, match=f"^{re.escape(str(tmp_path))}: "):  # Windows does not even open folders
        InputFile(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_as_an_input_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert f"{path}: is a pipe, not a regular file (name a file)" == message_of(InputFile, path)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets with names here")
def test_a_socket_is_refused_as_an_input_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may have a hundred characters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert "socket: is a socket, not a regular file (name a file)" == message_of(InputFile, "socket")


@pytest.mark.skipif(os.name == "nt", reason="no devices in folders here")
@pytest.mark.parametrize("read", [read_file, open_binary, InputFile])
def test_a_device_or_a_folder_is_refused_and_nothing_stays_open(
    tmp_path: Path, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, closed = [], []
    open_, close = os.open, os.close

    def counted_open(*words: Any) -> int:
        opened.append(open_(*words))
        return opened[-1]

    def counted_close(handle: int) -> None:
        closed.append(handle)
        close(handle)

    monkeypatch.setattr(os, "open", counted_open)
    monkeypatch.setattr(os, "close", counted_close)
    messages = {
        Path("/dev/zero"): "/dev/zero: is a device, not a regular file (name a file)",
        tmp_path: f"{tmp_path}: is a folder (name a file)",
    }
    for path, message in messages.items():
        with pytest.raises(InputError) as caught, reading(path):
            read(path)
        assert message == str(caught.value)
    assert 2 == len(opened)
    assert opened == closed


def test_a_copy_that_is_refused_is_closed_while_its_error_is_handled(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"abc")
    with InputFile(path) as file:
        pickled = pickle.dumps(file)
    path.write_bytes(b"longer")

    with pytest.raises(InputError, match=r": had 3 bytes and now has 6 \(open it again\)$") as caught:
        pickle.loads(pickled)

    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    (refused,) = {frame.f_locals["self"] for frame in frames if isinstance(frame.f_locals.get("self"), InputFile)}
    assert f"{path}: is closed (open it again)" == message_of(refused.read_at, 0, 1)


def test_read_file_returns_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    for content in (b"", b"a\r\nb\0", bytes(3_000_000)):
        path.write_bytes(content)
        assert content == read_file(path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "missing")


def test_a_file_with_a_lease_is_opened_when_that_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"abc")
    open_, waits = os.open, []

    def leased(path: Path, flags: int) -> int:
        if flags & getattr(os, "O_NONBLOCK", 0) or not waits:
            waits.append(path)
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return open_(path, flags)

    monkeypatch.setattr(os, "open", leased)
    assert b"abc" == read_file(path)
    assert [path] == waits


def test_read_file_refuses_a_file_above_the_limit_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(bytes(1000))
    assert bytes(1000) == read_file(path, 1000)
    with pytest.raises(OSError, match="has 1,000 bytes, more than 999") as caught:
        read_file(path, 999)
    assert errno.EFBIG == caught.value.errno

    os.truncate(path, 1 << 40)
    with pytest.raises(OSError, match="has 1,099,511,627,776 bytes, more than 536,870,911"):
        read_file(path)


def test_read_file_refuses_a_file_that_grows_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(bytes(1000))
    monkeypatch.setattr(files, "open_regular", lambda path: (os.open(path, os.O_RDONLY), 10))
    with pytest.raises(OSError, match="has 1,000 bytes, more than 999"):
        read_file(path, 999)


def test_text_and_names_of_files_are_the_same_in_a_utf_8_locale() -> None:
    for text in ("größe", "日本", "\udcff"):
        assert text == file_name(text) == name_text(text)


@pytest.mark.parametrize(("encoding", "name"), [("ascii", "gr\udcc3\udcb6\udcff"), ("iso-8859-1", "gr\xc3\xb6\xff")])
def test_a_name_in_another_locale_has_the_bytes_of_the_text(
    encoding: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_NAMES_ARE_UTF8", False)
    monkeypatch.setattr(os, "fsdecode", lambda data: data.decode(encoding, "surrogateescape"))
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode(encoding, "surrogateescape"))
    assert name == file_name("grö\udcff")
    assert "grö\udcff" == name_text(name)


@pytest.mark.parametrize(("context", "what"), [(reading, "read"), (writing, "written")])
def test_a_name_that_the_locale_cannot_express_is_an_error_of_one_line(
    context: Callable[[str], contextlib.AbstractContextManager[None]], what: str
) -> None:
    def encode() -> None:
        with context("ä"):
            "ä".encode("ascii")

    expected = f"ä: cannot be {what}: ascii, the encoding of the locale, lacks a character of its name ("
    assert message_of(encode).startswith(expected)


def test_read_file_returns_what_a_growing_file_has_gained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"first")
    real = os.fstat

    def fstat(handle: int) -> os.stat_result:
        status = real(handle)
        with path.open("ab") as file:
            file.write(b" and second")
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    assert b"first and second" == read_file(path)


def test_an_error_of_the_system_while_reading_is_an_input_error() -> None:
    with pytest.raises(InputError) as caught, reading("a.lst"):
        raise PermissionError(13, "Permission denied", "a.lst")
    assert "a.lst: cannot be read: permission denied (check the path)" == str(caught.value)


def test_a_path_with_a_zero_byte_is_an_input_error() -> None:
    assert "'a\\x00b': a path cannot contain a zero byte (check the path)" == message_of(InputFile, "a\0b")


def test_an_error_of_the_system_while_writing_is_an_output_error(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    for path, hint in ((tmp_path / "free", "no file exists under this name"), (taken, "the existing file is unch")):
        with pytest.raises(OutputError) as failed, writing(path):
            raise OSError(28, "No space left on device")
        assert str(failed.value).startswith(f"{path}: cannot be written: no space left on device ({hint}")
        assert isinstance(failed.value.__cause__, OSError)


def test_an_atomic_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with AtomicFile(path) as file:
        file.write(b"one ")
        file.write(b"two")
        assert not path.exists()
        assert [file.temporary_path] == list(tmp_path.iterdir()) == [tmp_path / "out.txt.im2rec-partial"]

    assert [path] == list(tmp_path.iterdir())
    assert b"one two" == path.read_bytes()


def test_an_atomic_file_is_on_the_disk_before_it_is_renamed_and_its_name_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.txt"
    synced: list[tuple[int | Path, bool]] = []
    monkeypatch.setattr(disk, "sync", lambda stream: synced.append((os.fstat(stream.fileno()).st_size, path.exists())))
    monkeypatch.setattr(disk, "sync_folder", lambda folder: synced.append((folder, path.exists())))

    with AtomicFile(path) as file:
        file.write(b"content")

    assert (7, False) == synced[0]
    assert {(tmp_path, True)} == set(synced[1:])


def test_the_longest_name_that_a_file_may_have_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("\U0001f600" * 62 + ".txt")  # 252 bytes in UTF-8

    with AtomicFile(path):
        pass

    assert [path] == list(tmp_path.iterdir())


def test_a_file_that_appears_before_the_renaming_is_replaced_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    for force, expected in ((False, b"other"), (True, b"mine")):
        path.unlink(missing_ok=True)
        file = AtomicFile(path, force=force)
        file.write(b"mine")
        file.finish()
        path.write_bytes(b"other")
        with contextlib.suppress(OutputError):
            file.rename()
        file.discard()
        assert expected == path.read_bytes()
        assert [path] == list(tmp_path.iterdir())


def test_an_atomic_file_that_is_never_closed_is_removed(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "out.txt")
    file._file.close()
    del file
    gc.collect()

    assert [] == list(tmp_path.iterdir())


def test_an_atomic_file_is_removed_after_an_exception(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "out.txt")
    file.write(b"half")

    with pytest.raises(ZeroDivisionError), file:
        raise ZeroDivisionError

    assert [] == list(tmp_path.iterdir())
    file.discard()


def test_an_existing_file_is_replaced_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_bytes(b"old")

    expected = f"{path}: exists already (replace it with force=True, or choose another name)"
    assert expected == message_of(AtomicFile, path)
    assert expected == message_of(refuse_existing, [tmp_path / "other", path], force=False)

    with pytest.raises(ZeroDivisionError), AtomicFile(path, force=True):
        raise ZeroDivisionError
    assert b"old" == path.read_bytes()
    with AtomicFile(path, force=True) as file:
        file.write(b"new")
        assert b"old" == path.read_bytes()
    assert b"new" == path.read_bytes()


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    assert f"{tmp_path}: is a folder (name a file)" == message_of(AtomicFile, tmp_path, force=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    assert f"{path}: is a device or a pipe (name a file)" == message_of(AtomicFile, path, force=True)


def test_a_link_is_replaced_by_force_only_even_if_it_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.symlink_to(tmp_path / "missing")

    expected = f"{path}: exists already (replace it with force=True, or choose another name)"
    assert expected == message_of(AtomicFile, path)
    with AtomicFile(path, force=True) as file:
        file.write(b"new")
    assert b"new" == path.read_bytes()
    assert not path.is_symlink()


def test_a_name_that_is_too_long_is_an_output_error(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)

    assert message_of(AtomicFile, path).startswith(f"{path}: cannot be written: file name too long (")


def test_a_folder_whose_name_is_too_long_is_not_called_missing(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300) / "out.txt"

    assert message_of(AtomicFile, path).startswith(f"{path}: cannot be written: file name too long (")


def test_an_output_whose_folder_is_missing_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "no" / "out.txt"

    assert f"{path}: the folder {path.parent} is missing (make it first)" == message_of(AtomicFile, path)
    assert [] == list(tmp_path.iterdir())


def test_check_folder_refuses_files_and_missing_folders(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    check_folder(tmp_path)

    hint = "name the folder that holds the images"
    assert f"{file}: is not a folder ({hint})" == message_of(check_folder, file)
    missing = tmp_path / "missing"
    assert f"{missing}: cannot be read: no such file or directory (check the path)" == message_of(check_folder, missing)


def test_check_folder_refuses_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert f"{tmp_path}: cannot be read: permission denied (check the path)" == message_of(check_folder, tmp_path)
