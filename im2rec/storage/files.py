"""Local input files, open for positional reads or read whole.

Only this module and :mod:`im2rec.storage.output` convert the operating system's errors to ours, and only this one
opens input files: by :func:`open_regular`,
which refuses pipes, devices and folders without waiting for them. It also converts between the text of a list and the
names of files (:func:`file_name`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from im2rec.errors import MAX_PAYLOAD, IdxFormatError, Im2RecError, InputError

PathLike = str | os.PathLike[str]
INSPECT = "run 'im2rec inspect' on it"  # the hint of every error about a damaged .rec
_PIECE_BYTES = 1 << 20  # read at once where all of a file is read: no more is faster
T = TypeVar("T")
C = TypeVar("C", bound="Closeable")
# O_BINARY: Windows would translate line ends. O_NONBLOCK: opening a pipe would wait for its writer; files do not mind.
_READ_FLAGS = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_NONBLOCK", "O_NOCTTY"))
_SPECIAL = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_NAMES_ARE_UTF8 = sys.getfilesystemencoding().lower() == "utf-8"  # always on Windows, where names are text


def file_name(text: str) -> str:
    """Return *text*, a path or a name in a list or a ``.classes.txt``, as Python spells that file name.

    Such texts are UTF-8, with other bytes as surrogates. Except on Windows, a file name is bytes too, which Python
    decodes by the locale: in one that is not UTF-8, the same bytes make another string. Python's functions turn the
    result back into exactly these bytes, so that a list names the same files in every locale. (Python's own Big5 and
    EUC-JP do not give back a few pairs of bytes, whichever way a name is read.)
    """
    return text if _NAMES_ARE_UTF8 else os.fsdecode(text.encode("utf-8", "surrogateescape"))


def name_text(name: str) -> str:
    """Return the file name *name*, as Python spells it, as the text of a list: the reverse of :func:`file_name`."""
    return name if _NAMES_ARE_UTF8 else os.fsencode(name).decode("utf-8", "surrogateescape")


def reason(error: OSError | UnicodeEncodeError) -> str:
    """Return the operating system's message in lower case, without error number and path."""
    if isinstance(error, UnicodeEncodeError):  # of a path that Python decoded otherwise, or that a program gave
        return f"{error.encoding}, the encoding of the locale, lacks a character of its name"
    return (error.strerror or str(error)).lower()


@contextlib.contextmanager
def reading(path: PathLike) -> Iterator[None]:
    """Turn an OSError of the block, or a path that cannot be encoded, into an InputError that names *path*."""
    if "\0" in os.fspath(path):
        raise InputError(f"{os.fspath(path)!r}: a path cannot contain a zero byte", hint="check the path")
    try:
        yield
    except (OSError, UnicodeEncodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: PathLike, error: OSError | UnicodeEncodeError) -> InputError:
    if isinstance(error, NotAFileError):
        return InputError(reason(error), path=path, hint="name a file")
    if isinstance(error, IsADirectoryError):  # the system's own words say "directory"
        return InputError("is a folder", path=path, hint="name a file")
    return InputError(f"cannot be read: {reason(error)}", path=path, hint="check the path")


class NotAFileError(OSError):
    """A path names a pipe, a socket or a device where a file is expected."""


def check_regular(status: os.stat_result) -> None:
    """Raise NotAFileError, or IsADirectoryError, unless *status* is that of a regular file."""
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    kind = _SPECIAL.get(stat.S_IFMT(status.st_mode), "something else")
    raise NotAFileError(errno.EINVAL, f"is {kind}, not a regular file")


def check_size(size: int, most: int) -> None:
    """Raise an OSError with the number ``EFBIG`` when a file of *size* bytes has more than *most*."""
    if size > most:
        raise OSError(errno.EFBIG, f"has {size:,} bytes, more than {most:,}")


def open_regular(path: PathLike) -> tuple[int, int]:
    """Open the regular file *path* for reading; return its descriptor and its size in bytes.

    A pipe, a socket, a device or a folder is refused, never waited for: NotAFileError, IsADirectoryError. Raises
    OSError.
    """
    try:
        handle = os.open(path, _READ_FLAGS)
    except OSError as error:
        check_regular(os.stat(path))  # noqa: PTH116 - of a socket, and of a folder on Windows, the error says less
        if not isinstance(error, BlockingIOError):
            raise
        # A file with a lease, which Samba takes for its clients: without O_NONBLOCK, it is opened when that is over.
        handle = os.open(path, _READ_FLAGS & ~getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(handle)
        check_regular(status)
    except BaseException:
        os.close(handle)
        raise
    return handle, status.st_size


def open_binary(path: PathLike) -> BinaryIO:
    """Open the regular file *path* as a stream of bytes. Raises OSError, for a pipe, a device or a folder too."""
    return os.fdopen(open_regular(path)[0], "rb")


def read_file(path: PathLike, most: int = MAX_PAYLOAD) -> bytes:
    """Return all bytes of the file *path*; small files take half the time of ``open().read()``.

    Raises OSError, also for a pipe, a device or a folder, and with the number ``EFBIG`` for more than *most* bytes.
    """
    handle, size = open_regular(path)
    try:
        check_size(size, most)
        data = os.read(handle, size + 1)  # one byte more, so that a file that grows meanwhile is noticed
        while len(data) != size and (more := os.read(handle, 1 << 20)):
            data += more
            check_size(len(data), most)
        return data
    finally:
        os.close(handle)


class Closeable:
    """Base class of objects that are closed at the end of a ``with`` block, or by :meth:`close`."""

    def close(self) -> None:
        """Close the open files. Calling it twice is allowed."""

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class InputFile(Closeable):
    """A file open for positional reads, which share no position: safe in threads and in forked processes.

    ::

        with InputFile("train.rec") as file:
            head = file.read_at(0, 8)

    Pickling stores the path: the copy opens the file again, and raises InputError if its size has changed. Raises
    InputError when *path* cannot be opened or is not a regular file.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._handle: int | None
        with reading(path):
            self._handle, self.size = open_regular(path)
        # Without os.pread (Windows) all reads share one position: seek and read must then be one step.
        self._lock = None if hasattr(os, "pread") else threading.Lock()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on; fewer only at the end of the file. Raises InputError."""
        handle = self._handle
        if handle is None:
            raise InputError("is closed", path=self.path, hint="open it again")
        try:  # not `with reading`, which takes as long as the rest of this function
            data = self._pread(handle, size, offset)
            while len(data) < size and (more := self._pread(handle, size - len(data), offset + len(data))):
                data += more
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return data

    def status(self) -> os.stat_result:
        """Return the status of the open file. Raises InputError."""
        if self._handle is None:
            raise InputError("is closed", path=self.path, hint="open it again")
        with reading(self.path):
            return os.fstat(self._handle)

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from *start* to *end*, of fewer if the file ends before, in pieces of 1 MiB at most.

        Raises InputError.
        """
        for offset in range(start, end, _PIECE_BYTES):
            yield self.read_at(offset, min(_PIECE_BYTES, end - offset))

    def _pread(self, handle: int, size: int, offset: int) -> bytes:
        if self._lock is None:
            return os.pread(handle, size, offset)
        with self._lock:
            os.lseek(handle, offset, os.SEEK_SET)
            return os.read(handle, size)

    def close(self) -> None:
        """Close the file. Calling it twice is allowed; reading afterwards raises InputError."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self.close()

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "size": self.size}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]
        if self.size != state["size"]:
            self.close()
            raise InputError(f"had {state['size']} bytes and now has {self.size}", path=self.path, hint="open it again")


def exists(path: Path) -> bool:
    """True if there is something at *path*, a broken link included.

    Raises OSError for a name that is too long and for a folder that may not be entered; from Python 3.14 on,
    ``Path.exists()`` and ``Path.is_dir()`` return False for them.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def check_folder(path: PathLike) -> None:
    """Raise InputError unless *path* is a folder that can be listed."""
    with reading(path):
        if not Path(path).is_dir():
            Path(path).stat()  # raises the better error when nothing is there
            raise InputError("is not a folder", path=path, hint="name the folder that holds the images")
        os.scandir(path).close()


def with_path(error: Im2RecError, path: PathLike) -> Im2RecError:
    """Set ``path`` of *error* and return it: the codec that raised it had the bytes only."""
    error.path = path  # type: ignore[attr-defined]
    return error


def read_parsed(path: PathLike, parse: Callable[[bytes], T]) -> T:
    """Return ``parse(content)`` of the file *path*. Raises InputError, and IdxFormatError with the path."""
    with InputFile(path) as file:
        content = file.read_at(0, file.size)
    try:
        return parse(content)
    except IdxFormatError as error:
        raise with_path(error, Path(path)) from None
