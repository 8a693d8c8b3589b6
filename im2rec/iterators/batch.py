"""DataBatch and DataDesc, by MXNet's names, and CSRArray, the sparse arrays in batches of LibSVMIter."""

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
    """Name and shape of an array in a batch, a named tuple of the two; *dtype* and *layout* are further attributes.

    As in MXNet, two descriptions are equal when name and shape are: dtype and layout are not compared.

    >>> with im2rec.ImageRecordIter(path_imgrec="photos_train.rec", data_shape=(3, 112, 112), batch_size=8) as it:
    ...     (desc,) = it.provide_data
    >>> desc.name, desc.shape, desc.layout
    ('data', (8, 3, 112, 112), 'NCHW')

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

    def __getnewargs__(self) -> tuple[Any, ...]:  # for pickle: the tuple alone lacks dtype and layout
        return (self.name, self.shape, self.dtype, self.layout)

    @staticmethod
    def get_batch_axis(layout: str | None) -> int:
        """Return the axis of *layout* that counts images, which is that of its ``N``: 0 for None, -1 without an N."""
        return 0 if layout is None else layout.find("N")

    @staticmethod
    def get_list(shapes: Sequence[Any], types: Sequence[Any] | None) -> list[DataDesc]:
        """Return descriptions from pairs (name, shape) and pairs (name, dtype); float32 is the default."""
        dtypes = dict(types or ())
        return [DataDesc(name, shape, dtypes.get(name, np.float32)) for name, shape in shapes]


class DataBatch:
    """A batch: *data* and *label* are lists of arrays, of one each in the batches of these iterators.

    *pad* is the number of filler rows at the end; *index* holds the id of the record in each row, uint64. Raises
    TypeError if *data* or *label* is a bare array.

    >>> with im2rec.ImageRecordIter(path_imgrec="photos_train.rec", data_shape=(3, 112, 112), batch_size=8) as it:
    ...     batch = it.next()
    >>> batch.data[0].shape, batch.label[0].shape, batch.pad, batch.index.tolist()
    ((8, 3, 112, 112), (8,), 0, [0, 24, 4, 18, 19, 15, 27, 20])

    Source: mxnet python/mxnet/io/io.py, ``DataBatch``.
    """

    # Declared as in the batches of iterators, which have all three. In others they may be None, as in MXNet.
    label: Sequence[Array]
    pad: int
    index: Array

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
        self.label = label  # type: ignore[assignment]
        self.pad = pad  # type: ignore[assignment]
        self.index = index  # type: ignore[assignment]
        self.bucket_key = bucket_key
        self.provide_data = provide_data
        self.provide_label = provide_label

    def __str__(self) -> str:
        labels = [array.shape for array in self.label] if self.label is not None else None
        return f"DataBatch: data shapes: {[array.shape for array in self.data]} label shapes: {labels}"


class CSRArray:
    """A matrix of compressed sparse rows, in three arrays with MXNet's names.

    Row r holds ``data[i]`` in column ``indices[i]`` for i from ``indptr[r]`` up to, not including, ``indptr[r + 1]``;
    all other values are zero. *data* is float32, *indices* and *indptr* are int64.

    >>> from pathlib import Path
    >>> size = Path("rows.libsvm").write_text("1 0:0.5 2:1.5\\n0 1:2\\n")
    >>> with im2rec.LibSVMIter(data_libsvm="rows.libsvm", data_shape=3, batch_size=2) as it:
    ...     rows = it.next().data[0]
    >>> print(rows.indptr, rows.indices, rows.data)
    [0 2 3] [0 2 1] [0.5 1.5 2. ]
    >>> print(rows.toarray())
    [[0.5 0.  1.5]
     [0.  2.  0. ]]

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
        """Type of the values."""
        return self.data.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<CSRArray {self.shape[0]}x{self.shape[1]}, {len(self.data)} values>"

    def toarray(self) -> Array:
        """Return a new dense array of *shape*."""
        dense = np.zeros(self.shape, self.dtype)
        dense[np.repeat(np.arange(len(self)), np.diff(self.indptr)), self.indices] = self.data
        return dense

    def asnumpy(self) -> Array:
        """Return a new dense array; MXNet's name for :meth:`toarray`."""
        return self.toarray()

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse.csr_matrix`` of the same values. Raises ImportError without scipy."""
        return importlib.import_module("scipy.sparse").csr_matrix((self.data, self.indices, self.indptr), self.shape)
