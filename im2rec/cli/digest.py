"""The command ``im2rec digest``."""

from __future__ import annotations

from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.storage.digest import DigestSummary, digest_path, write_digest


@click.command("digest", cls=HelpCommand)
@click.argument("rec", type=PATH)
@click.option("--out", type=PATH, metavar="FILE", help="Write the digest to FILE [default: REC.digest].")
@common_options(writes=True)
def command(console: Console, rec: Path, out: Path | None, *, force: bool, dry_run: bool) -> ExitCode:
    """Write the hashes by which damage to a .rec is found.

    Reads REC once, and writes the SHA-256 of the whole file and of each 8 MiB of it, its size and its number of records
    to REC.digest. By these, inspect --verify finds every byte that changes later, and recover --repair-from takes what
    is good from a second copy. Exit code 5: REC is damaged already, and the digest is that of the damaged file.

    \b
    Example:
      im2rec digest train.rec
    """
    repeat_by(outputs=[digest_path(rec) if out is None else out])
    with console.progress("hashing", "record") as progress:
        summary = write_digest(rec, out, force=force, dry_run=dry_run, progress=progress)
    console.warn(summary.warnings)
    console.result("digest", summary, render(summary), next_command(summary))
    return exit_code(summary)


def exit_code(summary: DigestSummary) -> ExitCode:
    """Return DAMAGED (5) if bytes of the file are in no whole record."""
    return ExitCode.DAMAGED if summary.damaged_bytes else ExitCode.DONE


def next_command(summary: DigestSummary) -> list[str]:
    """Return the command that compares the file with a digest beside it; of a damaged file, that lists the damage."""
    is_beside = summary.files == [str(digest_path(summary.input))]
    verify = ["--verify"] if is_beside and not summary.damaged_bytes else []
    return ["im2rec", "inspect", path_word(summary.input), *verify]


def render(summary: DigestSummary) -> str:
    """Return the summary as a table."""
    blocks = f"{counted(summary.blocks, 'block')} of {summary.block_bytes >> 20} MiB"
    if summary.dry_run:
        return table(
            f"would hash {human_size(summary.size)} of {summary.input}",
            [("hashes", blocks), ("would write", ", ".join(summary.files))],
        )
    damaged = f"{counted(summary.damaged_bytes or 0, 'byte')} in no whole record" if summary.damaged_bytes else ""
    rows = [
        ("damaged", damaged),
        ("sha256", summary.sha256 or ""),
        ("hashes", blocks),
        ("time", f"{summary.seconds:.1f} s, {human_size(summary.bytes_per_s)}/s"),
        ("written", ", ".join(summary.files)),
    ]
    records = counted(summary.records or 0, "record")
    return table(f"{summary.input}: {records}, {human_size(summary.size)}", rows)
