"""CSVIter: rows of text as batches; its epochs, parts, last batches and states are those of all iterators."""

from __future__ import annotations

import gc
import logging
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import message_of
from text_helpers import POLICIES, counted, csv_file, data, epochs, index, labels

from im2rec.errors import Im2RecError, InputError, ParameterError
from im2rec.iterators.text import CSVIter
from im2rec.iterators.text_params import CSVParams
from im2rec.text import rows as text_rows


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    """Seven rows of two numbers."""
    return csv_file(tmp_path / "seven.csv", counted(7))


def iterator(path: Path | str, **given: Any) -> CSVIter:
    return CSVIter(data_csv=str(path), **{"data_shape": (2,), "batch_size": 3, **given})


def test_a_batch_holds_rows_their_numbers_and_zeros_as_labels(seven: Path) -> None:
    with iterator(seven) as it:
        first, *_, last = it

    assert [[0, 1], [10, 11], [20, 21]] == data(first)
    assert [0, 0, 0] == labels(first)
    assert [0, 1, 2] == index(first)
    assert 0 == first.pad
    assert [np.float32, np.float32, np.uint64] == [
        array.dtype for array in (first.data[0], first.label[0], first.index)
    ]
    assert [[60, 61], [0, 1], [10, 11]] == data(last)
    assert [6, 0, 1] == index(last)
    assert 2 == last.pad


def test_rows_and_labels_have_the_given_shapes(tmp_path: Path) -> None:
    rows = csv_file(tmp_path / "rows.csv", counted(3, 12))
    own = csv_file(tmp_path / "labels.csv", counted(3, 4))
    with iterator(rows, data_shape=(2, 3, 2), label_csv=own, label_shape=(2, 2), batch_size=2) as it:
        batch = it.next()
        assert np.array_equal(np.array(counted(2, 12)).reshape(2, 2, 3, 2), batch.data[0])
        assert np.array_equal(np.array(counted(2, 4)).reshape(2, 2, 2), batch.label[0])
        assert [("data", (2, 2, 3, 2), "NCHW")] == [(desc.name, desc.shape, desc.layout) for desc in it.provide_data]
        assert [("softmax_label", (2, 2, 2))] == [(desc.name, desc.shape) for desc in it.provide_label]


def test_a_label_of_one_number_has_no_axis_whatever_its_shape(tmp_path: Path) -> None:
    rows, own = csv_file(tmp_path / "rows.csv", counted(3, 12)), csv_file(tmp_path / "labels.csv", counted(3, 1))
    with iterator(rows, data_shape=(12,), label_csv=own, label_shape=(1, 1)) as it:
        assert [0, 10, 20] == labels(it.next())
        assert (3,) == it.provide_label[0].shape


def test_names_are_the_given_ones_and_the_layout_of_flat_rows_is_nc(seven: Path) -> None:
    with iterator(seven, data_name="x", label_name="y") as it:
        assert "x" == it.provide_data[0].name
        assert "NC" == it.provide_data[0].layout
        assert "y" == it.provide_label[0].name


@pytest.mark.parametrize("word", [None, "NULL", "null", "None"])
def test_without_a_label_file_labels_are_zeros_and_label_shape_has_no_effect(
    seven: Path, word: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with iterator(seven, label_csv=word, label_shape=(4,)) as it:
        assert [0, 0, 0] == labels(it.next())
        assert (3,) == it.provide_label[0].shape
    assert ["label_shape has no effect without label_csv"] == caplog.messages


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_dtype_is_the_type_of_data_and_labels(tmp_path: Path, dtype: str) -> None:
    rows = csv_file(tmp_path / "rows.csv", [[1.75, "-1.75"], [3, "1e3"]])
    own = csv_file(tmp_path / "labels.csv", [[2.5], [-7]])
    with iterator(rows, label_csv=own, dtype=dtype, batch_size=2) as it:
        batch = it.next()
        assert [np.dtype(dtype)] * 2 == [batch.data[0].dtype, batch.label[0].dtype]
        assert [np.dtype(dtype).type] * 2 == [it.provide_data[0].dtype, it.provide_label[0].dtype]
    whole = dtype.startswith("int")
    assert ([[1, -1], [3, 1000]] if whole else [[1.75, -1.75], [3, 1000]]) == data(batch)
    assert ([2, -7] if whole else [2.5, -7]) == labels(batch)


def test_large_integers_are_exact(tmp_path: Path) -> None:
    large = [[2**53 + 1, -(2**63)], [2**63 - 1, 2**31]]
    path = csv_file(tmp_path / "large.csv", large)
    with iterator(path, dtype="int64", batch_size=2) as it:
        assert large == data(it.next())


# Epochs, parts, last batches


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "012 345 601(pad 2) | 012 345 601(pad 2)"),
        ({"round_batch": 1}, "012 345 601(pad 2) | 012 345 601(pad 2)"),
        ({"last_batch": "roll_over"}, "012 345 601(pad 2) | 234 560(pad 1) | 123 456"),
        ({"round_batch": "True", "last_batch": "roll_over"}, "012 345 601(pad 2) | 234 560(pad 1)"),
        ({"round_batch": 0}, "012 345 600(pad 2) | 012 345 600(pad 2)"),
        ({"last_batch": "keep"}, "012 345 600(pad 2)"),
        ({"last_batch": "discard"}, "012 345 | 012 345"),
        ({"num_parts": 2}, "012 012(pad 3) | 012 012(pad 3)"),
        ({"num_parts": 2, "equal_batches": 0}, "012 | 012"),
        ({"num_parts": 2, "part_index": 1}, "345 634(pad 2)"),
        ({"num_parts": 2, "part_index": 1, "last_batch": "discard"}, "345"),
        ({"batch_size": 9}, "012345601(pad 2)"),
        ({"batch_size": 9, "num_parts": 9, "part_index": 0}, "000000000(pad 9)"),
    ],
)
def test_epochs_hold_the_rows_of_the_part_and_of_the_last_batch_policy(
    seven: Path, given: dict[str, Any], expected: str
) -> None:
    with iterator(seven, **given) as it:
        assert expected == epochs(it, expected.count("|") + 1)


def test_rows_after_the_last_one_are_zeros_with_round_batch_0(seven: Path) -> None:
    own = csv_file(seven.with_name("labels.csv"), [[5]] * 7)
    with iterator(seven, round_batch=0, label_csv=own) as it:
        *_, last = it

    assert [[60, 61], [0, 0], [0, 0]] == data(last)
    assert [5, 0, 0] == labels(last)
    assert [6, 0, 0] == index(last)
    assert 2 == last.pad


@pytest.mark.parametrize("policy", POLICIES)
def test_a_loaded_state_continues_with_the_next_batch(seven: Path, policy: str) -> None:
    with iterator(seven, last_batch=policy) as it:
        list(it)
        it.reset()
        it.next()
        state = it.state_dict()
        rest = [index(it.next()) for _ in range(len(it) - 1)] + [index(batch) for batch in it]
    with iterator(seven, last_batch=policy) as other:
        other.load_state_dict(state)
        assert rest == [index(batch) for _ in range(2) for batch in other]


def test_the_rest_of_an_epoch_is_shared_by_another_number_of_parts(seven: Path) -> None:
    with iterator(seven, batch_size=2) as it:
        it.next()
        state = it.state_dict()
    shown = []
    for part in range(2):
        with iterator(seven, batch_size=2, num_parts=2, part_index=part) as it:
            it.load_state_dict(state)
            shown.append(epochs(it, 1))
    assert ["23 23(pad 2)", "45 64(pad 1)"] == shown


def test_a_state_of_other_rows_or_labels_is_refused(seven: Path) -> None:
    own = csv_file(seven.with_name("labels.csv"), [[5]] * 7)
    with iterator(seven, label_csv=own) as it:
        state = it.state_dict()
    csv_file(own, [[6]] * 7)
    with iterator(seven, label_csv=own) as it:
        assert "label_csv is not the one the state is of" in message_of(it.load_state_dict, state)
    csv_file(own, [[5]] * 7)
    seven.write_bytes(seven.read_bytes().replace(b"0.0", b"9.0"))
    with iterator(seven, label_csv=own) as it:
        assert "data_csv is not the one the state is of" in message_of(it.load_state_dict, state)
    with iterator(seven, label_csv=own, dtype="int32") as it, pytest.raises(ParameterError, match="dtype=int32"):
        it.load_state_dict(state)


def test_a_state_fits_the_same_file_in_another_place(seven: Path) -> None:
    with iterator(seven) as it:
        it.next()
        state = it.state_dict()
    with iterator(seven.rename(seven.with_name("moved.csv"))) as it:
        it.load_state_dict(state)
        assert "345 601(pad 2)" == epochs(it, 1)


# What goes wrong


def test_a_bad_line_is_an_error_in_place_of_its_batch(seven: Path) -> None:
    seven.write_bytes(seven.read_bytes().replace(b"40.0,41.0", b"\r\n40.0,4l.0"))
    line = f"{seven}, line 6: expected a number in column 2, found '4l.0' (write numbers only)"
    with iterator(seven) as it:
        for _ in range(2):
            assert [0, 1, 2] == index(it.next())
            assert line == message_of(it.next)
            assert [6, 0, 1] == index(it.next())
            with pytest.raises(StopIteration):
                it.next()
            it.reset()


def test_a_bad_label_names_its_own_file(seven: Path) -> None:
    own = csv_file(seven.with_name("labels.csv"), [[5], [5], ["cat"], [5], [5], [5], [5]])
    with iterator(seven, label_csv=own) as it:
        assert f"{own}, line 3: expected a number in column 1, found 'cat' (remove the line if it is a header)" == (
            message_of(it.next)
        )
        assert [3, 4, 5] == index(it.next())


@pytest.mark.parametrize("count", [6, 8])
def test_another_number_of_labels_than_rows_is_an_error(seven: Path, count: int) -> None:
    own = csv_file(seven.with_name("labels.csv"), [[5]] * count)
    assert f"{own}: holds {count} labels, and {seven} 7 rows (give one line of labels for each row)" == message_of(
        iterator, seven, label_csv=own
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"data_shape": ()}, "data_shape= must be 1 or more numbers, each 1 or more"),
        ({"data_shape": (2, 0)}, "data_shape=2,0 must be 1 or more numbers, each 1 or more"),
        ({"label_shape": "(0,)"}, "label_shape=0 must be 1 or more numbers, each 1 or more"),
        ({"data_shape": (2**40, 2**40)}, "data_shape=1099511627776,1099511627776 must make fewer than 2^63 numbers"),
        ({"dtype": "uint8"}, "dtype=uint8 must be float32, float64, int32 or int64 (Type of data and labels."),
        ({"batch_size": 0}, "batch_size=0 must be 1 to 2147483647 (Rows of a batch.)"),
        ({"num_parts": 2, "part_index": 2}, "part_index=2 must be 0 to 1 with num_parts=2"),
        ({"round_batch": 0, "last_batch": "pad"}, "last_batch=pad must be keep, even or discard with round_batch=0"),
        ({"data_csv": ";"}, "data_csv=; must name a file"),
        ({"label_csv": ""}, "label_csv= must name a file"),
        ({"shuffle": 1}, "unknown key 'shuffle' (the nearest known key is"),
    ],
)
def test_wrong_parameters_are_named(seven: Path, given: dict[str, Any], expected: str) -> None:
    values = {"data_csv": seven, "data_shape": (2,), "batch_size": 3, **given}
    assert message_of(CSVIter, **values).startswith(expected)


def test_missing_parameters_are_named_and_positional_arguments_refused(seven: Path) -> None:
    assert message_of(CSVIter, data_shape=(2,), batch_size=3).startswith("data_csv is missing")
    assert message_of(CSVIter, data_csv=seven, batch_size=3).startswith("data_shape is missing")
    with pytest.raises(TypeError, match="CSVIter takes keyword arguments only"):
        CSVIter(str(seven))


def test_values_may_be_text(seven: Path) -> None:
    with iterator(seven, data_shape="(1, 2)", batch_size="2", round_batch="False", dtype="None", ctx="gpu") as it:
        assert (1, 2) == it.params.data_shape
        assert 2 == it.params.batch_size
        assert "keep" == it.params.policy
        assert "float32" == it.params.data_dtype
        assert [[[0, 1]], [[10, 11]]] == data(it.next())


def test_parameters_without_effect_are_warned_of(seven: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        iterator(seven, ctx="cpu", prefetch_buffer=8).close()
    assert ["prefetch_buffer has no effect here", "ctx has no effect here", f"{seven}: 7 rows"] == caplog.messages


def test_a_csv_iter_cannot_be_pickled(seven: Path) -> None:
    with iterator(seven) as it, pytest.raises(TypeError, match="CSVIter cannot be pickled"):
        pickle.dumps(it)


def test_a_closed_iterator_raises_and_may_be_closed_again(seven: Path) -> None:
    it = iterator(seven)
    it.close()
    it.close()
    with pytest.raises(Im2RecError, match="the iterator is closed"):
        it.next()


def test_an_iterator_in_the_middle_of_an_epoch_is_freed_when_it_is_dropped(seven: Path) -> None:
    it = iterator(seven)
    it.next()
    reference = weakref.ref(it)
    gc.disable()
    try:
        del it
        assert reference() is None  # without the garbage collector: there is no reference cycle
    finally:
        gc.enable()


def test_files_are_closed_when_the_constructor_fails(seven: Path) -> None:
    closed: list[Path] = []
    real = text_rows.InputFile.close

    def close(self: Any) -> None:
        closed.append(self.path)
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_rows.InputFile, "close", close)
        other = csv_file(seven.with_name("other.csv"), [[1]])
        with pytest.raises(InputError):
            iterator(seven, label_csv=other)
        with pytest.raises(InputError):
            iterator(f"{seven};{seven.with_name('none.csv')}")
    assert {seven, other} <= set(closed)  # the collector may close what an earlier test left


def test_a_changed_batch_does_not_change_the_next(seven: Path) -> None:
    with iterator(seven) as it:
        for _ in range(2):
            for batch in it:
                assert batch.data[0][:, 0].tolist() == [10 * row for row in index(batch)]
                batch.data[0][:] = -1


def test_an_epoch_in_order_reads_each_block_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "BLOCK_BYTES", 256)
    path = csv_file(tmp_path / "rows.csv", counted(500))
    with iterator(path, batch_size=7, last_batch="keep") as it:
        rows = it._rows
        blocks: list[int] = []
        real = rows._read_block
        monkeypatch.setattr(rows, "_read_block", lambda number: blocks.append(number) or real(number))
        for batch in it:
            assert (
                batch.data[0][:, 0].tolist()[: 7 - batch.pad] == [10.0 * row for row in index(batch)][: 7 - batch.pad]
            )
        assert [*range(len(rows._first_rows) - 1)] == blocks
        assert len(blocks) > 20


def test_the_files_of_a_folder_and_joined_files_are_read_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    csv_file(folder / "b.csv", counted(7)[3:])
    csv_file(folder / "a.csv", counted(7)[:3])
    for names in (folder, f"{folder / 'a.csv'};{folder / 'b.csv'}"):
        with iterator(str(names), batch_size=7) as it:
            assert counted(7) == data(it.next())


def test_the_defaults_are_those_of_mxnet() -> None:
    params = CSVParams(data_csv="a", data_shape=(1,), batch_size=1)
    assert (None, (1,), 1, 0, None, None, 4, None, "data", "softmax_label") == (
        params.label_csv, params.label_shape, params.num_parts, params.part_index, params.round_batch, params.dtype,
        params.prefetch_buffer, params.ctx, params.data_name, params.label_name,
    )  # fmt: skip


@pytest.mark.parametrize("given", [{"batch_size": 8}, {"batch_size": 4, "num_parts": 2}])
def test_an_iterator_without_a_batch_says_so(
    seven: Path, given: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    with iterator(seven, last_batch="discard", **given) as it:
        assert [] == list(it)

    fewer = f"of the 7 records, this part has fewer than batch_size={given['batch_size']}"
    assert [f"no batch: {fewer} (lower it, or set last_batch=pad)"] == caplog.messages
