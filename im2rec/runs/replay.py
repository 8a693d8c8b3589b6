"""Replay of one record of an epoch: its random numbers, its augmentation and its image."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from im2rec.augment.draws import Draws, Float
from im2rec.augment.geometry import Size
from im2rec.errors import BadRecordError, ImageError, ParameterError
from im2rec.images.sheet import png_bytes
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout
from im2rec.pipeline.loader import bad_image_error
from im2rec.pipeline.order import BatchRequest
from im2rec.pipeline.params import MXNET
from im2rec.pipeline.records import Records
from im2rec.schema import DRY_RUN, INPUT, Number, described, whole
from im2rec.storage.output import AtomicFile, writing


class RecordedDraws(Draws):
    """Random numbers of *draws*, recorded by name in ``values``."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self.is_sequential = draws.is_sequential
        self.values: dict[str, float] = {}

    def _record(self, name: str, attempt: int, value: Any) -> Any:
        self.values[f"{name}, try {attempt + 1}" if attempt else name] = float(value)
        return value

    def unit(self, name: str, attempt: int = 0) -> Float:
        """Return a number uniform in [0, 1)."""
        unit: Float = self._record(name, attempt, self._draws.unit(name, attempt))
        return unit

    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        """Return an integer from *low* to *high*, both included."""
        return int(self._record(name, attempt, self._draws.integer(name, low, high, attempt)))

    def coin(self, name: str) -> bool:
        """Return True with a probability of one half."""
        return bool(self._record(name, 0, self._draws.coin(name)))

    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        """Return one normal number for each of *names*."""
        values = self._draws.normals(names, deviation)
        return tuple(self._record(name, 0, value) for name, value in zip(names, values, strict=True))


@dataclasses.dataclass(frozen=True)
class ReplayedRecord:
    """A record in an epoch: its location, stored size, random numbers and steps."""

    input: str = described(INPUT)
    record: int = described("Ordinal of the record in its file, from 0.")
    ordinal: int = described("Ordinal of the record over all joined files, from 0.")
    epoch: int = described("The epoch, from 0.")
    id: int = described("Id in the image header.")
    labels: list[Number] = described("Labels of the record.")
    height: int = described("Height of the stored image in pixels.")
    width: int = described("Width of the stored image in pixels.")
    drawn: dict[str, float] = described("Random numbers by name.")
    steps: list[str] = described("Steps that were applied, in order.")
    image: str = described("Path of the image that was drawn.")
    dry_run: bool = described(DRY_RUN, False)


def replay(
    it: ImageRecordIter, *, epoch: int, ordinal: int, out: Path, force: bool, dry_run: bool = False
) -> ReplayedRecord:
    """Load record *ordinal* (over all joined files) as *it* delivers it in *epoch*, and write its image to *out*.

    Raises ParameterError with ``rng=mxnet`` or for a record that is not iterated over, BadRecordError and OutputError.
    """
    loader = loader_of(it)
    _check(it, loader.records, ordinal)
    location = loader.records.locate(ordinal)
    record = loader.records.read(ordinal)
    if isinstance(record, BadRecordError):
        raise record
    draws = RecordedDraws(*loader.draws([epoch], [ordinal]))
    try:
        image, _ = loader.decode(record.content)
        plan = loader.augmenter.plan(Size.of(image), draws)
    except ImageError as error:
        raise location.fill_in(bad_image_error(error), record.header.id) from None
    row_shape = it.provide_data[0].shape[1:]
    buffer = BatchBuffer.new(BatchLayout((1, *row_shape), it.params.data_dtype, loader.label_width))
    for problem in loader.load(buffer, BatchRequest([ordinal], [epoch])):
        if not problem.row_is_valid:
            raise problem.error
    if not dry_run:
        _write_png(loader.augmenter.row_to_image(buffer.data[0]), out, force=force)
    return ReplayedRecord(
        input=str(location.file.path),
        record=location.record,
        ordinal=ordinal,
        epoch=epoch,
        id=record.header.id,
        labels=[whole(label) for label in buffer.label[0].reshape(-1).tolist()],
        height=image.shape[0],
        width=image.shape[1],
        drawn=draws.values,
        steps=[_format_step(step) for step in (*plan.steps, plan.normalization)],
        image=str(out),
        dry_run=dry_run,
    )


def _check(it: ImageRecordIter, records: Records, ordinal: int) -> None:
    if it.params.rng == MXNET:
        raise ParameterError("--replay needs rng=im2rec: with rng=mxnet a record's numbers follow from all before it")
    if not 0 <= ordinal < records.total:
        raise ParameterError(f"--replay record={ordinal} must be 0 to {records.total - 1}")
    if ordinal in records.left_out and not isinstance(records.read(ordinal), BadRecordError):
        raise ParameterError(f"--replay record={ordinal} holds labels and no image", hint="set records=all")


def _write_png(image: Any, out: Path, *, force: bool) -> None:
    encoded = png_bytes(Image.fromarray(image))
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with AtomicFile(out, force=force) as file:
        file.write(encoded)


def _format_step(step: Any) -> str:
    """Return the name of *step* and its values, as one line."""
    values = ", ".join(f"{name} {_format_number(value)}" for name, value in step._asdict().items())
    return f"{type(step).__name__}: {values}"


def _format_number(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return " ".join(f"{number:.4g}" for number in value.ravel())
    return str(value) if isinstance(value, (bool, int, np.integer)) else f"{value:.6g}"
