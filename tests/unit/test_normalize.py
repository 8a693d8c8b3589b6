"""Normalisation against values computed by hand: mean, contrast, illumination, deviation, scale, flip, layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augment_helpers import FixedDraws, Pixels

from im2rec.augment.draws import Float
from im2rec.augment.normalize import Normalization, Normalizer
from im2rec.augment.params import NCHW, NHWC, AugmentationParams

# One row of two pixels: red, green, blue and alpha.
IMAGE = np.array([[[10, 20, 30, 40], [110, 120, 130, 140]]], np.uint8)
PLAIN, FLIPPED = Normalization(False, Float(1), Float(0)), Normalization(True, Float(1), Float(0))


class HashDraws(FixedDraws):
    """Draws of which those without effect may be left out."""

    is_sequential = False


def normalizer(
    *, channels: int = 3, dtype: str = "float32", layout: str = NCHW, mean: Any = None, **params: Any
) -> Normalizer:
    return Normalizer(AugmentationParams(**params), channels, dtype=dtype, layout=layout, mean=mean)


def written(
    normalization: Normalization = PLAIN,
    *,
    channels: int = 3,
    dtype: str = "float32",
    layout: str = NCHW,
    mean: Any = None,
    **params: Any,
) -> Pixels:
    """The row that the image is written to; it holds other values before."""
    row = np.full((channels, 1, 2) if layout == NCHW else (1, 2, channels), 77, dtype)
    writer = normalizer(channels=channels, dtype=dtype, layout=layout, mean=mean, **params)
    writer.write(IMAGE[:, :, :channels], normalization, row)
    return row


def drawn(draws: FixedDraws, dtype: str = "float32", **params: Any) -> Normalization:
    return normalizer(dtype=dtype, **params).plan(draws)


def test_without_parameters_levels_become_floats_plane_by_plane() -> None:
    row = written()

    assert np.float32 == row.dtype
    assert [[[10, 110]], [[20, 120]], [[30, 130]]] == row.tolist()


def test_the_mean_is_subtracted_and_the_rest_divided_by_the_deviation() -> None:
    row = written(mean_r=10, mean_g=-20, mean_b=0.5, std_r=2, std_g=4, std_b=0.5)

    assert [[[0, 50]], [[10, 35]], [[59, 259]]] == row.tolist()


def test_the_factor_is_rounded_to_32_bits_before_the_multiplication() -> None:
    # As the reference: (x - mean) * (scale / std), not (x - mean) * scale / std.
    normalization = Normalization(False, Float(0.7), Float(0))
    factor = Float(0.7) / Float(58.393)

    assert [(Float(10) - Float(123.68)) * factor, (Float(110) - Float(123.68)) * factor] == written(
        normalization, mean_r=123.68, std_r=58.393
    )[0, 0].tolist()


def test_one_channel_takes_the_red_parameters_and_alpha_its_own() -> None:
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


@pytest.mark.parametrize("normalization", [PLAIN, FLIPPED, Normalization(True, Float(0.5), Float(3))])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_layouts_differ_only_in_the_order_of_axes(normalization: Normalization, dtype: str, channels: int) -> None:
    params: dict[str, Any] = {"mean_r": 60, "mean_g": 70, "mean_a": 1, "std_b": 2, "channels": channels, "dtype": dtype}
    planes, pixels = written(normalization, **params), written(normalization, layout=NHWC, **params)

    assert np.array_equal(planes.transpose(1, 2, 0), pixels)
    assert planes.dtype == pixels.dtype == dtype


def test_float16_is_float32_rounded_at_the_end() -> None:
    # So many levels that some would differ if they were computed in float16 throughout.
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, axis=2)
    params: dict[str, Any] = {"mean_r": 123.68, "mean_g": 0.1, "std_r": 58.393, "std_b": 57.375}
    rows = {dtype: np.empty((3, 1, 256), dtype) for dtype in ("float32", "float16")}
    for dtype, row in rows.items():
        normalizer(dtype=dtype, **params).write(levels, Normalization(False, Float(1.1), Float(3.3)), row)

    assert np.array_equal(rows["float32"].astype(np.float16), rows["float16"])


def test_values_beyond_float16_are_infinite() -> None:
    assert [np.inf, np.inf] == written(Normalization(False, Float(1e4), Float(0)), dtype="float16")[0, 0].tolist()


def test_uint8_is_not_normalised() -> None:
    row = written(Normalization(False, Float(9), Float(9)), dtype="uint8", mean_r=10, std_r=2)

    assert np.uint8 == row.dtype
    assert [[[10, 110]], [[20, 120]], [[30, 130]]] == row.tolist()


def test_int8_subtracts_the_rounded_mean_and_clips() -> None:
    # 10.5 and -10.5 are rounded away from 0; neither deviation nor contrast counts.
    row = written(
        Normalization(False, Float(9), Float(9)), dtype="int8", mean_r=10.5, mean_g=-10.5, mean_b=200.4, std_r=3
    )

    assert np.int8 == row.dtype
    assert [[[-1, 99]], [[31, 127]], [[-128, -70]]] == row.tolist()


def test_int8_rounds_a_mean_image_too() -> None:
    mean = np.array([[[9.5, 9.4]], [[0, 0]], [[255, 255]]], np.float32)

    assert [[[0, 101]], [[20, 120]], [[-128, -125]]] == written(dtype="int8", mean=mean).tolist()


def test_contrast_and_illumination_are_multiplied_by_the_scale() -> None:
    params: dict[str, Any] = {"max_random_contrast": 0.5, "max_random_illumination": 20, "scale": 2}
    low, high = (drawn(FixedDraws(unit=unit), **params) for unit in (0, 0.75))

    assert Normalization(False, Float(1), Float(-40)) == low  # (1 - 0.5) * 2, -20 * 2
    assert Normalization(False, Float(2.5), Float(20)) == high  # (1 + 0.25) * 2, 10 * 2


def test_illumination_is_added_after_the_mean_and_divided_by_the_deviation() -> None:
    row = written(Normalization(False, Float(0.5), Float(8)), mean_r=10, std_r=2, std_g=4)

    assert [[[4, 29]], [[4.5, 17]], [[23, 73]]] == row.tolist()


def test_a_coin_is_drawn_only_for_rand_mirror_and_mirror_always_flips() -> None:
    expected = {
        (False, False): (["contrast_factor", "illumination"], False),
        (False, True): (["mirror", "contrast_factor", "illumination"], True),
        (True, False): (["contrast_factor", "illumination"], True),
        (True, True): (["mirror", "contrast_factor", "illumination"], True),
    }
    for (mirror, rand_mirror), (names, flips) in expected.items():
        draws = FixedDraws({"mirror": True})
        assert flips == drawn(draws, mirror=mirror, rand_mirror=rand_mirror).mirror
        assert names == draws.names

    assert drawn(FixedDraws({"mirror": False}), mirror=True, rand_mirror=True).mirror
    assert not drawn(FixedDraws({"mirror": False}), rand_mirror=True).mirror


def test_draws_by_hash_leave_out_contrast_and_illumination_that_have_no_effect() -> None:
    draws = HashDraws({"mirror": True})

    assert Normalization(True, Float(2), Float(0)) == drawn(draws, rand_mirror=True, scale=2)
    assert ["mirror"] == draws.names
    for params in ({"max_random_contrast": 0.5}, {"max_random_illumination": 9}):
        draws = HashDraws()
        drawn(draws, **params)
        assert ["contrast_factor", "illumination"] == draws.names


def test_uint8_draws_the_coin_alone() -> None:
    draws = FixedDraws({"mirror": True})
    normalization = drawn(draws, "uint8", rand_mirror=True, max_random_contrast=0.5, max_random_illumination=9)

    assert ["mirror"] == draws.names
    assert normalization.mirror


def test_the_image_is_not_changed() -> None:
    before = IMAGE.copy()
    for dtype in ("float32", "uint8", "int8"):
        written(FLIPPED, dtype=dtype, mean_r=9)

    assert np.array_equal(before, IMAGE)


def test_planes_are_split_by_the_engine() -> None:
    class Engine:
        def planes(self, image: Pixels, out: Pixels, *, mirror: bool) -> None:
            out[...] = 9 if mirror else 8

    engine: Any = Engine()
    for normalization, level in ((PLAIN, 8), (FLIPPED, 9)):
        row = np.zeros((3, 1, 2), np.uint8)
        Normalizer(AugmentationParams(), 3, dtype="uint8", layout=NCHW, engine=engine).write(IMAGE, normalization, row)
        assert {level} == {*row.reshape(-1).tolist()}


# What the compiled decoder can compute.


def test_a_linear_normalisation_is_a_mean_and_a_factor_for_each_channel() -> None:
    linear = normalizer(mean_r=10, mean_b=0.5, std_g=4, scale=2).linear

    mean, factor = linear(Normalization(False, Float(2), Float(0))) or ()  # a contrast of 1 times the scale
    assert [10, 0, 0.5] == mean.tolist()
    assert [2, 0.5, 2] == factor.tolist()
    assert [np.float32] * 2 == [mean.dtype, factor.dtype]
    mean, factor = linear(Normalization(True, Float(3), Float(0))) or ()
    assert [10, 0, 0.5] == mean.tolist()
    assert [3, 0.75, 3] == factor.tolist()
    assert linear(Normalization(False, Float(2), Float(1))) is None


@pytest.mark.parametrize("contrast", [1, 1.37, 0.0])
def test_linear_values_are_those_that_are_written_to_the_bit(contrast: float) -> None:
    params: dict[str, Any] = {"mean_r": 123.68, "mean_g": 116.78, "std_r": 58.393, "std_b": 57.375}
    normalization = Normalization(False, Float(contrast), Float(0))
    mean, factor = normalizer(**params).linear(normalization) or ()

    assert written(normalization, layout=NHWC, **params).tolist() == ((IMAGE[:, :, :3] - mean) * factor).tolist()


def test_uint8_is_linear_with_mean_0_and_factor_1() -> None:
    mean, factor = normalizer(dtype="uint8", mean_r=9, scale=3).linear(Normalization(False, Float(3), Float(0))) or ()

    assert [0, 0, 0] == mean.tolist()
    assert [1, 1, 1] == factor.tolist()


def test_float32_and_uint8_are_always_linear_without_a_mean_image_and_illumination() -> None:
    mean = np.zeros((3, 1, 2), np.float32)

    assert normalizer(max_random_contrast=0.5).is_linear
    assert normalizer(dtype="uint8", max_random_illumination=9, mean=mean).is_linear
    assert not normalizer(max_random_illumination=9).is_linear
    for others in ({"mean": mean}, {"dtype": "float16"}, {"dtype": "int8"}):
        assert not normalizer(**others).is_linear
        assert normalizer(**others).linear(PLAIN) is None


# Rows as images again.


@pytest.mark.parametrize("layout", [NCHW, NHWC])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
def test_the_image_of_a_row_is_the_image_that_was_written(dtype: str, layout: str) -> None:
    params: dict[str, Any] = {"mean_r": 60, "mean_g": 70, "mean_b": 80, "std_g": 4, "scale": 0.5}
    contrast = Normalization(False, Float(0.5), Float(0))
    row = written(contrast, dtype=dtype, layout=layout, **params)
    image = normalizer(dtype=dtype, layout=layout, **params).row_to_image(row)

    assert IMAGE[:, :, :3].tolist() == image.tolist()
    assert np.uint8 == image.dtype
    assert image.flags.c_contiguous


def test_the_image_of_a_row_is_flipped_with_a_mean_image_where_it_was() -> None:
    mean = np.array([[[1, 2]], [[3, 4]], [[5, 6]]], np.float32)
    row = written(FLIPPED, mean=mean)

    # Subtracted as 110 - 2 and 10 - 1, and added as 1 and 2.
    assert [[[109, 119, 129], [11, 21, 31]]] == normalizer(mean=mean).row_to_image(row).tolist()


def test_the_image_of_a_row_is_grey_for_one_channel_and_has_no_alpha() -> None:
    grey, colors = (normalizer(channels=channels).row_to_image(written(channels=channels)) for channels in (1, 4))

    assert [[[10] * 3, [110] * 3]] == grey.tolist()
    assert [[[10, 20, 30], [110, 120, 130]]] == colors.tolist()


def test_the_image_of_a_row_is_the_mean_where_the_scale_is_0() -> None:
    params: dict[str, Any] = {"scale": 0, "mean_r": 10, "mean_g": 300}

    assert [[[10, 255, 0]] * 2] == normalizer(**params).row_to_image(
        written(Normalization(False, Float(0), Float(0)), **params)
    ).tolist()
