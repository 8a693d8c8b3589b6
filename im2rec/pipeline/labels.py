"""The labels of records: out of their headers, or out of a list, by id."""

from __future__ import annotations

import itertools
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from im2rec.errors import BadRecordError, InputError, ListFormatError
from im2rec.format.irheader import IRHeader, RawHeader, float32
from im2rec.format.listfile import ListEntry, is_number, parse_labels, parse_line
from im2rec.pipeline.params import ImageRecordParams
from im2rec.pipeline.records import Records
from im2rec.storage.files import reading, with_path

Label = npt.NDArray[np.float32]
_OTHER_LIST = "is it the right list?"
_LOG = logging.getLogger(__name__)


def load_labels(records: Records, params: ImageRecordParams) -> Labels:
    """The labels of *records*, as *params* say.

    Raises InputError, ListFormatError (with path and line) for a list that cannot be used: a short line, a word that
    is no number, an id of a record that it lacks.
    """
    if params.path_imglist:
        return ListLabels(records, Path(params.path_imglist), params.label_width)
    return HeaderLabels(records, params.label_width)


class HeaderLabels:
    """The labels in the records themselves; *width* None takes as many as the first record has.

    With a ``width`` of 1 they ``are_field``: where ``flag`` is 0, the header's field ``label`` is the label.
    """

    def __init__(self, records: Records, width: int | None) -> None:
        first = _first_width(records)
        self.width = width if width is not None else first
        self.are_field = self.width == 1
        self._told = False
        if first > self.width:  # told here, as decoding processes keep quiet
            self._tell(first)

    def of(self, header: IRHeader) -> Label:
        """The first labels of a record, float32 (width,); one notice when there are more.

        Raises BadRecordError when there are too few.
        """
        labels = np.atleast_1d(np.asarray(header.label, np.float32))
        if len(labels) < self.width:
            problem = f"has {len(labels)} label{'s' * (len(labels) != 1)}, label_width={self.width} needs more"
            raise BadRecordError(problem, reason="too few labels", hint=f"set label_width={len(labels)}")
        if len(labels) > self.width and not self._told:
            self._tell(len(labels))
        return labels[: self.width]

    def _tell(self, labels: int) -> None:
        self._told = True
        _LOG.warning("records have %d labels and more; label_width=%d takes the first", labels, self.width)

    def digest(self) -> int:
        """Always 0: these labels are part of the record files."""
        return 0


class ListLabels:
    """The labels in a list, held in 8 + 4 * width bytes a line; of lines with one id the last wins."""

    are_field = False

    def __init__(self, records: Records, path: Path, width: int | None) -> None:
        self.width = width if width is not None else _list_width(path)
        try:
            ids, labels = _table(path, self.width)
        except ListFormatError as error:
            raise with_path(error, path) from None
        if not len(ids):
            raise InputError(f"{path}: lists no images", hint=_OTHER_LIST)
        order = np.argsort(ids, kind="stable")
        last = np.append(np.diff(ids[order]) != 0, True)
        self._ids, self._labels = ids[order][last], labels[order][last]
        _check_complete(records, self._ids, path)

    def of(self, header: IRHeader) -> Label:
        """The labels of the record's id, float32 (width,)."""
        at = int(np.searchsorted(self._ids, np.uint64(header.id)))
        row: Label = self._labels[at]
        return row

    def digest(self) -> int:
        """A checksum of ids and labels."""
        return zlib.crc32(self._labels.tobytes(), zlib.crc32(self._ids.tobytes()))


Labels = HeaderLabels | ListLabels


def _first_width(records: Records) -> int:
    for _, header in itertools.islice(records.headers(), 1):
        return max(1, header.flag)
    return 1


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with reading(path), path.open(encoding="utf-8-sig", errors="surrogateescape", newline=None) as stream:
        yield from enumerate(stream, 1)


def _list_width(path: Path) -> int:
    """The number of labels in the first line."""
    for number, line in _lines(path):
        try:
            if parse_labels(line, number, 0) is None:
                continue
            entry = parse_line(line, number)
            _check_path(entry)
        except ListFormatError as error:
            error.hint = "set label_width when the lines have no paths"
            raise with_path(error, path) from None
        return len(entry.labels)
    raise InputError(f"{path}: lists no images", hint=_OTHER_LIST)


def _check_path(entry: ListEntry) -> None:
    if is_number(entry.path):
        raise ListFormatError(f"expected a path at the end, found {entry.path!r}", line=entry.line)


def _table(path: Path, width: int) -> tuple[npt.NDArray[np.uint64], Label]:
    """Ids, and labels (lines, width); in the order of the lines."""
    ids: list[int] = []
    labels: list[Label] = []
    block: list[list[float]] = []
    for number, line in _lines(path):
        if (read := parse_labels(line, number, width)) is not None:
            ids.append(read[0])
            block.append(read[1])
        if len(block) == 1 << 16:
            labels.append(float32(block))
            block = []
    labels.append(float32(block).reshape(-1, width))
    return np.array(ids, np.uint64), np.concatenate(labels)


def _check_complete(records: Records, ids: npt.NDArray[np.uint64], path: Path) -> None:
    """Raise InputError for the first record whose id the list lacks."""
    headers = records.headers()
    while block := list(itertools.islice(headers, 1 << 14)):
        missing = np.flatnonzero(~np.isin(np.array([header.id for _, header in block], np.uint64), ids))
        if len(missing):
            ordinal, header = block[int(missing[0])]
            _raise_missing(records, ordinal, header, path)


def _raise_missing(records: Records, ordinal: int, header: RawHeader, path: Path) -> None:
    place = records.locate(ordinal)
    problem = f"{path}: has no line for id {header.id}, which is record {place.record} of {place.file.path}"
    raise InputError(problem, hint="is it the list of this .rec?")
