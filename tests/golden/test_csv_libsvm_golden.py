"""CSVIter and LibSVMIter deliver the batches that were recorded from MXNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from iterator_golden_helpers import copy_data, recorded_arrays, recorded_cases
from text_helpers import dense

from im2rec.iterators.text import CSVIter, LibSVMIter

CASES = {name: case for name, case in recorded_cases().items() if case["group"] in ("csv", "libsvm")}
ITERATORS: dict[str, Any] = {"CSVIter": CSVIter, "LibSVMIter": LibSVMIter}


def test_every_recorded_case_is_run() -> None:
    assert ["csv_int32", "csv_labels", "csv_round_false", "csv_round_true", "libsvm"] == sorted(CASES)


@pytest.fixture(autouse=True)
def _data(here: Path) -> None:
    copy_data(here)


@pytest.mark.parametrize("name", CASES)
def test_batches_equal_the_recorded_ones(name: str) -> None:
    case, recorded = CASES[name], recorded_arrays(name)
    params = dict(case["params"])
    if "round_batch" not in params:
        params["last_batch"] = "roll_over"  # as in MXNet
    with ITERATORS[case["iterator"]](**params) as iterator:
        assert case["provide_data"] == [list(desc.shape) for desc in iterator.provide_data]
        assert case["provide_label"] == [list(desc.shape) for desc in iterator.provide_label]
        taken = [(epoch, batch) for epoch in range(case["epochs"]) for batch in iterator]
    assert recorded["epoch"].tolist() == [epoch for epoch, _ in taken]
    assert recorded["pad"].tolist() == [batch.pad for _, batch in taken]
    for number, (_, batch) in enumerate(taken):
        # After the last row, MXNet leaves rows of the batch before, where ours are zeros.
        rows = len(batch.index) - (batch.pad if params.get("round_batch") is False else 0)
        data, label = dense(batch.data[0]), batch.label[0]
        expected = recorded["data"][number].astype(case["data_dtype"])
        assert expected.dtype == data.dtype == label.dtype
        assert expected[:rows].tolist() == data[:rows].tolist()
        assert recorded["label"][number][:rows].tolist() == label[:rows].tolist()
        assert recorded["index"][number][:rows].tolist() == batch.index[:rows].tolist()
        assert not any(array[rows:].any() for array in (data, label, batch.index))
        assert np.uint64 == batch.index.dtype
