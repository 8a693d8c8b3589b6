"""Exit codes: one for each class of error, and one line on stderr with it."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, NoReturn

import click
import pytest
from image_helpers import POSIX

from im2rec.cli.exit_codes import TerminatedError, run
from im2rec.errors import (
    CorruptRecordError,
    ImageError,
    IndexFormatError,
    InputError,
    ListFormatError,
    OutputError,
    ParameterError,
    RecordTooLargeError,
)
from im2rec.parallel import WorkerDiedError


def raising(error: BaseException) -> Any:
    def command(_words: list[str]) -> NoReturn:
        raise error

    return command


def said(capsys: pytest.CaptureFixture[str], command: Any, *words: str) -> tuple[int, str]:
    """The exit code and what stands on stderr; nothing may stand on stdout."""
    code = run(command, list(words))
    out, err = capsys.readouterr()
    assert "" == out
    return code, err


CODES = [
    (OutputError("o.rec: exists already", hint="use --force"), 1, "o.rec: exists already (use --force)"),
    (ImageError("a.jpg: no such file"), 1, "a.jpg: no such file"),
    (WorkerDiedError("a worker process died"), 1, "a worker process died"),
    (RecordTooLargeError("a payload is too long"), 1, "a payload is too long"),
    (ParameterError("resize=-5 must be -1 or more"), 2, "resize=-5 must be -1 or more"),
    (InputError("no.rec: cannot be read"), 4, "no.rec: cannot be read"),
    (ListFormatError("expected an id", line=7), 4, "line 7: expected an id"),
    (IndexFormatError("names byte 4 twice", line=2), 4, "line 2: names byte 4 twice"),
    (CorruptRecordError("expected 8 bytes, found 3", offset=88), 5, "byte 88: expected 8 bytes, found 3"),
]


def test_every_error_of_ours_has_its_code_and_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for error, code, line in CODES:
        assert (code, f"im2rec: {line}\n") == said(capsys, raising(error))


def test_a_command_that_returns_gives_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    for returned, code in {None: 0, 0: 0, 3: 3, 5: 5, "text": 0}.items():
        assert (code, "") == said(capsys, lambda _, returned=returned: returned)


def test_an_interrupt_is_130_with_the_command_that_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pack", "my list.lst", "root", "o.rec"]

    expected = "im2rec: interrupted; to go on: im2rec pack 'my list.lst' root o.rec\n"
    assert (130, expected) == said(capsys, raising(KeyboardInterrupt()), *words)
    assert (130, expected) == said(capsys, raising(click.Abort()), *words)


@POSIX
def test_sigterm_is_143_and_the_handler_is_put_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    cleaned = []

    def command(_words: list[str]) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append("up")

    assert (143, "im2rec: terminated; to go on: im2rec pack\n") == said(capsys, command, "pack")
    assert ["up"] == cleaned
    assert before == signal.getsignal(signal.SIGTERM)


def test_termination_is_no_exception_that_a_library_could_swallow() -> None:
    assert not issubclass(TerminatedError, Exception)


def test_wrong_usage_is_2_in_one_line_that_names_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    context = click.Context(click.Command("pack"), info_name="im2rec pack")
    error = click.UsageError("No such option: --workrs\nDid you mean --workers?", context)

    assert (2, "im2rec: no such option: --workrs Did you mean --workers? (see 'im2rec pack --help')\n") == said(
        capsys, raising(error)
    )
    assert (2, "im2rec: some text\n") == said(capsys, raising(click.ClickException("Some text.")))


def test_an_error_that_is_not_ours_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    expected = "im2rec: internal error: ZeroDivisionError: first (please report it, with the output of --debug)\n"

    assert (1, expected) == said(capsys, raising(ZeroDivisionError("first\nsecond")))
    assert 1 == said(capsys, raising(ZeroDivisionError()))[0]
    memory = "im2rec: there is not enough memory (lower batch_size, or what is made ahead)\n"
    assert (1, memory) == said(capsys, raising(MemoryError("Unable to allocate 7 TiB")))


def test_a_traceback_comes_with_debug_only(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (InputError("gone"), ZeroDivisionError("ours"), click.UsageError("wrong")):
        _, plain = said(capsys, raising(error), "inspect")
        _, debug = said(capsys, raising(error), "inspect", "--debug")
        assert "Traceback" not in plain
        assert debug.startswith("Traceback (most recent call last):\n")
        assert debug.endswith(plain)


def test_no_name_of_a_file_breaks_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = InputError("a\nb\x1b[31m\udcff é 日本.rec: cannot be read")

    assert (4, "im2rec: a\\nb\\x1b[31m\\udcff é 日本.rec: cannot be read\n") == said(capsys, raising(error))


def test_a_stderr_that_is_gone_does_not_change_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, _text: str) -> NoReturn:
            raise BrokenPipeError

        flush = write

    monkeypatch.setattr("sys.stderr", Gone())
    assert 4 == run(raising(InputError("gone")), [])


def test_outside_the_main_thread_it_works_without_the_handler(capsys: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(raising(InputError("gone")), [])))
    thread.start()
    thread.join()

    assert [4] == codes
    assert "im2rec: gone\n" == capsys.readouterr().err
