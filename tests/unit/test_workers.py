"""Workers from the fork server: their answers, their deaths, and that they end with the program."""

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

WITH_FORK_SERVER = """
import os, signal, sys
from im2rec import workers
from im2rec.workers import start_worker
workers.start_fork_server("image_helpers", "no_such_module")
from im2rec.parallel import run_ordered
from im2rec.process_pool import WorkerDiedError
from image_helpers import block, die_at_five, square, square_and_pid, square_but_not_five
def run(work, items):
    return run_ordered(work, items, workers=2, processes=True, name="item {}".format)
server = workers._servers[0]._pid
"""


def start_program(code: str) -> subprocess.Popen[str]:
    """Run *code* after the fork server's start in a separate program, because pytest's own process has threads."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITH_FORK_SERVER + textwrap.dedent(code)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output_of(code: str) -> str:
    """Return what the program of *code* output_of on stdout, after a check that it succeeded without any warning."""
    with start_program(code) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert "" == err
    assert 0 == process.returncode
    return out


def is_running(pid: str) -> bool:
    """True if process *pid* exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_work_runs_in_forked_processes_which_end_with_it() -> None:
    code = """
    answers = list(run(square_and_pid, range(20)))
    pids = {pid for _, pid in answers}
    print(*[answer for answer, _ in answers])
    print(os.getpid() in pids)
    print("multiprocessing.popen_spawn_posix" in sys.modules)
    print(*pids)
    """
    answers, in_parent, spawned, pids = output_of(code).splitlines()

    assert " ".join(str(n * n) for n in range(20)) == answers
    assert "False" == in_parent
    assert "False" == spawned
    assert [] == [pid for pid in pids.split() if is_running(pid)]


def test_an_exception_in_a_forked_worker_is_raised_unchanged_and_the_next_run_works() -> None:
    code = """
    try:
        list(run(square_but_not_five, range(20)))
    except ValueError as error:
        print(error)
    print(sum(run(square, range(4))))
    """
    assert "five\n14\n" == output_of(code)


def test_the_signal_or_exit_code_that_ended_a_forked_worker_is_reported() -> None:
    code = """
    try:
        list(run(die_at_five, range(40)))
    except WorkerDiedError as error:
        print(str(error).partition(" (out of")[0])
    worker = start_worker(os._exit)
    try:
        worker.call(7)
    except EOFError:
        print(worker.exitcode(), worker.exitcode())
    worker.end()
    worker.end()
    """
    died = "a worker process died (by SIGKILL) while working on item 5"
    assert f"{died}\n7 7\n" == output_of(code)


def test_workers_outlive_the_fork_server_and_others_are_spawned() -> None:
    code = """
    worker = start_worker(square)
    os.kill(server, signal.SIGKILL)
    print(worker.call(3), worker.exitcode())
    worker.end()
    other = start_worker(square)
    print(type(other).__name__, other.call(4))
    other.end()
    """
    assert "(True, 9) None\n_SpawnedWorker (True, 16)\n" == output_of(code)


def test_a_worker_is_killed_in_the_middle_of_an_item_without_the_fork_server_too() -> None:
    code = """
    worker = start_worker(block)
    os.kill(server, signal.SIGKILL)
    try:
        worker.call(None, 0)
    except TimeoutError:
        worker.end()
        worker.end()
        print(worker._pid)
    """
    pid = output_of(code).strip()
    until(lambda: not is_running(pid), "the end of the worker")


@pytest.mark.parametrize("kind", ["workers._SpawnedWorker", "start_worker"])
def test_an_answer_that_does_not_come_in_time_is_an_error_and_the_worker_can_be_ended(kind: str) -> None:
    code = f"""
    worker = {kind}(block)
    try:
        worker.call(None, 0)
    except TimeoutError:
        worker.end()
        print(worker.exitcode())
    worker = {kind}(square)
    print(worker.call(7, {DEADLINE_S}))
    worker.end()
    """
    assert "-9\n(True, 49)\n" == output_of(code)


def test_killing_the_program_ends_its_fork_server_and_workers() -> None:
    code = """
    worker = start_worker(square_and_pid)
    print(worker.call(1)[1][1], server, flush=True)
    signal.pause()
    """
    with start_program(code) as process:
        assert process.stdout is not None
        pids = process.stdout.readline().split()
        assert [True, True] == [is_running(pid) for pid in pids]
        process.kill()
    until(lambda: not any(is_running(pid) for pid in pids), "the end of server and worker")


@pytest.mark.parametrize(("kind", "pid"), [("workers._SpawnedWorker", "_process.pid"), ("start_worker", "_pid")])
def test_killing_the_program_ends_a_worker_that_would_work_for_ever(tmp_path: Path, kind: str, pid: str) -> None:
    code = f"""
    worker = {kind}(block)
    print(worker.{pid}, server, flush=True)
    worker.call({str(tmp_path / "begun")!r})
    """
    with start_program(code) as process:
        assert process.stdout is not None
        pids = process.stdout.readline().split()
        until((tmp_path / "begun").exists, "the work begins")
        assert [True, True] == [is_running(pid) for pid in pids]
        process.kill()
    until(lambda: not any(is_running(pid) for pid in pids), "the end of server and worker")


def test_a_program_with_threads_gets_no_fork_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_servers", [])
    monkeypatch.delattr(os, "fork")
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        workers.start_fork_server("json")
    finally:
        done.set()
        thread.join()

    assert [] == workers._servers
