"""Read the lines of a list file, or of one part of it, one at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from im2rec.errors import InputError, ListFormatError
from im2rec.format.listfile import ListEntry, read_list
from im2rec.format.recordio import MAGIC
from im2rec.storage.files import NotAFileError, PathLike, open_binary, reading, reason

Entry = ListEntry | ListFormatError
_COUNT_BYTES = 1 << 20


class ListLines:
    """The lines of a list file, or of part *part* of *nsplit*: those that start in that share of the file's bytes.

    *label_width* is the number of labels that each line must have, None for any number. Raises InputError when the
    file cannot be read, is a pipe or another special file, or is a ``.rec``::

        for entry in ListLines("train.lst").entries():
            ...
    """

    def __init__(self, path: PathLike, *, label_width: int | None = None, nsplit: int = 1, part: int = 0) -> None:
        self.path = Path(path)
        self.label_width = label_width
        self._bytes_read = 0
        with reading(path), self._open() as stream:
            self.size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            if stream.read(4) == MAGIC:
                raise InputError(f"{os.fspath(path)}: is a RecordIO file, not a list", hint="name the .lst first")
            step = -(-self.size // nsplit)
            self._begin = _next_line(stream, step * part)
            self._end = _next_line(stream, step * (part + 1))
            stream.seek(0)
            self._first_line = 1 + _line_count(stream, self._begin)  # reports name the lines of the whole list

    def _open(self) -> BinaryIO:
        try:
            return open_binary(self.path)
        except NotAFileError as error:
            problem = f"{self.path}: {reason(error)}: a list is read twice"
            raise InputError(problem, hint="save it to a file first") from None

    def share_read(self) -> float:
        """Return the share of the part's bytes that have been read, from 0 to 1."""
        return self._bytes_read / max(1, self._end - self._begin)

    def entries(self) -> Iterator[Entry]:
        """Yield an entry, or a ListFormatError, for each line that is neither blank nor a comment."""
        return read_list(self._lines(), label_width=self.label_width, first=self._first_line)

    def _lines(self) -> Iterator[str]:
        with reading(self.path), self._open() as stream:
            stream.seek(self._begin)
            while (start := stream.tell()) < self._end and (line := stream.readline()):
                self._bytes_read = start + len(line) - self._begin
                text = line.decode("utf-8", "surrogateescape")
                # Old Macs end a line by a carriage return alone; of CR LF it is the blank at the end of a line.
                yield from text.removeprefix("\ufeff" if start == 0 else "").rstrip("\r\n").split("\r")


def _next_line(stream: BinaryIO, border: int) -> int:
    """Return the offset of the first line that starts after *border*, the offset where two parts meet.

    A line that starts exactly at *border* belongs to the part before it; for 0, where no part is before, it is the
    first line.

    Source: dmlc-core src/io/input_split_base.cc and line_split.cc.
    """
    if border == 0:
        return 0
    stream.seek(border)
    stream.readline()
    return stream.tell()


def _line_count(stream: BinaryIO, end: int) -> int:
    """Count the line ends, of any kind, in the first *end* bytes; the last of these bytes ends a line."""
    count = 0
    while block := stream.read(min(_COUNT_BYTES, end - stream.tell())):
        block += stream.read(1) if block.endswith(b"\r") and stream.tell() < end else b""  # keep CR and LF together
        count += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
    return count
