"""Changes of geometry: resize, warp, pad and crop, planned from the size of the image alone and then carried out.

Planning draws the random numbers, in the order of the reference, and returns steps; a step can be applied to any image
of that size at any time. So what was drawn can be shown, and applied again without a random generator. ``rand_crop``
is drawn in :meth:`Geometry._rand_crop_or_center`.

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
from im2rec.images.choices import AUTO, LANCZOS, NEAREST, RANDOM
from im2rec.images.codec import Image
from im2rec.images.engine import Resampler, auto_interpolation, padded, resized_short
from im2rec.images.limits import SCALED, check_scaled

Matrix = npt.NDArray[np.float32]
MAX_CROP_TRIES = 10
TOO_SMALL = "too small"
# Bytes for each pixel of a new image, by engine, and in a warp, which computes the coordinates of each pixel. Source:
# measured as those of images/limits.py, with images of 3000 x 3000 pixels.
_BYTES_PER_PIXEL, _WARPED = {"reference": 60}, 20


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    @classmethod
    def of(cls, image: Image) -> Size:
        """Return the size of *image*, an array (height, width, channels)."""
        height, width = image.shape[:2]
        return cls(width, height)


class Step(Protocol):
    """One planned change of an image: a named tuple of all that was drawn or chosen for it."""

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Return the changed image; *image* itself is never written to.

        Both are uint8 (height, width, channels), RGB or RGBA or one channel. The result is a new array unless the step
        says otherwise. *engine* does the resampling. Raises ImageError where that fails.
        """


class Resize(NamedTuple):
    """Scale to *width* x *height* pixels, without keeping the aspect."""

    width: int
    height: int
    inter_method: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Return the scaled image, or *image* itself if it has the size already; see :meth:`Step.apply`."""
        if image.shape[:2] == (self.height, self.width):
            return image
        return engine.resize(image, self.width, self.height, self.inter_method)


class Warp(NamedTuple):
    """Move pixels by an affine *matrix*, float32 (2, 3), onto a canvas of *width* x *height* pixels.

    The matrix maps old coordinates (x, y) to new ones. Pixels that come from outside the image get the level *fill*.
    """

    matrix: Matrix
    width: int
    height: int
    inter_method: int
    fill: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Return the canvas; see :meth:`Step.apply`."""
        return engine.warp(image, self.matrix, self.width, self.height, self.inter_method, self.fill)


class Pad(NamedTuple):
    """Add a border of *pixels* on all sides, of level *fill*; the fourth channel gets 0."""

    pixels: int
    fill: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Return *image* with the border around it; see :meth:`Step.apply`."""
        return padded(image, self.pixels, self.fill)


class Crop(NamedTuple):
    """Keep the rectangle of *width* x *height* whose upper left corner is at (*x*, *y*)."""

    y: int
    x: int
    height: int
    width: int

    def apply(self, image: Image, engine: Resampler) -> Image:
        """Return the rectangle as a view of *image*; see :meth:`Step.apply`."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def crops_plainly(params: AugmentationParams) -> bool:
    """True if images are cropped to their target without being scaled to it, but for those that are smaller."""
    return params.resize == OFF and not (params.scales or params.crops_squares or _crops_areas(params))


def _crops_areas(params: AugmentationParams) -> bool:
    # With both ranges at 1 the reference draws nothing, and crops the centre.
    return params.random_resized_crop and (
        params.aspect_range != (1, 1) or (params.min_random_area, params.max_random_area) != (1, 1)
    )


class Geometry:
    """Plans resize, warp, pad and crop for images of any size. The last step leaves an image of size *target*."""

    def __init__(self, params: AugmentationParams, target: Size, engine: str = "") -> None:
        self._params = params
        self._bytes_per_pixel = _BYTES_PER_PIXEL.get(engine, SCALED)
        self._target = target
        self.warps = params.warps
        self._crops_squares = params.crops_squares
        self.resizes_first = params.resize != OFF
        self.crops_first = not (params.warps or params.pad or self.resizes_first)
        self._fill = min(max(params.fill_value, 0), 255)
        self._crops_areas = _crops_areas(params)

    def plan(self, size: Size, draws: Draws) -> list[Step]:
        """Return the steps for an image of *size*, drawing what is random.

        Raises ImageError for an image that is too small for them, or would become too large for memory.
        """
        params, stored = self._params, size
        steps: list[Step] = []
        if params.resize != OFF:
            new = self._checked(stored, Size(*resized_short(*size, params.resize)))
            steps.append(Resize(*new, _interpolation(params, size, new, draws, "resize_interpolation")))
            size = new
        if self.warps:
            warp = self._plan_warp(size, draws)
            steps.append(warp)
            size = self._checked(stored, Size(warp.width, warp.height), _WARPED)
        if params.pad:
            steps.append(Pad(params.pad, self._fill))
            size = self._checked(stored, Size(size.width + 2 * params.pad, size.height + 2 * params.pad))
        return steps + self._plan_crop(stored, size, draws)

    def _plan_warp(self, size: Size, draws: Draws) -> Warp:
        """Plan the affine step: shear, rotation, scale and aspect in one matrix.

        All arithmetic is in 32-bit floats, so that the matrix has the bits of the reference; only sine and cosine are
        computed in 64-bit floats and then rounded, as the reference does.
        """
        params, one, two = self._params, Float(1), Float(2)
        max_shear = Float(params.max_shear_ratio)
        shear = draws.unit("shear") * max_shear * two - max_shear
        angle = self._angle(draws)
        cos, sin = Float(math.cos(angle * math.pi / 180)), Float(math.sin(angle * math.pi / 180))
        # random_resized_crop scales and stretches by itself; the reference then draws neither of the two here.
        scale = ratio = one
        if not params.random_resized_crop:
            scale = draws.uniform("scale", Float(params.min_random_scale), Float(params.max_random_scale))
            ratio = draws.uniform("ratio", Float(params.aspect_range[0]), Float(params.aspect_range[1]))
        # Of these two factors x is stretched by the first and y by the second: they add up to 2 * scale, and the second
        # is *ratio* times the first. A ratio above 1 thus makes things taller and narrower, on the same canvas.
        stretch_x = two * scale / (one + ratio)
        stretch_y = ratio * stretch_x
        low, high = Float(params.min_img_size), Float(params.max_img_size)
        new_width = max(low, min(high, scale * Float(size.width)))
        new_height = max(low, min(high, scale * Float(size.height)))
        canvas = Size(int(new_width), int(new_height))
        if min(canvas) < 1:
            problem = f"is {size.width} x {size.height} pixels, of which a scale of {scale:.3g} leaves none"
            raise ImageError(problem, reason=TOO_SMALL)
        matrix = np.empty((2, 3), np.float32)
        matrix[0, 0] = stretch_x * cos - shear * sin * stretch_y
        matrix[0, 1] = stretch_x * sin + shear * cos * stretch_y
        matrix[1, 0] = -sin * stretch_y
        matrix[1, 1] = cos * stretch_y
        # The old centre goes to the new one. It is w/2 as in the reference, not (w - 1)/2, so a turn by 90 or 180
        # degrees also shifts by a pixel. The new centre is that of the canvas before its size is truncated.
        center = matrix[:, 0] * Float(size.width) + matrix[:, 1] * Float(size.height)
        matrix[:, 2] = (np.array([new_width, new_height], np.float32) - center) / two
        return Warp(matrix, *canvas, _interpolation(params, size, canvas, draws, "warp_interpolation"), self._fill)

    def _angle(self, draws: Draws) -> int:
        """Return the angle in whole degrees, counter-clockwise.

        The last of the three settings that is on wins. A number is drawn for the first one in any case, even for 0
        degrees: the reference does so, and ``rng=mxnet`` must consume the same numbers.
        """
        params = self._params
        angle = draws.integer("angle", -params.max_rotate_angle, params.max_rotate_angle)
        if params.rotate > 0:
            angle = params.rotate
        if params.rotate_list:
            angle = params.rotate_list[draws.integer("rotate_list", 0, len(params.rotate_list) - 1)]
        return angle

    def _plan_crop(self, stored: Size, size: Size, draws: Draws) -> list[Step]:
        """Plan the one kind of crop that the parameters select, for an image that was *stored* with another size."""
        if self._crops_areas:
            steps = self._plan_area_crop(size, draws)
            return steps if steps is not None else self._plan_plain_crop(stored, size, draws)
        if self._crops_squares:
            return self._plan_square_crop(size, draws)
        return self._plan_plain_crop(stored, size, draws)

    def _plan_area_crop(self, size: Size, draws: Draws) -> list[Step] | None:
        """Plan a crop of random area and aspect; None if none of ten tries fits into the image.

        This is the ``random_resized_crop`` of the reference, which after ten tries takes a plain crop.
        """
        params = self._params
        low_aspect, high_aspect = (Float(ratio) for ratio in params.aspect_range)
        low_area, high_area = Float(params.min_random_area), Float(params.max_random_area)
        whole = Float(size.width * size.height)
        for attempt in range(MAX_CROP_TRIES):
            area = whole * draws.uniform("area", low_area, high_area, attempt)
            aspect = draws.uniform("aspect", low_aspect, high_aspect, attempt)
            height, width = _rounded(np.sqrt(area / aspect)), _rounded(np.sqrt(area * aspect))
            # As in the reference. Of aspects uniform in 3/4 to 4/3 more are above 1 than below; the swap makes
            # wide and tall crops equally likely.
            if draws.unit("swap", attempt) > Float(0.5):
                height, width = width, height
            if 1 <= height <= size.height and 1 <= width <= size.width:
                y = draws.integer("crop_y", 0, size.height - height)
                x = draws.integer("crop_x", 0, size.width - width)
                return self._scale_crop(Crop(y, x, height, width), draws)
        return None

    def _plan_square_crop(self, size: Size, draws: Draws) -> list[Step]:
        """Plan a crop of a square of random side, scaled to the target without keeping the aspect."""
        params = self._params
        if params.max_crop_size > min(size):
            problem = f"is {size.width} x {size.height} pixels, too few for max_crop_size={params.max_crop_size}"
            raise ImageError(problem, reason=TOO_SMALL)
        side = draws.integer("crop_size", params.min_crop_size, params.max_crop_size)
        y, x = self._rand_crop_or_center(size, Size(side, side), draws)
        return self._scale_crop(Crop(y, x, side, side), draws)

    def _scale_crop(self, crop: Crop, draws: Draws) -> list[Step]:
        """Return *crop*, and the resize to the target after it."""
        target = self._target
        method = _interpolation(self._params, Size(crop.width, crop.height), target, draws, "crop_interpolation")
        return [crop, Resize(*target, method)]

    def _plan_plain_crop(self, stored: Size, size: Size, draws: Draws) -> list[Step]:
        """Plan a crop of the target's size; a smaller image is first scaled up, keeping its aspect.

        Height comes before width, as in the reference: an image that is too small both ways may be resized twice, and
        the other order would give other pixels.
        """
        target = self._target
        steps: list[Step] = []
        # Chosen from the size before any scaling, and drawn even if nothing is resized: both as in the reference.
        method = _interpolation(self._params, size, target, draws, "crop_interpolation")
        if size.height < target.height:
            scaled = Float(target.height) / Float(size.height) * Float(size.width)
            # In 32-bit floats the quotient can fall just below a whole number: 7 x 7 for 31 x 31 becomes 30 x 31. The
            # resize of the width below then makes up for the missing column, as in the reference.
            size = self._checked(stored, Size(int(scaled), target.height))
            steps.append(Resize(*size, method))
        if size.width < target.width:
            scaled = Float(target.width) / Float(size.width) * Float(size.height)
            size = self._checked(stored, Size(target.width, int(scaled)))
            steps.append(Resize(*size, method))
        y, x = self._rand_crop_or_center(size, target, draws)
        return [*steps, Crop(y, x, target.height, target.width)]

    def _rand_crop_or_center(self, size: Size, crop: Size, draws: Draws) -> tuple[int, int]:
        """Return the upper left corner (y, x) of a crop of size *crop* from an image of *size*.

        With ``rand_crop`` every corner is as likely as any other; y is drawn first. Without it the crop is central, and
        a margin of an odd number of pixels is smaller at the top and on the left.
        """
        down, right = size.height - crop.height, size.width - crop.width
        if self._params.rand_crop:
            return draws.integer("crop_y", 0, down), draws.integer("crop_x", 0, right)
        return down // 2, right // 2

    def _checked(self, stored: Size, new: Size, bytes_per_pixel: int = 0) -> Size:
        """Return *new*. Raises ImageError if an image of size *stored* is above the limit when it gets that size."""
        least = max(bytes_per_pixel, self._bytes_per_pixel)
        check_scaled(stored, new, self._params.max_pixels, bytes_per_pixel=least)
        return new


def _interpolation(params: AugmentationParams, old: Size, new: Size, draws: Draws, name: str) -> int:
    """Return the interpolation from *old* to *new*: ``inter_method``; 9 chooses by the sizes, 10 draws one."""
    if params.inter_method == AUTO:
        return auto_interpolation(old, new)
    if params.inter_method == RANDOM:
        return draws.integer(name, NEAREST, LANCZOS)
    return params.inter_method


def _rounded(value: Float) -> int:
    """Return the nearest whole number, halves away from zero as in C; Python's round() takes the even one."""
    return math.floor(float(value) + 0.5)
