"""Sparse arrays, as LibSVMIter gives them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.iterators.batch import Array


class CSRArray:
    """Compressed sparse rows: row r holds ``data[i]`` in column ``indices[i]``, i from ``indptr[r]`` on.

    It ends before ``indptr[r + 1]``, where the next one begins; all else is zero. *data* is float32, the others int64,
    with MXNet's names.

    Source: mxnet python/mxnet/ndarray/sparse.py, ``CSRNDArray``.
    """

    stype = "csr"

    def __init__(
        self, data: Array, indices: npt.NDArray[np.int64], indptr: npt.NDArray[np.int64], shape: tuple[int, int]
    ) -> None:
        self.data = data
        self.indices = indices
        self.indptr = indptr
        self.shape = shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        return self.data.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<CSRArray {self.shape[0]}x{self.shape[1]}, {len(self.data)} values>"

    def toarray(self) -> Array:
        """All values in an array of *shape*."""
        dense = np.zeros(self.shape, self.dtype)
        dense[np.repeat(np.arange(len(self)), np.diff(self.indptr)), self.indices] = self.data
        return dense

    def asnumpy(self) -> Array:
        """What :meth:`toarray` gives, by MXNet's name."""
        return self.toarray()

    def to_scipy(self) -> Any:
        """A ``scipy.sparse.csr_matrix`` of the same arrays. Raises ImportError without scipy."""
        return importlib.import_module("scipy.sparse").csr_matrix((self.data, self.indices, self.indptr), self.shape)
