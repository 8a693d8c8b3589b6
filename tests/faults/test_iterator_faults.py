"""ImageRecordIter: bad records, failing files, interrupts and forks; no thread, file or memory may be left behind."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import multiprocessing
import os
import pkgutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import bounds, image_payload
from image_helpers import DEADLINE_S, POSIX, encoded, texture, until
from iterator_helpers import (
    CUT,
    FIRST_ID,
    NO_IMAGE,
    TEXT,
    Gate,
    a_rec,
    as_raised,
    centre,
    decoders,
    digest,
    epoch,
    image,
    in_fours,
    iterator,
    left,
    open_files,
    payloads,
    place,
    send_digest,
)

from im2rec import parallel
from im2rec.errors import BadRecordError, Im2RecError, InputError
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.pipeline.buffers import BatchBuffer, MemoryPool
from im2rec.pipeline.loader import Loader

ENDS_EARLY = "the image data ends early"
INSPECT = "(run 'im2rec inspect' on it)"
THREADS = pytest.mark.parametrize("threads", [1, 8])

forks = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="no fork here that is safe")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(decoders())
    yield
    gc.collect()
    assert [] == left(set(decoders()) - before)


def run_of(first: int, last: int) -> list[int]:
    """The ids of records *first* to *last*."""
    return list(range(FIRST_ID + first, FIRST_ID + last + 1))


# Bad records

PAIRS = [image_payload(FIRST_ID + n, [n, n]) for n in range(5)]
BAD: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "text": (image_payload(105, 5.0, TEXT), {}, NO_IMAGE),
    "nothing": (image_payload(105, 5.0, b""), {}, "the image is empty: fetch it again"),
    "a cut PNG": (image_payload(105, 5.0, image(0)[:-40]), {}, "the image does not decode: image file is truncated"),
    "a cut JPEG": (image_payload(105, 5.0, CUT), {"on_truncated": "raise"}, ENDS_EARLY),
    "an image that is too small": (
        image_payload(105, 5.0, encoded(texture(8, 5), "PNG")),
        {"min_crop_size": 6, "max_crop_size": 6},
        "the image is 5 x 8 pixels, too few for max_crop_size=6",
    ),
    "no alpha": (image_payload(105, 5.0), {"data_shape": (4, 6, 8)}, NO_IMAGE),
}


@THREADS
@pytest.mark.parametrize("case", BAD)
def test_a_bad_record_is_an_error_in_place_of_its_batch(tmp_path: Path, case: str, threads: int) -> None:
    bad, params, problem = BAD[case]
    records = [*payloads(5), bad, *payloads(10)[6:]]
    if "data_shape" in params:
        alpha = encoded(texture(8, 10, 4), "PNG")
        records = [image_payload(FIRST_ID + n, n, alpha) if n != 5 else bad for n in range(10)]
    rec = a_rec(tmp_path, records)
    expected = [run_of(0, 3), as_raised(f"{place(rec, 5)}: {problem}"), run_of(8, 9)]

    with in_fours(rec, preprocess_threads=threads, **params) as it:
        assert expected == epoch(it)
        assert expected == epoch(it)  # also in the next epoch
        assert [] == it.skipped


@THREADS
def test_a_record_of_too_few_labels_is_an_error_in_place_of_its_batch(tmp_path: Path, threads: int) -> None:
    records = [image_payload(FIRST_ID + n, 1.0 if n == 5 else [1.0, 2.0], image(n)) for n in range(10)]
    rec = a_rec(tmp_path, records)
    hint = "give the labels by path_imglist; label_width=1 drops labels of other records"
    problem = f"has 1 label, label_width=2 needs more ({hint})"

    with in_fours(rec, preprocess_threads=threads) as it:
        assert [run_of(0, 3), as_raised(f"{place(rec, 5)}: {problem}"), run_of(8, 9)] == epoch(it)


def overwrite(path: Path, offset: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(value)


@THREADS
def test_damage_done_while_the_file_is_open_is_an_error_in_place_of_its_batch(tmp_path: Path, threads: int) -> None:
    rec, offset = a_rec(tmp_path), bounds(payloads(10))[5]
    message = f"{rec}, record 5, byte {offset}: expected the magic 0a 23 d7 ce, found 00 23 d7 ce {INSPECT}"

    with in_fours(rec, preprocess_threads=threads) as it:
        overwrite(rec, offset, b"\0")
        assert [run_of(0, 3), as_raised(message), run_of(8, 9)] == epoch(it)
    with in_fours(a_rec(tmp_path), preprocess_threads=threads, on_error="skip") as it:
        overwrite(rec, offset, b"\0")
        assert [run_of(0, 3), [104, 106, 107], run_of(8, 9)] == epoch(it)
        assert [message] == [str(error) for error in it.skipped]


def test_a_record_too_short_for_a_header_is_skipped_like_any_other(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, [*payloads(5), b"short", *payloads(10)[6:]])

    with in_fours(rec, on_error="skip") as it:
        assert [run_of(0, 3), [104, 106, 107], run_of(8, 9)] == epoch(it)


def test_the_attributes_of_an_error_give_path_record_id_and_offset(tmp_path: Path) -> None:
    records = payloads(10, bad={5: TEXT})
    rec = a_rec(tmp_path, records)
    with in_fours(rec) as it:
        it.next()
        with pytest.raises(BadRecordError) as caught:
            it.next()
        error = caught.value

    assert rec == error.path
    assert 5 == error.record
    assert 105 == error.id
    assert bounds(records)[5] == error.offset
    assert "not an image" == error.reason


def test_a_bad_record_of_the_second_file_has_its_number_in_that_file(tmp_path: Path) -> None:
    first, records = a_rec(tmp_path, 6, "a.rec"), payloads(10, bad={1: TEXT})
    second = a_rec(tmp_path, records, "b.rec")

    with in_fours(f"{first};{second}", batch_size=8) as it:
        assert [as_raised(f"{place(second, 1)}: {NO_IMAGE}"), run_of(2, 9)] == epoch(it)


def test_a_bad_record_in_filler_raises_no_second_error(tmp_path: Path) -> None:
    """Record 0 is filler of the last batch; its error was raised in place of the first one."""
    records = payloads(10, bad={0: TEXT})
    rec = a_rec(tmp_path, records)

    with in_fours(rec) as it:
        assert [as_raised(f"{place(rec, 0)}: {NO_IMAGE}"), run_of(4, 7), run_of(8, 9)] == epoch(it)


# Bad records with on_error=skip


def test_rows_after_a_skipped_record_move_up_and_filler_ends_the_batch(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, payloads(12, bad={5: TEXT, 6: b""}))
    with in_fours(rec, on_error="skip", last_batch="pad", dtype="uint8") as it:
        first, second, third = it
        last = next(iter(it))

    assert [run_of(0, 3), [104, 107, 104, 107], run_of(8, 11)] == [b.index.tolist() for b in (first, second, third)]
    assert [0, 2, 0] == [batch.pad for batch in (first, second, third)]
    assert [4, 7, 4, 7] == second.label[0].tolist()
    assert (second.data[0][:2] == second.data[0][2:]).all()
    assert (centre(7) == second.data[0][1]).all()
    assert run_of(0, 3) == last.index.tolist()


def test_with_last_batch_keep_the_rows_of_skipped_records_end_as_zeros(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, payloads(10, bad={5: TEXT, 9: TEXT}))
    with in_fours(rec, on_error="skip", last_batch="keep") as it:
        _, second, third = it

    assert [[104, 106, 107, 0], [108, 0, 0, 0]] == [batch.index.tolist() for batch in (second, third)]
    assert [1, 3] == [batch.pad for batch in (second, third)]
    assert [4, 6, 7, 0] == second.label[0].tolist()
    assert not second.data[0][3:].any()
    assert not third.data[0][1:].any()
    assert third.data[0][0].any()


@pytest.mark.parametrize("policy", ["pad", "keep"])
def test_a_batch_of_bad_records_is_all_filler(tmp_path: Path, policy: str) -> None:
    rec = a_rec(tmp_path, payloads(10, bad=dict.fromkeys(range(4, 8), TEXT)))
    with in_fours(rec, on_error="skip", last_batch=policy) as it:
        _, second, third = it

    assert 4 == second.pad
    assert [0, 0, 0, 0] == second.index.tolist()
    assert [0, 0, 0, 0] == second.label[0].tolist()
    assert not second.data[0].any()
    assert 2 == third.pad
    assert run_of(8, 9) == third.index[:2].tolist()


def test_a_bad_record_in_filler_is_replaced_by_a_good_one(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, payloads(10, bad={0: TEXT}))
    with in_fours(rec, on_error="skip") as it:
        first, _, third = it

    assert [101, 102, 103, 101] == first.index.tolist()
    assert 1 == first.pad
    assert [108, 109, 101, 108] == third.index.tolist()
    assert 2 == third.pad


@THREADS
def test_a_record_that_is_skipped_in_every_epoch_is_listed_once(tmp_path: Path, threads: int) -> None:
    records = payloads(10, bad={0: TEXT, 5: b""})
    rec = a_rec(tmp_path, records)
    with in_fours(rec, on_error="skip", preprocess_threads=threads) as it:
        epochs = [epoch(it), epoch(it)]

        assert [[run_of(1, 3), [104, 106, 107], run_of(8, 9)]] * 2 == epochs
        expected = [f"{place(rec, 0)}: {NO_IMAGE}", f"{place(rec, 5)}: the image is empty: fetch it again"]
        assert expected == [str(error) for error in it.skipped]
        assert ["not an image", "empty"] == [error.reason for error in it.skipped]
        assert [] == it.truncated


@pytest.mark.parametrize("policy", ["pad", "keep"])
def test_skipping_gives_the_same_with_any_number_of_threads(tmp_path: Path, policy: str) -> None:
    rec = a_rec(tmp_path, payloads(30, bad=dict.fromkeys((0, 3, 17, 18, 29), TEXT)))
    outcomes = set()
    for threads in (1, 2, 8):
        with in_fours(
            rec, on_error="skip", last_batch=policy, batch_size=13, preprocess_threads=threads, shuffle=True
        ) as it:
            outcomes.add((digest(it), digest(it), tuple(sorted(str(error) for error in it.skipped))))
    assert 1 == len(outcomes)


# Cut JPEGs


@THREADS
def test_a_cut_jpeg_is_decoded_and_listed_and_the_first_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, threads: int
) -> None:
    records = payloads(10, bad={2: CUT, 5: CUT})
    rec = a_rec(tmp_path, records)
    with caplog.at_level(logging.INFO), in_fours(rec, preprocess_threads=threads) as it:
        assert [[run_of(0, 3), run_of(4, 7), run_of(8, 9)]] * 2 == [epoch(it), epoch(it)]
        expected = [f"{place(rec, ordinal)}: {ENDS_EARLY}" for ordinal in (2, 5)]
        assert expected == [str(error) for error in it.truncated]
        assert [] == it.skipped

    warning = f"{expected[0]}: decoded as far as it goes; further ones are only counted"
    assert [("WARNING", warning)] == [(record.levelname, record.getMessage()) for record in caplog.records]


def test_with_on_truncated_raise_and_on_error_skip_a_cut_jpeg_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = payloads(10, bad={5: CUT})
    rec = a_rec(tmp_path, records)
    with caplog.at_level(logging.INFO), in_fours(rec, on_truncated="raise", on_error="skip") as it:
        assert [run_of(0, 3), [104, 106, 107], run_of(8, 9)] == epoch(it)
        problem = f"{place(rec, 5)}: {ENDS_EARLY}"
        assert [problem] == [str(error) for error in it.skipped]
        assert [] == it.truncated

    assert [f"{problem}: skipped; further ones are only counted"] == [record.getMessage() for record in caplog.records]


# Files that change, disks and threads that fail


def test_a_file_cut_while_it_is_open_is_an_error_in_place_of_every_later_batch(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, 16)
    starts = bounds(payloads(16))
    with in_fours(rec, prefetch_buffer=1) as it:
        os.truncate(rec, starts[5] + 20)
        first, second, third, fourth = epoch(it)

    assert run_of(0, 3) == first
    size = starts[6] - starts[5] - 8
    cut = f"expected {size} bytes of data and padding, found 12 (the file was cut while open)"
    assert as_raised(f"{rec}, record 5, byte {starts[5] + 8}: {cut}") == second
    gone = "expected 8 bytes of part head, found 0 (the file was cut short; make or fetch it again)"
    assert [as_raised(f"{rec}, record {n}, byte {starts[n]}: {gone}") for n in (8, 12)] == [third, fourth]


@POSIX
def test_a_file_that_is_removed_while_it_is_open_is_read_to_its_end(tmp_path: Path) -> None:
    rec = a_rec(tmp_path)
    with in_fours(rec) as it:
        rec.unlink()
        assert [[run_of(0, 3), run_of(4, 7), run_of(8, 9)]] * 2 == [epoch(it), epoch(it)]


def test_a_disk_error_is_an_error_of_the_record_that_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rec = a_rec(tmp_path)
    with in_fours(rec, preprocess_threads=1) as it:
        real = loader_of(it).records.files[0]._file.read_at

        def read_at(offset: int, size: int) -> bytes:
            if offset <= bounds(payloads(10))[5] < offset + size:
                raise InputError("cannot be read: input/output error", path=rec)
            return real(offset, size)

        with monkeypatch.context() as patch:
            patch.setattr(loader_of(it).records.files[0]._file, "read_at", read_at)
            assert run_of(0, 3) == it.next().index.tolist()
            with pytest.raises(BadRecordError) as caught:
                it.next()
        message = f"{rec}, record 5, byte {caught.value.offset}: cannot be read: input/output error"
        assert as_raised(message) == str(caught.value)
        assert run_of(8, 9) == it.next().index[:2].tolist()


def test_an_exception_in_a_thread_reaches_the_consumer_and_the_batch_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fail = Loader.decode, [True]

    def decoded(self: Loader, content: bytes, *given: Any) -> Any:
        if content == image(5) and fail:
            fail.clear()
            raise MemoryError
        return real(self, content, *given)

    monkeypatch.setattr(Loader, "decode", decoded)
    # One batch ahead: the next epoch, in which the same image would fail, is not prefetched yet.
    with in_fours(a_rec(tmp_path), prefetch_buffer=1) as it:
        assert run_of(0, 3) == it.next().index.tolist()
        with pytest.raises(MemoryError):
            it.next()
        assert run_of(4, 7) == it.next().index.tolist()


# Interrupts


class Interrupting:
    """A function that raises KeyboardInterrupt in its first call, as Ctrl-C does, before or after its work."""

    def __init__(self, real: Callable[..., Any], *, after: bool) -> None:
        self.real = real
        self.after = after
        self.armed = True

    def __get__(self, owner: object, kind: type) -> Any:
        return functools.partial(self, owner)  # it replaces a method

    def __call__(self, *args: Any, **options: Any) -> Any:
        armed, self.armed = self.armed, False
        result = self.real(*args, **options) if self.after or not armed else None
        if armed:
            raise KeyboardInterrupt
        return result


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "where",
    [
        "im2rec.parallel._finished",
        "im2rec.pipeline.buffers.MemoryPool.lease",
        "im2rec.pipeline.buffers.MemoryPool.deliver",
    ],
)
def test_an_interrupt_inside_next_loses_no_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, after: bool
) -> None:
    with in_fours(a_rec(tmp_path), on_error="skip") as it:
        expected = digest(it)
    with in_fours(a_rec(tmp_path), on_error="skip") as it:
        first = it.next()
        with monkeypatch.context() as patch:
            patch.setattr(where, Interrupting(pkgutil.resolve_name(where), after=after))
            with pytest.raises(KeyboardInterrupt):
                it.next()
        second = it.next()
        third = it.next()

        assert [run_of(0, 3), run_of(4, 7)] == [batch.index.tolist() for batch in (first, second)]
        assert expected == digest([first, second, third])
        assert 3 == sum(1 for _ in it)


# Threads and descriptors


def running(rec: Path, **params: Any) -> ImageRecordIter:
    """An iterator in the middle of an epoch, with threads at work."""
    it = in_fours(rec, **params)
    it.next()
    assert decoders()
    return it


def test_no_thread_is_left_after_close(tmp_path: Path) -> None:
    it = running(a_rec(tmp_path))
    threads = decoders()
    it.close()

    assert [] == [thread.name for thread in threads if thread.is_alive()]
    it.close()
    with pytest.raises(Im2RecError, match=r"^the iterator is closed \(make a new one\)$"):
        it.next()


def test_no_thread_is_left_of_an_iterator_that_was_dropped(tmp_path: Path) -> None:
    it = running(a_rec(tmp_path))
    threads = decoders()
    del it
    gc.collect()

    assert [] == left(threads)


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_memory_of_a_closed_iterator_does_not_wait_for_the_garbage_collector(tmp_path: Path, backend: str) -> None:
    it = in_fours(a_rec(tmp_path), backend=backend)
    it.next()
    parts = [it, it._loader, it._prefetcher, it._prefetcher._decoding, it._prefetcher.buffers]
    alive = [weakref.ref(part) for part in parts]
    gc.disable()
    try:
        it.close()
        del it, parts
        assert [None] * 5 == [part() for part in alive]
    finally:
        gc.enable()


def test_no_thread_is_left_of_an_iterator_in_a_reference_cycle(tmp_path: Path) -> None:
    it: Any = running(a_rec(tmp_path))
    it.myself = it
    threads = decoders()
    del it
    gc.collect()

    assert [] == left(threads)


def test_no_thread_is_left_after_an_error_in_the_loop(tmp_path: Path) -> None:
    rec, threads = a_rec(tmp_path), []

    def train() -> None:
        with in_fours(rec) as it:
            for _ in it:
                threads.extend(decoders())
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert threads
    assert [] == [thread.name for thread in threads if thread.is_alive()]


def test_the_loop_after_a_break_is_the_next_epoch(tmp_path: Path) -> None:
    with in_fours(a_rec(tmp_path)) as it:
        for _ in it:
            break
        assert [run_of(0, 3), run_of(4, 7), run_of(8, 9)] == epoch(it)
        assert 1 == it.epoch
        threads = decoders()
    assert [] == [thread.name for thread in threads if thread.is_alive()]


def test_no_file_descriptor_is_left(tmp_path: Path) -> None:
    rec = a_rec(tmp_path)
    running(rec).close()  # on first use, libraries open files that stay open
    before = open_files()
    for _ in range(3):
        it = running(rec)
        assert before + 1 == open_files()
        it.close()
        assert before == open_files()
    running(rec)
    gc.collect()
    until(lambda: before == open_files(), "the file of an iterator that was freed stays open")


@pytest.mark.parametrize(
    "params", [{"data_shape": (3, 0, 1)}, {"path_imglist": "no.lst"}, {"mean_img": "no/folder/mean.bin"}]
)
def test_a_constructor_that_fails_leaves_no_threads_and_files(tmp_path: Path, params: dict[str, Any]) -> None:
    rec = a_rec(tmp_path)
    before = open_files()
    with pytest.raises(Im2RecError):
        in_fours(rec, **params)

    assert before == open_files()
    assert [] == decoders()


COLLECTED_BY_A_THREAD = """
import gc, itertools, sys, threading, weakref
from iterator_helpers import in_fours
from im2rec.pipeline.loader import Loader

real, numbers, go, done = Loader.load, itertools.count(1), threading.Event(), threading.Event()

def load(self, *args):
    if next(numbers) == 4:  # prefetched: the second batch is delivered without it
        go.wait()
        gc.collect()
        done.set()
    return real(self, *args)

Loader.load = load
gc.disable()
it = in_fours(sys.argv[1], prefetch_buffer=2, preprocess_threads=1)
it.myself = it
weakref.finalize(it, lambda: print(threading.current_thread().name))
it.next()
it.next()
del it
go.set()
done.wait()
"""


def program(code: str, *words: object) -> tuple[int, str, str]:
    """Run a Python program; return its exit code, stdout and stderr."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], env=env, timeout=DEADLINE_S, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def test_an_iterator_may_be_freed_by_one_of_its_own_threads(tmp_path: Path) -> None:
    assert (0, "im2rec-decode_0\n", "") == program(COLLECTED_BY_A_THREAD, a_rec(tmp_path, 40))


ONE_BATCH = """
import sys
from iterator_helpers import in_fours
it = in_fours(sys.argv[1], shuffle=True, prefetch_buffer=int(sys.argv[2]), preprocess_threads=2)
print(next(iter(it)).pad)
"""


def test_a_program_that_takes_one_batch_ends_quietly(tmp_path: Path) -> None:
    assert (0, "0\n", "") == program(ONE_BATCH, a_rec(tmp_path, 100), 4)


AT_EXIT = """
import atexit, sys, threading
from iterator_helpers import in_fours
from im2rec.pipeline.loader import Loader

real, ending = Loader.load, threading.Event()

def load(self, buffer, piece):
    if Loader.count:
        ending.wait()
    Loader.count += 1
    return real(self, buffer, piece)

Loader.count, Loader.load = 0, load
it = in_fours(sys.argv[1], prefetch_buffer=1000, preprocess_threads=2)
next(iter(it))
threading._register_atexit(ending.set)  # called as soon as the program is at its end
atexit.register(lambda: print(Loader.count < 500))  # when all threads have ended
"""


def test_a_program_that_ends_cancels_the_batches_that_are_not_begun(tmp_path: Path) -> None:
    assert (0, "True\n", "") == program(AT_EXIT, a_rec(tmp_path, 100))


# Prefetching


def test_the_next_batches_are_made_while_the_consumer_holds_one(tmp_path: Path, gate: Gate) -> None:
    with in_fours(a_rec(tmp_path, 40), prefetch_buffer=3, preprocess_threads=1) as it:
        it.next()
        assert gate.wait_until_done(1 + 3)  # without another call of next()
        gate.shut()
        assert run_of(4, 7) == it.next().index.tolist()  # was ready: no thread can make it now
        assert 1 + 3 == gate.done
        gate.open()
        assert gate.wait_until_done(1 + 3 + 1)


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_is_made_ahead_than_the_buffer_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate, ahead: int
) -> None:
    in_use: list[int] = []  # the number of buffers that are in use after each lease
    real = MemoryPool.lease

    def count_in_use(pool: MemoryPool) -> int:
        return sum(not piece.is_free for piece in pool._blocks)

    def lease(pool: MemoryPool) -> BatchBuffer:
        buffer = real(pool)
        in_use.append(count_in_use(pool))
        return buffer

    monkeypatch.setattr(MemoryPool, "lease", lease)
    with in_fours(a_rec(tmp_path, 40), prefetch_buffer=ahead, preprocess_threads=1) as it:
        for batch in range(1, 11):
            it.next()
            assert gate.wait_until_done(batch + ahead)
            assert batch + ahead == len(in_use)  # no other batch was begun
            assert ahead + 1 == count_in_use(it._prefetcher.buffers)  # those ahead, and the one that was delivered
    assert ahead + 2 == max(in_use)  # one more is begun while the consumer still has the oldest


def test_nothing_is_prefetched_before_the_first_next(tmp_path: Path, gate: Gate) -> None:
    with in_fours(a_rec(tmp_path, 40)) as it:
        iter(it)
        it.reset()
        assert 0 == it.epoch
        assert 0 == gate.done
        assert [] == decoders()


def test_close_waits_for_the_running_piece_and_begins_no_other(tmp_path: Path, gate: Gate) -> None:
    it = in_fours(a_rec(tmp_path, 40), prefetch_buffer=5, preprocess_threads=1)
    it.next()
    assert gate.wait_until_done(6)
    gate.shut()
    it.next()
    assert gate.wait_until_begun(7)
    closing = threading.Thread(target=it.close)
    closing.start()
    gate.open()
    closing.join(DEADLINE_S)

    assert not closing.is_alive()
    assert 7 == gate.done


# Processes and other threads

# Python 3.12 warns of a fork while there are other threads, such as ours and those of numpy.
multi_threaded = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_a_fork(work: Callable[[], None]) -> int:
    """Return the exit code of a forked child that does *work*: 0 if it returns, below 0 if a signal ended the child."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    status: list[int] = []

    def ended() -> bool:
        ended_pid, how = os.waitpid(pid, os.WNOHANG)
        status.extend([how] if ended_pid else [])
        return bool(ended_pid)

    try:
        until(ended, "the child hangs")
    except BaseException:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise
    return os.waitstatus_to_exitcode(status[0])


@forks
@multi_threaded
def test_after_a_fork_the_parent_continues_and_the_child_may_make_its_own_iterator(tmp_path: Path) -> None:
    rec = a_rec(tmp_path)
    with in_fours(rec) as it:
        first = it.next()

        def fresh() -> None:
            with in_fours(rec) as another:
                assert [run_of(0, 3), run_of(4, 7), run_of(8, 9)] == epoch(another)

        assert 0 == in_a_fork(fresh)
        assert [run_of(0, 3), run_of(4, 7), run_of(8, 9)] == [
            batch.index[: 4 - batch.pad].tolist() for batch in (first, it.next(), it.next())
        ]


@forks
@multi_threaded
def test_a_fork_waits_for_threads_that_decode_and_they_for_the_fork(tmp_path: Path, gate: Gate) -> None:
    """A thread may hold a lock of a C++ library, which would then be locked for ever in the child."""
    steps: list[str] = []

    def fork() -> None:
        code = in_a_fork(lambda: None)
        steps.append(f"forked, {code}")

    with in_fours(a_rec(tmp_path, 40), prefetch_buffer=1, preprocess_threads=1) as it:
        gate.shut()
        taking = threading.Thread(target=lambda: steps.append(f"batch {it.next().index.tolist()}"))
        taking.start()
        assert gate.wait_until_begun(1)
        forking = threading.Thread(target=fork)
        forking.start()
        until(lambda: parallel._forks._forks > 0, "the fork does not wait")
        assert [] == steps
        gate.open()
        forking.join()
        taking.join()
        rest = [batch.index.tolist() for batch in it]

    assert {"forked, 0", f"batch {run_of(0, 3)}"} == {*steps}
    assert rest


@forks
@multi_threaded
@pytest.mark.parametrize("method", ["close", "reset", "next"])
def test_an_iterator_in_a_forked_child_raises_or_returns_and_never_hangs(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(parallel, "_MAX_FORK_WAIT_S", 0)  # the thread at the gate would be waited for
    with in_fours(a_rec(tmp_path, 40), prefetch_buffer=2, preprocess_threads=1) as it:
        it.next()
        assert gate.wait_until_done(3)
        gate.shut()
        it.next()
        assert gate.wait_until_begun(4)  # on a thread that a child does not have

        def use() -> None:
            gate.open()
            with contextlib.suppress(Im2RecError):
                for _ in range(4):
                    getattr(it, method)()

        assert 0 == in_a_fork(use)
        gate.open()
        assert [run_of(8, 11), run_of(12, 15)] == [it.next().index.tolist() for _ in range(2)]


def test_a_spawned_process_delivers_the_same(tmp_path: Path) -> None:
    rec, params = a_rec(tmp_path, 30), {"shuffle": True, "rand_mirror": True, "seed": 5}
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=send_digest, args=(theirs, rec, params))
    child.start()
    theirs.close()
    with iterator(rec, **params) as it:
        expected = digest(it)
    assert expected == ours.recv()
    ours.close()
    child.join()
    assert 0 == child.exitcode
    child.close()


def test_an_iterator_cannot_be_sent_to_a_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with in_fours(a_rec(tmp_path)) as it, pytest.raises(TypeError) as caught:
        context.Process(target=epoch, args=(it,)).start()
    problem = "ImageRecordIter cannot be pickled: make one in each process, or use state_dict()"
    assert str(caught.value).startswith(problem)


def test_iterators_in_several_threads_do_not_change_each_other(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, 30)

    def epochs(seed: int) -> list[str]:
        with in_fours(rec, shuffle=True, rand_crop=True, rand_mirror=True, seed=seed) as it:
            return [digest(it) for _ in range(3)]

    alone = [epochs(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert alone == list(pool.map(epochs, range(4)))
    assert 4 * 3 == len({checksum for checksums in alone for checksum in checksums})


def test_later_batches_do_not_change_earlier_ones(tmp_path: Path) -> None:
    with in_fours(a_rec(tmp_path, 40)) as it:
        batches = list(it)
        copies = [np.copy(batch.data[0]) for batch in batches]
        epoch(it)

    assert all((copy == batch.data[0]).all() for copy, batch in zip(copies, batches, strict=True))
