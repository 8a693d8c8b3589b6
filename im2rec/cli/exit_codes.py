"""Exit codes, and the one line that goes with each: policy for all commands, in one place."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import NoReturn

import click

from im2rec.errors import (
    DAMAGED_RECORD,
    BadRecordError,
    CorruptRecordError,
    Im2RecError,
    InputError,
    LineError,
    ParameterError,
)
from im2rec.storage.files import reason

DONE, FAILED, USAGE, PROBLEMS, BAD_INPUT, DAMAGED, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 4, 5, 130, 143


# What hands write that know im2rec.py; the keys of pack are written KEY=VALUE.
_OTHER_SPELLINGS = {
    f"--{key.replace('_', '-')}": f"write {key}=VALUE after OUT"
    for key in ("resize", "center_crop", "quality", "color", "encoding", "inter_method", "pack_label", "label_width")
} | {
    "--pass-through": "write unchanged=1 after OUT",
    "--num-thread": "write --workers N",
    "--train-ratio": "write --split TRAIN,TEST",
    "--test-ratio": "write --split TRAIN,TEST",
    "--recursive": "folders are walked unless --flat is given",
    "--no-shuffle": "lists are shuffled only with --shuffle",
    "--list": "write im2rec make-list ROOT --prefix PREFIX",
}


class TerminatedError(BaseException):
    """SIGTERM: raised where the program stands, so that everything open is cleaned up on the way out."""


_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (KeyboardInterrupt, INTERRUPTED),
    (click.Abort, INTERRUPTED),
    (TerminatedError, TERMINATED),
    (click.ClickException, USAGE),
    (ParameterError, USAGE),
    (InputError, BAD_INPUT),
    (LineError, BAD_INPUT),
    (CorruptRecordError, DAMAGED),
)


def run(command: Callable[[list[str]], object], words: list[str]) -> int:
    """Run *command* on *words*; the exit code. Whatever goes wrong is one line on stderr, a traceback with --debug."""
    warnings.filterwarnings("ignore", module="PIL")  # of a damaged image a line of ours tells
    try:
        with _terminable():
            code = command(words)
            sys.stdout.flush()
            return code if isinstance(code, int) else DONE
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted. Without this, Python complains once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt, TerminatedError) as error:  # noqa: BLE001 - the last line of defence
        if "--debug" in words:
            traceback.print_exc()
        code, line = _exit_code_and_message(error, words)
        _say(line)
        return code


def _exit_code_and_message(error: BaseException, words: list[str]) -> tuple[int, str]:
    """The exit code and the line for *error*."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
    if isinstance(error, BadRecordError) and error.reason == DAMAGED_RECORD:
        code = DAMAGED
    if code in (INTERRUPTED, TERMINATED):
        what = "terminated" if code == TERMINATED else "interrupted"
        return code, f"{what}; to go on: {shlex.join(['im2rec', *words])}"
    if isinstance(error, click.ClickException):
        return code, _usage_line(error)
    if isinstance(error, Im2RecError):
        return code, str(error)
    if isinstance(error, OSError):
        # Files are dealt with where they are opened: what is left is the result on a full disk, or too little of
        # something to start workers with.
        return code, f"the system refuses: {reason(error)} (make room, or try --workers 1)"
    if isinstance(error, MemoryError):
        return code, "there is not enough memory (lower batch_size, or what is made ahead)"
    first = str(error).partition("\n")[0]
    return code, f"internal error: {type(error).__name__}: {first} (please report it, with the output of --debug)"


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise while the block runs; nothing to do outside the main thread."""

    def terminate(_number: int, _frame: object) -> NoReturn:
        raise TerminatedError

    # A terminal that is closed sends SIGHUP, where there is one.
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    try:
        before = [signal.signal(number, terminate) for number in numbers]
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _usage_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption) and error.option_name in _OTHER_SPELLINGS:
        return f"no such option {error.option_name}; {_OTHER_SPELLINGS[error.option_name]}"
    message = " ".join(error.format_message().split()).rstrip(".")
    if message[1:2].islower():  # a sentence, not a name in capitals
        message = message[:1].lower() + message[1:]
    return f"{message} (see '{context.command_path} --help')" if context is not None else message


def _say(line: str) -> None:
    # One line, whatever a file is called.
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
    with contextlib.suppress(OSError):
        sys.stderr.write(f"im2rec: {shown}\n")
        sys.stderr.flush()
