"""The warning that data_shape crops most of a typical image away, from the sizes of a few images."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from helpers import image_payload, write_rec
from image_helpers import encoded, im2rec, texture

from im2rec.augment.geometry import Size
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.pipeline.params import ImageRecordParams
from im2rec.pipeline.records import Records
from im2rec.pipeline.sample import crop_warning, sampled_sizes


def a_rec(folder: Path, *sizes: tuple[int, int], bad: int = 0) -> Path:
    """Images of these (height, width), and after them *bad* records without a readable image."""
    contents = [encoded(texture(*size), "PNG") for size in sizes] + [b"no image"] * bad
    return write_rec(folder / "a.rec", [image_payload(n, n, content) for n, content in enumerate(contents)])


def warned(rec: Path, shape: tuple[int, int, int], **params: Any) -> str:
    given = ImageRecordParams(path_imgrec=str(rec), data_shape=shape, batch_size=1, **params)
    records = Records(given)
    try:
        return crop_warning(records, given)
    finally:
        records.close()


WARNING = (
    "data_shape=3,49,49 crops, and shows 24.0% of a typical image of 100 x 100;"
    " to scale the shorter edge first, set resize=56"
)
NOT_PLAIN: list[dict[str, Any]] = [
    {"resize": 56},
    {"random_resized_crop": True, "min_random_area": 0.1},
    {"min_crop_size": 60, "max_crop_size": 90},
    {"min_random_scale": 0.4, "max_random_scale": 0.6},
]
PLAIN: list[dict[str, Any]] = [
    {},
    {"rand_crop": True},
    {"random_resized_crop": True},  # with all of the area, the reference crops plainly
    {"max_rotate_angle": 10},
    {"pad": 4},
]


def test_a_crop_of_less_than_a_quarter_of_the_image_is_a_warning(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, (100, 100))

    assert WARNING == warned(rec, (3, 49, 49))
    assert "" == warned(rec, (3, 50, 50))
    assert [WARNING] * len(PLAIN) == [warned(rec, (3, 49, 49), **params) for params in PLAIN]
    assert [""] * len(NOT_PLAIN) == [warned(rec, (3, 49, 49), **params) for params in NOT_PLAIN]


def test_the_typical_image_is_the_median_of_those_that_can_be_read(tmp_path: Path) -> None:
    large, small = (120, 90), (20, 30)

    assert "" == warned(a_rec(tmp_path, small, large, small, large, small), (3, 16, 16))
    message = warned(a_rec(tmp_path, large, small, large, bad=3), (3, 16, 16))
    assert message.startswith("data_shape=3,16,16 crops, and shows 2.4% of a typical image of 90 x 120;")
    assert "" == warned(a_rec(tmp_path, bad=2), (3, 16, 16))


def test_an_image_that_is_too_small_one_way_is_scaled_up_before_it_is_cropped(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, (10, 200))  # becomes 20 x 400

    assert warned(rec, (3, 20, 20)).startswith("data_shape=3,20,20 crops, and shows 5.0% of a typical image")
    assert "" == warned(a_rec(tmp_path, (5, 5)), (3, 20, 20))


def test_sizes_are_sampled_evenly_from_the_first_to_the_last_image(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, *((8, side) for side in range(8, 28)))
    records = Records(ImageRecordParams(path_imgrec=str(rec), data_shape=(3, 8, 8), batch_size=1))

    assert [Size(8, 8), Size(17, 8), Size(27, 8)] == list(sampled_sizes(records, 3))
    assert 20 == len(list(sampled_sizes(records, 100)))
    records.close()


def test_the_iterator_logs_the_warning_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rec = a_rec(tmp_path, (100, 100), (100, 100))
    with (
        caplog.at_level(logging.WARNING),
        ImageRecordIter(path_imgrec=str(rec), data_shape=(3, 49, 49), batch_size=1) as it,
    ):
        for _ in range(2):
            assert 2 == len(list(it))

    assert [WARNING] == caplog.messages


def test_iterate_prints_the_warning_with_quiet_too(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, (100, 100))

    assert f"warning: {WARNING}\n" == im2rec("iterate", rec, "--data-shape", "3,49,49", "--batch-size", "1", "-q").err
    assert "" == im2rec("iterate", rec, "--batch-size", "1", "-q").err
