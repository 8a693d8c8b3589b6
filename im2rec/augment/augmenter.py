"""MXNet's sequence of augmentations: geometry, colour, then normalisation.

A record is first planned, which draws all of its random numbers, and the plan is carried out afterwards. So a plan can
be shown, repeated, and made before the image is decoded: the compiled decoder then decodes only what is cropped.
"""

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
    """Everything that was drawn for one record: the steps of geometry and colour, in order, and the normalisation."""

    steps: tuple[Step, ...]
    normalization: Normalization


class Augmenter:
    """The default augmenter: makes rows of a batch from images of any size.

    Each row has *data_shape* (channels, height, width). *mean* is a mean image, float32 of *data_shape*::

        plan = augmenter.plan(Size.of(image), draws)
        augmenter.write(image, plan, batch[row])
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
        self._geometry = Geometry(params, Size(width, height), engine.name)
        self._colors = Colors(params, channels)
        self._is_planar = layout == NCHW
        self._kernel_interpolations: frozenset[int] | None = None
        self._normalizer = Normalizer(params, channels, dtype=dtype, layout=layout, mean=mean, engine=engine)

    @property
    def suits_kernel(self) -> bool:
        """True if most images are cropped or scaled first, which the compiled decoder can do while it decodes."""
        # Pillow's filters antialias, and so never give the pixels that the decoder gives.
        return self._geometry.crops_first or (self._geometry.resizes_first and self._engine.name != "pillow")

    @property
    def is_done_by_kernel(self) -> bool:
        """True if the compiled decoder, where there is one, does nearly all the work on most images.

        That is so without a warp, without changes of colour, and where the normalisation is linear.
        """
        return (
            self.suits_kernel
            and not self._geometry.warps
            and not self._colors.is_enabled
            and self._normalizer.is_linear
        )

    def plan(self, size: Size, draws: Draws) -> AugmentationPlan:
        """Draw everything for one image of *size*. Raises ImageError for an image that is too small or too large."""
        steps = self._geometry.plan(size, draws)
        if self._colors.is_enabled:
            steps += self._colors.plan(draws)
        return AugmentationPlan(tuple(steps), self._normalizer.plan(draws))

    def augment(self, image: Image, plan: AugmentationPlan) -> Image:
        """Apply the steps of *plan* to *image*; the result is neither normalised nor flipped.

        It is uint8 (height, width, channels) of data_shape's size, and may be a view of *image*.
        """
        for step in plan.steps:
            image = step.apply(image, self._engine)
        return image

    def write(self, image: Image, plan: AugmentationPlan, row: npt.NDArray[Any]) -> None:
        """Augment and normalise *image*, and write the result into *row* of a batch."""
        self._normalizer.write(self.augment(image, plan), plan.normalization, row)

    def decode_and_write(
        self, kernel: Kernel, content: bytes, size: Size, plan: AugmentationPlan, row: npt.NDArray[Any]
    ) -> str:
        """Do the work of :meth:`write` for a JPEG that is not decoded yet, of *size*, decoding only what is needed.

        Where no step is left after a crop and a resize, the decoder writes straight into *row*. Returns the reason why
        *row* was not written, or nothing. After a reason *row* may hold anything, and the image is for :meth:`write`.
        """
        crop, resize, steps = self._split_for_kernel(kernel, plan.steps)
        crop = crop or Crop(0, 0, size.height, size.width)
        method = resize.inter_method if resize else None
        linear = None if steps else self._normalizer.linear(plan.normalization)
        if linear is not None:
            mean, factor = linear
            return kernel.decode_into(
                content,
                crop,
                row,
                inter_method=method,
                mirror=plan.normalization.mirror,
                planes=self._is_planar,
                mean=mean,
                factor=factor,
            )
        if not resize and (crop.width, crop.height) == size:
            # The decoder gains by what it skips and by writing the row itself; here it could do neither.
            return "not cropped first"
        height, width = (resize.height, resize.width) if resize else (crop.height, crop.width)
        image = scratch("crop", 3 * height * width).reshape(height, width, 3)
        declined = kernel.decode_into(content, crop, image, inter_method=method, planes=False)
        if not declined:
            self.write(image, AugmentationPlan(steps, plan.normalization), row)
        return declined

    def _split_for_kernel(
        self, kernel: Kernel, steps: tuple[Step, ...]
    ) -> tuple[Crop | None, Resize | None, tuple[Step, ...]]:
        """Return the crop and the resize that *kernel* does while it decodes, and the steps that are left after them.

        The resize must follow the crop, and must give the same pixels as the engine's.
        """
        crop = resize = None
        if steps and isinstance(steps[0], Crop):
            crop, steps = steps[0], steps[1:]
        if steps and isinstance(steps[0], Resize) and steps[0].inter_method in self._same_interpolations(kernel):
            resize, steps = steps[0], steps[1:]
        return crop, resize, steps

    def _same_interpolations(self, kernel: Kernel) -> frozenset[int]:
        """Interpolations by which *kernel* gives the pixels that the engine gives, found by trial once."""
        if self._kernel_interpolations is None:
            self._kernel_interpolations = kernel.scales_like(self._engine.resize)
        return self._kernel_interpolations

    def row_to_image(self, row: npt.NDArray[Any]) -> Image:
        """Return a *row* of a batch as an image to look at, uint8 (height, width, 3).

        See :meth:`Normalizer.row_to_image`.
        """
        return self._normalizer.row_to_image(row)
