"""CSVIter and LibSVMIter: rows of text files by position, with labels beside them, as dense or sparse batches."""

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
from im2rec.iterators.base import OrderedIterator
from im2rec.iterators.batch import CSRArray, DataBatch, DataDesc
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
_LAYOUTS = {1: "NC", 3: "NCHW"}  # by the dimensions of a row


@dataclasses.dataclass(frozen=True)
class ReadBatch(Generic[T]):
    """The rows of a batch as they were read, in pieces, and their labels; or the error of one that has one."""

    request: BatchRequest
    data: list[T]
    labels: list[T]
    error: Im2RecError | None


class TextIterator(OrderedIterator[ReadBatch[T]]):
    """Batches of rows of the files that *source* names, and of those that *label_source* names, if any."""

    _unit = "rows"

    def __init__(
        self, params: CSVParams | LibSVMParams, source: tuple[str, RowFormat[T]], labels: tuple[str, RowFormat[T]]
    ) -> None:
        for notice in ignored_parameters(params):
            _LOG.warning(notice)
        with contextlib.ExitStack() as stack:
            self._rows, self._labels = _opened(params, *source), None
            stack.callback(self._close)
            if getattr(params, labels[0]) is not None:
                self._labels = _opened(params, *labels)
                self._check_counts(source[0], labels[0])
            count = len(self._rows)
            super().__init__(Order(count, OrderParams.of(params)), self._fingerprint_of(source[0], labels[0]))
            stack.pop_all()
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

    def _index(self, request: BatchRequest) -> npt.NDArray[np.uint64]:
        """The numbers of the rows, from 0, over all files."""
        index = np.zeros(self.batch_size, np.uint64)
        index[: len(request.records)] = request.records
        return index

    def _run(self, epoch: int, batch: int) -> Generator[ReadBatch[T], None, None]:
        return _made(self._order, (epoch, batch, self._splits), self._rows, self._labels)

    def _close(self) -> None:
        for rows in (self._rows, self._labels):
            if rows is not None:
                rows.close()


def _opened(params: CSVParams | LibSVMParams, name: str, row_format: RowFormat[T]) -> TextRows[T]:
    return TextRows(text_files(getattr(params, name), name), row_format)


def _made(
    order: Order, start: tuple[int, int, tuple[Delivery, ...]], data: TextRows[T], labels: TextRows[T] | None
) -> Generator[ReadBatch[T], None, None]:
    """Read each batch from *start* on; one that cannot be read does not keep the next from being read."""
    for request in order.requests(*start):
        yield _read(request, data, labels)


def _read(request: BatchRequest, data: TextRows[T], labels: TextRows[T] | None) -> ReadBatch[T]:
    rows = np.array(request.records, np.int64)
    try:
        return ReadBatch(request, data.read(rows), labels.read(rows) if labels else [], None)
    except Im2RecError as error:
        return ReadBatch(request, [], [], error)


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

    _source = "data_csv"

    @shows_parameters(CSVParams)
    def __init__(self, *args: NoReturn, **params: Unpack[CSVKeywords]) -> None:
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

    def _batch(self, made: ReadBatch[Array]) -> DataBatch:
        if made.error is not None:
            raise made.error
        data = _filled((self.batch_size, *self._params.data_shape), made.data, self._dtype)
        label = _filled((self.batch_size, *self._label_row), made.labels, self._dtype)
        return DataBatch([data], [label], made.request.pad, self._index(made.request))


def _filled(shape: tuple[int, ...], pieces: list[Array], dtype: np.dtype[Any]) -> Array:
    """A new array of *shape* that begins with the rows of *pieces*; the others are zeros."""
    found = np.zeros(shape, dtype)
    row = 0
    for piece in pieces:
        found[row : row + len(piece)] = piece.reshape(len(piece), *shape[1:])
        row += len(piece)
    return found


class LibSVMIter(TextIterator[SparseRows]):
    """Batches of the rows of LibSVM files, with the parameters of MXNet's iterator of that name; all by keyword.

    ``data[0]`` is a :class:`~im2rec.iterators.batch.CSRArray` (batch_size, columns) of float32; ``label[0]`` what
    stands in front of the rows, float32 (batch_size,), or the sparse rows of ``label_libsvm``, a CSRArray; ``index``
    the numbers of the rows from 0, uint64. Indices count from 0. The files are never in memory as a whole.

    Raises ParameterError, InputError when it is made; TextFormatError (path, line) in the place of a batch with a line
    that is no such row, and goes on behind it.

    Source: mxnet src/io/iter_libsvm.cc; docs/parameters.md lists the parameters, docs/differences.md what is better on
    purpose.
    """

    _source = "data_libsvm"

    @shows_parameters(LibSVMParams)
    def __init__(self, *args: NoReturn, **params: Unpack[LibSVMKeywords]) -> None:
        self._params = self._given(LibSVMParams, args, params)
        (columns,), (label_columns,) = self._params.data_shape, self._params.label_shape
        data, label = LibSVMRows(columns, "data_shape"), LibSVMRows(label_columns, "label_shape")
        super().__init__(self._params, ("data_libsvm", data), ("label_libsvm", label))

    @property
    def params(self) -> LibSVMParams:
        """The parameters, as they were read."""
        return self._params

    def _batch(self, made: ReadBatch[SparseRows]) -> DataBatch:
        if made.error is not None:
            raise made.error
        # DataBatch says that it holds arrays of numpy; what is asked of these is the same as far as it goes.
        data: Any = self._sparse(made.data, self._params.data_shape[0])
        label: Any = np.zeros(self.batch_size, np.float32)
        if self._label_row:
            label = self._sparse(made.labels, *self._label_row)
        elif made.data:
            label[: len(made.request.records)] = np.concatenate([piece.labels for piece in made.data])
        return DataBatch([data], [label], made.request.pad, self._index(made.request))

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
