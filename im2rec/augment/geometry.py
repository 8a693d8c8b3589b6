"""Where pixels go: resize, warp, pad and crop, first planned from the size alone and then carried out.

Planning draws the random numbers, in the order of the reference, and gives steps; a step is applied to any image of
that size, at any time. So what was drawn can be shown, and repeated without the generator it came from.

Source of the arithmetic: mxnet src/io/image_aug_default.cc, ``DefaultImageAugmenter::Process``.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from im2rec.augment.draws import Draws, Float
from im2rec.augment.params import OFF, AugmentationParams
from im2rec.errors import ImageError
from im2rec.images.choices import AUTO, LANCZOS, MAX_PIXELS, NEAREST, RANDOM
from im2rec.images.codec import TOO_LARGE, Image
from im2rec.images.engine import Resampler, auto_interpolation, padded, resized_short

Matrix = npt.NDArray[np.float32]
MAX_CROP_TRIES = 10
TOO_SMALL = "too small"


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int

    @classmethod
    def of(cls, image: Image) -> Size:
        """The size of *image*."""
        height, width = image.shape[:2]
        return cls(width, height)


class Step(Protocol):
    """One thing that is done to an image, uint8 (height, width, channels) in RGB order."""

    def apply(self, image: Image, engine: Resampler) -> Image:
        """The image afterwards: a new array, or a view of *image*."""


class Resize(NamedTuple):
    """Scale to *width* x *height*."""

    width: int
    height: int
    inter_method: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """A new array, or the image itself where it has the size already."""
        if image.shape[:2] == (self.height, self.width):
            return image
        return engine.resize(image, self.width, self.height, self.inter_method)


class Warp(NamedTuple):
    """Move pixels by an affine *matrix*, float32 (2, 3), old to new (x, y); a canvas of *width* x *height*."""

    matrix: Matrix
    width: int
    height: int
    inter_method: int
    fill: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """A new array."""
        return engine.warp(image, self.matrix, self.width, self.height, self.inter_method, self.fill)


class Pad(NamedTuple):
    """A border of *pixels* on all sides, of level *fill*; the fourth channel gets 0."""

    pixels: int
    fill: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """A new array."""
        return padded(image, self.pixels, self.fill)


class Crop(NamedTuple):
    """Keep the rectangle of *width* x *height* whose upper left corner is at (*x*, *y*)."""

    y: int
    x: int
    height: int
    width: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """A view."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


class Geometry:
    """Plans resize, warp, pad and crop for images of any size; the result is always of *target* size."""

    def __init__(self, params: AugmentationParams, target: Size) -> None:
        self._params = params
        self._target = target
        self.warps = params.warps
        self._crops_sizes = params.crops_sizes
        self.resizes_first = params.resize != OFF
        self.crops_first = not (params.warps or params.pad or self.resizes_first)
        self._fill = min(max(params.fill_value, 0), 255)
        self._random_area = params.random_resized_crop and (
            params.aspect_range != (1, 1) or (params.min_random_area, params.max_random_area) != (1, 1)
        )

    def plan(self, size: Size, draws: Draws) -> list[Step]:
        """The steps for an image of *size*. Raises ImageError for one that is too small for them."""
        params = self._params
        steps: list[Step] = []
        if params.resize != OFF:
            new = _affordable(size, Size(*resized_short(*size, params.resize)))
            steps.append(Resize(*new, _method(params, size, new, draws, "resize_interpolation")))
            size = new
        if self.warps:
            warp = self._warp(size, draws)
            steps.append(warp)
            size = _affordable(size, Size(warp.width, warp.height))
        if params.pad:
            steps.append(Pad(params.pad, self._fill))
            size = _affordable(size, Size(size.width + 2 * params.pad, size.height + 2 * params.pad))
        return steps + self._crop(size, draws)

    def _warp(self, size: Size, draws: Draws) -> Warp:
        """The affine step; all arithmetic in 32-bit floats."""
        params, one, two = self._params, Float(1), Float(2)
        max_shear = Float(params.max_shear_ratio)
        shear = draws.unit("shear") * max_shear * two - max_shear
        angle = self._angle(draws)
        cos, sin = Float(math.cos(angle * math.pi / 180)), Float(math.sin(angle * math.pi / 180))
        scale = ratio = one
        if not params.random_resized_crop:
            scale = draws.uniform("scale", Float(params.min_random_scale), Float(params.max_random_scale))
            ratio = draws.uniform("ratio", Float(params.aspect_range[0]), Float(params.aspect_range[1]))
        tall = two * scale / (one + ratio)
        wide = ratio * tall
        low, high = Float(params.min_img_size), Float(params.max_img_size)
        new_width = max(low, min(high, scale * Float(size.width)))
        new_height = max(low, min(high, scale * Float(size.height)))
        canvas = Size(int(new_width), int(new_height))
        if min(canvas) < 1:
            problem = f"is {size.width} x {size.height} pixels, of which a scale of {scale:.3g} leaves none"
            raise ImageError(problem, reason=TOO_SMALL)
        matrix = np.empty((2, 3), np.float32)
        matrix[0, 0] = tall * cos - shear * sin * wide
        matrix[0, 1] = tall * sin + shear * cos * wide
        matrix[1, 0] = -sin * wide
        matrix[1, 1] = cos * wide
        center = matrix[:, 0] * Float(size.width) + matrix[:, 1] * Float(size.height)
        matrix[:, 2] = (np.array([new_width, new_height], np.float32) - center) / two
        return Warp(matrix, *canvas, _method(params, size, canvas, draws, "warp_interpolation"), self._fill)

    def _angle(self, draws: Draws) -> int:
        """Whole degrees, counter-clockwise; a number is drawn for each setting that is on, though the last one wins."""
        params = self._params
        angle = draws.integer("angle", -params.max_rotate_angle, params.max_rotate_angle)
        if params.rotate > 0:
            angle = params.rotate
        if params.rotate_list:
            angle = params.rotate_list[draws.integer("rotate_list", 0, len(params.rotate_list) - 1)]
        return angle

    def _crop(self, size: Size, draws: Draws) -> list[Step]:
        if self._random_area:
            steps = self._area_crop(size, draws)
            return steps if steps is not None else self._plain_crop(size, draws)
        if self._crops_sizes:
            return self._size_crop(size, draws)
        return self._plain_crop(size, draws)

    def _area_crop(self, size: Size, draws: Draws) -> list[Step] | None:
        """A crop of random area and aspect; None when none of ten tries fits into the image."""
        params = self._params
        low, high = (Float(ratio) for ratio in params.aspect_range)
        least, most = Float(params.min_random_area), Float(params.max_random_area)
        whole = Float(size.width * size.height)
        for attempt in range(MAX_CROP_TRIES):
            area = whole * draws.uniform("area", least, most, attempt)
            aspect = draws.uniform("aspect", low, high, attempt)
            height, width = _rounded(np.sqrt(area / aspect)), _rounded(np.sqrt(area * aspect))
            if draws.unit("swap", attempt) > Float(0.5):
                height, width = width, height
            if 1 <= height <= size.height and 1 <= width <= size.width:
                y = draws.integer("crop_y", 0, size.height - height)
                x = draws.integer("crop_x", 0, size.width - width)
                return self._scaled_crop(Crop(y, x, height, width), draws)
        return None

    def _size_crop(self, size: Size, draws: Draws) -> list[Step]:
        """A square of random side, scaled to the target whatever its aspect."""
        params = self._params
        if params.max_crop_size > min(size):
            problem = f"is {size.width} x {size.height} pixels, too few for max_crop_size={params.max_crop_size}"
            raise ImageError(problem, reason=TOO_SMALL)
        side = draws.integer("crop_size", params.min_crop_size, params.max_crop_size)
        y, x = self._place(size, Size(side, side), draws)
        return self._scaled_crop(Crop(y, x, side, side), draws)

    def _scaled_crop(self, crop: Crop, draws: Draws) -> list[Step]:
        target = self._target
        method = _method(self._params, Size(crop.width, crop.height), target, draws, "crop_interpolation")
        return [crop, Resize(*target, method)]

    def _plain_crop(self, size: Size, draws: Draws) -> list[Step]:
        """A crop of the target's size; a smaller image is first scaled up, height before width.

        The quotient in 32-bit floats can fall just below a whole number, and the result then short by a pixel: a
        second resize mends that, as in the reference.
        """
        target = self._target
        steps: list[Step] = []
        method = _method(self._params, size, target, draws, "crop_interpolation")
        if size.height < target.height:
            scaled = Float(target.height) / Float(size.height) * Float(size.width)
            size = Size(int(scaled), target.height)
            steps.append(Resize(*size, method))
        if size.width < target.width:
            scaled = Float(target.width) / Float(size.width) * Float(size.height)
            size = Size(target.width, int(scaled))
            steps.append(Resize(*size, method))
        y, x = self._place(size, target, draws)
        return [*steps, Crop(y, x, target.height, target.width)]

    def _place(self, size: Size, crop: Size, draws: Draws) -> tuple[int, int]:
        """Upper left corner (y, x) of *crop* in *size*: drawn, or the centre, rounded towards the corner."""
        down, right = size.height - crop.height, size.width - crop.width
        if self._params.rand_crop:
            return draws.integer("crop_y", 0, down), draws.integer("crop_x", 0, right)
        return down // 2, right // 2


def _affordable(old: Size, new: Size) -> Size:
    """*new*. Raises ImageError when an image of that size would not fit into memory."""
    if new.width * new.height > MAX_PIXELS:
        problem = f"is {old.width} x {old.height} pixels, and would become {new.width} x {new.height}"
        raise ImageError(problem, reason=TOO_LARGE)
    return new


def _method(params: AugmentationParams, old: Size, new: Size, draws: Draws, name: str) -> int:
    """The interpolation from *old* to *new*: as given, by the sizes (9), or drawn (10)."""
    if params.inter_method == AUTO:
        return auto_interpolation(old, new)
    if params.inter_method == RANDOM:
        return draws.integer(name, NEAREST, LANCZOS)
    return params.inter_method


def _rounded(value: Float) -> int:
    """To the nearest whole number, halves away from zero."""
    return math.floor(float(value) + 0.5)
