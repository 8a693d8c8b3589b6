"""The command ``im2rec compile``."""

from __future__ import annotations

import dataclasses
import time

import click

from im2rec.cli.console import Console, common_options, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.errors import Im2RecError
from im2rec.jpeg import background
from im2rec.schema import DRY_RUN, KERNEL, SECONDS, described


@dataclasses.dataclass
class CompileSummary:
    """The result of compiling the decoder; with *dry_run*, what would be done."""

    kernel: str = described(KERNEL)
    compiled: bool = described("Whether it was compiled by this run; false if it had been before.")
    seconds: float = described(SECONDS)
    cache: str = described("The folder that keeps the compiled code.")
    dry_run: bool = described(DRY_RUN)


@click.command("compile")
@common_options(writes=True)
def command(console: Console, force: bool, dry_run: bool) -> ExitCode:
    """Compile the JPEG decoder ahead of its first use.

    The decoder of im2rec[fast] decodes only the crop, straight into the batch: the same pixels in half the time. It is
    compiled once per machine. A training program that reads many images compiles it in the background, so this command
    is for programs that need it from the start, and for the build of a container image.

    The code is kept in $NUMBA_CACHE_DIR, else beside im2rec itself if that folder is writable, else in $IM2REC_CACHE or
    the user's cache. It is found there, also when the folder is read-only, by the same versions of im2rec, numba and
    Python on the same kind of CPU. --force compiles it again.
    """
    background.become_background()
    # After become_background(), which must come first in a background process, because this imports numpy.
    from im2rec.jpeg.loading import compile_ahead  # noqa: PLC0415

    start = time.perf_counter()
    try:
        done = compile_ahead(force=force, dry_run=dry_run, tell=console.info)
    except Im2RecError as error:
        raise Im2RecError(f"the decoder cannot be compiled: {error.problem}", hint=error.hint) from error
    seconds = round(time.perf_counter() - start, 3)
    summary = CompileSummary(done.name, done.compiled, seconds, str(done.folder), dry_run)
    console.result("compile", summary, render(summary), next_command(summary))
    return ExitCode.DONE


def next_command(_summary: CompileSummary) -> list[str]:
    """Return the command that shows how fast it is."""
    return ["im2rec", "bench"]


def render(summary: CompileSummary) -> str:
    """Return the summary as a table."""
    if not summary.compiled:
        head = "the JPEG decoder is compiled already"
    else:
        head = "would compile the JPEG decoder" if summary.dry_run else "compiled the JPEG decoder"
    took = f", {'compiled' if summary.compiled else 'loaded'} in {summary.seconds:.1f} s"
    lines = [
        ("kernel", summary.kernel + ("" if summary.dry_run else took)),
        ("would keep" if summary.dry_run and summary.compiled else "kept", f"in {summary.cache}"),
    ]
    return table(head, lines)
