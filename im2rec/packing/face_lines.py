"""The lines of a list for a face-recognition set: class by class, whatever their order in the list.

Two passes: the constructor of :class:`FaceLines` reads the list and keeps where each line starts and the new order, 12
bytes a line, and 33 while it sorts; :meth:`FaceLines.entries` reads the lines again, one by one in the new order.
"""

from __future__ import annotations

import array
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError, ListFormatError, ParameterError
from im2rec.format.face_list import FACE2REC2, IM2REC, form_of, parse_face_line
from im2rec.format.listfile import ListEntry, is_entry, parse_line
from im2rec.packing.list_reader import Entry, ListPosition
from im2rec.progress import Progress
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.list_lines import list_lines, mark_bytes, opened_list
from im2rec.storage.missing_files import is_file_below

_SKIPPED, _BAD = -1, 2**62  # in place of a label: of a blank line or a comment; of one that cannot be read
_LABELS_END = 2**53  # from here on, not every whole number is a float
_NO_CLASS = -1
_BLOCK_LINES = 4096
_CHANGED = "has changed while it was read"


class ClassRuns(NamedTuple):
    """The classes of a list: their *labels*, ascending (int64), and *starts*: the place of the first line of each."""

    labels: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]


class _Refused:
    """Lines that no set can be made of: how many, and the first of them."""

    def __init__(self) -> None:
        self.count, self.first, self.shown = 0, 0, ""

    def add(self, line: int, shown: str = "") -> None:
        if not self.count:
            self.first, self.shown = line, shown
        self.count += 1

    def refuse(self, path: Path, problem: str, *, hint: str) -> None:
        """Raise InputError with *problem*, that of the first line, if there are any."""
        if self.count:
            others = f"; there are {self.count:,} such lines" if self.count > 1 else ""
            raise InputError(problem + others, path=path, line=self.first, hint=hint)


class FaceLines:
    """The lines of the list *path*, in order of their classes; those of a class, in order of the list.

    The class of a line is its first label. ``form`` is the form of the list, ``im2rec`` or ``face2rec2``: that of the
    first line that fits only one of the two. ``runs`` has the classes, ``images`` is the number of lines in them, and
    ``is_reordered`` is True if the order is not that of the list. Lines that cannot be read come last. *label_width*
    and *root* are those of :class:`~im2rec.packing.list_reader.ListLines`. *progress* is called with the number of
    lines so far, in the first pass, and the share of the list's bytes. Entries have the ids of the list, in the form of
    face2rec2 the numbers of the lines. Their first label is the number of their class among ``runs``; with *all_labels*
    a line of face2rec2 has a second one, its first field.

    ``position`` is the place of the next line in the new order, and its number in the list; an earlier one may be set.

    Raises InputError for a list that cannot be read, that fits both forms, with labels that are no classes, and, unless
    *unaligned_as_is*, for one of face2rec2 with faces that are not aligned.
    """

    def __init__(
        self,
        path: PathLike,
        root: PathLike,
        *,
        label_width: int | None = None,
        all_labels: bool = False,
        unaligned_as_is: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.path = Path(path)
        self.form = _form(path)
        self._label_width, self._all_labels = label_width, all_labels
        self._unaligned_as_is = unaligned_as_is
        self._exists = functools.partial(is_file_below, os.fspath(root))
        if self.form == FACE2REC2 and label_width not in (None, 1):
            problem = f"label_width={label_width}, and a list of face2rec2 has one label a line"
            raise ParameterError(problem, hint="leave it out")
        self._no_class, self._no_label, self._unaligned = _Refused(), _Refused(), _Refused()
        self._offsets: npt.NDArray[np.int64]
        self.runs, self._order, self.is_reordered = _ordered(self._read_all(progress))
        self.images = int(self.runs.starts[-1])
        self.position = ListPosition(0, self._line_at(0))

    def share_before(self, position: ListPosition) -> float:
        """Return the share of the lines before *position* in the new order, from 0 to 1."""
        return position.offset / max(1, len(self._order))

    def entries(self) -> Iterator[Entry]:
        """Yield an entry, or a ListFormatError, for each line that is neither blank nor a comment, class by class.

        Raises InputError when the file cannot be read any more, and if it has changed.
        """
        place = self.position.offset
        with InputFile(self.path) as file:
            if file.size != self._offsets[-1]:
                raise InputError(_CHANGED, path=self.path, hint="begin again")
            while block := self._block(place):
                for number, start, end, class_ in block:
                    line = file.read_at(start, end - start).decode("utf-8", "surrogateescape")
                    entry = self._entry(line, number + 1, class_)
                    place += 1
                    self.position = ListPosition(place, self._line_at(place))
                    yield entry

    def _block(self, place: int) -> list[tuple[int, int, int, int]]:
        """Return number from 0, start, end and class of some lines from *place* on: numpy is slow one by one."""
        numbers = self._order[place : place + _BLOCK_LINES].astype(np.int64)
        classes = np.searchsorted(self.runs.starts, np.arange(place, place + len(numbers)), "right") - 1
        starts, ends = self._offsets[numbers], self._offsets[numbers + 1]
        return list(zip(numbers.tolist(), starts.tolist(), ends.tolist(), classes.tolist(), strict=True))

    def _line_at(self, place: int) -> int:
        """Return the number of the line at *place* of the new order; behind the last, that behind the list."""
        return int(self._order[place]) + 1 if place < len(self._order) else len(self._offsets)

    def _read_all(self, progress: Progress | None) -> npt.NDArray[np.int64]:
        """Keep the offset of each line of the file, and of its end; return the label of each line, or what it is.

        Raises InputError for lines that do not belong in a set.
        """
        offsets, labels = array.array("q"), array.array("q")
        with opened_list(self.path) as stream:
            offset = mark_bytes(stream)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(offset)
            for number, line in enumerate(list_lines(self.path, stream), 1):
                offsets.append(offset)
                labels.append(self._label(line.decode("utf-8", "surrogateescape"), number))
                offset += len(line)
                if progress and number % _BLOCK_LINES == 0:
                    progress(number, min(1.0, offset / size))
        if progress:
            progress(len(offsets), 1.0)
        offsets.append(offset)
        self._offsets = np.frombuffer(offsets, np.int64)
        self._refuse()
        return np.frombuffer(labels, np.int64)

    def _label(self, line: str, number: int) -> int:
        """Return the label of line *number*; of one that has none, ``_SKIPPED`` or ``_BAD``."""
        if not is_entry(line):
            return _SKIPPED
        try:
            entry = self._parsed(line, number)
        except ListFormatError:
            return _BAD
        label = entry.labels[0]
        if 0 <= label < _LABELS_END and label == int(label):
            return int(label)
        if label == _NO_CLASS:
            self._no_class.add(number)
        else:
            self._no_label.add(number, f"{label:.17g}")
        return _BAD

    def _parsed(self, line: str, number: int) -> ListEntry:
        """Parse *line*; its first label is the one that is written. Raises ListFormatError."""
        if self.form == IM2REC:
            return parse_line(line, number, label_width=self._label_width, exists=self._exists)
        found = parse_face_line(line, number)
        if not found.aligned and not self._unaligned_as_is:
            self._unaligned.add(number)
        labels = (found.label, float(found.aligned)) if self._all_labels else (found.label,)
        return ListEntry(number, number, labels, found.path)

    def _refuse(self) -> None:
        """Raise InputError for lines that were found not to belong in a set."""
        self._unaligned.refuse(
            self.path,
            "the face is marked as not aligned (aligned 0), and im2rec aligns none",
            hint="--unaligned-as-is takes the images as they are",
        )
        self._no_class.refuse(self.path, "the label -1 means no class", hint="leave such lines out of the list")
        shown = self._no_label.shown
        self._no_label.refuse(self.path, f"the label {shown} is no class", hint="classes are whole numbers from 0 on")

    def _entry(self, line: str, number: int, class_: int) -> Entry:
        """Return the entry of line *number*, of *class_*, one behind the last for a line that cannot be read.

        Raises InputError if it is not the line that was read in the first pass.
        """
        labels = self.runs.labels
        try:
            entry = self._parsed(line, number)
        except ListFormatError as error:
            if class_ < len(labels):
                raise InputError(_CHANGED, path=self.path, line=number, hint="begin again") from None
            return error
        if class_ >= len(labels) or entry.labels[0] != labels[class_]:
            raise InputError(_CHANGED, path=self.path, line=number, hint="begin again")
        return entry._replace(labels=(float(class_), *entry.labels[1:]))


def _form(path: PathLike) -> str:
    """Return the form of the list *path*. Raises InputError if all its lines fit both."""
    fits_both = False
    with opened_list(path) as stream:
        for line in list_lines(path, stream):
            text = line.decode("utf-8", "surrogateescape")
            if not is_entry(text):
                continue
            if form := form_of(text):
                return form
            fits_both = fits_both or _fits_both(text)
    if fits_both:
        problem = "can be read as a list of im2rec (id, label, path) and of face2rec2 (aligned, path, label)"
        raise InputError(problem, path=path, hint="give the images names with endings")
    return IM2REC


def _fits_both(line: str) -> bool:
    """True if *line*, which does not tell its form, fits both of them, and not none."""
    try:
        parse_face_line(line, 1)
    except ListFormatError:
        return False
    return True


def _ordered(labels: npt.NDArray[np.int64]) -> tuple[ClassRuns, npt.NDArray[np.integer[Any]], bool]:
    """Return the classes, the numbers of the lines in their order from 0, and if that is another than the list's.

    At most four arrays of as many elements are in memory at a time, as a list may have tens of millions of lines.
    """
    order: npt.NDArray[np.integer[Any]] = np.flatnonzero(labels != _SKIPPED)
    order = order.astype(np.uint32 if len(labels) < 2**32 else np.int64)
    labels = labels[order]
    bad = int(np.count_nonzero(labels == _BAD))
    good = labels[labels != _BAD] if bad else labels
    is_reordered = bool((good[1:] < good[:-1]).any())
    if is_reordered or bad:
        order = order[np.argsort(labels, kind="stable")]
        labels.sort()
    labels = labels[: len(labels) - bad]
    is_first = np.ones(len(labels), np.bool_)
    is_first[1:] = labels[1:] != labels[:-1]
    first = np.flatnonzero(is_first)
    # Behind the last class, the lines that cannot be read.
    return ClassRuns(labels[first], np.append(first, len(labels))), order, is_reordered
