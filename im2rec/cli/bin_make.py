"""The command ``im2rec bin make``."""

from __future__ import annotations

from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.format.pairlist import FORMS
from im2rec.verification.make import BinMakeSummary, make_bin

_SIZES = 3  # shown


@click.command("make", cls=HelpCommand)
@click.argument("pair_list", metavar="LIST", type=PATH)
@click.argument("root", type=PATH)
@click.argument("out", metavar="OUT.bin", type=PATH)
@click.option("--form", type=click.Choice(FORMS), help="Form of LIST [default: the one that fits all of its lines].")
@common_options(writes=True)
def command(
    console: Console, pair_list: Path, root: Path, out: Path, form: str | None, force: bool, dry_run: bool
) -> ExitCode:
    """Make a verification file from a list of pairs.

    LIST names pairs of images below ROOT, in one of these forms:

    \b
      lfw        name n1 n2, or name1 n1 name2 n2: ROOT/name/name_0001.jpg (or
                 .png, .jpeg); the first line may say 'sets pairs' or 'pairs'
      labels     path1 path2 1 (same person) or 0; TABs allow blanks in paths
      two-lines  path label; a line an image, two a pair; 0: different persons
      csv        path1,path2,same with 1 or 0; a first line of names may be there

    The image files are stored as they are: faces are not aligned, cropped or scaled, so give it the aligned ones.
    Pairs keep the order of LIST, which decides the ten folds of an evaluation. If an image is missing or none, nothing
    is written.

    \b
    Example:
      im2rec bin make pairs.txt lfw_112x112 lfw.bin
    """
    if not dry_run:
        repeat_by(outputs=[out])
    with console.progress("checking", "image") as progress:
        summary = make_bin(pair_list, root, out, form=form, force=force, dry_run=dry_run, progress=progress)
    console.warn(summary.warnings)
    console.result("bin make", summary, render(summary), next_command(summary))
    return exit_code(summary)


def exit_code(_summary: BinMakeSummary) -> ExitCode:
    """Return DONE: whatever is wrong with an image ends the command, and the rest is warned of."""
    return ExitCode.DONE


def next_command(summary: BinMakeSummary) -> list[str]:
    """Return the command that shows what is in the file."""
    return ["im2rec", "bin", "list", path_word(summary.out)]


def render(summary: BinMakeSummary) -> str:
    """Return the summary as a table."""
    sizes = [size if len(summary.sizes) == 1 else f"{count:,} {size}" for size, count in summary.sizes.items()]
    more = [f"{counted(len(sizes) - _SIZES, 'other size')}"] if len(sizes) > _SIZES else []
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in summary.kinds.items())
    rows = [
        ("list", f"{summary.form}: {summary.input}"),
        ("pairs", f"{summary.same:,} same, {summary.different:,} different"),
        ("images", f"{kinds} {'file' if summary.images == 1 else 'files'}"),
        ("pixels", f"{', '.join([*sizes[:_SIZES], *more])}; stored as they are, not aligned"),
        ("bytes", human_size(summary.bytes_in if summary.dry_run else summary.bytes_out)),
        ("time", "" if summary.dry_run else f"{summary.seconds:.1f} s"),
        ("would write" if summary.dry_run else "written", ", ".join(summary.files)),
    ]
    return table(f"{'would make' if summary.dry_run else 'made'} {counted(summary.pairs, 'pair')}", rows)
