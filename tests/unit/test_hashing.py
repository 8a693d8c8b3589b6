"""The hash that all draws are computed from: published values, and that every bit of every counter matters."""

from __future__ import annotations

import doctest

from im2rec import hashing
from im2rec.hashing import hash64, mix64

VECTORS = {
    (): 0,
    (0,): 16294208416658607535,  # the first number of SplitMix64 seeded with 0
    (100, 7): 11534323074136820269,
    (0, 0, 0, 0): 2391539541053276776,
}


def test_the_published_values_are_reproduced() -> None:
    assert VECTORS == {counters: hash64(*counters) for counters in VECTORS}


def test_the_example_in_the_docstring_is_true() -> None:
    assert doctest.TestResults(failed=0, attempted=1) == doctest.testmod(hashing)


def test_the_order_and_the_number_of_counters_change_the_hash() -> None:
    hashes = [hash64(*counters) for counters in [(), (0,), (0, 0), (1,), (1, 0), (0, 1), (1, 2), (2, 1), (3,)]]

    assert len(hashes) == len(set(hashes))


def test_a_counter_is_taken_modulo_2_to_the_64() -> None:
    assert hash64(2**64 - 1) == hash64(-1)
    assert hash64(5, 7) == hash64(5 + 2**64, 7)


def test_mix64_can_be_inverted() -> None:
    def unmix(value: int) -> int:
        def unshift(value: int, by: int) -> int:
            return value ^ value >> by ^ value >> 2 * by  # three times any of the shifts is more than 64

        value = unshift(value, 31) * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
        value = unshift(value, 27) * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
        return unshift(value, 30)

    samples = [0, 1, 2**63, 2**64 - 1, *(hash64(n) for n in range(200))]
    assert samples == [unmix(mix64(sample)) for sample in samples]


def test_flipping_one_bit_of_a_counter_flips_half_of_the_bits_of_the_hash() -> None:
    for bit in range(64):
        flipped = [(hash64(n, 3) ^ hash64(n ^ 1 << bit, 3)).bit_count() for n in range(200)]
        assert 30 < sum(flipped) / len(flipped) < 34
        assert min(flipped) > 8


def test_hashes_of_consecutive_ids_are_spread_evenly() -> None:
    counts = [0] * 5
    for id_ in range(5000):
        counts[hash64(id_) % 5] += 1

    assert all(900 < count < 1100 for count in counts)
