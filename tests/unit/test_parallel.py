"""Ordered work in this thread, in threads and in processes: order, bounds, failures, and nothing left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from image_helpers import DEADLINE_S, POSIX, die_at_five, square, square_and_pid, square_but_not_five

from im2rec import parallel
from im2rec.parallel import WorkerDiedError, available_cpus, run_ordered
from im2rec.workers import start_worker


def run(
    work: Callable[[int], Any], items: Any, *, workers: int = 2, processes: bool = False
) -> Generator[Any, None, None]:
    return run_ordered(work, items, workers=workers, processes=processes, name="item {}".format)


@pytest.mark.parametrize(("workers", "processes"), [(1, True), (7, False), (2, True)])
def test_answers_come_in_the_order_of_the_items(workers: int, processes: bool) -> None:
    assert [n * n for n in range(60)] == list(run(square, range(60), workers=workers, processes=processes))


def test_one_worker_is_this_very_thread() -> None:
    here = threading.get_ident()

    assert [here] == list(run(lambda _: threading.get_ident(), [0], workers=1, processes=True))


def test_processes_are_others_than_this_one_and_end_with_the_work() -> None:
    answers = list(run(square_and_pid, range(20), processes=True))

    assert [n * n for n in range(20)] == [answer for answer, _ in answers]
    assert os.getpid() not in {pid for _, pid in answers}
    assert [] == multiprocessing.active_children()


def test_a_later_item_that_is_ready_first_waits_for_its_turn() -> None:
    second_done = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second_done.wait(DEADLINE_S)
        else:
            second_done.set()
        return number

    assert [0, 1] == list(run(work, [0, 1]))


def test_items_are_drawn_a_few_per_worker_ahead() -> None:
    for workers, ahead in {1: 1, 2: 6, 4: 12}.items():
        drawn: list[int] = []

        def items(drawn: list[int] = drawn) -> Iterator[int]:
            for number in range(1000):
                drawn.append(number)
                yield number

        answers = run(square, items(), workers=workers)
        assert [] == drawn
        assert 0 == next(answers)
        assert ahead == len(drawn)
        assert 1 == next(answers)
        assert ahead + 1 == len(drawn)
        answers.close()


@pytest.mark.parametrize(("workers", "processes"), [(1, False), (2, False), (2, True)])
def test_a_failure_is_raised_at_its_own_place_in_the_order(workers: int, processes: bool) -> None:
    answers = run(square_but_not_five, range(20), workers=workers, processes=processes)

    assert [0, 1, 4, 9, 16] == [next(answers) for _ in range(5)]
    with pytest.raises(ValueError, match=r"^five$"):
        next(answers)
    assert [] == multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_while_drawing_items_is_raised_as_it_is(workers: int) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the list went away")

    with pytest.raises(OSError, match=r"^the list went away$"):
        list(run(square, items(), workers=workers))


def test_closing_cancels_what_has_not_begun_and_waits_for_what_has(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    finished: list[int] = []
    shutting_down = threading.Event()
    real = parallel.ThreadPoolExecutor.shutdown

    def shutdown(self: Any, **how: bool) -> None:
        shutting_down.set()
        real(self, **how)

    def work(number: int) -> int:
        begun.append(number)
        assert number == 0 or shutting_down.wait(DEADLINE_S)
        finished.append(number)
        return number

    monkeypatch.setattr(parallel.ThreadPoolExecutor, "shutdown", shutdown)
    answers = run(work, range(1000))
    assert 0 == next(answers)
    answers.close()

    assert sorted(begun) == sorted(finished)
    assert set(begun) <= {0, 1, 2}  # the first, and the one that each of two threads had in hand


@POSIX
def test_a_process_that_dies_is_an_error_that_names_what_it_held() -> None:
    answers: list[int] = []
    with pytest.raises(WorkerDiedError) as caught:
        answers.extend(run(die_at_five, range(40), processes=True))

    assert [n * n for n in range(len(answers))] == answers
    assert len(answers) <= 5
    assert "a worker process died (by SIGKILL) while it held item 5" == str(caught.value).partition(" (out of")[0]
    assert [] == multiprocessing.active_children()


@POSIX
def test_a_process_that_dies_in_the_middle_of_a_long_answer_is_the_same_error() -> None:
    # In a program of its own: where this fails it hangs, and would keep pytest from ending.
    code = """if True:
        from im2rec.parallel import WorkerDiedError, run_ordered
        from image_helpers import die_while_answering
        try:
            for _ in run_ordered(die_while_answering, range(40), workers=2, processes=True, name="item {}".format): pass
        except WorkerDiedError as error:
            print(error)
    """
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], env=where, capture_output=True, check=False, timeout=DEADLINE_S, text=True
        )
    except subprocess.TimeoutExpired:
        pytest.fail("the consumer hangs, waiting for the rest of an answer that nobody will write")

    expected = "a worker process died (by SIGKILL) while it held item 5"
    assert (0, expected) == (done.returncode, done.stdout.partition(" (out of")[0])


@POSIX
def test_an_item_that_does_not_reach_its_process_leaves_nothing_that_cannot_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complaints: list[str] = []  # Python has them from 3.13 on, before that with -X dev
    monkeypatch.setattr(sys, "unraisablehook", lambda told: complaints.append(repr(told.exc_value)))
    worker = start_worker(die_at_five)

    def lost(item: int) -> None:
        errors = []  # a cycle, with the tracebacks: the collector's to take apart
        try:
            worker.ask(item)
        except (EOFError, OSError) as error:
            errors.append(error)
        assert errors

    lost(5)
    lost(6)
    gc.collect()
    worker.end()

    assert [] == complaints


def test_the_cpus_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    assert 3 == available_cpus()


def test_where_that_is_not_known_they_are_all_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(parallel.os, "sched_getaffinity", raising=False)
    for counted, expected in {6: 6, None: 1}.items():
        monkeypatch.setattr(parallel.os, "cpu_count", lambda counted=counted: counted)
        assert expected == available_cpus()
