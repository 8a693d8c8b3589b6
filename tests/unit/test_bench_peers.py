"""Peers: the settings that they get, their turns in each round, and the report of one that fails."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from image_helpers import POSIX, PROC, processes
from iterator_helpers import a_rec, iterator

from im2rec.bench.peers import PeerError, check_peers, dali_settings, mxnet_settings, run_with_peers
from im2rec.bench.report import Peer
from im2rec.errors import InputError, ParameterError

pytestmark = pytest.mark.usefixtures("clock")

MXNET = """\
import json, os, pathlib, types
__version__ = "1.2.3"

class ImageRecordIter:
    def __init__(self, verbose, **params):
        print("MXNet prints what it likes")
        pathlib.Path(__file__).with_name("params.json").write_text(json.dumps([params, verbose]))
        self.left = 2
    def next(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        array = types.SimpleNamespace(shape=(3, 3, 6, 8), wait_to_read=lambda: None)
        return types.SimpleNamespace(data=[array])
    def reset(self):
        self.left = 2

io = types.SimpleNamespace(ImageRecordIter=ImageRecordIter, ImageRecordUInt8Iter=ImageRecordIter)
"""
DALI = {
    "__init__": "__version__ = '2.0'",
    "fn": "import sys, unittest.mock\n"
    "fn = sys.modules[__name__] = unittest.mock.MagicMock()\nfn.readers.mxnet.return_value = 1, 2",
    "types": "import sys, unittest.mock\nsys.modules[__name__] = unittest.mock.MagicMock()",
    "pipeline": """\
import json, pathlib, types
def pipeline_def(**options):
    pathlib.Path(__file__).with_name("options.json").write_text(json.dumps(options))
    def decorate(batches):
        def make():
            images, labels = batches()
            return types.SimpleNamespace(build=lambda: None, run=lambda: None)
        return make
    return decorate
""",
}
OUR_RATES = [100.0, 200.0]


def ours(seconds: float) -> list[float]:
    """Our own runs, which take no time here."""
    assert seconds > 0
    return OUR_RATES


def python_with(folder: Path, modules: dict[str, str]) -> str:
    """Make a Python interpreter that can import *modules* too, and return its path."""
    for name, text in modules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return program(folder / "python", f'PYTHONPATH={folder} exec {sys.executable} "$@"')


def program(path: Path, line: str) -> str:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


def timed_peers(rec: Path, pythons: dict[str, str], **given: Any) -> list[Peer]:
    with iterator(rec, **given) as it:
        rate, peers = run_with_peers(it, ours, pythons, seconds=0.05)
    assert 150.0 == rate.median
    assert 5 * 2 == rate.repetitions  # two in each of five rounds
    return peers


@POSIX
def test_mxnet_gets_the_parameters_under_its_own_names_and_runs_in_every_round(rec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    python = python_with(folder, {"mxnet.py": MXNET})
    (peer,) = timed_peers(rec, {"mxnet": python}, shuffle=True, rand_crop=True, engine="pillow", seed=7)

    assert ("mxnet", "1.2.3") == (peer.name, peer.version)
    assert peer.rate is not None
    assert 5 == peer.rate.repetitions
    assert peer.rate.median > 0
    params, verbose = json.loads((folder / "params.json").read_text())
    assert not verbose
    assert {
        "path_imgrec": str(rec.resolve()),
        "path_imgidx": str(rec.with_suffix(".idx").resolve()),
        "data_shape": [3, 6, 8],
        "batch_size": 3,
        "shuffle": True,
        "rand_crop": True,
        "preprocess_threads": 2,
        "prefetch_buffer": 4,
        "label_width": 1,
    } == params


@POSIX
@pytest.mark.parametrize(
    "given",
    [
        {"rand_crop": True, "mean_r": 3.0},
        {"resize": 9, "dtype": "uint8"},
        {"random_resized_crop": True, "min_random_area": 0.5, "min_aspect_ratio": 0.8, "max_aspect_ratio": 1.2},
    ],
)
def test_dali_runs_with_the_same_parameters_and_a_note_if_it_resizes(
    rec: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    folder = tmp_path / "fake"
    python = python_with(folder, {f"nvidia/dali/{name}.py": text for name, text in DALI.items()})
    (peer,) = timed_peers(rec, {"dali": python}, **given)

    assert ("dali", "2.0") == (peer.name, peer.version)
    assert peer.rate is not None, peer.note
    assert ("dali resizes with antialiasing" if "rand_crop" not in given else "") == peer.note
    options = json.loads((folder / "nvidia" / "dali" / "options.json").read_text())
    assert {"batch_size": 3, "num_threads": 2, "device_id": None, "prefetch_queue_depth": 4} == options


FAILING = {
    "a Python without it": (f'exec {sys.executable} "$@"', "mxnet ended: ModuleNotFoundError: No module named 'mxnet'"),
    "one that ends without a message": ("exit 3", "mxnet ended: exit code 3, without a message"),
    "one that dies later": ('echo \'{"version": "7"}\'; kill -9 $$', "mxnet ended: exit code -9, without a message"),
}


@POSIX
@pytest.mark.parametrize("case", FAILING)
def test_a_peer_that_fails_is_reported_with_the_reason_and_the_others_go_on(
    rec: Path, tmp_path: Path, case: str
) -> None:
    line, note = FAILING[case]
    fake = python_with(tmp_path / "fake", {f"nvidia/dali/{name}.py": text for name, text in DALI.items()})
    failed, whole = timed_peers(rec, {"mxnet": program(tmp_path / "failing", line), "dali": fake})

    assert (None, note) == (failed.rate, failed.note)
    assert whole.rate is not None


@PROC
def test_no_process_of_a_peer_is_left(rec: Path, tmp_path: Path) -> None:
    before = set(processes(parent=os.getpid()))
    timed_peers(rec, {"mxnet": python_with(tmp_path / "fake", {"mxnet.py": MXNET})})

    assert not set(processes(parent=os.getpid())) - before


def test_a_parameter_that_a_peer_does_not_have_is_an_error(tmp_path: Path) -> None:
    rec = a_rec(tmp_path)

    def refused(settings_of: Any, **given: Any) -> str:
        with iterator(rec, **given) as it, pytest.raises(PeerError) as caught:
            settings_of(it)
        return str(caught.value)

    assert "mxnet has no layout=NHWC" == refused(mxnet_settings, layout="NHWC")
    assert "dali is not compared with max_rotate_angle=9" == refused(dali_settings, max_rotate_angle=9)
    assert "dali is not compared with dtype=int8" == refused(dali_settings, dtype="int8")
    rec.with_suffix(".idx").unlink()
    assert "dali needs an index beside the .rec" == refused(dali_settings)


def test_peers_are_not_timed_on_several_files(rec: Path) -> None:
    with iterator(f"{rec};{rec}") as it, pytest.raises(PeerError, match=r"peers are timed on a single \.rec only"):
        mxnet_settings(it)


def test_unknown_peers_and_interpreters_that_cannot_run_are_refused() -> None:
    with pytest.raises(InputError) as lacking:
        check_peers({"dali": sys.executable})
    assert f"{sys.executable}: has no dali (name the Python that has dali)" == str(lacking.value)
    with pytest.raises(ParameterError) as unknown:
        check_peers({"ffcv": sys.executable})
    assert f"--against ffcv={sys.executable} must name mxnet or dali" == str(unknown.value)
    with pytest.raises(InputError) as missing:
        check_peers({"mxnet": "/no/python"})
    assert "/no/python: is not a program that can be run (name the Python that has mxnet)" == str(missing.value)
