"""The records an iterator goes over: one or several files joined, without those that hold no image."""

from __future__ import annotations

import bisect
import contextlib
import glob
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from im2rec.errors import DAMAGED_RECORD, BadRecordError, CorruptRecordError, InputError, ParameterError
from im2rec.format.irheader import ImageRecord, RawHeader
from im2rec.format.recordio import HEAD_BYTES
from im2rec.pipeline.params import IMAGES, ImageRecordParams
from im2rec.pipeline.permutation import Positions
from im2rec.storage.reader import RecordFile, RecordInfo, RecordSpan

T = TypeVar("T")

_SEPARATOR = ";"
_NO_RECORDS = (".idx", ".lst", ".txt", ".json", ".jsonl")  # what stands beside a .rec, and "train*" finds as well
_HEADS_AT_ONCE = 4096
_GROUP_BYTES = 128 << 10  # of records that are read in a row: they stay in a core's own cache

# A record of labels alone is no longer than this, nor hardly any image as short: only such records are looked into
# on opening. The face sets have two labels in them, which makes 40 bytes.
_LABELS_ONLY_BYTES = 256


class RecordLocation(NamedTuple):
    """Where a record is: its file, and its ordinal and bytes in that file."""

    file: RecordFile
    span: RecordSpan

    @property
    def record(self) -> int:
        """The ordinal in the file."""
        return self.span.ordinal

    def named(self, error: BadRecordError, id_: int | None = None) -> BadRecordError:
        """*error* with the location filled in."""
        error.path, error.record, error.offset, error.id = self.file.path, self.record, self.span.start, id_
        return error


class Records:
    """The records of ``path_imgrec``, by *position* (among those that are iterated over) and by *ordinal* (among all).

    Ordinals count over the joined files. Raises what opening a RecordFile raises, and InputError when there is none.
    """

    def __init__(self, params: ImageRecordParams) -> None:
        with contextlib.ExitStack() as stack:
            pairs = _pairs(params.path_imgrec, params.path_imgidx)
            self.files = [stack.enter_context(RecordFile(path, index=index)) for path, index in pairs]
            self._first = [0, *itertools.accumulate(map(len, self.files))]
            left_out = list(self._without_images()) if params.records == IMAGES else []
            stack.pop_all()  # they stay open
        self.left_out = np.array(left_out, np.int64)
        # Position p of the records that stay is ordinal p + k, k being how many of those left out come before it.
        self._stays_before = self.left_out - np.arange(len(self.left_out))

    def __len__(self) -> int:
        """How many records are iterated over."""
        return self.total - len(self.left_out)

    @property
    def total(self) -> int:
        """How many records there are."""
        return self._first[-1]

    def ordinals(self, positions: Positions) -> Positions:
        """The ordinals of records by position."""
        return positions + np.searchsorted(self._stays_before, positions, side="right")

    def locate(self, ordinal: int) -> RecordLocation:
        """Where the record *ordinal* is."""
        number = bisect.bisect_right(self._first, ordinal) - 1
        file = self.files[number]
        return RecordLocation(file, file.span(ordinal - self._first[number]))

    def read(self, ordinal: int) -> ImageRecord | BadRecordError:
        """The record *ordinal*; an error in the place of a damaged one."""
        return _read(self.locate(ordinal))

    def each(self, ordinals: Sequence[int]) -> Iterator[ImageRecord | BadRecordError]:
        """The records at *ordinals*, in that order; an error in the place of a damaged one. Raises IndexError.

        A few are read before the first is given: reading and decoding each run faster in a row, as either throws the
        other's code out of the processor's caches. Few enough for their bytes to stay there.
        """
        for group in grouped_by_size(self._locations(ordinals), lambda location: location.span.nbytes, _GROUP_BYTES):
            yield from [_read(location) for location in group]

    def _locations(self, ordinals: Sequence[int]) -> Iterator[RecordLocation]:
        asked = np.array(ordinals, np.int64)
        numbers = np.searchsorted(self._first, asked, side="right") - 1
        spans: dict[int, Iterator[RecordSpan]] = {}
        for number in np.unique(numbers).tolist():
            here = asked[numbers == number] - self._first[number]
            spans[number] = iter(self.files[number].spans(here.tolist()))
        for number in numbers.tolist():
            yield RecordLocation(self.files[number], next(spans[number]))

    def headers(self) -> Iterator[tuple[int, RawHeader]]:
        """Ordinal and header of every record that is iterated over, in order; damaged ones are left out."""
        for _, number, records in self._in_files():
            for record, head in _heads(self.files[number], records.tolist()):
                yield self._first[number] + record, head.header

    def block_starts(self, block_bytes: int) -> Positions:
        """The first position of each block of so many bytes of the files, and the number of positions."""
        starts, last = [], (-1, -1)
        for first, number, records in self._in_files():
            blocks = self.files[number].offsets[records] // block_bytes
            changes = np.flatnonzero(np.diff(blocks, prepend=last[1] if number == last[0] else -1))
            starts.append(first + changes)
            last = number, int(blocks[-1])
        return np.concatenate([*starts, [len(self)]])

    def _in_files(self) -> Iterator[tuple[int, int, Positions]]:
        """All that is iterated over, some at a time: the first position, the number of the file, and records there."""
        for start in range(0, len(self), _HEADS_AT_ONCE):
            ordinals = self.ordinals(np.arange(start, min(start + _HEADS_AT_ONCE, len(self))))
            files = np.searchsorted(self._first, ordinals, side="right") - 1
            for number in np.unique(files).tolist():
                here = np.flatnonzero(files == number)  # neighbours, as ordinals grow
                yield start + int(here[0]), number, ordinals[here] - self._first[number]

    def _without_images(self) -> Iterator[int]:
        """Ordinals of records that have labels in a vector, and nothing behind it."""
        for first, file in zip(self._first, self.files, strict=False):
            for start in range(0, len(file), _HEADS_AT_ONCE):
                offsets = file.offsets[start : start + _HEADS_AT_ONCE + 1]
                if start + _HEADS_AT_ONCE >= len(file):
                    offsets = np.append(offsets, file.size)
                short = (start + np.flatnonzero(np.diff(offsets) <= _LABELS_ONLY_BYTES)).tolist()
                for record, head in _heads(file, short):
                    if head.header.flag > 0 and head.size == head.header.content_start:
                        yield first + record

    def close(self) -> None:
        """Close the files; further calls do nothing."""
        for file in self.files:
            file.close()


def _read(location: RecordLocation) -> ImageRecord | BadRecordError:
    try:
        return location.file.read(location.span)
    except CorruptRecordError as error:
        return damaged(error, location)
    except InputError as error:  # the disk, or the network behind it
        problem = error.problem.removeprefix(f"{location.file.path}: ")
        return location.named(BadRecordError(problem, reason="unreadable", hint=error.hint))


def grouped_by_size(items: Iterable[T], size: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """*items* in lists whose sizes reach *most* with their last; a list is emptied when the next is asked for."""
    group: list[T] = []
    total = 0
    for item in items:
        group.append(item)
        total += size(item)
        del item  # it may be large
        if total >= most:
            yield group
            group.clear()
            total = 0
    yield group


def _heads(file: RecordFile, records: list[int]) -> Iterator[tuple[int, RecordInfo]]:
    """*records* and their heads; those of damaged ones are left out."""
    try:
        yield from zip(records, list(file.heads(records)), strict=True)
    except CorruptRecordError:
        for record in records:
            with contextlib.suppress(CorruptRecordError):
                yield record, next(file.heads([record]))


def damaged(error: CorruptRecordError, location: RecordLocation) -> BadRecordError:
    """*error* as what a consumer of images gets."""
    bad = location.named(BadRecordError(error.problem, reason=DAMAGED_RECORD, hint=error.hint))
    bad.offset = error.offset if error.offset is not None else location.span.start + HEAD_BYTES
    return bad


def _pairs(path_imgrec: str, path_imgidx: str) -> list[tuple[Path, Path | None]]:
    """Each file and its index (None: looked for beside it)."""
    paths = [path for word in path_imgrec.split(_SEPARATOR) if word for path in _paths(word)]
    if not paths:
        raise ParameterError(f"path_imgrec={path_imgrec} must name a .rec")
    indices = [Path(word) for word in path_imgidx.split(_SEPARATOR) if word]
    if indices and len(indices) != len(paths):
        problem = f"path_imgidx={path_imgidx} names {len(indices)} files, path_imgrec {len(paths)}"
        raise ParameterError(problem, hint="give one index for each .rec, or leave path_imgidx out")
    return list(zip(paths, indices, strict=True)) if indices else [(path, None) for path in paths]


def _paths(word: str) -> list[Path]:
    """The files that one word of ``path_imgrec`` means."""
    path = Path(word)
    if os.path.isdir(word):  # noqa: PTH112 - False for a name that is too long, as below
        files = sorted(file for file in path.glob("*.rec") if file.is_file())
        if not files:
            raise InputError(f"{path}: holds no *.rec", hint="name a .rec, or a folder of them")
        return files
    if not os.path.exists(word) and glob.has_magic(word):  # noqa: PTH110
        found = map(Path, glob.glob(word))  # noqa: PTH207 - the pattern may be absolute
        files = sorted(path for path in found if path.suffix not in _NO_RECORDS)
        if not files:
            raise InputError(f"{word}: no file has such a name", hint="check the pattern")
        return files
    return [path]
