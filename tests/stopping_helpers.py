"""Runs that are ended in the middle of their writing."""

from __future__ import annotations

import subprocess
import sys

# Sends a signal at a write to a file, or when a file gets its name.
AT_STEP = """
import os, signal, sys
from im2rec.rewriting import copying
copying._BATCH_BYTES = 100
from im2rec.storage import output
from im2rec.storage.output import AtomicFile
name, number = sys.argv[1], getattr(signal, sys.argv[2])
def ending(real):
    def step(first, *rest, **named):
        done = real(first, *rest, **named)
        if getattr(first, "path", first).name == name: os.kill(os.getpid(), number)
        return done
    return step
if sys.argv[3] == "write": AtomicFile.write = ending(AtomicFile.write)
else: output.give_name = ending(output.give_name)
from im2rec.cli import main
main(sys.argv[4:])
"""


def stopped(step: tuple[str, str, str], words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run im2rec with *words*; *step* is the name of a file, a signal, and ``write`` or ``name``."""
    return subprocess.run([sys.executable, "-c", AT_STEP, *step, *words], capture_output=True, text=True, check=False)
