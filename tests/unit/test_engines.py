"""Both engines: shapes, what is encoded, and that the sums before resizing are the reference's."""

from __future__ import annotations

import importlib
import io
import itertools
import sys
from typing import Any

import numpy as np
import pytest
from helpers import message_of
from picture_helpers import SAMPLE_PHOTOS, deep_texture, encoded, pixels_of, sampling_of, texture
from PIL import Image

from im2rec.errors import ImageError
from im2rec.images import engine as module
from im2rec.images.codec import sniff
from im2rec.images.engine import (
    AREA,
    BICUBIC,
    BILINEAR,
    Engine,
    auto_interpolation,
    center_square,
    load_engine,
    resized_short,
)


@pytest.fixture(params=["opencv", "pillow"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "opencv":
        pytest.importorskip("cv2")
    return load_engine(request.param)


def encode(engine: Engine, image: Any, encoding: str, *, quality: int = 95, png_level: int = 3) -> bytes:
    return engine.encode(image, encoding, quality=quality, png_level=png_level)


# Resizing.


def test_a_resized_picture_has_the_size_asked_for_and_keeps_its_channels(engine: Engine) -> None:
    for inter_method, channels in itertools.product(range(5), (1, 3, 4)):
        for width, height in ((17, 11), (72, 48), (1, 1), (36, 5)):
            found = engine.resize(texture(channels=channels), width, height, inter_method)
            assert ((height, width, channels), np.uint8) == (found.shape, found.dtype), inter_method


def test_sixteen_bits_stay_sixteen_bits(engine: Engine) -> None:
    for inter_method in range(5):
        found = engine.resize(deep_texture()[:, :, None], 18, 12, inter_method)
        assert ((12, 18, 1), np.uint16) == (found.shape, found.dtype)
        assert found.max() > 255


def test_the_source_is_left_as_it_is(engine: Engine) -> None:
    picture = texture()
    picture.flags.writeable = False
    resized = engine.resize(picture, 18, 12, BILINEAR)

    assert not np.shares_memory(picture, resized)
    assert np.array_equal(texture(), picture)


def test_a_view_with_steps_is_fine(engine: Engine) -> None:
    whole = texture(40, 60)
    crop = whole[3:27, 5:41]

    assert np.array_equal(engine.resize(crop.copy(), 18, 12, BILINEAR), engine.resize(crop, 18, 12, BILINEAR))
    assert encode(engine, crop.copy(), ".png") == encode(engine, crop, ".png")
    assert encode(engine, crop[:, ::-1].copy(), ".jpg") == encode(engine, crop[:, ::-1], ".jpg")


def test_the_engines_agree_on_a_photo_made_larger() -> None:
    pytest.importorskip("cv2")
    with Image.open(SAMPLE_PHOTOS / "dunes" / "dunes_01.jpg") as picture:
        photo = np.asarray(picture.convert("RGB"))
    height, width = photo.shape[:2]
    opencv, pillow = (
        load_engine(name).resize(photo, 2 * width, 2 * height, BILINEAR).astype(int) for name in ("opencv", "pillow")
    )

    assert np.abs(opencv - pillow).max() <= 1


# Encoding.


def test_jpegs_are_420_of_the_quality_asked_for(engine: Engine) -> None:
    picture = texture(40, 60)
    for quality in (1, 50, 95, 100):
        content = encode(engine, picture, ".jpg", quality=quality)
        assert [(2, 2), (1, 1), (1, 1)] == sampling_of(content)
        with (
            Image.open(io.BytesIO(content)) as found,
            Image.open(io.BytesIO(encoded(picture, quality=quality))) as expected,
        ):
            assert expected.quantization == found.quantization


def test_both_engines_write_the_same_jpeg() -> None:
    pytest.importorskip("cv2")
    for channels in (1, 3):
        opencv, pillow = (encode(load_engine(name), texture(40, 60, channels), ".jpg") for name in ("opencv", "pillow"))
        assert np.array_equal(pixels_of(opencv), pixels_of(pillow))


def test_quality_0_is_the_lowest_not_the_default(engine: Engine) -> None:
    picture = texture(40, 60)

    assert encode(engine, picture, ".jpg", quality=1) == encode(engine, picture, ".jpg", quality=0)


def test_png_level_sets_the_size_and_no_pixel(engine: Engine) -> None:
    picture = np.tile(texture(), (4, 4, 1))
    sizes = []
    for level in (0, 1, 9):
        content = encode(engine, picture, ".png", png_level=level)
        assert np.array_equal(picture, pixels_of(content))
        sizes.append(len(content))

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > picture.size > sizes[1] > sizes[2]


def test_a_png_keeps_channels_and_depth(engine: Engine) -> None:
    for picture in (texture(channels=1), texture(), texture(channels=4), deep_texture()[:, :, None]):
        found = pixels_of(encode(engine, picture, ".png"))
        assert (picture.dtype, True) == (found.dtype, np.array_equal(picture, found))


def test_what_holds_no_alpha_drops_it_and_what_holds_no_sixteen_bits_saturates(engine: Engine) -> None:
    picture, deep = texture(channels=4), deep_texture()[:, :, None]
    saturated = np.minimum(deep, 255).astype(np.uint8)
    for encoding in (".jpg", ".bmp"):
        assert encode(engine, picture[:, :, :3].copy(), encoding) == encode(engine, picture, encoding)
        assert encode(engine, saturated, encoding) == encode(engine, deep, encoding)


def test_a_picture_no_jpeg_can_hold_is_an_error_in_one_line(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
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
        picture = texture(height, width)
        square = center_square(picture)
        side = min(height, width)
        assert np.array_equal(picture[top : top + side, left : left + side], square)
        assert np.shares_memory(picture, square)


def test_what_opencv_has_to_say_of_a_picture_it_cannot_encode_stays_out_of_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(ImageError, match="does not encode"):
        load_engine("opencv").encode(np.zeros((2, 70000, 3), np.uint8), ".jpg", quality=90, png_level=3)
    assert "" == capfd.readouterr().err
