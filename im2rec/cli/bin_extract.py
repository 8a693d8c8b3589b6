"""The command ``im2rec bin extract``."""

from __future__ import annotations

from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.verification.extract import BinExtractSummary, extract_bin


@click.command("extract", cls=HelpCommand)
@click.argument("path", metavar="FILE.bin", type=PATH)
@click.argument("out", metavar="DIR", type=PATH)
@common_options(writes=True)
def command(console: Console, path: Path, out: Path, force: bool, dry_run: bool) -> ExitCode:
    """Write the images of a verification file to a folder.

    Writes the images of FILE.bin, byte for byte as they are stored, to the new folder DIR: 000000_1.jpg and
    000000_2.jpg are pair 0, the first one. An image of several pairs is written once, under the first of its names.
    DIR/pairs.txt has a line for each pair, with the two names and 1 for the same person or 0: 'im2rec bin make' makes
    a verification file of it again. Exit code 3: some contents are no images that can be read.

    \b
    Example:
      im2rec bin extract lfw.bin lfw
    """
    if not dry_run:
        repeat_by(outputs=[out])
    with console.progress("extracting", "image") as progress:
        summary = extract_bin(path, out, force=force, dry_run=dry_run, progress=progress)
    console.warn(summary.warnings)
    console.result("bin extract", summary, render(summary), next_command(summary))
    return exit_code(summary)


def exit_code(summary: BinExtractSummary) -> ExitCode:
    """Return PROBLEMS (3) if some contents are no images that can be read."""
    return ExitCode.PROBLEMS if summary.damaged else ExitCode.DONE


def next_command(summary: BinExtractSummary) -> list[str]:
    """Return the command that makes a file of the folder again; after problems, the one that names them all."""
    if summary.damaged:
        return ["im2rec", "bin", "verify", path_word(summary.input)]
    folder = Path(summary.pair_list).parent
    out = folder.with_name(f"{folder.name}_again.bin")
    return ["im2rec", "bin", "make", *(path_word(str(path)) for path in (summary.pair_list, folder, out))]


def render(summary: BinExtractSummary) -> str:
    """Return the summary as a table."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in summary.kinds.items())
    files = f"{kinds} {'file' if summary.images == 1 else 'files'}"
    rows = [
        ("pairs", f"{summary.same:,} same, {summary.different:,} different"),
        ("images", f"{files} for {2 * summary.pairs:,} images of pairs" if summary.reused else files),
        ("bytes", human_size(summary.bytes_out)),
        ("list", summary.pair_list),
        ("time", "" if summary.dry_run else f"{summary.seconds:.1f} s"),
        ("would write" if summary.dry_run else "written", ", ".join(summary.files)),
    ]
    verb = "would extract" if summary.dry_run else "extracted"
    return table(f"{verb} {counted(summary.pairs, 'pair')} of {summary.input}", rows)
