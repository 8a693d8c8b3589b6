"""Workers of ``im2rec pack`` that die, crash or hang: what it costs, and what the run and its report say."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from image_helpers import (
    PROC,
    READ_PIPES,
    HeldPipe,
    Ran,
    a_list_of_images,
    ended,
    held_pipe,
    im2rec,
    names_in,
    started,
    until,
    write_list,
)

from im2rec import process_pool
from im2rec.errors import ListFormatError
from im2rec.format.listfile import ListEntry
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.packing.report import PackedChunk, TooManyBadError, line_by_line

HELD = 7  # the line whose image is a pipe, from 0: a worker that reads it waits


class Held:
    """A run of ``im2rec pack`` whose worker waits for image ``HELD`` of 20, which is *content*."""

    def __init__(self, folder: Path, *words: str, key: str = "resize=16") -> None:
        self.listed, self.root = a_list_of_images(folder, 20)
        self.out = folder / "out" / "o.rec"
        self.out.parent.mkdir()
        expected = folder / "expected.rec"
        pack(self.listed, self.root, expected, PackParams(resize=16), PackOptions(workers=1))
        self.expected = expected.read_bytes(), expected.with_suffix(".idx").read_bytes()
        self.image = self.root / f"{HELD}.jpg"
        self.content = self.image.read_bytes()
        self.image.unlink()
        self._words = (key, *words)

    @contextlib.contextmanager
    def run(self) -> Iterator[tuple[Any, HeldPipe]]:
        """The process, and the pipe, which has its first reader."""
        # As the command does, before numpy is imported: forked workers read pipes as this program does.
        before = f"{READ_PIPES}; from im2rec.workers import start_fork_server; start_fork_server()"
        with held_pipe(self.image) as pipe:
            process = started("pack", self.listed, self.root, self.out, *self._words, before=before)
            try:
                pipe.wait_for_reader()
                yield process, pipe
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def report(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.with_name("o.rec.bad.jsonl").read_text().splitlines()]


def kill_reader(pipe: HeldPipe) -> None:
    """Kill the worker that reads *pipe*, and wait until the next one does."""
    dead = pipe.reader()
    os.kill(dead, signal.SIGKILL)
    until(lambda: pipe.reader() != dead, "another worker reads the image")


@PROC
@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_worker_that_is_killed_once_changes_no_byte(tmp_path: Path, workers: str) -> None:
    held = Held(tmp_path, "--workers", workers)
    with held.run() as (process, pipe):
        kill_reader(pipe)
        os.write(pipe._handle, held.content)
        pipe.release()
        ran = ended(process)

    assert (0, "") == (ran.code, ran.err)
    assert held.expected == (held.out.read_bytes(), held.out.with_suffix(".idx").read_bytes())
    assert ["o.idx", "o.rec"] == names_in(held.out.parent)


@PROC
def test_an_image_whose_worker_is_killed_twice_is_left_out_and_no_other(tmp_path: Path) -> None:
    held = Held(tmp_path, "--workers", "2", "--json")
    with held.run() as (process, pipe):
        kill_reader(pipe)
        os.kill(pipe.reader(), signal.SIGKILL)
        ran = ended(process)

    assert 3 == ran.code
    bad = {"line": HELD + 1, "id": HELD, "path": f"{HELD}.jpg", "reason": "killed its process"}
    assert [{**bad, "detail": "its process died, by SIGKILL: out of memory?"}] == held.report()
    assert (19, {"killed its process": 1}) == (json.loads(ran.out)["images"], json.loads(ran.out)["bad"])
    lines = held.listed.read_text().splitlines(keepends=True)
    without = tmp_path / "w.lst"
    without.write_text("".join(lines[:HELD] + lines[HELD + 1 :]))
    pack(without, held.root, tmp_path / "w.rec", PackParams(resize=16), PackOptions(workers=1))
    assert (tmp_path / "w.rec").read_bytes() == held.out.read_bytes()


@PROC
@pytest.mark.parametrize("key", ["resize=16", "unchanged=1"])
def test_a_worker_that_hangs_longer_than_the_bound_is_ended_and_its_image_left_out(tmp_path: Path, key: str) -> None:
    held = Held(tmp_path, "--workers", "2", "--image-timeout", "1", "--max-bad", "100%", key=key)
    with held.run() as (process, _):
        ran = ended(process)  # nobody releases the pipe

    assert 3 == ran.code
    bad = {"line": HELD + 1, "id": HELD, "path": f"{HELD}.jpg", "reason": "took too long"}
    assert {**bad, "detail": "took longer than 1 s"} in held.report()  # others may be in it on a machine that stalls


@PROC
def test_a_kill_9_of_the_command_ends_a_worker_that_hangs(tmp_path: Path) -> None:
    held = Held(tmp_path, "--workers", "2")
    with held.run() as (process, pipe):
        process.kill()
        until(pipe.reader_is_gone, "the worker is still there")


# All lines, in this process.


class Dying:
    """A worker that dies of every line."""

    def call(self, entries: list[Any], _timeout_s: float | None = None) -> tuple[bool, Any]:
        if entries:
            raise EOFError
        return True, PackedChunk(libraries={"some": "1"})

    def exitcode(self) -> int:
        return -9

    def end(self) -> None:
        pass


DIED = "its process died, by SIGKILL: out of memory?"


def test_images_that_all_kill_their_process_end_the_run_as_other_bad_ones_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "start_worker", lambda _: Dying())
    listed = write_list(tmp_path / "l.lst", [f"{number}.jpg" for number in range(150)])
    for options, line in {PackOptions(workers=2): 100, PackOptions(workers=2, max_bad="5"): 6}.items():
        with pytest.raises(TooManyBadError) as caught:
            pack(listed, tmp_path, tmp_path / "o.rec", options=options)
        bad = f"{listed}, line {line}: {line} of {line} images are bad, more than --max-bad "
        assert str(caught.value).startswith(bad)
        assert f"this one: {line - 1}.jpg: {DIED}" in str(caught.value)


def test_a_chunk_of_bad_lines_alone_names_the_libraries_of_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    # They are in the journal, and what goes on with the pack compares them.
    monkeypatch.setattr(process_pool, "start_worker", lambda _: Dying())
    pool: process_pool.ProcessPool[Any, PackedChunk] = process_pool.ProcessPool(len, str, line_by_line(None))  # type: ignore[arg-type]
    chunk = pool.call([ListEntry(1, 0, (0.0,), "a.jpg"), ListFormatError("no list line", line=2)])

    assert {"some": "1"} == chunk.libraries
    assert [(1, "a.jpg"), (2, None)] == [(bad.line, bad.path) for bad in chunk.bad]


def test_on_error_fail_ends_the_run_at_an_image_that_kills_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "start_worker", lambda _: Dying())
    listed = write_list(tmp_path / "l.lst", ["a.jpg"])
    ran = im2rec("pack", listed, tmp_path, tmp_path / "o.rec", "--on-error", "fail")

    assert Ran(1, "", f"im2rec: {listed}, line 1: a.jpg: {DIED} (--on-error skip packs the rest)\n") == ran


def refuse(_work: Callable[[Any], Any]) -> None:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_system_that_starts_no_process_is_one_line_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setattr(process_pool, "start_worker", refuse)
    listed, root = a_list_of_images(tmp_path)
    ran = im2rec("pack", listed, root, tmp_path / "o.rec", "--workers", workers)

    problem = f"no worker process can be started: {os.strerror(errno.EAGAIN).lower()}"
    assert Ran(1, "", f"im2rec: {problem} (end other programs, or try fewer workers)\n") == ran


class Local(Dying):
    """A worker that works in this process, and dies of the line *deadly*."""

    def __init__(self, work: Callable[[Any], Any], deadly: int) -> None:
        self._work = work
        self._deadly = deadly

    def call(self, entries: list[Any], _timeout_s: float | None = None) -> tuple[bool, Any]:
        if any(entry.line == self._deadly for entry in entries):
            raise EOFError
        return True, self._work(entries)


def test_what_is_packed_stays_when_no_process_can_be_started_and_the_same_words_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, root = a_list_of_images(tmp_path, 20)
    pack(listed, root, tmp_path / "expected.rec", PackParams(resize=8), PackOptions(workers=1))
    words = ("pack", listed, root, tmp_path / "o.rec", "resize=8", "--workers", "1")
    began: list[Local] = []

    def start_one(work: Callable[[Any], Any]) -> Local:
        if began:
            refuse(work)
        began.append(Local(work, 15))
        return began[0]

    monkeypatch.setattr(process_pool, "start_worker", start_one)
    ran = im2rec(*words)
    assert 1 == ran.code
    assert ran.err.startswith("im2rec: no worker process can be started: ")

    monkeypatch.setattr(process_pool, "start_worker", lambda work: Local(work, 0))
    code, out, _ = im2rec(*words, "--json")
    assert 0 == code
    assert 1 < json.loads(out)["resumed_line"] <= 15
    assert (tmp_path / "expected.rec").read_bytes() == (tmp_path / "o.rec").read_bytes()


def test_an_image_timeout_out_of_range_is_wrong_usage(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    for word in ("0", "-1", "nan", "inf"):
        ran = im2rec("pack", listed, root, tmp_path / "o.rec", "--image-timeout", word)
        expected = f"--image-timeout={word} must be more than 0 and at most 86,400 seconds"
        assert (2, f"im2rec: {expected}\n") == (ran.code, ran.err)
