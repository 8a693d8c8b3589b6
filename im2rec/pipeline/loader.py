"""From record to row: read, decode, draw, augment, write; by any thread, in any order, with one result."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.augment.augmenter import AugmentationPlan, Augmenter
from im2rec.augment.draws import CounterDraws, Draws, counter_draws
from im2rec.augment.geometry import Size
from im2rec.errors import BadRecordError, ImageError
from im2rec.format.irheader import ImageRecord, IRHeader
from im2rec.hashing import hash64
from im2rec.images.choices import MAX_PIXELS
from im2rec.images.codec import AS_STORED, COLOR, CUT, GREY, Image, Room, decode
from im2rec.images.scratch import Arena
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import LoadResult, load, why_none
from im2rec.pipeline.buffers import BatchBuffer
from im2rec.pipeline.labels import Labels
from im2rec.pipeline.order import BatchRequest
from im2rec.pipeline.params import WARN, ImageRecordParams
from im2rec.pipeline.records import Records, grouped_by_size

_ARENA_BYTES = 256 << 10  # of images that are decoded in a row: they stay in a core's own cache
WORTH_LOADING = 500  # images of a process that only decodes: to load the kernel takes a third of a second
_LOOK_EACH = 4096  # images that are made by libjpeg before the kernel is looked for again
RowArray = npt.NDArray[Any]  # of a batch's data
_COLORS = {1: GREY, 3: COLOR, 4: AS_STORED}


@functools.lru_cache(maxsize=16)
def _epoch_state(seed: int, epoch: int) -> int:
    return hash64(seed, epoch)


class RowProblem(NamedTuple):
    """The error of the record in *row*; *kept* where the row is delivered, as the record is only cut short."""

    row: int
    error: BadRecordError
    kept: bool


class UndecodedJpeg(NamedTuple):
    """A JPEG that is decoded when it is known what is cropped of it; its *size* is in its head."""

    content: bytes
    size: Size

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return len(self.content)


class LoadedImage(NamedTuple):
    """A record's image, and what is wrong with it. No *header*: it could not be read. No *image*: nor decoded."""

    header: IRHeader | None
    image: Image | UndecodedJpeg | None
    bad: BadRecordError | None


class Loader:
    """Writes records into rows. Holds nothing that changes but the kernel, which may come later: safe in threads."""

    def __init__(self, records: Records, labels: Labels, augmenter: Augmenter, params: ImageRecordParams) -> None:
        self.records = records
        self._labels = labels
        self.augmenter = augmenter
        self._channels = params.shape[0]
        self._seed = params.seed if params.seed_aug is None else params.seed_aug
        self._cut_ok = params.on_truncated == WARN
        self._kernel: Kernel | None = None
        self._no_kernel = ""  # the reason
        self._looks_in = 0  # images

    def __getstate__(self) -> dict[str, Any]:
        """All but the kernel, which each process loads for itself, but not before its first batches are made."""
        return {**self.__dict__, "_kernel": None, "_no_kernel": self.no_kernel_yet, "_looks_in": WORTH_LOADING}

    @property
    def label_width(self) -> int:
        """Labels of a record."""
        return self._labels.width

    def draws(self, epochs: Sequence[int], ordinals: Sequence[int]) -> list[CounterDraws]:
        """The random numbers of each of some records in its epoch."""
        return counter_draws([_epoch_state(self._seed, epoch) for epoch in epochs], ordinals)

    def load(self, buffer: BatchBuffer, piece: BatchRequest) -> list[RowProblem]:
        """Write the records of *piece*, by ordinal, into *buffer*; return what is wrong with them, by row."""
        ordinals, rows = piece.records, itertools.count(piece.first_row)
        self.look_for_kernel(len(ordinals))
        draws = self.draws(piece.epochs, ordinals)
        drawn = draws if piece.plans is None else (plan or own for plan, own in zip(piece.plans, draws, strict=True))
        images = self._images(self.records.each(ordinals))
        # By map(), as a loop's variable would hold an image while the next is decoded.
        problems = map(self._row, itertools.repeat(buffer), rows, ordinals, drawn, images)
        return [problem for problem in problems if problem is not None]

    @property
    def may_use_kernel(self) -> bool:
        """Whether the kernel could make rows, if there is one."""
        return not self._unsuited

    @property
    def leaves_all_to_kernel(self) -> bool:
        """Whether there is a kernel, and it does all that is done to most JPEGs."""
        if not self.augmenter.is_done_by_kernel:  # not loaded then, as it is other processes that decode
            return False
        self.look_for_kernel()
        return self._kernel is not None

    @property
    def kernel(self) -> str:
        """The kernel that is used, by its name; or ``none: `` and the reason why there is none so far."""
        return f"none: {self._no_kernel}" if self._kernel is None else self._kernel.name

    @property
    def no_kernel_yet(self) -> str:
        """The reason why another process than this one does without a kernel at first."""
        return self._unsuited or why_none() or f"no process has had {WORTH_LOADING} images"

    @property
    def _unsuited(self) -> str:
        """The reason why no kernel could help."""
        if self._channels != 3:
            return "data_shape does not have 3 channels"
        return "" if self.augmenter.suits_kernel else "images are warped, padded or resized by Pillow first"

    def look_for_kernel(self, images: int = 0) -> None:
        """Look for it when it is time, and *images* later again, some thousand: it may be compiled meanwhile."""
        if self._kernel is None and self._looks_in <= 0:
            unsuited = self._unsuited
            self._kernel, self._no_kernel = LoadResult(None, unsuited) if unsuited else load(may_compile=False)
            self._looks_in = _LOOK_EACH
        self._looks_in -= images

    def _images(self, records: Iterable[ImageRecord | BadRecordError]) -> Iterator[LoadedImage]:
        """*records* decoded; the pixels of one are good until the next is asked for.

        A few in a row, for the same reason as they are read so: see :meth:`Records.each`.
        """
        arena = Arena("decoded", _ARENA_BYTES)
        images = map(self._image, records, itertools.repeat(arena.take))
        for group in grouped_by_size(images, lambda one: 0 if one.image is None else one.image.nbytes, _ARENA_BYTES):
            yield from group
            arena.reset()

    def _image(self, record: ImageRecord | BadRecordError, room: Room) -> LoadedImage:
        if isinstance(record, BadRecordError):
            return LoadedImage(None, None, record)
        jpeg = self.for_kernel(record.content)
        if isinstance(jpeg, UndecodedJpeg):
            return LoadedImage(record.header, jpeg, None)
        try:
            image, cut = self.decoded(record.content, room)
        except ImageError as error:
            return LoadedImage(record.header, None, bad_image_error(error))
        return LoadedImage(record.header, image, _cut_short() if cut else None)

    def for_kernel(self, content: bytes) -> UndecodedJpeg | str:
        """An image that the kernel may decode, as far as its head tells; for others the reason why not."""
        if self._kernel is None:
            return "no kernel"
        head = self._kernel.whole_head(content, MAX_PIXELS)
        return head.reason or UndecodedJpeg(content, Size(head.width, head.height))

    def _row(
        self, buffer: BatchBuffer, row: int, ordinal: int, drawn: AugmentationPlan | Draws, loaded: LoadedImage
    ) -> RowProblem | None:
        header, image, bad = loaded
        if header is None:
            return RowProblem(row, bad, kept=False) if bad else None
        buffer.ids[row] = header.id
        kept = image is not None
        try:
            if self._labels.are_field and header.flag == 0:  # by far the most common
                buffer.label[row] = header.label
            else:
                buffer.label[row] = self._labels.of(header).reshape(buffer.label.shape[1:])
            if isinstance(image, UndecodedJpeg):
                bad = self._write_jpeg(image, drawn, buffer.data[row])
            elif image is not None:
                self.augmenter.write(image, self._plan(Size.of(image), drawn), buffer.data[row])
        except ImageError as error:
            bad, kept = bad_image_error(error), False
        except BadRecordError as error:
            bad, kept = error.with_traceback(None), False  # whose frames hold the buffer
        if bad is None:
            return None
        return RowProblem(row, self.records.locate(ordinal).named(bad, header.id), kept)

    def _plan(self, size: Size, drawn: AugmentationPlan | Draws) -> AugmentationPlan:
        return drawn if isinstance(drawn, AugmentationPlan) else self.augmenter.plan(size, drawn)

    def _write_jpeg(self, jpeg: UndecodedJpeg, drawn: AugmentationPlan | Draws, row: RowArray) -> BadRecordError | None:
        """Have the kernel decode what *row* needs, into it, or if it declines libjpeg all; what is wrong with it."""
        if not self.write_by_kernel(jpeg, drawn, row):
            return None
        image, cut = self.decoded(jpeg.content)
        self.augmenter.write(image, self._plan(Size.of(image), drawn), row)
        return _cut_short() if cut else None

    def write_by_kernel(self, jpeg: UndecodedJpeg, drawn: AugmentationPlan | Draws, row: RowArray) -> str:
        """Have the kernel decode what *row* needs, into it; where it declines, *row* holds anything.

        Returns the reason, nothing when it is done.
        """
        try:
            plan = self._plan(jpeg.size, drawn)
        except ImageError as error:  # not raised: an image that does not decode either is called that
            return error.reason
        if self._kernel is None:
            return "no kernel"
        return self.augmenter.decode_and_write(self._kernel, jpeg.content, jpeg.size, plan, row)

    def decoded(self, content: bytes, room: Room | None = None) -> tuple[Image, bool]:
        """The pixels, of as many channels as a batch has, and whether the file was cut short. Raises ImageError.

        *room* gives memory they may be put into.
        """
        verdict = None if self._kernel is None else self._kernel.verdict
        pixels, flaw = decode(content, _COLORS[self._channels], cut_ok=self._cut_ok, room=room, verdict=verdict)
        if pixels.shape[2] != self._channels:
            problem = f"has {pixels.shape[2]} channels, data_shape asks for {self._channels}"
            raise ImageError(problem, reason="too few channels", hint="set data_shape=3,...")
        if pixels.dtype != np.uint8:
            pixels = (pixels >> 8).astype(np.uint8)
        return pixels, flaw == CUT


def _cut_short() -> BadRecordError:
    return BadRecordError("the image data ends early", reason=CUT)


def bad_image_error(error: ImageError) -> BadRecordError:
    """*error* as what is said of a record."""
    # Most problems are said of an image; some name it, or say that there is none.
    problem = error.problem if error.problem.startswith(("the image", "holds no")) else f"the image {error.problem}"
    return BadRecordError(problem, reason=error.reason, hint=error.hint)
