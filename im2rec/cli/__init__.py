"""The command line: the group of commands, one module for each, and what all of them share."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys

from im2rec.library_output import SHOW_VARIABLE, hide_library_output

_WORKER_MODULES = ("im2rec.packing.pack", "im2rec.packing.encode", "im2rec.images.opencv")  # that packing needs
_INTERRUPTED = 130  # ExitCode.INTERRUPTED: the module of the exit codes may not be imported yet
_PACK_COMMAND = re.compile(r"(pack|[^\n]*\.lst)\n", re.IGNORECASE)
_WITHOUT_WORKERS = re.compile(r"\n(-h|--help|--dry-run|--workers[=\n]1|unchanged=1)\n")


def main(words: list[str] | None = None) -> None:
    """Run the command line on *words*, by default the arguments of the program, and exit with its code.

    Before anything else is imported, a worker process for packing is prepared: it takes longest to be ready.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # starting numpy's threads takes 0.08 s, and nothing uses them
    if words is None:  # the process is ours, and does not belong to a program that calls this function
        if "--debug" in sys.argv:
            os.environ[SHOW_VARIABLE] = "1"
        hide_library_output()
    try:
        if words is None and _needs_workers(sys.argv[1:]):
            from im2rec.workers import start_fork_server  # noqa: PLC0415

            start_fork_server(*_WORKER_MODULES)
        from im2rec.cli.group import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    atexit.register(gc.freeze)  # without it, the last collection walks all modules, which takes 10 ms
    run(words)


def _needs_workers(words: list[str]) -> bool:
    """Guess from *words* whether worker processes will be needed; a wrong guess costs time and nothing else."""
    line = "\n".join([*words, ""])
    return bool(_PACK_COMMAND.match(line)) and not _WITHOUT_WORKERS.search(line)
