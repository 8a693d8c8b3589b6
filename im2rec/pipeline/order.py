"""The order of records in an epoch: a pure function of (seed, epoch, part, place), without a state between batches.

So any batch of any epoch can be computed alone: a run resumes without repeating anything, and neither the number of
threads nor that of processes changes the order.

An epoch is one *sequence* of all n records: file order, or a permutation of them. It is divided among the parts
(:class:`Partition`), and each part cuts its share into batches (:class:`Epoch`). The shares of parts differ by at most
one record. A permutation of the whole is interleaved, part r taking places r, r + num_parts, ...: so any number of
parts trains on the same global order. Otherwise each part takes one run of the sequence, which is read in long reads.

An epoch that is resumed with another number of parts divides the rest of its sequence: see :class:`Delivery`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from im2rec.hashing import absorb, hash64
from im2rec.pipeline.params import DISCARD, EVEN, KEEP, ROLL_OVER, OrderParams
from im2rec.pipeline.permutation import BlockOrder, Permutation, Positions

T = TypeVar("T")
Places = npt.NDArray[Any]
# Logged on opening: a loop over no batches would end at once, without a word.
NO_BATCH = "no batch: of the %d records, this part has fewer than batch_size=%d (lower it, or set last_batch=pad)"
_STRETCH = 4096  # records that are computed together; those of one batch alone would take a third of that time
_ORDER = 0x6F72646572  # "order": keeps the hashes of the permutation apart from those of the draws


class BatchRequest(NamedTuple):
    """A request for a batch: the record of each row, and the epoch whose random numbers the row gets.

    *records* and *epochs* are lists of int, which take few bytes when a piece of the request is sent to a process. The
    last *pad* rows of the batch are filler; of those, rows from ``len(records)`` on are zeros. *plans* holds the
    augmentation plan of each row if ``rng=mxnet`` has drawn them already, else None. *first_row* is the
    row of the batch at which a piece begins.
    """

    records: list[int]
    epochs: list[int]
    pad: int = 0
    plans: Sequence[Any] | None = None
    first_row: int = 0

    def cut(self, pieces: int) -> list[BatchRequest]:
        """Cut the request into at most *pieces* pieces of :func:`piece_size` rows; the last may have fewer rows."""
        size = piece_size(len(self.records), pieces)
        return [self._piece(slice(start, start + size)) for start in range(0, len(self.records), size)]

    def _piece(self, rows: slice) -> BatchRequest:
        plans = self.plans[rows] if self.plans is not None else None
        return BatchRequest(self.records[rows], self.epochs[rows], self.pad, plans, self.first_row + rows.start)


def piece_size(rows: int, pieces: int, min_rows: int = 8) -> int:
    """Rows of a piece if *rows* are cut into *pieces* pieces of *min_rows* or more."""
    return max(min_rows, _ceil_div(rows, pieces))


class Delivery(NamedTuple):
    """The records that *num_parts* parts have delivered of an epoch: the first *per_part* of each, or all it has.

    An epoch that was resumed with other numbers of parts has several deliveries, oldest first. The parts of the first
    divided the whole sequence, those of the second the rest of it, and so on. The last delivery is that of the present
    parts.
    """

    num_parts: int
    per_part: int


class Stride(NamedTuple):
    """The batches of an epoch of one of *step* iterators that take turns: number *first*, and every *step*-th after it.

    An epoch that is begun in the middle has another first batch.
    """

    first: int = 0
    step: int = 1


ALL_BATCHES = Stride()


class Partition:
    """A sequence of *count* places divided among *num_parts* parts, interleaved or in runs.

    Places 0 to 6 among three parts are 0 3 6, 1 4, 2 5 if *interleaved*, else 0 1, 2 3, 4 5 6. If *even*, a part with a
    place less than others has another one at its end: the first such part has place 0, the next place 1, and so on, as
    in 0 3 6, 1 4 0, 2 5 1. Where there are more parts than places, it begins again with place 0.
    """

    def __init__(self, count: int, num_parts: int, *, interleaved: bool, even: bool = False) -> None:
        self.count = count
        self.num_parts = num_parts
        self._is_interleaved = interleaved
        self._is_even = even

    def bounds(self, part: int) -> tuple[int, int]:
        """Return the first place of the run of *part*, and the first place after it."""
        return self.count * part // self.num_parts, self.count * (part + 1) // self.num_parts

    def part_of(self, places: Places) -> Places:
        """Return the part whose run contains each of *places*."""
        # The inverse of bounds(): the largest part whose first place is not after the place.
        return ((places + 1) * self.num_parts - 1) // self.count

    def length(self, part: int) -> int:
        """Return the number of places of *part*."""
        return _ceil_div(self.count, self.num_parts) if self._is_even else self._own_length(part)

    def _own_length(self, part: int) -> int:
        """Return the number of places that only *part* has."""
        if self._is_interleaved:
            return _ceil_div(self.count - part, self.num_parts)
        low, high = self.bounds(part)
        return high - low

    def places(self, part: int, indices: Places) -> Places:
        """Return the places in the sequence of the elements *indices* of *part*, which are counted from 0."""
        places = indices * self.num_parts + part if self._is_interleaved else self.bounds(part)[0] + indices
        if self._is_even and (own := self._own_length(part)) < self.length(part):
            whole = self.count - (self.length(part) - 1) * self.num_parts  # parts that have all their places
            shorter = part - whole if self._is_interleaved else part * self.length(part) - self.bounds(part)[0]
            places = np.where(indices < own, places, shorter % self.count)  # *shorter* such parts come before it
        return places

    def undelivered(self, per_part: int) -> tuple[int, Callable[[Places], Places]]:
        """Return the rest of the sequence after every part has delivered its first *per_part* places.

        That is the number of places left, and a function that maps 0, 1, ... of the rest to places of the sequence, in
        the order of the sequence.
        """
        if self._is_interleaved:
            # What the parts delivered is the start of the sequence, whatever their number.
            delivered = min(self.count, per_part * self.num_parts)
            return self.count - delivered, lambda indices: indices + delivered
        bounds = [self.bounds(part) for part in range(self.num_parts)]
        starts = np.array([min(low + per_part, high) for low, high in bounds])
        counts = np.array([high for _, high in bounds]) - starts
        ends = np.cumsum(counts)

        def places(indices: Places) -> Places:
            run = np.searchsorted(ends, indices, side="right")
            rest: Places = starts[run] + indices - (ends - counts)[run]
            return rest

        return int(ends[-1]), places

    def delivered(self, per_part: int) -> int:
        """Return the number of places that all parts together have delivered, *per_part* each or all they have."""
        return sum(min(per_part, self._own_length(part)) for part in range(self.num_parts))


class Order:
    """The order of *count* records for one part, epoch by epoch.

    *starts* holds the positions at which the blocks of ``shuffle_chunk_size`` start, and *count*; None shuffles freely.
    *ordinals_of* maps positions to the ordinals that requests hold; with None they hold positions::

        for request in Order(len(records), params, None, records.ordinals).requests(epoch=0, batch=0): ...
    """

    def __init__(
        self,
        count: int,
        params: OrderParams,
        starts: Positions | None = None,
        ordinals_of: Callable[[Positions], Positions] | None = None,
    ) -> None:
        self.count = count
        self.params = params
        self._starts = starts
        self._ordinals_of = ordinals_of
        self._is_interleaved = params.shuffle and params.scope == "all"
        self._sequences: dict[tuple[int, int], Callable[[Places], Positions]] = {}

    def epoch(self, number: int, deliveries: tuple[Delivery, ...] = ()) -> Epoch:
        """Return epoch *number*, of which *deliveries* were delivered before.

        The last delivery is that of the present parts. Only the deliveries before it shorten the epoch, so that the
        batches of the present parts keep their numbers.
        """
        first_parts = deliveries[0].num_parts if deliveries else self.params.num_parts
        count, rests = self.count, []
        for delivery in deliveries[:-1]:
            partition = Partition(count, delivery.num_parts, interleaved=self._is_interleaved)
            count, rest = partition.undelivered(delivery.per_part)
            rests.append(rest)

        def sequence(epoch: int, places: Places) -> Positions:
            for rest in reversed(rests):
                places = rest(places)
            whole = _cached(self._sequences, (epoch, first_parts), lambda: self._sequence(epoch, first_parts))
            positions = whole(places)
            return self._ordinals_of(positions) if self._ordinals_of else positions

        is_even = self.params.policy == EVEN
        partition = Partition(count, self.params.num_parts, interleaved=self._is_interleaved, even=is_even)
        return Epoch(number, partition, sequence, self.params)

    def requests(
        self, epoch: int, batch: int, deliveries: tuple[Delivery, ...] = (), stride: Stride = ALL_BATCHES
    ) -> Generator[BatchRequest, None, None]:
        """Yield the requests for the batches from *batch* of *epoch* on, and those of all epochs after it, by *stride*.

        *deliveries* were delivered of *epoch* before. Ends only where no later epoch has a batch.
        """
        current = self.epoch(epoch, deliveries)
        while True:
            for number in range(batch, current.batches, stride.step):
                yield current.request(number)
            epoch, batch = epoch + 1, stride.first
            current = self.epoch(epoch)
            if stride.first >= current.most_batches:
                return

    def _sequence(self, epoch: int, num_parts: int) -> Callable[[Places], Positions]:
        """Return the function from places to positions of *epoch*, if it began with *num_parts* parts."""
        params = self.params
        if not params.shuffle:
            return lambda places: np.asarray(places, np.int64)
        # Published, so it must stay: see test_the_order_of_a_shuffled_epoch_never_changes.
        key = hash64(params.seed, epoch, _ORDER)
        if params.scope == "all":
            return self._shuffled(0, self.count, key)
        partition = Partition(self.count, num_parts, interleaved=False)
        return _joined(lambda part: self._shuffled(*partition.bounds(part), absorb(key, part)), partition)

    def _shuffled(self, low: int, high: int, key: int) -> Callable[[Places], Positions]:
        """Return an order of the positions *low* .. *high*-1, shuffled freely or by blocks."""
        if self._starts is None:
            free = Permutation(high - low, key)
            return lambda places: low + free(places)
        inner = self._starts[(self._starts > low) & (self._starts < high)]
        return BlockOrder(np.concatenate([[low], inner, [high]]), absorb(key, self.params.shuffle_chunk_seed))


def _joined(
    make_run: Callable[[int], Callable[[Places], Positions]], partition: Partition
) -> Callable[[Places], Positions]:
    """Return one sequence of the runs of all parts in turn, each of which is made when a place of it is needed."""
    runs: dict[int, Callable[[Places], Positions]] = {}

    def sequence(places: Places) -> Positions:
        places = np.asarray(places)
        positions = np.empty(len(places), np.int64)
        parts = partition.part_of(places)
        for part in np.unique(parts).tolist():
            if part not in runs:
                runs[part] = make_run(part)
            here = parts == part
            positions[here] = runs[part](places[here] - partition.bounds(part)[0])
        return positions

    return sequence


class Epoch:
    """The batches of one part in epoch *number*.

    *partition* divides the epoch's sequence among the parts; *sequence* maps an epoch and places of its sequence to
    records.
    """

    def __init__(
        self, number: int, partition: Partition, sequence: Callable[[int, Places], Positions], params: OrderParams
    ) -> None:
        self.number = number
        self.partition = partition
        self._sequence = sequence
        self._params = params
        self._length = partition.length(params.part_index)
        # Interleaved, the first part has the most places and the last the fewest; in runs it is the other way round.
        deciding = (0, partition.num_parts - 1) if params.equal_batches else (params.part_index,)
        lengths = [partition.length(part) for part in deciding]
        self._shortest, self._longest = min(lengths), max(lengths)
        self._stretches: dict[tuple[int, int], Positions] = {}

    @property
    def batches(self) -> int:
        """The number of batches of the part."""
        return batch_count(self.number, self._params, shortest=self._shortest, longest=self._longest)

    @property
    def most_batches(self) -> int:
        """The largest number of batches of this epoch and those after it, given these parts."""
        # Epochs that roll over may be shorter than a batch each while the rows of several add up to one.
        return _ceil_div(self._longest, self._params.batch_size) if self._params.policy == ROLL_OVER else self.batches

    def request(self, batch: int) -> BatchRequest:
        """Return the request for batch number *batch*, counted from 0."""
        size, length = self._params.batch_size, self._length
        if self._params.policy == ROLL_OVER:
            return self._rolled_over(batch)
        indices = np.arange(batch * size, (batch + 1) * size)
        pad = int(np.count_nonzero(indices >= length))
        if pad and (self._params.policy in (KEEP, EVEN) or length == 0):
            indices = indices[: size - pad]
        elif pad:
            indices[size - pad :] %= length
        return BatchRequest(self._records(self.number, indices).tolist(), [self.number] * len(indices), pad)

    def _rolled_over(self, batch: int) -> BatchRequest:
        """Return the request for batch number *batch* where the epochs of a part are one stream cut into batches.

        A batch belongs to the epoch of its first row. With equal_batches the epochs are equally long in every part: a
        shorter part repeats its first record at the end.
        """
        size = self._params.batch_size
        if not self._length:
            return BatchRequest([], [], size)
        # The first batch of an epoch starts at the first multiple of the batch size that is not before the epoch.
        first = (_ceil_div(self.number * self._longest, size) + batch) * size
        epochs, indices = np.divmod(np.arange(first, first + size), self._longest)
        indices %= self._length
        records = np.empty(size, np.int64)
        for epoch in np.unique(epochs):
            records[epochs == epoch] = self._records(int(epoch), indices[epochs == epoch])
        return BatchRequest(records.tolist(), epochs.tolist(), int(np.count_nonzero(epochs > self.number)))

    def _records(self, epoch: int, indices: Places) -> Positions:
        """Return the records number *indices* of the part in *epoch*."""
        records = np.empty(len(indices), np.int64)
        stretches = indices // _STRETCH
        for number in np.unique(stretches).tolist():
            here = stretches == number
            records[here] = self._stretch(epoch, number)[indices[here] - number * _STRETCH]
        return records

    def _stretch(self, epoch: int, number: int) -> Positions:
        """Return the records of stretch *number* of the part: ``_STRETCH`` of them, or the rest."""

        def compute() -> Positions:
            indices = np.arange(number * _STRETCH, min((number + 1) * _STRETCH, self._length))
            return self._sequence(epoch, self.partition.places(self._params.part_index, indices))

        return _cached(self._stretches, (epoch, number), compute)


def batch_count(epoch: int, params: OrderParams, *, shortest: int, longest: int) -> int:
    """Return the number of batches of *epoch*, the same for all parts, which have *shortest* to *longest* records."""
    size = params.batch_size
    if params.policy == ROLL_OVER:
        return _ceil_div((epoch + 1) * longest, size) - _ceil_div(epoch * longest, size)
    return shortest // size if params.policy == DISCARD else _ceil_div(longest, size)


def _cached(cache: dict[tuple[int, int], T], key: tuple[int, int], compute: Callable[[], T]) -> T:
    """Return the value of *key*, computed once; *cache* holds the last two, as a batch may reach into the next one."""
    if key not in cache:
        for old in list(cache)[:-1]:
            del cache[old]
        cache[key] = compute()
    return cache[key]


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)
