"""Exit codes, and the one line that goes with each: policy for all commands, in one place."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

import click

from im2rec.errors import CorruptRecordError, Im2RecError, IndexFormatError, InputError, ListFormatError, ParameterError

DONE, FAILED, USAGE, PROBLEMS, BAD_INPUT, DAMAGED, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 4, 5, 130, 143
_CODES: tuple[tuple[type[Im2RecError], int], ...] = (
    (ParameterError, USAGE),
    (InputError, BAD_INPUT),
    (ListFormatError, BAD_INPUT),
    (IndexFormatError, BAD_INPUT),
    (CorruptRecordError, DAMAGED),
)


class TerminatedError(BaseException):
    """SIGTERM: raised where the program stands, so that everything open is cleaned up on the way out."""


def run(command: Callable[[list[str]], object], words: list[str]) -> int:
    """Run *command* on *words*; the exit code. Whatever goes wrong is one line on stderr, a traceback with --debug."""
    try:
        with _terminable():
            code = command(words)
            sys.stdout.flush()
            return code if isinstance(code, int) else DONE
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted. Without this, Python complains once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (KeyboardInterrupt, click.Abort, TerminatedError) as error:
        terminated = isinstance(error, TerminatedError)
        _say(f"{'terminated' if terminated else 'interrupted'}; to go on: {shlex.join(['im2rec', *words])}")
        return TERMINATED if terminated else INTERRUPTED
    except click.ClickException as error:
        _debug(words)
        _say(_usage_line(error))
        return USAGE
    except Im2RecError as error:
        _debug(words)
        _say(str(error))
        return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: an error of ours is one line too
        _debug(words)
        what = str(error).splitlines()[0] if str(error) else ""
        _say(f"internal error: {type(error).__name__}: {what} (please report it, with the output of --debug)")
        return FAILED


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM raise while the block runs; nothing to do outside the main thread."""

    def terminate(_number: int, _frame: object) -> NoReturn:
        raise TerminatedError

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _usage_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message().replace("\n", " ").rstrip(".")
    message = message[:1].lower() + message[1:]
    return f"{message} (see '{context.command_path} --help')" if context is not None else message


def _debug(words: list[str]) -> None:
    if "--debug" in words:
        traceback.print_exc()


def _say(line: str) -> None:
    # One line, whatever a file is called.
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
    with contextlib.suppress(OSError):
        sys.stderr.write(f"im2rec: {shown}\n")
        sys.stderr.flush()
