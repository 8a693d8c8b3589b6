"""DataDesc and DataBatch."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from im2rec import DataBatch, DataDesc


def test_a_description_compares_by_name_and_shape_only() -> None:
    desc = DataDesc("data", [2, 3], np.uint8, "NC")

    assert ("data", (2, 3)) == desc == DataDesc("data", (2, 3))
    assert np.uint8 == desc.dtype
    assert "NC" == desc.layout


def test_dtype_and_layout_are_float32_and_nchw_by_default() -> None:
    desc = DataDesc("data", (2, 3))

    assert np.float32 == desc.dtype
    assert "NCHW" == desc.layout


def test_a_pickled_description_keeps_dtype_and_layout() -> None:
    desc = pickle.loads(pickle.dumps(DataDesc("data", [2, 3], np.uint8, "NC")))

    assert ("data", (2, 3)) == desc
    assert np.uint8 == desc.dtype
    assert "NC" == desc.layout


@pytest.mark.parametrize(("layout", "axis"), [("NCHW", 0), ("TNC", 1), (None, 0), ("CHW", -1)])
def test_the_batch_axis_is_the_place_of_n_in_the_layout(layout: str | None, axis: int) -> None:
    assert axis == DataDesc.get_batch_axis(layout)


def test_a_list_of_descriptions_takes_dtypes_by_name() -> None:
    listed = DataDesc.get_list([("a", (1,)), ("b", (2,))], [("b", np.int8)])

    assert [("a", (1,), np.float32), ("b", (2,), np.int8)] == [(*desc, desc.dtype) for desc in listed]
    assert [np.float32] == [desc.dtype for desc in DataDesc.get_list([("a", (1,))], None)]


def test_a_batch_refuses_an_array_that_is_not_in_a_list() -> None:
    with pytest.raises(TypeError) as caught:
        DataBatch(np.zeros(3))  # type: ignore[arg-type]
    assert "data must be a list of arrays, not ndarray" == str(caught.value)
    with pytest.raises(TypeError) as caught:
        DataBatch([], np.zeros(3))  # type: ignore[arg-type]
    assert "label must be a list of arrays, not ndarray" == str(caught.value)


def test_the_text_of_a_batch_lists_the_shapes() -> None:
    assert "DataBatch: data shapes: [(3,)] label shapes: None" == str(DataBatch([np.zeros(3)]))
    assert "DataBatch: data shapes: [(3,)] label shapes: [(2,)]" == str(DataBatch([np.zeros(3)], [np.zeros(2)]))
