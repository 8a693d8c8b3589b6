"""The row formats CSV and LibSVM: one row per line.

CSV rows are numbers separated by commas. Blanks around numbers, empty lines, all kinds of line ends and a comma after
the last number are accepted. A header line, quotes, comments and empty cells are errors, where the reference drops a
cell that is not a number.

A LibSVM row is a label, then ``index:value`` pairs separated by blanks. Indices count from 0 and ascend. Empty lines
and text after a ``#`` are skipped. Other text is an error, where the reference skips it or reads beyond its memory.

Source: mxnet src/io/iter_csv.cc and iter_libsvm.cc; dmlc-core src/data/csv_parser.h and libsvm_parser.h.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import TextFormatError
from im2rec.text.numbers import (
    NUMBER_BYTES,
    Array,
    canonical_lines,
    check_range,
    fits,
    is_number,
    load_numbers,
    parse_floats,
    parse_integers,
)

_MAX_QUOTED = 40  # characters of a cell in a message


class CSVRows:
    """Rows of *width* numbers of *dtype*; messages name the parameter *name*, which sets the width."""

    def __init__(self, width: int, dtype: str, name: str) -> None:
        self._width = width
        self._dtype = dtype
        self._name = name

    def canonical(self, lines: bytes) -> bytes:
        """Return whole *lines* as one line per row, without blanks."""
        return canonical_lines(lines, separators=b",")

    def parse(self, rows: bytes) -> Array:
        """Return the numbers in canonical *rows*: (rows, width). Raises TextFormatError, whose line is not set."""
        separators = rows.translate(None, NUMBER_BYTES)
        count, rest = divmod(len(separators), self._width)
        # Counted first, as the width may be far larger than any text: the bytes to compare with are made only then.
        if rest or len(rows) < 2 or separators != (b"," * (self._width - 1) + b"\n") * count:
            raise TextFormatError("expected lines of numbers")
        parse = parse_integers if self._dtype.startswith("int") else parse_floats
        return parse(rows[:-1].replace(b"\n", b","), self._dtype).reshape(-1, self._width)

    def cut(self, parsed: Array, low: int, high: int) -> Array:
        """Return rows *low* to *high* - 1 of what :meth:`parse` returned."""
        return parsed[low:high]

    def describe(self, row: bytes) -> TextFormatError:
        """Return the error of one canonical *row*, which :meth:`parse` refused."""
        cells = row.split(b",")
        checked = cells[: self._width + 1]  # of a line that may have millions
        wrong = [(column, cell) for column, cell in enumerate(checked, 1) if not is_number(cell)]
        if wrong:
            column, cell = wrong[0]
            hint = _hint(row, checked, len(wrong))
            return TextFormatError(f"expected a number in column {column}, found {quoted(cell)}", hint=hint)
        if len(cells) != self._width:
            problem = f"expected {self._width} numbers, found {len(cells)}"
            return TextFormatError(problem, hint=f"{self._name} says how many a line has")
        for column, cell in enumerate(cells, 1):
            if not fits(cell, self._dtype):
                problem = f"expected a number in the range of {self._dtype} in column {column}, found {quoted(cell)}"
                return TextFormatError(problem, hint="choose another dtype, or correct the line")
        return TextFormatError("expected numbers")


def quoted(token: bytes) -> str:
    """Return *token* in quotes for a message, shortened if it is long; ``nothing`` if it is empty."""
    if not token:
        return "nothing"
    text = token.decode("utf-8", "replace")
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}...")


def _hint(row: bytes, cells: list[bytes], wrong: int) -> str:
    """Return a hint for a *row* of *cells*, of which *wrong* are not numbers."""
    if b'"' in row or b"'" in row:
        return "write numbers without quotes"
    if len(cells) == 1 and (b";" in row or b" " in row):
        return "separate numbers by commas"
    is_header = wrong == len(cells) and any(cell[:1].isalpha() for cell in cells)
    return "remove the line if it is a header" if is_header else "write numbers only"


_COMMENT = re.compile(rb"#[^\r\n]*")
_EXPECTED_ROW = "expected a label and index:value pairs"
_MAX_INDEX_DIGITS = 19  # of the largest int64
_WORD_WITHOUT_INDEX = re.compile(rb" (?![0-9]{1,%d}:)" % _MAX_INDEX_DIGITS)
_PAIR = np.dtype([("index", np.uint64), ("value", np.float32)])
_LABEL_INDEX = 2**64 - 1  # larger than the index of any pair


class SparseRows(NamedTuple):
    """Compressed sparse rows, and a label for each.

    Row r has the data and indices from ``indptr[r]`` up to, not including, ``indptr[r + 1]``.
    """

    labels: npt.NDArray[np.float32]
    data: npt.NDArray[np.float32]
    indices: npt.NDArray[np.int64]
    indptr: npt.NDArray[np.int64]


class LibSVMRows:
    """Rows with indices below *width*; messages name the parameter *name*, which sets the width."""

    def __init__(self, width: int, name: str) -> None:
        self._width = width
        self._name = name

    def canonical(self, lines: bytes) -> bytes:
        """Return whole *lines* as one line per row, with one space before each pair and without comments."""
        if b"#" in lines:
            lines = _COMMENT.sub(b"", lines)
        return canonical_lines(lines, separators=b"")

    def parse(self, rows: bytes) -> SparseRows:
        """Return the labels and pairs in canonical *rows*. Raises TextFormatError, whose line is not set."""
        if rows.translate(None, NUMBER_BYTES + b" :\n") or _WORD_WITHOUT_INDEX.search(rows):
            raise TextFormatError(_EXPECTED_ROW)
        # Each label becomes the value of a pair with a reserved index, so that one call reads all words.
        words = f"{_LABEL_INDEX}:{rows[:-1].decode('ascii')}".replace("\n", f" {_LABEL_INDEX}:").split(" ")
        numbers = load_numbers(words, _PAIR, ":")
        indices, values = numbers["index"], check_range(numbers["value"], rows)
        is_pair = indices != _LABEL_INDEX
        ascends = (indices[1:] > indices[:-1]) | ~is_pair[:-1]  # after a label, any index may follow
        if not ascends.all() or (indices[is_pair] >= self._width).any():
            raise TextFormatError(_EXPECTED_ROW)
        starts = np.append(np.flatnonzero(~is_pair), len(is_pair))
        indptr = starts - np.arange(len(starts))  # without the labels, of which there is one in each row before
        return SparseRows(values[~is_pair], values[is_pair], indices[is_pair].astype(np.int64), indptr.astype(np.int64))

    def cut(self, parsed: SparseRows, low: int, high: int) -> SparseRows:
        """Return rows *low* to *high* - 1 of what :meth:`parse` returned; their ``indptr`` begins with 0."""
        first, last = parsed.indptr[low], parsed.indptr[high]
        data, indices = parsed.data[first:last], parsed.indices[first:last]
        return SparseRows(parsed.labels[low:high], data, indices, parsed.indptr[low : high + 1] - first)

    def describe(self, row: bytes) -> TextFormatError:
        """Return the error of one canonical *row*, which :meth:`parse` refused."""
        label, *pairs = row.split(b" ")
        if not fits(label, "float32"):
            hint = "weights of rows are not read" if b":" in label else ""
            return TextFormatError(f"expected a label, found {quoted(label)}", hint=hint)
        last = -1
        for pair in pairs:
            index, colon, value = pair.partition(b":")
            if not (colon and index.isdigit() and len(index) <= _MAX_INDEX_DIGITS and fits(value, "float32")):
                hint = "remove the query ids" if index == b"qid" else ""
                return TextFormatError(f"expected index:value, found {quoted(pair)}", hint=hint)
            if int(index) >= self._width:
                hint = "indices count from 0: give one column more if yours count from 1"
                return TextFormatError(f"index {int(index)} must be below {self._name}={self._width}", hint=hint)
            if int(index) <= last:
                hint = "sort the pairs of the line by index, each index once"
                return TextFormatError(f"index {int(index)} comes after index {last}", hint=hint)
            last = int(index)
        return TextFormatError(_EXPECTED_ROW)
