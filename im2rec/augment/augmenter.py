"""MXNet's sequence of augmentations: geometry, colour, then normalisation; planned for a record, then carried out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from im2rec.augment.color import Colors
from im2rec.augment.draws import Draws
from im2rec.augment.geometry import Crop, Geometry, Resize, Size, Step
from im2rec.augment.normalize import Normalization, Normalizer, Plane
from im2rec.augment.params import NCHW, AugmentationParams
from im2rec.images.codec import Image
from im2rec.images.engine import Resampler
from im2rec.images.scratch import scratch
from im2rec.jpeg.kernel import Kernel


class AugmentationPlan(NamedTuple):
    """Everything that was drawn for one record: steps of geometry and colour in order, then the last one."""

    steps: tuple[Step, ...]
    finish: Normalization


class Augmenter:
    """The default augmenter, for images of any size and batches of *data_shape* (channels, height, width).

    *mean* is a mean image, float32 of *data_shape*.
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
        self._planes = layout == NCHW
        self._kernel_scales: frozenset[int] | None = None
        self._normalizer = Normalizer(params, channels, dtype=dtype, layout=layout, mean=mean, engine=engine)

    @property
    def suits_kernel(self) -> bool:
        """Whether most images are first cropped or scaled, which the compiled decoder does as well."""
        return self._geometry.crops_first or (self._geometry.resizes_first and self._engine.name != "pillow")

    @property
    def is_done_by_kernel(self) -> bool:
        """Whether the compiled decoder does nearly all that is done to most images, or could: no warp, no colours."""
        return self.suits_kernel and not self._geometry.warps and not self._colors.on and self._normalizer.is_linear

    def plan(self, size: Size, draws: Draws) -> AugmentationPlan:
        """Draw everything for one image of *size*. Raises ImageError for one that is too small."""
        steps = self._geometry.plan(size, draws)
        if self._colors.on:
            steps += self._colors.plan(draws)
        return AugmentationPlan(tuple(steps), self._normalizer.plan(draws))

    def image(self, image: Image, plan: AugmentationPlan) -> Image:
        """The steps of *plan* applied to *image*: uint8 (height, width, channels) of data_shape's size, not flipped."""
        for step in plan.steps:
            image = step.apply(image, self._engine)
        return image

    def write(self, image: Image, plan: AugmentationPlan, row: npt.NDArray[Any]) -> None:
        """*image* as *plan* makes it, into *row* of a batch."""
        self._normalizer.write(self.image(image, plan), plan.finish, row)

    def write_jpeg(
        self, kernel: Kernel, content: bytes, size: Size, plan: AugmentationPlan, row: npt.NDArray[Any]
    ) -> str:
        """The same for a JPEG of *size* that is not decoded yet: only what *plan* crops, and straight into *row*.

        Returns the reason why it is not done, and the image is for :meth:`write`; then *row* holds anything.
        """
        crop, scaled, steps = self._begun_by(kernel, plan.steps)
        crop = crop or Crop(0, 0, size.height, size.width)
        method = scaled.inter_method if scaled else None
        linear = None if steps else self._normalizer.linear(plan.finish)
        if linear is not None:
            mean, factor = linear
            return kernel.decode_into(
                content,
                crop,
                row,
                inter_method=method,
                mirror=plan.finish.mirror,
                planes=self._planes,
                mean=mean,
                factor=factor,
            )
        if not scaled and (crop.width, crop.height) == size:
            return "not cropped first"  # all of it at once is for libjpeg
        height, width = (scaled.height, scaled.width) if scaled else (crop.height, crop.width)
        image = scratch("crop", 3 * height * width).reshape(height, width, 3)
        declined = kernel.decode_into(content, crop, image, inter_method=method, planes=False)
        if not declined:
            self.write(image, AugmentationPlan(steps, plan.finish), row)
        return declined

    def _begun_by(self, kernel: Kernel, steps: tuple[Step, ...]) -> tuple[Crop | None, Resize | None, tuple[Step, ...]]:
        """The steps that *kernel* does while it decodes, a crop and a resize behind it, and those that are left."""
        crop = scaled = None
        if steps and isinstance(steps[0], Crop):
            crop, steps = steps[0], steps[1:]
        if steps and isinstance(steps[0], Resize) and steps[0].inter_method in self._scaled_by(kernel):
            scaled, steps = steps[0], steps[1:]
        return crop, scaled, steps

    def _scaled_by(self, kernel: Kernel) -> frozenset[int]:
        """The interpolations by which *kernel* gives the very pixels that the engine gives."""
        if self._kernel_scales is None:
            self._kernel_scales = kernel.scales_like(self._engine.resize)
        return self._kernel_scales

    def shown(self, row: npt.NDArray[Any]) -> Image:
        """A *row* of a batch as an image again, uint8 (height, width, 3), as :meth:`Normalizer.shown` says."""
        return self._normalizer.shown(row)
