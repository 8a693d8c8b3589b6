"""The JPEG kernel: exactly the pixels of libjpeg-turbo, of whole images and of crops."""

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
from PIL import Image as PillowImage

from im2rec.images.jpeg import CUT, TOO_LARGE
from im2rec.jpeg.kernel import Kernel

pytest.importorskip("numba")
decoder = pytest.importorskip("im2rec.jpeg.decoder")
pytestmark = needs_libjpeg_turbo
SIZES = [(1, 1), (1, 17), (9, 2), (3, 5), (2, 4), (8, 8), (16, 16), (17, 33), (31, 48), (64, 47)]
MEAN, FACTOR = np.array([123.68, 116.779, 103.939], np.float32), np.array([0.017, 0.0175, 0.0171], np.float32)


SMALL = encoded(np.zeros((6, 8, 3), np.uint8))


def rotated() -> bytes:
    """EXIF data of an image that is to be rotated by 90 degrees."""
    exif = PillowImage.Exif()
    exif[274] = 6
    return exif.tobytes()


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


@pytest.mark.parametrize(
    ("reason", "content", "max_pixels"),
    [
        ("", SMALL, 48),
        (TOO_LARGE, SMALL, 47),
        ("no JPEG", b"\x89PNG", 48),
        ("turned by EXIF", encoded(np.zeros((6, 8, 3), np.uint8), exif=rotated()), 48),
        ("progressive", encoded(np.zeros((6, 8, 3), np.uint8), progressive=True), 48),
        ("damaged head", SMALL[:50], 48),
    ],
)
def test_the_checked_header_of_any_file_has_the_reason_why_it_is_not_decoded(
    reason: str, content: bytes, max_pixels: int
) -> None:
    header = Kernel.checked_header(content, max_pixels)

    assert reason == header.reason
    assert ((6, 8) if reason == "" else (0, 0)) == (header.height, header.width)


def test_an_unsupported_image_is_refused_with_the_reason_of_its_header(kernel: Kernel) -> None:
    content = encoded(np.zeros((6, 8, 3), np.uint8), progressive=True)

    assert "progressive" == kernel.decode(content)
    assert "progressive" == kernel.decode_into(content, (0, 0, 1, 1), np.empty((3, 1, 1), np.uint8))
    assert "progressive" == kernel.header(content).reason


def test_a_sound_image_has_an_empty_verdict_and_a_cut_one_is_cut(kernel: Kernel) -> None:
    content = encoded(drawn(np.random.default_rng(0), 40, 40), quality=90)

    assert "" == kernel.verdict(content)
    assert CUT == kernel.verdict(content[:-50])


def test_mean_and_factor_of_other_than_three_channels_are_an_error(kernel: Kernel) -> None:
    out = np.empty((3, 6, 8), np.float32)
    for wrong in ({"mean": MEAN[:1]}, {"factor": FACTOR[:2]}):
        with pytest.raises(ValueError, match="one a channel"):
            kernel.decode_into(SMALL, (0, 0, 6, 8), out, **wrong)


def test_working_memory_is_kept_until_a_larger_image_comes(kernel: Kernel) -> None:
    def take_memory() -> None:
        first = kernel._memory(1000, 100)

        assert all(one is other for one, other in zip(first, kernel._memory(900, 90), strict=True))
        wide = kernel._memory(10, 50_000)
        assert all(one is other for one, other in zip(wide, kernel._memory(1 << 16, 256), strict=True))
        assert 50_000 <= len(wide[8]) // 8
        large = kernel._memory(1 << 20, 10)
        assert 1 << 20 < len(large[2])
        assert 50_000 <= len(large[8]) // 8

    with ThreadPoolExecutor(1) as pool:  # a thread without memory
        pool.submit(take_memory).result()


def test_a_crop_of_224_pixels_takes_51_kilobytes_besides_its_file(kernel: Kernel) -> None:
    memory = kernel._allocate(0, 224)

    assert 51_360 == sum(part.nbytes for part in memory)  # two parts are views, which are counted twice


def test_working_memory_of_more_than_32_megabytes_is_not_kept(kernel: Kernel) -> None:
    def take_memory() -> None:
        large = kernel._memory((32 << 20) + 1, 10)
        assert large[2] is not kernel._memory((32 << 20) + 1, 10)[2]

    with ThreadPoolExecutor(1) as pool:
        pool.submit(take_memory).result()


@pytest.mark.parametrize(("luma_v", "luma_h", "components"), [(1, 1, 1), (1, 1, 3), (1, 2, 3), (2, 2, 3)])
def test_working_memory_is_enough_for_a_crop_at_any_column(
    kernel: Kernel, luma_v: int, luma_h: int, components: int
) -> None:
    per_mcu = luma_v * luma_h + components - 1
    for width in range(1, 260):
        memory = kernel._allocate(1000, width)
        for left in range(17, 34):
            first, last = decoder.needed_mcus.py_func(left, width, luma_h, 1 << 20)
            blocks = -(-per_mcu * (last - first) // 16) * 16
            chroma = ((left + width - 1) // luma_h) - left // luma_h + 1

            assert 64 * blocks <= len(memory[3])  # coefficients
            assert 2 * 64 * blocks <= len(memory[5])  # strips
            assert chroma + 2 <= len(memory[7]) or luma_h == 1  # sums of chroma rows
            assert max(width, luma_h * chroma) <= len(memory[8]) // 8  # lines


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
