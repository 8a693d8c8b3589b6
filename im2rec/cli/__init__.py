"""The command line: the group of commands, one module for each, and what all of them share."""

from __future__ import annotations

import os
import sys

from im2rec.cli.interrupts import TerminatedError, exit_at_start, ignore_signals, take_over_signals

_WORKER_MODULES = ("im2rec.packing.pack", "im2rec.packing.encode", "im2rec.images.opencv")  # that packing needs
_PACK_COMMAND = r"(pack|[^\n]*\.lst)\n"
_WITHOUT_WORKERS = r"\n(-h|--help|--dry-run|unchanged=1)\n"


def main(words: list[str] | None = None) -> None:
    """Run the command line on *words*, by default the arguments of the program, and exit with its code.

    Signals are taken over first and never given back, as the program ends with this call. Before anything else is
    imported, a worker process for packing is prepared: it takes longest to be ready.
    """
    given = sys.argv[1:] if words is None else words
    try:
        take_over_signals()
        import atexit  # noqa: PLC0415 - only now are the signals taken over

        atexit.register(ignore_signals)
        _fill_standard_descriptors()
        # Starting numpy's threads takes 0.08 s, and nothing uses them.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        if words is None:  # the process is ours, and does not belong to a program that calls this function
            _hide_library_output(show="--debug" in given)
            if _needs_workers(given):
                from im2rec.workers import start_fork_server  # noqa: PLC0415

                start_fork_server(*_WORKER_MODULES)
        import gc  # noqa: PLC0415

        from im2rec.cli.group import main as run  # noqa: PLC0415

        atexit.register(gc.freeze)  # without it, the last collection walks all modules, which takes 10 ms
        run(given)
    except (KeyboardInterrupt, TerminatedError) as interrupt:  # before the command began, or after it ended
        exit_at_start(interrupt, given)


def _fill_standard_descriptors() -> None:
    """Open the null device as each of the descriptors 0, 1 and 2 that is closed (``>&-``).

    Otherwise the next file that is opened would get the number, an output for example, and what a library prints would
    be written into it.
    """
    opened = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    while opened <= 2:
        os.set_inheritable(opened, True)
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)


def _hide_library_output(*, show: bool) -> None:
    """Discard what libraries print on descriptor 2, here and in workers, unless *show*."""
    from im2rec.library_output import SHOW_VARIABLE, hide_library_output  # noqa: PLC0415 - as in _needs_workers()

    if show:
        os.environ[SHOW_VARIABLE] = "1"
    hide_library_output()


def _needs_workers(words: list[str]) -> bool:
    """Guess from *words* whether worker processes will be needed; a wrong guess costs time and nothing else."""
    import re  # noqa: PLC0415 - as atexit

    line = "\n".join([*words, ""])
    return bool(re.match(_PACK_COMMAND, line, re.IGNORECASE)) and not re.search(_WITHOUT_WORKERS, line)
