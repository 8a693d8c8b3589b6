"""Compile the decoder in a process beside a training program, which goes on meanwhile.

    delivered(len(batch))  # starts it when that is worth it; cheap, from any thread

What it compiled is found by ``load(may_compile=False)`` of :mod:`im2rec.jpeg.loading` afterwards.

The process is ``im2rec compile``, at a low priority. Of several on one machine one compiles, and the others wait for
it (the lock of :mod:`im2rec.jpeg.cache`). It ends with the program that started it, even when that is killed:
the program holds one end of a pipe, and the process ends at the end of file; on POSIX also when its parent changes,
since a forked child of the program may have inherited that end and outlive it. No function here raises: where no
process can be started there is no kernel, and the program decodes without.
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

_ATTENDED = "IM2REC_COMPILES_IN_BACKGROUND"  # in the environment of the process: it was started by begin()
_CODE = "from im2rec.cli import main; main(['compile'])"
_WORTH_IT = 4000  # images that a program has taken: then it may well take a million
_NICENESS = 5  # a quarter of a CPU where others want all of it: 40 seconds for 10 of work; at 10 it would be 100
_LOOK_EVERY_S = 0.5
_END_S = 5.0  # a killed process that is still there after this long is left alone
_PARENT_CHANGES = os.name == "posix"


class BackgroundCompile:
    """The process of one program; *command* is what it runs."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = command
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._disown)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._has_begun = False
        self._child: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the process, unless this program has started it before."""
        with self._lock:
            if self._has_begun:
                return
            self._has_begun = True
            with contextlib.suppress(Exception):  # whatever it is, the program can do without
                command = _compile_command() if self._command is None else self._command
                if command is not None:
                    atexit.register(self.end)
                    self._child = _start(command)

    def finished(self) -> bool:
        """Whether the process has ended, or could not be started. False before :meth:`begin`."""
        with self._lock:
            if self._child is not None and self._child.poll() is not None:
                self._let_go()
            return self._has_begun and self._child is None

    def end(self) -> None:
        """End the process, which leaves nothing that is half written under its name; another is not started."""
        with self._lock:
            self._has_begun = True
            if self._child is not None:
                self._child.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(_END_S)
                self._let_go()

    def _let_go(self) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child = None
        atexit.unregister(self.end)

    def _disown(self) -> None:
        """In a forked child of the program, which has no part in the process: it may start one of its own."""
        child = self._child
        self._forget()
        if child is not None:
            assert child.stdin is not None
            child.stdin.close()  # or the process would not see the end of the program
            child.returncode = 0  # or Python would warn of a process that still runs


_of_this_program = BackgroundCompile()
_images = 0  # delivered


def delivered(images: int) -> None:
    """Count *images* that the decoder might have made; after some thousand compile it, unless that was done before.

    Never raises.
    """
    global _images
    before, _images = _images, _images + images
    if before < _WORTH_IT <= _images:
        from im2rec.jpeg.loading import load  # noqa: PLC0415 - the process that compiles must attend first

        if load(may_compile=False).kernel is None:
            begin()
    elif before >= _WORTH_IT:
        finished()  # one that has ended would stay as a zombie until it is asked


def begin() -> None:
    """Start the process that compiles, unless this program has done so before. Never raises."""
    _of_this_program.begin()


def finished() -> bool:
    """Whether that process has ended, or could not be started; then ``load(may_compile=False)`` is worth a try.

    False before :func:`begin`. Does not wait.
    """
    return _of_this_program.finished()


def _compile_command() -> list[str] | None:
    """The words to start; None where there is no use in it, or no Python that could run them."""
    from im2rec.jpeg.loading import OFF  # noqa: PLC0415 - the process that compiles does without until it attends

    if os.environ.get(OFF) == "0" or importlib.util.find_spec("numba") is None:
        return None
    name = Path(sys.executable or "").name.lower()
    # A program that Python is part of would start itself once more.
    if getattr(sys, "frozen", False) or not ("python" in name or "pypy" in name):
        return None
    return python_command(_CODE)


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # In the session of the program: Linux shares the CPUs between sessions, and the priority counts inside one alone.
    return subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, _ATTENDED: "1"},
        creationflags=_flags("CREATE_NO_WINDOW", "CREATE_NEW_PROCESS_GROUP", "BELOW_NORMAL_PRIORITY_CLASS"),
    )


def _flags(*names: str) -> int:
    """The sum of the flags of Windows; 0 elsewhere."""
    return sum(getattr(subprocess, name, 0) for name in names)


def attend() -> None:
    """In a process that :func:`begin` started: give way to other work, and end with the program that started it.

    In any other process nothing is done.
    """
    if os.environ.pop(_ATTENDED, None) is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it as well; before this line it ends it, silently
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(_NICENESS)
    threading.Thread(target=_end_with, args=(os.getppid(),), name="im2rec-attend", daemon=True).start()


def _end_with(parent: int) -> None:
    while not _is_gone(parent):
        pass
    os._exit(1)  # at once, out of the compiler too


def _is_gone(parent: int) -> bool:
    """Whether the program has ended; waits a while for that."""
    if _PARENT_CHANGES:
        ended, _, _ = select.select([0], [], [], _LOOK_EVERY_S)
        return bool(ended) or os.getppid() != parent
    with contextlib.suppress(OSError):
        os.read(0, 1)
    return True
