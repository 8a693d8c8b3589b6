import random

import pytest
from image_helpers import encoded, texture
from PIL import Image

from im2rec.images import jpeg
from im2rec.images.jpeg import parse_orientation, turned


@pytest.mark.parametrize("quality", [1, 2, 10, 25, 49, 50, 51, 75, 90, 95, 99, 100])
def test_the_quality_libjpeg_was_given_is_found_again(quality: int) -> None:
    assert quality == jpeg.estimated_quality(encoded(texture(), quality=quality))


def test_a_table_of_another_encoder_gives_the_nearest_quality() -> None:
    flat = Image.fromarray(texture())
    assert 100 == jpeg.estimated_quality(encoded(flat, qtables=[[1] * 64, [1] * 64]))
    assert 1 == jpeg.estimated_quality(encoded(flat, qtables=[[255] * 64, [255] * 64]))
    assert 50 == jpeg.estimated_quality(encoded(flat, qtables=[[58] * 64, [58] * 64]))


def test_what_has_no_table_has_no_quality() -> None:
    whole = encoded(texture())
    for content in (b"", b"\xff", whole[:20], b"\xff\xd8\xff\xdb\x00\x05\x00ab", encoded(texture(), "PNG")):
        assert jpeg.estimated_quality(content) is None


def test_segments_end_before_the_image_data() -> None:
    markers = [marker for marker, _ in jpeg.segments(encoded(texture()))]

    assert markers[0] == 0xE0
    assert 0xDB in markers
    assert 0xDA not in markers


def test_any_bytes_are_looked_at_without_an_error() -> None:
    rng = random.Random(5)
    whole = encoded(texture())
    for _ in range(500):
        content = bytearray(whole[: rng.randrange(len(whole))])
        for _ in range(rng.randrange(5) if content else 0):
            content[rng.randrange(min(len(content), 200))] = rng.randrange(256)
        quality = jpeg.estimated_quality(bytes(content))
        assert quality is None or 1 <= quality <= 100
        assert parse_orientation(jpeg.exif(bytes(content))) in range(1, 9)


EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def test_an_orientation_is_read_in_either_byte_order() -> None:
    big = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0"

    assert (6, 8) == (parse_orientation(EXIF), parse_orientation(big))
    assert 6 == parse_orientation(EXIF.replace(b"\x12\x01\x03\0", b"\x12\x01\x04\0"))  # as 32 bits
    assert 6 == parse_orientation(EXIF.removeprefix(b"Exif\0\0"))  # as PNG and WebP keep it


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        EXIF[:20],
        EXIF.replace(b"II*\0\x08\0\0\0", b"II*\0\xff\xff\xff\xff"),  # leads out of the data
        EXIF.replace(b"\x06\0\0\0\0\0\0\0", b"\x09\0\0\0\0\0\0\0"),  # no such orientation
        EXIF.replace(b"\x12\x01\x03\0", b"\x12\x01\x02\0"),  # of another type
        EXIF.replace(b"II*\0", b"IJ*\0"),
    ],
)
def test_what_says_nothing_is_upright(exif: bytes) -> None:
    assert 1 == parse_orientation(exif)


def test_turning_by_six_brings_the_left_edge_to_the_top() -> None:
    image = texture(20, 30)

    assert (30, 20, 3) == turned(image, 6).shape
    assert image[:, 0].tolist() == turned(image, 6)[0, ::-1].tolist()
    assert turned(image, 3).flags.c_contiguous
