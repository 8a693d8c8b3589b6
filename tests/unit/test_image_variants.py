"""Variants of TIFF, BMP, PNM and PNG: OpenCV's pixels where it is installed, right ones or an error elsewhere."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import PIL
import pytest
from file_helpers import HEIGHT, WIDTH, bmp_file, deep_pixels, pnm_file, tiff_file
from image_helpers import encoded, texture
from PIL import Image

from im2rec.errors import ImageError
from im2rec.images import codec
from im2rec.images.codec import AS_STORED, COLOR, GREY, decode, image_info, is_transposed, orientation
from im2rec.images.tiff import read_header


def pixels(channels: int = 3) -> np.ndarray[Any, Any]:
    return texture(HEIGHT, WIDTH, channels)


def lab() -> bytes:
    return encoded(Image.fromarray(pixels()).convert("LAB"), "TIFF")


RED_GREEN_BLUE = (0xFF0000, 0xFF00, 0xFF)
VARIANTS: dict[str, bytes] = {
    "TIFF, RGB, 16 bits": tiff_file(deep_pixels()),
    "TIFF, RGB, 16 bits, big-endian": tiff_file(deep_pixels(), order=">"),
    "TIFF, RGB, 16 bits, turned": tiff_file(deep_pixels(), tags={274: [6]}),
    "TIFF, RGB, 16 bits, BigTIFF": tiff_file(deep_pixels(), big=True),
    "TIFF, RGBA": tiff_file(pixels(4), extra=[2]),
    "TIFF, RGBA, multiplied": tiff_file(pixels(4), extra=[1]),
    "TIFF, RGBA, 16 bits": tiff_file(deep_pixels(4), extra=[2]),
    "TIFF, RGB and another": tiff_file(pixels(4), extra=[0]),
    "TIFF, grey, 16 bits": tiff_file(deep_pixels(1), 1),
    "TIFF, grey, 16 bits, big-endian": tiff_file(deep_pixels(1), 1, order=">"),
    "TIFF, inverted grey": tiff_file(pixels(1), 0),
    "TIFF, inverted grey, 16 bits": tiff_file(deep_pixels(1), 0),
    "TIFF, grey and alpha": tiff_file(pixels(2), 1, extra=[2]),
    "TIFF, grey and alpha, 16 bits": tiff_file(deep_pixels(2), 1, extra=[2]),
    "TIFF, 1 bit": tiff_file(pixels(1)[:, :3], 1, bits=1),
    "TIFF, planes": tiff_file(pixels(), planes=True),
    "TIFF, CIELab": lab(),
    "TIFF, YCbCr": tiff_file(pixels(), 6, tags={530: [1, 1]}),
    "TIFF, palette": encoded(Image.fromarray(pixels()).convert("P"), "TIFF"),
    "BMP, 1 bit": bmp_file(1),
    "BMP, 4 bits": bmp_file(4),
    "BMP, 8 bits": bmp_file(8),
    "BMP, 16 bits": bmp_file(16),
    "BMP, 16 bits, top down": bmp_file(16, top_down=True),
    "BMP, 16 bits, 555": bmp_file(16, (0x7C00, 0x3E0, 0x1F)),
    "BMP, 16 bits, 565": bmp_file(16, (0xF800, 0x7E0, 0x1F)),
    "BMP, 24 bits": bmp_file(24),
    "BMP, 32 bits": bmp_file(32),
    "BMP, 32 bits, fields": bmp_file(32, RED_GREEN_BLUE),
    "BMP, 32 bits, other fields": bmp_file(32, RED_GREEN_BLUE[::-1]),
    "BMP, 32 bits, alpha": bmp_file(32, (*RED_GREEN_BLUE, 0xFF000000), info=124),
    "PBM": pnm_file(4, pixels(1)),
    "PBM, text": pnm_file(1, pixels(1) & 1),
    "PGM": pnm_file(5, pixels(1)),
    "PGM, text": pnm_file(2, pixels(1)),
    "PGM, 16 bits": pnm_file(5, deep_pixels(1)),
    "PPM": pnm_file(6, pixels()),
    "PPM, text": pnm_file(3, pixels()),
    "PPM, 16 bits": pnm_file(6, deep_pixels()),
    "PPM, up to 100": pnm_file(6, pixels() % 101, 100),
}
if tuple(map(int, PIL.__version__.split(".")[:2])) < (13, 0):
    del VARIANTS["TIFF, YCbCr"]  # of which older Pillows find the data cut short


def by_opencv(content: bytes, color: int) -> np.ndarray[Any, Any]:
    library = pytest.importorskip("cv2")
    found = library.imdecode(np.frombuffer(content, np.uint8), color)
    channels = found.shape[2] if found.ndim > 2 else 1
    return found.reshape(*found.shape[:2], channels)[:, :, [2, 1, 0, *range(3, channels)] if channels > 1 else [0]]


@pytest.mark.parametrize("color", [COLOR, GREY, AS_STORED])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_has_the_pixels_of_opencv(name: str, color: int) -> None:
    expected, found = by_opencv(VARIANTS[name], color), decode(VARIANTS[name], color).pixels

    assert (expected.shape, expected.dtype) == (found.shape, found.dtype)
    assert np.array_equal(expected, found)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("color", [COLOR, GREY])
def test_16_bit_colours_of_a_png_and_cmyk_of_a_tiff_have_the_pixels_of_opencv(color: int) -> None:
    library = pytest.importorskip("cv2")
    deep = library.imencode(".png", deep_pixels())[1].tobytes()
    for content in (deep, tiff_file(pixels(4), 5)):
        assert np.array_equal(by_opencv(content, color), decode(content, color).pixels)


@pytest.fixture
def _without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_opencv", lambda: None)


def test_cmyk_becomes_three_channels_as_it_is_stored() -> None:
    content = tiff_file(pixels(4), 5)
    assert np.array_equal(decode(content, COLOR).pixels, decode(content, AS_STORED).pixels)


# Of these Pillow gives other pixels that are right too: rounded down, or with other weights for alpha and white.
OTHER_BY_PILLOW = {
    "TIFF, RGBA": 255,
    "TIFF, RGBA, multiplied": 255,
    "TIFF, RGBA, 16 bits": 255,
    "TIFF, CIELab": 60,
    "PPM, up to 100": 155,
}
REFUSED_WITHOUT_OPENCV = {
    "TIFF, inverted grey, 16 bits": "is a TIFF of inverted 16-bit numbers",
    "TIFF, grey and alpha, 16 bits": "holds no image that can be read",
    "BMP, 32 bits, other fields": "does not decode: Unsupported BMP bitfields layout",
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.usefixtures("_without_opencv")
def test_without_opencv_a_variant_has_nearly_the_same_pixels_or_is_refused(name: str) -> None:
    try:
        found = decode(VARIANTS[name]).pixels
    except ImageError as error:
        assert str(error).startswith(REFUSED_WITHOUT_OPENCV[name])  # noqa: PT017 - most do not fail
        return
    assert name not in REFUSED_WITHOUT_OPENCV
    difference = np.abs(by_opencv(VARIANTS[name], COLOR).astype(int) - found)
    assert difference.max() <= OTHER_BY_PILLOW.get(name, 7 if name.startswith("BMP, 16") else 1)


@pytest.mark.usefixtures("_without_opencv")
def test_what_pillow_reads_wrong_is_refused_without_opencv() -> None:
    with pytest.raises(ImageError) as caught:
        decode(tiff_file(deep_pixels(), planes=True))
    expected = "is a TIFF of 16-bit numbers in separate planes, which cannot be read here: convert it to"
    assert (f"{expected} plain RGB or grey first", "unsupported TIFF") == (str(caught.value), caught.value.reason)


def test_16_bits_in_separate_planes_are_refused_as_they_are_stored() -> None:
    content = tiff_file(deep_pixels(), planes=True)
    with pytest.raises(ImageError, match="in separate planes"):  # OpenCV returns memory that it has not written to
        decode(content, AS_STORED)


def test_12_bits_are_refused_not_black() -> None:
    packed = np.random.default_rng(0).integers(0, 256, (HEIGHT, 36, 1)).astype(np.uint8)
    with pytest.raises(ImageError, match="a TIFF of 12-bit numbers, which cannot be read here"):
        decode(tiff_file(packed, 1, bits=12))


NUMBERS = {
    "32-bit floating-point numbers": (np.float32, {}),
    "64-bit floating-point numbers": (np.float64, {"order": ">"}),
    "16-bit floating-point numbers": (np.float16, {}),
    "32-bit numbers": (np.uint32, {}),
    "64-bit numbers": (np.int64, {"big": True}),
    "complex numbers": (np.complex64, {}),
}


@pytest.mark.parametrize("color", [COLOR, GREY, AS_STORED])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("numbers", NUMBERS)
def test_numbers_that_no_image_holds_are_refused_by_name(numbers: str, channels: int, color: int) -> None:
    dtype, options = NUMBERS[numbers]
    content = tiff_file(pixels(channels).astype(dtype), 1 if channels == 1 else 2, **options)
    with pytest.raises(ImageError) as caught:
        decode(content, color)

    assert f"is a TIFF of {numbers}: convert it to 8 or 16 bits first" == str(caught.value)
    assert "float or 32-bit image" == caught.value.reason


def test_pillows_own_float_and_integer_tiffs_are_refused() -> None:
    for mode in ("F", "I"):
        content = encoded(Image.fromarray(pixels(1)[:, :, 0]).convert(mode), "TIFF", compression="tiff_deflate")
        with pytest.raises(ImageError, match="a TIFF of 32-bit"):
            decode(content)


def test_signed_numbers_are_read_as_opencv_reads_them_but_not_as_they_are_stored() -> None:
    content = tiff_file(deep_pixels(1).astype(np.int16), 1)
    assert np.array_equal(by_opencv(content, COLOR), decode(content).pixels)
    with pytest.raises(ImageError) as caught:
        decode(content, AS_STORED)
    assert "holds int16 numbers: convert it to 8 or 16 bits first" == str(caught.value)


def test_a_damaged_tiff_is_an_error_though_opencv_returns_its_pixels() -> None:
    content = bytearray(encoded(np.tile(pixels(4), (20, 20, 1)), "TIFF", compression="tiff_lzw"))
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(range(7, 47))
    with pytest.raises(ImageError, match="does not decode"):
        decode(bytes(content))


@pytest.mark.parametrize("planes", [False, True])
def test_a_tiff_whose_last_strip_is_cut_is_cut_short(planes: bool) -> None:
    pytest.importorskip("cv2")  # without it, some of these are refused before
    for content in (tiff_file(deep_pixels(), planes=planes), tiff_file(pixels(4), extra=[2], planes=planes)):
        with pytest.raises(ImageError) as caught:
            decode(content[:-5])
        assert "cut short" == caught.value.reason


def test_a_tiff_is_always_turned_and_its_size_is_that_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (tiff_file(pixels(), tags={274: [6]}), tiff_file(deep_pixels(), tags={274: [6]})):
        info = image_info(content)
        assert (HEIGHT, WIDTH, 3) == info[1:]
        assert 6 == orientation(content)
        for color in (COLOR, GREY, AS_STORED):
            assert is_transposed(content, color)
            assert (WIDTH, HEIGHT) == decode(content, color).pixels.shape[:2]
    monkeypatch.setattr(codec, "_opencv", lambda: None)
    assert (WIDTH, HEIGHT) == decode(tiff_file(deep_pixels(), tags={274: [6]}), AS_STORED).pixels.shape[:2]


def test_an_orientation_that_is_none_turns_no_tiff() -> None:
    content = tiff_file(pixels(), tags={274: [9]})
    assert 1 == orientation(content)
    assert np.array_equal(pixels(), decode(content).pixels)


@pytest.mark.parametrize("tags", [{50706: [1]}, {254: [1], 330: [8]}], ids=["DNG", "NEF"])
def test_a_raw_image_is_refused_instead_of_its_thumbnail(tags: dict[int, list[int]]) -> None:
    with pytest.raises(ImageError) as caught:
        decode(tiff_file(pixels(), tags=tags))
    assert ("is a camera's raw image: develop it to JPEG first", "camera's raw image") == (
        str(caught.value),
        caught.value.reason,
    )


def test_too_many_pixels_of_a_variant_are_refused_before_it_is_decoded() -> None:
    huge = bytearray(tiff_file(deep_pixels()))
    at = huge.index(struct.pack("<HHI", 256, 4, 1)) + 8
    huge[at : at + 4] = struct.pack("<I", 1 << 28)
    with pytest.raises(ImageError, match=r"is 268435456 x 17 pixels, and needs about .* GB"):
        decode(bytes(huge))


def test_damaged_headers_of_a_tiff_are_image_errors() -> None:
    rng = np.random.default_rng(5)
    for base in (tiff_file(deep_pixels()), tiff_file(pixels(), big=True)):
        for _ in range(1000):
            content = np.frombuffer(base[:300], np.uint8).copy()
            content[rng.integers(4, 300, 4)] = rng.integers(0, 256, 4)
            try:
                image_info(content.tobytes()[: rng.integers(8, 301)])
            except ImageError as error:
                assert "does not decode" == error.reason  # noqa: PT017 - many do not fail


def test_a_tag_that_is_repeated_is_read_once() -> None:
    count = 60_000  # entries, each of which names all the bytes of the file: in quadratic time, hours
    entry = struct.pack("<HHII", 273, 3, 6 * count - 8, 8)
    with pytest.raises(ImageError, match="damaged or cut TIFF header"):
        read_header(b"II*\0" + struct.pack("<IH", 8, count) + entry * count + bytes(4))


def test_a_tiff_whose_tags_share_their_bytes_is_damaged() -> None:
    def with_tags(count: int) -> bytes:
        whole = tiff_file(pixels())
        return whole[:8] + _directory(whole, count) + whole[8:]

    def _directory(whole: bytes, count: int) -> bytes:
        old, size = struct.unpack_from("<H", whole, 8)[0], 2 + 12 * count + 4
        more = b"".join(struct.pack("<HHII", 60_000 + tag, 7, len(whole), 8) for tag in range(count - old))
        entries = bytearray(whole[10 : 10 + 12 * old])
        for at in range(0, len(entries), 12):
            tag, type_, length, value = struct.unpack_from("<HHII", entries, at)
            if tag == 273 or length * {3: 2, 4: 4}[type_] > 4:  # the strips, and what else is elsewhere
                struct.pack_into("<I", entries, at + 8, value + size)
        return struct.pack("<H", count) + bytes(entries) + more + bytes(4)

    old = struct.unpack_from("<H", tiff_file(pixels()), 8)[0]
    assert read_header(tiff_file(pixels()))[:5] == read_header(with_tags(old + 3))[:5]
    with pytest.raises(ImageError, match="damaged or cut TIFF header"):
        read_header(with_tags(old + 200))


@pytest.mark.parametrize("big", [False, True])
def test_a_tag_of_values_beyond_the_end_of_the_file_is_damage(big: bool) -> None:
    content = tiff_file(pixels(), big=big)
    at = content.index(struct.pack("<HH", 258, 3)) + 4
    for length in (10**6, 2**32 - 1):
        with pytest.raises(ImageError, match="damaged or cut TIFF header"):
            read_header(content[:at] + length.to_bytes(4, "little") + content[at + 4 :])
