"""Tests of the words for one draw of the augmentation: they name the steps that changed the image, and no others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from augment_helpers import REFERENCE_ENGINE, FixedDraws
from image_helpers import texture
from iterator_helpers import some_params

from im2rec.augment.augmenter import AugmentationPlan, Augmenter
from im2rec.augment.draws import counter_draws
from im2rec.augment.geometry import Crop, Pad, Resize, Size
from im2rec.pipeline.params import ImageRecordParams
from im2rec.runs.changes import MIRROR, Change, RecordedDraws, _words_of, changes_of, region_of, used_draws

SIDE = 20
GEOMETRY: list[dict[str, Any]] = [
    {},
    {"rand_crop": 1},
    {"resize": 24, "rand_crop": 1},
    {"random_resized_crop": 1, "min_random_area": 0.3, "max_aspect_ratio": 0.3},
    {"min_crop_size": 8, "max_crop_size": 20, "rand_crop": 1},
    {"pad": 3, "rand_crop": 1},
    {"max_rotate_angle": 40, "max_shear_ratio": 0.1},
    {"rotate_list": (0, 90, 180), "pad": 1},
    {"min_random_scale": 0.9, "max_random_scale": 1.4, "max_aspect_ratio": 0.2, "rand_crop": 1},
    {"resize": 22, "inter_method": 10, "random_resized_crop": 1, "min_random_area": 0.1},
]
COLOURS: list[dict[str, Any]] = [
    {},
    {"brightness": 0.3},
    {"contrast": 0.3, "saturation": 0.5},
    {"random_h": 20, "random_l": 30},
    {"random_s": 1},
    {"pca_noise": 0.1},
    {"brightness": 0.002, "pca_noise": 0.001},
]
LAST: list[dict[str, Any]] = [
    {},
    {"rand_mirror": 1},
    {"mirror": 1, "rand_mirror": 1},
    {"max_random_contrast": 0.2, "scale": 0.01, "mean_r": 100},
    {"max_random_illumination": 10, "rand_mirror": 1},
    {"dtype": "uint8", "rand_mirror": 1, "max_random_contrast": 0.2},
    {"dtype": "int8", "mean_g": 3, "max_random_contrast": 0.2, "max_random_illumination": 10},
]


def the_params(**given: Any) -> ImageRecordParams:
    return some_params("some.rec", **{"data_shape": (3, SIDE, SIDE), **given})


def augmenter_of(params: ImageRecordParams) -> Augmenter:
    return Augmenter(params, params.shape, REFERENCE_ENGINE, dtype=params.data_dtype, layout=params.layout)


def drawn(
    params: ImageRecordParams, image: np.ndarray[Any, Any], draws: Any
) -> tuple[AugmentationPlan, list[Change], dict[str, float]]:
    """The plan for *image*, its changes, and all numbers that were drawn."""
    recorded = RecordedDraws(draws)
    plan = augmenter_of(params).plan(Size.of(image), recorded)
    return plan, changes_of(image, plan, recorded.values, params, REFERENCE_ENGINE), recorded.values


def an_image(choice: random.Random) -> np.ndarray[Any, Any]:
    """A texture, sometimes grey, of one colour, or its own mirror image."""
    image = texture(choice.randint(SIDE, 40), choice.randint(SIDE, 40), seed=choice.randint(0, 99))
    kind = choice.randrange(6)
    if kind == 0:
        image = np.repeat(image[:, :, :1], 3, axis=2)
    if kind == 1:
        image = np.full_like(image, choice.randint(0, 255))
    if kind == 2:
        image = np.concatenate([image, image[:, ::-1]], axis=1)
    return image


@pytest.mark.parametrize("seed", range(60))
def test_the_steps_that_are_named_changed_the_image_and_the_others_did_not(seed: int) -> None:
    choice = random.Random(seed)
    params = the_params(**{**choice.choice(GEOMETRY), **choice.choice(COLOURS), **choice.choice(LAST)})
    image = an_image(choice)
    plan, changes, _ = drawn(params, image, *counter_draws([seed], [7]))
    named = [change.words for change in changes]

    full, kept = image, image
    for step in plan.steps:
        words = _words_of(step, Size.of(full))[0]
        made = step.apply(full, REFERENCE_ENGINE)
        if words in named:
            named.remove(words)
            kept = step.apply(kept, REFERENCE_ENGINE)
            assert made.shape != full.shape or (made != full).any(), words
        full = made
    assert full.shape == kept.shape
    assert (full == kept).all()
    is_flipped = bool(plan.normalization.mirror) and bool((full != full[:, ::-1]).any())
    assert is_flipped == (MIRROR in named)
    assert all(words.startswith((MIRROR, "normalise", "values")) for words in named)


@pytest.mark.parametrize("seed", range(40))
def test_numbers_are_named_only_where_they_were_drawn_and_decided_a_change(seed: int) -> None:
    choice = random.Random(seed)
    params = the_params(**{**choice.choice(GEOMETRY), **choice.choice(COLOURS), **choice.choice(LAST)})
    image = an_image(choice)
    _, changes, values = drawn(params, image, *counter_draws([seed], [7]))
    used = used_draws(changes, values)

    assert {name for change in changes for name in change.drawn} == set(used)
    assert used.items() <= values.items()
    assert all(change.drawn == () for change in changes if change.words.startswith("normalise"))


def test_without_random_parameters_no_number_is_used() -> None:
    params = the_params(resize=24, rotate=30, pad=2, mirror=1, mean_r=5)
    _, changes, values = drawn(params, texture(30, 40), *counter_draws([0], [0]))

    assert 5 == len([change for change in changes if change.words != MIRROR])
    assert {} == used_draws(changes, values)


WORDS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str], list[str]]] = {
    "nothing": ({}, {}, [], []),
    "a crop": (
        {"rand_crop": 1},
        {"crop_y": 3, "crop_x": 7},
        ["crop x 7, y 3, 20 x 20 of 40 x 30"],
        ["crop 7,3 20 x 20"],
    ),
    "a resize and a crop of the centre": (
        {"resize": 24},
        {},
        ["resize to 32 x 24 (bilinear)", "crop x 6, y 2, 20 x 20 of 32 x 24"],
        ["bilinear", "crop 6,2 20 x 20"],
    ),
    "a square that is scaled": (
        {"min_crop_size": 10, "max_crop_size": 30, "rand_crop": 1, "inter_method": 10},
        {"crop_size": 12, "crop_y": 0, "crop_x": 2, "crop_interpolation": 2},
        ["crop x 2, y 0, 12 x 12 of 40 x 30", "resize to 20 x 20 (bicubic)"],
        ["crop 2,0 12 x 12", "bicubic"],
    ),
    "a turn to the left": (
        {"max_rotate_angle": 20},
        {"angle": 12, "shear": 0.5},
        ["turn 12 degrees counter-clockwise (bilinear)"],
        ["turn 12 left"],
    ),
    "a turn to the right": (
        {"rotate_list": (-90, 180)},
        {"rotate_list": 0, "shear": 0.5},
        ["turn 90 degrees clockwise (bilinear)"],
        ["turn 90 right"],
    ),
    "half a turn": (
        {"rotate_list": (-90, 180)},
        {"rotate_list": 1, "shear": 0.5},
        ["turn 180 degrees counter-clockwise (bilinear)"],
        ["turn 180"],
    ),
    "a shear": ({"max_shear_ratio": 0.2}, {"shear": 0.75, "angle": 0}, ["shear 0.1 (bilinear)"], ["shear 0.1"]),
    "a scale": (
        {"min_random_scale": 1, "max_random_scale": 2},
        {"shear": 0.5, "angle": 0, "scale": 0.5},
        ["scale x 1.5, canvas 30 x 30 (bilinear)", "crop x 5, y 5, 20 x 20 of 30 x 30"],
        ["scale x 1.5", "crop 5,5 20 x 20"],
    ),
    "a border": (
        {"pad": 1, "rand_crop": 1},
        {"crop_y": 0, "crop_x": 0},
        ["pad by 1 pixel on each side", "crop x 0, y 0, 20 x 20 of 42 x 32"],
        ["crop 0,0 20 x 20"],
    ),
    "a change of colours": (
        {"brightness": 0.5, "contrast": 0.5},
        {"brightness": 0.75, "contrast": 0.25, "saturation": 0.5, "jitter_order_1": 0, "jitter_order_2": 2},
        ["contrast x 0.75", "brightness x 1.25"],
        ["contrast x 0.75", "brightness x 1.25"],
    ),
    "a change of hue alone": ({"random_h": 10}, {"hue_1": 1.0, "hue_2": 0.75}, ["hue +12 degrees"], ["hue +12"]),
    "a shift of three": (
        {"random_h": 10, "random_l": 20, "random_s": 30},
        {"hue_1": 0, "hue_2": 0, "lightness_1": 1, "lightness_2": 1, "saturation_shift_1": 0, "saturation_shift_2": 0},
        ["hue -20 degrees, lightness +20, saturation -30"],
        ["hue -20", "light +20", "saturation -30"],
    ),
    "noise": (
        {"pca_noise": 1},
        {"pca_r": 0.1, "pca_g": 0.0, "pca_b": 0.0},
        ["noise of red, green, blue: -3.1 -3.2 -3.2"],
        ["noise -3.1 -3.2 -3.2"],
    ),
    "a flip": ({"rand_mirror": 1}, {"mirror": True}, ["mirror"], ["mirrored"]),
    "no flip": ({"rand_mirror": 1}, {"mirror": False}, [], []),
    "the last step": (
        {"scale": 0.5, "mean_r": 120, "max_random_contrast": 0.5, "max_random_illumination": 10},
        {"contrast_factor": 0.75, "illumination": 0.25},
        [
            "normalise by mean_r=120 scale=0.5 (undone in the image)",
            "values x 1.25 (random contrast)",
            "values -5 (random illumination)",
        ],
        ["values x 1.25", "values -5"],
    ),
    "the last step of int8": (
        {"dtype": "int8", "scale": 0.5, "mean_r": 120, "max_random_contrast": 0.5},
        {"contrast_factor": 0.75, "illumination": 0.25},
        ["normalise by mean_r=120 (undone in the image)"],
        [],
    ),
    "the last step of uint8": ({"dtype": "uint8", "scale": 0.5, "mean_r": 120, "max_random_contrast": 0.5}, {}, [], []),
}


@pytest.mark.parametrize("case", WORDS)
def test_each_step_has_its_words(case: str) -> None:
    given, numbers, words, short = WORDS[case]
    is_cropped = bool({"rand_crop", "resize"} & given.keys())
    image = texture(30, 40) if is_cropped else texture(SIDE, SIDE)
    _, changes, _ = drawn(the_params(**given), image, FixedDraws(numbers))

    assert words == [change.words for change in changes]
    assert short == [word for change in changes for word in change.short]


def test_a_crop_of_a_large_image_has_two_short_lines() -> None:
    assert ["crop 1200,1300", "1100 x 1100"] == _words_of(Crop(1300, 1200, 1100, 1100), Size(4000, 3000))[1:]


def test_a_factor_that_changes_pixels_never_reads_as_one() -> None:
    _, changes, _ = drawn(the_params(brightness=0.004), np.full((20, 20, 3), 255, np.uint8), FixedDraws(unit=0.0))

    assert ["brightness x 0.996"] == [change.words for change in changes]
    _, changes, _ = drawn(the_params(max_random_contrast=0.0003), texture(20, 20), FixedDraws(unit=0.0))
    assert ["values x 0.9997 (random contrast)"] == [change.words for change in changes]


def test_only_the_try_that_fitted_is_used_for_an_area() -> None:
    numbers = {"area": [0.99, 0.5], "aspect": [0.99, 0.5], "swap": [0.0, 0.0], "crop_y": 1, "crop_x": 2}
    params = the_params(random_resized_crop=1, min_random_area=0.1, max_random_area=1.0, max_aspect_ratio=0.9)
    _, changes, values = drawn(params, texture(30, 40), FixedDraws(numbers))

    assert ["area, try 2", "aspect, try 2", "swap, try 2", "crop_y", "crop_x"] == list(used_draws(changes, values))


def coordinates(width: int, height: int) -> np.ndarray[Any, Any]:
    """An image whose red is five times the column and whose green is five times the row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([5 * columns, 5 * rows, 0 * rows], axis=2).astype(np.uint8)


@pytest.mark.parametrize("seed", range(60))
def test_the_region_is_where_the_pixels_come_from(seed: int) -> None:
    choice = random.Random(seed)
    params = the_params(**choice.choice(GEOMETRY))
    image = coordinates(choice.randint(SIDE, 40), choice.randint(SIDE, 40))
    plan, _, _ = drawn(params, image, *counter_draws([seed], [7]))
    size = Size.of(image)
    corners = region_of(plan.steps, size) or [(0, 0), (size.width, 0), (size.width, size.height), (0, size.height)]
    made = augmenter_of(params).augment(image, plan)
    upper_left, upper_right, _, lower_left = np.array(corners)
    for row in range(0, SIDE, 3):
        for column in range(0, SIDE, 3):
            across, down = (column + 0.5) / SIDE, (row + 0.5) / SIDE
            x, y = upper_left + across * (upper_right - upper_left) + down * (lower_left - upper_left) - 0.5
            if 1 <= x <= size.width - 2 and 1 <= y <= size.height - 2:
                assert np.abs(made[row, column, :2] / 5 - (x, y)).max() < 1.1


@pytest.mark.parametrize("steps", [[], [Resize(10, 15, 1)], [Pad(2, 0), Crop(2, 2, 30, 20)], [Crop(0, 0, 30, 20)]])
def test_an_image_that_is_shown_whole_has_no_region(steps: Sequence[Any]) -> None:
    assert region_of(steps, Size(20, 30)) is None


def test_a_region_follows_the_resize_before_the_crop() -> None:
    assert [(20, 40), (60, 40), (60, 80), (20, 80)] == region_of(
        [Resize(50, 50, 1), Crop(20, 10, 20, 20)], Size(100, 100)
    )
