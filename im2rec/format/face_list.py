"""Lists of face2rec2, as sets of face crops are published with: ``aligned TAB path TAB label``, perhaps more.

Behind the label there may be the box of the face, four integers, and behind that the points of its landmarks, ten
numbers; more columns are ignored. The first field is 0 for an image from which the face would have to be cut by box
and points, and another integer, usually 1, for one that is stored as it is. im2rec's own lists have id, labels and, as
the last field, the path: :func:`form_of` tells which form a line has.

Source: insightface src/common/face_preprocess.py, ``parse_lst_line``; src/data/face2rec2.py, ``read_list``.
"""

from __future__ import annotations

from typing import NamedTuple

from im2rec.errors import ListFormatError
from im2rec.format.listfile import BLANKS, is_number, parse_line

IM2REC, FACE2REC2 = "im2rec", "face2rec2"
_COLUMNS = (3, 7, 17)  # of 17 and more, those behind the 17th are ignored
_BOX = slice(3, 7)
_HINT = "write aligned TAB path TAB label, perhaps with box and points behind them"


class FaceLine(NamedTuple):
    """A line of a list of face2rec2: its number, from 1, the path and the label as they are written.

    *aligned* is the first field: 0 where the face would have to be cut from the image.
    """

    line: int
    aligned: int
    path: str
    label: float


def parse_face_line(line: str, number: int) -> FaceLine:
    """Parse *line*, which is line *number* of its file. Raises ListFormatError.

    As in face2rec2, blanks around the path belong to it. Box and points are not looked at.
    """
    fields = line.strip(BLANKS).split("\t")
    columns = len(fields)
    if columns < _COLUMNS[-1] and columns not in _COLUMNS:
        problem = f"expected 3, 7 or 17 columns, found {columns}"
        raise ListFormatError(problem, line=number, hint=_HINT)
    aligned, path, label = fields[:3]
    if not _is_integer(aligned):
        raise ListFormatError(f"expected 0 or 1 (aligned), found {aligned[:40]!r}", line=number, hint=_HINT)
    if not path:
        raise ListFormatError("column 2 is empty", line=number, hint="fill in the path")
    if not is_number(label):
        raise ListFormatError(f"expected a number as label, found {label[:40]!r}", line=number, hint=_HINT)
    return FaceLine(number, int(aligned), path, float(label))


def form_of(line: str) -> str | None:
    """Return the form of *line*, ``IM2REC`` or ``FACE2REC2``; None for one that fits both, and for one that fits none.

    A line fits both only where its paths would be numbers, as in ``1 TAB 17 TAB 5``.
    """
    as_face = _fits_face2rec2(line)
    try:
        parse_line(line, 1)
    except ListFormatError:
        return FACE2REC2 if as_face else None
    return None if as_face and _is_plainly_face2rec2(line) else IM2REC


def _fits_face2rec2(line: str) -> bool:
    """True if *line* begins with an integer, a path and a number, whatever follows."""
    fields = line.strip(BLANKS).split("\t")
    return len(fields) >= _COLUMNS[0] and _is_integer(fields[0]) and bool(fields[1]) and is_number(fields[2])


def _is_plainly_face2rec2(line: str) -> bool:
    """True if all of *line*, which fits face2rec2 so far, does: for lines that can be read as im2rec's too."""
    fields = line.strip(BLANKS).split("\t")
    box = fields[_BOX]
    has_columns = len(fields) in _COLUMNS or len(fields) > _COLUMNS[-1]
    return has_columns and fields[0] in ("0", "1") and _is_integer(fields[2]) and all(map(_is_integer, box))


def _is_integer(field: str) -> bool:
    """True if *field* is an integer of at most 64 bits, beyond which a float may not hold it."""
    try:
        return abs(int(field)) < 2**63
    except ValueError:
        return False
