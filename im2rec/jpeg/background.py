"""Compile the decoder in a separate process while a training program runs.

    count_delivered(len(batch))  # starts the process once that is worth it; cheap, from any thread

Afterwards ``load(may_compile=False)`` of :mod:`im2rec.jpeg.loading` finds the compiled code.

The process is ``im2rec compile``, at a low priority. If several start on one machine, one of them compiles and the
others wait for it (the lock of :mod:`im2rec.jpeg.cache`). It ends with the program that started it, even if that is
killed: the program holds one end of a pipe, and the process ends at the end of file; on POSIX also when its parent
changes, as a forked child of the program may have inherited that end and outlive it. No function here raises: if no
process can be started, there is no compiled decoder, and the program decodes without it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from im2rec.workers import python_command

_VARIABLE = "IM2REC_COMPILES_IN_BACKGROUND"  # set in the environment of a process that begin() started
_CODE = "from im2rec.cli import main; main(['compile'])"
_MIN_IMAGES = 4000  # a program that has decoded 4000 images may well decode a million
_NICENESS = 5  # on a busy machine this is a quarter of a CPU: 40 seconds for 10 of work; with 10 it would be 100
_POLL_S = 0.5
_KILL_WAIT_S = 5.0  # a killed process that has not ended by then is left alone
_PARENT_CHANGES = os.name == "posix"


class BackgroundCompile:
    """The background process of one program; *command* replaces ``im2rec compile`` in tests."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = command
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget_in_child)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._has_begun = False
        self._child: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the process, unless this program has started it before."""
        with self._lock:
            if self._has_begun:
                return
            self._has_begun = True
            with contextlib.suppress(Exception):  # whatever the error, the program can do without the decoder
                command = _compile_command() if self._command is None else self._command
                if command is not None:
                    atexit.register(self.end)
                    self._child = _start(command)

    def has_finished(self) -> bool:
        """True if the process has ended, or could not be started. False before :meth:`begin`."""
        with self._lock:
            if self._child is not None and self._child.poll() is not None:
                self._release()
            return self._has_begun and self._child is None

    def end(self) -> None:
        """Kill the process if it runs; none is started later. A file that it is writing never gets its final name."""
        with self._lock:
            self._has_begun = True
            if self._child is not None:
                self._child.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(_KILL_WAIT_S)
                self._release()

    def _release(self) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child = None
        atexit.unregister(self.end)

    def _forget_in_child(self) -> None:
        """Forget the process, in a forked child of the program, which does not own it and may start its own."""
        child = self._child
        self._reset()
        if child is not None:
            assert child.stdin is not None
            child.stdin.close()  # or the process would not notice the end of the program
            child.returncode = 0  # or Python would warn of a process that still runs


_of_this_program = BackgroundCompile()
_image_count = 0  # delivered


def count_delivered(images: int) -> None:
    """Count *images* that the compiled decoder could have decoded; after some thousand, compile it if need be.

    Never raises.
    """
    global _image_count
    before, _image_count = _image_count, _image_count + images
    if before < _MIN_IMAGES <= _image_count:
        from im2rec.jpeg.loading import load  # noqa: PLC0415 - see _compile_command

        if load(may_compile=False).kernel is None:
            begin()
    elif before >= _MIN_IMAGES:
        has_finished()  # a process that has ended stays a zombie until it is polled


def begin() -> None:
    """Start the background process, unless this program has started it before. Never raises."""
    _of_this_program.begin()


def has_finished() -> bool:
    """True if the background process has ended, or could not be started; ``load(may_compile=False)`` may succeed then.

    False before :func:`begin`. Does not wait.
    """
    return _of_this_program.has_finished()


def _compile_command() -> list[str] | None:
    """The command line of the process; None if the decoder is switched off, or numba or a Python to run is missing."""
    # The module is imported late: "im2rec compile" imports this one, and calls become_background before slow imports.
    from im2rec.jpeg.loading import OFF  # noqa: PLC0415

    if os.environ.get(OFF) == "0" or importlib.util.find_spec("numba") is None:
        return None
    name = Path(sys.executable or "").name.lower()
    # A program with Python embedded would start a second copy of itself.
    if getattr(sys, "frozen", False) or not ("python" in name or "pypy" in name):
        return None
    return python_command(_CODE)


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # In the session of the program: Linux divides the CPUs among sessions (autogroup), and a priority counts only
    # within its session.
    return subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, _VARIABLE: "1"},
        creationflags=_flags("CREATE_NO_WINDOW", "CREATE_NEW_PROCESS_GROUP", "BELOW_NORMAL_PRIORITY_CLASS"),
    )


def _flags(*names: str) -> int:
    """The sum of the creation flags of Windows; 0 elsewhere."""
    return sum(getattr(subprocess, name, 0) for name in names)


def become_background() -> None:
    """Lower the priority of this process, and end it with the program that started it, if :func:`begin` did.

    Does nothing in any other process.
    """
    if os.environ.pop(_VARIABLE, None) is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is sent to it as well; it would end it
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(_NICENESS)
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), name="im2rec-parent-watch", daemon=True).start()


def _exit_with_parent(parent: int) -> None:
    while not _wait_for_end_of(parent):
        pass
    os._exit(1)  # at once, even from within the compiler


def _wait_for_end_of(parent: int) -> bool:
    """Wait up to half a second for the end of the process *parent*; True if it has ended."""
    if _PARENT_CHANGES:
        ended, _, _ = select.select([0], [], [], _POLL_S)
        return bool(ended) or os.getppid() != parent
    with contextlib.suppress(OSError):
        os.read(0, 1)
    return True
