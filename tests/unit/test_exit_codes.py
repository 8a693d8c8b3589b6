"""Exit codes: one for each class of error, with one line on stderr."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import threading
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from image_helpers import POSIX

from im2rec.cli.exit_codes import ExitCode, run
from im2rec.cli.interrupts import TerminatedError
from im2rec.errors import (
    CorruptRecordError,
    DigestFormatError,
    ImageError,
    IndexFormatError,
    InputError,
    ListFormatError,
    OutputError,
    ParameterError,
    RecordTooLargeError,
)
from im2rec.process_pool import WorkerDiedError


def raising(error: BaseException) -> Any:
    def command(_words: list[str]) -> NoReturn:
        raise error

    return command


def code_and_stderr(capsys: pytest.CaptureFixture[str], command: Any, *words: str) -> tuple[int, str]:
    """Run *command* and return its exit code and what it printed on stderr; nothing may be printed on stdout."""
    code = run(command, list(words))
    out, err = capsys.readouterr()
    assert "" == out
    return code, err


# class of error -> exit code, and the line that is printed
ERRORS = [
    (OutputError("o.rec: exists already", hint="use --force"), 1, "o.rec: exists already (use --force)"),
    (ImageError("a.jpg: no such file"), 1, "a.jpg: no such file"),
    (WorkerDiedError("a worker process died"), 1, "a worker process died"),
    (RecordTooLargeError("a payload is too long"), 1, "a payload is too long"),
    (ParameterError("resize=-5 must be -1 or more"), 2, "resize=-5 must be -1 or more"),
    (InputError("no.rec: cannot be read"), 4, "no.rec: cannot be read"),
    (ListFormatError("expected an id", line=7), 4, "line 7: expected an id"),
    (IndexFormatError("names byte 4 twice", line=2), 4, "line 2: names byte 4 twice"),
    (DigestFormatError("it is no digest", line=1), 4, "line 1: it is no digest"),
    (CorruptRecordError("expected 8 bytes, found 3", offset=88), 5, "byte 88: expected 8 bytes, found 3"),
]


def test_the_exit_codes_are_those_that_are_promised() -> None:
    page = (Path(__file__).parents[2] / "docs" / "promises.md").read_text(encoding="utf-8")
    promise = page.partition("[Exit codes](exit-codes.md)")[2].partition("\n* ")[0]

    assert [code.value for code in ExitCode] == [int(number) for number in re.findall(r"\b\d+\b", promise)]


def test_every_error_of_ours_has_its_code_and_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for error, code, line in ERRORS:
        assert (code, f"im2rec: {line}\n") == code_and_stderr(capsys, raising(error))


def test_the_code_that_a_command_returns_is_the_exit_code_and_anything_else_is_0(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for returned, code in {None: 0, 0: 0, 3: 3, 5: 5, "text": 0}.items():
        assert (code, "") == code_and_stderr(capsys, lambda _, returned=returned: returned)


def test_an_interrupt_is_130_with_the_command_that_begins_again(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pack", "my list.lst", "root", "o.rec"]

    expected = "im2rec: interrupted; to begin again: im2rec pack 'my list.lst' root o.rec\n"
    assert (130, expected) == code_and_stderr(capsys, raising(KeyboardInterrupt()), *words)
    assert (130, expected) == code_and_stderr(capsys, raising(click.Abort()), *words)


@POSIX
def test_sigterm_is_143_after_cleaning_up_and_the_handler_is_restored(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    cleaned_up = False

    def command(_words: list[str]) -> None:
        nonlocal cleaned_up
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned_up = True

    assert (143, "im2rec: terminated; to begin again: im2rec pack\n") == code_and_stderr(capsys, command, "pack")
    assert cleaned_up
    assert before == signal.getsignal(signal.SIGTERM)


def test_termination_is_not_an_exception_that_a_library_could_swallow() -> None:
    assert not issubclass(TerminatedError, Exception)


def test_wrong_usage_is_2_with_a_line_that_names_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    context = click.Context(click.Command("pack"), info_name="im2rec pack")
    error = click.UsageError("No such option: --workrs\nDid you mean --workers?", context)

    assert (
        2,
        "im2rec: no such option: --workrs Did you mean --workers? (see 'im2rec pack --help')\n",
    ) == code_and_stderr(capsys, raising(error))
    assert (2, "im2rec: some text\n") == code_and_stderr(capsys, raising(click.ClickException("Some text.")))


def test_any_other_error_is_1_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    expected = "im2rec: internal error: ZeroDivisionError: first (please report it, with the output of --debug)\n"

    assert (1, expected) == code_and_stderr(capsys, raising(ZeroDivisionError("first\nsecond")))
    assert 1 == code_and_stderr(capsys, raising(ZeroDivisionError()))[0]
    memory = "im2rec: there is not enough memory (lower batch_size, prefetch_buffer or --workers)\n"
    assert (1, memory) == code_and_stderr(capsys, raising(MemoryError("Unable to allocate 7 TiB")))
    assert (1, memory) == code_and_stderr(capsys, raising(OSError(errno.ENOMEM, "Cannot allocate memory")))


def test_a_word_that_the_locale_cannot_express_is_an_input_error(capsys: pytest.CaptureFixture[str]) -> None:
    expected = "im2rec: ä.rec: ascii, the encoding of the locale, lacks a character of its name (set a UTF-8 locale)\n"
    assert (4, expected) == code_and_stderr(capsys, raising(UnicodeEncodeError("ascii", "ä.rec", 0, 1, "out of range")))


def test_the_traceback_is_printed_with_debug_only(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (InputError("gone"), ZeroDivisionError("ours"), click.UsageError("wrong")):
        _, plain = code_and_stderr(capsys, raising(error), "inspect")
        _, debug = code_and_stderr(capsys, raising(error), "inspect", "--debug")
        assert "Traceback" not in plain
        assert debug.startswith("Traceback (most recent call last):\n")
        assert debug.endswith(plain)


def test_unprintable_characters_of_file_names_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    error = InputError("a\nb\x1b[31m\udcff é 日本.rec: cannot be read")

    assert (4, "im2rec: a\\nb\\x1b[31m\\udcff é 日本.rec: cannot be read\n") == code_and_stderr(capsys, raising(error))


def test_a_closed_stderr_does_not_change_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    class ClosedStream:
        def write(self, *_text: str) -> NoReturn:
            raise BrokenPipeError

        flush = write

    monkeypatch.setattr("sys.stderr", ClosedStream())
    assert 4 == run(raising(InputError("gone")), [])


def test_outside_the_main_thread_commands_run_without_signal_handlers(capsys: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(raising(InputError("gone")), [])))
    thread.start()
    thread.join()

    assert [4] == codes
    assert "im2rec: gone\n" == capsys.readouterr().err


@pytest.mark.parametrize(("interrupt", "code"), [(KeyboardInterrupt(), 130), (TerminatedError(), 143)])
def test_an_error_raised_while_an_interrupt_unwinds_does_not_hide_the_interrupt(
    capsys: pytest.CaptureFixture[str], interrupt: BaseException, code: int
) -> None:
    def command(_words: list[str]) -> NoReturn:
        with zipfile.ZipFile(io.BytesIO(), "w") as archive:
            _member = archive.open("a", "w")  # open when the archive is closed, which raises ValueError
            raise interrupt

    word = "interrupted" if code == 130 else "terminated"
    assert (code, f"im2rec: {word}; to begin again: im2rec iterate\n") == code_and_stderr(capsys, command, "iterate")
