"""The command ``im2rec extract``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.damage import doubtful_option, doubtful_row, range_rows, recover_words
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.extraction.extract import (
    DEFAULT_SHARD_MB,
    FOLDER,
    ODD_LABEL,
    OTHER_FIELD,
    SINGLE_LABEL,
    TAR,
    ExtractOptions,
    ExtractSummary,
    extract,
)
from im2rec.extraction.writers import shard_name
from im2rec.images.signatures import NOT_AN_IMAGE

_CHANGES = {  # what pack writes otherwise, in words for someone who does not know the header
    SINGLE_LABEL: "a label vector of a single label (pack writes a plain label)",
    OTHER_FIELD: (
        "a number before the label vector that is not its first label (im2rec.py writes 0, pack the first label)"
    ),
    ODD_LABEL: "a label of -0 or an odd NaN (a list cannot tell it from 0 or NaN)",
}


@click.command("extract", cls=HelpCommand)
@click.argument("rec", type=PATH)
@click.argument("out", metavar="DIR", type=PATH)
@click.option("--head", type=click.IntRange(min=1), metavar="N", help="Extract only the first N of the chosen images.")
@click.option(
    "--key",
    "keys",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="K",
    help="Extract only this index key; may be repeated.",
)
@click.option("--no-idx", "index", flag_value=False, default=True, help="Use no index: the keys are the ids.")
@click.option(
    "--label", "labels", type=float, multiple=True, metavar="L", help="Extract only this label; may be repeated."
)
@click.option("--min-images", type=click.IntRange(min=1), metavar="N", help="Leave out classes of fewer than N images.")
@click.option(
    "--to",
    type=click.Choice([FOLDER, TAR]),
    default=FOLDER,
    show_default=True,
    help="Write files in folders, or WebDataset shards.",
)
@click.option(
    "--classes",
    type=PATH,
    help="Name the folders after the classes in this .classes.txt [default: the one beside REC]; none: by label.",
)
@click.option(
    "--shard-size",
    "shard_mb",
    type=float,
    metavar="MB",
    help=f"Largest size of a shard [default: {DEFAULT_SHARD_MB:g}].",
)
@doubtful_option
@click.option("--restart", is_flag=True, help="Begin again, without what an interrupted run has left.")
@common_options(writes=True)
def command(
    console: Console, rec: Path, out: Path, force: bool, dry_run: bool, restart: bool, **words: object
) -> ExitCode:
    """Write the images of a .rec to files or tar shards.

    Writes the images of REC, byte for byte as they are stored, to the new folder DIR: files <class>/<id>.jpg, with a
    list that packs them again, or tar shards. A class is named by the .classes.txt beside REC, else by its label. The
    folder is named DIR.im2rec-partial until it is complete; after an interruption, the same command resumes there. Of
    a damaged REC all whole records are written. Exit code 3: some records hold something that cannot be packed again;
    5: REC is damaged.

    \b
    Example:
      im2rec extract train.rec train/ --classes train.classes.txt
    """
    options = ExtractOptions(**words)  # type: ignore[arg-type]
    repeat_by(resumes=not dry_run)
    with console.progress("extracting", "record") as progress:
        summary = extract(rec, out, options, force=force, restart=restart, dry_run=dry_run, progress=progress)
    console.warn(summary.warnings)
    console.result("extract", summary, render(summary), next_command(summary))
    return exit_code(summary)


def exit_code(summary: ExtractSummary) -> ExitCode:
    """Return DAMAGED (5), or PROBLEMS (3) if some records hold something that cannot be packed again."""
    if summary.damaged_ranges or summary.damaged_records:
        return ExitCode.DAMAGED
    return ExitCode.PROBLEMS if summary.problem_records else ExitCode.DONE


def next_command(summary: ExtractSummary) -> list[str]:
    """Return the command that packs or lists the images; after problems, the one that shows where they are.

    Of a damaged file it is the one that saves all whole records.
    """
    rec, out = path_word(summary.input), path_word(summary.out)
    if exit_code(summary) == ExitCode.DAMAGED:
        return recover_words(summary.input)
    if summary.problem_records:
        return ["im2rec", "inspect", rec, "--verify"]
    if summary.to == TAR and summary.shards:
        return ["tar", "-tf", str(Path(summary.out, shard_name(Path(summary.input).stem, 0)))]
    if summary.list_file is None:
        return ["im2rec", "inspect", rec, "--head", "3"]
    packed = "again.rec" if Path(summary.input).name == "out.rec" else "out.rec"
    words = ["im2rec", "pack", path_word(summary.list_file), out, packed, "unchanged=1"]
    return words + (["pack_label=1"] if summary.vectors else [])


def render(summary: ExtractSummary) -> str:
    """Return the summary as a table."""
    verb = "would extract" if summary.dry_run else "extracted"
    some = f"{summary.images:,} of " if summary.images < summary.all_images else ""
    head = f"{verb} {some}{counted(max(summary.images, summary.all_images), 'image')} of {summary.input}"
    table_rows = [
        *_damage(summary),
        ("resumed", f"after {counted(summary.resumed, 'record')} of an earlier run" if summary.resumed else ""),
        ("left out", ", ".join(f"{counted(count, 'record')} {why}" for why, count in summary.left_out.items())),
        *[("problem", _problem(why, count, summary)) for why, count in summary.problem_records.items()],
        ("packs as", _changes(summary)),
        ("classes", f"{summary.classes:,}" + (f", named by {summary.classes_file}" if summary.classes_file else "")),
        ("bytes", human_size(summary.bytes_out)),
        ("time", "" if summary.dry_run else f"{summary.seconds:.1f} s, {summary.images_per_s:,.0f} images/s"),
        ("would write" if summary.dry_run else "written", _written(summary)),
    ]
    return table(head, table_rows)


def _damage(summary: ExtractSummary) -> list[tuple[str, str]]:
    """Return rows on the damage of the file: what is lost, and the damaged ranges."""
    unread = summary.damaged_records
    rows = [
        (
            "damaged",
            f"{counted(unread, 'image')} left out, as reading all of the record showed damage" if unread else "",
        )
    ]
    if summary.damaged_ranges:
        lost = (
            "how many records are lost is unknown without an index"
            if summary.lost is None
            else f"{counted(summary.lost, 'record')} lost"
        )
        rows = [("damaged", "; ".join(filter(None, (lost, rows[0][1]))))]
        rows += range_rows(summary.damage, summary.damaged_ranges, summary.damaged_bytes, brief=True)
    return [*rows, doubtful_row(summary.doubtful)]


def _problem(why: str, count: int, summary: ExtractSummary) -> str:
    treatment = ""
    if why == NOT_AN_IMAGE:
        treatment = "; written as .bin" + (", not in the list" if summary.to == FOLDER else "")
    return f"{counted(count, 'record')}: {why}{treatment}"


def _changes(summary: ExtractSummary) -> str:
    """Return how records differ that pack makes of the files: in no image or label, but in bytes of their headers."""
    changes = ", ".join(f"{counted(count, 'record')} with {_CHANGES[why]}" for why, count in summary.changes.items())
    return f"the same images and labels, with other bytes in the header of {changes}" if changes else ""


def _written(summary: ExtractSummary) -> str:
    folder = summary.out + os.sep
    if summary.list_file:
        return f"{folder}, with {summary.list_file}"
    return f"{folder}, with {counted(summary.shards, 'shard')}" if summary.shards else folder
