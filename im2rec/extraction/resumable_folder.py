"""An output folder that is filled as ``DIR.im2rec-partial`` and can be resumed after a kill.

A journal in the folder records the identity of the extraction and its progress; in the finished folder it remains as
the mark of an extraction. The journal is valid after a kill of the process; after a power failure the last images that
it counts may be missing from the disk. A finished folder replaces an earlier extraction or an empty folder, and nothing
else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from im2rec.errors import OutputError
from im2rec.storage import disk
from im2rec.storage.files import PathLike, file_name, read_file
from im2rec.storage.output_folder import NOT_EMPTY, AsideFolder

MARKER = ".im2rec-extract.json"  # the journal: only a folder that contains it is ever replaced
MARKER_TEMP = MARKER + ".tmp"
_FOLDERS_KEPT = 4096  # names of checked folders in memory: images of a class are often consecutive
_RESUME_HINT = "the files written so far stay; the same command resumes the extraction"
_RESTART_HINT = "begin again with restart=True"


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


class ResumableFolder(AsideFolder):
    """The folder ``DIR.im2rec-partial`` of an extraction; ``progress`` counts what it contains.

    *identity* (JSON values by name) identifies the extraction: the journal of another one is refused. *restart* removes
    what earlier runs have left, of this or of another extraction. *find_stranger* returns the path of something in a
    finished extraction of ``<stem>.rec`` that was not extracted, or ``""``. ``resumed`` is the number of records that
    earlier runs have written. The constructor changes nothing on disk; the ``with`` block makes and locks the folder,
    and removes it at its end if no record was written::

        with ResumableFolder("train", {"rec": "train.rec"}) as folder:
            folder.write("3/17.jpg", content)
            folder.progress.records += 1
            folder.save()
            folder.complete()

    Raises OutputError when *out* contains files that are not to be replaced, or cannot be written.
    """

    def __init__(
        self,
        out: PathLike,
        identity: Mapping[str, Any],
        *,
        find_stranger: Callable[[Path, str], str] = lambda _folder, _stem: "",
        force: bool = False,
        restart: bool = False,
    ) -> None:
        find_refusal = functools.partial(_find_refusal, find_stranger=find_stranger)
        super().__init__(out, find_refusal, marker=MARKER, force=force)
        self.identity = json.loads(json.dumps(identity))
        self._restarts = restart
        with self.writing(self._hint):
            self.progress = self._read_journal()
        self.resumed = self._saved = self.progress.records
        self._root = self.path
        self._checked_folders: set[str] = set()

    def _read_journal(self) -> ExtractionProgress:
        """Return the progress of an earlier run of the same extraction. Raises OutputError for that of another one."""
        if not self.path.is_dir():
            return ExtractionProgress()
        is_extraction = (self.path / MARKER).is_file()
        if {entry.name for entry in self.path.iterdir()} <= {MARKER_TEMP}:  # killed before there was a journal
            return ExtractionProgress()
        if self._restarts and is_extraction:
            return ExtractionProgress()
        hint = "remove it" + (f", or {_RESTART_HINT}" if is_extraction else "")
        try:
            journal = json.loads(read_file(self.path / MARKER))
            begun = dict(journal["extraction"])
            progress = ExtractionProgress(**{name: _check_count(n) for name, n in journal["done"].items()})
        # RecursionError: of lists in lists; OverflowError: of Infinity, which json reads.
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise OutputError("holds no journal that can be read", path=self.path, hint=hint) from None
        if _without_none(begun) != _without_none(self.identity):  # None is what a name that is missing means
            raise OutputError(self._difference(begun), path=self.path, hint=hint)
        return progress

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
            super().__enter__()
            stack.push(self)
            with self.writing():
                self._root = self.path.resolve()
                # Read again under the lock: another run may have written since the constructor did.
                self.progress = self._read_journal()
                self._saved = self.progress.records
                if self._restarts:
                    self.clear()
                    self._restarts = False
            self.resumed = self.progress.records
            self.save()
            stack.pop_all()  # the folder stays locked until __exit__
        return self

    def __exit__(self, *_: object) -> None:
        """Unlock the folder; remove it if there is nothing in it that a later run can resume."""
        if not self._saved:
            self.remove()
        super().__exit__()

    @contextlib.contextmanager
    def writing(self, hint: str = _RESUME_HINT) -> Iterator[None]:
        """Raise an OSError of the ``with`` block as an OutputError with *hint*."""
        with super().writing(hint):
            yield

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
        self._saved = self.progress.records

    def complete(self) -> None:
        """Rename the folder to its final name, when all files in it are on the disk. Raises OutputError."""
        self.save(complete=True)
        with self.writing():
            disk.sync_file_system(self.path)
            self.publish()


def _find_refusal(folder: Path, find_stranger: Callable[[Path, str], str]) -> str:
    """Return the reason why *folder* is not to be replaced, or ``""`` for an earlier extraction and nothing else."""
    try:
        stem = file_name(str(json.loads(read_file(folder / MARKER))["extraction"]["stem"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return NOT_EMPTY
    stranger = find_stranger(folder, stem)
    return f"holds {stranger}, which was not extracted, and is not replaced" if stranger else ""


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _check_count(value: Any) -> int:
    """Return *value*, a count of a journal, as int. Raises ValueError, TypeError."""
    if int(value) < 0:
        raise ValueError(value)
    return int(value)
