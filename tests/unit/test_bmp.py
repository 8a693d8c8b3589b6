"""Uncompressed 24-bit BMPs are views of their file, with the pixels Pillow reads; Pillow decodes all other BMPs."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, message_of, write_rec
from image_helpers import encoded, texture
from iterator_helpers import digest, iterator
from PIL import Image

from im2rec.errors import ImageError
from im2rec.images.bmp import bmp_view
from im2rec.images.codec import AS_STORED, GREY, decode

SIZES = [(1, 1), (2, 3), (3, 2), (5, 1), (7, 4), (24, 36), (33, 31)]
MAX_PIXELS = 1 << 20
HEIGHT_AT, BITS_AT, COMPRESSION_AT, START_AT, INFO_AT = 22, 28, 30, 10, 14


def pillow_pixels(content: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def changed(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_view_has_the_pixels_of_the_image_and_copies_nothing(height: int, width: int) -> None:
    pixels = texture(height, width)
    content = encoded(pixels, "BMP")

    view = bmp_view(content, MAX_PIXELS)
    assert view is not None
    assert np.array_equal(pixels, view)
    assert np.shares_memory(view, np.frombuffer(content, np.uint8))
    for color in (1, AS_STORED):
        fresh = decode(content, color).pixels
        assert np.array_equal(pixels, fresh)
        assert fresh.flags.c_contiguous
        assert np.array_equal(pixels, decode(content, color, room=np.empty).pixels)
    assert (height, width, 1) == decode(content, GREY).pixels.shape


def test_rows_from_the_top_down_and_longer_headers_are_read() -> None:
    pixels = texture(6, 5)
    content = encoded(pixels, "BMP")
    top_down = changed(content, HEIGHT_AT, struct.pack("<i", -6))
    assert np.array_equal(pixels[::-1], decode(top_down, room=np.empty).pixels)
    assert np.array_equal(pillow_pixels(top_down), decode(top_down).pixels)

    for info in (52, 56, 108, 124):
        longer = changed(content, START_AT, struct.pack("<II", 14 + info, info))
        longer = longer[:54] + bytes(info - 40) + longer[54:]
        view = bmp_view(longer, MAX_PIXELS)
        assert view is not None
        assert np.array_equal(pixels, view)


def test_other_bmps_are_decoded_by_pillow() -> None:
    palette = Image.fromarray(texture(6, 5)).convert("P")
    others = [
        encoded(palette, "BMP"),
        encoded(Image.fromarray(texture(6, 5)[:, :, 0]), "BMP"),
        encoded(Image.fromarray(texture(6, 5)).convert("RGBA"), "BMP"),
    ]
    for content in others:
        assert bmp_view(content, MAX_PIXELS) is None
        assert np.array_equal(pillow_pixels(content), decode(content).pixels)


def test_headers_that_contradict_themselves_or_the_file_give_no_view() -> None:
    content = encoded(texture(6, 5), "BMP")
    odd = [
        content[:-1],
        content[:33],
        content[:2],
        b"",
        changed(content, START_AT, struct.pack("<I", 2**32 - 1)),
        changed(content, START_AT, struct.pack("<I", 20)),
        changed(content, INFO_AT, struct.pack("<I", 12)),
        changed(content, INFO_AT, struct.pack("<I", 39)),
        changed(content, HEIGHT_AT - 4, struct.pack("<i", 0)),
        changed(content, HEIGHT_AT - 4, struct.pack("<i", -5)),
        changed(content, HEIGHT_AT, struct.pack("<i", 0)),
        changed(content, HEIGHT_AT, struct.pack("<i", -(2**31))),
        changed(content, HEIGHT_AT - 4, struct.pack("<ii", 2**31 - 1, 2**31 - 1)),
        changed(content, BITS_AT, struct.pack("<H", 32)),
        changed(content, COMPRESSION_AT, struct.pack("<I", 1)),
    ]
    for other in odd:
        assert bmp_view(other, MAX_PIXELS) is None
    assert bmp_view(content, 30) is not None
    assert bmp_view(content, 29) is None
    assert message_of(decode, content, max_pixels=29).startswith("is 5 x 6 pixels, more than max_pixels=29")
    with pytest.raises(ImageError) as caught:
        decode(content[:-20])
    assert "cut short" == caught.value.reason


def test_damaged_headers_give_pixels_or_an_error_and_never_more_memory_than_the_file() -> None:
    rng = random.Random(0)
    content = encoded(texture(6, 5), "BMP")
    for _ in range(2000):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(54)] = rng.choice([0, 1, 255, 24, rng.randrange(256)])
        view = bmp_view(bytes(damaged), MAX_PIXELS)
        assert view is None or view.size <= len(damaged)


@pytest.mark.parametrize("engine", ["opencv", "pillow", "reference"])
@pytest.mark.parametrize(
    "given",
    [
        {"rand_crop": 1, "rand_mirror": 1, "dtype": "uint8"},
        {"rand_mirror": 1, "layout": "NHWC", "mean_r": 3},
        {"resize": 20, "pad": 2, "brightness": 0.5, "random_h": 9, "pca_noise": 0.1},
        {"random_resized_crop": 1, "min_random_area": 0.2, "max_aspect_ratio": 0.2},
        {"max_rotate_angle": 30, "max_shear_ratio": 0.1},
    ],
)
def test_batches_of_bmps_equal_those_of_pngs(tmp_path: Path, engine: str, given: dict[str, Any]) -> None:
    if engine == "opencv":
        pytest.importorskip("cv2")
    digests = []
    for kind in ("BMP", "PNG"):
        records = [image_payload(n, content=encoded(texture(24, 36, seed=n), kind)) for n in range(8)]
        rec = write_rec(tmp_path / f"{kind}.rec", records)
        with iterator(rec, **{"data_shape": (3, 16, 16), "engine": engine, **given}) as it:
            digests.append(digest(it))
    assert digests[0] == digests[1]
