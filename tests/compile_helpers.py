"""What the tests of compiling share: a stand-in for the process that compiles, and the one compilation of them all."""

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
# Keeps the lock of its folder until it is ended; the lock then tells that it is gone.
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
# The words after the folder are im2rec's; the folder is the only one for compiled code.
ONLY_FOLDER = """
import sys
from pathlib import Path
from im2rec.jpeg import cache
cache.folders = lambda: [Path(sys.argv[1])]
"""
ONLY_THERE = ONLY_FOLDER + "from im2rec.cli import main; main(sys.argv[2:])"


def stand_in(folder: Path) -> list[str]:
    return [sys.executable, "-c", STAND_IN, str(folder)]


def pid_of(folder: Path) -> int:
    """The id of the stand-in of *folder*, when it has its lock."""
    until((folder / "pid").exists, "the stand-in to start")
    return int((folder / "pid").read_text())


def wait_for_its_end(folder: Path) -> None:
    """Wait until the stand-in of *folder* is gone, and be sure that it was ended."""
    with cache.locked(folder, lambda: None):
        assert not (folder / "left alone").exists()


def only_there(folder: Path, *words: str) -> list[str]:
    """The command line of im2rec with *folder* as the only one for compiled code."""
    return [sys.executable, "-c", ONLY_THERE, str(folder), *words]


def python(code: str, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """*code* run as a program, with warnings as errors."""
    line = [sys.executable, "-W", "error", "-c", code, *map(str, words)]
    where = {**os.environ, "PYTHONPATH": ROOT, **options.pop("environment", {})}
    return subprocess.run(line, env=where, capture_output=True, text=True, timeout=60, **options)


def compile_at_once(folder: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """How im2rec with *words* ended, started while the process in the background compiles; which has ended too."""
    work = BackgroundCompile(only_there(folder, "compile"))
    work.begin()
    until(lambda: list(folder.glob("*.lock")), "the first to have the lock")
    second = subprocess.run(only_there(folder, *words), capture_output=True, text=True, timeout=120)
    until(work.has_finished, "the first to end")
    return second
