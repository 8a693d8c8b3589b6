"""Pack the images of a list into a ``.rec`` and its index: plan, work, write, report."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from im2rec.errors import ListFormatError, OutputError, ParameterError
from im2rec.format.listfile import ListEntry
from im2rec.packing.list_reader import Entry, ListLines
from im2rec.packing.params import PackParams
from im2rec.packing.report import (
    DEFAULT,
    MISSING,
    BadImage,
    BadLimit,
    BadReport,
    PackCounter,
    PackedChunk,
    PackSummary,
    bad_line,
)
from im2rec.parallel import Progress, available_cpus, run_ordered
from im2rec.storage.files import PathLike, check_folder, refuse_existing
from im2rec.storage.index import index_to_write
from im2rec.storage.writer import RecordWriter

TASK_S = 0.02  # of work at a time for a worker, against 0.2 ms to hand it over
MOST_LINES = 64


@dataclasses.dataclass(frozen=True)
class PackOptions:
    """How to run, whatever is packed; *workers* None takes the CPUs this process may use."""

    workers: int | None = None
    on_error: str = "skip"
    max_bad: str = DEFAULT
    verify: bool = False
    force: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ParameterError(f"--workers={self.workers} must be 1 or more")
        if self.on_error not in ("skip", "fail"):
            raise ParameterError(f"--on-error={self.on_error} must be skip or fail")
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
    """Pack the images of *list_path*, found below *root*, into *out* and its index.

    The bytes written are the same for any number of workers. A bad line or image is left out and reported in
    ``OUT.bad.jsonl``; with ``on_error="fail"`` the first one ends the run. *progress* is called with the images packed
    so far and the share of the list that has been read. A dry run reads the list, looks whether the files are there,
    and writes nothing.
    The run ends when more are bad than ``max_bad`` allows, or the first ten images are all missing.
    ``verify`` decodes images that are stored unchanged, too; otherwise only their first bytes are looked at.
    Raises InputError when list or root cannot be used or nothing could be packed, OutputError, ImageError with
    ``on_error="fail"``, TooManyBadError, WorkerDiedError.

    Source: mxnet tools/im2rec.py and tools/im2rec.cc.
    """
    started = time.monotonic()
    params, options = params or PackParams(), options or PackOptions()
    workers = options.workers or available_cpus()
    if Path(out).suffix == ".idx":
        raise ParameterError(f"{os.fspath(out)}: is the name of an index", hint="name the .rec")
    refuse_existing([Path(out)], force=True)  # a folder has no name to make others of
    target = part_path(Path(out), params)
    report = BadReport(target)
    files = [target, index_to_write(target)]
    check_folder(root)
    lines = ListLines(list_path, label_width=params.label_width, nsplit=params.nsplit, part=params.part)
    for file in (*files, report.path):
        if file.exists() and file.samefile(list_path):
            raise OutputError(f"{file}: is the list itself", hint="choose another name for the output")
    refuse_existing(files, force=options.force)
    max_bad = BadLimit.parse(options.max_bad)
    tally = PackCounter(params, os.fspath(list_path), fail=options.on_error == "fail", max_bad=max_bad)
    report_progress = progress or (lambda _images, _share: None)
    entries = tally.watched(lines.entries())
    pace = _ChunkSizer()
    if options.dry_run:
        tally.found.engine, tally.found.jpeg_decoder = _libraries(params)
        for batch in _batches(entries, pace):
            tally.add(_looked_at(batch, Path(root)))
            report_progress(tally.found.images, lines.share_read())
        tally.refuse_nothing()
    else:
        work = functools.partial(work_on, root=os.fspath(root), params=params, verify=options.verify)
        # Reading files and framing them needs no second interpreter, and threads hand over without a copy.
        processes = options.verify or not params.unchanged
        batches = _batches(entries, pace)
        packed = contextlib.closing(run_ordered(work, batches, workers=workers, processes=processes, name=_held))
        with packed as chunks, report, RecordWriter(target, force=options.force) as writer:
            for chunk in chunks:
                _write(chunk, writer, report)
                tally.add(chunk)
                pace.saw(chunk)
                report_progress(tally.found.images, lines.share_read())
            tally.refuse_nothing()
            report.finish()
    return tally.summary(
        workers=workers,
        seconds=time.monotonic() - started,
        files=[os.fspath(file) for file in files],
        report=os.fspath(report.path) if tally.bad and not options.dry_run else None,
        dry_run=options.dry_run,
    )


def _libraries(params: PackParams) -> tuple[str, str]:
    """Who would resize and encode, and who would decode JPEGs."""
    from im2rec.images.codec import JPEG_DECODER  # noqa: PLC0415 - otherwise only the workers need them
    from im2rec.images.engine import load_engine  # noqa: PLC0415

    return "" if params.unchanged else load_engine(params.engine).name, JPEG_DECODER


def _write(chunk: PackedChunk, writer: RecordWriter, report: BadReport) -> None:
    for key, frame in chunk.frames:
        writer.write_frame(frame, key=key)
    report.add(chunk.bad)


def part_path(out: Path, params: PackParams) -> Path:
    """The file one part is packed into: *out* itself when there is one part, else ``OUT.part000`` and so on.

    Source: mxnet tools/im2rec.cc.
    """
    return out if params.nsplit == 1 else out.with_name(f"{out.name}.part{params.part:03d}")


class _ChunkSizer:
    """How many lines make a task: one to begin with, then what takes about ``TASK_S``, be it faces or 12 megapixels."""

    def __init__(self) -> None:
        self.lines = 1

    def saw(self, chunk: PackedChunk) -> None:
        """Learn from a finished task; at most twice as many lines at a time, so that one odd task misleads nobody."""
        fitting = int(len(chunk.lines) * TASK_S / max(chunk.seconds, 1e-6))
        self.lines = max(1, min(fitting, 2 * self.lines, MOST_LINES))


def _batches(entries: Iterator[Entry], pace: _ChunkSizer) -> Iterator[list[Entry]]:
    while batch := list(itertools.islice(entries, pace.lines)):
        yield batch


def _held(entries: list[Entry]) -> str:
    paths = [entry.path for entry in entries if isinstance(entry, ListEntry)]
    return f"lines {entries[0].line} to {entries[-1].line} ({', '.join(paths)})"


def _looked_at(entries: list[Entry], root: Path) -> PackedChunk:
    """What a dry run can tell: lines that cannot be read, files that are not there."""
    chunk = PackedChunk()
    for entry in entries:
        if isinstance(entry, ListFormatError):
            chunk.lines.append(bad_line(entry))
        elif (path := root / entry.path).is_file():
            chunk.frames.append((entry.id, b""))
            chunk.lines.append(None)
            chunk.bytes_in += path.stat().st_size
        else:
            chunk.lines.append(BadImage(entry.line, entry.id, entry.path, MISSING, "no such file"))
    return chunk


def work_on(
    entries: Sequence[ListEntry | ListFormatError], root: str, params: PackParams, *, verify: bool = False
) -> PackedChunk:
    """Import :func:`im2rec.packing.encode.pack_chunk` in the worker only: the parent starts 0.1 s sooner."""
    from im2rec.packing.encode import pack_chunk  # noqa: PLC0415

    return pack_chunk(entries, root, params, verify=verify)
