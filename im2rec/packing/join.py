"""Join the parts of one pack into the ``.rec``, the index and the report that one run would have written."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from im2rec.errors import CorruptRecordError, InputError, LineError, OutputError, ParameterError
from im2rec.format.heads import FIRST, FLAG_SHIFT, HEAD_BYTES, LENGTH_MASK, MAGIC_WORD, WHOLE
from im2rec.format.indexfile import Keys, Offsets, index_blocks
from im2rec.packing.part_set import Part, check_files, part_of, read_parts, refuse_part_files
from im2rec.packing.report import report_path
from im2rec.progress import Progress
from im2rec.schema import BYTES_OUT, DRY_RUN, FILES, SECONDS, WARNINGS, described
from im2rec.storage import disk
from im2rec.storage.classes import ClassesCopy, class_names_beside, classes_path, find_classes
from im2rec.storage.companions import index_to_write
from im2rec.storage.digest import digest_path
from im2rec.storage.files import InputFile, PathLike, open_binary, reading, with_path
from im2rec.storage.output import AtomicFile, refuse_existing, remove_leftover, writing
from im2rec.storage.writer import RecordWriter

_PIECE_BYTES = 8 << 20  # the most that is read and written at once; a multiple of 4, as all offsets are
_DAMAGED = "pack the part again, or fetch it again"


@dataclasses.dataclass
class JoinSummary:
    """The result of :func:`join`, as ``--json`` prints it."""

    inputs: list[str] = described("The parts, in their order in the list.")
    out: str = described("The file that is written.")
    records: int = described("Records in the parts, and in the output.")
    bad: dict[str, int] = described("Images that were left out when the parts were packed, by reason.")
    bytes_out: int = described(BYTES_OUT)
    seconds: float = described(SECONDS, 0.0)
    files: list[str] = described(FILES, factory=list)
    report: str | None = described("Path of the report with an object for each image that was left out.", None)
    warnings: list[str] = described(WARNINGS, factory=list)
    dry_run: bool = described(DRY_RUN, False)


def join(
    parts: Iterable[PathLike],
    out: PathLike,
    *,
    force: bool = False,
    digest: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> JoinSummary:
    """Join *parts*, all parts of one pack with ``nsplit`` in any order, to *out*, its index and its report.

    The files are, byte for byte, those of one run without ``nsplit``; *digest* writes the digest, too. The class names
    beside the parts are copied. Each of *parts* is the path of a part, of a file beside it, or a pattern. *progress* is
    called with the number of records and the share of all bytes that are written. A dry run checks the parts.

    Raises InputError for a part that is missing, there twice, of another pack, or that has changed since it was packed,
    CorruptRecordError for one that is damaged, OutputError when a file exists, unless *force*, or cannot be written::

        join(["out.rec.part000", "out.rec.part001"], "out.rec")
    """
    started = time.monotonic()
    target = _target(out)
    found = read_parts(parts)
    files, report = [target, index_to_write(target)], report_path(target)
    refuse_part_files([*files, digest_path(target), report], found)
    refuse_existing([*files, digest_path(target)], force=force)  # an old digest is removed in any case
    files += [digest_path(target)] if digest else []
    with_names, other_names = _class_names(found)
    classes = ClassesCopy(with_names, target, force=force)
    for part in found:
        check_files(part)
    if not any(part.info.records for part in found):
        why = "the reports beside them say why" if any(part.report for part in found) else "their list names no images"
        raise InputError("no part holds a record", hint=why)
    if not dry_run:
        # Its lock comes before the first change of any file, and is held until the last file has its name.
        with contextlib.closing(_Output(target, found, force=force, digest=digest)) as output:
            _Copier(found, output.writer, output.report, progress or (lambda _records, _share: None)).copy()
            output.publish()
            classes.write()
    bad = sum((Counter(part.info.bad) for part in found), Counter[str]())
    return JoinSummary(
        inputs=[os.fspath(part.rec) for part in found],
        out=os.fspath(target),
        records=sum(part.info.records for part in found),
        bad=dict(bad.most_common()),
        bytes_out=sum(part.info.rec_bytes for part in found),
        seconds=round(time.monotonic() - started, 3),
        files=[os.fspath(file) for file in (*files, *classes.files)],
        report=os.fspath(report) if bad and not dry_run else None,
        warnings=other_names + classes.warnings,
        dry_run=dry_run,
    )


def outputs_of(out: PathLike) -> list[Path]:
    """Return the paths that *out* and the files beside it may have."""
    return [Path(out), index_to_write(out), digest_path(out), report_path(Path(out)), classes_path(out)]


def _target(out: PathLike) -> Path:
    """Return the path to write. Raises ParameterError or OutputError for a name that cannot be one."""
    target = Path(out)
    if part_of(target) is not None:
        raise ParameterError(f"{target}: is the name of a part", hint="name the .rec to write as the last word")
    if target.suffix == ".idx":
        raise ParameterError(f"{target}: is the name of an index", hint="name the .rec")
    refuse_existing([target], force=True)  # a folder: "dir/" has no name to derive the other names from
    return target


def _class_names(parts: Sequence[Part]) -> tuple[Path, list[str]]:
    """Return the first part with class names beside it, or the first of all, and warnings of other names."""
    beside = {found: part.rec for part in parts if (found := find_classes(part.rec)) is not None}
    if not beside:
        return parts[0].rec, []
    first = next(iter(beside))
    names, _ = class_names_beside(beside[first])
    warnings = []
    for path, rec in beside.items():
        others, _ = class_names_beside(rec)
        if names is not None and others is not None and names.names != others.names:
            warnings.append(f"{path}: has other class names than {first}, which are copied")
    return beside[first], warnings


class _Output:
    """The ``.rec`` *target*, locked, with its index, perhaps its digest, and a report if one of *parts* has one.

    Raises OutputError.
    """

    def __init__(self, target: Path, parts: Sequence[Part], *, force: bool, digest: bool) -> None:
        self.writer = RecordWriter(target, force=force, digest=digest)
        self.report: AtomicFile | None = None
        self._report_path = report_path(target)
        try:
            if any(part.report for part in parts):
                self.report = AtomicFile(self._report_path, force=True)
            else:
                remove_leftover(self._report_path)
        except BaseException:
            self.close()
            raise

    def publish(self) -> None:
        """Write the files to the disk and give them their names. Raises OutputError.

        The report of an earlier run is removed before the ``.rec`` has its name: it never stands beside the new one.
        """
        self.writer.finish()
        with writing(self._report_path):
            disk.remove(self._report_path)
        self.writer.publish()
        if self.report is not None:
            try:
                self.report.rename()
            except OutputError as error:
                rec = self.writer.path
                error.hint = f"{rec} is complete, and its report is missing; join again with force=True to write it"
                raise
        disk.sync_folder(self._report_path.parent)

    def close(self) -> None:
        """Remove what has no name yet, and end the lock."""
        if self.report is not None:
            self.report.discard()
        self.writer.discard()


class _Copier:
    """Copies the records of parts, as they are, and their reports."""

    def __init__(
        self, parts: Sequence[Part], writer: RecordWriter, report: AtomicFile | None, progress: Progress
    ) -> None:
        self._parts, self._writer, self._report, self._progress = parts, writer, report, progress
        self._total = sum(part.info.rec_bytes for part in parts)
        self._written = 0

    def copy(self) -> None:
        """Copy all parts. Raises InputError, IndexFormatError, CorruptRecordError, OutputError."""
        for part in self._parts:
            check_files(part)  # again, as a part that is packed anew meanwhile would make a wrong file
            if part.info.records:
                self._copy_records(part)
            if part.report is not None and self._report is not None:
                _copy_report(part.report, self._report)
        if self._report is not None:
            self._report.finish()  # a full disk is found before the .rec gets its name

    def _copy_records(self, part: Part) -> None:
        records = 0
        with InputFile(part.rec) as file:
            for keys, starts, end in _indexed(part):
                frames = _Frames(file, starts, end, records)
                self._writer.write_frames(self._counted(frames.pieces()), keys, frames.sizes)
                self._progress(self._writer.records, self._written / self._total)  # its records count from now on
                records += len(keys)
        if records != part.info.records:
            problem = f"lists {records:,} records, and the part has {part.info.records:,}"
            raise InputError(problem, path=part.index, hint=_DAMAGED)

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            self._written += len(piece)
            self._progress(self._writer.records, self._written / self._total)


def _copy_report(path: Path, report: AtomicFile) -> None:
    with InputFile(path) as file:
        for piece in file.pieces(0, file.size):
            report.write(piece)


def _indexed(part: Part) -> Iterator[tuple[Keys, Offsets, int]]:
    """Yield the index of *part* in blocks: keys, the offsets at which records start, and that at which the last ends.

    Raises InputError, IndexFormatError.
    """
    before: tuple[Keys, Offsets] | None = None
    try:
        with reading(part.index), open_binary(part.index) as stream:
            for keys, starts in index_blocks(stream):
                if not len(starts):  # of blank lines
                    continue
                if before is not None:
                    yield *before, int(starts[0])
                elif starts[0]:
                    raise InputError("does not begin at byte 0", path=part.index, hint=_DAMAGED)
                before = keys, starts
            if before is not None:
                yield *before, part.info.rec_bytes
    except LineError as error:
        raise with_path(error, part.index) from None


class _Frames:
    """The frames of consecutive records of *file*: they start at *starts*, and the last one ends at *end*.

    *first* is the ordinal of the first of them. Raises CorruptRecordError unless each is at least a part head long.
    """

    def __init__(self, file: InputFile, starts: Offsets, end: int, first: int) -> None:
        self.sizes: Offsets = np.diff(starts, append=end)
        self._file, self._starts, self._end, self._first = file, starts, end, first
        self._check((self.sizes >= HEAD_BYTES) & (self.sizes % 4 == 0), 0)

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes of all in pieces of at most 8 MiB. Raises InputError, CorruptRecordError for a wrong head."""
        at, after = int(self._starts[0]), 0
        while at < self._end:
            row, size = after, min(_PIECE_BYTES, self._end - at)
            after = int(np.searchsorted(self._starts, at + size))
            heads = (self._starts[row:after] - at) // 4
            if len(heads) and 4 * heads[-1] + HEAD_BYTES > size:  # no head is cut by the end of a piece
                heads, after, size = heads[:-1], after - 1, size - 4
            piece = self._file.read_at(at, size)
            if len(piece) < size:
                raise self._corrupt("ends here", at + len(piece), None)
            self._check_heads(np.frombuffer(piece, "<u4"), heads, row)
            at += size
            yield piece

    def _check_heads(self, words: np.ndarray, heads: Offsets, row: int) -> None:
        """Check the part heads at the positions *heads* in *words*, of the records from *row* on.

        Raises CorruptRecordError.
        """
        flags, lengths = words[heads + 1] >> FLAG_SHIFT, (words[heads + 1] & LENGTH_MASK).astype(np.int64)
        needed, sizes = HEAD_BYTES + (lengths + 3) // 4 * 4, self.sizes[row : row + len(heads)]
        is_right = ((flags == WHOLE) & (needed == sizes)) | ((flags == FIRST) & (needed < sizes))
        self._check((words[heads] == MAGIC_WORD) & is_right, row)

    def _check(self, is_right: np.ndarray, row: int) -> None:
        """Raise CorruptRecordError for the first record, from *row* on, that is not right."""
        if not is_right.all():
            wrong = row + int(np.flatnonzero(~is_right)[0])
            raise self._corrupt("no record of the index is here", int(self._starts[wrong]), self._first + wrong)

    def _corrupt(self, problem: str, offset: int, record: int | None) -> CorruptRecordError:
        error = CorruptRecordError(problem, offset=offset, hint=_DAMAGED)
        error.path, error.record = self._file.path, record
        return error
