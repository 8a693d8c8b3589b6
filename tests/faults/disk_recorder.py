"""Record the operations of this process in one folder, for :mod:`faults.disk_model`."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults.disk_model import FOLDER, History, Names, Operation, Sync, Truncate, Write, state_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PATHLIB = getattr(pathlib, "_NormalAccessor", None)  # of Python 3.10, with functions of os of its own


def before_step() -> None:
    """Do nothing; in place of this function, another may let a second thread do something at each step."""


@dataclass
class Failure:
    """An interrupt when *after* operations are done; with *full*, a disk that stays full from there on."""

    after: int
    full: bool = False
    _is_over: bool = False

    def strike(self, done: int, *, grows: bool) -> None:
        """Raise the error if it is time, with *done* operations behind the run; *grows*: the next one needs room."""
        if done < self.after or self._is_over:
            return
        if self.full and grows:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if not self.full and threading.current_thread() is threading.main_thread():
            self._is_over = True
            raise KeyboardInterrupt


class Recording:
    """The ``history`` of *folder*; *failure* ends it, if there is one."""

    def __init__(self, folder: Path, history: History, failure: Failure | None) -> None:
        self.folder, self.history, self.failure = folder, history, failure
        self._lock = threading.RLock()
        self._now = history.disk()
        self._numbers: dict[tuple[int, int], int] = {}  # by device and inode
        self.check()
        for name in self._now.now_names():
            self._number_inode((folder / name).stat(), self._numbered(name))

    def _numbered(self, name: str) -> int:
        number = self._now.file(name)
        assert number is not None, f"{name}: no operation made it"
        return number

    def _number_inode(self, status: os.stat_result, number: int) -> None:
        self._numbers[status.st_dev, status.st_ino] = number

    def name_of(self, path: Any) -> str | None:
        """Return the name of *path* in the folder, None if it is elsewhere."""
        head, tail = os.path.split(os.path.abspath(os.fspath(path)))  # noqa: PTH100
        return tail if os.path.realpath(head) == os.fspath(self.folder) else None

    def file_of(self, handle: int) -> int | None:
        """Return the number of the open file *handle*, None if it is elsewhere."""
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            return FOLDER if os.path.samestat(status, self.folder.stat()) else None
        return self._numbers.get((status.st_dev, status.st_ino))

    @contextlib.contextmanager
    def step(self, *, is_here: bool, grows: bool = False) -> Iterator[None]:
        """Let no other thread do a step meanwhile; one in the folder, *is_here*, may be that of the failure."""
        if is_here:
            before_step()
        with self._lock:
            if is_here and self.failure is not None:
                self.failure.strike(len(self.history.operations), grows=grows)
            yield

    def add(self, operation: Operation) -> None:
        self.history.operations.append(operation)
        self._now.apply(operation)

    def add_opened(self, name: str, handle: int, *, existed: bool, truncated: bool) -> None:
        """Add the creation of *name*, which is open as *handle*, or the loss of all its data."""
        if not existed:
            self._number_inode(os.fstat(handle), number := self._now.new_file())
            self.add(Names(((name, number),)))
        elif truncated:
            self.add(Truncate(self._numbered(name), 0))

    def add_written(self, handle: int, data: Any, count: int, offset: int | None = None) -> None:
        """Add that the first *count* bytes of *data* were written at *offset*, or up to the current position."""
        file = self.file_of(handle)
        if file is not None and count:
            start = os.lseek(handle, 0, os.SEEK_CUR) - count if offset is None else offset
            self.add(Write(file, start, bytes(memoryview(data).cast("B")[:count])))

    def add_truncated(self, handle: int) -> None:
        """Add that the file *handle* has another size."""
        file = self.file_of(handle)
        if file is not None:
            self.add(Truncate(file, os.fstat(handle).st_size))

    def add_names(self, old: str | None, new: str | None, *, keep: bool) -> None:
        """Add that *old* has become *new*, or with *keep* has it too; None is a name outside of the folder."""
        if old is None and new is None:
            return
        assert old is not None, f"{new}: comes from another folder"
        assert new is not None, f"{old}: goes to another folder"
        number = self._numbered(old)
        self.add(Names((*([] if keep else [(old, None)]), (new, number))))

    def check(self) -> None:
        """Compare the model with the folder: no operation may have been missed."""
        found, expected = state_of(self.folder), self._now.now()
        assert expected.keys() == found.keys(), f"recorded {sorted(expected)}, found {sorted(found)}"
        wrong = [name for name in expected if expected[name] != found[name]]
        assert not wrong, f"{wrong}: writes were not recorded"


@contextlib.contextmanager
def recorded(
    folder: Path, *raw_files: type, failure: Failure | None = None, earlier: History | None = None
) -> Iterator[Recording]:
    """Record what this process does in *folder* by functions of ``os`` and by *raw_files*, classes below ``FileIO``.

    Nothing waits for the disk meanwhile. *failure* ends what is recorded. With *earlier*, the folder is as after that,
    and what was not synced there may still be lost.
    """
    history = History(earlier.before, list(earlier.operations)) if earlier else History(state_of(folder))
    recording = Recording(Path(os.path.realpath(folder)), history, failure)
    wrappers = _Wrappers(recording)
    with unsynced(lambda _: None), pytest.MonkeyPatch.context() as patch:
        for name in wrappers.names():
            if hasattr(os, name):
                real = getattr(os, name)
                patch.setattr(os, name, getattr(wrappers, name)(real))
                if getattr(_PATHLIB, name, None) is real:
                    patch.setattr(_PATHLIB, name, staticmethod(getattr(os, name)))
        if hasattr(fcntl, "F_FULLFSYNC"):
            patch.setattr(fcntl, "fcntl", _fcntl(os.fsync, fcntl.fcntl))
        for raw in raw_files:
            for name in ("write", "write_at", "truncate"):
                if hasattr(raw, name):
                    patch.setattr(raw, name, getattr(wrappers, f"raw_{name}")(getattr(raw, name)))
        yield recording
    recording.check()


@contextlib.contextmanager
def unsynced(see_opened: Callable[[str], None]) -> Iterator[None]:
    """Let nothing in this process wait for a disk, and *see_opened* have the path of every file that is opened."""
    real = os.open

    def opened(path: Any, *rest: Any, **options: Any) -> int:
        see_opened(os.fspath(path))
        return real(path, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", opened)
        for name in ("fsync", "fdatasync", "posix_fadvise"):
            if hasattr(os, name):
                patch.setattr(os, name, lambda *_: None)
        if hasattr(fcntl, "F_FULLFSYNC"):
            patch.setattr(fcntl, "fcntl", _fcntl(os.fsync, fcntl.fcntl))
        yield


def _fcntl(sync: Any, real: Any) -> Any:
    def control(handle: Any, command: int, *rest: Any) -> Any:
        return sync(handle) if command == fcntl.F_FULLFSYNC else real(handle, command, *rest)

    return control


class _Wrappers:
    """A method for each function of ``os`` that changes a disk, which takes that and returns one that records, too."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the functions of ``os``."""
        return [name for name in vars(cls) if not name.startswith(("_", "raw_")) and name != "names"]

    def open(self, real: Any) -> Any:
        recording = self._recording

        def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            name = None if options.get("dir_fd") is not None else recording.name_of(path)
            changes = name is not None and flags & (os.O_CREAT | os.O_TRUNC) != 0
            with recording.step(is_here=changes, grows=True):
                existed = changes and os.path.lexists(path)
                handle: int = real(path, flags, *rest, **options)
                if name is not None and changes:
                    recording.add_opened(name, handle, existed=existed, truncated=bool(flags & os.O_TRUNC))
            return handle

        return opened

    def write(self, real: Any) -> Any:
        def write(handle: int, data: Any, *offset: int) -> int:
            with self._recording.step(is_here=self._recording.file_of(handle) is not None, grows=True):
                count: int = real(handle, data, *offset)
                self._recording.add_written(handle, data, count, *offset)
            return count

        return write

    def pwrite(self, real: Any) -> Any:
        return self.write(real)

    def fsync(self, _: Any) -> Any:
        recording = self._recording

        def sync(handle: Any) -> None:
            file = recording.file_of(handle if isinstance(handle, int) else handle.fileno())
            with recording.step(is_here=file is not None):
                if file is not None:
                    recording.check()
                    recording.add(Sync(file))

        return sync

    def fdatasync(self, real: Any) -> Any:
        return self.fsync(real)

    def ftruncate(self, real: Any) -> Any:
        def ftruncate(handle: int, size: int) -> None:
            with self._recording.step(is_here=self._recording.file_of(handle) is not None):
                real(handle, size)
                self._recording.add_truncated(handle)

        return ftruncate

    def rename(self, real: Any, *, keep: bool = False) -> Any:
        recording = self._recording

        def rename(old: Any, new: Any, **options: Any) -> None:
            names = recording.name_of(old), recording.name_of(new)
            with recording.step(is_here=any(names)):
                real(old, new, **options)
                recording.add_names(*names, keep=keep)

        return rename

    def replace(self, real: Any) -> Any:
        return self.rename(real)

    def link(self, real: Any) -> Any:
        return self.rename(real, keep=True)

    def unlink(self, real: Any) -> Any:
        def unlink(path: Any, **options: Any) -> None:
            name = self._recording.name_of(path)
            with self._recording.step(is_here=name is not None):
                real(path, **options)
                if name is not None:
                    self._recording.add(Names(((name, None),)))

        return unlink

    def remove(self, real: Any) -> Any:
        return self.unlink(real)

    def raw_write(self, real: Any) -> Any:
        def write(stream: Any, data: Any) -> Any:
            with self._recording.step(is_here=self._recording.file_of(stream.fileno()) is not None, grows=True):
                count = real(stream, data)
                self._recording.add_written(stream.fileno(), data, count or 0)
            return count

        return write

    def raw_write_at(self, real: Any) -> Any:
        def write_at(stream: Any, data: Any, offset: int) -> None:
            with self._recording.step(is_here=self._recording.file_of(stream.fileno()) is not None, grows=True):
                real(stream, data, offset)
                self._recording.add_written(stream.fileno(), data, len(data), offset)

        return write_at

    def raw_truncate(self, real: Any) -> Any:
        def truncate(stream: Any, size: int | None = None) -> Any:
            with self._recording.step(is_here=self._recording.file_of(stream.fileno()) is not None):
                result = real(stream, size)
                self._recording.add_truncated(stream.fileno())
            return result

        return truncate
