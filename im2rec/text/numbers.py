"""Numbers in text, parsed in bulk: one call of numpy.loadtxt for all numbers of a block.

A number is written as in C: ``12``, ``-0.5``, ``+.5``, ``5.``, ``1e-3``, ``nan``, ``inf``, in every locale; ``1_000``
and ``0x10`` are errors. The errors do not name the number that is wrong: callers search for it by bisection.
"""

from __future__ import annotations

import decimal
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.errors import TextFormatError

Array = npt.NDArray[Any]

_INTEGER_BYTES = b"0123456789+-"
NUMBER_BYTES = _INTEGER_BYTES + b".eE" + b"nafityNAFITY"  # all bytes that numbers consist of

# Not [0-9]+\.?[0-9]*, which tries all ways to divide the digits of a wrong token: 8 MiB of them would take for ever.
_NUMBER = re.compile(rb"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)
_MAX_EXACT = 2**53  # float64 holds every integer up to this one
_MAX_EXACT_BYTES = 16  # parse_integers() gives the reason
_MAX_INT64_BYTES = 18  # every integer of this length fits into int64


def is_number(token: bytes) -> bool:
    """True if *token* is a number, nan or infinity."""
    return _NUMBER.fullmatch(token) is not None


def fits(token: bytes, dtype: str) -> bool:
    """True if *token* is a number in the range of *dtype*; for an integer dtype, its decimals do not count."""
    if not is_number(token):
        return False
    if dtype.startswith("int"):
        limits = np.iinfo(dtype)
        return bool(limits.min <= integer_part(token) <= limits.max)
    with np.errstate(over="ignore"):
        return b"n" in token.lower() or bool(np.isfinite(np.float64(token).astype(dtype)))


def integer_part(token: bytes) -> float:
    """Return the number *token* without its decimals: exactly, or the nearest float64 of one that no dtype holds."""
    value = float(token)
    if abs(value) < 1:  # Decimal refuses exponents like that of 0e99999999999999999999
        return 0
    return int(decimal.Decimal(token.decode("ascii"))) if abs(value) < 2**64 else value


def canonical_lines(text: bytes, *, separators: bytes) -> bytes:
    r"""Return the lines of *text*, each ended by one ``\n``, without empty lines and without blanks beside line ends.

    Runs of blanks become one space. There is none left beside the bytes *separators*, and one separator at the end of
    a line is removed. Lines may end with ``\n``, ``\r\n`` or ``\r``.
    """
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for blank in (b"\t", b"\v", b"\f"):
        text = text.replace(blank, b" ")
    text = (text if text.endswith(b"\n") else text + b"\n").lstrip(b" \n")
    separates = np.logical_or.reduce([np.frombuffer(text, np.uint8) == byte for byte in b" \n" + separators])
    # The slower substitutions are needed only where two separators meet, which they do not in most files.
    if (separates[1:] & separates[:-1]).any():
        text = re.sub(rb"  +", b" ", text)
        each = [bytes([byte]) for byte in separators]
        for separator in (b"\n", *each):
            text = text.replace(b" " + separator, separator).replace(separator + b" ", separator)
        text = re.sub(rb"\n\n+", b"\n", text)
        for separator in each:
            text = text.replace(separator + b"\n", b"\n")
    return text


def count_byte(text: bytes, byte: bytes) -> int:
    """Return how often *byte* occurs in *text*; bytes.count takes ten times as long where there are many."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(byte)))


def load_numbers(lines: list[str], dtype: npt.DTypeLike, delimiter: str) -> Array:
    """Return the numbers in *lines*. Raises TextFormatError for other text, and for lines of different lengths.

    *lines* must hold text of ``NUMBER_BYTES`` and delimiters only, and not be empty: numpy.loadtxt warns about empty
    lines and ignores control characters beside a number. A float that is too large for *dtype* becomes infinity. No
    integer may be too large, as numpy 1.26 silently reads a different number.
    """
    try:
        return np.loadtxt(lines, dtype, comments=None, delimiter=delimiter, ndmin=1)
    except ValueError:
        raise TextFormatError("expected numbers") from None


def check_range(values: Array, text: bytes) -> Array:
    """Return *values*, read from *text*. Raises TextFormatError if there are more infinite ones than *text* spells."""
    infinite = np.count_nonzero(np.isinf(values))
    if infinite and infinite != text.lower().count(b"inf"):
        raise TextFormatError(f"expected numbers in the range of {values.dtype}")
    return values


def parse_floats(text: bytes, dtype: str) -> Array:
    """Return the numbers in *text*, separated by commas: each the nearest float64, converted to *dtype*.

    Raises TextFormatError for other text, and for a number that is too large for *dtype*; infinity may be spelled.
    """
    # loadtxt reads integers at up to twice the speed of floats, but they have no negative zero.
    kind = "int64" if _are_short_integers(text) and b"-0" not in text else "float64"
    values = load_numbers([text.decode("ascii")], kind, ",").astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        return check_range(values.astype(dtype), text)


def parse_integers(text: bytes, dtype: str) -> Array:
    """Return the numbers in *text*, separated by commas, without their decimals and exact.

    Raises TextFormatError for other text, and for a number that is too large for *dtype*.

    The decimals are cut off the nearest float64 of a number, which is right unless that was rounded to an integer.
    Below ``_MAX_EXACT``, this cannot happen to a number of up to ``_MAX_EXACT_BYTES``: it either is an integer, or it
    has at most 15 digits, and no two numbers of 15 digits have the same float64. All others are read one by one.
    """
    limits = np.iinfo(dtype)
    values = None
    if not _are_short_integers(text):
        values = check_range(load_numbers([text.decode("ascii")], "float64", ","), text)
    if values is None or (_are_integers(text) and np.abs(values).max() < 2**63):
        numbers = load_numbers([text.decode("ascii")], "int64", ",")
    else:
        whole = np.trunc(values)
        exact = (np.abs(whole) < _MAX_EXACT) & ((whole != values) | (_token_sizes(text) <= _MAX_EXACT_BYTES))
        numbers = np.where(exact, whole, 0).astype(np.int64)
        if not exact.all():
            tokens = text.split(b",")
            others = [integer_part(tokens[number]) for number in np.flatnonzero(~exact).tolist()]
            if not all(limits.min <= number <= limits.max for number in others):
                raise TextFormatError(f"expected numbers in the range of {dtype}")
            numbers[~exact] = others
    if not ((numbers >= limits.min) & (numbers <= limits.max)).all():
        raise TextFormatError(f"expected numbers in the range of {dtype}")
    return numbers.astype(dtype)


def _are_integers(text: bytes) -> bool:
    """True if all numbers in *text* are written as integers."""
    return not text.translate(None, _INTEGER_BYTES + b",")


def _are_short_integers(text: bytes) -> bool:
    """True if all numbers in *text* are written as integers of up to ``_MAX_INT64_BYTES``."""
    return _are_integers(text) and bool(_token_sizes(text).max() <= _MAX_INT64_BYTES)


def _token_sizes(text: bytes) -> npt.NDArray[np.intp]:
    """Return the length in bytes of each number in *text*."""
    ends = np.flatnonzero(np.frombuffer(text + b",", np.uint8) == ord(","))
    return np.diff(ends, prepend=-1) - 1
