"""The augmentation parameters: which exclude each other, which ranges are none, and what MXNet's defaults are."""

from __future__ import annotations

from typing import Any

from helpers import message_of

from im2rec.augment.params import AugmentationParams
from im2rec.params import from_words, parameter_docs
from im2rec.pipeline.params import ImageRecordParams

# MXNet 1.9.1, the help of ImageRecordIter; rotate_list is none there and not listed.
REFERENCE: dict[str, Any] = {
    "shuffle": False, "shuffle_chunk_size": 0, "shuffle_chunk_seed": 0, "seed": 0, "seed_aug": None,
    "aug_seq": "aug_default", "resize": -1, "rand_crop": False, "random_resized_crop": False, "max_rotate_angle": 0,
    "rotate": -1, "rotate_list": (), "max_aspect_ratio": 0, "min_aspect_ratio": None, "max_shear_ratio": 0,
    "max_crop_size": -1, "min_crop_size": -1, "max_random_scale": 1, "min_random_scale": 1, "max_random_area": 1,
    "min_random_area": 1, "max_img_size": 1e10, "min_img_size": 0, "brightness": 0, "contrast": 0, "saturation": 0,
    "pca_noise": 0, "random_h": 0, "random_s": 0, "random_l": 0, "fill_value": 255, "inter_method": 1, "pad": 0,
    "mirror": False, "rand_mirror": False, "mean_img": "", "mean_r": 0, "mean_g": 0, "mean_b": 0, "mean_a": 0,
    "std_r": 1, "std_g": 1, "std_b": 1, "std_a": 1, "scale": 1, "max_random_contrast": 0, "max_random_illumination": 0,
}  # fmt: skip
OURS = {"shuffle_scope": None}


def test_names_and_defaults_are_those_of_the_reference_and_one_is_ours() -> None:
    params = AugmentationParams()

    assert REFERENCE | OURS == {name: getattr(params, name) for name in REFERENCE | OURS}
    assert set(REFERENCE | OURS) == {row.name for row in parameter_docs(AugmentationParams)}


def given(words: str) -> ImageRecordParams:
    """The parameters of an iterator with these KEY=VALUE words."""
    return from_words(ImageRecordParams, ["path_imgrec=a.rec", "data_shape=3,6,8", "batch_size=1", *words.split()])


def refused(words: str) -> str:
    return message_of(given, words)


TOGETHER = {
    "random_resized_crop=1 rand_crop=1": "random_resized_crop=1 excludes rand_crop=1 (leave one of the two out)",
    "random_resized_crop=1 min_crop_size=5 max_crop_size=9": "random_resized_crop=1 excludes min_crop_size and"
    " max_crop_size (leave one of the two out)",
    "random_resized_crop=1 min_random_scale=0.5": "random_resized_crop=1 excludes min_random_scale and"
    " max_random_scale (leave one of the two out)",
    "random_resized_crop=1 max_random_scale=2": "random_resized_crop=1 excludes min_random_scale and"
    " max_random_scale (leave one of the two out)",
    "min_crop_size=5": "min_crop_size=5 and max_crop_size=-1 must be 1 or more, the first no larger (give both)",
    "max_crop_size=5": "min_crop_size=-1 and max_crop_size=5 must be 1 or more, the first no larger (give both)",
    "min_crop_size=5 max_crop_size=4": "min_crop_size=5 and max_crop_size=4 must be 1 or more, the first no larger"
    " (give both)",
    "min_crop_size=0 max_crop_size=4": "min_crop_size=0 and max_crop_size=4 must be 1 or more, the first no larger"
    " (give both)",
    "inter_method=0 rotate=10": "inter_method=0 must be 1 to 4, 9 or 10 with rotation, shear, scale or aspect",
    "inter_method=0 pad=9 min_img_size=5": "inter_method=0 must be 1 to 4, 9 or 10 with rotation, shear, scale or"
    " aspect",
    "min_random_scale=2": "min_random_scale=2.0 must be above 0 and no larger than max_random_scale=1.0",
    "min_random_scale=0": "min_random_scale=0.0 must be above 0 and no larger than max_random_scale=1.0",
    "max_random_scale=0.5": "min_random_scale=1.0 must be above 0 and no larger than max_random_scale=0.5",
    "min_random_area=0": "min_random_area=0.0 must be above 0 and no larger than max_random_area=1.0",
    "min_random_area=0.5 max_random_area=0.1": "min_random_area=0.5 must be above 0 and no larger than"
    " max_random_area=0.1",
    "max_aspect_ratio=1": "max_aspect_ratio=1.0 must give a range of ratios above 0, not 0 to 2",
    "max_aspect_ratio=1.5 random_resized_crop=1": "max_aspect_ratio=1.5 must give a range of ratios above 0,"
    " not -0.5 to 2.5",
    "min_aspect_ratio=0.5": "min_aspect_ratio=0.5 and max_aspect_ratio=0.0 must give a range of ratios above 0,"
    " not 0.5 to 0",
    "min_aspect_ratio=2 max_aspect_ratio=0.5": "min_aspect_ratio=2.0 and max_aspect_ratio=0.5 must give a range of"
    " ratios above 0, not 2 to 0.5",
}


def test_parameters_that_exclude_each_other_are_named_with_their_values() -> None:
    assert TOGETHER == {words: refused(words) for words in TOGETHER}


ALONE = {
    "resize=0": "resize=0 must be -1 or 1 and more",
    "resize=-2": "resize=-2 must be -1 or 1 and more",
    "std_g=0": "std_g=0 must not be 0: it divides",
    "aug_seq=det_aug_default": "aug_seq=det_aug_default must be aug_default (The sequence of augmentations.)",
    "inter_method=5": "inter_method=5 must be 0, 1, 2, 3, 4, 9 or 10"
    " (0 nearest, 1 bilinear, 2 bicubic, 3 area, 4 Lanczos, 9 by size, 10 drawn for each image.)",
    "rotate_list=a": "rotate_list=a must be integers joined by commas",
    "random_h=181": "random_h=181 must be 0 to 180 (Shift the hue by up to so many half degrees.)",
    "random_s=-1": "random_s=-1 must be 0 to 255 (Shift the saturation by up to so many of 255 levels.)",
    "brightness=-0.1": "brightness=-0.1 must be 0 or more (Multiply by a random factor in [1-v, 1+v].)",
    "max_rotate_angle=-1": "max_rotate_angle=-1 must be 0 to 360"
    " (Rotate by a random angle of up to so many degrees either way.)",
    "max_rotate_angle=1.5": "max_rotate_angle=1.5 must be an integer",
    "pad=-1": "pad=-1 must be 0 to 65535 (Border of so many pixels on all sides.)",
    "max_img_size=0": "max_img_size=0.0 must be 1 or more (Cut the canvas of rotation and scale to this, both edges.)",
    "mirror=maybe": "mirror=maybe must be 0 or 1",
    "rand_mirorr=1": "unknown key 'rand_mirorr' (the nearest known key is 'rand_mirror')",
}


def test_values_out_of_range_are_refused_with_what_is_allowed() -> None:
    assert ALONE == {words: refused(words) for words in ALONE}


NUMBERS = ["mean_r", "scale", "std_r", "max_random_contrast", "max_random_illumination", "max_random_scale"]
LIMITED = [
    "brightness",
    "contrast",
    "saturation",
    "pca_noise",
    "max_shear_ratio",
    "max_aspect_ratio",
    "max_random_area",
]


def test_infinity_and_nan_are_no_numbers() -> None:
    for name in NUMBERS + LIMITED:
        for value in ("nan", "inf", "-inf"):
            assert refused(f"{name}={value}").startswith(f"{name}={value} must be "), name


def test_what_goes_together_is_taken() -> None:
    for words in (
        "random_resized_crop=1 min_random_area=0.08 min_aspect_ratio=0.75 max_aspect_ratio=1.3333 rotate=10",
        "min_crop_size=1 max_crop_size=1 rand_crop=1",
        "rotate=0 rotate_list= inter_method=0",
        "max_random_scale=2 min_random_scale=2 mirror=1 rand_mirror=1",
        "random_resized_crop=1 inter_method=0 max_aspect_ratio=0.25",
        "rotate_list=(0,90,180) inter_method=10 max_aspect_ratio=0.9",
        "seed=-200 seed_aug=-1 fill_value=300",
    ):
        given(words)


def test_images_are_warped_for_what_the_reference_warps_them() -> None:
    for words in (
        "max_rotate_angle=1", "rotate=1", "rotate_list=0", "max_shear_ratio=0.1", "max_random_scale=2",
        "min_random_scale=0.5", "max_aspect_ratio=0.1", "min_aspect_ratio=0.5 max_aspect_ratio=0.5",
        "max_img_size=100", "min_img_size=1",
    ):  # fmt: skip
        assert given(words).warps, words
    for words in ("", "rotate=0", "rotate=-90", "max_aspect_ratio=0.1 random_resized_crop=1", "resize=9 pad=3"):
        assert not given(words).warps, words


def test_ratios_are_around_one_or_from_the_smaller_to_the_larger_given() -> None:
    assert (1, 1) == given("").aspect_range
    assert (0.75, 1.25) == given("max_aspect_ratio=0.25").aspect_range
    assert (0.5, 2) == given("min_aspect_ratio=0.5 max_aspect_ratio=2").aspect_range
