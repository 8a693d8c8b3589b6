"""The forms of pair lists, how they are recognised, and the lines that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import message_of

from im2rec.format import pairlist
from im2rec.format.pairlist import CSV, FORMS, LABELS, LFW, TWO_LINES, ListedImage, parse_pairs

GOLDEN = Path(__file__).parents[1] / "golden" / "insightface" / "pairs"
GOLDEN_FORMS = {
    "lfw_sets_and_count.txt": (LFW, (3, 1)),
    "lfw_count.txt": (LFW, (3, 1)),
    "lfw_no_head.txt": (LFW, None),
    "lfw_blanks.txt": (LFW, (3, 1)),
    "label.txt": (LABELS, None),
    "two_lines.txt": (TWO_LINES, None),
    "two_lines_folds.txt": (TWO_LINES, None),
}
PEOPLE = [("Ada_Alpha", 1, "Ada_Alpha", 2), ("Ben_Beta", 2, "Ben_Beta", 3), ("Cleo_Gamma", 1, "Cleo_Gamma", 3)]
PEOPLE += [("Ada_Alpha", 3, "Dan_Delta", 1), ("Ben_Beta", 1, "Dan_Delta", 2), ("Cleo_Gamma", 2, "Ada_Alpha", 1)]


def parsed(text: str, form: str | None = None) -> list[tuple[str, str, bool]]:
    """The paths and the answer of each pair of *text*."""
    pairs = parse_pairs(text.splitlines(keepends=True), form).pairs
    return [(pair.first.path, pair.second.path, pair.same) for pair in pairs]


def refused(text: str, form: str | None = None) -> str:
    return message_of(parse_pairs, text.splitlines(keepends=True), form)


@pytest.mark.parametrize("name", GOLDEN_FORMS)
def test_each_golden_list_has_its_form_and_names_the_same_pairs(name: str) -> None:
    text = (GOLDEN / name).read_bytes().decode()
    found = parse_pairs(text.splitlines(keepends=True))
    end = "" if found.form == LFW else ".jpg"
    paths = [tuple(f"{who}/{who}_{n:04d}{end}" for who, n in ((a, i), (b, j))) for a, i, b, j in PEOPLE]

    assert GOLDEN_FORMS[name] == (found.form, found.head)
    assert [(*pair, n < 3) for n, pair in enumerate(paths)] == parsed(text)
    assert parsed(text) == parsed(text, found.form)
    assert ((".jpg", ".png", ".jpeg") if found.form == LFW else ("",)) == found.suffixes


def test_every_golden_list_is_tried() -> None:
    assert set(GOLDEN_FORMS) == {path.name for path in GOLDEN.iterdir()}


def test_csv_is_read_with_and_without_a_first_line_of_names() -> None:
    rows = 'a.jpg,"b, c.jpg",1\r\n"d ""e"".jpg", f\tg.jpg,0\r\n\r\nh i.jpg,j.jpg,True\r\n'
    expected = [("a.jpg", "b, c.jpg", True), ('d "e".jpg', "f\tg.jpg", False), ("h i.jpg", "j.jpg", True)]

    assert expected == parsed(rows)
    for names in ("path1,path2,same", "image_a,image_b,Label", "p1, p2, issame"):
        assert expected == parsed(f"{names}\r\n{rows}")
    assert parse_pairs(["a,b,0"]).form == CSV


def test_fields_between_tabs_may_contain_blanks() -> None:
    assert [("my a.jpg", "my b.jpg", True)] == parsed("my a.jpg\tmy b.jpg \t 1\n")
    assert [("my a.jpg", "my b.jpg", False)] == parsed("my a.jpg\t0\nmy b.jpg\t0\n")
    assert [("Ada B/Ada B_0001", "Ada B/Ada B_0002", True)] == parsed("Ada B\t1\t2\n")


def test_lines_are_counted_with_the_blank_ones() -> None:
    found = parse_pairs(["\n", "a.jpg 1\n", " \t\r\n", "b.jpg 1\n"])

    assert [(ListedImage("a.jpg", 2), ListedImage("b.jpg", 4), True)] == found.pairs


def test_large_numbers_and_leading_zeros_of_lfw() -> None:
    assert [("A/A_12345", "A/A_0007", True)] == parsed("A 12345 007")


def test_the_order_of_the_list_is_kept() -> None:
    text = "".join(f"{n}.jpg {n + 1}.jpg {n % 2}\n" for n in range(40))

    assert [(f"{n}.jpg", f"{n + 1}.jpg", n % 2 == 1) for n in range(40)] == parsed(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 3\nA 1 2\n", "line 1: says 2 sets of 3 same and 3 different pairs, 12 in all; the list has 1"),
        ("2\nA 1 2\nA 1 B 1\nA 2 B 3\n", "line 1: says 2 same and 2 different pairs; the list has 3"),
        ("\n1\nA 1 2\n", "line 2: says 1 same and 1 different pairs; the list has 1"),
    ],
)
def test_a_number_of_pairs_that_differs_from_the_first_line_is_refused(text: str, message: str) -> None:
    assert refused(text).startswith(message + " (")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A 1 2\nA 1 B 1 7\n", "line 2: expected 3 or 4 fields, found 5"),
        ("A 1 2\n\nA 0 2\n", "line 3: expected a number from 1 on, found '0'"),
        ("A 1 2\nA 1 x.jpg\n", "line 2: expected a number from 1 on, found 'x.jpg'"),
        ("a.jpg b.jpg 1\na.jpg b.jpg 2\n", "line 2: expected 0 (different) or 1 (same), found '2'"),
        ("a.jpg b.jpg 0\na b.jpg c.jpg 1\n", "line 2: expected 3 fields, found 4 (TABs between fields allow blanks"),
        ("a.jpg b.jpg 1\nb.jpg 1\n", "line 2: expected 3 fields, found 2 (lines of this list are path1 path2 0, or"),
        ("a.jpg 1\nb.jpg 1\nc.jpg 0\n", "line 3: is the first line of a pair, and the second is missing"),
        ("a.jpg 1\nb.jpg 0\n", "line 2: the two lines of a pair have the labels 1 and 0"),
        ("a.jpg 3\nb.jpg 4\n", "line 2: the two lines of a pair have the labels 3 and 4"),
        ("a.jpg 1\nb.jpg 11\n", "line 2: expected a label from 0 (different) to 10, found '11'"),
        ("a.jpg,b.jpg,1\na.jpg,b.jpg,yes\n", "line 2: expected 0 (different) or 1 (same), found 'yes'"),
        ("a.jpg,b.jpg,1\na.jpg,b.jpg\n", "line 2: expected 3 fields, found 2"),
        ("a.jpg,b.jpg,1\na,x.jpg,b.jpg,0\n", "line 2: expected 3 fields, found 4 (put quotes around a path with comm"),
        ('a.jpg,b.jpg,1\n"a.jpg,b.jpg,0\n', "line 2: is not CSV: "),
        ("a.jpg,b.jpg,1\n,b.jpg,0\n", "line 2: column 1 is empty"),
        ("a.jpg\tb.jpg\t1\na.jpg\t\t0\n", "line 2: column 2 is empty"),
    ],
)
def test_a_wrong_line_is_refused_in_the_words_of_the_form_of_the_others(text: str, message: str) -> None:
    assert refused(text).startswith(message)


@pytest.mark.parametrize("text", ["hello\n", "a;b;1\n", "# pairs\nA 1 2\n", "1 2 3 4 5 6\n", "10 300\n\nx\n"])
def test_a_list_that_begins_in_no_form_is_shown_all_forms(text: str) -> None:
    shown = text.splitlines()[0]
    forms = "'name n1 n2', 'path1 path2 0|1', 'path label' or 'path1,path2,same'"

    message = refused(text)
    assert message.startswith(("line 1: expected " + forms + f", found {shown!r}", "line 3: "))


def test_a_list_of_two_forms_is_decided_by_the_caller() -> None:
    text = "A 2 1\nB 3 1\n"
    forms = "'name n1 n2' (LFW) and as 'path1 path2 0|1'"
    hint = "decide it with --form lfw or --form labels"

    assert f"line 1: each line can be read as {forms} ({hint})" == refused(text)
    assert [("A/A_0002", "A/A_0001", True), ("B/B_0003", "B/B_0001", True)] == parsed(text, LFW)
    assert [("A", "2", True), ("B", "3", True)] == parsed(text, LABELS)
    # A line of the other kind decides it.
    assert parse_pairs([*text.splitlines(), "A 2 0"]).form == LABELS
    assert parse_pairs([*text.splitlines(), "A 2 3"]).form == LFW


def test_commas_with_blanks_around_them_are_csv() -> None:
    assert [("a.jpg", "b.jpg", True)] == parsed("a.jpg, b.jpg, 1\n")
    assert [("a.jpg", "b c.jpg", True)] == parsed("one , two , same\na.jpg , b c.jpg\t, 1\n")


def test_a_form_that_is_given_is_the_only_one_tried() -> None:
    assert "line 1: expected 3 fields, found 2 (" in refused("a.jpg 1\nb.jpg 1\n", LABELS)
    assert "line 1: expected 2 fields, found 3" in refused("A 1 2\n", TWO_LINES)


@pytest.mark.parametrize("text", ["", "\n \t\r\n", "path1,path2,same\n"])
def test_a_list_of_no_pairs_is_refused(text: str) -> None:
    assert "names no pairs (is it complete?)" == refused(text)


def test_an_lfw_list_of_a_head_alone_is_refused() -> None:
    assert refused("10 300\n", LFW) == "names no pairs (is it complete?)"


@pytest.mark.parametrize("form", FORMS)
def test_a_list_of_too_many_pairs_is_refused(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairlist, "MAX_PAIRS", 3)
    assert refused("x\n" * 8, form).startswith("line 8: names more than 3 pairs (")


def test_digits_of_other_scripts_are_no_numbers() -> None:
    assert "expected a number from 1 on, found '٣'" in refused("A ٣ ٤\n", LFW)
