"""The numbers of label vectors: the range of each place in the vector, and whether all are whole numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from im2rec.images.sheet import number_text
from im2rec.inspection.labels import LABELS_START
from im2rec.inspection.report import LabelColumn
from im2rec.schema import whole
from im2rec.storage.blocks import FRONT_BYTES, RecordBlock

MAX_WIDTH = 4  # of a vector whose places are told apart; all are in the first bytes of a record
_THREE_DIGITS = 1000  # with three digits, larger numbers have an exponent
Mask = npt.NDArray[np.bool_]


class LabelColumns:
    """The running range of each place in the label vectors of images, while all vectors have one length.

    Labels that are not finite are left out.
    """

    def __init__(self) -> None:
        self._width: int | None = None
        self._lowest, self._highest = np.empty(0, np.float32), np.empty(0, np.float32)
        self._is_whole: Mask = np.empty(0, np.bool_)

    def add(self, block: RecordBlock, flags: npt.NDArray[np.uint32], images: Mask) -> None:
        """Add the records of *block* in the rows *images*; *flags* are the lengths of the label vectors, 0 of none."""
        rows = np.flatnonzero(images & (flags > 0))
        if self._width == 0 or not len(rows):
            return
        width = int(flags[rows[0]])
        if width > MAX_WIDTH or self._width not in (None, width) or (flags[rows] != width).any():
            self._width = 0
            return
        if self._width is None:
            self._width = width
            self._lowest, self._highest = np.full(width, np.inf, np.float32), np.full(width, -np.inf, np.float32)
            self._is_whole = np.ones(width, np.bool_)
        labels = np.ascontiguousarray(block.fronts[rows, LABELS_START:FRONT_BYTES]).view("<f4")[:, :width]
        is_finite = np.isfinite(labels)
        self._lowest = np.minimum(self._lowest, np.where(is_finite, labels, np.inf).min(axis=0))
        self._highest = np.maximum(self._highest, np.where(is_finite, labels, -np.inf).max(axis=0))
        self._is_whole &= (~is_finite | (np.floor(np.where(is_finite, labels, 0)) == labels)).all(axis=0)

    def columns(self) -> list[LabelColumn]:
        """Return the range of each place; none without vectors, or if they are long or of several lengths."""
        if not self._width or not np.isfinite(self._lowest).all():
            return []
        return [
            LabelColumn(whole(float(lowest)), whole(float(highest)), bool(is_whole))
            for lowest, highest, is_whole in zip(self._lowest, self._highest, self._is_whole, strict=True)
        ]


def columns_text(columns: list[LabelColumn]) -> str:
    """Return the range of each of *columns* in a few words: "whole 3 to 11; 0.02 to 0.9"."""
    return "; ".join(map(_column_text, columns))


def _column_text(column: LabelColumn) -> str:
    if column.lowest_label == column.highest_label:
        return f"all {number_text(column.lowest_label)}"
    if column.whole_numbers:
        return f"whole {number_text(column.lowest_label)} to {number_text(column.highest_label)}"
    return f"{_short(column.lowest_label)} to {_short(column.highest_label)}"


def _short(label: float) -> str:
    return f"{label:.3g}" if abs(label) < _THREE_DIGITS else number_text(label)
