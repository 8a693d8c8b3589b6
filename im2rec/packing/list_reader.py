"""Read the lines of a list file, or of one part of it, one at a time."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from im2rec.errors import ListFormatError
from im2rec.format.listfile import ListEntry, read_list
from im2rec.storage.files import PathLike
from im2rec.storage.list_lines import line_count, list_lines, mark_bytes, next_line, opened_list
from im2rec.storage.missing_files import is_file_below

Entry = ListEntry | ListFormatError


class ListPosition(NamedTuple):
    """A place in a list: the offset of a line in bytes, and the number of that line, from 1."""

    offset: int
    line: int


class ListLines:
    """The lines of a list file, or of part *part* of *nsplit*: those that start in that share of the file's bytes.

    *label_width* is the number of labels that each line must have, None for any number. *root* is the folder that the
    paths start from: a line such as ``0 1 2 cats.jpg`` can be read in two ways, and the one whose file exists counts.
    ``position`` is that behind the lines read so far, and may be set to one that an earlier run has reached.
    Raises InputError when the file cannot be read, is a pipe or another special file, or is no list::

        for entry in ListLines("train.lst").entries():
            ...
    """

    def __init__(
        self,
        path: PathLike,
        *,
        label_width: int | None = None,
        nsplit: int = 1,
        part: int = 0,
        root: PathLike | None = None,
    ) -> None:
        self.path = Path(path)
        self.label_width = label_width
        self._exists = None if root is None else functools.partial(is_file_below, os.fspath(root))
        with opened_list(path) as stream:
            self.size = stream.seek(0, os.SEEK_END)
            step = -(-self.size // nsplit)
            self._begin = next_line(path, stream, step * part)
            self._end = next_line(path, stream, step * (part + 1))
            # Reports name the lines of the whole list.
            self.position = ListPosition(self._begin or mark_bytes(stream), 1 + line_count(stream, self._begin))

    def share_before(self, position: ListPosition) -> float:
        """Return the share of the part's bytes before *position*, from 0 to 1."""
        return min(1.0, (position.offset - self._begin) / max(1, self._end - self._begin))

    def entries(self) -> Iterator[Entry]:
        """Yield an entry, or a ListFormatError, for each line that is neither blank nor a comment.

        Raises InputError when the file cannot be read any more, ListFormatError for a line that is too long.
        """
        first = self.position.line
        return read_list(self._lines(), label_width=self.label_width, first=first, exists=self._exists)

    def _lines(self) -> Iterator[str]:
        with opened_list(self.path) as stream:
            offset, number = self.position
            stream.seek(offset)
            for line in list_lines(self.path, stream, end=self._end, first=number):
                offset, number = offset + len(line), number + 1
                self.position = ListPosition(offset, number)
                yield line.decode("utf-8", "surrogateescape")
