"""Where pixels go, by hand: what is planned for which size, and what the steps without an engine make of an image."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from augment_helpers import EXACT, GivenDraws
from helpers import message_of
from image_helpers import texture

from im2rec.augment.geometry import Crop, Geometry, Pad, Resize, Size, Step, Warp
from im2rec.augment.params import AugmentationParams, check_augmentation
from im2rec.errors import ImageError
from im2rec.images.codec import TOO_LARGE

TARGET = Size(8, 6)


def planned(
    size: tuple[int, int], draws: GivenDraws | None = None, *, target: Size = TARGET, **params: Any
) -> list[Step]:
    """The steps for an image of *size*, (width, height)."""
    return Geometry(AugmentationParams(**params), target).plan(Size(*size), draws or GivenDraws())


def matrix_of(steps: list[Step]) -> list[list[float]]:
    """The matrix of the one warp, to six digits."""
    (warp,) = [step for step in steps if isinstance(step, Warp)]
    assert np.float32 == warp.matrix.dtype
    return [[round(float(number), 6) + 0.0 for number in row] for row in warp.matrix]


# Plain crops.


def test_a_crop_is_in_the_middle_rounded_towards_the_corner() -> None:
    assert [Crop(0, 0, 6, 8)] == planned((8, 6))
    assert [Crop(2, 0, 6, 8)] == planned((9, 11))  # (11 - 6) // 2, (9 - 8) // 2
    assert [Crop(2, 2, 6, 8)] == planned((12, 10))


def test_a_random_crop_draws_its_row_then_its_column() -> None:
    draws = GivenDraws({"crop_y": 4, "crop_x": 3})

    assert [Crop(4, 3, 6, 8)] == planned((12, 10), draws, rand_crop=True)
    assert ["crop_y", "crop_x"] == draws.asked


def test_a_small_image_is_scaled_up_height_before_width() -> None:
    assert [Resize(12, 6, 1), Crop(0, 2, 6, 8)] == planned((8, 4))
    assert [Resize(8, 12, 1), Crop(3, 0, 6, 8)] == planned((6, 9))
    assert [Resize(6, 6, 1), Resize(8, 8, 1), Crop(1, 0, 6, 8)] == planned((3, 3))


def test_a_quotient_that_falls_short_in_32_bits_costs_a_second_resize() -> None:
    assert [Resize(30, 31, 1), Resize(31, 32, 1), Crop(0, 0, 31, 31)] == planned((7, 7), target=Size(31, 31))


def test_the_smallest_image_is_large_enough_when_scaled_up() -> None:
    for width, height in itertools.product(range(1, 33), repeat=2):
        *resized, crop = planned((width, height), target=Size(31, 32))
        final = resized[-1] if resized else Size(width, height)
        assert isinstance(crop, Crop)
        assert isinstance(final, (Resize, Size))
        assert 0 <= crop.x <= final.width - 31
        assert 0 <= crop.y <= final.height - 32


# Resizing first.


@pytest.mark.parametrize(
    ("size", "edge", "expected"), [((25, 10), 7, (17, 7)), ((17, 31), 9, (9, 16)), ((10, 10), 30, (30, 30))]
)
def test_resize_scales_the_shorter_edge_and_rounds_the_longer_down(
    size: tuple[int, int], edge: int, expected: tuple[int, int]
) -> None:
    assert Resize(*expected, 1) == planned(size, resize=edge)[0]


def test_the_interpolation_is_the_one_given_or_goes_by_the_sizes_or_is_drawn() -> None:
    def methods(size: tuple[int, int], **params: Any) -> list[int]:
        return [step.inter_method for step in planned(size, resize=20, **params) if isinstance(step, Resize)]

    assert [4] == methods((40, 30), inter_method=4)
    assert [3] == methods((40, 30), inter_method=9)  # smaller: area
    assert [2] == methods((20, 10), inter_method=9)  # larger: bicubic
    draws = GivenDraws({"resize_interpolation": 3})
    assert Resize(26, 20, 3) == planned((40, 30), draws, resize=20, inter_method=10)[0]
    assert ["resize_interpolation", "crop_interpolation"] == draws.asked  # the second though nothing is resized


# Warps.


def test_nothing_is_warped_unless_asked_for() -> None:
    assert not any(isinstance(step, Warp) for step in planned((20, 20), rotate=0, max_img_size=1e10, min_img_size=0))


def test_a_quarter_turn_is_counter_clockwise_around_the_middle_of_the_canvas() -> None:
    steps = planned((31, 21), rotate=90, fill_value=7)

    # New x is old y + 5, new y is 26 - old x: what is on the right goes to the top.
    assert [[0.0, 1.0, 5.0], [-1.0, 0.0, 26.0]] == matrix_of(steps)
    assert (31, 21, 1, 7) == tuple(steps[0])[1:]


def test_a_scale_enlarges_canvas_and_content_cutting_off_parts_of_pixels() -> None:
    steps = planned((21, 11), min_random_scale=1.5, max_random_scale=1.5)

    assert [[1.5, 0.0, 0.0], [0.0, 1.5, 0.0]] == matrix_of(steps)
    assert (31, 16) == tuple(steps[0])[1:3]


def test_an_aspect_above_one_makes_things_taller_and_narrower_on_the_same_canvas() -> None:
    steps = planned((20, 10), min_aspect_ratio=3, max_aspect_ratio=3)

    assert [[0.5, 0.0, 5.0], [0.0, 1.5, -2.5]] == matrix_of(steps)
    assert (20, 10) == tuple(steps[0])[1:3]


def test_shear_moves_what_is_lower_to_the_right() -> None:
    draws = GivenDraws({"shear": 1})

    assert [[1.0, 0.25, -1.25], [0.0, 1.0, 0.0]] == matrix_of(planned((20, 10), draws, max_shear_ratio=0.25))


def test_size_limits_change_the_canvas_alone() -> None:
    cut, grown = planned((20, 10), max_img_size=12), planned((20, 10), min_img_size=16)

    assert ((12, 10), (20, 16)) == (tuple(cut[0])[1:3], tuple(grown[0])[1:3])
    assert [[1.0, 0.0, -4.0], [0.0, 1.0, 0.0]] == matrix_of(cut)
    assert [[1.0, 0.0, 0.0], [0.0, 1.0, 3.0]] == matrix_of(grown)


def test_the_values_of_a_warp_are_drawn_in_the_order_of_the_reference() -> None:
    draws = GivenDraws({"angle": 0, "rotate_list": 1})
    steps = planned((20, 20), draws, rotate_list=(0, 180), rotate=90, max_rotate_angle=10, inter_method=10)

    assert [
        "shear",
        "angle",
        "rotate_list",
        "scale",
        "ratio",
        "warp_interpolation",
        "crop_interpolation",
    ] == draws.asked
    assert [[-1.0, 0.0, 20.0], [0.0, -1.0, 20.0]] == matrix_of(steps)  # the list wins


def test_with_random_resized_crop_a_warp_draws_neither_scale_nor_ratio() -> None:
    draws = GivenDraws()
    steps = planned((20, 20), draws, random_resized_crop=True, max_aspect_ratio=0.5, rotate=180)

    assert ["shear", "angle", "area", "aspect", "swap", "crop_y", "crop_x"] == draws.asked
    assert [[-1.0, 0.0, 20.0], [0.0, -1.0, 20.0]] == matrix_of(steps)


def test_the_ratio_of_an_aspect_is_computed_in_32_bits() -> None:
    draws = GivenDraws(unit=0)
    (warp, *_) = planned((20, 10), draws, max_aspect_ratio=0.8)
    one, most = np.float32(1), np.float32(0.8)
    least = one - most  # 0.19999999, not the 0.2 of a difference in 64 bits
    tall = np.float32(2) / (one + least)

    assert (tall, least * tall) == (warp.matrix[0, 0], warp.matrix[1, 1])


def test_a_scale_that_leaves_no_image_is_an_error() -> None:
    assert "is 20 x 3 pixels, of which a scale of 0.3 leaves none" == message_of(
        planned, (20, 3), min_random_scale=0.3, max_random_scale=0.3
    )


# Borders and crops.


def test_pad_comes_before_the_crop() -> None:
    assert [Pad(2, 33), Crop(1, 1, 6, 8)] == planned((6, 4), pad=2, fill_value=33)


def test_a_level_of_the_border_is_clipped() -> None:
    assert [255, 0] == [planned((6, 4), pad=2, fill_value=level)[0].fill for level in (300, -5)]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_border_is_of_one_level_but_for_alpha(channels: int) -> None:
    image = texture(3, 4, channels)
    padded = Pad(2, 33).apply(image, EXACT)

    assert (7, 8, channels) == padded.shape
    assert np.array_equal(image, padded[2:-2, 2:-2])
    border = padded.astype(int)
    border[2:-2, 2:-2] = -1
    for channel in range(channels):
        assert [-1, 0 if channel == 3 else 33] == np.unique(border[:, :, channel]).tolist()


def test_a_crop_shows_its_rectangle() -> None:
    image = texture(10, 12)

    assert np.array_equal(image[2:5, 7:11], Crop(2, 7, 3, 4).apply(image, EXACT))


def test_a_image_of_the_right_size_is_not_resized() -> None:
    image = texture(6, 8)

    assert image is Resize(8, 6, 1).apply(image, EXACT)
    assert (4, 5, 3) == Resize(5, 4, 1).apply(image, EXACT).shape


def test_a_square_of_given_side_is_scaled_to_the_target() -> None:
    assert [Crop(1, 2, 16, 16), Resize(8, 6, 1)] == planned((20, 18), min_crop_size=16, max_crop_size=16)
    draws = GivenDraws({"crop_size": 5, "crop_y": 9, "crop_x": 8})
    assert [Crop(9, 8, 5, 5), Resize(8, 6, 1)] == planned(
        (20, 18), draws, min_crop_size=4, max_crop_size=9, rand_crop=True
    )
    assert ["crop_size", "crop_y", "crop_x"] == draws.asked


@pytest.mark.parametrize("size", [(20, 12), (12, 20)])
def test_a_image_smaller_than_the_square_is_an_error(size: tuple[int, int]) -> None:
    assert f"is {size[0]} x {size[1]} pixels, too few for max_crop_size=13" == message_of(
        planned, size, min_crop_size=5, max_crop_size=13
    )


AREA: dict[str, Any] = {
    "random_resized_crop": True,
    "min_random_area": 0.25,
    "min_aspect_ratio": 1,
    "max_aspect_ratio": 1,
}


def test_a_random_area_is_cut_and_scaled_to_the_target() -> None:
    draws = GivenDraws({"area": 0, "aspect": 0, "swap": 0, "crop_y": 3, "crop_x": 4})

    assert [Crop(3, 4, 10, 10), Resize(8, 6, 1)] == planned((20, 20), draws, **AREA)
    assert ["area", "aspect", "swap", "crop_y", "crop_x"] == draws.asked


def test_sides_change_places_when_the_number_is_above_a_half() -> None:
    given = {"area": 0, "aspect": 0, "crop_y": 0, "crop_x": 0}
    params = AREA | {"min_aspect_ratio": 4, "max_aspect_ratio": 4}

    assert Crop(0, 0, 5, 20) == planned((20, 20), GivenDraws(given | {"swap": 0.5}), **params)[0]
    assert Crop(0, 0, 20, 5) == planned((20, 20), GivenDraws(given | {"swap": 0.51}), **params)[0]


def test_a_try_that_does_not_fit_is_followed_by_another_and_after_ten_the_centre_is_taken() -> None:
    params = AREA | {"min_random_area": 0.5}
    fits = GivenDraws({"area": [0.99] * 9 + [0.0], "aspect": 0, "swap": 0, "crop_y": 0, "crop_x": 0})
    never = GivenDraws({"area": 0.99})

    assert [Crop(0, 0, 10, 10), Resize(8, 6, 1)] == planned((20, 10), fits, **params)
    assert [Crop(2, 6, 6, 8)] == planned((20, 10), never, **params)
    assert 10 == never.asked.count("area")


def test_with_the_defaults_a_random_area_is_the_centre() -> None:
    draws = GivenDraws()

    assert [Crop(2, 2, 6, 8)] == planned((12, 10), draws, random_resized_crop=True)
    assert [] == draws.asked


def test_every_plan_ends_in_a_image_of_the_target() -> None:
    options: list[dict[str, Any]] = [
        {},
        {"resize": 5},
        {"rotate": 33, "pad": 2},
        {"min_random_scale": 0.5, "rand_crop": True},
        AREA,
        {"max_aspect_ratio": 0.3, "max_img_size": 9, "inter_method": 10},
    ]
    for (width, height), params in itertools.product([(8, 6), (5, 9), (30, 7)], options):
        image = texture(height, width)
        for step in planned((width, height), **params):
            image = step.apply(image, EXACT)
        assert (6, 8, 3) == image.shape


@pytest.mark.parametrize("words", [{"pad": 60000}, {"resize": 60000}, {"min_img_size": 1e5}, {"max_random_scale": 1e6}])
def test_a_image_that_would_not_fit_into_memory_is_refused_before_it_is_made(words: dict[str, Any]) -> None:
    with pytest.raises(ImageError, match=r"^is 10 x 20 pixels, and would become \d+ x \d+$") as caught:
        planned((10, 20), GivenDraws({"scale": 0.9}), **words)
    assert TOO_LARGE == caught.value.reason


def test_angles_that_mean_nothing_are_refused() -> None:
    message = "rotate_list=0,361 must be degrees from -360 to 360"

    assert message == message_of(check_augmentation, AugmentationParams(rotate_list=(0, 361)))
