"""The JPEG kernel scales exactly as the reference engine, and finds the methods in which another engine does too."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from jpeg_helpers import any_crop, any_jpeg, cropped, drawn, encoded, libjpeg

from im2rec.images.choices import AREA, BICUBIC, BILINEAR, LANCZOS, NEAREST
from im2rec.images.engine import load_engine
from im2rec.images.reference import resized
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.scaling import METHODS, TAPS, kind_of, scratch_numbers, trial_images

pytest.importorskip("numba")
pytest.importorskip("simplejpeg")
MEAN, FACTOR = np.array([123.68, 116.779, 103.939], np.float32), np.array([0.017, 0.0175, 0.0171], np.float32)
# Old height and width, new height and width: sizes that take different paths through the arithmetic, and extremes.
EDGES = (
    *((1, 1, 1, 2), (1, 1, 5, 1), (1, 1, 7, 9), (9, 7, 1, 1), (2, 2, 1, 1), (1, 8, 1, 4), (8, 1, 4, 1), (3, 1, 1, 3)),
    *((16, 24, 16, 24), (16, 24, 16, 12), (16, 24, 8, 24), (16, 24, 8, 12), (16, 24, 32, 48), (16, 24, 15, 23)),
    *((60, 90, 20, 30), (60, 90, 12, 45), (60, 90, 60, 10), (60, 90, 4, 90), (49, 98, 1, 2), (120, 64, 15, 4)),
    *((30, 40, 45, 20), (30, 40, 15, 80), (30, 40, 31, 39), (40, 30, 30, 90), (51, 51, 51, 7), (50, 2, 32, 2)),
    *((300, 5, 7, 4), (5, 300, 4, 7), (260, 260, 3, 3), (3, 3, 260, 260), (2, 300, 3, 299), (300, 2, 299, 3)),
)


def any_sizes(rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Old height and width, new height and width: random ones, whole multiples, or equal along an axis."""
    largest = int(rng.choice([4, 20, 90]))
    height, width, new_height, new_width = (int(size) for size in rng.integers(1, largest + 1, 4))
    if rng.random() < 0.2:
        height = new_height * int(rng.integers(1, 5))
    if rng.random() < 0.2:
        width = new_width * int(rng.integers(1, 5))
    if rng.random() < 0.1:
        height, width = 2 * new_height, 2 * new_width
    return height, width, new_height, new_width


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes", EDGES)
def test_extreme_sizes_are_scaled_as_by_the_reference(
    kernel: Kernel, sizes: tuple[int, int, int, int], method: int
) -> None:
    height, width, new_height, new_width = sizes
    rng = np.random.default_rng(sizes)
    for pixels in (drawn(rng, height, width), np.full((height, width, 3), 255, np.uint8)):
        scaled = kernel.resize(pixels, new_width, new_height, method)

        assert np.array_equal(resized(pixels, new_width, new_height, method), scaled)
        assert not np.shares_memory(pixels, scaled)


@pytest.mark.parametrize("method", METHODS)
def test_random_sizes_are_scaled_as_by_the_reference(kernel: Kernel, method: int) -> None:
    rng = np.random.default_rng(method)
    for _ in range(300):
        height, width, new_height, new_width = any_sizes(rng)
        pixels = drawn(rng, height, width)
        expected = resized(pixels, new_width, new_height, method)

        assert np.array_equal(expected, kernel.resize(pixels, new_width, new_height, method)), expected.shape


@pytest.mark.parametrize("method", METHODS)
def test_a_large_image_is_scaled_as_by_the_reference(kernel: Kernel, method: int) -> None:
    pixels = drawn(np.random.default_rng(1), 900, 1200)
    for new_height, new_width in ((256, 341), (1000, 333)):
        expected = resized(pixels, new_width, new_height, method)

        assert np.array_equal(expected, kernel.resize(pixels, new_width, new_height, method))


@pytest.mark.parametrize(("seed", "method"), list(itertools.product(range(4), METHODS)))
def test_a_scaled_crop_is_the_crop_scaled_and_then_mirrored(kernel: Kernel, seed: int, method: int) -> None:
    rng = np.random.default_rng((seed, method))
    for _ in range(30):
        content = any_jpeg(rng, largest=120)
        whole = libjpeg(content)
        assert whole is not None
        crop = any_crop(rng, *whole.shape[:2])
        mirror, planes = bool(rng.integers(2)), bool(rng.integers(2))
        new_height, new_width = (int(size) for size in rng.integers(1, 120, 2))
        if rng.random() < 0.3:  # whole multiples, for which area has a kind of its own, or the same size
            new_height, new_width = (max(1, size // int(rng.integers(1, 4))) for size in crop[2:])
        expected = resized(cropped(whole, crop), new_width, new_height, method)
        expected = cropped(expected, (0, 0, new_height, new_width), mirror=mirror, planes=planes)
        options: dict[str, Any] = {"inter_method": method, "mirror": mirror, "planes": planes}
        out = np.empty(expected.shape, np.uint8)

        assert "" == kernel.decode_into(content, crop, out, **options)
        assert np.array_equal(expected, out), (crop, new_height, new_width, options)

        shape = (3, 1, 1) if planes else (3,)
        values = (expected.astype(np.float32) - MEAN.reshape(shape)) * FACTOR.reshape(shape)
        filled = np.empty(expected.shape, np.float32)

        assert "" == kernel.decode_into(content, crop, filled, mean=MEAN, factor=FACTOR, **options)
        assert values.tobytes() == filled.tobytes()


def test_a_damaged_image_is_refused_when_scaled_too(kernel: Kernel) -> None:
    content = encoded(drawn(np.random.default_rng(2), 64, 64), quality=90)
    out = np.empty((3, 9, 9), np.uint8)

    assert "" == kernel.decode_into(content, (0, 0, 8, 8), out, inter_method=BILINEAR)
    assert "no end marker" == kernel.decode_into(content[:-300], (0, 0, 8, 8), out, inter_method=BILINEAR)


def test_sizes_and_arrays_that_do_not_fit_are_errors(kernel: Kernel) -> None:
    content = encoded(np.zeros((8, 8, 3), np.uint8))
    crop, out = (0, 0, 4, 4), np.empty((3, 9, 9), np.uint8)
    with pytest.raises(ValueError, match="interpolations 0 to 4"):
        kernel.decode_into(content, crop, out, inter_method=9)
    with pytest.raises(ValueError, match="sizes are above 0"):
        kernel.decode_into(content, crop, out[:, :0], inter_method=BILINEAR)
    for wrong in (out[:, :, ::2], out[:2], out[0], out.transpose(1, 2, 0)):
        with pytest.raises(ValueError, match="out is"):
            kernel.decode_into(content, crop, wrong, inter_method=BILINEAR)
    with pytest.raises(ValueError, match="not within 8 x 8"):
        kernel.decode_into(content, (0, 0, 9, 4), out, inter_method=BILINEAR)
    for image in (np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.uint16), np.zeros((8, 8), np.uint8)):
        with pytest.raises(ValueError, match="is not uint8"):
            kernel.resize(image, 4, 4, BILINEAR)


def test_a_view_is_scaled_as_its_copy_is(kernel: Kernel) -> None:
    view = drawn(np.random.default_rng(3), 20, 30)[::-1, 3:]

    assert np.array_equal(kernel.resize(view.copy(), 9, 9, AREA), kernel.resize(view, 9, 9, AREA))


def test_the_reference_engine_agrees_in_all_methods(kernel: Kernel) -> None:
    assert {NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS} == kernel.scales_like(resized)


@pytest.mark.parametrize("method", METHODS)
def test_a_single_different_level_excludes_the_method(kernel: Kernel, method: int) -> None:
    seen: list[int] = []  # the kinds of scaling met so far; the first image of a planted kind gets a wrong level
    planted = [-1]

    def nearly(image: Any, width: int, height: int, inter_method: int) -> Any:
        scaled = resized(image, width, height, inter_method)
        kind = kind_of(method, image.shape[:2], (height, width))
        if inter_method == method and kind not in seen:
            seen.append(kind)
            scaled[-1, -1, 2] ^= kind in planted
        return scaled

    assert set(METHODS) == kernel.scales_like(nearly)
    for kind in tuple(seen):
        seen.clear()
        planted[0] = kind

        assert set(METHODS) - {method} == kernel.scales_like(nearly)


def test_scaling_100_columns_to_50_rows_and_60_columns_needs_3988_numbers() -> None:
    taps = 2 * 8 * (50 + 60)  # positions and weights
    rows = 2 * 3 * 100 + 9 * 3 * 60  # two old rows; eight new ones and their sum

    assert taps + rows + 8 == scratch_numbers(100, (50, 60))


def test_the_trial_images_take_every_path_through_the_arithmetic() -> None:
    kinds = {kind_of(method, image.shape[:2], size) for image, size in trial_images() for method in METHODS}

    assert set(range(len(TAPS))) == kinds
    assert all(np.array_equal(one, other) for (one, _), (other, _) in zip(trial_images(), trial_images(), strict=True))


def test_methods_in_which_opencv_agrees_on_the_trials_agree_for_random_sizes(kernel: Kernel) -> None:
    pytest.importorskip("cv2")
    engine = load_engine("opencv")
    agreed = kernel.scales_like(engine.resize)
    rng = np.random.default_rng(8)
    for _ in range(100):
        height, width, new_height, new_width = any_sizes(rng)
        pixels = drawn(rng, height, width)
        for method in agreed:
            expected = engine.resize(pixels, new_width, new_height, method)

            assert np.array_equal(expected, kernel.resize(pixels, new_width, new_height, method)), expected.shape


@pytest.mark.parametrize("times", [49, 98, 103, 107, 161])
def test_methods_in_which_opencv_agrees_agree_where_a_position_is_rounded_below_a_pixel(
    kernel: Kernel, times: int
) -> None:
    pytest.importorskip("cv2")
    engine = load_engine("opencv")
    pixels = drawn(np.random.default_rng(times), 2, 3)
    for method in kernel.scales_like(engine.resize):
        for height, width in ((times, 3 * times), (2 * times, 5), (7, 3 * times)):
            expected = engine.resize(pixels, width, height, method)

            assert np.array_equal(expected, kernel.resize(pixels, width, height, method)), (method, expected.shape)
