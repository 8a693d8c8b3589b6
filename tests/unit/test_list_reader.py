"""Lists as files: encodings, line ends, parts by bytes, line numbers, and files that are not lists."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of, peak_bytes

from im2rec.errors import InputError
from im2rec.format.listfile import ListEntry
from im2rec.format.recordio import encode_record
from im2rec.packing.list_reader import ListLines
from im2rec.storage import list_lines


def read(path: Path, text: bytes, **options: Any) -> list[tuple[int, int, str] | str]:
    """(line, id, path) for each entry, the message for each error."""
    path.write_bytes(text)
    return [
        (entry.line, entry.id, entry.path) if isinstance(entry, ListEntry) else str(entry)
        for entry in ListLines(path, **options).entries()
    ]


READABLE = {
    "LF": b"1\t0\ta.jpg\n2\t0\tb.jpg\n",
    "no end of the last line": b"1\t0\ta.jpg\n2\t0\tb.jpg",
    "CRLF": b"1\t0\ta.jpg\r\n2\t0\tb.jpg\r\n",
    "CR alone": b"1\t0\ta.jpg\r2\t0\tb.jpg\r",
    "a mark in front": b"\xef\xbb\xbf1\t0\ta.jpg\n2\t0\tb.jpg\n",
}


def test_line_ends_of_any_kind_and_a_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    for kind, text in READABLE.items():
        assert (kind, [(1, 1, "a.jpg"), (2, 2, "b.jpg")]) == (kind, read(tmp_path / "l.lst", text))


def test_blank_lines_and_comments_are_skipped_but_count_as_lines(tmp_path: Path) -> None:
    text = b"# id label path\n\n1\t0\ta.jpg\n   \n\t\n # more\n2\t0\tb.jpg\n"

    assert [(3, 1, "a.jpg"), (7, 2, "b.jpg")] == read(tmp_path / "l.lst", text)


def test_a_byte_order_mark_inside_the_list_is_not_removed(tmp_path: Path) -> None:
    text = b"1\t0\ta.jpg\n\xef\xbb\xbf2\t0\tb.jpg\n"

    assert [(1, 1, "a.jpg"), "line 2: expected an integer as id, found '\\ufeff2'"] == read(tmp_path / "l.lst", text)


def test_undecodable_bytes_are_kept(tmp_path: Path) -> None:
    ((_, _, path),) = read(tmp_path / "l.lst", b"1\t0\tcaf\xe9/\xff\xfe.jpg\n")

    assert b"caf\xe9/\xff\xfe.jpg" == str(path).encode("utf-8", "surrogateescape")


def test_other_line_separators_of_unicode_belong_to_names(tmp_path: Path) -> None:
    name = "a\x0bb\x0cc\x1cd\x85e\u2028f.jpg"

    assert [(1, 1, name), (2, 2, "b.jpg")] == read(tmp_path / "l.lst", f"1\t0\t{name}\n2\t0\tb.jpg\n".encode())


def test_a_line_that_cannot_be_read_is_yielded_with_its_number(tmp_path: Path) -> None:
    text = b"1\t0\ta.jpg\nnot a line\n3\t0\tc.jpg\n-4\t0\td.jpg\n5\t0\n"

    assert [
        (1, 1, "a.jpg"),
        "line 2: expected a number as label, found 'a'",
        (3, 3, "c.jpg"),
        "line 4: the id -4 is not in 0 to 2^64 - 1",
        "line 5: expected id, labels and path, found 2 fields (write id TAB label TAB path)",
    ] == read(tmp_path / "l.lst", text)


def test_label_width_requires_that_number_of_labels_on_every_line(tmp_path: Path) -> None:
    text = b"1\t0\t5\ta.jpg\n2\t0\tb.jpg\n3 0 5 c d.jpg\n5\t1\t12.jpg\n"

    assert [
        (1, 1, "a.jpg"),
        "line 2: expected label_width=2 labels, found 1",
        (3, 3, "c d.jpg"),
        "line 4: expected label_width=2 labels, found 1",  # the C++ tool reads 12. as a label and opens <root>jpg
    ] == read(tmp_path / "l.lst", text, label_width=2)


# Parts.


def test_a_line_that_starts_where_two_parts_meet_belongs_to_the_first_of_them(tmp_path: Path) -> None:
    # spec/im2rec.md 2.2: part r takes the lines that start in (r * step, (r + 1) * step], part 0 also the one at 0.
    text = b"".join(b"%d\t%d\ttop.png\n" % (n, n) for n in range(1, 6))

    def ids(text: bytes, nsplit: int) -> list[list[int]]:
        parts = [read(tmp_path / "l.lst", text, nsplit=nsplit, part=part) for part in range(nsplit)]
        return [[int(entry[1]) for entry in part] for part in parts]

    assert [[1, 2], [3], [4], [5]] == ids(text, 4)  # step 15
    assert [[1, 2], [3], [4], [5], []] == ids(text, 5)  # step 12: lines 2, 3, 4 and 5 start at a border
    assert [[1, 2, 3], [4]] == ids(text[:48], 2)


def test_lines_are_counted_by_line_ends_of_any_kind_in_the_parts_before(tmp_path: Path) -> None:
    text = b"1\t0\ta.jpg\r2\t0\tb.jpg\r\n3\t0\tc.jpg\n" + b"4\t0\td.jpg\n" * 3

    assert [(5, 4, "d.jpg"), (6, 4, "d.jpg")] == read(tmp_path / "l.lst", text, nsplit=2, part=1)


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 1 << 20])  # the lines before a part are counted block by block
def test_every_line_is_in_exactly_one_part_with_its_line_number_in_the_whole_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(list_lines, "_BLOCK_BYTES", block_bytes)
    for end, nsplit in itertools.product((b"\n", b"\r\n", b"\r"), (2, 3, 7, 60)):
        rng = random.Random(nsplit)
        lines = [b"%d\t0\t%s.jpg" % (n, b"x" * rng.randrange(30)) for n in range(40)]
        lines[7:7] = [b"", b"# comment", b"bad", b"\r"]
        text = end.join(lines)

        whole = read(tmp_path / "l.lst", text)
        parts = [read(tmp_path / "l.lst", text, nsplit=nsplit, part=part) for part in range(nsplit)]
        assert 41 == len(whole)
        assert whole == list(itertools.chain(*parts)), (end, nsplit)


@pytest.mark.parametrize(("part", "shares"), [(0, [0, 0.25, 0.5, 0.75, 1]), (1, [0, 0.5, 1])])
def test_the_share_before_the_place_in_a_part_grows_to_1(tmp_path: Path, part: int, shares: list[float]) -> None:
    (tmp_path / "l.lst").write_bytes(b"1\t0\ta.jpg\n" * 6)
    lines = ListLines(tmp_path / "l.lst", nsplit=2, part=part)

    found = [lines.share_before(lines.position), *(lines.share_before(lines.position) for _ in lines.entries())]
    assert shares == found


def test_the_share_before_the_place_in_an_empty_part_is_0(tmp_path: Path) -> None:
    (tmp_path / "l.lst").write_bytes(b"1\t0\ta.jpg\n")
    lines = ListLines(tmp_path / "l.lst", nsplit=2, part=1)

    assert 0 == lines.share_before(lines.position)


def test_a_rec_in_place_of_a_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(encode_record(b"payload"))
    with pytest.raises(InputError) as caught:
        ListLines(tmp_path / "a.rec")
    assert f"{tmp_path / 'a.rec'}: is a RecordIO file, not a list (name the .lst instead)" == str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_list_in_utf_16_is_named_as_that(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "l.lst"
    path.write_bytes("0\t0\tsub/a.jpg\r\n".encode(encoding))
    problem = f"{path}: is UTF-16 text, as PowerShell's '>' writes it (save it as UTF-8)"

    assert encoding == "utf-32" or problem == message_of(ListLines, path)
    assert message_of(ListLines, path).endswith(("(save it as UTF-8)", "(name a .lst)"))


def test_a_file_with_zero_bytes_is_not_a_list(tmp_path: Path) -> None:
    path = tmp_path / "l.lst"
    tar = b"images/a.jpg".ljust(100, b"\0") + b"0000644\0".ljust(412, b"\0")
    for content in (bytes(1), bytes(5000), b"PK\x03\x04\x14\0\0\0\x08\0", tar, b"1\t0\ta.jpg\n" * 100 + bytes(9)):
        path.write_bytes(content)
        problem = f"{path}: is not a list: it contains zero bytes, which no text does (name a .lst)"
        assert problem == message_of(ListLines, path)


def test_a_line_that_is_too_long_ends_the_list_before_all_of_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_lines, "MAX_LINE_BYTES", 4 << 20)
    path = tmp_path / "l.lst"
    path.write_bytes(b"1\t0\ta.jpg\n" + b"x" * (30 << 20))
    entries = ListLines(path).entries()

    assert 1 == next(entries).line
    problem = f"{path}, line 2: the line is longer than 4 MiB (is it a list?)"
    assert peak_bytes(lambda: problem == message_of(next, entries)) < 20 << 20
    assert f"{path}: a line is longer than 4 MiB (is it a list?)" == message_of(ListLines, path, nsplit=2, part=1)


def test_a_line_of_the_longest_label_vector_is_read(tmp_path: Path) -> None:
    labels = "\t".join(["0.12345678901234567890"] * 2**20)
    (tmp_path / "l.lst").write_text(f"1\t{labels}\ta.jpg\n2\t0\tb.jpg\n")

    first, second = ListLines(tmp_path / "l.lst").entries()
    assert isinstance(first, ListEntry)
    assert (2**20, "a.jpg", 2) == (len(first.labels), first.path, second.line)


def test_a_line_without_tabs_is_read_in_the_way_whose_file_exists_below_the_root(tmp_path: Path) -> None:
    text = b"0 1 2 cats.jpg\n1 5 6 dogs.jpg\n2 7 8\tcats.jpg\n"
    for name in ("cats.jpg", "2 cats.jpg", "dogs.jpg"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "6 dogs.jpg").mkdir()

    assert [(1, 0, "2 cats.jpg"), (2, 1, "dogs.jpg"), (3, 2, "cats.jpg")] == read(
        tmp_path / "l.lst", text, root=tmp_path
    )
    assert [(1, 0, "cats.jpg"), (2, 1, "dogs.jpg"), (3, 2, "cats.jpg")] == read(tmp_path / "l.lst", text)


def test_a_list_that_is_deleted_before_it_is_read_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "l.lst").write_bytes(b"1\t0\ta.jpg\n")
    lines = ListLines(tmp_path / "l.lst")
    (tmp_path / "l.lst").unlink()

    with pytest.raises(InputError, match=r"l\.lst: cannot be read: no such file or directory"):
        list(lines.entries())
