"""MXNet's random numbers: recorded words, recorded images that only these draws explain, and distributions."""

from __future__ import annotations

import inspect
import json
import pickle
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from im2rec.augment.draws import Draws, Float
from im2rec.augment.mxnet_draws import Mersenne, MersenneDraws

GOLDEN = Path(__file__).parents[1] / "golden" / "iterators"
VECTORS = json.loads((GOLDEN / "rng_vectors.json").read_text(encoding="utf-8"))["outputs"]
PCA = ("pca_r", "pca_g", "pca_b")
MXNET_SEED = 111  # of the decode worker that made the recorded images


def recorded(case: str) -> Any:
    """The images of the first recorded batch: (n, channels, height, width)."""
    with np.load(GOLDEN / "cases" / f"{case}.npz") as arrays:
        return arrays["data"][0]


def draws_from(words: list[int]) -> MersenneDraws:
    """Draws from these words of a generator."""
    draws = MersenneDraws(0)
    generator = draws.generator
    generator._words[: len(words)] = words
    return draws


def words_consumed(draws: MersenneDraws) -> int:
    return draws.generator.state().used


@pytest.mark.parametrize("seed", VECTORS)
def test_the_words_are_those_of_the_reference(seed: str) -> None:
    generator = Mersenne(int(seed))

    assert VECTORS[seed] == [generator.next32() for _ in VECTORS[seed]]


def test_a_seed_is_taken_modulo_two_to_the_32() -> None:
    assert VECTORS["111"][0] == Mersenne(111 + 2**32).next32()
    assert Mersenne(2**32 - 89).next32() == Mersenne(111 - 200).next32()


def test_the_ten_thousandth_word_is_that_of_the_standard() -> None:
    generator = Mersenne(5489)
    words = [generator.next32() for _ in range(10_000)]

    assert 4123659995 == words[-1]  # [rand.predef] of the C++ standard


def test_seeding_again_starts_again() -> None:
    generator = Mersenne(5)
    generator.next32()

    generator.seed(222)

    assert VECTORS["222"] == [generator.next32() for _ in range(8)]


@pytest.mark.parametrize("used", [0, 1, 623, 624, 625, 2000])
def test_a_restored_or_pickled_generator_continues_its_stream(used: int) -> None:
    generator = Mersenne(7)
    for _ in range(used):
        generator.next32()
    state, copy = pickle.loads(pickle.dumps(generator.state())), pickle.loads(pickle.dumps(generator))
    expected = [generator.next32() for _ in range(1300)]

    assert expected == [copy.next32() for _ in range(1300)]
    for target in (generator, Mersenne(0)):
        target.restore(state)
        assert expected == [target.next32() for _ in range(1300)]


def test_a_state_is_small() -> None:
    assert 3000 > len(pickle.dumps(Mersenne(7)))


def test_an_integer_is_the_word_divided_by_its_share() -> None:
    largest = 2**32 - 1
    draws = draws_from([0, largest // 3 - 1, largest // 3, largest - 1])

    assert [10, 10, 11, 12] == [draws.integer("crop_y", 10, 12) for _ in range(4)]


def test_words_beyond_the_last_full_multiple_are_rejected() -> None:
    share = (2**32 - 1) // 2
    draws = draws_from([2 * share, 2**32 - 1, share])

    assert 1 == draws.integer("crop_y", 0, 1)
    assert 3 == words_consumed(draws)


def test_a_range_of_one_number_consumes_a_word() -> None:
    draws = draws_from([5])

    assert 4 == draws.integer("crop_y", 4, 4)
    assert 1 == words_consumed(draws)


def test_integers_are_uniform() -> None:
    draws = MersenneDraws(3)
    counts = Counter(draws.integer("crop_x", -2, 2) for _ in range(5000))

    assert {-2, -1, 0, 1, 2} == set(counts)
    assert all(900 < count < 1100 for count in counts.values())


def test_a_shuffle_keeps_every_item_and_draws_one_word_for_each_but_the_first() -> None:
    generator = Mersenne(111)
    items = list(range(500))

    generator.shuffle(items)

    assert list(range(500)) == sorted(items) != items
    assert 499 == generator.state().used
    for few in ([], ["one"]):
        generator.shuffle(few)
    assert 499 == generator.state().used


def test_shuffles_are_those_that_the_reference_recorded() -> None:
    generator = Mersenne(111)
    orders = [list(range(7)) for _ in range(3)]
    for order in orders:
        generator.shuffle(order)

    # golden/iterators/shuffle_orders.json: seed 0 with an index, three epochs.
    assert [[3, 4, 5, 2, 1, 6, 0], [5, 6, 0, 1, 3, 2, 4], [1, 5, 0, 4, 6, 3, 2]] == orders


def test_a_unit_is_the_word_as_a_fraction_in_32_bits() -> None:
    draws = draws_from([0, 2**31, 3 * 2**30, 2**32 - 1])
    units = [draws.unit("shear") for _ in range(4)]

    assert [0.0, 0.5, 0.75, float(np.nextafter(Float(1), Float(0)))] == units  # the last would round to 1
    assert {Float} == {type(unit) for unit in units}


def test_uniform_stays_in_32_bits() -> None:
    draws = MersenneDraws(5)
    low, high = Float(0.9), Float(1.1)
    values = [draws.uniform("scale", low, high) for _ in range(100)]

    assert {Float} == {type(value) for value in values}
    assert all(low <= value < high for value in values)


def test_a_coin_takes_two_words_of_which_the_second_decides() -> None:
    draws = draws_from([2**32 - 1, 2**31 - 2, 0, 2**31])

    assert [True, False] == [draws.coin("mirror"), draws.coin("mirror")]
    assert 4 == words_consumed(draws)


@pytest.mark.parametrize("method", ["unit", "integer", "coin", "normals", "uniform"])
def test_arguments_and_defaults_are_those_that_the_augmenter_relies_on(method: str) -> None:
    assert inspect.signature(getattr(Draws, method)) == inspect.signature(getattr(MersenneDraws, method))


def test_names_and_attempts_make_no_difference() -> None:
    one, other = MersenneDraws(9), MersenneDraws(9)

    assert one.unit("area", 3) == other.unit("shear")
    assert one.integer("crop_y", 0, 99, 2) == other.integer("crop_x", 0, 99)


def test_normals_come_in_pairs_and_the_last_ones_twin_is_dropped() -> None:
    three, four = MersenneDraws(1), MersenneDraws(1)
    first = three.normals(PCA, Float(0.5))

    assert first == four.normals((*PCA, "more"), Float(0.5))[:3]
    assert {Float} == {type(value) for value in first}
    assert three.unit("shear") == four.unit("shear")
    assert () == three.normals((), Float(1))


def test_normals_reject_points_outside_the_unit_circle_and_its_centre() -> None:
    half = 2**31  # is drawn as 0
    draws = draws_from([0, 0, half, half, half, 3 * 2**30])  # (-1, -1), (0, 0), (0, 0.5)
    second, first = 0.0, 0.5 * np.sqrt(-2 * np.log(0.25) / 0.25)

    assert pytest.approx((first, second)) == draws.normals(("pca_r", "pca_g"), Float(1))
    assert 6 == words_consumed(draws)


def test_normals_have_their_mean_and_deviation() -> None:
    draws = MersenneDraws(2)
    values = np.array([draws.normals(PCA, Float(2)) for _ in range(4000)])

    assert pytest.approx([0, 0, 0], abs=0.1) == values.mean(axis=0)
    assert pytest.approx([2, 2, 2], abs=0.1) == values.std(axis=0)


def test_a_recorded_batch_was_cropped_and_mirrored_by_these_draws() -> None:
    draws = MersenneDraws(MXNET_SEED)
    crops = []
    for image in recorded("identity_png"):
        y, x = draws.integer("crop_y", 0, 24 - 14), draws.integer("crop_x", 0, 32 - 18)
        crop = image[:, y : y + 14, x : x + 18]
        crops.append(crop[:, :, ::-1] if draws.coin("mirror") else crop)
        draws.unit("contrast_factor"), draws.unit("illumination")

    assert np.array_equal(np.array(crops), recorded("replay_rand_crop_mirror"))


def test_a_recorded_batch_has_the_contrast_and_illumination_of_these_draws() -> None:
    draws = MersenneDraws(MXNET_SEED)
    scale, deviation, mean = Float(0.5), Float(3), Float(10)
    batch = []
    for image in recorded("identity_png")[:, :, 5:19, 7:25].astype(Float):
        contrast = draws.unit("contrast_factor") * Float(0.3) * Float(2) - Float(0.3) + Float(1)
        illumination = draws.unit("illumination") * Float(20) * Float(2) - Float(20)
        batch.append((image - mean) * (contrast * scale / deviation) + illumination * scale / deviation)

    assert np.array_equal(np.array(batch), recorded("replay_contrast_illum"))


def test_a_recorded_batch_has_the_noise_of_these_draws() -> None:
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    vectors = (vectors * [55.46, 4.794, 1.148]).astype(Float)
    draws = MersenneDraws(MXNET_SEED)
    batch = []
    for image in recorded("identity_png")[:, :, 5:19, 7:25].astype(Float):
        shares = vectors * np.array(draws.normals(PCA, Float(0.1)))
        noise = shares[:, 0] + shares[:, 1] + shares[:, 2]
        batch.append(np.trunc(image + noise[:, None, None]).clip(0, 255))
        draws.unit("contrast_factor"), draws.unit("illumination")

    assert np.array_equal(np.array(batch), recorded("replay_pca"))


def test_the_stream_is_not_that_of_pythons_generator() -> None:
    assert random.Random(111).getrandbits(32) != Mersenne(111).next32()
