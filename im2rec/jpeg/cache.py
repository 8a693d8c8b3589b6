"""Files of compiled code: read only if their content is intact, written by one process at a time.

numba's own cache is not used. It executes the content of a damaged file; it reads only the first folder that it may
write to, so that code compiled by root, in a container image, is not found by another user; and for a user without a
home folder it makes a folder named ``~``. This module imports no numba.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from im2rec.errors import OutputError
from im2rec.folders import usable_cache_folder

if sys.platform == "win32":
    import msvcrt
    import time
else:
    import fcntl

NUMBA_VARIABLE = "NUMBA_CACHE_DIR"
_PYTHON = f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"  # compiled code fits one version of Python
_OWN = "im2rec-"
_SUFFIX = ".kernel"
_TEMPORARY_SUFFIX = ".tmp"
_LOCK_SUFFIX = ".lock"
_NEEDED_BYTES = 2 << 20  # must be free before anything is compiled; all files together have less than half of it
_DIGEST_BYTES = 32
_LOCK_RETRY_S = 0.1  # on Windows, where a process cannot wait for a lock


class CachedFile(NamedTuple):
    """The *content* of a file, and the *folder* that holds it."""

    content: bytes
    folder: Path


def folders() -> list[Path]:
    """The folders for compiled code in order of preference; they need not exist.

    They are ``$NUMBA_CACHE_DIR``, the one beside this module where Python keeps its own compiled files, and the user's
    cache, in the order of numba.
    """
    package = Path(__file__).resolve().parent
    # Several installations share the first and the last, and must not replace each other's files.
    own = f"{_OWN}{hashlib.sha256(os.fsencode(package)).hexdigest()[:16]}"
    candidates = [package / "__pycache__"]
    if chosen := os.environ.get(NUMBA_VARIABLE):
        candidates.insert(0, Path(chosen) / own)
    if (user := usable_cache_folder()) is not None:
        candidates.append(user / own)
    return candidates


def file_name(function: str, sources: int, machine: str) -> str:
    """The name of the file with the code of *function*, made from *sources* for *machine*; both are digests."""
    return f"im2rec-{function}.{_PYTHON}.{sources:015x}.{machine}{_SUFFIX}"


def has_code(sources: int) -> bool:
    """True if there is code compiled from *sources*, for any machine; a quick test that reads no file."""
    pattern = file_name("*", sources, "*")
    for folder in folders():
        with contextlib.suppress(OSError):  # such as a folder below the home of another user
            if any(folder.glob(pattern)):
                return True
    return False


def read(name: str) -> CachedFile | None:
    """The content of the file *name*, from the first folder where it is intact; None if there is none."""
    for folder in folders():
        try:
            data = (folder / name).read_bytes()
        except OSError:
            continue
        content = data[_DIGEST_BYTES:]
        if data[:_DIGEST_BYTES] == _digest(name, content):
            return CachedFile(content, folder)
    return None


def _digest(name: str, content: bytes) -> bytes:
    """The bytes at the start of a file: they differ if the content is damaged, or the file has another name."""
    return hashlib.sha256(name.encode() + b"\n" + content).digest()


def write(folder: Path, name: str, content: bytes) -> None:
    """Write the file *name* as a whole or not at all. Raises OutputError."""
    temporary = folder / f"{name}.{os.getpid()}-{os.urandom(3).hex()}{_TEMPORARY_SUFFIX}"
    try:
        with _os_errors_as_output_error(folder):
            _write_durably(temporary, _digest(name, content) + content)
            temporary.replace(folder / name)
    finally:
        temporary.unlink(missing_ok=True)


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # some file systems report only here that they are full


@contextlib.contextmanager
def _os_errors_as_output_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = f"{folder}: compiled code cannot be kept: {(error.strerror or str(error)).lower()}"
        raise OutputError(problem, hint=_hint()) from error


def _hint() -> str:
    return f"set {NUMBA_VARIABLE} to a folder with some megabytes of room that you may write to"


def remove_old(folder: Path, sources: int) -> None:
    """Remove code for this Python compiled from other sources, and temporary files of killed processes.

    The caller holds the lock of *folder*, so that no other process is writing one.
    """
    for path in folder.glob(f"im2rec-*.{_PYTHON}.*"):
        is_old = path.name.endswith(_SUFFIX) and f".{sources:015x}." not in path.name
        if is_old or path.name.endswith(_TEMPORARY_SUFFIX):
            with contextlib.suppress(OSError):
                path.unlink()


def kept_files(cache: Path) -> Iterator[Path]:
    """Yield the files of compiled code in the folder *cache*, those of all installations that share it."""
    for folder in cache.glob(f"{_OWN}{'[0-9a-f]' * 16}"):
        if not folder.is_symlink():
            yield from (path for path in folder.glob(f"im2rec-*{_SUFFIX}") if path.is_file())


def remove_kept(path: Path) -> None:
    """Remove the file *path* of :func:`kept_files`, and after the last one its folder. Raises OSError."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        if all(_is_lock(other) for other in path.parent.iterdir()):
            for lock in path.parent.iterdir():
                lock.unlink()
            path.parent.rmdir()


def _is_lock(path: Path) -> bool:
    return path.name.startswith("im2rec.") and path.suffix == _LOCK_SUFFIX


def writable_folder() -> Path:
    """Create and return the first folder that has room for all files. Raises OutputError if none has."""
    problems = []
    for folder in folders():
        probe = folder / f"im2rec-room.{_PYTHON}.{os.getpid()}-{os.urandom(3).hex()}{_TEMPORARY_SUFFIX}"
        try:
            with _os_errors_as_output_error(folder):
                folder.mkdir(parents=True, exist_ok=True)
                _write_durably(probe, bytes(_NEEDED_BYTES))
        except OutputError as error:
            problems.append(error.problem)
        else:
            return folder
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
    raise OutputError("; ".join(problems), hint=_hint())


def expected_folder() -> Path:
    """The folder that :func:`writable_folder` would return, found without writing anything. Raises OutputError."""
    for folder in folders():
        with contextlib.suppress(OSError):  # as in has_code
            there = next(path for path in (folder, *folder.parents) if _exists(path))
            if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
                return folder
    raise OutputError(f"{', '.join(map(str, folders()))}: compiled code cannot be kept there", hint=_hint())


def _exists(path: Path) -> bool:
    """True if there is something at *path*. Raises OSError if that cannot be examined; exists() then returns False."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def locked(folder: Path, waiting: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock of *folder* during the block; yields True if it had to wait for another process.

    *waiting* is called before a wait. The system releases the lock of a process that ends, however it ends. On a file
    system without locks nothing is held: two processes then do the same work, and neither harms the other.
    """
    try:
        handle = os.open(folder / f"im2rec.{_PYTHON}{_LOCK_SUFFIX}", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield False
        return
    try:
        yield _lock(handle, waiting)
    finally:
        os.close(handle)


if sys.platform == "win32":

    def _lock(handle: int, waiting: Callable[[], None]) -> bool:
        waits = False
        while not _is_locked(handle):
            if not waits:
                waiting()
            waits = True
            time.sleep(_LOCK_RETRY_S)
        return waits

    def _is_locked(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:  # another process has it
            return False
        except OSError:
            pass
        return True

else:

    def _lock(handle: int, waiting: Callable[[], None]) -> bool:
        # Not flock(), whose lock a forked child would hold on to.
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            waiting()
            with contextlib.suppress(OSError):
                fcntl.lockf(handle, fcntl.LOCK_EX)
            return True
        except OSError:
            pass
        return False
