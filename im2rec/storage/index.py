"""The ``.idx`` of a ``.rec``: find it by name, load it, and check that it belongs to that file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, IndexFormatError
from im2rec.format.heads import FIRST, HEAD_BYTES, MAGIC, WHOLE
from im2rec.format.indexfile import Keys, Offsets, index_blocks, read_index
from im2rec.format.recordio import Source, measure, parse_head
from im2rec.storage.companions import find_index
from im2rec.storage.files import INSPECT, PathLike, open_binary, reading, with_path

_PROBES = 64  # evenly spread offsets of an index whose part heads are read on opening
_WIDEST = 4  # further ones, at the largest distances from the next: where records may be left out
_CHUNK_OFFSETS = 1 << 15  # offsets that are tested at once
_MAX_LINES_LOST = 1_000_000
_WRONG = "the index belongs to another file, or one of the two is damaged"


class CheckedIndex(NamedTuple):
    """Facts on an index that belongs to its ``.rec``.

    *end* is the offset at which the last of its records ends. *unlisted* says which records were noticed that it does
    not list; it is empty if there are none. *has_gaps* is True if some of them are between listed ones.
    """

    end: int
    unlisted: str
    has_gaps: bool


def load_index(path: PathLike, rec_bytes: int) -> tuple[Keys, Offsets]:
    """Read the index at *path*; return keys (uint64) and offsets (int64) in the order of its lines.

    *rec_bytes* is the size of its ``.rec``, which limits the number of its lines, as a file that was cut short may have
    had a million records more. Raises InputError, and IndexFormatError with path and line.
    """
    try:
        with reading(path), open_binary(path) as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                return read_index(stream, max_lines=max(rec_bytes // HEAD_BYTES, _MAX_LINES_LOST))
    except IndexFormatError as error:
        raise with_path(error, path) from None
    raise with_path(IndexFormatError("is a .rec, not an index", hint="check the path"), path)


def sorted_index(path: PathLike, rec_bytes: int) -> tuple[Keys, Offsets]:
    """Read the index at *path* of a ``.rec`` of *rec_bytes*; return keys (uint64) and offsets (int64) in file order.

    Raises what :func:`load_index` raises, and IndexFormatError for an index that lists no records, or one twice.
    """
    keys, offsets = load_index(path, rec_bytes)
    if _first_offset_where(offsets, lambda chunk: chunk[1:] <= chunk[:-1]) is not None:
        order = np.argsort(offsets, kind="stable")
        keys, offsets = keys[order], offsets[order]
    if not len(offsets):
        raise IndexFormatError("lists no records, but the .rec has some")
    if (doubled := _first_offset_where(offsets, lambda chunk: chunk[1:] == chunk[:-1])) is not None:
        raise IndexFormatError(f"names byte {doubled} twice", hint=_WRONG)
    return keys, offsets


def index_keys(path: PathLike) -> Keys:
    """Return the keys (uint64) of an index that im2rec has written, in the order of its lines. Raises InputError."""
    with reading(path), open_binary(path) as stream:
        return np.concatenate([np.empty(0, np.uint64), *(keys for keys, _ in index_blocks(stream))])


def _first_offset_where(offsets: Offsets, test: Callable[[Offsets], npt.NDArray[np.bool_]]) -> int | None:
    """Return the first of *offsets* for which *test*, a vectorised condition, is true, or None.

    Applied to chunks, because testing all offsets at once would take up to another 8 bytes per record.
    """
    for start in range(0, len(offsets), _CHUNK_OFFSETS):
        chunk = offsets[start : start + _CHUNK_OFFSETS + 1]  # one more, for tests that compare neighbours
        if len(matches := np.flatnonzero(test(chunk))):
            return int(chunk[matches[0]])
    return None


def check_index(source: Source, offsets: Offsets) -> CheckedIndex:
    """Check that *offsets* of :func:`sorted_index` belong to *source*, by a few reads only.

    Raises IndexFormatError when no record starts at one of them, CorruptRecordError when the last record is cut. Only
    in a file in which bytes were lost or added a record may start at another offset than a multiple of 4.
    """
    unaligned = _first_offset_where(offsets, lambda chunk: chunk % 4 != 0)
    if unaligned is not None and not is_record_start(source, unaligned):
        raise IndexFormatError(f"byte {unaligned} is not at a multiple of 4", hint=_WRONG)
    if offsets[-1] >= source.size:
        problem = f"names byte {offsets[-1]}, but the .rec has only {source.size} bytes"
        raise IndexFormatError(problem, hint="the .rec was cut short, or the index belongs to another file")
    last = len(offsets) - 1
    gaps = [_end_before_gap(source, offsets, ordinal) for ordinal in sorted(_probed_ordinals(offsets))]
    end = _end_of_last(source, int(offsets[-1]), last)
    first_gap = next((gap for gap in gaps if gap is not None), None)
    left_out = [
        f"those before byte {offsets[0]}" if offsets[0] and is_record_start(source, 0) else "",
        f"some between others, first at byte {first_gap}" if first_gap is not None else "",
        f"those from byte {end} on" if end < source.size else "",
    ]
    return CheckedIndex(end, ", ".join(filter(None, left_out)), first_gap is not None)


def belongs(source: Source, offsets: Offsets) -> bool:
    """True if records start at most of some of the *offsets* of :func:`sorted_index`: the index is that of *source*."""
    offsets = offsets[: np.searchsorted(offsets, source.size)]  # of a file that was cut, the others are beyond its end
    probed = [int(offsets[ordinal]) for ordinal in _probed_ordinals(offsets)] if len(offsets) > 1 else offsets.tolist()
    return 2 * sum(is_record_start(source, offset) for offset in probed) > len(probed)


def _probed_ordinals(offsets: Offsets) -> set[int]:
    """Return evenly spread ordinals, and those with the largest distances to the next record, without the last one.

    Where an index leaves out a record the distance contains that record.
    """
    last = len(offsets) - 1
    spread = {round(step * last / (_PROBES - 1)) for step in range(_PROBES)}
    size = min(_CHUNK_OFFSETS, len(offsets) // _WIDEST + 1)
    chunks = ((start, np.diff(offsets[start : start + size + 1])) for start in range(0, last, size))
    widest = sorted((int(distances.max()), start + int(distances.argmax())) for start, distances in chunks)
    return (spread | {ordinal for _, ordinal in widest[-_WIDEST:]}) - {last}


def _end_before_gap(source: Source, offsets: Offsets, ordinal: int) -> int | None:
    """Return the end of record *ordinal* if the index does not list the record that starts there, else None.

    Raises IndexFormatError if no record starts where the index says.
    """
    offset, following = int(offsets[ordinal]), int(offsets[ordinal + 1])
    head = source.read_at(offset, HEAD_BYTES)
    if not _is_start(head, offset, source.size):
        raise no_record_at(offset, ordinal)
    try:
        part = parse_head(head, offset, source.size)
        end = part.end if part.flag == WHOLE else measure(source, offset).end
    except CorruptRecordError:
        return None
    return end if end < following and is_record_start(source, end) else None


def no_record_at(offset: int, ordinal: int) -> IndexFormatError:
    """Return the error of an index that has record *ordinal* at *offset*, where none starts."""
    return IndexFormatError(f"no record starts at byte {offset}, which it gives for record {ordinal}", hint=_WRONG)


def _end_of_last(source: Source, offset: int, ordinal: int) -> int:
    """Return the end of the last record of the index, which starts at *offset*: of the file, or of another record."""
    try:
        end = measure(source, offset).end
    except CorruptRecordError as error:
        if error.offset == offset and source.size - offset >= HEAD_BYTES:
            raise no_record_at(offset, ordinal) from None
        error.record = ordinal
        raise
    if end == source.size or is_record_start(source, end):
        return end
    problem = f"expected the end of the file or another record, found {source.read_at(end, 4).hex(' ')}"
    raise CorruptRecordError(problem, offset=end, hint=INSPECT)


def is_record_start(source: Source, offset: int) -> bool:
    """True if *offset* has the part head of a whole record or of a first part, even if the file is cut after it."""
    return _is_start(source.read_at(offset, HEAD_BYTES), offset, source.size)


def _is_start(head: bytes, offset: int, size: int) -> bool:
    try:
        return parse_head(head, offset, size).flag <= FIRST
    except CorruptRecordError as error:
        # parse_head() reports a valid head whose data goes beyond the end of the file at the start of the data.
        return error.offset == offset + HEAD_BYTES


def resolve_index(path: PathLike, index: PathLike | bool | None) -> Path | None:
    """Return the path of the index for *path*: *index* if it is a path; None if *path* is to be scanned.

    None and True mean the index beside *path*, if there is one; False means none.
    """
    if index is None or index is True:
        return find_index(path)
    return Path(index) if index is not False else None
