"""MXNet's own order of records, and the order in which it draws their random numbers (``rng=mxnet``).

With an index a part is a run of records, permuted as a whole, and a *chunk* is the records that complete one batch.
Without an index a part is a run of bytes, read in chunks of 8 MiB, and only the records inside a chunk are permuted.
The numbers of a chunk are drawn before any of its records is delivered: with an index in the order of delivery, without
one in file order.

Every number depends on all that were drawn before it. So rows are planned in one place, in MXNet's order, from the
image sizes in the heads of the images; any number of threads can decode them afterwards.

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
from im2rec.pipeline.order import ALL_BATCHES, BatchRequest, Delivery, Stride, batch_count
from im2rec.pipeline.params import DISCARD, NO_INDEX, ROLL_OVER, ImageRecordParams, OrderParams
from im2rec.pipeline.records import Records

WORKER_SEED = 111  # of the first decode worker, and added to ``seed_aug``
_ORDER_SEED = 111  # added to ``seed``
_PIECES_SEED = 666  # added to ``shuffle_chunk_seed`` and the numbers of parts and pieces
_CHUNK_WORDS = 1 << 21  # 8 MiB; no parameter changes it
_WORD_BYTES = 4
_HEAD_BYTES = 8  # of a part head: magic and length
_PIECES_MARGIN = 1.1  # MXNet's factor on the size of the file, from which it computes the number of pieces
_MIB = 1 << 20

Ordinals = npt.NDArray[np.int64]


class DrawChunk(NamedTuple):
    """Records whose random numbers are drawn together.

    ``ordinals`` are the records in the order of drawing. ``rows`` are their numbers for ``seed_aug``: the generator is
    seeded with ``WORKER_SEED + seed_aug + row`` before the draws of a record. ``output`` are indices into ``ordinals``,
    in the order in which the records are delivered.
    """

    ordinals: Ordinals
    rows: Ordinals
    output: Ordinals


DrawFunction = Callable[[DrawChunk], Sequence[Any]]


class MXNetEpochs:
    """The epochs of one part, in MXNet's order; *indexed* if ``path_imgidx`` was given.

    *listed* holds the ordinals of the records that the index lists, if it lists only some; MXNet reads each together
    with all that follow it up to the next.

    *offsets* holds the start of each record, in bytes from the start of the first file: several files count as one
    stream of *total_bytes*. Ordinals count the records of the stream. *draw* returns the plans of a chunk, one for each
    of its ``ordinals``; it is called for every chunk, in order.

    A *pass* goes once over the records of the part. An epoch is a pass, except that with round_batch its last batch is
    completed from the next pass, and the next epoch starts after those rows.
    """

    def __init__(
        self,
        offsets: Ordinals,
        total_bytes: int,
        params: OrderParams,
        draw: DrawFunction,
        *,
        indexed: bool,
        listed: Ordinals | None = None,
    ) -> None:
        self._passes = (
            _IndexedPasses(len(offsets), params, listed) if indexed else _StreamedPasses(offsets, total_bytes, params)
        )
        self._batch_size = params.batch_size
        self._round_batch = params.policy == ROLL_OVER
        self._draw = draw
        self._rows: deque[tuple[int, Any]] = deque()  # ordinals and plans that were drawn, but not yet delivered
        self._rolled_over = False
        self._epochs_begun = 0

    def epoch(self) -> Iterator[BatchRequest]:
        """Yield the requests of the next epoch, by ordinals; there may be none.

        With round_batch the last ``pad`` rows belong to the next pass, and the next epoch starts after them; so the
        number of batches varies. Where none were needed the next epoch starts a new pass. Without round_batch every
        epoch is a pass, and its last batch may have fewer rows.

        Differs on purpose: an epoch that is not consumed drops the rest of its pass, where the outcome in MXNet depends
        on its threads; and a batch that takes more than one pass to complete, an error in MXNet, takes as many as it
        needs.
        """
        if not self._rolled_over:
            self._rows.clear()
            self._passes.rewind()
        self._rolled_over = False
        number, self._epochs_begun = self._epochs_begun, self._epochs_begun + 1
        while not self._rolled_over and (batch := self._batch(number)):
            yield batch

    def _batch(self, epoch: int) -> BatchRequest | None:
        """Return the next request; None if the pass has no row left for it."""
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
            self._rows.extend((int(chunk.ordinals[index]), plans[index]) for index in chunk.output.tolist())
        return chunk is not None


class _IndexedPasses:
    """Passes over one part with an index: each is a permutation of its lines, and a chunk completes a batch.

    A chunk has more records than a batch if the index lists only some of *count* records, those of *listed*.

    Source: dmlc-core src/io/indexed_recordio_split.cc, ``IndexedRecordIOSplitter::NextBatchEx``.
    """

    def __init__(self, count: int, params: OrderParams, listed: Ordinals | None) -> None:
        lines = count if listed is None else len(listed)
        self._bounds = None if listed is None else np.append(listed, count)
        self._part = part_by_count(lines, params.num_parts, params.part_index)
        self._batch_size = params.batch_size
        self._mersenne = Mersenne(_ORDER_SEED + params.seed) if params.shuffle else None
        self._order = np.empty(0, np.int64)
        self._next = 0
        self._missing = 0  # records that the last chunk fell short of a batch

    def rewind(self) -> None:
        """Start the next pass."""
        order = list(self._part)
        if self._mersenne:
            self._mersenne.shuffle(order)
        self._order, self._next = np.array(order, np.int64), 0

    def chunk(self, filled: int) -> DrawChunk | None:
        """Return the next chunk of the pass, for a batch that has *filled* rows; None at the end."""
        # What the last chunk of a pass falls short of a batch is the first chunk of the next pass. That is right where
        # batches are completed across passes. Where they are not, chunks no longer end with batches, and the rows for
        # seed_aug reach batch_size and more: an error of MXNet, which a replay must repeat.
        size = self._missing or self._batch_size
        ordinals = self._order[self._next : self._next + size]
        if not len(ordinals):
            return None
        self._next += len(ordinals)
        self._missing = size - len(ordinals)
        if self._bounds is not None:
            ordinals = np.concatenate([np.arange(*self._bounds[line : line + 2]) for line in ordinals.tolist()])
        indices = np.arange(len(ordinals), dtype=np.int64)
        return DrawChunk(ordinals, filled + indices, indices)


class _StreamedPasses:
    """Passes over one part without an index: pieces of the file, in random order if there are several.

    A chunk holds the records that fit into 8 MiB of a piece. ``shuffle_chunk_size`` cuts a part into pieces, and
    reorders them even without ``shuffle``.

    Source: dmlc-core include/dmlc/input_split_shuffle.h; the number of pieces is that of iter_image_recordio_2.cc.
    """

    def __init__(self, offsets: Ordinals, total_bytes: int, params: OrderParams) -> None:
        parts, size = params.num_parts, params.shuffle_chunk_size
        pieces = max(1, math.ceil(total_bytes * _PIECES_MARGIN / (parts * size * _MIB))) if size else 1
        # The stream is cut into parts * pieces pieces at once. The pieces of a part lie together, but not always where
        # the part would lie without pieces, as the size of a piece is rounded up.
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
        """Return the next chunk of the pass, for a batch that has *filled* rows; None at the end."""
        records = next(self._chunks, None)
        if records is None:
            return None
        output = list(range(len(records)))
        if self._mersenne:
            self._mersenne.shuffle(output)
        # MXNet decodes a shuffled chunk into a separate buffer, whose rows are numbered after those of a whole batch.
        first_row = self._batch_size if self._mersenne else filled
        indices = np.arange(len(records), dtype=np.int64)
        return DrawChunk(records.start + indices, first_row + indices, np.array(output, np.int64))


def part_by_count(count: int, num_parts: int, part_index: int) -> range:
    """Return the records of a part with an index: ``ceil(count / num_parts)`` each; late parts may have fewer or none.

    Source: dmlc-core src/io/indexed_recordio_split.cc, ``IndexedRecordIOSplitter::ResetPartition``.
    """
    step = -(-count // num_parts)
    return range(min(part_index * step, count), min((part_index + 1) * step, count))


def part_by_index(count: int, listed: Ordinals | None, num_parts: int, part_index: int) -> range:
    """Return the records of a part with an index that lists all of *count* records, or only those of *listed*."""
    if listed is None:
        return part_by_count(count, num_parts, part_index)
    lines = part_by_count(len(listed), num_parts, part_index)
    start, stop = np.append(listed, count)[[lines.start, lines.stop]].tolist()
    return range(start, stop)


def part_by_bytes(offsets: Ordinals, total_bytes: int, num_parts: int, part_index: int) -> range:
    """Return the records of a part without an index: those that start in its bytes; there may be none.

    Source: dmlc-core src/io/input_split_base.cc, ``InputSplitBase::ResetPartition``.
    """
    step = -(-total_bytes // num_parts)
    step += -step % _WORD_BYTES
    bounds = [part_index * step, (part_index + 1) * step]
    start, stop = np.searchsorted(offsets, bounds).tolist()
    return range(start, stop)


def chunks_by_bytes(offsets: Ordinals, total_bytes: int, part: range) -> list[range]:
    """Return the records of *part* in the chunks that they are read in, 8 MiB at a time.

    A chunk is all the rest if that is shorter. Else it ends at the last part head in its 8 MiB, even if the record that
    starts there is complete, and the next chunk begins with it; if there is no other head, the bytes are doubled.

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
            words = 2 * words + 1  # MXNet allocates a spare word after them, and doubles it too
        chunks.append(range(start, stop))
        start = stop
    return chunks


class MXNetOrder:
    """The requests for all batches of a run that began with epoch 0; the part of :class:`Order` with ``rng=mxnet``.

    To start in the middle everything before is planned again, as every number depends on it; nothing of it is decoded.
    """

    def __init__(self, records: Records, loader: Loader, params: ImageRecordParams, order: OrderParams) -> None:
        self._records = records
        self._loader = loader
        self._params = params
        file_starts = np.cumsum([0, *(file.size for file in records.files)])
        offsets = [file.offsets + start for file, start in zip(records.files, file_starts, strict=False)]
        # In a damaged file records may be elsewhere than their index has them. MXNet has no order for that, but the
        # parts must have each record once all the same, for which the offsets must ascend.
        self._offsets, self._bytes = np.maximum.accumulate(np.concatenate(offsets)), int(file_starts[-1])
        self._is_indexed = params.path_imgidx not in ("", NO_INDEX)
        if self._is_indexed:
            part = part_by_index(len(self._offsets), records.listed, params.num_parts, params.part_index)
        else:
            part = part_by_bytes(self._offsets, self._bytes, params.num_parts, params.part_index)
        self.count = len(part)  # records of the part
        self._order = order

    def batches(self, epoch: int) -> int:
        """Return the number of batches of *epoch*."""
        return batch_count(epoch, self._order, shortest=self.count, longest=self.count)

    def requests(
        self, epoch: int, batch: int, _: tuple[Delivery, ...] = (), stride: Stride = ALL_BATCHES
    ) -> Iterator[BatchRequest]:
        """Yield the requests for the batches from *batch* of *epoch* on, by *stride*, without end, with ordinals."""
        draw = functools.partial(self._plans, MersenneDraws(WORKER_SEED))
        epochs = MXNetEpochs(
            self._offsets, self._bytes, self._order, draw, indexed=self._is_indexed, listed=self._records.listed
        )
        number = 0
        while self.count:
            first = batch if number == epoch else stride.first
            for index, request in enumerate(epochs.epoch()):
                missing = self._order.batch_size - len(request.records)
                if (
                    (number, index) < (epoch, first)
                    or (index - first) % stride.step
                    or (missing and self._order.policy == DISCARD)
                ):
                    continue
                yield request._replace(pad=request.pad + missing)
            number += 1
            if stride.first >= self.batches(0):  # no epoch has more than the first
                return

    def _plans(self, draws: MersenneDraws, chunk: DrawChunk) -> list[AugmentationPlan | None]:
        """Return the plan of each record of *chunk*, in the order of drawing."""
        return [
            self._plan(ordinal, row, draws)
            for ordinal, row in zip(chunk.ordinals.tolist(), chunk.rows.tolist(), strict=True)
        ]

    def _plan(self, ordinal: int, row: int, draws: MersenneDraws) -> AugmentationPlan | None:
        """Draw for a record; None for one without an image, for which the loader then reports the error in its row."""
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
