"""Copy everything that is whole in a damaged ``.rec`` to a new one, and say what was lost."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from im2rec.errors import CorruptRecordError, OutputError, ParameterError, counted
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.indexfile import Keys
from im2rec.parallel import WorkerThreads, ordered_map
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.recovery.copying import Copier, Nowhere
from im2rec.recovery.duplicates import count_repeats
from im2rec.recovery.losses import IDS, Losses, OldIndex, find_old_index, list_ids, losses_by_ids
from im2rec.recovery.report import RecoverSummary, write_report
from im2rec.recovery.salvage import SalvagingFile
from im2rec.storage import disk
from im2rec.storage.blocks import Damage, RecordBlock
from im2rec.storage.classes import ClassesCopy, classes_path
from im2rec.storage.companions import find_index, index_to_write
from im2rec.storage.damaged_range import DamagedRange
from im2rec.storage.files import PathLike
from im2rec.storage.foreign import check_kind, check_line_ends
from im2rec.storage.index import belongs
from im2rec.storage.opening import open_rec
from im2rec.storage.output import AtomicFile, refuse_existing, writing
from im2rec.storage.reader import DROP, KEEP
from im2rec.storage.scan import scan_damaged
from im2rec.storage.writer import RecordWriter

_LINE_BYTES = 24  # about the size of a line of an index
_DAMAGE_TESTED = 8  # the first damaged ranges are searched for the effects of text mode


@dataclasses.dataclass(frozen=True)
class RecoverOptions:
    """Options of a recovery.

    *index* is the path of the old index: None finds the one beside the ``.rec``, False uses none. *list* is the path of
    the list that the file was packed from, and *report* that of a JSON file to write. *doubtful* is ``keep`` or
    ``drop``. Raises ParameterError.
    """

    index: PathLike | bool | None = None
    list: PathLike | None = None
    report: PathLike | None = None
    doubtful: str = KEEP

    def __post_init__(self) -> None:
        if self.doubtful not in (KEEP, DROP):
            raise ParameterError(f"--doubtful={self.doubtful} must be keep or drop")


def recover(
    rec: PathLike,
    out: PathLike,
    options: RecoverOptions | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> RecoverSummary:
    """Copy every whole record of *rec*, byte for byte, to the new file *out*, and write its index.

    Class names beside *rec* are copied, as ``OUT.classes.txt``. The keys of the index are the ids of the records, or
    their ordinals if any payload is too short for an image header. Doubtful records, which end at damage and which
    nothing proves to be whole, are copied and counted. Bytes that the disk cannot read are damage. Memory: 16 bytes a
    record and some megabytes, and what the lost records and the damaged ranges take in the result. *progress* is called
    with the number of records so far and the share of the file that was read. A dry run reads everything and writes
    nothing.

    Raises InputError for a file that cannot be read or is not a RecordIO file, CorruptRecordError when no record is
    whole, OutputError when an output exists (*force* replaces it), is one of the inputs, or does not fit on the disk::

        recover("train.rec", "saved.rec", RecoverOptions(list="train.lst"))
    """
    options = options or RecoverOptions()
    open_rec(rec).close()  # for its errors: they name the file that was probably meant
    outputs = [Path(out), index_to_write(out), *([Path(options.report)] if options.report is not None else [])]
    with SalvagingFile(rec) as file:
        check_kind(file)
        index, warnings = find_old_index(rec, options.index)
        # The index beside the file is kept from harm, even when it is not used: OUT may be another name beside it.
        candidates = (rec, find_index(rec), index.path if index else None, options.list)
        inputs = [path for path in candidates if path is not None]
        _check_outputs(inputs, outputs, classes_path(out), force=force)
        expected = list_ids(options.list) if options.list is not None else None
        classes = ClassesCopy(rec, out, force=force)
        run = _Run(file, Path(out), options, index, expected, progress or (lambda _records, _share: None))
        run.warnings += warnings + classes.warnings
        run.classes_out = os.fspath(classes.files[0]) if classes.files else None
        if dry_run:
            return run.dry()
        summary = run.write(outputs, force=force)
        classes.write()
        return summary


def _check_outputs(inputs: Iterable[PathLike], outputs: list[Path], classes: Path, *, force: bool) -> None:
    """Raise OutputError for an output that exists, unless *force*, for an input, and for one that is named twice.

    *classes* is where class names may be written, too; that there are some already is no error here.
    """
    inputs, paths = list(inputs), [classes, *outputs]
    for path in paths:
        with writing(path):
            same = [name for name in inputs if path.exists() and path.samefile(name)]
        if same:
            problem = f"is the input {os.fspath(same[0])}" if Path(same[0]) != path else "is the input"
            raise OutputError(problem, path=path, hint="choose another name for the output")
    if len({os.path.abspath(path) for path in paths}) < len(paths):  # noqa: PTH100 - of names that may not exist
        raise OutputError("is written twice", path=outputs[-1], hint="choose another name for the report")
    refuse_existing(outputs, force=force)


class _Run:
    """One recovery: the file, what is known of it, and what comes out."""

    def __init__(
        self,
        file: SalvagingFile,
        out: Path,
        options: RecoverOptions,
        index: OldIndex | None,
        expected: Keys | None,
        progress: Progress,
    ) -> None:
        self.file, self.out, self.options, self.progress = file, out, options, progress
        self.index, self.expected = index, expected
        self._started = time.monotonic()
        self.warnings: list[str] = []
        self.classes_out: str | None = None

    def dry(self) -> RecoverSummary:
        """Read everything and return the summary, without duplicates."""
        out = Nowhere()
        copier = self._copy_to(out)
        summary = self._summary(copier, out, lambda: np.array(out.ids, np.uint64))
        summary.dry_run = True
        return summary

    def write(self, outputs: list[Path], *, force: bool) -> RecoverSummary:
        """Write *outputs*, the ``.rec``, its index and perhaps the report, and return the summary."""
        with contextlib.ExitStack() as stack:
            # Before anything is read, so that a second run is refused at its start.
            writer = stack.enter_context(RecordWriter(self.out, force=force))
            report = None
            if len(outputs) > 2:
                report = stack.enter_context(contextlib.closing(_Report(outputs[2], force=force)))
            self._check_space()
            copier = self._copy_to(writer)
            repeats = _count_repeats(copier, writer)
            summary = self._summary(copier, writer, lambda: _written_ids(writer))
            summary.duplicates = repeats
            if not copier.all_have_headers:
                writer.number_keys()
            if report is not None:
                report.write(summary)
            writer.close()
            if report is not None:
                report.rename()
        return summary

    def _check_space(self) -> None:
        """Raise OutputError if the output will not fit on its disk."""
        with writing(self.out):
            free = shutil.disk_usage(self.out.parent).free
        if free >= self.file.size + self.file.size // 100:  # nearly always
            return
        out = Nowhere()
        index, self.index = self.index, None
        begin_phase(self.progress, Phase("measuring", "record"))
        self._copy_to(out)  # much of the file may be damaged: what comes out is less then
        self.index = index
        begin_phase(self.progress, Phase("recovering", "record"))
        needed = out.offset + _LINE_BYTES * out.records
        if free < needed:
            problem = f"needs {needed:,} bytes, but its disk has {free:,} left"
            raise OutputError(problem, path=self.out, hint="free some space, or write to another disk")

    def _copy_to(self, out: RecordWriter | Nowhere) -> Copier:
        """Copy all records to *out*. Raises CorruptRecordError if there are none."""
        index, drops = self.index, self.options.doubtful == DROP
        copier = Copier(self.file, out, index, drop_doubtful=drops)
        listed = index.offsets if index is not None else None
        tested = 0

        def pieces() -> Iterator[tuple[None, list[RecordBlock | Damage]]]:
            nonlocal tested
            for piece in scan_damaged(self.file, listed=listed, thorough=True):
                if isinstance(piece, Damage) and tested < _DAMAGE_TESTED:
                    tested += 1
                    check_line_ends(self.file, piece.start + HEAD_BYTES)  # the record there may be shorter than it says
                yield None, [piece]

        # A thread copies what the scan has found, while it looks for more.
        with WorkerThreads(1, "im2rec-copy") as threads, contextlib.ExitStack() as stack:
            stack.callback(copier.stop)  # or else, after an interrupt, the thread would first copy all that was found
            for _, (end,) in ordered_map(threads, lambda _, piece: copier.take(piece), pieces(), ahead=1):
                self.progress(copier.records, min(1.0, end / self.file.size))
        if not out.records:
            error = CorruptRecordError("no record in it is whole", hint="fetch or copy it again")
            error.path = self.file.path
            raise error
        self._add_cut(copier)
        if index is not None:
            index.forget_offsets()
        return copier

    def _summary(self, copier: Copier, out: RecordWriter | Nowhere, ids: Callable[[], Keys]) -> RecoverSummary:
        """Return the summary of what *copier* wrote to *out*; *ids* returns the ids there, in any order."""

        def found() -> Keys:
            both = np.concatenate([ids(), np.array(copier.dropped_ids, np.uint64)]) if copier.dropped_ids else ids()
            both.sort()
            return both

        losses = self._losses(copier, found if copier.all_have_headers else None)
        if losses:
            self._place(losses, copier.damage)
        for piece in copier.damage:
            if (unreadable := self.file.unreadable_within(piece.start, piece.end)) is not None:
                piece.problem = f"the disk cannot read bytes {unreadable[0]} to {unreadable[1]}"
        return RecoverSummary(
            input=os.fspath(self.file.path),
            out=os.fspath(self.out),
            index_out=os.fspath(index_to_write(self.out)),
            size=self.file.size,
            records=copier.records,
            doubtful=copier.doubtful,
            written=out.records,
            lost=losses.lost if losses else None,
            listed=losses.listed if losses else None,
            lost_kind=losses.kind if losses else None,
            unplaced_keys=losses.unplaced if losses else [],
            index_is_outdated=losses.moved if losses else False,
            duplicates=None,
            key_kind="ids" if copier.all_have_headers else "ordinals",
            bytes_out=out.offset,
            damage=copier.damage,
            damaged_bytes=sum(piece.end - piece.start for piece in copier.damage),
            unreadable_bytes=sum(end - start for start, end in self.file.unreadable),
            old_index=os.fspath(self.index.path) if self.index else None,
            list_file=os.fspath(self.options.list) if self.options.list is not None else None,
            report=os.fspath(self.options.report) if self.options.report is not None else None,
            seconds=round(time.monotonic() - self._started, 3),
            warnings=self.warnings,
            classes_out=self.classes_out,
        )

    def _place(self, losses: Losses, damage: list[DamagedRange]) -> None:
        """Note in *damage* what was lost in each range; add one, of no bytes, for records that were simply removed."""
        for piece, numbers in zip(damage, losses.placed, strict=True):
            piece.lost_keys = numbers
            piece.lost = len(numbers) if losses.kind else None
        if damage and damage[-1].start == self.file.size and damage[-1].lost == 0:
            damage.pop()  # the file is shorter because of records that were lost elsewhere
        if losses.lost and not damage and losses.first is not None and losses.at is not None:
            problem = f"the file goes on here, but the index lists {counted(losses.lost, 'more record')}"
            damage.append(DamagedRange(losses.at, losses.at, losses.first, problem, losses.lost, list(losses.unplaced)))
            losses.unplaced.clear()

    def _add_cut(self, copier: Copier) -> None:
        """Add an empty damaged range at the end of a file that was cut between two records, as the index tells."""
        size = self.file.size
        if self.index is None or (copier.damage and copier.damage[-1].end == size):
            return
        more = len(self.index.offsets) - int(np.searchsorted(self.index.offsets, size))
        if more and belongs(self.file, self.index.offsets):
            copier.add_damage(size, size, f"the file ends here, but the index lists {counted(more, 'more record')}")

    def _losses(self, copier: Copier, found: Callable[[], Keys] | None) -> Losses | None:
        """Return what is lost, by the old index, or by the list if the index names no ids."""
        losses = None
        if self.index is not None:
            path = self.index.path
            losses = self.index.losses(found, copier.gaps, copier.damage, self.file.size)
            if losses is None:
                self.index = None
                self.warnings.append(f"{path}: does not fit the records of {self.file.path}; it is not used")
        if self.expected is None or (losses is not None and losses.kind == IDS):
            return losses
        by_list = losses_by_ids(self.expected, found(), copier.gaps) if found is not None else None
        if by_list is None:
            self.warnings.append(f"{self.options.list}: does not fit the ids of {self.file.path}; it is not used")
        return by_list or losses


class _Report:
    """The report file, which replaces an old one only when the ``.rec`` is complete."""

    def __init__(self, path: Path, *, force: bool) -> None:
        self._file = AtomicFile(path, force=force)

    def write(self, summary: RecoverSummary) -> None:
        """Write *summary*, and remove an old report, which would be that of another file. Raises OutputError."""
        write_report(self._file, summary)
        self._file.finish()
        with writing(self._file.path):
            disk.remove(self._file.path)

    def rename(self) -> None:
        """Give the report its name. Raises OutputError."""
        self._file.rename()

    def close(self) -> None:
        """Remove the report unless it has its name."""
        self._file.discard()


def _count_repeats(copier: Copier, writer: RecordWriter) -> int:
    """Return how many of the records that were written repeat an earlier one, byte for byte."""
    candidates = copier.fingerprints.candidates()
    if not len(candidates):
        return 0

    def frames() -> Iterable[tuple[int, int]]:
        ordinal = place = 0
        start = -1
        for _, offsets in writer.index_blocks():
            # A record ends where the next one starts, which may be in the next block.
            if start >= 0:
                yield start, int(offsets[0])
                start = -1
            rows = candidates[place : int(np.searchsorted(candidates, ordinal + len(offsets)))] - ordinal
            for row in rows.tolist():
                if row + 1 < len(offsets):
                    yield int(offsets[row]), int(offsets[row + 1])
                else:
                    start = int(offsets[row])
            place, ordinal = place + len(rows), ordinal + len(offsets)
        if start >= 0:
            yield start, writer.offset

    with writer.written() as file:
        return count_repeats(frames(), file.read_at)


def _written_ids(writer: RecordWriter) -> Keys:
    """Return the keys of all records that were written."""
    ids, count = np.empty(writer.records, np.uint64), 0
    for keys, _ in writer.index_blocks():
        ids[count : count + len(keys)] = keys
        count += len(keys)
    return ids
