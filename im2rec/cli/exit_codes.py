"""Exit codes of all commands, in one table, and the one line on stderr that goes with an error.

An error gets its code here, from its class. A command that runs to its end returns its code: DONE, or what the function
``exit_code`` of the command's module makes of the result, which is where PROBLEMS (3) is decided.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import re
import sys
import traceback
import warnings
from collections.abc import Callable

import click

from im2rec.cli.error_object import print_error_object
from im2rec.cli.interrupts import (
    INTERRUPTED,
    TERMINATED,
    TerminatedError,
    drop_signals,
    find_interrupt,
    give_back_signals,
    how_to_repeat,
    take_over_signals,
)
from im2rec.cli.streams import discard_messages_if_broken, output_error
from im2rec.cli.usage import usage_message
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


class ExitCode(enum.IntEnum):
    """The exit codes of every command, as docs/exit-codes.md lists them."""

    DONE = 0
    FAILED = 1  # the output exists, no permission, disk full, or a bug in im2rec
    WRONG_USAGE = 2
    PROBLEMS = 3  # done, but inputs were left out or problems found: `exit_code` in the module of the command
    BAD_INPUT = 4  # missing, unreadable, of the wrong kind, or without images
    DAMAGED = 5  # of a .rec; takes precedence over PROBLEMS
    INTERRUPTED = INTERRUPTED
    TERMINATED = TERMINATED


# Of codes that a command returns with its result.
MEANINGS = {
    ExitCode.PROBLEMS: "inputs were left out, or problems were found",
    ExitCode.BAD_INPUT: "there are no images",
    ExitCode.DAMAGED: "the .rec is damaged",
}

# The first class that fits counts; all other errors are FAILED.
_CODE_OF_ERROR: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (click.Abort, ExitCode.INTERRUPTED),
    (TerminatedError, ExitCode.TERMINATED),
    (click.ClickException, ExitCode.WRONG_USAGE),
    (ParameterError, ExitCode.WRONG_USAGE),
    (InputError, ExitCode.BAD_INPUT),
    (LineError, ExitCode.BAD_INPUT),
    (UnicodeEncodeError, ExitCode.BAD_INPUT),
    (CorruptRecordError, ExitCode.DAMAGED),
)


def run(command: Callable[[list[str]], object], words: list[str]) -> int:
    """Run *command* on *words* and return the exit code: the one that it returns, or that of its error.

    An error is printed as one line on stderr, after its traceback if *words* contain ``--debug``, and if they contain
    ``--json`` as an object on stdout too.
    """
    warnings.filterwarnings("ignore", module="PIL")  # a damaged image is reported by our own message
    before = take_over_signals()
    try:
        code = command(words)
        sys.stdout.flush()
        drop_signals()
        return code if isinstance(code, int) else ExitCode.DONE
    except (Exception, KeyboardInterrupt, TerminatedError) as error:  # noqa: BLE001 - the outermost handler
        drop_signals()
        if "--debug" in words:
            traceback.print_exc()
        found = find_interrupt(error) or output_error(error)
        if found is None:  # the reader of the help (`| head`) has read enough
            return ExitCode.DONE
        code, message, hint = _exit_code_and_message(found, words)
        if "--json" in words:
            print_error_object(found, message, hint, code)
        place = f"{found.location()}: " if isinstance(found, Im2RecError) and found.location() else ""
        is_interrupt = code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
        _print_error(f"{place}{message}" + (f"; {hint}" if is_interrupt else f" ({hint})" if hint else ""))
        return code
    finally:
        discard_messages_if_broken()
        give_back_signals(before)


def _exit_code_and_message(error: BaseException, words: list[str]) -> tuple[ExitCode, str, str]:
    """Return the exit code, the problem and the hint of *error*."""
    code = next((code for kind, code in _CODE_OF_ERROR if isinstance(error, kind)), ExitCode.FAILED)
    if isinstance(error, BadRecordError) and error.reason == DAMAGED_RECORD:
        code = ExitCode.DAMAGED
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        return code, code.name.lower(), how_to_repeat(words)
    if isinstance(error, click.ClickException):
        return code, *usage_message(error)
    if isinstance(error, Im2RecError):
        return code, error.problem, re.sub(r"\b(force|restart|resume)=True", r"--\1", error.hint)
    return code, *_other_problem(error)


def _other_problem(error: BaseException) -> tuple[str, str]:
    """Return the problem and the hint of an error that is not ours."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return "there is not enough memory", "lower batch_size, prefetch_buffer or --workers"
    if isinstance(error, OSError):
        # Errors of files are converted where files are opened, those of stdout in im2rec.cli.streams. What is left is a
        # lack of something that workers need to start.
        return f"operating system error: {reason(error)}", "free some memory, or try fewer --workers"
    if isinstance(error, UnicodeEncodeError):  # of a path among the words, which Python does not always decode rightly
        return f"{error.object}: {reason(error)}", "set a UTF-8 locale"
    first_line = str(error).partition("\n")[0]
    return f"internal error: {type(error).__name__}: {first_line}", "please report it, with the output of --debug"


def _print_error(message: str) -> None:
    # Names of files may hold line breaks and terminal codes: whatever is not printable is escaped.
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in message)
    with contextlib.suppress(OSError):
        sys.stderr.write(f"im2rec: {shown}\n")
        sys.stderr.flush()
