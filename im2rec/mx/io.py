"""Iterators, by the names of ``mxnet.io``: those of :mod:`im2rec.iterators` with NDArrays in their batches.

::

    from im2rec.mx import io

    train = io.ImageRecordIter(path_imgrec="train.rec", data_shape=(3, 112, 112), batch_size=128, shuffle=True)
    for batch in train:
        batch.data[0], batch.label[0], batch.pad

Parameters, orders and epochs are those of the iterators of im2rec, whose arrays the NDArrays are, not copied. A keyword
that does not exist has no effect, as in MXNet, and is named in the log.

Source: mxnet python/mxnet/io/io.py.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from im2rec.errors import Im2RecError, ParameterError
from im2rec.iterators import image_record, mnist, text
from im2rec.iterators.batch import CSRArray, DataBatch, DataDesc
from im2rec.mx.arrays import wrapped
from im2rec.mx.missing import missing
from im2rec.parallel import StartedJob, WorkerThreads
from im2rec.storage.files import Closeable

__path__: list[str] = []  # so that `from mxnet.io import x` asks the finders, which say what is there
io = sys.modules[__name__]  # MXNet's module of this name within its package
__all__ = [
    "CSRArray",
    "CSVIter",
    "DataBatch",
    "DataDesc",
    "DataIter",
    "ImageRecordInt8Iter",
    "ImageRecordIter",
    "ImageRecordUInt8Iter",
    "LibSVMIter",
    "MNISTIter",
    "PrefetchingIter",
]
P = TypeVar("P")

_LOG = logging.getLogger(__name__)


class DataIter:
    """Base class of iterators over batches, for programs to derive theirs from.

    A class that derives from it overrides :meth:`next`, or :meth:`iter_next`, :meth:`getdata`, :meth:`getlabel` and
    :meth:`getpad`. Unlike the iterators of im2rec, ``iter()`` does not begin an epoch: :meth:`reset` does.

    Source: mxnet python/mxnet/io/io.py, ``DataIter``.
    """

    def __init__(self, batch_size: int = 0) -> None:
        self.batch_size = batch_size

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> DataBatch:
        return self.next()

    def next(self) -> DataBatch:
        """Return the next batch. Raises StopIteration at the end of the epoch."""
        if not self.iter_next():
            raise StopIteration
        return DataBatch(data=self.getdata(), label=self.getlabel(), pad=self.getpad(), index=self.getindex())

    def reset(self) -> None:
        """Begin again with the first batch."""

    def iter_next(self) -> bool:
        """Take the next batch; False at the end of the epoch."""
        return False

    def getdata(self) -> Any:
        """Return the list of data arrays of the current batch."""

    def getlabel(self) -> Any:
        """Return the list of label arrays of the current batch."""

    def getindex(self) -> Any:
        """Return the ids of the records in the current batch, or None."""

    def getpad(self) -> Any:
        """Return the number of filler rows at the end of the current batch."""


class _OverCore:
    """What an iterator of MXNet's name does otherwise than that of im2rec, the next of its base classes."""

    @classmethod
    def _read_params(cls, kind: type[P], args: tuple[object, ...], values: Mapping[str, Any]) -> P:
        """Return the *values* as a *kind*, without those that it does not know."""
        try:
            return super()._read_params(kind, args, values)  # type: ignore[no-any-return, misc]
        except ParameterError as error:
            if error.unknown is None:
                raise
            _LOG.warning("%s: %s, so it has no effect", cls.__name__, error)
            return cls._read_params(kind, args, {name: values[name] for name in values if name != error.unknown})

    def _make_batch(self, item: Any) -> DataBatch:
        batch: DataBatch = super()._make_batch(item)  # type: ignore[misc]
        batch.data, batch.label = _ndarrays(batch.data), _ndarrays(batch.label)
        return batch


def _ndarrays(arrays: Sequence[Any]) -> list[Any]:
    """Return *arrays* as NDArrays over the same memory; sparse ones as they are."""
    return [wrapped(array) if isinstance(array, np.ndarray) else array for array in arrays]


class ImageRecordIter(_OverCore, image_record.ImageRecordIter, DataIter):
    """An :class:`im2rec.iterators.image_record.ImageRecordIter` with NDArrays in its batches."""


class ImageRecordUInt8Iter(_OverCore, image_record.ImageRecordUInt8Iter, DataIter):
    """An :class:`im2rec.iterators.image_record.ImageRecordUInt8Iter` with NDArrays in its batches."""


class ImageRecordInt8Iter(_OverCore, image_record.ImageRecordInt8Iter, DataIter):
    """An :class:`im2rec.iterators.image_record.ImageRecordInt8Iter` with NDArrays in its batches."""


class MNISTIter(_OverCore, mnist.MNISTIter, DataIter):
    """An :class:`im2rec.iterators.mnist.MNISTIter` with NDArrays in its batches."""


class CSVIter(_OverCore, text.CSVIter, DataIter):
    """An :class:`im2rec.iterators.text.CSVIter` with NDArrays in its batches."""


class LibSVMIter(_OverCore, text.LibSVMIter, DataIter):
    """An :class:`im2rec.iterators.text.LibSVMIter` with NDArrays in its batches, but for the sparse ones."""


class PrefetchingIter(Closeable, DataIter):
    """Batches of several iterators joined, each taken ahead in a thread while the one before it is in use.

    ::

        joined = PrefetchingIter([left, right], rename_data=[{"data": "left"}, {"data": "right"}])

    *iters* is an iterator or a list of them, of equally many batches; a batch has the arrays of all. *rename_data* and
    *rename_label* give the new names of the arrays, a dictionary for each iterator. The error of a batch is raised in
    its place. Raises ParameterError for an empty list, and Im2RecError from :meth:`next` if the iterators differ in
    length or in their filler rows. The iterators of im2rec prefetch already: they need it only to be joined.

    Source: mxnet python/mxnet/io/io.py, ``PrefetchingIter``.
    """

    def __init__(
        self,
        iters: Any,
        rename_data: Sequence[Mapping[str, str]] | None = None,
        rename_label: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        self.iters = list(iters) if isinstance(iters, (list, tuple)) else [iters]
        if not self.iters:
            raise ParameterError("iters is empty: an iterator or more is needed")
        self.rename_data, self.rename_label = rename_data, rename_label
        super().__init__(self.provide_data[0].shape[0])
        self.current_batch: DataBatch | None = None
        self._threads = WorkerThreads(len(self.iters), "im2rec-joined")
        self._begun: StartedJob[None, DataBatch | None] | None = None
        self._is_closed = False
        self._begin()

    def _begin(self) -> None:
        self._begun = self._threads.start(_take, None, self.iters)

    @property
    def provide_data(self) -> list[DataDesc]:
        """Name, shape, dtype and layout of all data arrays."""
        return _renamed([it.provide_data for it in self.iters], self.rename_data)

    @property
    def provide_label(self) -> list[DataDesc]:
        """Name, shape, dtype and layout of all label arrays."""
        return _renamed([it.provide_label for it in self.iters], self.rename_label)

    def reset(self) -> None:
        """Begin the next epoch of all iterators, at its first batch. A batch that was taken ahead is dropped."""
        self._check_open()
        if self._begun is not None:
            with contextlib.suppress(Exception):  # of a batch that nobody wants any more
                self._begun.results()
        for it in self.iters:
            it.reset()
        self._begin()

    def iter_next(self) -> bool:
        """Take the next batch, which the ``get`` methods then return parts of; False at the end of the epoch."""
        self._check_open()
        if self._begun is None:
            return False
        try:
            taken = self._begun.results()
        except BaseException:  # the error of a batch, or an interrupt of the waiting
            self._begin()  # the next call gives the batch after it
            raise
        batches = [batch for batch in taken if batch is not None]
        if not batches:
            self._begun = None
            return False
        if len(batches) < len(taken) or len({batch.pad for batch in batches}) > 1:
            raise Im2RecError("one of the iterators ends before another", hint="join iterators of one length")
        self.current_batch = DataBatch(
            [array for batch in batches for array in batch.data],
            [array for batch in batches for array in batch.label or ()],
            batches[0].pad,
            batches[0].index,
            provide_data=self.provide_data,
            provide_label=self.provide_label,
        )
        self._begin()
        return True

    def next(self) -> DataBatch:
        """Return the next batch.

        Raises StopIteration at the end of the epoch, until :meth:`reset` is called, and the error of a batch.
        """
        if not self.iter_next():
            raise StopIteration
        return self._current()

    def _current(self) -> DataBatch:
        if self.current_batch is None:
            raise Im2RecError("no batch was taken yet", hint="call next() or iter_next() first")
        return self.current_batch

    def getdata(self) -> Any:
        """Return the list of data arrays of the current batch."""
        return self._current().data

    def getlabel(self) -> Any:
        """Return the list of label arrays of the current batch."""
        return self._current().label

    def getindex(self) -> Any:
        """Return the ids of the records in the current batch of the first iterator."""
        return self._current().index

    def getpad(self) -> Any:
        """Return the number of filler rows at the end of the current batch."""
        return self._current().pad

    def _check_open(self) -> None:
        if self._is_closed:
            raise Im2RecError("the iterator is closed", hint="make a new one")

    def close(self) -> None:
        """End the threads, after the batches that they are at. The iterators stay open. Closing twice is allowed."""
        self._is_closed = True
        self._threads.shut_down(wait=True)


def _take(_: None, it: Any) -> DataBatch | None:
    """Return the next batch of *it*, or None at the end of its epoch."""
    try:
        batch: DataBatch = it.next()
    except StopIteration:
        return None
    return batch


def _renamed(descs: Sequence[Any], names: Sequence[Mapping[str, str]] | None) -> list[DataDesc]:
    """Return the descriptions of all iterators in one list, under their new names."""
    found = [[desc if isinstance(desc, DataDesc) else DataDesc(*desc) for desc in each] for each in descs]
    if names is None:
        return [desc for each in found for desc in each]
    return [
        DataDesc(new[desc.name], desc.shape, desc.dtype, desc.layout)
        for each, new in zip(found, names, strict=True)
        for desc in each
    ]


def __getattr__(name: str) -> NoReturn:
    reason = ""
    if name in ("ImageDetRecordIter", "ImageDetRecordIter_v1"):
        reason = "detection records are not read by an iterator yet; mx.recordio reads their labels and images"
    elif name == "NDArrayIter":
        reason = "torch.utils.data.TensorDataset does it for arrays in memory"
    elif name in ("ImageRecordIter_v1", "ImageRecordUInt8Iter_v1"):
        reason = "it has the same parameters without its suffix"
    raise missing("mx.io", name, __all__, reason)
