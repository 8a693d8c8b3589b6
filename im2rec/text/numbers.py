"""Numbers in text, many at once: those of a piece of a file are read by a few calls of numpy, not one by one.

A number is written as C writes it: ``12``, ``-0.5``, ``+.5``, ``5.``, ``1e-3``, ``nan``, ``inf``; no ``1_000``, no
``0x10``, whatever the locale is. Most have up to 19 digits and no exponent: their digits are taken eight at a time,
as one 64-bit word, which gives them at twice the speed of numpy.loadtxt, and exactly. The others go to
numpy.loadtxt and to Python's ``int``.
"""

from __future__ import annotations

import decimal
import math
import re
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Where = slice | npt.NDArray[np.intp]

_NUMBER = re.compile(rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)
_DIGITS = b"0123456789"
_SPELLED = _DIGITS + b"+-.eE" + b"nafityNAFITY"  # what numpy.loadtxt may see: it would strip some control characters
_ZERO = np.uint8(ord("0"))
_WORD = 8  # digits of one
_MOST_DIGITS = 19  # of any such number 64 bits have enough
_EXACT = 2**53  # up to here, float64 holds every integer
# These it holds exactly as well, so that a quotient is the nearest float64. Not by **, which differs by platform.
_TENS = np.array([float(10**power) for power in range(_MOST_DIGITS + 1)])
_WHOLE_TENS = np.array([10**power for power in range(_MOST_DIGITS + 1)], np.uint64)
_U = np.uint64


class NotANumberError(ValueError):
    """A token is no number, or none that the type holds."""


def is_number(token: bytes) -> bool:
    """Whether *token* is a number, nan or infinity."""
    return _NUMBER.fullmatch(token) is not None


def holds(token: bytes, dtype: str) -> bool:
    """Whether *token* is a number that *dtype* holds: a whole one without its decimals."""
    if not is_number(token):
        return False
    if dtype.startswith("int"):
        limits = np.iinfo(dtype)
        try:
            return limits.min <= whole_number(token) <= limits.max
        except NotANumberError:
            return False
    with np.errstate(over="ignore"):
        return b"n" in token.lower() or bool(np.isfinite(np.float64(token).astype(dtype)))


def one_line_each(text: bytes, *, around: bytes) -> bytes:
    r"""The lines of *text*, each ended by one ``\n``, without empty ones, and without blanks beside line ends.

    Runs of blanks are one space; none is left beside the signs *around*, of which one at the end of a line is left out.
    Lines end with ``\n``, ``\r\n`` or ``\r``.
    """
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not text.endswith(b"\n"):
        text += b"\n"
    for blank in (b"\t", b"\v", b"\f"):
        text = text.replace(blank, b" ") if blank in text else text
    text = text.lstrip(b" \n")
    separates = _is_any(text, b" \n" + around)
    if (separates[1:] & separates[:-1]).any():  # else there is nothing to leave out, as in most files
        text = _squeezed(text, b" ")
        signs = [around[place : place + 1] for place in range(len(around))]
        for sign in (b"\n", *signs):
            text = text.replace(b" " + sign, sign).replace(sign + b" ", sign)
        text = _squeezed(text, b"\n").lstrip(b"\n")
        for sign in signs:
            text = text.replace(sign + b"\n", b"\n")
    return text


def _squeezed(text: bytes, sign: bytes) -> bytes:
    """*text* with one *sign* in the place of every run of it; a run is halved each time."""
    while sign + sign in text:
        text = text.replace(sign + sign, sign)
    return text


def count(text: bytes, sign: bytes) -> int:
    """How often *sign*, one byte, is in *text*: bytes.count takes ten times as long where there are many."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(sign)))


def _is_any(text: bytes, signs: bytes) -> npt.NDArray[np.bool_]:
    """Which bytes of *text* are among *signs*."""
    text_bytes = np.frombuffer(text, np.uint8)
    found = np.zeros(len(text_bytes), np.bool_)
    for sign in signs:
        found |= text_bytes == sign
    return found


class Numbers:
    """The numbers in *text*, each ended by one of *separators*; *kinds* are those separators, in order.

    Raises NotANumberError, which does not say where: look for it in halves.
    """

    def __init__(self, text: bytes, separators: bytes) -> None:
        self._text = text
        self._commas = bytes.maketrans(separators, b"," * len(separators))
        self._ends = np.flatnonzero(_is_any(text, separators))
        signs = np.frombuffer(text, np.uint8)
        self.kinds: npt.NDArray[np.uint8] = signs[self._ends]
        self._starts = np.concatenate([[0], self._ends + 1])[:-1]
        self._sizes = self._ends - self._starts
        self._negative = signs[self._starts] == ord("-")
        dots = np.flatnonzero(signs == ord("."))
        dotted = self._owners(dots)
        self._decimals = np.zeros(len(self._ends), np.intp)
        self._decimals[dotted] = self._ends[dotted] - dots - 1
        self._read_digits(separators)
        self._mark_odd(separators, dotted)

    def __len__(self) -> int:
        return len(self._ends)

    def _owners(self, places: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """The tokens that the bytes at *places* are in."""
        if len(places) == len(self) and ((places >= self._starts) & (places < self._ends)).all():
            return np.arange(len(self))  # each in its own, as the points often are: a search takes longer
        return np.searchsorted(self._ends, places)

    def _read_digits(self, separators: bytes) -> None:
        """The number that the digits of each token make, all else in it left out: for 19 digits, or the last ones."""
        other = bytes(set(range(256)) - set(_DIGITS + separators))
        digits = separators[:1] + self._text.translate(None, other)
        stops = np.flatnonzero(_is_any(digits, separators))
        starts, stops = stops[:-1] + 1, stops[1:]
        self._lengths = stops - starts
        # Words that start at any byte. numpy reads them well enough, though they are not where words should be.
        words = np.ndarray((len(digits),), "<u8", digits + bytes(_WORD), strides=(1,))
        self._digits = _last_digits(words, stops, self._lengths)
        for place in range(_WORD, min(_MOST_DIGITS, int(self._lengths.max(initial=0))), _WORD):
            longer = np.flatnonzero(self._lengths > place)
            more = _last_digits(words, stops[longer] - place, self._lengths[longer] - place)
            self._digits[longer] += more * _WHOLE_TENS[place]

    def _mark_odd(self, separators: bytes, dotted: npt.NDArray[np.intp]) -> None:
        """Mark the tokens that are anything but an optional minus, digits, and one point among them or none."""
        self._odd = (self._lengths == 0) | (self._lengths > _MOST_DIGITS)
        self._odd[dotted[1:][dotted[1:] == dotted[:-1]]] = True
        signs = np.frombuffer(self._text, np.uint8)
        minus = np.flatnonzero(signs == ord("-"))
        if len(minus) != np.count_nonzero(self._negative):
            tokens = np.searchsorted(self._ends, minus)
            self._odd[tokens[minus != self._starts[tokens]]] = True
        others = ~_is_any(self._text, b"-." + separators)
        others &= signs - _ZERO > 9  # below zero, they wrap
        if others.any():
            self._odd[np.searchsorted(self._ends, np.flatnonzero(others))] = True

    def floats(self, where: Where = slice(None), dtype: str = "float64") -> Array:
        """The numbers at *where*: the nearest float64 of each, or the float32 nearest to that.

        What is too large for *dtype* is an error; infinity is one only if it is not spelled so.
        """
        digits, odd = self._digits[where], self._odd[where] | (self._digits[where] > _EXACT)
        values = digits.astype(np.float64)
        values /= _TENS[np.where(odd, 0, self._decimals[where])]
        np.negative(values, out=values, where=self._negative[where])
        if odd.any():
            values[odd] = self._spelled(self._numbered(where)[odd])
        with np.errstate(over="ignore", under="ignore"):
            found = values.astype(dtype)
        infinite = self._numbered(where)[np.isinf(found)].tolist()
        if not all(b"n" in self._token(place).lower() for place in infinite):
            raise NotANumberError(f"not in the range of {dtype}")
        return found

    def _spelled(self, places: npt.NDArray[np.intp]) -> Array:
        """The float64 of the tokens at *places*, in any spelling."""
        chosen = np.zeros(len(self), np.bool_)
        chosen[places] = True
        bytes_of = np.repeat(chosen, self._sizes + 1)  # and the separators behind them
        row = np.frombuffer(self._text, np.uint8)[: len(bytes_of)][bytes_of].tobytes()
        row = row.translate(self._commas)[:-1]
        one_each = count(row, b",") == len(places) - 1 and self._sizes[places].all()
        if not one_each or row.translate(None, _SPELLED + b","):
            raise NotANumberError("not a number")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found: Array = np.loadtxt([row.decode("ascii")], delimiter=",", comments=None, ndmin=1)
        except (ValueError, Warning):
            raise NotANumberError("not a number") from None
        return found

    def integers(self, dtype: str) -> Array:
        """All numbers without their decimals, exactly."""
        limits = np.iinfo(dtype)
        odd = self._odd | (self._digits > limits.max)
        digits = np.where(odd, _U(0), self._digits)
        if self._decimals.any():
            digits //= _WHOLE_TENS[np.where(odd, 0, self._decimals)]
        values = digits.astype(np.int64)
        np.negative(values, out=values, where=self._negative)
        for place in np.flatnonzero(odd).tolist():
            value = whole_number(self._token(place))
            if not limits.min <= value <= limits.max:
                raise NotANumberError(f"not in the range of {dtype}")
            values[place] = value
        return values.astype(dtype)

    def naturals(self, where: Where) -> Array:
        """The numbers at *where*, which must be digits and nothing else, below 2^63."""
        digits = self._digits[where]
        wrong = self._odd[where] | self._negative[where] | (self._lengths[where] != self._sizes[where])
        if wrong.any() or (digits > np.iinfo(np.int64).max).any():
            raise NotANumberError("not a natural number")
        found: npt.NDArray[np.int64] = digits.astype(np.int64)
        return found

    def _numbered(self, where: Where) -> npt.NDArray[np.intp]:
        return np.arange(len(self))[where]

    def _token(self, number: int) -> bytes:
        return self._text[self._starts[number] : self._ends[number]]


def _last_digits(words: Array, stops: Array, lengths: Array) -> npt.NDArray[np.uint64]:
    """The number that the last eight digits before each of *stops* make, or all of them where they are fewer.

    A word holds the first digit in its lowest byte. Shifted so far that the last one is in the highest, what is below
    is zeros, as are digits in front. Then neighbours are put together: to two digits, to four, to eight.
    """
    lengths = np.clip(lengths, 0, _WORD)
    found: npt.NDArray[np.uint64] = words[stops - lengths] << ((_WORD - lengths) * 8).astype(_U)
    found &= _U(0x0F0F0F0F0F0F0F0F)
    for factor, bits, mask in (
        (10, 8, 0x00FF00FF00FF00FF),
        (100, 16, 0x0000FFFF0000FFFF),
        (10_000, 32, 0x00000000FFFFFFFF),
    ):
        found *= _U((factor << bits) + 1)
        found >>= _U(bits)
        found &= _U(mask)
    return found


def whole_number(token: bytes) -> int:
    """*token* without its decimals, exactly. Raises NotANumberError; also for what no type of numpy can hold."""
    size = abs(float(token)) if is_number(token) else math.nan
    if not size < 2**64:  # nor is NaN
        raise NotANumberError("not a number that is whole without its decimals")
    # Exponents that would fill the memory are those of zeros and of what is too small to be one.
    return int(decimal.Decimal(token.decode("ascii"))) if size >= 1 else 0
