"""Iterators that several threads use: each batch once, close() from anywhere, and programs that end meanwhile."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_helpers import DEADLINE_S, POSIX, until
from iterator_helpers import Gate, a_rec, in_fours

from im2rec.errors import Im2RecError
from im2rec.format.mnistfile import IMAGES, LABELS
from im2rec.iterators.base import BatchIterator
from im2rec.iterators.mnist import MNISTIter
from im2rec.iterators.text import CSVIter, LibSVMIter

CLOSED = "the iterator is closed (make a new one)"


def in_threads(*functions: Callable[[], Any]) -> list[Any]:
    """Call each of *functions* in a thread of its own, all at once; return the results."""
    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(function) for function in functions]
        return [future.result(DEADLINE_S) for future in futures]


def take_all(it: BatchIterator[Any]) -> list[int]:
    """The ids of all rows that this thread gets by next()."""
    ids: list[int] = []
    while True:
        try:
            batch = it.next()
        except StopIteration:
            return ids
        assert batch.index is not None
        ids += batch.index[: len(batch.index) - (batch.pad or 0)].tolist()


def outcome(function: Callable[[], Any]) -> str:
    """The message of the error of *function*, or an empty string."""
    try:
        function()
    except Im2RecError as error:
        return str(error)
    return ""


def of_images(folder: Path, backend: str) -> BatchIterator[Any]:
    return in_fours(a_rec(folder, 100), backend=backend, preprocess_threads=2)


def of_csv(folder: Path) -> BatchIterator[Any]:
    (folder / "a.csv").write_text("".join(f"{n},{n}\n" for n in range(100)))
    return CSVIter(data_csv=str(folder / "a.csv"), data_shape=(2,), batch_size=4)


def of_libsvm(folder: Path) -> BatchIterator[Any]:
    (folder / "a.libsvm").write_text("".join(f"{n} 1:{n}\n" for n in range(100)))
    return LibSVMIter(data_libsvm=str(folder / "a.libsvm"), data_shape=3, batch_size=4)


def of_mnist(folder: Path) -> BatchIterator[Any]:
    images, labels = np.zeros((100, 2, 2), np.uint8), np.zeros(100, np.uint8)
    for name, magic, array in (("i", IMAGES, images), ("l", LABELS, labels)):
        head = b"".join(number.to_bytes(4, "big") for number in (magic, *array.shape))
        (folder / name).write_bytes(head + array.tobytes())
    return MNISTIter(image=str(folder / "i"), label=str(folder / "l"), batch_size=4, shuffle=False, silent=True)


KINDS: dict[str, Callable[[Path], BatchIterator[Any]]] = {
    "threads": lambda folder: of_images(folder, "threads"),
    "processes": lambda folder: of_images(folder, "processes"),
    "csv": of_csv,
    "libsvm": of_libsvm,
    "mnist": of_mnist,
}


@pytest.mark.parametrize("kind", KINDS)
def test_threads_that_take_from_one_iterator_get_each_batch_once(tmp_path: Path, kind: str) -> None:
    with KINDS[kind](tmp_path) as it:
        expected = sorted(take_all(it))
        assert 100 == len(set(expected))
        for _ in range(3):
            it.reset()
            taken = in_threads(*[lambda: take_all(it)] * 4, lambda: [len(it), repr(it), it.state_dict()])  # type: ignore[attr-defined]
            assert expected == sorted(id_ for ids in taken[:4] for id_ in ids)


@pytest.mark.parametrize("kind", KINDS)
def test_an_iterator_that_is_closed_by_another_thread_gives_errors_of_ours(tmp_path: Path, kind: str) -> None:
    it = KINDS[kind](tmp_path)
    begun = threading.Event()

    def endless() -> None:
        while True:
            for _ in it:
                begun.set()

    def close() -> None:
        assert begun.wait(DEADLINE_S)
        it.close()

    assert [CLOSED, CLOSED, None, None] == in_threads(lambda: outcome(endless), lambda: outcome(endless), close, close)


def test_a_thread_that_waits_for_a_batch_has_an_error_when_the_iterator_is_closed(tmp_path: Path, gate: Gate) -> None:
    it = in_fours(a_rec(tmp_path, 40), backend="threads", preprocess_threads=2)
    gate.shut()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waits = pool.submit(outcome, it.next)
        assert gate.wait_until_begun(2)
        closes = pool.submit(it.close)
        until(lambda: it._closed, "it is closed")
        gate.open()
        assert CLOSED == waits.result(DEADLINE_S)
        closes.result(DEADLINE_S)


@POSIX
def test_closing_does_not_wait_for_processes_that_are_at_work(tmp_path: Path) -> None:
    it = in_fours(a_rec(tmp_path, 40), backend="processes", preprocess_threads=2, prefetch_buffer=1)
    it.next()
    for process in it._prefetcher._decoding._processes:  # type: ignore[union-attr]
        process._process.send_signal(signal.SIGSTOP)  # as if at work for ever

    def take() -> None:
        while True:
            it.next()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waits = pool.submit(outcome, take)
        until(lambda: it._is_taking, "the thread is in next()")
        it.close()
        assert CLOSED == waits.result(DEADLINE_S)


@POSIX
def test_a_signal_handler_may_close_the_iterator_that_it_interrupts(tmp_path: Path, gate: Gate) -> None:
    it = in_fours(a_rec(tmp_path, 40), backend="threads", preprocess_threads=2)
    gate.shut()
    found: list[str] = []

    def handle(*_: object) -> None:
        found.append(outcome(it.next))
        it.close()
        found.append(outcome(it.next))
        gate.open()

    def interrupt() -> None:
        assert gate.wait_until_begun(2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            interrupts = pool.submit(interrupt)
            assert CLOSED == outcome(it.next)
            interrupts.result(DEADLINE_S)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert it._is_released
    assert ["next() was called from a signal handler while next() is at work (set a flag there)", CLOSED] == found


def test_an_iterator_may_be_closed_inside_its_loop(tmp_path: Path) -> None:
    for kind in KINDS.values():
        with kind(tmp_path) as it:
            assert CLOSED == outcome(lambda it=it: [it.close() for _ in it])  # type: ignore[misc]


def test_loops_in_two_threads_share_the_epoch_and_a_later_loop_begins_another(tmp_path: Path) -> None:
    with of_csv(tmp_path) as it:
        second_ended, first_began = threading.Event(), threading.Event()

        def first() -> list[int]:
            ids = []
            for batch in it:
                ids += batch.index.tolist() if batch.index is not None else []
                first_began.set()
                assert second_ended.wait(DEADLINE_S)
            return ids

        def second() -> list[int]:
            assert first_began.wait(DEADLINE_S)
            ids = [id_ for batch in it if batch.index is not None for id_ in batch.index.tolist()]
            second_ended.set()
            return ids

        taken = in_threads(first, second)
        assert [4, 96] == [len(ids) for ids in taken]
        assert [*range(100)] == sorted(taken[0] + taken[1])
        assert 100 == len([*in_threads(lambda: [*it])[0]]) * 4  # both threads have ended
        assert 1 == it.epoch


def test_a_loop_after_a_thread_that_left_its_epoch_and_ended_begins_another(tmp_path: Path) -> None:
    with of_csv(tmp_path) as it:
        left = threading.Thread(target=lambda: next(iter(it)))
        left.start()
        left.join()

        assert 25 == len(list(it))
        assert 1 == it.epoch


# Programs that end.

ITERATES = """
import sys, threading
from iterator_helpers import in_fours
backend, daemon, batches = sys.argv[2], sys.argv[3] == "daemon", int(sys.argv[4])
it = in_fours(sys.argv[1], backend=backend, preprocess_threads=2, prefetch_buffer=2)
enough = threading.Event()
def iterate():
    rows = 0
    while True:
        for number, batch in enumerate(it):
            rows += 4 - batch.pad
            if number + 1 == batches: enough.set()
        if not daemon:
            print(rows)
            return
threading.Thread(target=iterate, daemon=daemon).start()
if batches: enough.wait()
"""


def program(code: str, *words: object) -> tuple[int, str, str]:
    """Run a Python program; return its exit code, stdout and stderr."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    line = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(line, env=env, timeout=DEADLINE_S, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.parametrize("batches", [0, 1, 7])
def test_a_program_ends_quietly_while_a_daemon_thread_iterates(tmp_path: Path, backend: str, batches: int) -> None:
    assert (0, "", "") == program(ITERATES, a_rec(tmp_path, 60), backend, "daemon", batches)


@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.parametrize("batches", [0, 7])
def test_a_thread_that_is_no_daemon_has_its_whole_epoch_after_the_main_thread_has_ended(
    tmp_path: Path, backend: str, batches: int
) -> None:
    assert (0, "60\n", "") == program(ITERATES, a_rec(tmp_path, 60), backend, "thread", batches)


CLOSED_AT_EXIT = """
import atexit, sys
from iterator_helpers import in_fours
it = in_fours(sys.argv[1], backend=sys.argv[2], preprocess_threads=2)
atexit.register(it.close)
it.next()
"""


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_program_may_close_its_iterator_at_exit(tmp_path: Path, backend: str) -> None:
    assert (0, "", "") == program(CLOSED_AT_EXIT, a_rec(tmp_path, 60), backend)


FORKS = """
import os, sys, threading, warnings
from iterator_helpers import in_fours
from im2rec import Im2RecError
from im2rec.pipeline.loader import Loader
warnings.simplefilter("ignore")
it = in_fours(sys.argv[1], backend="threads", preprocess_threads=1)
begun, may_end, real = threading.Event(), threading.Event(), Loader.load
Loader.load = lambda *given: (begun.set(), may_end.wait(), real(*given))[2]
it._prefetcher._decoding.load = it._loader.load
thread = threading.Thread(target=it.next)
thread.start()
begun.wait()
child = os.fork()
if not child:
    try:
        it.next()
    except Im2RecError as error:
        print(error, len(it), flush=True)
    it.close()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
may_end.set()
thread.join()
"""


@POSIX
def test_a_forked_child_does_not_wait_for_a_thread_that_it_does_not_have(tmp_path: Path) -> None:
    code, out, err = program(FORKS, a_rec(tmp_path, 8))

    assert (0, "the iterator was made in another process (make one in each) 2\n7\n", "") == (code, out, err)
