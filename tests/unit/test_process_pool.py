"""The pool of worker processes: deaths, second tries, timeouts and replacements, with workers that are no processes."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from im2rec import process_pool
from im2rec.process_pool import ItemKilledError, ProcessPool, Retry, WorkerDiedError


@dataclasses.dataclass
class System:
    """Workers in place of processes, and what each of them was given: its number, the item and the timeout.

    A number of an item in *deadly* kills its worker, as often as it says there; -1 stands for the empty item. One in
    *hanging* takes for ever.
    """

    deadly: dict[int, int] = dataclasses.field(default_factory=dict)
    hanging: set[int] = dataclasses.field(default_factory=set)
    exitcode: int | None = -9
    refuses: int = 10**9  # the number of the first worker that cannot be started
    calls: list[tuple[int, list[int], float | None]] = dataclasses.field(default_factory=list)
    started: int = 0
    ended: list[int] = dataclasses.field(default_factory=list)

    def start(self, _work: Callable[[Any], Any]) -> FakeWorker:
        if self.started == self.refuses:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.started += 1
        return FakeWorker(self, self.started - 1)

    def items(self) -> list[tuple[int, list[int]]]:
        """The number of the worker and the item of each call, without empty ones."""
        return [(number, item) for number, item, _ in self.calls if item]


@dataclasses.dataclass(frozen=True)
class FakeWorker:
    system: System
    number: int

    def call(self, item: list[int], timeout_s: float | None = None) -> tuple[bool, Any]:
        self.system.calls.append((self.number, item, timeout_s))
        for number in item or [-1]:
            if self.system.deadly.get(number, 0):
                self.system.deadly[number] -= 1
                raise EOFError
            if number in self.system.hanging:
                assert timeout_s is not None
                raise TimeoutError
            if number == 13:
                return False, ValueError("thirteen")
        return True, [f"{number}" for number in item]

    def exitcode(self) -> int | None:
        return self.system.exitcode

    def end(self) -> None:
        self.system.ended.append(self.number)

    __hash__ = object.__hash__


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    system = System()
    monkeypatch.setattr(process_pool, "start_worker", system.start)
    return system


def a_pool(*, timeout_s: float | None = None) -> ProcessPool[list[int], list[str]]:
    """A pool whose parts are single numbers; those that die twice have the detail of the error as their result."""
    retry: Retry[list[int], list[str]] = Retry(
        split=lambda item: [[number] for number in item],
        failed=lambda item, error: [f"{item[0]} {'slow' if error.timed_out else 'bad'}: {error.detail}"],
        join=lambda of_empty, results: [*of_empty, *(text for result in results for text in result)],
        empty=[],
        timeout_s=timeout_s,
    )
    return ProcessPool(lambda _: [], "numbers {}".format, retry)


DIED = "its process died, by SIGKILL: out of memory?"


def test_the_part_that_kills_its_process_fails_and_all_others_have_results_in_order(system: System) -> None:
    system.deadly = {3: 2}
    assert ["1", "2", f"3 bad: {DIED}", "4", "5"] == a_pool().call([1, 2, 3, 4, 5])


def test_a_part_has_a_new_process_only_if_the_one_before_it_died(system: System) -> None:
    system.deadly = {3: 2}
    pool = a_pool()
    pool.call([1, 2, 3, 4])
    pool.call([5])

    assert [(0, [1, 2, 3, 4]), (1, [1]), (1, [2]), (1, [3]), (2, [4]), (2, [5])] == [
        (number, item) for number, item in system.items()
    ]
    assert [0, 1] == system.ended
    pool.end()
    assert [0, 1, 2] == system.ended


def test_a_process_that_is_killed_from_outside_costs_nothing(system: System) -> None:
    for item in ([1, 2], [1]):
        system.deadly = {1: 1}
        assert [str(number) for number in item] == a_pool().call(item)


def test_the_details_name_how_the_process_ended_and_a_likely_cause(system: System) -> None:
    crash = "a crash in an image library"
    for exitcode, expected in {
        -9: "by SIGKILL: out of memory?",
        -11: f"by SIGSEGV: {crash}",
        -6: f"by SIGABRT: {crash}",
        -15: "by SIGTERM",
        3: "exit code 3",
        None: "for an unknown reason",
    }.items():
        system.exitcode, system.deadly = exitcode, {1: 2}
        assert [f"1 bad: its process died, {expected}"] == a_pool().call([1])


def test_an_item_that_takes_too_long_is_tried_part_by_part_each_with_the_whole_time(system: System) -> None:
    system.hanging = {2}
    assert ["1", "2 slow: took longer than 0.5 s", "3"] == a_pool(timeout_s=0.5).call([1, 2, 3])
    assert [0, 1] == system.ended
    assert {0.5} == {timeout for _, item, timeout in system.calls if item}
    assert {None} == {timeout for _, item, timeout in system.calls if not item}  # each start takes its time


def test_each_process_has_the_empty_item_first(system: System) -> None:
    system.deadly = {1: 2}
    a_pool().call([1, 2])
    assert [(0, []), (1, []), (2, [])] == [(number, item) for number, item, _ in system.calls if not item]


def test_processes_that_die_at_their_start_are_no_fault_of_an_item(system: System) -> None:
    system.deadly = {-1: 2}
    assert ["1"] == a_pool().call([1])

    system.deadly = {-1: 3}
    with pytest.raises(WorkerDiedError) as caught:
        a_pool().call([1])
    expected = "3 worker processes died at their start (the last one by SIGKILL)"
    assert expected == caught.value.problem
    assert not isinstance(caught.value, ItemKilledError)


def test_a_system_that_starts_no_process_is_an_error_at_the_second_try_too(system: System) -> None:
    for refuses in (0, 1):
        system.started, system.refuses, system.deadly = 0, refuses, {1: 1}
        with pytest.raises(WorkerDiedError) as caught:
            a_pool().call([1])
        reason = os.strerror(errno.EAGAIN).lower()
        expected = f"no worker process can be started: {reason} (end other programs, or try fewer workers)"
        assert expected == str(caught.value)


def test_an_error_of_the_work_is_raised_as_it_is_and_keeps_the_process(system: System) -> None:
    pool = a_pool()
    with pytest.raises(ValueError, match=r"^thirteen$"):
        pool.call([13])
    assert ["1"] == pool.call([1])
    assert 1 == system.started


def test_ending_the_pool_is_no_death_that_asks_for_a_second_try(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = a_pool()

    def end(_worker: FakeWorker, item: list[int], _timeout_s: float | None = None) -> tuple[bool, Any]:
        if not item:
            return True, []
        pool.end()
        raise EOFError

    monkeypatch.setattr(FakeWorker, "call", end)
    with pytest.raises(WorkerDiedError, match=r"^the worker processes have been ended$"):
        pool.call([1, 2])
    assert 1 == system.started


def test_without_a_second_try_the_error_names_the_item_and_no_item_comes_before_it(system: System) -> None:
    system.deadly = {2: 1}
    pool: ProcessPool[list[int], list[str]] = ProcessPool(lambda _: [], "numbers {}".format)
    with pytest.raises(ItemKilledError) as caught:
        pool.call([2])

    assert "a worker process died (by SIGKILL) while working on numbers [2]" == caught.value.problem
    assert [(0, [2], None)] == system.calls
