"""A bench of packing: every stage alone in one process, and the whole with any number of workers."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from im2rec.bench.advice import DECODING, ENCODING, READING, RESIZING, WRITING, PackFigures, pack_advice
from im2rec.bench.read_speed import DISK, FileSpan, PageCache, ReadRates, read_twice, source_of
from im2rec.bench.report import PackReport, ReadSpeed, Stage, ThreadCountResult, stages_with_shares
from im2rec.bench.samples import PackSample, describe_images, jpeg_share, sample_list
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
from im2rec.errors import counted
from im2rec.format.listfile import ListEntry, list_line
from im2rec.images.codec import JPEG_DECODER
from im2rec.images.engine import load_engine
from im2rec.packing.list_reader import Entry
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.parallel import available_cpus
from im2rec.progress import Progress
from im2rec.storage.files import PathLike, check_folder, file_name
from im2rec.storage.writer import RecordWriter

_WARM_UP = 0.3  # of a run: workers start, and pack adapts the size of the chunks that it gives them
_WHOLE_FILE = 1 << 40  # bytes: no file is longer


def bench_pack(
    list_path: PathLike,
    root: PathLike,
    params: PackParams | None = None,
    options: BenchOptions | None = None,
    *,
    progress: Progress | None = None,
) -> PackReport:
    """Time the packing of the images of *list_path* below *root*, stage by stage and whole.

    The output goes to a temporary folder. Raises InputError if the list or the root cannot be used, or if no image
    can be packed.
    """
    params, options = params or PackParams(), options or BenchOptions()
    counts = options.thread_counts
    steps = ProgressSteps(2 + ROUNDS * (len(counts) + (1 if params.unchanged else 4)), progress)
    seconds = options.seconds_each(len(counts) + (3 if params.unchanged else 6))
    check_folder(root)
    start = now()
    listed = sample_list(list_path, params, root)
    opening_s = now() - start
    with PageCache() as cache, tempfile.TemporaryDirectory(prefix="im2rec-bench-") as folder:
        cached_share = _cached_share(cache, listed.entries, Path(root))
        sample = PackSample(listed.entries, Path(root), params, seconds / REPETITIONS)
        steps.advance()
        groups = [[image] for image in sample.images]
        read_rates = read_twice(sample.read, groups, sample.spans, cache, seconds=seconds)
        steps.advance()
        source = source_of(read_rates, cached_share, 0)
        read = read_rates.rate_from(source)
        good = [
            entry for entry in listed.entries if isinstance(entry, ListEntry) and entry.line not in sample.bad_lines
        ]
        spans = (
            [FileSpan(Path(root, file_name(entry.path)), 0, _WHOLE_FILE) for entry in good] if source == DISK else []
        )
        runs = _stage_runs(sample, Path(folder))
        pack_runs = {}
        for count in counts:
            expected_rate = count / (1 / read.median + sample.seconds_each)
            pack_runs[count] = _PackRun(good, Path(root), Path(folder), params, count, expected_rate)
            runs[str(count)] = _after_eviction(cache, spans, pack_runs[count].run)
        rates = in_rounds(
            runs, seconds, before_each=lambda name: steps.name(_timed_name(name)), after_each=steps.advance
        )
        whole = {count: rates[str(count)] for count in counts}
        alone = {READING: read, **{name: rates[name] for name in runs if not name.isdigit()}}
        stages = stages_with_shares(alone, whole.get(1))
        figures = _figures(sample, source, stages, whole, seconds)
        steps.finish()
    return PackReport(
        input=str(list_path),
        root=str(root),
        records=listed.line_count,
        image_description=describe_images(sample.contents, sample.sizes),
        engine="" if sample.engine is None else sample.engine.name,
        jpeg_decoder=JPEG_DECODER,
        cpus=available_cpus(),
        seconds_each=seconds,
        opening_s=opening_s,
        first_s=statistics.median(pack_runs[counts[-1]].first_image_times),
        read=_read_speed(read_rates, source, cached_share),
        stages=stages,
        by_threads=[ThreadCountResult(count, whole[count], None) for count in counts],
        peak_memory=None,  # most of it is that of the workers, which do not report theirs
        without_result=sum(sample.bad.values()),
        advice=pack_advice(figures),
    )


def _timed_name(name: str) -> str:
    return f"packing, {counted(int(name), 'worker')}" if name.isdigit() else name


def _read_speed(rates: ReadRates, source: str, cached_share: float | None) -> ReadSpeed:
    """Return what the report shows of reading; files of a list are read in its order, so nothing is shuffled."""
    return ReadSpeed(
        source=source,
        in_memory_before=cached_share,
        memory_in_order=rates.memory_bytes_per_s,
        memory_shuffled=None,
        disk_in_order=rates.disk_bytes_per_s,
        disk_shuffled=None,
    )


def _cached_share(cache: PageCache, entries: Sequence[Entry], root: Path) -> float | None:
    """Return the share of the listed files whose first byte is cached; None if unknown."""
    paths = [root / file_name(entry.path) for entry in entries if isinstance(entry, ListEntry)]
    return cache.cached_share([FileSpan(path, 0, 1) for path in paths[:: len(paths) // 32 + 1] if path.is_file()])


def _stage_runs(sample: PackSample, folder: Path) -> dict[str, TimedRun]:
    """Return the timed runs of the stages after reading; writing includes bringing the files to the disk."""
    frames = sample.frames()

    def write_all() -> int:
        with RecordWriter(folder / "alone.rec", force=True) as writer:
            for key, frame in frames:
                writer.write_frame(frame, key=key)
        return len(frames)

    work = {DECODING: sample.decode, RESIZING: sample.resize, ENCODING: sample.encode} if sample.engine else {}
    runs = {name: timed_run(stage, sample.images) for name, stage in work.items()}
    return {**runs, WRITING: lambda seconds: timed_repetitions(write_all, seconds)}


def _after_eviction(cache: PageCache, spans: Sequence[FileSpan], run: TimedRun) -> TimedRun:
    """Return *run* with *spans* evicted before each call, so that every call reads them from the disk."""

    def from_disk(seconds: float) -> list[float]:
        cache.evict([span for span in spans if span.path.is_file()])
        return run(seconds)

    return from_disk if spans else run


class _PackRun:
    """Packs *entries*, repeated as often as needed, with *workers*; *expected_rate* is the first guess at the rate.

    *first_image_times* holds the seconds that each run took until its first images were packed.
    """

    def __init__(
        self,
        entries: Sequence[ListEntry],
        root: Path,
        folder: Path,
        params: PackParams,
        workers: int,
        expected_rate: float,
    ) -> None:
        self._entries, self._root, self._folder = entries, root, folder
        self._params = dataclasses.replace(params, nsplit=1, part=0, label_width=None)
        self._options = PackOptions(workers=workers, force=True, max_bad="100%")
        self._expected_rate = expected_rate
        self.first_image_times: list[float] = []

    def run(self, seconds: float) -> list[float]:
        """Pack as many images as should take *seconds* after the warm-up, and return the rates."""
        steps: list[tuple[float, int]] = []
        list_path = self._write_list(1 + round(self._expected_rate * (1 + _WARM_UP) * seconds))
        start = now()
        pack(
            list_path,
            self._root,
            self._folder / "whole.rec",
            self._params,
            self._options,
            progress=lambda images, _share: steps.append((now(), images)),
        )
        self.first_image_times.append(steps[0][0] - start)
        rates = rates_of_steps(start, steps, _WARM_UP * seconds)
        self._expected_rate = statistics.median(rates)
        return rates

    def _write_list(self, lines: int) -> Path:
        path = self._folder / "repeated.lst"
        with path.open("w", encoding="utf-8", errors="surrogateescape") as stream:
            for entry in itertools.islice(itertools.cycle(self._entries), lines):
                stream.write(list_line(entry.id, entry.labels, entry.path))
        return path


def rates_of_steps(start: float, steps: Sequence[tuple[float, int]], warm_up_s: float) -> list[float]:
    """Return rates from *steps* of (time, images packed so far), without the first *warm_up_s* seconds of them.

    A run that ends before its warm-up gives one rate, that of all of it since *start*.
    """
    steady = [step for step in steps if step[0] >= steps[0][0] + warm_up_s]
    if len(steady) < 2:
        return [steps[-1][1] / (steps[-1][0] - start)]
    borders = steady[:: max(1, (len(steady) - 1) // (REPETITIONS // ROUNDS))]
    return [(after[1] - before[1]) / (after[0] - before[0]) for before, after in itertools.pairwise(borders)]


def _figures(
    sample: PackSample, source: str, stages: Sequence[Stage], whole: Mapping[int, Rate], seconds: float
) -> PackFigures:
    rate_of = {stage.name: stage.rate.median for stage in stages}
    return PackFigures(
        read=rate_of[READING],
        write=rate_of[WRITING],
        decode=rate_of.get(DECODING),
        resize=rate_of.get(RESIZING),
        encode=rate_of.get(ENCODING),
        whole={count: rate.median for count, rate in whole.items()},
        cpus=available_cpus(),
        spread=whole[max(whole)].spread,
        source=source,
        has_opencv=has_opencv(),
        engine="" if sample.engine is None else sample.engine.name,
        **_alternative_rates(sample, stages, seconds),
    )


def _alternative_rates(sample: PackSample, stages: Sequence[Stage], seconds: float) -> dict[str, float]:
    """Return the rates of alternatives to the slow stages, each timed in rounds with the stage as it is now.

    The keys are fields of PackFigures.
    """
    rate_of = {stage.name: stage.rate.median for stage in stages}
    slow = {stage.name for stage in stages if stage.share >= MIN_SHARE}
    rates: dict[str, float] = {}
    if slow & {RESIZING, ENCODING} and sample.engine and sample.engine.name != "opencv" and has_opencv():
        engines = sample.engine, load_engine("opencv")
        current, alternative = (timed_run(sample.resize_and_encode_with(engine), sample.images) for engine in engines)
        both = 1 / (1 / rate_of[RESIZING] + 1 / rate_of[ENCODING])
        rates["resize_and_encode_with_opencv"] = both * speedup(current, alternative, seconds / 4)
    if DECODING in slow and jpeg_share(sample.contents) > 0.5 and not sample.params.draft:
        current, alternative = (timed_run(decode, sample.images) for decode in (sample.decode, sample.decode_draft))
        rates["decode_draft"] = rate_of[DECODING] * speedup(current, alternative, seconds / 4)
    return rates
