"""Labels of records: from their headers, or by id from a list file."""

from __future__ import annotations

import itertools
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from im2rec.errors import BadRecordError, InputError, ListFormatError, counted
from im2rec.format.irheader import ImageRecord, IRHeader, float32
from im2rec.format.listfile import (
    EXACT_INTEGERS,
    LINE_HINT,
    InexactLabels,
    ListEntry,
    is_entry,
    is_number,
    parse_labels,
    parse_line,
)
from im2rec.images.signatures import NOT_AN_IMAGE, sniff
from im2rec.pipeline.params import ImageRecordParams
from im2rec.pipeline.records import Records
from im2rec.storage.files import with_path
from im2rec.storage.list_lines import list_lines, opened_list
from im2rec.storage.record_info import RecordInfo

LabelVector = npt.NDArray[np.float32]
Ids = npt.NDArray[np.uint64]
_WRONG_LIST_HINT = "is it the right list?"
_NO_PATHS_HINT = "set label_width when the lines have no paths"
_COLUMNS_HINT = "a line is id TAB label TAB path, with numbers for classes"
_LINES_PER_BLOCK = 65_536  # bounds the Python numbers alive at once: they take 4 to 8 times as much memory as numpy's
_HEADERS_PER_BLOCK = 16_384
_MAX_OTHERS = 100  # whole records without an image that are read to find the first with one
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
    """Labels from the headers of the records themselves; *width* None takes that of the first image for all.

    ``is_header_field`` is True with a ``width`` of 1: where ``flag`` is 0, the header's field ``label`` is the label.
    """

    def __init__(self, records: Records, width: int | None) -> None:
        first = _first_label_width(records)
        self._is_given = width is not None
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
        count = len(labels)
        if count < self.width:
            problem = f"has {counted(count, 'label')}, label_width={self.width} needs more"
            hint = "im2rec pack stores all labels of a line with pack_label=1; or give the list as path_imglist"
            if not self._is_given:
                hint = f"give the labels by path_imglist; label_width={count} drops labels of other records"
            raise BadRecordError(problem, reason="too few labels", hint=hint)
        if count > self.width and not self._has_warned:
            self._warn_of_longer(count)
        return labels[: self.width]

    def _warn_of_longer(self, labels: int) -> None:
        self._has_warned = True
        _LOG.warning("records have %d labels and more; label_width=%d takes the first", labels, self.width)

    def digest(self) -> int:
        """Return 0: these labels are part of the record files."""
        return 0


class ListLabels:
    """Labels from a list file, by id; ``ids`` ascend. They take 8 + 4 * width bytes of memory per line.

    Raises ListFormatError for a list that has two different labels for the id of a record, InputError for records that
    differ and have the same id.
    """

    is_header_field = False

    def __init__(self, records: Records, path: Path, width: int | None) -> None:
        self.path = path
        self.width = width if width is not None else _list_label_width(path)
        try:
            ids, labels = _read_list(path, self.width)
        except ListFormatError as error:
            raise with_path(error, path) from None
        if not len(ids):
            raise InputError("lists no images", path=path, hint=_WRONG_LIST_HINT)
        order = np.argsort(ids, kind="stable")
        ids, labels = ids[order], labels[order]
        is_last = np.append(np.diff(ids) != 0, True)
        ambiguous = _ids_with_two_labels(ids, labels, is_last)
        self.ids, self._labels = ids[is_last], labels[is_last]
        _check_ids(records, self, ambiguous)

    def of(self, header: IRHeader) -> LabelVector:
        """Return the labels of the record's id, float32 (width,)."""
        row: LabelVector = self._labels[int(np.searchsorted(self.ids, np.uint64(header.id)))]
        return row

    def digest(self) -> int:
        """Return a checksum of ids and labels."""
        return zlib.crc32(self._labels.tobytes(), zlib.crc32(self.ids.tobytes()))


Labels = HeaderLabels | ListLabels


def _first_label_width(records: Records) -> int:
    """Return the label width of the first record that is whole and holds an image.

    Where none of the first records does, it is that of the first whole one with any content, and 1 without one.
    """
    others: list[int] = []  # widths of whole records whose content does not start as images do
    for position in range(len(records)):
        record = records.read(int(records.ordinals(np.array([position]))[0]))
        if isinstance(record, ImageRecord) and record.content:
            width = max(1, record.header.flag)
            if sniff(record.content) != NOT_AN_IMAGE:
                return width
            others.append(width)
        if len(others) == _MAX_OTHERS:
            break
    return others[0] if others else 1


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    with opened_list(path) as stream:
        for number, line in enumerate(list_lines(path, stream), 1):
            yield number, line.decode("utf-8", "surrogateescape")


def _list_label_width(path: Path) -> int:
    """Return the number of labels in the first line of a list, which must end in a path."""
    for number, line in _numbered_lines(path):
        try:
            if not is_entry(line):
                continue
            entry = parse_line(line, number)
            _check_path(entry)
        except ListFormatError as error:
            if error.hint in ("", LINE_HINT):
                error.hint = _COLUMNS_HINT if line.count("\t") > 1 else _NO_PATHS_HINT
            raise with_path(error, path) from None
        return len(entry.labels)
    raise InputError("lists no images", path=path, hint=_WRONG_LIST_HINT)


def _check_path(entry: ListEntry) -> None:
    if is_number(entry.path):
        raise ListFormatError(f"expected a path at the end, found {entry.path!r}", line=entry.line, hint=_NO_PATHS_HINT)


def _read_list(path: Path, width: int) -> tuple[Ids, LabelVector]:
    """Return ids (lines,) and labels (lines, width), in the order of the lines; warn of labels that are not kept."""
    blocks: list[tuple[Ids, LabelVector]] = []
    ids: list[int] = []
    numbers: list[int] = []
    rows: list[list[float]] = []
    inexact = InexactLabels()

    def end_block() -> None:
        block = np.array(rows, np.float64).reshape(len(rows), width)
        for row in np.flatnonzero(~(np.abs(block) <= EXACT_INTEGERS).all(axis=1)).tolist():  # NaN is not below either
            inexact.add(numbers[row], rows[row])
        blocks.append((np.array(ids, np.uint64), float32(block)))
        ids.clear()
        rows.clear()
        numbers.clear()

    for number, line in _numbered_lines(path):
        if (parsed := parse_labels(line, number, width)) is not None:
            ids.append(parsed[0])
            rows.append(parsed[1])
            numbers.append(number)
        if len(rows) == _LINES_PER_BLOCK:
            end_block()
    end_block()
    for warning in inexact.warnings():
        _LOG.warning("%s: %s", path, warning)
    all_ids, all_labels = zip(*blocks, strict=True)
    return np.concatenate(all_ids), np.concatenate(all_labels)


def _ids_with_two_labels(ids: Ids, labels: LabelVector, is_last: npt.NDArray[np.bool_]) -> Ids:
    """Return those of *ids*, sorted, whose rows of *labels* differ; *is_last* marks the last row of each id."""
    repeats = np.flatnonzero(~is_last)  # each is followed by a row of the same id
    before, after = labels[repeats], labels[repeats + 1]
    differs = (before != after) & ~(np.isnan(before) & np.isnan(after))
    return np.unique(ids[repeats[differs.any(axis=1)]])


def _check_ids(records: Records, list_labels: ListLabels, ambiguous: Ids) -> None:
    """Check that each record has an id of the list, and that its labels follow from the id.

    Raises InputError for the first record whose id the list lacks, ListFormatError for one with an id of *ambiguous*,
    InputError for two different records with one id. Takes up to 16 bytes of memory a record, while it runs.
    """
    all_ids, count = np.empty(len(records), np.uint64), 0
    for block in _blocks(records):
        here = np.array([info.header.id for _, info in block], np.uint64)
        missing = np.flatnonzero(~_is_among(here, list_labels.ids))
        if len(missing):
            _raise_missing(records, *block[int(missing[0])], list_labels.path)
        unclear = np.flatnonzero(_is_among(here, ambiguous))
        if len(unclear):
            _raise_ambiguous(int(here[unclear[0]]), list_labels)
        all_ids[count : count + len(here)] = here
        count += len(here)
    all_ids = all_ids[:count]  # fewer where records are damaged
    all_ids.sort()
    repeated = np.unique(all_ids[1:][all_ids[1:] == all_ids[:-1]])
    del all_ids
    if len(repeated):
        _check_same(records, repeated, list_labels.path)


def _blocks(records: Records) -> Iterator[list[tuple[int, RecordInfo]]]:
    infos = records.infos()
    while block := list(itertools.islice(infos, _HEADERS_PER_BLOCK)):
        yield block


def _is_among(values: Ids, ids: Ids) -> npt.NDArray[np.bool_]:
    """True for each of *values* that is one of *ids*, which ascend; np.isin() would sort them anew each time."""
    if not len(ids):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(ids, values), len(ids) - 1)
    return np.asarray(ids[at] == values)


def _check_same(records: Records, repeated: Ids, path: Path) -> None:
    """Raise InputError for two records with one id of *repeated* that differ in length or stored labels."""
    first = np.full(len(repeated), -1, np.int64)  # ordinal of the first record of each id
    expected = np.zeros(len(repeated), np.uint64)
    for block in _blocks(records):
        ids = np.array([info.header.id for _, info in block], np.uint64)
        chosen = np.flatnonzero(_is_among(ids, repeated))
        infos = [block[number] for number in chosen.tolist()]
        ordinals = np.array([ordinal for ordinal, _ in infos], np.int64)
        stored = _sizes_and_labels([info for _, info in infos])
        row = np.searchsorted(repeated, ids[chosen])
        rows, at = np.unique(row, return_index=True)
        new = first[rows] < 0
        first[rows[new]], expected[rows[new]] = ordinals[at[new]], stored[at[new]]
        different = stored != expected[row]
        # Vectors, which are not among the headers, are compared one by one: they are rare among repeated ids.
        for number in np.flatnonzero((stored >> np.uint64(63) == 1) & ~different & (ordinals != first[row])).tolist():
            different[number] = _vectors_differ(records, int(first[row[number]]), int(ordinals[number]))
        if different.any():
            number = int(np.argmax(different))
            _raise_different(records, int(first[row[number]]), *infos[number], path)


def _sizes_and_labels(infos: list[RecordInfo]) -> npt.NDArray[np.uint64]:
    """Return a number for each record that differs where payload sizes, labels, or lengths of label vectors differ.

    From the highest bit: 1 bit that is set for a vector, 31 bits of size, 32 bits of the label, or the vector's length.
    """
    sizes = np.array([info.size for info in infos], np.uint64)
    flags = np.array([info.header.flag for info in infos], np.uint64)
    labels = np.array([info.header.label for info in infos], np.float32).view(np.uint32).astype(np.uint64)
    is_vector = flags > 0
    high = is_vector.astype(np.uint64) << np.uint64(63) | sizes << np.uint64(32)
    return np.asarray(high | np.where(is_vector, flags, labels), np.uint64)


def _vectors_differ(records: Records, first: int, second: int) -> bool:
    """True if the label vectors of two records differ; False if a record is damaged, reported elsewhere."""
    one, other = records.read(first), records.read(second)
    if not isinstance(one, ImageRecord) or not isinstance(other, ImageRecord):
        return False
    return bool(one.header.label.tobytes() != other.header.label.tobytes())


def _raise_missing(records: Records, ordinal: int, info: RecordInfo, path: Path) -> NoReturn:
    problem = f"has no line for id {info.header.id}, which is {_name(records, ordinal)}"
    raise InputError(problem, path=path, hint="is it the list of this .rec?")


def _raise_ambiguous(id_: int, list_labels: ListLabels) -> NoReturn:
    """Raise ListFormatError for the first two lines that give *id_* different labels."""
    path, first, labels = list_labels.path, 0, np.empty(0, np.float32)
    for number, line in _numbered_lines(path):
        parsed = parse_labels(line, number, list_labels.width)
        if parsed is None or parsed[0] != id_:
            continue
        here = float32(parsed[1])
        if not first:
            first, labels = number, here
        elif not np.array_equal(here, labels, equal_nan=True):
            problem = f"gives id {id_} another label than line {first}"
            raise with_path(ListFormatError(problem, line=number, hint="keep one line for each id"), path)
    raise InputError("has changed since it was opened", path=path, hint="run it again")


def _raise_different(records: Records, first: int, second: int, info: RecordInfo, path: Path) -> NoReturn:
    both = f"{_name(records, first)} and {_name(records, second)}"
    problem = f"gives {both} one label, as both have id {info.header.id}, but they are different records"
    raise InputError(problem, path=path, hint="pack them again with an id each, or leave path_imglist out")


def _name(records: Records, ordinal: int) -> str:
    location = records.locate(ordinal)
    return f"record {location.record} of {location.file.path}"
