"""Frames and pages after the first, which are left behind when an image is packed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from file_helpers import tiff_file
from image_helpers import encoded, im2rec, texture, write_list
from PIL import Image

from im2rec.images.opening import has_more_frames
from im2rec.packing.encode import store_image
from im2rec.packing.params import PackParams

NOTE = "with more frames or pages, of which only the first is stored"


def frames(kind: str, count: int = 3, **options: Any) -> bytes:
    first, *others = (Image.fromarray(texture(seed=seed)) for seed in range(count))
    file = io.BytesIO()
    try:
        first.save(file, kind, save_all=True, append_images=others, **options)
    except (OSError, KeyError):
        pytest.skip(f"this Pillow writes no {kind}")
    return file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_more_frames_or_pages_are_found_and_one_is_not_more(kind: str) -> None:
    assert has_more_frames(frames(kind))
    assert not has_more_frames(frames(kind, 1))


def test_an_animation_of_one_frame_has_no_more() -> None:
    content = frames("PNG")
    at = content.index(b"acTL") + 4
    assert not has_more_frames(content[:at] + (1).to_bytes(4, "big") + content[at + 4 :])
    single = frames("WEBP")
    second = single.index(b"ANMF", single.index(b"ANMF") + 4)
    assert not has_more_frames(single[:second])


def test_a_thumbnail_is_no_page() -> None:
    assert not has_more_frames(frames("TIFF", 2, tiffinfo={254: 1}))


def test_text_in_an_image_is_no_frame() -> None:
    assert not has_more_frames(encoded(texture(), "JPEG"))
    assert not has_more_frames(tiff_file(texture()))
    assert not has_more_frames(b"GIF89a")
    assert not has_more_frames(b"")


def test_pack_notes_them_and_only_where_the_first_is_stored_alone(tmp_path: Path) -> None:
    for name, kind in {"a.gif": "GIF", "b.webp": "WEBP", "c.png": "PNG"}.items():
        (tmp_path / name).write_bytes(frames(kind))
    (tmp_path / "d.gif").write_bytes(frames("GIF", 1))
    lst = write_list(tmp_path / "l.lst", ["a.gif", "b.webp", "c.png", "d.gif"])

    code, out, _ = im2rec("pack", lst, tmp_path, tmp_path / "o.rec")
    assert 0 == code
    assert f"3 {NOTE}" in out
    assert [] == store_image(frames("GIF"), 0, PackParams(unchanged=True))[1]
