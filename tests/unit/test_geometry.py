"""Changes of geometry against values computed by hand: plans for sizes, and steps that need no engine."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from augment_helpers import REFERENCE_ENGINE, FixedDraws
from helpers import message_of
from image_helpers import texture

from im2rec.augment.geometry import Crop, Geometry, Pad, Resize, Size, Step, Warp
from im2rec.augment.params import AugmentationParams
from im2rec.errors import ImageError
from im2rec.images.codec import TOO_LARGE

TARGET = Size(8, 6)


def plan(size: tuple[int, int], draws: FixedDraws | None = None, *, target: Size = TARGET, **params: Any) -> list[Step]:
    """The steps for an image of *size*, (width, height)."""
    return Geometry(AugmentationParams(**params), target).plan(Size(*size), draws or FixedDraws())


def matrix_of(steps: list[Step]) -> list[list[float]]:
    """The matrix of the one warp, to six digits."""
    (warp,) = [step for step in steps if isinstance(step, Warp)]
    assert np.float32 == warp.matrix.dtype
    return [[round(float(number), 6) + 0.0 for number in row] for row in warp.matrix]


def test_the_size_of_an_image_is_its_width_and_height() -> None:
    assert Size(width=36, height=24) == Size.of(texture(24, 36))


# Plain crops.


def test_a_crop_is_central_and_rounded_towards_the_upper_left() -> None:
    assert [Crop(0, 0, 6, 8)] == plan((8, 6))
    assert [Crop(2, 0, 6, 8)] == plan((9, 11))  # (11 - 6) // 2, (9 - 8) // 2
    assert [Crop(2, 2, 6, 8)] == plan((12, 10))


def test_rand_crop_draws_the_row_then_the_column() -> None:
    draws = FixedDraws({"crop_y": 4, "crop_x": 3})

    assert [Crop(4, 3, 6, 8)] == plan((12, 10), draws, rand_crop=True)
    assert ["crop_y", "crop_x"] == draws.names


def test_a_small_image_is_scaled_up_height_before_width() -> None:
    assert [Resize(12, 6, 1), Crop(0, 2, 6, 8)] == plan((8, 4))
    assert [Resize(8, 12, 1), Crop(3, 0, 6, 8)] == plan((6, 9))
    assert [Resize(6, 6, 1), Resize(8, 8, 1), Crop(1, 0, 6, 8)] == plan((3, 3))


def test_a_quotient_that_falls_short_in_32_bits_takes_a_second_resize() -> None:
    assert [Resize(30, 31, 1), Resize(31, 32, 1), Crop(0, 0, 31, 31)] == plan((7, 7), target=Size(31, 31))


def test_every_small_image_is_large_enough_after_scaling_up() -> None:
    for width, height in itertools.product(range(1, 33), repeat=2):
        *resized, crop = plan((width, height), target=Size(31, 32))
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
    assert Resize(*expected, 1) == plan(size, resize=edge)[0]


def test_the_interpolation_is_given_or_follows_from_the_sizes_or_is_drawn() -> None:
    def methods(size: tuple[int, int], **params: Any) -> list[int]:
        return [step.inter_method for step in plan(size, resize=20, **params) if isinstance(step, Resize)]

    assert [4] == methods((40, 30), inter_method=4)
    assert [3] == methods((40, 30), inter_method=9)  # smaller: area
    assert [2] == methods((20, 10), inter_method=9)  # larger: bicubic
    draws = FixedDraws({"resize_interpolation": 3})
    assert Resize(26, 20, 3) == plan((40, 30), draws, resize=20, inter_method=10)[0]
    assert ["resize_interpolation", "crop_interpolation"] == draws.names  # the second though nothing is resized


# Warps.


def test_nothing_is_warped_by_default() -> None:
    assert not any(isinstance(step, Warp) for step in plan((20, 20), rotate=0, max_img_size=1e10, min_img_size=0))


def test_a_quarter_turn_is_counter_clockwise_around_the_middle_of_the_canvas() -> None:
    steps = plan((31, 21), rotate=90, fill_value=7)

    # New x is old y + 5, new y is 26 - old x: what is on the right goes to the top.
    assert [[0.0, 1.0, 5.0], [-1.0, 0.0, 26.0]] == matrix_of(steps)
    assert (31, 21, 1, 7) == tuple(steps[0])[1:]


def test_a_scale_enlarges_content_and_canvas_whose_size_is_truncated() -> None:
    steps = plan((21, 11), min_random_scale=1.5, max_random_scale=1.5)

    assert [[1.5, 0.0, 0.0], [0.0, 1.5, 0.0]] == matrix_of(steps)
    assert (31, 16) == tuple(steps[0])[1:3]


def test_an_aspect_above_one_makes_things_taller_and_narrower_on_the_same_canvas() -> None:
    steps = plan((20, 10), min_aspect_ratio=3, max_aspect_ratio=3)

    assert [[0.5, 0.0, 5.0], [0.0, 1.5, -2.5]] == matrix_of(steps)
    assert (20, 10) == tuple(steps[0])[1:3]


def test_shear_moves_what_is_lower_to_the_right() -> None:
    draws = FixedDraws({"shear": 1})

    assert [[1.0, 0.25, -1.25], [0.0, 1.0, 0.0]] == matrix_of(plan((20, 10), draws, max_shear_ratio=0.25))


def test_size_limits_change_the_canvas_alone() -> None:
    cut, grown = plan((20, 10), max_img_size=12), plan((20, 10), min_img_size=16)

    assert ((12, 10), (20, 16)) == (tuple(cut[0])[1:3], tuple(grown[0])[1:3])
    assert [[1.0, 0.0, -4.0], [0.0, 1.0, 0.0]] == matrix_of(cut)
    assert [[1.0, 0.0, 0.0], [0.0, 1.0, 3.0]] == matrix_of(grown)


def test_the_values_of_a_warp_are_drawn_in_the_order_of_the_reference() -> None:
    draws = FixedDraws({"angle": 0, "rotate_list": 1})
    steps = plan((20, 20), draws, rotate_list=(0, 180), rotate=90, max_rotate_angle=10, inter_method=10)

    assert [
        "shear",
        "angle",
        "rotate_list",
        "scale",
        "ratio",
        "warp_interpolation",
        "crop_interpolation",
    ] == draws.names
    assert [[-1.0, 0.0, 20.0], [0.0, -1.0, 20.0]] == matrix_of(steps)  # the list wins


def test_an_angle_of_the_list_may_be_the_first_or_the_last() -> None:
    for unit, x in ((0, 0.0), (1, -1.0)):
        steps = plan((20, 20), FixedDraws({"angle": 0}, unit=unit), rotate_list=(90, 0, 180))
        assert x == matrix_of(steps)[0][0]


def test_rotate_replaces_the_drawn_angle_only_above_0() -> None:
    for rotate, degrees in ((-1, 0), (0, 0), (1, 1), (90, 90)):
        for drawn in (0, 180):
            steps = plan((20, 20), FixedDraws({"angle": drawn}), rotate=rotate, max_rotate_angle=180)
            angle = drawn if rotate <= 0 else degrees
            assert pytest.approx(np.cos(np.radians(angle)), abs=1e-6) == matrix_of(steps)[0][0]


def test_with_random_resized_crop_a_warp_draws_neither_scale_nor_ratio() -> None:
    draws = FixedDraws()
    steps = plan((20, 20), draws, random_resized_crop=True, max_aspect_ratio=0.5, rotate=180)

    assert ["shear", "angle", "area", "aspect", "swap", "crop_y", "crop_x"] == draws.names
    assert [[-1.0, 0.0, 20.0], [0.0, -1.0, 20.0]] == matrix_of(steps)


def test_the_ratio_of_an_aspect_is_computed_in_32_bits() -> None:
    draws = FixedDraws(unit=0)
    (warp, *_) = plan((20, 10), draws, max_aspect_ratio=0.8)
    one, most = np.float32(1), np.float32(0.8)
    least = one - most  # 0.19999999, not the 0.2 of a difference in 64 bits
    tall = np.float32(2) / (one + least)

    assert (tall, least * tall) == (warp.matrix[0, 0], warp.matrix[1, 1])


def test_the_ratio_of_an_aspect_reaches_the_largest() -> None:
    (warp, *_) = plan((20, 10), FixedDraws(unit=1), min_aspect_ratio=0.5, max_aspect_ratio=3)

    assert (0.5, 1.5) == (warp.matrix[0, 0], warp.matrix[1, 1])


def test_a_scale_that_leaves_no_image_is_an_error() -> None:
    assert "is 20 x 3 pixels, of which a scale of 0.3 leaves none" == message_of(
        plan, (20, 3), min_random_scale=0.3, max_random_scale=0.3
    )


# Borders and crops.


def test_pad_comes_before_the_crop() -> None:
    assert [Pad(2, 33), Crop(1, 1, 6, 8)] == plan((6, 4), pad=2, fill_value=33)


def test_the_level_of_the_border_is_clipped_to_0_to_255() -> None:
    assert [255, 0] == [plan((6, 4), pad=2, fill_value=level)[0].fill for level in (300, -5)]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_border_has_one_level_except_in_alpha(channels: int) -> None:
    image = texture(3, 4, channels)
    padded = Pad(2, 33).apply(image, REFERENCE_ENGINE)

    assert (7, 8, channels) == padded.shape
    assert np.array_equal(image, padded[2:-2, 2:-2])
    border = padded.astype(int)
    border[2:-2, 2:-2] = -1
    for channel in range(channels):
        assert [-1, 0 if channel == 3 else 33] == np.unique(border[:, :, channel]).tolist()


def test_a_crop_is_a_view_of_its_rectangle() -> None:
    image = texture(10, 12)

    cropped = Crop(2, 7, 3, 4).apply(image, REFERENCE_ENGINE)

    assert np.array_equal(image[2:5, 7:11], cropped)
    assert np.shares_memory(image, cropped)


def test_an_image_of_the_right_size_is_not_resized() -> None:
    image = texture(6, 8)

    assert image is Resize(8, 6, 1).apply(image, REFERENCE_ENGINE)
    assert (4, 5, 3) == Resize(5, 4, 1).apply(image, REFERENCE_ENGINE).shape


def test_a_square_crop_is_scaled_to_the_target() -> None:
    assert [Crop(1, 2, 16, 16), Resize(8, 6, 1)] == plan((20, 18), min_crop_size=16, max_crop_size=16)
    draws = FixedDraws({"crop_size": 5, "crop_y": 9, "crop_x": 8})
    assert [Crop(9, 8, 5, 5), Resize(8, 6, 1)] == plan(
        (20, 18), draws, min_crop_size=4, max_crop_size=9, rand_crop=True
    )
    assert ["crop_size", "crop_y", "crop_x"] == draws.names


@pytest.mark.parametrize("size", [(20, 12), (12, 20)])
def test_an_image_smaller_than_the_square_is_an_error(size: tuple[int, int]) -> None:
    assert f"is {size[0]} x {size[1]} pixels, too few for max_crop_size=13" == message_of(
        plan, size, min_crop_size=5, max_crop_size=13
    )


AREA: dict[str, Any] = {
    "random_resized_crop": True,
    "min_random_area": 0.25,
    "min_aspect_ratio": 1,
    "max_aspect_ratio": 1,
}


def test_a_random_area_is_cropped_and_scaled_to_the_target() -> None:
    draws = FixedDraws({"area": 0, "aspect": 0, "swap": 0, "crop_y": 3, "crop_x": 4})

    assert [Crop(3, 4, 10, 10), Resize(8, 6, 1)] == plan((20, 20), draws, **AREA)
    assert ["area", "aspect", "swap", "crop_y", "crop_x"] == draws.names


def test_sides_are_swapped_if_the_draw_is_above_a_half() -> None:
    given = {"area": 0, "aspect": 0, "crop_y": 0, "crop_x": 0}
    params = AREA | {"min_aspect_ratio": 4, "max_aspect_ratio": 4}

    assert Crop(0, 0, 5, 20) == plan((20, 20), FixedDraws(given | {"swap": 0.5}), **params)[0]
    assert Crop(0, 0, 20, 5) == plan((20, 20), FixedDraws(given | {"swap": 0.51}), **params)[0]


def test_a_crop_that_does_not_fit_is_drawn_again_and_after_ten_tries_is_central() -> None:
    params = AREA | {"min_random_area": 0.5}
    fits = FixedDraws({"area": [0.99] * 9 + [0.0], "aspect": 0, "swap": 0, "crop_y": 0, "crop_x": 0})
    never = FixedDraws({"area": 0.99})

    assert [Crop(0, 0, 10, 10), Resize(8, 6, 1)] == plan((20, 10), fits, **params)
    assert [Crop(2, 6, 6, 8)] == plan((20, 10), never, **params)
    assert 10 == never.names.count("area")


def test_a_random_area_may_be_one_pixel_anywhere_or_all_of_the_image() -> None:
    params = AREA | {"min_random_area": 1e-4}
    first, last = FixedDraws({"area": 0}, unit=0), FixedDraws({"area": 0}, unit=1)

    assert Crop(0, 0, 1, 1) == plan((100, 100), first, **params)[0]
    assert Crop(99, 99, 1, 1) == plan((100, 100), last, **params)[0]
    assert Crop(0, 0, 100, 100) == plan((100, 100), FixedDraws(unit=1), **params)[0]
    assert [Crop(3, 3, 6, 8), Crop(3, 3, 6, 8)] == [
        plan((14, 12), FixedDraws({"area": 0}), **AREA | {"min_random_area": 1e-9})[0],  # no pixel at all: no try fits
        plan((14, 12))[0],
    ]


def test_a_side_of_half_a_pixel_more_is_rounded_up() -> None:
    draws = FixedDraws({"area": 0, "aspect": 0, "swap": 0, "crop_y": 0, "crop_x": 0})
    params = AREA | {"min_random_area": 0.0625}  # a quarter of each side: 2.5 pixels

    assert Crop(0, 0, 3, 3) == plan((10, 10), draws, **params)[0]


def test_random_resized_crop_without_ranges_crops_the_centre() -> None:
    draws = FixedDraws()

    assert [Crop(2, 2, 6, 8)] == plan((12, 10), draws, random_resized_crop=True)
    assert [] == draws.names


def test_every_plan_ends_in_an_image_of_the_target_size() -> None:
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
        for step in plan((width, height), **params):
            image = step.apply(image, REFERENCE_ENGINE)
        assert (6, 8, 3) == image.shape


@pytest.mark.parametrize("words", [{"pad": 60000}, {"resize": 60000}, {"min_img_size": 1e5}, {"max_random_scale": 1e6}])
def test_an_image_that_would_not_fit_into_memory_is_refused_while_planning(words: dict[str, Any]) -> None:
    with pytest.raises(ImageError, match=r"^is 10 x 20 pixels, \d+ x \d+ after resize, and needs") as caught:
        plan((10, 20), FixedDraws({"scale": 0.9}), **words)
    assert TOO_LARGE == caught.value.reason


def test_an_image_of_exactly_the_largest_size_is_allowed() -> None:
    assert Resize(20, 400, 1) == plan((10, 200), resize=20, max_pixels=8000)[0]
    expected = (
        "is 10 x 200 pixels, 20 x 400 after resize, more than max_pixels=7999 (raise max_pixels to 8000 for images you"
    )
    assert message_of(plan, (10, 200), resize=20, max_pixels=7999).startswith(expected)


def test_a_warp_counts_more_for_each_pixel_even_where_the_size_stays() -> None:
    found = message_of(plan, (9000, 9000), rotate=10)

    assert found.startswith("is 9000 x 9000 pixels, 9000 x 9000 after resize, and needs about 1.9 GB of memory")
    assert plan((6000, 6000), rotate=10)


def test_a_strip_that_a_crop_of_the_target_size_would_scale_up_is_refused() -> None:
    found = message_of(plan, (30000, 1), target=Size(224, 224))

    assert found.startswith("is 30000 x 1 pixels, 6720000 x 224 after resize, and needs about 12.0 GB of memory")
