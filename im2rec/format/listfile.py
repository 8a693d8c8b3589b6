"""List files (``.lst``): one image a line, ``id TAB label [TAB label ...] TAB path``.

What is read besides, as both reference tools between them do: a line without two TABs is split at any blanks; blanks
around fields and runs of TABs mean nothing; blank lines and lines that start with ``#`` are no images.

Source: mxnet tools/im2rec.py, ``read_list`` and ``write_list``; tools/im2rec.cc for lists split at blanks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from im2rec.errors import ListFormatError

BLANKS = " \t\r\n\v\f"  # str.strip() alone would also eat no-break and ideographic spaces out of names
MAX_ID = 2**64 - 1
UNLISTABLE = "\t\n\r"
_BLANK_RUN = re.compile(f"[{BLANKS}]+")


class ListEntry(NamedTuple):
    """One image of a list: its line (from 1), id, labels and path as written, with ``/`` separators."""

    line: int
    id: int
    labels: tuple[float, ...]
    path: str


def list_line(id_: int, labels: Iterable[float], path: str) -> str:
    """One line of a list; whole labels are written as integers, others so that they read back exactly.

    Raises ListFormatError for what no list can hold: a path with a TAB or line break, or with blanks at its ends; an
    id outside 0 to 2**64 - 1; no labels.
    """
    if not is_listable(path):
        raise ListFormatError(f"{path!r} cannot stand in a list", hint="rename it")
    labels = tuple(labels)
    if not labels or not 0 <= id_ <= MAX_ID:
        raise ListFormatError(
            f"{path!r} needs a label and an id from 0 to 2^64 - 1, not {id_} with {len(labels)} labels"
        )
    numbers = [str(int(label)) if float(label).is_integer() else repr(float(label)) for label in labels]
    return "\t".join([str(id_), *numbers, path]) + "\n"


def is_listable(path: str) -> bool:
    """Whether a list line with *path* reads back as *path*."""
    return bool(path) and not any(sign in path for sign in UNLISTABLE) and path == path.strip(BLANKS)


def read_list(
    lines: Iterable[str], *, label_width: int | None = None, first: int = 1
) -> Iterator[ListEntry | ListFormatError]:
    """Yield an entry for each image in *lines*, and an error (not raised) for each line that cannot be read.

    *first* is the number of the first line, *label_width* the number of labels every line must have; None takes any
    number, at least one.
    """
    for number, line in enumerate(lines, first):
        text = line.strip(BLANKS)
        if not text or text.startswith("#"):
            continue
        try:
            yield parse_line(text, number, label_width=label_width)
        except ListFormatError as error:
            yield error


def parse_line(line: str, number: int, *, label_width: int | None = None) -> ListEntry:
    """Read one line; *number* is its place in the file. Raises ListFormatError."""
    fields = [field for piece in line.split("\t") if (field := piece.strip(BLANKS))]
    if len(fields) < 3:
        fields = _split_at_blanks(line, label_width)
    if len(fields) < 3:
        raise ListFormatError(f"expected id, labels and path, found {len(fields)} field(s)", line=number)
    labels = tuple(_label(field, number) for field in fields[1:-1])
    if label_width is not None and len(labels) != label_width:
        raise ListFormatError(f"expected label_width={label_width} labels, found {len(labels)}", line=number)
    return ListEntry(number, _id(fields[0], number), labels, fields[-1])


def _split_at_blanks(line: str, label_width: int | None) -> list[str]:
    """Id, labels and path of a line without TABs; the path is what is left and may hold blanks of its own."""
    text = line.strip(BLANKS)
    if label_width is None:
        numeric = list(itertools.takewhile(is_number, _BLANK_RUN.split(text)[1:-1]))
        label_width = max(1, len(numeric))
    return _BLANK_RUN.split(text, label_width + 1)


def is_number(field: str) -> bool:
    """Whether *field* reads as a label."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def _label(field: str, number: int) -> float:
    try:
        return float(field)
    except ValueError:
        raise ListFormatError(f"expected a number as label, found {field[:40]!r}", line=number) from None


def _id(field: str, number: int) -> int:
    try:
        value = int(field)
    except ValueError:
        raise ListFormatError(f"expected an integer as id, found {field[:40]!r}", line=number) from None
    if not 0 <= value <= MAX_ID:
        raise ListFormatError(f"the id {value} is not in 0 to 2^64 - 1", line=number)
    return value


def parse_labels(line: str, number: int, width: int) -> tuple[int, list[float]] | None:
    """Id and first *width* labels of a line; what follows, a path or not, is not looked at. None for a line of none.

    This is how the iterators of the reference read a list. Raises ListFormatError for a line with fewer numbers.
    """
    fields = _BLANK_RUN.split(line.strip(BLANKS), width + 1)[: width + 1]
    if fields == [""] or fields[0].startswith("#"):
        return None
    id_ = _id(fields[0], number)
    if len(fields) <= width:
        raise ListFormatError(f"expected label_width={width} labels, found {len(fields) - 1} (id {id_})", line=number)
    try:
        labels = [_label(field, number) for field in fields[1:]]
    except ListFormatError as error:
        raise ListFormatError(f"{error.problem} (id {id_})", line=number) from None
    return id_, labels
