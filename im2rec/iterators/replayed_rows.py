"""The rows of ``rng=mxnet``: MXNet's order and numbers, drawn one after the other, for pictures that are only measured.

Every number follows from all that were drawn before it. So plans are made in one place, in MXNet's order, from the
sizes in the headers; decoding is left to any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from im2rec.augment.augmenter import Plan
from im2rec.augment.geometry import Size
from im2rec.augment.mxnet_draws import MersenneDraws
from im2rec.errors import BadRecordError, ImageError
from im2rec.images.codec import AS_STORED, COLOR, image_info, transposed
from im2rec.iterators.shared_params import DISCARD, ROLL_OVER
from im2rec.pipeline.loader import Loader, Wanted
from im2rec.pipeline.mxnet_order import WORKER_SEED, Chunk, Reading, Replay, part_by_bytes, part_by_count
from im2rec.pipeline.order import batches_of
from im2rec.pipeline.params import ImageRecordParams
from im2rec.pipeline.records import Records


class ReplayedRows:
    """The rows of all batches of a run that began with epoch 0.

    Going on in the middle plans everything before again; nothing of it is decoded.
    """

    def __init__(self, records: Records, loader: Loader, params: ImageRecordParams) -> None:
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

    def batches(self, epoch: int) -> int:
        """How many batches the epoch has."""
        return batches_of(epoch, self._params, shortest=self._count, longest=self._count)

    def rows(self, epoch: int, batch: int) -> Iterator[tuple[Wanted, int]]:
        """The records of each batch from *batch* of *epoch* on, without end, and the filler rows at its end."""
        params = self._params
        reading = Reading(
            indexed=bool(params.path_imgidx),
            batch_size=params.batch_size,
            round_batch=params.policy == ROLL_OVER,
            shuffle=params.shuffle,
            seed=params.seed,
            num_parts=params.num_parts,
            part_index=params.part_index,
            shuffle_chunk_size=params.shuffle_chunk_size,
            shuffle_chunk_seed=params.shuffle_chunk_seed,
        )
        draws = MersenneDraws(WORKER_SEED)
        replay = Replay(self._offsets, self._bytes, reading, lambda chunk: self._plans(chunk, draws))
        number = 0
        while self._count:
            for place, made in enumerate(replay.epoch()):
                short = params.batch_size - len(made.ordinals)
                if (number, place) < (epoch, batch) or (short and params.policy == DISCARD):
                    continue
                epochs = [number] * len(made.ordinals)
                yield Wanted(0, made.ordinals, epochs, made.plans), made.pad + short
            number += 1

    def _plans(self, chunk: Chunk, draws: MersenneDraws) -> list[Plan | None]:
        return [self._plan(*wanted, draws) for wanted in zip(chunk.ordinals.tolist(), chunk.rows.tolist(), strict=True)]

    def _plan(self, ordinal: int, row: int, draws: MersenneDraws) -> Plan | None:
        """What is drawn for a record; None for one that gives no picture, which its own row will tell."""
        if self._params.seed_aug is not None:
            draws.generator.seed(WORKER_SEED + self._params.seed_aug + row)
        record = self._records.read(ordinal)
        if isinstance(record, BadRecordError):
            return None
        try:
            _, height, width, _ = image_info(record.content)
            if transposed(record.content, COLOR if self._params.shape[0] < 4 else AS_STORED):
                height, width = width, height
            return self._loader.plan(Size(width, height), draws)
        except ImageError:
            return None
