"""LibSVMIter: batches of the sparse rows of LibSVM files."""

from __future__ import annotations

from typing import Any

import numpy as np

from im2rec.format.libsvmrows import LibSVMRows, SparseRows
from im2rec.iterators.batch import DataBatch
from im2rec.iterators.csr import CSRArray
from im2rec.iterators.text import Made, TextIterator
from im2rec.iterators.text_params import LibSVMParams


class LibSVMIter(TextIterator[SparseRows]):
    """Batches of the rows of LibSVM files, with the parameters of MXNet's iterator of that name; all by keyword.

    ``data[0]`` is a :class:`~im2rec.iterators.csr.CSRArray` (batch_size, columns) of float32; ``label[0]`` what stands
    in front of the rows, float32 (batch_size,), or the sparse rows of ``label_libsvm``, a CSRArray; ``index`` the
    numbers of the rows from 0, uint64. Indices count from 0. The files are never in memory as a whole.

    Raises ParameterError, InputError when it is made; TextFormatError (path, line) in the place of a batch with a line
    that is no such row, and goes on behind it.

    Source: mxnet src/io/iter_libsvm.cc; docs/parameters.md lists the parameters, docs/differences.md what is better on
    purpose.
    """

    def __init__(self, *args: object, **params: Any) -> None:
        self._params = self._given(LibSVMParams, args, params)
        (columns,), (label_columns,) = self._params.data_shape, self._params.label_shape
        data, label = LibSVMRows(columns, "data_shape"), LibSVMRows(label_columns, "label_shape")
        super().__init__(self._params, ("data_libsvm", data), ("label_libsvm", label))

    @property
    def params(self) -> LibSVMParams:
        """The parameters, as they were read."""
        return self._params

    def _batch(self, made: Made[SparseRows]) -> DataBatch:
        if made.error is not None:
            raise made.error
        # DataBatch says that it holds arrays of numpy; what is asked of these is the same as far as it goes.
        data: Any = self._sparse(made.data, self._params.data_shape[0])
        label: Any = np.zeros(self.batch_size, np.float32)
        if self._label_row:
            label = self._sparse(made.labels, *self._label_row)
        elif made.data:
            label[: len(made.rows.positions)] = np.concatenate([piece.labels for piece in made.data])
        return DataBatch([data], [label], made.rows.pad, self._index(made.rows))

    def _sparse(self, pieces: list[SparseRows], columns: int) -> CSRArray:
        """The rows of *pieces*, and empty ones behind them, in new arrays."""
        lengths = np.zeros(self.batch_size + 1, np.int64)
        row = 1
        for piece in pieces:
            counts = np.diff(piece.indptr)
            lengths[row : row + len(counts)] = counts
            row += len(counts)
        nothing = np.empty(0, np.float32), np.empty(0, np.int64)
        data = np.concatenate([nothing[0], *(piece.data for piece in pieces)])
        indices = np.concatenate([nothing[1], *(piece.indices for piece in pieces)])
        return CSRArray(data, indices, np.cumsum(lengths), (self.batch_size, columns))
