"""One record as it was delivered in an epoch: what was drawn for it, and its picture."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from im2rec.augment.draws import Draws, Float
from im2rec.augment.geometry import Size
from im2rec.errors import BadRecordError, ImageError, ParameterError
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.pipeline.buffers import new_arrays
from im2rec.pipeline.loader import Wanted, bad_picture
from im2rec.pipeline.params import MXNET
from im2rec.storage.files import AsideFile, writing


class RecordedDraws(Draws):
    """Passes on what *draws* gives, and keeps it by name in ``values``."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self.sequential = draws.sequential
        self.values: dict[str, float] = {}

    def _kept(self, name: str, attempt: int, value: Any) -> Any:
        self.values[f"{name}, try {attempt + 1}" if attempt else name] = float(value)
        return value

    def unit(self, name: str, attempt: int = 0) -> Float:
        """Uniform in [0, 1)."""
        unit: Float = self._kept(name, attempt, self._draws.unit(name, attempt))
        return unit

    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        """A whole number from *low* to *high*, both included."""
        return int(self._kept(name, attempt, self._draws.integer(name, low, high, attempt)))

    def coin(self, name: str) -> bool:
        """True in half of the cases."""
        return bool(self._kept(name, 0, self._draws.coin(name)))

    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        """One normal number for each of *names*."""
        values = self._draws.normals(names, deviation)
        return tuple(self._kept(name, 0, value) for name, value in zip(names, values, strict=True))


@dataclasses.dataclass(frozen=True)
class Replayed:
    """A record in an epoch: where it is, its stored size, what was drawn, what was done; *picture* is the PNG written.

    *record* is the ordinal in *rec*, *ordinal* that over all joined files.
    """

    rec: str
    record: int
    ordinal: int
    epoch: int
    id: int
    label: list[float]
    height: int
    width: int
    drawn: dict[str, float]
    steps: list[str]
    picture: str


def replay(it: ImageRecordIter, *, epoch: int, ordinal: int, out: Path, force: bool, dry_run: bool = False) -> Replayed:
    """Repeat record *ordinal* (over all joined files) as *it* delivers it in *epoch*; its picture goes to *out*.

    Raises ParameterError for a record that is not iterated over, and with ``rng=mxnet``, BadRecordError, OutputError.
    """
    _check(it, ordinal)
    place = it.records.place(ordinal)
    record = it.records.read(ordinal)
    if isinstance(record, BadRecordError):
        raise record
    draws = RecordedDraws(*it.loader.draws([epoch], [ordinal]))
    try:
        image, _ = it.loader.decoded(record.content)
        plan = it.loader.plan(Size.of(image), draws)
    except ImageError as error:
        raise place.named(bad_picture(error), record.header.id) from None
    arrays = new_arrays(
        1, it.loader.label_width, np.zeros((1, *it.provide_data[0].shape[1:]), it.provide_data[0].dtype)
    )
    for flaw in it.loader.load(arrays, Wanted(0, [ordinal], [epoch], [None])):
        if not flaw.kept:
            raise flaw.error
    if not dry_run:
        _write_png(it.augmenter.shown(arrays.data[0]), out, force=force)
    return Replayed(
        rec=str(place.file.path),
        record=place.record,
        ordinal=ordinal,
        epoch=epoch,
        id=record.header.id,
        label=arrays.label[0].reshape(-1).tolist(),
        height=image.shape[0],
        width=image.shape[1],
        drawn=draws.values,
        steps=[_said(step) for step in (*plan.steps, plan.finish)],
        picture=str(out),
    )


def _check(it: ImageRecordIter, ordinal: int) -> None:
    if it.params.rng == MXNET:
        raise ParameterError("--replay needs rng=im2rec: with rng=mxnet a record's numbers follow from all before it")
    if not 0 <= ordinal < it.records.total:
        raise ParameterError(f"--replay record={ordinal} must be 0 to {it.records.total - 1}")
    if ordinal in it.records.left_out:
        raise ParameterError(f"--replay record={ordinal} holds labels and no picture", hint="set records=all")


def _write_png(picture: Any, out: Path, *, force: bool) -> None:
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "PNG")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with AsideFile(out, force=force) as file:
        file.write(encoded.getvalue())


def _said(step: Any) -> str:
    """A step in words: its name and its values."""
    values = ", ".join(f"{name} {_number(value)}" for name, value in step._asdict().items())
    return f"{type(step).__name__}: {values}"


def _number(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return " ".join(f"{number:.4g}" for number in value.ravel())
    return str(value) if isinstance(value, (bool, int, np.integer)) else f"{value:.6g}"
