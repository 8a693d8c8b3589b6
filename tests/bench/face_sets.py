"""Make a large face-recognition set, and measure how fast sets are packed, merged and selected from, beside ``cp``.

    python tests/bench/face_sets.py build/faces --people 10000

The first run draws the faces, 10 for each person on average and at least 1, and packs two sets of as many people with
different images. Prints for each command its time, the most memory that a process of it took, and its rate, in turns
with ``cp`` of its input. Needs ``os.wait4``, which Windows lacks. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "sample_data")]

from draw_faces import draw_face, generator, photographed  # noqa: E402 - in another folder

QUALITY = 92
IMAGES_A_PERSON = 10
SHORTEST = 5  # images of a person that --min-images keeps


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def draw_person(job: tuple[Path, int, int]) -> int:
    """Write the images of one person into a folder of its own, and return how many."""
    folder, number, variant = job
    rng = generator(21, number, variant)
    images = 1 + int(rng.poisson(IMAGES_A_PERSON - 1))
    folder.mkdir(parents=True, exist_ok=True)
    face = draw_face(number, variant).astype(np.float64)
    for nth in range(images):
        stored = io.BytesIO()
        Image.fromarray(photographed(face, rng)).save(stored, "JPEG", quality=QUALITY)
        (folder / f"{nth:04d}.jpg").write_bytes(stored.getvalue())
    return images


def make_set(folder: Path, people: int, variant: int) -> Path:
    """Return the ``.rec`` of a set of *people*, which is made unless it is there."""
    rec = folder / f"set{variant}" / "train.rec"
    if rec.exists():
        return rec
    images = folder / f"images{variant}"
    with multiprocessing.Pool() as pool:
        jobs = [(images / f"p{number:06d}", number, variant) for number in range(people)]
        total = sum(pool.imap_unordered(draw_person, jobs, chunksize=64))
    say(f"drew {total:,} images of {people:,} people")
    run("make-list", images, "--prefix", folder / f"list{variant}", "--force", "-q")
    seconds, memory = run("pack", "--profile", "insightface", folder / f"list{variant}.lst", images, rec.parent, "-q")
    say(f"pack --profile insightface: {seconds:.1f} s, {total / seconds:,.0f} images/s, {memory:.0f} MB")
    shutil.rmtree(images)
    return rec


def run(*words: object) -> tuple[float, float]:
    """Run im2rec, and return its time in seconds and the most memory that a process of it took, in MB."""
    return measured([sys.executable, "-m", "im2rec", *map(str, words)])


def measured(command: list[str]) -> tuple[float, float]:
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        raise SystemExit(f"{command} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def compare(name: str, words: list[object], copied: list[Path], folder: Path, rounds: int) -> None:
    """Time im2rec with *words*, in turns with ``cp`` of the files *copied*."""
    ours, copies, memory = [], [], 0.0
    size = sum(path.stat().st_size for path in copied)
    for _ in range(rounds):
        seconds, most = run(*words)
        ours.append(seconds)
        memory = max(memory, most)
        copies.append(measured(["cp", *map(str, copied), str(folder)])[0])
    one, other = statistics.median(ours), statistics.median(copies)
    say(
        f"{name}: {one:.2f} s, {size / one / 1e6:,.0f} MB/s of input, {memory:.0f} MB of memory;"
        f" cp of the input: {other:.2f} s; ratio {one / other:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    first, second = (make_set(folder, arguments.people, variant) for variant in (0, 1))
    copies = folder / "copies"
    copies.mkdir(exist_ok=True)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    # One set has another name: cp puts both into one folder.
    other = second.with_name("other.rec")
    if not other.exists():
        os.link(second, other)
    for name, options in (("merge", []), ("merge --drop-same", ["--drop-same"])):
        words = ["merge", first, second, out / "merged.rec", *options, "--force", "-q"]
        compare(name, words, [first, other], copies, arguments.rounds)
    words = ["select", first, out / "selected.rec", "--min-images", SHORTEST, "--force", "-q"]
    compare(f"select --min-images {SHORTEST}", words, [first], copies, arguments.rounds)


if __name__ == "__main__":
    main()
