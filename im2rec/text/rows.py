"""Text files as rows, of which only a block at a time is in memory.

Opening reads the files once, to count rows and to note where each block of whole lines begins: 40 bytes for about
128 KiB of text. Rows are then read with their block, which stays parsed while it is one of the last few.
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
from im2rec.text.numbers import count

T = TypeVar("T")

BLOCK_BYTES = 1 << 17  # of text: what is made of it stays in the caches of the processor, of more it would not
MAX_LINE_BYTES = 1 << 23  # an image of 3 x 224 x 224 in the longest spelling has half of it
_KEPT_BLOCKS = 3  # parsed ones: a batch may hold the last rows and the first, behind which the next epoch goes on
_SEPARATOR = ";"
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class RowFormat(Protocol[T]):
    """What lines mean."""

    def canonical(self, lines: bytes) -> bytes:
        """Whole *lines* as one line for each row."""

    def parse(self, rows: bytes) -> T:
        """What canonical *rows* hold. Raises TextFormatError, which need not say where."""

    def cut(self, parsed: T, low: int, high: int) -> T:
        """Rows *low* to *high* of what was parsed."""

    def describe(self, row: bytes) -> TextFormatError:
        """What is wrong with one canonical *row*, which parse refused."""


class _TextBlock(NamedTuple):
    """Whole lines of a file: *size* bytes from *offset* on, the number of the first line, a checksum of them."""

    file: int
    offset: int
    size: int
    line: int
    checksum: int


@dataclasses.dataclass(frozen=True)
class _ParsedBlock(Generic[T]):
    """A block that was read: *content*, or None where a row is wrong, and then all canonical *rows* of it."""

    content: T | None
    rows: list[bytes]


class TextRows(Generic[T]):
    """The rows of *files* joined, by position.

    Raises InputError for files that cannot be read, hold other than text, or no row at all, and TextFormatError for a
    line longer than ``MAX_LINE_BYTES``.
    """

    def __init__(self, paths: list[Path], row_format: RowFormat[T]) -> None:
        self._format = row_format
        self._files: list[InputFile] = []
        self._blocks = array.array("q")  # the five numbers of each
        self._first = array.array("q", [0])  # the row each begins with, and the number of rows
        self._kept: dict[int, _ParsedBlock[T]] = {}
        self.checksum = 0
        with contextlib.ExitStack() as stack:
            for number, path in enumerate(paths):
                self._files.append(stack.enter_context(InputFile(path)))
                self._scan(number)
            self._check_rows()
            stack.pop_all()  # they stay open

    def __len__(self) -> int:
        return self._first[-1]

    @property
    def sizes(self) -> list[int]:
        """Bytes of each file."""
        return [file.size for file in self._files]

    def _scan(self, number: int) -> None:
        """Note the blocks of a file that hold rows."""
        line = 1
        for offset, text in _whole_lines(self._files[number]):
            rows = count(self._format.canonical(text), b"\n")
            if rows:
                self._blocks.extend((number, offset, len(text), line, zlib.crc32(text)))
                self._first.append(len(self) + rows)
            self.checksum = zlib.crc32(text, self.checksum)
            line += count_lines(text)

    def _check_rows(self) -> None:
        if not len(self):
            names = ", ".join(os.fspath(file.path) for file in self._files)
            raise InputError(f"{names}: holds no row", hint="name a file of numbers")

    def read(self, positions: npt.NDArray[Any]) -> list[T]:
        """The rows at *positions*, in pieces. Raises TextFormatError for the first wrong one, and InputError."""
        pieces = []
        for start, end in _runs(positions):
            low = start
            while low < end:
                number = bisect.bisect_right(self._first, low) - 1
                first, high = self._first[number], min(end, self._first[number + 1])
                pieces.append(self._rows(number, low - first, high - first))
                low = high
        return pieces

    def _rows(self, number: int, low: int, high: int) -> T:
        parsed = self._kept.pop(number, None) or self._load(number)
        while len(self._kept) >= _KEPT_BLOCKS:
            del self._kept[next(iter(self._kept))]
        self._kept[number] = parsed  # the last one used is the last
        if parsed.content is not None:
            return self._format.cut(parsed.content, low, high)
        try:
            return self._format.parse(b"".join(parsed.rows[low:high]))
        except TextFormatError:
            raise self._located(number, self._first_wrong(parsed.rows, low, high)) from None

    def _load(self, number: int) -> _ParsedBlock[T]:
        rows = self._format.canonical(self._text(number))
        try:
            return _ParsedBlock(self._format.parse(rows), [])
        except TextFormatError:
            return _ParsedBlock(None, rows.splitlines(keepends=True))

    def _text(self, number: int) -> bytes:
        block = self._block(number)
        file = self._files[block.file]
        text = file.read_at(block.offset, block.size)
        if zlib.crc32(text) != block.checksum:
            raise InputError(f"{file.path}: was changed while it was open", hint="make a new iterator")
        return text

    def _block(self, number: int) -> _TextBlock:
        return _TextBlock(*self._blocks[number * 5 : number * 5 + 5])

    def _first_wrong(self, rows: list[bytes], low: int, high: int) -> int:
        """The first of *rows* that cannot be parsed, which is one of *low* to *high*."""
        while high - low > 1:
            middle = (low + high) // 2
            try:
                self._format.parse(b"".join(rows[low:middle]))
                low = middle
            except TextFormatError:
                high = middle
        return low

    def _located(self, number: int, row: int) -> TextFormatError:
        """What is wrong with a row of a block, and in which line of which file."""
        block = self._block(number)
        lines = self._text(number).splitlines(keepends=True)
        low, high = 0, len(lines)  # the row ends with line high, or before; it does not with line low
        while high - low > 1:
            middle = (low + high) // 2
            rows = count(self._format.canonical(b"".join(lines[:middle])), b"\n")
            low, high = (low, middle) if rows > row else (middle, high)
        wrong = self._format.canonical(lines[low]).removesuffix(b"\n")
        error = self._format.describe(wrong)
        error.path, error.line = self._files[block.file].path, block.line + low
        return error

    def close(self) -> None:
        """Close the files; again is fine."""
        self._kept.clear()
        for file in self._files:
            file.close()


def count_lines(text: bytes) -> int:
    r"""How many line ends *text* has; ``\r\n`` is one."""
    returns = text.count(b"\r") - text.count(b"\r\n") if b"\r" in text else 0
    return count(text, b"\n") + returns


def text_files(value: str, name: str) -> list[Path]:
    """The files that the parameter *name* means: several joined by ``;``, a folder for all files in it, by name.

    Raises ParameterError when it names none, InputError for a folder without files. Those with a dot in front of
    their names are left out.
    """
    words = [word for word in value.split(_SEPARATOR) if word.strip()]
    if not words:
        raise ParameterError(f"{name}={value} must name a file")
    return list(itertools.chain.from_iterable(map(_files_of, words)))


def _files_of(word: str) -> list[Path]:
    path = Path(word)
    with reading(path):
        if not os.path.isdir(word):  # noqa: PTH112 - False for a name that is too long, which opening it tells
            return [path]
        files = sorted(file for file in path.iterdir() if not file.name.startswith(".") and file.is_file())
    if not files:
        raise InputError(f"{path}: holds no files", hint="name a file, or a folder of them")
    return files


def _whole_lines(file: InputFile) -> Iterator[tuple[int, bytes]]:
    """The lines of *file* in blocks, each with its offset: of ``BLOCK_BYTES`` or less, or one longer line."""
    offset, line, size = _start(file), 1, BLOCK_BYTES
    while offset < file.size:
        wanted = min(size, file.size - offset)
        text = file.read_at(offset, wanted)
        if len(text) < wanted:
            raise InputError(f"{file.path}: was cut short while it was read", hint="try again")
        end = len(text) if offset + wanted == file.size else _last_line_end(text)
        if not end:
            if size >= MAX_LINE_BYTES:
                problem = f"expected a line of at most {MAX_LINE_BYTES} bytes, found a longer one"
                error = TextFormatError(problem, line=line, hint="is this a text file?")
                error.path = file.path
                raise error
            size = min(size * 2, MAX_LINE_BYTES)
            continue
        yield offset, text[:end]
        offset, line, size = offset + end, line + count_lines(text[:end]), BLOCK_BYTES


def _start(file: InputFile) -> int:
    """Where the text begins. Raises InputError for what is none, or is packed."""
    head = file.read_at(0, len(_BOM))
    if head.startswith(_GZIP):
        raise InputError(f"{file.path}: is a gzip file", hint="unpack it with gunzip: rows are read from any place")
    if head.startswith(_UTF16):
        raise InputError(f"{file.path}: is UTF-16 text", hint="save it as UTF-8")
    return len(_BOM) if head == _BOM else 0


def _last_line_end(text: bytes) -> int:
    r"""Where the last whole line ends, 0 for none; a ``\r`` at the very end may be half of a ``\r\n``."""
    return max(text.rfind(b"\n"), text.rfind(b"\r", 0, len(text) - 1)) + 1


def _runs(positions: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """*positions* as runs of consecutive ones: first, and behind the last."""
    if not len(positions):
        return []
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    starts, ends = [0, *breaks.tolist()], [*breaks.tolist(), len(positions)]
    return [(int(positions[start]), int(positions[end - 1]) + 1) for start, end in zip(starts, ends, strict=True)]
