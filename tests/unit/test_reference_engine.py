"""The reference engine: oddities of MXNet that it repeats, and the largest difference of OpenCV from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from image_helpers import texture

from im2rec.images.choices import AREA, BICUBIC, BILINEAR, LANCZOS, NEAREST
from im2rec.images.engine import load_resampler
from im2rec.images.fixed_point import cubic_weights, lanczos_weights

Pixels = np.ndarray[Any, Any]

REFERENCE = load_resampler("reference")
METHODS = (NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS)
# Largest difference, in levels, of OpenCV 4 or 5 on noise: it adds the terms of cubics in another order.
TOLERANCE = {NEAREST: 0, BILINEAR: 0, BICUBIC: 1, AREA: 0, LANCZOS: 0}
HLS_TOLERANCE, HLS_SHARE = 9, 1e-3  # a half rounded the other way gives another step of hue or saturation


def noise(rng: np.random.Generator, height: int, width: int, channels: int = 3) -> Pixels:
    return rng.integers(0, 256, (height, width, channels)).astype(np.uint8)


def row(*levels: int) -> Pixels:
    return np.array(levels, np.uint8)[None, :, None]


def largest_difference(expected: Pixels, found: Pixels) -> int:
    assert (expected.shape, expected.dtype) == (found.shape, found.dtype)
    return int(np.abs(expected.astype(int) - found.astype(int)).max())


def sizes(rng: np.random.Generator, count: int) -> Iterator[tuple[int, ...]]:
    """Old and new height and width; some are equal, halves or thirds, or differ along one axis only."""
    for number in range(count):
        height, width, new_height, new_width = (int(size) for size in rng.integers(1, 61, 4))
        across, down = (1 + number % 3, 1 + number // 3 % 3)
        yield (height, width, new_height, new_width) if number % 2 else (height * down, width * across, height, width)


# Differences of OpenCV.


@pytest.mark.parametrize("method", METHODS)
def test_opencv_resizes_noise_of_any_size_to_the_same_levels(method: int) -> None:
    pytest.importorskip("cv2")
    rng = np.random.default_rng(method)
    for number, (height, width, *new) in enumerate(sizes(rng, 120)):
        image = noise(rng, height, width, (1, 3, 4)[number % 3])
        expected, found = (load_resampler(n).resize(image, new[1], new[0], method) for n in ("reference", "opencv"))
        assert largest_difference(expected, found) <= TOLERANCE[method], (image.shape, new)


def random_matrix(rng: np.random.Generator, size: tuple[int, int], new: tuple[int, int]) -> Pixels:
    """A random rotation, scale and shear about the centre."""
    turn, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 2.5)
    linear = stretch * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    linear += rng.uniform(-0.2, 0.2, (2, 2))
    return np.column_stack([linear, np.array(new) / 2 - linear @ np.array(size) / 2]).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_opencv_warps_noise_by_any_matrix_to_the_same_levels(method: int) -> None:
    pytest.importorskip("cv2")
    rng = np.random.default_rng(method)
    for number in range(100):
        height, width, new_height, new_width = (int(size) for size in rng.integers(1, 61, 4))
        image, fill = noise(rng, height, width, (1, 3, 4)[number % 3]), int(rng.integers(0, 256))
        matrix = random_matrix(rng, (width, height), (new_width, new_height))
        expected, found = (
            load_resampler(name).warp(image, matrix, new_width, new_height, method, fill)
            for name in ("reference", "opencv")
        )
        assert largest_difference(expected, found) <= TOLERANCE[method], (image.shape, matrix.tolist())


@pytest.mark.parametrize("shifts", [(0, 0, 0), (36, 0, 0), (0, -50, 0), (0, 0, 50), (-90, 20, 80), (180, 255, -255)])
def test_opencv_shifts_colours_to_the_same_levels_but_for_one_in_a_thousand(shifts: tuple[int, int, int]) -> None:
    pytest.importorskip("cv2")
    image = noise(np.random.default_rng(0), 200, 200)
    expected, found = (load_resampler(name).shift_hls(image, *shifts) for name in ("reference", "opencv"))

    assert largest_difference(expected, found) <= HLS_TOLERANCE
    assert (expected != found).mean() <= HLS_SHARE


# Results of MXNet, computed by hand.


def test_means_of_four_round_halves_up_and_other_means_to_even() -> None:
    square = np.array([[0, 1], [1, 0]], np.uint8)[:, :, None]

    for method in (BILINEAR, AREA):
        assert 1 == REFERENCE.resize(square, 1, 1, method).item()
    assert 0 == REFERENCE.resize(row(0, 1), 1, 1, AREA).item()
    assert 2 == REFERENCE.resize(row(1, 2), 1, 1, AREA).item()


def test_only_area_smooths_an_image_that_shrinks() -> None:
    stripes = row(*[0, 0, 0, 255] * 8)
    found = {method: REFERENCE.resize(stripes, 8, 1, method)[0, :, 0].tolist() for method in METHODS}

    assert {NEAREST: [0] * 8, BILINEAR: [0] * 8, AREA: [64] * 8} == {n: found[n] for n in (NEAREST, BILINEAR, AREA)}
    assert 0 == min(found[LANCZOS])
    assert 0 == max(found[BICUBIC])


def test_a_cubic_rounds_halves_to_even_in_vectors_of_8_samples_and_up_in_the_rest_of_a_row() -> None:
    image = np.full((2, 10, 1), 192, np.uint8)
    image[1] = 0

    assert [148] * 8 + [149] * 2 == REFERENCE.resize(image, 10, 4, BICUBIC)[1, :, 0].tolist()  # 148.5 by the weights


def test_enlarging_by_area_mixes_only_pixels_across_an_edge() -> None:
    assert [0, 0, 128, 255, 255] == REFERENCE.resize(row(0, 255), 5, 1, AREA)[0, :, 0].tolist()


def test_a_lanczos_fraction_of_1_by_rounding_gives_the_wrong_pixel_that_mxnet_gave() -> None:
    found = REFERENCE.resize(row(121), 103, 1, LANCZOS)[0, :, 0]

    assert {51: 112} == {int(x): int(found[x]) for x in np.flatnonzero(found != 121)}


def test_cubic_and_lanczos_weights_add_up_to_1_and_keep_a_pixel_at_its_centre() -> None:
    fractions = np.linspace(0, 1, 100, dtype=np.float32)[:-1]
    for kernel, middle in ((cubic_weights, 1), (lanczos_weights, 3)):
        weights = kernel(fractions)
        assert np.allclose(1, weights.sum(axis=1), atol=1e-6)
        assert [0.0] * middle + [1.0] + [0.0] * (middle + 1) == weights[0].tolist()


def test_coordinates_are_rounded_to_a_32nd_of_a_pixel() -> None:
    def shifted(distance: float) -> int:
        matrix = np.array([[1, 0, distance], [0, 1, 0]], np.float32)
        return int(REFERENCE.warp(row(0, 255), matrix, 2, 1, BILINEAR, 0)[0, 1, 0])

    assert [255, 255, 255, 247, 239] == [shifted(part / 128) for part in (0, 1, 2, 4, 7)]


def test_a_matrix_without_an_inverse_gives_the_first_pixel_everywhere() -> None:
    found = REFERENCE.warp(texture(), np.zeros((2, 3), np.float32), 5, 4, BILINEAR, 9)

    assert np.array_equal(np.broadcast_to(texture()[0, 0], (4, 5, 3)), found)


def test_coordinates_beyond_32_bits_are_outside_the_image() -> None:
    for matrix in ([[1e-30, 0, 0], [0, 1e-30, 1]], [[1, 0, 1e30], [0, 1, -1e30]]):
        found = REFERENCE.warp(texture(), np.array(matrix, np.float32), 5, 4, BILINEAR, 9)
        assert {9} == set(found[1:, 1:].ravel().tolist())


# Colour shifts.


def test_a_hue_shift_of_a_third_turns_red_to_green_and_does_not_wrap_around() -> None:
    red, blue = (np.full((1, 1, 3), color, np.uint8) for color in ([255, 0, 0], [0, 0, 255]))

    # Lightness 127.5 becomes 128 in 8 bits, hence the 1.
    assert [1, 255, 1] == REFERENCE.shift_hls(red, 60, 0, 0).ravel().tolist()
    assert [255, 1, 1] == REFERENCE.shift_hls(
        blue, 90, 0, 0
    ).ravel().tolist()  # 120 + 90 is clipped to 180, which is red
    assert [255, 1, 1] == REFERENCE.shift_hls(red, -60, 0, 0).ravel().tolist()


def test_a_shift_of_0_changes_colours_slightly() -> None:
    image = noise(np.random.default_rng(0), 100, 100)
    errors = np.abs(image.astype(int) - REFERENCE.shift_hls(image, 0, 0, 0))

    assert errors.max() <= 9
    assert errors.mean() < 1
