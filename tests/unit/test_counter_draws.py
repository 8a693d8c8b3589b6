"""The random numbers of a record: the same for ever, each alone, and spread as they should be."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from im2rec.augment.draws import VALUES, Float, counter_draws
from im2rec.hashing import absorb, hash64

PCA = ("pca_r", "pca_g", "pca_b")
DRAWS = counter_draws([hash64(100, 2)], [7])[0]  # seed 100, epoch 2, record 7
MANY = counter_draws([hash64(3, 1)] * 4000, range(4000))


def test_the_published_vectors_hold() -> None:
    units = [DRAWS.unit(name) for name in ("shear", "crop_y", "mirror", "illumination")]
    assert [5025354, 11358453, 8315271, 14241977] == [unit * 2**24 for unit in units]
    assert 2345769 == DRAWS.unit("area", 3) * 2**24
    assert [9, 11, -26] == [DRAWS.integer(name, -30, 30) for name in ("angle", "crop_y", "crop_x")]
    assert 744387602288 == DRAWS.integer("crop_y", 0, 2**40)
    coins = "".join(str(int(draws.coin("mirror"))) for draws in counter_draws([hash64(0, 0)] * 16, range(16)))
    assert "0111100010010010" == coins
    hexes = ["0x1.15144e0000000p-4", "-0x1.35f6b60000000p-5", "-0x1.7f935c0000000p-5"]
    assert hexes == [float(normal).hex() for normal in DRAWS.normals(PCA, Float(0.1))]


def test_the_numbers_of_the_values_are_part_of_what_a_seed_means() -> None:
    assert (31, "resize_interpolation", "illumination") == (len(VALUES), VALUES[0], VALUES[30])
    assert [5, 11, 12, 25, 28] == [VALUES.index(name) for name in ("ratio", "crop_y", "crop_x", "pca_r", "mirror")]


def test_seed_epoch_record_value_and_attempt_each_make_another_number() -> None:
    keys = itertools.product((0, 1), (0, 1))
    units = [
        draws.unit(name, attempt)
        for seed, epoch in keys
        for draws in counter_draws([hash64(seed, epoch)] * 2, (0, 1))
        for name in ("area", "aspect", "swap")
        for attempt in (0, 1, 2)
    ]

    assert 72 == len(units) == len(set(units))


def test_a_number_is_the_same_whatever_was_asked_before() -> None:
    (again,) = counter_draws([hash64(100, 2)], [7])
    later = [again.unit(name) for name in reversed(VALUES)]

    assert [DRAWS.unit(name) for name in VALUES] == later[::-1]


def test_a_record_draws_the_same_alone_and_among_others() -> None:
    states, ordinals = [hash64(seed, seed % 3) for seed in range(40)], [2**40 * number for number in range(40)]
    many = counter_draws(states, ordinals)

    for state, ordinal, draws in zip(states, ordinals, many, strict=True):
        (alone,) = counter_draws([state], [ordinal])
        for name, attempt in (("crop_y", 0), ("area", 3), ("mirror", 0)):
            assert alone.unit(name, attempt) == draws.unit(name, attempt)
            whole = absorb(absorb(state, ordinal), attempt * 64 + VALUES.index(name))
            assert whole >> 40 == draws.unit(name, attempt) * 2**24


def test_all_is_in_32_bits_and_units_are_exact() -> None:
    units = [draws.unit("shear") for draws in MANY[:200]]

    assert {np.float32} == {type(unit) for unit in units}
    assert all(0 <= unit < 1 and float(unit * 2**24).is_integer() for unit in units)
    assert {np.float32} == {type(normal) for normal in DRAWS.normals(PCA, Float(0.1))}
    assert np.float32 is type(DRAWS.uniform("shear", Float(-1), Float(1)))


@pytest.mark.parametrize("name", ["shear", "crop_y", "contrast_factor"])
def test_units_are_spread_evenly(name: str) -> None:
    counts = np.bincount([int(draws.unit(name) * 20) for draws in MANY], minlength=20)

    assert ((counts - 200) ** 2 / 200).sum() < 45  # chi-square with 19 degrees of freedom: 1 in 1000 is above 43.8


def test_integers_reach_both_ends_and_are_spread_evenly() -> None:
    counts = Counter(draws.integer("angle", -3, 3) for draws in MANY)

    assert [*range(-3, 4)] == sorted(counts)
    assert sum((count - 4000 / 7) ** 2 / (4000 / 7) for count in counts.values()) < 22.5
    assert {5} == {draws.integer("crop_x", 5, 5) for draws in MANY}


def test_coins_fall_either_way_and_independently_of_their_neighbours() -> None:
    coins = np.array([draws.coin("mirror") for draws in MANY])

    assert abs(coins.mean() - 0.5) < 0.03
    assert abs((coins[1:] == coins[:-1]).mean() - 0.5) < 0.03


def test_normals_have_the_mean_and_the_deviation_asked_for_and_tails() -> None:
    normals = np.array([draws.normals(PCA, Float(0.1)) for draws in MANY])

    assert np.abs(normals.mean(axis=0)).max() < 5 * 0.1 / 4000**0.5
    assert np.abs(normals.std(axis=0) / 0.1 - 1).max() < 0.05
    assert np.abs(np.corrcoef(normals.T) - np.eye(3)).max() < 0.07
    assert 0.2 * 4000 * 3 * 0.0027 < np.count_nonzero(np.abs(normals) > 0.3) < 3 * 4000 * 3 * 0.0027
    assert (0.0, 0.0, 0.0) == DRAWS.normals(PCA, Float(0))


def test_uniform_runs_from_low_to_high() -> None:
    values = [float(draws.uniform("scale", Float(0.5), Float(2))) for draws in MANY]

    assert 0.5 <= min(values) < 0.51
    assert 1.99 < max(values) < 2
    assert {1.0} == {float(draws.uniform("ratio", Float(1), Float(1))) for draws in MANY[:50]}
