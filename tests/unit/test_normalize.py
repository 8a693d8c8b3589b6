"""The last step, by hand: mean, contrast, illumination, deviation and scale, the flip, layouts and types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augment_helpers import GivenDraws, Pixels

from im2rec.augment.draws import Float
from im2rec.augment.normalize import Normalization, Normalizer
from im2rec.augment.params import NCHW, NHWC, AugmentationParams

# One row of two pixels: red, green, blue and alpha.
IMAGE = np.array([[[10, 20, 30, 40], [110, 120, 130, 140]]], np.uint8)
PLAIN, FLIPPED = Normalization(False, Float(1), Float(0)), Normalization(True, Float(1), Float(0))


def written(
    finish: Normalization = PLAIN,
    *,
    channels: int = 3,
    dtype: str = "float32",
    layout: str = NCHW,
    mean: Any = None,
    **params: Any,
) -> Pixels:
    """What becomes of the image; the row is full of other values before."""
    normalizer = Normalizer(AugmentationParams(**params), channels, dtype=dtype, layout=layout, mean=mean)
    row = np.full((channels, 1, 2) if layout == NCHW else (1, 2, channels), 77, dtype)
    normalizer.write(IMAGE[:, :, :channels], finish, row)
    return row


def drawn(draws: GivenDraws, dtype: str = "float32", **params: Any) -> Normalization:
    return Normalizer(AugmentationParams(**params), 3, dtype=dtype, layout=NCHW).plan(draws)


def test_without_parameters_levels_become_numbers_plane_by_plane() -> None:
    row = written()

    assert (np.float32, [[[10, 110]], [[20, 120]], [[30, 130]]]) == (row.dtype, row.tolist())


def test_the_mean_is_subtracted_and_the_rest_divided_by_the_deviation() -> None:
    row = written(mean_r=10, mean_g=-20, mean_b=0.5, std_r=2, std_g=4, std_b=0.5)

    assert [[[0, 50]], [[10, 35]], [[59, 259]]] == row.tolist()


def test_the_factor_is_rounded_to_32_bits_before_it_multiplies() -> None:
    # As the reference: (x - mean) * (scale / std), not (x - mean) * scale / std.
    finish = Normalization(False, Float(0.7), Float(0))
    factor = Float(0.7) / Float(58.393)

    assert [(Float(10) - Float(123.68)) * factor, (Float(110) - Float(123.68)) * factor] == written(
        finish, mean_r=123.68, std_r=58.393
    )[0, 0].tolist()


def test_one_channel_takes_the_red_parameters_and_a_fourth_its_own() -> None:
    means: dict[str, Any] = {"mean_r": 10, "mean_a": 40, "std_r": 2, "std_a": 4}

    assert [[[0, 50]]] == written(channels=1, **means).tolist()
    assert [[[0, 50]], [[20, 120]], [[30, 130]], [[0, 25]]] == written(channels=4, **means).tolist()


def test_a_flip_moves_the_last_column_to_the_front() -> None:
    assert [[[110, 10]], [[120, 20]], [[130, 30]]] == written(FLIPPED).tolist()
    assert [[[110, 10]], [[120, 20]], [[130, 30]]] == written(FLIPPED, dtype="uint8").tolist()


@pytest.mark.parametrize("layout", [NCHW, NHWC])
def test_a_mean_image_is_subtracted_where_the_pixel_was_before_the_flip(layout: str) -> None:
    mean = np.array([[[1, 2]], [[3, 4]], [[5, 6]]], np.float32)
    row = written(FLIPPED, mean=mean, layout=layout, mean_r=1000)

    planes = row if layout == NCHW else row.transpose(2, 0, 1)
    assert [[[108, 9]], [[116, 17]], [[124, 25]]] == planes.tolist()


@pytest.mark.parametrize("finish", [PLAIN, FLIPPED, Normalization(True, Float(0.5), Float(3))])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_layouts_differ_in_the_order_of_axes_alone(finish: Normalization, dtype: str, channels: int) -> None:
    params: dict[str, Any] = {"mean_r": 60, "mean_g": 70, "mean_a": 1, "std_b": 2, "channels": channels, "dtype": dtype}
    planes, pixels = written(finish, **params), written(finish, layout=NHWC, **params)

    assert np.array_equal(planes.transpose(1, 2, 0), pixels)
    assert planes.dtype == pixels.dtype == dtype


def test_float16_is_float32_rounded_at_the_end() -> None:
    params: dict[str, Any] = {"mean_r": 123.68, "std_r": 58.393}

    assert np.array_equal(written(**params).astype(np.float16), written(dtype="float16", **params))


def test_uint8_is_not_normalised() -> None:
    row = written(Normalization(False, Float(9), Float(9)), dtype="uint8", mean_r=10, std_r=2)

    assert (np.uint8, [[[10, 110]], [[20, 120]], [[30, 130]]]) == (row.dtype, row.tolist())


def test_int8_takes_off_the_rounded_mean_and_clips() -> None:
    # 10.5 and -10.5 are rounded away from 0; neither deviation nor contrast counts.
    row = written(
        Normalization(False, Float(9), Float(9)), dtype="int8", mean_r=10.5, mean_g=-10.5, mean_b=200.4, std_r=3
    )

    assert (np.int8, [[[-1, 99]], [[31, 127]], [[-128, -70]]]) == (row.dtype, row.tolist())


def test_int8_rounds_a_mean_image_too() -> None:
    mean = np.array([[[9.5, 9.4]], [[0, 0]], [[255, 255]]], np.float32)

    assert [[[0, 101]], [[20, 120]], [[-128, -125]]] == written(dtype="int8", mean=mean).tolist()


def test_contrast_and_illumination_carry_the_scale_and_are_spread_around_one_and_none() -> None:
    params: dict[str, Any] = {"max_random_contrast": 0.5, "max_random_illumination": 20, "scale": 2}
    low, high = (drawn(GivenDraws(unit=unit), **params) for unit in (0, 0.75))

    assert Normalization(False, Float(1), Float(-40)) == low  # (1 - 0.5) * 2, -20 * 2
    assert Normalization(False, Float(2.5), Float(20)) == high  # (1 + 0.25) * 2, 10 * 2


def test_illumination_is_added_behind_the_mean_and_divided_by_the_deviation() -> None:
    row = written(Normalization(False, Float(0.5), Float(8)), mean_r=10, std_r=2, std_g=4)

    assert [[[4, 29]], [[4.5, 17]], [[23, 73]]] == row.tolist()


def test_a_coin_is_asked_for_only_when_flips_are_random_and_mirror_flips_whatever_it_says() -> None:
    expected = {
        (False, False): (["contrast_factor", "illumination"], False),
        (False, True): (["mirror", "contrast_factor", "illumination"], True),
        (True, False): (["contrast_factor", "illumination"], True),
        (True, True): (["mirror", "contrast_factor", "illumination"], True),
    }
    for (mirror, rand_mirror), (asked, flips) in expected.items():
        draws = GivenDraws({"mirror": True})
        assert flips == drawn(draws, mirror=mirror, rand_mirror=rand_mirror).mirror
        assert asked == draws.asked

    assert drawn(GivenDraws({"mirror": False}), mirror=True, rand_mirror=True).mirror
    assert not drawn(GivenDraws({"mirror": False}), rand_mirror=True).mirror


def test_for_uint8_nothing_but_the_coin_is_drawn() -> None:
    draws = GivenDraws({"mirror": True})
    finish = drawn(draws, "uint8", rand_mirror=True, max_random_contrast=0.5, max_random_illumination=9)

    assert (["mirror"], True) == (draws.asked, finish.mirror)


def test_the_image_is_left_as_it_is() -> None:
    before = IMAGE.copy()
    for dtype in ("float32", "uint8", "int8"):
        written(FLIPPED, dtype=dtype, mean_r=9)

    assert np.array_equal(before, IMAGE)
