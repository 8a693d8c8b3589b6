"""Standard input, output and error: closed from the start, full, or with a reader that has read enough."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import Any, TextIO

import click

from im2rec.errors import OutputError
from im2rec.storage.files import reason

_DONE_HINT = "the work is done, and every file that it writes is complete"


def prepare_streams() -> None:
    """Make ``sys.stdout`` and ``sys.stderr`` usable: never None, and able to print any file name."""
    sys.stdout, sys.stderr = (stream or _open_devnull() for stream in (sys.stdout, sys.stderr))  # None after `>&-`
    # File names that the terminal's encoding cannot show are escaped; Python would raise UnicodeEncodeError.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _open_devnull() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - lives as long as the program


def print_result(text: str) -> None:
    """Print the result of a command on standard output.

    A reader that has read enough (``| head``) is no error, and the exit code stays that of the work. Raises OutputError
    if standard output cannot be written otherwise, for example if it is a file on a full disk.
    """
    try:
        click.echo(text)
    except OSError as error:
        discard_output()
        if not isinstance(error, BrokenPipeError):
            raise _unwritable(error, _DONE_HINT) from error


def output_error(error: BaseException) -> BaseException | None:
    """Return *error*, in our words if it is that of printing help or the like.

    Returns None if the reader of that has read enough.
    """
    if not (isinstance(error, OSError) and _is_raised_by(error, click.echo)):
        return error
    discard_output()
    return None if isinstance(error, BrokenPipeError) else _unwritable(error, "free some space")


def _is_raised_by(error: BaseException, function: Any) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_code is function.__code__


def _unwritable(error: OSError, hint: str) -> OutputError:
    return OutputError(f"the result cannot be printed on standard output: {reason(error)}", hint=hint)


def discard_output() -> None:
    """Discard what is still to be printed: Python would fail once more when it flushes at exit, with exit code 120."""
    _discard(sys.stdout)


def discard_messages_if_broken() -> None:
    """Do the same for standard error, if it cannot be written: messages that nobody can see change no exit code."""
    try:
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: Any) -> None:
    with contextlib.suppress(AttributeError, OSError):  # a stream that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
