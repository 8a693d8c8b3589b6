"""The feed: batches made ahead, on threads, in the order of the epochs.

A batch is cut into pieces, each read, decoded and written into the batch's arrays by one thread. Nothing here refers to
the iterator that is fed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple

from im2rec.parallel import ordered_map, piece_size, pieces_wanted
from im2rec.pipeline.backends import Crew, Job, Place, Processes, Threads
from im2rec.pipeline.buffers import Arrays, BatchLayout
from im2rec.pipeline.loader import Flaw, Loader, Wanted
from im2rec.pipeline.mxnet_order import ReplayedRows
from im2rec.pipeline.order import Order, Split
from im2rec.pipeline.params import AUTO, MXNET, PROCESSES, THREADS, ImageRecordParams, OrderParams
from im2rec.pipeline.records import Records

_MIB = 1 << 20
_MANY_RECORDS = 1000  # fewer are read before processes have started


class Made(NamedTuple):
    """A finished batch, and what was wrong with its records, by row."""

    job: Job
    flaws: list[Flaw]


class Feed:
    """Makes batches of rows of *row_shape*. Owns its threads."""

    def __init__(self, records: Records, loader: Loader, params: ImageRecordParams, row_shape: tuple[int, ...]) -> None:
        self._records = records
        self._loader = loader
        self._params = params
        self._row_shape = row_shape
        self._spare: list[Place] = []
        in_blocks = params.shuffle and params.shuffle_chunk_size > 0
        starts = records.block_starts(params.shuffle_chunk_size * _MIB) if in_blocks else None
        self.blocks = len(starts) - 1 if starts is not None else 0
        self.order = Order(len(records), OrderParams.of(params), starts)
        self.replayed = ReplayedRows(records, loader, params) if params.rng == MXNET else None
        self.backend = chosen_backend(params, len(records))
        layout = BatchLayout((params.batch_size, *row_shape), params.data_dtype, loader.label_width)
        crew = Processes if self.backend == PROCESSES else Threads
        self._crew: Crew = crew(loader, layout, params.preprocess_threads, params.prefetch_buffer)

    def run(self, epoch: int, batch: int, splits: tuple[Split, ...]) -> Generator[Made, None, None]:
        """Batches from *batch* of *epoch* on, of which *splits* were delivered before, and the epochs behind it."""
        jobs = self._jobs(epoch, batch, splits)
        workers, ahead = self._params.preprocess_threads, self._params.prefetch_buffer
        finished = ordered_map(self._crew.pool, self._crew.load, jobs, workers=workers, ahead=ahead)
        try:
            yield from map(_made, finished)  # a loop's variable would hold a batch while the next is waited for
        finally:
            finished.close()

    def _jobs(self, epoch: int, batch: int, splits: tuple[Split, ...]) -> Iterator[tuple[Job, list[Wanted]]]:
        rows = self.replayed.rows(epoch, batch) if self.replayed else self._rows(epoch, batch, splits)
        workers = self._params.preprocess_threads
        pieces = workers  # of the first batch, which is waited for
        for wanted, pad in rows:
            filled = len(wanted.ordinals)
            yield Job(self._place(filled), pad), wanted.cut(piece_size(filled, pieces))
            pieces = pieces_wanted(workers, self._params.prefetch_buffer)

    def _rows(self, epoch: int, batch: int, splits: tuple[Split, ...]) -> Iterator[tuple[Wanted, int]]:
        """The records of each batch from *batch* of *epoch* on, without end, and the filler rows at its end."""
        for positions, epochs, pad in self.order.rows(epoch, batch, splits):
            ordinals = self._records.ordinals(positions).tolist()
            yield Wanted(0, ordinals, epochs.tolist(), [None] * len(ordinals)), pad

    def _place(self, filled: int) -> Place:
        """A place for a batch; rows from *filled* on are zero."""
        place = self._spare.pop() if self._spare else self._crew.place()
        for array in place.arrays:
            array[filled:] = 0
        return place

    def taken(self, made: Made) -> Arrays:
        """The arrays of a batch that goes to the caller, to keep."""
        return self._crew.given_away(made.job.place)

    def take_back(self, made: Made | None) -> None:
        """Use the place of *made* again for a later batch."""
        if made is not None:
            self._spare.append(made.job.place)

    def shut_down(self, *, wait: bool) -> None:
        """End threads and processes; what was not begun is cancelled."""
        self._crew.end(wait=wait)


def _made(finished: tuple[Job, list[list[Flaw]]]) -> Made:
    job, flaws = finished
    return Made(job, [flaw for piece in flaws for flaw in piece])


def chosen_backend(params: ImageRecordParams, records: int) -> str:
    """THREADS or PROCESSES; ``auto`` takes processes where several work on many records.

    Two processes gave 1.05 to 1.2 times as many pictures of 224 x 224 as two threads, and 1.4 times as many of
    112 x 112.
    """
    if params.backend != AUTO:
        return params.backend
    return PROCESSES if records >= _MANY_RECORDS and params.preprocess_threads > 1 else THREADS


def close_up(made: Made, bad: list[int], *, zeros: bool) -> int:
    """Move good rows up over *bad* ones and fill the rows that come free behind them; how many more are filler now.

    The filler repeats the batch's own good rows, or is zero.
    """
    if not bad:
        return 0
    (_, arrays), pad = made.job
    size = len(arrays.ids)
    good = [row for row in range(size) if row not in set(bad)]
    own = [row for row in good if row < size - pad]
    filler = (own * len(bad))[: len(bad)] if not zeros else []
    for array in arrays:
        array[: len(good) + len(filler)] = array[good + filler]
        array[len(good) + len(filler) :] = 0
    return sum(row < size - pad for row in bad)
