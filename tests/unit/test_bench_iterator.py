"""bench on real iterators: the limit of three staged situations, odd files, and that it times the feed's own code."""

from __future__ import annotations

import math
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Clock, image_payload, write_rec
from image_helpers import encoded, texture
from iterator_helpers import a_rec, image, iterator

from im2rec.augment.augmenter import Augmenter
from im2rec.augment.normalize import Normalizer
from im2rec.bench import iterator as iterator_bench
from im2rec.bench.advice import (
    AUGMENTING,
    DECODING,
    HANDING_OVER,
    NORMALISING,
    READING,
    TOO_FEW,
    Advice,
    IteratorFigures,
)
from im2rec.bench.iterator import bench_iterator, take_batch
from im2rec.bench.report import IteratorReport
from im2rec.bench.samples import IteratorSample
from im2rec.bench.timing import READ, BenchOptions, doubled
from im2rec.errors import InputError, ParameterError
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.jpeg.loading import load
from im2rec.pipeline.loader import Loader
from im2rec.pipeline.records import Records
from im2rec.storage.files import InputFile

pytestmark = pytest.mark.usefixtures("ticking")

SHORT = 0.03  # seconds for a measurement


def benched(path: Path, *threads: int, seconds: float = SHORT, **given: Any) -> IteratorReport:
    words = {"data_shape": (3, 6, 8), "batch_size": 3, **given}
    return bench_iterator({"path_imgrec": str(path), **words}, BenchOptions(threads or (1,), seconds))


def cpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(iterator_bench, "available_cpus", lambda: count)


def slow(monkeypatch: pytest.MonkeyPatch, clock: Clock, owner: type[Any], name: str, seconds: float) -> None:
    """Let each call of *owner*'s method take so long by the clock, one after the other, whatever the thread."""
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: (clock.advance(seconds), real(*given))[1])


# The three situations, by a clock that goes on with what is slow in them.


def test_behind_a_slow_disk_reading_is_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: Clock
) -> None:
    path = a_rec(tmp_path, 12, "a.rec")
    slow(monkeypatch, ticking, InputFile, "read_at", 0.01)
    ticking.tick = 0.01
    cpus(monkeypatch, 8)
    report = benched(path, 1, 2, seconds=5.0)  # in a ninth of it far more is read than was made ahead before

    assert READING == report.advice.limit
    assert "try a faster disk" in report.advice.sentence
    assert max(report.stages, key=lambda stage: stage.share).name == READ


def test_images_that_are_hard_to_decode_make_decoding_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: Clock
) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, encoded(texture(700, 700))) for n in range(3)])
    slow(monkeypatch, ticking, Loader, "decoded", 0.01)
    cpus(monkeypatch, 1)
    report = benched(path, data_shape=(3, 16, 16))

    assert DECODING == report.advice.limit
    assert "a smaller size at pack time (resize=18, not 700)" in report.advice.sentence
    assert "faster disk" not in report.advice.sentence
    assert "more threads" not in report.advice.sentence
    assert max(report.stages, key=lambda stage: stage.share).name == DECODING


def test_one_thread_where_there_are_cpus_is_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: Clock
) -> None:
    path = a_rec(tmp_path, 7, "a.rec")
    slow(monkeypatch, ticking, Loader, "decoded", 0.01)
    cpus(monkeypatch, 8)
    report = benched(path)

    assert TOO_FEW == report.advice.limit
    assert "only 1 thread for 8 CPUs" in report.advice.sentence
    assert 8 == report.advice.threads


def test_where_threads_wait_for_one_another_processes_are_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: Clock
) -> None:
    ticking.tick = 1.0  # so long that a single round has to do
    asked: list[str] = []
    real = iterator_bench._IteratorRun.opened

    def noted(self: Any, threads: int) -> ImageRecordIter:
        asked.append(self.values.get("backend", "auto"))
        return real(self, threads)

    def waiting(figures: IteratorFigures) -> Advice:
        return Advice(HANDING_OVER, f"{figures.by_processes is not None}")

    monkeypatch.setattr(iterator_bench._IteratorRun, "opened", noted)
    monkeypatch.setattr(iterator_bench, "iterator_advice", waiting)
    path = a_rec(tmp_path, 7, "a.rec")

    assert "True" == benched(path, 2).advice.sentence
    assert "processes" in asked
    asked.clear()
    assert "False" == benched(path, 2, backend="processes").advice.sentence
    assert {"processes"} == set(asked)
    asked.clear()
    monkeypatch.setattr("im2rec.pipeline.prefetch._MANY_RECORDS", 7)  # so many that auto takes processes itself
    assert "False" == benched(path, 2).advice.sentence
    assert {"auto"} == set(asked)


# What is timed.


def test_the_stages_are_the_feeds_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    def watch(owner: type[Any], name: str) -> None:
        real = getattr(owner, name)

        def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls[f"{owner.__name__}.{name}"] += 1
            return real(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    for owner, name in (
        (Records, "each"),
        (Loader, "decoded"),
        (Augmenter, "plan"),
        (Augmenter, "image"),
        (Augmenter, "write"),
        (Normalizer, "write"),
    ):
        watch(owner, name)
    report = benched(a_rec(tmp_path, 7, "a.rec"), 1)

    assert [READ, DECODING, AUGMENTING, NORMALISING] == [stage.name for stage in report.stages]
    assert 6 == len(calls)
    assert min(calls.values()) > 20
    assert calls["Normalizer.write"] == calls["Augmenter.write"]


def test_what_the_sample_keeps_outlasts_the_decoding_that_is_timed(tmp_path: Path) -> None:
    payloads = [image_payload(n, 1, encoded(texture(20, 30, seed=n))) for n in range(5)]
    with iterator(write_rec(tmp_path / "a.rec", payloads)) as it:
        sample = IteratorSample(it, 1.0)
        for shot in sample.shots:
            sample.decode(shot)

        assert all(np.array_equal(loader_of(it).decoded(shot.content)[0], shot.pixels) for shot in sample.shots)


def test_what_the_compiled_decoder_makes_has_no_stages_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    assert load().kernel is not None
    odd = encoded(texture(20, 30), progressive=True)
    contents = [encoded(texture(20, 30, seed=n)) for n in range(5)]
    path = write_rec(tmp_path / "a.rec", [image_payload(n, 1, content) for n, content in enumerate(contents)])
    mixed = write_rec(tmp_path / "b.rec", [image_payload(n, 1, content) for n, content in enumerate([*contents, odd])])

    report = benched(path)
    assert [READ, DECODING] == [stage.name for stage in report.stages]
    assert {} == report.declined
    assert report.kernel.startswith("numba ")
    with iterator(path, data_shape=(3, 6, 8)) as it:
        sample = IteratorSample(it, 1.0)
        for shot in sample.shots:
            sample.decode(shot)
        assert sample._rows.any()  # bench writes what it times

    report = benched(mixed)
    assert [READ, DECODING, AUGMENTING, NORMALISING] == [stage.name for stage in report.stages]
    assert {"progressive": 1} == report.declined

    monkeypatch.setenv("IM2REC_KERNEL", "0")
    report = benched(path)
    assert [READ, DECODING, AUGMENTING, NORMALISING] == [stage.name for stage in report.stages]
    assert {} == report.declined
    assert "none: IM2REC_KERNEL=0 turns it off" == report.kernel


def test_processes_have_loaded_the_decoder_before_they_are_timed(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    assert load().kernel is not None
    path = write_rec(tmp_path / "a.rec", [image_payload(n, 1, encoded(texture(20, 30, seed=n))) for n in range(30)])
    values = {"path_imgrec": str(path), "data_shape": (3, 6, 8), "batch_size": 10, "verbose": False}
    feed = iterator_bench._IteratorRun(values)
    for backend in ("threads", "processes"):
        feed.values = {**feed.values, "backend": backend}
        with feed.opened(2) as it:
            iterator_bench._warm_up(it, math.inf)
            assert it.kernel.startswith("numba ")


def test_figures_fit_together(tmp_path: Path) -> None:
    steps: list[tuple[int, float]] = []
    report = bench_iterator(
        {"path_imgrec": str(a_rec(tmp_path, 7, "a.rec")), "data_shape": (3, 6, 8), "batch_size": 3},
        BenchOptions((2, 1, 2), SHORT),
        progress=lambda count, share: steps.append((count, share)),
    )

    assert [1, 2] == [row.threads for row in report.threads]
    assert sum(stage.share for stage in report.stages) <= 1.0001
    assert all(stage.rate.low <= stage.rate.median <= stage.rate.high for stage in report.stages)
    assert all(row.full_decode and row.full_decode.repetitions >= 3 for row in report.threads)
    assert 0 < report.opening_s < 60
    assert 0 < report.first_s < 60
    assert (7, "10 x 8, no JPEG", 0) == (report.records, report.pictures.rpartition(",")[0], report.left_out)
    assert list(range(1, len(steps) + 1)) == [count for count, _ in steps]
    assert sorted(share for _, share in steps) == [share for _, share in steps]
    assert 0 < steps[0][1] < steps[-1][1] <= 1


# Odd files.


def face_set(count: int) -> list[bytes]:
    faces = [image_payload(n, n // 3, encoded(texture(12, 12, seed=n))) for n in range(1, count)]
    return [image_payload(0, [count, count + 2], b""), *faces, image_payload(count, [1, count], b"")]


ODD: dict[str, tuple[list[bytes], dict[str, Any], int]] = {
    "a single image": ([image_payload(0, 0, image(0))], {}, 1),
    "label vectors": ([image_payload(n, [1.0, 2.0, n], image(n)) for n in range(5)], {}, 5),
    "a face set": (face_set(9), {"data_shape": (3, 12, 12), "rand_mirror": True}, 8),
    "grey": ([image_payload(n, 1, encoded(texture(28, 28, 1, n))) for n in range(5)], {"data_shape": (1, 28, 28)}, 5),
    "grey in colour": ([image_payload(n, 1, encoded(texture(28, 28, 1, n))) for n in range(5)], {}, 5),
    "four channels": (
        [image_payload(n, 1, encoded(texture(9, 9, 4, n), "PNG")) for n in range(5)],
        {"data_shape": (4, 6, 8)},
        5,
    ),
    "larger batches than data": ([image_payload(n, 1, image(n)) for n in range(3)], {"batch_size": 100}, 3),
    "zeros at the end": ([image_payload(n, 1, image(n)) for n in range(4)], {"round_batch": False}, 4),
    "another engine": ([image_payload(n, 1, image(n)) for n in range(4)], {"engine": "pillow", "resize": 20}, 4),
    "bytes": ([image_payload(n, 1, image(n)) for n in range(4)], {"dtype": "uint8", "layout": "NHWC"}, 4),
}


@pytest.mark.parametrize("case", ODD)
def test_any_file_gives_a_complete_report(tmp_path: Path, case: str) -> None:
    payloads, given, records = ODD[case]
    report = benched(write_rec(tmp_path / "a.rec", payloads), seconds=0.01, **given)

    assert records == report.records
    assert report.advice.sentence
    assert all(stage.rate.median > 0 for stage in report.stages)
    assert all(row.whole.median > 0 for row in report.threads)


def test_records_that_give_no_image_are_counted(tmp_path: Path) -> None:
    payloads = [image_payload(n, 1, b"text" if n % 2 else image(n)) for n in range(6)]
    report = benched(write_rec(tmp_path / "a.rec", payloads), seconds=0.01)

    assert (6, 3) == (report.records, report.left_out)


def test_files_without_a_image_are_refused(tmp_path: Path) -> None:
    bad = write_rec(tmp_path / "bad.rec", [image_payload(0, 1, b"text")])
    with pytest.raises(InputError) as caught:
        benched(bad, seconds=0.01)
    assert f"{bad}: no image decodes (run 'im2rec inspect --verify' on it)" == str(caught.value)

    bare = write_rec(tmp_path / "bare.rec", [image_payload(0, [1.0, 2.0], b"")])
    with pytest.raises(InputError) as caught:
        benched(bare, seconds=0.01)
    assert f"{bare}: holds no images (run 'im2rec inspect' on it)" == str(caught.value)

    with pytest.raises(ParameterError) as refused:
        benched(a_rec(tmp_path, 2, "a.rec"), seconds=0.01, last_batch="discard")
    assert "batch_size=3 leaves no whole batch (lower it, or leave discard out)" == str(refused.value)


def test_batches_are_counted_by_the_images_that_were_made_for_them(tmp_path: Path) -> None:
    path = a_rec(tmp_path, 4, "a.rec")
    with iterator(path) as padded:
        assert [3, 3, 3] == [take_batch(padded) for _ in range(3)]
    with iterator(path, round_batch=False) as zeros:
        assert [3, 1, 3] == [take_batch(zeros) for _ in range(3)]


def test_no_iterator_is_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ImageRecordIter] = []
    real = ImageRecordIter.__init__

    def noted(self: ImageRecordIter, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        real(self, *args, **kwargs)

    monkeypatch.setattr(ImageRecordIter, "__init__", noted)
    before = set(threading.enumerate())
    benched(a_rec(tmp_path, 7, "a.rec"), 1, 2, seconds=0.01)

    assert len(made) >= 4
    assert not set(threading.enumerate()) - before
    assert all(it._closed for it in made)


# Options.


def test_threads_are_doubled_up_to_the_cpus() -> None:
    assert [1] == doubled(1)
    assert [1, 2, 4, 6] == doubled(6)
    assert [1, 2, 4, 8] == doubled(8)


def test_the_time_is_shared_unless_it_is_given() -> None:
    assert 2.5 == BenchOptions().each(10)
    assert 1.5 == BenchOptions().each(20)
    assert 7 == BenchOptions(seconds=7).each(20)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threads": (0, 2)}, "--threads 0,2 must be numbers from 1 on, joined by commas"),
        ({"threads": ()}, "--threads  must be numbers from 1 on, joined by commas"),
        ({"seconds": 0.0}, "--seconds 0 must be above 0"),
        ({"seconds": float("nan")}, "--seconds nan must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        BenchOptions(**given)
    assert message == str(caught.value)
