"""The description of the images that bench has timed."""

from __future__ import annotations

from image_helpers import encoded, texture

from im2rec.bench.samples import describe_images, jpeg_share

JPEG, PNG = encoded(texture()), encoded(texture(), "PNG")


def test_images_are_described_by_kind_and_by_the_share_of_jpegs_if_they_are_mixed() -> None:
    for contents, share, kind in (
        ([JPEG, JPEG], 1, "JPEG"),
        ([PNG, PNG], 0, "no JPEG"),
        ([JPEG, PNG, JPEG], 2 / 3, "67% JPEG"),
    ):
        assert share == jpeg_share(contents)
        assert f"36 x 24, {kind}" == describe_images(contents, [(36, 24)] * len(contents)).rpartition(",")[0]


def test_sizes_are_medians_and_the_file_size_is_a_mean() -> None:
    contents = [b"a" * 1000, b"a" * 2000, b"a" * 4500]

    assert "200 x 20, no JPEG, 2.5 kB" == describe_images(contents, [(100, 20), (200, 10), (999, 30)])
