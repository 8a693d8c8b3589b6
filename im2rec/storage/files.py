"""Local paths: opened for positional reads, parsed whole, or written aside and renamed when complete.

This is the one place where the operating system's errors become ours. The ``.classes.txt`` that ``make-list`` writes
beside its lists, the folder of every label, one a line, is read here too.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from im2rec.errors import IdxFormatError, Im2RecError, InputError, OutputError

PathLike = str | os.PathLike[str]
INSPECT = "run 'im2rec inspect' on it"  # what to do about a .rec that is not as it should be
T = TypeVar("T")
C = TypeVar("C", bound="Closeable")
_ASIDE_LETTERS = 50
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def reason(error: OSError) -> str:
    """What the operating system says, without number and path."""
    return (error.strerror or str(error)).lower()


@contextlib.contextmanager
def reading(path: PathLike) -> Iterator[None]:
    """Turn an OSError of the block into an InputError that names *path*."""
    if "\0" in os.fspath(path):
        raise InputError(f"{os.fspath(path)!r}: no path holds a zero byte", hint="check the path")
    try:
        yield
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: PathLike, error: OSError) -> InputError:
    return InputError(f"{os.fspath(path)}: cannot be read: {reason(error)}", hint="check the path")


@contextlib.contextmanager
def writing(path: PathLike) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError that names *path*."""
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: PathLike, error: OSError) -> OutputError:
    hint = "nothing stands under this name" if not os.path.lexists(path) else "the file that was there is untouched"
    return OutputError(f"{os.fspath(path)}: cannot be written: {reason(error)}", hint=hint)


def read_file(path: PathLike) -> bytes:
    """All bytes of the file *path*; for small ones in half the time of ``open().read()``. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | _BINARY)
    try:
        size = os.fstat(handle).st_size  # 0 for a pipe
        data = os.read(handle, size + 1)
        while len(data) != size and (more := os.read(handle, 1 << 20)):
            data += more
        return data
    finally:
        os.close(handle)


class Closeable:
    """Something that is closed at the end of a ``with`` block, or by :meth:`close`."""

    def close(self) -> None:
        """Close what is open; further calls do nothing."""

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class InputFile(Closeable):
    """A file open for positional reads: no shared position, safe in threads and forked children.

    Pickles by path; a copy opens the file again and refuses one of another size. Raises InputError when *path*
    cannot be opened or is no regular file.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        with reading(path):
            mode = os.stat(path).st_mode  # noqa: PTH116 - before opening: a pipe would wait for its writer
            if not stat.S_ISREG(mode):
                raise InputError(f"{os.fspath(path)}: is not a regular file", hint="name a file")
            self._handle = os.open(path, os.O_RDONLY | _BINARY)
        # One position is shared where the platform has no pread (Windows): seek and read then go together.
        self._lock = None if hasattr(os, "pread") else threading.Lock()
        self.size = os.fstat(self._handle).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """*size* bytes from *offset* on; fewer only where the file ends. Raises InputError."""
        if self._handle < 0:
            raise InputError(f"{self.path}: is closed", hint="open it again")
        try:  # not by reading(), which takes as long as the rest of this together
            data = self._pread(size, offset)
            while len(data) < size and (more := self._pread(size - len(data), offset + len(data))):
                data += more
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return data

    def _pread(self, size: int, offset: int) -> bytes:
        if self._lock is None:
            return os.pread(self._handle, size, offset)
        with self._lock:
            os.lseek(self._handle, offset, os.SEEK_SET)
            return os.read(self._handle, size)

    def close(self) -> None:
        """Close the handle; again is fine."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
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
            raise InputError(f"{self.path}: had {state['size']} bytes and now has {self.size}", hint="open it again")


class AtomicFile:
    """A file written under a temporary name beside *path*, so that *path* is never there half written.

    ``finish()`` flushes to the disk, ``rename()`` puts it in place, ``discard()`` removes it (nothing happens after a
    rename). As a context manager: rename after the block, discard on an exception. Raises OutputError.
    """

    def __init__(self, path: PathLike, *, force: bool = False) -> None:
        self.path = Path(path)
        self.force = force
        refuse_existing([self.path], force=force)
        # The process id tells whose it is, should a kill -9 leave it behind. Names may have 255 bytes in all.
        self.aside = self.path.with_name(f"{self.path.name[:_ASIDE_LETTERS]}.{os.getpid()}-{os.urandom(3).hex()}.tmp")
        # Also when an interrupt comes before anybody holds this object, or nobody ever closes it.
        self._remover = weakref.finalize(self, _remove, self.aside, os.getpid())
        with writing(path):
            self._file = self.aside.open("xb", buffering=1 << 20)

    def write(self, data: bytes) -> None:
        """Append *data*. Raises OutputError, on a full disk for one."""
        try:  # not `with writing`: this is called for every record
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def finish(self) -> None:
        """Bring everything to the disk and close; needed before ``rename()``."""
        if self._file.closed:
            return
        with writing(self.path):
            to_disk(self._file)

    def rename(self) -> None:
        """Put the finished file under its final name; one that came to be there meanwhile needs *force* too."""
        refuse_existing([self.path], force=self.force)
        with writing(self.path):
            self.aside.replace(self.path)
        self._remover.detach()

    def discard(self) -> None:
        """Remove the temporary file; again is fine."""
        with contextlib.suppress(OSError):  # flushing to a full disk fails once more on close
            self._file.close()
        self._remover()

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
                self.rename()
        finally:
            self.discard()


def to_disk(file: BinaryIO) -> None:
    """Bring everything written to *file* to the disk and close it. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child inherits the object, not the file
        with contextlib.suppress(OSError):
            path.unlink()


def refuse_existing(paths: list[Path], *, force: bool) -> None:
    """Raise OutputError for the first of *paths* that exists, unless *force*, or that never could be a file."""
    for path in paths:
        with writing(path):
            if not path.parent.is_dir():
                raise OutputError(f"{path}: the folder {path.parent} is missing", hint="make it first")
            if path.is_dir():
                raise OutputError(f"{path}: is a folder", hint="name a file")
            if not os.path.lexists(path):
                os.lstat(path.parent)  # a name that is too long, or a folder that may not be entered, shows here
            elif not (path.is_file() or path.is_symlink()):
                raise OutputError(f"{path}: is a device or a pipe", hint="name a file")
            elif not force:
                raise OutputError(f"{path}: exists already", hint="replace it with --force, or choose another name")


def check_folder(path: PathLike) -> None:
    """Raise InputError unless *path* is a folder that can be listed."""
    with reading(path):
        if not Path(path).is_dir():
            Path(path).stat()  # says it best when nothing is there
            raise InputError(f"{os.fspath(path)}: is not a folder", hint="name the folder that holds the images")
        os.scandir(path).close()


def with_path(error: Im2RecError, path: PathLike) -> Im2RecError:
    """*error*, its ``path`` filled in: for who opened the file that a lower layer found wrong."""
    error.path = path  # type: ignore[attr-defined]
    return error


def read_parsed(path: PathLike, parse: Callable[[bytes], T]) -> T:
    """What *parse* makes of the content of the file *path*. Raises InputError, IdxFormatError."""
    with InputFile(path) as file:
        content = file.read_at(0, file.size)
    try:
        return parse(content)
    except IdxFormatError as error:
        raise with_path(error, Path(path)) from None


def read_classes(path: PathLike) -> list[str]:
    """The folders of a ``.classes.txt``, in order of their labels. Raises InputError, also for a doubled line."""
    with reading(path):
        text = Path(path).read_text(encoding="utf-8-sig", errors="surrogateescape")
    classes = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]
    seen: set[str] = set()
    for line, name in enumerate(classes, 1):
        if not name or name in seen:
            what = f"{name!r} stands on two lines" if name else "is empty"
            raise InputError(f"{os.fspath(path)}, line {line}: {what}", hint="one folder a line, line 1 is label 0")
        seen.add(name)
    return classes
