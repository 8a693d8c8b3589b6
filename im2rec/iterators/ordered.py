"""Iterators whose batches follow from an :class:`~im2rec.pipeline.order.Order`: parts, and going on elsewhere."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from im2rec.iterators.base import BatchIterator
from im2rec.iterators.shared_params import OrderParams
from im2rec.params import from_mapping
from im2rec.pipeline import state
from im2rec.pipeline.order import Epoch, Order, Split

P = TypeVar("P")
T = TypeVar("T")


class OrderedIterator(BatchIterator[T]):
    """An iterator over an *order* of records; *fingerprint* is of all that decides what its batches are."""

    def __init__(self, params: OrderParams, order: Order, fingerprint: state.Fingerprint) -> None:
        super().__init__(params.batch_size)
        self._order = order
        self._fingerprint = fingerprint
        self._parts = params.num_parts
        self._splits: tuple[Split, ...] = (Split(self._parts, 0),)

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
        splits = (*before, Split(last.parts, self._done * self.batch_size))
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
        self._splits = splits or (Split(self._parts, 0),)
        self._done = min(math.ceil(self._splits[-1].delivered / self.batch_size), len(self))
        self._touched = self._done >= len(self)

    def _begin(self, epoch: int, done: int) -> None:
        super()._begin(epoch, done)
        self._splits = (Split(self._parts, 0),)
