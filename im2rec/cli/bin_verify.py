"""The command ``im2rec bin verify``."""

from __future__ import annotations

from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.errors import counted
from im2rec.verification.check import BinCheck, named_reasons, verify_bin

_MAX_FAILURES = 3
_MAX_SIZES = 3
_LINES = 12  # of the table


@click.command("verify", cls=HelpCommand)
@click.argument("file", metavar="FILE", type=PATH)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Number of processes that decode [default: all CPUs]."
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    metavar="N",
    help="Decode no image of more than N pixels [default: none that needs more than 1 GiB].",
)
@common_options(writes=False)
def command(console: Console, file: Path, workers: int | None, max_pixels: int | None) -> ExitCode:
    """Decode every image of a verification file, and check its pairs.

    Looked for is what published evaluation makes trouble with: images of different sizes or that are not square, fewer
    than ten pairs, a number of pairs that ten does not divide, folds without pairs of both kinds, pairs that are there
    twice. Exit code 3: there are problems, or images that cannot be decoded; 4: FILE is no verification file. Pairs are
    numbered from 0, as in im2rec.open_bin(FILE)[0].

    \b
    Example:
      im2rec bin verify lfw.bin
    """
    with console.progress("verifying", "image") as progress:
        check = verify_bin(file, workers=workers, max_pixels=max_pixels, progress=progress)
    console.result("bin verify", check, render(check), next_command(check))
    return exit_code(check)


def exit_code(check: BinCheck) -> ExitCode:
    """Return PROBLEMS (3) if there are problems, or images that cannot be decoded."""
    return ExitCode.PROBLEMS if check.findings or check.undecodable else ExitCode.DONE


def next_command(check: BinCheck) -> list[str]:
    """Return the command that shows the content of the file; where images fail, the one that has all numbers."""
    name = path_word(check.input)
    if len(check.undecodable) > 1:
        return ["im2rec", "bin", "verify", name, "--json"]
    return ["im2rec", "bin", "list", name]


def render(check: BinCheck) -> str:
    """Return the result as a table."""
    sizes = list(check.sizes)[:_MAX_SIZES]
    rest = len(check.sizes) - len(sizes)
    sizes_text = ", ".join(sizes) + (f" and {counted(rest, 'more size')}" if rest else "")
    decoded = f"{check.decoded:,} of {check.images:,}" + (f": {sizes_text}" if sizes else "")
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in named_reasons(check.undecodable).items())
    first_rows = [
        ("decoded", decoded),
        ("flaws", ", ".join(f"{count:,} {flaw}" for flaw, count in check.flaws.items())),
        ("failed", reasons),
    ]
    failures = [f"pair {each.pair:,}, {each.side} image: {each.detail}" for each in check.undecodable[:_MAX_FAILURES]]
    found = len(check.findings) + bool(check.undecodable)
    head = f"{check.input}: {counted(check.pairs, 'pair')}, {counted(found, 'problem') if found else 'sound'}"
    # Failures first, then problems are left out until the table is short enough.
    for left_out in range(len(failures) + len(check.findings) + 1):
        texts = failures[: max(0, len(failures) - left_out)]
        problems = check.findings[: min(len(check.findings), len(failures) + len(check.findings) - left_out)]
        rest = len(check.findings) - len(problems)
        rows = [("problem" if not number else "", each.text) for number, each in enumerate(problems)]
        rows += [("", f"and {counted(rest, 'more', 'more')}: --json has all")] if rest else []
        text = table(head, [*first_rows, *(("", each) for each in texts), *rows])
        if text.count("\n") < _LINES:
            break
    return text
