"""What an iterator gives, by itself: batches, and descriptions of their arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from im2rec import DataBatch, DataDesc


def test_a_description_is_name_and_shape_and_two_things_besides() -> None:
    desc = DataDesc("data", [2, 3], np.uint8, "NC")

    assert ("data", (2, 3)) == desc == DataDesc("data", (2, 3))
    assert (np.uint8, "NC") == (desc.dtype, desc.layout)
    again = pickle.loads(pickle.dumps(desc))
    assert (desc, np.uint8, "NC") == (again, again.dtype, again.layout)
    assert [0, 1, 0, -1] == [DataDesc.get_batch_axis(layout) for layout in ("NCHW", "TNC", None, "CHW")]
    listed = DataDesc.get_list([("a", (1,)), ("b", (2,))], [("b", np.int8)])
    assert [("a", (1,), np.float32), ("b", (2,), np.int8)] == [(*each, each.dtype) for each in listed]
    assert [np.float32] == [each.dtype for each in DataDesc.get_list([("a", (1,))], None)]


def test_a_batch_takes_lists_of_arrays_only() -> None:
    with pytest.raises(TypeError) as caught:
        DataBatch(np.zeros(3))  # type: ignore[arg-type]
    assert "data must be a list of arrays, not ndarray" == str(caught.value)
    with pytest.raises(TypeError) as caught:
        DataBatch([], np.zeros(3))  # type: ignore[arg-type]
    assert "label must be a list of arrays, not ndarray" == str(caught.value)
    assert "DataBatch: data shapes: [(3,)] label shapes: None" == str(DataBatch([np.zeros(3)]))
