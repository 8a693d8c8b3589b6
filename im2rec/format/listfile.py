"""List files (``.lst``): one line per image, ``id TAB label [TAB label ...] TAB path``.

Reading accepts what either of MXNet's two tools accepts: a line with fewer than two TABs is split at any blanks, blanks
around fields are stripped, a run of TABs is one separator, and blank lines and lines that start with ``#`` are skipped.

Source: mxnet tools/im2rec.py, ``read_list`` and ``write_list``; tools/im2rec.cc for lists split at blanks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from im2rec.errors import ListFormatError

BLANKS = " \t\r\n\v\f"  # str.strip() alone would also remove no-break and ideographic spaces from names
MAX_ID = 2**64 - 1
UNLISTABLE = "\t\n\r"  # characters that end a field or a line
_BLANK_RUN = re.compile(f"[{BLANKS}]+")


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
    lines: Iterable[str], *, label_width: int | None = None, first: int = 1
) -> Iterator[ListEntry | ListFormatError]:
    """Yield a ListEntry for each image in *lines*, and a ListFormatError, not raised, for each line that is wrong.

    *label_width* is the number of labels that every line must have; None accepts any number from 1. *first* is the
    number of the first line.
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
    """Parse *line*, which is line *number* of its file. Raises ListFormatError, also for another *label_width*."""
    fields = [stripped for field in line.split("\t") if (stripped := field.strip(BLANKS))]
    if len(fields) < 3:
        fields = _split_at_blanks(line, label_width)
    if len(fields) < 3:
        raise ListFormatError(f"expected id, labels and path, found {len(fields)} field(s)", line=number)
    labels = tuple(_parse_label(field, number) for field in fields[1:-1])
    if label_width is not None and len(labels) != label_width:
        raise ListFormatError(f"expected label_width={label_width} labels, found {len(labels)}", line=number)
    return ListEntry(number, _parse_id(fields[0], number), labels, fields[-1])


def _split_at_blanks(line: str, label_width: int | None) -> list[str]:
    """Split a line without TABs into id, labels and path; the path is the rest of the line and may contain blanks.

    Without *label_width*, every number after the id is a label; the last field is always the path.
    """
    text = line.strip(BLANKS)
    if label_width is None:
        labels = list(itertools.takewhile(is_number, _BLANK_RUN.split(text)[1:-1]))
        label_width = max(1, len(labels))
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
        raise ListFormatError(f"expected a number as label, found {field[:40]!r}", line=number) from None


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

    The rest of the line, usually the path, is ignored: this is how MXNet's iterators read the list of ``path_imglist``.
    Raises ListFormatError for a wrong id or label, and for a line with fewer labels.
    """
    fields = _BLANK_RUN.split(line.strip(BLANKS), width + 1)[: width + 1]
    if fields[0] == "" or fields[0].startswith("#"):
        return None
    id_ = _parse_id(fields[0], number)
    if len(fields) <= width:
        raise ListFormatError(f"expected label_width={width} labels, found {len(fields) - 1} (id {id_})", line=number)
    try:
        labels = [_parse_label(field, number) for field in fields[1:]]
    except ListFormatError as error:
        raise ListFormatError(f"{error.problem} (id {id_})", line=number) from None
    return id_, labels
