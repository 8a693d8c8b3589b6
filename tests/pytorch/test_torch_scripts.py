"""Scripts that import mxnet and torch load with im2rec.mx the tensors that they loaded with MXNet 1.9.1 and torch 2.13.

The dataset and the verification loader of face-recognition code, run in each way in which a script may find im2rec.mx,
with processes that are forked and with spawned ones, and by torchrun in two processes on the CPU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mx.script_runs import STARTS, WAYS, by_module, recorded, torch_results, trained, training_images

from im2rec import mx


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training set of 15 images, built by a script; not to be changed."""
    folder = tmp_path_factory.mktemp("set")
    training_images(folder / "images")
    by_module(folder).run("build_rec.py", folder / "images", folder / "set")
    return folder / "set"


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("way", WAYS)
def test_a_script_loads_the_tensors_of_mxnet(way: str, start: str, training_set: Path, tmp_path: Path) -> None:
    assert recorded("torch") == torch_results(WAYS[way](tmp_path), tmp_path, training_set, start)


@pytest.mark.parametrize("way", WAYS)
def test_torchrun_trains_on_the_images_of_mxnet(way: str, training_set: Path, tmp_path: Path) -> None:
    assert recorded("train") == trained(WAYS[way](tmp_path), training_set, "fork")


def test_labels_of_vectors_become_integers_of_tensors(tmp_path: Path) -> None:
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    for number in range(3):
        writer.write_idx(number, mx.recordio.pack(mx.recordio.IRHeader(0, [number + 5.0, 1.0], number, 0), b"image"))
    writer.close()
    reader = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "r")
    labels = [mx.recordio.unpack(reader.read_idx(key))[0].label for key in reader.keys]
    reader.close()

    assert [5, 6, 7] == [int(torch.tensor(label[0], dtype=torch.long)) for label in labels]
    assert [[5.0, 1.0], [6.0, 1.0], [7.0, 1.0]] == [torch.tensor(label).tolist() for label in labels]
    assert torch.float32 == torch.from_numpy(np.asarray(labels[0])).dtype
