"""``draft`` and ``max_side`` of packing: the sizes of stored images, and the notes on them."""

from pathlib import Path

import numpy as np
import pytest
from helpers import message_of
from image_helpers import a_list_of_images, encoded, im2rec, pixels_of, texture
from PIL import Image

from im2rec.images.codec import decode
from im2rec.packing.encode import store_image, stored_size
from im2rec.packing.params import PackParams

SMOOTH = np.asarray(Image.fromarray(texture(20, 27)).resize((805, 600), Image.Resampling.BICUBIC))
PHOTO = encoded(SMOOTH, quality=90)


def size_of(content: bytes) -> tuple[int, int]:
    height, width = pixels_of(content).shape[:2]
    return width, height


@pytest.mark.parametrize("keys", [{"resize": 64}, {"resize": 70, "center_crop": 1}, {"max_side": 100}, {"resize": 599}])
def test_a_draft_has_the_size_of_the_full_decode(keys: dict[str, int]) -> None:
    full, _ = store_image(PHOTO, 0, PackParams(**keys))
    draft, _ = store_image(PHOTO, 0, PackParams(draft=1, **keys))

    assert size_of(full) == size_of(draft)


def test_a_draft_is_close_to_the_full_decode_and_has_a_note() -> None:
    full, no_notes = store_image(PHOTO, 0, PackParams(resize=64, encoding=".png", inter_method=3))
    draft, notes = store_image(PHOTO, 0, PackParams(resize=64, encoding=".png", inter_method=3, draft=1))

    assert [] == no_notes
    assert ["decoded at reduced scale"] == notes
    assert full != draft
    assert np.abs(pixels_of(full).astype(int) - pixels_of(draft)).mean() < 4


def test_an_image_less_than_twice_too_large_is_decoded_at_full_scale() -> None:
    full, _ = store_image(PHOTO, 0, PackParams(resize=590))
    assert (full, []) == store_image(PHOTO, 0, PackParams(resize=590, draft=1))
    whole = store_image(PHOTO, 0, PackParams())
    assert whole == store_image(PHOTO, 0, PackParams(draft=1))


def test_a_draft_of_an_image_with_an_orientation_is_upright() -> None:
    exif = Image.Exif()
    exif[274] = 6
    content = encoded(texture(400, 800), exif=exif)
    full, _ = store_image(content, 0, PackParams(resize=50))
    draft, notes = store_image(content, 0, PackParams(resize=50, draft=1))

    assert (50, 100) == size_of(full)
    assert (50, 100) == size_of(draft)
    assert ["decoded at reduced scale"] == notes


def test_decoding_chooses_the_smallest_scale_not_below_the_requested_size() -> None:
    shapes = [decode(PHOTO, at_least=(edge, edge)).pixels.shape[:2] for edge in (1, 75, 150, 300, 600)]

    assert [(75, 101), (75, 101), (150, 202), (300, 403), (600, 805)] == shapes


@pytest.mark.parametrize(
    ("size", "keys", "stored"),
    [
        ((800, 600), {"max_side": 400}, (400, 300)),
        ((600, 801), {"max_side": 400}, (299, 400)),
        ((400, 300), {"max_side": 400}, (400, 300)),
        ((4000, 3), {"max_side": 100}, (100, 1)),
        ((800, 600), {"max_side": 400, "center_crop": 1}, (400, 400)),
        ((800, 600), {"max_side": 0}, (800, 600)),
    ],
)
def test_max_side_limits_the_longer_edge(size: tuple[int, int], keys: dict[str, int], stored: tuple[int, int]) -> None:
    assert stored == stored_size(*size, PackParams(**keys))


def test_max_side_excludes_resize() -> None:
    expected = "max_side=9 excludes resize=8 (give one of the two)"
    assert expected == message_of(PackParams, resize=8, max_side=9)
    params = PackParams(resize=0, max_side=9)
    assert (9, 0) == (params.max_side, params.resize)


def test_the_summary_counts_images_decoded_at_reduced_scale(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 3)  # 36 x 24 pixels, except for the first
    (root / "0.jpg").write_bytes(PHOTO)
    code, out, _ = im2rec("pack", listed, root, tmp_path / "o.rec", "resize=24", "draft=1", "--workers", "1")

    assert 0 == code
    assert "  noted    1 decoded at reduced scale\n" in out
