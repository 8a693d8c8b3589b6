"""Keep off the terminal what image libraries print: libtiff, libpng and OpenCV write to descriptor 2 themselves.

Only processes of our own use this: the command line, and worker processes. The descriptors of a program that uses
im2rec as a library are left alone.
"""

from __future__ import annotations

import os
import sys

SHOW_VARIABLE = "IM2REC_DEBUG"  # in the environment, so that workers know of --debug; not empty: everything is shown
_STDERR = 2


def hide_library_output() -> None:
    """Discard all that libraries print on descriptor 2, from now on and also in processes that are started later.

    ``sys.stderr`` gets a descriptor of its own, so that messages, tracebacks and those of faulthandler are shown as
    before. Nothing changes where ``sys.stderr`` is not descriptor 2, or if ``IM2REC_DEBUG`` is set.
    """
    stream = sys.stderr
    try:
        if os.environ.get(SHOW_VARIABLE) or stream.fileno() != _STDERR:
            return
        shown, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    except (AttributeError, OSError):  # no stream, not one of a file, or no descriptor left
        return
    import faulthandler  # noqa: PLC0415 - imported only here: every command starts with this module

    stream.flush()
    # closefd=False: the descriptor lives as long as the process, and so do handlers of logging that hold the stream.
    sys.stderr = open(  # noqa: SIM115
        shown, "w", buffering=1, encoding=stream.encoding, errors=stream.errors, closefd=False
    )
    os.dup2(nowhere, _STDERR)  # only now: an interrupt before would print its line on the stream that has just gone
    os.close(nowhere)
    if faulthandler.is_enabled():
        faulthandler.enable(sys.stderr)
