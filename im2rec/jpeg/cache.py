"""Files of compiled code: read only when they are whole, written by one process at a time.

numba's own cache is not used. It executes what a damaged file holds, it looks for code only in the first folder that
it may write to (what root compiled into an image is not found by another user), and where a cache is kept below the
home of a user who has none, it makes a folder named ``~``. This module imports no numba.
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
from im2rec.folders import VARIABLE, cache_folder

if sys.platform == "win32":
    import msvcrt
    import time
else:
    import fcntl

NUMBA_VARIABLE = "NUMBA_CACHE_DIR"
_PYTHON = f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"  # code is of use to this Python alone
_SUFFIX = ".kernel"
_ASIDE = ".tmp"
_ROOM = 2 << 20  # bytes that must be free before anything is compiled: all files together have less than half of it
_SEAL_BYTES = 32
_ASK_AGAIN_S = 0.1  # on Windows, where a lock cannot be waited for


class CachedFile(NamedTuple):
    """The *content* of a file, and the *folder* that it is in."""

    content: bytes
    folder: Path


def folders() -> list[Path]:
    """The folders for compiled code, the first choice first; they need not exist.

    Those are ``$NUMBA_CACHE_DIR``, the one beside this module where Python keeps its own compiled files, and the
    user's cache. The order is numba's.
    """
    package = Path(__file__).resolve().parent
    # Several installations share the first and the last, and must not replace each other's files.
    own = f"im2rec-{hashlib.sha256(os.fsencode(package)).hexdigest()[:16]}"
    found = [package / "__pycache__"]
    if chosen := os.environ.get(NUMBA_VARIABLE):
        found.insert(0, Path(chosen) / own)
    with contextlib.suppress(OutputError):  # there is no home
        user = cache_folder()
        if user.is_absolute() or os.environ.get(VARIABLE):  # a home that is not absolute is none
            found.append(user / own)
    return found


def name_of(function: str, sources: int, machine: str) -> str:
    """The name of the file with the code of *function*, made from *sources* for *machine*; both are digests."""
    return f"im2rec-{function}.{_PYTHON}.{sources:015x}.{machine}{_SUFFIX}"


def holds_any(sources: int) -> bool:
    """Whether there is any code made from *sources*, for whatever machine: a quick look."""
    pattern = name_of("*", sources, "*")
    for folder in folders():
        with contextlib.suppress(OSError):  # below a home that is another user's, say
            if any(folder.glob(pattern)):
                return True
    return False


def read(name: str) -> CachedFile | None:
    """The content of the file *name*, from the first folder that has it whole; None where none has."""
    for folder in folders():
        try:
            data = (folder / name).read_bytes()
        except OSError:
            continue
        content = data[_SEAL_BYTES:]
        if data[:_SEAL_BYTES] == _seal(name, content):
            return CachedFile(content, folder)
    return None


def _seal(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + content).digest()


def write(folder: Path, name: str, content: bytes) -> None:
    """Write the file *name*, whole or not at all. Raises OutputError."""
    aside = folder / f"{name}.{os.getpid()}-{os.urandom(3).hex()}{_ASIDE}"
    try:
        with _writing(folder):
            _write(aside, _seal(name, content) + content)
            aside.replace(folder / name)
    finally:
        aside.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # some file systems find out only here that they are full


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = f"{folder}: compiled code cannot be kept: {(error.strerror or str(error)).lower()}"
        raise OutputError(problem, hint=_hint()) from error


def _hint() -> str:
    return f"set {NUMBA_VARIABLE} to a folder with some megabytes of room that you may write to"


def remove_old(folder: Path, sources: int) -> None:
    """Remove the code of this Python that was made from other sources, and what killed processes left half written.

    Only for who holds the lock.
    """
    for path in folder.glob(f"im2rec-*.{_PYTHON}.*"):
        is_old = path.name.endswith(_SUFFIX) and f".{sources:015x}." not in path.name
        if is_old or path.name.endswith(_ASIDE):
            with contextlib.suppress(OSError):
                path.unlink()


def writable_folder() -> Path:
    """The first of the folders that takes files of the size needed; it is made. Raises OutputError where none does."""
    problems = []
    for folder in folders():
        probe = folder / f"im2rec-room.{_PYTHON}.{os.getpid()}-{os.urandom(3).hex()}{_ASIDE}"
        try:
            with _writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                _write(probe, bytes(_ROOM))
        except OutputError as error:
            problems.append(error.problem)
        else:
            return folder
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
    raise OutputError("; ".join(problems), hint=_hint())


def likely_folder() -> Path:
    """The folder that :func:`writable_folder` would give, as far as this can be told without writing anything."""
    for folder in folders():
        with contextlib.suppress(OSError):  # as in holds_any
            there = next(path for path in (folder, *folder.parents) if path.exists())
            if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
                return folder
    raise OutputError(f"{', '.join(map(str, folders()))}: compiled code cannot be kept there", hint=_hint())


@contextlib.contextmanager
def locked(folder: Path, waiting: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock of *folder* while the block runs; the value is whether another process had it, and was waited for.

    *waiting* is called before a wait. The system releases the lock of a process that ends, however it ends. Where
    the file system has no locks, nothing is held: two processes then do the same work, and neither harms the other.
    """
    try:
        handle = os.open(folder / f"im2rec.{_PYTHON}.lock", os.O_RDWR | os.O_CREAT, 0o666)
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
            time.sleep(_ASK_AGAIN_S)
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
        # Not flock(), whose lock would live on in a forked child.
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
