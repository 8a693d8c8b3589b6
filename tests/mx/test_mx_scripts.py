"""Scripts that import mxnet write and print with im2rec.mx what they wrote and printed with MXNet 1.9.1.

The scripts of ``tests/mx/scripts`` do as face-recognition code does: they build a training set, shuffle it, extract it
and load a verification set. Each way in which a script may find im2rec.mx is tried, with processes that are forked and
with spawned ones. Those that need torch are in ``tests/pytorch/test_torch_scripts.py``.
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from mx.script_runs import JOBS, STARTS, WAYS, array_results, record_results, recorded


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("way", WAYS)
def test_a_script_builds_shuffles_and_extracts_the_files_of_mxnet(way: str, start: str, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="the scripts import it")
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {start}")
    # Spawned processes start slowly: each script once.
    wanted = JOBS if start == "fork" else ["set", "shuffled", "extracted"]

    expected = {name: recorded("records")[name] for name in wanted}
    assert expected == record_results(WAYS[way](tmp_path), tmp_path, start, wanted)


@pytest.mark.parametrize("way", WAYS)
def test_a_script_loads_the_arrays_of_mxnet_from_a_verification_set(way: str, tmp_path: Path) -> None:
    assert recorded("arrays") == array_results(WAYS[way](tmp_path), tmp_path)
