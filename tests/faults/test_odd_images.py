"""Odd images, of every format Pillow writes, and cut or damaged ones: each is packed or reported."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_helpers import encoded, im2rec, records_of, texture
from PIL import Image

from im2rec.images.codec import decode
from im2rec.images.engine import load_engine

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F", "HSV", "LAB", "RGBX", "PA", "La")
KINDS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "TGA", "ICO", "PCX", "DDS", "JPEG2000", "SGI")
JPEGS: tuple[dict[str, Any], ...] = (
    {"quality": 1},
    {"progressive": True},
    {"subsampling": 0},
    {"subsampling": 1},
    {"optimize": True},
    {"quality": 100, "subsampling": 0},
    {"restart_marker_blocks": 1},
    {"comment": b"x" * 60000},
    {"icc_profile": b"p" * 70000},
    {"exif": b"Exif\0\0" + b"\xff" * 500},
)


def written_by_pillow() -> Iterator[tuple[str, bytes]]:
    """An image in every mode and every format that supports it."""
    image = Image.fromarray(texture(24, 36))
    for mode in MODES:
        for kind in KINDS:
            buffer = io.BytesIO()
            try:
                image.convert("L" if mode.startswith("I;") else "RGB").convert(mode).save(buffer, kind)
            except (OSError, ValueError, KeyError, SystemError):
                continue
            yield f"{mode.replace(';', '')}.{kind.lower()}", buffer.getvalue()


def damaged() -> Iterator[tuple[str, bytes]]:
    """Whole files that are cut, extended and changed."""
    rng = random.Random(11)
    for number, options in enumerate(JPEGS):
        yield f"jpeg {number}.jpg", encoded(texture(), **options)
    whole = {kind: encoded(texture(40, 50), kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")}
    for kind, content in whole.items():
        for cut in (0, 1, 2, 10, len(content) // 3, len(content) // 2, len(content) - 30, len(content) - 2):
            yield f"cut {kind} {cut}.jpg", content[:cut]
        yield f"after {kind}.jpg", content + b"more"
        yield f"before {kind}.jpg", b"  " + content
        for number in range(8):
            changed = bytearray(content)
            for _ in range(rng.randrange(1, 12)):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            yield f"changed {kind} {number}.jpg", bytes(changed)
    jpeg = whole["JPEG"]
    yield "stray.jpg", jpeg[:2] + b"\0\0" + jpeg[2:]
    yield "two.jpg", jpeg + jpeg
    yield "text.jpg", b"this is no picture"
    yield "zeros.jpg", bytes(5000)
    yield "huge.jpg", jpeg.replace(jpeg[jpeg.index(b"\xff\xc0") + 5 :][:4], b"\xff\xdc\xff\xdc")
    yield "no pixels.png", whole["PNG"][:16] + bytes(8) + whole["PNG"][24:]


ODD = dict([*written_by_pillow(), *damaged()])


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "root").mkdir()
    for name, content in ODD.items():
        (folder / "root" / name).write_bytes(content)
    lines = (f"{number}\t0\t{name}\n" for number, name in enumerate(ODD))
    (folder / "odd.lst").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "keys",
    [
        ["resize=16", "engine=opencv"],
        ["resize=16", "engine=pillow"],
        ["color=0", "center_crop=1", "draft=1", "max_side=20"],
        ["color=-1", "encoding=.png"],
        ["unchanged=1"],
        ["unchanged=1", "--verify"],
    ],
    ids=" ".join,
)
def test_every_odd_image_is_packed_or_reported(odd: Path, tmp_path: Path, keys: list[str]) -> None:
    if "engine=opencv" in keys:
        pytest.importorskip("cv2")
    out = tmp_path / "o.rec"
    words = ("pack", odd / "odd.lst", odd / "root", out, *keys, "--workers", "1", "--max-bad", "100%", "-q")
    code, out_text, err = im2rec(*words)

    assert 3 == code, out_text
    assert "" == err
    bad = {row["id"] for row in map(json.loads, (tmp_path / "o.rec.bad.jsonl").read_text().splitlines())}
    packed = {record.header.id for record in records_of(out)}
    assert len(ODD) >= 190  # fewer where an older Pillow writes fewer kinds
    assert set(range(len(ODD))) == bad | packed
    assert set() == bad & packed
    assert len(packed) > len(ODD) // 3
    if "unchanged=1" not in keys:
        for record in records_of(out):
            assert decode(record.content).flaw == ""  # the stored image is whole, even if the file was not


def test_opencv_and_pillow_pack_the_same_images(odd: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    packed = {}
    for name in ("opencv", "pillow"):
        out = tmp_path / f"{name}.rec"
        im2rec("pack", odd / "odd.lst", odd / "root", out, "resize=16", f"engine={name}", "--max-bad", "100%")
        packed[load_engine(name).name] = [record.header.id for record in records_of(out)]
    assert packed["opencv"] == packed["pillow"]
