"""Files of compiled code: intact or not read, in the first folder with room, written by one process at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compile_helpers import pid_of, stand_in, wait_for_its_end
from helpers import message_of
from image_helpers import POSIX, names_in

from im2rec.jpeg import cache

CONTENT = bytes(range(256))
NAME = cache.file_name("decode", 0xABC, "machine")


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The two folders for compiled code, which do not exist yet."""
    folders = (tmp_path / "one", tmp_path / "two")
    monkeypatch.setattr(cache, "folders", lambda: [*folders])
    return folders


def test_folders_come_in_the_order_of_numba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    monkeypatch.setenv("IM2REC_CACHE", str(tmp_path / "mine"))
    chosen, beside, user = cache.folders()

    assert (tmp_path / "numba", Path(cache.__file__).parent / "__pycache__") == (chosen.parent, beside)
    assert (tmp_path / "mine", chosen.name) == (user.parent, user.name)

    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert [beside, user] == cache.folders()


def test_a_user_without_a_home_has_no_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NUMBA_CACHE_DIR", "IM2REC_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("~"))
    (beside,) = cache.folders()

    assert beside.is_absolute()


def test_a_cache_folder_of_the_environment_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("IM2REC_CACHE", "mine")
    _, user = cache.folders()

    assert tmp_path / "mine" == user.parent.resolve()


def test_each_installation_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    ours = cache.folders()[0]
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "other" / "jpeg" / "cache.py"))

    assert ours.parent == cache.folders()[0].parent
    assert ours != cache.folders()[0]


def test_a_file_is_read_from_any_folder_that_holds_it(two: tuple[Path, Path]) -> None:
    assert cache.read(NAME) is None
    assert not cache.has_code(0xABC)
    two[1].mkdir()
    cache.write(two[1], NAME, CONTENT)

    assert cache.CachedFile(CONTENT, two[1]) == cache.read(NAME)
    assert cache.has_code(0xABC)
    assert not cache.has_code(0xABD)
    assert [NAME] == names_in(two[1])


def test_a_damaged_file_is_not_read_and_the_next_folder_is_tried(two: tuple[Path, Path]) -> None:
    for folder in two:
        folder.mkdir()
    cache.write(two[0], NAME, CONTENT)
    whole = (two[0] / NAME).read_bytes()
    damaged = [whole[:size] for size in (0, 1, 31, 32, 33, len(whole) - 1)] + [whole + b"\0"]
    damaged += [bytes(byte ^ (at == n) for n, byte in enumerate(whole)) for at in (0, 31, 32, 100, len(whole) - 1)]
    for content in damaged:
        (two[0] / NAME).write_bytes(content)
        assert cache.read(NAME) is None

    cache.write(two[1], NAME, CONTENT)
    assert cache.CachedFile(CONTENT, two[1]) == cache.read(NAME)


def test_a_renamed_file_is_not_read(two: tuple[Path, Path]) -> None:
    two[0].mkdir()
    cache.write(two[0], NAME, CONTENT)
    other = cache.file_name("fill", 0xABC, "machine")
    (two[0] / NAME).rename(two[0] / other)

    assert cache.read(other) is None


def test_code_of_other_sources_and_temporary_files_are_removed(tmp_path: Path) -> None:
    other_cpu, old = cache.file_name("decode", 0xABC, "other"), cache.file_name("decode", 0xAB, "machine")
    other_python = NAME.replace("im2rec-decode.", "im2rec-decode.other")
    for name in (NAME, other_cpu, old, f"{NAME}.1-2.tmp", "entry.cpython-311.pyc", other_python):
        (tmp_path / name).touch()
    cache.remove_old(tmp_path, 0xABC)

    assert sorted([NAME, other_cpu, "entry.cpython-311.pyc", other_python]) == names_in(tmp_path)


def full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make writes to *folder* fail as on a full disk, which leaves an empty file."""
    write = cache._write_durably

    def refuse(path: Path, content: bytes) -> None:
        write(path, b"" if path.parent == folder else content)
        if path.parent == folder:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(cache, "_write_durably", refuse)


def test_the_first_folder_with_room_is_chosen(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    full(two[0], monkeypatch)

    assert two[1] == cache.writable_folder()
    assert [[], []] == [names_in(folder) for folder in two]


def test_a_folder_with_room_for_one_megabyte_is_not_chosen(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = cache._write_durably

    def limited(path: Path, content: bytes) -> None:
        if path.parent == two[0] and len(content) > 1 << 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(cache, "_write_durably", limited)

    assert two[1] == cache.writable_folder()


def test_if_no_folder_can_be_written_the_error_names_each(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    full(two[0], monkeypatch)
    two[1].write_text("a file in its place")
    message = message_of(cache.writable_folder)

    assert message.startswith(f"{two[0]}: compiled code cannot be kept: no space left on device; {two[1]}: compiled")
    assert message.endswith(" (set NUMBA_CACHE_DIR to a folder with some megabytes of room that you may write to)")


def test_a_full_disk_leaves_the_old_file_intact(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    two[0].mkdir()
    cache.write(two[0], NAME, CONTENT)
    full(two[0], monkeypatch)

    assert "cannot be kept: no space left on device" in message_of(cache.write, two[0], NAME, b"new")
    assert cache.CachedFile(CONTENT, two[0]) == cache.read(NAME)
    assert [NAME] == names_in(two[0])


def test_a_disk_that_is_found_full_by_fsync_leaves_the_old_file_intact(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    two[0].mkdir()
    cache.write(two[0], NAME, CONTENT)
    monkeypatch.setattr(cache.os, "fsync", fail)

    assert "cannot be kept: no space left on device" in message_of(cache.write, two[0], NAME, b"new")
    assert cache.CachedFile(CONTENT, two[0]) == cache.read(NAME)
    assert [NAME] == names_in(two[0])


def test_finding_the_expected_folder_writes_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    assert two[0] == cache.expected_folder()
    assert [] == names_in(tmp_path)

    two[0].write_text("a file in its place")
    assert two[1] == cache.expected_folder()
    two[1].write_text("a file in its place")
    assert "cannot be kept there" in message_of(cache.expected_folder)


def test_a_folder_that_cannot_be_examined_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As one below the home of another user; this one fails for root as well.
    monkeypatch.setattr(cache, "folders", lambda: [tmp_path / ("n" * 300) / "one", tmp_path / "two"])

    assert not cache.has_code(0xABC)
    assert tmp_path / "two" == cache.expected_folder()
    (tmp_path / "two").mkdir()
    cache.write(tmp_path / "two", NAME, CONTENT)
    assert cache.has_code(0xABC)


def test_a_free_lock_is_taken_without_waiting(tmp_path: Path) -> None:
    for _ in range(2):
        with cache.locked(tmp_path, lambda: pytest.fail("waits")) as waited:
            assert not waited


def test_without_locks_the_block_runs_all_the_same(tmp_path: Path) -> None:
    with cache.locked(tmp_path / "missing", lambda: pytest.fail("waits")) as waited:
        assert not waited


def test_a_lock_is_waited_for_and_released_when_its_process_is_killed(tmp_path: Path) -> None:
    waits = []
    with subprocess.Popen(stand_in(tmp_path)) as process:
        pid_of(tmp_path)
        with cache.locked(tmp_path, lambda: (waits.append("waits"), process.kill())) as waited:  # kill -9
            assert waited
    assert ["waits"] == waits
    wait_for_its_end(tmp_path)


FORK = """
import os, sys
from pathlib import Path
from im2rec.jpeg import cache
with cache.locked(Path(sys.argv[1]), lambda: None):
    child = os.fork()
    if not child:
        sys.stdin.read()  # it outlives the lock
        os._exit(0)
print("released", flush=True)
os.waitpid(child, 0)
"""


@POSIX
def test_a_forked_child_does_not_hold_the_lock(tmp_path: Path) -> None:
    line = [sys.executable, "-W", "ignore", "-c", FORK, str(tmp_path)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"released\n" == process.stdout.readline()
        with cache.locked(tmp_path, lambda: pytest.fail("waits")) as waited:
            assert not waited
        process.communicate()
