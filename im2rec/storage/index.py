"""Opening a ``.rec`` with trust: is it one, and is the index beside it its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, IndexFormatError, InputError
from im2rec.format.indexfile import Keys, Offsets, read_index
from im2rec.format.recordio import FIRST, HEAD_BYTES, MAGIC, Source, find_record, parse_head, read_parts
from im2rec.storage.files import InputFile, PathLike, reading, with_path

INSPECT = "run 'im2rec inspect' on it"
_PROBES = 64  # offsets of an index that are held against the file on opening
_FRONT_BYTES = 1 << 16
_TESTED = 1 << 15  # offsets that are looked at together


def check_kind(file: InputFile) -> None:
    """Raise InputError for a file without a byte, or one that holds no record anywhere."""
    if file.size == 0:
        raise InputError(f"{file.path}: is empty: it holds no records", hint="make or fetch it again")
    if MAGIC not in file.read_at(0, _FRONT_BYTES) and find_record(file, 0) is None:
        start = file.read_at(0, 4).hex(" ")
        raise InputError(f"{file.path}: is not a RecordIO file: it starts with {start}", hint="name a .rec")


def load_index(path: PathLike) -> tuple[Keys, Offsets]:
    """Keys and offsets in the order of the lines. Raises InputError, IndexFormatError (with path and line)."""
    try:
        with reading(path), Path(path).open("rb") as stream:
            return read_index(stream)
    except IndexFormatError as error:
        raise with_path(error, path) from None


def first_of(offsets: Offsets, test: Callable[[Offsets], npt.NDArray[np.bool_]]) -> int | None:
    """The first of *offsets* that *test* finds, in some at a time: all at once would take another 8 bytes a record."""
    for start in range(0, len(offsets), _TESTED):
        some = offsets[start : start + _TESTED + 1]  # and the next one, for tests that compare neighbours
        if len(found := np.flatnonzero(test(some))):
            return int(some[found[0]])
    return None


def check_index(source: Source, offsets: Offsets) -> None:
    """Hold sorted *offsets* against the file as far as a few reads go; ``inspect`` looks at every one.

    Raises IndexFormatError when they cannot belong to it, CorruptRecordError when its last record is cut.
    """
    wrong = "the index belongs to another file, or one of the two is damaged; run 'im2rec inspect' on the .rec"
    if not len(offsets):
        raise IndexFormatError("holds no records, the .rec does", hint="remove it: the .rec is then scanned")
    if (doubled := first_of(offsets, lambda some: some[1:] == some[:-1])) is not None:
        raise IndexFormatError(f"names byte {doubled} twice", hint=wrong)
    if offsets[0] != 0:
        raise IndexFormatError(f"its first record is at byte {offsets[0]}, not at 0", hint=wrong)
    if (odd := first_of(offsets, lambda some: some % 4 != 0)) is not None:
        raise IndexFormatError(f"byte {odd} is not at a multiple of 4", hint=wrong)
    if offsets[-1] >= source.size:
        problem = f"names byte {offsets[-1]}, but the .rec has only {source.size} bytes"
        raise IndexFormatError(problem, hint="the .rec was cut short, or the index belongs to another file")
    last = len(offsets) - 1
    for ordinal in sorted({round(step * last / (_PROBES - 1)) for step in range(_PROBES)} - {last}):
        offset = int(offsets[ordinal])
        if not is_record_start(source, offset):
            raise IndexFormatError(f"no record starts at byte {offset}, where it has record {ordinal}", hint=wrong)
    _check_end(source, int(offsets[-1]), last, wrong)


def _check_end(source: Source, offset: int, ordinal: int, wrong: str) -> None:
    try:
        end = read_parts(source, offset)[-1].end
    except CorruptRecordError as error:
        if error.offset == offset and source.size - offset >= HEAD_BYTES:
            raise IndexFormatError(
                f"no record starts at byte {offset}, where it has record {ordinal}", hint=wrong
            ) from None
        error.record = ordinal
        raise
    if end == source.size:
        return
    if is_record_start(source, end):
        raise IndexFormatError(f"ends at byte {end}, but the .rec goes on with another record there", hint=wrong)
    problem = f"expected the end of the file or another record, found {source.read_at(end, 4).hex(' ')}"
    raise CorruptRecordError(problem, offset=end, hint=INSPECT)


def is_record_start(source: Source, offset: int) -> bool:
    """Whether the head of a whole record, or of the first part of one, stands at *offset*."""
    try:
        return parse_head(source.read_at(offset, HEAD_BYTES), offset, source.size).flag <= FIRST
    except CorruptRecordError as error:
        # A head that is right but reaches behind the end of a cut file is a start nevertheless.
        return error.offset == offset + HEAD_BYTES
