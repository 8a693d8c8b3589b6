"""CSVIter and LibSVMIter: batches of rows of numbers from text files, dense and sparse."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from im2rec.errors import Im2RecError, InputError
from im2rec.iterators.batch import CSRArray, DataBatch, DataDesc
from im2rec.iterators.ordered import OrderedIterator
from im2rec.iterators.signatures import shows_parameters
from im2rec.iterators.text_params import CSVParams, LibSVMParams, ignored_parameters
from im2rec.pipeline import state
from im2rec.pipeline.order import BatchRequest, Delivery, Order
from im2rec.pipeline.params import OrderParams
from im2rec.text.formats import CSVRows, LibSVMRows, SparseRows
from im2rec.text.numbers import Array
from im2rec.text.rows import RowFormat, TextRows, text_files

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from im2rec.iterators.keywords import CSVKeywords, LibSVMKeywords

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_LAYOUTS = {1: "NC", 3: "NCHW"}  # by the number of dimensions of a row


@dataclasses.dataclass(frozen=True)
class ReadBatch(Generic[T]):
    """The rows of a batch and their labels, as the pieces that were read; or the error that reading them raised."""

    request: BatchRequest
    data: list[T]
    labels: list[T]
    error: Im2RecError | None


class TextIterator(OrderedIterator[ReadBatch[T]]):
    """Base class of CSVIter and LibSVMIter: rows of text files, with labels from other files if these are given.

    *source* and *label_source* are each the name of a parameter that names files, and the format of their rows.
    """

    _unit = "rows"

    def __init__(
        self, params: CSVParams | LibSVMParams, source: tuple[str, RowFormat[T]], label_source: tuple[str, RowFormat[T]]
    ) -> None:
        for warning in ignored_parameters(params):
            _LOG.warning(warning)
        name, label_name = source[0], label_source[0]
        with contextlib.ExitStack() as stack:
            self._rows, self._labels = _open_rows(params, *source), None
            stack.callback(self._release)
            if getattr(params, label_name) is not None:
                self._labels = _open_rows(params, *label_source)
                self._check_counts(name, label_name)
            count = len(self._rows)
            super().__init__(Order(count, OrderParams.of(params)), self._fingerprint_of(name, label_name))
            stack.pop_all()
        _LOG.info("%s: %d rows", getattr(params, name), count)

    def _check_counts(self, name: str, label_name: str) -> None:
        assert self._labels is not None
        if len(self._rows) != len(self._labels):
            path, labels_path = getattr(self.params, name), getattr(self.params, label_name)
            problem = f"holds {len(self._labels)} labels, and {path} {len(self._rows)} rows"
            raise InputError(problem, path=labels_path, hint="give one line of labels for each row")

    def _fingerprint_of(self, name: str, label_name: str) -> state.Fingerprint:
        checksums = {name: self._rows.checksum, label_name: self._labels.checksum if self._labels else 0}
        parameters = state.deciding(self.params, (name, label_name)) | {"dtype": self._dtype.name}
        return state.Fingerprint(name, parameters, len(self._rows), self._rows.sizes, checksums)

    @property
    def _dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.params.data_dtype)
        return dtype

    @property
    def _label_row_shape(self) -> tuple[int, ...]:
        """Shape of the label of one row; () if it is one number, or if there are no labels."""
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
        shape = (self.batch_size, *self._label_row_shape)
        return [DataDesc(self.params.label_name, shape, self._dtype.type)]

    def _row_numbers(self, request: BatchRequest) -> npt.NDArray[np.uint64]:
        """Return the numbers of the rows of a batch, counted from 0 over all files; 0 for rows of zeros."""
        index = np.zeros(self.batch_size, np.uint64)
        index[: len(request.records)] = request.records
        return index

    def _open_stream(self, epoch: int, batch: int) -> Generator[ReadBatch[T], None, None]:
        return _read_batches(self._order, (epoch, batch, self._deliveries), self._rows, self._labels)

    def _release(self) -> None:
        for rows in (self._rows, self._labels):
            if rows is not None:
                rows.close()


def _open_rows(params: CSVParams | LibSVMParams, name: str, row_format: RowFormat[T]) -> TextRows[T]:
    return TextRows(text_files(getattr(params, name), name), row_format)


def _read_batches(
    order: Order, start: tuple[int, int, tuple[Delivery, ...]], data: TextRows[T], labels: TextRows[T] | None
) -> Generator[ReadBatch[T], None, None]:
    """Read batch after batch from *start* on: epoch, batch, and the deliveries of that epoch."""
    for request in order.requests(*start):
        yield _read_batch(request, data, labels)


def _read_batch(request: BatchRequest, data: TextRows[T], labels: TextRows[T] | None) -> ReadBatch[T]:
    rows = np.array(request.records, np.int64)
    try:
        return ReadBatch(request, data.read(rows), labels.read(rows) if labels else [], None)
    except Im2RecError as error:  # not raised here, as it would end the generator: later batches may be sound
        return ReadBatch(request, [], [], error)


class CSVIter(TextIterator[Array]):
    """An iterator over batches of the rows of CSV files, with the parameters of MXNet's CSVIter, all keywords.

    >>> from pathlib import Path
    >>> size = Path("rows.csv").write_text("1,2,3\\n4,5,6\\n7,8,9\\n")
    >>> with im2rec.CSVIter(data_csv="rows.csv", data_shape=3, batch_size=2, round_batch=False) as it:
    ...     for batch in it:
    ...         print(batch.data[0].tolist(), batch.label[0], batch.index, batch.pad)
    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]] [0. 0.] [0 1] 0
    [[7.0, 8.0, 9.0], [0.0, 0.0, 0.0]] [0. 0.] [2 0] 1

    ``data[0]`` has the shape ``(batch_size, *data_shape)`` and is float32 unless ``dtype`` is set. ``label[0]`` is of
    the same type and has the shape (batch_size,), or ``(batch_size, *label_shape)`` if a label is more than one number.
    ``index`` holds the numbers of the rows, from 0 over all files, uint64. The files are read in blocks, never as a
    whole.

    The constructor raises ParameterError or InputError. :meth:`next` raises TextFormatError (with path and line) in
    place of a batch that contains a line which is not a row of numbers; the next call returns the batch after it.

    Source: mxnet src/io/iter_csv.cc. ``__init__`` and docs/parameters.md list the parameters, docs/differences.md all
    that differs on purpose.
    """

    _source = "data_csv"

    @shows_parameters(CSVParams)
    def __init__(self, *args: NoReturn, **params: Unpack[CSVKeywords]) -> None:
        self._params = self._read_params(CSVParams, args, params)
        dtype, shapes = self._params.data_dtype, (self._params.data_shape, self._params.label_shape)
        data, label = (
            CSVRows(math.prod(shape), dtype, name)
            for shape, name in zip(shapes, ("data_shape", "label_shape"), strict=True)
        )
        super().__init__(self._params, ("data_csv", data), ("label_csv", label))

    @property
    def params(self) -> CSVParams:
        """The parameters after conversion: of their declared types, with defaults filled in."""
        return self._params

    def _make_batch(self, item: ReadBatch[Array]) -> DataBatch:
        if item.error is not None:
            raise item.error
        data = _join_rows((self.batch_size, *self._params.data_shape), item.data, self._dtype)
        label = _join_rows((self.batch_size, *self._label_row_shape), item.labels, self._dtype)
        return DataBatch([data], [label], item.request.pad, self._row_numbers(item.request))


def _join_rows(shape: tuple[int, ...], pieces: list[Array], dtype: np.dtype[Any]) -> Array:
    """Return a new array of *shape* that begins with the rows of *pieces*; the rest is zero."""
    joined = np.zeros(shape, dtype)
    row = 0
    for piece in pieces:
        joined[row : row + len(piece)] = piece.reshape(len(piece), *shape[1:])
        row += len(piece)
    return joined


class LibSVMIter(TextIterator[SparseRows]):
    """An iterator over batches of the rows of LibSVM files, with the parameters of MXNet's LibSVMIter, all keywords.

    >>> from pathlib import Path
    >>> size = Path("rows.libsvm").write_text("1 0:0.5 2:1.5\\n0 1:2\\n")
    >>> with im2rec.LibSVMIter(data_libsvm="rows.libsvm", data_shape=3, batch_size=2) as it:
    ...     for batch in it:
    ...         print(batch.data[0].toarray().tolist(), batch.label[0], batch.index)
    [[0.5, 0.0, 1.5], [0.0, 2.0, 0.0]] [1. 0.] [0 1]

    ``data[0]`` is a :class:`~im2rec.iterators.batch.CSRArray` of shape (batch_size, columns), float32. ``label[0]``
    holds the first number of each line, float32 of shape (batch_size,); with ``label_libsvm`` it is a CSRArray of the
    rows of those files. ``index`` holds the numbers of the rows, from 0 over all files, uint64. Column indices count
    from 0. The files are read in blocks, never as a whole.

    The constructor raises ParameterError or InputError. :meth:`next` raises TextFormatError (with path and line) in
    place of a batch that contains a line which is not such a row; the next call returns the batch after it.

    Source: mxnet src/io/iter_libsvm.cc. ``__init__`` and docs/parameters.md list the parameters, docs/differences.md
    all that differs on purpose.
    """

    _source = "data_libsvm"

    @shows_parameters(LibSVMParams)
    def __init__(self, *args: NoReturn, **params: Unpack[LibSVMKeywords]) -> None:
        self._params = self._read_params(LibSVMParams, args, params)
        (columns,), (label_columns,) = self._params.data_shape, self._params.label_shape
        data, label = LibSVMRows(columns, "data_shape"), LibSVMRows(label_columns, "label_shape")
        super().__init__(self._params, ("data_libsvm", data), ("label_libsvm", label))

    @property
    def params(self) -> LibSVMParams:
        """The parameters after conversion: of their declared types, with defaults filled in."""
        return self._params

    def _make_batch(self, item: ReadBatch[SparseRows]) -> DataBatch:
        if item.error is not None:
            raise item.error
        # Any, because DataBatch is declared to hold numpy arrays; a CSRArray takes their place, as CSRNDArray in MXNet.
        data: Any = self._join_sparse(item.data, self._params.data_shape[0])
        label: Any = np.zeros(self.batch_size, np.float32)
        if self._label_row_shape:
            label = self._join_sparse(item.labels, *self._label_row_shape)
        elif item.data:
            label[: len(item.request.records)] = np.concatenate([piece.labels for piece in item.data])
        return DataBatch([data], [label], item.request.pad, self._row_numbers(item.request))

    def _join_sparse(self, pieces: list[SparseRows], columns: int) -> CSRArray:
        """Return a CSRArray of batch_size rows, with new arrays: the rows of *pieces*, and empty ones after them."""
        lengths = np.zeros(self.batch_size + 1, np.int64)
        row = 1
        for piece in pieces:
            counts = np.diff(piece.indptr)
            lengths[row : row + len(counts)] = counts
            row += len(counts)
        # The empty arrays are for a batch without pieces: concatenate refuses an empty list.
        data = np.concatenate([np.empty(0, np.float32), *(piece.data for piece in pieces)])
        indices = np.concatenate([np.empty(0, np.int64), *(piece.indices for piece in pieces)])
        return CSRArray(data, indices, np.cumsum(lengths), (self.batch_size, columns))
