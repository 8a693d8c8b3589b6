"""Rows of CSV and of LibSVM, one row a line.

CSV is numbers separated by commas. Blanks around numbers, empty lines, any line ends and a comma after the last number
are fine; a header line, quotes, comments and empty cells are errors, where the reference drops a cell that is not a
number.

LibSVM is a label, then ``index:value`` pairs. Indices count from 0 and ascend. Blanks separate pairs; empty lines and
what follows a ``#`` are left out. Other text is an error, where the reference skips it or reads beyond its memory.

Source: mxnet src/io/iter_csv.cc and iter_libsvm.cc; dmlc-core src/data/csv_parser.h and libsvm_parser.h.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import TextFormatError
from im2rec.text.numbers import NUMBER_BYTES, Array, floats, holds, in_range, integers, is_number, loaded, one_line_each

_SHOWN = 40  # characters of a cell


class CSVRows:
    """Rows of *width* numbers of *dtype*; *name* is the parameter that asks for so many."""

    def __init__(self, width: int, dtype: str, name: str) -> None:
        self._width = width
        self._dtype = dtype
        self._name = name

    def canonical(self, lines: bytes) -> bytes:
        """Whole *lines* as one line for each row, without blanks."""
        return one_line_each(lines, around=b",")

    def parse(self, rows: bytes) -> Array:
        """The numbers in canonical *rows*, (rows, width). Raises TextFormatError, which does not say where."""
        separators = rows.translate(None, NUMBER_BYTES)
        count, rest = divmod(len(separators), self._width)  # the width may be far larger than any text
        if rest or len(rows) < 2 or separators != (b"," * (self._width - 1) + b"\n") * count:
            raise TextFormatError("expected lines of numbers")
        read = integers if self._dtype.startswith("int") else floats
        return read(rows[:-1].replace(b"\n", b","), self._dtype).reshape(-1, self._width)

    def cut(self, parsed: Array, low: int, high: int) -> Array:
        """Rows *low* to *high*."""
        return parsed[low:high]

    def describe(self, row: bytes) -> TextFormatError:
        """What is wrong with one canonical *row*, which parse refused."""
        cells = row.split(b",")
        looked_at = cells[: self._width + 1]  # the line may have millions
        words = [(column, cell) for column, cell in enumerate(looked_at, 1) if not is_number(cell)]
        if words:
            column, cell = words[0]
            hint = _hint(row, looked_at, len(words))
            return TextFormatError(f"expected a number in column {column}, found {shown(cell)}", hint=hint)
        if len(cells) != self._width:
            problem = f"expected {self._width} numbers, found {len(cells)}"
            return TextFormatError(problem, hint=f"{self._name} says how many a line has")
        for column, cell in enumerate(cells, 1):
            if not holds(cell, self._dtype):
                problem = f"expected a number in the range of {self._dtype} in column {column}, found {shown(cell)}"
                return TextFormatError(problem, hint="choose another dtype, or correct the line")
        return TextFormatError("expected numbers")


def shown(token: bytes) -> str:
    """*token* as a message shows it."""
    if not token:
        return "nothing"
    text = token.decode("utf-8", "replace")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _hint(row: bytes, cells: list[bytes], words: int) -> str:
    if b'"' in row or b"'" in row:
        return "write numbers without quotes"
    if len(cells) == 1 and (b";" in row or b" " in row):
        return "separate numbers by commas"
    is_header = words == len(cells) and any(cell[:1].isalpha() for cell in cells)
    return "remove the line if it is a header" if is_header else "write numbers only"


_COMMENT = re.compile(rb"#[^\r\n]*")
_REFUSED = "expected a label and index:value pairs"
_INDEX_DIGITS = 19  # of the largest int64
_NO_INDEX = re.compile(rb" (?![0-9]{1,%d}:)" % _INDEX_DIGITS)
_PAIR = np.dtype([("index", np.uint64), ("value", np.float32)])
_LABEL = 2**64 - 1  # an index that no pair has


class SparseRows(NamedTuple):
    """Compressed sparse rows: what row r holds is at ``indptr[r]`` to ``indptr[r + 1]`` of data and indices."""

    labels: npt.NDArray[np.float32]
    data: npt.NDArray[np.float32]
    indices: npt.NDArray[np.int64]
    indptr: npt.NDArray[np.int64]


class LibSVMRows:
    """Rows with indices below *width*; *name* is the parameter that says so."""

    def __init__(self, width: int, name: str) -> None:
        self._width = width
        self._name = name

    def canonical(self, lines: bytes) -> bytes:
        """Whole *lines* as one line for each row, one blank before each pair, without comments."""
        if b"#" in lines:
            lines = _COMMENT.sub(b"", lines)
        return one_line_each(lines, around=b"")

    def parse(self, rows: bytes) -> SparseRows:
        """What canonical *rows* hold. Raises TextFormatError, which does not say where."""
        if rows.translate(None, NUMBER_BYTES + b" :\n") or _NO_INDEX.search(rows):
            raise TextFormatError(_REFUSED)
        # Each label becomes the value of a pair, so that every word holds two numbers.
        words = f"{_LABEL}:{rows[:-1].decode('ascii')}".replace("\n", f" {_LABEL}:").split(" ")
        found = loaded(words, _PAIR, ":")
        indices, values = found["index"], in_range(found["value"], rows)
        pairs = indices != _LABEL
        ascend = (indices[1:] > indices[:-1]) | ~pairs[:-1]  # any index may follow a label
        if not ascend.all() or (indices[pairs] >= self._width).any():
            raise TextFormatError(_REFUSED)
        starts = np.append(np.flatnonzero(~pairs), len(pairs))
        bounds = starts - np.arange(len(starts))  # of which each row has one label
        return SparseRows(values[~pairs], values[pairs], indices[pairs].astype(np.int64), bounds.astype(np.int64))

    def cut(self, parsed: SparseRows, low: int, high: int) -> SparseRows:
        """Rows *low* to *high*; their ``indptr`` begins with 0."""
        first, last = parsed.indptr[low], parsed.indptr[high]
        data, indices = parsed.data[first:last], parsed.indices[first:last]
        return SparseRows(parsed.labels[low:high], data, indices, parsed.indptr[low : high + 1] - first)

    def describe(self, row: bytes) -> TextFormatError:
        """What is wrong with one canonical *row*, which parse refused."""
        label, *pairs = row.split(b" ")
        if not holds(label, "float32"):
            hint = "weights of rows are not read" if b":" in label else ""
            return TextFormatError(f"expected a label, found {shown(label)}", hint=hint)
        last = -1
        for pair in pairs:
            index, colon, value = pair.partition(b":")
            if not (colon and index.isdigit() and len(index) <= _INDEX_DIGITS and holds(value, "float32")):
                hint = "remove the query ids" if index == b"qid" else ""
                return TextFormatError(f"expected index:value, found {shown(pair)}", hint=hint)
            if int(index) >= self._width:
                hint = "indices count from 0: give one column more if yours count from 1"
                return TextFormatError(f"index {int(index)} must be below {self._name}={self._width}", hint=hint)
            if int(index) <= last:
                hint = "sort the pairs of the line by index, each index once"
                return TextFormatError(f"index {int(index)} stands behind index {last}", hint=hint)
            last = int(index)
        return TextFormatError(_REFUSED)
