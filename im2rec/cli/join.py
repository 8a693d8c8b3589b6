"""The command ``im2rec join``."""

from __future__ import annotations

from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, digest_option, path_word, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.packing.join import JoinSummary, join, outputs_of


@click.command("join", cls=HelpCommand)
@click.argument("parts", metavar="PART...", nargs=-1, required=True, type=PATH)
@click.argument("out", type=PATH)
@digest_option
@common_options(writes=True)
def command(console: Console, parts: tuple[Path, ...], out: Path, digest: bool, force: bool, dry_run: bool) -> ExitCode:
    """Join the parts of one pack into one .rec and its index.

    PART... are the files that 'im2rec pack' with nsplit= wrote, on one machine or on several, in any order; files
    beside them are left out, so that a pattern may name all. The part files beside them (.json) tell whether all
    parts are there, whole, and of the same list and keys. OUT, its index and OUT.bad.jsonl are, byte for byte, those of
    one run without nsplit=. Exit code 3: images were left out when the parts were packed.

    \b
    Example:
      im2rec join out.rec.part* out.rec
    """
    if not dry_run:
        repeat_by(outputs=outputs_of(out))
    with console.progress("joining", "record") as progress:
        summary = join(parts, out, force=force, digest=digest, dry_run=dry_run, progress=progress)
    console.warn(summary.warnings)
    console.result("join", summary, render(summary), next_command(summary))
    return exit_code(summary)


def exit_code(summary: JoinSummary) -> ExitCode:
    """Return PROBLEMS (3) if images were left out when the parts were packed."""
    return ExitCode.PROBLEMS if summary.bad else ExitCode.DONE


def next_command(summary: JoinSummary) -> list[str]:
    """Return the command that inspects the result; if images were left out, the one that shows the report of them."""
    if summary.report:
        return ["cat", path_word(summary.report)]
    return ["im2rec", "inspect", path_word(summary.out)]


def render(summary: JoinSummary) -> str:
    """Return the summary as a table."""
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in summary.bad.items())
    report = f"; all in {summary.report}" if summary.report else ""
    rows = [
        ("left out", f"{left_out} when the parts were packed{report}" if left_out else ""),
        ("bytes", human_size(summary.bytes_out)),
        ("time", "" if summary.dry_run else f"{summary.seconds:.1f} s"),
        ("would write" if summary.dry_run else "written", ", ".join(summary.files)),
    ]
    verb = "would join" if summary.dry_run else "joined"
    return table(f"{verb} {counted(summary.records, 'record')} of {counted(len(summary.inputs), 'part')}", rows)
