"""Changes of output files on the disk: sums of their bytes, locks, and renames that replace nothing."""

from __future__ import annotations

import errno
import io
import itertools
import os
import signal
import threading
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from image_helpers import names_in

from im2rec.storage import disk

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
# Python 3.12 warns of a fork while there are other threads, such as those of the library that runs tests in parallel.
multi_threaded = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
posix = pytest.mark.skipif(os.name == "nt", reason="Windows renames without links, and locks bytes")
PAGE = 4096
_OFFSETS = st.integers(0, 40) | st.integers(0, 1 << 63)


# Sums.


def plain_sum(data: bytes, offset: int) -> int:
    """The sum by its definition: each byte counts by its place in a number of 8 bytes."""
    return sum(byte << 8 * ((offset + at) % 8) for at, byte in enumerate(data)) % 2**64


@given(st.binary(max_size=70), _OFFSETS)
def test_a_sum_is_that_of_little_endian_numbers_of_8_bytes(data: bytes, offset: int) -> None:
    assert plain_sum(data, offset) == disk.sum_bytes(data, offset) == disk.sum_bytes(memoryview(data), offset)


@given(st.binary(max_size=70), _OFFSETS, st.lists(st.integers(0, 70), max_size=4))
def test_sums_of_neighbouring_stretches_add_up(data: bytes, offset: int, cuts: list[int]) -> None:
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [disk.sum_bytes(data[a:b], offset + a) for a, b in itertools.pairwise(borders)]

    assert disk.sum_bytes(data, offset) == sum(parts) & disk.SUM_MASK


def test_large_sums_wrap_at_64_bits() -> None:
    assert -2 & disk.SUM_MASK == disk.sum_bytes(b"\xff" * 16, 0)
    assert -3 & disk.SUM_MASK == disk.sum_bytes(b"\xff" * 24, 16)


@given(st.integers(0, 2), st.integers(0, 2**32))
def test_zeros_in_place_of_a_page_change_the_sum(page: int, seed: int) -> None:
    data = bytearray(seed.to_bytes(5, "little") + b"some text"[: seed % 9 + 1]) * PAGE
    data = data[: 3 * PAGE]
    before = disk.sum_bytes(bytes(data), 0)
    data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)

    assert before != disk.sum_bytes(bytes(data), 0)


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(0, 9))
def test_a_stream_sums_what_it_writes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], start: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "summed"
    with disk.open_output(path, locked=False) as stream:
        disk.truncate(stream, start)
        stream.total = 0
        for piece in pieces:
            stream.write(piece)
        disk.truncate(stream, start)  # so that the next example starts from zeros
        assert disk.sum_bytes(b"".join(pieces), start) == stream.total


def test_a_stream_sums_the_bytes_that_the_system_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ThreeBytes(io.FileIO):
        """A disk that takes three bytes at a time."""

        def write(self, data: Any) -> int:
            return super().write(bytes(data)[:3])

    class Stream(disk.OutputStream, ThreeBytes):
        pass

    monkeypatch.setattr(disk, "OutputStream", Stream)
    with disk.open_output(tmp_path / "a", locked=False) as stream:
        stream.total = 0
        assert [3, 2] == [stream.write(data) for data in (b"01234", memoryview(b"34"))]
        assert disk.sum_bytes(b"01234", 0) == stream.total
        stream.write_at(b"abcdefgh", 2)

    assert b"01abcdefgh" == (tmp_path / "a").read_bytes()


def test_nothing_is_summed_where_nobody_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum imports numpy, for which make-list would wait."""
    monkeypatch.delattr(disk, "sum_bytes")
    with disk.open_output(tmp_path / "a", locked=False) as stream:
        assert 5 == stream.write(b"01234")
        assert stream.total is None


def test_threads_write_at_their_places_at_once(tmp_path: Path) -> None:
    with disk.open_output(tmp_path / "a", locked=False) as stream:
        threads = [
            threading.Thread(target=stream.write_at, args=(bytes([number]) * 100, number * 100)) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert b"".join(bytes([number]) * 100 for number in range(8)) == (tmp_path / "a").read_bytes()


# Opening and locks.


def test_a_file_is_made_or_opened_with_what_is_in_it(tmp_path: Path) -> None:
    for content in (b"", b"old"):
        with disk.open_output(tmp_path / "a", locked=True) as stream:
            assert content == stream.read()
            stream.seek(0)
            stream.write(b"old")


def test_a_second_stream_of_a_locked_file_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    first = disk.open_output(tmp_path / "a", locked=True)
    first.write(b"mine")
    with pytest.raises(BlockingIOError):
        disk.open_output(tmp_path / "a", locked=True)
    disk.open_output(tmp_path / "a", locked=False).close()  # which ends no lock
    with pytest.raises(BlockingIOError):
        disk.open_output(tmp_path / "a", locked=True)
    first.close()

    with disk.open_output(tmp_path / "a", locked=True) as second:
        assert b"mine" == second.read()


class Child:
    """A forked process that runs *work* and then stays until it is killed."""

    def __init__(self, work: Any) -> None:
        came, said = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                kept = work()
                os.write(said, b"done")
                signal.pause()
                del kept
            except BlockingIOError:
                os.write(said, b"held")
            finally:
                os._exit(0)
        os.close(said)
        self.answer = os.read(came, 4)
        os.close(came)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@forks
@multi_threaded
def test_a_lock_holds_for_other_processes_and_ends_with_a_killed_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with disk.open_output(path, locked=True):
        child = Child(lambda: disk.open_output(path, locked=True))
        assert b"held" == child.answer
        child.kill()

    child = Child(lambda: disk.open_output(path, locked=True))
    assert b"done" == child.answer
    with pytest.raises(BlockingIOError):
        disk.open_output(path, locked=True)
    child.kill()
    disk.open_output(path, locked=True).close()


def test_a_stream_that_may_wait_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    first = disk.open_output(tmp_path / "a", locked=True)
    found: list[bytes] = []

    def wait() -> None:
        with disk.open_output(tmp_path / "a", locked=True, wait=True) as stream:
            found.append(stream.read())

    thread = threading.Thread(target=wait)
    thread.start()
    first.write(b"all")
    first.close()
    thread.join()

    assert [b"all"] == found


@posix
@pytest.mark.parametrize("gone", ["renamed", "removed"])
def test_a_file_that_lost_its_name_while_its_lock_was_waited_for_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"finished")
    real = disk._lock

    def lock(handle: int, *, wait: bool) -> None:
        real(handle, wait=wait)
        if path.exists() and path.read_bytes() == b"finished":  # the process that had the lock
            path.rename(tmp_path / "b") if gone == "renamed" else path.unlink()

    monkeypatch.setattr(disk, "_lock", lock)
    with disk.open_output(path, locked=True) as stream:
        assert b"" == stream.read()
        stream.write(b"new")

    assert b"new" == path.read_bytes()
    if gone == "renamed":
        assert b"finished" == (tmp_path / "b").read_bytes()


@posix
def test_a_file_with_a_second_name_is_left_to_that_one(tmp_path: Path) -> None:
    """As after a kill in the middle of ``rename_new()``: the second name is the final one."""
    (tmp_path / "final").write_bytes(b"finished")
    os.link(tmp_path / "final", tmp_path / "partial")
    with disk.open_output(tmp_path / "partial", locked=True) as stream:
        assert b"" == stream.read()
        stream.write(b"new")

    assert [b"finished", b"new"] == [(tmp_path / name).read_bytes() for name in ("final", "partial")]


@pytest.mark.parametrize(("content", "left"), [(b"", []), (b"kept", ["a"])])
def test_an_interrupt_leaves_no_file_that_was_just_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, left: list[str]
) -> None:
    def interrupt(*_: Any) -> bool:
        raise KeyboardInterrupt

    if content:
        (tmp_path / "a").write_bytes(content)
    monkeypatch.setattr(disk, "is_at", interrupt)
    with pytest.raises(KeyboardInterrupt):
        disk.open_output(tmp_path / "a", locked=True)
    assert left == names_in(tmp_path)


@posix
def test_links_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("mine")
    (tmp_path / "broken").symlink_to("none")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = names_in(tmp_path)
    for name, number in (
        ("link", errno.ELOOP),
        ("broken", errno.ELOOP),
        ("folder", errno.EISDIR),
        ("pipe", errno.EEXIST),
    ):
        with pytest.raises(OSError, match=name) as caught:
            disk.open_output(tmp_path / name, locked=True)
        assert number == caught.value.errno
    assert names == names_in(tmp_path)
    assert b"mine" == (tmp_path / "mine").read_bytes()


@posix
def test_where_a_file_system_has_no_locks_nothing_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(disk.fcntl, "flock", flock)
    with disk.open_output(tmp_path / "a", locked=True), disk.open_output(tmp_path / "a", locked=True):
        pass


# Renames.


def test_a_new_name_never_replaces_a_file(tmp_path: Path) -> None:
    for name in ("source", "taken"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "folder").mkdir()
    for name in ("taken", "folder"):
        with pytest.raises(FileExistsError):
            disk.rename_new(tmp_path / "source", tmp_path / name)
    assert [b"source", b"taken"] == [(tmp_path / name).read_bytes() for name in ("source", "taken")]

    disk.rename_new(tmp_path / "source", tmp_path / "free")
    assert ["folder", "free", "taken"] == names_in(tmp_path)
    assert b"source" == (tmp_path / "free").read_bytes()

    disk.replace(tmp_path / "free", tmp_path / "taken")
    assert ["folder", "taken"] == names_in(tmp_path)
    assert b"source" == (tmp_path / "taken").read_bytes()


@posix
def test_a_new_name_is_on_the_disk_before_the_old_one_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[list[str]] = []
    monkeypatch.setattr(disk, "sync_folder", lambda folder: synced.append(names_in(folder)))
    (tmp_path / "source").touch()
    disk.rename_new(tmp_path / "source", tmp_path / "target")

    assert [["source", "target"]] == synced


@posix
@pytest.mark.parametrize("target", ["none", "source"])
def test_a_new_name_never_replaces_a_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(FileExistsError):
        disk.rename_new(tmp_path / "source", tmp_path / "link")

    assert ["link", "source"] == names_in(tmp_path)
    assert (tmp_path / "link").is_symlink()


@posix
def test_a_rename_that_was_killed_half_way_is_finished_by_the_next_one(tmp_path: Path) -> None:
    for finish in (disk.rename_new, disk.finish_rename):
        (tmp_path / "source").write_bytes(b"new")
        os.link(tmp_path / "source", tmp_path / "target")
        finish(tmp_path / "source", tmp_path / "target")
        assert ["target"] == names_in(tmp_path)
        (tmp_path / "target").unlink()


def test_only_the_second_name_of_the_same_file_is_removed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    disk.finish_rename(source, target)
    source.write_bytes(b"one")
    disk.finish_rename(source, target)
    target.write_bytes(b"one")
    disk.finish_rename(source, target)

    assert ["source", "target"] == names_in(tmp_path)


@posix
def test_a_rename_is_done_if_another_process_has_removed_the_second_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")

    def link(*args: Any, **options: Any) -> None:
        real(*args, **options)
        disk.finish_rename(source, target)

    monkeypatch.setattr(os, "link", link)
    disk.rename_new(source, target)
    assert ["target"] == names_in(tmp_path)


@posix
def test_without_links_a_new_name_replaces_no_file_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")  # as on FAT

    monkeypatch.setattr(os, "link", link)
    for name in ("source", "taken"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "broken").symlink_to("none")
    for name in ("taken", "broken"):
        with pytest.raises(FileExistsError):
            disk.rename_new(tmp_path / "source", tmp_path / name)
    disk.rename_new(tmp_path / "source", tmp_path / "free")

    assert ["broken", "free", "taken"] == names_in(tmp_path)
    assert [b"source", b"taken"] == [(tmp_path / name).read_bytes() for name in ("free", "taken")]


@posix
def test_other_errors_of_a_rename_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", link)
    (tmp_path / "source").touch()
    with pytest.raises(OSError, match="Input/output"):
        disk.rename_new(tmp_path / "source", tmp_path / "target")
    assert ["source"] == names_in(tmp_path)


def test_removing_a_file_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    disk.remove(tmp_path / "a")
    disk.remove(tmp_path / "a")
    assert [] == names_in(tmp_path)


# Synchronising.


def test_a_file_and_its_folder_are_synchronised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Any] = []
    monkeypatch.delattr(disk.fcntl, "F_FULLFSYNC", raising=False)
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle)))
    with disk.open_output(tmp_path / "a", locked=True) as stream:
        disk.sync(stream)
        disk.sync_folder(tmp_path)

    expected = [tmp_path / "a"] if os.name == "nt" else [tmp_path / "a", tmp_path]
    assert [path.stat().st_ino for path in expected] == [status.st_ino for status in synced]


@posix
def test_a_folder_that_cannot_be_synchronised_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    disk.sync_folder(tmp_path)
    with disk.open_output(tmp_path / "a", locked=True) as stream, pytest.raises(OSError, match="Invalid"):
        disk.sync(stream)


def test_writing_back_ahead_changes_nothing(tmp_path: Path) -> None:
    with disk.open_output(tmp_path / "a", locked=True) as stream:
        stream.write(b"0123")
        disk.start_writing_back(stream, 0, 4)
        disk.start_writing_back(stream, 4, 4)
        stream.write(b"45")
    assert b"012345" == (tmp_path / "a").read_bytes()
