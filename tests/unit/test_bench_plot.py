"""The chart of images per second over threads."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from im2rec.bench.report import _COLORS, RateLines, _axis_end, _clear_of, draw_plot
from im2rec.bench.timing import Rate


def drawn(lines: RateLines) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(draw_plot(lines, "a.rec: 341 x 256, JPEG", "threads"))) as image:
        assert "PNG" == image.format
        return np.asarray(image)


def line(**rates: float) -> dict[int, Rate]:
    return {int(count[1:]): Rate(rate, 0.9 * rate, 1.1 * rate, 9) for count, rate in rates.items()}


def pixels_of(
    image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], color: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.all(image == [int(color[at : at + 2], 16) for at in (1, 3, 5)], axis=2)


def test_each_line_is_drawn_in_its_color_and_rises_with_its_rates() -> None:
    image = drawn({"whole": line(t1=1000, t2=2000, t4=4000), "full decode": line(t1=2000, t2=4000, t4=8000)})

    assert (520, 880, 3) == image.shape
    for color in _COLORS[:2]:
        rows, columns = np.nonzero(pixels_of(image, color)[:, :700])
        assert len(rows) > 300
        left, right = rows[columns < 150].mean(), rows[columns > 600].mean()
        assert right < left - 50


@pytest.mark.parametrize("rates", [{"t1": 0.01}, {"t1": 1e7}, {"t1": 1.0, "t128": 9e5}, {"t3": 500.0, "t7": 400.0}])
def test_rates_of_any_magnitude_are_drawn_inside_the_axes(rates: dict[str, float]) -> None:
    is_line = pixels_of(drawn({"whole": line(**rates)}), _COLORS[0])

    assert is_line.sum() > 40
    assert not is_line[:50].any()
    assert not is_line[455:].any()


def test_the_axis_ends_at_a_round_number() -> None:
    assert [5, 10, 12.5, 20, 25, 30, 5000] == [_axis_end(value) for value in (4.1, 9.9, 11, 16, 25, 26, 4419)]


def test_labels_at_the_ends_of_lines_do_not_overlap() -> None:
    assert 100 == _clear_of(100, [])
    assert 100 == _clear_of(100, [200.0])
    assert _clear_of(100, [101.0]) > 130
    assert _clear_of(100, [101.0, 138.0]) > 170
