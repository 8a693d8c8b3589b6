"""Damaged and hostile text: every line is read as it is spelled, or is an error that names it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import message_of, peak_bytes
from text_helpers import each_byte_flipped, index, some_bytes

from im2rec.errors import InputError, TextFormatError
from im2rec.iterators.text import CSVIter, LibSVMIter
from im2rec.text import rows as text_rows
from im2rec.text.formats import CSVRows, LibSVMRows
from im2rec.text.rows import TextRows

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
Row = tuple[Any, ...] | None

# A wrong line, and the message about it.
CSV_LINES = {
    b"a,b,c": "expected a number in column 1, found 'a' (remove the line if it is a header)",
    b"sepal length,width,3": "expected a number in column 1, found 'sepal length' (write numbers only)",
    b'1,"2",3': "expected a number in column 2, found '\"2\"' (write numbers without quotes)",
    b"1,,3": "expected a number in column 2, found nothing (write numbers only)",
    b",1,2,3": "expected a number in column 1, found nothing (write numbers only)",
    b"1,2,": "expected 3 numbers, found 2 (data_shape says how many a line has)",
    b"1,2,3,,": "expected a number in column 4, found nothing (write numbers only)",
    b"1,2,3,4": "expected 3 numbers, found 4 (data_shape says how many a line has)",
    b",": "expected a number in column 1, found nothing (write numbers only)",
    b"1;2;3": "expected a number in column 1, found '1;2;3' (separate numbers by commas)",
    b"1 2 3": "expected a number in column 1, found '1 2 3' (separate numbers by commas)",
    b"1,2 3,4": "expected a number in column 2, found '2 3' (write numbers only)",
    b"1,2,3 # good": "expected a number in column 3, found '3 # good' (write numbers only)",
    b"1,2_0,3": "expected a number in column 2, found '2_0' (write numbers only)",
    b"1,0x10,3": "expected a number in column 2, found '0x10' (write numbers only)",
    b"1,1\x002,3": "expected a number in column 2, found '1\\x002' (write numbers only)",
    b"1,\xff,3": "expected a number in column 2, found '\N{REPLACEMENT CHARACTER}' (write numbers only)",
    b"1,\xd9\xa1,3": "expected a number in column 2, found '\N{ARABIC-INDIC DIGIT ONE}' (write numbers only)",
    b"1,1e39,3": "expected a number in the range of float32 in column 2, found '1e39' (choose another dtype, or"
    " correct the line)",
    b"1," + b"x" * 99 + b",3": f"expected a number in column 2, found '{'x' * 40}...' (write numbers only)",
}
INT_LINES = {
    b"1,nan,3": "expected a number in the range of int32 in column 2, found 'nan' (choose another dtype, or"
    " correct the line)",
    b"1,2,-2147483649": "expected a number in the range of int32 in column 3, found '-2147483649' (choose another"
    " dtype, or correct the line)",
}
SVM_LINES = {
    b"a 0:1": "expected a label, found 'a'",
    b"0:1 1:1": "expected a label, found '0:1' (weights of rows are not read)",
    b"1:2 0:3": "expected a label, found '1:2' (weights of rows are not read)",
    b"1e39 0:1": "expected a label, found '1e39'",
    b"1 qid:3 0:1": "expected index:value, found 'qid:3' (remove the query ids)",
    b"1 0 2": "expected index:value, found '0'",
    b"1 2 0:1": "expected index:value, found '2'",
    b"1,2 0:1": "expected a label, found '1,2'",
    b"1 0:1,2:1": "expected index:value, found '0:1,2:1'",
    b"1 0: 1": "expected index:value, found '0:'",
    b"1 0 :1": "expected index:value, found '0'",
    b"1 :1": "expected index:value, found ':1'",
    b"1 0:1:2": "expected index:value, found '0:1:2'",
    b"1 0:x": "expected index:value, found '0:x'",
    b"1 0:1e39": "expected index:value, found '0:1e39'",
    b"1 -1:1": "expected index:value, found '-1:1'",
    b"1 +1:1": "expected index:value, found '+1:1'",
    b"1 1.0:1": "expected index:value, found '1.0:1'",
    b"1 1e0:1": "expected index:value, found '1e0:1'",
    b"1 00000000000000000001:1": "expected index:value, found '00000000000000000001:1'",
    b"1 3:1": "index 3 must be below data_shape=3 (indices count from 0: give one column more if yours count from 1)",
    b"1 9999999999999999999:1": "index 9999999999999999999 must be below data_shape=3 (indices count from 0: give one"
    " column more if yours count from 1)",
    b"1 2:1 0:1": "index 0 comes after index 2 (sort the pairs of the line by index, each index once)",
    b"1 0:1 0:1": "index 0 comes after index 0 (sort the pairs of the line by index, each index once)",
    b"1\x00 0:1": "expected a label, found '1\\x00'",
}


def csv(path: Path, **given: Any) -> CSVIter:
    return CSVIter(data_csv=str(path), **{"data_shape": (3,), "batch_size": 2, **given})


def svm(path: Path, **given: Any) -> LibSVMIter:
    return LibSVMIter(data_libsvm=str(path), **{"data_shape": (3,), "batch_size": 2, **given})


@pytest.mark.parametrize(
    ("line", "problem", "iterator", "good", "given"),
    [
        *((line, problem, csv, b"1,2,3", {}) for line, problem in CSV_LINES.items()),
        *((line, problem, csv, b"1,2,3", {"dtype": "int32"}) for line, problem in INT_LINES.items()),
        *((line, problem, svm, b"1 0:1", {}) for line, problem in SVM_LINES.items()),
    ],
)
def test_a_wrong_line_is_named_and_the_batches_beside_it_are_read(
    tmp_path: Path, line: bytes, problem: str, iterator: Callable[..., Any], good: bytes, given: dict[str, Any]
) -> None:
    path = tmp_path / "rows.txt"
    for end in (b"\n", b"\r\n"):
        path.write_bytes(end.join([good, b"", good, b" \t", line, good, good]))
        with iterator(path, **given) as it:
            assert [0, 1] == index(it.next())
            with pytest.raises(TextFormatError) as caught:
                it.next()
            assert f"{path}, line 5: {problem}" == str(caught.value)
            assert path == caught.value.path
            assert 5 == caught.value.line
            assert [4, 0] == index(it.next())
            assert 1 == it.getpad()
            with pytest.raises(StopIteration):
                it.next()


# Compared with a plain reader, which reads line by line


def plain_lines(content: bytes, comment: str = "") -> Iterator[tuple[int, str]]:
    """Yield number and text of every line that is not empty, without blanks around it and what follows *comment*."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode("latin1")
    for number, line in enumerate(re.split("\r\n|\n|\r", text), 1):
        stripped = (line.partition(comment)[0] if comment else line).strip(" \t\v\f")
        if stripped:
            yield number, stripped


def plain_csv(content: bytes, width: int, dtype: str) -> list[tuple[int, Row]]:
    """Line number and numbers of every row; None instead of the numbers if the row is wrong."""
    rows: list[tuple[int, Row]] = []
    for number, line in plain_lines(content):
        cells = [cell.strip(" \t\v\f") for cell in line.split(",")]
        if len(cells) > 1 and not cells[-1]:
            del cells[-1]
        good = len(cells) == width and all(NUMBER.fullmatch(cell) for cell in cells)
        rows.append((number, plain_numbers(cells, dtype) if good else None))
    return rows


def plain_svm(content: bytes, width: int) -> list[tuple[int, Row]]:
    """Line number, and label, values and indices of every row; None instead of these if the row is wrong."""
    rows: list[tuple[int, Row]] = []
    for number, line in plain_lines(content, "#"):
        label, *pairs = re.split("[ \t\v\f]+", line)
        indices = [pair.partition(":")[0] for pair in pairs]
        values = [label, *(pair.partition(":")[2] for pair in pairs)]
        good = all(re.fullmatch("[0-9]{1,19}", index) for index in indices) and all(map(NUMBER.fullmatch, values))
        columns = [int(index) for index in indices] if good else []
        if good and columns == sorted(set(columns)) and all(column < width for column in columns):
            numbers = plain_numbers(values, "float32")
            rows.append((number, None if numbers is None else (*numbers, *columns)))
        else:
            rows.append((number, None))
    return rows


def plain_numbers(cells: list[str], dtype: str) -> Row:
    values = [float(cell) for cell in cells]
    with np.errstate(over="ignore"):
        floats = np.array(values).astype(dtype) if dtype.startswith("float") else None
    if floats is not None:
        spelled = [("n" in cell.lower()) for cell in cells]
        return tuple(map(repr, floats.tolist())) if not (np.isinf(floats) & ~np.array(spelled)).any() else None
    if not all(abs(value) < 2**64 for value in values):
        return None
    whole = [int(Decimal(cell)) for cell in cells]
    limits = np.iinfo(dtype)
    return tuple(map(repr, whole)) if all(limits.min <= value <= limits.max for value in whole) else None


def read_csv(path: Path, width: int, dtype: str) -> list[tuple[int | None, Row]]:
    return read(path, CSVRows(width, dtype, "data_shape"), lambda piece: tuple(map(repr, piece[0].tolist())))


def read_svm(path: Path, width: int) -> list[tuple[int | None, Row]]:
    return read(
        path,
        LibSVMRows(width, "data_shape"),
        lambda piece: (
            repr(piece.labels[0].item()), *map(repr, piece.data.tolist()), *piece.indices.tolist()
        ),
    )  # fmt: skip


def read(path: Path, row_format: Any, as_row: Callable[[Any], Row]) -> list[tuple[int | None, Row]]:
    """Read the rows one by one: each as (None, row), or as (line number, None) if it is wrong."""
    rows: TextRows[Any] = TextRows([path], row_format)
    results: list[tuple[int | None, Row]] = []
    for number in range(len(rows)):
        try:
            (piece,) = rows.read(np.array([number]))
            results.append((None, as_row(piece)))
        except TextFormatError as error:  # noqa: PERF203 - each row is read for itself
            results.append((error.line if error.path == path else None, None))
    rows.close()
    return results


def assert_agree(
    path: Path, content: bytes, rows: list[tuple[int, Row]], reader: Callable[..., Any], *args: Any
) -> None:
    """Compare what *reader* reads from *content* with the *rows* of the plain reader."""
    path.write_bytes(content)
    if not rows:
        with pytest.raises(InputError):
            reader(path, *args)
        return
    expected = [(None, row) if row is not None else (line, None) for line, row in rows]
    assert expected == reader(path, *args), content


@pytest.mark.parametrize("seed", range(12))
def test_random_bytes_are_read_as_by_a_plain_reader(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(text_rows, "BLOCK_BYTES", rng.choice([8, 50, 1000]))
    path = tmp_path / "rows"
    for _ in range(12):
        content = some_bytes(rng, rng.randrange(1, 120))
        width, dtype = rng.choice([1, 1, 2]), rng.choice(["float32", "float64", "int32", "int64"])
        assert_agree(path, content, plain_csv(content, width, dtype), read_csv, width, dtype)
        assert_agree(path, content, plain_svm(content, 9), read_svm, 9)


def test_every_byte_changed_is_read_as_by_a_plain_reader(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    for content in each_byte_flipped(b"\xef\xbb\xbf1,-2.5e1\r\n+3 ,4,\n"):
        assert_agree(path, content, plain_csv(content, 2, "float64"), read_csv, 2, "float64")
    for content in each_byte_flipped(b"-1 0:1.5 12:2#\r\n2\t3:1e1\n"):
        assert_agree(path, content, plain_svm(content, 13), read_svm, 13)


@pytest.mark.parametrize("reader", ["csv", "svm"])
def test_a_file_cut_at_any_byte_is_read_as_by_a_plain_reader(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "rows"
    text = {"csv": b"1,2\r\n-3.5,4e1\r\n5,6\r\n", "svm": b"1 0:2\r\n2 0:1 1:1e1\r\n\n3\n"}[reader]
    for end in range(len(text) + 1):
        content = text[:end]
        if reader == "csv":
            assert_agree(path, content, plain_csv(content, 2, "int64"), read_csv, 2, "int64")
        else:
            assert_agree(path, content, plain_svm(content, 2), read_svm, 2)


# Large and hostile files


def test_a_huge_line_is_refused_on_opening_in_less_than_40_mib(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    path.write_bytes(b"1,2,3\n" * 1000 + b"1," * (5 << 20))
    expected = f"{path}, line 1001: expected a line of at most 8388608 bytes, found a longer one (is this a text file?)"

    def work() -> None:
        assert expected == message_of(csv, path)

    assert peak_bytes(work) < 40 << 20


@pytest.mark.parametrize(
    "byte", [b"\0", b" ", b"\n", b"\r", b",", b"#", b":", b"-", b".", b"9", b"\xff", b"1,", b"1:", b"1 "]
)
def test_a_file_that_repeats_one_byte_is_an_error_with_a_short_message(tmp_path: Path, byte: bytes) -> None:
    path = tmp_path / "repeated"
    path.write_bytes(byte * (1 << 19))
    for iterator in (csv, svm):
        with pytest.raises((InputError, TextFormatError)) as caught, iterator(path) as it:
            it.next()
        assert str(caught.value).startswith(str(path))
        assert len(str(caught.value)) < len(str(path)) + 300


def test_a_line_may_hold_an_image_in_the_longest_spelling(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_bytes(b",".join([b"1.000000000000000000e+00"] * (3 * 64 * 64)) + b"\n")
    with csv(path, data_shape=(3, 64, 64), batch_size=1) as it:
        batch = it.next()
        assert (1, 3, 64, 64) == batch.data[0].shape
        assert (batch.data[0] == 1).all()


@pytest.mark.parametrize("iterator", [csv, svm])
def test_gzip_files_empty_folders_and_missing_files_are_named(tmp_path: Path, iterator: Callable[..., Any]) -> None:
    packed = tmp_path / "rows.gz"
    packed.write_bytes(b"\x1f\x8b\x08" + bytes(99))
    assert f"{packed}: is a gzip file (unpack it with gunzip: rows are read in any order)" == message_of(
        iterator, packed
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    assert f"{folder}: holds no files (name a file, or a folder of them)" == message_of(iterator, folder)
    assert message_of(iterator, tmp_path / "none").startswith(f"{tmp_path / 'none'}: cannot be read: no such file")


@pytest.mark.parametrize(("size", "whole_batches"), [(0, 0), (5, 0), (600, 1)])
def test_a_file_cut_while_it_is_open_is_an_error_in_place_of_each_later_batch(
    tmp_path: Path, size: int, whole_batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_rows, "BLOCK_BYTES", 64)
    path = tmp_path / "rows.csv"
    path.write_bytes(b"1,2,3\n" * 200)
    with csv(path, batch_size=50, last_batch="keep") as it:
        assert [*range(50)] == index(it.next())
        with path.open("r+b") as file:
            file.truncate(size)
        for batch in range(1, 1 + whole_batches):
            assert [*range(50 * batch, 50 * batch + 50)] == index(it.next())
        for _ in range(3 - whole_batches):
            assert f"{path}: was changed while it was open (make a new iterator)" == message_of(it.next)
        with pytest.raises(StopIteration):
            it.next()
