"""The command ``im2rec bench``."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from im2rec.bench.advice import BUSY_MACHINE, Advice, best_threads
from im2rec.bench.iterator import bench_iterator
from im2rec.bench.pack import bench_pack
from im2rec.bench.peers import check_peers
from im2rec.bench.read_speed import MOSTLY_CACHED
from im2rec.bench.report import DryRunReport, IteratorReport, PackReport, ReadSpeed, Report, draw_plot
from im2rec.bench.samples import sample_list
from im2rec.bench.timing import BenchOptions, Rate, doubling_counts
from im2rec.cli.console import PATH, WIDTH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.damage import damage_row, recover_words
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.iterator_options import complete_words, console_logging, iterator_values, option_words
from im2rec.errors import ParameterError, counted, human_size
from im2rec.jpeg.loading import load
from im2rec.packing.params import PackParams
from im2rec.params import from_words, refuse_stream
from im2rec.pipeline.params import ImageRecordParams
from im2rec.pipeline.records import Records
from im2rec.progress import Progress
from im2rec.storage.output import AtomicFile, refuse_existing


@click.command("bench", cls=HelpCommand)
@click.argument("words", metavar="REC [KEY=VALUE]...", nargs=-1, shell_complete=complete_words)
@click.option("--batch-size", type=int, metavar="N", help="Rows in a batch [default: 100].")
@click.option("--data-shape", metavar="C,H,W", help="Shape of an image [default: 3 and its shorter side, at most 224].")
@click.option("--threads", metavar="N,...", help="Numbers of threads to time [default: 1,2,4 ... up to all CPUs].")
@click.option(
    "--seconds", type=float, metavar="S", help="Seconds for each measurement [default: half a minute for all together]."
)
@click.option("--plot", type=PATH, metavar="FILE.png", help="Draw a chart of images/s over the number of threads.")
@click.option(
    "--against",
    metavar="NAME=PYTHON,...",
    help="Time mxnet or dali on the same file, each run by the Python interpreter that has it.",
)
@common_options(writes=True)
def command(
    console: Console,
    words: tuple[str, ...],
    threads: str | None,
    seconds: float | None,
    plot: Path | None,
    against: str | None,
    force: bool,
    dry_run: bool,
    **options: Any,
) -> ExitCode:
    """Time every stage and find what limits the speed.

    Times reading, decoding, augmenting and normalising alone, then the whole ImageRecordIter, on REC and this machine,
    and prints what limits the speed and what to try. KEY=VALUE are the parameters of the iterator. `im2rec bench LIST
    ROOT [KEY=VALUE]...`, with a LIST that ends in .lst, does the same for packing. Exit code 3: records were skipped,
    or a library of --against failed; 5: REC is damaged.

    \b
    Example:
      im2rec bench train.rec --batch-size 100
    """
    if plot is not None:
        refuse_existing([plot], force=force)
    chosen = BenchOptions(_thread_counts(threads), seconds, _peers(against))
    is_list = bool(words) and words[0].lower().endswith(".lst")
    if is_list and any((against, *options.values())):
        raise ParameterError("--against, --batch-size and --data-shape are for a .rec", hint="leave them out")
    job = _PackBench(words) if is_list else _IteratorBench(words, options)
    if dry_run:
        planned = DryRunReport(job.input, job.count_records(), chosen.thread_counts, str(plot or ""))
        counts = ", ".join(map(str, planned.thread_counts))
        head = f"would bench {counted(planned.records, 'line' if is_list else 'record')} of {planned.input}"
        console.result("bench", planned, table(head, [(f"{job.unit}s", counts), ("would write", planned.plot)]))
        return ExitCode.DONE
    if not is_list:
        load(tell=console.info)  # compiles the JPEG decoder if there is none yet, because a long run has it
    with console_logging(console), console.progress("measuring", "step") as progress:
        _drop_repeated_messages()
        report = job.run(chosen, progress)
    if plot is not None:
        report = dataclasses.replace(report, plot=str(plot))
        with AtomicFile(plot, force=force) as file:
            file.write(plot_of(report, job.unit))
    console.result("bench", report, render(report, job.unit), job.next_command(report))
    return exit_code(report)


def exit_code(report: Report) -> ExitCode:
    """Return DAMAGED (5), or PROBLEMS (3) if records were skipped or a peer failed."""
    if isinstance(report, IteratorReport) and (report.damaged_ranges or report.damaged_records):
        return ExitCode.DAMAGED
    has_failed_peer = any(peer.rate is None for peer in report.peers)
    return ExitCode.PROBLEMS if report.without_result or has_failed_peer else ExitCode.DONE


_MIN_SHOWN_SHARE = 0.01  # of the time that no stage accounts for: labels, and passing batches between threads


class _IteratorBench:
    """A bench of the iterator on the .rec that *words* name."""

    unit = "thread"

    def __init__(self, words: tuple[str, ...], options: dict[str, Any]) -> None:
        self._words = tuple(map(path_word, words))
        self._options = option_words(options)
        self._values = iterator_values("bench", words, options)
        self.input: str = self._values["path_imgrec"]

    def count_records(self) -> int:
        """Return the number of records that the iterator goes over."""
        with contextlib.closing(Records(ImageRecordParams(**self._values))) as records:
            return len(records)

    def run(self, options: BenchOptions, progress: Progress) -> IteratorReport:
        """Time the iterator."""
        return bench_iterator(self._values, options, progress=progress)

    def next_command(self, report: Report) -> list[str]:
        """Return the bench that tries what was advised; if nothing was, ``im2rec iterate`` with the best threads.

        If records gave no image, it is the command that lists them; of a damaged file the one that saves the others.
        """
        if exit_code(report) == ExitCode.DAMAGED and Path(self.input).is_file():
            return recover_words(self.input)
        if report.without_result and Path(self.input).is_file():
            return ["im2rec", "inspect", path_word(self.input), "--verify"]
        if (words := _words_to_try(report.advice, self._words, self._options)) is not None:
            return ["im2rec", "bench", *words]
        best = f"preprocess_threads={_best_threads(report)}"
        return ["im2rec", "iterate", *_without(self._words, ["preprocess_threads"]), *self._options, best]


class _PackBench:
    """A bench of packing with the list, the root and the keys of *words*."""

    unit = "worker"

    def __init__(self, words: tuple[str, ...]) -> None:
        if len(words) < 2 or "=" in words[1]:
            raise ParameterError("ROOT is missing", hint="im2rec bench LIST ROOT [KEY=VALUE]...")
        self._words = tuple(map(path_word, words))
        self.input, self._root = words[:2]
        refuse_stream("ROOT", self._root)
        self._params = from_words(PackParams, words[2:])

    def count_records(self) -> int:
        """Return the number of lines of the list."""
        return sample_list(self.input, self._params).line_count

    def run(self, options: BenchOptions, progress: Progress) -> PackReport:
        """Time packing."""
        return bench_pack(self.input, self._root, self._params, options, progress=progress)

    def next_command(self, report: Report) -> list[str]:
        """Return the bench that tries what was advised; if nothing was, ``im2rec pack`` with the best workers."""
        paths, keys = self._words[:2], self._words[2:]
        if (words := _words_to_try(report.advice, keys)) is not None:
            return ["im2rec", "bench", *paths, *words]
        out = Path(self.input).with_suffix(".rec").name
        return ["im2rec", "pack", *paths, out, *keys, "--workers", str(_best_threads(report))]


def _words_to_try(advice: Advice, words: Iterable[str], options: Iterable[str] = ()) -> list[str] | None:
    """Return *words* and *options* changed as *advice* says; None if there is nothing to try."""
    changed = [*_without(words, advice.keys), *(f"{key}={value}" for key, value in advice.keys.items()), *options]
    if advice.threads is not None:
        return [*changed, "--threads", ",".join(map(str, doubling_counts(advice.threads)))]
    return changed if advice.keys or advice.limit == BUSY_MACHINE else None


def _without(words: Iterable[str], keys: Iterable[str]) -> list[str]:
    """Return *words* without those that set one of *keys*."""
    return [word for word in words if word.partition("=")[0] not in set(keys)]


def _best_threads(report: Report) -> int:
    return best_threads({row.threads: row.whole.median for row in report.by_threads})


def _thread_counts(words: str | None) -> tuple[int, ...] | None:
    """Return the numbers of ``--threads 1,2,4``. Raises ParameterError for anything else."""
    if words is None:
        return None
    try:
        return tuple(int(word) for word in words.split(","))
    except ValueError:
        raise ParameterError(f"--threads {words} must be numbers from 1 on, joined by commas") from None


def _peers(words: str | None) -> dict[str, str]:
    """Return the Python interpreter of each peer by name. Raises ParameterError, or InputError if one cannot run."""
    pairs = [word.partition("=") for word in words.split(",")] if words else []
    if not all(name and python for name, _, python in pairs):
        raise ParameterError(f"--against {words} must be NAME=PYTHON, joined by commas")
    peers = {name: python for name, _, python in pairs}
    check_peers(peers)
    return peers


def _drop_repeated_messages() -> None:
    """Print each log message once, though every run opens an iterator that would log it again."""
    printed: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not (message in printed or printed.add(message))  # type: ignore[func-returns-value]

    logging.getLogger("im2rec").handlers[-1].addFilter(is_new)


def plot_of(report: Report, unit: str) -> bytes:
    """Return the chart of *report* as a PNG file."""
    lines = {"whole": {row.threads: row.whole for row in report.by_threads}}
    decode = {row.threads: row.full_decode for row in report.by_threads if row.full_decode is not None}
    if decode:
        lines["full decode"] = decode
    return draw_plot(lines, f"{Path(report.input).name}: {report.image_description}", f"{unit}s")


_RATE_TITLES = f"{'images/s':>10}{'middle half of runs':>22}"  # as wide as _rate()


def render(report: Report, unit: str) -> str:
    """Return the report as tables of at most 80 columns, and the advice; *unit* is ``thread`` or ``worker``."""
    head = f"{report.input}: {counted(report.records, 'image')} of {report.image_description}"
    lines = [table(head, _rows(report, unit))]
    lines.append(f"  {f'alone, 1 {unit}':<17}{_RATE_TITLES}{'of time':>12}")
    lines += [f"    {stage.name:<14}{_rate(stage.rate)}   {stage.share:>9.0%}" for stage in report.stages]
    if (rest := 1 - sum(stage.share for stage in report.stages)) >= _MIN_SHOWN_SHARE:
        lines.append(f"    {'the rest':<14}{rest:>47.0%}")
    has_full_decode = any(row.full_decode for row in report.by_threads)
    lines.append(f"  {f'together, {unit}s':<17}{_RATE_TITLES}" + "   full decode" * has_full_decode)
    for row in report.by_threads:
        share = ""
        if row.full_decode is not None:
            share = f"   {row.full_decode.median:>11,.0f}  {row.whole.median / row.full_decode.median:>4.0%} of it"
        lines.append(f"    {row.threads:<14,}{_rate(row.whole)}{share}")
    lines += _peer_lines(report)
    sentence = textwrap.wrap(f"limit: {report.advice.sentence}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join([*lines, *sentence])


def _rate(rate: Rate) -> str:
    """Return the median and the quartiles in three columns, 33 characters wide."""
    return f"{rate.median:>11,.0f}  {rate.low:>9,.0f} to {rate.high:>7,.0f}"


def _rows(report: Report, unit: str) -> list[tuple[str, str]]:
    most = counted(report.by_threads[-1].threads, unit)
    batches = engine = kernel = damaged = ""
    if isinstance(report, IteratorReport):
        shape = " x ".join(map(str, report.data_shape))
        batches = f"{report.batch_size} x {shape} {report.dtype}"
        kernel = _kernel(report)
        _, damaged = damage_row(report)
    if report.engine:
        engine = f"{report.engine}, JPEGs decoded by {report.jpeg_decoder}"
    first = "the first batch" if isinstance(report, IteratorReport) else f"packing with {most}: the first image"
    return [
        ("batches", batches),
        ("engine", engine),
        ("kernel", kernel),
        ("opening", f"{_time(report.opening_s)}; {first} {_time(report.first_s)} later"),
        ("reading", _reading(report.read)),
        ("memory", f"{human_size(report.peak_memory)} at most, with {most}" if report.peak_memory else ""),
        ("damaged", damaged),
        ("skipped", f"{counted(report.without_result, 'record')} that gave no image" if report.without_result else ""),
        ("written", report.plot),
    ]


def _kernel(report: IteratorReport) -> str:
    declined = ", ".join(f"{count} {reason}" for reason, count in report.declined.items())
    return f"{report.kernel}; declined of the sample: {declined}" if declined else report.kernel


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


# Of the second reading, which is one from memory also if the work itself reads from the disk.
_SOURCES = {"memory": "from memory", "disk": "from memory", "unknown": "from memory or the disk: it is not known which"}


def _reading(read: ReadSpeed) -> str:
    """Return the speeds of reading, and where the bytes came from."""

    def both(in_order: float, shuffled: float | None) -> str:
        suffix = "" if shuffled is None else f" in order, {human_size(shuffled)}/s shuffled"
        return f"{human_size(in_order)}/s{suffix}"

    share = read.in_memory_before
    before = f"; {share:.0%} of the file was there" if share is not None and share < MOSTLY_CACHED else ""
    cached = f"{both(read.memory_in_order, read.memory_shuffled)}, {_SOURCES[read.source]}{before}"
    if read.disk_in_order is None:
        return cached
    return f"{cached}; {both(read.disk_in_order, read.disk_shuffled)}, from the disk"


def _peer_lines(report: Report) -> list[str]:
    if report.turns is None:
        return []
    lines = [
        f"  in turns, {counted(report.by_threads[-1].threads, 'thread')}",
        f"    {'im2rec':<14}{_rate(report.turns)}",
    ]
    for peer in report.peers:
        if peer.rate is not None:
            ratio = f"im2rec: {report.turns.median / peer.rate.median:.2f} x"
            lines.append(f"    {peer.name + ' ' + peer.version:<14}{_rate(peer.rate)}   {ratio}")
    for peer in report.peers:
        lines += textwrap.wrap(peer.note, WIDTH - 4, initial_indent="    ", subsequent_indent="      ")
    return lines
