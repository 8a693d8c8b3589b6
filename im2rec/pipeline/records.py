"""Records of one or several joined files, without those that hold labels and no image."""

from __future__ import annotations

import bisect
import contextlib
import glob
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from im2rec.errors import DAMAGED_RECORD, BadRecordError, CorruptRecordError, InputError, ParameterError, counted
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.irheader import ImageRecord
from im2rec.pipeline.params import IMAGES, MXNET, NO_INDEX, SKIP, ImageRecordParams
from im2rec.pipeline.permutation import Positions
from im2rec.storage.files import PathLike
from im2rec.storage.reader import RecordFile
from im2rec.storage.record_info import RecordInfo
from im2rec.storage.spans import RecordSpan

T = TypeVar("T")

_SEPARATOR = ";"
_OTHER_SUFFIXES = (".idx", ".lst", ".txt", ".json", ".jsonl")  # of files beside a .rec that "train*" matches as well
_RECORDS_PER_BLOCK = 4096  # handled at once: bounds the memory for offsets and headers
_GROUP_BYTES = 128 << 10  # of records read in a row: few enough to stay in the cache of one core

# Frames of at most this size may be records of labels alone; hardly any image is as short. So opening reads the headers
# of few records. The records of labels in InsightFace's sets have two, which makes frames of 40 bytes.
_LABELS_ONLY_BYTES = 256


class RecordLocation(NamedTuple):
    """Location of a record: its file, and the span of its frame in that file."""

    file: RecordFile
    span: RecordSpan

    @property
    def record(self) -> int:
        """Ordinal in the file, not over all joined files."""
        return self.span.ordinal

    def fill_in(self, error: BadRecordError, id_: int | None = None) -> BadRecordError:
        """Set path, record, offset and id of *error*, and return it."""
        error.path, error.record, error.offset, error.id = self.file.path, self.record, self.span.start, id_
        return error


class DamageCounts(NamedTuple):
    """How much of the joined files is damaged, as far as opening them has shown; the fields of results of commands.

    *lost* is the number of records that the indexes list and that are lost; None if no file has an index.
    """

    damaged_ranges: int
    damaged_bytes: int
    lost: int | None
    doubtful: int


class _JoinedFile(RecordFile):
    """One of the files that are joined; their user logs what their indexes do not list."""

    _without_index = f"path_imgidx={NO_INDEX}"
    _logs_unlisted = False


class Records:
    """The records of ``path_imgrec``, by *ordinal* (over all joined files) or *position* (among those iterated over).

    ::

        records = Records(params)
        for record in records.read_many(records.ordinals(np.arange(len(records))).tolist()):
            ...  # an ImageRecord, or a BadRecordError in the place of a damaged one

    ``listed`` is None, or with ``rng=mxnet`` the ordinals of the records that the indexes list if there are others.
    ``left_out`` has the ordinals that no position leads to; when pickled they take 16 bytes a run, as those of a face
    set are millions in one run.

    Raises what opening a RecordFile raises, InputError where no file matches and for records without image headers, and
    ParameterError for a wrong number of indices. :meth:`close` closes the files.
    """

    _parameters = ("path_imgrec", "path_imgidx")  # that name the files and their indexes, for messages

    def __init__(self, params: ImageRecordParams) -> None:
        with contextlib.ExitStack() as stack:
            pairs = _files_and_indices(params.path_imgrec, params.path_imgidx, self._parameters)
            self._damage_options = {"damaged": params.on_error, "doubtful": params.doubtful}
            self.files = [stack.enter_context(self._open(path, index)) for path, index in pairs]
            for file in self.files:
                file.check_headers()
            self.listed = self._read_unlisted(stack) if params.rng == MXNET else None
            self._first = [0, *itertools.accumulate(file.total for file in self.files)]
            without_image = list(self._ordinals_without_image()) if params.records == IMAGES else []
            stack.pop_all()  # opened without an error: the files stay open until close()
        self.without_image = len(without_image)
        self.left_out = np.union1d(self._lost() if params.on_error == SKIP else [], without_image).astype(np.int64)
        self._positions_before = _positions_before(self.left_out)

    def __getstate__(self) -> dict[str, Any]:
        starts = np.flatnonzero(np.diff(self.left_out, prepend=-2) != 1)
        runs = self.left_out[starts], np.diff(starts, append=len(self.left_out))
        return {**self.__dict__, "left_out": runs, "_positions_before": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        firsts, lengths = state["left_out"]
        self.left_out = np.repeat(firsts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        self._positions_before = _positions_before(self.left_out)

    def _open(self, path: Path, index: PathLike | bool | None) -> RecordFile:
        return _JoinedFile(path, index=index, **self._damage_options)

    def _read_unlisted(self, stack: contextlib.ExitStack) -> Positions | None:
        """Scan the files whose indexes list only some records; return the ordinals of the listed ones, None if all are.

        MXNet reads the others too: with an index each after the listed one before it, and without one in file order.

        Source: dmlc-core src/io/indexed_recordio_split.cc, ``IndexedRecordIOSplitter::ReadIndexFile``.
        """
        if not any(file.unlisted for file in self.files):
            return None
        listed, first = [], 0
        for number, file in enumerate(self.files):
            if file.unlisted:
                self.files[number] = stack.enter_context(self._open(file.path, index=False))
                file.close()
            whole = self.files[number]
            offsets = file.offsets[np.isin(file.offsets, whole.offsets)]  # in a damaged file some may be lost
            listed.append(first + np.searchsorted(whole.offsets, offsets))
            first += whole.total
        return np.concatenate(listed)

    def _lost(self) -> Positions:
        """Return the ordinals of the records that are lost in damaged bytes."""
        return np.concatenate([first + file.lost for first, file in zip(self._first, self.files, strict=False)])

    def damage(self) -> DamageCounts:
        """Return how much of the files is damaged."""
        indexed = [file for file in self.files if file.index_path is not None]
        return DamageCounts(
            sum(file.damaged_ranges for file in self.files),
            sum(file.damaged_bytes for file in self.files),
            sum(len(file.lost) for file in indexed) if indexed else None,
            sum(len(file.doubtful) for file in self.files),
        )

    def lost_errors(self) -> Iterator[BadRecordError]:
        """Yield an error for each record that is lost, by the index; of a file without one for each damaged range.

        The latter has the range's first byte and no ordinal, as nobody knows how many records it held.
        """
        for file in self.files:
            if file.index_path is not None:
                for ordinal in file.lost.tolist():
                    yield _lost_error(RecordLocation(file, file.span(ordinal)))
            else:
                for item in file.damage:
                    where = f"damaged up to byte {item.end}, after {counted(item.error.record or 0, 'record')}"
                    error = BadRecordError(
                        f"{where}: {item.error.problem}", reason=DAMAGED_RECORD, hint=item.error.hint
                    )
                    error.path, error.offset = file.path, item.start
                    yield error

    def __len__(self) -> int:
        """Number of records that are iterated over."""
        return self.total - len(self.left_out)

    @property
    def total(self) -> int:
        """Number of all records."""
        return self._first[-1]

    def ordinals(self, positions: Positions) -> Positions:
        """Return the ordinals of the records at *positions*."""
        return positions + np.searchsorted(self._positions_before, positions, side="right")

    def locate(self, ordinal: int) -> RecordLocation:
        """Return the location of the record at *ordinal*."""
        number = bisect.bisect_right(self._first, ordinal) - 1
        file = self.files[number]
        return RecordLocation(file, file.span(ordinal - self._first[number]))

    def read(self, ordinal: int) -> ImageRecord | BadRecordError:
        """Return the record at *ordinal*, or an error with path, record and offset if it is damaged or unreadable."""
        return _read_record(self.locate(ordinal))

    def read_many(self, ordinals: Sequence[int]) -> Iterator[ImageRecord | BadRecordError]:
        """Yield the records at *ordinals*, in that order; an error in the place of a damaged one. Raises IndexError.

        A few are read before the first is yielded: reading and decoding run faster several times in a row, as each
        evicts the code of the other from the caches of the processor. They are few enough for their bytes to stay
        cached.
        """
        for group in grouped_by_size(self._locations(ordinals), lambda location: location.span.nbytes, _GROUP_BYTES):
            yield from [_read_record(location) for location in group]

    def _locations(self, ordinals: Sequence[int]) -> Iterator[RecordLocation]:
        """Yield the locations of *ordinals*; their spans are computed in one call per file."""
        requested = np.array(ordinals, np.int64)
        numbers = np.searchsorted(self._first, requested, side="right") - 1
        spans: dict[int, Iterator[RecordSpan]] = {}
        for number in np.unique(numbers).tolist():
            here = requested[numbers == number] - self._first[number]
            spans[number] = iter(self.files[number].spans(here.tolist()))
        for number in numbers.tolist():
            yield RecordLocation(self.files[number], next(spans[number]))

    def infos(self) -> Iterator[tuple[int, RecordInfo]]:
        """Yield ordinal and info of every record that is iterated over, in order; damaged ones are skipped."""
        for _, number, records in self._runs_in_files():
            for record, info in _read_infos(self.files[number], records.tolist()):
                yield self._first[number] + record, info

    def block_starts(self, block_bytes: int) -> Positions:
        """Return the first position in each block of *block_bytes* of the files, and after them ``len(self)``.

        A block in which no record starts is left out.
        """
        starts: list[Positions] = []
        last_blocks: dict[int, int] = {}  # by number of the file: that of the last record before the run
        for first, number, records in self._runs_in_files():
            blocks = self.files[number].offsets[records] // block_bytes
            starts.append(first + np.flatnonzero(np.diff(blocks, prepend=last_blocks.get(number, -1))))
            last_blocks[number] = int(blocks[-1])
        return np.concatenate([*starts, [len(self)]])

    def _runs_in_files(self) -> Iterator[tuple[int, int, Positions]]:
        """Yield the records that are iterated over in runs of one file each.

        A run is its first position, the number of its file and the ordinals in that file.
        """
        for start in range(0, len(self), _RECORDS_PER_BLOCK):
            ordinals = self.ordinals(np.arange(start, min(start + _RECORDS_PER_BLOCK, len(self))))
            files = np.searchsorted(self._first, ordinals, side="right") - 1
            for number in np.unique(files).tolist():
                here = np.flatnonzero(files == number)  # a run without gaps, as ordinals ascend
                yield start + int(here[0]), number, ordinals[here] - self._first[number]

    def _ordinals_without_image(self) -> Iterator[int]:
        for first, file in zip(self._first, self.files, strict=False):
            yield from (first + record for record in self._without_image(file))

    def _without_image(self, file: RecordFile) -> Iterable[int]:
        """Yield the ordinals in *file* of records that hold a label vector and nothing after it."""
        for start in range(0, file.total, _RECORDS_PER_BLOCK):
            short = short_records(file, np.arange(start, min(start + _RECORDS_PER_BLOCK, file.total)))
            for record, info in _read_infos(file, np.setdiff1d(short, file.lost).tolist()):
                if info.header.flag > 0 and info.size == info.header.content_start:
                    yield record

    def close(self) -> None:
        """Close the files. Closing twice is allowed."""
        for file in self.files:
            file.close()


def _read_record(location: RecordLocation) -> ImageRecord | BadRecordError:
    """Read one record; errors are returned, so that they reach the consumer in the place of their record."""
    try:
        return location.file.read(location.span)
    except CorruptRecordError as error:
        return _damaged_record_error(error, location)
    except InputError as error:  # of the disk or the network
        return location.fill_in(BadRecordError(error.problem, reason="unreadable", hint=error.hint))


def grouped_by_size(items: Iterable[T], size: Callable[[T], int], enough: int) -> Iterator[list[T]]:
    """Yield *items* in lists, each ended by the item with which its sizes sum up to *enough*; the last may be empty.

    A list is cleared when the next one is taken.
    """
    group: list[T] = []
    total = 0
    for item in items:
        group.append(item)
        total += size(item)
        del item  # it may be large, and would be alive while the next is computed
        if total >= enough:
            yield group
            group.clear()
            total = 0
    yield group


def _lost_error(location: RecordLocation) -> BadRecordError:
    """Return the error of a record that is lost."""
    error = _read_record(location)
    assert isinstance(error, BadRecordError)
    return error


def _read_infos(file: RecordFile, records: list[int]) -> Iterator[tuple[int, RecordInfo]]:
    """Yield *records* with header and size of each; damaged ones are skipped."""
    try:
        yield from zip(records, list(file.record_infos(records)), strict=True)
    except CorruptRecordError:  # which ends the iteration: one by one, to get those after the damaged one
        for record in records:
            with contextlib.suppress(CorruptRecordError):
                yield record, next(file.record_infos([record]))


def _damaged_record_error(error: CorruptRecordError, location: RecordLocation) -> BadRecordError:
    """Return *error*, met while the record at *location* was read, as the error of that record."""
    bad = location.fill_in(BadRecordError(error.problem, reason=DAMAGED_RECORD, hint=error.hint))
    bad.offset = error.offset if error.offset is not None else location.span.start + HEAD_BYTES
    return bad


def short_records(file: RecordFile, records: Positions) -> Positions:
    """Return those of *records* in *file* that are so short that they may hold labels alone."""
    # Where the index has gaps, the distance to the next record is not the size of a record.
    return records[file.frame_sizes(records) <= (file.size if file.has_gaps else _LABELS_ONLY_BYTES)]


def _positions_before(left_out: Positions) -> Positions:
    """Return for each record left out the number of positions before it.

    Position p is ordinal p + k, where k of these numbers are at most p.
    """
    return left_out - np.arange(len(left_out))


def _files_and_indices(
    path_imgrec: str, path_imgidx: str, names: tuple[str, str]
) -> list[tuple[Path, Path | bool | None]]:
    """Return each file and its index; None for one beside the file, if there is any, and False for none.

    *names* are the names of both parameters for messages.
    """
    paths = [path for word in path_imgrec.split(_SEPARATOR) if word for path in _expand(word)]
    if not paths:
        raise ParameterError(f"{names[0]}={path_imgrec} must name a .rec")
    indices = [False if word == NO_INDEX else Path(word) for word in path_imgidx.split(_SEPARATOR) if word]
    if indices == [False]:
        indices *= len(paths)
    if indices and len(indices) != len(paths):
        count = "1 file" if len(indices) == 1 else f"{len(indices)} files"
        problem = f"{names[1]}={path_imgidx} names {count}, {names[0]} {len(paths)}"
        raise ParameterError(problem, hint=f"give one index for each .rec, or leave {names[1]} out")
    return list(zip(paths, indices, strict=True)) if indices else [(path, None) for path in paths]


def _expand(word: str) -> list[Path]:
    """Return the files of one word of ``path_imgrec``: a file, a folder of files or a pattern."""
    path = Path(word)
    if os.path.isdir(word):  # noqa: PTH112 - False for a name that is too long, as below
        files = sorted(file for file in path.glob("*.rec") if file.is_file())
        if not files:
            raise InputError("holds no *.rec", path=path, hint="name a .rec, or a folder of them")
        return files
    if not os.path.exists(word) and glob.has_magic(word):  # noqa: PTH110
        matches = map(Path, glob.glob(word))  # noqa: PTH207 - the pattern may be absolute
        files = sorted(path for path in matches if path.suffix not in _OTHER_SUFFIXES)
        if not files:
            raise InputError("no file has such a name", path=word, hint="check the pattern")
        return files
    return [path]
