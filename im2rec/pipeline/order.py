"""Which record comes next: a pure function of (seed, epoch, part, place), with nothing to carry from batch to batch.

An epoch is one *sequence* of all n records: file order, or a permutation of them. Parts share it out: a permutation of
the whole in turns (part r takes places r, r + parts, ...), all else in runs that lie together. Shares differ by at most
one record. A part cuts its share into batches.

An epoch that goes on with another number of parts shares out what is left: see :class:`Partition`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from im2rec.hashing import absorb, hash64
from im2rec.pipeline.params import DISCARD, KEEP, ROLL_OVER, OrderParams
from im2rec.pipeline.permutation import BlockOrder, Permutation, Positions

T = TypeVar("T")
Places = npt.NDArray[Any]
_AT_ONCE = 4096  # places whose records are computed together: a batch of them would take a third as long
_ORDER = 0x6F72646572  # "order": keeps the permutation's hashes apart from those of the draws


class BatchRequest(NamedTuple):
    """A request for a batch: the record of each row, and the epoch whose random numbers the row gets.

    *records* are numbers of records, as lists: a piece of a request is sent to another process, in few bytes. The last
    *pad* rows of the batch are filler; of those, rows from ``len(records)`` on are zeros. *plans* are those of the
    augmenter for rows whose random numbers were drawn already, and None for others. *first_row* is the row that a piece
    begins at.
    """

    records: list[int]
    epochs: list[int]
    pad: int = 0
    plans: Sequence[Any] | None = None
    first_row: int = 0

    def cut(self, pieces: int) -> list[BatchRequest]:
        """The same in so many *pieces* or fewer, of :func:`piece_size` rows; the last may have fewer."""
        size = piece_size(len(self.records), pieces)
        return [self._piece(slice(start, start + size)) for start in range(0, len(self.records), size)]

    def _piece(self, rows: slice) -> BatchRequest:
        plans = self.plans[rows] if self.plans is not None else None
        return BatchRequest(self.records[rows], self.epochs[rows], self.pad, plans, self.first_row + rows.start)


def piece_size(rows: int, pieces: int, least: int = 8) -> int:
    """Rows of a piece when *rows* are cut into so many *pieces*; *least* or more."""
    return max(least, -(-rows // pieces))


class Delivery(NamedTuple):
    """That *parts* parts shared a sequence, and each has delivered its first *delivered* records (or all)."""

    parts: int
    delivered: int


class Partition:
    """How a sequence of *count* places is shared by *parts* parts: in *turns*, or in runs."""

    def __init__(self, count: int, parts: int, *, turns: bool) -> None:
        self.count = count
        self.parts = parts
        self._turns = turns

    def bounds(self, part: int) -> tuple[int, int]:
        """Where the run of *part* begins and ends."""
        return self.count * part // self.parts, self.count * (part + 1) // self.parts

    def part_of(self, places: Places) -> Places:
        """The part whose run each of *places* is in."""
        return ((places + 1) * self.parts - 1) // max(1, self.count)

    def length(self, part: int) -> int:
        """How many places *part* has."""
        if self._turns:
            return max(0, -(-(self.count - part) // self.parts))
        low, high = self.bounds(part)
        return high - low

    def place(self, part: int, index: Places) -> Places:
        """The places in the sequence of a part's own places *index*."""
        return index * self.parts + part if self._turns else self.bounds(part)[0] + index

    def left(self, delivered: int) -> tuple[int, Callable[[Places], Places]]:
        """What is left when every part has delivered its first *delivered*: how many, and where each of them is."""
        if self._turns:
            gone = min(self.count, delivered * self.parts)
            return self.count - gone, lambda index: index + gone
        bounds = [self.bounds(part) for part in range(self.parts)]
        starts = np.array([min(low + delivered, high) for low, high in bounds])
        counts = np.array([high for _, high in bounds]) - starts
        ends = np.cumsum(counts)

        def place(index: Places) -> Places:
            run = np.searchsorted(ends, index, side="right")
            places: Places = starts[run] + index - (ends - counts)[run]
            return places

        return int(ends[-1]), place

    def delivered_in_all(self, delivered: int) -> int:
        """How many places all parts together have delivered."""
        return sum(min(delivered, self.length(part)) for part in range(self.parts))


class Order:
    """The order of *count* records for one part, epoch by epoch.

    *starts* are the first records of the blocks of ``shuffle_chunk_size``, and *count*; None shuffles freely. *numbers*
    gives the numbers by which records at positions 0 .. *count*-1 are asked for; None asks for them by position.
    """

    def __init__(
        self,
        count: int,
        params: OrderParams,
        starts: Positions | None = None,
        numbers: Callable[[Positions], Positions] | None = None,
    ) -> None:
        self.count = count
        self.params = params
        self._starts = starts
        self._numbers = numbers
        self._turns = params.shuffle and params.scope == "all"
        self._kept: dict[tuple[int, int], Callable[[Places], Positions]] = {}

    def epoch(self, number: int, splits: tuple[Delivery, ...] = ()) -> Epoch:
        """Epoch *number*, of which *splits* were delivered before; the last of them is in this number of parts."""
        parts = splits[0].parts if splits else self.params.num_parts
        count, chain = self.count, []
        for split in splits[:-1]:
            count, left = Partition(count, split.parts, turns=self._turns).left(split.delivered)
            chain.append(left)

        def sequence(epoch: int, places: Places) -> Positions:
            for left in reversed(chain):
                places = left(places)
            kept = _kept(self._kept, (epoch, parts), lambda: self._sequence(epoch, parts))  # every batch asks for it
            positions = kept(places)
            return self._numbers(positions) if self._numbers else positions

        return Epoch(number, Partition(count, self.params.num_parts, turns=self._turns), sequence, self.params)

    def requests(
        self, epoch: int, batch: int, splits: tuple[Delivery, ...] = ()
    ) -> Generator[BatchRequest, None, None]:
        """The requests for the batches from *batch* of *epoch* on, of which *splits* were delivered; without end."""
        current = self.epoch(epoch, splits)
        while True:
            for number in range(batch, current.batches):
                yield current.request(number)
            epoch, batch = epoch + 1, 0
            current = self.epoch(epoch)
            if current.empty_for_ever:
                return

    def _sequence(self, epoch: int, parts: int) -> Callable[[Places], Positions]:
        """All records in the order of *epoch*, when it began with so many *parts*."""
        params = self.params
        if not params.shuffle:
            return lambda places: np.asarray(places, np.int64)
        key = hash64(params.seed, epoch, _ORDER)
        if params.scope == "all":
            return self._shuffled(0, self.count, key)
        sharing = Partition(self.count, parts, turns=False)
        return _in_runs(lambda part: self._shuffled(*sharing.bounds(part), absorb(key, part)), sharing)

    def _shuffled(self, low: int, high: int, key: int) -> Callable[[Places], Positions]:
        """Records *low* .. *high*-1 shuffled, freely or by blocks."""
        if self._starts is None:
            free = Permutation(high - low, key)
            return lambda places: low + free(places)
        inner = self._starts[(self._starts > low) & (self._starts < high)]
        return BlockOrder(np.concatenate([[low], inner, [high]]), absorb(key, self.params.shuffle_chunk_seed))


def _in_runs(run: Callable[[int], Callable[[Places], Positions]], sharing: Partition) -> Callable[[Places], Positions]:
    """One sequence of several runs, which lie behind each other as *sharing* says; each is made when it is needed."""
    made: dict[int, Callable[[Places], Positions]] = {}

    def sequence(places: Places) -> Positions:
        places = np.asarray(places)
        positions = np.empty(len(places), np.int64)
        part = sharing.part_of(places)
        for number in np.unique(part).tolist():
            if number not in made:
                made[number] = run(number)
            here = part == number
            positions[here] = made[number](places[here] - sharing.bounds(number)[0])
        return positions

    return sequence


class Epoch:
    """The batches of one part in epoch *number*; *sequence* gives the records at places of an epoch."""

    def __init__(
        self, number: int, sharing: Partition, sequence: Callable[[int, Places], Positions], params: OrderParams
    ) -> None:
        self.number = number
        self.sharing = sharing
        self._sequence = sequence
        self._params = params
        self._length = sharing.length(params.part_index)
        # Of all parts the first and the last have the most places and the fewest.
        decide = (0, sharing.parts - 1) if params.equal_batches else (params.part_index,)
        lengths = [sharing.length(part) for part in decide]
        self._shortest, self._longest = min(lengths), max(lengths)
        self._pieces: dict[tuple[int, int], Positions] = {}

    @property
    def batches(self) -> int:
        """How many batches the part gives."""
        return batches_of(self.number, self._params, shortest=self._shortest, longest=self._longest)

    @property
    def empty_for_ever(self) -> bool:
        """Whether neither this epoch nor any behind it has a batch, if it began with these parts."""
        return not self.batches and not (self._params.policy == ROLL_OVER and self._longest)

    def request(self, batch: int) -> BatchRequest:
        """Return the request for batch number *batch*, counted from 0."""
        size, length = self._params.batch_size, self._length
        if self._params.policy == ROLL_OVER:
            return self._rolled_over(batch)
        index = np.arange(batch * size, (batch + 1) * size)
        pad = int(np.count_nonzero(index >= length))
        if pad and (self._params.policy == KEEP or length == 0):
            index = index[: size - pad]
        elif pad:
            index[size - pad :] = (index[size - pad :] - length) % length
        return BatchRequest(self._records(self.number, index).tolist(), [self.number] * len(index), pad)

    def _rolled_over(self, batch: int) -> BatchRequest:
        """Return the request for batch number *batch* where epochs follow each other without a gap.

        With equal_batches they are as long in every part: a shorter one repeats its first record at the end.
        """
        size = self._params.batch_size
        if not self._length:
            return BatchRequest([], [], size)
        first = (_ceil(self.number * self._longest, size) + batch) * size
        epochs, index = np.divmod(np.arange(first, first + size), self._longest)
        index %= self._length
        positions = np.empty(size, np.int64)
        for epoch in np.unique(epochs):
            positions[epochs == epoch] = self._records(int(epoch), index[epochs == epoch])
        return BatchRequest(positions.tolist(), epochs.tolist(), int(np.count_nonzero(epochs > self.number)))

    def _records(self, epoch: int, index: Places) -> Positions:
        """The records at the part's own places *index*."""
        positions = np.empty(len(index), np.int64)
        piece = index // _AT_ONCE
        for number in np.unique(piece).tolist():
            here = piece == number
            positions[here] = self._piece(epoch, number)[index[here] - number * _AT_ONCE]
        return positions

    def _piece(self, epoch: int, number: int) -> Positions:
        """The records at ``_AT_ONCE`` of the part's own places; the last two pieces are kept."""

        def piece() -> Positions:
            own = np.arange(number * _AT_ONCE, min((number + 1) * _AT_ONCE, self._length))
            return self._sequence(epoch, self.sharing.place(self._params.part_index, own))

        return _kept(self._pieces, (epoch, number), piece)

    def delivered(self, batches: int) -> int:
        """How many of its places the part has delivered after so many *batches*."""
        return min(batches * self._params.batch_size, self._length)


def batches_of(epoch: int, params: OrderParams, *, shortest: int, longest: int) -> int:
    """How many batches *epoch* has, of parts from *shortest* to *longest* records that give equally many."""
    size = params.batch_size
    if params.policy == ROLL_OVER:
        return _ceil((epoch + 1) * longest, size) - _ceil(epoch * longest, size)
    return shortest // size if params.policy == DISCARD else _ceil(longest, size)


def _kept(cache: dict[tuple[int, int], T], key: tuple[int, int], make: Callable[[], T]) -> T:
    """What *make* gives for *key*; the last two are kept, as neighbours ask for the same."""
    if key not in cache:
        for old in list(cache)[:-1]:
            del cache[old]
        cache[key] = make()
    return cache[key]


def _ceil(number: int, by: int) -> int:
    return -(-number // by)
