"""A folder on a disk that may lose all that was not synced: its operations are recorded, and replayed to any moment.

An operation changes the entries of the folder or the data of a file, or syncs one of the two. After a power loss all
operations that were synced are on the disk, and of the later ones whatever a :class:`Loss` leaves. The model has no
part in the work of im2rec: it consists of operations and bytes.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

State = dict[str, bytes]  # the files of a folder by name; a file with several names is the same Linked for each
FOLDER = -1  # in Sync, in place of the number of a file
SECTORS = (512, 4096)  # bytes that reach a disk together


class Linked(bytes):
    """The content of a file that has several names."""


@dataclass(frozen=True)
class Names:
    """A change of entries that a file system makes as a whole: each name is that of a file from now on, or of none."""

    changes: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Write:
    """Bytes that were written to a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    """A size that a file was cut or extended to."""

    file: int
    size: int


@dataclass(frozen=True)
class Sync:
    """The return of an fsync of a file, or of the ``FOLDER``."""

    file: int


Operation = Names | Write | Truncate | Sync


def changed(content: bytes, operation: Write | Truncate) -> bytes:
    """Return *content* after *operation*."""
    if isinstance(operation, Truncate):
        return content[: operation.size].ljust(operation.size, b"\0")
    end = operation.offset + len(operation.data)
    return content[: operation.offset].ljust(operation.offset, b"\0") + operation.data + content[end:]


@dataclass
class _File:
    synced: bytes = b""
    later: list[Write | Truncate] = field(default_factory=list)

    def versions(self) -> list[bytes]:
        """The content as it was synced, and after each later operation."""
        versions = [self.synced]
        for operation in self.later:
            versions.append(changed(versions[-1], operation))
        return versions


# The data that a power loss leaves of one file, by name.
Leave = Callable[[_File, random.Random], bytes]


def _some_operations(file: _File, rng: random.Random) -> bytes:
    content, share = file.synced, rng.random()
    for operation in file.later:
        if rng.random() < share:
            content = changed(content, operation)
    return content


def _some_sectors(file: _File, rng: random.Random) -> bytes:
    """Each sector as it was at some moment; one that never reached the disk is zeros, or has what was there before."""
    versions = file.versions()
    size, sector, stale = len(rng.choice(versions[1:] or versions)), rng.choice(SECTORS), rng.random() < 0.5
    content = b""
    while len(content) < size:
        start, length = len(content), min(sector, size - len(content))
        piece = rng.choice(versions)[start : start + length]
        missing = length - len(piece)
        is_hole = not any(version[start : start + length].strip(b"\0") for version in versions)
        content += piece + (rng.randbytes(missing) if stale and not is_hole else bytes(missing))
    return content


def _zeros(file: _File, _: random.Random) -> bytes:
    """The last size, and none of the later data."""
    size = len(file.versions()[-1])
    return file.synced[:size].ljust(size, b"\0")


DATA: dict[str, Leave] = {
    "no data": lambda file, _: file.synced,
    "all data": lambda file, _: file.versions()[-1],
    "data up to a moment": lambda file, rng: rng.choice(file.versions()),
    "some writes": _some_operations,
    "some sectors": _some_sectors,
    "zeros for data": _zeros,
}
DRAWN = "drawn for each file"
# The changes of entries that it leaves; "some names" is what a file system without a journal of its own may do.
NAMES: dict[str, Callable[[list[Names], random.Random], list[Names]]] = {
    "no names": lambda *_: [],
    "all names": lambda later, _: later,
    "names up to a moment": lambda later, rng: later[: rng.randint(0, len(later))],
    "some names": lambda later, rng: [change for change in later if rng.random() < 0.5],
}


@dataclass(frozen=True)
class Loss:
    """A power loss: the keys in ``NAMES`` and ``DATA`` (or ``DRAWN``) of the unsynced operations that it leaves.

    Instead of a key, *names* may be a number with a bit for each change of entries that it leaves.
    """

    names: str | int
    data: str

    @classmethod
    def drawn(cls, rng: random.Random) -> Loss:
        """Draw one in which files fare differently."""
        return cls(rng.choice(list(NAMES)), DRAWN)


# The same for all files: four corners and one more. The others need random numbers.
PLAIN_LOSSES = [
    Loss("no names", "no data"),
    Loss("all names", "all data"),
    Loss("all names", "no data"),
    Loss("no names", "all data"),
    Loss("all names", "zeros for data"),
]


class Disk:
    """A folder that begins with the files *before*, all synced, and to which operations are applied."""

    def __init__(self, before: State) -> None:
        self._files: list[_File] = []
        self._synced_names: dict[str, int] = {}
        numbers: dict[int, int] = {}  # of files with several names, by the id of their content
        for name, content in before.items():
            number = numbers.get(id(content)) if isinstance(content, Linked) else None
            if number is None:
                number = numbers[id(content)] = self.new_file()
                self._files[number].synced = content
            self._synced_names[name] = number
        self._later_names: list[Names] = []

    def new_file(self) -> int:
        """Return the number of a file that has no name yet."""
        self._files.append(_File())
        return len(self._files) - 1

    def apply(self, operation: Operation) -> None:
        if isinstance(operation, Names):
            self._later_names.append(operation)
            known = max((file for _, file in operation.changes if file is not None), default=-1)
            while len(self._files) <= known:  # the operations were recorded on another Disk
                self.new_file()
        elif isinstance(operation, Sync):
            self._sync(operation.file)
        else:
            self._files[operation.file].later.append(operation)

    def _sync(self, number: int) -> None:
        if number == FOLDER:
            self._synced_names, self._later_names = self._names(self._later_names), []
        else:
            self._files[number] = _File(self._files[number].versions()[-1])

    def _names(self, later: list[Names]) -> dict[str, int]:
        names = dict(self._synced_names)
        for name, file in (change for operation in later for change in operation.changes):
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file
        return names

    def file(self, name: str) -> int | None:
        """Return the number of the file that has *name* now."""
        return self._names(self._later_names).get(name)

    def now_names(self) -> set[str]:
        """Return the names of all files."""
        return set(self._names(self._later_names))

    def name_losses(self, most: int = 4) -> range:
        """Return the numbers of all choices of unsynced changes of entries, of the last *most* if there are more."""
        count = len(self._later_names)
        return range(0, 1 << count, 1 << max(0, count - most))

    def now(self) -> State:
        """Return the files as programs see them."""
        return self.after(Loss("all names", "all data"), random.Random(0))

    def after(self, loss: Loss, rng: random.Random) -> State:
        """Return the files that are on the disk after *loss* at this moment."""
        if isinstance(loss.names, int):
            left = [change for bit, change in enumerate(self._later_names) if loss.names >> bit & 1]
        else:
            left = NAMES[loss.names](self._later_names, rng)
        names = self._names(left)
        contents: dict[int, bytes] = {}
        for number, count in sorted(Counter(names.values()).items()):
            leave = DATA[rng.choice(list(DATA)) if loss.data == DRAWN else loss.data]
            content = leave(self._files[number], rng)
            contents[number] = Linked(content) if count > 1 else content
        return {name: contents[number] for name, number in names.items()}

    def is_safe(self, name: str) -> bool:
        """True if *name* is that of the same file after any loss."""
        return all(name not in dict(operation.changes) for operation in self._later_names)

    def content(self, name: str) -> bytes:
        """Return the content of *name* now; empty if there is no such file."""
        number = self.file(name)
        return b"" if number is None else self._files[number].versions()[-1]


@dataclass
class History:
    """*operations* in a folder that began with the files *before*."""

    before: State
    operations: list[Operation] = field(default_factory=list)

    def up_to(self, moment: int) -> History:
        """Return the first *moment* operations."""
        return History(self.before, self.operations[:moment])

    def disk(self) -> Disk:
        """Return the disk after it."""
        disk = Disk(self.before)
        for operation in self.operations:
            disk.apply(operation)
        return disk


def state_of(folder: Path) -> State:
    state: State = {}
    linked: dict[int, Linked] = {}  # by inode
    for path in sorted(folder.iterdir()):
        status = path.stat()
        content = linked.get(status.st_ino) or path.read_bytes()
        if status.st_nlink > 1:
            content = linked.setdefault(status.st_ino, Linked(content))
        state[path.name] = content
    return state


def set_state(folder: Path, state: State) -> None:
    """Make *state* that of *folder*."""
    for path in folder.iterdir():
        path.unlink()
    linked: dict[int, Path] = {}  # the first path of each file with several names
    for name, content in state.items():
        path = folder / name
        if isinstance(content, Linked) and id(content) in linked:
            os.link(linked[id(content)], path)
        else:
            path.write_bytes(content)
            linked[id(content)] = path


def key_of(state: State) -> Hashable:
    """Return a value that is equal for equal states."""
    return frozenset((name, bytes(content), isinstance(content, Linked)) for name, content in state.items())
