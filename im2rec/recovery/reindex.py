"""Write the index of a ``.rec`` anew, from the records that are whole."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, InputError, OutputError, ParameterError, counted
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.indexfile import Keys, Offsets, index_lines
from im2rec.format.irheader import HEADER_BYTES
from im2rec.progress import Progress
from im2rec.recovery.report import IndexSummary
from im2rec.storage.blocks import RecordBlock
from im2rec.storage.companions import DALI, find_index, index_to_write, reader_index_path
from im2rec.storage.damaged_range import damaged_ranges
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.foreign import check_kind, check_line_ends
from im2rec.storage.journal import locked_beside
from im2rec.storage.opening import open_rec
from im2rec.storage.output import AtomicFile, refuse_existing, writing
from im2rec.storage.record_map import ScannedRecords, scan_all

BY_ID, BY_ORDINAL = "id", "ordinal"
NO_IMAGE = "with labels and no image"
_LINES = 1 << 13  # are written at once


def write_index(
    rec: PathLike,
    out: PathLike | None = None,
    *,
    keys: str = BY_ID,
    reader: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> IndexSummary:
    """Write an index of all whole records of *rec* to *out*, by default the name that ``im2rec.open`` looks for.

    *keys* is ``id`` or ``ordinal``. If any payload is too short for an image header, the keys are ordinals. With
    *reader* ``dali``, records with labels and no image are left out, as DALI's reader would decode them as images: the
    header and identity records of InsightFace's sets. Then the default name is another one, ``X.dali.idx`` for
    ``X.rec``, as other programs need the index of all records. *progress* is called with the number of records so far
    and the share of the file that was scanned.

    Raises InputError for a file that cannot be read or is not a RecordIO file, CorruptRecordError when no record is
    whole, OutputError when *out* exists, unless *force*, when another run is writing it, and when it cannot be written.
    """
    if keys not in (BY_ID, BY_ORDINAL) or reader not in (None, DALI):
        raise ParameterError(f"keys={keys!r} must be id or ordinal, and reader={reader!r} None or dali")
    started = time.monotonic()
    with open_rec(rec) as file:
        path = Path(out) if out is not None else _default_path(file.path, reader)
        with writing(path):
            if path.exists() and path.samefile(file.path):
                raise OutputError("is the .rec itself", path=path, hint="choose another name for the index")
        refuse_existing([path], force=force)
        check_kind(file)
        with contextlib.ExitStack() as stack:
            index = None
            if not dry_run:  # before the scan, so that a second run is refused at its start
                stack.enter_context(locked_beside(file.path, path))
                index = stack.enter_context(AtomicFile(path, force=force))
            found = _scanned(file, reader, progress or (lambda _records, _share: None))
            offsets, _, ids = found.found()
            is_listed = np.concatenate(found.is_listed)
            by_id = keys == BY_ID and found.all_have_headers
            numbers = ids if by_id else np.arange(len(offsets), dtype=np.uint64)
            bytes_out = 0
            for piece in _pieces(numbers[is_listed], offsets[is_listed]):
                bytes_out += len(piece)
                if index is not None:
                    index.write(piece)
    left_out = found.records - int(np.sum(is_listed))
    return IndexSummary(
        input=os.fspath(file.path),
        out=os.fspath(path),
        records=found.records,
        listed=found.records - left_out,
        left_out={NO_IMAGE: left_out} if left_out else {},
        doubtful=len(found.doubtful),
        key_kind="ids" if by_id else "ordinals",
        bytes_out=bytes_out,
        damage=damaged_ranges(found.damage, file.size),
        damaged_ranges=len(found.damage),
        damaged_bytes=found.damage.nbytes,
        seconds=round(time.monotonic() - started, 3),
        dry_run=dry_run,
        warnings=_warnings(file, offsets[is_listed], lacks_ids=keys == BY_ID and not by_id),
    )


def _scanned(file: InputFile, reader: str | None, progress: Progress) -> _Listed:
    """Return the records of *file*. Raises InputError, CorruptRecordError when there are none."""
    found = scan_all(file, lambda: _Listed(file, reader, progress), careful=True)
    progress(found.records, 1.0)  # also where the file ends with damage
    if not found.records:
        check_line_ends(file, HEAD_BYTES)  # every record may be shorter than its length word says
        error = CorruptRecordError("no record in it is whole", hint="fetch or copy it again")
        error.path = file.path
        raise error
    if not any(mask.any() for mask in found.is_listed):
        raise InputError("all of its records have labels and no image", path=file.path)
    return found


def _warnings(file: InputFile, offsets: Offsets, *, lacks_ids: bool) -> list[str]:
    problems = []
    if lacks_ids:
        problems.append("some records are too short for an image header, and have no ids; the keys are ordinals")
    if moved := int(np.sum(offsets % 4 != 0)):
        are = counted(moved, "record is", "records are")
        problems.append(f"{are} not at a multiple of 4 bytes, where readers expect them; 'im2rec recover' mends that")
    return [f"{file.path}: {problem}" for problem in problems]


def _pieces(keys: Keys, offsets: Offsets) -> Iterator[bytes]:
    """Yield the lines of an index in pieces of some thousand."""
    for start in range(0, len(keys), _LINES):
        yield index_lines(keys[start : start + _LINES], offsets[start : start + _LINES])


class _Listed(ScannedRecords):
    """The records of a scan, with a mask for each block of those that the index lists."""

    def __init__(self, file: InputFile, reader: str | None, progress: Progress) -> None:
        super().__init__()
        self.is_listed: list[npt.NDArray[np.bool_]] = []
        self._size, self._only_images, self._progress = file.size, reader == DALI, progress

    def add(self, block: RecordBlock) -> None:
        """Take the next records."""
        super().add(block)
        sizes, flags = np.array(block.sizes, np.int64), block.headers["flag"].astype(np.int64)
        is_empty = (sizes >= HEADER_BYTES) & (flags > 0) & (sizes == HEADER_BYTES + 4 * flags)
        self.is_listed.append(~(is_empty & self._only_images))
        self._progress(self.records, block.offsets[-1] / self._size)


def _default_path(rec: Path, reader: str | None) -> Path:
    """Return the name of an index beside *rec*: that of the one which is there, or else the usual one."""
    if reader is None:
        return find_index(rec) or index_to_write(rec)
    return reader_index_path(rec, reader)
