"""MXNet's own order of records, and the order in which it draws their random numbers (``rng=mxnet``).

With an index a part is a run of records, permuted as a whole, and a *chunk* is what completes one batch. Without one a
part is a run of bytes, read in chunks of 8 MiB, and only the records inside a chunk are permuted. The numbers of a
chunk are drawn before any of its records leaves: with an index in the order of leaving, without one in file order.

Every number follows from all that were drawn before it. So rows are planned in one place, in MXNet's order, from the
image sizes in the headers; decoding is left to any number of threads.

Source: MXNet 1.9.1 as observed with one decode worker; its parts are src/io/iter_image_recordio_2.cc and, in dmlc-core
src/io, indexed_recordio_split.cc and input_split_base.cc.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.augment.augmenter import AugmentationPlan
from im2rec.augment.geometry import Size
from im2rec.augment.mxnet_draws import Mersenne, MersenneDraws
from im2rec.errors import BadRecordError, ImageError
from im2rec.images.codec import AS_STORED, COLOR, image_info, is_transposed
from im2rec.pipeline.loader import Loader
from im2rec.pipeline.order import BatchRequest, Delivery, batches_of
from im2rec.pipeline.params import DISCARD, ROLL_OVER, ImageRecordParams, OrderParams
from im2rec.pipeline.records import Records

WORKER_SEED = 111  # of the first decode worker, and added to ``seed_aug``
_ORDER_SEED = 111  # added to ``seed``
_PIECES_SEED = 666  # added to ``shuffle_chunk_seed`` and others
_CHUNK_WORDS = 1 << 21  # 8 MiB; no parameter changes it
_WORD_BYTES = 4
_HEAD_BYTES = 8
_MIB = 1 << 20

Ordinals = npt.NDArray[np.int64]


class DrawChunk(NamedTuple):
    """Records whose random numbers are drawn together.

    ``ordinals`` are the records in the order of drawing. ``rows`` are their numbers for ``seed_aug``: before a record
    is drawn for, the generator starts again from ``WORKER_SEED + seed_aug + row``. ``output`` are places in
    ``ordinals``, in the order in which the records leave.
    """

    ordinals: Ordinals
    rows: Ordinals
    output: Ordinals


DrawFunction = Callable[[DrawChunk], Sequence[Any]]


class MXNetEpochs:
    """The epochs of one part, in MXNet's order; *indexed* when ``path_imgidx`` was given.

    *offsets* say where each record starts, in bytes from the start of the first file: several files count as one stream
    of *total_bytes*. Ordinals count the records of the stream. *draw* makes the plans of a chunk, one for each of its
    ``ordinals``; it is called for every chunk, in order.
    """

    def __init__(
        self, offsets: Ordinals, total_bytes: int, params: OrderParams, draw: DrawFunction, *, indexed: bool
    ) -> None:
        self._passes = _IndexedPasses(offsets, params) if indexed else _StreamedPasses(offsets, total_bytes, params)
        self._batch_size = params.batch_size
        self._round_batch = params.policy == ROLL_OVER
        self._draw = draw
        self._rows: deque[tuple[int, Any]] = deque()  # ordinals and plans that were drawn, and are in no batch yet
        self._rolled_over = False
        self._begun = 0  # epochs

    def epoch(self) -> Iterator[BatchRequest]:
        """The batches of the next epoch, by ordinals; there may be none.

        The last ``pad`` rows belong to the next pass; without round_batch the last batch of a pass has fewer rows.

        With round_batch an epoch goes on behind the rows that completed the last batch of the epoch before, so that the
        number of batches varies. Where none were needed, and without round_batch, it starts a new pass.

        An epoch that is not used up drops the rest of its pass, where MXNet's outcome depends on its threads. A batch
        that takes more than one pass to complete, an error in MXNet, takes as many as it needs.
        """
        if not self._rolled_over:
            self._rows.clear()
            self._passes.rewind()
        self._rolled_over = False
        number, self._begun = self._begun, self._begun + 1
        while not self._rolled_over and (batch := self._batch(number)):
            yield batch

    def _batch(self, epoch: int) -> BatchRequest | None:
        """The next batch; None when the pass has no row left for it."""
        size, pad = self._batch_size, 0
        taken: list[tuple[int, Any]] = []
        while len(taken) < size:
            if not self._rows and not self._load(len(taken)):
                if not (taken and self._round_batch):
                    break
                pad = pad or size - len(taken)
                self._rolled_over = True
                self._passes.rewind()
            taken += [self._rows.popleft() for _ in range(min(len(self._rows), size - len(taken)))]
        if not taken:
            return None
        ordinals, plans = map(list, zip(*taken, strict=True))
        return BatchRequest(ordinals, [epoch] * len(taken), pad, plans)

    def _load(self, filled: int) -> bool:
        """Draw for the next chunk; False at the end of the pass."""
        chunk = self._passes.chunk(filled)
        if chunk is not None:
            plans = self._draw(chunk)
            self._rows.extend((int(chunk.ordinals[place]), plans[place]) for place in chunk.output.tolist())
        return chunk is not None


class _IndexedPasses:
    """Passes over one part with an index: each is a permutation, a chunk has the records that a batch wants.

    Source: dmlc-core src/io/indexed_recordio_split.cc, ``IndexedRecordIOSplitter::NextBatchEx``.
    """

    def __init__(self, offsets: Ordinals, params: OrderParams) -> None:
        self._part = part_by_count(len(offsets), params.num_parts, params.part_index)
        self._batch_size = params.batch_size
        self._mersenne = Mersenne(_ORDER_SEED + params.seed) if params.shuffle else None
        self._order = np.empty(0, np.int64)
        self._next = 0
        self._owed = 0

    def rewind(self) -> None:
        """Start the next pass."""
        order = list(self._part)
        if self._mersenne:
            self._mersenne.shuffle(order)
        self._order, self._next = np.array(order, np.int64), 0

    def chunk(self, filled: int) -> DrawChunk | None:
        """The next chunk of the pass, for a batch that has *filled* rows; None at the end."""
        # What the last chunk of a pass falls short of a batch, the first of the next pass has: right where batches are
        # completed across passes. Where they are not, chunks and batches part here, and rows reach batch_size and more.
        wanted = self._owed or self._batch_size
        ordinals = self._order[self._next : self._next + wanted]
        if not len(ordinals):
            return None
        self._next += len(ordinals)
        self._owed = wanted - len(ordinals)
        places = np.arange(len(ordinals), dtype=np.int64)
        return DrawChunk(ordinals, filled + places, places)


class _StreamedPasses:
    """Passes over one part without an index: runs of bytes, in random order if there are several.

    A chunk has what fits into 8 MiB of a run. ``shuffle_chunk_size`` reorders without ``shuffle`` too.

    Source: dmlc-core include/dmlc/input_split_shuffle.h; the number of runs is iter_image_recordio_2.cc's.
    """

    def __init__(self, offsets: Ordinals, total_bytes: int, params: OrderParams) -> None:
        parts, size = params.num_parts, params.shuffle_chunk_size
        pieces = max(1, math.ceil(total_bytes * 1.1 / (parts * size * _MIB))) if size else 1
        # What is cut: pieces of parts. The pieces of a part lie together, but not always where the part lies.
        self._pieces = [
            chunks_by_bytes(offsets, total_bytes, part_by_bytes(offsets, total_bytes, parts * pieces, piece))
            for piece in range(params.part_index * pieces, (params.part_index + 1) * pieces)
        ]
        self._piece_order = list(range(pieces))
        self._pieces_mersenne = Mersenne(_PIECES_SEED + params.part_index + parts + pieces + params.shuffle_chunk_seed)
        self._mersenne = Mersenne(_ORDER_SEED + params.seed) if params.shuffle else None
        self._batch_size = params.batch_size
        self._chunks: Iterator[range] = iter(())

    def rewind(self) -> None:
        """Start the next pass."""
        self._pieces_mersenne.shuffle(self._piece_order)  # the order of the pass before, shuffled again
        self._chunks = (chunk for piece in self._piece_order for chunk in self._pieces[piece])

    def chunk(self, filled: int) -> DrawChunk | None:
        """The next chunk of the pass, for a batch that has *filled* rows; None at the end."""
        records = next(self._chunks, None)
        if records is None:
            return None
        output = list(range(len(records)))
        if self._mersenne:
            self._mersenne.shuffle(output)
        # A shuffled chunk goes through a store, whose places count as lying behind the batch.
        first = self._batch_size if self._mersenne else filled
        places = np.arange(len(records), dtype=np.int64)
        return DrawChunk(records.start + places, first + places, np.array(output, np.int64))


def part_by_count(count: int, num_parts: int, part_index: int) -> range:
    """The records of a part with an index: early parts have one more, late ones may have none.

    Source: dmlc-core src/io/indexed_recordio_split.cc, ``IndexedRecordIOSplitter::ResetPartition``.
    """
    step = -(-count // num_parts)
    return range(min(part_index * step, count), min((part_index + 1) * step, count))


def part_by_bytes(offsets: Ordinals, total_bytes: int, num_parts: int, part_index: int) -> range:
    """The records of a part without an index: those that start in its bytes; there may be none.

    Source: dmlc-core src/io/input_split_base.cc, ``InputSplitBase::ResetPartition``.
    """
    step = -(-total_bytes // num_parts)
    step += -step % _WORD_BYTES
    bounds = [part_index * step, (part_index + 1) * step]
    start, stop = np.searchsorted(offsets, bounds).tolist()
    return range(start, stop)


def chunks_by_bytes(offsets: Ordinals, total_bytes: int, part: range) -> list[range]:
    """The records of *part* as they are read, 8 MiB at a time.

    A chunk is the whole rest when that is shorter. Else it ends at the last head in its 8 MiB, even when the record
    there is complete, and the next chunk begins with that record; where there is no other head, the bytes are doubled.

    Source: dmlc-core src/io/input_split_base.cc, ``InputSplitBase::Chunk::Load`` and ``ReadChunk``.
    """
    end = int(offsets[part.stop]) if part.stop < len(offsets) else total_bytes
    chunks, start = [], part.start
    while start < part.stop:
        stop, words = start, _CHUNK_WORDS
        while stop == start:
            limit = int(offsets[start]) + words * _WORD_BYTES
            last_head = int(np.searchsorted(offsets, limit - _HEAD_BYTES, side="right")) - 1
            stop = part.stop if limit > end else last_head
            words = 2 * words + 1  # the spare word behind them is doubled too
        chunks.append(range(start, stop))
        start = stop
    return chunks


class MXNetOrder:
    """The requests for all batches of a run that began with epoch 0.

    Going on in the middle plans everything before again; nothing of it is decoded.
    """

    def __init__(self, records: Records, loader: Loader, params: ImageRecordParams, order: OrderParams) -> None:
        self._records = records
        self._loader = loader
        self._params = params
        before = np.cumsum([0, *(file.size for file in records.files)])
        offsets = [file.offsets + start for file, start in zip(records.files, before, strict=False)]
        self._offsets, self._bytes = np.concatenate(offsets), int(before[-1])
        if params.path_imgidx:
            part = part_by_count(len(self._offsets), params.num_parts, params.part_index)
        else:
            part = part_by_bytes(self._offsets, self._bytes, params.num_parts, params.part_index)
        self._count = len(part)
        self._order = order

    def batches(self, epoch: int) -> int:
        """How many batches the epoch has."""
        return batches_of(epoch, self._order, shortest=self._count, longest=self._count)

    def requests(self, epoch: int, batch: int, _: tuple[Delivery, ...] = ()) -> Iterator[BatchRequest]:
        """The requests for the batches from *batch* of *epoch* on, without end; records are ordinals."""
        draw = functools.partial(self._plans, MersenneDraws(WORKER_SEED))
        indexed = bool(self._params.path_imgidx)
        epochs = MXNetEpochs(self._offsets, self._bytes, self._order, draw, indexed=indexed)
        number = 0
        while self._count:
            for place, request in enumerate(epochs.epoch()):
                short = self._order.batch_size - len(request.records)
                if (number, place) < (epoch, batch) or (short and self._order.policy == DISCARD):
                    continue
                yield request._replace(pad=request.pad + short)
            number += 1

    def _plans(self, draws: MersenneDraws, chunk: DrawChunk) -> list[AugmentationPlan | None]:
        return [
            self._plan(ordinal, row, draws)
            for ordinal, row in zip(chunk.ordinals.tolist(), chunk.rows.tolist(), strict=True)
        ]

    def _plan(self, ordinal: int, row: int, draws: MersenneDraws) -> AugmentationPlan | None:
        """What is drawn for a record; None for one that gives no image, which its own row will tell."""
        if self._params.seed_aug is not None:
            draws.generator.seed(WORKER_SEED + self._params.seed_aug + row)
        record = self._records.read(ordinal)
        if isinstance(record, BadRecordError):
            return None
        try:
            _, height, width, _ = image_info(record.content)
            if is_transposed(record.content, COLOR if self._params.shape[0] < 4 else AS_STORED):
                height, width = width, height
            return self._loader.augmenter.plan(Size(width, height), draws)
        except ImageError:
            return None
