"""The base class of the iterators over an order of records or rows: parts, and states to resume from."""

from __future__ import annotations

import abc
import logging
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from im2rec.iterators.base import BatchIterator
from im2rec.params import from_mapping
from im2rec.pipeline import state
from im2rec.pipeline.order import NO_BATCH, Delivery, Epoch, Order

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
P = TypeVar("P")


class OrderedIterator(BatchIterator[T]):
    """An iterator whose batches follow from an :class:`~im2rec.pipeline.order.Order`: it has parts and states.

    *fingerprint* covers everything that decides what the batches hold.
    """

    _source = "path_imgrec"  # the parameter that names the data
    _unit = "images"

    def __init__(self, order: Order, fingerprint: state.Fingerprint) -> None:
        super().__init__(order.params.batch_size)
        self._order = order
        self._fingerprint = fingerprint
        self._parts = order.params.num_parts
        # One entry for each number of parts that this epoch was read with: more than one if it was resumed with another
        # number. The last one is the current; its ``per_part`` is not kept up to date, self._position is.
        self._deliveries: tuple[Delivery, ...] = (Delivery(self._parts, 0),)
        if order.count and not self._count_batches(0):
            _LOG.warning(NO_BATCH, order.count, self.batch_size)

    @property
    @abc.abstractmethod
    def params(self) -> Any:
        """The parameters after conversion: of their declared types, with defaults filled in."""

    @property
    def count(self) -> int:
        """Number of records that all parts together iterate over."""
        return self._order.count

    @property
    def part_count(self) -> int:
        """Number of records that this part iterates over in an epoch."""
        return self._order.epoch(0).partition.length(self._order.params.part_index)

    @classmethod
    def _read_params(cls, kind: type[P], args: tuple[object, ...], values: Mapping[str, Any]) -> P:
        """Return the *values* as a *kind*. Raises ParameterError, and TypeError if there are positional *args*."""
        if args:
            raise TypeError(f"{cls.__name__} takes keyword arguments only")
        return from_mapping(kind, values)

    def __repr__(self) -> str:
        """Name the data, its size, the shape of a batch, and how far the epoch is."""
        # Tools that print a traceback with its variables show iterators whose construction failed, too.
        params = getattr(self, "_params", None)
        fields = [f"{type(self).__name__} {getattr(params, self._source)!r}" if params else type(self).__name__]
        if not hasattr(self, "_deliveries"):
            return f"<{', '.join([*fields, 'not open'])}>"
        shape = getattr(params, "data_shape", self.provide_data[0].shape[1:])  # MNISTIter has no such parameter
        fields += [f"{self.count} {self._unit}", f"data_shape={shape}", f"batch_size={self.batch_size}"]
        if self._order.params.num_parts > 1:
            fields += [f"num_parts={self._order.params.num_parts}", f"part_index={self._order.params.part_index}"]
        fields += [f"epoch {self.epoch}", f"{self._position // self._stride.step} of {len(self)} batches delivered"]
        return f"<{', '.join([*fields, 'closed'] if self._closed else fields)}>"

    def _epoch(self, epoch: int) -> Epoch:
        """Return *epoch* without the records that were delivered of the current one before ``num_parts`` changed."""
        return self._order.epoch(epoch, self._deliveries if epoch == self.epoch else ())

    def _count_batches(self, epoch: int) -> int:
        return self._epoch(epoch).batches

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the epoch as plain values, which JSON keeps: seed, epoch, records delivered, fingerprint.

        The records are those of all parts, each taken to have delivered as many batches as this one. Raises
        ParameterError with ``rng=mxnet``.
        """
        self._fingerprint.check_can_save()
        with self._locked():
            before, last = self._deliveries[:-1], self._deliveries[-1]
            epoch = self._epoch(self.epoch)
            deliveries = (*before, Delivery(last.num_parts, self._position * self.batch_size))
            delivered = self._order.count - epoch.partition.count + epoch.partition.delivered(deliveries[-1].per_part)
            return state.save(self._fingerprint, self.epoch, deliveries, delivered)

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Resume where the state *saved* was taken.

        The next ``iter()`` continues that epoch, or begins the one after it if the epoch was at its end. ``num_parts``
        may differ: the rest of the epoch is then shared out among the new parts. Records that were delivered are not
        read again. Raises ParameterError or InputError for a state of other parameters or files, naming what differs.
        """
        self._check_open()
        self._fingerprint.check_can_save()
        epoch, deliveries = state.load(saved, self._fingerprint, self._parts)
        with self._lock:
            self._check_open()
            self._close_stream()
            self._begin(epoch)
            self._deliveries = deliveries or (Delivery(self._parts, 0),)
            # The part that saved the state may have had more batches than this one.
            self._position = min(math.ceil(self._deliveries[-1].per_part / self.batch_size), self._count())
            self._is_begun = self._position >= self._count()  # in the middle, the next loop must not skip the rest

    def _begin(self, epoch: int) -> None:
        super()._begin(epoch)
        self._deliveries = (Delivery(self._parts, 0),)
