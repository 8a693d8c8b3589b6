"""What the iterators over text files have in common: rows by position, and labels beside them."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Generator
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from im2rec.errors import Im2RecError, InputError
from im2rec.iterators.batch import DataDesc
from im2rec.iterators.ordered import OrderedIterator
from im2rec.iterators.text_params import CSVParams, LibSVMParams, notices
from im2rec.pipeline import state
from im2rec.pipeline.order import Order, Rows, Split
from im2rec.text.rows import RowFormat, TextRows, text_files

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_LAYOUTS = {1: "NC", 3: "NCHW"}  # by the dimensions of a row


@dataclasses.dataclass(frozen=True)
class Made(Generic[T]):
    """The rows of a batch as they were read, in pieces, and their labels; or the error of one that has one."""

    rows: Rows
    data: list[T]
    labels: list[T]
    error: Im2RecError | None


class TextIterator(OrderedIterator[Made[T]]):
    """Batches of rows of the files that *source* names, and of those that *label_source* names, if any."""

    def __init__(
        self, params: CSVParams | LibSVMParams, source: tuple[str, RowFormat[T]], labels: tuple[str, RowFormat[T]]
    ) -> None:
        for notice in notices(params):
            _LOG.warning(notice)
        self._rows, self._labels = _opened(params, *source), None
        try:
            if getattr(params, labels[0]) is not None:
                self._labels = _opened(params, *labels)
                self._check_counts(source[0], labels[0])
            count = len(self._rows)
            super().__init__(params, Order(count, params), self._fingerprint_of(source[0], labels[0]))
        except BaseException:
            self._close()
            raise
        _LOG.info("%s: %d rows", getattr(params, source[0]), count)

    def _check_counts(self, source: str, label_source: str) -> None:
        assert self._labels is not None
        if len(self._rows) != len(self._labels):
            params = self.params
            problem = f"{getattr(params, source)} holds {len(self._rows)} rows, {getattr(params, label_source)}"
            raise InputError(f"{problem} {len(self._labels)} labels", hint="give one line of labels for each row")

    def _fingerprint_of(self, source: str, label_source: str) -> state.Fingerprint:
        checksums = {source: self._rows.checksum, label_source: self._labels.checksum if self._labels else 0}
        deciding = state.deciding(self.params, (source, label_source)) | {"dtype": self._dtype.name}
        return state.Fingerprint(source, deciding, len(self._rows), self._rows.sizes, checksums)

    @property
    def _dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.params.data_dtype)
        return dtype

    @property
    def _label_row(self) -> tuple[int, ...]:
        """The shape of the label of one row, () for one number."""
        shape = self.params.label_shape
        return () if self._labels is None or math.prod(shape) == 1 else shape

    @property
    def provide_data(self) -> list[DataDesc]:
        """Name, shape, dtype and layout of ``data``."""
        shape = self.params.data_shape
        layout = _LAYOUTS.get(len(shape))
        return [DataDesc(self.params.data_name, (self.batch_size, *shape), self._dtype.type, layout)]

    @property
    def provide_label(self) -> list[DataDesc]:
        """Name, shape and dtype of ``label``."""
        shape = (self.batch_size, *self._label_row)
        return [DataDesc(self.params.label_name, shape, self._dtype.type)]

    def _index(self, rows: Rows) -> npt.NDArray[np.uint64]:
        """The numbers of the rows, from 0, over all files."""
        index = np.zeros(self.batch_size, np.uint64)
        index[: len(rows.positions)] = rows.positions
        return index

    def _run(self, epoch: int, batch: int) -> Generator[Made[T], None, None]:
        return _made(self._order, (epoch, batch, self._splits), self._rows, self._labels)

    def _close(self) -> None:
        for rows in (self._rows, self._labels):
            if rows is not None:
                rows.close()


def _opened(params: CSVParams | LibSVMParams, name: str, row_format: RowFormat[T]) -> TextRows[T]:
    return TextRows(text_files(getattr(params, name), name), row_format)


def _made(
    order: Order, start: tuple[int, int, tuple[Split, ...]], data: TextRows[T], labels: TextRows[T] | None
) -> Generator[Made[T], None, None]:
    """What is read of each batch from *start* on; one that cannot be read does not keep the next from it."""
    for rows in order.rows(*start):
        yield _read(rows, data, labels)


def _read(rows: Rows, data: TextRows[T], labels: TextRows[T] | None) -> Made[T]:
    try:
        return Made(rows, data.read(rows.positions), labels.read(rows.positions) if labels else [], None)
    except Im2RecError as error:
        return Made(rows, [], [], error)
