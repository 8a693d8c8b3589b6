"""Output files: written under a temporary name and renamed when complete, and refused where they cannot be written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import sys
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from im2rec.errors import OutputError
from im2rec.storage import disk
from im2rec.storage.companions import reader_indexes, tables_beside
from im2rec.storage.files import InputFile, PathLike, exists, reason
from im2rec.storage.forks import write_in_this_process_only

PARTIAL, JOURNAL, EARLIER = ".im2rec-partial", ".im2rec-journal", ".im2rec-earlier"  # ends of temporary names
_MAX_NAME_BYTES = 255  # of a file, in most file systems
_STEM_CHARACTERS = 50  # of a name that is too long with a suffix: 200 bytes in UTF-8
_BUFFER_BYTES = 1 << 20
_MAX_NAMED = 3  # files in a message


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
    """A file that is written under a temporary name beside *path*, so that *path* is never half written.

    ::

        with AtomicFile("out.txt") as file:
            file.write(b"text")

    The file is renamed to *path* after the block, and removed after an exception. The steps can be called one by one:
    ``finish()`` writes to the disk, ``rename()`` gives the file its final name, ``discard()`` removes it unless it was
    renamed, ``keep()`` leaves it there.

    The temporary name is always that of :func:`partial_path`, and the file is locked: another process that is to write
    *path* is refused, or with *wait* waits, and what a killed process left is written over. *locked* is False where
    another file has the lock for this one. *size* is the number of bytes to keep of what is there.

    Raises OutputError when *path* exists, unless *force*, when another process is writing it, and when it cannot be
    written.
    """

    def __init__(
        self, path: PathLike, *, force: bool = False, wait: bool = False, locked: bool = True, size: int = 0
    ) -> None:
        self.path = Path(path)
        self.force = force
        self.temporary_path = partial_path(self.path)
        # What a killed process left is removed, although the output itself exists and this one is refused.
        with writing(path):
            is_left = exists(self.temporary_path)
        refuse_existing([self.path], force=force or is_left)
        self.raw = open_output(self.temporary_path, self.path, locked=locked, wait=wait, keep=size > 0)
        # Removes the file also when it is never closed.
        self._remover = weakref.finalize(self, _remove, self.raw, self.temporary_path, os.getpid())
        if is_left and not size:
            self._refuse_existing()
        with writing(path):
            found = self.raw.seek(0, os.SEEK_END)
            disk.truncate(self.raw, min(size, found))
        if found < size:
            self.keep()
            problem = f"has {found:,} bytes, and its journal says {size:,}"
            raise OutputError(problem, path=self.temporary_path, hint="begin again with restart=True")
        self.size = size  # with all that is still in the buffer
        self._file: BinaryIO = io.BufferedWriter(self.raw, _BUFFER_BYTES)  # type: ignore[type-var]
        write_in_this_process_only(self._file)

    def _refuse_existing(self) -> None:
        try:
            refuse_existing([self.path], force=self.force)
        except OutputError:
            self._remover()
            raise

    def write(self, data: bytes | bytearray) -> None:
        """Append *data*. Raises OutputError, for example when the disk is full."""
        try:  # not `with writing`, which is slow, and this is called for every record
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.size += len(data)

    def flush(self) -> int:
        """Give all data to the system, which keeps it if this process is killed; return the size of the file.

        Raises OutputError, also if Ctrl-C has ended an earlier call in its middle: the buffer is then written twice.
        """
        with writing(self.path):
            self._file.flush()
            if self.raw.tell() != self.size:
                raise OutputError("has bytes that were written twice, after an interrupt", path=self.temporary_path)
            return self.size

    def sync(self) -> None:
        """Return when the data given to the system is on the disk. Raises OutputError."""
        with writing(self.path):
            disk.sync(self.raw)

    def reopen(self) -> InputFile:
        """Open what has been written so far for reading. Raises OutputError, InputError."""
        self.flush()
        return InputFile(self.temporary_path)

    def finish(self) -> None:
        """Write all data to the disk, which must come before ``rename()``. Twice is allowed. Raises OutputError."""
        if not self._file.closed:
            self.flush()
            self.sync()

    def rename(self) -> None:
        """Give the finished file its final name. Raises OutputError, also if a file of that name has appeared since."""
        self.close_to_rename()
        give_name(self.path, force=self.force)
        self.keep()

    def close_to_rename(self) -> None:
        """Close the file on Windows, where an open one has a fixed name; elsewhere it stays locked until then."""
        if sys.platform == "win32":
            self._file.close()

    def close(self) -> None:
        """Close the finished file before it is renamed, which ends its lock: for outputs of very many files.

        Raises OutputError.
        """
        with writing(self.path):
            self._file.close()

    def keep(self) -> None:
        """Close the file and leave it under the name it has."""
        self._remover.detach()
        with contextlib.suppress(OSError):  # on a full disk, close() flushes once more and fails
            self._file.close() if hasattr(self, "_file") else self.raw.close()

    def discard(self) -> None:
        """Remove the temporary file, if it is still there. Calling it twice is allowed."""
        self._remover()
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
                self.rename()
                disk.sync_folder(self.path.parent)
        finally:
            self.discard()


def partial_path(path: Path) -> Path:
    """Return the name under which the file *path* is written: its own with a suffix, shortened if it is too long."""
    return name_beside(path, PARTIAL)


def publish(
    paths: Sequence[Path], *, old: Sequence[Path], force: bool, files: Sequence[AtomicFile] = (), advise: bool = True
) -> None:
    """Give the temporary files of *paths* their names: first that of the ``.rec``, then those of its companions.

    With *force* the *old* companions are removed before, so that at any moment, also after a kill or a power failure,
    the ``.rec`` stands with its own companions or without any; so are the tables of an earlier ``.rec``, and an index
    for DALI, which has the old offsets. Files that have their names already are passed over, so that a run that was
    killed in between can be finished by a second call. *files* are those of *paths* that are open. With *advise*, an
    error names the command that makes a companion that is missing; not so for a run that goes on.

    Raises OutputError, which says what stands under the names. Where another program has made one of the files
    meanwhile, none of ours has its name then.
    """
    rec, *companions = paths
    for file in files:
        file.close_to_rename()
    for path in paths:
        with writing(path):
            disk.finish_rename(partial_path(path), path)
    if partial_path(rec).exists():
        refuse_existing([*paths, *old], force=force)  # made by another program meanwhile
    try:
        if partial_path(rec).exists():
            replaced = [*old, *reader_indexes(rec), *tables_beside(rec)]
            _give_rec_name(rec, replaced if force else [], force=force)
        for path in companions:
            if partial_path(path).exists():
                give_name(path, force=force)
    except OutputError as error:
        if not force and exists(Path(error.path or rec)):  # another program has made it: it must not stand beside ours
            _take_names_back(paths)
        else:
            error.hint = _what_stands(rec, companions, advise=advise)
        raise
    disk.sync_folder(rec.parent)
    for file in files:
        file.keep()


def _give_rec_name(rec: Path, old: Sequence[Path], *, force: bool) -> None:
    """Remove the *old* companions, then rename the ``.rec``, and have it on the disk before its companions."""
    for path in old:
        with writing(path):
            disk.remove(path)
    disk.sync_folder(rec.parent)
    give_name(rec, force=force)
    disk.sync_folder(rec.parent)


def _take_names_back(paths: Sequence[Path]) -> None:
    """Rename those of *paths* that have their names to their temporary ones, the ``.rec`` last."""
    for path in reversed(paths):
        if not exists(partial_path(path)):
            with contextlib.suppress(OSError):
                disk.rename_new(path, partial_path(path))


def _what_stands(rec: Path, companions: Sequence[Path], *, advise: bool) -> str:
    """Return in words which of the output files exist, after a rename has failed."""
    if not exists(rec):
        return f"no file exists under the name {rec}"
    is_old = exists(partial_path(rec))
    missing = [path for path in companions if not exists(path)]
    if not missing:
        return f"{rec} and its index are {'the old ones' if is_old else 'complete'}"
    names = f"{' and '.join(path.name for path in missing)} {'are' if len(missing) > 1 else 'is'} missing beside it"
    command = "digest" if all(path.suffix == ".digest" for path in missing) else "index"
    what = f"{rec} is {'the old one' if is_old else 'complete'}, and {names}"
    return f"{what}; 'im2rec {command}' makes one" if advise else what


def publish_all(files: Sequence[AtomicFile], *, force: bool) -> None:
    """Give the finished *files*, which belong together, their names, so that none is beside one of an earlier run.

    With *force* the earlier ones are removed before, all but the first. Without it, none of the files has its name if
    one cannot have it. An interrupt is raised when all have their names, which takes no time. Raises OutputError, which
    says what stands under the names.
    """
    paths, named = [file.path for file in files], 0
    refuse_existing(paths, force=force)  # written by another program meanwhile
    try:
        for path in paths[1:] if force else ():
            with writing(path):
                disk.remove(path)
        for file in files:
            file.rename()
            named += 1
    except OutputError as error:
        if not force:
            for path in paths[:named]:
                with contextlib.suppress(OSError):
                    disk.remove(path)
            named = 0
        error.hint = _which_stand(paths[:named], paths[named:])
        raise
    except BaseException:
        for file in files[named:]:
            with contextlib.suppress(OutputError):
                file.rename()
        raise
    finally:
        for folder in dict.fromkeys(path.parent for path in paths):
            disk.sync_folder(folder)


def _which_stand(named: Sequence[Path], others: Sequence[Path]) -> str:
    """Return in words which of the output files are new, and which are old ones or missing."""
    old = [os.fspath(path) for path in others if exists(path)]
    missing = [os.fspath(path) for path in others if not exists(path)]
    groups = {"new": list(map(os.fspath, named)), "old": old, "missing": missing}
    if not named and not old:
        return "none of the files exists under its name"
    return "; ".join(
        f"{_some(names)} {'is' if len(names) == 1 else 'are'} {how}" for how, names in groups.items() if names
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMED])
    return shown + (f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else "")


def name_beside(path: Path, suffix: str) -> Path:
    """Return the name of *path* with *suffix*, shortened if a file system has no names that long."""
    name = path.name
    if len(os.fsencode(name + suffix)) > _MAX_NAME_BYTES:
        digest = hashlib.blake2b(os.fsencode(name), digest_size=4).hexdigest()
        name = f"{name[:_STEM_CHARACTERS]}.{digest}"
    return path.with_name(name + suffix)


def remove_leftover(path: Path) -> None:
    """Remove what a killed process left of the output *path*, if anything. Raises OutputError if one is writing it."""
    temporary = partial_path(path)
    with writing(path):
        if exists(temporary):
            remove_locked(open_output(temporary, path, locked=True, keep=True), temporary)


def remove_locked(stream: disk.OutputStream, path: Path) -> None:
    """Remove the file *path*, which *stream* is, and end its lock."""
    if sys.platform == "win32":  # where an open file cannot be removed
        stream.close()
    # Elsewhere while it is locked: behind the end of the lock the name may be that of another process's file.
    with contextlib.suppress(OSError):
        disk.remove(path)
    stream.close()


def open_output(
    temporary: Path, path: Path, *, locked: bool, wait: bool = False, keep: bool = False
) -> disk.OutputStream:
    """Open the output *temporary* of *path*. Raises OutputError, also while another process has it locked."""
    with writing(path):
        try:
            return disk.open_output(temporary, locked=locked, wait=wait, keep=keep)
        except BlockingIOError:
            hint = "wait for it, or choose another name"
            raise OutputError("another im2rec is writing it", path=path, hint=hint) from None


def give_name(path: Path, *, force: bool) -> None:
    """Rename the temporary file of *path* to *path*, in one step; without *force* never in place of another file.

    Raises OutputError.
    """
    with writing(path):
        try:
            (disk.replace if force else disk.rename_new)(partial_path(path), path)
        except FileExistsError:
            raise exists_already(path) from None


def sync_and_close(file: BinaryIO) -> None:
    """Write all data of *file* to the disk, past the caches of Python and the system, and close it. Raises OSError."""
    file.flush()
    disk.sync(file)
    file.close()


def _remove(stream: disk.OutputStream, path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has a copy of the AtomicFile, whose file its parent still writes
        remove_locked(stream, path)


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
                raise exists_already(path)


def refuse_same_file(out: PathLike, path: PathLike, *, what: str = "input") -> None:
    """Raise OutputError if *out* is the file *path*, which is the *what* of the work, by another name too."""
    with writing(out):
        # False for an impossible name.
        if os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):  # noqa: PTH110, PTH121
            raise OutputError(f"is the {what} itself", path=out, hint="choose another name for the output")


def exists_already(path: Path) -> OutputError:
    """Return the error that the output *path* is there already."""
    return OutputError("exists already", path=path, hint="replace it with force=True, or choose another name")


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
