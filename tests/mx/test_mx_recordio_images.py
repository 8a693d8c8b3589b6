"""Images in records by MXNet's names: B, G, R as OpenCV has them, with OpenCV installed and without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import message_of
from image_helpers import encoded, texture
from PIL import Image as PillowImage

from im2rec.errors import ImageError, ParameterError
from im2rec.mx import bgr, recordio
from im2rec.mx.recordio import IRHeader, pack_img, unpack, unpack_img

HEADER = IRHeader(0, 3.0, 7, 0)
COLOUR = texture(20, 30)
GREY = COLOUR[:, :, 0].copy()
ALPHA = np.dstack([COLOUR, GREY])


@pytest.fixture(params=["opencv", "pillow"])
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library that encodes and decodes: the test runs with each."""
    if request.param == "opencv":
        pytest.importorskip("cv2")
    else:
        monkeypatch.setattr(bgr, "_opencv", lambda: None)


with_each_library = pytest.mark.usefixtures("_library")


def record(content: bytes) -> bytes:
    return recordio.pack(HEADER, content)


def turned(pixels: np.ndarray[Any, Any]) -> bytes:
    """A JPEG of *pixels* that is to be turned by 90 degrees when it is shown."""
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    return encoded(pixels, "JPEG", exif=exif, quality=95)


@with_each_library
@pytest.mark.parametrize("pixels", [COLOUR, GREY, ALPHA], ids=["colour", "grey", "alpha"])
def test_a_png_comes_back_as_it_was(pixels: np.ndarray[Any, Any]) -> None:
    for level, suffix in ((95, ".png"), (3, ".PNG"), (-1, ".png")):
        header, found = unpack_img(pack_img(HEADER, pixels, level, suffix))
        assert found is not None
        assert HEADER == header
        assert np.array_equal(pixels, found)
        assert (np.uint8, True) == (found.dtype, found.flags.writeable)


@with_each_library
def test_the_channels_are_those_of_opencv_and_not_of_pillow() -> None:
    content = encoded(COLOUR, "PNG")
    found = [unpack_img(record(content), flag)[1] for flag in (-1, 1)]

    assert all(np.array_equal(COLOUR[:, :, ::-1], pixels) for pixels in found)


@with_each_library
def test_iscolor_chooses_the_shape() -> None:
    shapes = {
        name: [getattr(unpack_img(record(encoded(pixels, "PNG")), flag)[1], "shape", None) for flag in (-1, 0, 1)]
        for name, pixels in {"colour": COLOUR, "grey": GREY, "alpha": ALPHA}.items()
    }

    assert {
        "colour": [(20, 30, 3), (20, 30), (20, 30, 3)],
        "grey": [(20, 30), (20, 30), (20, 30, 3)],
        "alpha": [(20, 30, 4), (20, 30), (20, 30, 3)],
    } == shapes


@with_each_library
def test_the_orientation_is_applied_except_as_stored() -> None:
    stored, grey, colour = (unpack_img(record(turned(COLOUR)), flag)[1] for flag in (-1, 0, 1))

    assert stored is not None
    assert colour is not None
    assert grey is not None
    assert ((20, 30, 3), (30, 20), (30, 20, 3)) == (stored.shape, grey.shape, colour.shape)
    assert np.array_equal(np.rot90(stored, -1), colour)


def test_both_libraries_decode_to_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    contents = [encoded(pixels, kind) for pixels in (COLOUR, GREY) for kind in ("JPEG", "PNG", "BMP")]
    cases = [(record(content), flag) for content in [*contents, turned(COLOUR)] for flag in (-1, 0, 1)]
    by_opencv = [unpack_img(*case)[1] for case in cases]
    monkeypatch.setattr(bgr, "_opencv", lambda: None)

    assert [] == [
        case for case, one in zip(cases, by_opencv, strict=True) if not np.array_equal(one, unpack_img(*case)[1])
    ]


@with_each_library
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint16])
def test_other_numbers_are_rounded_and_clipped_as_opencv_does(dtype: Any) -> None:
    scaled = COLOUR.astype(np.float64) * 1.5
    expected = np.clip(np.rint(scaled.astype(dtype).astype(np.float64)), 0, 255).astype(np.uint8)

    assert pack_img(HEADER, expected) == pack_img(HEADER, scaled.astype(dtype))


def test_the_content_is_what_opencv_encodes() -> None:
    cv2 = pytest.importorskip("cv2")
    for suffix, quality, options in (
        (".jpg", 90, [cv2.IMWRITE_JPEG_QUALITY, 90]),
        (".JPEG", 101, [cv2.IMWRITE_JPEG_QUALITY, 100]),
        (".png", 95, [cv2.IMWRITE_PNG_COMPRESSION, 9]),
        (".bmp", 95, []),
        (".tiff", 95, []),
    ):
        for pixels in (COLOUR, GREY):
            content = unpack(pack_img(HEADER, pixels, quality, suffix))[1]
            assert cv2.imencode(suffix.lower(), pixels, options)[1].tobytes() == content


def test_sixteen_bits_of_a_png_stay() -> None:
    cv2 = pytest.importorskip("cv2")
    deep = COLOUR.astype(np.uint16) * 200
    _, found = unpack_img(pack_img(HEADER, deep, 3, ".png"))

    assert found is not None
    assert np.array_equal(deep, found)
    _, reduced = unpack_img(pack_img(HEADER, deep, 3, ".png"), cv2.IMREAD_REDUCED_COLOR_2)
    assert reduced is not None
    assert (10, 15, 3) == reduced.shape


@with_each_library
def test_what_is_no_image_gives_none_as_opencv_does() -> None:
    assert (HEADER, None) == unpack_img(record(b"no image"))
    with pytest.raises(ImageError, match="is empty"):
        unpack_img(record(b""))


@with_each_library
def test_a_jpeg_that_is_cut_gives_what_is_there() -> None:
    whole = encoded(COLOUR, "JPEG", quality=95)
    found = unpack_img(record(whole[: len(whole) * 2 // 3]), 1)[1]
    expected = unpack_img(record(whole), 1)[1]

    assert found is not None
    assert expected is not None
    assert np.array_equal(expected[:4, :4], found[:4, :4])
    assert not np.array_equal(expected, found)


@pytest.mark.parametrize("image", [None, [[1, 2]], np.zeros((0, 0, 3), np.uint8), np.zeros(5, np.uint8)])
def test_what_is_no_array_of_pixels_is_refused(image: Any) -> None:
    with pytest.raises(ParameterError, match="an image must be an array"):
        pack_img(HEADER, image)


def test_without_opencv_other_formats_and_flags_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bgr, "_opencv", lambda: None)
    works: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (pack_img, (HEADER, COLOUR, 95, ".webp")),
        (unpack_img, (record(encoded(COLOUR)), 17)),
    ]

    assert [
        "img_fmt=.webp must be .jpg, .png, .bmp without OpenCV (pip install opencv-python-headless)",
        "iscolor=17 must be -1, 0 or 1 without OpenCV (pip install opencv-python-headless)",
    ] == [message_of(work, *arguments) for work, arguments in works]


def test_an_encoding_that_opencv_lacks_is_an_error() -> None:
    pytest.importorskip("cv2")
    with pytest.raises(ImageError, match=r"does not encode as \.xyz"):
        pack_img(HEADER, COLOUR, 95, ".xyz")
