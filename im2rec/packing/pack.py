"""Pack the images of a list into a ``.rec`` and its index.

The calling process reads the list, sends batches of lines to workers, and writes the records they return in list order.
The work on the images of a batch is in :func:`im2rec.packing.encode.pack_chunk`.
"""

from __future__ import annotations

import array
import contextlib
import dataclasses
import functools
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from im2rec.errors import ImageError, ListFormatError, ParameterError
from im2rec.format.indexfile import Keys
from im2rec.format.listfile import ListEntry
from im2rec.packing.face_lines import FaceLines
from im2rec.packing.face_numbering import FaceNumbering
from im2rec.packing.identity import identity
from im2rec.packing.image_files import ALLOW, REFUSE, ImageFolder, image_folder
from im2rec.packing.list_reader import Entry, ListLines, ListPosition
from im2rec.packing.outside import OutsideCount
from im2rec.packing.pack_output import PackOutput
from im2rec.packing.params import PackParams
from im2rec.packing.part_file import part_file_path
from im2rec.packing.partial_pack import Companions, Ending
from im2rec.packing.report import (
    DEFAULT_MAX_BAD,
    BadImage,
    BadLimit,
    PackCounter,
    PackedChunk,
    PackSummary,
    bad_line,
    line_by_line,
    report_path,
)
from im2rec.parallel import available_cpus, run_ordered
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.storage.classes import ClassesCopy, classes_path
from im2rec.storage.companions import index_to_write
from im2rec.storage.digest import digest_path
from im2rec.storage.files import PathLike, check_folder
from im2rec.storage.output import refuse_existing, refuse_same_file

CHUNK_S = 0.02  # work in a chunk for one worker; to send it and get the result takes 0.2 ms
MAX_CHUNK_LINES = 64
MAX_TIMEOUT_S = 86_400


@dataclasses.dataclass(frozen=True)
class PackOptions:
    """Options of a run that change no byte of a record.

    *workers* None is the number of CPUs that this process may use. *on_error* is ``skip`` or ``fail``, *max_bad* the
    limit of bad images, a number or a percentage. *verify* decodes images that are stored unchanged, too. *outside* is
    ``allow``, or ``refuse``: images outside of the root, also by links, are then bad. *digest* writes the digest of the
    ``.rec`` beside it. *restart* removes what an interrupted pack has left, *resume* insists on going on from it.
    *isolated* makes a single worker a process, too, which an image may crash without ending the program.
    *image_timeout* is the time in seconds after which the work on an image is ended and the image is bad; it makes
    every worker a process. Raises ParameterError.
    """

    workers: int | None = None
    on_error: str = "skip"
    max_bad: str = DEFAULT_MAX_BAD
    verify: bool = False
    force: bool = False
    dry_run: bool = False
    outside: str = ALLOW
    digest: bool = False
    restart: bool = False
    resume: bool = False
    isolated: bool = False
    image_timeout: float | None = None

    def __post_init__(self) -> None:
        if self.restart and self.resume:
            raise ParameterError("--restart and --resume exclude each other", hint="give one of the two")
        if self.workers is not None and self.workers < 1:
            raise ParameterError(f"--workers={self.workers} must be 1 or more")
        if self.on_error not in ("skip", "fail"):
            raise ParameterError(f"--on-error={self.on_error} must be skip or fail")
        if self.outside not in (ALLOW, REFUSE):
            raise ParameterError(f"--outside={self.outside} must be {ALLOW} or {REFUSE}")
        if self.image_timeout is not None and not 0 < self.image_timeout <= MAX_TIMEOUT_S:
            problem = (
                f"--image-timeout={self.image_timeout:g} must be more than 0 and at most {MAX_TIMEOUT_S:,} seconds"
            )
            raise ParameterError(problem)
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

    A pack of the same list and parameters that was cut short, by whatever, is gone on with: see
    :mod:`im2rec.packing.pack_output`. The bytes written are the same for any number of workers. The class names beside
    the list are copied beside *out*. A bad line or image is left out and reported in ``OUT.bad.jsonl``; with
    ``on_error="fail"`` the first one ends the run. Lines whose worker process dies are tried once more, one by one,
    each in a new process; a line that kills that one too is bad. The run also ends when more images are bad than
    ``max_bad`` allows, or when the first ten are all missing; with ``100%`` neither does, and the report stays even
    when no image could be packed. *progress* is called with the number of images packed so far and the share of the
    list up to the last of them. A dry run reads the list, checks that the image files exist, and writes nothing. Of
    images that are stored unchanged only the first bytes are checked, unless ``verify`` decodes them. Raises InputError
    when list or root cannot be used or no image could be packed, OutputError, ImageError with ``on_error="fail"``,
    TooManyBadError, WorkerDiedError when no process lives::

        pack("train.lst", "photos", "train.rec", PackParams(resize=256, quality=90))

    Source: mxnet tools/im2rec.py and tools/im2rec.cc.
    """
    started = time.monotonic()
    params, options = params or PackParams(), options or PackOptions()
    target = _target(out, params)
    files, digest = [target, index_to_write(target)], digest_path(target)
    check_folder(root)
    lines = ListLines(list_path, label_width=params.label_width, nsplit=params.nsplit, part=params.part, root=root)
    part_files = [part_file_path(target)] if params.nsplit > 1 else []
    for written in (*files, digest, *part_files, report_path(target), classes_path(out)):
        refuse_same_file(written, list_path, what="list")
    files += [*([digest] if options.digest else []), *part_files]
    classes = ClassesCopy(list_path, out, force=options.force)
    folder = image_folder(root, options.outside)
    run = PackRun(list_path, root, target, lines, folder, params, options, progress, started=started)
    if options.dry_run:
        refuse_existing([*files, digest], force=options.force)  # an old digest is removed in any case
        ids = run.dry()
    else:
        ids = run.write(run.open_output(), classes)
    summary = run.summary(ids, [*files, *classes.files])
    summary.warnings += classes.warnings
    return summary


def _target(out: PathLike, params: PackParams) -> Path:
    """Return the path of the ``.rec`` to write. Raises ParameterError or OutputError for a name that cannot be one."""
    if Path(out).suffix == ".idx":
        raise ParameterError(f"{os.fspath(out)}: is the name of an index", hint="name the .rec")
    refuse_existing([Path(out)], force=True)  # a folder: "dir/" has no name to derive the other names from
    return part_path(Path(out), params)


def _library_names(params: PackParams) -> tuple[str, str]:
    """Return the names of the engine and of the JPEG decoder that a run with *params* uses."""
    from im2rec.images.codec import JPEG_DECODER  # noqa: PLC0415 - otherwise only the workers need them
    from im2rec.images.engine import load_engine  # noqa: PLC0415

    return "" if params.unchanged else load_engine(params.engine).name, JPEG_DECODER


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


@dataclasses.dataclass
class PackRun:
    """One run of :func:`pack`: it reads the list, has its images packed, counts, and hands the result to the output."""

    list_path: PathLike
    root: PathLike
    target: Path  # the .rec
    lines: ListLines | FaceLines
    folder: ImageFolder
    params: PackParams
    options: PackOptions
    progress: Progress | None = None
    numbering: FaceNumbering | None = None  # of a face-recognition set
    list_share: float = 0.0  # of the progress, taken by what came before
    counts_outside: bool = True  # images outside of the root, unless they are refused
    started: float = dataclasses.field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.workers = self.options.workers or available_cpus()
        self._outside = OutsideCount(self.root, counts=self.counts_outside and self.options.outside != REFUSE)
        fail, max_bad = self.options.on_error == "fail", BadLimit.parse(self.options.max_bad)
        takes_vectors = self.numbering is None or self.numbering.has_header
        self.counter = PackCounter(
            self.params,
            os.fspath(self.list_path),
            fail=fail,
            max_bad=max_bad,
            outside=self._outside,
            takes_vectors=takes_vectors,
        )
        self._sizer = _ChunkSizer()
        self._report: Progress = begin_phase(None, self._phase())
        self._in_work: deque[tuple[list[Entry], ListPosition]] = deque()  # batches, and the place behind each

    def open_output(
        self,
        identity_of_set: Mapping[str, Any] | None = None,
        companions: Companions | None = None,
        stale: Sequence[Path] = (),
    ) -> PackOutput:
        """Return the output of the run. *identity_of_set* is what could change a byte besides what could in any pack.

        The others are those of :class:`~im2rec.packing.pack_output.PackOutput`. Raises InputError, OutputError.
        """
        options = self.options
        found = identity(self.list_path, self.root, self.params, outside=options.outside, verify=options.verify)
        return PackOutput(
            self.target,
            {**found, **(identity_of_set or {})},
            force=options.force,
            digest=options.digest,
            restart=options.restart,
            resume=options.resume,
            companions=companions,
            stale=stale,
        )

    def summary(self, ids: Keys, files: Sequence[Path], **more: object) -> PackSummary:
        """Return the summary of the run, which has packed *ids* to *files*; *more* are further fields of it."""
        has_report = bool(self.counter.bad) and not self.options.dry_run
        return self.counter.summary(
            ids,
            workers=self.workers,
            seconds=time.monotonic() - self.started,
            files=[os.fspath(file) for file in files],
            report=os.fspath(report_path(self.target)) if has_report else None,
            dry_run=self.options.dry_run,
            outside=self._outside.count,
            outside_line=self._outside.line,
            **more,
        )

    def dry(self) -> Keys:
        """Read the list, look for the image files, and return the ids."""
        self.counter.totals.engine, self.counter.totals.jpeg_decoder = _library_names(self.params)
        ids = array.array("Q")
        self._report = begin_phase(self.progress, self._phase())
        for batch in self._batches():
            chunk, _ = self._count(_check_files_exist(batch, self.folder))
            ids.extend(id_ for id_, _ in chunk.frames)
        self.counter.check_any_packed()
        return np.array(ids, np.uint64)

    def write(
        self, output: PackOutput, classes: ClassesCopy | None = None, ending: Callable[[], Ending] | None = None
    ) -> Keys:
        """Pack the list into *output*, from the place on that an earlier run has reached, and return the ids.

        *ending* is called behind the last image, for what is written then.
        """
        with output:
            if output.counts is not None and output.position is not None:
                self.counter.restore(output.counts)
                if self.numbering is not None:
                    self.numbering.restore(output.counts["faces"], output.label_map())
                self.lines.position = output.position
                self.counter.totals.resumed_line = output.position.line
            if not output.is_complete:
                self._report = begin_phase(self.progress, self._phase())
                self._pack(output)
            end = ending() if ending is not None and not output.is_complete else None
            return output.complete(self.lines.position, self._counts(), classes, end)

    def _phase(self) -> Phase:
        """Return the phase of packing, which begins behind what an earlier run has packed."""
        count, share = self.counter.totals.images, self.lines.share_before(self.lines.position)
        return Phase("packing", "image", self.list_share, count=count, share=share)

    def _pack(self, output: PackOutput) -> None:
        work = functools.partial(
            pack_in_worker,
            folder=self.folder,
            params=self.params,
            verify=self.options.verify,
            measure=self.numbering is not None,
        )
        processes, retry = self._uses_processes(), line_by_line(self.options.image_timeout)
        packed = run_ordered(
            work, self._batches(), workers=self.workers, processes=processes, name=_describe, retry=retry
        )
        with contextlib.closing(packed) as chunks:
            for chunk in chunks:
                counted, position = self._count(chunk)
                output.add(counted, position, self._counts())
                self._sizer.update(chunk)
        self.counter.check_any_packed(output.keep_report)

    def _uses_processes(self) -> bool:
        """Return True if the workers are processes, and not threads or, for one, the calling thread."""
        if self.options.image_timeout is not None:
            return True  # nothing else can be killed
        # Reading files and framing them is too little work for processes: threads return records without a copy.
        works_hard = self.options.verify or not self.params.unchanged
        return works_hard and (self.workers > 1 or self.options.isolated)

    def _batches(self) -> Iterator[list[Entry]]:
        entries = self.lines.entries()
        while batch := list(itertools.islice(entries, self._sizer.lines)):
            self._in_work.append((batch, self.lines.position))
            yield batch

    def _counts(self) -> dict[str, Any]:
        faces = {} if self.numbering is None else {"faces": self.numbering.state()}
        return {**self.counter.state(), **faces}

    def _count(self, chunk: PackedChunk) -> tuple[PackedChunk, ListPosition]:
        """Count *chunk*, the result of the oldest batch in work; return it as it is to be written.

        The second value is the place in the list behind it.
        """
        batch, position = self._in_work.popleft()
        self.counter.add(chunk, batch)
        if self.numbering is not None:
            chunk = self.numbering.number(chunk, batch)
        self._report(self.counter.totals.images, self.lines.share_before(position))
        return chunk, position


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


def pack_in_worker(
    entries: Sequence[Entry], folder: ImageFolder, params: PackParams, *, verify: bool, measure: bool = False
) -> PackedChunk:
    """Call :func:`im2rec.packing.encode.pack_chunk`, imported in the worker only: the parent starts 0.1 s sooner."""
    from im2rec.packing.encode import pack_chunk  # noqa: PLC0415

    return pack_chunk(entries, folder, params, verify=verify, measure=measure)
