"""``im2rec compile``."""

from __future__ import annotations

import dataclasses
import time

import click

from im2rec.cli.console import Console, common_options, table
from im2rec.cli.exit_codes import DONE
from im2rec.errors import Im2RecError
from im2rec.jpeg import background


@dataclasses.dataclass
class CompileSummary:
    """How the decoder came to be compiled; with *dry_run*, what would be done."""

    kernel: str
    compiled: bool  # by this run: False where it was there
    seconds: float
    cache: str
    dry_run: bool


@click.command("compile")
@common_options(writes=True)
def command(console: Console, force: bool, dry_run: bool) -> int:
    """The JPEG decoder, ahead of its first use.

    Compiles the decoder that im2rec[fast] brings, once for each machine: it decodes only the crop, straight into the
    batch, the same pixels in half the time. A training program that reads many images has it compiled beside it, so
    this is for those that should have it from the start: run it where a container image is built, say.

    The code is kept in $NUMBA_CACHE_DIR, else beside im2rec itself where that can be written to, else in $IM2REC_CACHE
    or the user's cache. It is found again in all of them, also where they can only be read, by the same version of
    im2rec, numba and Python on the same kind of CPU. --force compiles it once more.
    """
    background.attend()
    # It imports numpy, and for the process in the background attend() comes first.
    from im2rec.jpeg.loading import compile_ahead  # noqa: PLC0415

    begun = time.perf_counter()
    try:
        done = compile_ahead(anew=force, dry_run=dry_run, tell=console.tell)
    except Im2RecError as error:
        raise Im2RecError(f"the decoder cannot be compiled: {error.problem}", hint=error.hint) from error
    seconds = round(time.perf_counter() - begun, 3)
    summary = CompileSummary(done.name, done.compiled, seconds, str(done.folder), dry_run)
    console.result("compile", summary, render(summary))
    return DONE


def render(summary: CompileSummary) -> str:
    """The summary as a person reads it."""
    if not summary.compiled:
        head = "the JPEG decoder is compiled already"
    else:
        head = "would compile the JPEG decoder" if summary.dry_run else "compiled the JPEG decoder"
    took = f", {'compiled' if summary.compiled else 'loaded'} in {summary.seconds:.1f} s"
    lines = [
        ("kernel", summary.kernel + ("" if summary.dry_run else took)),
        ("would keep" if summary.dry_run and summary.compiled else "kept", f"in {summary.cache}"),
    ]
    return table(head, lines, None if summary.dry_run else ["im2rec", "bench"])
