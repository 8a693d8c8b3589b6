"""The last step: mean, contrast, illumination, deviation and scale, the flip, and the layout of the batch.

Source of the arithmetic: mxnet src/io/iter_normalize.h and iter_image_recordio_2.cc.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.augment.draws import Draws, Float
from im2rec.augment.params import NCHW, AugmentationParams
from im2rec.images.codec import Image
from im2rec.images.engine import Resampler, write_planes
from im2rec.images.fixed_point import rounded
from im2rec.images.scratch import scratch

Plane = npt.NDArray[np.float32]
_NO_LIGHT = Float(0)
_AS_IT_IS = np.zeros(3, np.float32), np.ones(3, np.float32)


class Normalization(NamedTuple):
    """What was drawn for the last step: whether to flip, a factor and an offset (both with ``scale`` in them)."""

    mirror: bool
    contrast: Float
    illumination: Float


class Normalizer:
    """Writes images into rows of a batch.

    *mean* is a mean image, float32 (channels, height, width), or None for the means per channel. *engine* takes
    images apart into planes, numpy where there is none.
    """

    def __init__(
        self,
        params: AugmentationParams,
        channels: int,
        *,
        dtype: str,
        layout: str,
        mean: Plane | None = None,
        engine: Resampler | None = None,
    ) -> None:
        planes = engine.planes if engine else write_planes
        self._arrange = planes if layout == NCHW else _interleaved
        self._params = params
        self._layout = layout
        self._dtype = dtype
        self._scale = Float(params.scale)
        self._varies = bool(params.max_random_contrast or params.max_random_illumination)
        per_channel = np.array([getattr(params, f"mean_{name}") for name in "rgba"[:channels]], np.float32)
        self._mean = self._placed(mean if mean is not None else per_channel[:, None, None])
        std = np.array([getattr(params, f"std_{name}") for name in "rgba"[:channels]], np.float32)
        self._std = self._placed(std[:, None, None])
        self._factor = self._scale / self._std
        self._linear = _AS_IT_IS if dtype == "uint8" else None
        if dtype == "float32" and mean is None:
            self._linear = per_channel, self._factor.reshape(-1)
        self._moves, self._stretches = bool(self._mean.any()), bool((self._factor != 1).any())
        if dtype == "int8":
            whole = np.trunc(self._mean)
            self._mean = whole + np.sign(self._mean) * (np.abs(self._mean - whole) >= Float(0.5))  # halves outwards

    def plan(self, draws: Draws) -> Normalization:
        """Draw for one record.

        The reference takes a number for contrast and illumination even where it has no effect (but not for uint8).
        """
        params = self._params
        coin = draws.coin("mirror") if params.rand_mirror else False
        if self._dtype == "uint8" or not (self._varies or draws.sequential):
            return Normalization(params.mirror or coin, self._scale, _NO_LIGHT)
        most, two = Float(params.max_random_contrast), Float(2)
        contrast = (draws.unit("contrast_factor") * most * two - most + Float(1)) * self._scale
        most = Float(params.max_random_illumination)
        illumination = (draws.unit("illumination") * most * two - most) * self._scale
        return Normalization(params.mirror or coin, contrast, illumination)

    @property
    def is_linear(self) -> bool:
        """Whether :meth:`linear` never is None."""
        return self._linear is not None and (self._dtype == "uint8" or not self._params.max_random_illumination)

    def linear(self, finish: Normalization) -> tuple[Plane, Plane] | None:
        """The mean and the factor of each channel where a value is ``(level - mean) * factor``, or None for more.

        For uint8, whose values are the levels, they say nothing.
        """
        if self._linear is None or finish.illumination:
            return None
        if finish.contrast == self._scale:
            return self._linear
        return self._linear[0], (finish.contrast / self._std).reshape(-1)

    def write(self, image: Image, finish: Normalization, row: npt.NDArray[Any]) -> None:
        """Write *image*, uint8 (height, width, channels), to *row*, of the batch's dtype and layout."""
        if self._dtype == "uint8":
            self._arrange(image, row, mirror=finish.mirror)
            return
        # Arranged before it is widened: four times fewer bytes to gather.
        levels = scratch("levels", row.size).reshape(row.shape)
        self._arrange(image, levels, mirror=finish.mirror)
        mean = self._flipped(self._mean) if finish.mirror else self._mean
        if self._dtype == "int8":
            np.clip(levels - mean, -128, 127, out=row, casting="unsafe")
            return
        values = row if row.dtype == np.float32 else scratch("values", 4 * row.size).view(np.float32).reshape(row.shape)
        values[...] = levels  # widened first: with operands of two types numpy works through a small buffer
        if self._moves:
            np.subtract(values, mean, out=values)
        if finish.contrast != self._scale:
            np.multiply(values, finish.contrast / self._std, out=values)
        elif self._stretches:
            np.multiply(values, self._factor, out=values)
        if finish.illumination:
            np.add(values, finish.illumination / self._std, out=values)
        if values is not row:
            with np.errstate(over="ignore"):  # what float16 does not hold is infinite
                row[...] = values

    def shown(self, row: npt.NDArray[Any]) -> Image:
        """A *row* of a batch as levels again, uint8 (height, width, 3); grey in three channels, alpha left out.

        Contrast and illumination stay in; a mean image is added where it stands, whether the row is flipped or not.
        """
        levels = row.astype(np.float32)
        if self._dtype not in ("uint8", "int8"):
            levels *= self._std / Float(self._params.scale or 1)
        if self._dtype != "uint8":
            levels += self._mean
        pixels = rounded(levels)
        if self._layout == NCHW:
            pixels = pixels.transpose(1, 2, 0)
        return np.ascontiguousarray(pixels[:, :, :3] if pixels.shape[2] > 1 else pixels.repeat(3, axis=2))

    def _placed(self, planes: Plane) -> Plane:
        """*planes* (channels, height, width) in the layout of a row."""
        return planes if self._layout == NCHW else np.ascontiguousarray(planes.transpose(1, 2, 0))

    def _flipped(self, planes: Plane) -> Plane:
        """A mean image is subtracted where the pixel was before the flip."""
        return planes[:, :, ::-1] if self._layout == NCHW else planes[:, ::-1]


def _interleaved(image: Image, out: Image, *, mirror: bool) -> None:
    """Write *image*, mirrored if *mirror*, to *out*, uint8 (height, width, channels)."""
    out[...] = image[:, ::-1] if mirror else image
