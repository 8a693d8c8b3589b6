"""Class names beside a list or a ``.rec``: ``NAME.classes.txt``, or that of the prefix that the name starts with.

``make-list`` writes the file with its lists: the folder of each label, one per line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from im2rec.errors import InputError
from im2rec.storage.companions import stem_of
from im2rec.storage.files import PathLike, read_file, reading
from im2rec.storage.output import AtomicFile, refuse_existing

SUFFIX = ".classes.txt"
_SHOWN = 200  # characters of a name in a message; a file of another kind may be one line
_SPLIT, _CHUNK = re.compile(r"_(train|val|test)$"), re.compile(r"_\d+$")  # as make-list appends them to its prefix


class ClassNames(NamedTuple):
    """The names in the file *path*, in order of their labels."""

    path: Path
    names: list[str]

    def name_of(self, label: float) -> str | None:
        """Return the name of the class *label*; None for a label without a line, and for one that is no number."""
        if not 0 <= label < len(self.names) or label != int(label):
            return None
        return self.names[int(label)]


def class_name(names: ClassNames | None, labels: Sequence[float]) -> str | None:
    """Return the name of the class of a record with these *labels*; None for a vector of several, and without names."""
    return names.name_of(labels[0]) if names is not None and len(labels) == 1 else None


def classes_path(path: PathLike) -> Path:
    """Return the path of the class names of the list or ``.rec`` at *path* itself: ``NAME.classes.txt``."""
    path = Path(path)
    return path.with_name(stem_of(path) + SUFFIX)


def find_classes(path: PathLike) -> Path | None:
    """Return the path of the class names beside the list or ``.rec`` at *path*; None if there are none.

    For ``photos_0_train.lst`` these are ``photos_0_train.classes.txt``, else ``photos_0.classes.txt``, else
    ``photos.classes.txt``, the file that ``make-list`` writes.
    """
    path = Path(path)
    whole = stem_of(path)
    unsplit = _SPLIT.sub("", whole)
    for stem in dict.fromkeys((whole, unsplit, _CHUNK.sub("", unsplit))):
        found = path.with_name(stem + SUFFIX)
        if stem and os.path.lexists(found):
            return found
    return None


def class_names_beside(path: PathLike) -> tuple[ClassNames | None, str]:
    """Return the class names beside the list or ``.rec`` at *path*, and the problem of a file that is no use.

    The names are None, and the problem is empty, where there is nothing to return.
    """
    found = find_classes(path)
    if found is None:
        return None, ""
    try:
        return ClassNames(found, read_classes(found)), ""
    except InputError as error:
        return None, str(error)


class ClassesCopy:
    """A copy, ``OUT.classes.txt``, of the class names beside a list or ``.rec``, for the ``.rec`` *out* made from it.

    The constructor changes nothing on disk: it finds the names, and raises OutputError if the file exists with other
    content and *force* is False. ``files`` has its path; it is empty if there are no names, or a file with the same
    content already. ``warnings`` has the problem of names that cannot be used, or of a file beside *out* that is left
    although there are no names.
    """

    def __init__(self, list_path: PathLike, out: PathLike, *, force: bool) -> None:
        names, problem = class_names_beside(list_path)
        path = classes_path(out)
        self.warnings = [f"{problem}; the class names are not copied"] if problem else []
        if names is None and os.path.lexists(path):
            self.warnings.append(f"{path}: is there already, and {list_path} has no class names: does it fit?")
        self.files: list[Path] = []
        self._text = b""
        if names is not None:
            self._text = classes_text(names.names)
            if not _is_up_to_date(path, names.path, self._text):
                refuse_existing([path], force=force)
                self.files = [path]

    def write(self) -> None:
        """Write the file, if there is one to write. Raises OutputError."""
        for path in self.files:
            # Another part of the same pack may be writing it, or have written it meanwhile: the same names.
            with AtomicFile(path, force=True, wait=True) as file:
                file.write(self._text)


def read_classes(path: PathLike) -> list[str]:
    """Return the folder names in a ``.classes.txt``, in order of their labels.

    Raises InputError when the file cannot be read, and for an empty line or a folder that is on two lines.
    """
    with reading(path):
        text = read_file(path).decode("utf-8-sig", "surrogateescape")
    classes = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    seen: set[str] = set()
    for line, name in enumerate(classes, 1):
        if not name or name in seen:
            shown = repr(name[:_SHOWN]).replace("\\udc", "\\x")  # a byte that is not UTF-8
            what = f"{shown} is on two lines" if name else "is empty"
            raise InputError(what, path=path, line=line, hint="one folder a line, line 1 is label 0")
        seen.add(name)
    return classes


def classes_text(names: list[str]) -> bytes:
    """Return the content of a ``.classes.txt``: a name on each line."""
    return "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")


def _is_up_to_date(path: Path, source: Path, text: bytes) -> bool:
    """True if there is nothing to copy to *path*: it is *source* itself, or holds *text* already."""
    if not path.is_file():
        return False
    return path.samefile(source) or (path.stat().st_size == len(text) and path.read_bytes() == text)
