"""Images that need too much memory are refused by their header; large ones are decoded without needless copies."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, message_of, write_rec
from image_helpers import encoded, texture
from PIL import Image

from im2rec.errors import BadRecordError, ImageError
from im2rec.format.irheader import ImageRecord, IRHeader
from im2rec.images import codec, pillow_pixels
from im2rec.images.codec import AS_STORED, COLOR, GREY, decode
from im2rec.images.jpeg import TOO_LARGE, scan_count
from im2rec.images.limits import MAX_SCANS, check_scaled, check_stored, most_pixels
from im2rec.inspection.image_sample import make_tile
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.packing.encode import store_image
from im2rec.packing.params import PackParams

SIDE = 60_000


def reason_of(content: bytes, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        decode(content, **options)
    return caught.value.reason


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of that size with ten bytes of data, and *chunks* before them."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(bytes(10))), (b"IEND", b"")]
    framed = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def gif(width: int, height: int) -> bytes:
    """A GIF with a canvas of that size, and a frame of one pixel."""
    canvas = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return canvas + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00\x3b"


def jpeg(width: int, height: int, **options: Any) -> bytes:
    """A small JPEG whose header claims that size."""
    content = bytearray(encoded(texture(), **options))
    at = content.index(b"\xff\xc2" if options else b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def tiff(width: int, height: int, *tags: tuple[int, int]) -> bytes:
    """A grey LZW TIFF of that size with *tags*, (number, value), and 200 bytes of data."""
    rows = sorted([(256, width), (257, height), (258, 8), (259, 5), (262, 1), (277, 1), *tags])
    entries = b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in rows)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(rows)) + entries + bytes(204)


def bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IIIHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def jpeg_2000(width: int, height: int) -> bytes:
    content = encoded(texture(64, 64), "JPEG2000")
    return content.replace(struct.pack(">II", 64, 64), struct.pack(">II", width, height))


def webp(width: int, height: int) -> bytes:
    """A lossless WebP of that size, up to 16384 x 16384, whose data is zeros."""
    data = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(9)
    chunk = b"VP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


ANIMATION = (b"acTL", struct.pack(">II", 2, 0)), (b"fcTL", struct.pack(">IIIIIHHBB", 0, SIDE, SIDE, 0, 0, 1, 1, 0, 0))
BOMBS = {
    "GIF": gif(SIDE, SIDE),
    "PNG": png(SIDE, SIDE),
    "animated PNG": png(SIDE, SIDE, *ANIMATION),
    "tall PNG": png(1, 2**31 - 1),
    "wide PNG": png(2**31 - 1, 1),
    "baseline JPEG": jpeg(SIDE, SIDE),
    "progressive JPEG": jpeg(SIDE, SIDE, progressive=True),
    "BMP": bmp(SIDE, SIDE),
    "TIFF in one strip": tiff(SIDE, SIDE, (273, 200), (278, SIDE), (279, 100)),
    "small TIFF in a large tile": tiff(100, 100, (322, SIDE), (323, SIDE), (324, 200), (325, 100)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_few_bytes_that_claim_a_huge_image_are_refused_by_their_header(kind: str) -> None:
    assert len(BOMBS[kind]) < 3000
    assert TOO_LARGE == reason_of(BOMBS[kind])


def test_a_huge_jpeg_2000_is_refused_by_its_header() -> None:
    pytest.importorskip("PIL.Jpeg2KImagePlugin")
    assert TOO_LARGE == reason_of(jpeg_2000(SIDE, SIDE))


def test_a_huge_webp_is_refused_by_its_header() -> None:
    pytest.importorskip("PIL._webp")
    assert TOO_LARGE == reason_of(webp(1 << 14, 1 << 14))
    assert TOO_LARGE == reason_of(webp(8000, 8000))
    assert "does not decode" == reason_of(webp(64, 64))


def test_a_header_within_the_limit_is_decoded_and_its_damage_found() -> None:
    assert "cut short" == reason_of(png(11_000, 11_000))


def test_sixteen_bits_as_stored_count_twice() -> None:
    pytest.importorskip("cv2")
    content = bytearray(png(10_000, 10_000))
    content[24] = 16
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))

    assert TOO_LARGE == reason_of(bytes(content), color=AS_STORED)
    assert "cut short" == reason_of(bytes(content))


def test_the_limit_is_a_gibibyte_over_the_bytes_that_a_pixel_takes() -> None:
    assert [1 << 27, 1 << 27, (1 << 30) // 18] == [most_pixels(kind, None) for kind in ("JPEG", "unknown", "WEBP")]
    check_stored("PNG", (1 << 14, 1 << 13), None)
    expected = (
        "is 16384 x 8193 pixels, and needs about 1.1 GB of memory (raise max_pixels to 134234112 for images you trust)"
    )
    assert expected == message_of(check_stored, "PNG", (1 << 14, (1 << 13) + 1), None)


def test_max_pixels_takes_the_place_of_the_limit_on_memory_for_every_kind() -> None:
    assert [1000, 1000] == [most_pixels(kind, 1000) for kind in ("JPEG", "WEBP")]
    check_stored("PNG", (SIDE, SIDE), SIDE**2)
    check_scaled((10, 10), (SIDE, SIDE), SIDE**2)


def test_the_image_after_resize_counts_together_with_the_one_before() -> None:
    expected = (
        "is 30000 x 1 pixels, 7680000 x 256 after resize, and needs about 15.7 GB of memory"
        " (raise max_pixels to 1966080000 for images you trust)"
    )
    assert expected == message_of(check_scaled, (30_000, 1), (7_680_000, 256), None)
    check_scaled((11_000, 11_000), (256, 256), None)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("words", [{}, {"engine": "pillow"}, {"draft": 1}])
def test_pack_refuses_a_strip_that_resize_would_make_huge(kind: str, words: dict[str, Any]) -> None:
    strip = encoded(texture(1, 30_000), kind)

    problem = message_of(store_image, strip, 0, PackParams(resize=256, encoding=".png", **words))
    assert problem.startswith("is 30000 x 1 pixels, 7680000 x 256 after resize, and needs about 15.7 GB")


def test_pack_takes_a_strip_of_which_less_is_left() -> None:
    strip = encoded(texture(1, 30_000), "PNG")

    for words in ({"max_side": 20}, {"resize": 256, "center_crop": 1}, {"resize": 2, "max_pixels": 120_000}):
        assert store_image(strip, 0, PackParams(**words))
    assert "more than max_pixels=119999" in message_of(store_image, strip, 0, PackParams(resize=2, max_pixels=119_999))


def test_a_draft_counts_the_size_that_is_decoded_but_only_of_baseline_jpegs() -> None:
    small = {"at_least": (128, 128)}

    baseline = jpeg(30_000, 30_000)
    if codec._simplejpeg is None:  # Pillow alone takes it for a sound file
        assert (3750, 3750, 3) == decode(baseline, **small).pixels.shape
    else:
        assert reason_of(baseline, **small) in ("cut short", "does not decode")
    assert TOO_LARGE == reason_of(jpeg(30_000, 30_000), at_least=(20_000, 20_000))
    assert TOO_LARGE == reason_of(jpeg(30_000, 30_000, progressive=True), **small)
    assert TOO_LARGE == reason_of(jpeg(30_000, 30_000), **small, max_pixels=1 << 28)


def test_a_tile_of_a_sheet_names_the_reason_and_max_pixels_lets_the_image_in() -> None:
    record = ImageRecord(IRHeader(0, 1.0, 7), encoded(texture(), "PNG"))

    assert TOO_LARGE == make_tile(record, max_pixels=24 * 36 - 1).reason
    assert "" == make_tile(record, max_pixels=24 * 36).reason


def iterator(folder: Path, content: bytes, **words: Any) -> ImageRecordIter:
    path = write_rec(folder / "one.rec", [image_payload(5, content=content)])
    return ImageRecordIter(path_imgrec=str(path), data_shape=(3, 16, 16), batch_size=1, verbose=0, **words)


@pytest.mark.parametrize(
    "words", [{"resize": 256}, {"min_img_size": 20000}, {"pad": 40000}, {"data_shape": (3, 600, 600)}]
)
def test_an_iterator_refuses_what_an_image_would_become(tmp_path: Path, words: dict[str, Any]) -> None:
    path = write_rec(tmp_path / "one.rec", [image_payload(5, content=encoded(texture(1, 30_000), "PNG"))])
    given = {"data_shape": (3, 16, 16), **words}
    with (
        ImageRecordIter(path_imgrec=str(path), batch_size=1, verbose=0, **given) as it,
        pytest.raises(
            BadRecordError, match=r"one.rec, record 0, id 5, byte 0: the image is 30000 x 1 pixels, .*max_pixels"
        ),
    ):
        next(it)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_max_pixels_of_an_iterator_is_that_of_the_stored_image(tmp_path: Path, kind: str) -> None:
    content = encoded(texture(), kind)
    with iterator(tmp_path, content, max_pixels=24 * 36) as it:
        assert 1 == len(list(it))
    too_few = iterator(tmp_path, content, max_pixels=24 * 36 - 1)
    with too_few, pytest.raises(BadRecordError, match="more than max_pixels=863"):
        next(too_few)


def test_a_mean_image_is_made_within_the_same_limit(tmp_path: Path) -> None:
    words = {"mean_img": str(tmp_path / "mean.bin"), "max_pixels": 10}

    with pytest.raises(BadRecordError, match="more than max_pixels=10"):
        iterator(tmp_path, encoded(texture(), "PNG"), **words)


MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


@pytest.mark.parametrize("color", [COLOR, GREY, AS_STORED])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(24, 36), (36, 24)])
def test_a_large_image_is_converted_in_bands_to_the_same_pixels(
    mode: str, color: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape) * 7)
    else:
        image = Image.fromarray(texture(*shape)).convert(mode)
    content = encoded(image, "PNG")
    whole = decode(content, color).pixels
    bands: list[tuple[int, int]] = []
    crop = Image.Image.crop
    monkeypatch.setattr(pillow_pixels, "_BAND_PIXELS", 100)
    monkeypatch.setattr(Image.Image, "crop", lambda image, box: bands.append(box) or crop(image, box))
    found = decode(content, color).pixels

    assert (whole.dtype, whole.shape) == (found.dtype, found.shape)
    assert np.array_equal(whole, found)
    assert 9 == len(bands)


def test_bands_keep_transparency_palette_orientation_and_gamma(monkeypatch: pytest.MonkeyPatch) -> None:
    palette = Image.fromarray(texture()).quantize(16)
    contents = [encoded(palette, "PNG", transparency=bytes([0, 128, *[255] * 14])), encoded(palette, "GIF")]
    exif = Image.Exif()
    exif[274] = 6
    contents += [encoded(texture(), kind, exif=exif) for kind in ("PNG", "TIFF", "JPEG")]
    monkeypatch.setattr(codec, "_simplejpeg", None)
    whole = [decode(content, color).pixels for content in contents for color in (COLOR, GREY, AS_STORED)]
    monkeypatch.setattr(pillow_pixels, "_BAND_PIXELS", 100)
    found = [decode(content, color).pixels for content in contents for color in (COLOR, GREY, AS_STORED)]

    assert all(map(np.array_equal, whole, found))


def repeated(content: bytes, times: int) -> bytes:
    """A JPEG with its last scan *times* more."""
    return content[:-2] + content[content.rindex(b"\xff\xda") : -2] * times + content[-2:]


def test_a_jpeg_of_thousands_of_scans_is_refused() -> None:
    pixels = np.zeros((200, 200, 3), np.uint8)
    progressive = encoded(pixels, progressive=True)
    scans = scan_count(progressive)

    assert 10 == scans
    assert pixels.shape == decode(repeated(progressive, MAX_SCANS - scans)).pixels.shape
    for options in ({}, {"max_pixels": 10**6}, {"at_least": (20, 20)}, {"cut_ok": True}):
        assert "too many scans" == reason_of(repeated(progressive, MAX_SCANS - scans + 1), **options)
    assert "has 100010 scans, more than 500: decoding it would take 100010 times as long" in message_of(
        decode, repeated(progressive, 10**5)
    )


def test_only_scans_that_are_decoded_count() -> None:
    one = encoded(np.zeros((8, 8, 3), np.uint8))
    assert 1 == scan_count(one) == scan_count(repeated(one, 1000)) == scan_count(encoded(np.zeros((8, 8), np.uint8)))
    at = one.index(b"\xff\xda")
    first = one[:at] + b"\xff\xda\0\x08\1\1\0\0\x3f\0"  # of one component of three: others follow
    assert 1001 == scan_count(first + first[at:] * 1000)
    assert 0 == scan_count(one[:at]) == scan_count(b"") == scan_count(b"\xff\xd8\xff")
