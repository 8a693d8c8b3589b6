"""All engines: shapes, laws of resizing, warping and colour shifts, encoding, and the sizes before resizing."""

from __future__ import annotations

import importlib
import io
import itertools
import runpy
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import message_of
from image_helpers import SAMPLE_PHOTOS, deep_texture, encoded, pixels_of, sampling_of, texture
from PIL import Image

from im2rec.errors import ImageError
from im2rec.images import engine as module
from im2rec.images.engine import (
    AREA,
    BICUBIC,
    BILINEAR,
    Engine,
    Resampler,
    auto_interpolation,
    center_square,
    load_engine,
    load_resampler,
    padded,
    resized_long,
    resized_short,
    write_planes,
)
from im2rec.images.signatures import sniff


@pytest.fixture
def engine(engine_name: str) -> Engine:
    return load_engine(engine_name)


@pytest.fixture(params=["opencv", "pillow", "reference"])
def resampler(request: pytest.FixtureRequest) -> Resampler:
    if request.param == "opencv":
        pytest.importorskip("cv2")
    return load_resampler(request.param)


def encode(engine: Engine, image: Any, encoding: str, *, quality: int = 95, png_level: int = 3) -> bytes:
    return engine.encode(image, encoding, quality=quality, png_level=png_level)


# Resizing.


def test_a_resized_image_has_the_requested_size_and_its_own_channels(resampler: Resampler) -> None:
    for inter_method, channels in itertools.product(range(5), (1, 3, 4)):
        for width, height in ((17, 11), (72, 48), (1, 1), (36, 5)):
            found = resampler.resize(texture(channels=channels), width, height, inter_method)
            assert ((height, width, channels), np.uint8) == (found.shape, found.dtype), inter_method
            assert found.flags.c_contiguous


def test_resizing_to_the_same_size_copies(resampler: Resampler) -> None:
    for inter_method, channels in itertools.product(range(5), (1, 3)):
        image = texture(channels=channels)
        found = resampler.resize(image, 36, 24, inter_method)
        assert np.array_equal(image, found), inter_method
        assert not np.shares_memory(image, found)


def test_a_resized_image_of_one_colour_keeps_it(resampler: Resampler) -> None:
    for inter_method, level in itertools.product(range(5), (0, 1, 128, 254, 255)):
        for width, height in ((17, 11), (72, 48), (1, 1), (36, 5), (18, 12), (100, 7)):
            found = resampler.resize(np.full((24, 36, 3), level, np.uint8), width, height, inter_method)
            assert {level} == set(found.ravel().tolist()), (inter_method, width, height)


def test_a_16_bit_image_is_resized_in_16_bits(engine: Engine) -> None:
    for inter_method in range(5):
        found = engine.resize(deep_texture()[:, :, None], 18, 12, inter_method)
        assert ((12, 18, 1), np.uint16) == (found.shape, found.dtype)
        assert found.max() > 255


def resampled(resampler: Resampler, image: Any) -> list[Any]:
    """The results of resizing, warping and colour-shifting *image*."""
    return [
        resampler.resize(image, 18, 12, BILINEAR),
        resampler.warp(image, TURN, 36, 24, BILINEAR, 9),
        resampler.shift_hls(image, 5, -6, 7),
    ]


def test_the_source_is_not_changed_or_shared(resampler: Resampler) -> None:
    image = texture()
    image.flags.writeable = False

    assert not any(np.shares_memory(image, found) for found in resampled(resampler, image))
    assert np.array_equal(texture(), image)


def test_views_are_resampled_as_their_copies(resampler: Resampler) -> None:
    whole = texture(40, 60)
    for view in (whole[3:27, 5:41], whole[3:27, 40:4:-1], whole[::2, ::2], texture(60, 40).transpose(1, 0, 2)):
        for expected, found in zip(resampled(resampler, view.copy()), resampled(resampler, view), strict=True):
            assert np.array_equal(expected, found)


def test_views_are_encoded_as_their_copies(engine: Engine) -> None:
    whole = texture(40, 60)
    crop = whole[3:27, 5:41]

    assert encode(engine, crop.copy(), ".png") == encode(engine, crop, ".png")
    assert encode(engine, crop[:, ::-1].copy(), ".jpg") == encode(engine, crop[:, ::-1], ".jpg")


def test_opencv_and_pillow_agree_on_an_enlarged_photo_within_a_level() -> None:
    pytest.importorskip("cv2")
    with Image.open(SAMPLE_PHOTOS / "dunes" / "dunes_01.jpg") as image:
        photo = np.asarray(image.convert("RGB"))
    height, width = photo.shape[:2]
    opencv, pillow = (
        load_engine(name).resize(photo, 2 * width, 2 * height, BILINEAR).astype(int) for name in ("opencv", "pillow")
    )

    assert np.abs(opencv - pillow).max() <= 1


def test_pillow_resizes_16_bit_colours_by_their_high_bytes() -> None:
    deep = np.dstack([deep_texture(), deep_texture()[::-1], deep_texture()[:, ::-1]])
    pillow, high = load_engine("pillow"), (deep >> 8).astype(np.uint8)

    assert np.array_equal(pillow.resize(high, 18, 12, BILINEAR), pillow.resize(deep, 18, 12, BILINEAR))
    assert encode(pillow, high, ".png") == encode(pillow, deep, ".png")


# Planes.

BGR_FROM_BELOW = texture()[::-1, :, ::-1].copy()  # as a BMP stores it
IMAGES = {
    "contiguous": texture(),
    "a view": texture(30, 50)[3:27, 5:41],
    "of a BMP": BGR_FROM_BELOW[::-1, :, ::-1],
    "of a BMP from the top down": texture()[:, :, ::-1].copy()[:, :, ::-1],
    "from the bottom up": texture()[::-1],
    "one pixel of a BMP": BGR_FROM_BELOW[::-1, :, ::-1][4:5, 6:7],
    "one channel": texture(channels=1),
    "four channels": texture(channels=4),
}


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("name", IMAGES)
def test_planes_are_the_channels_of_an_image_mirrored_on_request(
    resampler: Resampler, name: str, *, mirror: bool
) -> None:
    image = IMAGES[name]
    before, out = image.copy(), np.zeros((image.shape[2], *image.shape[:2]), np.uint8)
    resampler.planes(image, out, mirror=mirror)

    expected = image[:, ::-1] if mirror else image
    assert [expected[:, :, channel].tolist() for channel in range(image.shape[2])] == out.tolist()
    assert np.array_equal(before, image)


def test_write_planes_writes_channel_by_channel() -> None:
    image, out = np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.zeros((3, 2, 2), np.uint8)

    write_planes(image, out, mirror=False)
    assert [[[0, 3], [6, 9]], [[1, 4], [7, 10]], [[2, 5], [8, 11]]] == out.tolist()
    write_planes(image, out, mirror=True)
    assert [[[3, 0], [9, 6]], [[4, 1], [10, 7]], [[5, 2], [11, 8]]] == out.tolist()


def test_padding_is_filled_except_for_a_fourth_channel() -> None:
    image = np.arange(1, 9, dtype=np.uint8).reshape(1, 2, 4)

    border, clear = [9, 9, 9, 0], [[9, 9, 9, 0]] * 4
    assert [clear, [border, [1, 2, 3, 4], [5, 6, 7, 8], border], clear] == padded(image, 1, 9).tolist()
    assert np.array_equal(image, padded(image, 0, 9))


# Warping.

TURN = np.array([[0.955, 0.296, -3], [-0.296, 0.955, 6]], np.float32)  # by 17 degrees
IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def test_a_warped_image_has_the_requested_size_and_its_own_channels(resampler: Resampler) -> None:
    for inter_method, channels in itertools.product(range(5), (1, 3, 4)):
        for width, height in ((17, 11), (72, 48), (1, 1)):
            found = resampler.warp(texture(channels=channels), TURN, width, height, inter_method, 9)
            assert ((height, width, channels), np.uint8) == (found.shape, found.dtype), inter_method
            assert found.flags.c_contiguous


def test_warping_by_the_identity_changes_nothing(resampler: Resampler) -> None:
    for inter_method, channels in itertools.product(range(5), (1, 3, 4)):
        image = texture(channels=channels)
        assert np.array_equal(image, resampler.warp(image, IDENTITY, 36, 24, inter_method, 9)), inter_method


def test_the_matrix_maps_old_to_new_coordinates_and_pixels_from_outside_are_fill(resampler: Resampler) -> None:
    matrix = np.array([[1, 0, 5], [0, 1, -3]], np.float32)  # to the right and up
    for inter_method, channels in itertools.product(range(5), (1, 3, 4)):
        image = texture(channels=channels)
        expected = np.full((24, 36, channels), 9, np.uint8)
        expected[:, :, 3:] = 0
        expected[:-3, 5:] = image[3:, :-5]
        assert np.array_equal(expected, resampler.warp(image, matrix, 36, 24, inter_method, 9)), inter_method


def test_a_quarter_turn_moves_pixels_without_changing_them(resampler: Resampler) -> None:
    matrix = np.array([[0, 1, 0], [-1, 0, 35]], np.float32)  # new x is old y, new y is 35 - old x
    for inter_method in range(5):
        found = resampler.warp(texture(), matrix, 24, 36, inter_method, 9)
        assert np.array_equal(np.rot90(texture()), found), inter_method


def test_a_warped_image_of_one_colour_keeps_it_on_a_canvas_filled_with_it(resampler: Resampler) -> None:
    for inter_method, level in itertools.product(range(5), (0, 1, 128, 255)):
        found = resampler.warp(np.full((24, 36, 3), level, np.uint8), TURN, 40, 30, inter_method, level)
        assert {level} == set(found.ravel().tolist()), inter_method


def test_pillow_rotates_a_smooth_image_within_a_level_of_the_reference_except_at_its_edges() -> None:
    coarse = texture(6, 7, seed=3)
    smooth = load_resampler("reference").resize(coarse, 120, 100, BICUBIC)
    pillow, reference = (
        load_resampler(name).warp(smooth, TURN, 120, 100, BILINEAR, 9).astype(int) for name in ("pillow", "reference")
    )
    whole = np.full((100, 120, 1), 255, np.uint8)
    inside = load_resampler("reference").warp(whole, TURN, 120, 100, BILINEAR, 0)[:, :, 0] == 255

    assert inside.mean() > 0.7
    assert np.abs(pillow - reference)[inside].max() <= 1


def test_opencv_warps_images_of_up_to_32767_pixels_per_edge() -> None:
    pytest.importorskip("cv2")
    opencv = load_resampler("opencv")
    row = np.arange(30_000, dtype=np.uint32)[None, :, None].astype(np.uint8)
    for axis, image in enumerate((row, row.swapaxes(0, 1))):
        matrix = IDENTITY.copy()
        matrix[axis, 2] = -29_000
        found = opencv.warp(image, matrix, 100, 100, BILINEAR, 9)
        assert row[0, 29_000:29_100, 0].tolist() == (found[:, 0, 0] if axis else found[0, :, 0]).tolist()
        for distance in (-40_000, 40_000):  # more than 16 bits can hold
            matrix[axis, 2] = distance
            assert {9} == set(opencv.warp(image, matrix, 100, 100, BILINEAR, 9).ravel().tolist())


def test_an_image_that_opencv_cannot_warp_is_an_error_in_one_line() -> None:
    pytest.importorskip("cv2")
    with pytest.raises(ImageError) as caught:
        load_resampler("opencv").warp(np.zeros((1, 40_000, 3), np.uint8), IDENTITY, 10, 10, BILINEAR, 0)

    assert "does not warp" == caught.value.reason
    assert 1 == len(str(caught.value).splitlines())


# Colour shifts.


def test_shifted_colours_are_uint8_and_a_fourth_channel_is_kept(resampler: Resampler) -> None:
    for channels in (3, 4):
        image = texture(channels=channels)
        found = resampler.shift_hls(image, 20, -30, 40)
        assert (image.shape, np.uint8) == (found.shape, found.dtype)
        assert found.flags.c_contiguous
        assert np.array_equal(image[:, :, 3:], found[:, :, 3:])
        assert np.array_equal(resampler.shift_hls(image[:, :, :3], 20, -30, 40), found[:, :, :3])
        assert not np.array_equal(image[:, :, :3], found[:, :, :3])


def test_lightness_is_clipped_to_black_and_white_and_no_saturation_is_grey(resampler: Resampler) -> None:
    image = texture()

    assert {0} == set(resampler.shift_hls(image, 0, -255, 0).ravel().tolist())
    assert {255} == set(resampler.shift_hls(image, 0, 255, 0).ravel().tolist())
    assert [0] == np.unique(np.ptp(resampler.shift_hls(image, 0, 0, -255), axis=2)).tolist()


def test_grey_images_only_change_their_lightness(resampler: Resampler) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)

    assert np.array_equal(grey, resampler.shift_hls(grey, 90, 0, 0))
    assert np.array_equal(np.minimum(grey.astype(int) + 40, 255), resampler.shift_hls(grey, 0, 40, 0))


# Encoding.


def test_jpegs_are_4_2_0_of_the_requested_quality(engine: Engine) -> None:
    image = texture(40, 60)
    for quality in (1, 50, 95, 100):
        content = encode(engine, image, ".jpg", quality=quality)
        assert [(2, 2), (1, 1), (1, 1)] == sampling_of(content)
        with (
            Image.open(io.BytesIO(content)) as found,
            Image.open(io.BytesIO(encoded(image, quality=quality))) as expected,
        ):
            assert expected.quantization == found.quantization


def test_opencv_and_pillow_write_the_same_jpeg() -> None:
    pytest.importorskip("cv2")
    for channels in (1, 3):
        opencv, pillow = (encode(load_engine(name), texture(40, 60, channels), ".jpg") for name in ("opencv", "pillow"))
        assert np.array_equal(pixels_of(opencv), pixels_of(pillow))


def test_quality_0_is_the_lowest_and_not_the_default(engine: Engine) -> None:
    image = texture(40, 60)

    assert encode(engine, image, ".jpg", quality=1) == encode(engine, image, ".jpg", quality=0)


def test_the_png_level_changes_the_size_and_no_pixel(engine: Engine) -> None:
    image = np.tile(texture(), (4, 4, 1))
    sizes = []
    for level in (0, 1, 9):
        content = encode(engine, image, ".png", png_level=level)
        assert np.array_equal(image, pixels_of(content))
        sizes.append(len(content))

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > image.size > sizes[1] > sizes[2]


def test_a_png_keeps_channels_and_depth(engine: Engine) -> None:
    for image in (texture(channels=1), texture(), texture(channels=4), deep_texture()[:, :, None]):
        found = pixels_of(encode(engine, image, ".png"))
        assert image.dtype == found.dtype
        assert np.array_equal(image, found)


def test_jpeg_and_bmp_drop_alpha_and_the_low_bytes_of_16_bits(engine: Engine) -> None:
    image, deep = texture(channels=4), deep_texture()[:, :, None]
    high = (deep >> 8).astype(np.uint8)
    for encoding in (".jpg", ".bmp"):
        assert encode(engine, image[:, :, :3].copy(), encoding) == encode(engine, image, encoding)
        assert encode(engine, high, encoding) == encode(engine, deep, encoding)


def test_an_image_too_large_for_a_jpeg_is_an_error_in_one_line(
    engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ImageError) as caught:
        encode(engine, np.zeros((1, 65_501, 3), np.uint8), ".jpg")

    assert "does not encode" == caught.value.reason
    assert 1 == len(str(caught.value).splitlines())
    assert "" == capfd.readouterr().out


def test_a_bmp_is_24_bit_with_every_pixel(engine: Engine) -> None:
    content = encode(engine, texture(), ".bmp")

    assert "BMP" == sniff(content)
    assert 24 == int.from_bytes(content[28:30], "little")
    assert np.array_equal(texture(), pixels_of(content))


def test_a_grey_jpeg_has_one_channel(engine: Engine) -> None:
    assert [(1, 1)] == sampling_of(encode(engine, texture(channels=1), ".jpg"))


# The choice of an engine.


@pytest.mark.parametrize(("installed", "expected"), [(True, "opencv"), (False, "pillow")])
def test_auto_is_opencv_if_it_is_installed(monkeypatch: pytest.MonkeyPatch, expected: str, *, installed: bool) -> None:
    if installed:
        pytest.importorskip("cv2")
    else:  # or lacks a system library that it needs
        monkeypatch.setitem(sys.modules, "cv2", None)
        monkeypatch.delitem(sys.modules, "im2rec.images.opencv", raising=False)
        monkeypatch.setattr(module, "load_engine", module.load_engine.__wrapped__)

    assert expected == getattr(module.load_engine, "__wrapped__", module.load_engine)("auto").name  # past the cache


def test_the_reference_is_a_resampler_but_does_not_encode() -> None:
    expected = "engine=reference must be auto, opencv, pillow"

    assert "reference" == load_resampler("reference").name
    assert expected == message_of(load_engine, "reference")


def test_the_resamplers_are_the_engines_and_the_reference() -> None:
    assert [load_engine(name) for name in ("auto", "pillow")] == [load_resampler(name) for name in ("auto", "pillow")]
    assert "engine=magic must be auto, opencv, pillow, reference" == message_of(load_resampler, "magic")


def test_a_missing_opencv_is_an_error_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(module.importlib, "import_module", import_module)
    expected = "engine=opencv needs OpenCV: No module named 'im2rec.images.opencv' (pip install opencv-python-headless)"
    assert expected == message_of(load_engine.__wrapped__, "opencv")
    assert importlib.import_module is import_module


def test_opencv_runs_on_one_thread_and_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cv2 = pytest.importorskip("cv2")
    threads: list[int] = []
    monkeypatch.setattr(cv2, "setNumThreads", threads.append)
    levels: list[Any] = []
    logging = SimpleNamespace(setLogLevel=levels.append, LOG_LEVEL_SILENT="silent")
    monkeypatch.setattr(cv2, "utils", SimpleNamespace(logging=logging), raising=False)
    monkeypatch.setattr(cv2, "setLogLevel", levels.append, raising=False)

    path = str(importlib.import_module("im2rec.images.opencv").__file__)
    runpy.run_path(path)  # as with OpenCV 4
    assert [0] == levels
    monkeypatch.delattr(cv2, "setLogLevel")
    runpy.run_path(path)  # as with OpenCV 5
    assert [0, "silent"] == levels
    monkeypatch.setattr(cv2, "utils", SimpleNamespace())
    runpy.run_path(path)
    monkeypatch.delattr(cv2, "utils")
    runpy.run_path(path)
    assert [0, "silent"] == levels
    assert [1] * 4 == threads


# Sizes.

SHORT = {  # width, height, size: spec/im2rec.md 2.1
    (100, 60, 80): (133, 80),
    (60, 100, 30): (30, 50),
    (640, 427, 256): (383, 256),
    (427, 640, 256): (256, 383),
    (50, 50, 20): (20, 20),
    (3, 1, 1): (3, 1),
    (1, 10_000, 256): (256, 2_560_000),
    (4001, 4000, 3): (3, 3),
}


def test_resizing_by_the_shorter_edge_rounds_the_longer_one_down() -> None:
    assert SHORT == {(width, height, size): resized_short(width, height, size) for width, height, size in SHORT}


LONG = {  # width, height, size
    (100, 60, 50): (50, 30),
    (60, 100, 50): (30, 50),
    (640, 427, 256): (256, 170),
    (427, 640, 256): (170, 256),
    (50, 50, 20): (20, 20),
    (1000, 3, 100): (100, 1),
    (3, 1000, 100): (1, 100),
}


def test_resizing_by_the_longer_edge_rounds_the_shorter_one_down_but_not_to_0() -> None:
    assert LONG == {(width, height, size): resized_long(width, height, size) for width, height, size in LONG}


AUTO = {
    ((10, 10), (20, 20)): BICUBIC,
    ((10, 10), (5, 5)): AREA,
    ((10, 10), (10, 10)): BILINEAR,
    ((10, 10), (10, 20)): BILINEAR,
    ((10, 10), (20, 5)): BILINEAR,
    ((10, 10), (20, 10)): BILINEAR,
    ((10, 10), (9, 10)): BILINEAR,
    ((10, 10), (10, 9)): BILINEAR,
}


def test_automatic_interpolation_is_bicubic_or_area_only_if_both_edges_grow_or_shrink() -> None:
    assert AUTO == {sizes: auto_interpolation(*sizes) for sizes in AUTO}


def test_the_centre_square_is_a_view_after_a_margin_that_is_rounded_down() -> None:
    for height, width, top, left in ((77, 33, 22, 0), (33, 77, 0, 22), (10, 15, 0, 2), (8, 8, 0, 0)):
        image = texture(height, width)
        square = center_square(image)
        side = min(height, width)
        assert np.array_equal(image[top : top + side, left : left + side], square)
        assert np.shares_memory(image, square)


def test_opencv_prints_nothing_about_an_image_it_cannot_encode(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(ImageError, match="does not encode"):
        load_engine("opencv").encode(np.zeros((2, 70000, 3), np.uint8), ".jpg", quality=90, png_level=3)
    assert "" == capfd.readouterr().err


def test_pillow_resizes_colours_independently_of_alpha() -> None:
    image = np.full((9, 7, 4), 200, np.uint8)
    image[..., 3] = np.arange(63).reshape(9, 7)

    scaled = load_engine("pillow").resize(image, 5, 4, BILINEAR)

    assert (4, 5, 4) == scaled.shape
    assert {200} == set(scaled[..., :3].ravel().tolist())
