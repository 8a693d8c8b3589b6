"""Read a ``.rec``: by ordinal, by key, one or many at a time."""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from im2rec.errors import CorruptRecordError, InputError
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import HEADER_BYTES, ImageRecord, IRHeader, RawHeader, decode_image_record_at, parse_header
from im2rec.format.recordio import (
    HEAD_BYTES,
    MAGIC,
    WHOLE,
    BytesSource,
    Source,
    join_parts,
    parse_head,
    read_parts,
    read_start,
    single_part_end,
    single_part_length,
)
from im2rec.storage.files import INSPECT, Closeable, InputFile, PathLike
from im2rec.storage.index import chosen_index, is_record_start, load_checked
from im2rec.storage.scan import check_kind, scanned_index

_COPIED_BYTES = 64 << 10  # of a longer record the image is read without the bytes around it
_SINGLE_READ_BYTES = 1 << 20  # a longer record is read part by part
_MANY_READ_BYTES = 8 << 20  # the most that read_many asks for at once
_GAP_BYTES = 64 << 10  # unwanted bytes that cost less to read than another call does
_HEAD_GAP_BYTES, _HEADS_READ_BYTES = 4096, 256 << 10  # nearer heads are read with one call, up to so many bytes
_FRONT_OF_RECORD = HEAD_BYTES + HEADER_BYTES


class RecordSpan(NamedTuple):
    """The bytes from the start of a record to that of the next one that is known."""

    ordinal: int
    start: int
    stop: int

    @property
    def bytes(self) -> int:
        """How many they are."""
        return self.stop - self.start


class RecordInfo(NamedTuple):
    """What the first bytes of a record tell: its header fields, and the bytes of its whole payload."""

    header: RawHeader
    size: int


class RecordFile(Closeable, Sequence[ImageRecord]):
    """An open ``.rec`` as a sequence of :class:`~im2rec.format.irheader.ImageRecord`, in file order.

    ::

        with im2rec.open("train.rec") as rec:
            header, content = rec[17]

    *index* is the path of the index; None looks beside *path* (``X.idx`` for ``X.rec``, else ``<path>.idx``) and
    scans the file when there is none; False always scans. A scanned file takes the ids in the records as keys, or the
    ordinals where a payload is too short for an image header. ``keys`` (uint64) and ``offsets`` (int64) are read-only
    arrays in file order: 16 bytes a record. A record that ends where the index has the next one is taken as it is;
    others are searched for records that a damaged length word may have swallowed.

    Reads are positional, so one open file serves threads, forked children and, pickled, other processes.
    Raises InputError for a file that is missing, empty or no RecordIO file, IndexFormatError for an index that cannot
    be read or belongs to another file, CorruptRecordError where a scan meets damage.
    """

    def __init__(self, path: PathLike, *, index: PathLike | bool | None = None) -> None:
        with contextlib.ExitStack() as stack:
            self._file = stack.enter_context(InputFile(path))
            self.index_path = chosen_index(path, index)
            self.keys, self.offsets = self._load()
            stack.pop_all()  # it stays open
        self.keys.flags.writeable = self.offsets.flags.writeable = False
        self._by_key: np.ndarray[Any, np.dtype[np.int64]] | None = None

    @property
    def path(self) -> Path:
        """The path it was opened by."""
        return self._file.path

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.size

    def _load(self) -> tuple[Keys, Offsets]:
        check_kind(self._file)
        return scanned_index(self._file) if self.index_path is None else load_checked(self._file, self.index_path)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        self.keys.flags.writeable = self.offsets.flags.writeable = False  # pickling forgets it

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, ordinal: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, ordinal: slice) -> list[ImageRecord]: ...
    def __getitem__(self, ordinal: int | slice) -> ImageRecord | list[ImageRecord]:
        if isinstance(ordinal, slice):
            return self.read_many(range(len(self))[ordinal])
        return self.read(self.span(self._ordinal(ordinal)))

    def __iter__(self) -> Iterator[ImageRecord]:
        for ordinal in range(len(self)):
            yield self[ordinal]

    def span(self, ordinal: int) -> RecordSpan:
        """Where the record at *ordinal*, 0 or more, is. Raises IndexError."""
        stop = self.offsets[ordinal + 1] if ordinal + 1 < len(self) else self.size
        return RecordSpan(ordinal, int(self.offsets[ordinal]), int(stop))

    def spans(self, ordinals: Sequence[int]) -> list[RecordSpan]:
        """Where the records at *ordinals*, 0 or more, are; in their order. Raises IndexError."""
        starts, stops = self._bounds(np.array(ordinals, np.int64))
        return list(map(RecordSpan, ordinals, starts.tolist(), stops.tolist()))

    def _bounds(self, ordinals: Offsets) -> tuple[Offsets, Offsets]:
        """Where records start, and where the next ones that are known do."""
        last = ordinals == len(self) - 1
        return self.offsets[ordinals], np.where(last, self.size, self.offsets[ordinals + ~last])

    def read(self, span: RecordSpan) -> ImageRecord:
        """The record at one of :meth:`spans`. Raises CorruptRecordError, InputError."""
        uncopied = span.bytes > _COPIED_BYTES and self._confirms_end(span)
        record = self._read_uncopied(span) if uncopied else None
        return record or self._image_record(span.ordinal, *self._framed(span))

    def _read_uncopied(self, span: RecordSpan) -> ImageRecord | None:
        """A record whose image is read on its own: not cut out of what was read, but with a call more or two.

        None for one that is not of a single part, has a label vector or is not in order.
        """
        _, start, stop = span
        front = self._file.read_at(start, _FRONT_OF_RECORD)
        length = single_part_length(front, span.bytes)
        if length is None:
            return None
        header, end = parse_header(front[HEAD_BYTES:]), start + HEAD_BYTES + length
        if header.flag or (end < stop and any(self._file.read_at(end, stop - end))):
            return None
        content = self._file.read_at(start + _FRONT_OF_RECORD, length - HEADER_BYTES)
        return ImageRecord(IRHeader(*header), content) if len(content) == length - HEADER_BYTES else None

    def by_key(self, key: int) -> ImageRecord:
        """The record whose index key is *key*; of several, the last in the file. Raises InputError when none has it."""
        return self[self.ordinal_of(key)]

    def ordinal_of(self, key: int) -> int:
        """The ordinal of the record whose index key is *key*, as :meth:`by_key` finds it."""
        if self._by_key is None:
            self._by_key = np.argsort(self.keys, kind="stable")
        if 0 <= key < 2**64:
            after = int(np.searchsorted(self.keys, np.uint64(key), side="right", sorter=self._by_key))
            if after and self.keys[found := int(self._by_key[after - 1])] == key:
                return found
        hint = f"keys run from {self.keys.min()} to {self.keys.max()}"
        raise InputError(f"{self.path}: no record has the key {key}", hint=hint)

    def payload(self, ordinal: int) -> bytes:
        """The raw payload of record *ordinal*, header included. Raises CorruptRecordError, IndexError."""
        data, start, stop = self._framed(self.span(self._ordinal(ordinal)))
        return data[start:stop]

    def _confirms_end(self, span: RecordSpan) -> bool:
        """Whether an index says that a record starts at the end of *span*: it may lack any, the last ones too."""
        return self.index_path is not None and span.ordinal + 1 < len(self)

    def _framed(self, span: RecordSpan) -> tuple[bytes, int, int]:
        """Bytes that hold the payload of a record, and where it starts and ends in them."""
        if span.bytes > _SINGLE_READ_BYTES:
            return _whole(self._payload(span, self._file))
        return self._payload_in(self._file.read_at(span.start, span.bytes), span)

    def _payload_in(self, frame: bytes, span: RecordSpan) -> tuple[bytes, int, int]:
        """As :meth:`_framed`, from the bytes of *span*."""
        if (end := single_part_end(frame, confirmed=self._confirms_end(span))) is not None:
            return frame, HEAD_BYTES, end
        return _whole(self._payload(span, BytesSource(frame, span.start, self.size)))

    def read_many(self, ordinals: Iterable[int]) -> list[ImageRecord]:
        """The records at *ordinals*, in the order asked; read in file order, neighbours with one call.

        Raises IndexError for an ordinal outside, CorruptRecordError for the first damaged record in file order.
        """
        asked = [self._ordinal(ordinal) for ordinal in ordinals]
        records: dict[int, ImageRecord] = {}
        for run in _runs(self.spans(sorted(set(asked))), gap=_GAP_BYTES, most=_MANY_READ_BYTES):
            base, end = run[0].start, run[-1].stop
            if end - base > _MANY_READ_BYTES:
                records |= {span.ordinal: self.read(span) for span in run}
                continue
            window = self._file.read_at(base, end - base)
            for span in run:
                payload = self._payload_in(window[span.start - base : span.stop - base], span)
                records[span.ordinal] = self._image_record(span.ordinal, *payload)
        return [records[ordinal] for ordinal in asked]

    def heads(self, ordinals: Iterable[int]) -> Iterator[RecordInfo]:
        """Header fields and payload sizes of records *ordinals* (ascending), in that order; contents are not read.

        Raises CorruptRecordError for the first damaged record.
        """
        asked = list(ordinals)
        starts = self.offsets[asked].tolist()
        heads = (
            RecordSpan(ordinal, start, start + _FRONT_OF_RECORD) for ordinal, start in zip(asked, starts, strict=True)
        )
        for run in _runs(heads, gap=_HEAD_GAP_BYTES, most=_HEADS_READ_BYTES):
            yield from self._heads(run)

    def _heads(self, run: list[RecordSpan]) -> Iterator[RecordInfo]:
        start, stop = run[0].start, run[-1].stop
        source = BytesSource(self._file.read_at(start, stop - start), start, self.size)
        for ordinal, offset, _ in run:
            yield self._head(source, ordinal, offset)

    def _head(self, source: Source, ordinal: int, offset: int) -> RecordInfo:
        try:
            part = parse_head(source.read_at(offset, HEAD_BYTES), offset, self.size)
            if part.flag == WHOLE:
                return RecordInfo(parse_header(source.read_at(part.start, min(part.length, HEADER_BYTES))), part.length)
            parts = read_parts(self._file, offset)
            size = sum(part.length for part in parts) + len(MAGIC) * (len(parts) - 1)
            return RecordInfo(parse_header(read_start(self._file, offset, HEADER_BYTES)), size)
        except CorruptRecordError as error:
            error.offset = offset if error.offset is None else error.offset
            raise self._placed(error, ordinal) from None

    def _ordinal(self, ordinal: int) -> int:
        number = operator.index(ordinal)
        if not -len(self) <= number < len(self):
            raise IndexError(f"record {number} is not in {self.path}, which has {len(self)}")
        return number % len(self)

    def _payload(self, span: RecordSpan, source: Source) -> bytes:
        ordinal, start, stop = span
        try:
            parts = read_parts(source, start)
            self._check_end(start, parts[-1].end, stop)
            return join_parts(source, parts)
        except CorruptRecordError as error:
            if source is not self._file:  # a part of the file may end before the record does: ask the whole file
                return self._payload(span, self._file)
            raise self._placed(error, ordinal) from None

    def _check_end(self, start: int, end: int, stop: int) -> None:
        """Raise CorruptRecordError unless the record ends where the next one that is known starts, or any other one."""
        if end > stop:
            problem = f"the record runs on to byte {end}, but another one starts at byte {stop}"
            raise CorruptRecordError(problem, offset=start + 4)
        if end < stop and not is_record_start(self._file, end):
            problem = f"the record ends at byte {end}, where neither another one starts nor the file ends"
            raise CorruptRecordError(problem, offset=start + 4)

    def _image_record(self, ordinal: int, data: bytes, start: int, stop: int) -> ImageRecord:
        try:
            return decode_image_record_at(data, start, stop)
        except CorruptRecordError as error:
            error.offset = int(self.offsets[ordinal]) + HEAD_BYTES
            raise self._placed(error, ordinal) from None

    def _placed(self, error: CorruptRecordError, ordinal: int) -> CorruptRecordError:
        error.path, error.record = self.path, ordinal
        error.hint = error.hint or INSPECT
        return error

    def close(self) -> None:
        """Close the file; again is fine. Reading afterwards raises InputError."""
        self._file.close()

    def __repr__(self) -> str:
        return f"<RecordFile {os.fspath(self.path)!r}, {len(self)} records>"


def _runs(spans: Iterable[RecordSpan], *, gap: int, most: int) -> Iterator[list[RecordSpan]]:
    """Ascending *spans* in runs that one read should fetch: with no *gap* between them, and of *most* bytes in all."""
    run: list[RecordSpan] = []
    for span in spans:
        if run and (span.start - run[-1].stop > gap or span.stop - run[0].start > most):
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def _whole(payload: bytes) -> tuple[bytes, int, int]:
    return payload, 0, len(payload)
