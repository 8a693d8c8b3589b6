"""Signals that end a command: which ones, when, and the line with the command that repeats it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from image_helpers import DEADLINE_S, POSIX

from im2rec.cli import exit_codes
from im2rec.cli.console import Console
from im2rec.cli.interrupts import exit_at_start, how_to_repeat, note_work_done, repeat_by

pytestmark = POSIX
ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP] if os.name == "posix" else []


@pytest.fixture(autouse=True)
def _handlers_are_restored() -> Iterator[None]:
    before = [signal.getsignal(number) for number in ENDING]
    yield
    for number, handler in zip(ENDING, before, strict=True):
        signal.signal(number, handler)


def run(command: Callable[[list[str]], Any], words: list[str]) -> int:
    """Exit code of *command*, after which the hook of finalizers is the one of before."""
    hook = sys.unraisablehook
    code = exit_codes.run(command, words)
    assert sys.unraisablehook is hook
    return code


def interrupted(number: int, *words: str, **how: Any) -> tuple[int, str]:
    """Exit code and line of the command *words*, which notes *how* it is repeated and then gets the signal *number*."""

    def command(_words: list[str]) -> None:
        repeat_by(**how)
        signal.raise_signal(number)

    return run(command, list(words)), ""


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_is_ignored_stays_ignored(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(number, signal.SIG_IGN)

    assert 0 == interrupted(number, "pack")[0]
    assert "" == capsys.readouterr().err
    assert signal.SIG_IGN is signal.getsignal(number)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("quiet", [0, 1])
def test_a_signal_that_a_library_catches_ends_the_command_at_its_next_step(
    number: int, quiet: int, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.signal(number, signal.SIG_DFL)
    steps = []

    def command(_words: list[str]) -> None:
        with Console(quiet=quiet).progress("packing", "image") as progress:
            progress(1)
            with contextlib.suppress(BaseException):
                signal.raise_signal(number)
            steps.append(1)
            progress(2)
            steps.append(2)

    assert (130 if number == signal.SIGINT else 143) == run(command, ["pack"])
    assert [1] == steps
    assert capsys.readouterr().err.endswith("; to begin again: im2rec pack\n")


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_command_and_its_handler_is_restored(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(number, signal.SIG_DFL)
    code, word = (130, "interrupted") if number == signal.SIGINT else (143, "terminated")

    assert code == interrupted(number, "pack", "a b.lst")[0]
    assert f"im2rec: {word}; to begin again: im2rec pack 'a b.lst'\n" == capsys.readouterr().err
    assert signal.SIG_DFL is signal.getsignal(number)


def test_an_interrupt_in_a_finalizer_ends_the_command_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)

    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    ended = threading.Event()
    deadline = threading.Timer(DEADLINE_S, ended.set)

    def command(_words: list[str]) -> None:
        Interrupted()
        ended.wait()

    deadline.start()
    assert 130 == run(command, ["bench"])
    deadline.cancel()
    assert not ended.is_set()  # the interrupt did not wait for the end of the wait
    assert "im2rec: interrupted; to begin again: im2rec bench\n" == capsys.readouterr().err


def test_signals_are_ignored_while_the_process_ends() -> None:
    code = """
import atexit, signal
from im2rec.cli import main
# Functions are called last to first. Only an ignored signal stays so when Python then gives up its handlers.
atexit.register(lambda: print(signal.getsignal(signal.SIGINT).name, signal.getsignal(signal.SIGTERM).name))
main(["--version"])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ["SIG_IGN SIG_IGN"] == ended.stdout.splitlines()[1:]


def test_any_other_error_in_a_finalizer_is_printed_as_python_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    class Faulty:
        def __del__(self) -> None:
            raise ZeroDivisionError("in a finalizer")

    def command(_words: list[str]) -> None:
        Faulty()

    assert 0 == run(command, ["bench"])
    assert "ZeroDivisionError: in a finalizer" in capsys.readouterr().err


def test_every_error_after_a_signal_is_that_signal(capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def command(_words: list[str]) -> None:
        thread_sees_broken_pipe = False
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:  # noqa: BLE001 - as a library that swallows everything
            thread_sees_broken_pipe = True
        if thread_sees_broken_pipe:
            raise BrokenPipeError

    assert 143 == run(command, ["pack"])
    assert "im2rec: terminated; to begin again: im2rec pack\n" == capsys.readouterr().err
    assert 1 == run(lambda _: 1 // 0, ["pack"])  # and the next command knows nothing of it


def test_a_signal_after_the_last_line_of_a_command_is_dropped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    real = sys.stderr.write

    def write(text: str) -> int:
        signal.raise_signal(signal.SIGINT)
        return real(text)

    monkeypatch.setattr(sys.stderr, "write", write)
    assert 130 == interrupted(signal.SIGINT, "pack")[0]
    assert "im2rec: interrupted; to begin again: im2rec pack\n" == capsys.readouterr().err


def test_the_line_says_whether_the_same_words_go_on_or_begin_again(capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for how, expected in {True: "to go on", False: "to begin again"}.items():
        interrupted(signal.SIGINT, "extract", "a.rec", resumes=how)
        assert f"im2rec: interrupted; {expected}: im2rec extract a.rec\n" == capsys.readouterr().err


def test_a_run_that_began_again_is_gone_on_with_and_not_begun_again_once_more() -> None:
    repeat_by(resumes=True)
    words = ["extract", "--restart", "a.rec", "--", "--restart"]  # the last one is the name of a folder

    assert "to go on: im2rec extract a.rec -- --restart" == how_to_repeat(words)
    repeat_by(resumes=False)
    assert "to begin again: im2rec extract --restart a.rec -- --restart" == how_to_repeat(words)


def after_writing(words: list[str], outputs: list[Path | None], made: list[Path]) -> str:
    """The line after an interrupt of a command that has written *made*."""
    repeat_by(outputs=outputs)
    for path in made:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return how_to_repeat(words).partition(": im2rec ")[2]


def test_a_command_that_begins_again_needs_force_where_the_interrupted_run_has_written(tmp_path: Path) -> None:
    folder, file = tmp_path / "out", tmp_path / "a.rec"
    folder.mkdir()

    assert "iterate" == after_writing(["iterate"], [folder, None], [])  # an empty folder is no obstacle
    assert "iterate --force" == after_writing(["iterate"], [folder, None], [folder / "batch_00000.npz"])
    assert "pack --force -- -a.lst" == after_writing(["pack", "--", "-a.lst"], [file], [file])


def test_force_is_not_added_twice_nor_for_what_was_there_before(tmp_path: Path) -> None:
    folder, file = tmp_path / "out", tmp_path / "a.rec"
    assert "pack --force" == after_writing(["pack", "--force"], [file], [file])

    assert "pack" == after_writing(["pack"], [file], [file])
    folder.mkdir()
    (folder / "mine.txt").write_bytes(b"")
    assert "iterate" == after_writing(["iterate"], [folder], [folder / "batch_00000.npz"])


def test_after_the_work_there_is_nothing_to_repeat(capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def command(_words: list[str]) -> None:
        note_work_done()
        signal.raise_signal(signal.SIGINT)

    assert 130 == run(command, ["pack"])
    expected = "im2rec: interrupted; the work is done, and only its summary may be missing\n"
    assert expected == capsys.readouterr().err


def test_an_interrupt_before_the_command_begins_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as stopped:
        exit_at_start(KeyboardInterrupt(), ["pack", "a b"])
    assert (130, "im2rec: interrupted; to begin again: im2rec pack 'a b'\n") == (
        stopped.value.code,
        capsys.readouterr().err,
    )
    monkeypatch.setattr(sys, "stderr", None)  # closed
    with pytest.raises(SystemExit):
        exit_at_start(KeyboardInterrupt(), [])
