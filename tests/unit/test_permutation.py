"""Permutations that are never written down: every number once, no place favoured, and published vectors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from im2rec.hashing import absorb, hash64, mix64, mix64_array
from im2rec.pipeline.permutation import ROUNDS, WINDOW, BlockOrder, Permutation, blocks_per_batch

COUNTS = [0, 1, 2, 3, 5, 7, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1000, 1024, 4099]
KEYS = [0, 2**64 - 1, hash64(5, 6)]
TRIALS = 2000


def permuted(count: int, key: int) -> list[int]:
    return Permutation(count, key)(np.arange(count)).tolist()


@pytest.mark.parametrize("count", COUNTS)
def test_every_number_comes_exactly_once(count: int) -> None:
    for key in KEYS:
        assert [*range(count)] == sorted(permuted(count, key))
        assert count == len(Permutation(count, key))


def test_orders_equal_the_published_vectors() -> None:
    assert [0] == permuted(1, 0)
    assert [2, 0, 3, 5, 6, 4, 1] == permuted(7, 0)
    assert [1, 6, 5, 0, 2, 4, 3] == permuted(7, 1)
    assert [1, 2, 19, 3, 17, 12, 7, 10, 0, 8, 16, 9, 5, 13, 6, 18, 4, 14, 11, 15] == permuted(20, hash64(0, 1))
    assert [6, 135, 2, 132, 46, 54, 192, 18, 290, 293] == permuted(300, 5)[:10]
    far = Permutation(10**12, 7)(np.array([0, 1, 2, 10**12 - 1]))
    assert [829689458545, 439535990702, 318800922293, 377662661555] == far.tolist()
    assert [2434354901096393376, 976598089072110751] == Permutation(2**62, 7)(np.array([0, 1])).tolist()


def feistel(count: int, key: int, place: int) -> int:
    """The network of the class docstring, for one place in Python's own integers."""
    half = max(4, ((count - 1).bit_length() + 1) // 2)
    mask = 2**half - 1
    while True:
        left, right = place >> half, place & mask
        for number in range(ROUNDS):
            left, right = right, left ^ mix64((right + absorb(key, number)) % 2**64) & mask
        place = left << half | right
        if place < count:
            return place


@pytest.mark.parametrize("count", [1, 9, 100, 1025, 10**15])
def test_the_network_is_the_one_that_the_docstring_describes(count: int) -> None:
    places = np.unique(np.linspace(0, count - 1, 40).astype(np.int64))
    for key in KEYS:
        assert [feistel(count, key, place) for place in places.tolist()] == Permutation(count, key)(places).tolist()


def test_mix64_of_an_array_is_mix64_of_each_value() -> None:
    values = np.array([0, 1, 2**63, 2**64 - 1, *(hash64(n) for n in range(50))], np.uint64)
    before = values.copy()

    assert [mix64(value) for value in values.tolist()] == mix64_array(values).tolist()
    assert before.tolist() == values.tolist()


def test_a_place_does_not_depend_on_the_other_places() -> None:
    order = Permutation(1000, 3)
    whole = order(np.arange(1000))

    assert whole[[999, 5, 5]].tolist() == order(np.array([999, 5, 5])).tolist()
    assert whole[17] == order(np.array([17], np.uint32))[0]
    assert [] == order(np.array([], np.int64)).tolist()


@pytest.mark.parametrize("count", [16, 1000])
def test_the_numbers_are_int64_and_the_places_are_not_written_to(count: int) -> None:
    places = np.arange(count)
    numbers = Permutation(count, 3)(places)

    assert np.int64 == numbers.dtype
    assert [*range(count)] == places.tolist()


def walked(count: int, key: int) -> list[int]:
    """The result of ``permuted``, faster: counts up to 256 share one network, and differ only in the walks."""
    network, order = permuted(256, key), []
    for place in range(count):
        value = network[place]
        while value >= count:
            value = network[value]
        order.append(value)
    return order


def test_a_value_of_count_or_more_is_put_through_the_network_again() -> None:
    for count in (1, 2, 16, 99, 255):
        assert permuted(count, hash64(count)) == walked(count, hash64(count))


def chi_square(counts: np.ndarray, expected: float) -> float:
    """The chi-square statistic of *counts*, in standard deviations from its mean for uniform counts."""
    degrees = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - degrees) / (2 * degrees) ** 0.5)


@pytest.mark.parametrize("count", [3, 6, 7, 10, 16, 17, 30])
def test_every_number_is_equally_likely_at_every_place(count: int) -> None:
    counts = np.zeros((count, count))
    for key in range(TRIALS):
        counts[np.arange(count), walked(count, hash64(0, key))] += 1

    # Rows and columns each add up, which takes degrees of freedom: the statistic is a little below, never above.
    assert -6 < chi_square(counts, TRIALS / count) < 4


@pytest.mark.parametrize("count", [4, 7, 16, 17])
def test_every_number_is_equally_likely_after_every_other(count: int) -> None:
    pairs = np.zeros((count, count))
    for key in range(TRIALS):
        order = walked(count, hash64(1, key))
        pairs[order[:-1], order[1:]] += 1

    assert 0 == np.trace(pairs)
    others = pairs[~np.eye(count, dtype=bool)]
    assert abs(chi_square(others, TRIALS / count)) < 4


def test_all_orders_of_four_are_equally_likely() -> None:
    counts = dict.fromkeys(itertools.permutations(range(4)), 0)
    for key in range(TRIALS):
        counts[tuple(walked(4, hash64(2, key)))] += 1

    assert abs(chi_square(np.array([*counts.values()]), TRIALS / 24)) < 4


def test_another_key_gives_an_unrelated_order() -> None:
    orders = [np.array(permuted(500, key)) for key in range(20)]

    for one, other in itertools.combinations(orders, 2):
        assert np.count_nonzero(one == other) < 10  # of two orders that chance gives, one place agrees
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.25


# By blocks

STARTS = np.array([0, 3, 4, 9, 12])


def test_an_order_by_blocks_equals_the_published_vector() -> None:
    assert [4, 7, 6, 2, 5, 11, 0, 8, 10, 9, 1, 3] == BlockOrder(STARTS, 5)(np.arange(12)).tolist()


def test_an_order_by_blocks_has_every_record_once() -> None:
    for blocks in (1, 2, 7, 8, 9, 16, 17, 40):
        starts = np.concatenate([[0], np.cumsum(np.arange(blocks) % 5 + 1)])
        order = BlockOrder(starts + 100, hash64(blocks))
        assert starts[-1] == len(order)
        assert [*range(100, 100 + starts[-1])] == sorted(order(np.arange(len(order))).tolist())


def test_each_window_mixes_the_records_of_eight_blocks() -> None:
    size, blocks = 10, 5 * WINDOW + 3
    records = BlockOrder(np.arange(0, size * blocks + 1, size), 1)(np.arange(size * blocks))
    windows = [set((window // size).tolist()) for window in np.array_split(records, [*range(80, 430, 80)])]

    assert [WINDOW] * 5 + [3] == [*map(len, windows)]
    assert [*range(blocks)] == sorted(itertools.chain(*windows))
    assert [*range(blocks)] != [*itertools.chain(*map(sorted, windows))]  # the blocks are in another order
    assert sorted(records[:80].tolist()) != records[:80].tolist()  # and mixed


def test_another_key_gives_another_order_of_blocks_and_within_them() -> None:
    orders = {tuple(BlockOrder(STARTS, key)(np.arange(12)).tolist()) for key in range(5)}

    assert 5 == len(orders)


def test_a_place_by_blocks_does_not_depend_on_the_other_places() -> None:
    order = BlockOrder(np.arange(0, 121, 4), 9)
    whole, places = order(np.arange(120)), np.random.default_rng(0).permutation(120)

    assert whole[places].tolist() == order(places).tolist()
    assert whole.tolist() == [int(order(np.array([place]))[0]) for place in range(120)]


def test_no_records_have_an_empty_order() -> None:
    assert 0 == len(BlockOrder(np.array([5, 5]), 1))
    assert [] == BlockOrder(np.array([5, 5]), 1)(np.array([], np.int64)).tolist()


def test_blocks_per_batch_is_the_expected_number() -> None:
    assert (1, 1) == blocks_per_batch(1, 5)
    assert pytest.approx((3, 3)) == blocks_per_batch(3, 100)
    here, full = blocks_per_batch(40, 16)
    rng = np.random.default_rng(1)
    drawn = [len(set(rng.integers(0, 8, 16).tolist())) for _ in range(2000)]
    assert pytest.approx(np.mean(drawn), abs=0.1) == here
    assert here < 8 < full < 16
