"""A verification file of ours is loaded by a script that says ``import mxnet`` as MXNet 1.9.1 itself loads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mx.script_runs import by_module
from pair_helpers import FACE_ROOT, GOLDEN_LISTS

from im2rec.verification.make import make_bin

# What MXNet 1.9.1 printed for a file that was made from a golden list; of size 24 each image is resized.
PRINTED = {
    16: """\
(12, 3, 16, 16) float32 6a3300a4cb9b7d87291217eec15e15bcf2bcdc791afbbf7bd6e11a67f0873a85
(2, 3, 16, 16) -1.00000 1.00000
(12, 3, 16, 16) float32 65559384ff1a8f5249ec94ddb086ae73f4b6b44a443a7d4bd880ba0d7199fae2
(2, 3, 16, 16) -1.00000 1.00000
3 of 6 pairs are the same
""",
    24: """\
(12, 3, 24, 24) float32 d26a660fd6b82e7b7440ab4abbb320ee65f0cd5be640f039e41da395187e9f19
(2, 3, 24, 24) -0.97647 1.00000
(12, 3, 24, 24) float32 15c703fef9e96a7a709b43f1cc17786f646977f4aaffa1168935d218df372b19
(2, 3, 24, 24) -0.97647 1.00000
3 of 6 pairs are the same
""",
}


@pytest.mark.parametrize("size", PRINTED)
def test_a_file_that_was_made_gives_the_arrays_of_mxnet(size: int, tmp_path: Path) -> None:
    make_bin(GOLDEN_LISTS[0], FACE_ROOT, tmp_path / "o.bin")

    assert PRINTED[size] == by_module(tmp_path).run("verify_arrays.py", tmp_path / "o.bin", "--size", size)
