"""One record of an iterator: as it is stored, and as it is made in any epoch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from im2rec.augment.geometry import Size
from im2rec.errors import BadRecordError, ImageError, ParameterError
from im2rec.format.irheader import IRHeader
from im2rec.images.codec import COLOR, Image, decode
from im2rec.images.engine import load_resampler
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout
from im2rec.pipeline.loader import bad_image_error
from im2rec.pipeline.order import BatchRequest
from im2rec.pipeline.params import MXNET, WARN
from im2rec.pipeline.records import RecordLocation
from im2rec.runs.changes import Change, Corner, RecordedDraws, changes_of, region_of, step_text


class StoredRecord(NamedTuple):
    """A record that was read and decoded.

    *image* is what the augmentation gets: uint8 (height, width, channels), with the channels of data_shape. *shown* is
    the same to be looked at, in three channels: in colour where data_shape makes it grey, and without alpha.
    """

    ordinal: int
    location: RecordLocation
    header: IRHeader
    image: Image
    shown: Image

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size.of(self.image)


class MadeImage(NamedTuple):
    """The image of a record in one epoch, uint8 (height, width, 3), with its labels and how it came about.

    *region* has the corners of the part of the stored image that it shows, None for all of it; see :func:`region_of`.
    *flaw* is the error of a JPEG that is cut short, and was decoded as far as it goes.
    """

    pixels: Image
    labels: list[float]
    drawn: dict[str, float]
    steps: list[str]
    changes: list[Change]
    region: list[Corner] | None
    flaw: BadRecordError | None


def check_replay(it: ImageRecordIter, option: str) -> None:
    """Raise ParameterError, naming *option*, if *it* cannot make a record without all those before it."""
    if it.params.rng == MXNET:
        raise ParameterError(f"{option} needs rng=im2rec: with rng=mxnet a record's numbers follow from all before it")


def read_stored(it: ImageRecordIter, ordinal: int) -> StoredRecord:
    """Read and decode record *ordinal*, over all joined files. Raises BadRecordError."""
    loader = loader_of(it)
    location = loader.records.locate(ordinal)
    record = loader.records.read(ordinal)
    if isinstance(record, BadRecordError):
        raise record
    try:
        image, _ = loader.decode(record.content)
        shown = image[:, :, :3]
        if shown.shape[2] == 1:
            cut_ok = it.params.on_truncated == WARN
            shown = decode(record.content, COLOR, max_pixels=it.params.max_pixels, cut_ok=cut_ok).pixels
    except ImageError as error:
        raise location.fill_in(bad_image_error(error), record.header.id) from None
    return StoredRecord(ordinal, location, record.header, image, np.ascontiguousarray(shown))


def make(it: ImageRecordIter, stored: StoredRecord, epoch: int) -> MadeImage:
    """Make the image of *stored* with the pixels that *it* delivers in *epoch*. Raises BadRecordError."""
    loader, ordinal = loader_of(it), stored.ordinal
    draws = RecordedDraws(*loader.draws([epoch], [ordinal]))
    try:
        plan = loader.augmenter.plan(stored.size, draws)
    except ImageError as error:
        raise stored.location.fill_in(bad_image_error(error), stored.header.id) from None
    row_shape = it.provide_data[0].shape[1:]
    buffer = BatchBuffer.new(BatchLayout((1, *row_shape), it.params.data_dtype, loader.label_width))
    flaw = None
    for problem in loader.load(buffer, BatchRequest([ordinal], [epoch])):
        if not problem.row_is_valid:
            raise problem.error
        flaw = problem.error
    return MadeImage(
        pixels=loader.augmenter.row_to_image(buffer.data[0]),
        labels=buffer.label[0].reshape(-1).tolist(),
        drawn=draws.values,
        steps=[step_text(step) for step in (*plan.steps, plan.normalization)],
        changes=changes_of(stored.image, plan, draws.values, it.params, load_resampler(it.engine)),
        region=region_of(plan.steps, stored.size),
        flaw=flaw,
    )
