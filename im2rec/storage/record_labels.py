"""The labels of all records of a file, read from the headers without any content, and kept in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.format.heads import FLAG_SHIFT, HEAD_BYTES, LENGTH_MASK, MAGIC_WORD, WHOLE
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import HEADER_BYTES, ImageRecord, Labels
from im2rec.storage import array_cache
from im2rec.storage.array_cache import Arrays, Entry, Sources
from im2rec.storage.files import InputFile
from im2rec.storage.record_info import read_fronts
from im2rec.storage.record_keys import RecordKeys
from im2rec.storage.spans import RecordSpan

Flags = npt.NDArray[np.uint32]

_CHUNK = 4096  # records that are handled at once
_FRONT_LABELS = 8
# The start of a record: part head, image header, and as many labels as nearly all records have.
_FRONT = np.dtype(
    [
        ("magic", "<u4"),
        ("word", "<u4"),
        ("flag", "<u4"),
        ("label", "<f4"),
        ("id", "<u8"),
        ("id2", "<u8"),
        ("vector", "<f4", _FRONT_LABELS),
    ]
)


class RecordLabels(Sequence[Any]):
    """The labels and ids of all records of a file, by ordinal. All arrays are read-only.

    ::

        labels = rec.labels
        labels[17]  # as IRHeader.label: a float with flag 0, else a float32 array

    ``values`` (float32) holds the labels of all records one after another, a single one for each record with flag 0:
    those of the record at an ordinal begin at ``starts[ordinal]`` and end before ``starts[ordinal + 1]`` (int64, one
    more than there are records). ``flags`` (uint32) is 0 for a single label, else the number of labels in the vector.
    ``without_content`` are the ordinals (int64) of the records that hold labels and no content. Records that are lost
    have the label NaN and the id 2**64 - 1.
    """

    def __init__(
        self,
        ids: RecordKeys,
        values: Labels,
        without_content: Offsets,
        flags: Flags | int,
        starts: Offsets | None = None,
    ) -> None:
        self._ids, self.values, self.without_content = ids, values, without_content
        self._flags, self._starts = flags, starts

    @property
    def ids(self) -> Keys:
        """The id of each record (uint64)."""
        return self._ids.array

    @property
    def flags(self) -> Flags:
        """The flag of each record (uint32): 0 for a single label, else the number of labels in its vector."""
        flags = self._flags
        return np.broadcast_to(np.uint32(flags), len(self)) if isinstance(flags, int) else flags

    @property
    def starts(self) -> Offsets:
        """Place in ``values`` of the first label of each record (int64), and after them the number of all labels."""
        if self._starts is None:
            self._starts = np.arange(len(self) + 1) * self._width
        return self._starts

    @property
    def _width(self) -> int:
        """Labels of each record, where all have as many."""
        assert isinstance(self._flags, int)
        return max(1, self._flags)

    @property
    def first(self) -> Labels:
        """The first label of each record (float32)."""
        return self.values[:: self._width] if isinstance(self._flags, int) else self.values[self.starts[:-1]]

    def first_of(self, ordinals: Offsets) -> Labels:
        """Return the first label (float32) of each of some *ordinals*, without a copy of all labels."""
        return self.values[self.starts_of(ordinals)]

    def starts_of(self, ordinals: Offsets) -> Offsets:
        """Return ``starts`` of some *ordinals* (int64), which takes no memory for those of all records."""
        return ordinals * self._width if isinstance(self._flags, int) else self.starts[ordinals]

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, ordinal: int) -> Any:  # type: ignore[override]
        number = range(len(self))[ordinal]
        if isinstance(self._flags, int):
            flag, start = self._flags, number * self._width
        else:
            flag, start = int(self._flags[number]), int(self.starts[number])
        return self.values[start : start + flag].copy() if flag else float(self.values[start])

    def stored(self) -> tuple[dict[str, Any], Arrays]:
        """Return the facts and arrays that the cache keeps."""
        facts: dict[str, Any] = {"records": len(self)}
        arrays: Arrays = {"values": self.values, "without_content": self.without_content}
        ids, _ = self._ids.compact().stored
        if isinstance(ids, range):
            facts["first_id"] = ids.start
        else:
            arrays["ids"] = ids
        if isinstance(self._flags, int):
            facts["flag"] = self._flags
        else:
            arrays |= {"flags": self._flags, "starts": self.starts}
        return facts, arrays

    @classmethod
    def from_entry(cls, entry: Entry) -> RecordLabels:
        """Return the labels that :meth:`stored` has given."""
        facts, arrays = entry.facts, entry.arrays
        first = facts.get("first_id")
        ids = arrays["ids"] if first is None else range(first, first + facts["records"])
        flags = facts["flag"] if "flag" in facts else arrays["flags"]
        return cls(RecordKeys(ids), arrays["values"], arrays["without_content"], flags, arrays.get("starts"))


def cached_labels(sources: Sources | None, make: Callable[[], RecordLabels]) -> RecordLabels:
    """Return the labels of the file of *sources* from the cache, or those of ``make()``, which are then kept."""
    if sources is not None and (found := array_cache.load(sources, RecordLabels.from_entry)) is not None:
        return found
    made = make()
    if sources is None:
        return made
    return array_cache.store(sources, len(made), made.stored, RecordLabels.from_entry) or made


class _Chunk(NamedTuple):
    """Labels of consecutive records: ids, flags, labels one after another, and which records have no content."""

    ids: Keys
    flags: Flags
    values: Labels
    is_empty: npt.NDArray[np.bool_]


def read_labels(
    file: InputFile, spans: Callable[[range], list[RecordSpan]], read: Callable[[int], ImageRecord], records: range
) -> RecordLabels:
    """Read the labels of *records* from the headers in *file*; no content is read.

    *spans* returns their places; *read* returns a record as a whole, or raises its error: it is called where the header
    cannot be read alone, as in a record of several parts and in a damaged one.
    """
    chunks = [
        _read_chunk(file, spans(records[start : start + _CHUNK]), read) for start in range(0, len(records), _CHUNK)
    ]
    ids, flags, values, is_empty = (
        np.concatenate(column) if chunks else np.empty(0, dtype)
        for column, dtype in zip(zip(*chunks, strict=True) if chunks else [()] * 4, _COLUMN_TYPES, strict=True)
    )
    for array in (ids, flags, values):
        array.flags.writeable = False
    without_content = np.flatnonzero(is_empty)
    if len(flags) and np.all(flags == flags[0]):
        return RecordLabels(RecordKeys(ids), values, without_content, int(flags[0]))
    starts = np.concatenate([[0], np.cumsum(np.maximum(flags, 1), dtype=np.int64)])
    return RecordLabels(RecordKeys(ids), values, without_content, flags, starts)


_COLUMN_TYPES = (np.uint64, np.uint32, np.float32, np.bool_)


def _read_chunk(file: InputFile, spans: list[RecordSpan], read: Callable[[int], ImageRecord]) -> _Chunk:
    nbytes = _FRONT.itemsize
    starts = (RecordSpan(ordinal, start, min(start + nbytes, stop)) for ordinal, start, stop in spans)
    fronts = np.frombuffer(b"".join(front.ljust(nbytes, b"\0") for front in read_fronts(file, starts)), _FRONT)
    sizes = np.array([span.nbytes for span in spans], np.int64)
    flags, lengths = fronts["flag"].copy(), (fronts["word"] & LENGTH_MASK).astype(np.int64)
    content_starts = HEADER_BYTES + 4 * flags.astype(np.int64)
    is_plain = (fronts["magic"] == MAGIC_WORD) & (fronts["word"] >> FLAG_SHIFT == WHOLE)
    is_plain &= (lengths >= content_starts) & (HEAD_BYTES + lengths <= sizes)
    ids, is_empty = fronts["id"].copy(), lengths == content_starts
    vectors: dict[int, Labels] = {}  # of the rows whose labels are not all in their fronts
    for row in np.flatnonzero(~is_plain).tolist():
        header, content = read(spans[row].ordinal)
        flags[row], ids[row], is_empty[row] = header.flag, header.id, not content
        vectors[row] = np.atleast_1d(np.asarray(header.label, np.float32))
    for row in np.flatnonzero(is_plain & (flags > _FRONT_LABELS)).tolist():
        data = file.read_at(spans[row].start + HEAD_BYTES + HEADER_BYTES, 4 * int(flags[row]))
        vectors[row] = np.frombuffer(data, "<f4")
    if not vectors and not flags.any():
        return _Chunk(ids, flags, fronts["label"].copy(), is_empty)
    labels = [
        vectors[row] if row in vectors else front["vector"][:flag] if flag else front["label"].reshape(1)
        for row, (front, flag) in enumerate(zip(fronts, flags.tolist(), strict=True))
    ]
    return _Chunk(ids, flags, np.concatenate(labels).astype(np.float32), is_empty)
