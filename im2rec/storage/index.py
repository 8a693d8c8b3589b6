"""The ``.idx`` of a ``.rec``: find it by name, load it, and check that it belongs to that file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, IndexFormatError
from im2rec.format.indexfile import Keys, Offsets, read_index
from im2rec.format.recordio import FIRST, HEAD_BYTES, Source, parse_head, read_parts
from im2rec.storage.files import INSPECT, InputFile, PathLike, open_binary, reading, with_path

_PART_SUFFIX = re.compile(r"\.part\d{3,}")

_PROBES = 64  # offsets of an index whose part heads are read on opening
_CHUNK_OFFSETS = 1 << 15  # offsets that are tested at once


def load_index(path: PathLike) -> tuple[Keys, Offsets]:
    """Read the index at *path*; return keys (uint64) and offsets (int64) in the order of its lines.

    Raises InputError, and IndexFormatError with path and line.
    """
    try:
        with reading(path), open_binary(path) as stream:
            return read_index(stream)
    except IndexFormatError as error:
        raise with_path(error, path) from None


def load_checked(file: InputFile, path: PathLike) -> tuple[Keys, Offsets]:
    """Read the index at *path*, check that it belongs to *file*, and return keys and offsets in file order.

    Raises InputError, IndexFormatError and CorruptRecordError, each with the path of the file that is wrong.
    """
    try:
        keys, offsets = load_index(path)
        if _first_offset_where(offsets, lambda chunk: chunk[1:] <= chunk[:-1]) is not None:
            order = np.argsort(offsets, kind="stable")
            keys, offsets = keys[order], offsets[order]
        _check_index(file, offsets)
    except IndexFormatError as error:
        raise with_path(error, path) from None
    except CorruptRecordError as error:
        raise with_path(error, file.path) from None
    return keys, offsets


def _first_offset_where(offsets: Offsets, test: Callable[[Offsets], npt.NDArray[np.bool_]]) -> int | None:
    """Return the first of *offsets* for which *test*, a vectorised condition, is true, or None.

    Applied to chunks, because testing all offsets at once would take up to another 8 bytes per record.
    """
    for start in range(0, len(offsets), _CHUNK_OFFSETS):
        chunk = offsets[start : start + _CHUNK_OFFSETS + 1]  # one more, for tests that compare neighbours
        if len(matches := np.flatnonzero(test(chunk))):
            return int(chunk[matches[0]])
    return None


def _check_index(source: Source, offsets: Offsets) -> None:
    """Check that sorted *offsets* belong to *source*, by a few reads only; ``im2rec inspect`` checks every offset.

    Raises IndexFormatError when they belong to another file, CorruptRecordError when the last record is cut.
    """
    wrong = "the index belongs to another file, or one of the two is damaged; run 'im2rec inspect' on the .rec"
    if not len(offsets):
        raise IndexFormatError("lists no records, but the .rec has some", hint="remove it: the .rec is then scanned")
    if (doubled := _first_offset_where(offsets, lambda chunk: chunk[1:] == chunk[:-1])) is not None:
        raise IndexFormatError(f"names byte {doubled} twice", hint=wrong)
    if offsets[0] != 0:
        raise IndexFormatError(f"its first record is at byte {offsets[0]}, not at 0", hint=wrong)
    if (unaligned := _first_offset_where(offsets, lambda chunk: chunk % 4 != 0)) is not None:
        raise IndexFormatError(f"byte {unaligned} is not at a multiple of 4", hint=wrong)
    if offsets[-1] >= source.size:
        problem = f"names byte {offsets[-1]}, but the .rec has only {source.size} bytes"
        raise IndexFormatError(problem, hint="the .rec was cut short, or the index belongs to another file")
    last = len(offsets) - 1
    for ordinal in sorted({round(step * last / (_PROBES - 1)) for step in range(_PROBES)} - {last}):
        offset = int(offsets[ordinal])
        if not is_record_start(source, offset):
            raise IndexFormatError(
                f"no record starts at byte {offset}, which it gives for record {ordinal}", hint=wrong
            )
    _check_end(source, int(offsets[-1]), last, wrong)


def _check_end(source: Source, offset: int, ordinal: int, wrong: str) -> None:
    """Check that the file ends after the last record of the index, which starts at *offset*."""
    try:
        end = read_parts(source, offset)[-1].end
    except CorruptRecordError as error:
        if error.offset == offset and source.size - offset >= HEAD_BYTES:
            raise IndexFormatError(
                f"no record starts at byte {offset}, which it gives for record {ordinal}", hint=wrong
            ) from None
        error.record = ordinal
        raise
    if end == source.size:
        return
    if is_record_start(source, end):
        raise IndexFormatError(f"ends at byte {end}, but another record of the .rec starts there", hint=wrong)
    problem = f"expected the end of the file or another record, found {source.read_at(end, 4).hex(' ')}"
    raise CorruptRecordError(problem, offset=end, hint=INSPECT)


def is_record_start(source: Source, offset: int) -> bool:
    """True if *offset* has the part head of a whole record or of a first part, even if the file is cut after it."""
    try:
        return parse_head(source.read_at(offset, HEAD_BYTES), offset, source.size).flag <= FIRST
    except CorruptRecordError as error:
        # parse_head() reports a valid head whose data goes beyond the end of the file at the start of the data.
        return error.offset == offset + HEAD_BYTES


def index_to_write(path: PathLike) -> Path:
    """Return the path of the index that is written with *path*: ``out.idx`` for ``out.rec`` and for ``out.bin``.

    For a part of a dataset (``out.rec.part000``), an ``.idx`` and a name without suffix, ``.idx`` is appended.
    """
    path = Path(path)
    if not path.suffix or _PART_SUFFIX.fullmatch(path.suffix) or path.suffix == ".idx":
        return path.with_name(path.name + ".idx")
    return path.with_suffix(".idx")


def resolve_index(path: PathLike, index: PathLike | bool | None) -> Path | None:
    """Return the path of the index for *path*: *index* if it is a path; None if *path* is to be scanned.

    None and True mean the index beside *path*, if there is one; False means none.
    """
    if index is None or index is True:
        return find_index(path)
    return Path(index) if index is not False else None


def find_index(path: PathLike) -> Path | None:
    """Return the index in the folder of *path*, or None if there is none.

    For ``X.rec`` it is ``X.idx``, else ``X.rec.idx``; for any other name the reverse: ``<path>.idx``, else the name of
    :func:`index_to_write`.
    """
    path = Path(path)
    candidates = [path.with_name(path.name + ".idx"), index_to_write(path)]
    if path.suffix == ".rec":
        candidates.reverse()
    return next((candidate for candidate in candidates if candidate.is_file()), None)
