"""The headers of all records of a ``.rec``: of a whole one by its index and from the cache, of any one by a scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, IndexFormatError, InputError
from im2rec.format.indexfile import Keys
from im2rec.format.irheader import BAD_LABELS, HEADER_BYTES, SHORT_PAYLOAD, Labels
from im2rec.progress import Progress
from im2rec.storage.blocks import Damage, RecordBlock
from im2rec.storage.companions import find_index
from im2rec.storage.damaged_range import DamageLog
from im2rec.storage.files import INSPECT, InputFile, PathLike, with_path
from im2rec.storage.foreign import FIRST_RECORDS, headerless_error, headerless_kind
from im2rec.storage.index import sorted_index
from im2rec.storage.index_match import FoundRecords
from im2rec.storage.reader import KEEP, SKIP, RecordFile
from im2rec.storage.record_keys import RecordKeys
from im2rec.storage.record_labels import RecordLabels, read_labels
from im2rec.storage.record_map import (
    RecordMap,
    ScannedRecords,
    listed_offsets,
    map_of_scan,
    match_lines,
    missing_records,
    scan_all,
)
from im2rec.storage.spans import RecordSpan

# Facts that a header gives about its record, one bit each.
VECTOR, ONE_LABEL, LABEL_FIELD, LABEL_BITS, ID2, EMPTY, SHORT, LONG_LABELS = (1 << bit for bit in range(8))
NO_IMAGE = EMPTY | SHORT | LONG_LABELS
LEFT_OUT = {EMPTY: "without an image", SHORT: SHORT_PAYLOAD, LONG_LABELS: BAD_LABELS}
_NEGATIVE_ZERO, _PLAIN_NAN = np.uint32(0x80000000), np.uint32(0x7FC00000)

Bits = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class _ScannedHeaders(ScannedRecords):
    """What a scan collects for a :class:`ScannedFile`."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        super().__init__()
        self._report = report
        self.labels: list[Labels] = []
        self.states: list[Bits] = []

    def add(self, block: RecordBlock) -> None:
        """Take the next records."""
        super().add(block)
        labels, states = _parse_block(block)
        self.labels.append(labels)
        self.states.append(states)
        self._report(self.records, block.offsets[-1])


class ScannedFile(RecordFile):
    """A ``.rec`` with the headers of all its whole records in memory: 21 bytes a record.

    The ordinals are those of a scan. ``keys`` are the ids, ``first_labels`` (float32) the first label of each record,
    ``states`` (uint8) the bits of ``VECTOR`` to ``LONG_LABELS``. *index* True is the one beside the file, which only
    helps the scan. *progress* is called with the number of records so far and the share of the file that has been read.
    Raises InputError, CorruptRecordError.
    """

    first_labels: Labels
    states: Bits

    def __init__(
        self, path: PathLike, *, index: bool = True, doubtful: str = KEEP, progress: Progress | None = None
    ) -> None:
        self._progress, self._uses_index = progress, index
        super().__init__(path, index=False, damaged=SKIP, doubtful=doubtful)
        self._progress = None

    @property
    def ids(self) -> Keys:
        """The ids of all records (uint64)."""
        return self.keys

    def _find_sources(self) -> None:
        """Nothing is cached, as the headers are to be read."""

    def _make_map(self) -> RecordMap:
        def report(records: int, offset: int) -> None:
            if self._progress:
                self._progress(records, offset / self.size)

        index = find_index(self._file.path) if self._uses_index else None
        listed = listed_offsets(self._file, index)
        scanned = scan_all(
            self._file, lambda: _ScannedHeaders(report), listed=listed, careful=True, drop_doubtful=self._drops_doubtful
        )
        report(scanned.records, self.size)
        if scanned.damage and not scanned.records:
            problem = CorruptRecordError("holds no whole records", offset=int(scanned.damage.starts[0]), hint=INSPECT)
            raise with_path(problem, self._file.path)
        if not scanned.records:
            raise InputError("holds no records", path=self._file.path)
        if index is not None and not scanned.damage:
            scanned.damage = DamageLog(_missing(self._file, index, scanned.found()))
        found = map_of_scan(self._file, scanned, skip=True)
        self.first_labels, self.states = _concatenate(scanned.labels), _concatenate(scanned.states)
        if (kind := headerless_kind(self._file, map(int, found.offsets[:FIRST_RECORDS]))) is not None:
            raise headerless_error(self._file.path, kind)
        return found._replace(keys=RecordKeys(scanned.found().ids))


class LabelledFile(RecordFile):
    """A whole ``.rec`` with the facts of a :class:`ScannedFile`, from its index and its labels, which the cache keeps.

    ``keys`` are those of the index, if there is one and *index* is True, and ``ids`` those in the headers.
    ``first_labels`` (float32) and ``states`` (uint8) are as there, without records that are too short for their header
    or their labels. *progress* is called with the number of headers that have been read, and their share. Raises
    InputError, IndexFormatError, and CorruptRecordError for a file with damage or with such a record.
    """

    _without_index = "--no-idx"
    _logs_unlisted = False

    def __init__(self, path: PathLike, *, index: bool = True, progress: Progress | None = None) -> None:
        super().__init__(path, index=None if index else False)
        try:
            self._refuse_damage()
            self._progress = progress
            labels = self.labels
            if progress:
                progress(self.total, 1.0)  # at once, if they are in the cache
            self._progress = None
        except BaseException:
            self.close()
            raise
        flags = labels.flags
        self.first_labels: Labels = labels.first
        self.states: Bits = (flags > 1) * np.uint8(VECTOR) + (flags == 1) * np.uint8(ONE_LABEL)
        self.states[labels.without_content] |= EMPTY

    def _refuse_damage(self) -> None:
        if self.damaged_ranges or len(self.lost):
            raise with_path(CorruptRecordError("is damaged", hint=INSPECT), self.path)

    @property
    def ids(self) -> Keys:
        """The ids of all records (uint64)."""
        return self.labels.ids

    def _read_labels(self) -> RecordLabels:
        self.check_headers()
        return read_labels(self._file, self._reported_spans, self._read_or_blank, range(self.total))

    def _reported_spans(self, ordinals: Sequence[int]) -> list[RecordSpan]:
        if self._progress:
            self._progress(ordinals[0], ordinals[0] / self.total)
        return self.spans(ordinals)


def _missing(file: InputFile, index: PathLike, found: FoundRecords) -> list[Damage]:
    """Return where records are missing that *index* lists, in a file that looks whole; nothing if it is of no use."""
    try:
        keys, offsets = sorted_index(index, file.size)
    except (IndexFormatError, InputError):
        return []
    if np.isin(offsets, found.offsets).all():
        return []
    match = match_lines(keys, offsets, found, (), is_damaged=False)
    if match is None:
        return []
    lost = np.setdiff1d(np.arange(len(offsets)), match.lines)
    return [missing_records(file, lost, match.lines, found)] if len(lost) else []


def lost_as_text(labels: npt.NDArray[np.uint32]) -> Mask:
    """Return a mask of the labels with bits that a list cannot hold: -0, and NaNs other than the usual one.

    *labels* are the bits of float32 values.
    """
    nan = np.isnan(labels.view(np.float32))
    return np.asarray((labels == _NEGATIVE_ZERO) | (nan & (labels != _PLAIN_NAN)))


def _parse_block(block: RecordBlock) -> tuple[Labels, Bits]:
    """Return first labels and states of a block of records."""
    sizes, headers = np.array(block.sizes, np.int64), block.headers
    flags = headers["flag"]
    label_field, first = headers["label"].view("<u4"), headers["vector"][:, 0].view("<u4")
    labels = np.where(flags > 0, first, label_field).astype(np.uint32)
    content = sizes - HEADER_BYTES - 4 * flags.astype(np.int64)
    facts = {
        VECTOR: flags > 1,
        ONE_LABEL: flags == 1,
        LABEL_FIELD: (flags > 1) & (label_field != first),
        LABEL_BITS: (flags <= 1)
        & lost_as_text(labels),  # vectors are checked when they are read: here only the first label is known
        ID2: headers["id2"] != 0,
        EMPTY: content == 0,
        LONG_LABELS: content < 0,
    }
    states = np.zeros(len(sizes), np.uint8)
    for bit, fact in facts.items():
        states[fact] |= bit
    # The fields of these are bytes that follow the record.
    short = sizes < HEADER_BYTES
    states[short] = SHORT
    labels[short] = _PLAIN_NAN
    return labels.view(np.float32), states


def _concatenate(column: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Join the arrays of *column* and clear it, so that only one column at a time is in memory twice."""
    array = np.concatenate(column)
    column.clear()
    return array
