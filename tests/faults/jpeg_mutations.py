"""Mutated JPEGs: the kernel gives exactly simplejpeg's pixels, or refuses them; no index is out of bounds.

Run by test_jpeg_mutations.py with ``NUMBA_BOUNDSCHECK=1``, a seeded slice; by hand with more:

    NUMBA_BOUNDSCHECK=1 python tests/faults/jpeg_mutations.py 200000 7
"""

from __future__ import annotations

import collections
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from jpeg_helpers import FINE, any_jpeg, differs, drawn, encoded

from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import load

LONGEST_S = 5.0  # for one of these small images, which take a thousandth of that


def flip_bits(rng: np.random.Generator, data: bytearray) -> None:
    for _ in range(int(rng.integers(1, 4))):
        data[int(rng.integers(2, len(data)))] ^= 1 << int(rng.integers(8))


def set_bytes(rng: np.random.Generator, data: bytearray) -> None:
    for _ in range(int(rng.integers(1, 6))):
        data[int(rng.integers(2, len(data)))] = int(rng.choice([0, 255, 208, 217, rng.integers(256)]))


def cut(rng: np.random.Generator, data: bytearray) -> None:
    del data[int(rng.integers(2, len(data))) :]
    if rng.integers(2):
        data += b"\xff\xd9"


def cut_out(rng: np.random.Generator, data: bytearray) -> None:
    start = int(rng.integers(2, len(data)))
    del data[start : start + int(rng.integers(1, 40))]


def insert(rng: np.random.Generator, data: bytearray) -> None:
    at = int(rng.integers(2, len(data)))
    data[at:at] = rng.integers(0, 256, int(rng.integers(1, 20)), np.uint8).tobytes()


def change_scan(rng: np.random.Generator, data: bytearray) -> None:
    start = data.rindex(b"\xff\xda") + 14
    if start < len(data) - 2:
        for _ in range(int(rng.integers(1, 30))):
            data[int(rng.integers(start, len(data) - 2))] = int(rng.integers(255))


def change_tables(rng: np.random.Generator, data: bytearray, *, marker: bytes = b"\xff\xc4") -> None:
    at = data.find(marker)
    if 0 < at < len(data) - 40:
        data[at + 4 + int(rng.integers(40))] = int(rng.integers(256))


def change_size(rng: np.random.Generator, data: bytearray) -> None:
    at = data.find(b"\xff\xc0")
    if 0 < at < len(data) - 10:
        data[at + 5 : at + 9] = bytes([0, int(rng.integers(256)), 0, int(rng.integers(256))])


def change_quanta(rng: np.random.Generator, data: bytearray) -> None:
    at = 0
    low, high = sorted(int(value) for value in rng.integers(1, 256, 2))
    kind = rng.integers(3)
    while (at := data.find(b"\xff\xdb", at)) >= 0 and at + 69 <= len(data):
        table = rng.integers(low, high + 1, 64) if kind == 0 else np.full(64, 255 if kind == 1 else high)
        data[at + 5 : at + 69] = table.astype(np.uint8).tobytes()
        at += 69


MUTATIONS = (flip_bits, set_bytes, cut, cut_out, insert, change_scan, change_tables, change_size, change_quanta)


def run(kernel: Kernel, cases: int, seed: int) -> dict[str, int]:
    """The number of mutated files by how they ended, of *cases*."""
    rng = np.random.default_rng(seed)
    seen: collections.Counter[str] = collections.Counter()
    for number in range(cases):
        if number % 50 == 0:
            contents = [any_jpeg(rng, largest=90) for _ in range(8)] + [encoded(drawn(rng, 48, 48), quality=95)]
        data = bytearray(contents[int(rng.integers(len(contents)))])
        mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        mutation(rng, data)
        content, begun = bytes(data), time.process_time()
        problem = differs(kernel, rng, content)
        if time.process_time() - begun > LONGEST_S:
            problem = "takes long"
        if problem not in FINE:
            Path(f"/tmp/jpeg_mutation_{seed}_{number}.jpg").write_bytes(content)
            sys.stderr.write(f"case {number} of seed {seed}, {mutation.__name__}: {problem}\n")
        seen[problem or "equal"] += 1
    return dict(seen)


if __name__ == "__main__":
    loaded = load()
    assert loaded.kernel, loaded.reason
    sys.stdout.write(json.dumps(run(loaded.kernel, int(sys.argv[1]), int(sys.argv[2]))))
