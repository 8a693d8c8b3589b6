"""Copy records of one file to another: chosen ones, in any order, with other keys, ids and labels if asked for.

Contents are never changed. The frame of nearly every record is copied as it is, neighbours with one read, and a new id
or label is written in its place in the copy. A record is decoded and framed anew if it has several parts, as one with
the magic in its payload has, or if a new id or label would be a magic.
"""

from __future__ import annotations

import dataclasses
import itertools
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError
from im2rec.format.heads import FLAG_SHIFT, HEAD_BYTES, LENGTH_MASK, MAGIC_WORD, WHOLE
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import HEADER_BYTES, Labels
from im2rec.format.recordio import encode_record
from im2rec.storage.reader import RecordFile
from im2rec.storage.spans import RecordSpan, group_nearby

_BATCH_BYTES = 2 << 20  # of frames that are read and written at once, unless a single one is longer
_WINDOW_BYTES = 16 << 20  # read at once, bytes between the frames included
_GAP_BYTES = 16 << 10  # reading this many bytes that are not needed takes no longer than another call
_SLICE = 1 << 16  # records whose places are looked up at once
# Of an image record, in 32-bit words of its frame.
_FLAG, _LABEL, _ID, _VECTOR = (word + HEAD_BYTES // 4 for word in (0, 1, 2, 6))
_Words = npt.NDArray[np.uint32]


class FrameWriter(Protocol):
    """Takes frames: a :class:`~im2rec.storage.writer.RecordWriter`, or memory."""

    def write_frames(self, pieces: Iterable[bytes | bytearray], keys: Keys, sizes: Offsets) -> None:
        """Append frames; the *pieces* joined are all of them, *keys* and *sizes* those of each."""


@dataclasses.dataclass(frozen=True)
class NewHeaders:
    """What changes in the headers of records that are copied; None leaves the field as it is.

    *ids* (uint64) has a new id for each record. *labels* (float32) has a new label: the number in the header with flag
    0, else the first of the vector; the label field too where it repeats that one, as the C++ tool writes it.
    """

    ids: Keys | None = None
    labels: Labels | None = None

    def __bool__(self) -> bool:
        return self.ids is not None or self.labels is not None

    def part(self, rows: slice) -> NewHeaders:
        """Return the changes of the records of *rows*."""
        ids = None if self.ids is None else self.ids[rows]
        return NewHeaders(ids, None if self.labels is None else self.labels[rows])


def copy_records(
    rec: RecordFile,
    ordinals: Offsets,
    writer: FrameWriter,
    keys: Keys,
    headers: NewHeaders | None = None,
    *,
    report: Callable[[int], None] | None = None,
) -> None:
    """Append the records of *rec* at *ordinals* (int64, in any order) to *writer*, with index keys *keys* (uint64).

    All arrays, those of *headers* too, have an element for each record. *report* is called with the number of records
    that are copied so far. Records in file order are copied in pieces of 2 MiB; memory is some times that, or the size
    of the largest record, whatever their number. Raises CorruptRecordError for a record that is damaged, and with new
    headers for one that has no image header, InputError, OutputError. The caller then discards the writer.
    """
    headers = headers or NewHeaders()
    for start in range(0, len(ordinals), _SLICE):
        numbers = ordinals[start : start + _SLICE]
        sizes = rec.frame_sizes(numbers)
        for part in batches(sizes, _BATCH_BYTES):
            rows = slice(start + part.start, start + part.stop)
            chosen = _Batch(rec, numbers[part], sizes[part], headers.part(rows))
            pieces = list(chosen.pieces())
            writer.write_frames(pieces, keys[rows], chosen.sizes)
            if report is not None:
                report(rows.stop)


def batches(sizes: Offsets, most_bytes: int, most_rows: int | None = None) -> Iterator[slice]:
    """Yield slices of consecutive rows whose *sizes* are together at most *most_bytes*, or of a single row.

    No slice has more than *most_rows*.
    """
    ends, row = np.cumsum(sizes), 0
    while row < len(sizes):
        before = int(ends[row - 1]) if row else 0
        after = max(row + 1, int(np.searchsorted(ends, before + most_bytes, side="right")))
        after = after if most_rows is None else min(after, row + most_rows)
        yield slice(row, after)
        row = after


def read_frames(rec: RecordFile, starts: Offsets, stops: Offsets) -> bytes:
    """Return the bytes of *rec* from each of *starts* to that of *stops* (int64, in any order), one after another.

    Those near each other are read with one call, in ascending order. Raises InputError.
    """
    runs = np.flatnonzero(starts[1:] != stops[:-1]) + 1
    firsts, lasts = starts[[0, *runs]].tolist(), stops[[*(runs - 1), -1]].tolist()
    return b"".join(_pieces(rec, list(map(RecordSpan, range(len(firsts)), firsts, lasts))))


def _pieces(rec: RecordFile, spans: list[RecordSpan]) -> Iterator[bytes | memoryview]:
    for near in group_nearby(spans, gap=_GAP_BYTES, max_bytes=_WINDOW_BYTES):
        base, end = near[0].start, near[-1].stop
        data = rec.bytes_at(base, end - base)
        if len(data) < end - base:
            raise InputError("became shorter while it was read", path=rec.path, hint="run it again")
        if len(near) == 1:
            yield data
        else:
            view = memoryview(data)  # whose parts are no copies
            yield from [view[start - base : stop - base] for _, start, stop in near]


class _Batch:
    """The records of *rec* at *ordinals*, with frames of *sizes* bytes, which are those of the copies at the end."""

    def __init__(self, rec: RecordFile, ordinals: Offsets, sizes: Offsets, headers: NewHeaders) -> None:
        self._rec, self._ordinals, self._headers = rec, ordinals, headers
        self._starts = rec.offsets[ordinals]
        self._stops = self._starts + sizes
        self.sizes = sizes.copy()

    def pieces(self) -> Iterator[bytes | bytearray]:
        """Yield the frames of all records, in pieces of any length. Raises CorruptRecordError, InputError."""
        rows = len(self.sizes)
        if np.any((self.sizes < HEAD_BYTES) | (self.sizes % 4 != 0)):  # no frames: the index is wrong
            yield from map(self._framed, range(rows))
            return
        data: bytes | bytearray = read_frames(self._rec, self._starts, self._stops)
        frames = _Frames(data, self.sizes)
        if self._headers:
            data = frames.change(self._headers)
        if frames.is_plain.all():
            yield data
            return
        ends = np.cumsum(self.sizes)
        is_border = ~(frames.is_plain[1:] & frames.is_plain[:-1])
        for row, after in itertools.pairwise([0, *(np.flatnonzero(is_border) + 1).tolist(), rows]):
            if frames.is_plain[row]:
                yield data[4 * int(frames.heads[row]) : int(ends[after - 1])]
            else:
                yield self._framed(row)

    def _framed(self, row: int) -> bytes:
        """Return the frame of the record of *row*, made anew of its payload. Raises CorruptRecordError."""
        frame = encode_record(self._payload(row))
        self.sizes[row] = len(frame)
        return frame

    def _payload(self, row: int) -> bytes:
        """Return the payload of the record of *row* with its new id and label, after all checks of a reader."""
        ordinal = int(self._ordinals[row])
        payload = self._rec.payload(ordinal)
        if not self._headers:
            return payload
        flag = self._rec[ordinal].header.flag  # read once more, as it is rare: this checks the header and the labels
        changed = bytearray(payload)
        if self._headers.ids is not None:
            struct.pack_into("<Q", changed, 8, int(self._headers.ids[row]))
        if self._headers.labels is not None:
            label = struct.pack("<f", self._headers.labels[row])
            if flag and payload[4:8] == payload[24:28] != bytes(4):
                changed[4:8] = label
            start = HEADER_BYTES if flag else 4
            changed[start : start + 4] = label
        return bytes(changed)


class _Frames:
    """The frames in *data*, of *sizes* bytes each.

    *heads* are their first words. *is_plain* is True for a frame that is the record: its head is that of a single part
    and fits the size, its padding is zero, and it holds no magic but that of the head.
    """

    def __init__(self, data: bytes | bytearray, sizes: Offsets) -> None:
        self.words: _Words = np.frombuffer(data, "<u4")
        ends = np.cumsum(sizes) // 4
        self.heads: Offsets = ends - sizes // 4
        self._lengths = (self.words[self.heads + 1] & LENGTH_MASK).astype(np.int64)
        is_plain = (self.words[self.heads] == MAGIC_WORD) & (self.words[self.heads + 1] >> FLAG_SHIFT == WHOLE)
        is_plain &= HEAD_BYTES + (self._lengths + 3 & -4) == sizes
        used = (self._lengths % 4).astype(np.uint32)  # bytes of the last word
        is_plain &= (used == 0) | (self.words[ends - 1] >> (8 * used) == 0)
        is_magic = self.words == MAGIC_WORD
        if np.count_nonzero(is_magic) != len(sizes):
            others = np.setdiff1d(np.flatnonzero(is_magic), self.heads, assume_unique=True)
            is_plain[np.searchsorted(self.heads, others, side="right") - 1] = False
        self.is_plain = np.asarray(is_plain)

    def change(self, headers: NewHeaders) -> bytes | bytearray:
        """Return a copy with the new *headers*; frames that cannot be changed in their place are not plain any more."""
        changed, heads = bytearray(self.words.data), self.heads
        words: _Words = np.frombuffer(changed, "<u4")
        flags = words[np.minimum(heads + _FLAG, len(words) - 1)].astype(np.int64)
        self.is_plain &= (self._lengths >= HEADER_BYTES) & (self._lengths >= HEADER_BYTES + 4 * flags)
        ids = None if headers.ids is None else headers.ids.astype("<u8").view("<u4").reshape(-1, 2)
        labels = None if headers.labels is None else headers.labels.astype("<f4").view("<u4")
        if ids is not None:
            self.is_plain &= ~np.any(ids == MAGIC_WORD, axis=1)
        if labels is not None:
            self.is_plain &= labels != MAGIC_WORD
        rows = np.flatnonzero(self.is_plain)
        at = heads[rows]
        if ids is not None:
            words[at + _ID], words[at + _ID + 1] = ids[rows].T
        if labels is not None:
            has_vector = flags[rows] > 0
            places = at + np.where(has_vector, _VECTOR, _LABEL)
            repeats = has_vector & (words[places] == words[at + _LABEL]) & (words[places] != 0)
            words[at[repeats] + _LABEL] = labels[rows[repeats]]
            words[places] = labels[rows]
        return changed
