"""Changes of output files on the disk: create, write, synchronise, rename and remove.

Every file that is written beside its final name passes through these functions, so that a test can record the steps of
a run and replay what a power failure may leave of them. (What is in a folder that is written aside does not.) They
raise OSError, which :mod:`im2rec.storage.output` turns into errors of im2rec.
"""

# ruff: noqa: PTH104, PTH105, PTH108 - functions of os, which that test can replace

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# O_NOFOLLOW: a link that someone has placed under the name is not followed. O_BINARY: Windows translates line ends.
_FLAGS = (
    os.O_RDWR | os.O_CREAT | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))
)
_LOCKED_BYTE = 0x7FFFFFFE  # on Windows, where a lock is on bytes and keeps others from reading them
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK}  # of file systems without links
WAIT_S = 10.0  # for the lock of a file that others write in no time
_RETRY_S = 0.02
_WORD = 8  # bytes that a sum adds as one number
SUM_MASK = (1 << 64) - 1


class OutputStream(io.FileIO):
    """An output file without a buffer.

    ``total`` is the sum (:func:`sum_bytes`) of what :meth:`write` has written since it was set to 0; None, and nothing
    is summed, where nobody needs it.
    """

    def __init__(self, handle: int) -> None:
        super().__init__(handle, "r+b")
        self.total: int | None = None
        self._lock = threading.Lock()  # seek and write are one step

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write *data*, or the first bytes of it, at the current position; return how many."""
        if self.total is None:
            return super().write(data)
        offset = self.tell()
        written = super().write(data)
        self.total = (self.total + sum_bytes(memoryview(data)[:written], offset)) & SUM_MASK
        return written

    def write_at(self, data: bytes, offset: int) -> None:
        """Write all of *data* at *offset*; threads may do so at once."""
        with self._lock:
            self.seek(offset)
            while data:
                data = data[super().write(data) :]


def sum_bytes(data: bytes | memoryview, offset: int) -> int:
    """Return the sum, modulo 2^64, of *data* at *offset* of a file as little-endian numbers of 8 bytes.

    The sums of neighbouring stretches of a file add up to the sum of all. Zeros in place of bytes that never reached
    the disk change it. It is computed at the speed of the memory, ten times as fast as a CRC.
    """
    import numpy as np  # noqa: PLC0415 - 0.1 s that the help of commands need not wait for

    data = memoryview(data).cast("B")
    lead = min(-offset % _WORD, len(data))
    words = (len(data) - lead) // _WORD
    total = int.from_bytes(data[:lead], "little") << 8 * (offset % _WORD)
    if words:
        total += int(np.frombuffer(data, "<u8", words, lead).sum(dtype=np.uint64))
    return (total + int.from_bytes(data[lead + _WORD * words :], "little")) & SUM_MASK


def open_output(path: Path, *, locked: bool, wait: bool = False, keep: bool = False) -> OutputStream:
    """Open the file *path* for reading and writing, with what is in it; it is made if it is missing.

    With *locked* it is locked until it is closed or the process ends, however it ends; a file system without locks
    locks nothing. Raises BlockingIOError if another process, or another stream of this one, has the lock; with *wait*
    only when it has had it for ``WAIT_S`` seconds more. Raises OSError for a link and for anything but a regular file.

    A file with a second name is left to that one, and another is made: the second name is the final one, if the process
    was killed in the middle of :func:`rename_new`, and what is written must not change that file. With *keep*, where
    the content is gone on with and has no final name yet, it is taken as it is: a backup may have linked it.
    """
    is_new = False
    while True:
        stream = OutputStream(os.open(path, _FLAGS, 0o666))
        is_ours = False
        try:
            if locked:
                _lock(stream.fileno(), wait=wait)
                is_ours = True
            _check_regular(stream, path)
            if is_at(stream.fileno(), path):
                if keep or is_new or os.fstat(stream.fileno()).st_nlink == 1:
                    return stream
                os.unlink(path)
                is_new = True  # there are file systems on which every file has several links
        except OSError:
            stream.close()
            raise
        except BaseException:  # Ctrl-C, which leaves nothing of what was just made
            if is_ours and not os.fstat(stream.fileno()).st_size:
                remove(path)
            stream.close()
            raise
        stream.close()  # it was renamed or removed meanwhile by the process that had the lock


def _check_regular(stream: OutputStream, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        raise OSError(errno.EEXIST, "is no regular file", os.fspath(path))


def is_at(handle: int, path: Path) -> bool:
    """True if the open file or folder *handle* is the one that *path* names."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _lock(handle: int, *, wait: bool) -> None:
    end = time.monotonic() + (WAIT_S if wait else 0)
    while not _is_locked(handle):
        if time.monotonic() >= end:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        time.sleep(_RETRY_S)


if sys.platform == "win32":
    import msvcrt

    def _is_locked(handle: int) -> bool:
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True

else:

    def _is_locked(handle: int) -> bool:
        # flock, not lockf: a lock of lockf ends when the process closes any other stream of the file.
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.EINTR:
                raise
            # Some network file systems have no locks: two processes that write the same file are not noticed there.
        return True


def start_writing_back(stream: OutputStream, start: int, end: int) -> None:
    """Let the system begin to write the bytes from *start* to *end* to the disk: a later :func:`sync` is short then."""
    if hasattr(os, "posix_fadvise") and end > start:
        with contextlib.suppress(OSError):
            os.posix_fadvise(stream.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def sync(stream: OutputStream | BinaryIO) -> None:
    """Return when all bytes written to *stream* are on the disk."""
    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS, where fsync() leaves them in the cache of the drive
        with contextlib.suppress(OSError):
            fcntl.fcntl(stream.fileno(), fcntl.F_FULLFSYNC)
            return
    os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Return when the names of all files in *folder* are on the disk, where the system can do that."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):  # some file systems have no such call
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_file_system(folder: Path) -> None:
    """Return when all that was written to the file system of *folder* is on the disk, where the system can do that.

    For very many files, of which each would take a :func:`sync` of its own.
    """
    if sys.platform == "linux" and _sync_one_file_system(folder):
        return
    if hasattr(os, "sync"):  # waits for all other file systems, too
        os.sync()


def _sync_one_file_system(folder: Path) -> bool:
    """Synchronise the file system of *folder* by Linux's syncfs(), which Python lacks; False if that is not there."""
    import ctypes  # noqa: PLC0415 - takes 4 ms to import

    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(handle):  # some of the data could not be written
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), os.fspath(folder))
    finally:
        os.close(handle)
    return True


def truncate(stream: OutputStream, size: int) -> None:
    """Cut the file to *size* bytes and let the next byte be written behind them."""
    stream.truncate(size)
    stream.seek(size)


def replace(source: Path, target: Path) -> None:
    """Rename *source* to *target*, in one step, in place of a file of that name."""
    os.replace(source, target)


def rename_new(source: Path, target: Path) -> None:
    """Rename *source* to *target*, never in place of another file: raises FileExistsError if there is one."""
    if sys.platform == "win32":
        os.rename(source, target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        if not _is_same_file(source, target):  # an earlier run was killed just here
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target)) from None
        os.rename(source, target)
        return
    sync_folder(target.parent)  # some file systems keep one change of a folder, and not the one before it
    remove(source)  # which a second process may have done by now, by finish_rename()


def finish_rename(source: Path, target: Path) -> None:
    """Remove the name *source* of the file *target*: a :func:`rename_new` that was killed half way has left both."""
    if _is_same_file(source, target):
        remove(source)


def _is_same_file(source: Path, target: Path) -> bool:
    try:
        return os.path.samestat(source.lstat(), target.lstat())
    except FileNotFoundError:
        return False


def remove(path: Path) -> None:
    """Remove the file *path*, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
