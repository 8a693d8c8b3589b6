"""Workers forked from a process that was prepared at the start of the program: answers, deaths, and their end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from image_helpers import DEADLINE_S, until

from im2rec import workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")

PREPARED = """
import os, signal, sys
from im2rec import workers
from im2rec.workers import start_worker
workers.prepare("image_helpers", "no_such_module")
from im2rec.parallel import WorkerDiedError, run_ordered
from image_helpers import die_at_five, square, square_and_pid, square_but_not_five
def run(work, items):
    return run_ordered(work, items, workers=2, processes=True, name="item {}".format)
server = workers._servers[0]._pid
"""


def program(code: str) -> subprocess.Popen[str]:
    """A program of its own that prepares first: in this one there are threads."""
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    line = [sys.executable, "-c", PREPARED + textwrap.dedent(code)]
    return subprocess.Popen(line, env=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(code: str) -> str:
    with program(code) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert (0, "") == (process.returncode, err)
    return out


def alive(pid: str) -> bool:
    """Whether *pid* still runs; what has ended and is only waited for does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_forked_workers_answer_in_order_from_other_processes_that_end_with_the_work() -> None:
    code = """
    answers = list(run(square_and_pid, range(20)))
    pids = {pid for _, pid in answers}
    print([answer for answer, _ in answers] == [n * n for n in range(20)], os.getpid() in pids)
    print("multiprocessing.popen_spawn_posix" in sys.modules, *pids)
    """
    first, second = printed(code).splitlines()

    assert "True False" == first
    spawned, *pids = second.split()
    assert "False" == spawned
    assert [] == [pid for pid in pids if alive(pid)]


def test_a_failure_in_a_forked_worker_is_raised_as_it_is_and_the_next_run_works() -> None:
    code = """
    try:
        list(run(square_but_not_five, range(20)))
    except ValueError as error:
        print(error)
    print(sum(run(square, range(4))))
    """
    assert "five\n14\n" == printed(code)


def test_how_a_forked_worker_died_is_told() -> None:
    code = """
    try:
        list(run(die_at_five, range(40)))
    except WorkerDiedError as error:
        print(str(error).partition(" (out of")[0])
    worker = start_worker(os._exit)
    try:
        worker.ask(7)
    except EOFError:
        print(worker.exitcode(), worker.exitcode())
    worker.end()
    worker.end()
    """
    died = "a worker process died (by SIGKILL) while it held item 5"
    assert f"{died}\n7 7\n" == printed(code)


def test_without_its_server_a_worker_goes_on_but_a_new_one_is_an_error() -> None:
    code = """
    worker = start_worker(square)
    os.kill(server, signal.SIGKILL)
    print(worker.ask(3), worker.exitcode())
    worker.end()
    try:
        start_worker(square)
    except OSError as error:
        print(error)
    """
    assert "(True, 9) None\nthe process that starts workers is gone\n" == printed(code)


def test_a_kill_9_of_the_program_ends_server_and_workers() -> None:
    code = """
    worker = start_worker(square_and_pid)
    print(worker.ask(1)[1][1], server, flush=True)
    signal.pause()
    """
    with program(code) as process:
        assert process.stdout is not None
        pids = process.stdout.readline().split()
        assert [True, True] == [alive(pid) for pid in pids]
        process.kill()
    until(lambda: not any(alive(pid) for pid in pids), "the end of server and worker")


def test_a_program_with_threads_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_servers", [])
    monkeypatch.delattr(os, "fork")
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        workers.prepare("json")
    finally:
        done.set()
        thread.join()

    assert [] == workers._servers
