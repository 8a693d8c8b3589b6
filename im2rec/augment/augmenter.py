"""MXNet's sequence of augmentations: geometry, colour, then normalisation; planned for a record, then carried out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from im2rec.augment.color import Colors
from im2rec.augment.draws import Draws
from im2rec.augment.geometry import Geometry, Size, Step
from im2rec.augment.normalize import Finish, Normalizer, Plane
from im2rec.augment.params import AugmentationParams
from im2rec.images.codec import Image
from im2rec.images.engine import Resampler


class Plan(NamedTuple):
    """Everything that was drawn for one record: steps of geometry and colour in order, then the last one."""

    steps: tuple[Step, ...]
    finish: Finish


class Augmenter:
    """The default augmenter, for pictures of any size and batches of *data_shape* (channels, height, width).

    *mean* is a mean picture, float32 of *data_shape*.
    """

    def __init__(
        self,
        params: AugmentationParams,
        data_shape: tuple[int, int, int],
        engine: Resampler,
        *,
        dtype: str,
        layout: str,
        mean: Plane | None = None,
    ) -> None:
        channels, height, width = data_shape
        self._engine = engine
        self._geometry = Geometry(params, Size(width, height))
        self._colors = Colors(params, channels)
        self._normalizer = Normalizer(params, channels, dtype=dtype, layout=layout, mean=mean, engine=engine)

    def plan(self, size: Size, draws: Draws) -> Plan:
        """Draw everything for one picture of *size*. Raises ImageError for one that is too small."""
        steps = self._geometry.plan(size, draws)
        if self._colors.on:
            steps += self._colors.plan(draws)
        return Plan(tuple(steps), self._normalizer.plan(draws))

    def picture(self, image: Image, plan: Plan) -> Image:
        """The steps of *plan* applied to *image*: uint8 (height, width, channels) of data_shape's size, not flipped."""
        for step in plan.steps:
            image = step.apply(image, self._engine)
        return image

    def write(self, image: Image, plan: Plan, row: npt.NDArray[Any]) -> None:
        """*image* as *plan* makes it, into *row* of a batch."""
        self._normalizer.write(self.picture(image, plan), plan.finish, row)

    def shown(self, row: npt.NDArray[Any]) -> Image:
        """A *row* of a batch as a picture again, uint8 (height, width, 3), as :meth:`Normalizer.shown` says."""
        return self._normalizer.shown(row)
