"""From record to row: read, decode, draw, augment, write; by any thread, in any order, with one result."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from im2rec.augment.augmenter import Augmenter, Plan
from im2rec.augment.draws import CounterDraws, Draws, counter_draws
from im2rec.augment.geometry import Size
from im2rec.errors import BadRecordError, ImageError
from im2rec.format.irheader import ImageRecord, IRHeader
from im2rec.hashing import hash64
from im2rec.images.codec import AS_STORED, COLOR, CUT, GREY, Image, Room, decode
from im2rec.images.scratch import Shelf
from im2rec.pipeline.buffers import Arrays
from im2rec.pipeline.labels import Labels
from im2rec.pipeline.params import WARN, ImageRecordParams
from im2rec.pipeline.records import Records, bunches

_SHELF_BYTES = 256 << 10  # of pictures that are decoded in a row: they stay in a core's own cache
_COLORS = {1: GREY, 3: COLOR, 4: AS_STORED}


@functools.lru_cache(maxsize=16)
def _epoch_state(seed: int, epoch: int) -> int:
    return hash64(seed, epoch)


class Wanted(NamedTuple):
    """Records for the rows of a batch from *row* on: ordinals, the epoch whose draws each gets, plans already drawn."""

    row: int
    ordinals: list[int]
    epochs: list[int]
    plans: list[Plan | None]  # None: to be drawn

    def cut(self, size: int) -> list[Wanted]:
        """The same in pieces of *size* rows, of which the last may have fewer."""
        _, ordinals, epochs, plans = self
        slices = [slice(start, start + size) for start in range(0, len(ordinals), size)]
        return [Wanted(self.row + part.start, ordinals[part], epochs[part], plans[part]) for part in slices]


class Flaw(NamedTuple):
    """What was wrong with the record in *row*: it is not there, or (*kept*) only cut short."""

    row: int
    error: BadRecordError
    kept: bool


class Picture(NamedTuple):
    """A decoded record, and what is wrong with it. No *header*: it could not be read. No *image*: nor decoded."""

    header: IRHeader | None
    image: Image | None
    bad: BadRecordError | None

    @property
    def bytes(self) -> int:
        """Of its pixels."""
        return 0 if self.image is None else self.image.nbytes


class Loader:
    """Writes records into rows. Holds nothing that changes: safe in threads."""

    def __init__(self, records: Records, labels: Labels, augmenter: Augmenter, params: ImageRecordParams) -> None:
        self.records = records
        self._labels = labels
        self._augmenter = augmenter
        self._channels = params.shape[0]
        self._seed = params.seed if params.seed_aug is None else params.seed_aug
        self._cut_ok = params.on_truncated == WARN

    @property
    def label_width(self) -> int:
        """Labels of a record."""
        return self._labels.width

    def draws(self, epochs: Sequence[int], ordinals: Sequence[int]) -> list[CounterDraws]:
        """The random numbers of each of some records in its epoch."""
        return counter_draws([_epoch_state(self._seed, epoch) for epoch in epochs], ordinals)

    def load(self, arrays: Arrays, wanted: Wanted) -> list[Flaw]:
        """Write the records that are *wanted* into *arrays*; what is wrong with them, in the order of rows."""
        first, ordinals, epochs, plans = wanted
        drawn = (plan or draws for plan, draws in zip(plans, self.draws(epochs, ordinals), strict=True))
        pictures = self._pictures(self.records.each(ordinals))
        # By map(), as a loop's variable would hold a picture while the next is decoded.
        flaws = map(self._row, itertools.repeat(arrays), itertools.count(first), ordinals, drawn, pictures)
        return [flaw for flaw in flaws if flaw is not None]

    def _pictures(self, records: Iterable[ImageRecord | BadRecordError]) -> Iterator[Picture]:
        """*records* decoded; the pixels of one are good until the next is asked for.

        A few in a row, for the same reason as they are read so: see :meth:`Records.each`.
        """
        shelf = Shelf("decoded", _SHELF_BYTES)

        def size(picture: Picture) -> int:
            return _SHELF_BYTES if shelf.full else picture.bytes  # which may lie elsewhere

        for bunch in bunches(map(self._picture, records, itertools.repeat(shelf.take)), size, _SHELF_BYTES):
            yield from bunch
            shelf.clear()

    def _picture(self, record: ImageRecord | BadRecordError, room: Room) -> Picture:
        if isinstance(record, BadRecordError):
            return Picture(None, None, record)
        try:
            image, cut = self.decoded(record.content, room)
        except ImageError as error:
            return Picture(record.header, None, bad_picture(error))
        return Picture(record.header, image, _cut_short() if cut else None)

    def _row(self, arrays: Arrays, row: int, ordinal: int, drawn: Plan | Draws, picture: Picture) -> Flaw | None:
        header, image, bad = picture
        if header is None:
            return Flaw(row, bad, kept=False) if bad else None
        arrays.ids[row] = header.id
        kept = image is not None
        try:
            arrays.label[row] = self._label(header)
            if image is not None:
                plan = drawn if isinstance(drawn, Plan) else self.plan(Size.of(image), drawn)
                self._augmenter.write(image, plan, arrays.data[row])
        except ImageError as error:
            bad, kept = bad_picture(error), False
        except BadRecordError as error:
            bad, kept = error, False
        if bad is None:
            return None
        return Flaw(row, self.records.place(ordinal).named(bad, header.id), kept)

    def _label(self, header: IRHeader) -> Any:
        label = self._labels.of(header)
        return label if self._labels.width > 1 else label[0]

    def decoded(self, content: bytes, room: Room | None = None) -> tuple[Image, bool]:
        """The pixels, of as many channels as a batch has, and whether the file was cut short. Raises ImageError.

        *room* gives memory they may be put into.
        """
        pixels, flaw = decode(content, _COLORS[self._channels], cut_ok=self._cut_ok, room=room)
        if pixels.shape[2] != self._channels:
            problem = f"has {pixels.shape[2]} channels, data_shape asks for {self._channels}"
            raise ImageError(problem, reason="too few channels", hint="set data_shape=3,...")
        if pixels.dtype != np.uint8:
            pixels = (pixels >> 8).astype(np.uint8)
        return pixels, flaw == CUT

    def plan(self, size: Size, draws: Draws) -> Plan:
        """Everything that is drawn for a picture of *size*. Raises ImageError for one that is too small."""
        return self._augmenter.plan(size, draws)


def _cut_short() -> BadRecordError:
    return BadRecordError("the picture data ends early", reason=CUT)


def bad_picture(error: ImageError) -> BadRecordError:
    """*error* as what is said of a record."""
    # Most problems are said of a picture; some name it, or say that there is none.
    problem = error.problem if error.problem.startswith(("the picture", "holds no")) else f"the picture {error.problem}"
    return BadRecordError(problem, reason=error.reason, hint=error.hint)
