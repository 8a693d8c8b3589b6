"""Packing a list: every stage alone in one process, and the whole with any number of workers."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from im2rec.bench.advice import DECODING, ENCODING, RESIZING, WRITING, PackFigures, pack_advice
from im2rec.bench.read_speed import DISK, FileSpan, PageCache, read_twice, source_of
from im2rec.bench.report import PackReport, ReadSpeed, Stage, ThreadCountResult, shares
from im2rec.bench.samples import PackSample, jpeg_share, read_lines, typical
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
from im2rec.format.listfile import ListEntry, list_line
from im2rec.images.codec import JPEG_DECODER
from im2rec.images.engine import load_engine
from im2rec.packing.list_reader import Entry
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.parallel import Progress, available_cpus
from im2rec.storage.files import PathLike, check_folder
from im2rec.storage.writer import RecordWriter

_WARMS_UP = 0.3  # of a measurement: workers start, and learn how much to take at a time
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

    Raises InputError when list or root cannot be used, or nothing can be packed.
    """
    params, options = params or PackParams(), options or BenchOptions()
    counts = options.counts
    steps = Steps(2 + ROUNDS * (len(counts) + (1 if params.unchanged else 4)), progress)
    seconds = options.each(len(counts) + (3 if params.unchanged else 6))
    check_folder(root)
    start = now()
    listed = read_lines(list_path, params)
    opening_s = now() - start
    with PageCache() as residence, tempfile.TemporaryDirectory(prefix="im2rec-bench-") as folder:
        sample_held = _held(residence, listed.some, Path(root))
        sample = PackSample(listed.some, Path(root), params, seconds / REPETITIONS)
        steps.next()
        groups = [[shot] for shot in sample.shots]
        reads = read_twice(sample.read, groups, sample.spans, residence, seconds=seconds)
        steps.next()
        source = source_of(reads, sample_held, 0)
        read = reads.met(source)
        good = [entry for entry in listed.some if isinstance(entry, ListEntry) and entry.line not in sample.bad_lines]
        spans = [FileSpan(Path(root, entry.path), 0, _WHOLE_FILE) for entry in good] if source == DISK else []
        turns = _stages(sample, Path(folder))
        packings = {}
        for count in counts:
            expected = count / (1 / read.median + sample.seconds_each)
            packings[count] = _PackRun(good, Path(root), Path(folder), params, count, expected)
            turns[str(count)] = _forgetting(residence, spans, packings[count].turn)
        found = in_rounds(turns, seconds, each=steps.next)
        whole = {count: found[str(count)] for count in counts}
        alone = {READ: read, **{name: found[name] for name in turns if not name.isdigit()}}
        stages = shares(alone, whole.get(1))
        figures = _figures(sample, source, stages, whole, seconds)
    return PackReport(
        input=str(list_path),
        root=str(root),
        records=listed.lines,
        pictures=typical(sample.contents, sample.sizes),
        engine="" if sample.engine is None else sample.engine.name,
        jpeg_decoder=JPEG_DECODER,
        cpus=available_cpus(),
        seconds_each=seconds,
        opening_s=opening_s,
        first_s=statistics.median(packings[counts[-1]].firsts),
        read=ReadSpeed(source, sample_held, reads.from_memory, None, reads.from_disk, None),
        stages=stages,
        threads=[ThreadCountResult(count, whole[count], None) for count in counts],
        peak_memory=None,  # that of the workers counts, and nobody tells it
        left_out=sum(sample.bad.values()),
        advice=pack_advice(figures),
    )


def _held(residence: PageCache, entries: Sequence[Entry], root: Path) -> float | None:
    """The share of the files that memory holds, as far as they are there."""
    paths = [root / entry.path for entry in entries if isinstance(entry, ListEntry)]
    return residence.share([FileSpan(path, 0, 1) for path in paths[:: len(paths) // 32 + 1] if path.is_file()])


def _stages(sample: PackSample, folder: Path) -> dict[str, TimedRun]:
    """What is done to images, unless they are stored as they are, and writing them until they are on the disk."""
    frames = sample.frames()

    def write_all() -> int:
        with RecordWriter(folder / "alone.rec", force=True) as writer:
            for key, frame in frames:
                writer.write_frame(frame, key=key)
        return len(frames)

    work = {DECODING: sample.decode, RESIZING: sample.resize, ENCODING: sample.encode} if sample.engine else {}
    turns = {name: timed_run(stage, sample.shots) for name, stage in work.items()}
    return {**turns, WRITING: lambda seconds: repeated(write_all, seconds)}


def _forgetting(residence: PageCache, spans: Sequence[FileSpan], turn: TimedRun) -> TimedRun:
    """*turn*, before which *spans* are dropped from memory: what comes from the disk does so in every turn."""

    def from_disk(seconds: float) -> list[float]:
        residence.forget([span for span in spans if span.path.is_file()])
        return turn(seconds)

    return from_disk if spans else turn


class _PackRun:
    """Packing itself, of *entries* over and over, by so many *workers*, which are *expected* to do so many a second.

    Notes how long it took until the first images were packed, each time.
    """

    def __init__(
        self, entries: Sequence[ListEntry], root: Path, folder: Path, params: PackParams, workers: int, expected: float
    ) -> None:
        self._entries, self._root, self._folder = entries, root, folder
        self._params = dataclasses.replace(params, nsplit=1, part=0, label_width=None)
        self._options = PackOptions(workers=workers, force=True, max_bad="100%")
        self._expected = expected
        self.firsts: list[float] = []

    def turn(self, seconds: float) -> list[float]:
        """Pack what should take about *seconds*, after the workers have learnt how much to take at a time."""
        seen: list[tuple[float, int]] = []
        list_path = self._list(1 + round(self._expected * (1 + _WARMS_UP) * seconds))
        start = now()
        pack(
            list_path,
            self._root,
            self._folder / "whole.rec",
            self._params,
            self._options,
            progress=lambda images, _share: seen.append((now(), images)),
        )
        self.firsts.append(seen[0][0] - start)
        rates = rates_of_steps(start, seen, _WARMS_UP * seconds)
        self._expected = statistics.median(rates)
        return rates

    def _list(self, lines: int) -> Path:
        path = self._folder / "repeated.lst"
        with path.open("w", encoding="utf-8", errors="surrogateescape") as stream:
            for entry in itertools.islice(itertools.cycle(self._entries), lines):
                stream.write(list_line(entry.id, entry.labels, entry.path))
        return path


def rates_of_steps(start: float, seen: Sequence[tuple[float, int]], warms_up: float) -> list[float]:
    """Rates out of (time, images packed so far); what was before *warms_up* seconds had passed is not counted."""
    steady = [step for step in seen if step[0] >= seen[0][0] + warms_up]
    if len(steady) < 2:  # over before it was warm
        return [seen[-1][1] / (seen[-1][0] - start)]
    borders = steady[:: max(1, (len(steady) - 1) // (REPETITIONS // ROUNDS))]
    return [(after[1] - before[1]) / (after[0] - before[0]) for before, after in itertools.pairwise(borders)]


def _figures(
    sample: PackSample, source: str, stages: Sequence[Stage], whole: Mapping[int, Rate], seconds: float
) -> PackFigures:
    medians = {stage.name: stage.rate.median for stage in stages}
    return PackFigures(
        read=medians[READ],
        write=medians[WRITING],
        decode=medians.get(DECODING),
        resize=medians.get(RESIZING),
        encode=medians.get(ENCODING),
        whole={count: found.median for count, found in whole.items()},
        cpus=available_cpus(),
        spread=whole[max(whole)].spread,
        source=source,
        opencv_installed=opencv_installed(),
        engine="" if sample.engine is None else sample.engine.name,
        **_other_ways(sample, stages, seconds),
    )


def _other_ways(sample: PackSample, stages: Sequence[Stage], seconds: float) -> dict[str, float]:
    """The rates of other ways to do what takes long, each timed in turns with what is done now."""
    slow = {stage.name: stage.rate.median for stage in stages if stage.share >= WORTH_TRYING}
    found: dict[str, float] = {}
    if slow.keys() & {RESIZING, ENCODING} and sample.engine and sample.engine.name != "opencv" and opencv_installed():
        now, other = (timed_run(sample.by(engine), sample.shots) for engine in (sample.engine, load_engine("opencv")))
        rates = {stage.name: stage.rate.median for stage in stages}
        together = 1 / (1 / rates[RESIZING] + 1 / rates[ENCODING])
        found["by_opencv"] = together * gain(now, other, seconds / 4)
    if DECODING in slow and jpeg_share(sample.contents) > 0.5 and not sample.params.draft:
        now, other = (timed_run(decode, sample.shots) for decode in (sample.decode, sample.decode_draft))
        found["in_draft"] = slow[DECODING] * gain(now, other, seconds / 4)
    return found
