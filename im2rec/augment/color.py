"""Changes of colour: jitter, shifts of hue, lightness and saturation, PCA noise; planned and carried out as steps.

A step that maps each level of a channel alone is computed for the 256 levels once and looked up for every pixel: the
results are exact, in 32-bit floats as in the reference, at the cost of one look-up. No step changes a fourth channel.

Source of the arithmetic: mxnet src/io/image_aug_default.cc, ``DefaultImageAugmenter::Process``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.augment.draws import Draws, Float
from im2rec.augment.geometry import Step
from im2rec.augment.params import AugmentationParams
from im2rec.images.codec import Image
from im2rec.images.engine import Resampler
from im2rec.images.fixed_point import levels, rounded
from im2rec.images.grey import grey

COLORS = 3
_LEVELS = np.arange(256, dtype=np.float32)

# Principal components of the colours of ImageNet: rows R, G, B; each column an eigenvector times its eigenvalue.
_PCA = np.array(
    [
        [55.46 * -0.5675, 4.794 * 0.7192, 1.148 * 0.4009],
        [55.46 * -0.5808, 4.794 * -0.0045, 1.148 * -0.8140],
        [55.46 * -0.5836, 4.794 * -0.6948, 1.148 * 0.4203],
    ],
    np.float32,
)


class Brightness(NamedTuple):
    """Multiply every level by *factor*."""

    factor: Float

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Multiply the levels of *image*, rounding halves to even; see :meth:`Step.apply`."""
        return _map_levels(image, rounded(_LEVELS * self.factor))


class Contrast(NamedTuple):
    """Move every level away from the image's mean grey by *factor*."""

    factor: Float

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Stretch the levels of *image* around its mean grey; see :meth:`Step.apply`."""
        mean = Float(_grey(image).mean(dtype=np.float64))
        return _map_levels(image, rounded(_LEVELS * self.factor + (Float(1) - self.factor) * mean))


class Saturation(NamedTuple):
    """Move every level away from its pixel's grey by *factor*."""

    factor: Float

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Stretch the levels of each pixel around its grey; see :meth:`Step.apply`."""
        # The grey differs from pixel to pixel, so no table of 256 levels serves here.
        added = _grey(image).astype(np.float32) * (Float(1) - self.factor)
        return _with_alpha(rounded(image[:, :, :COLORS] * self.factor + added), image)


class ShiftHLS(NamedTuple):
    """Add to hue (half degrees), lightness and saturation (levels); each stops at the end of its range."""

    hue: int
    lightness: int
    saturation: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Shift the colours of *image* in 8-bit HLS by *engine*; see :meth:`Step.apply`."""
        return engine.shift_hls(np.ascontiguousarray(image), self.hue, self.lightness, self.saturation)


class PCANoise(NamedTuple):
    """Add a fractional number of levels to each channel, then truncate: half a level is lost on average."""

    red: Float
    green: Float
    blue: Float

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Add the noise to *image*; see :meth:`Step.apply`."""
        planes = image.copy()
        for channel, noise in enumerate(self):
            table = levels(np.trunc(_LEVELS + noise))
            planes[:, :, channel] = table[image[:, :, channel]]
        return planes


_JITTERS: tuple[Callable[[Float], Step], ...] = (Brightness, Contrast, Saturation)


class Colors:
    """Plans the changes of colour. There are none for images of one channel, where the reference fails."""

    def __init__(self, params: AugmentationParams, channels: int) -> None:
        self._params = params
        self.is_enabled = params.changes_colors and channels >= COLORS

    def plan(self, draws: Draws) -> list[Step]:
        """Return the steps, in the order of the reference: jitter, shifts, noise."""
        return [*self._jitter(draws), *self._shifts(draws), *self._noise(draws)] if self.is_enabled else []

    def _jitter(self, draws: Draws) -> list[Step]:
        """Brightness, contrast and saturation in random order.

        All three are drawn and applied if one of them is on: the reference draws them so, and ``rng=mxnet`` must
        consume the same numbers.
        """
        names = ("brightness", "contrast", "saturation")
        ranges = [Float(getattr(self._params, name)) for name in names]
        if not any(value > 0 for value in ranges):
            return []
        steps = [
            jitter(Float(1) + draws.uniform(name, -value, value))
            for jitter, name, value in zip(_JITTERS, names, ranges, strict=True)
        ]
        # The shuffle of the reference: each item in turn changes places with itself or an earlier one.
        for last in (1, 2):
            other = draws.integer(f"jitter_order_{last}", 0, last)
            steps[last], steps[other] = steps[other], steps[last]
        return steps

    def _shifts(self, draws: Draws) -> list[Step]:
        """One step for hue, lightness and saturation; all three are drawn if one of them is on."""
        params = self._params
        if not (params.random_h or params.random_s or params.random_l):
            return []
        # Drawn in the order hue, saturation, lightness, as in the reference; the step lists them as HLS does.
        hue = _shift("hue", params.random_h, draws)
        saturation = _shift("saturation_shift", params.random_s, draws)
        lightness = _shift("lightness", params.random_l, draws)
        return [ShiftHLS(hue, lightness, saturation)]

    def _noise(self, draws: Draws) -> list[Step]:
        """Normal noise along the three axes in which colours vary most."""
        if self._params.pca_noise <= 0:
            return []
        along = draws.normals(("pca_r", "pca_g", "pca_b"), Float(self._params.pca_noise))
        # Spelt out, as the order of additions decides the last bit in 32-bit floats; a matrix product may reorder them.
        noise = _PCA[:, 0] * along[0] + _PCA[:, 1] * along[1] + _PCA[:, 2] * along[2]
        return [PCANoise(*noise)]


def _shift(name: str, limit: int, draws: Draws) -> int:
    """Return a whole number in [-limit, limit], truncated towards 0.

    The reference adds two uniform numbers, one of a fifth of the range and one of four fifths. So the density is flat
    in the middle and slopes at the ends, and the standard deviation is 0.476 * limit, where one draw gives 0.577.
    """
    first, second, limit_f = draws.unit(f"{name}_1"), draws.unit(f"{name}_2"), Float(limit)
    return int((first + Float(4) * second) / Float(5) * limit_f * Float(2) - limit_f)


def _grey(image: Image) -> Image:
    """Grey levels (height, width, 1), weighed as in the reference: with the weights of red and blue exchanged.

    The reference applies the weights for R, G, B to channels that it holds in the order B, G, R.
    """
    return grey(image[:, :, COLORS - 1 :: -1], "")


def _map_levels(image: Image, table: npt.NDArray[np.uint8]) -> Image:
    """Replace each level of the colours of *image* by its entry in *table*."""
    return _with_alpha(table[image[:, :, :COLORS]], image)


def _with_alpha(colors: Image, image: Image) -> Image:
    """Join *colors* with the fourth channel of *image*, if it has one."""
    return np.concatenate([colors, image[:, :, COLORS:]], axis=2) if image.shape[2] > COLORS else colors
