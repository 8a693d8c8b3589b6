"""Batches, the description of their arrays, and the sparse arrays that LibSVMIter gives."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class _DataDesc(NamedTuple):
    name: str
    shape: tuple[int, ...]


class DataDesc(_DataDesc):
    """Name and shape of an array of a batch; *dtype* and *layout* are told besides, and do not count in comparisons.

    Source: mxnet python/mxnet/io/io.py, ``DataDesc``.
    """

    dtype: Any
    layout: str | None

    def __new__(cls, name: str, shape: Sequence[int], dtype: Any = np.float32, layout: str | None = "NCHW") -> DataDesc:
        """Describe an array."""
        desc = super().__new__(cls, name, tuple(shape))
        desc.dtype, desc.layout = dtype, layout
        return desc

    def __repr__(self) -> str:
        return f"DataDesc[{self.name},{self.shape},{self.dtype},{self.layout}]"

    def __getnewargs__(self) -> tuple[Any, ...]:  # pickled as it was made
        return (self.name, self.shape, self.dtype, self.layout)

    @staticmethod
    def get_batch_axis(layout: str | None) -> int:
        """The axis of *layout* that counts images: the place of its ``N``; 0 without a layout, -1 without an N."""
        return 0 if layout is None else layout.find("N")

    @staticmethod
    def get_list(shapes: Sequence[Any], types: Sequence[Any] | None) -> list[DataDesc]:
        """Descriptions from pairs (name, shape) and, if there are any, pairs (name, dtype)."""
        kinds = dict(types or ())
        return [DataDesc(name, shape, kinds.get(name, np.float32)) for name, shape in shapes]


class DataBatch:
    """One batch: *data* and *label* are lists of one array each.

    *pad* counts the rows at the end that are filler; *index* holds the id of the record in each row, uint64.

    Source: mxnet python/mxnet/io/io.py, ``DataBatch``.
    """

    def __init__(
        self,
        data: Sequence[Array],
        label: Sequence[Array] | None = None,
        pad: int | None = None,
        index: Array | None = None,
        bucket_key: Any = None,
        provide_data: list[DataDesc] | None = None,
        provide_label: list[DataDesc] | None = None,
    ) -> None:
        for name, arrays in (("data", data), ("label", label)):
            if arrays is not None and not isinstance(arrays, (list, tuple)):
                raise TypeError(f"{name} must be a list of arrays, not {type(arrays).__name__}")
        self.data = data
        self.label = label
        self.pad = pad
        self.index = index
        self.bucket_key = bucket_key
        self.provide_data = provide_data
        self.provide_label = provide_label

    def __str__(self) -> str:
        labels = [array.shape for array in self.label] if self.label is not None else None
        return f"DataBatch: data shapes: {[array.shape for array in self.data]} label shapes: {labels}"


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
