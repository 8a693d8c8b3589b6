"""Pack the images of a list into a ``.rec`` and its index.

The calling process reads the list, sends batches of lines to workers, and writes the records they return in list order.
The work on the images of a batch is in :func:`im2rec.packing.encode.pack_chunk`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from im2rec.errors import ImageError, ListFormatError, OutputError, ParameterError
from im2rec.format.listfile import ListEntry
from im2rec.packing.image_files import ALLOW, REFUSE, ImageFolder, OutsideCount, image_folder
from im2rec.packing.list_reader import Entry, ListLines
from im2rec.packing.params import PackParams
from im2rec.packing.report import (
    DEFAULT_MAX_BAD,
    BadImage,
    BadLimit,
    BadReport,
    PackCounter,
    PackedChunk,
    PackSummary,
    bad_line,
)
from im2rec.parallel import Progress, available_cpus, run_ordered
from im2rec.storage.classes import ClassesCopy, classes_path
from im2rec.storage.digest import digest_path
from im2rec.storage.files import PathLike, check_folder
from im2rec.storage.index import index_to_write
from im2rec.storage.output import refuse_existing
from im2rec.storage.writer import RecordWriter

CHUNK_S = 0.02  # work in a chunk for one worker; to send it and get the result takes 0.2 ms
MAX_CHUNK_LINES = 64


@dataclasses.dataclass(frozen=True)
class PackOptions:
    """Options of a run that change no byte of a record.

    *workers* None is the number of CPUs that this process may use. *on_error* is ``skip`` or ``fail``, *max_bad* the
    limit of bad images, a number or a percentage. *verify* decodes images that are stored unchanged, too. *outside* is
    ``allow``, or ``refuse``: images outside of the root, also by links, are then bad. *digest* writes the digest of the
    ``.rec`` beside it. Raises ParameterError.
    """

    workers: int | None = None
    on_error: str = "skip"
    max_bad: str = DEFAULT_MAX_BAD
    verify: bool = False
    force: bool = False
    dry_run: bool = False
    outside: str = ALLOW
    digest: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ParameterError(f"--workers={self.workers} must be 1 or more")
        if self.on_error not in ("skip", "fail"):
            raise ParameterError(f"--on-error={self.on_error} must be skip or fail")
        if self.outside not in (ALLOW, REFUSE):
            raise ParameterError(f"--outside={self.outside} must be {ALLOW} or {REFUSE}")
        BadLimit.parse(self.max_bad)


def pack(
    list_path: PathLike,
    root: PathLike,
    out: PathLike,
    params: PackParams | None = None,
    options: PackOptions | None = None,
    *,
    progress: Progress | None = None,
) -> PackSummary:
    """Pack the images that the list *list_path* names, found below the folder *root*, into *out* and its index.

    The class names beside the list are copied beside *out*. The bytes written are the same for any number of workers. A
    bad line or image is left out and reported in ``OUT.bad.jsonl``; with ``on_error="fail"`` the first one ends the
    run. The run also ends when more images are bad than ``max_bad`` allows, or when the first ten are all missing; with
    ``100%`` neither does, and the report stays even when no image could be packed. *progress* is called with the number
    of images packed so far and the share of the list that has been read. A dry run reads the list, checks that the
    image files exist, and writes nothing. Of images that are stored unchanged only the first bytes are checked, unless
    ``verify`` decodes them. Raises InputError when list or root cannot be used or no image could be packed,
    OutputError, ImageError with ``on_error="fail"``, TooManyBadError, WorkerDiedError::

        pack("train.lst", "photos", "train.rec", PackParams(resize=256, quality=90))

    Source: mxnet tools/im2rec.py and tools/im2rec.cc.
    """
    started = time.monotonic()
    params, options = params or PackParams(), options or PackOptions()
    workers = options.workers or available_cpus()
    target = _target(out, params)
    report, files, digest = BadReport(target), [target, index_to_write(target)], digest_path(target)
    check_folder(root)
    lines = ListLines(list_path, label_width=params.label_width, nsplit=params.nsplit, part=params.part, root=root)
    _refuse_list([*files, digest, report.path, classes_path(out)], list_path)
    refuse_existing([*files, digest], force=options.force)  # an old digest is removed in any case
    files += [digest] if options.digest else []
    classes = ClassesCopy(list_path, out, force=options.force)
    max_bad = BadLimit.parse(options.max_bad)
    counter = PackCounter(params, os.fspath(list_path), fail=options.on_error == "fail", max_bad=max_bad)
    report_progress = progress or (lambda _images, _share: None)
    sizer = _ChunkSizer()
    folder, outside = image_folder(root, options.outside), OutsideCount(root)
    entries = lines.entries() if options.outside == REFUSE else outside.check(lines.entries())
    batches = _batches(counter.check_labels(entries), sizer)
    if options.dry_run:
        counter.totals.engine, counter.totals.jpeg_decoder = _library_names(params)
        for batch in batches:
            counter.add(_check_files_exist(batch, folder))
            report_progress(counter.totals.images, lines.share_read())
        counter.check_any_packed()
    else:
        work = functools.partial(pack_in_worker, folder=folder, params=params, verify=options.verify)
        # Reading files and framing them is too little work for processes: threads return records without a copy.
        processes = options.verify or not params.unchanged
        packed = contextlib.closing(run_ordered(work, batches, workers=workers, processes=processes, name=_describe))
        made = functools.partial(RecordWriter, target, force=options.force, digest=options.digest)
        with packed as chunks, report, classes, made() as writer:
            for chunk in chunks:
                _write(chunk, writer, report)
                counter.add(chunk)
                sizer.update(chunk)
                report_progress(counter.totals.images, lines.share_read())
            counter.check_any_packed(report)
            report.finish()
    summary = counter.summary(
        workers=workers,
        seconds=time.monotonic() - started,
        files=[os.fspath(file) for file in (*files, *classes.files)],
        report=os.fspath(report.path) if counter.bad and not options.dry_run else None,
        dry_run=options.dry_run,
        outside=outside.count,
        outside_line=outside.line,
    )
    summary.warnings += classes.warnings
    return summary


def _target(out: PathLike, params: PackParams) -> Path:
    """Return the path of the ``.rec`` to write. Raises ParameterError or OutputError for a name that cannot be one."""
    if Path(out).suffix == ".idx":
        raise ParameterError(f"{os.fspath(out)}: is the name of an index", hint="name the .rec")
    refuse_existing([Path(out)], force=True)  # a folder: "dir/" has no name to derive the other names from
    return part_path(Path(out), params)


def _refuse_list(outputs: list[Path], list_path: PathLike) -> None:
    """Raise OutputError if one of *outputs* is the list."""
    for path in outputs:
        if path.exists() and path.samefile(list_path):
            raise OutputError("is the list itself", path=path, hint="choose another name for the output")


def _library_names(params: PackParams) -> tuple[str, str]:
    """Return the names of the engine and of the JPEG decoder that a run with *params* uses."""
    from im2rec.images.codec import JPEG_DECODER  # noqa: PLC0415 - otherwise only the workers need them
    from im2rec.images.engine import load_engine  # noqa: PLC0415

    return "" if params.unchanged else load_engine(params.engine).name, JPEG_DECODER


def _write(chunk: PackedChunk, writer: RecordWriter, report: BadReport) -> None:
    for key, frame in chunk.frames:
        writer.write_frame(frame, key=key)
    report.add(chunk.bad)


def part_path(out: Path, params: PackParams) -> Path:
    """Return the path that a part is packed into: *out* itself when there is one part, else ``OUT.part000`` etc.

    Source: mxnet tools/im2rec.cc.
    """
    return out if params.nsplit == 1 else out.with_name(f"{out.name}.part{params.part:03d}")


class _ChunkSizer:
    """The number of lines in the next chunk: as many as take about ``CHUNK_S``, whatever the size of the images.

    *lines* starts at 1 and is at most ``MAX_CHUNK_LINES``.
    """

    def __init__(self) -> None:
        self.lines = 1

    def update(self, chunk: PackedChunk) -> None:
        """Set *lines* by the time that *chunk* took; at most double it, as one chunk may be unusually fast."""
        fitting = int(len(chunk.lines) * CHUNK_S / max(chunk.seconds, 1e-6))
        self.lines = max(1, min(fitting, 2 * self.lines, MAX_CHUNK_LINES))


def _batches(entries: Iterator[Entry], sizer: _ChunkSizer) -> Iterator[list[Entry]]:
    while batch := list(itertools.islice(entries, sizer.lines)):
        yield batch


def _describe(entries: list[Entry]) -> str:
    """Name lines and paths of a batch, for the error that a worker died on it."""
    paths = [entry.path for entry in entries if isinstance(entry, ListEntry)]
    return f"lines {entries[0].line} to {entries[-1].line} ({', '.join(paths)})"


def _check_files_exist(entries: list[Entry], folder: ImageFolder) -> PackedChunk:
    """Return the chunk of a dry run: it reports unreadable lines and missing files, and its frames are empty."""
    chunk = PackedChunk()
    for entry in entries:
        if isinstance(entry, ListFormatError):
            chunk.lines.append(bad_line(entry))
            continue
        try:
            chunk.bytes_in += folder.size(entry.path)
        except ImageError as error:
            chunk.lines.append(BadImage(entry.line, entry.id, entry.path, error.reason, error.problem))
        else:
            chunk.frames.append((entry.id, b""))
            chunk.lines.append(None)
    return chunk


def pack_in_worker(entries: Sequence[Entry], folder: ImageFolder, params: PackParams, *, verify: bool) -> PackedChunk:
    """Call :func:`im2rec.packing.encode.pack_chunk`, imported in the worker only: the parent starts 0.1 s sooner."""
    from im2rec.packing.encode import pack_chunk  # noqa: PLC0415

    return pack_chunk(entries, folder, params, verify=verify)
