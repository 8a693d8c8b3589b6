"""Rows of text files, read in blocks so that no file is in memory as a whole.

Opening reads each file once, to count its rows and to note where each block of whole lines begins: 40 bytes for about
128 KiB of text. A row is then read with its block, which stays parsed while it is one of the last few in use.
"""

from __future__ import annotations

import array
import bisect
import contextlib
import dataclasses
import itertools
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError, ParameterError, TextFormatError
from im2rec.storage.files import InputFile, reading
from im2rec.text.numbers import count_byte

T = TypeVar("T")

BLOCK_BYTES = 1 << 17  # the arrays that are made in parsing fit into the caches of the processor; larger ones do not
MAX_LINE_BYTES = 1 << 23  # a row of 3 x 224 x 224 numbers in their longest spelling takes half of it
# Parsed blocks that are kept. The last batch of an epoch may have rows of the last two blocks, and filler from the
# first one, in which the next epoch begins.
_KEPT_BLOCKS = 3
_SEPARATOR = ";"
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class RowFormat(Protocol[T]):
    """A format of rows in lines of text, parsed to objects T that hold many rows."""

    def canonical(self, lines: bytes) -> bytes:
        """Return whole *lines* as one line per row, in the one spelling that the other methods take."""

    def parse(self, rows: bytes) -> T:
        """Return the content of canonical *rows*. Raises TextFormatError, which need not name the row."""

    def cut(self, parsed: T, low: int, high: int) -> T:
        """Return rows *low* to *high* - 1 of what :meth:`parse` returned."""

    def describe(self, row: bytes) -> TextFormatError:
        """Return the error of one canonical *row*, which :meth:`parse` refused."""


class _TextBlock(NamedTuple):
    """Whole lines of a file: *size* bytes from *offset* on, the number of the first line, a checksum of the bytes."""

    file: int
    offset: int
    size: int
    line: int
    checksum: int


@dataclasses.dataclass(frozen=True)
class _ParsedBlock(Generic[T]):
    """A block after parsing: its *content*; or None if one of its rows is wrong, with all its canonical *rows*."""

    content: T | None
    rows: list[bytes]


class TextRows(Generic[T]):
    """The rows of several text files, numbered from 0 over all of them.

    Raises InputError for files that cannot be read, are not text, or hold no row at all, and TextFormatError for a line
    longer than ``MAX_LINE_BYTES``.
    """

    def __init__(self, paths: list[Path], row_format: RowFormat[T]) -> None:
        self._format = row_format
        self._files: list[InputFile] = []
        self._blocks = array.array("q")  # the five numbers of each block: a fifth of the memory of tuples
        self._first_rows = array.array("q", [0])  # of each block, and then the number of all rows
        self._kept: dict[int, _ParsedBlock[T]] = {}
        self.checksum = 0
        with contextlib.ExitStack() as stack:
            for number, path in enumerate(paths):
                self._files.append(stack.enter_context(InputFile(path)))
                self._scan(number)
            self._check_rows()
            stack.pop_all()  # they stay open

    def __len__(self) -> int:
        return self._first_rows[-1]

    @property
    def sizes(self) -> list[int]:
        """Size in bytes of each file."""
        return [file.size for file in self._files]

    def _scan(self, number: int) -> None:
        """Note the blocks of a file that hold rows."""
        line = 1
        for offset, text in _line_blocks(self._files[number]):
            rows = count_byte(self._format.canonical(text), b"\n")
            if rows:
                self._blocks.extend((number, offset, len(text), line, zlib.crc32(text)))
                self._first_rows.append(len(self) + rows)
            self.checksum = zlib.crc32(text, self.checksum)
            line += count_lines(text)

    def _check_rows(self) -> None:
        if not len(self):
            paths = ", ".join(os.fspath(file.path) for file in self._files)
            raise InputError("holds no row", path=paths, hint="name a file of numbers")

    def read(self, numbers: npt.NDArray[Any]) -> list[T]:
        """Return the rows *numbers*, in pieces. Raises the TextFormatError of the first wrong one, and InputError."""
        pieces = []
        for start, end in _runs(numbers):
            low = start
            while low < end:
                block = bisect.bisect_right(self._first_rows, low) - 1
                first, high = self._first_rows[block], min(end, self._first_rows[block + 1])
                pieces.append(self._read_rows(block, low - first, high - first))
                low = high
        return pieces

    def _read_rows(self, number: int, low: int, high: int) -> T:
        """Return rows *low* to *high* - 1 of a block."""
        parsed = self._kept.pop(number, None) or self._parse_block(number)
        while len(self._kept) >= _KEPT_BLOCKS:
            del self._kept[next(iter(self._kept))]
        self._kept[number] = parsed  # at the end: a dict keeps its order, and the first one is dropped
        if parsed.content is not None:
            return self._format.cut(parsed.content, low, high)
        try:
            return self._format.parse(b"".join(parsed.rows[low:high]))
        except TextFormatError:
            raise self._error_of(number, self._first_wrong(parsed.rows, low, high)) from None

    def _parse_block(self, number: int) -> _ParsedBlock[T]:
        rows = self._format.canonical(self._read_block(number))
        try:
            return _ParsedBlock(self._format.parse(rows), [])
        except TextFormatError:
            return _ParsedBlock(None, rows.splitlines(keepends=True))

    def _read_block(self, number: int) -> bytes:
        block = self._block(number)
        file = self._files[block.file]
        text = file.read_at(block.offset, block.size)
        if zlib.crc32(text) != block.checksum:
            raise InputError("was changed while it was open", path=file.path, hint="make a new iterator")
        return text

    def _block(self, number: int) -> _TextBlock:
        return _TextBlock(*self._blocks[number * 5 : number * 5 + 5])

    def _first_wrong(self, rows: list[bytes], low: int, high: int) -> int:
        """Return the number of the first of *rows* that cannot be parsed; it is known to be in *low* to *high* - 1."""
        while high - low > 1:
            middle = (low + high) // 2
            try:
                self._format.parse(b"".join(rows[low:middle]))
                low = middle
            except TextFormatError:
                high = middle
        return low

    def _error_of(self, number: int, row: int) -> TextFormatError:
        """Return the error of a *row* of a block, with file and line."""
        block = self._block(number)
        lines = self._read_block(number).splitlines(keepends=True)
        # Only in canonical text can rows be counted: some lines hold none. By bisection, the first *high* lines contain
        # the row, and the first *low* lines do not.
        low, high = 0, len(lines)
        while high - low > 1:
            middle = (low + high) // 2
            rows = count_byte(self._format.canonical(b"".join(lines[:middle])), b"\n")
            low, high = (low, middle) if rows > row else (middle, high)
        wrong = self._format.canonical(lines[low]).removesuffix(b"\n")
        error = self._format.describe(wrong)
        error.path, error.line = self._files[block.file].path, block.line + low
        return error

    def close(self) -> None:
        """Close the files. Closing twice is allowed."""
        self._kept.clear()
        for file in self._files:
            file.close()


def count_lines(text: bytes) -> int:
    r"""Return the number of line ends in *text*: ``\n``, ``\r``, or both together as ``\r\n``."""
    returns = text.count(b"\r") - text.count(b"\r\n") if b"\r" in text else 0
    return count_byte(text, b"\n") + returns


def text_files(value: str, name: str) -> list[Path]:
    """Return the files in *value*: paths joined by ``;``, a folder means all files in it, sorted by name.

    Files in a folder whose names begin with a dot are left out. Raises ParameterError, naming the parameter *name*, if
    there is no path in *value*, and InputError for a folder without files.
    """
    words = [word for word in value.split(_SEPARATOR) if word.strip()]
    if not words:
        raise ParameterError(f"{name}={value} must name a file")
    return list(itertools.chain.from_iterable(map(_files_of, words)))


def _files_of(word: str) -> list[Path]:
    path = Path(word)
    with reading(path):
        if not os.path.isdir(word):  # noqa: PTH112 - False, not an error, for a name too long: opening it reports that
            return [path]
        files = sorted(file for file in path.iterdir() if not file.name.startswith(".") and file.is_file())
    if not files:
        raise InputError("holds no files", path=path, hint="name a file, or a folder of them")
    return files


def _line_blocks(file: InputFile) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the bytes of each block of *file*: whole lines, together up to ``BLOCK_BYTES``.

    A longer line is a block by itself. Raises TextFormatError for one above ``MAX_LINE_BYTES``.
    """
    offset, line, limit = _text_start(file), 1, BLOCK_BYTES
    while offset < file.size:
        size = min(limit, file.size - offset)
        text = file.read_at(offset, size)
        if len(text) < size:
            raise InputError("was cut short while it was read", path=file.path, hint="try again")
        end = len(text) if offset + size == file.size else _last_line_end(text)
        if not end:  # no whole line: read more at once
            if limit >= MAX_LINE_BYTES:
                problem = f"expected a line of at most {MAX_LINE_BYTES} bytes, found a longer one"
                error = TextFormatError(problem, line=line, hint="is this a text file?")
                error.path = file.path
                raise error
            limit = min(limit * 2, MAX_LINE_BYTES)
            continue
        yield offset, text[:end]
        offset, line, limit = offset + end, line + count_lines(text[:end]), BLOCK_BYTES


def _text_start(file: InputFile) -> int:
    """Return the offset of the text, which a byte order mark may precede. Raises InputError for gzip and UTF-16."""
    head = file.read_at(0, len(_BOM))
    if head.startswith(_GZIP):
        raise InputError("is a gzip file", path=file.path, hint="unpack it with gunzip: rows are read in any order")
    if head.startswith(_UTF16):
        raise InputError("is UTF-16 text", path=file.path, hint="save it as UTF-8")
    return len(_BOM) if head == _BOM else 0


def _last_line_end(text: bytes) -> int:
    r"""Return the offset after the last whole line, 0 for none; a ``\r`` at the very end may be half of a ``\r\n``."""
    return max(text.rfind(b"\n"), text.rfind(b"\r", 0, len(text) - 1)) + 1


def _runs(numbers: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """Return *numbers* as runs of consecutive ones, each as its first number and the one after its last."""
    if not len(numbers):
        return []
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    starts, ends = [0, *breaks.tolist()], [*breaks.tolist(), len(numbers)]
    return [(int(numbers[start]), int(numbers[end - 1]) + 1) for start, end in zip(starts, ends, strict=True)]
