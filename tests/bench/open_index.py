"""Measure how a very large set is opened, with the cache and without it: 42 million records in 304 GB by default.

    python tests/bench/open_index.py --records 42474557

Makes a sparse ``.rec``, which takes few bytes of the disk, and its index, which is as large as that of a real set.
Prints the time of the first opening and of a later one, and the private memory that the open file takes in each of four
worker processes that look up keys in it at once, forked or spawned. It takes some minutes, 2 GB of the disk, and
without the cache 4 GB of memory. Memory is measured on Linux alone. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from im2rec.errors import human_size
from im2rec.folders import OFF, VARIABLE
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.recordio import encode_record
from im2rec.storage.index import check_index
from im2rec.storage.reader import RecordFile

RECORDS = 42_474_557  # of WebFace42M
RECORD_BYTES = 7168
LINES = 1 << 20  # of the index that are written at once
WORKERS = 4
OPENINGS = 9
LOOK_UPS = 1000
FIRST_HEADS = 10  # that are written too: the kind of a file is told by its first records
MEMORY = Path("/proc/self/smaps_rollup")


class VirtualRec:
    """The bytes of a ``.rec`` of equal records with zeros as content; *reads* are the offsets that were read."""

    def __init__(self, records: int) -> None:
        self.size = records * RECORD_BYTES
        self.reads: set[int] = set()
        whole = encode_record(encode_image_record(IRHeader(0, 1.0, 0), bytes(RECORD_BYTES - 32)))
        assert RECORD_BYTES == len(whole)
        self._record = whole

    def read_at(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on; fewer only at the end."""
        self.reads.add(offset // RECORD_BYTES)
        start = offset % RECORD_BYTES
        repeats = -(-(start + size) // RECORD_BYTES)
        return (self._record * repeats)[start : start + min(size, self.size - offset)]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def has_holes(folder: Path) -> bool:
    """True if the file system of *folder* does not write the zeros of a file that is only lengthened."""
    path = folder / "holes"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    blocks: int = getattr(path.stat(), "st_blocks", 1 << 20)
    path.unlink()
    return blocks * 512 < 32 << 20


def make_files(path: Path, records: int) -> None:
    """Write the ``.rec`` *path* with those heads alone that are read when it is opened, and its index."""
    source = VirtualRec(records)
    check_index(source, np.arange(records) * RECORD_BYTES)
    with path.open("wb") as file:
        file.truncate(source.size)
        for record in sorted(source.reads | set(range(min(FIRST_HEADS, records)))):
            file.seek(record * RECORD_BYTES)
            file.write(source.read_at(record * RECORD_BYTES, 64))
    with path.with_suffix(".idx").open("wb") as file:
        for start in range(0, records, LINES):
            numbers = range(start, min(records, start + LINES))
            file.write(b"".join(b"%d\t%d\n" % (number, number * RECORD_BYTES) for number in numbers))


def elapsed_s(path: Path) -> float:
    """Return the time in which the file is opened, in seconds."""
    start = time.perf_counter()
    RecordFile(path).close()
    return time.perf_counter() - start


def private_bytes() -> int:
    """Return the memory of this process that it shares with no other, in bytes."""
    lines = [line.split() for line in MEMORY.read_text().splitlines()]
    return sum(int(words[1]) << 10 for words in lines if words[0] in ("Private_Clean:", "Private_Dirty:"))


def work(rec: RecordFile | None, barrier: Any, answers: Any) -> None:
    """Look up keys of a file, and send the private memory that the process has then; without a file that it has anyway.

    All processes look up the same keys, as what only one of them has mapped would be counted as its own.
    """
    draw = random.Random(1)
    if rec is not None:
        for key in (draw.randrange(len(rec)) for _ in range(LOOK_UPS)):
            ordinal = rec.ordinal_of(key)
            assert rec.span(ordinal).start == key * RECORD_BYTES
    barrier.wait()
    answers.put(private_bytes())
    barrier.wait()


def in_workers(method: str, rec: RecordFile | None) -> float:
    """Return the largest private memory of the worker processes, in bytes."""
    context: Any = multiprocessing.get_context(method)
    barrier, answers = context.Barrier(WORKERS), context.Queue()
    workers: list[BaseProcess] = [context.Process(target=work, args=(rec, barrier, answers)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    memory = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    return float(max(memory))


def measure(path: Path) -> dict[str, float]:
    """Return the figures of the file *path* with the cache that the environment sets, which is empty before."""
    figures = {"first": elapsed_s(path), "again": statistics.median(elapsed_s(path) for _ in range(OPENINGS))}
    if MEMORY.exists():  # on Linux, which can fork
        for method in ("fork", "spawn"):
            without = in_workers(method, None)
            with RecordFile(path) as rec:
                figures[method] = in_workers(method, rec) - without
    return figures


def print_table(path: Path, cache: Path, figures: list[dict[str, float]]) -> None:
    """Print the figures with the cache, and without it."""
    sizes = [path.stat().st_size, path.with_suffix(".idx").stat().st_size]
    sizes.append(sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()))
    rec, index, kept = map(human_size, sizes)
    rows: list[tuple[str, str, Callable[[float], str]]] = [
        ("first opening", "first", lambda value: f"{value:.2f} s"),
        ("opening it again", "again", lambda value: f"{1000 * value:.1f} ms"),
        (f"private memory, each of {WORKERS} forked", "fork", lambda value: f"{value / (1 << 20):.1f} MiB"),
        (f"private memory, each of {WORKERS} spawned", "spawn", lambda value: f"{value / (1 << 20):.1f} MiB"),
    ]
    say(f"{sizes[0] // RECORD_BYTES:,} records in {rec}, index {index}, in the cache {kept}")
    say(f"{'':<36} {'with the cache':>16} {f'{VARIABLE}={OFF}':>18}")
    for name, key, shown in rows:
        with_cache, without = (shown(each[key]) if key in each else "-" for each in figures)
        say(f"{name:<36} {with_cache:>16} {without:>18}")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--folder", type=Path, help="make the files in this folder [default: that of the system]")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        say(json.dumps(measure(options.measure)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if not has_holes(folder):
            say(f"{folder}: its file system has no holes in files; name another with --folder")
            return 0
        path, cache = folder / "faces.rec", folder / "cache"
        make_files(path, options.records)
        figures = []
        for chosen in (str(cache), OFF):
            command = [sys.executable, __file__, "--measure", str(path)]
            done = subprocess.run(command, env={**os.environ, VARIABLE: chosen}, stdout=subprocess.PIPE, check=True)
            figures.append(json.loads(done.stdout))
        print_table(path, cache, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
