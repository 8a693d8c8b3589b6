"""Pictures as files, a folder for each class, and a list that packs them again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PureWindowsPath

import numpy as np

from im2rec.errors import InputError
from im2rec.extraction.resumable_folder import ASIDE, Partial
from im2rec.extraction.selection import label_text
from im2rec.extraction.writers import Sample, Writer
from im2rec.format.irheader import Labels
from im2rec.format.listfile import is_listable, list_line
from im2rec.inspection.destination import MARKER
from im2rec.storage.classes import read_classes
from im2rec.storage.files import PathLike

_WINDOWS_REFUSES = frozenset('<>:"|?*\\').union(map(chr, range(32)))
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


class FolderWriter(Writer):
    """``<label>/<id>.<ext>`` below *place*, and the list *list_name* of all that are pictures, in file order.

    *folders* gives the folder of each label; None takes the labels themselves.
    """

    def __init__(self, place: Partial, list_name: str, folders: Sequence[str] | None = None) -> None:
        super().__init__(place)
        self.folders = folders
        self._list = place.reopen(list_name, self.done.list_bytes)

    def add(self, sample: Sample) -> None:
        """Write the file and its line; something that is no picture gets no line, as nothing packs it."""
        label = sample.labels[0]
        folder = label_text(label) if self.folders is None else self.folders[int(label)]
        path = f"{folder}/{sample.name()}{sample.extension}".removeprefix("/")
        self.place.write(path, sample.content)
        if sample.is_image:
            line = list_line(sample.id, sample.labels, path).encode("utf-8", "surrogateescape")
            self.done.list_bytes += len(line)
            with self.place.writing():
                self._list.write(line)
        super().add(sample)

    def pause(self) -> None:
        """Journal what is written: a batch more."""
        with self.place.writing():
            self._list.flush()
        self.place.save()

    def finish(self) -> None:
        """Bring the list to the disk; the pictures are left to the system, as any copy leaves them."""
        with self.place.writing():
            self._list.flush()
            os.fsync(self._list.fileno())
            self._list.close()

    def close(self) -> None:
        """Close the list; again is fine."""
        with self.place.writing():
            self._list.close()


def class_folders(path: PathLike, list_name: str) -> list[str]:
    """The folders of a ``.classes.txt``, in order of their labels; ``""`` for ``.``.

    Raises InputError for a name that leads out of the folder they are made in, or that no list or system takes.
    """
    folders = []
    for line, name in enumerate(read_classes(path), 1):
        problem = _unfit(name, {MARKER, ASIDE, list_name})
        if problem:
            place = f"{os.fspath(path)}, line {line}"
            raise InputError(f"{place}: the class {name!r} {problem}", hint="name a folder inside DIR")
        folders.append("/".join(part for part in name.split("/") if part not in ("", ".")))
    return folders


def _unfit(name: str, taken: set[str]) -> str:
    """Why *name* cannot be a folder of pictures, or an empty text."""
    # As Windows reads it, on every system: what is extracted here may be copied there.
    windows = PureWindowsPath(name)
    first = windows.parts[0].casefold() if windows.parts else ""
    problems = {
        "is an absolute path or names a drive": bool(windows.anchor),
        "leads out by '..'": ".." in windows.parts,
        "holds a NUL": "\0" in name,
        "cannot stand in a list (a TAB, a line break, or a blank at its start)": not is_listable(f"{name}/0"),
        "is the name of a file that is written there": first in {other.casefold() for other in taken},
        "holds what Windows takes in no name": os.name == "nt" and not all(map(_windows_takes, name.split("/"))),
    }
    return next((problem for problem, found in problems.items() if found), "")


def _windows_takes(part: str) -> bool:
    if part in ("", "."):
        return True
    device = part.partition(".")[0].rstrip(" ").lower() in _WINDOWS_DEVICES
    return not device and not _WINDOWS_REFUSES.intersection(part) and not part.endswith((" ", "."))


def check_labels(labels: Labels, folders: Sequence[str], path: PathLike) -> None:
    """Raise InputError for the first of *labels* that has no line in the ``.classes.txt`` at *path*."""
    for label in np.unique(labels).tolist():
        if not (label.is_integer() and 0 <= label < len(folders)):
            problem = f"{os.fspath(path)}: has no line for the label {label_text(label)}"
            raise InputError(problem, hint=f"it holds {len(folders)}; line 1 is label 0")
