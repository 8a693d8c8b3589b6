"""Rows of CSV: numbers separated by commas, one row a line.

Blanks around numbers, empty lines, any line ends and a comma behind the last number are fine; a header line, quotes,
comments and empty cells are errors, where the reference drops a cell that is no number.

Source: mxnet src/io/iter_csv.cc; dmlc-core src/data/csv_parser.h.
"""

from __future__ import annotations

from im2rec.errors import TextFormatError
from im2rec.text.numbers import Array, NotANumberError, Numbers, count, holds, is_number, one_line_each

_SEPARATORS = b",\n"
_COMMA, _LINE_END = _SEPARATORS
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
        numbers = Numbers(rows, _SEPARATORS)
        ends = (numbers.kinds == _LINE_END).reshape(-1, self._width)
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
