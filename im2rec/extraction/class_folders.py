"""The folder of each class: by a given file of class names, by the one beside the ``.rec``, or by label."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import PureWindowsPath

import numpy as np

from im2rec.errors import InputError
from im2rec.extraction.resumable_folder import MARKER, MARKER_TEMP
from im2rec.format.irheader import Labels, label_text
from im2rec.format.listfile import is_listable
from im2rec.storage.classes import find_classes, read_classes
from im2rec.storage.files import PathLike, name_text

BY_LABEL = "none"  # in place of the path of a file
_WINDOWS_FORBIDDEN = frozenset('<>:"|?*\\').union(map(chr, range(32)))
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@dataclasses.dataclass
class ClassFolders:
    """The folders of the classes by label, *names*, from the file *path*; None takes the labels as names.

    A file that *is_found*, not given, is only used if it fits; otherwise *warnings* give the reason why not.
    """

    path: PathLike | None = None
    names: list[str] | None = None
    is_found: bool = False
    warnings: list[str] = dataclasses.field(default_factory=list)

    def check_labels(self, labels: Labels) -> None:
        """Raise InputError for the first of *labels* without a folder, if the file was given; else drop the names."""
        if self.path is None or self.names is None:
            return
        try:
            _check_labels_have_folders(labels, self.names, self.path)
        except InputError as error:
            if not self.is_found:
                raise
            self.drop_names(error)

    def drop_names(self, error: InputError) -> None:
        """Name the folders by label, because of *error* in the file that was found."""
        self.names = None
        self.warnings.append(f"{error.location()}: {error.problem}; the folders are named by label")


def find_class_folders(rec: PathLike, classes: PathLike | None, list_name: str) -> ClassFolders:
    """Return the folders by the file *classes*, by that beside *rec* if there is a valid one, else by label.

    ``none`` as *classes* always gives those by label. *list_name* is the name of a file beside the folders. Raises
    InputError for a given file that is not valid.
    """
    if classes is not None and os.fspath(classes) == BY_LABEL:
        return ClassFolders()
    if classes is not None:
        return ClassFolders(classes, _read_folders(classes, list_name))
    folders = ClassFolders(find_classes(rec), is_found=True)
    if folders.path is not None:
        try:
            folders.names = _read_folders(folders.path, list_name)
        except InputError as error:
            folders.drop_names(error)
    return folders


def _read_folders(path: PathLike, list_name: str) -> list[str]:
    """Return the folders that a ``.classes.txt`` names, in order of their labels; ``""`` for ``.``.

    Raises InputError for a name that leads out of the folder of the extraction, cannot be written in a list, is that
    of the list *list_name* or of the journal, or is not valid on Windows there.
    """
    folders = []
    for line, name in enumerate(read_classes(path), 1):
        problem = _folder_problem(name, {MARKER, MARKER_TEMP, name_text(list_name)})
        if problem:
            raise InputError(f"the class {name!r} {problem}", path=path, line=line, hint="name a folder inside DIR")
        folders.append("/".join(part for part in name.split("/") if part not in ("", ".")))
    return folders


def _folder_problem(name: str, taken: set[str]) -> str:
    """Return the reason why *name* cannot be a folder of images, or ``""``; *taken* are names of other files."""
    # Parsed by the rules of Windows on every system: an extraction may be copied there.
    windows = PureWindowsPath(name)
    first = windows.parts[0].casefold() if windows.parts else ""
    problems = {
        "is an absolute path or names a drive": bool(windows.anchor),
        "leads out of the folder by '..'": ".." in windows.parts,
        "holds a NUL": "\0" in name,
        "cannot be written in a list (a TAB, a line break, or a blank at its start)": not is_listable(f"{name}/0"),
        "is the name of a file that is written there": first in {other.casefold() for other in taken},
        "is not a valid name on Windows": os.name == "nt" and not all(map(_is_valid_on_windows, name.split("/"))),
    }
    return next((problem for problem, applies in problems.items() if applies), "")


def _is_valid_on_windows(part: str) -> bool:
    """True if Windows allows *part* as the name of a folder."""
    if part in ("", "."):
        return True
    device = part.partition(".")[0].rstrip(" ").lower() in _WINDOWS_DEVICES
    return not device and not _WINDOWS_FORBIDDEN.intersection(part) and not part.endswith((" ", "."))


def _check_labels_have_folders(labels: Labels, folders: Sequence[str], path: PathLike) -> None:
    """Raise InputError for the first of *labels* that has no line in the ``.classes.txt`` at *path*."""
    for label in np.unique(labels).tolist():
        if not (label.is_integer() and 0 <= label < len(folders)):
            problem = f"has no line for the label {label_text(label)}"
            raise InputError(problem, path=path, hint=f"it holds {len(folders)}; line 1 is label 0")
