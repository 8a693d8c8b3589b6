"""The command line: the group of commands, and what every one of them has in common."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys

_PACKING = ("im2rec.packing.pack", "im2rec.packing.encode", "im2rec.images.opencv")  # what a process that packs imports
_INTERRUPTED = 130  # as in im2rec.cli.exit_codes, which is not there yet
_PACKS = re.compile(r"(pack|[^\n]*\.lst)\n", re.IGNORECASE)
_ALONE = re.compile(r"\n(-h|--help|--dry-run|--workers[=\n]1|unchanged=1)\n")


def main(words: list[str] | None = None) -> None:
    """Run the command line on *words* (default: those the program was started with) and exit with its code.

    Processes that pack take longer to be ready than all the rest, so a program begins by preparing them.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # starting numpy's own threads takes 0.08 s; none is of use here
    try:
        if words is None and _needs_workers(sys.argv[1:]):
            from im2rec.workers import prepare  # noqa: PLC0415

            prepare(*_PACKING)
        from im2rec.cli.group import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    atexit.register(gc.freeze)  # looking for garbage among all modules takes 10 ms
    run(words)


def _needs_workers(words: list[str]) -> bool:
    """Whether *words* will ask for processes: a guess, as a wrong one costs nothing but time."""
    line = "\n".join([*words, ""])
    return bool(_PACKS.match(line)) and not _ALONE.search(line)
