"""All engines: shapes, laws of resizing, warping and colour, what is encoded, and the sums before resizing."""

from __future__ import annotations

import importlib
import io
import itertools
import sys
from typing import Any

import numpy as np
import pytest
from helpers import message_of
from image_helpers import SAMPLE_PHOTOS, deep_texture, encoded, pixels_of, sampling_of, texture
from PIL import Image

from im2rec.errors import ImageError
from im2rec.images import engine as module
from im2rec.images.codec import sniff
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
    resized_short,
)


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


def test_a_resized_image_has_the_size_asked_for_and_keeps_its_channels(resampler: Resampler) -> None:
    for inter_method, channels in itertools.product(range(5), (1, 3, 4)):
        for width, height in ((17, 11), (72, 48), (1, 1), (36, 5)):
            found = resampler.resize(texture(channels=channels), width, height, inter_method)
            assert ((height, width, channels), np.uint8) == (found.shape, found.dtype), inter_method
            assert found.flags.c_contiguous


def test_the_same_size_is_a_copy(resampler: Resampler) -> None:
    for inter_method, channels in itertools.product(range(5), (1, 3)):
        image = texture(channels=channels)
        found = resampler.resize(image, 36, 24, inter_method)
        assert np.array_equal(image, found), inter_method
        assert not np.shares_memory(image, found)


def test_a_image_of_one_colour_keeps_it(resampler: Resampler) -> None:
    for inter_method, level in itertools.product(range(5), (0, 1, 128, 254, 255)):
        for width, height in ((17, 11), (72, 48), (1, 1), (36, 5), (18, 12), (100, 7)):
            found = resampler.resize(np.full((24, 36, 3), level, np.uint8), width, height, inter_method)
            assert {level} == set(found.ravel().tolist()), (inter_method, width, height)


def test_sixteen_bits_stay_sixteen_bits(engine: Engine) -> None:
    for inter_method in range(5):
        found = engine.resize(deep_texture()[:, :, None], 18, 12, inter_method)
        assert ((12, 18, 1), np.uint16) == (found.shape, found.dtype)
        assert found.max() > 255


def everything(resampler: Resampler, image: Any) -> list[Any]:
    """What each method of *resampler* makes of *image*."""
    return [
        resampler.resize(image, 18, 12, BILINEAR),
        resampler.warp(image, TURN, 36, 24, BILINEAR, 9),
        resampler.shift_hls(image, 5, -6, 7),
    ]


def test_the_source_is_left_as_it_is(resampler: Resampler) -> None:
    image = texture()
    image.flags.writeable = False

    assert [False] * 3 == [np.shares_memory(image, found) for found in everything(resampler, image)]
    assert np.array_equal(texture(), image)


def test_views_with_steps_are_resampled_as_copies_are(resampler: Resampler) -> None:
    whole = texture(40, 60)
    for view in (whole[3:27, 5:41], whole[3:27, 40:4:-1], whole[::2, ::2], texture(60, 40).transpose(1, 0, 2)):
        for expected, found in zip(everything(resampler, view.copy()), everything(resampler, view), strict=True):
            assert np.array_equal(expected, found)


def test_views_with_steps_are_encoded_as_copies_are(engine: Engine) -> None:
    whole = texture(40, 60)
    crop = whole[3:27, 5:41]

    assert encode(engine, crop.copy(), ".png") == encode(engine, crop, ".png")
    assert encode(engine, crop[:, ::-1].copy(), ".jpg") == encode(engine, crop[:, ::-1], ".jpg")


def test_the_engines_agree_on_a_photo_made_larger() -> None:
    pytest.importorskip("cv2")
    with Image.open(SAMPLE_PHOTOS / "dunes" / "dunes_01.jpg") as image:
        photo = np.asarray(image.convert("RGB"))
    height, width = photo.shape[:2]
    opencv, pillow = (
        load_engine(name).resize(photo, 2 * width, 2 * height, BILINEAR).astype(int) for name in ("opencv", "pillow")
    )

    assert np.abs(opencv - pillow).max() <= 1


# Warping.

TURN = np.array([[0.955, 0.296, -3], [-0.296, 0.955, 6]], np.float32)  # by 17 degrees
IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def test_a_warped_image_has_the_canvas_asked_for_and_keeps_its_channels(resampler: Resampler) -> None:
    for inter_method, channels in itertools.product(range(5), (1, 3, 4)):
        for width, height in ((17, 11), (72, 48), (1, 1)):
            found = resampler.warp(texture(channels=channels), TURN, width, height, inter_method, 9)
            assert ((height, width, channels), np.uint8) == (found.shape, found.dtype), inter_method
            assert found.flags.c_contiguous


def test_the_identity_changes_nothing(resampler: Resampler) -> None:
    for inter_method, channels in itertools.product(range(5), (1, 3, 4)):
        image = texture(channels=channels)
        assert np.array_equal(image, resampler.warp(image, IDENTITY, 36, 24, inter_method, 9)), inter_method


def test_the_matrix_leads_from_old_to_new_places_and_what_comes_from_outside_is_fill(resampler: Resampler) -> None:
    matrix = np.array([[1, 0, 5], [0, 1, -3]], np.float32)  # to the right and up
    for inter_method, channels in itertools.product(range(5), (1, 3, 4)):
        image = texture(channels=channels)
        expected = np.full((24, 36, channels), 9, np.uint8)
        expected[:, :, 3:] = 0
        expected[:-3, 5:] = image[3:, :-5]
        assert np.array_equal(expected, resampler.warp(image, matrix, 36, 24, inter_method, 9)), inter_method


def test_a_quarter_turn_moves_every_pixel_whole(resampler: Resampler) -> None:
    matrix = np.array([[0, 1, 0], [-1, 0, 35]], np.float32)  # x to the old y, y to 35 - the old x
    for inter_method in range(5):
        found = resampler.warp(texture(), matrix, 24, 36, inter_method, 9)
        assert np.array_equal(np.rot90(texture()), found), inter_method


def test_one_colour_stays_that_colour_on_a_canvas_filled_with_it(resampler: Resampler) -> None:
    for inter_method, level in itertools.product(range(5), (0, 1, 128, 255)):
        found = resampler.warp(np.full((24, 36, 3), level, np.uint8), TURN, 40, 30, inter_method, level)
        assert {level} == set(found.ravel().tolist()), inter_method


def test_pillow_turns_a_smooth_image_to_within_a_level_of_the_reference_away_from_its_edges() -> None:
    coarse = texture(6, 7, seed=3)
    smooth = load_resampler("reference").resize(coarse, 120, 100, BICUBIC)
    pillow, reference = (
        load_resampler(name).warp(smooth, TURN, 120, 100, BILINEAR, 9).astype(int) for name in ("pillow", "reference")
    )
    whole = np.full((100, 120, 1), 255, np.uint8)
    inside = load_resampler("reference").warp(whole, TURN, 120, 100, BILINEAR, 0)[:, :, 0] == 255

    assert inside.mean() > 0.7
    assert np.abs(pillow - reference)[inside].max() <= 1


def test_a_image_opencv_cannot_warp_is_an_error_in_one_line() -> None:
    pytest.importorskip("cv2")
    with pytest.raises(ImageError) as caught:
        load_resampler("opencv").warp(np.zeros((1, 40_000, 3), np.uint8), IDENTITY, 10, 10, BILINEAR, 0)

    assert "does not warp" == caught.value.reason
    assert 1 == len(str(caught.value).splitlines())


# Colours.


def test_shifted_colours_are_uint8_and_a_fourth_channel_stays(resampler: Resampler) -> None:
    for channels in (3, 4):
        image = texture(channels=channels)
        found = resampler.shift_hls(image, 20, -30, 40)
        assert (image.shape, np.uint8, True) == (found.shape, found.dtype, found.flags.c_contiguous)
        assert np.array_equal(image[:, :, 3:], found[:, :, 3:])
        assert np.array_equal(resampler.shift_hls(image[:, :, :3], 20, -30, 40), found[:, :, :3])
        assert not np.array_equal(image[:, :, :3], found[:, :, :3])


def test_lightness_ends_at_black_and_white_and_without_saturation_all_is_grey(resampler: Resampler) -> None:
    image = texture()

    assert {0} == set(resampler.shift_hls(image, 0, -255, 0).ravel().tolist())
    assert {255} == set(resampler.shift_hls(image, 0, 255, 0).ravel().tolist())
    assert [0] == np.unique(np.ptp(resampler.shift_hls(image, 0, 0, -255), axis=2)).tolist()


def test_grey_images_only_change_their_lightness(resampler: Resampler) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)

    assert np.array_equal(grey, resampler.shift_hls(grey, 90, 0, 0))
    assert np.array_equal(np.minimum(grey.astype(int) + 40, 255), resampler.shift_hls(grey, 0, 40, 0))


# Encoding.


def test_jpegs_are_420_of_the_quality_asked_for(engine: Engine) -> None:
    image = texture(40, 60)
    for quality in (1, 50, 95, 100):
        content = encode(engine, image, ".jpg", quality=quality)
        assert [(2, 2), (1, 1), (1, 1)] == sampling_of(content)
        with (
            Image.open(io.BytesIO(content)) as found,
            Image.open(io.BytesIO(encoded(image, quality=quality))) as expected,
        ):
            assert expected.quantization == found.quantization


def test_both_engines_write_the_same_jpeg() -> None:
    pytest.importorskip("cv2")
    for channels in (1, 3):
        opencv, pillow = (encode(load_engine(name), texture(40, 60, channels), ".jpg") for name in ("opencv", "pillow"))
        assert np.array_equal(pixels_of(opencv), pixels_of(pillow))


def test_quality_0_is_the_lowest_not_the_default(engine: Engine) -> None:
    image = texture(40, 60)

    assert encode(engine, image, ".jpg", quality=1) == encode(engine, image, ".jpg", quality=0)


def test_png_level_sets_the_size_and_no_pixel(engine: Engine) -> None:
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
        assert (image.dtype, True) == (found.dtype, np.array_equal(image, found))


def test_what_holds_no_alpha_drops_it_and_what_holds_no_sixteen_bits_saturates(engine: Engine) -> None:
    image, deep = texture(channels=4), deep_texture()[:, :, None]
    saturated = np.minimum(deep, 255).astype(np.uint8)
    for encoding in (".jpg", ".bmp"):
        assert encode(engine, image[:, :, :3].copy(), encoding) == encode(engine, image, encoding)
        assert encode(engine, saturated, encoding) == encode(engine, deep, encoding)


def test_a_image_no_jpeg_can_hold_is_an_error_in_one_line(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImageError) as caught:
        encode(engine, np.zeros((1, 65_501, 3), np.uint8), ".jpg")

    assert "does not encode" == caught.value.reason
    assert 1 == len(str(caught.value).splitlines())
    assert "" == capfd.readouterr().out


def test_a_bmp_is_24_bit_with_every_pixel(engine: Engine) -> None:
    content = encode(engine, texture(), ".bmp")

    assert ("BMP", 24) == (sniff(content), int.from_bytes(content[28:30], "little"))
    assert np.array_equal(texture(), pixels_of(content))


def test_a_grey_jpeg_has_one_channel(engine: Engine) -> None:
    assert [(1, 1)] == sampling_of(encode(engine, texture(channels=1), ".jpg"))


# Which engine.


@pytest.mark.parametrize(("installed", "expected"), [(True, "opencv"), (False, "pillow")])
def test_auto_takes_opencv_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, expected: str, *, installed: bool
) -> None:
    if installed:
        pytest.importorskip("cv2")
    else:  # or there, but without a library of the system that it needs
        monkeypatch.setitem(sys.modules, "cv2", None)
        monkeypatch.delitem(sys.modules, "im2rec.images.opencv", raising=False)
        monkeypatch.setattr(module, "load_engine", module.load_engine.__wrapped__)

    assert expected == getattr(module.load_engine, "__wrapped__", module.load_engine)("auto").name  # past the cache


def test_the_reference_feeds_but_does_not_pack() -> None:
    expected = "engine=reference must be auto, opencv, pillow"

    assert "reference" == load_resampler("reference").name
    assert expected == message_of(load_engine, "reference")


def test_a_feed_has_the_engines_of_packing_and_one_more() -> None:
    assert [load_engine(name) for name in ("auto", "pillow")] == [load_resampler(name) for name in ("auto", "pillow")]
    assert "engine=magic must be auto, opencv, pillow, reference" == message_of(load_resampler, "magic")


def test_opencv_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(module.importlib, "import_module", import_module)
    expected = "engine=opencv needs OpenCV: No module named 'im2rec.images.opencv' (pip install opencv-python-headless)"
    assert expected == message_of(load_engine.__wrapped__, "opencv")
    assert importlib.import_module is import_module


# The sums.

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


def test_the_longer_edge_is_rounded_down() -> None:
    assert SHORT == {(width, height, size): resized_short(width, height, size) for width, height, size in SHORT}


AUTO = {
    ((10, 10), (20, 20)): BICUBIC,
    ((10, 10), (5, 5)): AREA,
    ((10, 10), (10, 10)): BILINEAR,
    ((10, 10), (10, 20)): BILINEAR,
    ((10, 10), (20, 5)): BILINEAR,
    ((10, 10), (9, 10)): BILINEAR,
}


def test_interpolation_by_size_needs_both_edges_to_grow_or_shrink() -> None:
    assert AUTO == {sizes: auto_interpolation(*sizes) for sizes in AUTO}


def test_the_centre_square_is_a_view_with_the_margin_before_it_rounded_down() -> None:
    for height, width, top, left in ((77, 33, 22, 0), (33, 77, 0, 22), (10, 15, 0, 2), (8, 8, 0, 0)):
        image = texture(height, width)
        square = center_square(image)
        side = min(height, width)
        assert np.array_equal(image[top : top + side, left : left + side], square)
        assert np.shares_memory(image, square)


def test_what_opencv_has_to_say_of_a_image_it_cannot_encode_stays_out_of_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(ImageError, match="does not encode"):
        load_engine("opencv").encode(np.zeros((2, 70000, 3), np.uint8), ".jpg", quality=90, png_level=3)
    assert "" == capfd.readouterr().err


def test_pillow_resizes_colours_whatever_their_alpha() -> None:
    image = np.full((9, 7, 4), 200, np.uint8)
    image[..., 3] = np.arange(63).reshape(9, 7)

    scaled = load_engine("pillow").resize(image, 5, 4, BILINEAR)

    assert (4, 5, 4) == scaled.shape
    assert {200} == set(scaled[..., :3].ravel().tolist())
