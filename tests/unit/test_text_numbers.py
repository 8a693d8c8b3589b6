"""Numbers in text, many at once: every one is the one that Python reads, or an error."""

from __future__ import annotations

import itertools
import random
import re

import numpy as np
import pytest

from im2rec.text.numbers import NotANumberError, Numbers, holds, is_number, one_line_each, whole_number

# fmt: off
SPELLINGS = [
    "0", "-0", "1", "-1", "+1", "007", "12345678", "123456789", "1234567890123456", "12345678901234567",
    "1234567890123456789", "-9223372036854775808", "12345678901234567890", "99999999999999999999999", ".5", "-.5",
    "+.5", "5.", "-5.", "0.1", "0.10000000000000001", "3.14159265358979", "1e3", "1E3", "-1e-3", "1.5e+2", ".5e1",
    "5.e1", "9007199254740992", "9007199254740993", "9007199254740993.5", "0.0000000000000000001",
    "0.00000000000000000001", "1234567.8901234", "123456789012345678.9", "1e22", "1e23", "4.9e-324", "1e-400",
    "0e999999999", "nan", "NaN", "-nan", "inf", "INF", "-inf", "+Infinity",
]
WRONG = [
    "a", "1a", "a1", "1_000", "0x10", "1.2.3", "1-2", "--1", "+-1", "-+1", "--", "-", "+", ".", "-.", "e", "e5", "1e",
    "1e+", "1e5.5", "1.5.", "'", '"', '1"', "#", "infinit", "nan(1)", "1f", "1L", "1d5", "\N{ARABIC-INDIC DIGIT ONE}",
    "\N{VULGAR FRACTION ONE HALF}", "1;", "/1", "9:", "1 2", "\xa01", "1\x002", "\x00", "\x1c1", "1\x85", "\ufeff1",
    "1\x0b2",
]
# fmt: on


def floats(text: str, dtype: str = "float64") -> list[float]:
    found: list[float] = Numbers(text.encode(), b",\n").floats(dtype=dtype).tolist()
    return found


def integers(text: str, dtype: str = "int64") -> list[int]:
    found: list[int] = Numbers(text.encode(), b",\n").integers(dtype).tolist()
    return found


@pytest.mark.parametrize("token", SPELLINGS)
def test_a_number_alone_and_among_others_is_the_one_that_python_reads(token: str) -> None:
    alone, among = floats(token + "\n"), floats(f"1,{token},-2.5\n")
    assert repr([float(token)]) == repr(alone)
    assert repr([1.0, float(token), -2.5]) == repr(among)
    assert is_number(token.encode())


@pytest.mark.parametrize("token", [*WRONG, ""])
def test_what_is_no_number_is_an_error_alone_and_among_others(token: str) -> None:
    for text in (f"{token}\n", f"1,{token},2\n", f"{token},1e5\n"):
        with pytest.raises(NotANumberError):
            floats(text)
        with pytest.raises(NotANumberError):
            integers(text)
    assert not is_number(token.encode())


def test_every_short_text_is_a_number_or_not_as_the_rule_says() -> None:
    rule = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
    for length in (1, 2, 3, 4):
        for token in map("".join, itertools.product("07.-+e", repeat=length)):
            if rule.fullmatch(token):
                assert [float(token)] == floats(token + "\n")
                if abs(float(token)) < 2**63:
                    assert [int(float(token))] == integers(token + "\n")
            else:
                with pytest.raises(NotANumberError):
                    floats(token + "\n")
                with pytest.raises(NotANumberError):
                    integers(token + "\n")


@pytest.mark.parametrize("spelling", ["{!r}", "{:.3f}", "{:.18e}", "{:g}", "{:.0f}", "{:.25f}"])
def test_random_numbers_are_exact_in_every_spelling(spelling: str) -> None:
    rng = random.Random(spelling)
    values = [rng.uniform(-1, 1) * 10.0 ** rng.randrange(-12, 16) for _ in range(3000)]
    tokens = [spelling.format(value) for value in values]
    expected = [float(token) for token in tokens]

    assert expected == floats(",".join(tokens) + "\n")
    assert np.array(expected).astype(np.float32).tolist() == floats("\n".join(tokens) + "\n", "float32")


def test_random_integers_are_exact_to_the_ends_of_their_type() -> None:
    rng = random.Random(3)
    for dtype in ("int32", "int64"):
        limits = np.iinfo(dtype)
        values = [rng.randrange(limits.min, int(limits.max) + 1) >> rng.randrange(60) for _ in range(2000)]
        values += [int(limits.min), int(limits.max), 0, 2**31 - 1]
        assert values == integers(",".join(map(str, values)) + "\n", dtype)
        assert values == integers("".join(f"{value}.75\n" for value in values), dtype)


def test_decimals_are_cut_off_not_rounded() -> None:
    assert [1, -1, 0, 0, 1000, 12, 99] == integers("1.7,-1.7,.9,-0.999,1e3,1.25e1,99.99999999999999999999999\n")
    assert [0, 0, 0] == integers("0e999999999,1e-999999999,0.99999999999999999999999\n")


@pytest.mark.parametrize(
    "token", ["nan", "inf", "-inf", "9223372036854775808", "-9223372036854775809", "1e19", "1e400"]
)
def test_what_no_integer_is_or_holds_is_an_error(token: str) -> None:
    with pytest.raises(NotANumberError):
        integers(f"1,{token}\n")
    assert not holds(token.encode(), "int64")


@pytest.mark.parametrize("token", ["2147483648", "-2147483649", "2147483648.5", "3e9"])
def test_int32_is_not_wrapped(token: str) -> None:
    assert [int(float(token))] == integers(f"{token}\n")
    with pytest.raises(NotANumberError):
        integers(f"{token}\n", "int32")


def test_what_is_too_large_for_the_type_is_an_error_where_infinity_is_not() -> None:
    assert [1e40, float("inf")] == floats("1e40,inf\n")
    for text in ("1e40\n", "340282360000000000000000000000000000000\n", "1,inf,-1e39\n"):
        with pytest.raises(NotANumberError):
            floats(text, "float32")
    with pytest.raises(NotANumberError):
        floats("1e400,inf\n")
    assert (True, False, True) == (
        holds(b"1e400", "int32") is False,
        holds(b"1e40", "float32"),
        holds(b"-inf", "float32"),
    )


def test_a_token_of_a_million_digits_takes_no_time() -> None:
    digits = "1" + "0" * 1_000_000
    assert [1.0, 2.0] == floats(f"{digits}e-1000000,2\n")
    assert [1, 2] == integers(f"{digits}e-1000000,2\n")
    with pytest.raises(NotANumberError):
        floats(f"{digits},2\n")
    assert 0 == whole_number(b"0." + digits.encode())


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_kinds_are_the_separators_and_no_numbers_is_none(dtype: str) -> None:
    numbers = Numbers(b"1 2:3\n", b" :\n")
    assert (b" :\n", 3) == (numbers.kinds.tobytes(), len(numbers))
    assert ([2], [1.0, 3.0]) == (
        numbers.naturals(np.array([1])).tolist(),
        numbers.floats(np.array([0, 2]), "float32").tolist(),
    )
    nothing = Numbers(b"", b",\n")
    assert [] == (nothing.floats() if dtype == "float32" else nothing.integers(dtype)).tolist()


@pytest.mark.parametrize("token", ["-1", "+1", "1.", "1e0", "", "nan", "9223372036854775808", "00000000000000000001"])
def test_naturals_are_digits_and_nothing_else(token: str) -> None:
    numbers = Numbers(f"1:{token}:9223372036854775807\n".encode(), b":\n")
    assert [1, 2**63 - 1] == numbers.naturals(np.array([0, 2])).tolist()
    with pytest.raises(NotANumberError):
        numbers.naturals(np.array([0, 1]))


def test_lines_are_made_plain_whatever_stands_between() -> None:
    plain = b"1,2\n3,4\n"
    for text in (
        b"1,2\n3,4",
        b"1,2\r\n3,4\r\n",
        b"1,2\r3,4\r",
        b"\n\r\n  \n 1 ,\t2 \v\n\t\f\n\n3,4,\n   ",
        b" " * 99999 + b"1," + b" " * 99999 + b"2,\n" + b"\n" * 99999 + b"3,4\r",
    ):
        assert plain == one_line_each(text, around=b",")
    assert b"1 2\n" == one_line_each(b"1 \t 2", around=b",")
    assert b"1,2,\n" == one_line_each(b"1,2,,", around=b",")
    assert [b"", b"", b"\n"] == [one_line_each(text, around=b",") for text in (b"", b" \n\t\r", b",")]
