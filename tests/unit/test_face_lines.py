"""Lists in order of their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import message_of, peak_bytes

from im2rec.errors import ListFormatError, ParameterError
from im2rec.format.listfile import ListEntry
from im2rec.packing.face_lines import FaceLines


def lines_of(folder: Path, text: str, **options: Any) -> FaceLines:
    listed = folder / "ä list.lst"
    listed.write_bytes(text.encode())
    return FaceLines(listed, folder, **options)


def order_of(lines: FaceLines) -> list[tuple[int, int]]:
    """The number and the label in the list of each line, in the new order."""
    found = []
    for entry in lines.entries():
        assert isinstance(entry, ListEntry)
        found.append((entry.line, int(lines.runs.labels[int(entry.labels[0])])))
    return found


def test_classes_ascend_and_the_lines_of_one_stay_in_order(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "9\t70\ta.jpg\n8\t5\tb.jpg\n7\t70\tc.jpg\n6\t5\td.jpg\n5\t6\te.jpg\n")

    assert [(2, 5), (4, 5), (5, 6), (1, 70), (3, 70)] == order_of(lines)
    assert ([5, 6, 70], 5, True) == (lines.runs.labels.tolist(), lines.images, lines.is_reordered)
    assert "im2rec" == lines.form


def test_a_list_in_order_is_read_as_it_is(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "0\t0\ta.jpg\n1\t0\tb.jpg\n2\t3\tc.jpg")
    assert [(1, 0), (2, 0), (3, 3)] == order_of(lines)
    assert not lines.is_reordered


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_comments_blank_lines_marks_and_all_line_ends_are_read_as_in_other_packs(tmp_path: Path, end: str) -> None:
    text = end.join(["\ufeff# a comment", "1\t4\tä b.jpg", "", "2\t3\tc.jpg", "  "])
    lines = lines_of(tmp_path, text)
    assert [ListEntry(4, 2, (0.0,), "c.jpg"), ListEntry(2, 1, (1.0,), "ä b.jpg")] == list(lines.entries())


def test_the_first_label_is_the_number_of_the_class_and_others_stay(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "1\t9\t0.5\ta.jpg\n2\t8\t1.5\tb.jpg\n")
    assert [(0.0, 1.5), (1.0, 0.5)] == [e.labels for e in lines.entries() if isinstance(e, ListEntry)]


def test_lines_that_cannot_be_read_come_last(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "nonsense\n1\t1\ta.jpg\n2\tx\tb.jpg\n3\t0\tc.jpg\n")
    found = [entry.line if isinstance(entry, ListFormatError) else entry.path for entry in lines.entries()]
    assert ["c.jpg", "a.jpg", 1, 3] == found
    assert 2 == lines.images


@pytest.mark.parametrize("behind", range(6))
def test_reading_goes_on_behind_any_line(tmp_path: Path, behind: int) -> None:
    text = "1\t2\ta.jpg\n2\t1\tb.jpg\nnonsense\n3\t2\tc.jpg\n4\t1\td.jpg\n"
    lines = lines_of(tmp_path, text)
    entries = lines.entries()
    first = [next(entries) for _ in range(behind)]
    shares, position = lines.share_before(lines.position), lines.position

    again = lines_of(tmp_path, text)
    again.position = position
    rest = list(again.entries())
    assert behind / 5 == shares
    assert [2, 5, 1, 4, 3] == [entry.line for entry in [*first, *rest]]
    assert position.line == (rest[0].line if rest else 6)


def test_a_list_of_face2rec2_gives_paths_classes_and_numbers_of_lines(tmp_path: Path) -> None:
    text = "1\tb/1.jpg\t5\n1\ta/1.jpg\t4\t0\t0\t9\t9\n\n2\tb/2.jpg\t5\n"
    lines = lines_of(tmp_path, text)
    assert "face2rec2" == lines.form
    assert [
        ListEntry(2, 2, (0.0,), "a/1.jpg"),
        ListEntry(1, 1, (1.0,), "b/1.jpg"),
        ListEntry(4, 4, (1.0,), "b/2.jpg"),
    ] == list(lines.entries())

    labels = [e.labels for e in lines_of(tmp_path, text, all_labels=True).entries() if isinstance(e, ListEntry)]
    assert [(0.0, 1.0), (1.0, 1.0), (1.0, 2.0)] == labels


def test_the_first_line_that_fits_one_form_alone_decides(tmp_path: Path) -> None:
    assert "face2rec2" == lines_of(tmp_path, "1\t17\t5\n1\ta.jpg\t5\n0\t1\tb.jpg\n", unaligned_as_is=True).form
    assert "im2rec" == lines_of(tmp_path, "1\t17\t5\n2\t18\t5\n").form


def test_lines_of_the_other_form_are_bad_lines(tmp_path: Path) -> None:
    entries = list(lines_of(tmp_path, "0\t3\ta.jpg\n1\tb.jpg\t3\n").entries())
    assert isinstance(entries[1], ListFormatError)
    assert (2, "expected a number as label, found 'b.jpg'") == (entries[1].line, entries[1].problem)


REFUSED = {
    "1\t17\t5\n0\t18\t5\n": ": can be read as a list of im2rec (id, label, path) and of face2rec2 (aligned, path, ",
    "1\ta.jpg\t5\n0\tb.jpg\t5\n0\tc.jpg\t5\n": ", line 2: the face is marked as not aligned (aligned 0), and im2rec "
    "aligns none; there are 2 such lines (--unaligned-as-is takes the images as they are)",
    "1\ta.jpg\t5\n1\tb.jpg\t-1\n": ", line 2: the label -1 means no class (leave such lines out of the list)",
    "1\t-1\ta.jpg\n2\t-1\tb.jpg\n": ", line 1: the label -1 means no class; there are 2 such lines (",
    "1\t0.5\ta.jpg\n": ", line 1: the label 0.5 is no class (classes are whole numbers from 0 on)",
    "1\t-2\ta.jpg\n": ", line 1: the label -2 is no class",
    "1\tnan\ta.jpg\n2\tinf\ta.jpg\n": ", line 1: the label nan is no class; there are 2 such lines",
    "1\t1e300\ta.jpg\n": ", line 1: the label 1.0000000000000001e+300 is no class",
    "1\t9007199254740992\ta.jpg\n": ", line 1: the label 9007199254740992 is no class",
    "1\ta.jpg\t0.5\n": ", line 1: the label 0.5 is no class",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_list_that_no_set_can_be_made_of_is_refused_with_a_line(tmp_path: Path, text: str) -> None:
    assert message_of(lines_of, tmp_path, text).startswith(f"{tmp_path / 'ä list.lst'}{REFUSED[text]}")


def test_labels_beyond_float32_are_classes_as_others_are(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "1\t16777217\ta.jpg\n2\t16777216\tb.jpg\n3\t9007199254740991\tc.jpg\n")
    assert [(2, 16777216), (1, 16777217), (3, 9007199254740991)] == order_of(lines)


def test_unaligned_faces_are_taken_as_they_are_if_told_so(tmp_path: Path) -> None:
    assert [(2, 4), (1, 5)] == order_of(lines_of(tmp_path, "0\ta.jpg\t5\n1\tb.jpg\t4\n", unaligned_as_is=True))


def test_a_list_of_face2rec2_has_one_label_a_line(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="label_width=2, and a list of face2rec2 has one label a line"):
        lines_of(tmp_path, "1\ta.jpg\t5\n", label_width=2)


@pytest.mark.parametrize("text", ["", "\n\n# nothing\n"])
def test_an_empty_list_has_no_classes(tmp_path: Path, text: str) -> None:
    lines = lines_of(tmp_path, text)
    share = lines.share_before(lines.position)
    assert ([], 0, [], 0) == (lines.runs.labels.tolist(), lines.images, list(lines.entries()), share)


@pytest.mark.parametrize(
    "changed", ["1\t2\ta.jpg\n2\t2\tb.jpg\n", "1\t2\ta.jpg\nnonsense!!!\n", "1\t2\ta.jpg\n2\t1\tb.jpg\n3\t1\tc.jpg\n"]
)
def test_a_list_that_changes_between_the_passes_is_noticed(tmp_path: Path, changed: str) -> None:
    lines = lines_of(tmp_path, "1\t2\ta.jpg\n2\t1\tb.jpg\n")
    lines.path.write_text(changed)
    assert "has changed while it was read (begin again)" in message_of(lambda: list(lines.entries()))


def test_a_long_list_takes_some_bytes_a_line(tmp_path: Path) -> None:
    count = 100_000
    text = "".join(f"{number}\t{number * 7919 % 5000}\tfolder/of/images/{number}.jpg\n" for number in range(count))
    (tmp_path / "long.lst").write_text(text)

    def read() -> None:
        lines = FaceLines(tmp_path / "long.lst", tmp_path)
        for _, _ in zip(lines.entries(), range(100), strict=False):
            pass

    assert peak_bytes(read) < 45 * count  # while it is sorted; 12 stay for the second pass
