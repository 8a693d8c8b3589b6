"""The batches that MXNet's MNISTIter gave are ours: with rng=mxnet in its order, else the same images."""

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
    """Every test runs where the paths of the cases lead to the data, which is only read."""
    monkeypatch.chdir(ITERATORS)


def made(name: str, **more: Any) -> MNISTIter:
    return MNISTIter(silent=True, **CASES[name]["params"], **more)


@pytest.mark.parametrize("name", CASES)
def test_an_order_of_mxnet_gives_the_recorded_batches(name: str) -> None:
    case, recorded = CASES[name], recorded_arrays(name)
    iterator = made(name, rng="mxnet")

    assert case["provide_data"] == [list(desc.shape) for desc in iterator.provide_data]
    assert case["provide_label"] == [list(desc.shape) for desc in iterator.provide_label]
    taken = epochs_of(iterator, case["epochs"])
    assert recorded["epoch"].tolist() == [epoch for epoch, _ in taken]
    for number, (_, batch) in enumerate(taken):
        assert np.array_equal(recorded["data"][number].astype(np.float32), batch.data[0])
        assert recorded["label"][number].tolist() == batch.label[0].tolist()
        assert recorded["pad"][number] == batch.pad


@pytest.mark.parametrize("name", ["mnist", "mnist_flat"])
def test_without_shuffling_our_order_is_that_of_the_file_too(name: str) -> None:
    recorded = recorded_arrays(name)
    for number, (_, batch) in enumerate(epochs_of(made(name), CASES[name]["epochs"])):
        assert np.array_equal(recorded["data"][number].astype(np.float32), batch.data[0])
        assert list(range(3 * (number % 3), 3 * (number % 3) + 3)) == batch.index.tolist()


def test_parts_of_ours_are_as_even_and_complete() -> None:
    found = []
    for part in range(PART_OF_3):
        batches = epochs_of(made(f"mnist_part{part}_of_3", last_batch="keep"))
        found += [id_ for _, batch in batches for id_ in batch.index[: len(batch.index) - batch.pad].tolist()]
    assert list(range(IMAGES)) == sorted(found)


def test_what_mxnet_refused_or_ended_at_once_is_refused_with_its_cause() -> None:
    given = {"image": "data/mnist-images-idx3-ubyte", "label": "data/mnist-labels-idx1-ubyte", "batch_size": 3}

    missing = "data/none: cannot be read: no such file or directory (check the path)"
    assert missing == message_of(MNISTIter, **{**given, "image": "data/none"})
    assert "dtype=uint8 must be float32 or float16 (Type of the data.)" == message_of(MNISTIter, **given, dtype="uint8")
    larger = "batch_size=11 leaves no whole batch of 10 images (lower it, or set last_batch=pad)"
    assert larger == message_of(MNISTIter, **{**given, "batch_size": 11})
