"""backend=processes: the batches and errors that threads give, and nothing left of processes that are killed."""

from __future__ import annotations

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload
from image_helpers import DEADLINE_S, POSIX, PROC, until
from iterator_helpers import CUT, TEXT, a_rec, digest, epoch, image, in_fours, payloads

from im2rec.errors import BadRecordError, Im2RecError
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.pipeline import prefetch
from im2rec.pipeline.backends import ProcessBackend

RANDOM = {"shuffle": True, "rand_crop": True, "rand_mirror": True, "random_h": 20, "data_shape": (3, 6, 6)}
ORPHAN = """
import sys
from im2rec import ImageRecordIter
it = ImageRecordIter(path_imgrec=sys.argv[1], data_shape=(3, 6, 6), batch_size=4, backend="processes", verbose=False)
next(it)
print(*[process._process.pid for process in it._prefetcher._decoding._processes], flush=True)
sys.stdin.read()
"""


def by_processes(rec: Path, **given: Any) -> ImageRecordIter:
    return in_fours(rec, **{"backend": "processes", "preprocess_threads": 2, **given})


def processes_of(it: ImageRecordIter) -> list[subprocess.Popen[bytes]]:
    processes = it._prefetcher._decoding
    assert isinstance(processes, ProcessBackend)
    return [process._process for process in processes._processes or []]


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("given", [RANDOM, {**RANDOM, "dtype": "uint8", "last_batch": "keep"}, {"layout": "NHWC"}])
def test_processes_give_the_same_batches_as_threads(tmp_path: Path, given: dict[str, Any]) -> None:
    rec = a_rec(tmp_path, 18)
    with in_fours(rec, backend="threads", **given) as it:
        expected = [digest(it), digest(it)]
    with by_processes(rec, **given) as it:
        assert expected == [digest(it), digest(it)]


def test_processes_give_label_vectors_from_lists(tmp_path: Path) -> None:
    rec, table = a_rec(tmp_path), tmp_path / "l.lst"
    table.write_text("".join(f"{100 + n}\t{n}\t{n / 2}\tp\n" for n in range(10)))

    with by_processes(rec, path_imglist=str(table)) as it:
        labels = np.concatenate([batch.label[0][: 4 - batch.pad] for batch in it if batch.label])
    assert [[n, n / 2] for n in range(10)] == labels.tolist()


def test_processes_give_the_same_errors_as_threads_in_the_same_places(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, payloads(10, bad={5: TEXT, 9: CUT}))

    def delivered(backend: str) -> list[object]:
        with in_fours(rec, backend=backend, preprocess_threads=2) as it:
            return [*epoch(it), *map(str, it.truncated)]

    expected = delivered("threads")
    assert "record 5, id 105, byte" in str(expected)
    assert "record 9, id 109, byte" in str(expected)
    assert expected == delivered("processes")


def test_any_number_of_batches_may_be_kept_unchanged(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, 60)
    with in_fours(rec, backend="threads", **RANDOM) as it:
        expected = [batch.data[0].copy() for batch in it]
    with by_processes(rec, prefetch_buffer=1, **RANDOM) as it:
        kept = [batch.data[0] for batch in it]

    assert len(kept) > 1 + 5
    assert all(np.array_equal(one, other) for one, other in zip(expected, kept, strict=True))


def test_slots_without_arrays_are_used_again(tmp_path: Path) -> None:
    with by_processes(a_rec(tmp_path, 60), prefetch_buffer=1) as it:
        places = {batch.data[0].__array_interface__["data"][0] for batch in it}
        assert len(places) <= 1 + 5


def test_an_epoch_waits_for_the_slots_of_one_that_was_left_in_its_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rec = a_rec(tmp_path, 80)
    with in_fours(rec, backend="threads") as it:
        expected = [batch.index.tolist() for batch in it]
    allowed, has_polled = threading.Semaphore(5), threading.Event()
    real = ProcessBackend._load_in_process
    monkeypatch.setattr(
        ProcessBackend, "_load_in_process", lambda *given: (allowed.acquire(timeout=DEADLINE_S), real(*given))[1]
    )

    with by_processes(rec, prefetch_buffer=4) as it, concurrent.futures.ThreadPoolExecutor(1) as pool:
        processes = it._prefetcher._decoding
        assert isinstance(processes, ProcessBackend)
        monkeypatch.setattr(processes.buffers, "_busy", lambda: has_polled.set() or bool(processes._busy_threads))
        kept = [it.next() for _ in range(5)]
        until(lambda: len(processes._busy_threads) == 2, "both threads do not begin what is not allowed yet")
        it.reset()
        rest = pool.submit(list, it)
        assert has_polled.wait(DEADLINE_S)
        allowed.release(1000)
        assert expected == [batch.index.tolist() for batch in rest.result(DEADLINE_S)]
        assert expected[:5] == [batch.index.tolist() for batch in kept]


@POSIX
def test_a_killed_process_is_an_error_with_its_records_and_later_batches_follow(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, 40)
    with in_fours(rec, backend="threads") as it:
        expected = [batch.index.tolist() for batch in it]
    with by_processes(rec, preprocess_threads=1, prefetch_buffer=1) as it:
        found = [it.next().index.tolist()]
        (process,) = processes_of(it)
        process.kill()
        process.wait(DEADLINE_S)
        with pytest.raises(
            Im2RecError, match=r"^a decoding process died \(signal 9\) while it held records \d+"
        ) as caught:
            found.extend(batch.index.tolist() for batch in iter(it.next, None))
        assert "(out of memory, or a crash in an image library)" in str(caught.value)
        while len(found) < len(expected):
            found.append(it.next().index.tolist())
    assert expected == found


@POSIX
@pytest.mark.parametrize("keep_errors", [False, True])
def test_processes_that_die_leave_slots_for_other_batches(tmp_path: Path, keep_errors: bool) -> None:
    errors: list[Im2RecError] = []
    good = 0
    with by_processes(a_rec(tmp_path, 200), prefetch_buffer=4) as it:
        for number in range(50):
            if number % 8 == 1:
                processes_of(it)[-1].kill()
            try:
                it.next()
                good += 1
            except Im2RecError as error:
                errors += [error] * keep_errors
    assert good >= 35
    assert bool(errors) == keep_errors


def test_kept_errors_of_records_do_not_keep_slots(tmp_path: Path) -> None:
    bad = dict.fromkeys(range(0, 160, 4), TEXT)
    errors = []
    with by_processes(a_rec(tmp_path, payloads(160, bad=bad)), prefetch_buffer=4) as it:
        while len(errors) < 40:
            with pytest.raises(BadRecordError) as caught:
                it.next()
            errors.append(caught.value)
    assert [*range(0, 160, 4)] == [error.record for error in errors]


def test_reused_buffers_suffice_for_any_number_of_kept_batches(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, 200)
    with in_fours(rec, backend="threads") as it:
        expected = [batch.index.tolist() for batch in it]
    with by_processes(rec, prefetch_buffer=4, reuse_buffers=True) as it:
        kept = [it.next() for _ in range(30)]
        it.reset()
        found = []
        for batch in it:
            found.append(batch.index.tolist())
            kept.append(batch)
    assert expected == found


@PROC
def test_ctrl_c_does_not_reach_processes_even_while_they_start(tmp_path: Path) -> None:
    with by_processes(a_rec(tmp_path)) as it:
        it.next()
        for process in processes_of(it):
            status = Path(f"/proc/{process.pid}/status").read_text()
            (blocked,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
            assert int(blocked, 16) >> signal.SIGINT - 1 & 1  # inherited: since before it was a Python


@POSIX
def test_processes_end_with_the_iterator(tmp_path: Path) -> None:
    it = by_processes(a_rec(tmp_path))
    it.next()
    pids = [process.pid for process in processes_of(it)]
    assert pids
    it.close()
    assert all(has_ended(pid) for pid in pids)


@POSIX
def test_no_process_and_no_shared_memory_is_left_when_the_program_is_killed(tmp_path: Path) -> None:
    root = str(Path(prefetch.__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(a_rec(tmp_path))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert pids
        maps = Path(f"/proc/{parent.pid}/maps")
        shared = re.findall("/dev/shm/.*", maps.read_text()) if maps.exists() else []
        parent.send_signal(signal.SIGKILL)
        parent.wait(DEADLINE_S)
        until(lambda: all(has_ended(pid) for pid in pids), "the processes to end")
    assert [] == [name for name in shared if Path(name).exists()]


def test_auto_takes_processes_for_many_records_and_several_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rec = a_rec(tmp_path)

    def backends() -> list[str]:
        return [in_fours(rec, preprocess_threads=threads)._prefetcher.backend for threads in (1, 2)]

    assert ["threads", "threads"] == backends()
    monkeypatch.setattr(prefetch, "_MIN_RECORDS_FOR_PROCESSES", 10)
    assert ["threads", "processes"] == backends()


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_longer_label_vectors_are_warned_of_once_with_either_backend(
    tmp_path: Path, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    rec = a_rec(tmp_path, [image_payload(number, [1.0, 2.0], image(number)) for number in range(8)])

    with in_fours(rec, backend=backend, label_width=1) as it:
        assert [1.0] * 8 == [label for batch in it for label in batch.label[0].tolist()]
    assert ["records have 2 labels and more; label_width=1 takes the first"] == caplog.messages
