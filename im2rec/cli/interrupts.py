"""Signals that end a command, and the command to type after one of them.

SIGINT (Ctrl-C) raises CtrlCError, SIGTERM and SIGHUP raise TerminatedError, wherever the main thread is, so that
everything open is cleaned up on the way out. This module imports little: the program takes over the signals in its
first line, before any import that takes time.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any, NoReturn
else:
    import _signal as signal  # the module signal takes 2 ms to import, and Ctrl-C would print a traceback meanwhile

INTERRUPTED, TERMINATED = 130, 143  # 128 + SIGINT and 128 + SIGTERM, as shells report them
# SIGHUP is sent when a terminal is closed; Windows has none.
_NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_RETRY_S = 0.01


class TerminatedError(BaseException):
    """SIGTERM or SIGHUP, raised in the main thread."""


class CtrlCError(KeyboardInterrupt):
    """SIGINT, raised in the main thread.

    A class of its own, because Python ends a program by the signal instead of by an exit code, once a KeyboardInterrupt
    itself has passed through ``exec()``.
    """


class _Run:
    """The state of the one command that runs in this process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Set the state of a command that begins."""
        self.received: int | None = None  # the signal that came first
        self.is_over = False  # True once signals are of no use: they are dropped then
        self.is_done = False
        self.resumes = False
        self.outputs: list[Path] = []


_run = _Run()


def take_over_signals() -> dict[int, Any]:
    """Make the signals raise in the main thread; return the handlers that were replaced.

    An ignored signal stays ignored, as SIGHUP is under ``nohup`` and SIGINT in a background command of a script.
    Outside the main thread nothing changes. A call while they are taken over replaces nothing.
    """
    before: dict[int, Any] = {}
    try:
        for number in _NUMBERS:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None, _raise):
                before[number] = handler
                signal.signal(number, _raise)
    except ValueError:  # only the main thread may set handlers
        return {}
    if before:
        _run.reset()
        before[0] = sys.unraisablehook
        sys.unraisablehook = _raise_again
    return before


def drop_signals() -> None:
    """From now on drop the signals: the program prints its last line and ends."""
    _run.is_over = True


def ignore_signals() -> None:
    """Ignore the signals until the process has ended.

    Python restores their default action while it ends, and one of them would then replace the exit code.
    """
    for number in _NUMBERS:
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.SIG_IGN)


def give_back_signals(before: dict[int, Any]) -> None:
    """Restore the handlers that :func:`take_over_signals` returned."""
    for number, handler in before.items():
        if number:
            signal.signal(number, handler)
        else:
            sys.unraisablehook = handler
            _run.reset()


def _raise(number: int, _frame: object) -> None:
    if _run.is_over:
        return
    _run.received = _run.received or number
    raise CtrlCError if number == signal.SIGINT else TerminatedError


def raise_if_lost() -> None:
    """Raise the signal again that came earlier in this run.

    Libraries have handlers that catch every exception, also at their import, and the signal may have been raised in
    one. Commands call this as they go on.
    """
    if _run.received is not None:
        _raise(_run.received, None)


def _raise_again(unraisable: Any) -> None:
    """Raise an interrupt a little later, if it came in a finalizer or a callback, where Python prints and drops it."""
    if not isinstance(unraisable.exc_value, (KeyboardInterrupt, TerminatedError)):
        sys.__unraisablehook__(unraisable)
        return
    import threading  # noqa: PLC0415 - rarely needed

    number = signal.SIGINT if isinstance(unraisable.exc_value, KeyboardInterrupt) else signal.SIGTERM
    again = threading.Timer(_RETRY_S, _send_again, [number, threading.get_ident()])
    again.daemon = True
    again.start()


def _send_again(number: int, thread: int) -> None:
    """Send the signal *number* to *thread*, the main one, so that it also ends a wait for a lock or for input."""
    if sys.platform == "win32":
        import _thread  # noqa: PLC0415

        _thread.interrupt_main(number)
    else:
        signal.pthread_kill(thread, number)


def find_interrupt(error: BaseException) -> BaseException | None:
    """Return the interrupt that led to *error*, or None.

    A library that is interrupted may fail to clean up, and its error then takes the place of the interrupt: zipfile,
    for example, cannot close an archive while a member of it is open. So every error after a signal is the signal's.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (KeyboardInterrupt, TerminatedError)):
        cause = cause.__context__
    if cause is None and _run.received is not None:
        return KeyboardInterrupt() if _run.received == signal.SIGINT else TerminatedError()
    return cause


def repeat_by(*, resumes: bool = False, outputs: Iterable[Path | None] = ()) -> None:
    """Note how the running command is repeated after an interrupt; a command calls it before it writes anything.

    *resumes*: the same words, without ``--restart``, go on where the interrupted run ended. Otherwise they begin again;
    if one of the *outputs* that are not there yet is there by then, they need ``--force``.
    """
    _run.resumes = resumes
    _run.outputs = [path for path in outputs if path is not None and not _is_taken(path)]


def note_work_done() -> None:
    """Note that all work is done and all files are complete: after an interrupt nothing has to be repeated."""
    _run.is_done = True


def how_to_repeat(words: list[str]) -> str:
    """Return what to do after an interrupt of the command *words*: the command that goes on or begins again."""
    import shlex  # noqa: PLC0415 - imports much, and is needed after an interrupt alone

    if _run.is_done:
        return "the work is done, and only its summary may be missing"
    end = words.index("--") if "--" in words else len(words)
    if _run.resumes:
        options = [word for word in words[:end] if word != "--restart"]  # which would throw away what is written
        return f"to go on: {shlex.join(['im2rec', *options, *words[end:]])}"
    if "--force" not in words and any(_is_taken(path) for path in _run.outputs):
        words = [*words[:end], "--force", *words[end:]]
    return f"to begin again: {shlex.join(['im2rec', *words])}"


def _is_taken(path: Path) -> bool:
    """True if *path* is there; a folder only if something is in it."""
    try:
        return any(path.iterdir()) if path.is_dir() else os.path.lexists(path)
    except OSError:
        return True


def exit_at_start(interrupt: BaseException, words: list[str]) -> NoReturn:
    """Print the one line of an *interrupt* that came before the command began, and exit."""
    drop_signals()
    import contextlib  # noqa: PLC0415 - as shlex above

    code, word = (
        (INTERRUPTED, "interrupted") if isinstance(interrupt, KeyboardInterrupt) else (TERMINATED, "terminated")
    )
    with contextlib.suppress(AttributeError, OSError):  # closed or full
        sys.stderr.write(f"im2rec: {word}; {how_to_repeat(words)}\n")
    sys.exit(code)
