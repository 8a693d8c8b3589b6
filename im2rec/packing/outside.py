"""Count the paths of a list that lead out of ROOT as they are written, which only ``--outside refuse`` leaves out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import ModuleType

from im2rec.format.listfile import ListEntry
from im2rec.packing.list_reader import Entry
from im2rec.storage.files import PathLike, file_name


def leads_outside(roots: tuple[str, ...], path: str, system: ModuleType = os.path) -> bool:
    r"""True if *path* of a list leads out of all *roots*, by what is written alone: no link is followed.

    *roots* are spellings of one folder: absolute, and each with a separator at its end. *system* is ``ntpath`` for the
    rules of Windows, where ``C:\x`` and ``\\server\x`` are absolute paths.
    """
    if not (path.startswith(("/", "\\")) or ".." in path or path[1:2] == ":"):  # quick, as it is asked of every line
        return False
    full = system.normcase(system.normpath(system.join(roots[0], file_name(path))))
    return not any(full.startswith(system.normcase(root)) for root in roots)


class OutsideCount:
    """Count of the list entries that lead out of *root* as they are written, with the *line* of the first one.

    With *counts* False it stays 0.
    """

    def __init__(self, root: PathLike, *, counts: bool = True) -> None:
        self._counts = counts
        self.count = 0
        self.line: int | None = None
        paths = (os.path.abspath(root), os.path.realpath(root))  # noqa: PTH100
        self._roots = tuple(os.path.join(path, "") for path in paths)  # noqa: PTH118

    def add(self, entries: Iterable[Entry]) -> None:
        """Count those of *entries* that lead out."""
        for entry in entries if self._counts else ():
            if isinstance(entry, ListEntry) and leads_outside(self._roots, entry.path):
                self.count += 1
                self.line = self.line or entry.line
