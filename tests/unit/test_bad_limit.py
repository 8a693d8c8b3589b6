"""The limit of bad images: how it is written, and the line at which it ends a run."""

from __future__ import annotations

import pytest
from helpers import message_of

from im2rec.errors import ParameterError
from im2rec.packing.report import MISSING, BadCount, BadImage, BadLimit, TooManyBadError


def bad_image(line: int, reason: str = "cut short") -> BadImage:
    return BadImage(line, line, f"{line}.jpg", reason, "the image data ends early")


def ended_at(limit: str, lines: str) -> int | None:
    """The line (from 1) that ends a run with these good (``+``) and bad (``-``) lines; None for no line."""
    count = BadCount(BadLimit.parse(limit))
    try:
        for line, sign in enumerate(lines, 1):
            count.add(None if sign == "+" else bad_image(line))
    except TooManyBadError:
        return line
    return None


@pytest.mark.parametrize(
    ("limit", "lines", "line"),
    [
        ("0", "+-", 2),
        ("2", "--+-", 4),
        ("2", "--+", None),
        ("10%", "-" * 99, None),  # a percentage counts from a hundred lines on
        ("10%", "-" * 99 + "+", None),  # a good line never ends a run
        ("10%", "-" * 100, 100),
        ("10%", "-" * 10 + "+" * 90, None),
        ("10%", "-" * 10 + "+" * 90 + "-", 101),
        ("10%", "+" * 1000 + "-" * 111, None),
        ("10%", "+" * 1000 + "-" * 112, 1112),
        ("0%", "+" * 99 + "-", 100),
        ("100%", "-" * 500, None),
    ],
)
def test_a_run_ends_at_the_first_bad_line_beyond_the_limit(limit: str, lines: str, line: int | None) -> None:
    assert line == ended_at(limit, lines)


@pytest.mark.parametrize("limit", ["", "x", "inf", "inf%", "-1", "-1%", "101%", "nan%", "1.5", "%", "5 %%"])
def test_a_limit_is_a_number_or_a_percentage(limit: str) -> None:
    expected = f"--max-bad={limit} must be a number of images, or a percentage such as 10%"
    with pytest.raises(ParameterError) as caught:
        BadLimit.parse(limit)
    assert expected == str(caught.value)


def test_the_error_beyond_the_limit_gives_the_counts_and_names_the_last_bad_image() -> None:
    count = BadCount(BadLimit.parse("1"))
    count.add(bad_image(1))

    expected = "line 2: 2 of 2 images are bad, more than --max-bad 1 allows; this one: 2.jpg: the image data ends early"
    assert f"{expected} (raise --max-bad to go on)" == message_of(count.add, bad_image(2))


def test_ten_missing_images_at_the_start_end_the_run_and_the_hint_asks_about_the_root() -> None:
    for limit in ("10%", "99%", "1000"):
        count = BadCount(BadLimit.parse(limit))
        for line in range(1, 10):
            count.add(bad_image(line, MISSING))

        expected = (
            "the first 10 images are all missing, 10.jpg for one "
            "(is ROOT the folder that the paths of the list start from? --max-bad 100% reads on)"
        )
        assert expected == message_of(count.add, bad_image(10, MISSING))


def test_ten_missing_images_at_the_start_give_the_reason_of_the_tenth_if_it_has_one() -> None:
    count = BadCount(BadLimit.parse("10%"))
    bad = BadImage(1, 1, "a.jpg", MISSING, "no such file: it is asleep")
    for _ in range(9):
        count.add(bad)

    expected = "the first 10 images are all missing, a.jpg for one (it is asleep)"
    assert expected == message_of(count.add, bad)


@pytest.mark.parametrize("limit", ["100%", "100.0%"])
def test_a_limit_of_all_images_ends_no_run_not_even_one_whose_first_images_are_missing(limit: str) -> None:
    count = BadCount(BadLimit.parse(limit))
    for line in range(1, 500):
        count.add(bad_image(line, MISSING))

    assert 499 == count.lines == count.bad


def test_one_good_image_among_the_first_ten_means_that_the_root_is_right() -> None:
    count = BadCount(BadLimit.parse("99%"))
    count.add(None)
    for line in range(2, 40):
        count.add(bad_image(line, MISSING))
    assert 39 == count.lines
    assert 38 == count.bad


@pytest.mark.parametrize("limit", ["0", " 25 ", "0%", "100%", "0.5%", "1000000000000"])
def test_limits_at_the_ends_of_their_ranges_are_accepted(limit: str) -> None:
    word = limit.strip()
    assert BadLimit(float(word.removesuffix("%")), percent=word.endswith("%")) == BadLimit.parse(limit)
