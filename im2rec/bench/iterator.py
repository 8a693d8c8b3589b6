"""A bench of the iterator: every stage alone, full decoding and the whole with any number of threads."""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from im2rec.augment.geometry import Resize, Warp
from im2rec.bench.advice import (
    AUGMENTING,
    CONTENTION,
    DECODING,
    NORMALISING,
    READING,
    Advice,
    IteratorFigures,
    iterator_advice,
)
from im2rec.bench.peers import ROUNDS_OF_PEERS, run_with_peers
from im2rec.bench.read_speed import ReadMeasurement, measure_reading, usable_memory
from im2rec.bench.report import IteratorReport, Peer, ReadSpeed, Stage, ThreadCountResult, stages_with_shares
from im2rec.bench.samples import IteratorSample, describe_images, jpeg_share
from im2rec.bench.timing import (
    MIN_SHARE,
    REPETITIONS,
    ROUNDS,
    BenchOptions,
    ProgressSteps,
    Rate,
    TimedRun,
    has_opencv,
    in_rounds,
    now,
    speedup,
    timed_repetitions,
    timed_run,
)
from im2rec.errors import BadRecordError, ParameterError, counted
from im2rec.images.codec import JPEG_DECODER
from im2rec.images.engine import load_engine, load_resampler
from im2rec.iterators.image_record import ImageRecordIter, loader_of, lost_count
from im2rec.parallel import available_cpus
from im2rec.pipeline.loader import MIN_IMAGES_TO_LOAD
from im2rec.pipeline.params import EVEN, KEEP, PROCESSES, SKIP
from im2rec.pipeline.prefetch import choose_backend
from im2rec.pipeline.records import DamageCounts
from im2rec.progress import Progress
from im2rec.runs.run import damaged_records, peak_memory

_WHOLE, _FULL_DECODE = "whole", "decoding in full"
_MAX_WARM_UP = 3.0  # times a run: batches that take longer are so slow that new memory makes no difference
_CROP_MARGIN = 8 / 7  # of a stored side over the crop that is taken from it: 256 for 224 is the usual choice
_BMP_HEADER_BYTES = 54
_MIN_IMAGES_PER_THREAD = 4  # in one timed step
T = TypeVar("T")


def bench_iterator(
    values: Mapping[str, Any], options: BenchOptions | None = None, *, progress: Progress | None = None
) -> IteratorReport:
    """Time the ImageRecordIter with the parameters *values* on the file that they name, stage by stage and whole.

    The iterator is opened as *values* say, which is what opening takes. From the first record that gives no image on,
    such records are skipped and counted. Raises the errors of ImageRecordIter, and InputError if no record gives an
    image.
    """
    options = options or BenchOptions()
    counts = options.thread_counts
    seconds = options.seconds_each(3 * len(counts) + 6)
    for_peers = ROUNDS_OF_PEERS * (1 + len(options.against)) if options.against else 0
    steps = ProgressSteps(2 + ROUNDS * (2 * len(counts) + 2) + for_peers, progress)
    benched = _BenchedIterator({**values, "verbose": False})
    # First, while no sample adds to the memory of this process.
    reading, memory = benched.with_bad_records(lambda: _measure_reading_and_memory(benched, counts[-1], seconds))
    steps.advance()
    with benched.open(1) as it:
        params = it.params
        sample = IteratorSample(it, seconds / REPETITIONS)
        steps.advance()
        runs = _timed_runs(benched, sample, counts)
        steps.set_remaining(ROUNDS * len(runs) + for_peers)
        rates = in_rounds(
            runs, seconds, before_each=lambda run: steps.name(_timed_name(*run)), after_each=steps.advance
        )
        decode = {count: rates[DECODING, count] for count in (1, *counts)}
        full_decode = {count: rates.get((_FULL_DECODE, count), decode[count]) for count in counts}
        whole = {count: rates[_WHOLE, count] for count in counts}
        read = (reading.shuffled if params.shuffle else reading.in_order).rate_from(reading.source)
        alone = {READING: read, **{name: rates[name, 1] for name in sample.stages}}
        stages = stages_with_shares(alone, whole.get(1))
        kernel, declined = it.kernel, sample.declined_by_kernel
        figures = _figures(sample, it, reading, decode, stages, whole, seconds)
    advice = _advice(benched, figures, it, seconds)
    own_rate, peers = _measure_peers(benched, counts[-1], options.against, 2 * seconds, steps)
    steps.finish()
    return IteratorReport(
        input=params.path_imgrec,
        records=it.count,
        image_description=describe_images(sample.contents, sample.sizes),
        engine=it.engine,
        jpeg_decoder=JPEG_DECODER,
        kernel=kernel,
        declined=declined,
        cpus=available_cpus(),
        seconds_each=seconds,
        opening_s=statistics.median(benched.opening_times),
        first_s=statistics.median(benched.first_batch_times[counts[-1]]),
        read=ReadSpeed(
            source=reading.source,
            in_memory_before=reading.cached_share,
            memory_in_order=reading.in_order.memory_bytes_per_s,
            memory_shuffled=reading.shuffled.memory_bytes_per_s,
            disk_in_order=reading.in_order.disk_bytes_per_s,
            disk_shuffled=reading.shuffled.disk_bytes_per_s,
        ),
        stages=stages,
        by_threads=[ThreadCountResult(count, whole[count], full_decode[count]) for count in counts],
        peak_memory=memory,
        without_result=benched.skipped,
        damaged_records=benched.damaged_records,
        **benched.damage._asdict(),
        advice=advice,
        data_shape=list(params.shape),
        batch_size=params.batch_size,
        dtype=params.dtype or "float32",
        turns=own_rate,
        peers=peers,
    )


class _BenchedIterator:
    """Opens the iterator of *values* for each run: one that stayed open would prefetch while other runs are timed.

    It is opened with ``on_error`` as given until a record gives no image, and with ``on_error=skip`` from then on,
    which reads all part heads of a file. *opening_times* holds the seconds that each opening as given took,
    *first_batch_times* those from there to the first batch, by number of threads, and *skipped* the most records that
    were skipped in one run. Records that are lost are not among them, but in *damage*; *damaged_records* turned out to
    be damaged.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._skip: dict[str, str] = {}
        self.opening_times: list[float] = []
        self.first_batch_times: dict[int, list[float]] = collections.defaultdict(list)
        self.skipped = self.damaged_records = 0
        self.damage = DamageCounts(0, 0, None, 0)
        load_resampler(values.get("engine", "auto"))  # the time to import it is not a part of opening

    def open(self, threads: int) -> ImageRecordIter:
        """Open the iterator. Raises ParameterError if it gives no batches."""
        try:
            start = now()
            it = ImageRecordIter(**{**self.values, **self._skip, "preprocess_threads": threads})
            if not self._skip or not self.opening_times:
                self.opening_times.append(now() - start)
        except BadRecordError:  # the mean image is made as it is opened
            self._begin_to_skip()
            return self.open(threads)
        if len(it):
            return it
        it.close()
        raise ParameterError(f"batch_size={it.batch_size} leaves no whole batch", hint="lower it, or leave discard out")

    def run(self, threads: int) -> TimedRun:
        """Return a timed run that takes batches from an iterator with *threads*."""
        return lambda seconds: self.with_bad_records(lambda: self._run(threads, seconds))

    def with_bad_records(self, work: Callable[[], T]) -> T:
        """Return what *work* returns, which takes batches; if a record gives no image, at the second attempt."""
        try:
            return work()
        except BadRecordError:
            self._begin_to_skip()
            return work()

    def _begin_to_skip(self) -> None:
        """Open with ``on_error=skip`` from now on. Raises the error that is being handled if that is so already."""
        if self._skip or self.values.get("on_error") == SKIP:
            raise  # noqa: PLE0704 - called while an error is handled
        self._skip = {"on_error": SKIP}

    def _run(self, threads: int, seconds: float) -> list[float]:
        with self.open(threads) as it:
            start = now()
            take_batch(it)
            self.first_batch_times[threads].append(now() - start)
            # The memory of a prefetched batch is new, and slow, until the batch has been delivered once.
            _warm_up(it, start + _MAX_WARM_UP * seconds)
            # Threads make small batches at the same time, one each: so several are delivered at once.
            batches = -(-_MIN_IMAGES_PER_THREAD * threads // it.batch_size)
            rates = timed_repetitions(lambda: sum(take_batch(it) for _ in range(batches)), seconds)
            self.skipped = max(self.skipped, len(it.skipped) - lost_count(it))
            self.damaged_records = max(self.damaged_records, damaged_records(it))
            self.damage = loader_of(it).records.damage()
        return rates


def _timed_runs(
    benched: _BenchedIterator, sample: IteratorSample, counts: Sequence[int]
) -> dict[tuple[str, int], TimedRun]:
    """Return all that is timed in rounds, by stage and number of threads: decoding next to the whole."""
    runs: dict[tuple[str, int], TimedRun]
    runs = {(name, 1): timed_run(work, sample.images) for name, work in sample.stages.items()}
    for count in counts:
        runs[DECODING, count] = timed_run(sample.decode, sample.images, threads=count)
        if sample.is_kernel_used:
            runs[_FULL_DECODE, count] = timed_run(sample.decode_fully, sample.images, threads=count)
        runs[_WHOLE, count] = benched.run(count)
    return runs


def _timed_name(name: str, threads: int) -> str:
    return f"{'iterating' if name == _WHOLE else name}, {counted(threads, 'thread')}"


def _measure_reading_and_memory(
    benched: _BenchedIterator, threads: int, seconds: float
) -> tuple[ReadMeasurement, int | None]:
    """Return the speed of reading, and the peak memory of this process in bytes once all prefetched batches exist."""
    with benched.open(threads) as it:
        size, shuffle = it.params.batch_size, it.params.shuffle
        records = loader_of(it).records
        reading = measure_reading(records, batch_size=size, threads=threads, shuffle=shuffle, seconds=seconds)
        _warm_up(it, math.inf)
    return reading, peak_memory()


def _advice(benched: _BenchedIterator, figures: IteratorFigures, it: ImageRecordIter, seconds: float) -> Advice:
    """Return the advice. If threads wait for one another, processes are timed against them first."""
    advice = iterator_advice(figures)
    params = dataclasses.replace(it.params, preprocess_threads=figures.max_threads)
    if advice.limit != CONTENTION or choose_backend(params, it.count, loader_of(it)) == PROCESSES:
        return advice
    with_processes = _BenchedIterator({**benched.values, "backend": PROCESSES})
    times = speedup(benched.run(figures.max_threads), with_processes.run(figures.max_threads), seconds)
    rate = times * figures.whole[figures.max_threads]
    return iterator_advice(dataclasses.replace(figures, whole_in_processes=rate))


def _measure_peers(
    benched: _BenchedIterator, threads: int, against: Mapping[str, str], seconds: float, steps: ProgressSteps
) -> tuple[Rate | None, list[Peer]]:
    """Return our rate and the peers, measured in turns; None and no peers if *against* names none."""
    if not against:
        return None, []
    with benched.open(threads) as it:
        return run_with_peers(it, benched.run(threads), against, seconds=seconds, steps=steps)


def _warm_up(it: ImageRecordIter, end: float) -> None:
    """Take as many batches as exist at a time, unless the clock is past *end*.

    With processes also as many as are made before the last of them has loaded the compiled decoder.
    """
    batches = it.params.prefetch_buffer + 2
    if it.backend == PROCESSES and loader_of(it).can_use_kernel:
        batches += -(-MIN_IMAGES_TO_LOAD * it.params.preprocess_threads // it.batch_size) + it.params.prefetch_buffer
    for _ in range(batches):
        if now() < end:
            take_batch(it)


def take_batch(it: ImageRecordIter) -> int:
    """Take the next batch, starting the next epoch when one ends, and return how many images were made for it.

    Padding rows count if they are images too, and not if they are zeros.
    """
    try:
        batch = it.next()
    except StopIteration:
        it.reset()
        batch = it.next()
    return it.batch_size - ((batch.pad or 0) if it.params.policy in (KEEP, EVEN) else 0)


def _figures(
    sample: IteratorSample,
    it: ImageRecordIter,
    reading: ReadMeasurement,
    decode: Mapping[int, Rate],
    stages: Sequence[Stage],
    whole: Mapping[int, Rate],
    seconds: float,
) -> IteratorFigures:
    params, rate_of = it.params, {stage.name: stage.rate.median for stage in stages}
    pixel_bytes = statistics.mean(3 * width * height for width, height in sample.sizes)
    return IteratorFigures(
        read=reading.in_threads.rate_from(reading.source).median,
        decode=rate_of[DECODING],
        augment=rate_of.get(AUGMENTING, math.inf),
        normalise=rate_of.get(NORMALISING, math.inf),
        decode_in_threads={count: rate.median for count, rate in decode.items()},
        whole={count: rate.median for count, rate in whole.items()},
        cpus=available_cpus(),
        spread=whole[max(whole)].spread,
        source=reading.source,
        bytes_per_image=reading.in_order.bytes_per_image,
        stored_side=round(statistics.median(min(size) for size in sample.sizes)),
        needed_side=params.resize if params.resize > 0 else round(max(params.shape[1:]) * _CROP_MARGIN),
        is_resized=any(isinstance(step, (Resize, Warp)) for image in sample.images for step in image.plan.steps),
        decode_releases_gil=jpeg_share(sample.contents) > 0.5 and JPEG_DECODER == "simplejpeg",
        engine=it.engine,
        has_opencv=has_opencv(),
        uncompressed_bytes=round((pixel_bytes + _BMP_HEADER_BYTES) * it.count),
        memory=usable_memory(),
        **_alternative_rates(sample, it, stages, seconds),
    )


def _alternative_rates(
    sample: IteratorSample, it: ImageRecordIter, stages: Sequence[Stage], seconds: float
) -> dict[str, float]:
    """Return the rates of alternatives to the slow stages, each timed in rounds with the stage as it is now.

    The keys are fields of IteratorFigures.
    """
    slow = {stage.name: stage.rate.median for stage in stages if stage.share >= MIN_SHARE}
    alternatives: dict[str, tuple[str, TimedRun, TimedRun]] = {}
    if AUGMENTING in slow and it.engine != "opencv" and has_opencv():
        with_opencv = timed_run(sample.augment_with(load_engine("opencv")), sample.images)
        alternatives["augment_with_opencv"] = AUGMENTING, timed_run(sample.augment, sample.images), with_opencv
    if DECODING in slow and jpeg_share(sample.contents) > 0.5 and it.params.shape[0] == 3:
        stored = sample.as_bmp(load_engine("auto"))
        current = timed_run(sample.decode, sample.images[: len(stored)])
        alternatives["decode_uncompressed"] = DECODING, current, timed_run(sample.decode_bmp, stored)
    if NORMALISING in slow and it.params.dtype in (None, "float32", "float16"):
        current = timed_run(sample.normalise, sample.images)
        to_uint8 = timed_run(sample.normalise_to_uint8(), sample.images)
        alternatives["normalise_to_uint8"] = NORMALISING, current, to_uint8
    return {
        name: slow[stage] * speedup(current, alternative, seconds / 4)
        for name, (stage, current, alternative) in alternatives.items()
    }
