"""The limit on the size of images from the command line: ``max_pixels``, or ``--max-pixels`` without keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import image_payload, write_rec
from image_helpers import a_list_of_images, encoded, im2rec, texture

PIXELS = 24 * 36


@pytest.fixture
def rec(tmp_path: Path) -> Path:
    """A ``.rec`` of two images of ``PIXELS`` pixels and a small one."""
    contents = [encoded(texture(), kind) for kind in ("JPEG", "PNG")] + [encoded(texture(8, 8), "PNG")]
    return write_rec(tmp_path / "some.rec", [image_payload(n, content=content) for n, content in enumerate(contents)])


def test_iterate_and_bench_take_max_pixels(rec: Path) -> None:
    words = ("--data-shape", "3,8,8", "--batch-size", "1", "-q")
    refused = im2rec("iterate", rec, *words, f"max_pixels={PIXELS - 1}")

    assert 1 == refused.code
    expected = f"the image is 36 x 24 pixels, more than max_pixels={PIXELS - 1} (raise max_pixels to {PIXELS}"
    assert expected in refused.err
    skipped = im2rec("iterate", rec, *words, f"max_pixels={PIXELS - 1}", "on_error=skip", "--json")
    assert (3, 1) == (skipped.code, json.loads(skipped.out)["images"])
    assert 0 == im2rec("iterate", rec, *words, f"max_pixels={PIXELS}").code
    assert 4 == im2rec("bench", rec, *words, "max_pixels=1", "on_error=skip").code


def test_inspect_takes_max_pixels_for_verify_and_sheet(rec: Path, tmp_path: Path) -> None:
    some = im2rec("inspect", rec, "--verify", "--max-pixels", PIXELS - 1, "--json")

    failures = json.loads(some.out)["verification"]["failures"]
    assert (3, [0, 1]) == (some.code, [failure["record"] for failure in failures])
    assert {"too many pixels"} == {failure["reason"] for failure in failures}
    assert failures[0]["detail"].endswith(f"(raise max_pixels to {PIXELS} for images you trust)")
    assert 0 == im2rec("inspect", rec, "--verify", "--max-pixels", PIXELS).code
    sheets = [tmp_path / "few.png", tmp_path / "all.png"]
    for sheet, most in zip(sheets, (1, PIXELS), strict=True):
        assert 0 == im2rec("inspect", rec, "--sheet", sheet, "--max-pixels", most).code
    assert sheets[0].read_bytes() != sheets[1].read_bytes()


def test_max_pixels_is_for_the_summary_of_inspect(rec: Path) -> None:
    refused = im2rec("inspect", rec, "--head", 1, "--max-pixels", 5)

    assert 2 == refused.code
    assert "--max-pixels is for the summary" in refused.err


def test_pack_reports_an_image_above_the_limit_with_what_to_raise(tmp_path: Path) -> None:
    lst, root = a_list_of_images(tmp_path, 2)
    (root / "0.jpg").write_bytes(encoded(texture()))
    (root / "1.jpg").write_bytes(encoded(texture(8, 8)))
    out = tmp_path / "out.rec"
    ran = im2rec("pack", lst, root, out, f"max_pixels={PIXELS - 1}", "--workers", 1, "--max-bad", "100%")

    (bad,) = map(json.loads, out.with_name("out.rec.bad.jsonl").read_text().splitlines())
    assert 3 == ran.code
    assert f"raise max_pixels to {PIXELS}" in bad["detail"]
