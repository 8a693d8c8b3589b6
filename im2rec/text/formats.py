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
from im2rec.text.numbers import Array, NotANumberError, Numbers, count, holds, is_number, one_line_each

_CSV_SEPARATORS = b",\n"
_COMMA, _CSV_LINE_END = _CSV_SEPARATORS
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
        if count(rows, b",") != count(rows, b"\n") * (self._width - 1):  # before any memory is taken for them
            raise TextFormatError("expected lines of numbers")
        numbers = Numbers(rows, _CSV_SEPARATORS)
        ends = (numbers.kinds == _CSV_LINE_END).reshape(-1, self._width)
        if not ends[:, -1].all():
            raise TextFormatError("expected lines of numbers")
        whole = self._dtype.startswith("int")
        try:
            found = numbers.integers(self._dtype) if whole else numbers.floats(dtype=self._dtype)
        except NotANumberError:
            raise TextFormatError("expected numbers") from None
        return found.reshape(-1, self._width)

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


_LIBSVM_SEPARATORS = b" :\n"
_BLANK, _COLON, _LIBSVM_LINE_END = _LIBSVM_SEPARATORS
_COMMENT = re.compile(rb"#[^\r\n]*")
_REFUSED = "expected a label and index:value pairs"
_INDEX_DIGITS = 19  # of the largest int64


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
        numbers = Numbers(rows, _LIBSVM_SEPARATORS)
        before = np.concatenate([[np.uint8(_LIBSVM_LINE_END)], numbers.kinds[:-1]])
        pairs, labels = before == _BLANK, before == _LIBSVM_LINE_END
        if not np.array_equal(pairs, numbers.kinds == _COLON):  # behind a blank is an index, and only there
            raise TextFormatError(_REFUSED)
        try:
            indices = numbers.naturals(np.flatnonzero(pairs))
            values = numbers.floats(np.flatnonzero(before == _COLON), "float32")
            found = SparseRows(
                numbers.floats(np.flatnonzero(labels), "float32"), values, indices, _bounds(labels, pairs)
            )
        except NotANumberError:
            raise TextFormatError(_REFUSED) from None
        if not self._in_order(found):
            raise TextFormatError(_REFUSED)
        return found

    def _in_order(self, rows: SparseRows) -> bool:
        """Whether indices ascend in every row, and stay below the width."""
        ascend = rows.indices[1:] > rows.indices[:-1]
        starts = rows.indptr[1:-1]
        ascend[starts[(starts > 0) & (starts < len(rows.indices))] - 1] = True  # from the last of a row to the next
        return bool(ascend.all() and (rows.indices < self._width).all())

    def cut(self, parsed: SparseRows, low: int, high: int) -> SparseRows:
        """Rows *low* to *high*; their ``indptr`` begins with 0."""
        first, last = parsed.indptr[low], parsed.indptr[high]
        return SparseRows(
            parsed.labels[low:high],
            parsed.data[first:last],
            parsed.indices[first:last],
            parsed.indptr[low : high + 1] - first,
        )

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


def _bounds(labels: npt.NDArray[np.bool_], pairs: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How many pairs come before each row, and how many there are."""
    before = np.cumsum(pairs, dtype=np.int64)
    return np.append(before[labels], before[-1:])
