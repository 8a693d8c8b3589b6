"""Draws by hash: published vectors, independence of one another, and their distributions."""

from __future__ import annotations

import inspect
import itertools
from collections import Counter

import numpy as np
import pytest

from im2rec.augment.draws import VALUES, CounterDraws, Draws, Float, counter_draws
from im2rec.augment.mxnet_draws import MersenneDraws
from im2rec.hashing import absorb, hash64

PCA = ("pca_r", "pca_g", "pca_b")
DRAWS = counter_draws([hash64(100, 2)], [7])[0]  # seed 100, epoch 2, record 7
MANY = counter_draws([hash64(3, 1)] * 4000, range(4000))


def test_draws_equal_the_published_vectors() -> None:
    units = [DRAWS.unit(name) for name in ("shear", "crop_y", "mirror", "illumination")]
    assert [5025354, 11358453, 8315271, 14241977] == [unit * 2**24 for unit in units]
    assert 2345769 == DRAWS.unit("area", 3) * 2**24
    assert [9, 11, -26] == [DRAWS.integer(name, -30, 30) for name in ("angle", "crop_y", "crop_x")]
    assert 744387602288 == DRAWS.integer("crop_y", 0, 2**40)
    coins = "".join(str(int(draws.coin("mirror"))) for draws in counter_draws([hash64(0, 0)] * 16, range(16)))
    assert "0111100010010010" == coins
    hexes = ["0x1.15144e0000000p-4", "-0x1.35f6b60000000p-5", "-0x1.7f935c0000000p-5"]
    assert hexes == [float(normal).hex() for normal in DRAWS.normals(PCA, Float(0.1))]


def test_the_numbers_of_the_values_never_change() -> None:
    assert 31 == len(VALUES)
    assert ["resize_interpolation", "illumination"] == [VALUES[0], VALUES[30]]
    assert [5, 11, 12, 25, 28] == [VALUES.index(name) for name in ("ratio", "crop_y", "crop_x", "pca_r", "mirror")]


def test_seed_epoch_record_value_and_attempt_each_change_the_number() -> None:
    keys = itertools.product((0, 1), (0, 1))
    units = [
        draws.unit(name, attempt)
        for seed, epoch in keys
        for draws in counter_draws([hash64(seed, epoch)] * 2, (0, 1))
        for name in ("area", "aspect", "swap")
        for attempt in (0, 1, 2)
    ]

    assert 72 == len(units) == len(set(units))


def test_a_number_does_not_depend_on_earlier_draws() -> None:
    (again,) = counter_draws([hash64(100, 2)], [7])
    backwards = [again.unit(name) for name in reversed(VALUES)]

    assert [DRAWS.unit(name) for name in VALUES] == backwards[::-1]


def test_draws_without_effect_may_be_left_out_of_hashes_and_not_of_a_generator() -> None:
    assert Draws.is_sequential
    assert MersenneDraws(1).is_sequential
    assert not DRAWS.is_sequential


@pytest.mark.parametrize("method", ["unit", "integer", "coin", "normals", "uniform"])
def test_arguments_and_defaults_are_those_that_the_augmenter_relies_on(method: str) -> None:
    assert inspect.signature(getattr(Draws, method)) == inspect.signature(getattr(CounterDraws, method))


def test_a_record_draws_the_same_alone_and_among_others() -> None:
    states, ordinals = [hash64(seed, seed % 3) for seed in range(40)], [2**40 * number for number in range(40)]
    many = counter_draws(states, ordinals)

    for state, ordinal, draws in zip(states, ordinals, many, strict=True):
        (alone,) = counter_draws([state], [ordinal])
        for name, attempt in (("crop_y", 0), ("area", 3), ("mirror", 0)):
            assert alone.unit(name, attempt) == draws.unit(name, attempt)
            bits = absorb(absorb(state, ordinal), attempt * 64 + VALUES.index(name))
            assert bits >> 40 == draws.unit(name, attempt) * 2**24


def test_numbers_are_float32_and_units_are_multiples_of_2_to_the_minus_24() -> None:
    units = [draws.unit("shear") for draws in MANY[:200]]

    assert {np.float32} == {type(unit) for unit in units}
    assert all(0 <= unit < 1 and float(unit * 2**24).is_integer() for unit in units)
    assert {np.float32} == {type(normal) for normal in DRAWS.normals(PCA, Float(0.1))}
    assert np.float32 is type(DRAWS.uniform("shear", Float(-1), Float(1)))


@pytest.mark.parametrize("name", ["shear", "crop_y", "contrast_factor"])
def test_units_are_uniform(name: str) -> None:
    counts = np.bincount([int(draws.unit(name) * 20) for draws in MANY], minlength=20)

    assert ((counts - 200) ** 2 / 200).sum() < 45  # chi-square with 19 degrees of freedom: 1 in 1000 is above 43.8


def test_integers_are_uniform_and_include_both_ends() -> None:
    counts = Counter(draws.integer("angle", -3, 3) for draws in MANY)

    assert [*range(-3, 4)] == sorted(counts)
    assert sum((count - 4000 / 7) ** 2 / (4000 / 7) for count in counts.values()) < 22.5
    assert {5} == {draws.integer("crop_x", 5, 5) for draws in MANY}


def test_coins_are_fair_and_independent_of_their_neighbours() -> None:
    coins = np.array([draws.coin("mirror") for draws in MANY])

    assert abs(coins.mean() - 0.5) < 0.03
    assert abs((coins[1:] == coins[:-1]).mean() - 0.5) < 0.03


def test_normals_have_the_given_deviation_and_normal_tails() -> None:
    normals = np.array([draws.normals(PCA, Float(0.1)) for draws in MANY])

    assert np.abs(normals.mean(axis=0)).max() < 5 * 0.1 / 4000**0.5
    assert np.abs(normals.std(axis=0) / 0.1 - 1).max() < 0.05
    assert np.abs(np.corrcoef(normals.T) - np.eye(3)).max() < 0.07
    assert 0.2 * 4000 * 3 * 0.0027 < np.count_nonzero(np.abs(normals) > 0.3) < 3 * 4000 * 3 * 0.0027
    assert (0.0, 0.0, 0.0) == DRAWS.normals(PCA, Float(0))


def test_the_smallest_and_the_largest_hash_are_normals_of_equal_size() -> None:
    draws = CounterDraws({("pca_r", 0): [0], ("pca_g", 0): [2**64 - 1], ("pca_b", 0): [2**63]}, 0)
    smallest, largest, middle = draws.normals(PCA, Float(1))

    assert pytest.approx(-8.2095, abs=1e-4) == smallest  # half of 2**-52 of the distribution is below it
    assert pytest.approx(8.2095, abs=1e-4) == largest
    assert pytest.approx(0, abs=1e-15) == middle


def test_uniform_numbers_cover_low_to_high() -> None:
    values = [float(draws.uniform("scale", Float(0.5), Float(2))) for draws in MANY]

    assert float(MANY[0].uniform("scale", Float(0.5), Float(2), 0)) == values[0]
    assert 0.5 <= min(values) < 0.51
    assert 1.99 < max(values) < 2
    assert {1.0} == {float(draws.uniform("ratio", Float(1), Float(1))) for draws in MANY[:50]}
