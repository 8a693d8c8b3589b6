"""The files that ``make-list`` writes: lists and class names, all of them or none."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from im2rec.errors import OutputError
from im2rec.format.listfile import list_line
from im2rec.progress import Progress
from im2rec.storage.classes import SUFFIX
from im2rec.storage.output import PARTIAL, AtomicFile, publish_all, remove_leftover, writing

SPLIT_NAMES = {1: ("",), 2: ("_train", "_test"), 3: ("_train", "_val", "_test")}
_LINES_AT_ONCE = 4096  # of a list, in memory
_MAX_OPEN = 100  # lists at once: systems allow a process some hundred files


class FoundImage(NamedTuple):
    """An image that the walk found: its class label and its path below the root, with ``/`` as separator."""

    label: int
    path: str


class ListFiles:
    """The lists *names* and the class names of the prefix *stem*, written under temporary names.

    The prefix is locked from the start, by the temporary file of the class names, which are common to all its lists;
    what a killed run of the same prefix has left is removed. The ``with`` block removes what is not published by
    :meth:`write`. Raises OutputError, also while another run has the prefix.
    """

    def __init__(self, stem: Path, names: Sequence[Path], *, force: bool) -> None:
        self._names, self._force = names, force
        # Whether an existing file may be replaced depends on what is written.
        self._classes = AtomicFile(stem.with_name(stem.name + SUFFIX), force=True)
        try:
            _remove_leftovers(stem)
        except BaseException:
            self._classes.discard()
            raise

    def write(
        self, lists: Sequence[list[tuple[int, FoundImage]]], classes: bytes | None, progress: Progress | None = None
    ) -> None:
        """Write *lists* of ids and images, and the class names unless they are None.

        *progress* is called with the number of lines so far, and their share. Raises OutputError.
        """
        written: list[AtomicFile] = []
        total, done = sum(map(len, lists)), 0
        with contextlib.ExitStack() as stack:
            for name, entries in zip(self._names, lists, strict=True):
                file = AtomicFile(name, force=self._force)
                stack.callback(file.discard)
                for start in range(0, len(entries), _LINES_AT_ONCE):
                    block = entries[start : start + _LINES_AT_ONCE]
                    lines = (list_line(id_, (image.label,), image.path) for id_, image in block)
                    file.write("".join(lines).encode("utf-8", "surrogateescape"))
                    done += len(block)
                    if progress:
                        progress(done, done / total)
                file.finish()
                if len(self._names) > _MAX_OPEN:
                    file.close()
                written.append(file)
            if classes is not None:
                self._classes.write(classes)
                self._classes.finish()
                self._classes.force = self._force
                written.append(self._classes)
            publish_all(written, force=self._force)

    def __enter__(self) -> ListFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._classes.discard()


def _remove_leftovers(stem: Path) -> None:
    """Remove what killed runs have left of lists of the prefix *stem*, which may be others than those of this run."""
    parts = "|".join(sorted({part for parts in SPLIT_NAMES.values() for part in parts}))
    one_of_them = re.compile(rf"({re.escape(stem.name)}(_\d+)?({parts})\.lst){re.escape(PARTIAL)}")
    with writing(stem):
        found = [match for match in map(one_of_them.fullmatch, (path.name for path in stem.parent.iterdir())) if match]
    for match in found:
        with contextlib.suppress(OutputError):  # another prefix may have lists of the same names
            remove_leftover(stem.with_name(match[1]))
