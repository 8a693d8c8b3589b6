"""Histograms for the charts of a report: round edges, nothing lost, whole numbers never split."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2rec.inspection.distributions import MAX_BARS, Histogram, histogram, histogram_of_counts


def of(values: list[Any], weights: list[int] | None = None) -> Histogram:
    found = histogram(np.array(values), None if weights is None else np.array(weights))
    assert found is not None
    return found


def test_there_is_no_histogram_of_no_values() -> None:
    assert histogram(np.array([])) is None
    assert histogram_of_counts({}) is None


def test_a_few_whole_numbers_have_a_bar_each() -> None:
    assert Histogram([1.0, 2.0, 3.0, 4.0, 5.0], [2, 0, 1, 1], 2.0, is_log=False, is_single=True) == of([1, 1, 3, 4])


def test_many_whole_numbers_have_bars_of_round_widths() -> None:
    found = of([0, 30, 99])

    assert [float(edge) for edge in range(0, 101, 5)] == found.edges
    assert not found.is_single
    assert 3 == sum(found.counts)


def test_an_edge_belongs_to_the_bar_above_it() -> None:
    found = of([0, 5, 50, 99])

    assert [1, 1] == found.counts[:2]


def test_edges_of_fractions_are_written_as_people_do() -> None:
    assert [0.5, 0.55, 0.6, 0.65, 0.7, 0.75] == of([0.5, 0.6, 0.74, 1.5]).edges[:6]


def test_a_long_tail_has_bars_at_1_2_5_10_from_0_where_that_occurs() -> None:
    assert Histogram(
        [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0], [3, 0, 0, 0, 0, 1], 1.0, is_log=True, is_single=False
    ) == of([1, 1, 1, 50])
    assert [0.0, 1.0, 2.0, 5.0, 10.0, 20.0] == of([0, 1, 1, 12]).edges


def test_weights_count_as_often_as_the_value_occurs() -> None:
    assert of([1, 1, 1, 2, 4]) == of([4, 1, 2], [1, 3, 1]) == histogram_of_counts({4: 1, 1: 3, 2: 1})


def test_one_value_is_in_one_bar_of_some_width() -> None:
    assert [3] == [count for count in of([7, 7, 7]).counts if count]
    assert [2] == [count for count in of([0.0, 0.0]).counts if count]
    assert [2] == [count for count in of([1e30, 1e30]).counts if count]


@given(st.lists(st.one_of(st.integers(0, 2**40), st.integers(0, 100)), min_size=1))
def test_every_whole_number_is_in_the_bar_of_its_edges(values: list[int]) -> None:
    check_bars(np.array(values, np.int64))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_label_is_in_the_bar_of_its_edges(values: list[float]) -> None:
    check_bars(np.array(values, np.float64))


def check_bars(values: npt.NDArray[Any]) -> None:
    found = histogram(values)
    assert found is not None
    assert sorted(found.edges) == found.edges
    assert found.edges[0] <= values.min()
    assert values.max() < found.edges[-1]
    pairs = itertools.pairwise(found.edges)
    assert [int(np.sum((values >= low) & (values < high))) for low, high in pairs] == found.counts
    assert len(found.counts) <= (140 if found.is_log else MAX_BARS + 2)


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_the_median_is_that_of_numpy(count: int) -> None:
    values = np.random.default_rng(count).integers(0, 50, count)

    assert float(np.median(values)) == of(values.tolist()).median
