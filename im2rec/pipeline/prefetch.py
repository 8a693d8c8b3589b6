"""Prefetching: batches made ahead of the consumer, in parallel, in the order of the epochs.

A batch is cut into pieces; a worker (a thread or a process) reads and decodes the records of one and writes them into
the batch's buffer. Nothing here refers to the iterator: an iterator that is dropped without ``close()`` is garbage at
once, and its threads end with it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from im2rec.parallel import ordered_map, pieces_per_job
from im2rec.pipeline.backends import DecodeBackend, ProcessBackend, ThreadBackend
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout, BufferSource, ReusedBuffers
from im2rec.pipeline.loader import Loader, RowProblem
from im2rec.pipeline.mxnet_order import MXNetOrder
from im2rec.pipeline.order import ALL_BATCHES, BatchRequest, Delivery, Order, Stride
from im2rec.pipeline.params import AUTO, MXNET, PROCESSES, THREADS, ImageRecordParams, OrderParams
from im2rec.pipeline.records import Records

FinishedBatch = tuple[BatchBuffer, list[list[RowProblem]]]  # a batch, and the problems of its rows, piece by piece
_MIB = 1 << 20
_MIN_RECORDS_FOR_PROCESSES = 1000  # threads have read fewer before processes have started
_MIN_PIXELS_PER_THREAD = 10_000  # of an image: with fewer, the work that needs the GIL takes too large a share


class Prefetcher:
    """Makes batches of rows of *row_shape* ahead of the consumer; owns the threads and processes that do.

    ::

        for buffer, problems in prefetcher.run(epoch, batch, deliveries):
            data, label, ids = prefetcher.buffers.deliver(buffer)
    """

    def __init__(self, records: Records, loader: Loader, params: ImageRecordParams, row_shape: tuple[int, ...]) -> None:
        self._workers, self._ahead = params.preprocess_threads, params.prefetch_buffer
        self._pieces = pieces_per_job(self._workers, self._ahead)
        in_blocks = params.shuffle and params.shuffle_chunk_size > 0
        starts = records.block_starts(params.shuffle_chunk_size * _MIB) if in_blocks else None
        self.blocks = len(starts) - 1 if starts is not None else 0
        self.order = Order(len(records), OrderParams.of(params), starts, records.ordinals)
        self.mxnet_order = MXNetOrder(records, loader, params, self.order.params) if params.rng == MXNET else None
        self.backend = choose_backend(params, len(records), loader)
        layout = BatchLayout((params.batch_size, *row_shape), params.data_dtype, loader.label_width)
        make_backend = ProcessBackend if self.backend == PROCESSES else ThreadBackend
        self._decoding: DecodeBackend = make_backend(loader, layout, self._workers, self._ahead)
        self.buffers: BufferSource = self._decoding.buffers
        if params.reuse_buffers:
            self.buffers = ReusedBuffers(self._decoding.buffers)

    @property
    def kernel(self) -> str:
        """The compiled JPEG decoder that is used, or ``none: `` and the reason why there is none so far."""
        return self._decoding.kernel

    def run(
        self, epoch: int, batch: int, deliveries: tuple[Delivery, ...], stride: Stride = ALL_BATCHES
    ) -> Generator[FinishedBatch, None, None]:
        """Yield the batches from *batch* of *epoch* on, without its earlier *deliveries*, and those of later epochs.

        Only every ``stride.step``-th batch is made; see :meth:`Order.requests`.

        An error that is not about one record (MemoryError, for example) is raised in place of its batch. Closing the
        generator cancels the pieces that have not begun, and does not wait for those in work.
        """
        order = self.mxnet_order or self.order
        jobs = self._jobs(order.requests(epoch, batch, deliveries, stride))
        return ordered_map(self._decoding.threads, self._decoding.load, jobs, ahead=self._ahead)

    def _jobs(self, requests: Iterable[BatchRequest]) -> Iterator[tuple[BatchBuffer, list[BatchRequest]]]:
        pieces = self._workers  # the consumer waits for the first batch: all workers share it
        for request in requests:
            yield self._lease_for(request), request.cut(pieces)
            pieces = self._pieces  # later ones are made side by side, in as few pieces as keep all workers busy

    def _lease_for(self, request: BatchRequest) -> BatchBuffer:
        """Return a buffer for the batch; its rows without a record are zeros."""
        buffer = self.buffers.lease()
        buffer.pad = request.pad
        for array in buffer.arrays:
            array[len(request.records) :] = 0  # last_batch=keep: the memory holds an earlier batch
        return buffer

    def shut_down(self, *, wait: bool) -> None:
        """Cancel the pieces that have not begun, and end threads and processes; *wait* until the threads have ended.

        Do not wait where the calling thread may be one of them: the finalizer of an iterator runs in any thread.
        """
        self._decoding.shut_down(wait=wait)


def choose_backend(params: ImageRecordParams, records: int, loader: Loader) -> str:
    """Return THREADS or PROCESSES for *params*; ``auto`` takes processes where several workers share many *records*.

    It takes threads all the same where the compiled JPEG decoder, which does not hold the GIL, does all of the work,
    and images are so large that threads seldom wait for one another. Two threads then gave 1.15 times as many images of
    224 x 224 as two processes, and 0.85 times as many of 112 x 112; without the decoder 1.0 and 0.8 times as many, and
    with colours changed 0.55 times as many.
    """
    if params.backend != AUTO:
        return params.backend
    if records < _MIN_RECORDS_FOR_PROCESSES or params.preprocess_threads == 1:
        return THREADS
    _, height, width = params.shape
    is_large = height * width >= _MIN_PIXELS_PER_THREAD * params.preprocess_threads
    return THREADS if is_large and loader.has_kernel_for_all_steps else PROCESSES


def drop_bad_rows(buffer: BatchBuffer, bad: list[int], *, zeros: bool) -> None:
    """Move good rows up over the *bad* ones and fill the rows freed at the end; ``pad`` counts those as well.

    They are filled with *zeros*, or by repeating the batch's good rows that are not filler, if there are any.
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


def replace_bad_rows(buffer: BatchBuffer, bad: list[int]) -> None:
    """Repeat good rows in place of the *bad* ones, for batches that must be equally large in all parts.

    ``pad`` stays as it is; if no row is good, all rows are zeros and count as filler.
    """
    own = len(buffer.ids) - buffer.pad
    good = sorted({*range(own)} - {*bad})
    if not good:
        buffer.pad = len(buffer.ids)
    for array in buffer.arrays:
        array[bad] = array[[good[number % len(good)] for number in range(len(bad))]] if good else 0
