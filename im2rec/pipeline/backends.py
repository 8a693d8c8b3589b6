"""Decode backends: threads of this process, or processes that write into memory shared with it.

Decoding releases the interpreter's lock, all else needs it: with small images threads wait for each other, and
processes do not. The processes are new Pythons, not forks of this one: a program needs no
``if __name__ == "__main__"`` for them, and no lock that another thread holds is copied into them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from typing import Any

from im2rec.errors import Im2RecError
from im2rec.library_output import hide_library_output
from im2rec.parallel import WorkerThreads, end_with_program, forks_wait
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout, MemoryPool, SharedBuffers, attach_buffers
from im2rec.pipeline.loader import Loader, RowProblem
from im2rec.pipeline.order import BatchRequest
from im2rec.workers import interrupts_blocked, python_command, send

_SERVE = "from im2rec.pipeline.backends import serve; serve()"
# By default glibc returns freed memory of this size to the system, and gets it again, cleared, for the next image:
# faces of 112 x 112 took 5 % longer.
_KEPT_BYTES = 256 << 20  # larger than any image but a few
_MALLOC_ENVIRONMENT = dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(_KEPT_BYTES))
_EXIT_S = 1.0  # a process that has closed its pipe has ended by then
_MAX_NAMED_RECORDS = 3  # in the error of a process that died


class ThreadBackend:
    """Decoding on *count* threads of this process, into its own memory; *ahead* batches are prefetched."""

    def __init__(self, loader: Loader, layout: BatchLayout, count: int, ahead: int) -> None:
        self._loader = loader
        self.buffers = MemoryPool(layout, ahead + 3)  # those ahead, the one in work, the one delivered, and a spare
        self.threads = WorkerThreads(count, "im2rec-decode")

    def load(self, buffer: BatchBuffer, piece: BatchRequest) -> list[RowProblem]:
        """Load *piece* into *buffer* in the calling thread; see :meth:`Loader.load`."""
        with forks_wait():
            return self._loader.load(buffer, piece)

    @property
    def kernel(self) -> str:
        """The compiled JPEG decoder, or ``none: `` and the reason; see :attr:`Loader.kernel`."""
        self._loader.load_kernel_if_due()
        return self._loader.kernel

    def shut_down(self, *, wait: bool) -> None:
        """Cancel the pieces that have not begun and end the threads; *wait* for those that have."""
        self.threads.shut_down(wait=wait)


class ProcessBackend:
    """Decoding in *count* processes, into shared memory; *ahead* batches are prefetched.

    Each process belongs to one thread of this process, which sends it a piece and waits for the answer. So the death of
    a process is an end of file in the thread that waits, which can name the records.
    """

    def __init__(self, loader: Loader, layout: BatchLayout, count: int, ahead: int) -> None:
        self._loader = loader
        self.kernel = f"none: {loader.reason_for_late_kernel}"  # then as the processes report it
        self._busy_threads: set[int] = set()
        # Those ahead, the one in work, the one delivered, the one before it, which the variable of a loop still holds,
        # and a spare. The method is that of the set: one of self would be a reference cycle, and a closed iterator
        # would keep its memory until the garbage collector runs.
        self.buffers = SharedBuffers(layout, ahead + 5, self._busy_threads.__len__)
        self._local = threading.local()
        # Threads start processes while another shuts down; reentrant for a signal handler that closes the iterator.
        self._lock = threading.RLock()
        self._processes: list[_DecodeProcess] | None = []  # None after shut_down()
        self.threads = WorkerThreads(count, "im2rec-decode")
        self._owner_pid = os.getpid()
        end_with_program(self)

    def load(self, buffer: BatchBuffer, piece: BatchRequest) -> list[RowProblem]:
        """Load *piece* into *buffer* in the process of the calling thread; see :meth:`Loader.load`.

        Raises Im2RecError if the process dies; the next piece of this thread starts another.
        """
        assert buffer.slot is not None
        thread = threading.get_ident()
        self._busy_threads.add(thread)
        try:
            return self._load_in_process(buffer.slot, piece)
        finally:
            self._busy_threads.discard(thread)

    def _load_in_process(self, slot: int, piece: BatchRequest) -> list[RowProblem]:
        process = self._process_of_thread()
        try:
            problems, kernel = process.load(slot, piece)
        except (EOFError, OSError, pickle.UnpicklingError):
            del self._local.process
            records = ", ".join(map(str, piece.records[:_MAX_NAMED_RECORDS]))
            more = len(piece.records) - _MAX_NAMED_RECORDS
            raise Im2RecError(
                f"a decoding process died ({process.end(patience_s=_EXIT_S)}) while it held records {records}"
                + (f" and {more} more" if more > 0 else ""),
                hint="out of memory, or a crash in an image library",
            ) from None
        if not self.kernel.startswith("numba"):  # once any process has the decoder, reports of others do not matter
            self.kernel = kernel
        return problems

    def _process_of_thread(self) -> _DecodeProcess:
        """Return the process of the calling thread, started with its first piece."""
        if not hasattr(self._local, "process"):
            with self._lock:
                if self._processes is None:
                    raise Im2RecError("the iterator is closed", hint="make a new one")
                self._local.process = _DecodeProcess(self._loader, self.buffers)
                self._processes.append(self._local.process)
        process: _DecodeProcess = self._local.process
        return process

    def shut_down(self, *, wait: bool) -> None:
        """Cancel the pieces that have not begun, and end the processes and threads. Shutting down twice is allowed."""
        if os.getpid() != self._owner_pid:  # in a forked child, all of it belongs to the parent
            return
        self.threads.shut_down(wait=False)  # first: a free thread would begin the next piece
        with self._lock:
            processes, self._processes = self._processes or [], None  # from here on no thread starts another
        for process in processes:
            process.end()
        self.threads.shut_down(wait=wait)  # after the processes: a thread that still waits for one gets an end of file
        with self._lock:  # a process that starts inherits the handle, and two threads may shut down at once
            self.buffers.close()

    def _end_with_program(self) -> None:
        self.shut_down(wait=True)


DecodeBackend = ThreadBackend | ProcessBackend


class _DecodeProcess:
    """A Python that runs :func:`serve`, with a copy of the loader and a mapping of the shared buffers."""

    def __init__(self, loader: Loader, buffers: SharedBuffers) -> None:
        handles = (buffers.handle,) if isinstance(buffers.handle, int) else ()
        with interrupts_blocked():
            self._process = subprocess.Popen(
                python_command(_SERVE),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=handles,
                env={**_MALLOC_ENVIRONMENT, **os.environ},
            )
        # end() is called when a thread finds the process dead and, perhaps at the same time, to shut down.
        self._lock = threading.Lock()
        with contextlib.ExitStack() as stack:
            stack.callback(self.end)  # if the loader cannot be pickled, say: the process would wait for it for ever
            with contextlib.suppress(OSError):  # load() reports a process that has ended already
                self._send((loader, buffers.handle, buffers.layout, buffers.count))
            stack.pop_all()

    def load(self, slot: int, piece: BatchRequest) -> tuple[list[RowProblem], str]:
        """Load *piece* into the buffer *slot*; return its problems and ``Loader.kernel`` of the process.

        Raises what the loader raises, and EOFError, OSError or UnpicklingError if the process dies.
        """
        self._send((slot, piece))
        assert self._process.stdout is not None
        is_done, answer = pickle.load(self._process.stdout)  # noqa: S301 - from a process of ours
        if not is_done:
            raise answer
        problems: list[RowProblem]
        problems, kernel = answer
        return problems, kernel

    def _send(self, item: Any) -> None:
        assert self._process.stdin is not None
        send(self._process.stdin, item)

    def end(self, *, patience_s: float = 0.0) -> str:
        """Kill the process and return how it ended, "signal 9" say. Ending twice is allowed.

        It owns nothing that needs cleaning up, and it may ignore SIGTERM. One that seems to be dead by itself may have
        *patience_s* to exit.
        """
        with self._lock:
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()  # first: closing a pipe waits for the thread that is reading from it
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):  # closing sends what is left in the buffer
                    stream.close()
            code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def serve() -> None:
    """Run a decoding process: read the loader, then answer pieces until the parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    hide_library_output()
    logging.disable()  # the parent has logged it when it made the loader
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a library that prints must not write between the answers
    # UnpicklingError: the parent was killed while it was sending.
    with contextlib.suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):
        loader, handle, layout, count = pickle.load(requests)  # noqa: S301 - from the process that started this one
        buffers = attach_buffers(handle, layout, count)
        while True:
            slot, piece = pickle.load(requests)  # noqa: S301
            try:
                answer: tuple[bool, Any] = True, (loader.load(buffers[slot], piece), loader.kernel)
            except Exception as error:  # noqa: BLE001 - carried to the consumer, which raises it
                answer = False, error
            send(answers, answer)
