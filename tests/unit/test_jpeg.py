"""The segments of a JPEG, made by hand: quantisation tables, EXIF orientation, and the bytes before the image data."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
from image_helpers import encoded, texture
from PIL import Image

from im2rec.images import jpeg
from im2rec.images.jpeg import EXIF_PREFIX, apply_orientation, parse_orientation

START = b"\xff\xd8"
APP0, APP1, COMMENT, DQT, SOS = 0xE0, 0xE1, 0xFE, 0xDB, 0xDA


def segment(marker: int, data: bytes) -> bytes:
    """A marker, its two-byte length (which counts itself) and *data*."""
    return bytes([0xFF, marker]) + (2 + len(data)).to_bytes(2, "big") + data


SCAN = segment(SOS, b"\1\1\0\0\x3f\0")


def file(*parts: bytes) -> bytes:
    """A JPEG of *parts*, a scan header and a little image data."""
    return START + b"".join(parts) + SCAN + b"data\xff\xd9"


# The quality.


def libjpeg_tables() -> dict[int, list[int]]:
    """The luminance table that libjpeg writes for each quality, the best first."""
    pixels = np.zeros((8, 8), np.uint8)
    files = {quality: encoded(pixels, quality=quality) for quality in range(100, 0, -1)}
    return {quality: list(Image.open(io.BytesIO(content)).quantization[0]) for quality, content in files.items()}


TABLES = libjpeg_tables()


def table_of_sum(total: int) -> bytes:
    """64 values from 0 to 255 that add up to *total*."""
    return bytes(total // 64 + (number < total % 64) for number in range(64))


def test_the_quality_is_that_of_the_nearest_table_that_libjpeg_writes() -> None:
    sums = {quality: sum(table) for quality, table in TABLES.items()}
    between = [(one + other) // 2 for one, other in zip(sums.values(), list(sums.values())[1:], strict=False)]
    for total in sorted({middle + offset for middle in between for offset in (-1, 0, 1)} | set(sums.values())):
        nearest = min(sums, key=lambda quality: abs(sums[quality] - total))
        assert nearest == jpeg.estimated_quality(file(segment(DQT, b"\0" + table_of_sum(total)))), total


def test_sums_outside_those_of_libjpeg_are_the_best_and_the_worst_quality() -> None:
    assert 100 == jpeg.estimated_quality(file(segment(DQT, b"\0" + bytes(64))))
    assert 100 == jpeg.estimated_quality(file(segment(DQT, b"\0" + b"\1" * 64)))
    assert 1 == jpeg.estimated_quality(file(segment(DQT, b"\0" + b"\xff" * 64)))
    assert 1 == jpeg.estimated_quality(file(segment(DQT, b"\x10" + b"\xff" * 128)))


def test_tables_may_have_values_of_16_bits() -> None:
    for quality in (20, 50, 90):
        total = sum(TABLES[quality])
        values = [300, 100, *[0] * 61, total - 400]  # 300 needs its high byte
        assert quality == jpeg.estimated_quality(file(segment(DQT, b"\x10" + struct.pack(">64H", *values))))


def test_the_quality_is_read_from_table_0_wherever_it_is_defined() -> None:
    luminance, chrominance = b"\0" + bytes(TABLES[80]), b"\1" + bytes([7] * 64)
    for tables in (
        segment(DQT, luminance) + segment(DQT, chrominance),
        segment(DQT, chrominance) + segment(DQT, luminance),
        segment(DQT, luminance + chrominance),
        segment(APP0, bytes(70)) + segment(DQT, luminance),
    ):
        assert 80 == jpeg.estimated_quality(file(tables))


def test_without_a_whole_luminance_table_there_is_no_quality() -> None:
    for content in (b"", b"\xff", START, file(), file(segment(DQT, b"\1" + bytes(64))), encoded(texture(), "PNG")):
        assert jpeg.estimated_quality(content) is None
    table = segment(DQT, b"\0" + bytes(TABLES[80]))
    assert 80 == jpeg.estimated_quality(START + table)
    assert jpeg.estimated_quality(START + table[:-1]) is None
    wide = segment(DQT, b"\x10" + struct.pack(">64H", *TABLES[80]))
    assert 80 == jpeg.estimated_quality(START + wide)
    for cut in (1, 2, 60, 127, 128, 129):
        assert jpeg.estimated_quality(START + wide[:-cut]) is None
    cut = segment(DQT, b"\x10" + struct.pack(">64H", *TABLES[80])[:100])  # in its own segment, with the next one whole
    assert 80 == jpeg.estimated_quality(START + cut + table)
    assert jpeg.estimated_quality(file(segment(DQT, b""))) is None


@pytest.mark.parametrize("quality", [1, 2, 10, 25, 49, 50, 51, 75, 90, 95, 99, 100])
def test_the_quality_that_a_colour_jpeg_was_written_with_is_recovered(quality: int) -> None:
    assert quality == jpeg.estimated_quality(encoded(texture(), quality=quality))


# Segments.


def test_segments_are_listed_with_their_data_up_to_the_image_data() -> None:
    parts = [(APP0, b"abc"), (COMMENT, b""), (DQT, b"x" * 253), (APP1, b"y" * 254), (0xE2, b"z" * 65_533)]

    assert parts == list(jpeg.segments(file(*(segment(*part) for part in parts))))


def test_fill_bytes_may_precede_a_marker() -> None:
    filled = file(b"\xff", segment(APP0, b"abc"), b"\xff\xff\xff", segment(COMMENT, b"d"), b"\xff")

    assert [(APP0, b"abc"), (COMMENT, b"d")] == list(jpeg.segments(filled))


def test_segments_end_at_the_first_byte_that_is_not_a_marker() -> None:
    assert [(APP0, b"abc")] == list(jpeg.segments(file(segment(APP0, b"abc"), b"\0", segment(COMMENT, b"d"))))


def test_the_last_segment_may_end_with_the_file_and_is_cut_with_it() -> None:
    assert [(COMMENT, b"")] == list(jpeg.segments(START + segment(COMMENT, b"")))
    assert [(COMMENT, b"ab")] == list(jpeg.segments(START + segment(COMMENT, b"abcd")[:-2]))
    for size in range(6):  # too short for a marker and a length
        assert [] == list(jpeg.segments((START + segment(COMMENT, b"abcd"))[:size]))


def test_any_bytes_are_parsed_without_an_error() -> None:
    rng = random.Random(5)
    whole = encoded(texture())
    for _ in range(500):
        content = bytearray(whole[: rng.randrange(len(whole))])
        for _ in range(rng.randrange(5) if content else 0):
            content[rng.randrange(min(len(content), 200))] = rng.randrange(256)
        quality = jpeg.estimated_quality(bytes(content))
        assert quality is None or 1 <= quality <= 100
        assert parse_orientation(jpeg.exif(bytes(content))) in range(1, 9)


# The bytes before the image data.


def test_header_bytes_end_with_the_scan_header() -> None:
    for scan in (SCAN, segment(SOS, bytes(300))):
        header = START + segment(APP0, b"abc") + scan
        assert header == jpeg.header_bytes(header + b"image data")
        assert jpeg.is_well_formed(header)


def test_header_bytes_are_empty_from_2048_bytes_on() -> None:
    comment = bytes(2047 - len(START + segment(COMMENT, b"") + SCAN))
    longest = START + segment(COMMENT, comment) + SCAN

    assert 2047 == len(longest)
    assert longest == jpeg.header_bytes(longest + b"image data")
    assert b"" == jpeg.header_bytes(START + segment(COMMENT, comment + b"x") + SCAN + b"image data")


def test_header_bytes_are_empty_without_a_whole_scan_marker_and_length() -> None:
    header = START + segment(APP0, b"abc") + SCAN
    scan = header.index(b"\xff\xda")
    for size in range(scan + 4):
        assert b"" == jpeg.header_bytes(header[:size])
    for size in range(scan + 4, len(header)):
        assert header[:size] == jpeg.header_bytes(header[:size])


def test_a_header_that_ends_inside_a_thumbnail_or_holds_stray_bytes_is_not_well_formed() -> None:
    thumbnail = segment(APP1, b"some EXIF data, then \xff\xda\0\x08 in a thumbnail, which goes on")
    for content in (file(thumbnail), file(b"\0"), file(segment(APP0, b"abc"), b"\1\2\3")):
        assert not jpeg.is_well_formed(jpeg.header_bytes(content))
    assert jpeg.is_well_formed(jpeg.header_bytes(file(segment(APP0, b"abc"), b"\xff\xff")))


# EXIF data.


def tiff(*entries: tuple[int, int, int, int], order: str = "<", count: int | None = None, at: int = 8) -> bytes:
    """TIFF bytes with a directory of *entries*, (tag, type, count, value), at offset *at*."""
    codes = {3: f"{order}HHIHxx", 4: f"{order}HHII"}
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    directory = b"".join(struct.pack(codes.get(entry[1], codes[4]), *entry) for entry in entries)
    start = struct.pack(f"{order}H", len(entries) if count is None else count)
    return mark + struct.pack(f"{order}I", at) + bytes(at - 8) + start + directory


def oriented(value: int) -> bytes:
    return EXIF_PREFIX + tiff((274, 3, 1, value))


def test_exif_data_is_that_of_the_first_segment_with_its_prefix() -> None:
    xmp, late = segment(APP1, b"http://ns.adobe.com/xap/1.0/\0"), segment(APP1, oriented(3))

    assert oriented(6) == jpeg.exif(file(segment(APP0, b"JFIF"), xmp, segment(APP1, oriented(6)), late))


def test_a_jpeg_without_exif_data_before_its_image_data_has_none() -> None:
    for content in (b"", START, file(), file(segment(APP0, b"JFIF")), file() + segment(APP1, oriented(6))):
        assert b"" == jpeg.exif(content)


def test_after_stray_bytes_exif_data_is_searched_for_in_the_first_64_kib() -> None:
    found = START + b"\0" * (65_536 - 6 - 2) + EXIF_PREFIX + b"x" * 70_000

    assert EXIF_PREFIX + b"x" * (65_536 - 6) == jpeg.exif(found)
    assert b"" == jpeg.exif(found[:2] + b"\0" + found[2:])
    assert b"" == jpeg.exif(START + b"\0" + bytes(100))


def test_a_jpeg_is_upright_unless_its_exif_data_has_another_orientation() -> None:
    for _ in range(2):  # the second time from the cache
        assert jpeg.is_upright(file())
        assert jpeg.is_upright(file(segment(APP1, oriented(1))))
        for value in range(2, 9):
            assert not jpeg.is_upright(file(segment(APP1, oriented(value))))


def test_exif_data_counts_in_headers_that_are_long_or_not_well_formed() -> None:
    thumbnail = segment(COMMENT, b"\xff\xda\0\2")
    for before in (segment(COMMENT, bytes(3000)), thumbnail, b"\0"):
        assert not jpeg.is_upright(file(before, segment(APP1, oriented(6))))
        assert jpeg.is_upright(file(before))


# The orientation.


@pytest.mark.parametrize("value", range(1, 9))
def test_an_orientation_is_read_in_either_byte_order_and_size_with_or_without_prefix(value: int) -> None:
    for order in "<>":
        for type_ in (3, 4):
            exif = tiff((274, type_, 1, value), order=order)
            assert value == parse_orientation(exif)
            assert value == parse_orientation(EXIF_PREFIX + exif)


def test_an_orientation_is_found_among_other_tags_wherever_the_directory_is() -> None:
    others = [(tag, 4, 1, 4) for tag in range(256, 273)]
    for at in (8, 9, 300):
        assert 6 == parse_orientation(tiff(*others, (274, 3, 1, 6), (305, 2, 40, 0), at=at))
    assert 6 == parse_orientation(tiff((274, 2, 1, 3), (274, 3, 1, 6)))  # the first is text, which is passed over


def test_tags_after_the_count_of_a_directory_are_ignored() -> None:
    entries = (256, 4, 1, 4), (274, 3, 1, 6)

    assert 6 == parse_orientation(tiff(*entries, count=2))
    assert 1 == parse_orientation(tiff(*entries, count=1))
    assert 1 == parse_orientation(tiff(*entries, count=0))
    assert 6 == parse_orientation(tiff(*entries, count=65_535))  # more than there is room for


def test_values_outside_1_to_8_are_upright() -> None:
    for value in (0, 9, 256, 65_535):
        assert 1 == parse_orientation(tiff((274, 3, 1, value)))
    assert 1 == parse_orientation(tiff((274, 4, 1, 65_536 + 6)))


def test_exif_data_that_is_cut_anywhere_is_upright() -> None:
    exif = tiff((256, 4, 1, 4), (274, 3, 1, 6))
    needed = len(exif) - 2  # two bytes of padding after the value

    assert [1] * needed + [6] * 3 == [parse_orientation(exif[:size]) for size in range(len(exif) + 1)]


def test_exif_data_that_is_not_tiff_or_points_outside_itself_is_upright() -> None:
    exif = tiff((274, 3, 1, 6))
    for odd in (b"", exif.replace(b"II*\0", b"IJ*\0"), exif.replace(b"\x08\0\0\0", b"\xff\xff\xff\xff")):
        assert 1 == parse_orientation(odd)


TURNED = {  # of rows 1 2 3 and 4 5 6
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


def test_each_orientation_turns_rows_and_columns_as_exif_defines_it() -> None:
    image = np.array(TURNED[1], np.uint8)[:, :, None]

    assert TURNED == {value: apply_orientation(image, value)[:, :, 0].tolist() for value in TURNED}
    assert all(apply_orientation(image, value).flags.c_contiguous for value in TURNED)
    assert image is apply_orientation(image, 1)
