"""The iterator on a file: every stage alone, decoding on any number of threads, and the whole."""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from im2rec.augment.geometry import Resize, Warp
from im2rec.bench.advice import (
    AUGMENTING,
    DECODING,
    HANDING_OVER,
    NORMALISING,
    Advice,
    IteratorFigures,
    iterator_advice,
)
from im2rec.bench.peers import take_turns
from im2rec.bench.read_speed import Reading, memory_size, read_stage
from im2rec.bench.report import IteratorReport, Peer, ReadSpeed, Stage, ThreadCountResult, shares
from im2rec.bench.samples import IteratorSample, jpeg_share, typical
from im2rec.bench.timing import (
    READ,
    REPETITIONS,
    ROUNDS,
    WORTH_TRYING,
    BenchOptions,
    Rate,
    Steps,
    TimedRun,
    gain,
    in_rounds,
    now,
    opencv_installed,
    repeated,
    timed_run,
)
from im2rec.errors import InputError, ParameterError
from im2rec.images.codec import JPEG_DECODER
from im2rec.images.engine import load_engine, load_resampler
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.parallel import Progress, available_cpus
from im2rec.pipeline.loader import WORTH_LOADING
from im2rec.pipeline.params import KEEP, PROCESSES
from im2rec.pipeline.prefetch import chosen_backend
from im2rec.runs.run import peak_memory
from im2rec.storage.files import INSPECT

_WHOLE, _ALL_OF_IT = "whole", "decoding all of it"
_LATE = 3.0  # times a turn: then batches are so slow that new memory is nothing beside them
_MARGIN = 8 / 7  # of a stored side over the crop from it: 256 for 224, as is usual
_BMP_HEAD_BYTES = 54
_PIECES = 4  # images that a thread takes at a time, at the least


def bench_iterator(
    values: Mapping[str, Any], options: BenchOptions | None = None, *, progress: Progress | None = None
) -> IteratorReport:
    """Time the ImageRecordIter of the parameters *values*, on the very file they name, stage by stage and whole.

    Records that give no image are skipped and counted. Raises what making the iterator raises, and InputError when
    no record gives an image.
    """
    options = options or BenchOptions()
    counts = options.counts
    seconds = options.each(3 * len(counts) + 6)
    steps = Steps(2 + ROUNDS * (2 * len(counts) + 2), progress)
    feed = _IteratorRun({**values, "verbose": False, "on_error": "skip"})
    reading, memory = _reading_and_memory(feed, counts[-1], seconds)  # before images are kept for the stages
    steps.next()
    with feed.opened(1) as it:
        params = it.params
        sample = IteratorSample(it, seconds / REPETITIONS)
        steps.next()
        turns = _turns(feed, sample, counts)
        steps.expect(ROUNDS * len(turns))
        found = in_rounds(turns, seconds, each=steps.next)
        decode = {count: found[DECODING, count] for count in (1, *counts)}
        full_decode = {count: found.get((_ALL_OF_IT, count), decode[count]) for count in counts}
        whole = {count: found[_WHOLE, count] for count in counts}
        read = (reading.shuffled if params.shuffle else reading.in_order).met(reading.source)
        alone = {READ: read, **{name: found[name, 1] for name in sample.stages}}
        stages = shares(alone, whole.get(1))
        kernel, declined = it.kernel, sample.declined_by_kernel
        figures = _figures(sample, it, reading, decode, stages, whole, seconds)
    advice = _advice(feed, figures, it, seconds)
    ours, peers = _beside(feed, counts[-1], options.against, 2 * seconds)
    return IteratorReport(
        input=params.path_imgrec,
        records=it.count,
        pictures=typical(sample.contents, sample.sizes),
        engine=it.engine,
        jpeg_decoder=JPEG_DECODER,
        kernel=kernel,
        declined=declined,
        cpus=available_cpus(),
        seconds_each=seconds,
        opening_s=statistics.median(feed.openings),
        first_s=statistics.median(feed.firsts[counts[-1]]),
        read=ReadSpeed(
            source=reading.source,
            in_memory_before=reading.in_memory,
            memory_in_order=reading.in_order.from_memory,
            memory_shuffled=reading.shuffled.from_memory,
            disk_in_order=reading.in_order.from_disk,
            disk_shuffled=reading.shuffled.from_disk,
        ),
        stages=stages,
        threads=[ThreadCountResult(count, whole[count], full_decode[count]) for count in counts],
        peak_memory=memory,
        left_out=feed.skipped,
        advice=advice,
        data_shape=list(params.shape),
        batch_size=params.batch_size,
        dtype=params.dtype or "float32",
        turns=ours,
        peers=peers,
    )


class _IteratorRun:
    """The iterator of *values*, opened whenever it is timed: one that waits would go on working ahead meanwhile.

    Notes how long it took to open, and then, by number of threads, to the first batch, each time; and the most records
    that were skipped.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.openings: list[float] = []
        self.firsts: dict[int, list[float]] = collections.defaultdict(list)
        self.skipped = 0
        load_resampler(values.get("engine", "auto"))  # importing it is no part of opening

    def opened(self, threads: int) -> ImageRecordIter:
        """The iterator. Raises InputError when it has no record, ParameterError when it gives no batch."""
        start = now()
        it = ImageRecordIter(**{**self.values, "preprocess_threads": threads})
        self.openings.append(now() - start)
        if it.count and len(it):
            return it
        it.close()
        if not it.count:
            raise InputError(f"{it.params.path_imgrec}: holds no images", hint=INSPECT)
        raise ParameterError(f"batch_size={it.batch_size} leaves no whole batch", hint="lower it, or leave discard out")

    def turn(self, threads: int) -> TimedRun:
        """A turn of taking batches that *threads* make."""

        def turn(seconds: float) -> list[float]:
            with self.opened(threads) as it:
                start = now()
                take_batch(it)
                self.firsts[threads].append(now() - start)
                # The memory of all batches made ahead is new until each has been handed out once.
                _warm_up(it, start + _LATE * seconds)
                # Small batches come several at a time, as each is made by a thread of its own.
                several = -(-_PIECES * threads // it.batch_size)
                rates = repeated(lambda: sum(take_batch(it) for _ in range(several)), seconds)
                self.skipped = max(self.skipped, len(it.skipped))
            return rates

        return turn


def _turns(feed: _IteratorRun, sample: IteratorSample, counts: Sequence[int]) -> dict[tuple[str, int], TimedRun]:
    """Everything that is timed in turns, by stage and number of threads; decoding beside the whole."""
    turns: dict[tuple[str, int], TimedRun]
    turns = {(name, 1): timed_run(work, sample.shots) for name, work in sample.stages.items()}
    for count in counts:
        turns[DECODING, count] = timed_run(sample.decode, sample.shots, threads=count)
        if sample.is_by_kernel:
            turns[_ALL_OF_IT, count] = timed_run(sample.decode_whole, sample.shots, threads=count)
        turns[_WHOLE, count] = feed.turn(count)
    return turns


def _reading_and_memory(feed: _IteratorRun, threads: int, seconds: float) -> tuple[Reading, int | None]:
    """Reading alone; and the most memory of this process when all batches that are made ahead are there."""
    with feed.opened(threads) as it:
        size, shuffle = it.params.batch_size, it.params.shuffle
        reading = read_stage(loader_of(it).records, batch_size=size, threads=threads, shuffle=shuffle, seconds=seconds)
        _warm_up(it, math.inf)
    return reading, peak_memory()


def _advice(feed: _IteratorRun, figures: IteratorFigures, it: ImageRecordIter, seconds: float) -> Advice:
    """The advice; where threads wait for one another, processes are timed first, in turns with them."""
    advice = iterator_advice(figures)
    params = dataclasses.replace(it.params, preprocess_threads=figures.most)
    if advice.limit != HANDING_OVER or chosen_backend(params, it.count, loader_of(it)) == PROCESSES:
        return advice
    others = _IteratorRun({**feed.values, "backend": PROCESSES})
    times = gain(feed.turn(figures.most), others.turn(figures.most), seconds)
    return iterator_advice(dataclasses.replace(figures, by_processes=times * figures.whole[figures.most]))


def _beside(
    feed: _IteratorRun, threads: int, against: Mapping[str, str], seconds: float
) -> tuple[Rate | None, list[Peer]]:
    """Ours and the peers', in turns."""
    if not against:
        return None, []
    with feed.opened(threads) as it:
        return take_turns(it, feed.turn(threads), against, seconds=seconds)


def _warm_up(it: ImageRecordIter, end: float) -> None:
    """Take as many batches as there are at a time, unless the clock is past *end*.

    With processes also as many as are made before the last of them has loaded the compiled decoder.
    """
    batches = it.params.prefetch_buffer + 2
    if it.backend == PROCESSES and loader_of(it).may_use_kernel:
        batches += -(-WORTH_LOADING * it.params.preprocess_threads // it.batch_size) + it.params.prefetch_buffer
    for _ in range(batches):
        if now() < end:
            take_batch(it)


def take_batch(it: ImageRecordIter) -> int:
    """Take the next batch, of the next epoch at the end of one; how many images were made for it.

    Filler rows count where they are images too.
    """
    try:
        batch = it.next()
    except StopIteration:
        it.reset()
        batch = it.next()
    return it.batch_size - ((batch.pad or 0) if it.params.policy == KEEP else 0)


def _figures(
    sample: IteratorSample,
    it: ImageRecordIter,
    reading: Reading,
    decode: Mapping[int, Rate],
    stages: Sequence[Stage],
    whole: Mapping[int, Rate],
    seconds: float,
) -> IteratorFigures:
    """Everything the advice is made of."""
    params, by_name = it.params, {stage.name: stage.rate.median for stage in stages}
    pixels = statistics.mean(3 * width * height for width, height in sample.sizes)
    return IteratorFigures(
        read=reading.in_threads.met(reading.source).median,
        decode=by_name[DECODING],
        augment=by_name.get(AUGMENTING, math.inf),
        normalise=by_name.get(NORMALISING, math.inf),
        decode_in_threads={count: found.median for count, found in decode.items()},
        whole={count: found.median for count, found in whole.items()},
        cpus=available_cpus(),
        spread=whole[max(whole)].spread,
        source=reading.source,
        bytes_per_image=reading.in_order.bytes_per_image,
        stored_side=round(statistics.median(min(size) for size in sample.sizes)),
        enough_side=params.resize if params.resize > 0 else round(max(params.shape[1:]) * _MARGIN),
        is_resized=any(isinstance(step, (Resize, Warp)) for shot in sample.shots for step in shot.plan.steps),
        jpegs=jpeg_share(sample.contents) > 0.5 and JPEG_DECODER == "simplejpeg",
        engine=it.engine,
        opencv_installed=opencv_installed(),
        uncompressed_bytes=round((pixels + _BMP_HEAD_BYTES) * it.count),
        memory=memory_size(),
        **_other_ways(sample, it, stages, seconds),
    )


def _other_ways(
    sample: IteratorSample, it: ImageRecordIter, stages: Sequence[Stage], seconds: float
) -> dict[str, float]:
    """The rates of other ways to do what takes long, each timed in turns with what is done now."""
    slow = {stage.name: stage.rate.median for stage in stages if stage.share >= WORTH_TRYING}
    ways: dict[str, tuple[str, TimedRun, TimedRun]] = {}
    if AUGMENTING in slow and it.engine != "opencv" and opencv_installed():
        other = timed_run(sample.augment_by(load_engine("opencv")), sample.shots)
        ways["by_opencv"] = AUGMENTING, timed_run(sample.augment, sample.shots), other
    if DECODING in slow and jpeg_share(sample.contents) > 0.5 and it.params.shape[0] == 3:
        stored = sample.uncompressed(load_engine("auto"))
        now = timed_run(sample.decode, sample.shots[: len(stored)])
        ways["uncompressed"] = DECODING, now, timed_run(sample.decode_uncompressed, stored)
    if NORMALISING in slow and it.params.dtype in (None, "float32", "float16"):
        now = timed_run(sample.normalise, sample.shots)
        ways["in_bytes"] = NORMALISING, now, timed_run(sample.normalise_bytes(), sample.shots)
    return {name: slow[stage] * gain(now, other, seconds / 4) for name, (stage, now, other) in ways.items()}
