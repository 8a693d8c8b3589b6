"""CSVIter: batches of the rows of CSV files."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from im2rec.iterators.batch import DataBatch
from im2rec.iterators.text import Made, TextIterator
from im2rec.iterators.text_params import CSVParams
from im2rec.text.formats import CSVRows
from im2rec.text.numbers import Array


class CSVIter(TextIterator[Array]):
    """Batches of the rows of CSV files, with the parameters of MXNet's iterator of that name; all by keyword.

    ::

        it = CSVIter(data_csv="rows.csv", data_shape=(28, 28), label_csv="labels.csv", batch_size=100)
        for batch in it:
            batch.data[0], batch.label[0], batch.index, batch.pad

    ``data[0]`` is float32, or as ``dtype`` says, (batch_size, *data_shape); ``label[0]`` of the same type
    (batch_size,), or (batch_size, *label_shape) if that is more than one number; ``index`` the numbers of the rows from
    0, uint64. The files are never in memory as a whole.

    Raises ParameterError, InputError when it is made; TextFormatError (path, line) in the place of a batch with a line
    that is no row of numbers, and goes on behind it.

    Source: mxnet src/io/iter_csv.cc; docs/parameters.md lists the parameters, docs/differences.md what is better on
    purpose.
    """

    def __init__(self, *args: object, **params: Any) -> None:
        self._params = self._given(CSVParams, args, params)
        dtype, shapes = self._params.data_dtype, (self._params.data_shape, self._params.label_shape)
        data, label = (
            CSVRows(math.prod(shape), dtype, name)
            for shape, name in zip(shapes, ("data_shape", "label_shape"), strict=True)
        )
        super().__init__(self._params, ("data_csv", data), ("label_csv", label))

    @property
    def params(self) -> CSVParams:
        """The parameters, as they were read."""
        return self._params

    def _batch(self, made: Made[Array]) -> DataBatch:
        if made.error is not None:
            raise made.error
        data = _filled((self.batch_size, *self._params.data_shape), made.data, self._dtype)
        label = _filled((self.batch_size, *self._label_row), made.labels, self._dtype)
        return DataBatch([data], [label], made.rows.pad, self._index(made.rows))


def _filled(shape: tuple[int, ...], pieces: list[Array], dtype: np.dtype[Any]) -> Array:
    """A new array of *shape* that begins with the rows of *pieces*; the others are zeros."""
    found = np.zeros(shape, dtype)
    row = 0
    for piece in pieces:
        found[row : row + len(piece)] = piece.reshape(len(piece), *shape[1:])
        row += len(piece)
    return found
