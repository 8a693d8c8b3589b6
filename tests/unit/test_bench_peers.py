"""Peers: what they are told, that each has its turn, and what becomes of one that fails."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from image_helpers import POSIX, PROC, processes
from iterator_helpers import a_rec, iterator

from im2rec.bench.peers import PeerError, check_peers, dali_words, mxnet_words, take_turns
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
    def made(feed):
        def make():
            images, labels = feed()
            return types.SimpleNamespace(build=lambda: None, run=lambda: None)
        return make
    return made
""",
}
GOOD = [100.0, 200.0]


def ours(seconds: float) -> list[float]:
    """Our turns, which take no time here."""
    assert seconds > 0
    return GOOD


def python_with(folder: Path, modules: dict[str, str]) -> str:
    """A Python that has *modules* too."""
    for name, text in modules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return program(folder / "python", f'PYTHONPATH={folder} exec {sys.executable} "$@"')


def program(path: Path, line: str) -> str:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


def peers(rec: Path, pythons: dict[str, str], **given: Any) -> list[Peer]:
    with iterator(rec, **given) as it:
        rate, found = take_turns(it, ours, pythons, seconds=0.05)
    assert 150.0 == rate.median
    assert 5 * 2 == rate.repetitions  # two a round
    return found


@POSIX
def test_mxnet_gets_its_own_parameters_and_has_a_turn_in_every_round(rec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    python = python_with(folder, {"mxnet.py": MXNET})
    (found,) = peers(rec, {"mxnet": python}, shuffle=True, rand_crop=True, engine="pillow", seed=7)

    assert ("mxnet", "1.2.3") == (found.name, found.version)
    assert found.rate is not None
    assert 5 == found.rate.repetitions
    assert found.rate.median > 0
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
def test_dali_is_asked_for_the_same(rec: Path, tmp_path: Path, given: dict[str, Any]) -> None:
    folder = tmp_path / "fake"
    python = python_with(folder, {f"nvidia/dali/{name}.py": text for name, text in DALI.items()})
    (found,) = peers(rec, {"dali": python}, **given)

    assert ("dali", "2.0") == (found.name, found.version)
    assert found.rate is not None, found.note
    assert ("resiz" in found.note) == ("rand_crop" not in given)
    options = json.loads((folder / "nvidia" / "dali" / "options.json").read_text())
    assert {"batch_size": 3, "num_threads": 2, "device_id": None, "prefetch_queue_depth": 4} == options


FAILING = {
    "a Python without it": (f'exec {sys.executable} "$@"', "mxnet ended: ModuleNotFoundError: No module named 'mxnet'"),
    "one that ends without a word": ("exit 3", "mxnet ended: exit code 3, without a word"),
    "one that dies later": ('echo \'{"version": "7"}\'; kill -9 $$', "mxnet ended: exit code -9, without a word"),
}


@POSIX
@pytest.mark.parametrize("case", FAILING)
def test_a_peer_that_fails_says_why_and_the_others_go_on(rec: Path, tmp_path: Path, case: str) -> None:
    line, note = FAILING[case]
    fake = python_with(tmp_path / "fake", {f"nvidia/dali/{name}.py": text for name, text in DALI.items()})
    failed, whole = peers(rec, {"mxnet": program(tmp_path / "failing", line), "dali": fake})

    assert (None, note) == (failed.rate, failed.note)
    assert whole.rate is not None


@PROC
def test_no_process_is_left(rec: Path, tmp_path: Path) -> None:
    before = set(processes(parent=os.getpid()))
    peers(rec, {"mxnet": python_with(tmp_path / "fake", {"mxnet.py": MXNET})})

    assert not set(processes(parent=os.getpid())) - before


def test_what_a_peer_cannot_do_is_told_instead_of_leaving_it_out(tmp_path: Path) -> None:
    rec = a_rec(tmp_path)

    def refused(words: Any, **given: Any) -> str:
        with iterator(rec, **given) as it, pytest.raises(PeerError) as caught:
            words(it)
        return str(caught.value)

    assert "mxnet knows no layout=NHWC" == refused(mxnet_words, layout="NHWC")
    assert "dali is not asked for max_rotate_angle=9" == refused(dali_words, max_rotate_angle=9)
    assert "dali is not asked for dtype=int8" == refused(dali_words, dtype="int8")
    rec.with_suffix(".idx").unlink()
    assert "dali needs an index beside the .rec" == refused(dali_words)


def test_several_files_are_not_read_side_by_side(rec: Path) -> None:
    with iterator(f"{rec};{rec}") as it, pytest.raises(PeerError, match="only a single file"):
        mxnet_words(it)


def test_names_and_pythons_are_checked_before_anything_is_measured() -> None:
    check_peers({"mxnet": sys.executable, "dali": sys.executable})
    with pytest.raises(ParameterError) as unknown:
        check_peers({"ffcv": sys.executable})
    assert f"--against ffcv={sys.executable} must name mxnet or dali" == str(unknown.value)
    with pytest.raises(InputError) as missing:
        check_peers({"mxnet": "/no/python"})
    assert "/no/python: is no program that can be run (name the Python that has mxnet)" == str(missing.value)
