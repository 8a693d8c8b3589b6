"""Rows of text files: counted on opening, read in blocks, never in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import message_of, peak_bytes
from text_helpers import counted, csv_file, csv_text

from im2rec.errors import InputError, ParameterError, TextFormatError
from im2rec.text import rows as text_rows
from im2rec.text.formats import CSVRows
from im2rec.text.rows import TextRows, count_lines, text_files

Opened = Callable[..., TextRows[Any]]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "BLOCK_BYTES", 64)
    monkeypatch.setattr(text_rows, "MAX_LINE_BYTES", 256)


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Opened:
    """A function that writes files with the given contents and opens them; they are closed after the test."""

    def of(*contents: bytes, width: int = 2) -> TextRows[Any]:
        paths = [tmp_path / f"{number}.csv" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        rows: TextRows[Any] = TextRows(paths, CSVRows(width, "float64", "data_shape"))
        request.addfinalizer(rows.close)
        return rows

    return of


def read(rows: TextRows[Any], numbers: list[int]) -> list[list[float]]:
    return [row for piece in rows.read(np.array(numbers, np.int64)) for row in piece.tolist()]


def record_block_reads(rows: TextRows[Any], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the number of each block is added when it is read."""
    numbers: list[int] = []
    real = rows._read_block

    def read_block(number: int) -> bytes:
        numbers.append(number)
        return real(number)

    monkeypatch.setattr(rows, "_read_block", read_block)
    return numbers


def test_rows_are_counted_and_read_in_any_order(opened: Opened) -> None:
    expected = counted(100)
    rows = opened(csv_text(expected))

    assert 100 == len(rows)
    assert expected == read(rows, [*range(100)])
    for numbers in ([], [0], [99], [99, 0, 50, 51, 52, 3, 2], [*range(40, 100), *range(40)], [7, 7, 7]):
        assert [expected[number] for number in numbers] == read(rows, numbers)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_blank_lines_and_a_missing_last_end_make_no_difference(
    opened: Opened, end: bytes, *, last: bool
) -> None:
    expected = counted(60)
    text = (end + b"  " + end + end).join(csv_text(expected).splitlines()) + (end if last else b"")
    rows = opened(b"\xef\xbb\xbf" + end + text)

    assert 60 == len(rows)
    assert expected == read(rows, [*range(60)])


def test_rows_of_several_files_are_numbered_in_order(opened: Opened) -> None:
    expected = counted(90)
    rows = opened(csv_text(expected[:40]), b"\n \n", csv_text(expected[40:41])[:-1], csv_text(expected[41:]))

    assert 90 == len(rows)
    assert 4 == len(rows.sizes)
    assert expected == read(rows, [*range(90)])


def test_reading_rows_in_order_reads_every_block_once(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = opened(csv_text(counted(100)))
    blocks = record_block_reads(rows, monkeypatch)
    for low in range(0, 100, 3):
        read(rows, [*range(low, min(low + 3, 100))])

    assert len(blocks) > 10
    assert [*range(len(blocks))] == blocks


def test_the_last_three_blocks_stay_in_memory(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = opened(csv_text(counted(100)))
    blocks = record_block_reads(rows, monkeypatch)
    for number in (0, 99, 50, 0, 99, 50, 0, 25, 0, 99):
        read(rows, [number])

    last, middle, quarter = blocks[1], blocks[2], blocks[3]
    assert [0, last, middle, quarter, last] == blocks


def test_a_line_longer_than_a_block_is_read_whole(opened: Opened) -> None:
    lines = [b"1,2", b" " * 100 + b"3," + b" " * 130 + b"4", b"5,6" + b" " * 200, b"7,8"]
    assert [[1, 2], [3, 4], [5, 6], [7, 8]] == read(opened(b"\r\n".join(lines)), [0, 1, 2, 3])


def test_a_line_that_is_too_long_is_an_error_with_its_number(opened: Opened, tmp_path: Path) -> None:
    problem = "expected a line of at most 256 bytes, found a longer one (is this a text file?)"
    where = f"{tmp_path / '0.csv'}, line 33: {problem}"
    for ends in (b"\n", b"\r\n", b"\r"):
        text = csv_text(counted(16)).replace(b"\n", ends + ends) + b"1" * 300
        assert where == message_of(opened, text)
        assert where == message_of(opened, text + ends + b"1,2")


def test_an_error_names_file_and_line_and_other_rows_can_be_read(opened: Opened, tmp_path: Path) -> None:
    lines = csv_text(counted(60)).splitlines()
    lines[40:40] = [b"", b"1,x", b" "]
    rows = opened(b"5,5\n", b"\r\n".join(lines))

    assert [*counted(40), *counted(60)[40:]] == read(rows, [*range(1, 41), *range(42, 62)])
    for numbers in ([41], [*range(62)], [40, 41]):
        with pytest.raises(TextFormatError) as caught:
            read(rows, numbers)
        assert tmp_path / "1.csv" == caught.value.path
        assert 42 == caught.value.line


def test_the_first_of_several_wrong_rows_is_named(opened: Opened) -> None:
    lines = csv_text(counted(20)).splitlines(keepends=True)
    for wrong in (3, 4, 9, 19):
        lines[wrong] = b"?\n"
    rows = opened(b"".join(lines))

    for low, high, line in ((0, 20, 4), (4, 20, 5), (5, 9, None), (5, 10, 10), (10, 20, 20)):
        if line is None:
            assert counted(20)[low:high] == read(rows, [*range(low, high)])
        else:
            with pytest.raises(TextFormatError) as caught:
                read(rows, [*range(low, high)])
            assert line == caught.value.line


def test_gzip_and_utf16_files_are_refused(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "0.csv"
    assert f"{path}: is a gzip file (unpack it with gunzip: rows are read in any order)" == message_of(
        opened, b"\x1f\x8b\x08\0"
    )
    assert f"{path}: is UTF-16 text (save it as UTF-8)" == message_of(opened, "1,2\n".encode("utf-16"))


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t", b"\xef\xbb\xbf"])
def test_files_without_a_row_are_refused(opened: Opened, tmp_path: Path, content: bytes) -> None:
    paths = f"{tmp_path / '0.csv'}, {tmp_path / '1.csv'}"
    assert f"{paths}: holds no row (name a file of numbers)" == message_of(opened, content, content)


@pytest.mark.parametrize("change", ["cut", "other", "emptied"])
def test_a_file_that_changes_while_it_is_open_is_an_error(opened: Opened, tmp_path: Path, change: str) -> None:
    text = csv_text(counted(100))
    rows = opened(text)
    first = read(rows, [0, 1])
    with (tmp_path / "0.csv").open("r+b") as file:
        file.truncate({"cut": len(text) - 5, "other": len(text), "emptied": 0}[change])
        if change == "other":
            file.seek(-4, 2)
            file.write(b"7")

    assert first == read(rows, [0, 1])
    with pytest.raises(InputError) as caught:
        read(rows, [99])
    assert f"{tmp_path / '0.csv'}: was changed while it was open (make a new iterator)" == str(caught.value)


def test_closed_rows_cannot_be_read(opened: Opened) -> None:
    rows = opened(csv_text(counted(100)))
    rows.close()
    rows.close()
    with pytest.raises(InputError, match="is closed"):
        read(rows, [0])


def test_the_checksum_depends_on_the_content(opened: Opened) -> None:
    sums = [opened(content).checksum for content in (b"1,2\n", b"1,3\n", b"1,2\n")]
    assert sums[0] == sums[2]
    assert sums[0] != sums[1]


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "BLOCK_BYTES", 1 << 13)
    peaks = []
    for number in (5_000, 50_000):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(b"123456,7\n" * number)

        def work(path: Path = path, number: int = number) -> None:
            rows: TextRows[Any] = TextRows([path], CSVRows(2, "float32", "data_shape"))
            for low in range(0, number, 500):
                rows.read(np.arange(low, low + 500))
            rows.close()

        work()
        peaks.append(peak_bytes(work))
    assert peaks[1] < peaks[0] + 16_384 < 450_000


def test_count_lines_counts_every_kind_of_line_end() -> None:
    assert [0, 1, 1, 1, 2, 2, 3] == [
        count_lines(text) for text in (b"a", b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r\n", b"\n\n\n")
    ]


def test_text_files_takes_one_path_joined_paths_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.csv", "a.txt", ".hidden"):
        csv_file(folder / name, [[1, 2]])
    both = [folder / "a.txt", folder / "b.csv"]

    assert both == text_files(str(folder), "data_csv")
    assert [folder / "b.csv", *both] == text_files(f"{folder / 'b.csv'};{folder};", "data_csv")
    assert [Path("nothing")] == text_files("nothing", "data_csv")


def test_a_folder_without_files_and_a_value_without_a_path_are_refused(tmp_path: Path) -> None:
    assert f"{tmp_path}: holds no files (name a file, or a folder of them)" == message_of(
        text_files, str(tmp_path), "data_csv"
    )
    for value in ("", ";", " "):
        with pytest.raises(ParameterError, match="must name a file"):
            text_files(value, "data_csv")
    with pytest.raises(InputError, match="a path cannot contain a zero byte"):
        text_files("a\0b", "data_csv")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.csv"
    with pytest.raises(InputError, match="cannot be read: no such file") as caught:
        TextRows([missing], CSVRows(1, "float32", "data_shape"))
    assert str(caught.value).startswith(str(missing))
