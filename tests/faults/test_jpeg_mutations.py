"""A seeded slice of the mutated JPEGs, with every index checked; jpeg_mutations.py runs more by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")
SCRIPT = Path(__file__).with_name("jpeg_mutations.py")
CASES = 2000


@pytest.fixture(scope="module")
def checked_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a build that checks all indices, with a folder of its own for compiled code."""
    return {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def test_mutated_files_give_the_same_pixels_or_are_refused(checked_environment: dict[str, str]) -> None:
    done = run(checked_environment, str(SCRIPT), str(CASES), "14")

    assert (0, "") == (done.returncode, done.stderr)
    seen = json.loads(done.stdout)
    assert CASES == sum(seen.values())
    assert {"equal", "both refuse", "left to libjpeg"} == set(seen)
    assert seen["equal"] > CASES // 20
    # A build with checks is not stored.
    assert [] == list(Path(checked_environment["NUMBA_CACHE_DIR"]).rglob("*.kernel"))


# The kernel gets half of an array that it needs: the plan of an MCU, the state of the bit reader, the coefficients; and
# then hardly any memory for scaling.
PLANTED = """
import numpy as np
from jpeg_helpers import drawn, encoded
from im2rec.jpeg import kernel as module
from im2rec.jpeg.loading import load
kernel = load().kernel
allocate, content = kernel._allocate, encoded(drawn(np.random.default_rng(0), 32, 256), quality=95)
for number in (0, 1, 3):
    kernel._allocate = lambda *sizes: tuple(
        part[: len(part) // 2] if at == number else part for at, part in enumerate(allocate(*sizes))
    )
    module._THREAD_MEMORY.__dict__.clear()
    try:
        kernel.decode(content)
    except IndexError:
        print("checked", end=" ")
module.scratch_numbers = lambda *_: 1
try:
    kernel.resize(np.zeros((200, 200, 3), np.uint8), 500, 500, 1)
except IndexError:
    print("checked", end=" ")
"""


def test_indices_out_of_bounds_raise_an_error_in_a_checked_build(checked_environment: dict[str, str]) -> None:
    done = run({**checked_environment, "PYTHONPATH": str(SCRIPT.parent.parent)}, "-c", PLANTED)

    assert (0, "checked " * 4, "") == (done.returncode, done.stdout, done.stderr)
