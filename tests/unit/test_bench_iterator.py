"""The bench of real iterators: limits of staged situations, unusual files, and that their own code is what is timed."""

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
    CONTENTION,
    DECODING,
    NORMALISING,
    READING,
    TOO_FEW_THREADS,
    Advice,
    IteratorFigures,
)
from im2rec.bench.iterator import bench_iterator, take_batch
from im2rec.bench.report import IteratorReport
from im2rec.bench.samples import IteratorSample
from im2rec.bench.timing import BenchOptions, doubling_counts
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


def set_cpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(iterator_bench, "available_cpus", lambda: count)


def slow_down(monkeypatch: pytest.MonkeyPatch, clock: Clock, owner: type[Any], name: str, seconds: float) -> None:
    """Advance *clock* by *seconds* in each call of the method *name* of *owner*, in whatever thread it is made."""
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: (clock.advance(seconds), real(*given))[1])


# Staged situations: the clock of bench advances with the stage that is slow.


def test_reading_is_the_limit_if_the_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: Clock
) -> None:
    path = a_rec(tmp_path, 12, "a.rec")
    slow_down(monkeypatch, ticking, InputFile, "read_at", 0.01)
    ticking.tick = 0.01
    set_cpus(monkeypatch, 8)
    report = benched(path, 1, 2, seconds=5.0)  # in a ninth of which far more is read than was prefetched before

    assert READING == report.advice.limit
    assert "try a faster disk" in report.advice.sentence
    assert max(report.stages, key=lambda stage: stage.share).name == READING


def test_decoding_is_the_limit_if_images_are_slow_to_decode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: Clock
) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, encoded(texture(700, 700))) for n in range(3)])
    slow_down(monkeypatch, ticking, Loader, "decode", 0.01)
    set_cpus(monkeypatch, 1)
    report = benched(path, data_shape=(3, 16, 16))

    assert DECODING == report.advice.limit
    assert "a smaller size at pack time (resize=18, not 700)" in report.advice.sentence
    assert "faster disk" not in report.advice.sentence
    assert "more threads" not in report.advice.sentence
    assert max(report.stages, key=lambda stage: stage.share).name == DECODING


def test_too_few_threads_are_the_limit_if_there_are_more_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: Clock
) -> None:
    path = a_rec(tmp_path, 7, "a.rec")
    slow_down(monkeypatch, ticking, Loader, "decode", 0.01)
    set_cpus(monkeypatch, 8)
    report = benched(path)

    assert TOO_FEW_THREADS == report.advice.limit
    assert "only 1 thread for 8 CPUs" in report.advice.sentence
    assert 8 == report.advice.threads


def test_processes_are_timed_if_threads_wait_for_one_another_and_processes_are_not_used_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: Clock
) -> None:
    ticking.tick = 1.0  # so long that only one round is made
    backends: list[str] = []
    real = iterator_bench._BenchedIterator.open

    def noted(self: Any, threads: int) -> ImageRecordIter:
        backends.append(self.values.get("backend", "auto"))
        return real(self, threads)

    def contention(figures: IteratorFigures) -> Advice:
        return Advice(CONTENTION, "timed" if figures.whole_in_processes is not None else "not timed")

    monkeypatch.setattr(iterator_bench._BenchedIterator, "open", noted)
    monkeypatch.setattr(iterator_bench, "iterator_advice", contention)
    path = a_rec(tmp_path, 7, "a.rec")

    assert "timed" == benched(path, 2).advice.sentence
    assert "processes" in backends
    backends.clear()
    assert "not timed" == benched(path, 2, backend="processes").advice.sentence
    assert {"processes"} == set(backends)
    backends.clear()
    monkeypatch.setattr("im2rec.pipeline.prefetch._MIN_RECORDS_FOR_PROCESSES", 7)
    assert "not timed" == benched(path, 2).advice.sentence
    assert {"auto"} == set(backends)


# What is timed.


def test_the_stages_run_the_code_of_the_iterator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    def watch(owner: type[Any], name: str) -> None:
        real = getattr(owner, name)

        def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls[f"{owner.__name__}.{name}"] += 1
            return real(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    for owner, name in (
        (Records, "read_many"),
        (Loader, "decode"),
        (Augmenter, "plan"),
        (Augmenter, "augment"),
        (Augmenter, "write"),
        (Normalizer, "write"),
    ):
        watch(owner, name)
    report = benched(a_rec(tmp_path, 7, "a.rec"), 1)

    assert [READING, DECODING, AUGMENTING, NORMALISING] == [stage.name for stage in report.stages]
    assert 6 == len(calls)
    assert min(calls.values()) > 20
    assert calls["Normalizer.write"] == calls["Augmenter.write"]


def test_timed_decoding_does_not_overwrite_the_pixels_of_the_sample(tmp_path: Path) -> None:
    payloads = [image_payload(n, 1, encoded(texture(20, 30, seed=n))) for n in range(5)]
    with iterator(write_rec(tmp_path / "a.rec", payloads)) as it:
        sample = IteratorSample(it, 1.0)
        for each in sample.images:
            sample.decode(each)

        assert all(np.array_equal(loader_of(it).decode(each.content)[0], each.pixels) for each in sample.images)


def test_decoding_is_the_only_stage_if_the_compiled_decoder_writes_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    assert load().kernel is not None
    odd = encoded(texture(20, 30), progressive=True)
    contents = [encoded(texture(20, 30, seed=n)) for n in range(5)]
    path = write_rec(tmp_path / "a.rec", [image_payload(n, 1, content) for n, content in enumerate(contents)])
    mixed = write_rec(tmp_path / "b.rec", [image_payload(n, 1, content) for n, content in enumerate([*contents, odd])])

    report = benched(path)
    assert [READING, DECODING] == [stage.name for stage in report.stages]
    assert {} == report.declined
    assert report.kernel.startswith("numba ")
    with iterator(path, data_shape=(3, 6, 8)) as it:
        sample = IteratorSample(it, 1.0)
        for each in sample.images:
            sample.decode(each)
        assert sample._rows.any()  # the rows that are timed are really written

    report = benched(mixed)
    assert [READING, DECODING, AUGMENTING, NORMALISING] == [stage.name for stage in report.stages]
    assert {"progressive": 1} == report.declined

    monkeypatch.setenv("IM2REC_KERNEL", "0")
    report = benched(path)
    assert [READING, DECODING, AUGMENTING, NORMALISING] == [stage.name for stage in report.stages]
    assert {} == report.declined
    assert "none: IM2REC_KERNEL=0 turns it off" == report.kernel


def test_the_warm_up_lasts_until_processes_have_loaded_the_compiled_decoder(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    assert load().kernel is not None
    path = write_rec(tmp_path / "a.rec", [image_payload(n, 1, encoded(texture(20, 30, seed=n))) for n in range(30)])
    values = {"path_imgrec": str(path), "data_shape": (3, 6, 8), "batch_size": 10, "verbose": False}
    benched_iterator = iterator_bench._BenchedIterator(values)
    for backend in ("threads", "processes"):
        benched_iterator.values = {**values, "backend": backend}
        with benched_iterator.open(2) as it:
            iterator_bench._warm_up(it, math.inf)
            assert it.kernel.startswith("numba ")


def test_the_figures_of_a_report_are_consistent(tmp_path: Path) -> None:
    steps: list[tuple[int, float]] = []
    report = bench_iterator(
        {"path_imgrec": str(a_rec(tmp_path, 7, "a.rec")), "data_shape": (3, 6, 8), "batch_size": 3},
        BenchOptions((2, 1, 2), SHORT),
        progress=lambda count, share: steps.append((count, share)),
    )

    assert [1, 2] == [row.threads for row in report.by_threads]
    assert sum(stage.share for stage in report.stages) <= 1.0001
    assert all(stage.rate.low <= stage.rate.median <= stage.rate.high for stage in report.stages)
    assert all(row.full_decode and row.full_decode.repetitions >= 3 for row in report.by_threads)
    assert 0 < report.opening_s < 60
    assert 0 < report.first_s < 60
    assert 7 == report.records
    assert 0 == report.without_result
    assert "10 x 8, no JPEG" == report.image_description.rpartition(",")[0]
    # Each step as it begins, and at the end that the last one is done.
    assert [*range(1, len(steps)), len(steps) - 1] == [count for count, _ in steps]
    assert sorted(share for _, share in steps) == [share for _, share in steps]
    assert 0 < steps[0][1] < steps[-1][1] <= 1


# Unusual files.


def face_set(count: int) -> list[bytes]:
    faces = [image_payload(n, n // 3, encoded(texture(12, 12, seed=n))) for n in range(1, count)]
    return [image_payload(0, [count, count + 2], b""), *faces, image_payload(count, [1, count], b"")]


UNUSUAL: dict[str, tuple[list[bytes], dict[str, Any], int]] = {
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
    "batches of uint8": ([image_payload(n, 1, image(n)) for n in range(4)], {"dtype": "uint8", "layout": "NHWC"}, 4),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_any_file_with_an_image_gives_a_complete_report(tmp_path: Path, case: str) -> None:
    payloads, given, records = UNUSUAL[case]
    report = benched(write_rec(tmp_path / "a.rec", payloads), seconds=0.01, **given)

    assert records == report.records
    assert report.advice.sentence
    assert all(stage.rate.median > 0 for stage in report.stages)
    assert all(row.whole.median > 0 for row in report.by_threads)


def test_records_that_give_no_image_are_counted(tmp_path: Path) -> None:
    payloads = [image_payload(n, 1, b"text" if n % 2 else image(n)) for n in range(6)]
    report = benched(write_rec(tmp_path / "a.rec", payloads), seconds=0.01)

    assert 6 == report.records
    assert 3 == report.without_result


def test_files_that_give_no_image_or_no_batch_are_refused(tmp_path: Path) -> None:
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


def test_filler_rows_count_as_images_unless_they_are_zeros(tmp_path: Path) -> None:
    path = a_rec(tmp_path, 4, "a.rec")
    with iterator(path) as padded:
        assert [3, 3, 3] == [take_batch(padded) for _ in range(3)]
    with iterator(path, round_batch=False) as zeros:
        assert [3, 1, 3] == [take_batch(zeros) for _ in range(3)]


def test_every_iterator_is_closed_and_its_threads_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[ImageRecordIter] = []
    real = ImageRecordIter.__init__

    def noted(self: ImageRecordIter, *args: Any, **kwargs: Any) -> None:
        opened.append(self)
        real(self, *args, **kwargs)

    monkeypatch.setattr(ImageRecordIter, "__init__", noted)
    before = set(threading.enumerate())
    benched(a_rec(tmp_path, 7, "a.rec"), 1, 2, seconds=0.01)

    assert len(opened) >= 4
    assert not set(threading.enumerate()) - before
    assert all(it._closed for it in opened)


# Options.


def test_numbers_of_threads_double_up_to_the_cpus() -> None:
    assert [1] == doubling_counts(1)
    assert [1, 2, 4, 6] == doubling_counts(6)
    assert [1, 2, 4, 8] == doubling_counts(8)


def test_the_measurements_share_half_a_minute_unless_seconds_are_given() -> None:
    assert 2.5 == BenchOptions().seconds_each(10)
    assert 1.5 == BenchOptions().seconds_each(20)
    assert 7 == BenchOptions(seconds=7).seconds_each(20)


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


@pytest.mark.parametrize("mean", [{}, {"mean_img": "mean.bin"}])
def test_bad_records_are_skipped_from_the_first_one_on_and_a_file_without_any_is_opened_as_given(
    here: Path, monkeypatch: pytest.MonkeyPatch, mean: dict[str, str]
) -> None:
    opened: list[str] = []

    def noted(**given: Any) -> ImageRecordIter:
        opened.append(given.get("on_error", "as given"))
        return ImageRecordIter(**given)

    monkeypatch.setattr(iterator_bench, "ImageRecordIter", noted)
    good = a_rec(here, 7, "a.rec")
    assert 0 == benched(good).without_result
    assert {"as given"} == set(opened)
    opened.clear()
    assert 0 == benched(good, on_error="skip").without_result
    assert {"skip"} == set(opened)
    opened.clear()
    bad = write_rec(here / "b.rec", [image_payload(n, 1, b"text" if n == 2 else image(n)) for n in range(7)])
    assert 1 == benched(bad, **mean).without_result
    assert ("as given", {"skip"}) == (opened[0], set(opened[1:]))
