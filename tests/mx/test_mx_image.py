"""``mx.image``: the pixels, sizes and random numbers of MXNet 1.9.1, and its errors as sentences.

The digests are the first eight digits of the MD5 of what MXNet gives for the images of ``pixels``.
"""

from __future__ import annotations

import hashlib
import io
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_helpers import encoded, texture
from PIL import Image, ImageOps

from im2rec.errors import ImageError, InputError, ParameterError
from im2rec.mx import image
from im2rec.mx import ndarray as nd
from im2rec.mx.ndarray import NDArray

PNG = encoded(texture(5, 6), "PNG")


def pixels(height: int, width: int, channels: int = 3) -> NDArray:
    """An image that MXNet can be given as well."""
    numbers = np.arange(height * width * channels) * 7919 % 251
    return nd.array(numbers.reshape(height, width, channels), dtype="uint8")


def digest(array: NDArray) -> str:
    return hashlib.md5(array.asnumpy().tobytes()).hexdigest()[:8]


# Decoding.


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_any_kind_of_bytes_is_decoded_to_rgb(kind: Any) -> None:
    decoded = image.imdecode(kind(PNG))

    assert (NDArray, np.uint8) == (type(decoded), decoded.dtype)
    assert np.array_equal(texture(5, 6), decoded)
    assert decoded.flags.writeable


def test_an_array_of_bytes_is_decoded() -> None:
    content = nd.array(np.frombuffer(PNG, np.uint8), dtype="uint8")

    assert np.array_equal(texture(5, 6), image.imdecode(content))
    assert np.array_equal(texture(5, 6), image.imdecode(content.reshape((1, -1))))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_flag_0_gives_one_channel_and_to_rgb_0_turns_the_colours_round(kind: str) -> None:
    content = encoded(texture(5, 6), kind)

    assert (5, 6, 1) == image.imdecode(content, 0).shape
    assert (5, 6, 1) == image.imdecode(content, flag=0, to_rgb=0).shape
    assert np.array_equal(texture(5, 6)[:, :, ::-1], image.imdecode(content, 1, 0))
    assert image.imdecode(content, to_rgb=False).flags.c_contiguous


def test_grey_images_and_alpha_become_three_channels() -> None:
    grey = texture(5, 6, 1)

    assert np.array_equal(np.repeat(grey, 3, axis=2), image.imdecode(encoded(grey, "PNG")))
    assert np.array_equal(texture(5, 6, 4)[:, :, :3], image.imdecode(encoded(texture(5, 6, 4), "PNG")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_not_turned_by_its_exif_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    plain = image.imdecode(encoded(texture(5, 6), kind))

    assert np.array_equal(plain, image.imdecode(encoded(texture(5, 6), kind, exif=exif)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_that_begins_with_its_exif_data_is_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    content = encoded(texture(5, 6), exif=exif)
    jfif = 4 + int.from_bytes(content[4:6], "big")  # the end of the segment that Pillow writes first
    comment = b"\xff\xfe\x00\x04hi"

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert np.array_equal(expected, image.imdecode(content[:2] + comment + content[jfif:]))


def test_pixels_are_written_to_out() -> None:
    out = nd.zeros((5, 6, 3))

    assert image.imdecode(PNG, out=out) is out
    assert np.array_equal(texture(5, 6), out)
    with pytest.raises(ParameterError, match=r"^out has the shape \(5, 6, 1\), the image \(5, 6, 3\)$"):
        image.imdecode(PNG, out=nd.zeros((5, 6, 1)))


def test_a_cut_jpeg_is_decoded_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    content = encoded(texture(100, 100))
    image._warn_of_cut.cache_clear()
    with caplog.at_level(logging.WARNING):
        shapes = [image.imdecode(content[: len(content) // 2]).shape for _ in range(2)]

    assert [(100, 100, 3)] * 2 == shapes
    assert [
        "imdecode: a JPEG whose data ends early was decoded as far as it goes; others are not named"
    ] == caplog.messages


@pytest.mark.parametrize(
    ("buf", "message"),
    [
        (b"", "is empty: no bytes to decode"),
        (b"abcdef", "holds no image that can be read"),
        (PNG[:60], "does not decode"),
    ],
)
def test_bytes_that_are_no_image_are_an_image_error(buf: bytes, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        image.imdecode(buf)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("buf", "found"),
    [("x", "str"), (None, "NoneType"), (list(PNG), "list"), (np.ones(9, np.float32), "an array of float32")],
)
def test_what_is_not_bytes_is_refused(buf: Any, found: str) -> None:
    with pytest.raises(ParameterError) as caught:
        image.imdecode(buf)
    assert f"buf must be the bytes of an encoded image, or an array of uint8, not {found}" == str(caught.value)


def test_another_flag_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"^flag=-1 must be 0 \(grey\) or 1 \(colour\)$"):
        image.imdecode(PNG, flag=-1)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)

    assert np.array_equal(texture(5, 6), image.imread(str(path)))
    assert (5, 6, 1) == image.imread(path, 0).shape
    path.write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"a\.png: holds no image that can be read"):
        image.imread(path)
    with pytest.raises(InputError, match=r"none\.png: cannot be read: no such file"):
        image.imread(tmp_path / "none.png")


# Resizing: MXNet's pixels.


@pytest.mark.parametrize(
    ("shape", "size", "interp", "expected"),
    [
        ((7, 9, 3), (4, 3), 0, "159f714a"),
        ((7, 9, 3), (4, 3), 1, "0447e69b"),
        ((7, 9, 3), (4, 3), 2, "5333cb18"),
        ((7, 9, 3), (4, 3), 3, "3dcb5bfa"),
        ((7, 9, 3), (4, 3), 4, "e445f006"),
        ((33, 21, 3), (112, 112), 0, "628974f9"),
        ((33, 21, 3), (112, 112), 1, "bfd3e5b5"),
        ((33, 21, 3), (112, 112), 2, "f1990e8f"),
        ((33, 21, 3), (112, 112), 3, "3032d2f9"),
        ((33, 21, 3), (112, 112), 4, "6975c900"),
        ((112, 96, 3), (56, 48), 0, "0f5813aa"),
        ((112, 96, 3), (56, 48), 1, "05e14049"),
        ((112, 96, 3), (56, 48), 2, "c8e7a645"),
        ((112, 96, 3), (56, 48), 3, "3a72bc29"),
        ((112, 96, 3), (56, 48), 4, "74c6773b"),
        ((40, 31, 1), (13, 60), 0, "e426b38b"),
        ((40, 31, 1), (13, 60), 1, "53928b06"),
        ((40, 31, 1), (13, 60), 2, "a8909771"),
        ((40, 31, 1), (13, 60), 3, "d0891e5a"),
        ((40, 31, 1), (13, 60), 4, "b0f9c517"),
    ],
)
def test_every_interpolation_gives_the_pixels_of_mxnet(
    shape: tuple[int, int, int], size: tuple[int, int], interp: int, expected: str
) -> None:
    scaled = image.imresize(pixels(*shape), *size, interp)

    assert (size[1], size[0], shape[2]) == scaled.shape
    assert expected == digest(scaled)


@pytest.mark.parametrize(
    ("shape", "size", "interp", "scaled", "expected"),
    [
        ((7, 9), 4, 2, (4, 5), "c3704ff2"),
        ((9, 7), 4, 2, (5, 4), "58b5c5c8"),
        ((250, 250), 112, 2, (112, 112), "aa80c673"),
        ((96, 112), 112, 2, (112, 130), "cea3d82d"),
        ((33, 50), 20, 9, (20, 30), "46e9ea7b"),
        ((33, 50), 40, 9, (40, 60), "c9294418"),
        ((33, 50), 20, 1, (20, 30), "e8de4122"),
        ((112, 112), 112, 2, (112, 112), "1aebb95e"),
    ],
)
def test_the_shorter_edge_gets_the_size_and_the_pixels_are_those_of_mxnet(
    shape: tuple[int, int], size: int, interp: int, scaled: tuple[int, int], expected: str
) -> None:
    result = image.resize_short(pixels(*shape), size, interp)

    assert (*scaled, 3) == result.shape
    assert expected == digest(result)


def test_resize_short_is_bicubic() -> None:
    assert "c3704ff2" == digest(image.resize_short(pixels(7, 9), 4))


def test_float32_is_scaled_by_opencv() -> None:
    pytest.importorskip("cv2")
    scaled = image.imresize(pixels(7, 9).astype("float32"), 2, 2, 2)

    assert np.float32 == scaled.dtype
    expected = [73.124466, 146.562897, 37.59584, 166.772583, 91.336792, 198.700974, 162.644135, 4.72258]
    assert np.allclose([*expected, 187.644135, 51.362793, 175.892838, 82.437103], scaled.reshape(-1), atol=1e-3)


def test_float32_without_opencv_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_engine(name: str) -> None:
        raise ParameterError(f"engine={name} needs OpenCV")

    monkeypatch.setattr(image, "load_engine", no_engine)
    with pytest.raises(ParameterError) as caught:
        image.imresize(pixels(7, 9).astype("float32"), 2, 2)
    assert (
        "an image of float32 is resized by OpenCV, which cannot be imported"
        " (resize it before it is float32, or install OpenCV)" == str(caught.value)
    )


def test_the_result_is_written_to_out() -> None:
    out = nd.zeros((3, 4, 3))

    assert image.imresize(pixels(7, 9), 4, 3, 2, out=out) is out
    assert "5333cb18" == digest(out.astype("uint8"))


@pytest.mark.parametrize(
    ("size", "interp", "message"),
    [
        ((0, 3), 1, "size=(0, 3) must be a width and a height of 1 or more"),
        ((4, -1), 1, "size=(4, -1) must be a width and a height of 1 or more"),
        ((4.0, 3), 1, "size=(4.0, 3) must be two integers, width and height"),
        ((4, 3), 5, "interp=5 must be 0, 1, 2, 3, 4, 9, 10"),
    ],
)
def test_a_size_or_interpolation_that_cannot_be_is_refused(size: Any, interp: int, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        image.imresize(pixels(7, 9), *size, interp)
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (nd.zeros((7, 9)), "an array of float32, shape (7, 9)"),
        (nd.zeros((7, 9, 3), dtype="int32"), "an array of int32, shape (7, 9, 3)"),
        (b"x", "bytes"),
    ],
)
def test_what_is_no_image_is_refused(array: Any, found: str) -> None:
    for work in (image.resize_short, image.center_crop):
        with pytest.raises(ParameterError) as caught:
            work(array, 4)
        problem = "an image must be an array (height, width, channels) of uint8 or float32, not "
        assert problem + found == str(caught.value)


# Crops.


@pytest.mark.parametrize(
    ("shape", "size", "rectangle", "expected"),
    [
        ((7, 9), (4, 3), (2, 2, 4, 3), "013fb551"),
        ((7, 9), (12, 3), (0, 2, 9, 2), "66eb510f"),
        ((7, 9), (12, 30), (3, 0, 2, 7), "7eed9c94"),
        ((8, 8), (8, 8), (0, 0, 8, 8), "d879c143"),
        ((33, 50), (21, 32), (14, 0, 21, 32), "9c55bf70"),
    ],
)
def test_the_middle_is_cut_out_and_scaled_up_if_it_is_too_small(
    shape: tuple[int, int], size: tuple[int, int], rectangle: tuple[int, int, int, int], expected: str
) -> None:
    part, cut = image.center_crop(pixels(*shape), size)

    assert (size[1], size[0], 3) == part.shape
    assert (rectangle, expected) == (cut, digest(part))


def test_random_crops_are_those_of_mxnet_for_the_same_seed() -> None:
    random.seed(3)
    places = [image.random_crop(pixels(7, 9), (4, 3))[1] for _ in range(4)]

    assert [(1, 4, 4, 3), (4, 1, 4, 3), (2, 4, 4, 3), (3, 4, 4, 3)] == places
    assert 0.06552885924 == round(random.random(), 12)


def test_a_random_interpolation_is_drawn_after_the_place() -> None:
    random.seed(3)
    crops = [(cut, digest(part)) for part, cut in (image.random_crop(pixels(7, 9), (12, 5), 10) for _ in range(3))]

    assert [((0, 4, 9, 3), "4dab4796"), ((0, 2, 9, 3), "d42adea9"), ((0, 4, 9, 3), "d17c50bb")] == crops
    assert 0.605599530139 == round(random.random(), 12)


def test_a_size_in_a_list_draws_an_interpolation_even_if_none_is_needed() -> None:
    random.seed(3)
    places = [image.random_crop(pixels(7, 9), [4, 3], 10)[1] for _ in range(3)]

    assert [(1, 4, 4, 3), (1, 2, 4, 3), (3, 4, 4, 3)] == places


def test_resize_short_draws_one_interpolation() -> None:
    random.seed(3)

    assert "b3ac06cc" == digest(image.resize_short(pixels(7, 9), 4, 10))
    assert 0.592640910627 == round(random.random(), 12)


@pytest.mark.parametrize(
    ("crop", "shape", "expected"),
    [
        ((1, 2, 3, 4), (4, 3, 3), "a23b75eb"),
        ((1, 2, 3, 4, (5, 6)), (6, 5, 3), "29fa8a99"),
        ((7, 2, 5, 4), (4, 2, 3), "4540650c"),
        ((7, 2, 5, 4, (5, 4)), (4, 2, 3), "4540650c"),
        ((-3, 0, 2, 4), (4, 2, 3), "9c18351c"),
    ],
)
def test_a_fixed_crop_leaves_out_what_is_beyond_the_image(
    crop: tuple[Any, ...], shape: tuple[int, ...], expected: str
) -> None:
    part = image.fixed_crop(pixels(7, 9), *crop)

    assert (shape, expected) == (part.shape, digest(part))


def test_a_crop_without_pixels_is_refused() -> None:
    with pytest.raises(ParameterError) as caught:
        image.fixed_crop(pixels(7, 9), 9, 2, 2, 4)
    assert "a crop of 2x4 pixels from (9, 2) on has none of an image of shape (7, 9, 3)" == str(caught.value)


@pytest.mark.parametrize(
    ("available", "size", "expected"),
    [
        ((640, 480), (720, 120), (640, 106)),
        ((9, 7), (12, 5), (9, 3)),
        ((5, 9), (3, 20), (1, 9)),
        ((5, 5), (5, 5), (5, 5)),
    ],
)
def test_a_size_is_scaled_down_to_what_is_available(available: Any, size: Any, expected: Any) -> None:
    assert expected == image.scale_down(available, size)


# Borders and normalisation.


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (0, [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 138, 25]]),
        (1, [[0, 0, 0, 138, 25], [0, 0, 0, 138, 25], [0, 0, 0, 138, 25]]),
        (2, [[50, 163, 163, 50, 188], [138, 0, 0, 138, 25], [138, 0, 0, 138, 25]]),
        (3, [[213, 100, 75, 213, 100], [125, 12, 238, 125, 12], [138, 25, 0, 138, 25]]),
        (4, [[100, 213, 75, 213, 100], [188, 50, 163, 50, 188], [25, 138, 0, 138, 25]]),
    ],
)
def test_borders_are_those_of_mxnet(kind: int, expected: list[list[int]]) -> None:
    framed = image.copyMakeBorder(pixels(4, 3, 1), 2, 0, 2, 0, type=kind)

    assert (6, 5, 1) == framed.shape
    assert expected == framed[:3, :, 0].asnumpy().tolist()


def test_a_border_is_filled_with_a_number_or_one_for_each_channel() -> None:
    dot = pixels(1, 1)

    assert [[[9, 9, 9], [0, 138, 25]]] == image.copyMakeBorder(dot, 0, 0, 1, 0, 0, 9.0).asnumpy().tolist()
    framed = image.copyMakeBorder(dot, 0, 1, 1, 0, values=(1, 2, 3))
    assert [[[1, 2, 3], [0, 138, 25]], [[1, 2, 3], [1, 2, 3]]] == framed.asnumpy().tolist()
    with pytest.raises(ParameterError, match=r"^type=5 must be 0 to 4$"):
        image.copyMakeBorder(dot, 0, 0, 1, 0, 5)
    with pytest.raises(ParameterError, match=r"^a border cannot be negative"):
        image.copyMakeBorder(dot, 0, 0, -1, 0)


def test_colours_are_normalised_in_place() -> None:
    array = nd.array([[[10, 20, 30]]])

    assert image.color_normalize(array, nd.array([1, 2, 3]), nd.array([3, 6, 9])) is array
    assert [[[3, 3, 3]]] == array.asnumpy().tolist()
    assert [[[3, 3, 3]]] == image.color_normalize(array, None).asnumpy().tolist()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RandomSizedCropAug", "random augmentation is done by mx.io.ImageRecordIter, or by torchvision.transforms"),
        ("ImageIter", "mx.io.ImageRecordIter reads .rec files, im2rec.torch.RecordDataset feeds torch's DataLoader"),
        ("imrotate", "im2rec.mx reads and writes data, it does not train"),
    ],
)
def test_a_name_that_is_not_there_says_what_to_use(name: str, reason: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(image, name)
    assert str(caught.value).startswith(f"mx.image has no {name}: {reason}; ")


def test_importing_a_name_that_is_not_there_says_what_to_use() -> None:
    with pytest.raises(ImportError) as caught:
        from im2rec.mx.image import RandomSizedCropAug  # noqa: F401, PLC0415
    assert "mx.image has no RandomSizedCropAug: random augmentation is done by mx.io.ImageRecordIter" in str(
        caught.value
    )
