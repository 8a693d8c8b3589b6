"""Packs on disks that are full, for ``torture.py``: each output folder is a file system in memory of its own."""

from __future__ import annotations

import contextlib
import mmap
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from faults.torture_runs import FULL, Case, Outcome, Stop

ROOM = 64 << 20  # more than any pack takes
FULL_DISK = "no space left on device"


def mount(folder: Path, size: int, *more: str) -> None:
    """Mount a file system of *size* bytes at *folder*, or change the size of the one that is there."""
    options = ",".join([*more, f"size={-(-size // mmap.PAGESIZE) * mmap.PAGESIZE}"])
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "torture", str(folder)], check=True, capture_output=True)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """Put what is in *folder* on a file system of *size* bytes, and that in its place, during the block."""
    aside = folder.with_name("aside")
    shutil.move(folder, aside)
    folder.mkdir()
    mount(folder, size)
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def disk_case(case: Case) -> Outcome:
    """Run the pack of *case* on a disk that is too small, sometimes twice, then on one with room, to the end."""
    rng, old = case.rng, sum(-(-len(data) // mmap.PAGESIZE) * mmap.PAGESIZE for data in case.made.old.values())
    total = sum(map(len, case.reference.files.values()))
    share = rng.uniform(0.03, 1)
    size = int(old + share * total)
    if rng.random() < 0.25:  # only the last bytes lack room: of the .rec, the index, the digest or the report
        size = old + total - rng.randint(0, 2 * (total - case.reference.size))
    with small_disk(case.out, size):
        while True:
            ran = case.ended(case.start())
            if ran.code in (0, 3):
                break
            if case.outcome.hits and size == ROOM:
                break
            case.outcome.note(f"ended with {ran.code}: {ran.err.strip()}")
            check_line(case, ran.code, ran.err)
            case.hit(Stop(FULL, size / (old + total)))
            case.judge_between()
            size = ROOM if rng.random() < 0.7 else size + rng.randint(0, total // 2)
            mount(case.out, size, "remount")
        case.judge_end(ran)
    return case.outcome


def check_line(case: Case, code: int, err: str) -> None:
    """Check the one line of a run that found the disk full."""
    lines = err.splitlines()
    if code != 1 or len(lines) != 1 or FULL_DISK not in lines[0]:
        case.outcome.problems.append(f"exit code {code}, and on stderr {err!r}")
