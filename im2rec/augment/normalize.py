"""Normalisation, the last step: mean, contrast, illumination, deviation and scale, the flip, the layout of the batch.

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
_NO_ILLUMINATION = Float(0)
_IDENTITY = np.zeros(3, np.float32), np.ones(3, np.float32)  # mean and factor of levels that are not normalised


class Normalization(NamedTuple):
    """The random numbers of the last step: True to flip, a factor and an offset, both multiplied by ``scale``."""

    mirror: bool
    contrast: Float
    illumination: Float


class Normalizer:
    """Writes images into rows of a batch.

    *mean* is a mean image, float32 (channels, height, width), or None for the means per channel. *engine* splits images
    into planes; without one numpy does.
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
        self._arrange = planes if layout == NCHW else _write_pixels
        self._params = params
        self._layout = layout
        self._dtype = dtype
        self._scale = Float(params.scale)
        self._is_random = bool(params.max_random_contrast or params.max_random_illumination)
        per_channel = np.array([getattr(params, f"mean_{name}") for name in "rgba"[:channels]], np.float32)
        self._mean = self._placed(mean if mean is not None else per_channel[:, None, None])
        std = np.array([getattr(params, f"std_{name}") for name in "rgba"[:channels]], np.float32)
        self._std = self._placed(std[:, None, None])
        self._factor = self._scale / self._std
        self._linear = _IDENTITY if dtype == "uint8" else None
        if dtype == "float32" and mean is None:
            self._linear = per_channel, self._factor.ravel()
        # What is skipped below makes no difference: subtracting 0, or multiplying by 1.
        self._has_mean, self._has_factor = bool(self._mean.any()), bool((self._factor != 1).any())
        if dtype == "int8":
            whole = np.trunc(self._mean)
            # Halves away from zero, as in the reference; np.rint would take the even number.
            self._mean = whole + np.sign(self._mean) * (np.abs(self._mean - whole) >= Float(0.5))

    def plan(self, draws: Draws) -> Normalization:
        """Draw for one record: the coin of ``rand_mirror``, then contrast, then illumination.

        The reference draws contrast and illumination even where they have no effect, though not for uint8. Draws of a
        generator must do the same; those by hash leave out what has no effect.
        """
        params = self._params
        coin = draws.coin("mirror") if params.rand_mirror else False
        if self._dtype == "uint8" or not (self._is_random or draws.is_sequential):
            return Normalization(params.mirror or coin, self._scale, _NO_ILLUMINATION)
        limit, two = Float(params.max_random_contrast), Float(2)
        contrast = (draws.unit("contrast_factor") * limit * two - limit + Float(1)) * self._scale
        limit = Float(params.max_random_illumination)
        illumination = (draws.unit("illumination") * limit * two - limit) * self._scale
        return Normalization(params.mirror or coin, contrast, illumination)

    @property
    def is_linear(self) -> bool:
        """True if :meth:`linear` never returns None."""
        return self._linear is not None and (self._dtype == "uint8" or not self._params.max_random_illumination)

    def linear(self, normalization: Normalization) -> tuple[Plane, Plane] | None:
        """Return the mean and the factor of each channel if every value is ``(level - mean) * factor``; else None.

        Both are float32 (channels,). For uint8, whose values are the levels, they are 0 and 1.
        """
        if self._linear is None or normalization.illumination:
            return None
        if normalization.contrast == self._scale:
            return self._linear
        return self._linear[0], (normalization.contrast / self._std).ravel()

    def write(self, image: Image, normalization: Normalization, row: npt.NDArray[Any]) -> None:
        """Normalise *image*, uint8 (height, width, channels), into *row*, of the batch's dtype and layout.

        A value is ``(level - mean) * (contrast / std) + illumination / std``, in 32-bit floats, with both quotients
        rounded first: the bits of the reference depend on it.
        """
        if self._dtype == "uint8":
            self._arrange(image, row, mirror=normalization.mirror)
            return
        # Flipped and transposed as bytes: as floats there would be four times as many to gather.
        levels = scratch("levels", row.size).reshape(row.shape)
        self._arrange(image, levels, mirror=normalization.mirror)
        mean = self._flipped(self._mean) if normalization.mirror else self._mean
        if self._dtype == "int8":
            np.clip(levels - mean, -128, 127, out=row, casting="unsafe")
            return
        values = row if row.dtype == np.float32 else scratch("values", 4 * row.size).view(np.float32).reshape(row.shape)
        values[...] = levels  # converted first: with operands of two types numpy works through a small buffer
        if self._has_mean:
            np.subtract(values, mean, out=values)
        if normalization.contrast != self._scale:
            np.multiply(values, normalization.contrast / self._std, out=values)
        elif self._has_factor:
            np.multiply(values, self._factor, out=values)
        if normalization.illumination:
            np.add(values, normalization.illumination / self._std, out=values)
        if values is not row:
            with np.errstate(over="ignore"):  # values beyond the range of float16 become infinite
                row[...] = values

    def row_to_image(self, row: npt.NDArray[Any]) -> Image:
        """Return a *row* of a batch as an image to look at: uint8 (height, width, 3), grey in all three, without alpha.

        Mean, deviation and scale are undone. Random contrast and illumination are not, and neither is the flip: a mean
        image is added unflipped even where the row is flipped, since a row does not record its flip.
        """
        levels = row.astype(np.float32)
        if self._dtype not in ("uint8", "int8"):
            levels *= self._std / Float(self._params.scale or 1)  # with scale=0 every row is the mean
        if self._dtype != "uint8":
            levels += self._mean
        pixels = rounded(levels)
        if self._layout == NCHW:
            pixels = pixels.transpose(1, 2, 0)
        return np.ascontiguousarray(pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3])

    def _placed(self, planes: Plane) -> Plane:
        """Return *planes*, (channels, height, width), in the layout of a row."""
        return planes if self._layout == NCHW else np.ascontiguousarray(planes.transpose(1, 2, 0))

    def _flipped(self, planes: Plane) -> Plane:
        """Flip a mean in the layout of a row: it is subtracted at the place that a pixel had before the flip.

        A mean per channel has one column, and does not change.
        """
        return planes[:, :, ::-1] if self._layout == NCHW else planes[:, ::-1]


def _write_pixels(image: Image, out: Image, *, mirror: bool) -> None:
    """Write *image*, flipped left to right if *mirror*, to *out*: uint8 (height, width, channels)."""
    out[...] = image[:, ::-1] if mirror else image
