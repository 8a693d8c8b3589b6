"""Run ``im2rec`` with images on a slow disk, and kill it with SIGKILL at its N-th step in the folder of its output.

    python tests/faults/torture_steps.py all|names N before|after LOG OUT ROOT SECONDS WORDS...

A step changes a name in the folder OUT or waits for the disk. They are counted in the program's own process, with
*names* only the former, whose number does not depend on time. LOG gets a line for each one that begins; N 0 is none.
To open a file below ROOT takes SECONDS.
"""

from __future__ import annotations

import os
import pathlib
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("rename", "replace", "link", "unlink", "remove")
STEPS = (*NAMES, "open", "fsync", "fdatasync", "ftruncate", "truncate")
KILL = 9


accessor = getattr(pathlib, "_normal_accessor", None)  # of Python 3.10, whose Path has functions of os copied


class Killer:
    """Counts steps and kills this process at one of them."""

    def __init__(self, counted: str, number: int, when: str, log: str, folder: str) -> None:
        self.steps = NAMES if counted == "names" else STEPS
        self.number, self.when, self.folder = number, when, Path(folder).absolute()
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self.pid, self.count = os.getpid(), 0

    def counted(self, name: str) -> None:
        """Put a function that counts in the place of that of the module ``os``."""
        real = getattr(os, name)

        def step(*args: Any, **options: Any) -> Any:
            what = self.named(args)
            makes = name != "open" or args[1] & os.O_CREAT
            if os.getpid() != self.pid or what is None or not makes:
                return real(*args, **options)
            self.count += name in self.steps
            os.write(self.log, f"{self.count} {name} {what}\n".encode())
            is_due = self.count == self.number and name in self.steps
            if is_due and self.when == "before":
                os.kill(self.pid, KILL)
            result = real(*args, **options)
            if is_due:
                os.kill(self.pid, KILL)
            return result

        setattr(os, name, step)
        if hasattr(accessor, name):
            setattr(accessor, name, step)

    def named(self, args: tuple[Any, ...]) -> str | None:
        """Return the names of the files in the folder that *args* are; None if there are others."""
        names = []
        for path in args:
            if isinstance(path, int):
                names.append("")
                continue
            if not isinstance(path, (str, bytes, os.PathLike)):
                return None
            whole = Path(os.fsdecode(path)).absolute()
            if whole != self.folder and self.folder not in whole.parents:
                return None
            names.append(whole.name)
        return " ".join(names)


def slow_down(root: str, seconds: float) -> None:
    """Have ``os.open`` wait for *seconds* at each file below *root*, in forked workers, too."""
    real = os.open

    def slow(path: Any, *args: Any, **options: Any) -> int:
        if isinstance(path, (str, os.PathLike)) and Path(root) in Path(path).parents:
            time.sleep(seconds)
        return real(path, *args, **options)

    os.open = slow


def run(arguments: list[str]) -> None:
    """Run im2rec by the *arguments* of this program."""
    counted, number, when, log, folder, root, seconds, *words = arguments
    killer = Killer(counted, int(number), when, log, folder)
    for name in STEPS:
        if hasattr(os, name):
            killer.counted(name)
    if float(seconds):
        slow_down(root, float(seconds))
    sys.argv = ["im2rec", *words]
    sys.path.pop(0)  # this folder
    from im2rec.cli import main  # noqa: PLC0415 - after the functions have been replaced

    main()


if __name__ == "__main__":
    run(sys.argv[1:])
