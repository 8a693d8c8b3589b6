"""Rates: medians of repetitions, taken in rounds, over every item."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from helpers import Clock

from im2rec.bench import timing
from im2rec.bench.timing import Rate, in_rounds, passes, timed_repetitions, timed_run


def test_a_rate_is_the_median_with_the_quartiles() -> None:
    assert Rate(30.0, 20.0, 40.0, 5) == Rate.of([50.0, 10.0, 30.0, 20.0, 40.0])
    assert Rate(7.0, 7.0, 7.0, 1) == Rate.of([7.0])
    assert 20 / 30 == Rate.of([50.0, 10.0, 30.0, 20.0, 40.0]).spread


def test_a_repetition_is_as_much_work_as_fits_its_share_of_the_time(clock: Clock) -> None:
    def work() -> int:
        clock.advance(0.25)
        return 10

    assert [40.0, 40.0, 40.0] == timed_repetitions(work, 3.0)
    assert 3.0 == clock.time


def test_work_that_takes_longer_than_its_time_is_done_once(clock: Clock) -> None:
    def work() -> int:
        clock.advance(100)
        return 50

    assert [0.5] == timed_repetitions(work, 3.0)


def test_runs_take_turns_in_rounds(clock: Clock) -> None:
    order: list[tuple[str, float]] = []
    reported_at: list[float] = []

    def timed(name: str, rate: float) -> timing.TimedRun:
        def run(seconds: float) -> list[float]:
            order.append((name, seconds))
            clock.advance(seconds)
            return [rate, rate + len(order)]

        return run

    rates = in_rounds(
        {"a": timed("a", 10), "b": timed("b", 100)}, 6.0, after_each=lambda: reported_at.append(clock.time)
    )

    assert [("a", 2.0), ("b", 2.0)] * 3 == order
    assert [2.0, 4.0, 6.0, 8.0, 10.0, 12.0] == reported_at
    assert Rate.of([10, 11, 10, 13, 10, 15]) == rates["a"]
    assert Rate.of([100, 102, 100, 104, 100, 106]) == rates["b"]


def test_no_further_round_is_made_when_the_first_took_far_too_long(clock: Clock) -> None:
    def slow(_seconds: float) -> list[float]:
        clock.advance(100)
        return [1.0]

    assert {"a": Rate(1.0, 1.0, 1.0, 1)} == in_rounds({"a": slow}, 3.0)


@pytest.mark.parametrize(("items", "threads"), [(1, 1), (7, 1), (1, 4), (7, 4), (1000, 3)])
def test_a_pass_handles_every_item_equally_often(items: int, threads: int) -> None:
    seen: Counter[int] = Counter()
    lock = threading.Lock()

    def work(item: int) -> None:
        with lock:
            seen[item] += 1

    with passes(work, list(range(items)), threads) as one_pass:
        calls = one_pass()

    assert seen.total() == calls
    assert calls >= items
    assert 1 == len(set(seen.values()))
    assert list(range(items)) == sorted(seen)


def test_an_error_in_a_thread_is_raised_and_all_threads_end() -> None:
    def work(_item: int) -> None:
        raise ValueError("no")

    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="no"):
        timed_run(work, [1, 2, 3], threads=2)(0.01)
    assert not set(threading.enumerate()) - before
