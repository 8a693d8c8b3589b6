"""Rows of LibSVM: a label, then ``index:value`` pairs, one row a line.

Indices count from 0 and ascend. Blanks separate pairs; empty lines and what stands behind a ``#`` are left out. Other
text is an error, where the reference skips it or reads beyond its memory.

Source: mxnet src/io/iter_libsvm.cc; dmlc-core src/data/libsvm_parser.h.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import TextFormatError
from im2rec.text.formats import shown
from im2rec.text.numbers import NotANumberError, Numbers, holds, one_line_each

_SEPARATORS = b" :\n"
_BLANK, _COLON, _LINE_END = _SEPARATORS
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
        numbers = Numbers(rows, _SEPARATORS)
        before = np.concatenate([[np.uint8(_LINE_END)], numbers.kinds[:-1]])
        pairs, labels = before == _BLANK, before == _LINE_END
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
