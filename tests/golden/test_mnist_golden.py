"""MNISTIter delivers the batches that were recorded from MXNet: with rng=mxnet in the recorded order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import message_of
from iterator_golden_helpers import ITERATORS, epochs_of, recorded_arrays, recorded_cases

from im2rec import MNISTIter

CASES = {name: case for name, case in recorded_cases().items() if case["iterator"] == "MNISTIter"}
IMAGES, PART_OF_3 = 10, 3


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to the folder with the data of the cases, which is only read."""
    monkeypatch.chdir(ITERATORS)


def iterator_of(name: str, **more: Any) -> MNISTIter:
    return MNISTIter(silent=True, **CASES[name]["params"], **more)


@pytest.mark.parametrize("name", CASES)
def test_with_rng_mxnet_batches_equal_the_recorded_ones(name: str) -> None:
    case, recorded = CASES[name], recorded_arrays(name)
    iterator = iterator_of(name, rng="mxnet")

    assert case["provide_data"] == [list(desc.shape) for desc in iterator.provide_data]
    assert case["provide_label"] == [list(desc.shape) for desc in iterator.provide_label]
    taken = epochs_of(iterator, case["epochs"])
    assert recorded["epoch"].tolist() == [epoch for epoch, _ in taken]
    for number, (_, batch) in enumerate(taken):
        assert np.array_equal(recorded["data"][number].astype(np.float32), batch.data[0])
        assert recorded["label"][number].tolist() == batch.label[0].tolist()
        assert recorded["pad"][number] == batch.pad


@pytest.mark.parametrize("name", ["mnist", "mnist_flat"])
def test_without_shuffle_the_order_is_that_of_the_file(name: str) -> None:
    recorded = recorded_arrays(name)
    for number, (_, batch) in enumerate(epochs_of(iterator_of(name), CASES[name]["epochs"])):
        assert np.array_equal(recorded["data"][number].astype(np.float32), batch.data[0])
        assert list(range(3 * (number % 3), 3 * (number % 3) + 3)) == batch.index.tolist()


def test_parts_together_hold_every_image_once() -> None:
    ids = []
    for part in range(PART_OF_3):
        batches = epochs_of(iterator_of(f"mnist_part{part}_of_3", last_batch="keep"))
        ids += [id_ for _, batch in batches for id_ in batch.index[: len(batch.index) - batch.pad].tolist()]
    assert list(range(IMAGES)) == sorted(ids)


def test_files_and_parameters_that_mxnet_refused_or_crashed_on_are_refused_with_the_cause() -> None:
    given = {"image": "data/mnist-images-idx3-ubyte", "label": "data/mnist-labels-idx1-ubyte", "batch_size": 3}

    missing = "data/none: cannot be read: no such file or directory (check the path)"
    assert missing == message_of(MNISTIter, **{**given, "image": "data/none"})
    assert "dtype=uint8 must be float32 or float16 (Type of the data.)" == message_of(MNISTIter, **given, dtype="uint8")
    larger = "batch_size=11 leaves no whole batch of 10 images (lower it, or set last_batch=pad)"
    assert larger == message_of(MNISTIter, **{**given, "batch_size": 11})
