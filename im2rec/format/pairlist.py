"""Pair lists: text files that name pairs of face images, each with whether both are of one person.

====================  ==================================================================================
form                  lines
====================  ==================================================================================
``lfw``               ``name n1 n2`` for one person, ``name1 n1 name2 n2`` for two; image ``name/name_%04d``.
                      The first line may be a head: ``sets pairs``, or ``pairs`` alone, of each kind
``labels``            ``path1 path2 0`` (different) or ``1`` (same)
``two-lines``         two lines a pair, each ``path label``: 0 for different, 1 to 10 for same
``csv``               ``path1,path2,same`` with 0 or 1, false or true; a first line of such names may be there
====================  ==================================================================================

In the first three, fields are separated by TABs where a line has any, else by blanks. Blank lines are skipped.

Source: LFW's README, section 3c; insightface src/eval/lfw.py, ``read_pairs`` and ``get_paths``; build_eval_pack.py of
recognition/arcface_mxnet/common; the pair files of CPLFW (``1`` for same) and CALFW (``1`` to ``10``: the fold).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from im2rec.errors import InputError, counted
from im2rec.format.listfile import BLANKS

LFW, LABELS, TWO_LINES, CSV = FORMS = ("lfw", "labels", "two-lines", "csv")
LFW_SUFFIXES = (".jpg", ".png", ".jpeg")  # LFW's lists name no suffix; the first one whose file is there counts
MAX_PAIRS = 1_000_000  # published sets have up to 15,000; the template pairs of IJB-C, 15 million, are no images
_BLANK_RUN = re.compile(f"[{BLANKS}]+")
_NUMBER = re.compile("[0-9]{1,9}")  # not str.isdecimal(), which takes digits of all scripts
_FOLD_LABELS = {str(number): number > 0 for number in range(11)}
_LABELS = {"0": False, "1": True}
_CSV_LABELS = _LABELS | {"false": False, "true": True}
_CSV_HEADS = ("same", "issame", "is_same", "label", "match", "target")  # names of the third column
_LINES = {
    LFW: "name n1 n2, or name1 n1 name2 n2",
    LABELS: "path1 path2 0, or path1 path2 1",
    TWO_LINES: "path label, two lines a pair",
    CSV: "path1,path2,same",
}
_SHOWN = 40  # characters of a field in a message


class ListedImage(NamedTuple):
    """The path of an image as its list writes it, with ``/`` as separator, and the line, from 1, that names it."""

    path: str
    line: int


class ListedPair(NamedTuple):
    """Two images, and whether both are of the same person."""

    first: ListedImage
    second: ListedImage
    same: bool


class PairList(NamedTuple):
    """The pairs of a list in its order, its form, and the *suffixes* to try behind each path (``("",)`` for none).

    *head* is the first line of an LFW list, if it has one: the number of pairs of each kind in a set, and of sets.
    """

    form: str
    pairs: list[ListedPair]
    suffixes: tuple[str, ...]
    head: tuple[int, int] | None = None


_Row = tuple[int, str]  # number and text of a line that is not blank


def parse_pairs(lines: Iterable[str], form: str | None = None) -> PairList:
    """Return the pairs that *lines* name, in their order; *form* is one of ``FORMS``, or None to find it out.

    A list has the form in which all of its lines can be read. Raises InputError with the line, and without a path, for
    a list that has none or more than one, for a number of pairs that differs from the head, and for no pairs at all.
    """
    rows = _rows(lines)
    head = _head(rows[0][1]) if form in (None, LFW) else None
    forms = FORMS if form is None else (form,)
    tried = {each: _tried(each, rows[1:] if each == LFW and head else rows) for each in forms}
    fits = {each: pairs for each, pairs in tried.items() if isinstance(pairs, list)}
    if not fits:
        raise _no_form(rows, {each: error for each, error in tried.items() if isinstance(error, InputError)})
    if CSV in fits:  # a path that ends in a comma is less likely
        fits = {CSV: fits[CSV]}
    if len(fits) > 1:
        problem = "each line can be read as 'name n1 n2' (LFW) and as 'path1 path2 0|1'"
        raise InputError(problem, line=rows[0][0], hint="decide it with --form lfw or --form labels")
    ((found, pairs),) = fits.items()
    head = head if found == LFW else None
    if not pairs:
        raise InputError("names no pairs", hint="is it complete?")
    if head:
        _check_head(head, len(pairs), rows[0][0])
    return PairList(found, pairs, LFW_SUFFIXES if found == LFW else ("",), head)


def _rows(lines: Iterable[str]) -> list[_Row]:
    """Return the lines that are not blank. Raises InputError for none, and for too many."""
    rows: list[_Row] = []
    for number, line in enumerate(lines, 1):
        if line.strip(BLANKS):
            rows.append((number, line))
        if len(rows) > 2 * MAX_PAIRS + 1:
            hint = "lists of templates, as of IJB-C, name no images"
            raise InputError(f"names more than {MAX_PAIRS:,} pairs", line=number, hint=hint)
    if not rows:
        raise InputError("names no pairs", hint="is it complete?")
    return rows


def _tried(form: str, rows: list[_Row]) -> list[ListedPair] | InputError:
    """Return the pairs of *rows*, or the error of the first line that is not in *form*."""
    try:
        return list(_PARSERS[form](rows))
    except InputError as error:
        return error


def _no_form(rows: list[_Row], failures: dict[str, InputError]) -> InputError:
    """Return the error of the form that fits longest; if more than one was tried and none fits, of the first line."""
    longest = max(error.line or 0 for error in failures.values())
    if len(failures) > 1 and longest == rows[0][0]:
        shown = rows[0][1].strip(BLANKS)[:_SHOWN]
        forms = "'name n1 n2', 'path1 path2 0|1', 'path label' or 'path1,path2,same'"
        return InputError(f"expected {forms}, found {shown!r}", line=longest, hint="write one of these forms")
    form, error = next(failure for failure in failures.items() if failure[1].line == longest)
    error.hint = error.hint or f"lines of this list are {_LINES[form]}"
    return error


def _head(line: str) -> tuple[int, int] | None:
    """Return the head of an LFW list: the number of pairs of each kind in a set, and of sets; None for another line."""
    fields = _BLANK_RUN.split(line.strip(BLANKS))
    if len(fields) > 2 or not all(map(_NUMBER.fullmatch, fields)):
        return None
    return int(fields[-1]), int(fields[0]) if len(fields) == 2 else 1


def _check_head(head: tuple[int, int], pairs: int, line: int) -> None:
    per_set, sets = head
    if pairs != 2 * per_set * sets:
        each = f"{per_set:,} same and {per_set:,} different pairs"
        said = f"{counted(sets, 'set')} of {each}, {2 * per_set * sets:,} in all" if sets > 1 else each
        problem = f"says {said}; the list has {pairs:,}"
        raise InputError(problem, line=line, hint="complete the list, or correct its first line")


def _fields(line: str) -> list[str]:
    """Return the fields of *line*: between TABs, without blanks around them, or between blanks if it has no TABs."""
    text = line.strip(BLANKS)
    return [field.strip(BLANKS) for field in text.split("\t")] if "\t" in text else _BLANK_RUN.split(text)


def _of_lfw(rows: list[_Row]) -> Iterator[ListedPair]:
    for number, line in rows:
        fields = _fields(line)
        if len(fields) not in (3, 4):
            raise _wrong_count(fields, "3 or 4", number)
        names, numbers = (fields[:1] * 2, fields[1:]) if len(fields) == 3 else (fields[::2], fields[1::2])
        first, second = (_lfw_image(name, text, number) for name, text in zip(names, numbers, strict=True))
        yield ListedPair(first, second, len(fields) == 3)


def _lfw_image(name: str, text: str, number: int) -> ListedImage:
    if not _NUMBER.fullmatch(text) or not int(text):
        raise InputError(f"expected a number from 1 on, found {text[:_SHOWN]!r}", line=number)
    return ListedImage(f"{name}/{name}_{int(text):04d}", number)


def _with_labels(rows: list[_Row]) -> Iterator[ListedPair]:
    for number, line in rows:
        fields = _fields(line)
        if len(fields) != 3:
            raise _wrong_count(fields, "3", number, "TABs between fields allow blanks in paths" * (len(fields) > 3))
        yield _labelled(fields, _LABELS, number)


def _of_csv(rows: list[_Row]) -> Iterator[ListedPair]:
    for place, (number, line) in enumerate(rows):
        try:
            (fields,) = csv.reader([line.rstrip("\r\n")], skipinitialspace=True, strict=True)
        except csv.Error as error:
            raise InputError(f"is not CSV: {error}", line=number, hint='quote with " on both sides') from None
        if len(fields) != 3:
            raise _wrong_count(fields, "3", number, "put quotes around a path with commas" * (len(fields) > 3))
        fields = [field.strip(BLANKS) for field in fields]
        fields[2] = fields[2].lower()
        if place or fields[2] not in _CSV_HEADS:
            yield _labelled(fields, _CSV_LABELS, number)


def _labelled(fields: list[str], labels: dict[str, bool], number: int) -> ListedPair:
    for column, path in enumerate(fields[:2], 1):
        if not path:
            raise InputError(f"column {column} is empty", line=number)
    first, second = (ListedImage(path, number) for path in fields[:2])
    return ListedPair(first, second, _label(fields[2], labels, number))


def _label(text: str, labels: dict[str, bool], number: int) -> bool:
    if text not in labels:
        expected = "0 (different) or 1 (same)" if len(labels) < 10 else "a label from 0 (different) to 10"
        raise InputError(f"expected {expected}, found {text[:_SHOWN]!r}", line=number)
    return labels[text]


def _of_two_lines(rows: list[_Row]) -> Iterator[ListedPair]:
    images: list[tuple[ListedImage, str]] = []
    for number, line in rows:
        fields = _fields(line)
        if len(fields) != 2:
            raise _wrong_count(fields, "2", number)
        if not fields[0]:
            raise InputError("column 1 is empty", line=number)
        same = _label(fields[1], _FOLD_LABELS, number)
        images.append((ListedImage(fields[0], number), fields[1]))
        if len(images) == 2:
            (first, label), (second, other) = images
            if label != other:
                problem = f"the two lines of a pair have the labels {label} and {other}"
                raise InputError(problem, line=number, hint="is a line before this one missing?")
            yield ListedPair(first, second, same)
            images = []
    if images:
        raise InputError("is the first line of a pair, and the second is missing", line=rows[-1][0])


def _wrong_count(fields: list[str], expected: str, number: int, hint: str = "") -> InputError:
    return InputError(f"expected {expected} fields, found {len(fields)}", line=number, hint=hint)


_PARSERS: dict[str, Callable[[list[_Row]], Iterator[ListedPair]]] = {
    LFW: _of_lfw,
    LABELS: _with_labels,
    TWO_LINES: _of_two_lines,
    CSV: _of_csv,
}
