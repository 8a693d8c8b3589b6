"""An output folder that is filled as ``DIR.partial``, resumable after a kill, and renamed when complete.

A journal in it says what is extracted and how far that is; in the finished folder it stays as the mark of an
extraction. It outlives a kill of the process; after a power cut the last images it counts may not have reached the
disk. The finished folder may replace an earlier extraction or an empty folder, and nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from im2rec.errors import OutputError
from im2rec.storage.files import PathLike, reason

MARKER = ".im2rec-extract.json"  # stands in every extraction: only a folder that holds it is ever replaced


def destination(out: PathLike) -> Path:
    """*out*, or what stands behind it when it is a link or no name of its own (``.``, ``sub/..``)."""
    path = Path(out)
    return Path(os.path.realpath(path)) if path.is_symlink() or path.name in ("", "..") else path


def check_replaceable(path: Path, inputs: Sequence[PathLike], *, force: bool) -> None:
    """Raise OutputError unless *path* can become an extraction: nothing stands there, or an empty folder.

    With *force* an earlier extraction is fine too, if none of *inputs* stands in it.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} is missing", hint="make it first")
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise OutputError(f"{path}: is a file", hint="name a folder")
    real = Path(os.path.realpath(path))
    if Path.cwd().is_relative_to(real) or os.path.ismount(path):
        problem = f"{path}: is a mount point or the folder you are in, which cannot be replaced by a finished one"
        raise OutputError(problem, hint="name a new folder in it")
    if not any(path.iterdir()):
        return
    earlier = (path / MARKER).is_file()
    if not force or not earlier:
        problem = f"{path}: exists already and is not empty"
        raise OutputError(problem, hint=f"choose another folder{', or replace it with --force' if earlier else ''}")
    for name in inputs:
        if Path(os.path.realpath(name)).is_relative_to(real):
            raise OutputError(f"{path}: holds {os.fspath(name)} and is not replaced", hint="choose another folder")


def put_in_place(finished: Path, path: Path, *, force: bool) -> None:
    """Rename the folder *finished* to *path*; with *force* an earlier extraction there makes way and is removed.

    A kill in between leaves the earlier one beside it, its name ending in ``.tmp``. Raises OSError.
    """
    earlier = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(3).hex()}.tmp")
    if force and (path / MARKER).is_file():
        path.rename(earlier)
    elif path.is_dir():
        path.rmdir()
    try:
        finished.rename(path)
    finally:
        if not os.path.lexists(path):
            with contextlib.suppress(OSError):  # there may be none
                earlier.rename(path)
    shutil.rmtree(earlier, ignore_errors=True)  # the new one is in place, and that is what counts


try:
    import fcntl
except ImportError:  # Windows, where an open file keeps its folder from being renamed
    fcntl = None  # type: ignore[assignment]

ASIDE = MARKER + ".tmp"
_KNOWN_FOLDERS = 4096  # folders that are not looked at again: images of a class often stand together
_GO_ON = "what is written so far stays; the same command goes on from there"


@dataclasses.dataclass
class ExtractionProgress:
    """How far an extraction is: records, shards, bytes of the list; and what there will be to tell of the records."""

    records: int = 0
    shards: int = 0
    list_bytes: int = 0
    bytes: int = 0
    not_images: int = 0
    lost_bits: int = 0


class ResumableFolder:
    """``DIR.partial``, which becomes *out* on :meth:`complete`; ``done`` says where to go on.

    *resumed* counts the records of earlier runs. *identity* (JSON values by name) is what makes one extraction: the
    journal of another one is refused, or thrown away with *force*. *inputs* are files that must not go with a folder
    that is replaced. The constructor only looks; as a context manager the folder is made and locked.
    Raises OutputError when *out* holds files that cannot be replaced, or cannot be written.
    """

    def __init__(
        self, out: PathLike, identity: Mapping[str, Any], *, inputs: Sequence[PathLike] = (), force: bool = False
    ) -> None:
        self.out = destination(out)
        self.path = Path(f"{self.out}.partial")
        self.identity = json.loads(json.dumps(identity))
        self.force = force
        with self.writing(hint="check who may read and write there"):
            check_replaceable(self.out, inputs, force=force)
            self.done, self._foreign = self._journalled()
        self.resumed = self.done.records
        self._root = self.path
        self._known: set[str] = set()
        self._lock = -1

    def _journalled(self) -> tuple[ExtractionProgress, bool]:
        """How far an earlier run came, and whether it was another extraction that is to be thrown away."""
        if not os.path.lexists(self.path):
            return ExtractionProgress(), False
        if self.path.is_symlink() or not self.path.is_dir():
            raise OutputError(f"{self.path}: is in the way, and no folder", hint="remove it")
        if {entry.name for entry in self.path.iterdir()} <= {ASIDE}:  # killed before there was a journal
            return ExtractionProgress(), False
        try:
            journal = json.loads((self.path / MARKER).read_text(encoding="utf-8"))
            begun, done = (
                dict(journal["extraction"]),
                ExtractionProgress(**{name: _count(n) for name, n in journal["done"].items()}),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise OutputError(f"{self.path}: holds no journal that can be read", hint="remove it") from None
        if begun == self.identity:
            return done, False
        if self.force:
            return ExtractionProgress(), True
        raise OutputError(f"{self.path}: {self._difference(begun)}", hint="remove it, or start anew with --force")

    def _difference(self, begun: dict[str, Any]) -> str:
        names = [*self.identity, *begun]
        name = next(name for name in names if begun.get(name) != self.identity.get(name))
        return f"was begun with {name}={begun.get(name)}, not {name}={self.identity.get(name)}"

    def __enter__(self) -> ResumableFolder:
        with contextlib.ExitStack() as stack:
            stack.callback(self._unlock)
            with self.writing():
                self.path.mkdir(exist_ok=True)
                self._lock_folder()
                self._root = self.path.resolve()
                if self._foreign:
                    self._clear()
                self.done, _ = self._journalled()  # once more, as another run may just have let go of it
            self.resumed = self.done.records
            self.save()
            stack.pop_all()  # it stays locked
        return self

    def __exit__(self, *_: object) -> None:
        self._unlock()

    def _lock_folder(self) -> None:
        if fcntl is None:
            return
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait for it, or choose another folder"
            raise OutputError(f"{self.path}: another im2rec is writing it", hint=hint) from None
        except OSError:  # some network file systems know no locks
            self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            handle, self._lock = self._lock, -1
            os.close(handle)

    def _clear(self) -> None:
        """Remove what another extraction left; its journal last, which says after a kill whose it was."""
        for entry in sorted(self.path.iterdir(), key=lambda entry: entry.name == MARKER):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    @contextlib.contextmanager
    def writing(self, hint: str = _GO_ON) -> Iterator[None]:
        """Turn an OSError of the block into an OutputError that says how to go on."""
        try:
            yield
        except OSError as error:
            at = error.filename if isinstance(error.filename, str) else self.path
            raise OutputError(f"{at}: cannot be written: {reason(error)}", hint=hint) from error

    def write(self, name: str, content: bytes) -> None:
        """Write the file *name*, in place of one that a killed run left. Raises OutputError."""
        with self.writing(), self.create(name) as stream:
            stream.write(content)

    def create(self, name: str) -> BinaryIO:
        """The file *name*, a path with ``/``, new and open for writing; no link leads it out. Raises OutputError."""
        folder, _, last = name.rpartition("/")
        with self.writing():
            path = self._folder(folder) / last
            try:
                return path.open("xb")
            except FileExistsError:  # of a killed run, or a planted link: "x" follows none
                path.unlink()
                return path.open("xb")

    def reopen(self, name: str, size: int) -> BinaryIO:
        """The file *name*, cut to its first *size* bytes and open for more. Raises OutputError."""
        if not size:
            return self.create(name)
        path = self.path / name
        with self.writing():
            if path.is_symlink() or not path.is_file() or path.stat().st_size < size:
                problem = f"{path}: is not the file that the journal tells of"
                raise OutputError(problem, hint=f"remove {self.path}")
            os.truncate(path, size)
            return path.open("ab")

    def _folder(self, name: str) -> Path:
        """The folder *name* in it, made where it is missing. Raises OutputError when a link leads out."""
        path = self.path / name
        if name and name not in self._known:
            self._folder(name.rpartition("/")[0])
            with contextlib.suppress(FileExistsError):
                path.mkdir()
            if not path.resolve().is_relative_to(self._root):
                raise OutputError(f"{path}: is a link that leads out of {self.path}", hint="remove it")
            if len(self._known) >= _KNOWN_FOLDERS:
                self._known.clear()
            self._known.add(name)
        return path

    def save(self, *, complete: bool = False) -> None:
        """Write the journal anew. Raises OutputError."""
        journal = {"extraction": self.identity, "done": dataclasses.asdict(self.done), "complete": complete}
        self.write(ASIDE, json.dumps(journal, indent=1).encode() + b"\n")
        with self.writing():
            (self.path / ASIDE).replace(self.path / MARKER)

    def complete(self) -> None:
        """Give the folder its final name. Raises OutputError."""
        self.save(complete=True)
        with self.writing():
            put_in_place(self.path, self.out, force=self.force)


def _count(value: Any) -> int:
    """A number of a journal. Raises ValueError, TypeError."""
    if int(value) < 0:
        raise ValueError(value)
    return int(value)
