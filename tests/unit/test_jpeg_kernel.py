"""The JPEG kernel: libjpeg-turbo's very pixels, whole and in parts."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from jpeg_helpers import (
    SUBSAMPLINGS,
    any_crop,
    any_jpeg,
    cropped,
    differs,
    drawn,
    encoded,
    libjpeg,
    needs_libjpeg_turbo,
)

from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import load

pytest.importorskip("numba")
pytestmark = needs_libjpeg_turbo
SIZES = [(1, 1), (1, 17), (9, 2), (3, 5), (2, 4), (8, 8), (16, 16), (17, 33), (31, 48), (64, 47)]
MEAN, FACTOR = np.array([123.68, 116.779, 103.939], np.float32), np.array([0.017, 0.0175, 0.0171], np.float32)


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    loaded = load()
    assert loaded.kernel is not None, loaded.reason
    return loaded.kernel


@pytest.mark.parametrize(("kind", "size"), list(itertools.product(SUBSAMPLINGS, SIZES)))
def test_whole_images_of_all_qualities_have_the_pixels_of_libjpeg(
    kernel: Kernel, kind: str, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(size)
    for quality in (1, 2, 5, 20, 50, 75, 90, 95, 99, 100):
        pixels = drawn(rng, *size)
        if kind == "grey":
            pixels = np.ascontiguousarray(pixels[:, :, 0])
        options = {} if kind == "grey" else {"subsampling": SUBSAMPLINGS[kind]}
        content = encoded(pixels, quality=quality, optimize=quality % 2 == 0, **options)

        assert np.array_equal(libjpeg(content), kernel.decode(content)), quality


@pytest.mark.parametrize("seed", range(8))
def test_random_images_crops_and_scales_have_the_pixels_of_libjpeg(kernel: Kernel, seed: int) -> None:
    rng = np.random.default_rng(seed)

    assert [""] * 60 == [differs(kernel, rng, any_jpeg(rng)) for _ in range(60)]


@pytest.mark.parametrize("kind", SUBSAMPLINGS)
def test_crops_at_every_edge_and_alignment_have_the_pixels_of_libjpeg(kernel: Kernel, kind: str) -> None:
    pixels = drawn(np.random.default_rng(3), 37, 41)
    if kind == "grey":
        pixels = np.ascontiguousarray(pixels[:, :, 0])
    content = encoded(pixels, quality=95, **({} if kind == "grey" else {"subsampling": SUBSAMPLINGS[kind]}))
    whole = libjpeg(content)
    assert whole is not None
    spans = [(at, size) for size in (1, 2, 7, 16) for at in range(0, 37 - size + 1, 1 if size < 16 else 3)]
    for (top, height), (left, width) in zip(spans, np.random.default_rng(4).permutation(spans), strict=True):
        crop = (top, int(left), height, int(width))
        out = np.empty((3, height, crop[3]), np.uint8)

        assert "" == kernel.decode_into(content, crop, out)
        assert np.array_equal(cropped(whole, crop, planes=True), out), crop


@pytest.mark.parametrize(("mirror", "planes"), list(itertools.product((False, True), repeat=2)))
def test_normalised_values_equal_numpy_float32(kernel: Kernel, *, mirror: bool, planes: bool) -> None:
    rng = np.random.default_rng(5)
    content = encoded(drawn(rng, 70, 90), quality=90)
    whole = libjpeg(content)
    assert whole is not None
    for _ in range(20):
        crop = any_crop(rng, 70, 90)
        levels = cropped(whole, crop, mirror=mirror, planes=planes)
        shape = (3, 1, 1) if planes else (3,)
        values = (levels.astype(np.float32) - MEAN.reshape(shape)) * FACTOR.reshape(shape)
        out = np.empty(values.shape, np.float32)

        assert "" == kernel.decode_into(content, crop, out, mirror=mirror, planes=planes, mean=MEAN, factor=FACTOR)
        assert values.tobytes() == out.tobytes()


def test_a_crop_outside_the_image_or_an_array_that_does_not_fit_is_an_error(kernel: Kernel) -> None:
    content = encoded(np.zeros((8, 8, 3), np.uint8))
    for crop in ((-1, 0, 4, 4), (0, 5, 4, 4), (5, 0, 4, 4), (0, 0, 0, 4)):
        with pytest.raises(ValueError, match="not within 8 x 8"):
            kernel.decode_into(content, crop, np.empty((3, 4, 4), np.uint8))
    for out in (np.empty((4, 4, 3), np.uint8), np.empty((3, 4, 8), np.uint8)[:, :, ::2]):
        with pytest.raises(ValueError, match="does not fit"):
            kernel.decode_into(content, (0, 0, 4, 4), out)


def test_threads_can_share_the_kernel(kernel: Kernel) -> None:
    rng = np.random.default_rng(6)
    contents = [any_jpeg(rng) for _ in range(40)]
    expected = [libjpeg(content) for content in contents]
    start = threading.Barrier(4)

    def decode_all(_: int) -> bool:
        start.wait()
        return all(
            np.array_equal(right, kernel.decode(content)) for right, content in zip(expected, contents, strict=True)
        )

    with ThreadPoolExecutor(4) as pool:
        assert [True] * 4 == list(pool.map(decode_all, range(4)))
