"""Lines of text that fit a width: broken at blanks and after ``/``, ``_``, ``-``, and shortened in the middle."""

from __future__ import annotations

import bisect
import math
import re
import unicodedata
from collections.abc import Callable, Sequence

MAX_NAME = 200  # characters that are shown of the name of a class, which may be of any length
_WORD = re.compile(r" *[^ /_…\-]*[/_…\-]*")  # with the blanks before it; a line may end after it
_BLANKS = re.compile(" +")
_ELLIPSIS = "…"
_ENDS = " /_-"  # of words
_DROPPED = " _-"  # beside an ellipsis
_LEAST_SHARE = 0.5  # of a beginning that ends with a whole word

Length = Callable[[str], float]
"""Returns the width of a text in pixels."""


def clipped(text: str, most: int) -> str:
    """Return *text*, of a long one the start and the end, with an ellipsis between: *most* characters in all."""
    return text if len(text) <= most else f"{text[: most - most // 4 - 1]}{_ELLIPSIS}{text[-(most // 4) :]}"


def wrap(text: str, width: float, length: Length) -> list[str]:
    """Return *text* as lines of at most *width* pixels, as *length* measures them; at least one, which may be empty.

    A line ends at a blank, or behind ``/``, ``_`` or ``-``; a word that is wider than a line is broken anywhere.
    """
    if length(text) <= width:
        return [text.strip(" ")]
    lines = [""]
    for word in filter(None, _WORD.findall(text)):
        if length((lines[-1] + word).strip(" ")) <= width:
            lines[-1] += word
            continue
        rest = word.strip(" ")
        if lines[-1].strip(" "):
            lines.append("")
        while length(rest) > width and len(rest) > 1:
            fitting = _fitting(rest, width, length)
            lines[-1:] = [rest[:fitting], ""]
            rest = rest[fitting:]
        lines[-1] = rest
    return [line.strip(" ") for line in lines]


def _fitting(text: str, width: float, length: Length) -> int:
    """Return how many of the first letters of *text* fit into *width* pixels; at least one, with the marks on it."""
    count = max(1, bisect.bisect_right(range(1, len(text) + 1), width, key=lambda count: length(text[:count])))
    while count > 1 and count < len(text) and _is_mark(text[count]):
        count -= 1
    return count


def _is_mark(letter: str) -> bool:
    """True for an accent or a vowel sign, which belongs to the letter before it."""
    return unicodedata.category(letter).startswith("M")


def wrap_within(text: str, width: float, most: int, length: Length) -> list[str]:
    """Return *text* as :func:`wrap` does, in at most *most* lines, with an ellipsis in place of its middle if need be.

    Several blanks become one. The beginning and the end remain, as names of classes may differ in either.
    """
    text = _BLANKS.sub(" ", unicodedata.normalize("NFC", text).strip(" "))
    letters = math.ceil((width + 1) * most)  # none is narrower than a pixel; blanks at the ends of lines are dropped
    lines = wrap(text, width, length) if len(text) <= letters else []
    if 0 < len(lines) <= most:
        return lines

    def shortened(kept: int) -> list[str]:
        end, start = kept - kept // 2, len(text) - kept // 2
        while start < len(text) and _is_mark(text[start]):
            start += 1
        head, tail = _head(text[:end]), _head(text[start:][::-1])[::-1]
        return wrap(head.rstrip(_DROPPED) + _ELLIPSIS + tail.lstrip(_DROPPED), width, length)

    counts = range(1, min(letters, len(text)))
    kept = max(1, bisect.bisect_right(counts, most, key=lambda kept: len(shortened(kept))))
    while len(shortened(kept)) > most and kept > 1:  # a shorter text may need a line more, where a word moves
        kept -= 1
    return shortened(kept)[:most]


def _head(text: str) -> str:
    """Return *text* without the piece of a word at its end, if that is a small part of it."""
    end = max(map(text.rfind, _ENDS)) + 1
    return text[:end] if end >= len(text) * _LEAST_SHARE else text


def wrap_paragraphs(texts: Sequence[str], width: float, most: int, length: Length) -> list[list[str]]:
    """Return the lines of each of *texts*, together at most *most*, and at least one of each.

    The last texts are the first to get more than one line.
    """
    wrapped = []
    spare = max(0, most - len(texts))
    for text in reversed(texts):
        lines = wrap_within(text, width, 1 + spare, length)
        spare -= len(lines) - 1
        wrapped.append(lines)
    return wrapped[::-1]
