"""Decode backends over stand-ins for processes and pipes; tests/faults/test_decode_processes.py has the real ones."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from image_helpers import DEADLINE_S, POSIX

from im2rec.errors import BadRecordError, Im2RecError
from im2rec.parallel import ThreadsEndedError
from im2rec.pipeline import backends
from im2rec.pipeline.backends import ProcessBackend, ThreadBackend, serve
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout, SharedBuffers
from im2rec.pipeline.loader import RowProblem
from im2rec.pipeline.order import BatchRequest

LAYOUT = BatchLayout((4, 2), "uint8", 1)
AHEAD = 3
PIECE = BatchRequest([5, 6], [0, 0])
PROBLEM = RowProblem(1, BadRecordError("is damaged"), row_is_valid=False)


class StandInLoader:
    """Fills the rows of a piece with the numbers of its records."""

    reason_for_late_kernel = "no process has had 500 images"
    attempts = 0
    kernel = "none: it is not compiled yet"

    def load(self, buffer: BatchBuffer, piece: BatchRequest) -> list[RowProblem]:
        if piece.records == [13]:
            raise MemoryError("no room")
        print("by a library")  # noqa: T201 - must not come between the answers
        for row, record in enumerate(piece.records, piece.first_row):
            buffer.data[row] = record
        return [PROBLEM]

    def load_kernel_if_due(self, images: int = 0) -> None:
        self.attempts += 1
        self.kernel = f"numba {images}"


# Threads


def test_threads_write_into_memory_of_this_process() -> None:
    backend = ThreadBackend(StandInLoader(), LAYOUT, 2, AHEAD)  # type: ignore[arg-type]
    buffer = backend.buffers.lease()
    found = backend.threads.start(backend.load, buffer, [PIECE]).results()

    assert [[PROBLEM]] == found
    assert [[5, 5], [6, 6]] == buffer.data[:2].tolist()
    backend.shut_down(wait=True)


def test_threads_keep_memory_for_the_batches_ahead_and_three_more() -> None:
    backend = ThreadBackend(StandInLoader(), LAYOUT, 1, AHEAD)  # type: ignore[arg-type]
    taken = [backend.buffers.lease() for _ in range(2 * AHEAD + 6)]
    taken.clear()

    backend.buffers.lease()  # which keeps no more free memory than it should
    assert AHEAD + 3 == len(backend.buffers._blocks)
    backend.shut_down(wait=True)


def test_threads_load_the_compiled_decoder_before_they_name_it() -> None:
    backend = ThreadBackend(StandInLoader(), LAYOUT, 1, AHEAD)  # type: ignore[arg-type]

    assert "numba 0" == backend.kernel  # no image was decoded for that
    backend.shut_down(wait=True)


@pytest.mark.parametrize("kind", [ThreadBackend, ProcessBackend])
def test_shutting_down_ends_the_threads_and_cancels_what_has_not_begun(kind: Any) -> None:
    backend = kind(StandInLoader(), LAYOUT, 1, AHEAD)
    begun, may_end = threading.Event(), threading.Event()
    started = backend.threads.start(lambda *_: (begun.set(), may_end.wait(DEADLINE_S)), None, [1])
    waiting = backend.threads.start(lambda *_: None, None, [2])
    assert begun.wait(DEADLINE_S)
    backend.shut_down(wait=False)  # or the next line would not be reached
    may_end.set()
    backend.shut_down(wait=True)

    assert [(None, True)] == started.results()
    with pytest.raises(ThreadsEndedError):
        waiting.results()
    assert not any(thread.is_alive() for thread in backend.threads._threads)


# A process for each thread


class StandInProcess:
    """A decoding process that answers at once, or dies when it gets the record 13."""

    started: list[StandInProcess]
    answers: list[str]
    death: type[Exception]

    def __init__(self, loader: StandInLoader, buffers: SharedBuffers) -> None:
        self.given = loader, buffers
        self.pieces: list[tuple[int, list[int]]] = []
        self.threads_at_work = 0
        self.ends = 0
        self.started.append(self)

    def load(self, slot: int, piece: BatchRequest) -> tuple[list[RowProblem], str]:
        self.pieces.append((slot, piece.records))
        self.threads_at_work = self.given[1]._busy()
        if 13 in piece.records:
            raise self.death
        return [PROBLEM], self.answers.pop(0) if self.answers else "none: reported"

    def end(self, *, patience_s: float = 0.0) -> str:
        self.ends += 1
        return "signal 9"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[StandInProcess]:
    """The stand-ins for processes, as they are started."""
    monkeypatch.setattr(backends, "_DecodeProcess", StandInProcess)
    for name, value in (("started", []), ("answers", []), ("death", EOFError)):
        monkeypatch.setattr(StandInProcess, name, value, raising=False)
    return StandInProcess.started


@pytest.fixture
def backend(started: list[StandInProcess]) -> Any:
    assert not started
    made = ProcessBackend(StandInLoader(), LAYOUT, 2, AHEAD)  # type: ignore[arg-type]
    yield made
    made.shut_down(wait=True)


def test_a_thread_sends_all_its_pieces_to_one_process(backend: ProcessBackend, started: list[StandInProcess]) -> None:
    buffers = [backend.buffers.lease() for _ in range(2)]

    assert not started  # an iterator that is never used starts none
    assert [[PROBLEM]] * 2 == [backend.load(buffer, PIECE) for buffer in buffers]
    thread = threading.Thread(target=backend.load, args=(buffers[0], PIECE))
    thread.start()
    thread.join(DEADLINE_S)
    assert [[(0, [5, 6]), (1, [5, 6])], [(0, [5, 6])]] == [process.pieces for process in started]
    assert [(backend._loader, backend.buffers)] * 2 == [process.given for process in started]


def test_processes_have_a_slot_for_each_batch_ahead_and_five_more(backend: ProcessBackend) -> None:
    assert AHEAD + 5 == backend.buffers.count


def test_a_thread_counts_as_busy_while_its_process_works(
    backend: ProcessBackend, started: list[StandInProcess]
) -> None:
    for records in ([5], [13]):
        with contextlib.suppress(Im2RecError):
            backend.load(backend.buffers.lease(), BatchRequest(records, [0]))
        assert 1 == started[0].threads_at_work
        assert 0 == backend.buffers._busy()


@pytest.mark.parametrize("death", [EOFError, BrokenPipeError, pickle.UnpicklingError])
@pytest.mark.parametrize(
    ("records", "named"), [([13], "13"), ([11, 12, 13], "11, 12, 13"), ([11, 12, 13, 14], "11, 12, 13 and 1 more")]
)
def test_a_process_that_dies_is_an_error_with_its_records_and_is_replaced(
    backend: ProcessBackend, started: list[StandInProcess], death: type[Exception], records: list[int], named: str
) -> None:
    StandInProcess.death = death
    with pytest.raises(Im2RecError) as caught:
        backend.load(backend.buffers.lease(), BatchRequest(records, [0] * len(records)))

    reason = "(out of memory, or a crash in an image library)"
    assert f"a decoding process died (signal 9) while it held records {named} {reason}" == str(caught.value)
    assert [PROBLEM] == backend.load(backend.buffers.lease(), PIECE)
    assert [1, 0] == [process.ends for process in started]


def test_an_error_of_the_loader_is_raised_and_the_process_kept(
    backend: ProcessBackend, started: list[StandInProcess]
) -> None:
    StandInProcess.death = MemoryError
    with pytest.raises(MemoryError):
        backend.load(backend.buffers.lease(), BatchRequest([13], [0]))
    backend.load(backend.buffers.lease(), PIECE)

    assert [0] == [process.ends for process in started]


def test_the_decoder_is_named_as_processes_report_it_until_one_has_it_compiled(
    backend: ProcessBackend, started: list[StandInProcess]
) -> None:
    names = [backend.kernel]
    StandInProcess.answers += ["none: not yet", "none: soon", "numba 0.68.1", "none: not yet"]
    for _ in range(4):
        backend.load(backend.buffers.lease(), PIECE)
        names.append(backend.kernel)

    first = "none: no process has had 500 images"
    assert [first, "none: not yet", "none: soon", "numba 0.68.1", "numba 0.68.1"] == names
    assert 1 == len(started)


def test_after_shutting_down_all_processes_have_ended_and_none_is_started(
    backend: ProcessBackend, started: list[StandInProcess]
) -> None:
    buffer = backend.buffers.lease()
    backend.load(buffer, PIECE)
    backend.shut_down(wait=True)
    backend.shut_down(wait=True)

    assert [1] == [process.ends for process in started]
    assert "" == backend.buffers.handle
    raised = []
    thread = threading.Thread(target=lambda: raised.append(outcome(backend, buffer)))
    thread.start()
    thread.join(DEADLINE_S)
    assert ["the iterator is closed (make a new one)"] == raised
    assert 1 == len(started)


def outcome(backend: ProcessBackend, buffer: BatchBuffer) -> str:
    try:
        return repr(backend.load(buffer, PIECE))
    except Im2RecError as error:
        return str(error)


# The end of the pipe in this process


class StandInPopen:
    """A started program whose output was written before; *runs* until it is killed."""

    made: StandInPopen
    stdout_bytes = b""
    is_gone = False
    runs = True
    code = -9

    def __init__(self, words: list[str], **options: Any) -> None:
        self.words, self.options = words, options
        self.stdin, self.stdout = Pipe(self.is_gone), io.BytesIO(self.stdout_bytes)
        self.calls: list[str] = []
        type(self).made = self

    def kill(self) -> None:
        assert not self.stdin.closed  # closing a pipe waits for the thread that uses it
        self.calls.append("kill")
        self.runs = False

    def wait(self, timeout: float | None = None) -> int:
        if self.runs:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.words, timeout)
        return self.code


class Pipe(io.BytesIO):
    """Keeps what was sent after it was closed; *is_broken* if the other end is closed."""

    def __init__(self, is_broken: bool) -> None:
        super().__init__()
        self.is_broken = is_broken
        self.sent = b""

    def flush(self) -> None:
        if self.is_broken:
            raise BrokenPipeError
        self.sent = self.getvalue()

    def close(self) -> None:
        super().close()
        if self.is_broken:
            raise BrokenPipeError


@pytest.fixture
def popen(monkeypatch: pytest.MonkeyPatch) -> type[StandInPopen]:
    class Made(StandInPopen):
        pass

    monkeypatch.setattr(backends.subprocess, "Popen", Made)
    return Made


@pytest.fixture
def shared() -> Any:
    buffers = SharedBuffers(LAYOUT, 2, lambda: 0)
    yield buffers
    buffers.close()


def received(sent: bytes) -> list[Any]:
    stream, items = io.BytesIO(sent), []
    while stream.tell() < len(sent):
        items.append(pickle.load(stream))
    return items


def test_a_process_gets_the_loader_and_the_memory_then_pieces(popen: type[StandInPopen], shared: SharedBuffers) -> None:
    popen.stdout_bytes = pickle.dumps((True, ([PROBLEM], "numba 0.68.1")))
    process = backends._DecodeProcess("a loader", shared)  # type: ignore[arg-type]
    problems, kernel = process.load(1, PIECE)

    assert [PROBLEM.row] == [problem.row for problem in problems]
    assert "numba 0.68.1" == kernel
    (loader, handle, layout, count), piece = received(popen.made.stdin.sent)
    assert ("a loader", shared.handle, 2) == (loader, handle, count)
    assert LAYOUT.size == layout.size
    assert (1, PIECE) == piece


@POSIX
def test_a_process_inherits_the_memory_and_no_other_file(popen: type[StandInPopen], shared: SharedBuffers) -> None:
    backends._DecodeProcess("a loader", shared)  # type: ignore[arg-type]

    assert (shared.handle,) == popen.made.options["pass_fds"]


def test_on_windows_a_process_finds_the_memory_by_name(popen: type[StandInPopen], shared: SharedBuffers) -> None:
    name = "im2rec-1"
    descriptor, shared.handle = shared.handle, name
    backends._DecodeProcess("a loader", shared)  # type: ignore[arg-type]
    shared.handle = descriptor

    assert () == popen.made.options["pass_fds"]
    assert name == received(popen.made.stdin.sent)[0][1]


def test_a_process_keeps_freed_memory_unless_the_environment_says_otherwise(
    popen: type[StandInPopen], shared: SharedBuffers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "5")
    monkeypatch.setenv("OTHER", "kept")
    backends._DecodeProcess("a loader", shared)  # type: ignore[arg-type]

    environment = popen.made.options["env"]
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "OTHER")
    assert ["5", str(256 * 1024 * 1024), "kept"] == [environment[name] for name in names]


def test_an_error_in_a_process_is_raised_here(popen: type[StandInPopen], shared: SharedBuffers) -> None:
    popen.stdout_bytes = pickle.dumps((False, MemoryError("no room")))
    process = backends._DecodeProcess("a loader", shared)  # type: ignore[arg-type]

    with pytest.raises(MemoryError, match=r"^no room$"):
        process.load(0, PIECE)


@pytest.mark.parametrize(("code", "described"), [(-9, "signal 9"), (0, "exit code 0"), (1, "exit code 1")])
def test_ending_a_process_closes_its_pipes_and_describes_its_end(
    popen: type[StandInPopen], shared: SharedBuffers, code: int, described: str
) -> None:
    popen.code, popen.runs = code, code < 0
    process = backends._DecodeProcess("a loader", shared)  # type: ignore[arg-type]

    assert described == process.end()
    assert popen.made.stdin.closed
    assert popen.made.stdout.closed
    assert (["kill"] if code < 0 else []) == popen.made.calls
    assert described == process.end()


def test_a_process_that_is_gone_before_it_has_the_loader_is_reported_with_its_first_piece(
    popen: type[StandInPopen], shared: SharedBuffers
) -> None:
    popen.is_gone, popen.runs, popen.code = True, False, 1
    process = backends._DecodeProcess("a loader", shared)  # type: ignore[arg-type]

    with pytest.raises(BrokenPipeError):
        process.load(0, PIECE)
    assert "exit code 1" == process.end()


def test_a_process_whose_loader_cannot_be_pickled_is_ended(popen: type[StandInPopen], shared: SharedBuffers) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError)):
        backends._DecodeProcess(lambda: None, shared)  # type: ignore[arg-type]

    assert ["kill"] == popen.made.calls


# The end of the pipe in the process


class Stream:
    """A text stream over bytes, as sys.stdin and sys.stdout are."""

    def __init__(self, content: bytes = b"") -> None:
        self.buffer = io.BytesIO(content)
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, shared: SharedBuffers) -> Any:
    """A function that serves pieces and returns the answers; nothing at all is sent if *is_closed_at_once*."""
    signals: dict[int, Any] = {}
    levels: list[int] = []
    monkeypatch.setattr(backends.signal, "signal", signals.__setitem__)
    monkeypatch.setattr(backends.logging, "disable", lambda level=logging.CRITICAL: levels.append(level))

    def serve_all(*pieces: tuple[int, BatchRequest], is_closed_at_once: bool = False) -> list[Any]:
        assert isinstance(shared.handle, int)
        sent = b""
        if not is_closed_at_once:
            start = (StandInLoader(), os.dup(shared.handle), LAYOUT, shared.count)  # serve() closes the handle
            sent = b"".join(map(pickle.dumps, [start, *pieces]))
        answers = Stream()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", Stream(sent))
            patch.setattr(sys, "stdout", answers)
            patch.setattr(sys, "stderr", Stream())
            serve()
        assert {signal.SIGINT: signal.SIG_IGN} == signals
        assert levels
        assert levels[0] >= logging.CRITICAL
        assert "" == answers.text  # else print() would have written between the answers
        return received(answers.buffer.getvalue())

    return serve_all


@POSIX
def test_a_process_answers_every_piece_until_the_pipe_is_closed(served: Any, shared: SharedBuffers) -> None:
    taken = [shared.lease() for _ in range(2)]
    answers = served((1, PIECE), (0, BatchRequest([7], [0], first_row=3)))

    assert [True, True] == [is_done for is_done, _ in answers]
    assert [("none: it is not compiled yet", [1])] * 2 == [
        (kernel, [problem.row for problem in problems]) for _, (problems, kernel) in answers
    ]
    assert [[0, 0, 0, 7], [5, 6, 0, 0]] == [buffer.data[:, 0].tolist() for buffer in taken]
    assert np.array_equal(taken[0].data[:, 0], taken[0].data[:, 1])


@POSIX
def test_a_process_answers_with_the_error_of_a_piece_and_goes_on(served: Any) -> None:
    (is_done, error), (is_next_done, _) = served((0, BatchRequest([13], [0])), (0, PIECE))

    assert [False, True] == [is_done, is_next_done]
    assert isinstance(error, MemoryError)
    assert "no room" == str(error)


@POSIX
def test_a_process_ends_quietly_when_its_parent_is_killed_while_it_sends(
    monkeypatch: pytest.MonkeyPatch, served: Any
) -> None:
    real = pickle.dumps
    monkeypatch.setattr(pickle, "dumps", lambda item: real(item)[: -1 if isinstance(item, tuple) else None])

    assert [] == served()


@POSIX
def test_a_process_ends_when_the_pipe_is_closed_before_it_has_the_loader_or_a_piece(served: Any) -> None:
    assert [] == served()
    assert [] == served(is_closed_at_once=True)
