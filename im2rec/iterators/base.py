"""The base of all iterators: epochs, batches one by one, MXNet's names for them; and of those that have an order.

The batches of the latter follow from an :class:`~im2rec.pipeline.order.Order`: they take parts, and can continue from
a saved state.
"""

from __future__ import annotations

import abc
import math
import os
from collections.abc import Generator, Mapping
from typing import Any, Generic, TypeVar

from im2rec.errors import Im2RecError
from im2rec.iterators.batch import Array, DataBatch, DataDesc
from im2rec.params import from_mapping
from im2rec.pipeline import state
from im2rec.pipeline.order import Delivery, Epoch, Order
from im2rec.storage.files import Closeable

Self = TypeVar("Self", bound="BatchIterator[Any]")
T = TypeVar("T")


class BatchIterator(Closeable, abc.ABC, Generic[T]):
    """An iterator over the batches of one epoch after the other.

    ``iter()`` and :meth:`reset` begin the next epoch, unless nothing was taken of the current one. Past its end
    :meth:`next` raises StopIteration until then. An error of one batch takes that batch's place; the next call goes on
    behind it.

    Source of the names: mxnet python/mxnet/io/io.py, ``MXDataIter``.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.epoch = 0
        self._length: int | None = None  # batches of this epoch, once they were counted
        self._done = 0  # those that were delivered, or raised
        self._touched = False  # whether any of them was since the epoch began, or was gone on with
        self._stream: Generator[T, None, None] | None = None
        self._current: DataBatch | None = None
        self._held = False
        self._closed = False
        self._owner = os.getpid()

    @abc.abstractmethod
    def _batches(self, epoch: int) -> int:
        """How many batches the epoch has."""

    @abc.abstractmethod
    def _run(self, epoch: int, batch: int) -> Generator[T, None, None]:
        """What batches from *batch* of *epoch* on are made of, and those of the epochs behind it.

        The generator must not refer to the iterator: nobody may ever close it, and it ends when it is not used.
        """

    @abc.abstractmethod
    def _batch(self, made: T) -> DataBatch:
        """The batch. Raises the error of one that has one."""

    @abc.abstractmethod
    def _close(self) -> None:
        """Give back what is held; called once."""

    @property
    @abc.abstractmethod
    def provide_data(self) -> list[DataDesc]:
        """Name, shape, dtype and layout of ``data``."""

    @property
    @abc.abstractmethod
    def provide_label(self) -> list[DataDesc]:
        """Name, shape and dtype of ``label``."""

    def __len__(self) -> int:
        """Batches of the current epoch."""
        if self._length is None:
            self._length = self._batches(self.epoch)
        return self._length

    def __iter__(self: Self) -> Self:
        self.reset()
        return self

    def __next__(self) -> DataBatch:
        return self.next()

    def next(self) -> DataBatch:
        """The next batch of the epoch. Raises StopIteration at its end, and the error of a batch that has one."""
        self._check_open()
        if self._held and self._current is not None:
            return self._current
        if self._done >= len(self):
            self._touched = True  # an epoch of no batch is over too
            raise StopIteration
        if self._stream is None:
            self._stream = self._run(self.epoch, self._done)
        self._touched = True
        try:
            made = next(self._stream)
        except BaseException:
            self._stop()  # an interrupt, say: the next call begins again at this batch
            raise
        self._done += 1
        try:
            self._current = self._batch(made)
        except Exception:
            raise  # of this batch, which is behind us
        except BaseException:
            self._done -= 1
            self._stop()
            raise
        return self._current

    def reset(self) -> None:
        """Begin the next epoch, unless nothing was taken of the current one."""
        self._check_open()
        if not self._touched:
            return
        if self._done < len(self):
            self._stop()  # else what was made ahead is the next epoch's
        self._begin(self.epoch + 1, 0)

    def _begin(self, epoch: int, done: int) -> None:
        self.epoch, self._done, self._length = epoch, done, None
        self._touched = False

    def _stop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def iter_next(self) -> bool:
        """Take the next batch; False at the end of the epoch."""
        try:
            self.next()
        except StopIteration:
            return False
        return True

    def getdata(self) -> Array:
        """Data of the current batch."""
        return self._taken().data[0]

    def getlabel(self) -> Array:
        """Labels of the current batch."""
        label = self._taken().label
        assert label is not None
        return label[0]

    def getindex(self) -> Array:
        """Record ids of the current batch, uint64."""
        index = self._taken().index
        assert index is not None
        return index

    def getpad(self) -> int:
        """Filler rows at the end of the current batch."""
        return self._taken().pad or 0

    def _taken(self) -> DataBatch:
        if self._current is None:
            raise Im2RecError("no batch was taken yet", hint="call next() or iter_next() first")
        return self._current

    def debug_skip_load(self) -> None:
        """From now on give the current batch again and again: to time what is not loading."""
        self._held = True

    def _check_open(self) -> None:
        if self._closed:
            raise Im2RecError("the iterator is closed", hint="make a new one")
        if os.getpid() != self._owner:  # the threads are not in a forked child: it would wait for ever
            raise Im2RecError("the iterator was made in another process", hint="make one in each")

    def close(self) -> None:
        """End all threads and close the files; again is fine. Taking batches afterwards raises Im2RecError."""
        if not self._closed and os.getpid() == self._owner:
            self._closed = True
            try:
                self._stop()
            finally:  # whatever another thread does with the batches
                self._close()

    def __getstate__(self) -> Any:
        raise TypeError(f"{type(self).__name__} cannot be pickled: make one in each process, or use state_dict()")


P = TypeVar("P")


class OrderedIterator(BatchIterator[T]):
    """An iterator over an *order* of records; *fingerprint* is of all that decides what its batches are."""

    _source = "path_imgrec"  # the parameter that names the data
    _unit = "images"

    def __init__(self, order: Order, fingerprint: state.Fingerprint) -> None:
        super().__init__(order.params.batch_size)
        self._order = order
        self._fingerprint = fingerprint
        self._parts = order.params.num_parts
        self._splits: tuple[Delivery, ...] = (Delivery(self._parts, 0),)

    @property
    @abc.abstractmethod
    def params(self) -> Any:
        """The parameters, as they were read."""

    @property
    def count(self) -> int:
        """How many records all parts together iterate over."""
        return self._order.count

    @classmethod
    def _given(cls, kind: type[P], args: tuple[object, ...], values: Mapping[str, Any]) -> P:
        """The parameters *kind* from the keywords *values*. Raises ParameterError, TypeError when there are *args*."""
        if args:
            raise TypeError(f"{cls.__name__} takes keyword arguments only")
        return from_mapping(kind, values)

    def __repr__(self) -> str:
        """Name the data, its size, the shape of a batch, and how far the epoch is."""
        # Tools that print a traceback with its variables show iterators whose construction failed, too.
        params = getattr(self, "_params", None)
        words = [f"{type(self).__name__} {getattr(params, self._source)!r}" if params else type(self).__name__]
        if not hasattr(self, "_splits"):
            return f"<{', '.join([*words, 'not open'])}>"
        shape = getattr(params, "data_shape", self.provide_data[0].shape[1:])  # MNISTIter has no such parameter
        words += [f"{self.count} {self._unit}", f"data_shape={shape}", f"batch_size={self.batch_size}"]
        if self._order.params.num_parts > 1:
            words += [f"num_parts={self._order.params.num_parts}", f"part_index={self._order.params.part_index}"]
        words += [f"epoch {self.epoch}", f"{self._done} of {len(self)} batches delivered"]
        return f"<{', '.join([*words, 'closed'] if self._closed else words)}>"

    def _epoch(self, epoch: int) -> Epoch:
        """The epoch *epoch*; what was delivered of the current one in other parts is not in it."""
        return self._order.epoch(epoch, self._splits if epoch == self.epoch else ())

    def _batches(self, epoch: int) -> int:
        return self._epoch(epoch).batches

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch is, as plain values: seed, epoch, records delivered over all parts, what they come from.

        All parts are taken to have delivered as many batches. Raises ParameterError with ``rng=mxnet``.
        """
        self._fingerprint.check_can_save()
        before, last = self._splits[:-1], self._splits[-1]
        epoch = self._epoch(self.epoch)
        splits = (*before, Delivery(last.parts, self._done * self.batch_size))
        delivered = self._order.count - epoch.sharing.count + epoch.sharing.delivered_in_all(splits[-1].delivered)
        return state.save(self._fingerprint, self.epoch, splits, delivered)

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where *saved* was taken; the next ``iter()`` goes on too, unless the epoch was at its end.

        ``num_parts`` may differ: what is left of the epoch is then shared anew. Nothing delivered is read again.
        Raises ParameterError or InputError for a state of other parameters or files, naming what differs.
        """
        self._check_open()
        self._fingerprint.check_can_save()
        epoch, splits = state.load(saved, self._fingerprint, self._parts)
        self._stop()
        self._begin(epoch, 0)
        self._splits = splits or (Delivery(self._parts, 0),)
        self._done = min(math.ceil(self._splits[-1].delivered / self.batch_size), len(self))
        self._touched = self._done >= len(self)

    def _begin(self, epoch: int, done: int) -> None:
        super()._begin(epoch, done)
        self._splits = (Delivery(self._parts, 0),)
