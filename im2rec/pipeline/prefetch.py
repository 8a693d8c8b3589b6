"""Prefetching: batches made ahead of the consumer, on threads, in the order of the epochs.

A batch is cut into pieces, each read, decoded and written into the batch's buffer by one thread. Nothing here refers to
the iterator that is fed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from im2rec.parallel import ordered_map, pieces_wanted
from im2rec.pipeline.backends import DecodeBackend, ProcessBackend, ThreadBackend
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout, BufferSource, ReusedBuffers
from im2rec.pipeline.loader import Loader, RowProblem
from im2rec.pipeline.mxnet_order import MXNetOrder
from im2rec.pipeline.order import BatchRequest, Delivery, Order
from im2rec.pipeline.params import AUTO, MXNET, PROCESSES, THREADS, ImageRecordParams, OrderParams
from im2rec.pipeline.records import Records

FinishedBatch = tuple[BatchBuffer, list[list[RowProblem]]]  # a batch, and the problems of its rows, piece by piece
_MIB = 1 << 20
_MANY_RECORDS = 1000  # fewer are read before processes have started
_PIXELS_A_THREAD = 10_000  # of an image, for each thread: to write fewer takes too little beside what needs the lock


class Prefetcher:
    """Makes batches of rows of *row_shape* ahead. Owns its threads and processes."""

    def __init__(self, records: Records, loader: Loader, params: ImageRecordParams, row_shape: tuple[int, ...]) -> None:
        self._workers, self._ahead = params.preprocess_threads, params.prefetch_buffer
        self._pieces = pieces_wanted(self._workers, self._ahead)
        in_blocks = params.shuffle and params.shuffle_chunk_size > 0
        starts = records.block_starts(params.shuffle_chunk_size * _MIB) if in_blocks else None
        self.blocks = len(starts) - 1 if starts is not None else 0
        self.order = Order(len(records), OrderParams.of(params), starts, records.ordinals)
        self.mxnet_order = MXNetOrder(records, loader, params, self.order.params) if params.rng == MXNET else None
        self.backend = chosen_backend(params, len(records), loader)
        layout = BatchLayout((params.batch_size, *row_shape), params.data_dtype, loader.label_width)
        decode = ProcessBackend if self.backend == PROCESSES else ThreadBackend
        self._decoding: DecodeBackend = decode(loader, layout, self._workers, self._ahead)
        self.memory: BufferSource = self._decoding.memory
        if params.reuse_buffers:
            self.memory = ReusedBuffers(self.memory)

    @property
    def kernel(self) -> str:
        """The compiled decoder that is used, or ``none: `` and the reason why there is none so far."""
        return self._decoding.kernel

    def run(self, epoch: int, batch: int, deliveries: tuple[Delivery, ...]) -> Generator[FinishedBatch, None, None]:
        """Batches from *batch* of *epoch* on, of which *deliveries* were delivered before, and the epochs after it."""
        order = self.mxnet_order or self.order
        jobs = self._jobs(order.requests(epoch, batch, deliveries))
        return ordered_map(self._decoding.pool, self._decoding.load, jobs, workers=self._workers, ahead=self._ahead)

    def _jobs(self, requests: Iterable[BatchRequest]) -> Iterator[tuple[BatchBuffer, list[BatchRequest]]]:
        pieces = self._workers  # of the first batch, which is waited for
        for request in requests:
            yield self._buffer(request), request.cut(pieces)
            pieces = self._pieces

    def _buffer(self, request: BatchRequest) -> BatchBuffer:
        """A buffer for the batch; its rows without a record are zeros."""
        buffer = self.memory.lease()
        buffer.pad = request.pad
        for array in buffer.arrays:
            array[len(request.records) :] = 0
        return buffer

    def shut_down(self, *, wait: bool) -> None:
        """End threads and processes; what was not begun is cancelled."""
        self._decoding.end(wait=wait)


def chosen_backend(params: ImageRecordParams, records: int, loader: Loader) -> str:
    """THREADS or PROCESSES; ``auto`` takes processes where several work on many records.

    But it takes threads where the compiled decoder does all of the work, which needs no lock of the interpreter, and
    so much of it that threads seldom wait for one another. Two threads then gave 1.15 times as many images of
    224 x 224 as two processes, and 0.85 times as many of 112 x 112; without the decoder 1.0 and 0.8 times as many,
    and with colours changed 0.55 times as many.
    """
    if params.backend != AUTO:
        return params.backend
    if records < _MANY_RECORDS or params.preprocess_threads == 1:
        return THREADS
    _, height, width = params.shape
    is_enough = height * width >= _PIXELS_A_THREAD * params.preprocess_threads
    return THREADS if is_enough and loader.leaves_all_to_kernel else PROCESSES


def drop_bad_rows(buffer: BatchBuffer, bad: list[int], *, zeros: bool) -> None:
    """Move good rows up over *bad* ones and fill the rows that come free at the end; ``pad`` counts those as well.

    The filler repeats the batch's own good rows, or is zero.
    """
    size = len(buffer.ids)
    own = size - buffer.pad
    good = [row for row in range(size) if row not in set(bad)]
    repeated = [row for row in good if row < own]
    filler = (repeated * len(bad))[: len(bad)] if not zeros else []
    for array in buffer.arrays:
        array[: len(good) + len(filler)] = array[good + filler]
        array[len(good) + len(filler) :] = 0
    buffer.pad += sum(row < own for row in bad)
