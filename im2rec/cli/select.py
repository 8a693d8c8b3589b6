"""The command ``im2rec select``."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, digest_option, inspect_words, table
from im2rec.cli.damage import doubtful_option, doubtful_row, range_rows, recover_words
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.rewriting.select import outputs_of, select
from im2rec.rewriting.select_report import SelectSummary
from im2rec.rewriting.selected_set import UNDECODABLE, SelectOptions
from im2rec.selection.decoding import DAMAGED_RECORD
from im2rec.selection.key_lists import read_keys
from im2rec.storage.output import refuse_same_file

_RANGE = re.compile(r"(\d+)-(\d+)")


def _ranges(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> list[tuple[float, float]]:
    """Return the first and the last label of each of *words*, a number or a range such as 10-20."""
    found = []
    for word in words:
        match = _RANGE.fullmatch(word.strip())
        try:
            low, high = map(float, match.groups()) if match else (float(word), float(word))
        except ValueError:
            problem = f"{word!r} is neither a number nor a range such as 10-20"
            raise click.BadParameter(problem, context, parameter) from None
        found.append((low, high))
    return found


@click.command("select", cls=HelpCommand)
@click.argument("rec", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--label", "labels", callback=_ranges, multiple=True, metavar="L", help="Only this label, or 10-20; repeatable."
)
@click.option("--id", "ids", type=click.IntRange(min=0), multiple=True, metavar="ID", help="Only this id; repeatable.")
@click.option(
    "--key", "keys", type=click.IntRange(min=0), multiple=True, metavar="K", help="Only this key; repeatable."
)
@click.option(
    "--list", "listed", type=PATH, metavar="FILE", help="Only the keys in FILE: the first word of each line, as a .lst."
)
@click.option("--drop", "dropped", type=PATH, metavar="FILE", help="Leave out the keys in FILE, as cleaners publish.")
@click.option("--min-images", type=click.IntRange(min=1), metavar="N", help="Leave out classes of fewer than N images.")
@click.option("--max-images", type=click.IntRange(min=1), metavar="N", help="Leave out classes of more than N images.")
@click.option(
    "--decodable", is_flag=True, help="Leave out records whose image cannot be decoded, and those without an image."
)
@click.option("--per-class", type=click.IntRange(min=1), metavar="N", help="At most N images of each class, drawn.")
@click.option("--sample", metavar="N|P%", help="Draw N of the images that are left, or P percent of them.")
@click.option("--shuffle", is_flag=True, help="Write the images in a drawn order, without a header record.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed draws others.")
@click.option("--relabel", is_flag=True, help="Number the classes from 0 on without gaps, in order of their labels.")
@click.option("--renumber", is_flag=True, help="Give new keys, and ids that are the keys.")
@click.option(
    "--header/--no-header", default=None, help="Write a header record and identity records, or none [default: as REC]."
)
@click.option("--no-idx", "index", flag_value=False, default=True, help="Use no index: the keys are the ids.")
@doubtful_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of processes for --decodable [default: all CPUs].",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    metavar="N",
    help="For --decodable: decode no image of more than N pixels [default: none that needs more than 1 GiB].",
)
@digest_option
@common_options(writes=True)
def command(
    console: Console,
    rec: Path,
    out: Path,
    force: bool,
    dry_run: bool,
    digest: bool,
    labels: list[tuple[float, float]],
    listed: Path | None,
    dropped: Path | None,
    **words: Any,
) -> ExitCode:
    """Write some records of a .rec to a new one.

    An image is selected if it passes all filters. The classes of --min-images and --max-images are counted in the whole
    REC, without the images of --drop; what has passed is decoded with --decodable, by the judgement of inspect
    --verify; then --per-class and --sample draw from the rest. Images are copied
    byte for byte, and their class names with them. X.labels.tsv and X.keys.tsv beside OUT lead from new labels
    and keys to the old ones. If REC has a header record, as sets of InsightFace have, OUT gets a new one, identity
    records and property. Of a damaged REC all whole records are selected. Exit code 3: a key of --list or --drop is
    in no image, or a selected record was not valid; 5: REC is damaged.

    \b
    Examples:
      im2rec select train.rec small/train.rec --min-images 5 --relabel
      im2rec select train.rec clean/train.rec --drop noise.txt
      im2rec select train.rec sound/train.rec --decodable
    """
    options = SelectOptions(
        labels=tuple(low for low, high in labels if low == high or math.isnan(low)),
        label_ranges=tuple((low, high) for low, high in labels if low != high and not math.isnan(low)),
        listed=None if listed is None else read_keys(listed),
        dropped=None if dropped is None else read_keys(dropped),
        **words,
    )
    for written, read in itertools.product(outputs_of(out), filter(None, (listed, dropped))):
        refuse_same_file(written, read, what="list")
    if not dry_run:
        repeat_by(outputs=outputs_of(out))
    with console.progress("selecting", "record") as progress:
        summary = select(rec, out, options, force=force, digest=digest, dry_run=dry_run, progress=progress)
    console.warn(summary.warnings)
    console.result("select", summary, render(summary), next_command(summary))
    return exit_code(summary)


def exit_code(summary: SelectSummary) -> ExitCode:
    """Return DAMAGED (5), or PROBLEMS (3) for keys of a list that no image has and for records that are not valid."""
    if summary.damaged_ranges or DAMAGED_RECORD in (summary.not_decoded or ()):
        return ExitCode.DAMAGED
    return ExitCode.PROBLEMS if summary.missing_keys or summary.problem_records else ExitCode.DONE


def next_command(summary: SelectSummary) -> list[str]:
    """Return the command that inspects the result; of a damaged file the one that saves all whole records.

    The result of --decodable is what was to be saved of one that is damaged.
    """
    if summary.damaged_ranges and summary.not_decoded is None:
        return recover_words(summary.input)
    return inspect_words(summary.out, faces=summary.header)


def render(summary: SelectSummary) -> str:
    """Return the summary as a table."""
    verb = "would select" if summary.dry_run else "selected"
    head = f"{verb} {summary.images:,} of {counted(summary.all_images, 'image')} of {summary.input}"
    not_selected = ", ".join(f"{count:,} {why}{_reasons(why, summary)}" for why, count in summary.not_selected.items())
    left_out = {**summary.left_out, **summary.problem_records}
    rows = [
        *_damage(summary),
        ("classes", f"{summary.classes:,} of {summary.all_classes:,}" + (", relabelled" if summary.relabelled else "")),
        ("not taken", not_selected),
        ("left out", ", ".join(f"{counted(count, 'record')} {why}" for why, count in left_out.items())),
        ("header", _header(summary)),
        ("order", "by class, as images of one class were not together" if summary.is_sorted else ""),
        ("bytes", human_size(summary.bytes_out)),
        ("time", "" if summary.dry_run else f"{summary.seconds:.1f} s"),
        ("would write" if summary.dry_run else "written", ", ".join(summary.files)),
    ]
    return table(head, rows)


def _reasons(why: str, summary: SelectSummary) -> str:
    """Return in brackets why images cannot be decoded, if *why* is that."""
    if why != UNDECODABLE or not summary.not_decoded:
        return ""
    return f" ({', '.join(f'{count:,} {reason}' for reason, count in summary.not_decoded.items())})"


def _header(summary: SelectSummary) -> str:
    if summary.header:
        return (
            f"new, with {counted(summary.classes, 'identity record')}; the images have the keys 1 to {summary.images}"
        )
    if summary.had_header:
        return "none; the images have keys from 0 on, as readers of such sets expect"
    return ""


def _damage(summary: SelectSummary) -> list[tuple[str, str]]:
    """Return rows on the damage of the file."""
    rows = []
    if summary.damaged_ranges:
        unknown = "how many records are lost is unknown without an index"
        rows = [("damaged", unknown if summary.lost is None else f"{counted(summary.lost, 'record')} lost")]
        rows += range_rows(summary.damage, summary.damaged_ranges, summary.damaged_bytes, brief=True)
    return [*rows, doubtful_row(summary.doubtful)]
