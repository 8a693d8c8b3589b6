"""The head of a JPEG, and which images the kernel leaves to libjpeg."""

from __future__ import annotations

import io

import numpy as np
import pytest
from jpeg_helpers import drawn, encoded
from PIL import Image as PillowImage

from im2rec.jpeg.markers import read_header

PIXELS = drawn(np.random.default_rng(0), 40, 56)
JPEG = encoded(PIXELS)
SOF = JPEG.index(b"\xff\xc0")
SOS = JPEG.index(b"\xff\xda")


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data


def after_start(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def test_a_head_tells_size_sampling_and_where_the_data_starts() -> None:
    head, start = read_header(JPEG)

    assert ("", 40, 56, 2, 2, 3) == (
        head.reason, head.height, head.width, head.luma_v, head.luma_h, len(head.components)
    )  # fmt: skip
    assert SOS + 2 + JPEG[SOS + 3] == start


@pytest.mark.parametrize(("subsampling", "expected"), [(0, (1, 1)), (1, (1, 2)), (2, (2, 2))])
def test_three_samplings_are_taken(subsampling: int, expected: tuple[int, int]) -> None:
    head, _ = read_header(encoded(PIXELS, subsampling=subsampling))

    assert ("", *expected) == (head.reason, head.luma_v, head.luma_h)


def test_images_with_the_same_head_share_what_is_read() -> None:
    assert read_header(JPEG)[0] is read_header(JPEG + b"more")[0]


def test_long_heads_are_read_and_shared_as_well() -> None:
    long = after_start(segment(0xE1, b"Exif\0\0" + JPEG[:600]), segment(0xFE, b"x" * 3000))
    head, start = read_header(long)

    assert "" == head.reason
    assert read_header(JPEG)[0].components == head.components
    assert read_header(JPEG)[1] + len(long) - len(JPEG) == start
    assert head is read_header(after_start(segment(0xE1, bytes(5000))))[0]


def saved(image: PillowImage.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def changed(at: int, *values: int) -> bytes:
    return JPEG[:at] + bytes(values) + JPEG[at + len(values) :]


JFIF = segment(0xE0, b"JFIF\0\x02\x01" + bytes(7))
BARE = JPEG[:2] + JPEG[JPEG.index(b"\xff\xdb") :]  # without JFIF
ADOBE = segment(0xEE, b"Adobe\0d\0\0\0\0\0")


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("progressive", encoded(PIXELS, progressive=True)),
        ("CMYK", saved(PillowImage.fromarray(PIXELS).convert("CMYK"))),
        ("restart markers", encoded(PIXELS, restart_marker_blocks=2)),
        ("arithmetic coding", changed(SOF + 1, 0xC9)),
        ("kind of frame or marker", changed(SOF + 1, 0xC5)),
        ("bits a sample", changed(SOF + 4, 12)),
        ("sampling factors", changed(SOF + 11, 0x12)),
        ("sampling factors", changed(SOF + 14, 0x22)),
        ("several scans", changed(SOS + 4, 1)),
        ("version of JFIF", after_start(JFIF)),
        ("RGB", BARE[:2] + ADOBE + BARE[2:]),
        ("RGB", BARE.replace(b"\x01\x22\x00\x02\x11\x01\x03\x11\x01", b"R\x22\x00G\x11\x01B\x11\x01").replace(
            b"\x03\x01\x00\x02\x11\x03\x11\x00", b"\x03R\x00G\x11B\x11\x00")),
        ("no table", changed(SOF + 12, 3)),
        ("damaged head", changed(SOF + 5, 0, 0)),
        ("damaged head", JPEG[:SOS]),
        ("damaged head", JPEG[: SOS + 5]),
        ("damaged head", b""),
        ("damaged head", after_start(b"\0")),
        ("quantisation", after_start(segment(0xDB, b"\x10" + b"\xff" * 128))),
        ("damaged head", after_start(segment(0xDB, bytes(64)))),
        ("damaged head", after_start(segment(0xC4, b"\x00" + b"\x02" + bytes(15) + b"\0\1"))),
        ("damaged head", after_start(segment(0xC4, b"\x00" + b"\x01" + bytes(15) + b"\x10"))),
        ("damaged head", after_start(segment(0xC4, b"\x00" + b"\xff" * 16))),
    ],
)  # fmt: skip
def test_what_is_left_to_libjpeg_has_a_word_for_why(reason: str, content: bytes) -> None:
    assert reason == read_header(content)[0].reason


def test_a_refused_head_has_no_size() -> None:
    head = read_header(JPEG[:100])[0]

    assert ("damaged head", 0, 0, ()) == (head.reason, head.height, head.width, head.components)


@pytest.mark.parametrize("fill", range(1, 4))
def test_fill_bytes_before_a_marker_are_skipped(fill: int) -> None:
    assert "" == read_header(JPEG[:SOF] + b"\xff" * fill + JPEG[SOF:])[0].reason
