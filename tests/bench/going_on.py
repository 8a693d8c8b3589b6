"""Measure how soon a large pack goes on after a kill -9, and with how much memory: a million tiny images by default.

    python tests/bench/going_on.py --images 1000000 --killed-at 0.9

Packs a list of one small image under many ids, once undisturbed and once killed at a share of the final size, and types
the same words again. Prints the time from the start of that run until the unfinished ``.rec`` grows, the times of the
whole runs, and the largest memory of the parent process of each. The exit code is 1 if a byte differs. Linux alone.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.torture_packs import environment, partial_size
from image_helpers import encoded, texture

POLL_S = 0.0005


class Run(NamedTuple):
    """A run that has ended: its exit status, seconds, and the largest memory of its parent process in MiB."""

    status: int
    seconds: float
    memory: float


class Pack:
    """The words of a pack, in a folder of its own."""

    def __init__(self, folder: Path, images: int, words: list[str]) -> None:
        self.folder, self.out = folder, folder / "out"
        self.words = ["pack", "list.lst", "root", "out/o.rec", *words]
        (folder / "root").mkdir()
        (folder / "root" / "tiny.jpg").write_bytes(encoded(texture(8, 8), "JPEG", quality=50))
        with (folder / "list.lst").open("w") as file:
            file.writelines(f"{id_}\t{id_ % 1000}\ttiny.jpg\n" for id_ in range(images))

    def run(self, watch: Callable[[float], bool]) -> Run:
        """Run the words; *watch* is called with the seconds since the start, and kills the run by returning True."""
        self.out.mkdir(exist_ok=True)
        line = [sys.executable, "-m", "im2rec", *self.words, "-q"]
        started, memory = time.monotonic(), 0.0
        process = subprocess.Popen(
            line, cwd=self.folder, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None:
            memory = max(memory, peak_memory(process.pid))
            if watch(time.monotonic() - started):
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(POLL_S)
        return Run(process.returncode, time.monotonic() - started, memory)

    def size(self) -> int:
        return partial_size(self.out, "o.rec")


def peak_memory(pid: int) -> float:
    """Return the largest memory that the process has had, in MiB; 0 once it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM")), 0)


class Growth:
    """Watches a run that goes on: *seconds* is the time after which the unfinished ``.rec`` was larger than before."""

    def __init__(self, pack: Pack) -> None:
        self._pack, self._lowest, self.seconds = pack, pack.size(), 0.0

    def __call__(self, seconds: float) -> bool:
        if not self.seconds:
            size = self._pack.size()
            self._lowest = min(self._lowest, size)
            self.seconds = seconds if size > self._lowest else 0.0
        return False


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--killed-at", type=float, default=0.9, help="share of the final size")
    parser.add_argument("words", nargs="*", default=["unchanged=1"], help="keys [default: unchanged=1]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        pack = Pack(Path(name), options.images, options.words)
        whole = pack.run(lambda _: False)
        reference = pack.out.rename(Path(name) / "reference")
        size = (reference / "o.rec").stat().st_size
        killed = pack.run(lambda _: pack.size() >= options.killed_at * size)
        left, growth = pack.size(), Growth(pack)
        last = pack.run(growth)
        names = [path.name for path in reference.iterdir()]
        is_equal = filecmp.cmpfiles(reference, pack.out, names, shallow=False)[0] == names
        is_equal = is_equal and len(names) == len(list(pack.out.iterdir()))
    for what, run in (("undisturbed", whole), (f"killed at {left / size:.1%}", killed), ("gone on with", last)):
        sys.stdout.write(f"{what:<16} exit {run.status:>3}  {run.seconds:6.1f} s  {run.memory:7.0f} MiB\n")
    result = "the same bytes" if is_equal else "OTHER BYTES, or other files"
    sys.stdout.write(f"grows again after {growth.seconds:.2f} s; {result}\n")
    return not is_equal


if __name__ == "__main__":
    sys.exit(main())
