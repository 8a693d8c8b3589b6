"""The command ``im2rec iterate``."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import click

from im2rec.cli.console import (
    PATH,
    Console,
    HelpCommand,
    common_options,
    first_of,
    keys_table,
    listed,
    path_word,
    table,
)
from im2rec.cli.damage import damage_row, recover_words
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.cli.iterate_draws import check_words, draw
from im2rec.cli.iterator_options import (
    DEFAULT_BATCH_SIZE,
    complete_words,
    console_logging,
    iterator_values,
    option_words,
    other_values,
)
from im2rec.errors import ParameterError, counted, human_size
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.iterators.ordered import OrderedIterator
from im2rec.params import ParameterDoc, parameter_docs
from im2rec.pipeline.params import ImageRecordParams
from im2rec.runs.draws_sheet import DRAWS_NAME, MOST_DRAWS, OPTION
from im2rec.runs.outputs import BatchOutputs
from im2rec.runs.run import KINDS, IteratorKind, RunSummary, run, summary_of
from im2rec.schema import described
from im2rec.storage.files import INSPECT

_KEYS_INDENT = 26


@dataclasses.dataclass
class ListedParams:
    """The keys of an iterator, as ``--list-params --json`` prints them."""

    groups: dict[str, list[ParameterDoc]] = described("The keys in their groups, by name of the group.")


_MAX_BAD_RECORDS = 3  # of a kind in the table; --json lists all


@click.command("iterate", cls=HelpCommand)
@click.argument("words", metavar="REC [KEY=VALUE]...", nargs=-1, shell_complete=complete_words)
@click.option("--batch-size", type=int, metavar="N", help=f"Rows in a batch [default: {DEFAULT_BATCH_SIZE}].")
@click.option("--data-shape", metavar="C,H,W", help="Shape of an image [default: 3 and its shorter side, at most 224].")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of passes over the data.",
)
@click.option(
    "--max-batches", type=click.IntRange(min=1), metavar="N", help="Stop after N batches in all epochs together."
)
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="image",
    show_default=True,
    help="ImageRecordIter with float, uint8 or int8 batches, or an iterator over other files.",
)
@click.option("--dump", type=PATH, metavar="DIR", help="Write each batch to DIR as an .npz file, with a manifest.")
@click.option("--sheet", type=PATH, metavar="DIR", help="Draw the images of each batch to DIR as a PNG.")
@click.option(
    "--replay",
    "replayed",
    metavar="epoch=E,record=N",
    help="Draw one record as stored and as in that epoch, and list what was done to it.",
)
@click.option(
    OPTION,
    "draws",
    type=click.IntRange(1, MOST_DRAWS),
    metavar="N",
    help=f"Draw some images, each as stored and as in the first N epochs, to {DRAWS_NAME} in the folder of --sheet or"
    " the current one.",
)
@click.option("--list-params", is_flag=True, help="List all keys with their defaults, and do nothing else.")
@common_options(writes=True)
def command(
    console: Console,
    words: tuple[str, ...],
    epochs: int,
    max_batches: int | None,
    kind: str,
    replayed: str | None,
    draws: int | None,
    list_params: bool,
    dump: Path | None,
    sheet: Path | None,
    force: bool,
    dry_run: bool,
    **options: Any,
) -> ExitCode:
    """Run an iterator: dump or time its batches.

    Takes all batches of REC as a training loop would, and prints what was delivered and a digest of it. KEY=VALUE are
    the parameters of MXNet's ImageRecordIter; --list-params lists them, and with --kind those of another iterator.
    REC may be left out if path_imgrec= is given; with --kind mnist, csv or libsvm it is an IDX, CSV or LibSVM file.
    Exit code 3: images were skipped or cut short; 5: REC is damaged. With on_error=skip all whole records are taken.

    \b
    Example:
      im2rec iterate train.rec shuffle=1 rand_crop=1 rand_mirror=1 --epochs 2
    """
    if list_params:
        groups = {name: parameter_docs(params) for name, params in KINDS[kind].groups.items()}
        console.result("iterate", ListedParams(groups), params_help(KINDS[kind]))
        return ExitCode.DONE
    is_image_kind = _is_image_kind(kind)
    drawing = {"--sheet": sheet, "--replay": replayed, OPTION: draws}
    if not is_image_kind and (given := [option for option, value in drawing.items() if value is not None]):
        raise ParameterError(f"{given[0]} has no meaning with --kind {kind}", hint="use --dump")
    check_words(replayed, draws, epochs=epochs, max_batches=max_batches)
    repeat_by(outputs=[dump, sheet])
    values = iterator_values("iterate", words, options) if is_image_kind else other_values(KINDS[kind], words, options)
    with contextlib.ExitStack() as stack:
        outputs = None
        if replayed is None and draws is None:
            outputs = BatchOutputs(dump, sheet, force=force)
            if not dry_run:  # before the files are opened, so that a second run is refused at its start
                stack.enter_context(outputs)
        mean_img = values.get("mean_img")
        if dry_run and mean_img and not Path(mean_img).exists():
            values["mean_img"] = ""  # otherwise the iterator would compute and write it when it is opened
        start = time.perf_counter()
        stack.enter_context(console_logging(console))
        it = stack.enter_context(KINDS[kind].iterator(**values))
        opening_s = time.perf_counter() - start
        if outputs is None:
            assert isinstance(it, ImageRecordIter)
            again = ["im2rec", "iterate", *map(path_word, words), *option_words(options)]
            form: dict[str, Any] = {"replayed": replayed, "draws": draws, "folder": sheet or dump or Path()}
            return draw(console, it, again, **form, force=force, dry_run=dry_run)
        summary = _run(console, it, outputs, epochs=epochs, max_batches=max_batches, dry_run=dry_run)
        summary.opening_s = opening_s
        summary.files = [mean_img] if mean_img and not values["mean_img"] else []
        summary.files += [str(folder) for folder in (dump, sheet) if folder is not None]
    console.result("iterate", summary, render(summary), next_command(summary, words, options))
    return exit_code(summary)


def exit_code(summary: RunSummary) -> ExitCode:
    """Return DAMAGED (5) before PROBLEMS (3): records were skipped, or decoded although they are cut short."""
    if summary.damaged_ranges or summary.damaged_records:
        return ExitCode.DAMAGED
    return ExitCode.PROBLEMS if summary.skipped or summary.truncated else ExitCode.DONE


def next_command(summary: RunSummary, words: tuple[str, ...], options: dict[str, Any]) -> list[str]:
    """Return the command that lists the bad records; if there are none, the one that finds what limits the speed.

    Of a damaged file it is the one that saves all whole records.
    For iterators over other files than a .rec, which ``bench`` does not time, it lists the keys.
    """
    if not _is_image_kind(summary.iterator_kind):
        return ["im2rec", "iterate", "--kind", summary.iterator_kind, "--list-params"]
    if exit_code(summary) == ExitCode.DAMAGED and Path(summary.input).is_file():
        return recover_words(summary.input)
    if (summary.skipped or summary.truncated) and Path(summary.input).is_file():
        return ["im2rec", "inspect", path_word(summary.input), "--verify"]
    return ["im2rec", "bench", *map(path_word, words), *option_words(options)]


def _is_image_kind(kind: str) -> bool:
    return KINDS[kind].params is ImageRecordParams


def _run(
    console: Console,
    it: OrderedIterator[Any],
    outputs: BatchOutputs,
    *,
    epochs: int,
    max_batches: int | None,
    dry_run: bool,
) -> RunSummary:
    """Run *it* and return the summary; for a dry run, only what is known without running."""
    if dry_run:
        return dataclasses.replace(summary_of(it), dry_run=True)
    outputs.start(it)
    with console.progress("iterating", "image") as progress:
        summary = run(it, epochs=epochs, max_batches=max_batches, sink=outputs.add, progress=progress)
    outputs.finish(it, summary)
    return summary


def params_help(kind: IteratorKind) -> str:
    """Return the table of the keys of *kind* in their groups, 80 columns wide."""
    groups = ["\n".join([f"{name}:", *keys_table(params, _KEYS_INDENT)]) for name, params in kind.groups.items()]
    return "\n\n".join(groups)


def render(summary: RunSummary) -> str:
    """Return the summary as a table."""
    shape = " x ".join(map(str, summary.data_shape))
    batches = f"{counted(summary.batches, 'batch', 'batches')} of {summary.batch_size} x {shape} {summary.dtype}"
    singular = {"threads": "thread", "processes": "process"}
    backend = f", {counted(summary.threads, singular[summary.backend], summary.backend)}" if summary.backend else ""
    unit = "rows" if summary.iterator_kind in ("csv", "libsvm") else "images"
    left_out = summary.without_image
    table_rows = [
        ("batches", "" if summary.dry_run else batches),
        (unit, "" if summary.dry_run else f"{summary.images:,}{_of_all(summary)}, and {summary.pad:,} of filler"),
        ("opening", _opening(summary)),
        ("time", _rate(summary, unit) + backend if summary.batches else ""),
        ("digest", summary.digest),
        ("left out", f"{counted(left_out, 'record')} with labels and no image" if left_out else ""),
        damage_row(summary),
        *_bad_rows("skipped", summary.skipped),
        *_bad_rows("cut short", summary.truncated),
        ("engine", summary.engine),
        ("kernel", summary.kernel),
        ("memory", f"{human_size(summary.peak_memory)} at most" if summary.peak_memory else ""),
        ("would write" if summary.dry_run else "written", ", ".join(summary.files)),
    ]
    verb = "would iterate over" if summary.dry_run else "iterated over"
    epochs = f", {counted(summary.epochs, 'epoch')}" if summary.epochs else ""
    return table(f"{verb} {_records_read(summary)} of {summary.input}{epochs}", table_rows)


def _records_read(summary: RunSummary) -> str:
    """Return the number of records that were read, of how many, and of which part."""
    records = counted(summary.part_records, "record")
    if not summary.dry_run and summary.epochs <= 1 and summary.images < summary.part_records:
        records = f"{summary.images:,} of the {records}"
    return records + (f" of part {summary.part_index} of {summary.num_parts}" if summary.num_parts > 1 else "")


def _of_all(summary: RunSummary) -> str:
    """Return of how many records the images are, where these are the records of several epochs."""
    due = summary.epochs * summary.part_records
    return f" of {due:,} records" if summary.epochs > 1 and summary.images < due else ""


def _rate(summary: RunSummary, unit: str) -> str:
    """Return the time and the rate after the first batch."""
    if summary.images_per_s is None:
        return "no second batch, so no rate"
    return f"{_time(summary.seconds - summary.first_batch_s)} after that, {summary.images_per_s:,.0f} {unit}/s"


def _opening(summary: RunSummary) -> str:
    """Return the time that opening and the first batch took, as ``bench`` shows it."""
    if not summary.batches:
        return ""
    return f"{_time(summary.opening_s)}; the first batch {_time(summary.first_batch_s)} later"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"


def _bad_rows(name: str, errors: list[str]) -> list[tuple[str, str]]:
    return listed(name, first_of([error.removesuffix(f" ({INSPECT})") for error in errors], _MAX_BAD_RECORDS))
