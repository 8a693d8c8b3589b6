"""Read the records of a ``.rec`` file by ordinal or by key, one or many at a time."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import numbers
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from im2rec.errors import CorruptRecordError, InputError, ParameterError
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import HEADER_BYTES, ImageRecord, IRHeader, decode_image_record_at, parse_header
from im2rec.format.recordio import BytesSource, Source, measure, read_payload, single_part_end, single_part_length
from im2rec.storage.array_cache import Sources
from im2rec.storage.files import INSPECT, Closeable, PathLike
from im2rec.storage.foreign import (
    FIRST_RECORDS,
    START_BYTES,
    check_kind,
    headerless_error,
    headerless_kind,
    kind_without_header,
)
from im2rec.storage.index import is_record_start, resolve_index
from im2rec.storage.map_cache import cached_map, sources_of
from im2rec.storage.opening import open_rec
from im2rec.storage.record_info import FRONT_BYTES, RecordInfo, read_infos
from im2rec.storage.record_labels import RecordLabels, cached_labels, read_labels
from im2rec.storage.record_map import NO_KEY, READ_WHOLE_BYTES, RecordMap, map_by_index, map_by_scan
from im2rec.storage.spans import RecordSpan, group_nearby

RAISE, SKIP = "raise", "skip"  # what to do about records that are lost
KEEP, DROP = "keep", "drop"  # and about doubtful ones

_LOG = logging.getLogger(__name__)
_COPIED_BYTES = 64 << 10  # the content of a longer record is read by a separate call, which saves copying it
_SINGLE_READ_BYTES = 1 << 20  # a longer record is read without its frame, which saves copying it
_MAX_READ_BYTES = 8 << 20  # read_many() reads at most this much in one call
_GAP_BYTES = 64 << 10  # reading this many bytes that are not needed takes no longer than another call


class RecordFile(Closeable, Sequence[ImageRecord]):
    """An open ``.rec`` file: a sequence of :class:`~im2rec.format.irheader.ImageRecord` in file order.

    >>> with im2rec.open("photos_train.rec") as rec:
    ...     header, content = rec[5]  # by ordinal: IRHeader, and the encoded image as bytes
    ...     record = rec.by_key(7)  # by the key in the index, usually the image id
    ...     many = rec.read_many([4, 0, 9])  # neighbours are read with one call
    ...     print(rec, header.id, record.header.id, len(many))
    <RecordFile 'photos_train.rec', 32 records> 15 7 3

    *index* is the path of the index. By default it is found beside *path* (``X.idx`` for ``X.rec``, else
    ``<path>.idx``), and without one the file is scanned; False always scans. The keys of a scanned file are the image
    ids, or the ordinals if any payload is too short for an image header. ``keys`` (uint64) and ``offsets`` (int64) are
    read-only arrays in file order. The length word of a record that ends where the index has the next one is trusted;
    any other record is searched for records that a damaged length word covers.

    What an index or a scan has given for a file of 1,000 records or more is kept in the user's cache, and so are
    ``labels``. When the file is opened again, they are mapped into memory, which all processes share.

    An index may list only some of the records; the others are then left out. If that is noticed when the file is
    opened, ``unlisted`` says which, and it is logged as a warning; else ``unlisted`` is empty.

    A damaged file opens all the same. With *damaged* ``raise``, reading a lost record raises CorruptRecordError; with
    ``skip``, iteration leaves it out and ``len()`` does not count it. With an index, its lines are the ordinals, lost
    records included, so that all others keep theirs, wherever they are in the file now; a sampler then draws from
    ``ordinals``. Without an index, a damaged range takes one ordinal with ``raise``, and none with ``skip``. ``total``
    is the number of ordinals; ``lost`` and ``doubtful`` (int64 arrays) are those that cannot be read, and those of
    records that end at damage and that nothing proves to be whole. *doubtful* ``drop`` counts these as lost. ``damage``
    lists the damaged ranges, the first 10,000 if there are more; ``damaged_ranges`` counts them, and ``damaged_bytes``
    is their size. With ``raise`` and an index few bytes are read to find damage; ``skip`` scans the file, and
    reads all of it if it looks damaged.

    Reads share no position, so one open file can be used by threads, by forked processes and, pickled, by others. A
    pickled copy opens the file again and reads the cache; without a cache it carries the arrays.
    Raises InputError for a file that is missing, empty or not a RecordIO file, IndexFormatError for an index that
    cannot be parsed or belongs to another file, ParameterError.
    """

    _without_index = "index=False"  # what the caller may write to have the file scanned
    _logs_unlisted = True

    def __init__(
        self, path: PathLike, *, index: PathLike | bool | None = None, damaged: str = RAISE, doubtful: str = KEEP
    ) -> None:
        for name, value, choices in (("damaged", damaged, (RAISE, SKIP)), ("doubtful", doubtful, (KEEP, DROP))):
            if value not in choices:
                raise ParameterError(f"{name}={value!r} must be {' or '.join(choices)}")
        self.damaged, self._drops_doubtful = damaged, doubtful == DROP
        with contextlib.ExitStack() as stack:
            self._file = stack.enter_context(open_rec(path))
            self.index_path = resolve_index(path, index)
            check_kind(self._file)
            self._sources = self._find_sources()
            self._take(*cached_map(self._sources, self._make_map))
            stack.pop_all()  # no error: the file stays open
        if self.unlisted and self._logs_unlisted:
            _LOG.warning(self.unlisted)

    @property
    def path(self) -> Path:
        """The path that the file was opened by."""
        return self._file.path

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self._file.size

    def _find_sources(self) -> Sources | None:
        """Return the sources of this map for the cache."""
        return sources_of(self._file, self.index_path, f"damaged={self.damaged}")

    def _make_map(self) -> RecordMap:
        skip, drop = self.damaged == SKIP, self._drops_doubtful
        if self.index_path is None:
            return map_by_scan(self._file, skip=skip, drop_doubtful=drop)
        return map_by_index(self._file, self.index_path, self._without_index, skip=skip, drop_doubtful=drop)

    def _take(self, found: RecordMap, is_cached: bool) -> None:
        self._is_cached = is_cached
        self._keys, self.offsets, self._end, self._stops = found.keys, found.offsets, found.end, found.stops
        self.lost, self.doubtful, self.damage = found.lost, found.doubtful, list(found.damage)
        self.damaged_ranges, self.damaged_bytes = len(found.damage), found.damage.nbytes
        self.has_gaps, self.unlisted = found.has_gaps, ""
        self.offsets.flags.writeable = False
        if found.unlisted:
            self.unlisted = (
                f"{self.index_path}: lists only some of the records of {self.path}; it leaves out {found.unlisted}"
                f" (with {self._without_index} all are read)"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Return all but what a copy finds in the cache, the arrays above all."""
        state = {**self.__dict__}
        state.pop("labels", None)
        if self._is_cached:
            del state["offsets"], state["_keys"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        if self._is_cached:
            now = self._find_sources()
            if now is None or self._sources is None or not now.are(self._sources):
                raise InputError("has changed since it was opened", path=self.path, hint="open it again")
            found = cached_map(self._sources, self._make_map).map
            self._keys, self.offsets = found.keys, found.offsets
        self.offsets.flags.writeable = False  # numpy does not pickle the flag

    @property
    def keys(self) -> Keys:
        """Keys of the records in the index (uint64), in file order; those that only count are made when first used."""
        return self._keys.array

    def keys_of(self, ordinals: Offsets) -> Keys:
        """Return the keys (uint64) of the records at *ordinals* (int64, from 0); no array of all keys is made."""
        return self._keys.of(ordinals)

    @functools.cached_property
    def labels(self) -> RecordLabels:
        """The labels of all records, from the cache; the first time, the headers of all records are read.

        Raises InputError for records without image headers, CorruptRecordError for a damaged record, unless those are
        skipped.
        """
        # The sources at the time of opening: if a file has changed since, the entry found by them is still that of the
        # map, and nothing is kept.
        sources = self._sources
        named = None if sources is None else sources._replace(variant=f"labels, {sources.variant}")
        return cached_labels(named, self._read_labels)

    def _read_labels(self) -> RecordLabels:
        self.check_headers()
        return read_labels(self._file, self.spans, self._read_or_blank, range(self.total))

    def _read_or_blank(self, ordinal: int) -> ImageRecord:
        """Return the record at *ordinal*, or one without label and content for one that is to be skipped."""
        if self.damaged == SKIP and self._is_lost(ordinal):
            return ImageRecord(IRHeader(0, math.nan, NO_KEY), b" ")
        return self[ordinal]

    @property
    def total(self) -> int:
        """Number of ordinals, those of lost records included."""
        return len(self.offsets)

    @property
    def ordinals(self) -> Offsets:
        """Ordinals (int64) that ``len()`` counts and iteration gives: all, or with ``skip`` those that are not lost."""
        every = np.arange(self.total)
        return every if self.damaged == RAISE else np.setdiff1d(every, self.lost)

    def __len__(self) -> int:
        return len(self.offsets) - (len(self.lost) if self.damaged == SKIP else 0)

    @overload
    def __getitem__(self, ordinal: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, ordinal: slice) -> list[ImageRecord]: ...
    def __getitem__(self, ordinal: int | slice) -> ImageRecord | list[ImageRecord]:
        if isinstance(ordinal, slice):
            chosen = range(self.total)[ordinal]
            if self.damaged == SKIP and len(self.lost):
                return self.read_many([number for number in chosen if not self._is_lost(number)])
            return self.read_many(chosen)
        return self.read(self.span(self._ordinal(ordinal)))

    def __iter__(self) -> Iterator[ImageRecord]:
        for ordinal in range(self.total):
            if self.damaged == RAISE:
                yield self[ordinal]
            elif not self._is_lost(ordinal):
                # A scan does not read all of a large file without an index. Reading may then show damage.
                with contextlib.suppress(CorruptRecordError):
                    record = self[ordinal]
                    yield record

    def _is_lost(self, ordinal: int) -> bool:
        row = int(np.searchsorted(self.lost, ordinal))
        return row < len(self.lost) and bool(self.lost[row] == ordinal)

    def span(self, ordinal: int) -> RecordSpan:
        """Return the byte range of the record at *ordinal*, from 0. Raises IndexError."""
        if self._stops is not None:
            return RecordSpan(ordinal, int(self.offsets[ordinal]), int(self._stops[ordinal]))
        stop = self.offsets[ordinal + 1] if ordinal + 1 < self.total else self._end
        return RecordSpan(ordinal, int(self.offsets[ordinal]), int(stop))

    def spans(self, ordinals: Sequence[int]) -> list[RecordSpan]:
        """Return the byte ranges of the records at *ordinals*, from 0, in their order. Raises IndexError."""
        starts, stops = self._bounds(np.array(ordinals, np.int64))
        return list(map(RecordSpan, ordinals, starts.tolist(), stops.tolist()))

    def _bounds(self, ordinals: Offsets) -> tuple[Offsets, Offsets]:
        """Return the start and stop offsets of the spans of records *ordinals*."""
        if self._stops is not None:
            return self.offsets[ordinals], self._stops[ordinals]
        last = ordinals == self.total - 1
        return self.offsets[ordinals], np.where(last, self._end, self.offsets[ordinals + ~last])

    def frame_sizes(self, ordinals: Offsets) -> Offsets:
        """Return the size in bytes (int64) of the frame of each record."""
        starts, stops = self._bounds(ordinals)
        return np.asarray(stops - starts)

    @property
    def end(self) -> int:
        """Offset at which the last record ends: the size of the file, unless the index does not list the last ones."""
        return self._end

    def read(self, span: RecordSpan) -> ImageRecord:
        """Return the record of *span*, one of :meth:`spans`. Raises CorruptRecordError, InputError."""
        if len(self.lost):
            self._refuse_lost(span.ordinal)
        uncopied = span.nbytes > _COPIED_BYTES and self._confirms_end(span)
        record = self._read_uncopied(span) if uncopied else None
        return record or self._image_record(span.ordinal, *self._read_frame(span))

    def _refuse_lost(self, ordinal: int) -> None:
        """Raise CorruptRecordError if the record at *ordinal* is lost."""
        if not self._is_lost(ordinal):
            return
        offset = int(self.offsets[ordinal])
        place = next((item for item in self.damage if item.start <= offset < item.end), None)
        hint = ""
        if place is not None:
            hint = place.error.hint if place.error.hint != INSPECT else ""
            problem = f"is lost in the damaged bytes {place.start} to {place.end}: {place.error.problem}"
        elif offset >= self.size:
            problem = f"is lost: the file ends at byte {self.size}"
        elif self.damaged_ranges > len(self.damage):
            problem = "is lost in damaged bytes"  # of a range that is counted only
        else:
            problem = "is lost: no such record is in the file"
        if place is not None and place.start == offset:
            offset = place.error.offset if place.error.offset is not None else offset
        raise self._located(CorruptRecordError(problem, offset=offset, hint=hint), ordinal)

    def _read_uncopied(self, span: RecordSpan) -> ImageRecord | None:
        """Return the record of *span*, its content read by a separate call instead of copied out of the frame.

        None for a record of several parts, with a label vector, or with anything wrong.
        """
        _, start, stop = span
        front = self._file.read_at(start, FRONT_BYTES)
        length = single_part_length(front, span.nbytes)
        if length is None:
            return None
        header, end = parse_header(front[HEAD_BYTES:]), start + HEAD_BYTES + length
        if header.flag or (end < stop and any(self._file.read_at(end, stop - end))):
            return None
        content = self._file.read_at(start + FRONT_BYTES, length - HEADER_BYTES)
        return ImageRecord(IRHeader(*header), content) if len(content) == length - HEADER_BYTES else None

    def check_headers(self) -> None:
        """Raise InputError, which says what the payloads are, if the records have no image headers.

        The first records decide; one with a header is enough.
        """
        if (kind := headerless_kind(self._file, map(int, self.offsets[:FIRST_RECORDS]))) is not None:
            raise headerless_error(self.path, kind)

    def by_key(self, key: int) -> ImageRecord:
        """Return the record whose index key is *key*, the last one in the file if several have it.

        Raises InputError when none has it, CorruptRecordError when it is damaged.
        """
        return self[self.ordinal_of(key)]

    def ordinal_of(self, key: int) -> int:
        """Return the ordinal of the record that :meth:`by_key` returns. Raises InputError when none has *key*."""
        if not isinstance(key, numbers.Real):
            raise ParameterError(f"key={key!r} must be an integer")
        if (ordinal := self._keys.find_last(key)) is not None:
            return ordinal
        keys = np.delete(self.keys, self.lost) if self.index_path is None and len(self.lost) else self.keys
        hint = f"keys run from {keys.min()} to {keys.max()}" if len(keys) else "no record is whole"
        if self.unlisted:
            hint += f"; the index lists only some of the records, with {self._without_index} all are read"
        raise InputError(f"no record has the key {key}", path=self.path, hint=hint)

    def payload(self, ordinal: int) -> bytes:
        """Return the payload of record *ordinal* with its image header. Raises CorruptRecordError, IndexError."""
        number = self._ordinal(ordinal)
        self._refuse_lost(number)
        data, start, stop = self._read_frame(self.span(number))
        return data[start:stop]

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return *size* bytes of the file from *offset* on, fewer only at its end, as they are. Raises InputError."""
        return self._file.read_at(offset, size)

    def _confirms_end(self, span: RecordSpan) -> bool:
        """True if the index has a record at the end of *span*; not after the last one, as later lines may be missing.

        Without an index nothing confirms it: the scan found the next record by the length word of this one.
        """
        if self.damaged == SKIP and (self.index_path is not None or self.size <= READ_WHOLE_BYTES):
            return True  # the scan has checked the ends of all records
        return self._stops is None and self.index_path is not None and span.ordinal + 1 < self.total

    def _read_frame(self, span: RecordSpan) -> tuple[bytes, int, int]:
        """Return bytes that contain the payload of the record, and its start and end in them."""
        if span.nbytes > _SINGLE_READ_BYTES:
            return _with_bounds(self._payload(span, self._file))
        return self._locate_payload(self._file.read_at(span.start, span.nbytes), span)

    def _locate_payload(self, frame: bytes, span: RecordSpan) -> tuple[bytes, int, int]:
        """Return bytes that contain the payload, and its start and end in them, from *frame*, the bytes of *span*."""
        if (end := single_part_end(frame, confirmed=self._confirms_end(span))) is not None:
            return frame, HEAD_BYTES, end
        return _with_bounds(self._payload(span, BytesSource(frame, span.start, self.size)))

    def read_many(self, ordinals: Iterable[int]) -> list[ImageRecord]:
        """Return the records at *ordinals* in their order, which may be any; neighbours are read with one call.

        Raises IndexError for an ordinal outside the file, CorruptRecordError for the first damaged record in file
        order.
        """
        requested = [self._ordinal(ordinal) for ordinal in ordinals]
        records: dict[int, ImageRecord] = {}
        spans = self.spans(sorted(set(requested)))
        if self._stops is not None:
            for span in spans:
                self._refuse_lost(span.ordinal)
            spans.sort(key=lambda span: span.start)
        for run in group_nearby(spans, gap=_GAP_BYTES, max_bytes=_MAX_READ_BYTES):
            base, end = run[0].start, run[-1].stop
            if end - base > _MAX_READ_BYTES:
                records |= {span.ordinal: self.read(span) for span in run}
                continue
            window = self._file.read_at(base, end - base)
            for span in run:
                payload = self._locate_payload(window[span.start - base : span.stop - base], span)
                records[span.ordinal] = self._image_record(span.ordinal, *payload)
        return [records[ordinal] for ordinal in requested]

    def record_infos(self, ordinals: Iterable[int]) -> Iterator[RecordInfo]:
        """Yield header fields and payload size of each record of *ordinals*, which must ascend; reads no contents.

        Raises CorruptRecordError for the first damaged record.
        """
        requested = list(ordinals)
        for ordinal, info in zip(requested, read_infos(self._file, self.offsets[requested].tolist()), strict=True):
            if isinstance(info, CorruptRecordError):
                raise self._located(info, ordinal) from None
            yield info

    def _ordinal(self, ordinal: int) -> int:
        """Return *ordinal* as an int from 0; negative ones count from the end. Raises IndexError, TypeError."""
        number = operator.index(ordinal)
        if not -self.total <= number < self.total:
            raise IndexError(f"record {number} is not in {self.path}, which has {self.total}")
        return number % self.total

    def _payload(self, span: RecordSpan, source: Source) -> bytes:
        """Return the payload of the record of *span* after all checks; *source* is the file, or a part of it."""
        ordinal, start, stop = span
        try:
            extent = measure(source, start)
            self._check_end(start, extent.end, stop)
            return read_payload(source, start, extent)
        except CorruptRecordError as error:
            if source is not self._file:  # the record may be longer than the bytes that were read
                return self._payload(span, self._file)
            raise self._located(error, ordinal) from None

    def _check_end(self, start: int, end: int, stop: int) -> None:
        """Raise CorruptRecordError unless the record ends at *stop*, or at a record that the index leaves out."""
        if end > stop:
            problem = f"the record extends to byte {end}, but another one starts at byte {stop}"
            raise CorruptRecordError(problem, offset=start + 4)
        if end < stop and not is_record_start(self._file, end):
            problem = f"the record ends at byte {end}, where neither another one starts nor the file ends"
            raise CorruptRecordError(problem, offset=start + 4)

    def _image_record(self, ordinal: int, data: bytes, start: int, stop: int) -> ImageRecord:
        try:
            return decode_image_record_at(data, start, stop)
        except CorruptRecordError as error:
            error.offset = int(self.offsets[ordinal]) + HEAD_BYTES
            if (kind := kind_without_header(data[start : min(stop, start + START_BYTES)], stop - start)) is not None:
                error.problem = f"has no image header: its payload is {kind}"
                error.hint = "read it with payload()"
            raise self._located(error, ordinal) from None

    def _located(self, error: CorruptRecordError, ordinal: int) -> CorruptRecordError:
        """Set path, ordinal and hint of *error*, and return it."""
        error.path, error.record = self.path, ordinal
        error.hint = error.hint or INSPECT
        return error

    def close(self) -> None:
        """Close the file. Calling it twice is allowed; reading afterwards raises InputError."""
        self._file.close()

    def __repr__(self) -> str:
        return f"<RecordFile {os.fspath(self.path)!r}, {len(self)} records>"


def _with_bounds(payload: bytes) -> tuple[bytes, int, int]:
    return payload, 0, len(payload)
