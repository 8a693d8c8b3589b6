"""The ten folds of a verification file."""

from __future__ import annotations

import pytest

from im2rec.verification.folds import fold_bounds


def test_each_fold_is_a_tenth_of_the_pairs_in_their_order() -> None:
    assert [(600 * fold, 600 * fold + 600) for fold in range(10)] == fold_bounds(6000)


def test_the_first_folds_have_one_pair_more_where_ten_does_not_divide_them() -> None:
    assert [3, 3, 3, 2, 2, 2, 2, 2, 2, 2] == [end - start for start, end in fold_bounds(23)]


@pytest.mark.parametrize("pairs", [0, 1, 9, 10, 11, 102, 7000])
def test_the_folds_hold_each_pair_once(pairs: int) -> None:
    assert list(range(pairs)) == [pair for start, end in fold_bounds(pairs) for pair in range(start, end)]
