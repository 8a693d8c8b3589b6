"""Output files: written under a temporary name and renamed when complete, and refused where they cannot be written."""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from im2rec.errors import OutputError
from im2rec.storage.files import InputFile, PathLike, exists, reason
from im2rec.storage.forks import write_in_this_process_only

_STEM_CHARACTERS = 50  # of the final name in a temporary one: 200 bytes in UTF-8, and file systems allow 255 in all


@contextlib.contextmanager
def writing(path: PathLike) -> Iterator[None]:
    """Turn an OSError of the block, or a path that cannot be encoded, into an OutputError that names *path*."""
    try:
        yield
    except (OSError, UnicodeEncodeError) as error:
        raise _unwritable(path, error) from error


def _unwritable(path: PathLike, error: OSError | UnicodeEncodeError) -> OutputError:
    hint = "no file exists under this name" if not os.path.lexists(path) else "the existing file is unchanged"
    return OutputError(f"cannot be written: {reason(error)}", path=path, hint=hint)


class AtomicFile:
    """A file that is written under a temporary name in the folder of *path*, so that *path* is never half written.

    ::

        with AtomicFile("out.txt") as file:
            file.write(b"text")

    The file is renamed to *path* after the block, and removed after an exception. The steps can be called one by one:
    ``finish()`` writes to the disk, ``rename()`` gives the file its final name, ``discard()`` removes it unless it was
    renamed. Raises OutputError when *path* exists, unless *force*, and when it cannot be written.
    """

    def __init__(self, path: PathLike, *, force: bool = False) -> None:
        self.path = Path(path)
        self.force = force
        refuse_existing([self.path], force=force)
        # The process id shows the owner of a file that was left by a kill -9.
        name = f"{self.path.name[:_STEM_CHARACTERS]}.{os.getpid()}-{os.urandom(3).hex()}.tmp"
        self.temporary_path = self.path.with_name(name)
        # Removes the file also when an interrupt arrives before this object is assigned, or when it is never closed.
        self._remover = weakref.finalize(self, _remove, self.temporary_path, os.getpid())
        with writing(path):
            self._file = self.temporary_path.open("xb", buffering=1 << 20)
        write_in_this_process_only(self._file)

    def write(self, data: bytes) -> None:
        """Append *data*. Raises OutputError, for example when the disk is full."""
        try:  # not `with writing`, which is slow, and this is called for every record
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def reopen(self) -> InputFile:
        """Open what has been written so far for reading. Raises OutputError, InputError."""
        with writing(self.path):
            self._file.flush()
        return InputFile(self.temporary_path)

    def finish(self) -> None:
        """Write all data to the disk and close the file; must come before ``rename()``. Calling it twice is allowed."""
        if self._file.closed:
            return
        with writing(self.path):
            sync_and_close(self._file)

    def rename(self) -> None:
        """Give the finished file its final name. Raises OutputError, also if a file of that name has appeared since."""
        refuse_existing([self.path], force=self.force)
        with writing(self.path):
            self.temporary_path.replace(self.path)
        self._remover.detach()

    def discard(self) -> None:
        """Remove the temporary file, if it is still there. Calling it twice is allowed."""
        with contextlib.suppress(OSError):  # on a full disk, close() flushes once more and fails
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


def sync_and_close(file: BinaryIO) -> None:
    """Write all data of *file* to the disk, past the caches of Python and the system, and close it. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has a copy of the AtomicFile, whose file its parent still writes
        with contextlib.suppress(OSError):
            path.unlink()


def refuse_existing(paths: list[Path], *, force: bool) -> None:
    """Raise OutputError for the first of *paths* that cannot become a file, or that is one already, unless *force*."""
    for path in paths:
        with writing(path):
            is_there = exists(path)
            if not path.parent.is_dir():
                raise OutputError(f"the folder {path.parent} is missing", path=path, hint="make it first")
            refuse_unwritable(path.parent, path)
            if path.is_dir():
                raise OutputError("is a folder", path=path, hint="name a file")
            if not is_there:
                continue
            if not (path.is_file() or path.is_symlink()):
                raise OutputError("is a device or a pipe", path=path, hint="name a file")
            if not force:
                hint = "replace it with force=True, or choose another name"
                raise OutputError("exists already", path=path, hint=hint)


def refuse_unwritable(folder: Path, path: Path) -> None:
    """Raise OutputError for *path* unless this process may make files in *folder*, which exists."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unwritable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def check_output_folder(folder: Path) -> None:
    """Raise OutputError unless *folder* is a folder that may be written to, or can be made."""
    with writing(folder):
        existing = next(path for path in (folder, *folder.parents) if exists(path))
        if not existing.is_dir():
            raise OutputError("is not a folder", path=existing, hint="name a folder to write to")
    refuse_unwritable(existing, folder)
