"""Numbers parsed from text in bulk: each equals the one that Python reads, or is an error."""

from __future__ import annotations

import itertools
import random
import re
from decimal import Decimal

import numpy as np
import pytest

from im2rec.errors import TextFormatError
from im2rec.text.formats import CSVRows, LibSVMRows
from im2rec.text.numbers import canonical_lines, fits, integer_part, is_number

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


def parsed(text: str, dtype: str) -> list[float]:
    """Return all numbers of CSV *text*, whose lines are as long as the first."""
    rows = text.encode()
    width = rows.partition(b"\n")[0].count(b",") + 1
    numbers: list[float] = CSVRows(width, dtype, "data_shape").parse(rows).ravel().tolist()
    return numbers


def floats(text: str, dtype: str = "float64") -> list[float]:
    return parsed(text, dtype)


def integers(text: str, dtype: str = "int64") -> list[float]:
    return parsed(text, dtype)


@pytest.mark.parametrize("token", SPELLINGS)
def test_a_number_alone_and_among_others_is_the_one_that_python_reads(token: str) -> None:
    alone, among = floats(token + "\n"), floats(f"1,{token},-2.5\n")
    assert repr([float(token)]) == repr(alone)
    assert repr([1.0, float(token), -2.5]) == repr(among)
    assert is_number(token.encode())


@pytest.mark.parametrize("token", [*WRONG, ""])
def test_other_text_is_an_error_alone_and_among_numbers(token: str) -> None:
    for text in (f"{token}\n", f"1,{token},2\n", f"{token},1e5\n"):
        with pytest.raises(TextFormatError):
            floats(text)
        with pytest.raises(TextFormatError):
            integers(text)
    assert not is_number(token.encode())


def test_every_short_text_is_a_number_exactly_if_it_matches_the_grammar() -> None:
    grammar = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
    for length in (1, 2, 3, 4):
        for token in map("".join, itertools.product("07.-+e", repeat=length)):
            if grammar.fullmatch(token):
                assert [float(token)] == floats(token + "\n")
                if abs(float(token)) < 2**63:
                    assert [int(float(token))] == integers(token + "\n")
            else:
                with pytest.raises(TextFormatError):
                    floats(token + "\n")
                with pytest.raises(TextFormatError):
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
    assert [0, 0, 0] == integers("0e99999999999999999999,-1e-99999999999999999999,0.0000000000000000000000\n")


@pytest.mark.parametrize(
    "token",
    [
        "9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993", "9007199254740991.5",
        "9007199254740993.5", "4503599627370497.5", "999999999999999.9", "99999999999999.99", "999999999999999.99",
        ".999999999999999", "0.99999999999999994", "0.99999999999999999", "-1.9999999999999999999",
        "123456789012345e3", "12345678901234e4", "1.5e17", "9223372036854775295", "9223372036854775296",
        "9223372036854775807", "-9223372036854775808", "9223372036854775807.9", "1.000000000000000000e+00",
    ],
)  # fmt: skip
def test_integer_parts_are_exact_where_float64_is_not(token: str) -> None:
    expected = int(Decimal(token))
    assert [expected] == integers(f"{token}\n")
    assert [expected, -1] == integers(f"{token},-1\n")
    assert [0, expected, 1000] == integers(f"0.5,{token},1e3\n")


@pytest.mark.filterwarnings("ignore")  # as outside pytest: numpy 1.26 only warns of such an integer
@pytest.mark.parametrize(
    "token", ["nan", "inf", "-inf", "9223372036854775808", "-9223372036854775809", "1e19", "1e400"]
)
def test_nan_infinity_and_numbers_beyond_int64_are_not_integers(token: str) -> None:
    with pytest.raises(TextFormatError):
        integers(f"1,{token}\n")
    assert not fits(token.encode(), "int64")


@pytest.mark.parametrize("token", ["2147483648", "-2147483649", "2147483648.5", "3e9"])
def test_a_number_beyond_int32_is_an_error_and_not_wrapped(token: str) -> None:
    assert [int(float(token))] == integers(f"{token}\n")
    with pytest.raises(TextFormatError):
        integers(f"{token}\n", "int32")


def test_a_number_too_large_for_the_dtype_is_an_error_and_spelled_infinity_is_not() -> None:
    assert [1e40, float("inf")] == floats("1e40,inf\n")
    for text in ("1e40\n", "340282360000000000000000000000000000000\n", "1,inf,-1e39\n"):
        with pytest.raises(TextFormatError):
            floats(text, "float32")
    with pytest.raises(TextFormatError):
        floats("1e400,inf\n")
    assert not fits(b"1e400", "int32")
    assert not fits(b"1e40", "float32")
    assert fits(b"-inf", "float32")


def test_a_token_of_a_million_digits_is_read_or_refused() -> None:
    digits = "1" + "0" * 1_000_000
    assert [1.0, 2.0] == floats(f"{digits}e-1000000,2\n")
    assert [1, 2] == integers(f"{digits}e-1000000,2\n")
    with pytest.raises(TextFormatError):
        floats(f"{digits},2\n")
    assert 0 == integer_part(b"0." + digits.encode())


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_lines_of_another_length_and_empty_text_are_errors(dtype: str) -> None:
    rows = CSVRows(2, dtype, "data_shape")
    assert [[1, 2], [3, 4]] == rows.parse(b"1,2\n3,4\n").tolist()
    for text in (
        b"1,2,3\n4\n",
        b"1\n2,3,4\n",
        b"1,2\n3\n",
        b"1,2\n3,4,5\n",
        b"1\n2\n",
        b"1,2\n\n",
        b"\n",
        b"\n\n",
        b"",
    ):
        with pytest.raises(TextFormatError):
            rows.parse(text)
    with pytest.raises(TextFormatError):
        CSVRows(2**62, dtype, "data_shape").parse(b"1,2\n")


@pytest.mark.parametrize("text", ["1,2,-0", "-0.0,-1,5", "-0,1.5,-.0", "-00,+0,0"])
def test_a_negative_zero_keeps_its_sign_also_among_integers(text: str) -> None:
    for dtype in ("float32", "float64"):
        assert repr([float(token) for token in text.split(",")]) == repr(floats(text + "\n", dtype))


@pytest.mark.parametrize("token", ["-1", "+1", "1.", "1e0", "", "nan", "9223372036854775808", "00000000000000000001"])
def test_an_index_consists_of_digits_only(token: str) -> None:
    rows = LibSVMRows(2**63, "data_shape")
    assert [1, 2**63 - 1] == rows.parse(b"0 1:1 9223372036854775807:1\n").indices.tolist()
    for text in (f"0 {token}:1\n", f"0 0:1\n0 {token}:1 9223372036854775807:1\n0 1:1\n"):
        with pytest.raises(TextFormatError):
            rows.parse(text.encode())


def test_canonical_lines_have_one_spelling_whatever_blanks_and_line_ends_were_there() -> None:
    plain = b"1,2\n3,4\n"
    for text in (
        b"1,2\n3,4",
        b"1,2\r\n3,4\r\n",
        b"1,2\r3,4\r",
        b"\n\r\n  \n 1 ,\t2 \v\n\t\f\n\n3,4,\n   ",
        b" " * 99999 + b"1," + b" " * 99999 + b"2,\n" + b"\n" * 99999 + b"3,4\r",
    ):
        assert plain == canonical_lines(text, separators=b",")
    assert b"1 2\n" == canonical_lines(b"1 \t 2", separators=b",")
    assert b"1,2,\n" == canonical_lines(b"1,2,,", separators=b",")
    assert [b"", b"", b"\n"] == [canonical_lines(text, separators=b",") for text in (b"", b" \n\t\r", b",")]


@pytest.mark.parametrize("token", [b"1" * 10**6 + b"x", b"." + b"1" * 10**6 + b".", b"1." + b"1" * 10**6 + b"e"])
def test_a_long_token_that_is_no_number_is_refused_in_linear_time(token: bytes) -> None:
    assert not is_number(token)  # in quadratic time, an hour
    assert is_number(token[: 10**6])
