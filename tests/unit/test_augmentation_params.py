"""The augmentation parameters: MXNet's defaults, values that exclude each other, and what they switch on."""

from __future__ import annotations

from typing import Any

from helpers import message_of

from im2rec.augment.params import AugmentationParams
from im2rec.params import from_words, parameter_docs
from im2rec.pipeline.params import ImageRecordParams

# MXNet 1.9.1, the help of ImageRecordIter, which does not list rotate_list.
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
OURS = {"shuffle_scope": None, "max_pixels": None}


def test_names_and_defaults_are_those_of_mxnet_plus_ours() -> None:
    params = AugmentationParams()

    assert REFERENCE | OURS == {name: getattr(params, name) for name in REFERENCE | OURS}
    assert set(REFERENCE | OURS) == {row.name for row in parameter_docs(AugmentationParams)}


def read(words: str) -> ImageRecordParams:
    """The parameters of an iterator with these KEY=VALUE *words*."""
    return from_words(ImageRecordParams, ["path_imgrec=a.rec", "data_shape=3,6,8", "batch_size=1", *words.split()])


def error_of(words: str) -> str:
    return message_of(read, words)


EXCLUSIVE = {
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


# In the notation of --help; parameters that are not here take any value of their type.
LIMITS = {
    "shuffle_scope": "all or part", "shuffle_chunk_size": "0 or more", "aug_seq": "aug_default",
    "max_pixels": "1 or more",
    "resize": "65535 or less", "max_rotate_angle": "0 to 360", "rotate": "360 or less", "max_crop_size": "-1 or more",
    "min_crop_size": "-1 or more", "max_random_scale": "0 or more", "min_random_scale": "0 or more",
    "max_random_area": "0 or more", "min_random_area": "0 or more", "max_img_size": "1 or more",
    "min_img_size": "0 or more", "brightness": "0 or more", "contrast": "0 or more", "saturation": "0 or more",
    "pca_noise": "0 or more", "random_h": "0 to 180", "random_s": "0 to 255", "random_l": "0 to 255",
    "inter_method": "0, 1, 2, 3, 4, 9 or 10", "pad": "0 to 65535",
}  # fmt: skip


def test_parameters_are_limited_to_what_means_something() -> None:
    assert LIMITS == {row.name: row.allowed for row in parameter_docs(AugmentationParams) if row.allowed}


def test_parameters_that_exclude_each_other_are_named_with_their_values() -> None:
    assert EXCLUSIVE == {words: error_of(words) for words in EXCLUSIVE}


OUT_OF_RANGE = {
    "resize=0": "resize=0 must be -1 or 1 and more",
    "resize=-2": "resize=-2 must be -1 or 1 and more",
    "std_g=0": "std_g=0 must not be 0: it divides",
    "aug_seq=det_aug_default": "aug_seq=det_aug_default must be aug_default (The sequence of augmentations.)",
    "inter_method=5": "inter_method=5 must be 0, 1, 2, 3, 4, 9 or 10"
    " (0 nearest, 1 bilinear, 2 bicubic, 3 area, 4 Lanczos, 9 by size, 10 drawn for each image.)",
    "rotate_list=a": "rotate_list=a must be integers joined by commas",
    "rotate_list=0,361": "rotate_list=0,361 must be degrees from -360 to 360",
    "rotate_list=-361": "rotate_list=-361 must be degrees from -360 to 360",
    "resize=65536": "resize=65536 must be 65535 or less (First scale the shorter edge to this many pixels;"
    " -1: keep the size.)",
    "random_h=181": "random_h=181 must be 0 to 180 (Shift the hue by up to this many half degrees.)",
    "random_s=-1": "random_s=-1 must be 0 to 255 (Shift the saturation by up to this many of 255 levels.)",
    "brightness=-0.1": "brightness=-0.1 must be 0 or more (Multiply by a random factor in [1-v, 1+v].)",
    "max_rotate_angle=-1": "max_rotate_angle=-1 must be 0 to 360"
    " (Rotate by a random angle of up to this many degrees either way.)",
    "max_rotate_angle=1.5": "max_rotate_angle=1.5 must be an integer",
    "pad=-1": "pad=-1 must be 0 to 65535 (Border of this many pixels on all sides.)",
    "max_img_size=0": "max_img_size=0.0 must be 1 or more (Cut the canvas of rotation and scale to this, both edges.)",
    "mirror=maybe": "mirror=maybe must be 0 or 1",
    "rand_mirorr=1": "unknown key 'rand_mirorr' (the nearest known key is 'rand_mirror')",
}


def test_values_out_of_range_are_refused_with_what_is_allowed() -> None:
    assert OUT_OF_RANGE == {words: error_of(words) for words in OUT_OF_RANGE}


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


def test_infinity_and_nan_are_error_of() -> None:
    for name in NUMBERS + LIMITED:
        for value in ("nan", "inf", "-inf"):
            assert error_of(f"{name}={value}").startswith(f"{name}={value} must be "), name


def test_parameters_that_do_not_exclude_each_other_are_accepted() -> None:
    for words in (
        "random_resized_crop=1 min_random_area=0.08 min_aspect_ratio=0.75 max_aspect_ratio=1.3333 rotate=10",
        "min_crop_size=1 max_crop_size=1 rand_crop=1",
        "rotate=0 rotate_list= inter_method=0",
        "rotate_list=-360,360 resize=1 rotate=360",
        "resize=65535 fill_value=-1",
        "max_random_scale=2 min_random_scale=2 mirror=1 rand_mirror=1",
        "random_resized_crop=1 inter_method=0 max_aspect_ratio=0.25",
        "rotate_list=(0,90,180) inter_method=10 max_aspect_ratio=0.9",
        "seed=-200 seed_aug=-1 fill_value=300",
    ):
        read(words)


def test_images_are_warped_by_the_parameters_for_which_the_reference_warps() -> None:
    for words in (
        "max_rotate_angle=1", "rotate=1", "rotate_list=0", "max_shear_ratio=0.1", "max_random_scale=2",
        "min_random_scale=0.5", "max_aspect_ratio=0.1", "min_aspect_ratio=0.5 max_aspect_ratio=0.5",
        "max_img_size=100", "min_img_size=1",
    ):  # fmt: skip
        assert read(words).warps, words
    for words in ("", "rotate=0", "rotate=-90", "max_aspect_ratio=0.1 random_resized_crop=1", "resize=9 pad=3"):
        assert not read(words).warps, words


def test_the_aspect_range_is_around_one_or_as_given() -> None:
    assert (1, 1) == read("").aspect_range
    assert (0.75, 1.25) == read("max_aspect_ratio=0.25").aspect_range
    assert (0.5, 2) == read("min_aspect_ratio=0.5 max_aspect_ratio=2").aspect_range


def test_colours_change_by_jitter_shifts_or_noise_of_any_size() -> None:
    for words in (
        "brightness=0.01", "contrast=0.01", "saturation=0.01", "pca_noise=0.01", "random_h=1", "random_s=1",
        "random_l=1",
    ):  # fmt: skip
        assert read(words).changes_colors is True, words
    for words in ("", "mirror=1 mean_r=5 scale=2", "max_random_contrast=0.5 max_random_illumination=9"):
        assert read(words).changes_colors is False, words
