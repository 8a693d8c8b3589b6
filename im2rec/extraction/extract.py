"""Extract the images of a ``.rec``, byte for byte, to folders with a list or to tar shards."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from im2rec.errors import IndexFormatError, InputError, ParameterError, counted
from im2rec.extraction.class_folders import ClassFolders, find_class_folders
from im2rec.extraction.resumable_folder import ExtractionProgress, ResumableFolder
from im2rec.extraction.writers import MB, FolderWriter, ShardWriter, Writer, find_stranger, read_samples
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.irheader import HEADER_BYTES, label_text, not_finite_problem
from im2rec.images.signatures import NOT_AN_IMAGE
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.schema import BYTES_OUT, CLASSES_FILE, DRY_RUN, INPUT, RATE, RECORDS, SECONDS, WARNINGS, described
from im2rec.selection.filters import SelectedRecords, Selection, class_numbers, index_lines, select_records
from im2rec.selection.headers import EMPTY, ID2, LABEL_BITS, LABEL_FIELD, LEFT_OUT, ONE_LABEL, VECTOR, ScannedFile
from im2rec.storage.damaged_range import (
    DAMAGE,
    DAMAGED_BYTES,
    DAMAGED_RANGES,
    DAMAGED_RECORDS,
    DOUBTFUL,
    LOST,
    MAX_NAMED,
    DamagedRange,
    damaged_ranges,
)
from im2rec.storage.files import PathLike, name_text, reading
from im2rec.storage.opening import open_rec
from im2rec.storage.reader import KEEP

FOLDER, TAR = "folder", "tar"
DEFAULT_SHARD_MB = 1000.0
WITH_ID2 = "with an id2, which is not kept"
SINGLE_LABEL, OTHER_FIELD = "vector of a single label", "label field that is not the first label"
ODD_LABEL = "label of -0 or an odd NaN"
CHANGES = {ONE_LABEL: SINGLE_LABEL, LABEL_FIELD: OTHER_FIELD, LABEL_BITS: ODD_LABEL}
_SCAN_SHARE = 0.1  # of the progress: reading all headers is the shorter part of the work
_READING = Phase("reading headers", "record", 0.0, _SCAN_SHARE)


@dataclasses.dataclass(frozen=True)
class ExtractOptions(Selection):
    """Options of an extraction: the selection of images, and the form of the output.

    *to* is ``folder`` or ``tar``. *classes* is the path of a ``.classes.txt``, which names the folder of each label;
    None takes the one beside the ``.rec``, if there is one, and ``none`` the labels themselves. *shard_mb* is the
    maximum size of a shard in MB, 1000 if None. Raises ParameterError.
    """

    to: str = FOLDER
    classes: PathLike | None = None
    shard_mb: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.to not in (FOLDER, TAR):
            raise ParameterError(f"--to={self.to} must be folder or tar")
        if self.classes is not None and self.to == TAR:
            raise ParameterError("--classes names folders, and --to tar makes none", hint="leave it out")
        if self.shard_mb is not None and self.to != TAR:
            raise ParameterError("--shard-size is for --to tar", hint="add --to tar")
        if self.shard_mb is not None and not 0 < self.shard_mb < math.inf:
            raise ParameterError(f"--shard-size={self.shard_mb:g} must be above 0")


@dataclasses.dataclass
class ExtractSummary:
    """The result of :func:`extract`, as ``--json`` prints it; the counts include the earlier runs that it resumed."""

    input: str = described(INPUT)
    out: str = described("The folder that is written to.")
    to: str = described("`folder` or `tar`.")
    records: int = described(RECORDS)
    all_images: int = described("Images in the input, extracted or not.")
    images: int = described("Images that were extracted, or would be.")
    classes: int = described("Classes of these images.")
    bytes_out: int = described(f"{BYTES_OUT} In a dry run it includes label vectors and padding.")
    left_out: dict[str, int] = described("Files or records that were left out, by reason.")
    problem_records: dict[str, int] = described("Records that are not valid or cannot be packed again, by problem.")
    changes: dict[str, int] = described("Records that `pack` writes with the same labels in another header, by change.")
    vectors: bool = described("Whether there are label vectors.")
    list_file: str | None = described("Path of the list that packs the images again.")
    shards: int = described("Tar files.")
    resumed: int = described("Records that earlier runs have written.", 0)
    seconds: float = described(SECONDS, 0.0)
    images_per_s: float = described(RATE, 0.0)
    dry_run: bool = described(DRY_RUN, False)
    classes_file: str | None = described(CLASSES_FILE, None)
    warnings: list[str] = described(WARNINGS, factory=list)
    damage: list[DamagedRange] = described(DAMAGE, factory=list)
    damaged_ranges: int = described(DAMAGED_RANGES, 0)
    damaged_bytes: int = described(DAMAGED_BYTES, 0)
    damaged_records: int = described(DAMAGED_RECORDS, 0)
    lost: int | None = described(LOST, None)
    doubtful: int = described(DOUBTFUL, 0)


def extract(
    rec: PathLike,
    out: PathLike,
    options: ExtractOptions | None = None,
    *,
    force: bool = False,
    restart: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ExtractSummary:
    """Write the images of *rec* that *options* select to the new folder *out*, byte for byte as they are stored.

    The files are written to ``<out>.im2rec-partial``, which is renamed at the end. After a kill the same call resumes
    there and gives the same files; *restart* removes what is there and begins again. Memory: some 30 bytes a record,
    and a batch of some megabytes. *progress* is called with the number of records whose headers are read, then of those
    that are written, by earlier runs too, and the share of the whole work that is done. A dry run reads the headers and
    writes nothing. Of a damaged file all whole records are extracted, and the damage is in the summary. Raises
    InputError when *rec* or the classes cannot be used or no image is selected, CorruptRecordError when all that could
    be selected is lost, OutputError when *out* is not empty (*force* replaces an earlier extraction), is being written
    by another run, or cannot be written::

        extract("train.rec", "train", ExtractOptions(labels=(3, 7)))
    """
    started = time.monotonic()
    options, stem, report = options or ExtractOptions(), Path(rec).stem, begin_phase(progress, _READING)
    folders = find_class_folders(rec, options.classes, list_name(stem)) if options.to == FOLDER else ClassFolders()
    partial = ResumableFolder(
        out, _identity(rec, options, folders.names), find_stranger=find_stranger, force=force, restart=restart
    )
    scan_options: dict[str, Any] = {"index": options.index, "doubtful": options.doubtful}
    with contextlib.ExitStack() as stack:
        if not dry_run:
            stack.enter_context(partial)  # before the scan, so that a second run is refused at its start
        file = stack.enter_context(ScannedFile(rec, **scan_options, progress=report))
        selected = select_records(file, options)
        folders.check_labels(file.first_labels[selected.ordinals])
        if not dry_run:
            _write(file, selected, _make_writer(partial, stem, options, folders.names), progress)
        counts = _predict_counts(file, selected) if dry_run else partial.progress
        summary = _summary(file, selected, counts, options, Path(out))
    summary.resumed, summary.dry_run = partial.resumed, dry_run
    summary.classes_file = os.fspath(folders.path) if folders.path and folders.names is not None else None
    summary.warnings = [*folders.warnings, *summary.warnings]
    summary.seconds = round(time.monotonic() - started, 3)
    summary.images_per_s = round((len(selected.ordinals) - partial.resumed) / max(summary.seconds, 1e-9), 1)
    return summary


def list_name(stem: str) -> str:
    """Return the file name of the list that is written with the images of ``<stem>.rec``."""
    return f"{stem}.lst"


def _identity(rec: PathLike, options: ExtractOptions, folders: list[str] | None) -> dict[str, Any]:
    """Return what identifies an extraction: path, size and time of the file, and each option that changes the output.

    Only a run with the same identity resumes an unfinished folder.
    """
    with open_rec(rec), reading(rec):
        status = Path(rec).stat()
    classes = None if folders is None else "\n".join(folders).encode("utf-8", "surrogateescape")
    key_lists = {"listed": options.listed, "dropped": options.dropped}
    return {
        "rec": name_text(str(Path(rec).resolve())),
        "stem": name_text(Path(rec).stem),  # of the list and of shards; that of a link may be another one
        "bytes": status.st_size,
        "changed_at": dt.datetime.fromtimestamp(status.st_mtime, dt.timezone.utc).isoformat(),
        "to": options.to,
        "head": options.head,
        "keys": sorted(set(options.keys)),
        "labels": sorted({label_text(label) for label in options.labels}),
        "min_images": options.min_images,
        **{name: getattr(options, name) for name in ("ids", "label_ranges", "max_images") if getattr(options, name)},
        **{name: hashlib.sha256(keys.tobytes()).hexdigest() for name, keys in key_lists.items() if keys is not None},
        "classes": None if classes is None else hashlib.sha256(classes).hexdigest(),
        **({} if options.index else {"index": False}),
        **({} if options.doubtful == KEEP else {"doubtful": options.doubtful}),
        "shard_mb": (options.shard_mb or DEFAULT_SHARD_MB) if options.to == TAR else None,
    }


def _make_writer(partial: ResumableFolder, stem: str, options: ExtractOptions, folders: list[str] | None) -> Writer:
    if options.to == FOLDER:
        return FolderWriter(partial, list_name(stem), folders)
    return ShardWriter(partial, stem, int((options.shard_mb or DEFAULT_SHARD_MB) * MB))


def _write(file: ScannedFile, selected: SelectedRecords, writer: Writer, progress: Progress | None) -> None:
    """Write the selected images that earlier runs have not written, then give the folder its final name."""
    done, count = writer.progress.records, len(selected.ordinals)
    report = begin_phase(progress, Phase("extracting", "record", _SCAN_SHARE, count=done, share=done / max(1, count)))
    with writer:
        for batch in read_samples(file, selected, writer.progress.records):
            for sample in batch:
                if sample is None:
                    writer.leave_out()
                else:
                    writer.add(sample)
            writer.save_progress()
            written = writer.progress.records
            report(written, written / count)
        writer.finish()
    writer.folder.complete()


def _predict_counts(file: ScannedFile, selected: SelectedRecords) -> ExtractionProgress:
    """Return the counts that the headers alone give, for a dry run; the bytes include label vectors and padding."""
    count = len(selected.ordinals)
    size = int(np.sum(file.frame_sizes(selected.ordinals))) - count * (HEAD_BYTES + HEADER_BYTES)
    return ExtractionProgress(count, bytes=size)


def _summary(
    file: ScannedFile, selected: SelectedRecords, done: ExtractionProgress, options: ExtractOptions, out: Path
) -> ExtractSummary:
    to, images = options.to, done.records - done.not_images - done.damaged
    states = file.states[selected.ordinals]
    counts = {bit: int(np.sum(states & bit > 0)) for bit in (ID2, VECTOR, *CHANGES)}
    counts[LABEL_BITS] += done.lost_bits
    unusable = {why: count for why, count in selected.left_out.items() if why != LEFT_OUT[EMPTY]}
    problems = {NOT_AN_IMAGE: done.not_images, WITH_ID2: counts[ID2], **unusable}
    return ExtractSummary(
        input=os.fspath(file.path),
        out=str(out),
        to=to,
        records=len(file),
        all_images=selected.images,
        images=images,
        classes=len(np.unique(class_numbers(file.first_labels[selected.ordinals]))),
        bytes_out=done.bytes,
        left_out={why: count for why, count in selected.left_out.items() if why == LEFT_OUT[EMPTY]},
        problem_records={why: count for why, count in problems.items() if count},
        changes={why: counts[bit] for bit, why in CHANGES.items() if counts[bit] and to == FOLDER},
        vectors=counts[VECTOR] > 0,
        list_file=str(out / list_name(file.path.stem)) if to == FOLDER and images else None,
        shards=done.shards,
        warnings=[*_lost_keys(file, selected), *_label_warnings(file, selected)],
        damage=damaged_ranges(file.damage, file.size),
        damaged_ranges=file.damaged_ranges,
        damaged_bytes=file.damaged_bytes,
        damaged_records=done.damaged,
        doubtful=len(file.doubtful),
        lost=_count_lost(file, options),
    )


def _count_lost(file: ScannedFile, options: ExtractOptions) -> int | None:
    """Return how many records the index lists that are lost; None if there is no index that can be used."""
    try:
        lines = index_lines(file, index=options.index)
    except (IndexFormatError, InputError):
        return None
    return len(lines.lost) if lines.are_listed else None


def _lost_keys(file: ScannedFile, selected: SelectedRecords) -> list[str]:
    """Return a line on each of the first keys that were asked for and whose records are lost."""
    keys = selected.lost_keys
    lines = [f"{file.path}: no record has the key {key}: it is lost in damaged bytes" for key in keys[:MAX_NAMED]]
    more = len(keys) - len(lines)
    return [*lines, f"{file.path}: {counted(more, 'more key')} of lost records"] if more > 0 else lines


def _label_warnings(file: ScannedFile, selected: SelectedRecords) -> list[str]:
    """Return a line on the first labels that are not finite numbers, if there are any."""
    labels = file.first_labels[selected.ordinals]
    odd = np.flatnonzero(~np.isfinite(labels))
    if not len(odd):
        return []
    return [f"{file.path}: {not_finite_problem(len(odd), int(selected.ordinals[odd[0]]), float(labels[odd[0]]))}"]
