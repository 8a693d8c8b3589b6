"""The lines of face2rec2's lists, and the form of a line."""

from __future__ import annotations

import pytest

from im2rec.errors import ListFormatError
from im2rec.format.face_list import FACE2REC2, IM2REC, FaceLine, form_of, parse_face_line

BOX = "\t1\t2\t30\t40"
POINTS = "\t10.5" * 10


@pytest.mark.parametrize("rest", ["", BOX, BOX + POINTS, f"{BOX}{POINTS}\tmore\t1"])
def test_box_points_and_what_follows_are_not_looked_at(rest: str) -> None:
    assert FaceLine(7, 1, "a b/c.jpg", 5) == parse_face_line(f"1\ta b/c.jpg\t5{rest}\r\n", 7)
    assert FACE2REC2 == form_of(f"1\ta b/c.jpg\t5{rest}\r\n")


def test_blanks_around_the_path_belong_to_it_and_those_around_the_line_do_not() -> None:
    assert FaceLine(1, 0, " a.jpg ", 5) == parse_face_line("  0\t a.jpg \t5 \n", 1)


@pytest.mark.parametrize("aligned", [-1, 1, 2])
def test_any_other_integer_than_0_means_aligned(aligned: int) -> None:
    assert aligned == parse_face_line(f"{aligned}\ta.jpg\t5", 1).aligned


@pytest.mark.parametrize("label", [-1.0, 0.5, 3.0])
def test_labels_are_given_as_they_are_written(label: float) -> None:
    assert label == parse_face_line(f"1\ta.jpg\t{label}", 1).label


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1\ta.jpg", "expected 3, 7 or 17 columns, found 2"),
        ("1\ta.jpg\t5\t1", "expected 3, 7 or 17 columns, found 4"),
        (f"1\ta.jpg\t5{BOX}\t1", "expected 3, 7 or 17 columns, found 8"),
        ("1 a.jpg 5", "expected 3, 7 or 17 columns, found 1"),
        ("x\ta.jpg\t5", "expected 0 or 1 (aligned), found 'x'"),
        ("1" * 400 + "\ta.jpg\t5", f"expected 0 or 1 (aligned), found '{'1' * 40}'"),
        ("1\t\t5", "column 2 is empty"),
        ("1\ta.jpg\tfive", "expected a number as label, found 'five'"),
    ],
)
def test_other_lines_are_refused_with_their_number(line: str, problem: str) -> None:
    with pytest.raises(ListFormatError) as raised:
        parse_face_line(line, 9)
    assert (problem, 9) == (raised.value.problem, raised.value.line)


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("0\t5\ta.jpg", IM2REC),
        ("0 5 a.jpg", IM2REC),
        ("0\t5\t6\t7\ta.jpg", IM2REC),
        ("0\t5\t6\t7\t8\t9\ta.jpg", IM2REC),  # seven columns, but no box
        ("7\t17\t5", IM2REC),  # a path that is a number: 7 is no flag
        ("1\t17\t5.5", IM2REC),
        ("0\ta.jpg\t5", FACE2REC2),
        ("1\ta.jpg\t5.0", FACE2REC2),  # whose label is refused then
        ("7\ta.jpg\t5", FACE2REC2),
        ("1\ta.jpg\t5\t6", FACE2REC2),
        ("1\t17\t5", None),  # both
        ("nonsense", None),
        ("a.jpg\t5", None),
    ],
)
def test_the_form_of_a_line_is_found_by_its_fields(line: str, form: str | None) -> None:
    assert form == form_of(line)
