"""Lines of text that fit a width, as contact sheets draw them; a letter is one pixel wide here."""

from __future__ import annotations

import random

import pytest

from im2rec.images.wrapping import clipped, wrap, wrap_paragraphs, wrap_within


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("   ", [""]),
        ("cat", ["cat"]),
        ("great white shark", ["great", "white", "shark"]),
        ("a tench, a fish", ["a tench,", "a fish"]),
        ("water/lake", ["water/", "lake"]),
        ("golden_retriever", ["golden_", "retrieve", "r"]),
        ("African-grey", ["African-", "grey"]),
        ("/data/photos/a", ["/data/", "photos/a"]),
        ("abcdefghijklmnopqrs", ["abcdefgh", "ijklmnop", "qrs"]),
        ("ab abcdefghijk cd", ["ab", "abcdefgh", "ijk cd"]),
        ("12345678", ["12345678"]),
        ("12345678 9", ["12345678", "9"]),
        ("a   b", ["a   b"]),
        ("one\xa0word a", ["one\xa0word", "a"]),  # a no-break space
    ],
)
def test_lines_end_at_blanks_and_behind_signs_or_else_anywhere(text: str, lines: list[str]) -> None:
    assert lines == wrap(text, 8, len)


def test_a_letter_that_is_wider_than_the_line_is_one_line() -> None:
    assert ["a", "b", "c"] == wrap("abc", 0.5, len)


@pytest.mark.parametrize(
    ("text", "most", "lines"),
    [
        ("great white shark", 3, ["great", "white", "shark"]),
        ("great white shark", 2, ["great…", "shark"]),
        ("abcdefghijklmnopqrs", 1, ["abcd…qrs"]),
        ("animals/dogs/golden_retriever", 2, ["animals/", "…triever"]),
        ("hammerhead, hammerhead shark", 2, ["hammerhe", "a…shark"]),
        ("a_b_c_d_e_f_g_h_i_j_k_l", 2, ["a_b_c_d…", "i_j_k_l"]),
        ("x" * 10_000 + "y", 1, ["xxxx…xxy"]),
    ],
)
def test_a_text_that_needs_more_lines_loses_its_middle(text: str, most: int, lines: list[str]) -> None:
    assert lines == wrap_within(text, 8, most, len)


def test_no_line_is_too_wide_and_nothing_else_is_lost() -> None:
    rng = random.Random(3)
    for _ in range(2000):
        text = " ".join("".join(rng.choices("ab _/-é", k=rng.randrange(60))).split())
        width, most = rng.randrange(3, 20), rng.randrange(1, 5)
        lines, within = wrap(text, width, len), wrap_within(text, width, most, len)

        assert max(map(len, [*lines, *within])) <= width
        assert text.replace(" ", "") == "".join(lines).replace(" ", "")
        assert len(within) <= most
        assert within == lines if len(lines) <= most else any("…" in line for line in within)


def test_blanks_that_are_not_shown_take_no_room() -> None:
    assert ["a b"] == wrap_within("  a" + " " * 100 + "b ", 8, 1, len)


def test_a_mark_stays_with_its_letter() -> None:
    vowel = "\N{DEVANAGARI VOWEL SIGN I}"
    letter = "\N{DEVANAGARI LETTER HA}"
    assert ["abcd", letter + vowel] == wrap("abcd" + letter + vowel, 5, len)
    assert [letter + vowel * 3, letter] == wrap(letter + vowel * 3 + letter, 4, len)
    assert [f"{letter}{vowel}{letter}…{letter}{vowel}"] == wrap_within((letter + vowel) * 9, 6, 1, len)
    assert ["Vögel"] == wrap_within("Vo\u0308gel", 5, 1, len)  # as macOS writes file names


def test_paragraphs_share_the_lines_and_the_last_is_served_first() -> None:
    texts = ["one two", "three four five six"]

    assert [["o…o"], ["t…x"]] == wrap_paragraphs(texts, 3, 2, len)
    assert [["one", "two"], ["three", "four", "five", "six"]] == wrap_paragraphs(texts, 5, 6, len)
    assert [["on…wo"], ["three", "four", "five", "six"]] == wrap_paragraphs(texts, 5, 5, len)
    assert [["a"], ["b"], ["c"]] == wrap_paragraphs("abc", 5, 1, len)
    assert [] == wrap_paragraphs([], 5, 3, len)


def test_a_long_text_keeps_both_of_its_ends() -> None:
    assert "abc" == clipped("abc", 3)
    assert "aaaaaa…zz" == clipped("a" * 500 + "z" * 500, 9)
