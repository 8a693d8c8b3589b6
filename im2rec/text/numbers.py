"""Numbers in text, many at once: numpy.loadtxt reads those of a piece of a file in one call.

A number is written as C writes it: ``12``, ``-0.5``, ``+.5``, ``5.``, ``1e-3``, ``nan``, ``inf``; no ``1_000``, no
``0x10``, whatever the locale is. An error does not say which number is wrong: look for it in halves.
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
NUMBER_BYTES = _INTEGER_BYTES + b".eE" + b"nafityNAFITY"  # numbers are made of these

_NUMBER = re.compile(rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)
_EXACT = 2**53  # up to here, float64 holds every integer
_EXACT_BYTES = 16  # why so many is said in integers()
_INT64_BYTES = 18  # int64 holds every integer of so many


def is_number(token: bytes) -> bool:
    """Whether *token* is a number, nan or infinity."""
    return _NUMBER.fullmatch(token) is not None


def holds(token: bytes, dtype: str) -> bool:
    """Whether *token* is a number that *dtype* holds: a whole one without its decimals."""
    if not is_number(token):
        return False
    if dtype.startswith("int"):
        limits = np.iinfo(dtype)
        return bool(limits.min <= whole_number(token) <= limits.max)
    with np.errstate(over="ignore"):
        return b"n" in token.lower() or bool(np.isfinite(np.float64(token).astype(dtype)))


def whole_number(token: bytes) -> float:
    """The number *token* without its decimals, exactly; the nearest float64 of one that no type holds."""
    value = float(token)
    if abs(value) < 1:  # Decimal refuses exponents like that of 0e99999999999999999999
        return 0
    return int(decimal.Decimal(token.decode("ascii"))) if abs(value) < 2**64 else value


def one_line_each(text: bytes, *, around: bytes) -> bytes:
    r"""The lines of *text*, each ended by one ``\n``, without empty ones, and without blanks beside line ends.

    Runs of blanks are one space; none is left beside the signs *around*, of which one at the end of a line is left out.
    Lines end with ``\n``, ``\r\n`` or ``\r``.
    """
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for blank in (b"\t", b"\v", b"\f"):
        text = text.replace(blank, b" ")
    text = (text if text.endswith(b"\n") else text + b"\n").lstrip(b" \n")
    separates = np.logical_or.reduce([np.frombuffer(text, np.uint8) == sign for sign in b" \n" + around])
    if (separates[1:] & separates[:-1]).any():  # else there is nothing to leave out, as in most files
        text = re.sub(rb"  +", b" ", text)
        signs = [bytes([sign]) for sign in around]
        for sign in (b"\n", *signs):
            text = text.replace(b" " + sign, sign).replace(sign + b" ", sign)
        text = re.sub(rb"\n\n+", b"\n", text)
        for sign in signs:
            text = text.replace(sign + b"\n", b"\n")
    return text


def count(text: bytes, sign: bytes) -> int:
    """How often *sign*, one byte, is in *text*: bytes.count takes ten times as long where there are many."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(sign)))


def loaded(lines: list[str], dtype: npt.DTypeLike, delimiter: str) -> Array:
    """The numbers in *lines*. Raises TextFormatError for what is no number, and for lines of different lengths.

    The caller makes sure that there is some text, of ``NUMBER_BYTES`` and delimiters only: numpy.loadtxt warns about
    empty lines, and leaves out control characters beside a number. A float that is too large for *dtype* becomes
    infinity. There must be no integer that is too large: numpy 1.26 makes another number of it.
    """
    try:
        return np.loadtxt(lines, dtype, comments=None, delimiter=delimiter, ndmin=1)
    except ValueError:
        raise TextFormatError("expected numbers") from None


def in_range(values: Array, text: bytes) -> Array:
    """*values*, which were read from *text*. Raises TextFormatError if one is infinite but not spelled so."""
    infinite = np.count_nonzero(np.isinf(values))
    if infinite and infinite != text.lower().count(b"inf"):
        raise TextFormatError(f"expected numbers in the range of {values.dtype}")
    return values


def floats(text: bytes, dtype: str) -> Array:
    """The nearest float64 of each number in *text*, or the float32 nearest to that; commas separate the numbers.

    Raises TextFormatError for what is no number, or is too large for *dtype*; infinity may be spelled.
    """
    # loadtxt reads integers at up to twice the speed of floats, but they have no negative zero.
    kind = "int64" if _are_short_integers(text) and b"-0" not in text else "float64"
    values = loaded([text.decode("ascii")], kind, ",").astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        return in_range(values.astype(dtype), text)


def integers(text: bytes, dtype: str) -> Array:
    """The numbers in *text* without their decimals, exactly; commas separate the numbers.

    Raises TextFormatError for what is no number, or is too large for *dtype*.

    Decimals are cut off the nearest float64 of a number, unless it may have been rounded to an integer. Below
    ``_EXACT``, a number of ``_EXACT_BYTES`` never is: it has 15 digits or less, and no two of these have the same
    float64, or it is an integer itself.
    """
    limits = np.iinfo(dtype)
    values = None if _are_short_integers(text) else in_range(loaded([text.decode("ascii")], "float64", ","), text)
    if values is None or (_are_integers(text) and np.abs(values).max() < 2**63):
        found = loaded([text.decode("ascii")], "int64", ",")
    else:
        whole = np.trunc(values)
        exact = (np.abs(whole) < _EXACT) & ((whole != values) | (_sizes(text) <= _EXACT_BYTES))
        found = np.where(exact, whole, 0).astype(np.int64)
        if not exact.all():
            tokens = text.split(b",")
            others = [whole_number(tokens[place]) for place in np.flatnonzero(~exact).tolist()]
            if not all(limits.min <= number <= limits.max for number in others):
                raise TextFormatError(f"expected numbers in the range of {dtype}")
            found[~exact] = others
    if not ((found >= limits.min) & (found <= limits.max)).all():
        raise TextFormatError(f"expected numbers in the range of {dtype}")
    return found.astype(dtype)


def _are_integers(text: bytes) -> bool:
    """Whether all numbers in *text* are spelled as integers."""
    return not text.translate(None, _INTEGER_BYTES + b",")


def _are_short_integers(text: bytes) -> bool:
    """Whether all numbers in *text* are spelled as integers of up to ``_INT64_BYTES``."""
    return _are_integers(text) and bool(_sizes(text).max() <= _INT64_BYTES)


def _sizes(text: bytes) -> npt.NDArray[np.intp]:
    """The bytes of each number in *text*."""
    ends = np.flatnonzero(np.frombuffer(text + b",", np.uint8) == ord(","))
    return np.diff(ends, prepend=-1) - 1
