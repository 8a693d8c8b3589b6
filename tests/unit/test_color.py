"""Changes of colour against values computed by hand: jitter, shifts, PCA noise, and how they are planned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augment_helpers import REFERENCE_ENGINE, FixedDraws, Pixels

from im2rec.augment.color import Brightness, Colors, Contrast, PCANoise, Saturation, ShiftHLS
from im2rec.augment.draws import Float
from im2rec.augment.geometry import Step
from im2rec.augment.params import AugmentationParams

# Two pixels, of which the reference computes the grey (4899 blue + 9617 green + 1868 red + 8192) >> 14: 26 and 207.
IMAGE = np.array([[[100, 20, 10], [200, 210, 203]]], np.uint8)


def applied(step: Step, image: Pixels = IMAGE) -> list[Any]:
    """The pixels of one row after *step*."""
    pixels: list[Any] = step.apply(image, REFERENCE_ENGINE)[0].tolist()
    return pixels


def plan(draws: FixedDraws, channels: int = 3, **params: Any) -> list[Step]:
    return Colors(AugmentationParams(**params), channels).plan(draws)


def test_brightness_multiplies_clips_and_rounds_halves_to_even() -> None:
    assert [[150, 30, 15], [255, 255, 255]] == applied(Brightness(Float(1.5)))
    assert [[50, 10, 5], [100, 105, 102]] == applied(Brightness(Float(0.5)))  # 101.5 is 102
    assert [[0, 2, 2]] == applied(Brightness(Float(0.5)), np.array([[[1, 3, 5]]], np.uint8))  # of 0.5, 1.5, 2.5


def test_contrast_moves_levels_away_from_the_mean_grey() -> None:
    # Mean grey 116.5: 2 * 100 - 116.5 = 83.5, 2 * 200 - 116.5 = 283.5.
    assert [[84, 0, 0], [255, 255, 255]] == applied(Contrast(Float(2)))
    assert [[116, 116, 116]] * 2 == applied(Contrast(Float(0)))
    assert IMAGE[0].tolist() == applied(Contrast(Float(1)))


def test_saturation_moves_levels_away_from_the_grey_of_their_pixel() -> None:
    assert [[174, 14, 0], [193, 213, 199]] == applied(Saturation(Float(2)))
    assert [[26, 26, 26], [207, 207, 207]] == applied(Saturation(Float(0)))
    assert IMAGE[0].tolist() == applied(Saturation(Float(1)))


def test_grey_is_weighed_as_in_the_reference_with_red_and_blue_exchanged() -> None:
    pure = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)

    assert [[29] * 3, [150] * 3, [76] * 3] == applied(Saturation(Float(0)), pure)


def test_noise_is_added_and_then_truncated() -> None:
    assert [[100, 19, 10], [200, 209, 203]] == applied(PCANoise(Float(0.9), Float(-0.1), Float(0)))
    assert [[0, 120, 11], [100, 255, 204]] == applied(PCANoise(Float(-100), Float(100), Float(1.99)))


def test_shifts_of_zero_keep_greys_and_lightness_is_added() -> None:
    grey = np.array([[[9, 9, 9], [128, 128, 128], [250, 250, 250]]], np.uint8)

    assert grey[0].tolist() == applied(ShiftHLS(0, 0, 0), grey)
    assert [[29] * 3, [148] * 3, [255] * 3] == applied(ShiftHLS(50, 20, 0), grey)


def test_a_hue_shift_turns_red_to_green_and_stops_at_the_end_of_the_range() -> None:
    pure = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)
    red, green, blue = [255, 1, 1], [1, 255, 1], [1, 1, 255]  # a lightness of 127.5 is kept as 128

    assert [red, green] == applied(ShiftHLS(0, 0, 0), pure)
    assert [green, blue] == applied(ShiftHLS(60, 0, 0), pure)
    assert [red, red] == applied(ShiftHLS(-60, 0, 0), pure)
    assert [red, red] == applied(ShiftHLS(180, 0, 0), pure)  # held at 180, which is red again


STEPS: list[Step] = [
    Brightness(Float(1.5)),
    Contrast(Float(0.3)),
    Saturation(Float(1.7)),
    ShiftHLS(9, -20, 30),
    PCANoise(Float(5.5), Float(-3), Float(20)),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_alpha_is_kept_and_does_not_affect_the_colours(step: Step) -> None:
    with_alpha = np.dstack([IMAGE, np.array([[7, 250]], np.uint8)])
    changed = step.apply(with_alpha, REFERENCE_ENGINE)

    assert np.array_equal(step.apply(IMAGE, REFERENCE_ENGINE), changed[:, :, :3])
    assert [7, 250] == changed[0, :, 3].tolist()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_a_step_accepts_views_and_does_not_write_to_them(step: Step) -> None:
    whole = np.tile(IMAGE, (5, 4, 1))
    whole.flags.writeable = False
    view = whole[1:4, 1:6:2]
    changed = step.apply(view, REFERENCE_ENGINE)

    assert np.array_equal(step.apply(view.copy(), REFERENCE_ENGINE), changed)
    assert np.uint8 == changed.dtype
    assert not np.shares_memory(whole, changed)


# Planning.


def test_nothing_is_drawn_without_colour_parameters_or_for_grey_images() -> None:
    draws = FixedDraws()

    assert [] == plan(draws)
    assert [] == plan(draws, 1, brightness=0.4, random_h=9, pca_noise=0.1)
    assert [] == draws.names


def test_one_jitter_draws_all_three_and_their_order() -> None:
    draws = FixedDraws({"brightness": 0.75, "contrast": 0, "jitter_order_1": 1, "jitter_order_2": 2})
    steps = plan(draws, brightness=0.4)

    assert [Brightness(Float(1.2)), Contrast(Float(1)), Saturation(Float(1))] == steps
    assert ["brightness", "contrast", "saturation", "jitter_order_1", "jitter_order_2"] == draws.names


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [(0, 0, "SBC"), (0, 1, "CSB"), (0, 2, "CBS"), (1, 0, "SCB"), (1, 1, "BSC"), (1, 2, "BCS")],
)
def test_jitters_are_shuffled_as_by_std_shuffle(first: int, second: int, order: str) -> None:
    steps = plan(FixedDraws({"jitter_order_1": first, "jitter_order_2": second}), contrast=0.4)

    assert order == "".join(type(step).__name__[0] for step in steps)


def test_each_shift_is_two_draws_truncated_towards_zero() -> None:
    draws = FixedDraws({"hue_1": 1, "hue_2": 1, "lightness_1": 0, "lightness_2": 0, "saturation_shift_2": 0.75})
    (step,) = plan(draws, random_h=10, random_s=9, random_l=30)

    assert ShiftHLS(hue=10, lightness=-30, saturation=3) == step  # (0.5 + 3) / 5 * 18 - 9 is 3.6
    names = ["hue_1", "hue_2", "saturation_shift_1", "saturation_shift_2", "lightness_1", "lightness_2"]
    assert names == draws.names


def test_pca_noise_is_three_normal_numbers_along_the_principal_components() -> None:
    draws = FixedDraws({"pca_r": 1, "pca_g": 0, "pca_b": 0})
    (step,) = plan(draws, pca_noise=0.1)

    assert np.allclose([-3.147355, -3.221117, -3.236646], step)  # 55.46 * 0.1 times the first component
    assert ["pca_r", "pca_g", "pca_b"] == draws.names


def test_each_normal_number_moves_colours_along_a_component_of_its_own() -> None:
    # Eigenvector times eigenvalue, as written in mxnet src/io/image_aug_default.cc; rows R, G, B.
    components = [
        [55.46 * -0.5675, 4.794 * 0.7192, 1.148 * 0.4009],
        [55.46 * -0.5808, 4.794 * -0.0045, 1.148 * -0.8140],
        [55.46 * -0.5836, 4.794 * -0.6948, 1.148 * 0.4203],
    ]
    for number, name in enumerate(("pca_r", "pca_g", "pca_b")):
        (step,) = plan(FixedDraws({name: 1}), pca_noise=1)
        assert np.allclose([row[number] for row in components], step), name
    (step,) = plan(FixedDraws({"pca_r": 1, "pca_g": 2, "pca_b": -3}), pca_noise=1)
    assert np.allclose(np.array(components) @ [1, 2, -3], step)


def test_steps_are_jitter_then_shifts_then_noise() -> None:
    steps = plan(FixedDraws(), saturation=0.1, random_l=5, pca_noise=0.1)

    assert [ShiftHLS, PCANoise] == [type(step) for step in steps[3:]]
