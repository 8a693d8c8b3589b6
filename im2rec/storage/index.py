"""The index beside a ``.rec``: its name, what it holds, and whether it belongs to that file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, IndexFormatError
from im2rec.format.indexfile import Keys, Offsets, read_index
from im2rec.format.recordio import FIRST, HEAD_BYTES, Source, parse_head, read_parts
from im2rec.storage.files import INSPECT, InputFile, PathLike, reading, with_path

_PART_SUFFIX = re.compile(r"\.part\d{3,}")

_PROBES = 64  # offsets of an index that are held against the file on opening
_TESTED = 1 << 15  # offsets that are looked at together


def load_index(path: PathLike) -> tuple[Keys, Offsets]:
    """Keys and offsets in the order of the lines. Raises InputError, IndexFormatError (with path and line)."""
    try:
        with reading(path), Path(path).open("rb") as stream:
            return read_index(stream)
    except IndexFormatError as error:
        raise with_path(error, path) from None


def load_checked(file: InputFile, path: PathLike) -> tuple[Keys, Offsets]:
    """Keys and offsets of the index at *path* in the order of *file*, against which they are held.

    Raises InputError, IndexFormatError and CorruptRecordError, all of which name the file that is wrong.
    """
    try:
        keys, offsets = load_index(path)
        if _first_of(offsets, lambda some: some[1:] <= some[:-1]) is not None:
            order = np.argsort(offsets, kind="stable")
            keys, offsets = keys[order], offsets[order]
        _check_index(file, offsets)
    except IndexFormatError as error:
        raise with_path(error, path) from None
    except CorruptRecordError as error:
        raise with_path(error, file.path) from None
    return keys, offsets


def _first_of(offsets: Offsets, test: Callable[[Offsets], npt.NDArray[np.bool_]]) -> int | None:
    """The first of *offsets* that *test* finds, in some at a time: all at once would take another 8 bytes a record."""
    for start in range(0, len(offsets), _TESTED):
        some = offsets[start : start + _TESTED + 1]  # and the next one, for tests that compare neighbours
        if len(found := np.flatnonzero(test(some))):
            return int(some[found[0]])
    return None


def _check_index(source: Source, offsets: Offsets) -> None:
    """Hold sorted *offsets* against the file as far as a few reads go; ``inspect`` looks at every one.

    Raises IndexFormatError when they cannot belong to it, CorruptRecordError when its last record is cut.
    """
    wrong = "the index belongs to another file, or one of the two is damaged; run 'im2rec inspect' on the .rec"
    if not len(offsets):
        raise IndexFormatError("holds no records, the .rec does", hint="remove it: the .rec is then scanned")
    if (doubled := _first_of(offsets, lambda some: some[1:] == some[:-1])) is not None:
        raise IndexFormatError(f"names byte {doubled} twice", hint=wrong)
    if offsets[0] != 0:
        raise IndexFormatError(f"its first record is at byte {offsets[0]}, not at 0", hint=wrong)
    if (odd := _first_of(offsets, lambda some: some % 4 != 0)) is not None:
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


def index_to_write(path: PathLike) -> Path:
    """The name of the index written beside *path*: ``out.rec`` gets ``out.idx``, as does ``out.bin``.

    A part (``out.rec.part000``) and a name without suffix get ``.idx`` appended.
    """
    path = Path(path)
    if not path.suffix or _PART_SUFFIX.fullmatch(path.suffix) or path.suffix == ".idx":
        return path.with_name(path.name + ".idx")
    return path.with_suffix(".idx")


def chosen_index(path: PathLike, index: PathLike | bool | None) -> Path | None:
    """The index to open *path* with: *index*, or for None and True the one beside it; None where it is scanned."""
    if index is None or index is True:
        return find_index(path)
    return Path(index) if index is not False else None


def find_index(path: PathLike) -> Path | None:
    """The index that stands beside *path*, or None.

    ``X.idx`` for ``X.rec``; for any other name ``<path>.idx`` before the one :func:`index_to_write` names.
    """
    path = Path(path)
    candidates = [path.with_name(path.name + ".idx"), index_to_write(path)]
    if path.suffix == ".rec":
        candidates.reverse()
    return next((candidate for candidate in candidates if candidate.is_file()), None)
