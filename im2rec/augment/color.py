"""What colours become: jitter, shifts of hue, lightness and saturation, PCA noise; planned and carried out as steps.

Every function of one channel alone is a table of its 256 values: exact, and one look-up a pixel. All steps leave a
fourth channel as it is.

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

# Eigenvectors of the colours of ImageNet, rows R, G, B, times the eigenvalues of the columns.
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
        """A new array."""
        return _looked_up(image, rounded(_LEVELS * self.factor))


class Contrast(NamedTuple):
    """Move every level away from the image's mean grey by *factor*."""

    factor: Float

    def apply(self, image: Image, engine: Resampler) -> Image:
        """A new array."""
        mean = Float(_grey(image).mean(dtype=np.float64))
        return _looked_up(image, rounded(_LEVELS * self.factor + (Float(1) - self.factor) * mean))


class Saturation(NamedTuple):
    """Move every level away from its pixel's grey by *factor*."""

    factor: Float

    def apply(self, image: Image, engine: Resampler) -> Image:
        """A new array."""
        added = _grey(image).astype(np.float32) * (Float(1) - self.factor)
        return _with_alpha(rounded(image[:, :, :COLORS] * self.factor + added), image)


class ShiftHLS(NamedTuple):
    """Add to hue (half degrees), lightness and saturation (levels); none of them wraps."""

    hue: int
    lightness: int
    saturation: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """A new array."""
        return engine.shift_hls(np.ascontiguousarray(image), self.hue, self.lightness, self.saturation)


class PCANoise(NamedTuple):
    """Add a number of levels to each of the channels, cutting off what is behind the point."""

    red: Float
    green: Float
    blue: Float

    def apply(self, image: Image, engine: Resampler) -> Image:
        """A new array."""
        planes = image.copy()
        for channel, noise in enumerate(self):
            table = levels(np.trunc(_LEVELS + noise))
            planes[:, :, channel] = table[image[:, :, channel]]
        return planes


_JITTERS: tuple[Callable[[Float], Step], ...] = (Brightness, Contrast, Saturation)


class Colors:
    """Plans the changes of colour; none for images of one channel."""

    def __init__(self, params: AugmentationParams, channels: int) -> None:
        self._params = params
        self.on = params.colors and channels >= COLORS

    def plan(self, draws: Draws) -> list[Step]:
        """The steps, in the order of the reference: jitter, shifts, noise."""
        return [*self._jitter(draws), *self._shifts(draws), *self._noise(draws)] if self.on else []

    def _jitter(self, draws: Draws) -> list[Step]:
        """Brightness, contrast and saturation in random order; all three are drawn when one of them is on."""
        names = ("brightness", "contrast", "saturation")
        ranges = [Float(getattr(self._params, name)) for name in names]
        if not any(value > 0 for value in ranges):
            return []
        steps = [
            jitter(Float(1) + draws.uniform(name, -value, value))
            for jitter, name, value in zip(_JITTERS, names, ranges, strict=True)
        ]
        for last in (1, 2):
            other = draws.integer(f"jitter_order_{last}", 0, last)
            steps[last], steps[other] = steps[other], steps[last]
        return steps

    def _shifts(self, draws: Draws) -> list[Step]:
        params = self._params
        if not (params.random_h or params.random_s or params.random_l):
            return []
        hue = _shift("hue", params.random_h, draws)
        saturation = _shift("saturation_shift", params.random_s, draws)
        lightness = _shift("lightness", params.random_l, draws)
        return [ShiftHLS(hue, lightness, saturation)]

    def _noise(self, draws: Draws) -> list[Step]:
        if self._params.pca_noise <= 0:
            return []
        along = draws.normals(("pca_r", "pca_g", "pca_b"), Float(self._params.pca_noise))
        noise = _PCA[:, 0] * along[0] + _PCA[:, 1] * along[1] + _PCA[:, 2] * along[2]
        return [PCANoise(*noise)]


def _shift(name: str, most: int, draws: Draws) -> int:
    """A whole number in [-most, most], of two draws: flat in the middle, sloped at the ends."""
    first, second, most_f = draws.unit(f"{name}_1"), draws.unit(f"{name}_2"), Float(most)
    return int((first + Float(4) * second) / Float(5) * most_f * Float(2) - most_f)


def _grey(image: Image) -> Image:
    """Grey levels (height, width, 1) as the reference weighs them: with the weights of red and blue exchanged."""
    return grey(image[:, :, COLORS - 1 :: -1], "")


def _looked_up(image: Image, table: npt.NDArray[np.uint8]) -> Image:
    return _with_alpha(table[image[:, :, :COLORS]], image)


def _with_alpha(colors: Image, image: Image) -> Image:
    return np.concatenate([colors, image[:, :, COLORS:]], axis=2) if image.shape[2] > COLORS else colors
