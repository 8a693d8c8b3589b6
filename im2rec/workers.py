"""Worker processes: each receives one item at a time over its own pipe and sends back the result.

A program that calls :func:`start_fork_server` as its first action gets workers that are forked from a process in which
the modules they need are imported already, so that starting one takes milliseconds. Otherwise, and on systems other
than Linux, each worker is a new Python process.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, Protocol

from im2rec.library_output import hide_library_output

_JOIN_S = 5.0  # a process that has closed its pipe has ended by then
_REQUEST_BYTES = 64  # more than any request or answer of the fork server
_THREADED_MODULE = "numpy"  # its BLAS library starts threads that threading.active_count() does not count

_ROOT = str(Path(__file__).parents[1])
# The child imports im2rec from where the parent did. The empty string in sys.path, which stands for the current
# directory, is removed: a file there that has the name of a module must not be imported in its place.
_PATH = "import sys; sys.path[:] = [sys.argv[1], *filter(None, sys.path)]"

Work = Callable[[Any], Any]


def python_command(code: str) -> list[str]:
    """Return the command line of a Python process that runs *code*, imports im2rec from here and ignores the cwd."""
    return [sys.executable, "-c", f"{_PATH}; {code}", _ROOT]


class Worker(Protocol):
    """A process that applies one function, its *work*, to the items it receives."""

    def call(self, item: Any, timeout_s: float | None = None) -> tuple[bool, Any]:
        """Return ``(True, work(item))``, or ``(False, exception)`` when it raised an exception.

        Raises EOFError or OSError when the process has ended, TimeoutError when its answer has not begun after
        *timeout_s*. The worker is then of no use but for :meth:`end`.
        """

    def exitcode(self) -> int | None:
        """Return the exit code of the ended process, minus the signal number if a signal ended it; None if unknown."""

    def end(self) -> None:
        """Kill the process, even in the middle of an item. Calling it twice is allowed."""


def start_worker(work: Work) -> Worker:
    """Start a process for *work*, which is pickled. Raises OSError when the system cannot start another process."""
    for server in _servers[-1:]:
        with contextlib.suppress(_ServerEndedError):  # a program that has threads by now cannot fork another server
            return _ForkedWorker(server, work)
    return _SpawnedWorker(work)


@contextlib.contextmanager
def interrupts_blocked(*more: int) -> Iterator[None]:
    """Block SIGINT and *more* in this thread during the block; a process started inside inherits the mask and keeps it.

    Ctrl-C reaches every process of the terminal's group, and children would die with a traceback while the parent
    still shuts down in order. Does nothing on Windows, where threads have no signal mask.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *more})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals_to_parent() -> None:
    """Ignore Ctrl-C, and let SIGTERM and SIGHUP end this process unless they are ignored.

    Ctrl-C reaches the whole group; the parent ends its workers. Handlers of the parent are replaced: a forked process
    inherits them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ending = {getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)}
    for number in ending:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)


def _serve(receive: Callable[[], Any], send: Callable[[Any], object]) -> None:
    """Receive the work, then send one answer for each item until the other end closes."""
    _leave_signals_to_parent()
    warnings.filterwarnings("ignore", module="PIL")  # a damaged image is in the report, Pillow's warning adds nothing
    hide_library_output()
    with contextlib.suppress(EOFError, OSError):
        work = receive()
        while True:
            item = receive()
            try:
                answer = True, work(item)
            except Exception as error:  # noqa: BLE001 - sent to the parent, which raises it at the consumer
                answer = False, error
            send(answer)


class _SpawnedWorker:
    """A worker that is a new Python process."""

    def __init__(self, work: Work) -> None:
        import multiprocessing  # noqa: PLC0415 - takes 20 ms, and forked workers do not need it
        import multiprocessing.resource_tracker  # noqa: PLC0415

        multiprocessing.resource_tracker.ensure_running()  # first: its start unblocks SIGINT in this thread
        # A thread that finds the process dead asks for its exit code while another one ends all workers. If both wait
        # for the process at once, the system tells only one of them that it has ended.
        self._lock = threading.Lock()
        self._exitcode: int | None = None
        self._is_closed = False
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: Any = context.Process(target=_spawned, args=(theirs,), daemon=True)
        with interrupts_blocked():
            self._process.start()
        theirs.close()  # else this end would never reach the end of file when the worker dies
        with contextlib.suppress(OSError):  # the process has died already: call() reports it
            self._send(work)

    def call(self, item: Any, timeout_s: float | None = None) -> tuple[bool, Any]:
        """Send *item* and return the answer; see :meth:`Worker.call`."""
        self._send(item)
        if timeout_s is not None and not self._pipe.poll(timeout_s):
            raise TimeoutError
        return self._pipe.recv()  # type: ignore[no-any-return]

    def _send(self, item: Any) -> None:
        # Not Connection.send(): when that fails, its traceback keeps a memoryview of a BytesIO that then cannot be
        # closed, and from Python 3.13 on the garbage collector prints an error when it frees both together.
        self._pipe.send_bytes(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))

    def exitcode(self) -> int | None:
        """Return how the process ended, waiting for it a while; None if it has not."""
        with self._lock:
            if not self._is_closed:
                self._process.join(_JOIN_S)
                self._exitcode = self._process.exitcode
            return self._exitcode

    def end(self) -> None:
        """Kill the process."""
        with self._lock:
            if self._is_closed:
                return
            self._process.kill()  # it owns nothing that needs cleaning up, and it may ignore SIGTERM
            self._process.join()
            self._exitcode = self._process.exitcode
            self._pipe.close()
            self._process.close()
            self._is_closed = True


def _spawned(pipe: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _serve(pipe.recv, pipe.send)


def _end_with_parent() -> None:
    """End this process when its parent has died, even in the middle of an item."""
    import multiprocessing  # noqa: PLC0415 - imported already in a spawned process

    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class _ForkedWorker:
    """A worker that the fork server has forked."""

    def __init__(self, server: _ForkServer, work: Work) -> None:
        self._server = server
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._pid = server.fork(theirs)
            self._stream = ours.makefile("rwb")
            self._handle = ours.fileno()  # stays open until the stream is closed
        with contextlib.suppress(OSError):  # the process has died already: call() reports it
            send(self._stream, work)

    def call(self, item: Any, timeout_s: float | None = None) -> tuple[bool, Any]:
        """Send *item* and return the answer; see :meth:`Worker.call`."""
        send(self._stream, item)
        if timeout_s is not None and not self._wait(timeout_s):
            raise TimeoutError
        return _receive(self._stream)  # type: ignore[no-any-return]

    def exitcode(self) -> int | None:
        """Return how the process ended, as the server, whose child it is, reports it."""
        return self._server.exitcode(self._pid)

    def end(self) -> None:
        """Kill the process."""
        if self._stream.closed:  # ended before: another process may have the id by now
            return
        # SIGKILL: a worker owns nothing that needs cleaning up. The server has ended if it does not answer.
        if self._server.exitcode(self._pid, kill=True) is None and not self._wait(0) & select.POLLHUP:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)  # it is alive: its end of the pipe is open
        with contextlib.suppress(OSError):
            self._stream.close()

    def _wait(self, timeout_s: float) -> int:
        """Wait for an answer or the end of the process; return the events of ``poll()``, 0 after *timeout_s*."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return next((events for _, events in poll.poll(1000 * timeout_s)), 0)


def send(stream: Any, item: Any) -> None:
    """Pickle *item* to the binary *stream* of another process, and flush it."""
    stream.write(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
    stream.flush()


def _receive(stream: Any) -> Any:
    try:
        return pickle.load(stream)  # noqa: S301 - written by our own process
    except pickle.UnpicklingError as error:  # the process died while it was writing
        raise EOFError from error


class _ServerEndedError(OSError):
    """The fork server has ended."""


class _ForkServer:
    """The process that forks workers.

    It is forked from this program while that has a single thread: a lock held by another thread at the time of a fork
    would stay locked in the child for ever.
    """

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair()
        # Until the child has handlers of its own, it would run those of the program.
        with theirs, interrupts_blocked(signal.SIGTERM, signal.SIGHUP):
            self._pid = os.fork()
            if not self._pid:
                self._requests.close()
                _run_in_child(_fork_workers, theirs, modules)
        atexit.register(os.kill, self._pid, signal.SIGKILL)  # it would end by itself at end of file, but later

    def fork(self, pipe: socket.socket) -> int:
        """Fork a worker that serves the other end of *pipe*, and return its process id.

        Raises OSError when the system cannot start another process, _ServerEndedError when the server has ended.
        """
        pid = self._request(b"fork", [pipe.fileno()])
        if pid is None:
            raise _ServerEndedError("the process that starts workers has ended")
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def exitcode(self, pid: int, *, kill: bool = False) -> int | None:
        """Wait until worker *pid* has ended, killed first if *kill*, and return its exit code.

        Minus the signal number if a signal ended it; None when the server itself has ended.
        """
        return self._request(b"%s %d" % (b"kill" if kill else b"wait", pid), [])

    def _request(self, request: bytes, handles: list[int]) -> int | None:
        """Send *request* with file descriptors *handles* to the server; its answer, or None when it has ended."""
        with self._lock, contextlib.suppress(OSError):
            socket.send_fds(self._requests, [request], handles)
            if answer := self._requests.recv(_REQUEST_BYTES):
                return int(answer)
        return None


_servers: list[_ForkServer] = []


def start_fork_server(*modules: str) -> None:
    """Fork a process that imports *modules* in the background and then forks every worker of :func:`start_worker`.

    Call it at the very start of a program. Does nothing when the program may have threads already, or on any system
    but Linux; workers are spawned then.
    """
    if sys.platform != "linux" or _servers or threading.active_count() > 1 or _THREADED_MODULE in sys.modules:
        return
    with contextlib.suppress(OSError):  # the system refuses another process: workers are spawned later
        _servers.append(_ForkServer(modules))


def _fork_workers(requests: socket.socket, modules: tuple[str, ...]) -> None:
    """Serve ``fork``, ``wait`` and ``kill`` requests until the program closes its end of *requests*, or dies.

    All workers are killed then, which may be in the middle of an item. A ``fork`` request carries the worker's end of
    its pipe as a file descriptor, the others the worker's process id.
    """
    _leave_signals_to_parent()
    gc.disable()
    for module in modules:
        with contextlib.suppress(ImportError):  # a worker that needs the module raises the error again
            importlib.import_module(module)
    # The imported modules are never freed. Without freeze(), each collection in a worker would write to the headers of
    # all their objects, and so copy the memory pages that the workers share.
    gc.freeze()
    gc.enable()
    exitcodes: dict[int, int | None] = {}  # None: not asked for yet
    # OSError: the program was killed while it waited for an answer.
    with contextlib.suppress(OSError):
        while _answer(requests, exitcodes):
            pass
    for worker, exitcode in exitcodes.items():
        if exitcode is None:
            os.kill(worker, signal.SIGKILL)


def _answer(requests: socket.socket, exitcodes: dict[int, int | None]) -> bool:
    """Answer one request; return False when there are no more."""
    request, handles, *_ = socket.recv_fds(requests, _REQUEST_BYTES, 1)
    if not request:
        return False
    if handles:
        with socket.socket(fileno=handles[0]) as pipe:
            answer = _fork(pipe, requests)
        if answer > 0:
            exitcodes[answer] = None
    else:
        word, pid = request.split()
        answer = _exitcode(int(pid), exitcodes, kill=word == b"kill")
    requests.send(b"%d" % answer)
    return True


def _fork(pipe: socket.socket, requests: socket.socket) -> int:
    """Fork a worker; return its process id, or minus the ``errno`` of the failure."""
    try:
        pid = os.fork()
    except OSError as error:
        return -(error.errno or errno.EAGAIN)
    if not pid:
        requests.close()
        _run_in_child(_serve_pipe, pipe)
    return pid


def _exitcode(pid: int, exitcodes: dict[int, int | None], *, kill: bool) -> int:
    """Wait for worker *pid* and return its exit code, remembered in *exitcodes*."""
    exitcode = exitcodes[pid]
    if exitcode is None:  # the system gives the id to no other process before waitpid() has returned it
        if kill:
            os.kill(pid, signal.SIGKILL)
        exitcodes[pid] = exitcode = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return exitcode


def _serve_pipe(pipe: socket.socket) -> None:
    # OSError: the parent has been killed, and the end of the block would send what is left of an answer.
    with contextlib.suppress(OSError), pipe.makefile("rwb") as stream:
        _serve(lambda: _receive(stream), lambda answer: send(stream, answer))


def _run_in_child(function: Callable[..., None], *arguments: Any) -> NoReturn:
    """Call *function* in a process that was just forked, then exit without running the parent's cleanup handlers."""
    code = 1
    try:
        function(*arguments)
        code = 0
    except BaseException:  # noqa: BLE001 - printed, as an error that ends any program is
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
