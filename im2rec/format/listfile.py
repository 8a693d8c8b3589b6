"""List files (``.lst``): one line per image, ``id TAB label [TAB label ...] TAB path``.

Reading accepts what either of MXNet's two tools accepts: a line with fewer than two TABs is split at any blanks, so are
the fields before the path, blanks around fields and TABs at the end of a line are stripped, and blank lines and lines
that start with ``#`` are skipped. An empty field between TABs is a missing value, and its line is wrong.

Source: mxnet tools/im2rec.py, ``read_list`` and ``write_list``; tools/im2rec.cc for lists split at blanks.
"""

from __future__ import annotations

import itertools
import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from im2rec.errors import ListFormatError, counted

BLANKS = " \t\r\n\v\f"  # str.strip() alone would also remove no-break and ideographic spaces from names
MAX_ID = 2**64 - 1
UNLISTABLE = "\t\n\r"  # characters that end a field or a line
MAX_LABELS = 2**20  # of label_width: a mask of 1024 x 1024 pixels has as many, and 4 MiB a record
MAX_LINE_BYTES = 32 << 20  # MAX_LABELS labels of 24 characters, which float64 needs at most, and a path are no longer
_BLANK_RUN = re.compile(f"[{BLANKS}]+")
LINE_HINT = "write id TAB label TAB path"
_FIELDS_HINT = "write TABs: id TAB label TAB path"
_FOREIGN_SEPARATORS = {",": "commas", ";": "semicolons"}
EXACT_INTEGERS = 2**24  # float32 holds every integer up to here
_float32 = struct.Struct("<f")


class ListEntry(NamedTuple):
    """One image of a list: line number (from 1), id, labels, and the path as written, with ``/`` as separator."""

    line: int
    id: int
    labels: tuple[float, ...]
    path: str


def list_line(id_: int, labels: Iterable[float], path: str) -> str:
    """Return the list line of an image, with its line feed.

    Labels that are whole numbers are written as integers, others with the digits that restore them exactly. Raises
    ListFormatError for a path with a TAB or line break, or with blanks at its ends, for an id outside 0 to 2**64 - 1,
    and for an image without labels.
    """
    if not is_listable(path):
        raise ListFormatError(f"{path!r} cannot be written to a list", hint="rename it")
    labels = tuple(labels)
    if not labels or not 0 <= id_ <= MAX_ID:
        raise ListFormatError(
            f"{path!r} needs a label and an id from 0 to 2^64 - 1, not {id_} with {len(labels)} labels"
        )
    numbers = [str(int(label)) if float(label).is_integer() else repr(float(label)) for label in labels]
    return "\t".join([str(id_), *numbers, path]) + "\n"


def is_listable(path: str) -> bool:
    """True if *path* comes back unchanged from a list line: no TAB or line break in it, no blank at its ends."""
    return bool(path) and not any(character in path for character in UNLISTABLE) and path == path.strip(BLANKS)


def read_list(
    lines: Iterable[str], *, label_width: int | None = None, first: int = 1, exists: Callable[[str], bool] | None = None
) -> Iterator[ListEntry | ListFormatError]:
    """Yield a ListEntry for each image in *lines*, and a ListFormatError, not raised, for each line that is wrong.

    *label_width* is the number of labels that every line must have; None accepts any number from 1. *first* is the
    number of the first line. *exists* is as for :func:`parse_line`.
    """
    for number, line in enumerate(lines, first):
        if not is_entry(line):
            continue
        try:
            yield parse_line(line, number, label_width=label_width, exists=exists)
        except ListFormatError as error:
            yield error


def is_entry(line: str) -> bool:
    """False for a blank line and a comment."""
    text = line.strip(BLANKS)
    return bool(text) and text[0] != "#"


def parse_line(
    line: str, number: int, *, label_width: int | None = None, exists: Callable[[str], bool] | None = None
) -> ListEntry:
    """Parse *line*, which is line *number* of its file. Raises ListFormatError, also for another *label_width*.

    A line that is split at blanks and starts with several numbers is ambiguous: numbers after the first label are
    labels too, or the start of the path. *label_width* decides it. Without one the C++ tool takes a single label;
    *exists* is called with the path that this leaves, and if it returns True, so does this function. Otherwise all
    numbers before the last field are labels.
    """
    fields = line.rstrip(BLANKS).split("\t") if "\t" in line else []
    try:
        id_, labels, path = int(fields[0]), tuple(map(float, fields[1:-1])), fields[-1].strip(BLANKS)
        is_usual = bool(labels) and 0 <= id_ <= MAX_ID
    except (ValueError, IndexError):  # a field is empty or holds several numbers; a line without TABs
        is_usual = False
    if not is_usual:
        id_, labels, path = _parse_unusual(line, number, label_width, exists)
    if label_width is not None and len(labels) != label_width:
        raise ListFormatError(f"expected label_width={label_width} labels, found {len(labels)}", line=number)
    return ListEntry(number, id_, labels, path)


def _parse_unusual(
    line: str, number: int, label_width: int | None, exists: Callable[[str], bool] | None
) -> tuple[int, tuple[float, ...], str]:
    """Return id, labels and path of a line with blanks for TABs. Raises ListFormatError."""
    fields = _split_at_tabs(line, number)
    if len(fields) > 2:
        words, path = _BLANK_RUN.split("\t".join(fields[:-1])), fields[-1]
    else:
        *words, path = _split_at_blanks(line, label_width, exists)
    if len(words) < 2 or not words[0].isdecimal():
        _check_separator(line, number)
    if len(words) < 2:
        found = "1 field" if not words else "2 fields"
        raise ListFormatError(f"expected id, labels and path, found {found}", line=number, hint=LINE_HINT)
    labels = tuple([_parse_label(word, number) for word in words[1:]])
    return _parse_id(words[0], number), labels, path


def _split_at_tabs(line: str, number: int) -> list[str]:
    """Return the fields of *line* without blanks around them. Raises ListFormatError if one is empty."""
    if "\t" not in line:
        return [line.strip(BLANKS)]
    fields = [field.strip(BLANKS) for field in line.rstrip(BLANKS).split("\t")]
    if "" in fields:
        problem = f"column {fields.index('') + 1} is empty"
        raise ListFormatError(problem, line=number, hint="fill in the value; a single TAB separates two columns")
    return fields


def _check_separator(line: str, number: int) -> None:
    """Raise ListFormatError if *line*, which does not start with an id, is one of a CSV file."""
    for separator, name in _FOREIGN_SEPARATORS.items():
        first, *others = line.strip(BLANKS).split(separator)
        if len(others) > 1 and not any(blank in first.strip(BLANKS) for blank in BLANKS):
            raise ListFormatError(f"the fields are separated by {name}", line=number, hint=_FIELDS_HINT)


def _split_at_blanks(line: str, label_width: int | None, exists: Callable[[str], bool] | None) -> list[str]:
    """Split a line with fewer than two TABs into id, labels and path, the rest of the line, which may contain blanks.

    Source: mxnet tools/im2rec.cc, whose ``label_width`` is 1 if not given.
    """
    text = line.strip(BLANKS)
    if label_width is None:
        label_width = max(1, sum(1 for _ in itertools.takewhile(is_number, _BLANK_RUN.split(text)[1:-1])))
        if label_width > 1 and exists is not None and exists(_BLANK_RUN.split(text, 2)[2]):
            label_width = 1
    return _BLANK_RUN.split(text, label_width + 1)


def is_number(field: str) -> bool:
    """True if *field* can be parsed as a label."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def _parse_label(field: str, number: int) -> float:
    try:
        return float(field)
    except ValueError:
        hint = "TABs separate labels, a point decimals" if "," in field else ""
        problem = f"expected a number as label, found {field[:40]!r}"
        raise ListFormatError(problem, line=number, hint=hint) from None


def _parse_id(field: str, number: int) -> int:
    try:
        value = int(field)
    except ValueError:
        raise ListFormatError(f"expected an integer as id, found {field[:40]!r}", line=number) from None
    if not 0 <= value <= MAX_ID:
        raise ListFormatError(f"the id {value} is not in 0 to 2^64 - 1", line=number)
    return value


def parse_labels(line: str, number: int, width: int) -> tuple[int, list[float]] | None:
    """Return the id and the first *width* labels of line *number*, or None for a blank line or a comment.

    The rest of the line, usually the path, is ignored and may be missing: this is how MXNet's iterators read the list
    of ``path_imglist``. Raises ListFormatError for a wrong id or label, for a line with fewer labels, and for an empty
    column anywhere.
    """
    text = line.rstrip(BLANKS)
    fields = text.split("\t") if "\t" in line else _BLANK_RUN.split(text.lstrip(BLANKS), width + 1)
    try:
        id_, labels = int(fields[0]), list(map(float, fields[1:-1]))
        if len(labels) >= width and 0 <= id_ <= MAX_ID:
            return id_, labels[:width]
    except ValueError:  # as in parse_line()
        pass
    return _parse_unusual_labels(line, number, width) if is_entry(line) else None


def _parse_unusual_labels(line: str, number: int, width: int) -> tuple[int, list[float]]:
    """Return the id and the first *width* labels of a line without a path, or with blanks for TABs."""
    *front, last = _split_at_tabs(line, number)
    if len(front) < 2:
        words = _BLANK_RUN.split(line.strip(BLANKS), width + 1)
    else:
        words = _BLANK_RUN.split(last)
        if not all(map(is_number, words)):  # a path, which may begin with numbers
            words = [last]
        words = [*_BLANK_RUN.split("\t".join(front)), *words]
    if not words[0].isdecimal():
        _check_separator(line, number)
    id_ = _parse_id(words[0], number)
    if len(words) <= width:
        raise ListFormatError(f"expected label_width={width} labels, found {len(words) - 1} (id {id_})", line=number)
    try:
        return id_, [_parse_label(word, number) for word in words[1 : width + 1]]
    except ListFormatError as error:
        raise ListFormatError(f"{error.problem} (id {id_})", line=number, hint=error.hint) from None


class InexactLabels:
    """Counts the lines of a list with labels that float32, the type of labels in records and batches, does not keep.

    ::

        inexact = InexactLabels()
        inexact.add(7, [16777217.0])
        inexact.warnings()  # ["labels of 1 line are rounded, ..."]
    """

    def __init__(self) -> None:
        self._not_finite, self._rounded = 0, 0
        self._first_not_finite = self._first_rounded = (0, 0.0)  # line and label

    def add(self, line: int, labels: Iterable[float]) -> None:
        """Count line number *line* if any of its *labels* is not finite or rounded; whole numbers only are rounded."""
        pairs = [(label, _stored(label)) for label in labels]
        not_finite = next((label for label, stored in pairs if not math.isfinite(stored)), None)
        rounded = next((a for a, stored in pairs if a != stored and math.isfinite(stored) and a.is_integer()), None)
        if not_finite is not None:
            self._not_finite += 1
            self._first_not_finite = self._first_not_finite if self._not_finite > 1 else (line, not_finite)
        if rounded is not None:
            self._rounded += 1
            self._first_rounded = self._first_rounded if self._rounded > 1 else (line, rounded)

    def state(self) -> list[Any]:
        """Return the counts as JSON values, for :meth:`restore`."""
        return [self._not_finite, *self._first_not_finite, self._rounded, *self._first_rounded]

    def restore(self, state: list[Any]) -> None:
        """Go on from the counts *state*."""
        self._not_finite, *first_not_finite, self._rounded, line, label = state
        self._first_not_finite = first_not_finite[0], first_not_finite[1]
        self._first_rounded = line, label

    def warnings(self) -> list[str]:
        """Return a line for labels that are not finite, and one for those that are rounded, if there are any."""
        warnings = []
        if self._not_finite:
            line, label = self._first_not_finite
            what = "nan, infinite or beyond float32"
            warnings.append(f"labels of {counted(self._not_finite, 'line')} are {what}, first {label:g} in line {line}")
        if self._rounded:
            line, label = self._first_rounded
            first = f"first {label:.17g} in line {line}, which becomes {_stored(label):.17g}"
            what = "rounded, as float32 holds whole numbers up to 2^24"
            warnings.append(f"labels of {counted(self._rounded, 'line')} are {what}; {first}")
        return warnings


def are_exact(labels: Sequence[float]) -> bool:
    """True if float32 certainly keeps *labels* as far as InexactLabels looks; a quick test, for nearly all lines."""
    return sum(map(abs, labels)) <= EXACT_INTEGERS  # False for NaN, which makes the sum NaN


def _stored(label: float) -> float:
    """Return *label* as float32 stores it."""
    try:
        (stored,) = _float32.unpack(_float32.pack(label))
    except OverflowError:
        return math.copysign(math.inf, label)
    return float(stored)
