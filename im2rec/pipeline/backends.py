"""Decode backends: threads of this process, or processes that write into memory shared with it.

Decoding lets go of the interpreter's lock, all else holds it: with small images threads wait for each other, and
processes do not. They are new Pythons, not copies of this one: a program needs no ``if __name__ == "__main__"`` for
them, and its threads and locks are not copied into them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from typing import IO, Any

from im2rec.errors import Im2RecError
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout, MemoryPool, SharedBuffers, attached
from im2rec.pipeline.loader import Loader, RowProblem
from im2rec.pipeline.order import BatchRequest
from im2rec.workers import interrupts_blocked, python_command

_CODE = "from im2rec.pipeline.backends import serve; serve()"
# glibc gives freed memory back to the system at once, and takes it again, cleared, for the next image.
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(256 << 20), "MALLOC_MMAP_THRESHOLD_": str(256 << 20)}
_END_S = 5.0  # a process that is still there this long after its pipe was closed gets a kill
_NAMED = 3  # records that the error of a dead process names


class ThreadBackend:
    """Decoding on threads of this process, in its own memory."""

    def __init__(self, loader: Loader, layout: BatchLayout, count: int, ahead: int) -> None:
        self._loader = loader
        self.load = loader.load
        self.memory = MemoryPool(layout, ahead + 3)  # those ahead, the one in work, the one delivered, and a spare
        self.pool: concurrent.futures.Executor = concurrent.futures.ThreadPoolExecutor(count, "im2rec-decode")

    @property
    def kernel(self) -> str:
        """The compiled decoder that is used, or why there is none; see :attr:`Loader.kernel`."""
        self._loader.look_for_kernel()
        return self._loader.kernel

    def end(self, *, wait: bool) -> None:
        """End the threads."""
        self.pool.shutdown(wait=wait, cancel_futures=True)


class ProcessBackend:
    """Decoding in processes, each at the other end of a thread of this one that waits for it; in shared memory."""

    def __init__(self, loader: Loader, layout: BatchLayout, count: int, ahead: int) -> None:
        self._loader = loader
        self.kernel = (
            f"none: {loader.no_kernel_yet}"  # what the processes say: the compiled decoder, or why there is none
        )
        self._at_work: set[int] = set()  # threads
        # Those made ahead, the one in work, the one delivered, the one before it, which a loop still has; and a spare.
        self.memory = SharedBuffers(layout, ahead + 5, self._at_work.__len__)  # a reference to self would be a circle
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._started: list[_DecodeProcess] | None = []
        self.pool: concurrent.futures.Executor = concurrent.futures.ThreadPoolExecutor(count, "im2rec-feed")

    def load(self, buffer: BatchBuffer, piece: BatchRequest) -> list[RowProblem]:
        """Load *piece* in the process that belongs to the calling thread.

        Raises Im2RecError when the process dies; the next piece gets a new one.
        """
        thread = threading.get_ident()
        self._at_work.add(thread)
        try:
            return self._ask(buffer.slot, piece)
        finally:
            self._at_work.discard(thread)

    def _ask(self, slot: int, piece: BatchRequest) -> list[RowProblem]:
        process = self._process()
        try:
            problems, kernel = process.ask(slot, piece)
        except (EOFError, OSError, pickle.UnpicklingError):
            del self._mine.process
            records = ", ".join(map(str, piece.records[:_NAMED]))
            more = f" and {len(piece.records) - _NAMED} more" if len(piece.records) > _NAMED else ""
            raise Im2RecError(
                f"a decoding process died ({process.end()}) while it held records {records}{more}",
                hint="out of memory, or a crash in an image library",
            ) from None
        if not self.kernel.startswith("numba"):  # the last word of all, and of any that uses it
            self.kernel = kernel
        return problems

    def _process(self) -> _DecodeProcess:
        if not hasattr(self._mine, "process"):
            with self._lock:
                if self._started is None:
                    raise Im2RecError("the iterator is closed", hint="make a new one")
                self._mine.process = _DecodeProcess(self._loader, self.memory)
                self._started.append(self._mine.process)
        process: _DecodeProcess = self._mine.process
        return process

    def end(self, *, wait: bool) -> None:
        """End the processes and the threads; what was not begun is cancelled."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            started, self._started = self._started or [], None
        for process in started:
            process.end()
        self.pool.shutdown(wait=wait)
        self.memory.close()


DecodeBackend = ThreadBackend | ProcessBackend


class _DecodeProcess:
    """A Python that has the loader and the slots."""

    def __init__(self, loader: Loader, slots: SharedBuffers) -> None:
        handles = (slots.handle,) if isinstance(slots.handle, int) else ()
        with interrupts_blocked():
            self._process = subprocess.Popen(
                python_command(_CODE),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=handles,
                env={**_KEEP_MEMORY, **os.environ},
            )
        self._lock = threading.Lock()
        with contextlib.ExitStack() as stack:
            stack.callback(self.end)  # what cannot be pickled, say: the process must not wait for ever
            with contextlib.suppress(OSError):  # the first piece reports one that is gone already
                self._send((loader, slots.handle, slots.layout, slots.count))
            stack.pop_all()

    def ask(self, slot: int, piece: BatchRequest) -> tuple[list[RowProblem], str]:
        self._send((slot, piece))
        assert self._process.stdout is not None
        done, answer = pickle.load(self._process.stdout)  # noqa: S301 - from a process of ours
        if not done:
            raise answer
        problems: list[RowProblem]
        problems, kernel = answer
        return problems, kernel

    def _send(self, item: Any) -> None:
        assert self._process.stdin is not None
        _write(self._process.stdin, item)

    def end(self) -> str:
        """End it, whatever it does, and say how it ended; again is fine."""
        with self._lock:
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()
            self._process.terminate()
            try:
                code = self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _write(stream: IO[bytes], item: Any) -> None:
    stream.write(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
    stream.flush()


def serve() -> None:
    """What a process does: read the loader, then answer pieces until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the one that iterates decides
    logging.disable()  # that one has said what there is to say
    receive, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints must not get between the answers
    with contextlib.suppress(EOFError, BrokenPipeError):
        loader, handle, layout, count = pickle.load(receive)  # noqa: S301 - from the process that started this one
        slots = attached(handle, layout, count)
        while True:
            slot, piece = pickle.load(receive)  # noqa: S301
            try:
                answer: tuple[bool, Any] = True, (loader.load(slots[slot], piece), loader.kernel)
            except Exception as error:  # noqa: BLE001 - carried to the consumer, who raises it
                answer = False, error
            _write(answers, answer)
