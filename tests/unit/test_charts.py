"""Charts of a report: everything is inside its frame, and marks have round numbers that do not overlap."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from im2rec.errors import counted
from im2rec.inspection.distributions import histogram
from im2rec.inspection.html.charts import Bar, bars, chart


def svg_of(values: npt.NDArray[Any]) -> Element | None:
    drawn = histogram(values)
    return chart("Width", "", drawn, lambda edge: f"{edge:g}", lambda n: counted(n, "image")).find("svg")


def texts(svg: Element, class_: str | None = None) -> list[str]:
    return [found.text or "" for found in svg.iter("text") if found.get("class") == class_]


def test_marks_are_at_round_numbers_below_the_bars() -> None:
    found = svg_of(np.array([479, 1280, 1280]))
    assert found is not None

    assert ["2 images", "600", "800", "1000", "1200"] == texts(found)
    assert ["median 1280"] == texts(found, "median-text")


def test_marks_of_a_long_tail_are_at_powers_of_ten() -> None:
    found = svg_of(np.array([1, 1, 1, 4000]))
    assert found is not None

    assert ["3 images", "1", "10", "100", "1000"] == texts(found)


def test_values_that_are_all_the_same_have_no_chart() -> None:
    assert svg_of(np.array([7, 7])) is None
    assert svg_of(np.array([])) is None


def test_a_rare_value_can_be_seen() -> None:
    found = svg_of(np.array([1] * 100_000 + [3]))
    assert found is not None

    assert [88.0, 1.5] == [float(bar.get("height", "")) for bar in found.iter("rect")]


numbers = st.one_of(
    st.lists(st.integers(0, 2**40), min_size=1).map(lambda values: np.array(values, np.int64)),
    st.lists(st.integers(-50, 50), min_size=1).map(lambda values: np.array(values, np.int64)),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1).map(np.array),
)


@given(numbers)
def test_every_chart_is_inside_its_frame(values: npt.NDArray[Any]) -> None:
    found = svg_of(values)
    if found is None:
        return
    for shape in found.iter():
        for name, most in (("x", 320), ("x1", 320), ("x2", 320), ("y", 144), ("y1", 144), ("y2", 144)):
            assert 0 <= float(shape.get(name, "0")) <= most
    marks = [shape for shape in found.iter("text") if shape.get("class") is None][1:]
    assert 2 <= len(marks) <= 5 or len(values) < 3
    places = [float(mark.get("x", "")) for mark in marks]
    assert sorted(set(places)) == places


def test_bars_are_as_long_as_their_share_of_the_largest() -> None:
    styles = [bar.get("style") for bar in bars([Bar("a", 1), Bar("b", 0), Bar("c", 3)], "").iter("i")]

    assert ["width:33.3%", "width:0%", "width:100%"] == styles
