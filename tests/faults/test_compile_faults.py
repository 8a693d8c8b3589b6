"""The process that compiles, and the program that started it: killed, forked, interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from compile_helpers import ROOT, STAND_IN, only_there, pid_of, stand_in, wait_for_its_end
from image_helpers import DEADLINE_S, POSIX, until

from im2rec.jpeg.background import BackgroundCompile

PARENT = """
import os, sys
from im2rec.jpeg.background import BackgroundCompile
work = BackgroundCompile([sys.executable, "-c", sys.argv[1], sys.argv[2]])
work.begin()
if sys.argv[3:] and not os.fork():  # a worker that outlives the program
    print("forked", flush=True)
    sys.stdin.read()
    os._exit(0)
sys.stdin.read()
"""


def program(*words: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-W", "ignore", "-c", PARENT, STAND_IN, *words]
    where = {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.Popen(line, env=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_the_process_ends_with_a_program_that_is_killed(tmp_path: Path) -> None:
    with program(str(tmp_path)) as parent:
        pid_of(tmp_path)
        parent.kill()
        parent.wait(DEADLINE_S)
        wait_for_its_end(tmp_path)


@POSIX
def test_the_process_ends_with_a_killed_program_whose_forked_worker_lives_on(tmp_path: Path) -> None:
    with program(str(tmp_path), "fork") as parent:
        assert parent.stdout is not None
        assert b"forked\n" == parent.stdout.readline()
        pid_of(tmp_path)
        parent.kill()
        parent.wait(DEADLINE_S)
        wait_for_its_end(tmp_path)
        assert parent.stdin is not None  # open until here, so that the worker lives on


@POSIX
def test_the_process_ignores_ctrl_c_and_has_a_low_priority(tmp_path: Path) -> None:
    work = BackgroundCompile(stand_in(tmp_path))
    work.begin()
    try:
        pid = pid_of(tmp_path)
        assert f"True {min(os.nice(0) + 5, 19)}" == (tmp_path / "how").read_text()
        assert os.getsid(0) == os.getsid(pid)  # in another session its low priority would have no effect
    finally:
        work.end()


def test_after_a_compiling_process_is_killed_the_next_one_compiles(tmp_path: Path) -> None:
    works = [BackgroundCompile(stand_in(tmp_path)) for _ in range(2)]
    try:
        works[0].begin()
        killed = pid_of(tmp_path)
        works[1].begin()  # waits for the lock
        os.kill(killed, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        until(works[0].has_finished, "the first to end")
        until(lambda: killed != pid_of(tmp_path), "the second to have the lock")
        assert not works[1].has_finished()
    finally:
        for work in works:
            work.end()


def test_two_processes_at_once_compile_once(compiled_at_once: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, second = compiled_at_once

    assert (0, '"compiled": false') == (second.returncode, second.stdout.split(", ")[3])
    assert "another process is compiling the decoder; waiting for it\n" == second.stderr
    assert [".kernel"] * 3 + [".lock"] == sorted(path.suffix for path in folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@POSIX
def test_the_command_can_be_interrupted_while_it_waits(tmp_path: Path, number: signal.Signals) -> None:
    pytest.importorskip("numba")
    with subprocess.Popen(stand_in(tmp_path)) as other:
        pid_of(tmp_path)
        line = only_there(tmp_path, "compile")
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waits:
            assert waits.stderr is not None
            assert "waiting for it" in waits.stderr.readline()
            waits.send_signal(number)
            out, err = waits.communicate(timeout=DEADLINE_S)
        other.kill()

    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert (128 + number, "", f"im2rec: {word}; to begin again: im2rec compile\n") == (waits.returncode, out, err)
