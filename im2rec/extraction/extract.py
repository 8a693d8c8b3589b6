"""The images of a ``.rec`` out again, byte for byte: into folders with a list, or into tar shards."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from im2rec.errors import ParameterError
from im2rec.extraction.resumable_folder import ExtractionProgress, ResumableFolder
from im2rec.extraction.selection import (
    EMPTY,
    ID2,
    LABEL_BITS,
    LABEL_FIELD,
    LEFT_OUT,
    ONE_LABEL,
    VECTOR,
    ScannedFile,
    SelectedRecords,
    Selection,
    choose,
    class_numbers,
    label_text,
)
from im2rec.extraction.writers import MB, FolderWriter, ShardWriter, Writer, check_listed, class_folders, read_samples
from im2rec.format.irheader import HEADER_BYTES
from im2rec.format.recordio import HEAD_BYTES
from im2rec.images.codec import NOT_AN_IMAGE
from im2rec.parallel import Progress
from im2rec.storage.files import PathLike, reading

FOLDER, TAR = "folder", "tar"
DEFAULT_SHARD_MB = 1000.0
WITH_ID2 = "with an id2, which is not kept"
CHANGES = {
    ONE_LABEL: "vector of a single label",
    LABEL_FIELD: "label field that is not the first label",
    LABEL_BITS: "label of -0 or an odd NaN",
}
_SCAN_SHARE = 0.1  # of the progress shown: the headers are a small part of the file


@dataclasses.dataclass(frozen=True)
class ExtractOptions(Selection):
    """Which images to extract, and to what.

    *to* is ``folder`` or ``tar``; *classes* a ``.classes.txt`` whose folders stand for the labels; *shard_mb* the most
    a shard may take (1000).
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
    """What :func:`extract` did, earlier runs that it went on from included.

    *left_out* counts records without an image; *problems* what is not there as it should be, by reason; *changes* the
    records that come out of ``pack`` with another header, but the same labels. *resumed* records were
    there already. In a dry run *bytes* are those of labels and padding too.
    """

    rec: str
    out: str
    to: str
    records: int
    pictures: int
    images: int
    classes: int
    bytes: int
    left_out: dict[str, int]
    problems: dict[str, int]
    changes: dict[str, int]
    vectors: bool
    list_file: str | None
    shards: int
    resumed: int = 0
    seconds: float = 0.0
    images_per_s: float = 0.0
    dry_run: bool = False


def extract(
    rec: PathLike,
    out: PathLike,
    options: ExtractOptions | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ExtractSummary:
    """Write the images of *rec* that *options* choose into the new folder *out*, their bytes as they are stored.

    Everything goes to ``<out>.partial`` first; the same call goes on there after a kill, and gives the same files.
    Memory: some 30 bytes a record, and a batch of some megabytes. *progress* is called with the images written so far
    and the share of the work that is done. A dry run reads the headers and writes nothing.
    Raises InputError when *rec* or the classes cannot be used or no image is chosen, CorruptRecordError for damage,
    OutputError when *out* is not empty (*force* replaces an earlier extraction) or cannot be written.
    """
    started = time.monotonic()
    options, stem, report = options or ExtractOptions(), Path(rec).stem, progress or (lambda _count, _share: None)
    folders = None if options.classes is None else class_folders(options.classes, list_name(stem))
    inputs = [name for name in (rec, options.classes) if name is not None]
    partial = ResumableFolder(out, _identity(rec, options, folders), inputs=inputs, force=force)
    with ScannedFile(rec, progress=lambda share: report(0, share * _SCAN_SHARE)) as file:
        chosen = choose(file, options)
        if options.classes is not None and folders is not None:
            check_listed(file.labels[chosen.ordinals], folders, options.classes)
        if not dry_run:
            with partial:
                _write(file, chosen, _writer(partial, stem, options, folders), report)
        summary = _summary(file, chosen, _expected(file, chosen) if dry_run else partial.done, options, Path(out))
    summary.resumed, summary.dry_run = partial.resumed, dry_run
    summary.seconds = round(time.monotonic() - started, 3)
    summary.images_per_s = round((len(chosen.ordinals) - partial.resumed) / max(summary.seconds, 1e-9), 1)
    return summary


def list_name(stem: str) -> str:
    """The list that packs the extraction of ``<stem>.rec`` again."""
    return f"{stem}.lst"


def _identity(rec: PathLike, options: ExtractOptions, folders: list[str] | None) -> dict[str, Any]:
    """What makes one extraction: the file as it is now, and every option that changes what is written."""
    with reading(rec):
        status = Path(rec).stat()
    classes = None if folders is None else "\n".join(folders).encode("utf-8", "surrogateescape")
    return {
        "rec": str(Path(rec).resolve()),
        "bytes": status.st_size,
        "changed_at": dt.datetime.fromtimestamp(status.st_mtime, dt.timezone.utc).isoformat(),
        "to": options.to,
        "head": options.head,
        "keys": sorted(set(options.keys)),
        "labels": sorted({label_text(label) for label in options.labels}),
        "min_images": options.min_images,
        "classes": classes and hashlib.sha256(classes).hexdigest(),
        "shard_mb": (options.shard_mb or DEFAULT_SHARD_MB) if options.to == TAR else None,
    }


def _writer(partial: ResumableFolder, stem: str, options: ExtractOptions, folders: list[str] | None) -> Writer:
    if options.to == FOLDER:
        return FolderWriter(partial, list_name(stem), folders)
    return ShardWriter(partial, stem, int((options.shard_mb or DEFAULT_SHARD_MB) * MB))


def _write(file: ScannedFile, chosen: SelectedRecords, writer: Writer, report: Progress) -> None:
    with writer:
        for batch in read_samples(file, chosen, writer.done.records):
            for sample in batch:
                writer.add(sample)
            writer.pause()
            written = writer.done.records
            report(written, _SCAN_SHARE + (1 - _SCAN_SHARE) * written / len(chosen.ordinals))
        writer.finish()
    writer.place.complete()


def _expected(file: ScannedFile, chosen: SelectedRecords) -> ExtractionProgress:
    """What can be told before a record is read whole; the bytes are those of label vectors and padding too."""
    count = len(chosen.ordinals)
    return ExtractionProgress(
        count, bytes=int(np.sum(file.sizes(chosen.ordinals))) - count * (HEAD_BYTES + HEADER_BYTES)
    )


def _summary(
    file: ScannedFile, chosen: SelectedRecords, done: ExtractionProgress, options: ExtractOptions, out: Path
) -> ExtractSummary:
    to, images = options.to, done.records - done.not_images
    states = file.states[chosen.ordinals]
    counts = {bit: int(np.sum(states & bit > 0)) for bit in (ID2, VECTOR, *CHANGES)}
    counts[LABEL_BITS] += done.lost_bits
    left_out = {why: count for why, count in chosen.left_out.items() if why != LEFT_OUT[EMPTY]}
    problems = {NOT_AN_IMAGE: done.not_images, WITH_ID2: counts[ID2], **left_out}
    return ExtractSummary(
        rec=os.fspath(file.path),
        out=str(out),
        to=to,
        records=len(file),
        pictures=chosen.pictures,
        images=images,
        classes=len(np.unique(class_numbers(file.labels[chosen.ordinals]))),
        bytes=done.bytes,
        left_out={why: count for why, count in chosen.left_out.items() if why == LEFT_OUT[EMPTY]},
        problems={why: count for why, count in problems.items() if count},
        changes={why: counts[bit] for bit, why in CHANGES.items() if counts[bit] and to == FOLDER},
        vectors=counts[VECTOR] > 0,
        list_file=str(out / list_name(file.path.stem)) if to == FOLDER and images else None,
        shards=done.shards,
    )
