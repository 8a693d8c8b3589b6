"""Iterators that take turns at the batches of a part, and epochs that are set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from iterator_helpers import a_rec, index, iterator, numbers, taken, whole

from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter

COUNT = 23
RANDOM: dict[str, Any] = {"shuffle": True, "seed": 5, "rand_mirror": True, "last_batch": "keep"}


@pytest.fixture(scope="module")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_rec(tmp_path_factory.mktemp("turns"), COUNT, "a.rec")


def taking_turns(rec: Path, turns: int, **given: Any) -> list[ImageRecordIter]:
    its = [iterator(rec, **RANDOM, **given) for _ in range(turns)]
    for turn, it in enumerate(its):
        it.take_turns(turn, turns)
    return its


def in_turn(its: list[ImageRecordIter]) -> list[DataBatch]:
    """The rest of the epoch of all iterators, one batch of each in turn."""
    shares = [list(it) for it in its]
    return [shares[number % len(its)][number // len(its)] for number in range(sum(map(len, shares)))]


def close(its: list[ImageRecordIter]) -> None:
    for it in its:
        it.close()


@pytest.mark.parametrize("turns", [1, 2, 3, 8, 9])
def test_iterators_in_turn_deliver_the_batches_of_one(rec: Path, turns: int) -> None:
    its = taking_turns(rec, turns)
    with iterator(rec, **RANDOM) as one:
        assert len(one) == sum(map(len, its))
        for _ in range(3):
            assert [whole(batch) for batch in one] == [whole(batch) for batch in in_turn(its)]
    close(its)


def test_turns_begin_at_the_next_batch(rec: Path) -> None:
    with iterator(rec, **RANDOM) as one:
        first, second = list(one), list(one)
    its = [iterator(rec, **RANDOM) for _ in range(2)]
    for turn, it in enumerate(its):
        taken(it, 3)
        it.take_turns(turn, 2)
    assert [index(first[number]) for number in (3, 5, 7)] == [index(batch) for batch in taken(its[0], 3)]
    assert [index(first[number]) for number in (4, 6)] == [index(batch) for batch in taken(its[1], 2)]
    for it in its:
        with pytest.raises(StopIteration):
            it.next()
    assert [whole(batch) for batch in second] == [whole(batch) for batch in in_turn(its)]
    close(its)


def test_a_turn_is_below_the_number_of_turns(rec: Path) -> None:
    with iterator(rec) as it:
        assert "turn=2 must be 0 to 1 with turns=2" == message_of(it.take_turns, 2, 2)
        assert "turn=-1 must be 0 to 1 with turns=2" == message_of(it.take_turns, -1, 2)


def test_a_state_of_an_iterator_that_takes_turns_has_its_next_batch(rec: Path) -> None:
    its = taking_turns(rec, 3)
    with iterator(rec, **RANDOM) as one:
        batches = list(one)
    taken(its[1], 1)
    (again,) = taking_turns(rec, 3)[:1]
    again.load_state_dict(its[1].state_dict())
    assert index(batches[4]) == index(again.next())
    assert index(batches[7]) == index(again.next())
    with pytest.raises(StopIteration):
        again.next()
    close([*its, again])


def test_an_iterator_shows_its_own_batches(rec: Path) -> None:
    its = taking_turns(rec, 3)
    taken(its[2], 1)

    assert "epoch 0, 1 of 2 batches delivered>" in repr(its[2])
    close(its)


# Epochs


def test_an_epoch_that_is_set_is_the_next_one(rec: Path) -> None:
    with iterator(rec, **RANDOM) as it:
        epochs = [[whole(batch) for batch in it] for _ in range(4)]
    with iterator(rec, **RANDOM) as it:
        for epoch in (2, 2, 0, 3, 1):
            it.set_epoch(epoch)
            assert epochs[epoch] == [whole(batch) for batch in it]
        assert epochs[2] == [whole(batch) for batch in it]


def test_setting_the_epoch_that_comes_next_drops_nothing(rec: Path) -> None:
    with iterator(rec, **RANDOM) as it:
        it.set_epoch(0)
        list(it)
        stream = it._stream
        it.set_epoch(1)
        it.set_epoch(1)
        assert [*range(COUNT)] == sorted(number for batch in numbers(it) for number in batch)
        assert stream is it._stream
        assert 1 == it.epoch


def test_setting_the_epoch_of_a_loaded_state_keeps_its_place(rec: Path) -> None:
    with iterator(rec, **RANDOM) as it:
        batches = list(it)
        it.set_epoch(0)
        taken(it, 5)
        state = it.state_dict()
    with iterator(rec, **RANDOM) as it:
        it.load_state_dict(state)
        it.set_epoch(0)
        assert [index(batch) for batch in batches[5:]] == [index(batch) for batch in it]


def test_setting_an_epoch_in_the_middle_of_it_begins_it_again(rec: Path) -> None:
    with iterator(rec, **RANDOM) as it:
        (first,) = taken(it, 1)
        it.set_epoch(0)
        assert whole(first) == whole(it.next())


def test_there_is_no_epoch_below_0(rec: Path) -> None:
    with iterator(rec) as it:
        assert "epoch=-1 must be 0 or more" == message_of(it.set_epoch, -1)
