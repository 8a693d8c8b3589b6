"""Helpers for tests of compiling: a stand-in for the process that compiles, and im2rec with a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from image_helpers import until

from im2rec.jpeg import cache
from im2rec.jpeg.background import BackgroundCompile

ROOT = str(Path(cache.__file__).parents[2])
# Holds the lock of its folder until it is ended: after that the lock can be taken.
STAND_IN = """
import os, signal, sys, time
from pathlib import Path
from im2rec.jpeg import background, cache
background.become_background()
niceness = os.nice(0) if hasattr(os, "nice") else 0
folder = Path(sys.argv[1])
with cache.locked(folder, lambda: None):
    (folder / "how").write_text(f"{signal.getsignal(signal.SIGINT) is signal.SIG_IGN} {niceness}")
    (folder / "pid.tmp").write_text(str(os.getpid()))
    (folder / "pid.tmp").replace(folder / "pid")
    time.sleep(60)
    (folder / "left alone").touch()
"""
# The first word is the only folder for compiled code, the others are the command line of im2rec.
ONLY_FOLDER = """
import sys
from pathlib import Path
from im2rec.jpeg import cache
cache.folders = lambda: [Path(sys.argv[1])]
"""
ONLY_THERE = ONLY_FOLDER + "from im2rec.cli import main; main(sys.argv[2:])"


def stand_in(folder: Path) -> list[str]:
    """The command line of the stand-in for *folder*."""
    return [sys.executable, "-c", STAND_IN, str(folder)]


def pid_of(folder: Path) -> int:
    """The process id of the stand-in for *folder*; waits until it has the lock."""
    until((folder / "pid").exists, "the stand-in to start")
    return int((folder / "pid").read_text())


def wait_for_its_end(folder: Path) -> None:
    """Wait until the stand-in for *folder* has ended, and check that it was ended before its time."""
    with cache.locked(folder, lambda: None):
        assert not (folder / "left alone").exists()


def only_there(folder: Path, *words: str) -> list[str]:
    """The command line of im2rec with *folder* as the only one for compiled code."""
    return [sys.executable, "-c", ONLY_THERE, str(folder), *words]


def python(code: str, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run *code* as a program, with warnings as errors."""
    line = [sys.executable, "-W", "error", "-c", code, *map(str, words)]
    where = {**os.environ, "PYTHONPATH": ROOT, **options.pop("environment", {})}
    return subprocess.run(line, env=where, capture_output=True, text=True, timeout=60, **options)


def compile_at_once(folder: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run im2rec with *words* while another process compiles in the background; return its result when both ended."""
    work = BackgroundCompile(only_there(folder, "compile"))
    work.begin()
    until(lambda: list(folder.glob("*.lock")), "the first to have the lock")
    second = subprocess.run(only_there(folder, *words), capture_output=True, text=True, timeout=120)
    until(work.has_finished, "the first to end")
    return second
