"""Worker processes: each answers one item at a time, at the other end of a pipe of its own.

Where a program says so as the very first thing it does (:func:`prepare`), workers are forked from a process that has
imported what they need: a tenth one starts in no time. Else, and where there is no such fork, each is a new Python.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import importlib
import os
import pickle
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, Protocol

_JOIN_S = 5.0  # a terminated process that is still there after this long gets a kill
_REQUEST_BYTES = 64
_STARTS_THREADS = "numpy"  # its libraries have threads of their own, which Python does not count

_ROOT = str(Path(__file__).parents[1])
# im2rec is imported from where it is, and nothing from the current directory, which is the empty word in the path.
_PATH = "import sys; sys.path[:] = [sys.argv[1], *filter(None, sys.path)]"

Work = Callable[[Any], Any]


def python_words(code: str) -> list[str]:
    """The words that start a Python which runs *code*, a program of ours; whatever is in the current directory."""
    return [sys.executable, "-c", f"{_PATH}; {code}", _ROOT]


class Worker(Protocol):
    """A process that has been told its work."""

    def ask(self, item: Any) -> tuple[bool, Any]:
        """``(True, work(item))``, or ``(False, exception)``. Raises EOFError or OSError when the process is gone."""

    def exitcode(self) -> int | None:
        """How the process, which is gone, ended: below zero the signal; None when nobody knows."""

    def end(self) -> None:
        """End it, whatever it does; again is fine."""


def start_worker(work: Work) -> Worker:
    """A new process for *work*, which is pickled. Raises OSError when the system has no room for one."""
    return _ForkedWorker(_servers[-1], work) if _servers else _SpawnedWorker(work)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back from this thread, and for good from processes that it starts: they would die with a traceback.

    Where threads cannot hold signals (Windows) nothing is done.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(receive: Callable[[], Any], send: Callable[[Any], object]) -> None:
    """Receive the work, then answer items until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.filterwarnings("ignore", module="PIL")  # of a damaged image the report tells
    with contextlib.suppress(EOFError, OSError):
        work = receive()
        while True:
            item = receive()
            try:
                answer = True, work(item)
            except Exception as error:  # noqa: BLE001 - carried to the consumer, who raises it
                answer = False, error
            send(answer)


class _SpawnedWorker:
    """A worker that is a new Python."""

    def __init__(self, work: Work) -> None:
        import multiprocessing  # noqa: PLC0415 - 20 ms, for nothing where workers are forked
        import multiprocessing.resource_tracker  # noqa: PLC0415

        multiprocessing.resource_tracker.ensure_running()  # which lets go of all interrupts when it starts: first
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: Any = context.Process(target=_spawned, args=(theirs,), daemon=True)
        with interrupts_held():
            self._process.start()
        theirs.close()  # or our end would never see the end of file
        with contextlib.suppress(OSError):  # of one that is gone already the first item will tell
            self._send(work)

    def ask(self, item: Any) -> tuple[bool, Any]:
        self._send(item)
        return self._pipe.recv()  # type: ignore[no-any-return]

    def _send(self, item: Any) -> None:
        # Not by send(): when that fails, its traceback keeps a view of a BytesIO, which then cannot be closed; where
        # both are collected together, Python from 3.13 on complains.
        self._pipe.send_bytes(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))

    def exitcode(self) -> int | None:
        self._process.join(_JOIN_S)
        return self._process.exitcode  # type: ignore[no-any-return]

    def end(self) -> None:
        self._process.terminate()
        self._process.join(_JOIN_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._pipe.close()
        self._process.close()


def _spawned(pipe: Any) -> None:
    _serve(pipe.recv, pipe.send)


class _ForkedWorker:
    """A worker that the server has forked."""

    def __init__(self, server: _ForkServer, work: Work) -> None:
        self._server = server
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._pid = server.fork(theirs)
            self._stream = ours.makefile("rwb")
        with contextlib.suppress(OSError):  # as above
            _send(self._stream, work)

    def ask(self, item: Any) -> tuple[bool, Any]:
        _send(self._stream, item)
        return _receive(self._stream)  # type: ignore[no-any-return]

    def exitcode(self) -> int | None:
        return self._server.ended(self._pid)

    def end(self) -> None:
        self._server.ended(self._pid, kill=True)  # it holds nothing that wants to be cleaned up
        with contextlib.suppress(OSError):
            self._stream.close()


def _send(stream: Any, item: Any) -> None:
    stream.write(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
    stream.flush()


def _receive(stream: Any) -> Any:
    try:
        return pickle.load(stream)  # noqa: S301 - from a process of ours
    except pickle.UnpicklingError as error:  # it ended in the middle
        raise EOFError from error


class _ForkServer:
    """The process that forks workers: a copy of this one, from when it had no thread that might hold a lock."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair()
        with theirs, interrupts_held():
            self._pid = os.fork()
            if not self._pid:
                self._requests.close()
                _as_a_copy(_fork_workers, theirs, modules)
        atexit.register(os.kill, self._pid, signal.SIGKILL)  # it would end by itself, but later

    def fork(self, pipe: socket.socket) -> int:
        """The id of a new worker, at the other end of *pipe*. Raises OSError when there is no room for one."""
        pid = self._ask(b"fork", [pipe.fileno()])
        if pid is None:
            raise OSError("the process that starts workers is gone")
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def ended(self, pid: int, *, kill: bool = False) -> int | None:
        """How the worker *pid* ended, below zero by which signal; waits for it. None when nobody knows."""
        return self._ask(b"%s %d" % (b"kill" if kill else b"wait", pid), [])

    def _ask(self, request: bytes, handles: list[int]) -> int | None:
        with self._lock, contextlib.suppress(OSError):
            socket.send_fds(self._requests, [request], handles)
            if answer := self._requests.recv(_REQUEST_BYTES):
                return int(answer)
        return None


_servers: list[_ForkServer] = []


def prepare(*modules: str) -> None:
    """Let a copy of this program import *modules* and stand by to fork workers, while the program itself goes on.

    For the very start of a program: nothing is done when it may have threads already, nor on any system but Linux.
    """
    if sys.platform != "linux" or _servers or threading.active_count() > 1 or _STARTS_THREADS in sys.modules:
        return
    with contextlib.suppress(OSError):  # no room for a process: workers are spawned then
        _servers.append(_ForkServer(modules))


def _fork_workers(requests: socket.socket, modules: tuple[str, ...]) -> None:
    """Fork a worker for each pipe that comes, and tell how those ended that are asked for, until the program ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    for module in modules:
        with contextlib.suppress(ImportError):  # who really needs it will say so
            importlib.import_module(module)
    gc.freeze()  # what is there stays: looking it over would only copy the memory that all of them share
    gc.enable()
    ended: dict[int, int] = {}
    while True:
        request, handles, *_ = socket.recv_fds(requests, _REQUEST_BYTES, 1)
        if not request:
            return
        if handles:
            with socket.socket(fileno=handles[0]) as pipe:
                answer = _fork(pipe, requests)
        else:
            word, pid = request.split()
            answer = _ended(int(pid), ended, kill=word == b"kill")
        requests.send(b"%d" % answer)


def _fork(pipe: socket.socket, requests: socket.socket) -> int:
    """The id of a new worker, or below zero the number of the error."""
    try:
        pid = os.fork()
    except OSError as error:
        return -(error.errno or errno.EAGAIN)
    if not pid:
        requests.close()
        _as_a_copy(_answer, pipe)
    return pid


def _ended(pid: int, ended: dict[int, int], *, kill: bool) -> int:
    if pid not in ended:  # until it has been waited for, the id is nobody else's
        if kill:
            os.kill(pid, signal.SIGKILL)
        ended[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return ended[pid]


def _answer(pipe: socket.socket) -> None:
    with pipe.makefile("rwb") as stream:
        _serve(lambda: _receive(stream), lambda answer: _send(stream, answer))


def _as_a_copy(do: Callable[..., None], *arguments: Any) -> NoReturn:
    """What a copy of this process does instead of going on as this one would."""
    code = 1
    try:
        do(*arguments)
        code = 0
    except BaseException:  # noqa: BLE001 - printed, as at the end of any program
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
