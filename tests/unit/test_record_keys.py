"""Keys of records: those that only count take no array, and the last record of a key is found in all."""

from __future__ import annotations

import random

import numpy as np
import pytest

from im2rec.storage.record_keys import RecordKeys

MAX = 2**64 - 1


@pytest.mark.parametrize("first", [0, 7, MAX - 4])
def test_keys_that_rise_by_one_are_kept_as_a_range(first: int) -> None:
    keys = RecordKeys(np.uint64(first) + np.arange(5, dtype=np.uint64)).compact()

    assert (range(first, first + 5), None) == keys.stored
    assert [first + n for n in range(5)] == keys.array.tolist()
    assert not keys.array.flags.writeable
    assert [0, 4, None] == [keys.find_last(key) for key in (first, first + 4, first + 5)]


@pytest.mark.parametrize("values", [[3, 4, 6, 5], [0, 1, 2, 4], [0, 0, 1, 2], [MAX, 0, 1], [5, 4, 3], [1, 2, 0, 4]])
def test_other_keys_are_kept_as_an_array(values: list[int]) -> None:
    keys, _ = RecordKeys(np.array(values, np.uint64)).compact().stored

    assert isinstance(keys, np.ndarray)
    assert values == keys.tolist()


@pytest.mark.parametrize("values", [[0, 1, 1, 5], [4, 9, 9, 9, MAX]])
def test_ascending_keys_need_no_order(values: list[int]) -> None:
    assert RecordKeys(np.array(values, np.uint64)).compact().stored[1] is None


def test_the_last_record_of_a_key_is_found_as_in_a_list() -> None:
    rng = random.Random(1)
    for _ in range(300):
        values = [rng.randrange(rng.choice([3, 30, 2**64])) for _ in range(rng.randrange(1, 20))]
        expected = {value: ordinal for ordinal, value in enumerate(values)}
        plain, compact = RecordKeys(np.array(values, np.uint64)), RecordKeys(np.array(values, np.uint64)).compact()
        stored, order = compact.stored
        again = RecordKeys(stored, order, ascend=order is None)
        for key in {*values, *(value + 1 for value in values), -1, 0, 2**64}:
            found = [keys.find_last(key) for keys in (plain, compact, again)]
            assert [expected.get(key)] * 3 == found


@pytest.mark.parametrize("keys", [RecordKeys(range(2, 6)), RecordKeys(np.array([2, 3, 5, 4], np.uint64))])
@pytest.mark.parametrize("key", [2.5, -0.5, float("nan"), float("inf"), float("-inf"), 2**64, -1])
def test_a_key_that_no_record_can_have_is_not_found(keys: RecordKeys, key: float) -> None:
    assert keys.find_last(key) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("keys", [RecordKeys(range(2, 6)), RecordKeys(np.array([2, 3, 4, 5], np.uint64))])
@pytest.mark.parametrize("key", [3, 3.0, np.int64(3), np.uint64(3), np.float32(3)])
def test_a_key_of_any_type_of_number_is_found(keys: RecordKeys, key: float) -> None:
    assert 1 == keys.find_last(key)  # type: ignore[arg-type]


def test_no_keys_have_no_record() -> None:
    keys = RecordKeys(np.empty(0, np.uint64))

    assert keys.find_last(0) is None
    assert 0 == len(keys.compact().array)
