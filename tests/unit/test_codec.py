"""Images of every format decode to the pixels they hold, by either JPEG decoder; other content raises our error."""

from __future__ import annotations

import hashlib
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import golden_json, peak_bytes
from image_helpers import GOLDEN_IMAGES, deep_texture, encoded, texture
from PIL import Image

from im2rec.errors import ImageError
from im2rec.images import codec, opening
from im2rec.images.codec import AS_STORED, COLOR, GREY, ImageInfo, decode, image_info, is_transposed, orientation
from im2rec.images.signatures import sniff

Pixels = np.ndarray[Any, Any]


@pytest.fixture(params=["simplejpeg", "pillow"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library that decodes JPEGs: the test runs with each."""
    if request.param == "pillow":
        monkeypatch.setattr(codec, "_simplejpeg", None)
    elif codec._simplejpeg is None:
        pytest.skip("simplejpeg is not installed")
    return str(request.param)


# Weights of red, green and blue, the rounding term, and the bits shifted out: of libpng, libwebp, and OpenCV itself.
PNG_GREY, WEBP_GREY, OTHER_GREY = (
    (9797, 19234, 3737, 0, 15),
    (9798, 19235, 3735, 1 << 14, 15),
    (4899, 9617, 1868, 1 << 13, 14),
)


def weighted(image: Pixels, weights: tuple[int, ...]) -> Pixels:
    """*image* as grey, in one channel."""
    red, green, blue = (image[:, :, channel, None].astype(int) for channel in range(3))
    return ((weights[0] * red + weights[1] * green + weights[2] * blue + weights[3]) >> weights[4]).astype(np.uint8)


def same(expected: Pixels, found: Pixels) -> bool:
    """True if values and dtype are equal and *found* is contiguous."""
    return expected.dtype == found.dtype and np.array_equal(expected, found) and found.flags.c_contiguous


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_16_bit(samples: Pixels, color_type: int) -> bytes:
    """A 16-bit PNG made by hand, as Pillow writes none with several channels."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


RGB, RGBA, L = texture(), texture(channels=4), texture(channels=1)
LA = np.concatenate([L, RGBA[:, :, 3:]], axis=2)
DEEP = deep_texture()
DEEP_RGB = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]], axis=2)
ONE_BIT = np.where(L > 127, 255, 0).astype(np.uint8)
PALETTE = Image.fromarray(RGB).quantize(16)
PALETTE_RGB = np.asarray(PALETTE.convert("RGB"))
PALETTE_ALPHA = np.where(np.asarray(PALETTE) == 3, 0, 255).astype(np.uint8)[:, :, None]
PALETTE_PARTIAL_ALPHA = np.where(np.asarray(PALETTE) == 1, 128, PALETTE_ALPHA[:, :, 0]).astype(np.uint8)[:, :, None]


def grey_rgb(samples: Pixels) -> Pixels:
    return samples.repeat(3, axis=2)


# name: (file, pixels in colour, pixels in grey, pixels as stored)
LOSSLESS: dict[str, tuple[bytes, Pixels, Pixels, Pixels]] = {
    "PNG": (encoded(RGB, "PNG"), RGB, weighted(RGB, PNG_GREY), RGB),
    "grey PNG": (encoded(L, "PNG"), grey_rgb(L), L, L),
    "RGBA PNG": (encoded(RGBA, "PNG"), RGBA[:, :, :3], weighted(RGBA, PNG_GREY), RGBA),
    "LA PNG": (
        encoded(Image.fromarray(LA), "PNG"),
        grey_rgb(L),
        L,
        np.concatenate([grey_rgb(L), LA[:, :, 1:]], axis=2),
    ),
    "palette PNG": (encoded(PALETTE, "PNG"), PALETTE_RGB, weighted(PALETTE_RGB, PNG_GREY), PALETTE_RGB),
    "palette PNG with a clear colour": (
        encoded(PALETTE, "PNG", transparency=3),
        PALETTE_RGB,
        weighted(PALETTE_RGB, PNG_GREY),
        np.concatenate([PALETTE_RGB, PALETTE_ALPHA], axis=2),
    ),
    "palette PNG with alpha": (
        encoded(PALETTE, "PNG", transparency=bytes([255, 255, 255, 0] + [255] * 12)),
        PALETTE_RGB,
        weighted(PALETTE_RGB, PNG_GREY),
        np.concatenate([PALETTE_RGB, PALETTE_ALPHA], axis=2),
    ),
    "palette PNG with partial alpha": (  # which Pillow reads as bytes, not as one clear entry
        encoded(PALETTE, "PNG", transparency=bytes([255, 128, 255, 0] + [255] * 12)),
        PALETTE_RGB,
        weighted(PALETTE_RGB, PNG_GREY),
        np.concatenate([PALETTE_RGB, PALETTE_PARTIAL_ALPHA], axis=2),
    ),
    "1-bit PNG": (encoded(Image.fromarray(ONE_BIT[:, :, 0]).convert("1"), "PNG"), grey_rgb(ONE_BIT), ONE_BIT, ONE_BIT),
    "16-bit grey PNG": (
        encoded(DEEP, "PNG"),
        grey_rgb((DEEP >> 8).astype(np.uint8)[:, :, None]),
        (DEEP >> 8).astype(np.uint8)[:, :, None],
        DEEP[:, :, None],
    ),
    "GIF": (encoded(PALETTE, "GIF"), PALETTE_RGB, weighted(PALETTE_RGB, OTHER_GREY), PALETTE_RGB),
    "WebP": (encoded(RGB, "WEBP", lossless=True), RGB, weighted(RGB, WEBP_GREY), RGB),
    "WebP with alpha": (
        encoded(RGBA, "WEBP", lossless=True, exact=True),
        RGBA[:, :, :3],
        weighted(RGBA, WEBP_GREY),
        RGBA,
    ),
    "TIFF": (encoded(RGB, "TIFF"), RGB, weighted(RGB, OTHER_GREY), RGB),
    "16-bit TIFF": (
        encoded(DEEP, "TIFF"),
        grey_rgb((DEEP >> 8).astype(np.uint8)[:, :, None]),
        (DEEP >> 8).astype(np.uint8)[:, :, None],
        DEEP[:, :, None],
    ),
    "BMP": (encoded(RGB, "BMP"), RGB, weighted(RGB, OTHER_GREY), RGB),
    "grey BMP": (encoded(L, "BMP"), grey_rgb(L), L, L),
    "PPM": (encoded(RGB, "PPM"), RGB, weighted(RGB, OTHER_GREY), RGB),
    "PGM": (encoded(L, "PPM"), grey_rgb(L), L, L),
}


@pytest.mark.parametrize(("color", "column"), [(COLOR, 1), (GREY, 2), (AS_STORED, 3)])
def test_a_lossless_image_decodes_to_its_pixels(color: int, column: int) -> None:
    for kind, image in LOSSLESS.items():
        found = decode(image[0], color)
        assert same(image[column], found.pixels), kind
        assert "" == found.flaw


def test_a_16_bit_colour_png_decodes_to_its_high_bytes() -> None:
    assert same((DEEP_RGB >> 8).astype(np.uint8), decode(png_16_bit(DEEP_RGB, 2)).pixels)


def test_a_16_bit_colour_png_keeps_its_depth_as_stored() -> None:
    pytest.importorskip("cv2")  # Pillow has no such pixels
    # spec/im2rec.md 3.2: "16-bit PNG: ... -1 keeps 16 bit in .png"
    deep_rgba, deep_la = np.dstack([DEEP_RGB, DEEP[::-1, ::-1]]), np.dstack([DEEP, DEEP[::-1]])
    assert same(DEEP_RGB, decode(png_16_bit(DEEP_RGB, 2), AS_STORED).pixels)
    assert same(deep_rgba, decode(png_16_bit(deep_rgba, 6), AS_STORED).pixels)
    assert same(deep_la[:, :, [0, 0, 0, 1]], decode(png_16_bit(deep_la, 4), AS_STORED).pixels)


GOLDEN_JPEGS = {"cats/a.jpg": 99, "cats/b.JPG": 98, "cats/inner/c.jpeg": 97}


@pytest.mark.usefixtures("decoder")
def test_jpegs_decode_to_the_pixels_mxnet_recorded() -> None:
    for color, file in {COLOR: "png_color1", GREY: "png_color0", AS_STORED: "png_unchanged_color"}.items():
        recorded = {r["header"]["id"]: r["decoded"]["pixels_rgb_order_sha256"] for r in golden_json(file)["records"]}
        for name, id_ in GOLDEN_JPEGS.items():
            pixels = decode((GOLDEN_IMAGES / name).read_bytes(), color).pixels
            found = hashlib.sha256(pixels.tobytes()).hexdigest()
            assert (color, name, recorded[id_]) == (color, name, found)


def opencv_files() -> dict[str, bytes]:
    image = Image.fromarray(RGB)
    files = {kind: file for kind, (file, *_) in LOSSLESS.items() if kind != "GIF"}  # which older OpenCV cannot read
    files["JPEG"] = encoded(RGB, quality=90)
    files["progressive JPEG"] = encoded(RGB, progressive=True)
    files["4:4:4 JPEG"] = encoded(RGB, subsampling="4:4:4")
    files["grey JPEG"] = encoded(L)
    files["CMYK JPEG"] = encoded(image.convert("CMYK"), quality=95)
    return files


@pytest.mark.usefixtures("decoder")
def test_pixels_equal_those_of_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    for color, flag in {COLOR: cv2.IMREAD_COLOR, GREY: cv2.IMREAD_GRAYSCALE, AS_STORED: cv2.IMREAD_UNCHANGED}.items():
        for kind, content in opencv_files().items():
            read = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
            read = read[:, :, None] if read.ndim == 2 else read[:, :, [2, 1, 0, 3][: read.shape[2]]]
            found = decode(content, color).pixels
            assert (kind, read.shape, read.dtype) == (kind, found.shape, found.dtype)
            largest = np.abs(read.astype(int) - found.astype(int)).max()
            assert largest <= (kind == "CMYK JPEG"), (color, kind)  # one level, where Pillow decodes it


# Memory and verdicts of the caller.


@pytest.mark.skipif(codec._simplejpeg is None, reason="Pillow decodes to its own memory")
def test_a_jpeg_is_decoded_to_memory_of_its_exact_size() -> None:
    jpeg, grey_jpeg = encoded(RGB), encoded(L)
    for content, color, channels in (
        (jpeg, COLOR, 3),
        (jpeg, AS_STORED, 3),
        (jpeg, GREY, 1),
        (grey_jpeg, AS_STORED, 1),
        (grey_jpeg, COLOR, 3),
    ):
        buffers: list[Pixels] = []

        def room(size: int, buffers: list[Pixels] = buffers) -> Pixels:
            buffers.append(np.empty(size, np.uint8))
            return buffers[-1]

        found = decode(content, color, room=room).pixels
        assert [24 * 36 * channels] == [len(buffer) for buffer in buffers]
        assert np.shares_memory(buffers[0], found)
        assert same(decode(content, color).pixels, found)


def test_a_bmp_is_a_view_of_its_file_only_where_memory_may_be_shared() -> None:
    content = encoded(RGB, "BMP")
    for color in (COLOR, AS_STORED):
        assert np.shares_memory(np.frombuffer(content, np.uint8), decode(content, color, room=np.empty).pixels)
        assert not np.shares_memory(np.frombuffer(content, np.uint8), decode(content, color).pixels)


def test_a_jpeg_at_reduced_scale_is_decoded_to_new_memory() -> None:
    content = encoded(texture(60, 80))
    found = decode(content, at_least=(40, 30), room=lambda _: pytest.fail("memory is allocated")).pixels

    assert same(decode(content, at_least=(40, 30)).pixels, found)


def test_without_simplejpeg_the_verdict_decides_on_a_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_simplejpeg", None)
    content = encoded(RGB)
    with pytest.raises(ImageError) as caught:
        decode(content, verdict=lambda _: "cut short")
    assert "cut short" == caught.value.reason
    for verdict, flaw in (("stray bytes", "stray bytes"), ("", ""), (None, "")):
        found = decode(content, verdict=lambda _, verdict=verdict: verdict)  # type: ignore[misc]
        assert flaw == found.flaw
        assert same(decode(content).pixels, found.pixels)


def test_without_simplejpeg_a_jpeg_without_end_marker_is_decoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_simplejpeg", None)
    found = decode(encoded(RGB)[:-2], verdict=lambda _: "no end marker")

    assert "no end marker" == found.flaw
    assert same(decode(encoded(RGB)).pixels, found.pixels)


# Grey.


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """*png* with *chunks* after its header."""
    return png[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + png[33:]


def gamma_chunk(gamma: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", gamma)


SRGB = b"sRGB", b"\0"


def test_the_grey_of_a_png_is_rounded_down() -> None:
    just_below = np.array([[[0, 119, 89], [0, 156, 223]]], np.uint8)  # 80 and 117 less 1 / 32768

    assert [79, 116] == decode(encoded(just_below, "PNG"), GREY).pixels.ravel().tolist()


def test_a_png_with_a_gamma_is_averaged_to_grey_in_linear_light() -> None:
    black_white_red_violet = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [200, 0, 255]]], np.uint8)
    plain = encoded(black_white_red_violet, "PNG")
    linear = [0, 255, 147, 145]  # as MXNet and OpenCV read it

    assert [0, 255, 76, 88] == decode(plain, GREY).pixels.ravel().tolist()
    for chunks in ([gamma_chunk(45455)], [SRGB], [gamma_chunk(100_000), SRGB]):
        assert linear == decode(with_chunks(plain, *chunks), GREY).pixels.ravel().tolist()
        assert np.array_equal(black_white_red_violet, decode(with_chunks(plain, *chunks)).pixels)


def test_a_gamma_near_1_or_out_of_range_is_ignored() -> None:
    plain = encoded(RGB, "PNG")
    for gamma in (0, 15, 95_238, 100_000, 105_000, 700_000_000):
        found = decode(with_chunks(plain, gamma_chunk(gamma)), GREY).pixels
        assert same(weighted(RGB, PNG_GREY), found), gamma


def test_greys_in_a_colour_png_with_a_gamma_are_kept() -> None:
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    content = with_chunks(encoded(grey_rgb(greys), "PNG"), gamma_chunk(45_455))

    assert same(greys, decode(content, GREY).pixels)


def test_grey_of_any_gamma_equals_that_of_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    for plain in (encoded(RGB, "PNG"), encoded(RGBA, "PNG"), encoded(PALETTE, "PNG"), encoded(L, "PNG")):
        for gamma in (16, 1000, 30_000, 45_455, 55_000, 95_237, 105_001, 220_000, 10_000_000):
            content = with_chunks(plain, gamma_chunk(gamma))
            read = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)[:, :, None]
            assert same(read, decode(content, GREY).pixels), gamma


# Orientation.

TURNS: dict[int, Callable[[Pixels], Pixels]] = {  # what a viewer does, by NumPy functions
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: lambda image: np.rot90(image, 1),
}


def turned(kind: str, turn: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[274] = turn
    return encoded(RGB, kind, exif=exif, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.usefixtures("decoder")
def test_pixels_are_turned_upright_by_their_orientation_except_as_stored(kind: str) -> None:
    plain, grey, stored = (decode(encoded(RGB, kind), color).pixels for color in (COLOR, GREY, AS_STORED))
    for turn, turning in TURNS.items():
        content = turned(kind, turn)
        assert same(np.ascontiguousarray(turning(plain)), decode(content).pixels), turn
        assert same(np.ascontiguousarray(turning(grey)), decode(content, GREY).pixels), turn
        assert same(stored, decode(content, AS_STORED).pixels), turn


@pytest.mark.usefixtures("decoder")
def test_the_orientation_of_an_image_is_read_without_its_pixels() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        assert list(TURNS) == [orientation(turned(kind, turn)) for turn in TURNS], kind


@pytest.mark.usefixtures("decoder")
def test_an_image_is_transposed_if_decoding_exchanges_width_and_height() -> None:
    for color in (COLOR, GREY, AS_STORED):
        for turn in TURNS:
            content = turned("JPEG", turn)
            exchanged = decode(content, color).pixels.shape[:2] != RGB.shape[:2]
            assert exchanged == is_transposed(content, color), (color, turn)


def test_a_scan_marker_in_a_comment_does_not_hide_the_exif_data_after_it() -> None:
    # As in the thumbnail of a camera: the bytes look like the end of the header.
    for end in (b"", b"\xff\xda", b"\xff\xda\0\x02", b"\xff\xda\0\x0c" + bytes(40)):
        comment = b"\xff\xfe" + (2 + len(end)).to_bytes(2, "big") + end
        content = turned("JPEG", 6)
        content = content[:2] + comment + content[2:]
        assert same(decode(turned("JPEG", 6)).pixels, decode(content).pixels)


@pytest.mark.skipif(codec._simplejpeg is None, reason="Pillow alone does not open such a file")
def test_decoding_and_is_transposed_agree_on_files_with_markers_that_have_no_segment() -> None:
    # The walk over the segments ends at such a marker, and EXIF data is searched for, even after the image.
    plain, exif = encoded(RGB), turned("JPEG", 6)
    for marker in (b"\xff\x01", b"\xff\xd0", b"\xff\xd7"):
        for content in (exif, plain, plain + exif[exif.index(b"\xff\xe1") :]):
            odd = content[:2] + marker + content[2:]
            exchanged = decode(odd, cut_ok=True).pixels.shape[:2] != RGB.shape[:2]
            assert exchanged == is_transposed(odd)


def test_images_with_cached_headers_keep_their_own_size_and_orientation() -> None:
    wide, tall, turn = encoded(RGB), encoded(np.ascontiguousarray(RGB.transpose(1, 0, 2))), turned("JPEG", 6)
    for _ in range(2):  # the second time from the cache
        for content in (wide, turn, tall, encoded(RGB, quality=30), encoded(RGB[:, :, 0])):
            height, width = decode(content).pixels.shape[:2]
            _, *size, _ = image_info(content)
            assert size == ([width, height] if orientation(content) == 6 else [height, width])


def test_webp_and_tiff_are_turned_too() -> None:
    for kind, options in {"WEBP": {"lossless": True}, "TIFF": {}}.items():
        assert np.array_equal(np.rot90(RGB, -1), decode(turned(kind, 6, **options)).pixels)


@pytest.mark.usefixtures("decoder")
def test_an_invalid_orientation_turns_nothing() -> None:
    for turn in (0, 9, 274):
        for kind in ("JPEG", "TIFF"):
            content = turned(kind, turn)
            assert 1 == orientation(content)
            assert same(decode(encoded(RGB, kind)).pixels, decode(content).pixels)


def test_an_image_without_exif_data_is_upright() -> None:
    for content in (encoded(RGB), encoded(RGB, "PNG"), b"Exif\0\0", b""):
        assert 1 == orientation(content)


@pytest.mark.usefixtures("decoder")
def test_damaged_exif_data_turns_nothing_and_gives_no_warning() -> None:
    content = bytearray(turned("JPEG", 6))
    at = content.index(b"Exif\0\0")
    content[at + 14 : at + 16] = b"\0\xc8"  # 200 tags, but bytes for one
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels = decode(bytes(content)).pixels

    assert set(RGB.shape) == set(pixels.shape)
    assert [] == [str(warning.message) for warning in caught]


# Harmless flaws, and files that are cut short.

SCAN = encoded(texture(60, 80), quality=90)


def with_stray_bytes(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xda")
    return jpeg[:at] + b"\x01\x02\x03\x04" + jpeg[at:]


def test_stray_bytes_before_a_marker_change_no_pixel(decoder: str) -> None:
    found = decode(with_stray_bytes(SCAN))

    assert same(decode(SCAN).pixels, found.pixels)
    assert {"simplejpeg": "stray bytes", "pillow": ""}[decoder] == found.flaw


@pytest.mark.skipif(codec._simplejpeg is None, reason="Pillow alone takes it for a cut file")
def test_a_missing_end_marker_changes_no_pixel() -> None:
    found = decode(SCAN[:-2])

    assert same(decode(SCAN).pixels, found.pixels)
    assert "no end marker" == found.flaw


@pytest.mark.usefixtures("decoder")
def test_bytes_after_the_end_marker_are_ignored() -> None:
    assert "" == decode(SCAN + bytes(1000)).flaw
    assert same(decode(SCAN).pixels, decode(SCAN + b"trailing").pixels)


def reason_of(content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(content)
    return caught.value.reason


@pytest.mark.usefixtures("decoder")
def test_a_jpeg_whose_data_ends_early_is_cut_short() -> None:
    progressive = encoded(texture(60, 80), progressive=True)
    for share in (0.4, 0.6, 0.95):
        assert "cut short" == reason_of(SCAN[: int(share * len(SCAN))])
        assert "cut short" == reason_of(progressive[: int(share * len(progressive))])


@pytest.mark.usefixtures("decoder")
def test_a_cut_jpeg_raises_the_same_message_in_either_decoder() -> None:
    with pytest.raises(ImageError) as caught:
        decode(SCAN[: len(SCAN) // 2])
    assert "the image data ends early" == str(caught.value)


@pytest.mark.skipif(codec._simplejpeg is None, reason="Pillow alone takes it for a sound file")
def test_an_end_marker_after_the_cut_does_not_hide_it() -> None:
    for share in (0.4, 0.6, 0.95):
        assert "cut short" == reason_of(SCAN[: int(share * len(SCAN))] + b"\xff\xd9")


@pytest.mark.usefixtures("decoder")
def test_a_cut_jpeg_is_decoded_on_request_with_its_flaw() -> None:
    whole = texture(60, 80)
    for content in (encoded(whole, quality=90), encoded(whole, progressive=True)):
        for share in (0.4, 0.6, 0.95):
            cut = content[: int(share * len(content))]
            for color, channels in ((COLOR, 3), (GREY, 1), (AS_STORED, 3)):
                found = decode(cut, color, cut_ok=True)
                assert "cut short" == found.flaw
                assert (60, 80, channels) == found.pixels.shape
            assert "cut short" == reason_of(cut)


@pytest.mark.usefixtures("decoder")
def test_pixels_before_the_cut_are_kept_and_the_rest_is_filled_in() -> None:
    found = decode(SCAN[: len(SCAN) // 2], cut_ok=True).pixels
    expected = decode(SCAN).pixels

    assert np.array_equal(expected[:12], found[:12])
    assert [0.0] == np.unique(np.ptp(found[-8:].astype(float), axis=(0, 1))).tolist()  # flat


@pytest.mark.usefixtures("decoder")
def test_a_cut_jpeg_is_turned_upright_and_decoded_at_the_requested_scale() -> None:
    content = turned("JPEG", 6, quality=100)
    found = decode(content[: len(content) - 300], cut_ok=True)
    small = decode(SCAN[: len(SCAN) // 2], at_least=(40, 30), cut_ok=True)

    assert ("cut short", "cut short") == (found.flaw, small.flaw)
    assert (36, 24, 3) == found.pixels.shape
    assert (30, 40, 3) == small.pixels.shape


@pytest.mark.usefixtures("decoder")
def test_a_jpeg_cut_anywhere_in_its_scans_gives_an_image_of_its_size() -> None:
    small = texture(20, 30)
    for content in (encoded(small), with_stray_bytes(encoded(small)), encoded(small, progressive=True)):
        cuts = range(content.index(b"\xff\xda") + 30, len(content))
        assert [] == [size for size in cuts if error_of(decode_cut, content[:size])]


def decode_cut(content: bytes) -> None:
    assert (20, 30, 3) == decode(content, cut_ok=True).pixels.shape


@pytest.mark.usefixtures("decoder")
def test_cut_ok_changes_nothing_for_a_whole_jpeg() -> None:
    found = decode(SCAN, cut_ok=True)

    assert "" == found.flaw
    assert same(decode(SCAN).pixels, found.pixels)


@pytest.mark.usefixtures("decoder")
def test_cut_ok_does_not_accept_other_formats_or_a_jpeg_without_image_data() -> None:
    png = encoded(texture(60, 80), "PNG")
    for content in (png[: len(png) // 2], SCAN[:300], b"\xff\xd8\xff", b""):
        with pytest.raises(ImageError) as caught:
            decode(content, cut_ok=True)
        assert reason_of(content) == caught.value.reason


@pytest.mark.usefixtures("decoder")
def test_a_jpeg_cut_in_a_long_comment_keeps_the_scans_before_it() -> None:
    progressive = encoded(texture(60, 80), progressive=True)
    second = progressive.index(b"\xff\xc4", progressive.index(b"\xff\xda"))  # the tables of the second scan
    comment = b"\xff\xfe\xff\xff" + bytes(65_533)
    first_scan = decode(progressive[:second] + b"\xff\xd9", cut_ok=True).pixels

    found = decode(progressive[:second] + comment[:100], cut_ok=True)
    assert "cut short" == found.flaw
    assert same(first_scan, found.pixels)


def test_a_cut_png_is_cut_short() -> None:
    content = encoded(texture(60, 80), "PNG")

    assert "cut short" == reason_of(content[: len(content) // 2])


NOT_IMAGES = {
    b"": "empty",
    b"hello, this is text": "not an image",
    b"\x00" * 100: "not an image",
    b"\xff\xd8\xff": "does not decode",
    b"\x89PNG\r\n\x1a\n": "does not decode",
    b"BM": "does not decode",
}


@pytest.mark.usefixtures("decoder")
def test_content_that_is_not_an_image_is_an_error_with_its_reason() -> None:
    assert NOT_IMAGES == {content: reason_of(content) for content in NOT_IMAGES}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.usefixtures("decoder")
def test_too_many_pixels_are_refused_before_they_are_decoded(kind: str) -> None:
    content, pixels = encoded(RGB, kind), RGB.shape[0] * RGB.shape[1]
    with pytest.raises(ImageError) as caught:
        decode(content, max_pixels=pixels - 1)

    expected = (
        f"is {RGB.shape[1]} x {RGB.shape[0]} pixels, more than max_pixels={pixels - 1}"
        f" (raise max_pixels to {pixels} for images you trust)"
    )
    assert "too many pixels" == caught.value.reason
    assert expected == str(caught.value)
    assert RGB.shape == decode(content, max_pixels=pixels).pixels.shape


@pytest.mark.usefixtures("decoder")
def test_a_few_bytes_that_claim_gigabytes_allocate_nothing() -> None:
    content = bytearray(encoded(RGB))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = b"\xff\xdc\xff\xdc"
    reasons: list[str] = []

    def attempt() -> None:
        with pytest.raises(ImageError) as caught:
            decode(bytes(content))
        reasons.append(caught.value.reason)

    assert peak_bytes(attempt) < 2_000_000
    assert ["too many pixels"] == reasons
    assert (65500, 65500) == image_info(bytes(content))[1:3]  # its header can be read


def test_a_large_image_below_the_limit_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", RGB.shape[0] * RGB.shape[1] * 3 // 4)  # Pillow refuses at twice that
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = decode(encoded(RGB, "PNG")).pixels

    assert same(RGB, found)
    assert [] == [str(warning.message) for warning in caught]


def damaged(whole: bytes, seed: int) -> bytes:
    """*whole* with a few bytes changed, mostly near its start, and cut for every third *seed*."""
    rng = random.Random(seed)
    content = bytearray(whole[: rng.randrange(1, len(whole))] if seed % 3 == 0 else whole)
    for _ in range(rng.randrange(1, 4)):
        content[rng.randrange(min(len(content), rng.choice([40, 10_000])))] = rng.randrange(256)
    return bytes(content)


def decode_grey_cut_ok(content: bytes) -> None:
    decode(content, GREY, cut_ok=True)


def error_of(function: Callable[[bytes], object], content: bytes) -> ImageError | None:
    try:
        function(content)
    except ImageError as error:
        return error
    return None


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.usefixtures("decoder")
def test_damaged_bytes_give_pixels_or_an_image_error() -> None:
    wholes = {kind: encoded(RGB, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "PPM")}
    wholes["GIF"] = encoded(PALETTE, "GIF")
    errors = [
        error
        for whole in wholes.values()
        for seed in range(100)
        for function in (decode, image_info, decode_grey_cut_ok)
        if (error := error_of(function, damaged(whole, seed)))
    ]

    assert {1} == {len(str(error).splitlines()) for error in errors}
    assert {"cut short", "does not decode", "not an image"} <= {error.reason for error in errors}


# The first bytes and the header.

SNIFFED = {
    "JPEG": encoded(RGB),
    "PNG": encoded(RGB, "PNG"),
    "BMP": encoded(RGB, "BMP"),
    "GIF": encoded(PALETTE, "GIF"),
    "WebP": encoded(RGB, "WEBP"),
    "TIFF": encoded(RGB, "TIFF"),
    "PPM": encoded(RGB, "PPM"),
    "JPEG 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    "AVIF": b"\x00\x00\x00\x1cftypavif",
    "not an image": b"hello",
    "empty": b"",
}


def test_every_format_is_recognised_by_its_first_12_bytes() -> None:
    assert {kind: kind for kind in SNIFFED} == {kind: sniff(content[:12]) for kind, content in SNIFFED.items()}
    assert "TIFF" == sniff(b"MM\x00*\x00\x00\x00\x08")
    assert "not an image" == sniff(b"RIFF\x00\x00\x00\x00WAVE")


INFOS = {
    "JPEG": ImageInfo("JPEG", 24, 36, 3),
    "PNG": ImageInfo("PNG", 24, 36, 3),
    "BMP": ImageInfo("BMP", 24, 36, 3),
    "WebP": ImageInfo("WebP", 24, 36, 3),
    "TIFF": ImageInfo("TIFF", 24, 36, 3),
    "PPM": ImageInfo("PPM", 24, 36, 3),
}


@pytest.mark.usefixtures("decoder")
def test_size_and_channels_are_read_from_the_header_before_any_orientation() -> None:
    assert INFOS == {kind: image_info(SNIFFED[kind]) for kind in INFOS}
    assert ImageInfo("JPEG", 24, 36, 3) == image_info(turned("JPEG", 6))
    assert ImageInfo("JPEG", 24, 36, 1) == image_info(encoded(L))
    cmyk = encoded(Image.fromarray(RGB).convert("CMYK"))
    transform = cmyk.index(b"Adobe") + 11
    for content in (cmyk, cmyk[:transform] + b"\2" + cmyk[transform + 1 :]):  # CMYK and YCCK
        assert ImageInfo("JPEG", 24, 36, 4) == image_info(content)
    assert ImageInfo("PNG", 24, 36, 4) == image_info(encoded(RGBA, "PNG"))
    assert ImageInfo("PNG", 24, 36, 1) == image_info(encoded(DEEP, "PNG"))


@pytest.mark.usefixtures("decoder")
def test_the_first_4_kib_are_enough_for_a_header() -> None:
    big = encoded(texture(300, 400))
    assert len(big) > 20_000

    assert ImageInfo("JPEG", 300, 400, 3) == image_info(big[:4096])
    assert ImageInfo("PNG", 300, 400, 3) == image_info(encoded(texture(300, 400), "PNG")[:4096])


@pytest.mark.usefixtures("decoder")
def test_a_header_that_is_cut_short_is_an_error() -> None:
    for cut in (0, 3, 20, 100):
        with pytest.raises(ImageError) as caught:
            image_info(encoded(RGB)[:cut])
        assert ("empty" if cut == 0 else "does not decode") == caught.value.reason


def test_pillows_limit_is_restored_when_two_threads_open_images(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherThreadLeaves:
        """A lock that is acquired when another thread has restored the limit."""

        def __enter__(self) -> None:
            Image.MAX_IMAGE_PIXELS = 1234567

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # while the other thread opens its image
    monkeypatch.setattr(opening, "_OPEN_LOCK", OtherThreadLeaves())
    image_info(encoded(RGB, "PNG"))

    assert 1234567 == Image.MAX_IMAGE_PIXELS
