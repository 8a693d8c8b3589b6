"""Ordered work in this thread, in threads and in processes: order, look-ahead, failures, and complete cleanup."""

from __future__ import annotations

import collections
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from image_helpers import DEADLINE_S, POSIX, die_at_five, square, square_and_pid, square_but_not_five

from im2rec import parallel
from im2rec.parallel import ThreadsEndedError, WorkerThreads, available_cpus, ordered_map, run_ordered
from im2rec.process_pool import WorkerDiedError
from im2rec.workers import _SpawnedWorker, start_worker


def run(
    work: Callable[[int], Any], items: Any, *, workers: int = 2, processes: bool = False
) -> Generator[Any, None, None]:
    return run_ordered(work, items, workers=workers, processes=processes, name="item {}".format)


@pytest.mark.parametrize(("workers", "processes"), [(1, True), (7, False), (2, True)])
def test_results_come_in_the_order_of_the_items(workers: int, processes: bool) -> None:
    assert [n * n for n in range(60)] == list(run(square, range(60), workers=workers, processes=processes))


def test_one_worker_is_the_calling_thread_or_a_process() -> None:
    here = threading.get_ident()

    assert [here] == list(run(lambda _: threading.get_ident(), [0], workers=1))
    ((_, pid),) = run(square_and_pid, [0], workers=1, processes=True)
    assert os.getpid() != pid


def test_work_runs_in_other_processes_which_end_with_it() -> None:
    answers = list(run(square_and_pid, range(20), processes=True))

    assert [n * n for n in range(20)] == [answer for answer, _ in answers]
    assert os.getpid() not in {pid for _, pid in answers}
    assert [] == multiprocessing.active_children()


def test_a_result_that_is_ready_early_waits_for_those_before_it() -> None:
    second_done = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second_done.wait(DEADLINE_S)
        else:
            second_done.set()
        return number

    assert [0, 1] == list(run(work, [0, 1]))


def test_items_are_read_at_most_three_per_worker_ahead() -> None:
    for workers, ahead in {1: 1, 2: 6, 4: 12}.items():
        read: list[int] = []

        def items(read: list[int] = read) -> Iterator[int]:
            for number in range(1000):
                read.append(number)
                yield number

        answers = run(square, items(), workers=workers)
        assert [] == read
        assert 0 == next(answers)
        assert ahead == len(read)
        assert 1 == next(answers)
        assert ahead + 1 == len(read)
        answers.close()


@pytest.mark.parametrize(("workers", "processes"), [(1, False), (2, False), (2, True)])
def test_an_exception_is_raised_after_the_results_of_all_earlier_items(workers: int, processes: bool) -> None:
    answers = run(square_but_not_five, range(20), workers=workers, processes=processes)

    assert [0, 1, 4, 9, 16] == [next(answers) for _ in range(5)]
    with pytest.raises(ValueError, match=r"^five$"):
        next(answers)
    assert [] == multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_the_items_themselves_is_raised_unchanged(workers: int) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the list went away")

    with pytest.raises(OSError, match=r"^the list went away$"):
        list(run(square, items(), workers=workers))


def test_closing_cancels_items_not_started_and_waits_for_those_in_work(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    finished: list[int] = []
    shutting_down = threading.Event()
    real = parallel.WorkerThreads.shut_down

    def shutdown(self: Any, **how: bool) -> None:
        shutting_down.set()
        real(self, **how)

    def work(number: int) -> int:
        started.append(number)
        assert number == 0 or shutting_down.wait(DEADLINE_S)
        finished.append(number)
        return number

    monkeypatch.setattr(parallel.WorkerThreads, "shut_down", shutdown)
    answers = run(work, range(1000))
    assert 0 == next(answers)
    answers.close()

    assert sorted(started) == sorted(finished)
    assert set(started) <= {0, 1, 2}  # the first, and the one that each of two threads was working on


@POSIX
def test_the_death_of_a_process_is_an_error_that_names_its_item() -> None:
    answers: list[int] = []
    with pytest.raises(WorkerDiedError) as caught:
        answers.extend(run(die_at_five, range(40), processes=True))

    assert [n * n for n in range(len(answers))] == answers
    assert len(answers) <= 5
    assert "a worker process died (by SIGKILL) while working on item 5" == str(caught.value).partition(" (out of")[0]
    assert [] == multiprocessing.active_children()


@POSIX
def test_the_death_of_a_process_while_it_sends_a_long_answer_is_the_same_error() -> None:
    # In a separate program: a failure would hang, and would keep pytest from ending.
    code = """if True:
        from im2rec.parallel import run_ordered
        from im2rec.process_pool import WorkerDiedError
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
        pytest.fail("the consumer waits for ever for the rest of an answer")

    expected = "a worker process died (by SIGKILL) while working on item 5"
    assert (0, expected) == (done.returncode, done.stdout.partition(" (out of")[0])


@POSIX
def test_failing_to_send_an_item_leaves_no_error_for_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[str] = []  # Python reports them from 3.13 on, before that with -X dev
    monkeypatch.setattr(sys, "unraisablehook", lambda hooked: unraisable.append(repr(hooked.exc_value)))
    worker = start_worker(die_at_five)

    def fail_to_send(item: int) -> None:
        errors = []  # refers to its own frame through the traceback: a cycle that only the collector frees
        try:
            worker.call(item)
        except (EOFError, OSError) as error:
            errors.append(error)
        assert errors

    fail_to_send(5)
    fail_to_send(6)
    gc.collect()
    worker.end()

    assert [] == unraisable


def test_available_cpus_counts_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    assert 3 == available_cpus()


def test_available_cpus_counts_all_where_the_affinity_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(parallel.os, "sched_getaffinity", raising=False)
    for counted, expected in {6: 6, None: 1}.items():
        monkeypatch.setattr(parallel.os, "cpu_count", lambda counted=counted: counted)
        assert expected == available_cpus()


def test_a_spawned_worker_may_be_ended_twice_and_still_reports_how_it_ended() -> None:
    worker = _SpawnedWorker(os._exit)
    with pytest.raises(EOFError):
        worker.call(7)
    worker.end()
    worker.end()

    assert 7 == worker.exitcode()


@POSIX
def test_ctrl_c_is_for_the_main_thread_and_never_for_a_worker() -> None:
    with WorkerThreads(1, "some") as threads:
        (blocked,) = threads.start(lambda *_: signal.pthread_sigmask(signal.SIG_BLOCK, []), None, [0]).results()

    assert signal.SIGINT in blocked
    assert signal.SIGTERM not in blocked


def test_the_error_of_the_first_piece_that_has_one_is_raised_after_all_have_ended() -> None:
    ended: list[int] = []

    def work(_: None, number: int) -> None:
        ended.append(number)
        if number:
            raise ValueError(number)

    with WorkerThreads(1, "some") as threads, pytest.raises(ValueError, match=r"^1$"):
        threads.start(work, None, [0, 1, 2, 3]).results()
    assert [0, 1, 2, 3] == ended


def test_threads_that_are_shut_down_cancel_what_is_started_later() -> None:
    threads = WorkerThreads(2, "some")
    threads.shut_down(wait=True)
    threads.shut_down(wait=True)

    with pytest.raises(ThreadsEndedError, match=r"^the threads that work have been ended$"):
        threads.start(lambda *_: None, None, [1]).results()
    assert [] == threads._threads


def test_threads_end_with_the_object_that_has_them() -> None:
    threads = WorkerThreads(2, "some")
    threads.start(lambda *_: None, None, [1, 2]).results()
    running = [*threads._threads]
    del threads
    gc.collect()

    for thread in running:
        thread.join(DEADLINE_S)
    assert 2 == len(running)
    assert not any(thread.is_alive() for thread in running)


DROPPED_AT_EXIT = """if True:
    import atexit, gc, threading
    finished = []
    atexit.register(lambda: print(finished))  # the last of all, as what is registered first is called last
    from im2rec.parallel import WorkerThreads
    begun, joined, join = threading.Event(), threading.Event(), threading.Thread.join
    def work(_, number):
        begun.set()
        joined.wait()
        finished.append(number)
    def note(thread, *timeout):
        joined.set()
        join(thread, *timeout)
    threads = WorkerThreads(1, "some")
    threads.start(work, None, [1, 2])
    begun.wait()
    del threads
    gc.collect()
    threading.Thread.join = note
"""


def test_the_end_of_the_program_waits_for_a_thread_whose_owner_was_dropped_and_begins_no_piece() -> None:
    done = subprocess.run([sys.executable, "-c", DROPPED_AT_EXIT], capture_output=True, timeout=DEADLINE_S, text=True)

    assert (0, "[1]\n", "") == (done.returncode, done.stdout, done.stderr)


def test_threads_that_have_ended_are_forgotten() -> None:
    with WorkerThreads(2, "some") as threads:
        threads.start(lambda *_: None, None, [1, 2]).results()
        running = set(threads._threads)
        assert running <= set(parallel._running)

    assert set() == running & set(parallel._running)


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_that_is_kept_keeps_no_job(bad: int) -> None:
    class Job:
        """What a batch's buffer is."""

    jobs = [Job() for _ in range(4)]
    alive = [weakref.ref(job) for job in jobs]

    def work(_job: Job, number: int) -> None:
        if number == bad:
            raise ValueError(number)

    kept = []
    with WorkerThreads(1, "some") as threads:
        try:
            collections.deque(
                ordered_map(threads, work, ((jobs.pop(), [number]) for number in range(4)), ahead=2), maxlen=0
            )
        except ValueError as error:
            kept.append(error)
    jobs.clear()

    assert 1 == len(kept)
    assert [None] * 4 == [reference() for reference in alive]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_no_fork_happens_while_a_thread_is_inside_and_none_enters_while_one_waits() -> None:
    steps: list[str] = []
    inside, seen = threading.Event(), threading.Event()

    def hold() -> None:
        with parallel.forks_wait():
            inside.set()
            with parallel._forks._condition:
                parallel._forks._condition.wait_for(lambda: parallel._forks._forks)  # until the fork waits
            second.start()
            seen.wait(DEADLINE_S)
            steps.append("first is out")

    def enter() -> None:
        seen.set()
        with parallel.forks_wait():
            steps.append("second is in")

    first, second = threading.Thread(target=hold), threading.Thread(target=enter)
    first.start()
    inside.wait(DEADLINE_S)
    pid = os.fork()
    if not pid:
        with parallel.forks_wait():  # the child has no thread inside, and a lock of its own
            os._exit(len(steps))
    steps.append("forked")
    first.join()
    second.join()

    assert 1 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert "first is out" == steps[0]
    assert {"first is out", "forked", "second is in"} == {*steps}
    assert (0, 0) == (parallel._forks._inside, parallel._forks._forks)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to see threads")
def test_a_fork_waits_for_threads_that_are_to_end() -> None:
    """Libraries that keep data for each thread lock when one ends."""
    for _ in range(20):
        threads = WorkerThreads(4, "some")
        threads.start(lambda *_: None, None, [*range(20)]).results()
        ids = [thread.native_id for thread in threads._threads]
        del threads
        parallel._forks.begin()
        left = [id_ for id_ in ids if Path(f"/proc/self/task/{id_}").exists()]
        parallel._forks.end()
        assert [] == left
