"""LibSVMIter: sparse rows as batches; its epochs, parts, last batches and states are those of all iterators."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import message_of
from text_helpers import POLICIES, data, epochs, index, labels, svm_file, svm_line

from im2rec.errors import ParameterError
from im2rec.iterators.batch import CSRArray
from im2rec.iterators.text import LibSVMIter
from im2rec.iterators.text_params import LibSVMParams
from im2rec.text.formats import LibSVMRows

DOCUMENTED = b"1.0 0:0.5 2:1.2\n-2.0\n-3.0 0:0.6 1:2.4 2:1.2\n4 2:-1.2\n"  # the example in MXNet's documentation
DOCUMENTED_LABELS = b"1.0\n-2.0 0:0.125\n-3.0 2:1.2\n4 1:1.0 2:-1.2\n"


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    """Seven rows of one number each."""
    return svm_file(tmp_path / "seven.svm", 7)


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """The rows of the documented example."""
    path = tmp_path / "four.svm"
    path.write_bytes(DOCUMENTED)
    return path


def iterator(path: Path | str, **given: Any) -> LibSVMIter:
    return LibSVMIter(data_libsvm=str(path), **{"data_shape": (3,), "batch_size": 3, **given})


def rounded(values: list[Any]) -> list[list[float]]:
    return np.round(np.array(values, np.float64), 4).tolist()


def test_the_example_of_mxnets_documentation_gives_the_documented_batches(four: Path) -> None:
    with iterator(four, last_batch="roll_over") as it:
        first, second = it
        assert [("data", (3, 3))] == it.provide_data
        assert "NC" == it.provide_data[0].layout
        assert [("softmax_label", (3,))] == it.provide_label
    assert [[0.5, 0, 1.2], [0, 0, 0], [0.6, 2.4, 1.2]] == rounded(data(first))
    assert [[0, 0, -1.2], [0.5, 0, 1.2], [0, 0, 0]] == rounded(data(second))
    assert [1, -2, -3] == labels(first)
    assert [4, 1, -2] == labels(second)
    assert [3, 0, 1] == index(second)
    assert 2 == second.pad


def test_labels_of_label_libsvm_are_sparse(four: Path) -> None:
    own = four.with_name("own.svm")
    own.write_bytes(DOCUMENTED_LABELS)
    with iterator(four, label_libsvm=own, label_shape=(4,)) as it:
        batch = it.next()
        assert (3, 4) == it.provide_label[0].shape
        assert isinstance(batch.label[0], CSRArray)
        assert [[0, 0, 0, 0], [0.125, 0, 0, 0], [0, 0, 1.2, 0]] == rounded(labels(batch))
        assert [[0, 1, -1.2, 0], [0, 0, 0, 0], [0.125, 0, 0, 0]] == rounded(labels(it.next()))


def test_sparse_rows_are_three_arrays_and_a_shape(four: Path) -> None:
    with iterator(four, round_batch=0) as it:
        first, last = it
    rows: Any = first.data[0]
    assert [0, 2, 0, 1, 2] == rows.indices.tolist()
    assert [0, 2, 2, 5] == rows.indptr.tolist()
    assert (3, 3) == rows.shape
    assert 3 == len(rows)
    assert "csr" == rows.stype
    assert [np.float32, np.int64, np.int64, np.float32] == [
        array.dtype for array in (rows.data, rows.indices, rows.indptr, rows)
    ]
    assert rows.asnumpy().tolist() == rows.toarray().tolist()
    rows = last.data[0]
    assert [2] == rows.indices.tolist()
    assert [0, 1, 1, 1] == rows.indptr.tolist()
    assert [4, 0, 0] == labels(last)
    assert 2 == last.pad
    assert "<CSRArray 3x3, 1 values>" == repr(rows)


def test_the_arrays_themselves_are_passed_to_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = CSRArray(np.array([1.5], np.float32), np.array([1]), np.array([0, 1]), (1, 2))
    scipy = types.ModuleType("scipy.sparse")
    scipy.csr_matrix = lambda arrays, shape: (arrays, shape)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scipy", types.ModuleType("scipy"))
    monkeypatch.setitem(sys.modules, "scipy.sparse", scipy)

    (values, indices, indptr), shape = rows.to_scipy()
    assert rows.data is values
    assert rows.indices is indices
    assert rows.indptr is indptr
    assert (1, 2) == shape


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "012 345 601(pad 2) | 012 345 601(pad 2)"),
        ({"last_batch": "roll_over"}, "012 345 601(pad 2) | 234 560(pad 1) | 123 456"),
        ({"round_batch": 0}, "012 345 600(pad 2)"),
        ({"last_batch": "discard"}, "012 345 | 012 345"),
        ({"num_parts": 3, "part_index": 1, "equal_batches": 0}, "232(pad 1)"),
        ({"num_parts": 9, "part_index": 0, "equal_batches": 0}, " | "),
        ({"num_parts": 9, "part_index": 0}, "000(pad 3)"),
    ],
)
def test_epochs_hold_the_rows_of_the_part_and_of_the_last_batch_policy(
    seven: Path, given: dict[str, Any], expected: str
) -> None:
    with iterator(seven, **given) as it:
        assert expected == epochs(it, expected.count("|") + 1)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_loaded_state_continues_with_the_next_batch(seven: Path, policy: str) -> None:
    with iterator(seven, last_batch=policy) as it:
        it.next()
        state = it.state_dict()
    with iterator(seven, last_batch=policy) as other:
        other.load_state_dict(state)
        assert [3, 4, 5] == index(other.next())


def test_each_row_has_its_own_label(seven: Path) -> None:
    with iterator(seven, batch_size=2) as it:
        for batch in it:
            for row, number in enumerate(index(batch)):
                expected = [0.0] * 3
                expected[number % 3] = number + 1.0
                assert expected == data(batch)[row]
                assert number == labels(batch)[row]


def test_comments_blanks_and_line_ends_make_no_difference(four: Path) -> None:
    four.write_bytes(
        b"\xef\xbb\xbf# a comment\r\n\r\n \t" + DOCUMENTED.replace(b"\n", b" \t# 7:8\r\n").replace(b" ", b"\t  ")
    )
    with iterator(four, batch_size=4) as it:
        batch = it.next()
    assert [1, -2, -3, 4] == labels(batch)
    assert [0, 1, 2, 3] == index(batch)
    assert [[0.5, 0, 1.2], [0, 0, 0], [0.6, 2.4, 1.2], [0, 0, -1.2]] == rounded(data(batch))


@pytest.mark.parametrize("count", [6, 8])
def test_another_number_of_labels_than_rows_is_an_error(seven: Path, count: int) -> None:
    own = svm_file(seven.with_name("own.svm"), count)
    assert f"{own}: holds {count} labels, and {seven} 7 rows (give one line of labels for each row)" == message_of(
        iterator, seven, label_libsvm=own, label_shape=(3,)
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"data_shape": (1, 3)}, "data_shape=1,3 must be one number"),
        ({"data_shape": (0,)}, "data_shape=0 must be 1 or more numbers, each 1 or more"),
        ({"data_shape": (2**63,)}, "data_shape=9223372036854775808 must make fewer than 2^63 numbers"),
        (
            {"label_shape": (2,)},
            "label_shape=2 must be 1 without label_libsvm (labels of several columns are in a file of their own)",
        ),
        ({"label_libsvm": "own.svm"}, "label_shape=1 must be 2 or more with label_libsvm"),
        ({"dtype": "int32"}, "dtype=int32 must be float32 (Type of data and labels.)"),
        ({"part_index": 1}, "part_index=1 must be 0 with num_parts=1"),
        ({"round_batch": 1, "last_batch": "keep"}, "last_batch=keep must be pad or roll_over with round_batch=1"),
        ({"data_csv": "x"}, "unknown key 'data_csv' (the nearest known key is 'data_libsvm')"),
    ],
)
def test_wrong_parameters_are_named(seven: Path, given: dict[str, Any], expected: str) -> None:
    assert message_of(iterator, seven, **given).startswith(expected)


def test_positional_arguments_are_refused(seven: Path) -> None:
    with pytest.raises(TypeError, match="LibSVMIter takes keyword arguments only"):
        LibSVMIter(str(seven))


def test_values_may_be_text(seven: Path) -> None:
    with iterator(seven, round_batch="False", data_name="x", batch_size="2", data_shape="(3)") as it:
        assert "keep" == it.params.policy
        assert [("x", (2, 3))] == it.provide_data


def test_round_batch_and_last_batch_must_not_contradict_each_other() -> None:
    with pytest.raises(ParameterError, match="last_batch=pad must be keep, even or discard with round_batch=0"):
        LibSVMParams(data_libsvm="a", data_shape=(1,), batch_size=1, round_batch=0, last_batch="pad")


def test_a_bad_line_is_an_error_in_place_of_its_batch(seven: Path) -> None:
    seven.write_bytes(seven.read_bytes().replace(b"4 1:5", b"4 3:5"))
    hint = "(indices count from 0: give one column more if yours count from 1)"
    with iterator(seven) as it:
        assert [0, 1, 2] == index(it.next())
        assert f"{seven}, line 5: index 3 must be below data_shape=3 {hint}" == message_of(it.next)
        assert [6, 0, 1] == index(it.next())


def test_a_row_may_have_2_to_the_63_less_1_columns(tmp_path: Path) -> None:
    path = tmp_path / "wide.svm"
    path.write_bytes(svm_line(1, [(0, 1), (2**63 - 2, 2)]))
    with iterator(path, data_shape=(2**63 - 1,), batch_size=2) as it:
        rows: Any = it.next().data[0]
    assert [0, 2**63 - 2] * 2 == rows.indices.tolist()
    assert (2, 2**63 - 1) == rows.shape


def test_a_cut_has_its_own_indptr_and_leaves_the_parsed_rows_unchanged() -> None:
    rows = LibSVMRows(9, "data_shape").parse(b"1 0:1 8:2\n2\n3\n4 0:5\n5 1:6 2:7 3:8\n")
    cut = LibSVMRows(9, "data_shape").cut(rows, 1, 4)

    assert ([2, 3, 4], [5], [0], [0, 0, 0, 1]) == tuple(array.tolist() for array in cut)
    assert [[1, 2, 5, 6, 7, 8], [0, 8, 0, 1, 2, 3], [0, 2, 2, 2, 3, 6]] == [array.tolist() for array in rows[1:]]
