"""What bench says of the images it has timed."""

from __future__ import annotations

from image_helpers import encoded, texture

from im2rec.bench.samples import jpeg_share, typical

JPEG, PNG = encoded(texture()), encoded(texture(), "PNG")


def test_the_share_of_jpegs_is_told_where_it_is_not_all_or_nothing() -> None:
    for contents, share, kind in (
        ([JPEG, JPEG], 1, "JPEG"),
        ([PNG, PNG], 0, "no JPEG"),
        ([JPEG, PNG, JPEG], 2 / 3, "67% JPEG"),
    ):
        assert share == jpeg_share(contents)
        assert f"36 x 24, {kind}" == typical(contents, [(36, 24)] * len(contents)).rpartition(",")[0]


def test_sizes_are_medians_and_the_length_is_a_mean() -> None:
    contents = [b"a" * 1000, b"a" * 2000, b"a" * 4500]

    assert "200 x 20, no JPEG, 2.5 kB" == typical(contents, [(100, 20), (200, 10), (999, 30)])
