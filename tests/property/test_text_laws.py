"""Laws of CSVIter and LibSVMIter: any file, read in any way, gives the batches of a model that reads it whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_helpers import (
    POLICIES,
    Expected,
    TextLayout,
    csv_text,
    data,
    expected_epochs,
    index,
    labels,
    spellings,
    svm_line,
    write_files,
)

from im2rec.iterators.text import CSVIter, LibSVMIter
from im2rec.text import rows as text_rows


class Reading(NamedTuple):
    """How a file of *count* rows is read: in batches of *size*, one of several parts, from small blocks."""

    count: int
    size: int
    policy: str
    part: tuple[int, int]  # its number, and how many there are
    block_bytes: int

    @property
    def params(self) -> dict[str, Any]:
        number, parts = self.part
        return {"batch_size": self.size, "last_batch": self.policy, "num_parts": parts, "part_index": number}

    def expected(self, epochs: int) -> list[list[Expected]]:
        """The batches of the first *epochs* epochs, from the model."""
        return expected_epochs(self.count, self.size, self.policy, self.part, epochs)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    parts = draw(st.sampled_from([1, 1, 2, 3, 5]))
    return Reading(
        draw(st.integers(parts, 20)),  # no part is empty: with roll_over it would have no row to repeat
        draw(st.integers(1, 11)),
        draw(st.sampled_from(POLICIES)),
        (draw(st.integers(0, parts - 1)), parts),
        draw(st.sampled_from([40, 200, 1 << 18])),
    )


LAYOUTS = st.builds(
    TextLayout,
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"\n \n", b"\r\n\t\r\n"]), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 20), max_size=2),
    has_mark=st.booleans(),
    has_last_end=st.booleans(),
)
NUMBERS = st.one_of(st.integers(-9, 9).map(float), st.floats(width=32, allow_nan=False, allow_infinity=False))
SPELLED = st.tuples(NUMBERS, st.integers(0, 9)).map(
    lambda drawn: (drawn[0], spellings(drawn[0])[drawn[1] % len(spellings(drawn[0]))])
)
Spelled = tuple[float, str]


def tables(count: int, width: int) -> st.SearchStrategy[list[list[Spelled]]]:
    """*count* rows of *width* numbers, each with a spelling of it."""
    row = st.lists(SPELLED, min_size=width, max_size=width)
    return st.lists(row, min_size=count, max_size=count)


def values_of(table: list[list[Spelled]]) -> list[list[float]]:
    return [[value for value, _ in row] for row in table]


def text_of(table: list[list[Spelled]]) -> bytes:
    return csv_text([[text for _, text in row] for row in table])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the files of an example, which the next one overwrites."""
    return tmp_path_factory.mktemp("text")


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_rows, "BLOCK_BYTES", size)
        yield


def filled(rows: list[Any], expected: Expected, size: int) -> list[Any]:
    """The rows of a batch, and zeros after them."""
    zeros = np.zeros_like(np.array(rows[0])).tolist()
    return [rows[number] for number in expected.index] + [zeros] * (size - len(expected.index))


@settings(max_examples=20)
@given(st.data(), readings(), LAYOUTS, LAYOUTS)
def test_csv_batches_equal_those_of_the_model(
    folder: Path, drawn: st.DataObject, reading: Reading, data_layout: TextLayout, label_layout: TextLayout
) -> None:
    label_width = drawn.draw(st.integers(1, 2))
    table = drawn.draw(tables(reading.count, drawn.draw(st.integers(1, 4))))
    label_table = drawn.draw(tables(reading.count, label_width))
    rows, label_rows = values_of(table), values_of(label_table)
    expected_labels: list[Any] = [row[0] for row in label_rows] if label_width == 1 else label_rows

    with (
        blocks_of(reading.block_bytes),
        CSVIter(
            data_csv=write_files(folder / "rows", text_of(table), data_layout),
            label_csv=write_files(folder / "labels", text_of(label_table), label_layout),
            data_shape=(len(rows[0]),),
            label_shape=(label_width,),
            dtype=drawn.draw(st.sampled_from(["float32", "float64"])),
            **reading.params,
        ) as it,
    ):
        for epoch in reading.expected(3):
            for expected, batch in zip(epoch, it, strict=True):
                assert expected.pad == batch.pad
                assert (expected.index + [0] * reading.size)[: reading.size] == index(batch)
                assert filled(rows, expected, reading.size) == data(batch)
                assert filled(expected_labels, expected, reading.size) == labels(batch)
            assert len(epoch) == len(it)


@settings(max_examples=20)
@given(st.data(), readings(), LAYOUTS, st.sampled_from(["int32", "int64"]))
def test_csv_integers_are_exact_and_lose_their_decimals(
    folder: Path, drawn: st.DataObject, reading: Reading, layout: TextLayout, dtype: str
) -> None:
    limits = np.iinfo(dtype)
    number = st.tuples(st.integers(int(limits.min), int(limits.max)), st.sampled_from(["", ".", ".75"]))
    table = drawn.draw(st.lists(st.tuples(number, number), min_size=reading.count, max_size=reading.count))
    rows = [[value for value, _ in row] for row in table]
    text = csv_text([[f"{value}{decimals}" for value, decimals in row] for row in table])

    paths = write_files(folder / "rows", text, layout)
    with blocks_of(reading.block_bytes), CSVIter(data_csv=paths, data_shape=2, dtype=dtype, **reading.params) as it:
        for expected, batch in zip(reading.expected(1)[0], it, strict=True):
            assert filled(rows, expected, reading.size) == data(batch)


@settings(max_examples=20)
@given(st.data(), readings(), LAYOUTS)
def test_libsvm_batches_equal_those_of_the_model(
    folder: Path, drawn: st.DataObject, reading: Reading, layout: TextLayout
) -> None:
    width = drawn.draw(st.integers(1, 6))
    pairs = st.dictionaries(st.integers(0, width - 1), SPELLED)
    table = drawn.draw(st.lists(st.tuples(SPELLED, pairs), min_size=reading.count, max_size=reading.count))
    blank = drawn.draw(st.sampled_from([b" ", b"\t", b"  "]))
    lines = [
        svm_line(label[1], [(column, row[column][1]) for column in sorted(row)]).replace(b" ", blank)
        for label, row in table
    ]
    rows = [[row[column][0] if column in row else 0.0 for column in range(width)] for _, row in table]
    expected_labels = [label[0] for label, _ in table]

    paths = write_files(folder / "rows", b"".join(lines), layout)
    with blocks_of(reading.block_bytes), LibSVMIter(data_libsvm=paths, data_shape=width, **reading.params) as it:
        for epoch in reading.expected(2):
            for expected, batch in zip(epoch, it, strict=True):
                assert expected.pad == batch.pad
                assert (expected.index + [0] * reading.size)[: reading.size] == index(batch)
                assert filled(rows, expected, reading.size) == data(batch)
                assert filled(expected_labels, expected, reading.size) == labels(batch)
                sparse: Any = batch.data[0]
                assert reading.size + 1 == len(sparse.indptr)
                assert len(sparse.data) == sparse.indptr[-1]


def count_up(path: Path, count: int) -> Path:
    """A file of *count* rows, each of which is its own number."""
    path.write_bytes(csv_text([[row] for row in range(count)]))
    return path


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 4), st.sampled_from(POLICIES))
def test_parts_deliver_disjoint_runs_of_rows_which_are_complete_unless_discarded(
    folder: Path, count: int, parts: int, size: int, policy: str
) -> None:
    path, delivered = count_up(folder / "rows", count), []
    for part in range(parts):
        with CSVIter(
            data_csv=path, data_shape=1, batch_size=size, last_batch=policy, num_parts=parts, part_index=part
        ) as it:
            delivered.append([row for batch in it for row in index(batch)[: size - (batch.pad or 0)]])

    rows = [row for each in delivered for row in each]
    if policy == "roll_over":  # a shorter part repeats its first row
        assert [*range(count)] == sorted({*rows})
    elif policy == "discard":
        assert rows == sorted({*rows})
        assert {count // parts // size * size} == {*map(len, delivered)}
    else:
        assert [*range(count)] == rows


@settings(max_examples=20)
@given(
    st.integers(1, 49),
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), min_size=2, max_size=2),
    st.integers(1, 4),
)
def test_an_epoch_resumed_with_other_numbers_of_parts_delivers_each_row_once(
    folder: Path, count: int, size: int, stages: list[tuple[int, int]], last_parts: int
) -> None:
    path, delivered, state = count_up(folder / "rows", count), [], None
    for parts, steps in [*stages, (last_parts, count)]:
        states = []
        for part in range(parts):
            with (
                blocks_of(30),
                CSVIter(
                    data_csv=path, data_shape=1, batch_size=size, last_batch="keep", num_parts=parts, part_index=part
                ) as it,
            ):
                if state is not None:
                    it.load_state_dict(state)
                for _ in range(steps):
                    if not it.iter_next():
                        break
                    delivered += [int(row) for row in it.getdata()[: size - it.getpad(), 0]]
                states.append(it.state_dict())
        state = states[0]
        assert [state] * parts == states  # wherever each part is, all agree

    assert [*range(count)] == sorted(delivered)
