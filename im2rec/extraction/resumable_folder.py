"""An output folder that is filled as ``DIR.partial``, can be resumed after a kill, and is renamed when complete.

A journal in the folder records the identity of the extraction and its progress; in the finished folder it remains as
the mark of an extraction. The journal is valid after a kill of the process; after a power failure the last images that
it counts may be missing from the disk. A finished folder replaces an earlier extraction or an empty folder, and nothing
else.
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
from im2rec.storage.files import PathLike, read_file, reason
from im2rec.storage.output import refuse_unwritable

MARKER = ".im2rec-extract.json"  # the journal: only a folder that contains it is ever replaced


def destination(out: PathLike) -> Path:
    """Return the folder that *out* means: the target of a link, the full path of ``.`` or ``sub/..``, else *out*."""
    path = Path(out)
    return Path(os.path.realpath(path)) if path.is_symlink() or path.name in ("", "..") else path


def check_replaceable(path: Path, inputs: Sequence[PathLike], *, force: bool) -> None:
    """Raise OutputError unless the extraction can be renamed to *path*: it must not exist, or be an empty folder.

    With *force* an earlier extraction is allowed too, if it contains none of the files *inputs*.
    """
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} is missing", path=path, hint="make it first")
    refuse_unwritable(path.parent, path)
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise OutputError("is a file", path=path, hint="name a folder")
    real = Path(os.path.realpath(path))
    if Path.cwd().is_relative_to(real) or os.path.ismount(path):
        problem = "is a mount point or the folder you are in, which cannot be replaced by a finished one"
        raise OutputError(problem, path=path, hint="name a new folder in it")
    if not any(path.iterdir()):
        return
    earlier = (path / MARKER).is_file()
    if not force or not earlier:
        hint = f"choose another folder{', or replace it with force=True' if earlier else ''}"
        raise OutputError("exists already and is not empty", path=path, hint=hint)
    for name in inputs:
        if Path(os.path.realpath(name)).is_relative_to(real):
            raise OutputError(f"holds {os.fspath(name)} and is not replaced", path=path, hint="choose another folder")


def replace_folder(finished: Path, path: Path, *, force: bool) -> None:
    """Rename the folder *finished* to *path*; with *force* remove an earlier extraction that has this name.

    After a kill between the two renames the earlier extraction is beside *path*, with a name that ends in ``.tmp``.
    Raises OSError.
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
            with contextlib.suppress(OSError):  # there may be no earlier one
                earlier.rename(path)
    shutil.rmtree(earlier, ignore_errors=True)  # what cannot be removed is no reason to fail: the new one is complete


try:
    import fcntl
except ImportError:  # Windows, where an open file keeps its folder from being renamed
    fcntl = None  # type: ignore[assignment]

MARKER_TEMP = MARKER + ".tmp"
_FOLDERS_KEPT = 4096  # names of checked folders in memory: images of a class are often consecutive
_RESUME_HINT = "the files written so far stay; the same command resumes the extraction"


@dataclasses.dataclass
class ExtractionProgress:
    """Counts of the records, shards and bytes that are written so far, as the journal stores them.

    *list_bytes* is the size of the list, *bytes* that of all images. *not_images* counts contents that are not images,
    *lost_bits* label vectors with a value that no text gives back, *damaged* records that were left out.
    """

    records: int = 0
    shards: int = 0
    list_bytes: int = 0
    bytes: int = 0
    not_images: int = 0
    lost_bits: int = 0
    damaged: int = 0


class ResumableFolder:
    """The folder ``DIR.partial``, which :meth:`complete` renames to *out*; ``progress`` counts what it contains.

    *identity* (JSON values by name) identifies the extraction: the journal of another one is refused, or removed with
    *force*. *inputs* are files that must not be in a folder that is replaced. ``resumed`` is the number of records
    that earlier runs have written. The constructor changes nothing on disk; the ``with`` block makes and locks the
    folder::

        with ResumableFolder("train", {"rec": "train.rec"}) as folder:
            folder.write("3/17.jpg", content)
            folder.progress.records += 1
            folder.save()
            folder.complete()

    Raises OutputError when *out* contains files that are not to be replaced, or cannot be written.
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
            self.progress, self._is_foreign = self._read_journal()
        self.resumed = self.progress.records
        self._root = self.path
        self._checked_folders: set[str] = set()
        self._lock: int | None = None

    def _read_journal(self) -> tuple[ExtractionProgress, bool]:
        """Return the progress of an earlier run, and True if that was another extraction, to be removed by *force*."""
        if not os.path.lexists(self.path):
            return ExtractionProgress(), False
        if self.path.is_symlink() or not self.path.is_dir():
            raise OutputError("exists and is not a folder", path=self.path, hint="remove it")
        if {entry.name for entry in self.path.iterdir()} <= {MARKER_TEMP}:  # killed before there was a journal
            return ExtractionProgress(), False
        try:
            journal = json.loads(read_file(self.path / MARKER))
            begun = dict(journal["extraction"])
            progress = ExtractionProgress(**{name: _check_count(n) for name, n in journal["done"].items()})
        # RecursionError: of lists in lists; OverflowError: of Infinity, which json reads.
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise OutputError("holds no journal that can be read", path=self.path, hint="remove it") from None
        if _without_none(begun) == _without_none(self.identity):  # None is what a name that is missing means
            return progress, False
        if self.force:
            return ExtractionProgress(), True
        raise OutputError(self._difference(begun), path=self.path, hint="remove it, or start again with force=True")

    def _difference(self, begun: dict[str, Any]) -> str:
        """Describe the first value in which the identity *begun* of the journal differs from that of this run."""
        names = [*self.identity, *begun]
        name = next((name for name in names if begun.get(name) != self.identity.get(name)), None)
        if name is None:  # a name with the value None is missing
            return "was begun by another version of im2rec"
        return f"was begun with {name}={begun.get(name)}, not {name}={self.identity.get(name)}"

    def __enter__(self) -> ResumableFolder:
        """Make and lock the folder, and read the journal or write the first one. Raises OutputError."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._unlock)
            with self.writing():
                self.path.mkdir(exist_ok=True)
                self._lock_folder()
                self._root = self.path.resolve()
                if self._is_foreign:
                    self._clear()
                # Read again under the lock: another run may have written since the constructor did.
                self.progress, _ = self._read_journal()
            self.resumed = self.progress.records
            self.save()
            stack.pop_all()  # the folder stays locked until __exit__
        return self

    def __exit__(self, *_: object) -> None:
        self._unlock()

    def _lock_folder(self) -> None:
        """Lock the folder until this process ends or :meth:`_unlock`. Raises OutputError if another run has it."""
        if fcntl is None:
            return
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait for it, or choose another folder"
            raise OutputError("another im2rec is writing it", path=self.path, hint=hint) from None
        except OSError:  # some network file systems have no locks
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _clear(self) -> None:
        """Remove the files of another extraction; the journal last, as it identifies them after a kill."""
        for entry in sorted(self.path.iterdir(), key=lambda entry: entry.name == MARKER):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    @contextlib.contextmanager
    def writing(self, hint: str = _RESUME_HINT) -> Iterator[None]:
        """Raise an OSError of the ``with`` block as an OutputError with *hint*."""
        try:
            yield
        except OSError as error:
            path = error.filename if isinstance(error.filename, str) else self.path
            raise OutputError(f"cannot be written: {reason(error)}", path=path, hint=hint) from error

    def write(self, name: str, content: bytes) -> None:
        """Write the file *name*; one that a killed run left is replaced. Raises OutputError."""
        with self.writing(), self.create(name) as stream:
            stream.write(content)

    def create(self, name: str) -> BinaryIO:
        """Create the file *name*, a path with ``/``, and open it for writing. Raises OutputError.

        A link is never followed: neither one in place of the file nor a folder that is a link out of this one.
        """
        folder, _, last = name.rpartition("/")
        with self.writing():
            path = self._make_folder(folder) / last
            try:
                return path.open("xb")
            except FileExistsError:  # left by a killed run, or a planted link, which mode "x" does not follow
                path.unlink()
                return path.open("xb")

    def reopen(self, name: str, size: int) -> BinaryIO:
        """Truncate the file *name* to *size* bytes and open it for appending. Raises OutputError."""
        if not size:
            return self.create(name)
        path = self.path / name
        with self.writing():
            if path.is_symlink() or not path.is_file() or path.stat().st_size < size:
                problem = "is not the file that the journal describes"
                raise OutputError(problem, path=path, hint=f"remove {self.path}")
            os.truncate(path, size)
            return path.open("ab")

    def _make_folder(self, name: str) -> Path:
        """Return the path of the sub-folder *name*, made if it is missing. Raises OutputError for a link out."""
        path = self.path / name
        if name and name not in self._checked_folders:
            self._make_folder(name.rpartition("/")[0])
            with contextlib.suppress(FileExistsError):
                path.mkdir()
            if not path.resolve().is_relative_to(self._root):
                raise OutputError(f"is a link that leads out of {self.path}", path=path, hint="remove it")
            if len(self._checked_folders) >= _FOLDERS_KEPT:
                self._checked_folders.clear()
            self._checked_folders.add(name)
        return path

    def save(self, *, complete: bool = False) -> None:
        """Write the journal: aside, then renamed, so that a kill leaves a whole one. Raises OutputError."""
        journal = {"extraction": self.identity, "done": dataclasses.asdict(self.progress), "complete": complete}
        self.write(MARKER_TEMP, json.dumps(journal, indent=1).encode() + b"\n")
        with self.writing():
            (self.path / MARKER_TEMP).replace(self.path / MARKER)

    def complete(self) -> None:
        """Rename the folder to its final name. Raises OutputError."""
        self.save(complete=True)
        with self.writing():
            replace_folder(self.path, self.out, force=self.force)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _check_count(value: Any) -> int:
    """Return *value*, a count of a journal, as int. Raises ValueError, TypeError."""
    if int(value) < 0:
        raise ValueError(value)
    return int(value)
