"""Some pictures of a file, at every stage of becoming rows of a batch, and the work of each stage on one of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from im2rec.augment.augmenter import Augmenter, Plan
from im2rec.augment.draws import Draws
from im2rec.augment.geometry import Size
from im2rec.errors import ImageError, InputError
from im2rec.format.irheader import ImageRecord
from im2rec.images.codec import Image
from im2rec.images.engine import Engine, Resampler, load_resampler
from im2rec.images.scratch import scratch
from im2rec.iterators.image_record import ImageRecordIter

_MOST, _MOST_BYTES = 256, 64 << 20  # pictures of a sample, and of their pixels
_ROWS_BYTES = 64 << 20  # of the rows they are written to
_BMP_MOST = 64


@dataclasses.dataclass(frozen=True)
class Shot:
    """One picture: its *draws*, encoded, decoded, planned, and augmented but not flipped or normalised."""

    draws: Draws
    content: bytes
    pixels: Image
    plan: Plan
    picture: Image


class Sample:
    """Pictures evenly spread over the records of *it*, as many as decode in *seconds*, and one of them at least.

    Raises InputError when none of the file can be decoded.
    """

    def __init__(self, it: ImageRecordIter, seconds: float) -> None:
        self._it = it
        self.shots = list(self._shots(seconds))
        if not self.shots:
            raise InputError(f"{it.params.path_imgrec}: no picture decodes", hint="run 'im2rec inspect --verify' on it")
        shape = it.provide_data[0].shape[1:]
        size = int(np.prod(shape)) * np.dtype(it.provide_data[0].dtype).itemsize
        rows = min(it.batch_size, max(1, _ROWS_BYTES // size))
        # One batch, written over and over, as the iterator does with memory that comes back to it.
        self._rows = np.zeros((rows, *shape), it.provide_data[0].dtype)
        self._bytes = self._rows.astype(np.uint8)

    def _shots(self, seconds: float) -> Iterator[Shot]:
        records = self._it.records
        positions = np.unique(np.linspace(0, len(records) - 1, _MOST).astype(np.int64))
        np.random.default_rng(0).shuffle(positions)  # when time is up before the last one, they are spread all the same
        ordinals = records.ordinals(positions).tolist()
        end, pixel_bytes, found = time.perf_counter() + seconds, 0, 0
        drawn = self._it.loader.draws([0] * len(ordinals), ordinals)
        for draws, record in zip(drawn, records.each(ordinals), strict=True):
            if found and (time.perf_counter() > end or pixel_bytes > _MOST_BYTES):
                return
            if isinstance(record, ImageRecord) and (shot := self._shot(draws, record.content)):
                found, pixel_bytes = found + 1, pixel_bytes + shot.pixels.nbytes
                yield shot

    def _shot(self, draws: Draws, content: bytes) -> Shot | None:
        try:
            pixels, _ = self._it.loader.decoded(content)
            plan = self._plan(draws, pixels)
            return Shot(draws, content, pixels, plan, self._it.augmenter.picture(pixels, plan))
        except ImageError:  # skipped, as the iterator does
            return None

    def _plan(self, draws: Draws, pixels: Image) -> Plan:
        return self._it.loader.plan(Size.of(pixels), draws)

    # The stages

    def decode(self, shot: Shot) -> None:
        """From the record's content to pixels."""
        self.decode_content(shot.content)

    def augment(self, shot: Shot) -> None:
        """Everything that is drawn, and all of it applied but the last step."""
        self._it.augmenter.picture(shot.pixels, self._plan(shot.draws, shot.pixels))

    def normalise(self) -> Callable[[Shot], None]:
        """The last step, into one row of a batch after the other."""
        return _writer(self._it.augmenter, self._rows)

    # What could be instead

    def normalise_bytes(self) -> Callable[[Shot], None]:
        """The last step where the batch is uint8."""
        params = self._it.params
        engine = load_resampler(params.engine)
        return _writer(Augmenter(params, params.shape, engine, dtype="uint8", layout=params.layout), self._bytes)

    def augment_by(self, engine: Resampler) -> Callable[[Shot], None]:
        """As :meth:`augment`, by another engine."""
        params = self._it.params
        augmenter = Augmenter(params, params.shape, engine, dtype="uint8", layout=params.layout)

        def augment(shot: Shot) -> None:
            augmenter.picture(shot.pixels, self._plan(shot.draws, shot.pixels))

        return augment

    def uncompressed(self, engine: Engine) -> list[bytes]:
        """The contents of the first ones as ``pack encoding=.bmp`` would have stored them."""
        return [engine.encode(shot.pixels, ".bmp", quality=100, png_level=0) for shot in self.shots[:_BMP_MOST]]

    def decode_content(self, content: bytes) -> None:
        """From any content to pixels, which nobody keeps."""
        self._it.loader.decoded(content, lambda size: scratch("decoded", size))

    # What they are like

    @property
    def contents(self) -> list[bytes]:
        """The content of each."""
        return [shot.content for shot in self.shots]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each."""
        return [(shot.pixels.shape[1], shot.pixels.shape[0]) for shot in self.shots]


def _writer(augmenter: Augmenter, rows: Any) -> Callable[[Shot], None]:
    number = 0

    def write(shot: Shot) -> None:
        nonlocal number
        augmenter.write(shot.picture, shot.plan._replace(steps=()), rows[number])
        number = (number + 1) % len(rows)

    return write
