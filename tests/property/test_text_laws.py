"""Laws of CSVIter and LibSVMIter: whatever is drawn, batches are what a model gives that reads everything."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from text_helpers import (
    POLICIES,
    Expected,
    csv_text,
    cut_lines,
    data,
    expected_epochs,
    index,
    labels,
    numbers,
    spelled,
    svm_line,
)

from im2rec.iterators.text import CSVIter, LibSVMIter
from im2rec.text import rows as text_rows

CASES = 40


class Drawn(NamedTuple):
    """How rows are read: by batches of a size, one of so many parts, from small blocks."""

    rng: random.Random
    count: int
    size: int
    policy: str
    part: tuple[int, int]

    @property
    def given(self) -> dict[str, Any]:
        """The parameters that say so."""
        number, parts = self.part
        return {"batch_size": self.size, "last_batch": self.policy, "num_parts": parts, "part_index": number}

    def expected(self, epochs: int) -> list[list[Expected]]:
        """What the batches of the first epochs hold."""
        return expected_epochs(self.count, self.size, self.policy, self.part, epochs)


def drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawn]:
    """Random cases."""
    for seed in range(CASES):
        rng = random.Random(f"{name} {seed}")
        monkeypatch.setattr(text_rows, "BLOCK_BYTES", rng.choice([40, 200, 1 << 18]))
        count, parts = rng.randrange(1, 60), rng.choice([1, 1, 1, 2, 3, 5])
        count = max(count, parts)  # with roll_over, an empty part has nothing to repeat
        yield Drawn(rng, count, rng.randrange(1, 12), rng.choice(POLICIES), (rng.randrange(parts), parts))


def files(path: Path, text: bytes, rng: random.Random) -> str:
    """*text* in one file or several, with lines that end in several ways."""
    lines, paths = text.splitlines(keepends=True), []
    cuts = sorted(rng.sample(range(1, len(lines)), min(len(lines) - 1, rng.choice([0, 0, 1, 2])))) if lines else []
    for number, (low, high) in enumerate(zip([0, *cuts], [*cuts, len(lines)], strict=True)):
        content = cut_lines(b"".join(lines[low:high]), rng.choice([[b"\n"], [b"\r\n"], [b"\r"], [b"\n", b"\r\n"]]), rng)
        if rng.random() < 0.5:
            content = content.rstrip(b"\r\n\t ")
        paths.append(path.with_name(f"{path.name}.{number}"))
        paths[-1].write_bytes(rng.choice([b"", b"\xef\xbb\xbf"]) + content)
    return ";".join(map(str, paths))


def filled(rows: list[Any], expected: Expected, size: int) -> list[Any]:
    """The rows of a batch; zeros behind them."""
    zeros = np.zeros_like(np.array(rows[0])).tolist()
    found = [rows[place] for place in expected.index]
    return found + [zeros] * (size - len(found))


def test_csv_batches_are_those_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in drawn("csv", monkeypatch):
        rng, width, label_width = case.rng, case.rng.randrange(1, 6), case.rng.randrange(1, 3)
        rows = [numbers(rng, width) for _ in range(case.count)]
        own = [numbers(rng, label_width) for _ in range(case.count)]
        dtype = rng.choice(["float32", "float64"])
        texts = [csv_text([spelled(value, rng) for value in row] for row in table) for table in (rows, own)]
        it = CSVIter(
            data_csv=files(tmp_path / "rows", texts[0], rng),
            label_csv=files(tmp_path / "labels", texts[1], rng),
            data_shape=(width,),
            label_shape=(label_width,),
            dtype=dtype,
            **case.given,
        )
        own_values: list[Any] = [row[0] for row in own] if label_width == 1 else own
        with it:
            for epoch in case.expected(3):
                for expected, batch in zip(epoch, it, strict=True):
                    assert expected.pad == batch.pad
                    assert (expected.index + [0] * case.size)[: case.size] == index(batch)
                    assert filled(rows, expected, case.size) == data(batch)
                    assert filled(own_values, expected, case.size) == labels(batch)
                assert len(epoch) == len(it)


def test_csv_integers_are_those_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in drawn("integers", monkeypatch):
        rng, dtype = case.rng, case.rng.choice(["int32", "int64"])
        limits = np.iinfo(dtype)
        rows = [
            [rng.randrange(limits.min, int(limits.max) + 1) >> rng.randrange(64) for _ in "ab"]
            for _ in range(case.count)
        ]
        text = csv_text([[f"{value}{rng.choice(['', '.', '.75'])}" for value in row] for row in rows])
        with CSVIter(data_csv=files(tmp_path / "rows", text, rng), data_shape=(2,), dtype=dtype, **case.given) as it:
            for expected, batch in zip(case.expected(1)[0], it, strict=True):
                assert filled(rows, expected, case.size) == data(batch)


def test_libsvm_batches_are_those_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in drawn("libsvm", monkeypatch):
        rng, width = case.rng, case.rng.randrange(1, 9)
        rows, lines, own = [], [], numbers(rng, case.count)
        for label in own:
            places = sorted(rng.sample(range(width), rng.randrange(width + 1)))
            values = numbers(rng, len(places))
            rows.append([dict(zip(places, values, strict=True)).get(place, 0.0) for place in range(width)])
            spelling = [(place, spelled(value, rng)) for place, value in zip(places, values, strict=True)]
            lines.append(svm_line(spelled(label, rng), spelling).replace(b" ", rng.choice([b" ", b"\t", b"  "])))
        with LibSVMIter(
            data_libsvm=files(tmp_path / "rows", b"".join(lines), rng), data_shape=(width,), **case.given
        ) as it:
            for epoch in case.expected(2):
                for expected, batch in zip(epoch, it, strict=True):
                    assert expected.pad == batch.pad
                    assert (expected.index + [0] * case.size)[: case.size] == index(batch)
                    assert filled(rows, expected, case.size) == data(batch)
                    assert filled(own, expected, case.size) == labels(batch)
                    sparse: Any = batch.data[0]
                    assert (case.size + 1, len(sparse.data)) == (len(sparse.indptr), sparse.indptr[-1])


@pytest.mark.parametrize("policy", POLICIES)
def test_parts_are_the_whole_in_order(tmp_path: Path, policy: str) -> None:
    for parts in (1, 2, 3, 7):
        path = tmp_path / "rows.csv"
        path.write_bytes(csv_text([[row] for row in range(40)]))
        found: list[int] = []
        for part in range(parts):
            with CSVIter(
                data_csv=path, data_shape=(1,), batch_size=1, last_batch=policy, num_parts=parts, part_index=part
            ) as it:
                found += [row for batch in it for row in index(batch)[: 1 - (batch.pad or 0)]]
        whole = [*range(40)]
        assert whole == sorted(set(found)) or policy == "discard"
        assert found == sorted(found) or policy == "roll_over"


def test_a_run_that_goes_on_with_other_parts_gives_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_rows, "BLOCK_BYTES", 30)
    for seed in range(25):
        rng = random.Random(seed)
        count, size = rng.randrange(1, 50), rng.randrange(1, 6)
        path = tmp_path / "rows.csv"
        path.write_bytes(csv_text([[row] for row in range(count)]))
        found: list[int] = []
        state = None
        for stage in range(3):
            parts, steps, states = rng.randrange(1, 5), rng.randrange(3) if stage < 2 else None, []
            for part in range(parts):
                with CSVIter(
                    data_csv=path, data_shape=(1,), batch_size=size, last_batch="keep", num_parts=parts, part_index=part
                ) as it:
                    if state is not None:
                        it.load_state_dict(state)
                    left = len(it) - it._delivered
                    for _ in range(left if steps is None else min(steps, left)):
                        batch = it.next()
                        found += [int(value) for value in batch.data[0][: size - (batch.pad or 0), 0]]
                    states.append(it.state_dict())
            state = states[0]
            assert all(other == state for other in states)
        assert [*range(count)] == sorted(found)
