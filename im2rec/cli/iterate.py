"""``im2rec iterate``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, completes, counted, keys_table, size, table
from im2rec.cli.exit_codes import DONE, PROBLEMS
from im2rec.cli.iterator_options import DEFAULT_BATCH_SIZE, console_logging, iterator_values, other_values
from im2rec.errors import BadRecordError, InputError, ParameterError
from im2rec.iterators.base import OrderedIterator
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.params import parameter_docs
from im2rec.pipeline.params import ImageRecordParams
from im2rec.runs.outputs import MANIFEST, BatchFolder, SheetFolder, check_folder_free
from im2rec.runs.replay import ReplayedRecord, replay
from im2rec.runs.run import KINDS, IteratorKind, RunSummary, run, summary_of

_KEYS_INDENT = 26
_SHOWN = 3  # bad records named in the table; --json has all


@click.command("iterate", cls=HelpCommand)
@click.argument("words", metavar="REC [KEY=VALUE]...", nargs=-1, shell_complete=completes(ImageRecordParams))
@click.option("--batch-size", type=int, metavar="N", help=f"Rows of a batch [default: {DEFAULT_BATCH_SIZE}].")
@click.option("--data-shape", metavar="C,H,W", help="Of an image [default: 3 and the shorter side, at most 224].")
@click.option(
    "--epochs", type=click.IntRange(min=1), default=1, show_default=True, help="How often to go over the data."
)
@click.option("--max-batches", type=click.IntRange(min=1), metavar="N", help="Stop after N batches in all.")
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="image",
    show_default=True,
    help="The iterator: of images as floats or integers, or of other files.",
)
@click.option("--dump", type=PATH, metavar="DIR", help="Write each batch to DIR as .npz, with a manifest.")
@click.option("--sheet", type=PATH, metavar="DIR", help="Draw each batch to DIR as a PNG.")
@click.option("--replay", "replayed", metavar="epoch=E,record=N", help="Show one record as that epoch has it.")
@click.option("--list-params", is_flag=True, help="All keys with their defaults, and nothing else.")
@common_options(writes=True)
def command(
    console: Console,
    words: tuple[str, ...],
    epochs: int,
    max_batches: int | None,
    kind: str,
    replayed: str | None,
    list_params: bool,
    dump: Path | None,
    sheet: Path | None,
    force: bool,
    dry_run: bool,
    **options: Any,
) -> int:
    """Run an iterator: dump or time its batches.

    Goes over REC as a training loop would, with the parameters of MXNet's ImageRecordIter as KEY=VALUE, and prints what
    was delivered and a digest of it. REC may be left out when path_imgrec= is given; with another --kind it is the
    IDX, CSV or LibSVM file. Exit code 3: records were skipped, or cut short. All keys: im2rec iterate --list-params,
    with --kind those of that iterator.

    \b
    Example:
      im2rec iterate train.rec shuffle=1 rand_crop=1 rand_mirror=1 --epochs 2
    """
    if list_params:
        groups = {name: parameter_docs(params) for name, params in KINDS[kind].groups.items()}
        console.result("iterate", {"groups": groups}, params_help(KINDS[kind]))
        return DONE
    of_records = KINDS[kind].params is ImageRecordParams
    if not of_records and (sheet is not None or replayed is not None):
        option = "--sheet" if sheet is not None else "--replay"
        raise ParameterError(f"{option} has no meaning with --kind {kind}", hint="use --dump")
    epoch, ordinal = _epoch_and_record(replayed) if replayed is not None else (0, 0)
    values = iterator_values("iterate", words, options) if of_records else other_values(KINDS[kind], words, options)
    mean_img = values.get("mean_img")
    if dry_run and mean_img and not Path(mean_img).exists():
        values["mean_img"] = ""  # which would be made now
    with console_logging(console), _hinted(), KINDS[kind].iterator(**values) as it:
        if isinstance(it, ImageRecordIter) and not it.count:
            raise InputError(f"{it.params.path_imgrec}: holds no images", hint="name another .rec")
        if replayed is not None:
            assert isinstance(it, ImageRecordIter)
            out = (sheet or dump or Path()) / f"epoch{epoch}_record{ordinal}.png"
            shown = replay(it, epoch=epoch, ordinal=ordinal, out=out, force=force, dry_run=dry_run)
            console.result("iterate", shown, render_replay(shown, dry_run=dry_run))
            return DONE
        sinks = _BatchOutputs(it, dump, sheet, force=force, dry_run=dry_run)
        sinks.names[:0] = [mean_img] if mean_img and not values["mean_img"] else []
        summary = _run(console, it, sinks, epochs=epochs, max_batches=max_batches, dry_run=dry_run)
    console.result("iterate", summary, render(summary))
    return PROBLEMS if summary.skipped or summary.truncated else DONE


def _run(
    console: Console,
    it: OrderedIterator[Any],
    sinks: _BatchOutputs,
    *,
    epochs: int,
    max_batches: int | None,
    dry_run: bool,
) -> RunSummary:
    """The run, or what is known without one."""
    if dry_run:
        summary = dataclasses.replace(summary_of(it), dry_run=True)
    else:
        with console.progress("iterating", share=True) as progress:
            summary = run(it, epochs=epochs, max_batches=max_batches, sink=sinks.add, progress=progress)
        sinks.finish(summary)
    summary.written = ", ".join(sinks.names)
    if not (len(it) if dry_run else summary.batches):
        console.warn([f"no batch: of {it.count} records this part has fewer than batch_size={it.batch_size}"])
    return summary


class _BatchOutputs:
    """Where batches go besides being counted."""

    def __init__(
        self, it: OrderedIterator[Any], dump: Path | None, sheet: Path | None, *, force: bool, dry_run: bool
    ) -> None:
        self._it = it
        for folder in filter(None, (dump, sheet)):
            check_folder_free(folder, force=force)
        self._dump = BatchFolder(dump) if dump and not dry_run else None
        self._sheet: SheetFolder | None = None
        if sheet is not None and not dry_run and isinstance(it, ImageRecordIter):
            self._sheet = SheetFolder(sheet, it, force=force)
        named = [f"{dump / MANIFEST} and its batches" if dump else "", f"{sheet} (sheets)" if sheet else ""]
        self.names = [name for name in named if name]

    def add(self, epoch: int, batch: Any) -> None:
        for sink in (self._dump, self._sheet):
            if sink:
                sink.add(epoch, batch)

    def finish(self, summary: RunSummary) -> None:
        if self._dump:
            self._dump.finish(self._it, summary)


def _epoch_and_record(words: str) -> tuple[int, int]:
    try:
        values = dict(word.split("=") for word in words.split(","))
        numbers = {name: int(value) for name, value in values.items()}
    except ValueError:
        numbers = {}
    if set(numbers) != {"epoch", "record"} or min(numbers.values()) < 0:
        raise ParameterError(f"--replay {words} must be epoch=E,record=N, both counted from 0")
    return numbers["epoch"], numbers["record"]


@contextlib.contextmanager
def _hinted() -> Iterator[None]:
    """Tell with the error of a bad record that there is a way past it."""
    try:
        yield
    except BadRecordError as error:
        error.hint = error.hint or "on_error=skip counts such records and goes on"
        raise


def params_help(kind: IteratorKind) -> str:
    """The table of keys in their groups, 80 columns wide."""
    groups = ["\n".join([f"{name}:", *keys_table(params, _KEYS_INDENT)]) for name, params in kind.groups.items()]
    return "\n\n".join(groups)


def render(summary: RunSummary) -> str:
    """The summary as a person reads it."""
    shape = " x ".join(map(str, summary.data_shape))
    batches = f"{counted(summary.batches, 'batch', 'batches')} of {summary.batch_size} x {shape} {summary.dtype}"
    done = "" if summary.dry_run else batches
    one = {"threads": "thread", "processes": "process"}
    crew = f", {counted(summary.threads, one[summary.backend], summary.backend)}" if summary.backend else ""
    what = "rows" if summary.kind in ("csv", "libsvm") else "images"
    rate = f"{summary.seconds:.1f} s, {summary.images_per_s:,.0f} {what}/s{crew}"
    table_rows = [
        ("batches", done),
        (what, "" if summary.dry_run else f"{summary.images:,}, and {summary.pad:,} of filler"),
        ("time", "" if summary.dry_run else rate),
        ("digest", summary.digest),
        ("left out", f"{counted(summary.left_out, 'record')} with labels and no image" if summary.left_out else ""),
        *_bad_rows("skipped", summary.skipped),
        *_bad_rows("cut short", summary.truncated),
        ("engine", summary.engine),
        ("kernel", summary.kernel),
        ("memory", f"{size(summary.peak_memory)} at the most" if summary.peak_memory else ""),
        ("would write" if summary.dry_run else "written", summary.written),
    ]
    verb = "would iterate over" if summary.dry_run else "iterated over"
    epochs = f", {counted(summary.epochs, 'epoch')}" if summary.epochs else ""
    head = f"{verb} {counted(summary.records, 'record')} of {summary.rec}{epochs}"
    return table(head, table_rows)


def _bad_rows(name: str, errors: list[str]) -> list[tuple[str, str]]:
    found = [(name if number == 0 else "", error) for number, error in enumerate(errors[:_SHOWN])]
    more = len(errors) - _SHOWN
    return [*found, ("", f"and {more:,} more (--json names all)")] if more > 0 else found


def render_replay(shown: ReplayedRecord, *, dry_run: bool) -> str:
    """One record as a person reads it."""
    head = f"record {shown.record} of {shown.rec} in epoch {shown.epoch}"
    drawn = [(name, f"{value:.6g}") for name, value in shown.drawn.items()]
    steps = [("done" if number == 0 else "", step) for number, step in enumerate(shown.steps)]
    table_rows = [
        ("id", str(shown.id)),
        ("label", " ".join(f"{label:g}" for label in shown.label)),
        ("stored", f"{shown.width} x {shown.height} pixels"),
        *drawn,
        *steps,
        ("would write" if dry_run else "written", shown.picture),
    ]
    return table(head, table_rows)
