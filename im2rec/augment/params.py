"""The augmentation parameters of the image iterators: order, geometry, colour, flip and normalisation."""

from __future__ import annotations

import dataclasses

import numpy as np

from im2rec.errors import ParameterError
from im2rec.images.choices import INTERPOLATIONS, MAX_PIXELS, NEAREST
from im2rec.params import param

NCHW, NHWC = "NCHW", "NHWC"
LAYOUTS = (NCHW, NHWC)
DTYPES = ("float32", "float16", "uint8", "int8")

OFF = -1  # "not set" in MXNet's integer parameters
_NO_LIMIT = 1e10  # MXNet's default of max_img_size
_FULL_TURN = 360  # degrees


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationParams:
    """Crop, mirror, shuffle, colour and normalisation, and the seeds of everything random."""

    shuffle: bool = param(
        False, doc="A new order every epoch.", reference="differs: always of the whole data, with an index or without"
    )
    shuffle_scope: str | None = param(
        None,
        doc="all: one order of the whole data, of which part r takes places r, r+n, ...;"
        " part: an order within each part.",
        choices=("all", "part"),
        unset="all",
        reference="ours; part is what the reference does",
    )
    shuffle_chunk_size: int = param(
        0,
        doc="With shuffle: MiB read in one chunk, in random order and mixed with others: for slow disks. 0: off.",
        low=0,
        reference="differs: only with shuffle, and mixed beyond the piece",
    )
    shuffle_chunk_seed: int = param(0, doc="Seed of the order of the chunks.", reference="as the reference, own draws")
    seed: int = param(
        0, doc="Seed of the order and of all random numbers.", reference="differs: reaches the augmentation too"
    )
    seed_aug: int | None = param(
        None,
        doc="Seed of the augmentation, instead of seed.",
        reference="differs: every epoch and record has its own draws",
    )
    aug_seq: str = param(
        "aug_default", doc="The sequence of augmentations.", choices=("aug_default",), reference="as the reference"
    )
    resize: int = param(OFF, doc="First scale the shorter edge to this many pixels; -1: keep the size.", high=65535)
    max_pixels: int | None = param(**MAX_PIXELS)
    rand_crop: bool = param(False, doc="Crop at a random place instead of the centre.")
    random_resized_crop: bool = param(
        False, doc="Crop a random area and aspect, scaled to data_shape; excludes rand_crop, crop sizes and scales."
    )
    max_rotate_angle: int = param(
        0, doc="Rotate by a random angle of up to this many degrees either way.", low=0, high=360
    )
    rotate: int = param(OFF, doc="Rotate by this many degrees, counter-clockwise; 0 and less: off.", high=360)
    rotate_list: tuple[int, ...] = param((), doc="Rotate by one of these degrees, picked at random: 0,90,180.")
    max_aspect_ratio: float = param(
        0.0, doc="Stretch by a random ratio in [1-v, 1+v]; with min_aspect_ratio: up to this ratio."
    )
    min_aspect_ratio: float | None = param(None, doc="Stretch by a ratio from this to max_aspect_ratio.")
    max_shear_ratio: float = param(0.0, doc="Shear by a random ratio in [-v, v].")
    max_crop_size: int = param(OFF, doc="Crop a square of random side up to this, scaled to data_shape.", low=OFF)
    min_crop_size: int = param(OFF, doc="The smallest side of that square.", low=OFF)
    max_random_scale: float = param(1.0, doc="Scale by a random factor up to this.", low=0)
    min_random_scale: float = param(1.0, doc="The smallest such factor.", low=0)
    max_random_area: float = param(1.0, doc="random_resized_crop: the largest share of the area.", low=0)
    min_random_area: float = param(1.0, doc="random_resized_crop: the smallest share of the area.", low=0)
    max_img_size: float = param(_NO_LIMIT, doc="Cut the canvas of rotation and scale to this, both edges.", low=1)
    min_img_size: float = param(0.0, doc="Extend that canvas to this, both edges.", low=0)
    brightness: float = param(0.0, doc="Multiply by a random factor in [1-v, 1+v].", low=0)
    contrast: float = param(0.0, doc="Move away from the mean grey by a random factor in [1-v, 1+v].", low=0)
    saturation: float = param(0.0, doc="Move away from each pixel's grey by a random factor in [1-v, 1+v].", low=0)
    pca_noise: float = param(0.0, doc="Standard deviation of the three coefficients of PCA noise.", low=0)
    random_h: int = param(0, doc="Shift the hue by up to this many half degrees.", low=0, high=180)
    random_s: int = param(0, doc="Shift the saturation by up to this many of 255 levels.", low=0, high=255)
    random_l: int = param(0, doc="Shift the lightness by up to this many of 255 levels.", low=0, high=255)
    fill_value: int = param(255, doc="Level of the border that rotation and pad add; clipped to 0..255.")
    inter_method: int = param(
        1,
        doc="0 nearest, 1 bilinear, 2 bicubic, 3 area, 4 Lanczos, 9 by size, 10 drawn for each image.",
        choices=INTERPOLATIONS,
    )
    pad: int = param(0, doc="Border of this many pixels on all sides.", low=0, high=65535)
    mirror: bool = param(False, doc="Flip every image left to right.")
    rand_mirror: bool = param(False, doc="Flip each image with probability 1/2.")
    mean_img: str = param(
        "",
        doc="File of a mean image to subtract, in place of mean_r, g, b, a; computed and written when missing.",
        reference="differs: computed of plain images of the whole data; its shape is checked",
    )
    mean_r: float = param(0.0, doc="Subtracted from the red channel, or the only one.")
    mean_g: float = param(0.0, doc="Subtracted from the green channel.")
    mean_b: float = param(0.0, doc="Subtracted from the blue channel.")
    mean_a: float = param(0.0, doc="Subtracted from the alpha channel.")
    std_r: float = param(1.0, doc="Divides the red channel, or the only one; not 0.")
    std_g: float = param(1.0, doc="Divides the green channel; not 0.")
    std_b: float = param(1.0, doc="Divides the blue channel; not 0.")
    std_a: float = param(1.0, doc="Divides the alpha channel; not 0.")
    scale: float = param(1.0, doc="Multiplies every value.")
    max_random_contrast: float = param(0.0, doc="After the mean, multiply by a random factor in [1-v, 1+v].")
    max_random_illumination: float = param(0.0, doc="Add a random number of levels in [-v, v].")

    @property
    def aspect_range(self) -> tuple[float, float]:
        """The smallest and the largest ratio to stretch by; (1, 1) for none.

        They are computed in 32 bits as in the reference, where 1 - 0.8 is 0.19999999.
        """
        if self.min_aspect_ratio is None:
            one, deviation = np.float32(1), np.float32(self.max_aspect_ratio)
            return float(one - deviation), float(one + deviation)
        return self.min_aspect_ratio, self.max_aspect_ratio

    @property
    def warps(self) -> bool:
        """True if images go through the affine step.

        Source: mxnet src/io/image_aug_default.cc, ``DefaultImageAugmenter::Process``.
        """
        return (
            self.max_rotate_angle > 0
            or self.max_shear_ratio > 0
            or self.rotate > 0
            or bool(self.rotate_list)
            or self.scales
            or (self.aspect_range != (1, 1) and not self.random_resized_crop)
            or self.max_img_size != _NO_LIMIT
            or self.min_img_size != 0
        )

    @property
    def scales(self) -> bool:
        """True if images are scaled by a random factor."""
        return (self.min_random_scale, self.max_random_scale) != (1, 1)

    @property
    def crops_squares(self) -> bool:
        """True if squares of random side are cropped."""
        return (self.min_crop_size, self.max_crop_size) != (OFF, OFF)

    @property
    def changes_colors(self) -> bool:
        """True if colours change, in images that have three channels."""
        jitter = max(self.brightness, self.contrast, self.saturation, self.pca_noise)
        return jitter > 0 or max(self.random_h, self.random_s, self.random_l) > 0


def check_augmentation(params: AugmentationParams) -> None:
    """Raise ParameterError for values that exclude each other, naming them and what is allowed."""
    if params.resize != OFF and params.resize < 1:
        raise ParameterError(f"resize={params.resize} must be -1 or 1 and more")
    if params.inter_method == NEAREST and params.warps:
        raise ParameterError("inter_method=0 must be 1 to 4, 9 or 10 with rotation, shear, scale or aspect")
    if any(abs(angle) > _FULL_TURN for angle in params.rotate_list):
        raise ParameterError(f"rotate_list={','.join(map(str, params.rotate_list))} must be degrees from -360 to 360")
    for name in ("std_r", "std_g", "std_b", "std_a"):
        if getattr(params, name) == 0:
            raise ParameterError(f"{name}=0 must not be 0: it divides")
    _check_crop_sizes(params)
    _check_ranges(params)
    if params.random_resized_crop:
        _check_random_resized_crop(params)


def _check_crop_sizes(params: AugmentationParams) -> None:
    low, high = params.min_crop_size, params.max_crop_size
    if params.crops_squares and not 1 <= low <= high:
        problem = f"min_crop_size={low} and max_crop_size={high} must be 1 or more, the first no larger"
        raise ParameterError(problem, hint="give both")


def _check_ranges(params: AugmentationParams) -> None:
    for low, high in (("min_random_scale", "max_random_scale"), ("min_random_area", "max_random_area")):
        if not 0 < getattr(params, low) <= getattr(params, high):
            problem = f"{low}={getattr(params, low)} must be above 0 and no larger than {high}={getattr(params, high)}"
            raise ParameterError(problem)
    low_ratio, high_ratio = params.aspect_range
    if (params.warps or params.random_resized_crop) and not 0 < low_ratio <= high_ratio:
        given = f"max_aspect_ratio={params.max_aspect_ratio}"
        if params.min_aspect_ratio is not None:
            given = f"min_aspect_ratio={params.min_aspect_ratio} and {given}"
        raise ParameterError(f"{given} must give a range of ratios above 0, not {low_ratio:g} to {high_ratio:g}")


def _check_random_resized_crop(params: AugmentationParams) -> None:
    others = {
        "rand_crop=1": params.rand_crop,
        "min_crop_size and max_crop_size": params.crops_squares,
        "min_random_scale and max_random_scale": params.scales,
    }
    for names, is_set in others.items():
        if is_set:
            raise ParameterError(f"random_resized_crop=1 excludes {names}", hint="leave one of the two out")
