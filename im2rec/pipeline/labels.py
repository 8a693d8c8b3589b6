"""Labels of records: from their headers, or by id from a list file."""

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
from im2rec.storage.files import open_text, reading, with_path

LabelVector = npt.NDArray[np.float32]
_WRONG_LIST_HINT = "is it the right list?"
_LINES_PER_BLOCK = 65_536  # bounds the Python floats alive at once: they take 8 times as much memory as float32
_HEADERS_PER_BLOCK = 16_384
_LOG = logging.getLogger(__name__)


def labels_from_params(records: Records, params: ImageRecordParams) -> Labels:
    """Return the labels of *records*: from ``path_imglist`` if *params* name one, else from their headers.

    Raises InputError, or ListFormatError (with path and line), for a list that cannot be used: it has a line with too
    few labels or with a word that is not a number, or lacks the id of a record.
    """
    if params.path_imglist:
        return ListLabels(records, Path(params.path_imglist), params.label_width)
    return HeaderLabels(records, params.label_width)


class HeaderLabels:
    """Labels from the headers of the records themselves; *width* None takes that of the first record for all.

    ``is_header_field`` is True with a ``width`` of 1: where ``flag`` is 0, the header's field ``label`` is the label.
    """

    def __init__(self, records: Records, width: int | None) -> None:
        first = _first_label_width(records)
        self.width = width if width is not None else first
        self.is_header_field = self.width == 1
        self._has_warned = False
        if first > self.width:  # warned of now, as decoding processes do not log
            self._warn_of_longer(first)

    def of(self, header: IRHeader) -> LabelVector:
        """Return the first ``width`` labels of a record, float32 (width,), and warn once of records that have more.

        Raises BadRecordError for a record that has fewer.
        """
        labels = np.atleast_1d(np.asarray(header.label, np.float32))
        if len(labels) < self.width:
            problem = f"has {len(labels)} label{'s' * (len(labels) != 1)}, label_width={self.width} needs more"
            raise BadRecordError(problem, reason="too few labels", hint=f"set label_width={len(labels)}")
        if len(labels) > self.width and not self._has_warned:
            self._warn_of_longer(len(labels))
        return labels[: self.width]

    def _warn_of_longer(self, labels: int) -> None:
        self._has_warned = True
        _LOG.warning("records have %d labels and more; label_width=%d takes the first", labels, self.width)

    def digest(self) -> int:
        """Return 0: these labels are part of the record files."""
        return 0


class ListLabels:
    """Labels from a list file, by id; of several lines with one id the last counts.

    They take 8 + 4 * width bytes of memory per line.
    """

    is_header_field = False

    def __init__(self, records: Records, path: Path, width: int | None) -> None:
        self.width = width if width is not None else _list_label_width(path)
        try:
            ids, labels = _read_list(path, self.width)
        except ListFormatError as error:
            raise with_path(error, path) from None
        if not len(ids):
            raise InputError(f"{path}: lists no images", hint=_WRONG_LIST_HINT)
        order = np.argsort(ids, kind="stable")
        is_last = np.append(np.diff(ids[order]) != 0, True)
        self._ids, self._labels = ids[order][is_last], labels[order][is_last]
        _check_complete(records, self._ids, path)

    def of(self, header: IRHeader) -> LabelVector:
        """Return the labels of the record's id, float32 (width,)."""
        row: LabelVector = self._labels[int(np.searchsorted(self._ids, np.uint64(header.id)))]
        return row

    def digest(self) -> int:
        """Return a checksum of ids and labels."""
        return zlib.crc32(self._labels.tobytes(), zlib.crc32(self._ids.tobytes()))


Labels = HeaderLabels | ListLabels


def _first_label_width(records: Records) -> int:
    """Return the label width of the first record that is iterated over, 1 if there is none."""
    header = next((header for _, header in records.headers()), None)
    return max(1, header.flag) if header else 1


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    with reading(path), open_text(path) as stream:
        yield from enumerate(stream, 1)


def _list_label_width(path: Path) -> int:
    """Return the number of labels in the first line of a list, which must end in a path."""
    for number, line in _numbered_lines(path):
        try:
            if parse_labels(line, number, 0) is None:
                continue
            entry = parse_line(line, number)
            _check_path(entry)
        except ListFormatError as error:
            error.hint = "set label_width when the lines have no paths"
            raise with_path(error, path) from None
        return len(entry.labels)
    raise InputError(f"{path}: lists no images", hint=_WRONG_LIST_HINT)


def _check_path(entry: ListEntry) -> None:
    if is_number(entry.path):
        raise ListFormatError(f"expected a path at the end, found {entry.path!r}", line=entry.line)


def _read_list(path: Path, width: int) -> tuple[npt.NDArray[np.uint64], LabelVector]:
    """Return ids (lines,) and labels (lines, width), in the order of the lines."""
    ids: list[int] = []
    blocks: list[LabelVector] = []
    rows: list[list[float]] = []
    for number, line in _numbered_lines(path):
        if (parsed := parse_labels(line, number, width)) is not None:
            ids.append(parsed[0])
            rows.append(parsed[1])
        if len(rows) == _LINES_PER_BLOCK:
            blocks.append(float32(rows))
            rows = []
    blocks.append(float32(rows).reshape(len(rows), width))
    return np.array(ids, np.uint64), np.concatenate(blocks)


def _check_complete(records: Records, ids: npt.NDArray[np.uint64], path: Path) -> None:
    """Raise InputError for the first record with an id that the list lacks."""
    headers = records.headers()
    while block := list(itertools.islice(headers, _HEADERS_PER_BLOCK)):
        missing = np.flatnonzero(~np.isin(np.array([header.id for _, header in block], np.uint64), ids))
        if len(missing):
            _raise_missing(records, *block[int(missing[0])], path)


def _raise_missing(records: Records, ordinal: int, header: RawHeader, path: Path) -> None:
    location = records.locate(ordinal)
    problem = f"{path}: has no line for id {header.id}, which is record {location.record} of {location.file.path}"
    raise InputError(problem, hint="is it the list of this .rec?")
