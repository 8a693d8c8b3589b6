"""List files: the forms of a line that are read, and how wrong lines are reported."""

from __future__ import annotations

import math

import numpy as np
from helpers import message_of

from im2rec.format.listfile import ListEntry, is_listable, list_line, parse_labels, parse_line, read_list


def labels_and_path(line: str, label_width: int | None = None) -> tuple[int, tuple[float, ...], str]:
    entry = parse_line(line, 1, label_width=label_width)
    return entry.id, entry.labels, entry.path


READABLE = {
    "5\t1\ta.jpg": (5, (1.0,), "a.jpg"),
    "5\t1\t2.5\t-3\ta.jpg": (5, (1.0, 2.5, -3.0), "a.jpg"),
    "5\t1\twith space/im 1.png": (5, (1.0,), "with space/im 1.png"),
    " 5 \t 1 \t a b.jpg \r\n": (5, (1.0,), "a b.jpg"),
    "5\t1\ta.jpg\t \t": (5, (1.0,), "a.jpg"),
    "5\t0 1  1 0\ta.jpg": (5, (0.0, 1.0, 1.0, 0.0), "a.jpg"),
    "5\t0 1\t2\t3 4\ta b.jpg": (5, (0.0, 1.0, 2.0, 3.0, 4.0), "a b.jpg"),
    "5 0\t1\ta.jpg": (5, (0.0, 1.0), "a.jpg"),
    "5\t1\t12.jpg": (5, (1.0,), "12.jpg"),
    "5\t1\t12": (5, (1.0,), "12"),
    "0\t1\ta.jpg": (0, (1.0,), "a.jpg"),
    "18446744073709551615\t1e3\ta.jpg": (2**64 - 1, (1000.0,), "a.jpg"),
    "5\tinf\tb.jpg": (5, (math.inf,), "b.jpg"),
    "5\t1\t日本/ü": (5, (1.0,), "日本/ü"),
    "5\t1\tno-break\u00a0end\u3000": (5, (1.0,), "no-break\u00a0end\u3000"),
    "5\t1\tundecodable\udcff.jpg": (5, (1.0,), "undecodable\udcff.jpg"),
    # split at blanks where there are no two TABs
    "5 1 a.jpg": (5, (1.0,), "a.jpg"),
    "5  1   my cat 2.jpg": (5, (1.0,), "my cat 2.jpg"),
    "5 1 2 3 a b.jpg": (5, (1.0, 2.0, 3.0), "a b.jpg"),
    "5 1 2 a.jpg": (5, (1.0, 2.0), "a.jpg"),
    "5 1 2": (5, (1.0,), "2"),
    "5\t1 a.jpg": (5, (1.0,), "a.jpg"),
    "5 1\ta.jpg": (5, (1.0,), "a.jpg"),
}


def test_a_line_is_id_labels_and_path() -> None:
    assert READABLE == {line: labels_and_path(line) for line in READABLE}


def test_the_ten_lines_of_the_manual_are_read() -> None:
    text = """95099  464     n04467665_17283.JPEG
10025081        412     ILSVRC2010_val_00025082.JPEG
74181   1789    n01915811_2739.JPEG
10035553\t859     ILSVRC2010_val_00035554.JPEG
10048727        929\tILSVRC2010_val_00048728.JPEG
94028   924     n01980166_4956.JPEG
1080682\t650\tn11807979_571.JPEG
972457\t 28 \tn07723039_1627.JPEG
7534    11      n01630670_4486.JPEG
1191261\t249   \t n12407079_5106.JPEG
"""

    entries = list(read_list(text.splitlines(keepends=True)))

    assert [
        ListEntry(1, 95099, (464.0,), "n04467665_17283.JPEG"),
        ListEntry(2, 10025081, (412.0,), "ILSVRC2010_val_00025082.JPEG"),
        ListEntry(3, 74181, (1789.0,), "n01915811_2739.JPEG"),
        ListEntry(4, 10035553, (859.0,), "ILSVRC2010_val_00035554.JPEG"),
        ListEntry(5, 10048727, (929.0,), "ILSVRC2010_val_00048728.JPEG"),
        ListEntry(6, 94028, (924.0,), "n01980166_4956.JPEG"),
        ListEntry(7, 1080682, (650.0,), "n11807979_571.JPEG"),
        ListEntry(8, 972457, (28.0,), "n07723039_1627.JPEG"),
        ListEntry(9, 7534, (11.0,), "n01630670_4486.JPEG"),
        ListEntry(10, 1191261, (249.0,), "n12407079_5106.JPEG"),
    ] == entries


def test_the_four_labels_of_the_manual_are_read() -> None:
    line = "42 \t 1 \t 2 \t   3 \t 4 \t path/to/image one.jpg\n"

    assert (42, (1.0, 2.0, 3.0, 4.0), "path/to/image one.jpg") == labels_and_path(line)
    assert (42, (1.0, 2.0, 3.0, 4.0), "path/to/image one.jpg") == labels_and_path(line, label_width=4)


def test_label_width_separates_labels_from_the_path_of_a_line_without_tabs() -> None:
    assert (5, (1.0,), "12.jpg") == labels_and_path("5 1 12.jpg", 1)
    assert (5, (1.0,), "2 12.jpg") == labels_and_path("5 1 2 12.jpg", 1)
    assert (5, (1.0, 2.0), "12.jpg") == labels_and_path("5 1 2 12.jpg", 2)
    assert (5, (1.0, 2.0, 3.0, 4.0), "a b.jpg") == labels_and_path("5 1 2 3 4 a b.jpg", 4)


EMPTY = "(fill in the value; a single TAB separates two columns)"
CSV = "(write TABs: id TAB label TAB path)"
UNREADABLE = {
    "x\t1\ta.jpg": "expected an integer as id, found 'x'",
    "5.0\t1\ta.jpg": "expected an integer as id, found '5.0'",
    "\ufeff5\t1\ta.jpg": "expected an integer as id, found '\\ufeff5'",
    "-1\t1\ta.jpg": "the id -1 is not in 0 to 2^64 - 1",
    "18446744073709551616\t1\ta.jpg": "the id 18446744073709551616 is not in 0 to 2^64 - 1",
    "9" * 5000 + "\t1\ta.jpg": f"expected an integer as id, found '{'9' * 40}'",
    "5\tcat\ta.jpg": "expected a number as label, found 'cat'",
    "5\t1\tcat\ta.jpg": "expected a number as label, found 'cat'",
    "5\t0x10\ta.jpg": "expected a number as label, found '0x10'",
    "5\t" + "y" * 99 + "\ta.jpg": f"expected a number as label, found '{'y' * 40}'",
    "5\t1": "expected id, labels and path, found 2 fields (write id TAB label TAB path)",
    "\t5\t1\ta.jpg": f"column 1 is empty {EMPTY}",
    " \t5\t1\ta.jpg": f"column 1 is empty {EMPTY}",
    "5\t\ta.jpg": f"column 2 is empty {EMPTY}",
    "5\t\t1\ta.jpg": f"column 2 is empty {EMPTY}",
    "5\t1\t\ta.jpg": f"column 3 is empty {EMPTY}",
    "5\t1\t \t3\ta.jpg": f"column 3 is empty {EMPTY}",
    "5 1\t\ta.jpg": f"column 2 is empty {EMPTY}",
    "5\t2\t5\t0\t0.1\t\t0.3\t0.4\ta.jpg": f"column 6 is empty {EMPTY}",
    "5\t1,2\ta.jpg": "expected a number as label, found '1,2' (TABs separate labels, a point decimals)",
    "0,1,sub/a.jpg": f"the fields are separated by commas {CSV}",
    "0, 1, sub/a.jpg": f"the fields are separated by commas {CSV}",
    '"0","1","a b.jpg"': f"the fields are separated by commas {CSV}",
    "id;label;path": f"the fields are separated by semicolons {CSV}",
    "5 a.jpg": "expected id, labels and path, found 2 fields (write id TAB label TAB path)",
    "a.jpg": "expected id, labels and path, found 1 field (write id TAB label TAB path)",
}


def test_a_wrong_line_is_reported_with_its_number() -> None:
    messages = {line: f"line 12: {problem}" for line, problem in UNREADABLE.items()}

    assert messages == {line: message_of(parse_line, line, 12) for line in UNREADABLE}


def test_a_line_with_another_number_of_labels_is_refused() -> None:
    # In the fourth, the C++ tool reads 12. as a label and opens 'jpg'.
    cases = [("5\t1\t2\ta.jpg", 1, 2), ("5\t1\t2\ta.jpg", 3, 2), ("5 1 a.jpg", 2, 1), ("5\t1\t12.jpg", 2, 1)]

    for line, width, found in cases:
        message = f"line 3: expected label_width={width} labels, found {found}"
        assert message == message_of(parse_line, line, 3, label_width=width)


def test_blank_lines_and_comments_are_skipped_but_counted_as_lines() -> None:
    lines = ["\n", "# id label path\n", "  \t\r\n", "5\t1\ta.jpg\n", "bad\n", "  # indented\n", "6 1 b\n"]

    first, error, last = read_list(lines)

    assert ListEntry(4, 5, (1.0,), "a.jpg") == first
    assert "line 5: expected id, labels and path, found 1 field (write id TAB label TAB path)" == str(error)
    assert ListEntry(7, 6, (1.0,), "b") == last


def test_the_number_of_the_first_line_can_be_given() -> None:
    assert [ListEntry(9, 5, (1.0,), "a"), ListEntry(10, 6, (1.0,), "b")] == list(read_list(["5 1 a", "6 1 b"], first=9))


def test_lines_are_read_one_at_a_time() -> None:
    lines = iter(["5\t1\ta.jpg\n", "6\t1\tb.jpg\n"])

    assert 5 == next(read_list(lines)).id
    assert "6\t1\tb.jpg\n" == next(lines)


def test_whole_labels_are_written_as_integers_and_others_with_all_their_digits() -> None:
    assert "7\t3\tcats/a b.jpg\n" == list_line(7, [3.0], "cats/a b.jpg")
    assert "7\t1\t0\t2.5\tnan\tinf\tp\n" == list_line(7, [True, -0.0, np.float32(2.5), math.nan, math.inf], "p")
    assert "7\t0.10000000149011612\tp\n" == list_line(7, np.array([0.1], np.float32), "p")


def test_a_path_that_would_not_come_back_from_a_list_is_refused() -> None:
    for path in ("", " a", "a ", "a\tb", "a\nb", "a\rb", "a\n"):
        assert not is_listable(path)
        assert f"{path!r} cannot be written to a list (rename it)" == message_of(list_line, 1, [0], path)


def test_the_smallest_and_the_largest_id_are_written() -> None:
    assert "0\t1\ta\n" == list_line(0, [1], "a")
    assert "18446744073709551615\t1\ta\n" == list_line(2**64 - 1, [1], "a")


def test_an_image_without_labels_or_with_a_wrong_id_is_not_written() -> None:
    for id_, labels in ((1, []), (-1, [0]), (2**64, [0])):
        message = f"'a' needs a label and an id from 0 to 2^64 - 1, not {id_} with {len(labels)} labels"
        assert message == message_of(list_line, id_, labels, "a")


# Lists of an iterator: id and labels first, the rest ignored.


def test_the_first_labels_of_a_line_are_read_and_the_rest_is_ignored() -> None:
    for line in ("7\t1\t2.5\tpath", " 7 1  2.5 no number \r\n", "7 1 2.5"):
        assert (7, [1.0, 2.5]) == parse_labels(line, 1, 2)
        assert (7, [1.0]) == parse_labels(line, 1, 1)


def test_several_labels_in_one_field_are_read_as_by_parse_line() -> None:
    for line in ("7\t0 1 1  0\tpath", "7\t0 1\t1 0\t5 path", "7 0\t1 1 0\tpath"):
        labels = parse_line(line, 1).labels
        assert (7, list(labels)) == parse_labels(line, 1, 4)
        assert (7, list(labels[:2])) == parse_labels(line, 1, 2)


def test_numbers_at_the_start_of_a_path_are_no_labels() -> None:
    message = "line 5: expected a number as label, found '2 cats.jpg' (id 7)"
    assert message == message_of(parse_labels, "7\t1\t2 cats.jpg", 5, 2)


def test_an_empty_column_is_refused_whatever_the_number_of_labels() -> None:
    for line, column in (("\t7\t1\tp", 1), ("7\t\t6\tp", 2), ("7\t1\t\t3\tp", 3), ("7\t1\t2\t \tp", 4), ("7\t\tp", 2)):
        for width in (1, 2, 3):
            assert f"line 5: column {column} is empty {EMPTY}" == message_of(parse_labels, line, 5, width)


def test_a_csv_file_is_named_as_what_it_is() -> None:
    for line, name in (("0,1,a.jpg", "commas"), ("0; 1; a.jpg", "semicolons")):
        assert f"line 5: the fields are separated by {name} {CSV}" == message_of(parse_labels, line, 5, 1)


def test_a_path_may_contain_commas() -> None:
    assert (5, (1.0,), "a,b,c.jpg") == labels_and_path("5 1 a,b,c.jpg")
    assert (5, (1.0,), "a;b;c.jpg") == labels_and_path("5\t1\ta;b;c.jpg")


def test_numbers_at_the_start_of_a_path_without_tabs_belong_to_it_if_the_file_exists() -> None:
    asked: list[str] = []

    def path_of(line: str, *files: str, width: int | None = None) -> tuple[int, str]:
        entry = parse_line(line, 1, label_width=width, exists=lambda path: asked.append(path) or path in files)
        return len(entry.labels), entry.path

    assert (1, "2 cats.jpg") == path_of("0 1 2 cats.jpg", "2 cats.jpg", "cats.jpg")
    assert (2, "cats.jpg") == path_of("0 1 2 cats.jpg", "cats.jpg")
    assert (1, "2 3 my cats.jpg") == path_of("0\t1 2 3 my cats.jpg\n", "2 3 my cats.jpg")
    assert ["2 cats.jpg"] * 2 + ["2 3 my cats.jpg"] == asked
    # Nothing is asked where there is nothing to decide.
    assert (1, "cats.jpg") == path_of("0 1 cats.jpg", "cats.jpg")
    assert (2, "cats.jpg") == path_of("0 1 2 cats.jpg", "2 cats.jpg", width=2)
    assert (2, "cats.jpg") == path_of("0\t1 2\tcats.jpg", "2\tcats.jpg")
    assert 3 == len(asked)


def test_blank_lines_and_comments_have_no_labels() -> None:
    for line in ("", "  \r\n", "# 1 2", "\t#"):
        assert parse_labels(line, 1, 1) is None


def test_a_line_with_a_wrong_id_or_label_or_too_few_of_them_is_refused() -> None:
    assert "line 5: expected an integer as id, found 'x'" == message_of(parse_labels, "x 1", 5, 1)
    assert "line 5: expected a number as label, found 'y' (id 7)" == message_of(parse_labels, "7 1 y", 5, 2)
    for line, found in (("7 1 2", 2), ("7", 0)):
        message = f"line 5: expected label_width=3 labels, found {found} (id 7)"
        assert message == message_of(parse_labels, line, 5, 3)
