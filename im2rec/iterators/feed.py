"""The feed: batches made ahead, on threads, in the order of the epochs.

A batch is cut into pieces, each read, decoded and written into the batch's arrays by one thread. Nothing here refers to
the iterator that is fed.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Generator, Iterator
from itertools import count
from typing import NamedTuple

from im2rec.iterators.loader import Arrays, Flaw, Loader, Wanted, new_arrays
from im2rec.iterators.memory import MemoryPool
from im2rec.iterators.order import Order, Split
from im2rec.iterators.params import MXNET, ImageRecordParams
from im2rec.iterators.pipeline import in_order, pieces_of
from im2rec.iterators.records import Records
from im2rec.iterators.replayed_rows import ReplayedRows

_MIB = 1 << 20


class Made(NamedTuple):
    """The arrays of a batch, the number of filler rows at its end, and what was wrong with its records, by row."""

    arrays: Arrays
    pad: int
    flaws: list[Flaw]


class Feed:
    """Makes batches of rows of *row_shape*. Owns its threads."""

    def __init__(self, records: Records, loader: Loader, params: ImageRecordParams, row_shape: tuple[int, ...]) -> None:
        self._records = records
        self._loader = loader
        self._params = params
        self._row_shape = row_shape
        self._spare: list[Arrays] = []
        self._memory = MemoryPool(params.prefetch_buffer + 2)
        in_blocks = params.shuffle and params.shuffle_chunk_size > 0
        starts = records.block_starts(params.shuffle_chunk_size * _MIB) if in_blocks else None
        self.blocks = len(starts) - 1 if starts is not None else 0
        self.order = Order(len(records), params, starts)
        self.replayed = ReplayedRows(records, loader, params) if params.rng == MXNET else None
        self._pool = concurrent.futures.ThreadPoolExecutor(params.preprocess_threads, "im2rec-decode")

    def run(self, epoch: int, batch: int, splits: tuple[Split, ...]) -> Generator[Made, None, None]:
        """Batches from *batch* of *epoch* on, of which *splits* were delivered before, and the epochs behind it."""
        finished = in_order(
            self._pool, self._load, self._jobs(epoch, batch, splits), ahead=self._params.prefetch_buffer
        )
        try:
            for (arrays, pad), flaws in finished:
                yield Made(arrays, pad, [flaw for piece in flaws for flaw in piece])
        finally:
            finished.close()

    def _load(self, job: tuple[Arrays, int], piece: list[Wanted]) -> list[Flaw]:
        return self._loader.load(job[0], piece)

    def _jobs(
        self, epoch: int, batch: int, splits: tuple[Split, ...]
    ) -> Iterator[tuple[tuple[Arrays, int], list[list[Wanted]]]]:
        rows = self.replayed.rows(epoch, batch) if self.replayed else self._rows(epoch, batch, splits)
        for wanted, pad in rows:
            yield (self._arrays(len(wanted)), pad), pieces_of(wanted, self._params.preprocess_threads)

    def _rows(self, epoch: int, batch: int, splits: tuple[Split, ...]) -> Iterator[tuple[list[Wanted], int]]:
        """The records of each batch from *batch* of *epoch* on, without end, and the filler rows at its end."""
        current = self.order.epoch(epoch, splits)
        while True:
            for number in range(batch, current.batches):
                positions, epochs, pad = current.rows(number)
                ordinals = self._records.ordinals(positions).tolist()
                yield [Wanted(*want) for want in zip(count(), ordinals, epochs.tolist())], pad
            epoch, batch = epoch + 1, 0
            current = self.order.epoch(epoch)
            if current.empty_for_ever:
                return

    def _arrays(self, filled: int) -> Arrays:
        """Arrays for a batch; rows from *filled* on are zero."""
        params = self._params
        if self._spare:
            arrays = self._spare.pop()
        else:
            data = self._memory.empty((params.batch_size, *self._row_shape), params.dtype or "float32")
            arrays = new_arrays(params.batch_size, self._loader.label_width, data)
        for array in arrays:
            array[filled:] = 0
        return arrays

    def take_back(self, arrays: Arrays | None) -> None:
        """Use *arrays* again for a later batch."""
        if arrays is not None:
            self._spare.append(arrays)

    def shut_down(self, *, wait: bool) -> None:
        """End the threads; what was not begun is cancelled."""
        self._pool.shutdown(wait=wait, cancel_futures=True)


def close_up(made: Made, bad: list[int], *, zeros: bool) -> int:
    """Move good rows up over *bad* ones and fill the rows that come free behind them; how many more are filler now.

    The filler repeats the batch's own good rows, or is zero.
    """
    if not bad:
        return 0
    size = len(made.arrays.ids)
    good = [row for row in range(size) if row not in set(bad)]
    own = [row for row in good if row < size - made.pad]
    filler = (own * len(bad))[: len(bad)] if not zeros else []
    for array in made.arrays:
        array[: len(good) + len(filler)] = array[good + filler]
        array[len(good) + len(filler) :] = 0
    return sum(row < size - made.pad for row in bad)
