"""The lines of a list file, or of one part of it, read as they are needed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from im2rec.errors import InputError, ListFormatError
from im2rec.format.listfile import ListEntry, read_list
from im2rec.format.recordio import MAGIC
from im2rec.storage.files import PathLike, reading

Entry = ListEntry | ListFormatError
_COUNT_BYTES = 1 << 20


class ListLines:
    """Part *part* of *nsplit* of the list file *path*: the lines that start in that share of its bytes.

    *label_width* is the number of labels each line must have, None for any. Raises InputError when the file cannot be
    read, or is a ``.rec``.
    """

    def __init__(self, path: PathLike, *, label_width: int | None = None, nsplit: int = 1, part: int = 0) -> None:
        self.path = Path(path)
        self.label_width = label_width
        self._position = 0
        with reading(path):
            if not stat.S_ISREG(self.path.stat().st_mode) and not self.path.is_dir():
                raise InputError(f"{os.fspath(path)}: is no file: a list is read twice", hint="save it to a file first")
        with reading(path), self.path.open("rb") as stream:
            self.size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            if stream.read(4) == MAGIC:
                raise InputError(f"{os.fspath(path)}: is a RecordIO file, not a list", hint="name the .lst first")
            step = -(-self.size // nsplit)
            self._begin = _next_line(stream, step * part)
            self._end = _next_line(stream, step * (part + 1))
            stream.seek(0)
            self._first = 1 + _line_count(stream, self._begin)  # lines are counted from the start of the list

    def share_read(self) -> float:
        """How much of what there is to read has been read, from 0 to 1."""
        return self._position / max(1, self._end - self._begin)

    def entries(self) -> Iterator[Entry]:
        """An entry, or an error, for each line that is not blank."""
        return read_list(self._texts(), label_width=self.label_width, first=self._first)

    def _texts(self) -> Iterator[str]:
        with reading(self.path), self.path.open("rb") as stream:
            stream.seek(self._begin)
            while (start := stream.tell()) < self._end and (line := stream.readline()):
                self._position = start + len(line) - self._begin
                text = line.decode("utf-8", "surrogateescape")
                # The lone carriage returns of old Macs end lines too; the one of CR LF is a blank at the end.
                yield from text.removeprefix("\ufeff" if start == 0 else "").rstrip("\r\n").split("\r")


def _next_line(stream: BinaryIO, border: int) -> int:
    """Where the first line starts behind *border*; a line right at it belongs to the part before, but for the first.

    Source: dmlc-core src/io/input_split_base.cc and line_split.cc.
    """
    if border == 0:
        return 0
    stream.seek(border)
    stream.readline()
    return stream.tell()


def _line_count(stream: BinaryIO, end: int) -> int:
    """Line ends of any kind before byte *end*, which stands behind one."""
    count = 0
    while block := stream.read(min(_COUNT_BYTES, end - stream.tell())):
        block += stream.read(1) if block.endswith(b"\r") and stream.tell() < end else b""  # keep CR and LF together
        count += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
    return count
