"""The command ``im2rec index``."""

from __future__ import annotations

from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.recovery.reindex import BY_ID, BY_ORDINAL, write_index
from im2rec.recovery.report import IndexSummary
from im2rec.storage.companions import DALI, find_index
from im2rec.storage.damaged_range import named_range

_FEW_RANGES = 2  # the whole table has a dozen lines


@click.command("index", cls=HelpCommand)
@click.argument("rec", type=PATH)
@click.option("--out", type=PATH, metavar="FILE", help="The index to write [default: X.idx for X.rec].")
@click.option(
    "--keys",
    type=click.Choice([BY_ID, BY_ORDINAL]),
    default=BY_ID,
    show_default=True,
    help="Number the records by their ids, as im2rec.py does, or by their place, as rec2idx.py does.",
)
@click.option(
    "--for",
    "reader",
    type=click.Choice([DALI]),
    help="Leave out records without an image, such as those of InsightFace's sets; the default name is X.dali.idx.",
)
@common_options(writes=True)
def command(
    console: Console, rec: Path, out: Path | None, keys: str, reader: str | None, force: bool, dry_run: bool
) -> ExitCode:
    """Write the index of a .rec anew.

    Writes a line for every whole record of REC: its key, and the byte at which it starts. Exit code 5: REC is damaged,
    and the index lists what is whole.

    \b
    Example:
      im2rec index train.rec
      im2rec index faces.rec --for dali
    """
    if not dry_run:
        repeat_by(outputs=[out])
    with console.progress("indexing", "record") as progress:
        summary = write_index(rec, out, keys=keys, reader=reader, force=force, dry_run=dry_run, progress=progress)
    console.warn(summary.warnings)
    console.result("index", summary, render(summary), next_command(summary))
    return exit_code(summary)


def exit_code(summary: IndexSummary) -> ExitCode:
    """Return DAMAGED (5) if the file is damaged."""
    return ExitCode.DAMAGED if summary.damage else ExitCode.DONE


def next_command(summary: IndexSummary) -> list[str]:
    """Return the command that compares the index with the file; for a damaged one, that which saves its records."""
    rec = path_word(summary.input)
    if summary.damage:
        return ["im2rec", "recover", rec, "saved.rec" if Path(rec).name != "saved.rec" else "out.rec"]
    is_found = find_index(summary.input) == Path(summary.out)
    return ["im2rec", "inspect", rec, *([] if is_found else ["--idx", path_word(summary.out)])]


def render(summary: IndexSummary) -> str:
    """Return the summary as a table of a dozen lines."""
    verb = "would list" if summary.dry_run else "listed"
    rows = [
        ("keys", summary.key_kind),
        ("left out", ", ".join(f"{counted(count, 'record')} {why}" for why, count in summary.left_out.items())),
        ("doubtful", f"{counted(summary.doubtful, 'record')} at damage, listed too" if summary.doubtful else ""),
        *_damage(summary),
        ("bytes", human_size(summary.bytes_out) if summary.bytes_out else ""),
        ("time", "" if summary.dry_run else f"{summary.seconds:.1f} s"),
        ("would write" if summary.dry_run else "written", summary.out),
    ]
    some = f"{summary.listed:,} of " if summary.listed < summary.records else ""
    return table(f"{verb} {some}{counted(summary.records, 'record')} of {summary.input}", rows)


def _damage(summary: IndexSummary) -> list[tuple[str, str]]:
    found = summary.damage
    rows = [("damaged", named_range(bad)) for bad in found[: _FEW_RANGES if len(found) <= _FEW_RANGES else 1]]
    total = f"{summary.damaged_ranges:,} damaged ranges, {human_size(summary.damaged_bytes)}; --json lists them"
    return [*rows, ("in all", total if len(found) > _FEW_RANGES else "")]
