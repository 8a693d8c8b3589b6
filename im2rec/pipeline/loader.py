"""From record to row of a batch: read, decode, draw, augment, write; the same result in any thread and any order."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy.typing as npt

from im2rec.augment.augmenter import AugmentationPlan, Augmenter
from im2rec.augment.draws import CounterDraws, Draws, counter_draws
from im2rec.augment.geometry import Size
from im2rec.errors import BadRecordError, ImageError
from im2rec.format.irheader import ImageRecord, IRHeader
from im2rec.hashing import hash64
from im2rec.images.codec import AS_STORED, COLOR, CUT, GREY, Image, Room, decode, to_uint8
from im2rec.images.limits import most_pixels
from im2rec.images.scratch import Arena
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import LoadResult, load, unavailable_reason
from im2rec.pipeline.buffers import BatchBuffer
from im2rec.pipeline.labels import Labels
from im2rec.pipeline.order import BatchRequest
from im2rec.pipeline.params import WARN, ImageRecordParams
from im2rec.pipeline.records import Records, grouped_by_size

_ARENA_BYTES = 256 << 10  # of images decoded in a row: few enough to stay in the cache of one core
MIN_IMAGES_TO_LOAD = 500  # per decoding process: loading the compiled decoder takes each a third of a second
_IMAGES_BETWEEN_LOADS = 4096  # decoded by libjpeg before the next attempt to load the compiled decoder
RowArray = npt.NDArray[Any]  # one row of a batch's data
_COLORS = {1: GREY, 3: COLOR, 4: AS_STORED}


@functools.lru_cache(maxsize=16)
def _epoch_state(seed: int, epoch: int) -> int:
    return hash64(seed, epoch)


class RowProblem(NamedTuple):
    """The error of the record in *row*.

    *row_is_valid* is True where the record is only cut short and its row holds the image all the same.
    """

    row: int
    error: BadRecordError
    row_is_valid: bool


class UndecodedJpeg(NamedTuple):
    """A JPEG for the compiled decoder, which decodes only the crop: once that is drawn from its *size*."""

    content: bytes
    size: Size

    @property
    def nbytes(self) -> int:
        """Size of the content in bytes."""
        return len(self.content)


class LoadedImage(NamedTuple):
    """The image of a record and its error, if any.

    *header* is None for a record that could not be read, *image* for one that could not be read or decoded.
    """

    header: IRHeader | None
    image: Image | UndecodedJpeg | None
    error: BadRecordError | None


class Loader:
    """Reads records, decodes and augments their images and writes them into the rows of a batch.

    ::

        problems = loader.load(buffer, request)  # RowProblem for each record that is damaged or no image

    Threads may share a loader: only the compiled JPEG decoder changes, from none to one, and pixels do not depend on
    it. A pickled loader starts without it.
    """

    def __init__(self, records: Records, labels: Labels, augmenter: Augmenter, params: ImageRecordParams) -> None:
        self.records = records
        self._labels = labels
        self.augmenter = augmenter
        self._channels = params.shape[0]
        self._max_pixels, self._most_jpeg_pixels = params.max_pixels, most_pixels("JPEG", params.max_pixels)
        self._seed = params.draws_seed
        self._accepts_truncated = params.on_truncated == WARN
        self._kernel: Kernel | None = None
        self._no_kernel_reason = ""
        self._images_until_load = 0

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the compiled decoder; a decoding process loads it after its first images."""
        without = {"_kernel": None, "_no_kernel_reason": self.reason_for_late_kernel}
        return {**self.__dict__, **without, "_images_until_load": MIN_IMAGES_TO_LOAD}

    @property
    def label_width(self) -> int:
        """Labels per record."""
        return self._labels.width

    def draws(self, epochs: Sequence[int], ordinals: Sequence[int]) -> list[CounterDraws]:
        """Return the random numbers of the records at *ordinals*, each in its epoch of *epochs*."""
        return counter_draws([_epoch_state(self._seed, epoch) for epoch in epochs], ordinals)

    def load(self, buffer: BatchBuffer, piece: BatchRequest) -> list[RowProblem]:
        """Write the records of *piece*, given by ordinal, into the rows of *buffer*; return the problems by row.

        Rows of failed records hold anything.
        """
        ordinals, rows = piece.records, itertools.count(piece.first_row)
        self.load_kernel_if_due(len(ordinals))
        draws = self.draws(piece.epochs, ordinals)
        drawn = draws if piece.plans is None else (plan or own for plan, own in zip(piece.plans, draws, strict=True))
        images = self._decode_each(self.records.read_many(ordinals))
        # By map(), as the variable of a loop would keep an image alive while the next is decoded.
        problems = map(self._write_row, itertools.repeat(buffer), rows, ordinals, drawn, images)
        return [problem for problem in problems if problem is not None]

    # The compiled JPEG decoder

    @property
    def can_use_kernel(self) -> bool:
        """True if the compiled JPEG decoder, where there is one, can decode into rows with these parameters."""
        return not self._unsupported_reason

    @property
    def has_kernel_for_all_steps(self) -> bool:
        """True if the compiled JPEG decoder is loaded and does all that is done to most JPEGs."""
        # Checked first: a program that leaves decoding to processes does not spend a third of a second on loading it.
        if not self.augmenter.is_done_by_kernel:
            return False
        self.load_kernel_if_due()
        return self._kernel is not None

    @property
    def kernel(self) -> str:
        """Name of the compiled JPEG decoder, or ``none: `` and the reason why there is none so far."""
        return f"none: {self._no_kernel_reason}" if self._kernel is None else self._kernel.name

    @property
    def reason_for_late_kernel(self) -> str:
        """Reason why a decoding process starts without the compiled JPEG decoder."""
        return self._unsupported_reason or unavailable_reason() or f"no process has had {MIN_IMAGES_TO_LOAD} images"

    @property
    def _unsupported_reason(self) -> str:
        """Reason why the compiled JPEG decoder cannot serve these parameters; empty if it can."""
        if self._channels != 3:
            return "data_shape does not have 3 channels"
        return "" if self.augmenter.suits_kernel else "images are warped, padded or resized by Pillow first"

    def load_kernel_if_due(self, images: int = 0) -> None:
        """Load the compiled JPEG decoder if an attempt is due, and count *images* towards the next attempt.

        Attempts are repeated, as the decoder may be compiled in the background meanwhile. Threads that come here at
        once may all load it: they get the same one.
        """
        if self._kernel is None and self._images_until_load <= 0:
            reason = self._unsupported_reason
            self._kernel, self._no_kernel_reason = LoadResult(None, reason) if reason else load(may_compile=False)
            self._images_until_load = _IMAGES_BETWEEN_LOADS
        self._images_until_load -= images

    def inspect_jpeg(self, content: bytes) -> UndecodedJpeg | str:
        """Return *content* for the compiled JPEG decoder if its head permits that, else the reason why not."""
        if self._kernel is None:
            return "no kernel"
        head = self._kernel.checked_header(content, self._most_jpeg_pixels)
        return head.reason or UndecodedJpeg(content, Size(head.width, head.height))

    def decode_into_row(self, jpeg: UndecodedJpeg, drawn: AugmentationPlan | Draws, row: RowArray) -> str:
        """Decode the part of *jpeg* that *row* shows straight into it, by the compiled JPEG decoder.

        Returns "" when that is done. Else returns the reason, *row* holds anything, and :meth:`decode` decides.
        """
        try:
            plan = self._plan(jpeg.size, drawn)
        except ImageError as error:  # not raised: an image that does not decode either is reported as that
            return error.reason
        if self._kernel is None:
            return "no kernel"
        return self.augmenter.decode_and_write(self._kernel, jpeg.content, jpeg.size, plan, row)

    # From record to row

    def decode(self, content: bytes, room: Room | None = None) -> tuple[Image, bool]:
        """Return the whole image and whether its file was cut short.

        The image is uint8 (height, width, channels), with the channels of data_shape, colours in RGB order. *room* may
        give the memory for it. Raises ImageError.
        """
        verdict = None if self._kernel is None else self._kernel.verdict
        pixels, flaw = decode(
            content,
            _COLORS[self._channels],
            max_pixels=self._max_pixels,
            cut_ok=self._accepts_truncated,
            room=room,
            verdict=verdict,
        )
        if pixels.shape[2] != self._channels:
            problem = f"has {pixels.shape[2]} channels, data_shape asks for {self._channels}"
            raise ImageError(problem, reason="too few channels", hint="set data_shape=3,...")
        return to_uint8(pixels), flaw == CUT

    def _decode_each(self, records: Iterable[ImageRecord | BadRecordError]) -> Iterator[LoadedImage]:
        """Yield *records* decoded. The pixels of one are valid until the next is taken.

        A few are decoded before the first is yielded, for the reason given in :meth:`Records.read_many`.
        """
        arena = Arena("decoded", _ARENA_BYTES)
        images = map(self._decode_record, records, itertools.repeat(arena.take))
        for group in grouped_by_size(images, lambda one: 0 if one.image is None else one.image.nbytes, _ARENA_BYTES):
            yield from group
            arena.reset()

    def _decode_record(self, record: ImageRecord | BadRecordError, room: Room) -> LoadedImage:
        if isinstance(record, BadRecordError):
            return LoadedImage(None, None, record)
        jpeg = self.inspect_jpeg(record.content)
        if isinstance(jpeg, UndecodedJpeg):
            return LoadedImage(record.header, jpeg, None)
        try:
            image, is_cut = self.decode(record.content, room)
        except ImageError as error:
            return LoadedImage(record.header, None, bad_image_error(error))
        return LoadedImage(record.header, image, truncation_error() if is_cut else None)

    def _write_row(
        self, buffer: BatchBuffer, row: int, ordinal: int, drawn: AugmentationPlan | Draws, loaded: LoadedImage
    ) -> RowProblem | None:
        """Write id, label and image into *row*; return the problem of the record, if any.

        This is where errors of single records stop: the consumer raises or counts them when the batch is taken.
        """
        header, image, error = loaded
        if header is None:
            return RowProblem(row, error, row_is_valid=False) if error else None
        buffer.ids[row] = header.id
        if image is None and error is not None:  # before the label is looked at, which may be damaged as well
            return RowProblem(row, self.records.locate(ordinal).fill_in(error, header.id), row_is_valid=False)
        is_valid = True
        try:
            if self._labels.is_header_field and header.flag == 0:  # by far the most common
                buffer.label[row] = header.label
            else:
                buffer.label[row] = self._labels.of(header).reshape(buffer.label.shape[1:])
            if isinstance(image, UndecodedJpeg):
                error = self._write_jpeg(image, drawn, buffer.data[row])
            elif image is not None:
                self.augmenter.write(image, self._plan(Size.of(image), drawn), buffer.data[row])
        except ImageError as failure:
            error, is_valid = bad_image_error(failure), False
        except BadRecordError as failure:
            # The frames of its traceback hold the buffer, which a caller that keeps the error would keep as well.
            error, is_valid = failure.with_traceback(None), False
        if error is None:
            return None
        return RowProblem(row, self.records.locate(ordinal).fill_in(error, header.id), is_valid)

    def _plan(self, size: Size, drawn: AugmentationPlan | Draws) -> AugmentationPlan:
        return drawn if isinstance(drawn, AugmentationPlan) else self.augmenter.plan(size, drawn)

    def _write_jpeg(self, jpeg: UndecodedJpeg, drawn: AugmentationPlan | Draws, row: RowArray) -> BadRecordError | None:
        """Write *jpeg* into *row* by the compiled decoder; where that declines by libjpeg, which decodes all of it."""
        if not self.decode_into_row(jpeg, drawn, row):
            return None
        image, is_cut = self.decode(jpeg.content)
        self.augmenter.write(image, self._plan(Size.of(image), drawn), row)
        return truncation_error() if is_cut else None


def truncation_error() -> BadRecordError:
    """Return the error of a record whose image data is cut short, before its location is filled in."""
    return BadRecordError("the image data ends early", reason=CUT)


def with_skip_hint(error: BadRecordError) -> BadRecordError:
    """Return *error*, which ends the reading of a batch, with the hint that ``on_error=skip`` goes on without it."""
    error.hint = "; ".join(filter(None, (error.hint, "on_error=skip skips and counts such records")))
    return error


def bad_image_error(error: ImageError) -> BadRecordError:
    """Return *error*, met while an image was decoded or augmented, as the error of its record."""
    # Most problems continue "the image ..."; some name it themselves, or report that there is none.
    problem = error.problem if error.problem.startswith(("the image", "holds no")) else f"the image {error.problem}"
    return BadRecordError(problem, reason=error.reason, hint=error.hint)
