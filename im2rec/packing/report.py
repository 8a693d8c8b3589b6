"""The results of packing: what a worker returns, bad images and their limit, counts, and the final report.

This module imports no image library: the parent process needs none, and importing one takes 0.1 s.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from im2rec.errors import Im2RecError, ImageError, InputError, ListFormatError, ParameterError, counted
from im2rec.format.indexfile import Keys
from im2rec.format.listfile import InexactLabels, ListEntry, are_exact
from im2rec.packing.face_report import FaceSummary
from im2rec.packing.list_reader import Entry
from im2rec.packing.outside import OutsideCount
from im2rec.packing.params import PackParams
from im2rec.process_pool import KILLED, ItemKilledError, Retry
from im2rec.schema import BYTES_OUT, DRY_RUN, ENGINE, FILES, JPEG_DECODER, KERNEL, RATE, SECONDS, WARNINGS, described
from im2rec.storage.files import open_binary, reading
from im2rec.storage.missing_files import BACKSLASHES

BAD_LINE, MISSING, UNREADABLE, TOO_LARGE = "bad list line", "missing", "unreadable", "too large for a record"
OUTSIDE, TOO_SLOW = "outside ROOT", "took too long"


@dataclasses.dataclass(frozen=True)
class BadImage:
    """An image that is left out of the ``.rec``. *id* and *path* are None when the line itself cannot be read."""

    line: int = described("Line of the list, from 1.")
    id: int | None = described("Id of the line.")
    path: str | None = described("Path of the file that is meant.")
    reason: str = described("Reason, one of a fixed set of phrases.")
    detail: str = described("Reason in a sentence.")

    def __str__(self) -> str:
        return f"line {self.line}: {f'{self.path}: ' if self.path else ''}{self.detail}"


@dataclasses.dataclass
class PackedChunk:
    """The result of packing some lines of a list, in list order: an (id, frame) pair for each record, and the report.

    *lines* has one entry for each line: None for one that is packed. *bytes_in* is the size of the image files,
    *libraries* the versions of those that could change a byte of the records, by name. Of a face-recognition set,
    *sizes* counts the images of each (height, width), the first one first, and *map_lines* are to be written to its
    map of labels together with the frames.
    """

    frames: list[tuple[int, bytes]] = dataclasses.field(default_factory=list)
    lines: list[BadImage | None] = dataclasses.field(default_factory=list)
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    bytes_in: int = 0
    seconds: float = 0.0
    engine: str = ""
    jpeg_decoder: str = ""
    kernel: str = ""
    libraries: dict[str, str] = dataclasses.field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    map_lines: bytes = b""

    @property
    def bad(self) -> list[BadImage]:
        """The lines that are not packed, in list order."""
        return [line for line in self.lines if line is not None]


def line_by_line(timeout_s: float | None) -> Retry[list[Entry], PackedChunk]:
    """Return how lines whose process died are tried again: each alone. One that kills its process again is bad.

    With *timeout_s* so is a line that takes longer than that.
    """
    return Retry(lambda entries: [[entry] for entry in entries], _killed_line, _joined, [], timeout_s)


def _killed_line(entries: list[Entry], error: ItemKilledError) -> PackedChunk:
    """Return the chunk of a single line whose process died."""
    (entry,) = entries
    id_, path = (entry.id, entry.path) if isinstance(entry, ListEntry) else (None, None)
    bad = BadImage(entry.line or 0, id_, path, TOO_SLOW if error.timed_out else KILLED, error.detail)
    return PackedChunk(lines=[bad])


def _joined(nothing: PackedChunk, chunks: list[PackedChunk]) -> PackedChunk:
    """Return one chunk of all lines of *chunks*; *nothing*, the chunk of no line, names the libraries of the worker."""
    return dataclasses.replace(
        nothing,
        frames=[frame for chunk in chunks for frame in chunk.frames],
        lines=[line for chunk in chunks for line in chunk.lines],
        notes=sum((chunk.notes for chunk in chunks), Counter()),
        sizes=sum((chunk.sizes for chunk in chunks), Counter()),
        bytes_in=sum(chunk.bytes_in for chunk in chunks),
        seconds=sum(chunk.seconds for chunk in chunks),
    )


def bad_line(error: ListFormatError) -> BadImage:
    """Return the entry of the report for a list line that cannot be read."""
    return BadImage(error.line or 0, None, None, BAD_LINE, "; ".join(filter(None, (error.problem, error.hint))))


def as_error(bad: BadImage, list_path: str) -> Im2RecError:
    """Return the error that ends a run at *bad* with ``--on-error fail``."""
    problem = f"{bad.path}: {bad.detail}" if bad.path else bad.detail
    error = ImageError(problem, reason=bad.reason, hint="--on-error skip packs the rest")
    error.path, error.line = list_path, bad.line
    return error


# Of PackSummary, those that the counter fills.
_TOTALS = ("images", "bytes_in", "bytes_out", "engine", "jpeg_decoder", "kernel")
DEFAULT_MAX_BAD = "10%"
PERCENT_FROM_LINES = 100  # a percentage of fewer lines says little
WRONG_ROOT_LINES = 10  # when the first images, as many as this, are all missing, the root is wrong


class TooManyBadError(Im2RecError):
    """More images are bad than ``max_bad`` allows, at *line* of the list, or all of the first ones are missing.

    *path* is that of the list, or None until it is set by the function that has it.
    """

    _location_fields = (("", "path"), ("line ", "line"))
    path: str | None = None
    line: int | None = None


@dataclasses.dataclass(frozen=True)
class BadLimit:
    """The limit of bad images in a run: *number* images, or with *percent* that share of the lines read so far."""

    number: float
    percent: bool

    @classmethod
    def parse(cls, text: str) -> BadLimit:
        """Read ``"25"`` or ``"10%"``. Raises ParameterError."""
        word = text.strip()
        percent = word.endswith("%")
        try:
            number = float(word.removesuffix("%")) if percent else int(word)
        except ValueError:
            number = math.nan
        # NaN is outside any range, be it the mark of other text or read by float() from "nan%".
        if not 0 <= number <= (100 if percent else math.inf):
            problem = f"--max-bad={text} must be a number of images, or a percentage such as {DEFAULT_MAX_BAD}"
            raise ParameterError(problem)
        return cls(number, percent)

    @property
    def allows_all(self) -> bool:
        """True for ``100%``: no number of bad images ends the run."""
        return self.percent and self.number == 100

    def is_exceeded(self, bad: int, lines: int) -> bool:
        """True if *bad* images among *lines* lines are too many."""
        if self.percent:
            return lines >= PERCENT_FROM_LINES and 100 * bad > self.number * lines
        return bad > self.number


class BadCount:
    """Count of bad images, checked against a limit after each line.

    Lines are added in list order, so that the same line ends the run whatever the number of workers.
    """

    def __init__(self, limit: BadLimit) -> None:
        self.limit = limit
        self.lines = self.bad = 0
        self._missing = 0

    def state(self) -> list[int]:
        """Return the counts, for :meth:`restore`."""
        return [self.lines, self.bad, self._missing]

    def restore(self, state: list[int]) -> None:
        """Go on from the counts *state*."""
        self.lines, self.bad, self._missing = state

    def add(self, bad: BadImage | None) -> None:
        """Count one line; None for one that is packed. Raises TooManyBadError."""
        self.lines += 1
        if bad is None:
            return
        self.bad += 1
        self._missing += bad.reason == MISSING
        if self.lines == self._missing == WRONG_ROOT_LINES and not self.limit.allows_all:
            problem = f"the first {WRONG_ROOT_LINES} images are all missing, {bad.path} for one"
            wrong_root = "is ROOT the folder that the paths of the list start from? --max-bad 100% reads on"
            why = bad.detail.partition(": ")[2]  # as describe_missing() writes it
            raise TooManyBadError(problem, hint=why or wrong_root)
        if self.limit.is_exceeded(self.bad, self.lines):
            shown = f"{self.limit.number:g}%" if self.limit.percent else f"{self.limit.number:g}"
            are = "are" if self.bad > 1 else "is"
            problem = f"{self.bad:,} of {self.lines:,} images {are} bad, more than --max-bad {shown} allows"
            this = f"this one: {bad.path or 'the line'}: {bad.detail}"
            error = TooManyBadError(f"{problem}; {this}", hint="raise --max-bad to go on")
            error.line = bad.line
            raise error


@dataclasses.dataclass
class PackSummary:
    """The result of :func:`im2rec.packing.pack.pack`, as ``--json`` prints it."""

    input: str = described("The list, as it was given.")
    images: int = described("Images that were packed, or would be, those of an earlier run included.", 0)
    resumed: int = described("Images that an interrupted run had packed, behind which this one went on.", 0)
    resumed_line: int | None = described("The line of the list from which on this run read, if it went on.", None)
    bad: dict[str, int] = described("Images that were left out, by reason.", factory=dict)
    first_bad: BadImage | None = described("The first image that was left out.", None)
    notes: dict[str, int] = described("Packed images, by remark.", factory=dict)
    warnings: list[str] = described(WARNINGS, factory=list)
    bytes_in: int = described("Size of the image files in bytes.", 0)
    bytes_out: int = described(f"{BYTES_OUT} 0 in a dry run.", 0)
    seconds: float = described(SECONDS, 0.0)
    images_per_s: float = described(RATE, 0.0)
    workers: int = described("Processes that worked.", 1)
    engine: str = described(ENGINE, "")
    jpeg_decoder: str = described(JPEG_DECODER, "")
    kernel: str = described(KERNEL, "")
    files: list[str] = described(FILES, factory=list)
    report: str | None = described("Path of the report with an object for each image that was left out.", None)
    dry_run: bool = described(DRY_RUN, False)
    outside: int = described("Lines with a path that leads out of ROOT as it is written, and that were not refused.", 0)
    outside_line: int | None = described("The first line with such a path.", None)
    faces: FaceSummary | None = described("Of a face-recognition set, as `--profile` makes it: its identities.", None)


def report_path(out: Path) -> Path:
    """Return the path of ``OUT.bad.jsonl``, with a JSON object for each image that is left out of *out*."""
    return out.with_name(out.name + ".bad.jsonl")


def report_lines(bad: Iterable[BadImage]) -> bytes:
    """Return the lines of the report for *bad*."""
    return b"".join(json.dumps(dataclasses.asdict(image)).encode() + b"\n" for image in bad)


def first_in_report(path: Path) -> dict[str, Any]:
    """Return the first object of the report *path*, a bad image. Raises InputError."""
    with reading(path), open_binary(path) as stream:
        return json.loads(stream.readline())  # type: ignore[no-any-return]


class PackCounter:
    """Counts over all chunks of a run, for the summary and its warnings.

    With *fail*, :meth:`add` raises the first bad image; *max_bad* is the limit otherwise. *outside* counts paths that
    lead out of the root. Without *takes_vectors*, ``pack_label=1`` is not advised. ``state()`` has all counts as JSON
    values; ``restore()`` takes over those of an earlier run.
    """

    def __init__(
        self,
        params: PackParams,
        list_path: str,
        *,
        fail: bool,
        max_bad: BadLimit,
        outside: OutsideCount,
        takes_vectors: bool = True,
    ) -> None:
        self.params = params
        self.fail = fail
        self.totals = PackSummary(list_path)
        self.bad: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self._bad_count = BadCount(max_bad)
        self._many_labels = 0  # entries with several
        self._inexact = InexactLabels()
        self._outside, self._takes_vectors = outside, takes_vectors
        self._backslashes = 0  # missing images whose paths have some

    def state(self) -> dict[str, Any]:
        """Return all counts as JSON values; the first bad image is the first line of the report."""
        return {
            "totals": {name: getattr(self.totals, name) for name in _TOTALS},
            "bad": dict(self.bad),
            "notes": dict(self.notes),
            "lines": self._bad_count.state(),
            "many_labels": self._many_labels,
            "inexact": self._inexact.state(),
            "backslashes": self._backslashes,
            "outside": [self._outside.count, self._outside.line],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from the counts *state*, with the first bad image, if there is one, as ``first_bad``."""
        self.totals = dataclasses.replace(
            self.totals,
            **state["totals"],
            first_bad=BadImage(**state["first_bad"]) if state.get("first_bad") else None,
            resumed=state["totals"]["images"],
        )
        self.bad, self.notes = Counter(state["bad"]), Counter(state["notes"])
        self._bad_count.restore(state["lines"])
        self._many_labels, self._backslashes = state["many_labels"], state["backslashes"]
        self._inexact.restore(state["inexact"])
        self._outside.count, self._outside.line = state["outside"]

    def _count_labels(self, entries: Sequence[Entry]) -> None:
        """Count labels that are dropped or stored inexactly, for :meth:`warnings`."""
        for entry in entries:
            if isinstance(entry, ListEntry):
                self._many_labels += len(entry.labels) > 1
                stored = entry.labels if self.params.pack_label else entry.labels[:1]
                if not are_exact(stored):
                    self._inexact.add(entry.line, stored)

    def add(self, chunk: PackedChunk, entries: Sequence[Entry]) -> None:
        """Count *chunk*, the result of *entries*.

        Raises ImageError for a bad image with *fail*, TooManyBadError beyond the limit.
        """
        found, bad = self.totals, chunk.bad
        if bad and self.fail:
            raise as_error(bad[0], found.input)
        try:
            for line in chunk.lines:
                self._bad_count.add(line)
        except TooManyBadError as error:
            error.path = found.input
            raise
        found.first_bad = found.first_bad or next(iter(bad), None)
        # The workers report their libraries: importing these in the parent takes 0.1 s.
        found.engine, found.jpeg_decoder = chunk.engine or found.engine, chunk.jpeg_decoder or found.jpeg_decoder
        if not found.kernel.startswith("numba"):  # one worker that has loaded it is enough
            found.kernel = chunk.kernel
        found.images += len(chunk.frames)
        found.bytes_in += chunk.bytes_in
        found.bytes_out += sum(len(frame) for _, frame in chunk.frames)
        self.bad.update(image.reason for image in bad)
        self._backslashes += sum(image.detail.endswith(BACKSLASHES) for image in bad)
        self.notes.update(chunk.notes)
        self._count_labels(entries)
        self._outside.add(entries)

    def check_any_packed(self, keep_report: Callable[[], Path] | None = None) -> None:
        """Raise InputError when no image was packed. One part of a list may be empty, or hold bad images alone.

        Where any share of bad images is allowed, *keep_report* gives the report of them its name, and returns it.
        """
        found = self.totals
        if found.images or self.params.nsplit > 1:
            return
        if found.first_bad is None:
            raise InputError("lists no images", path=found.input, hint="make one with 'im2rec make-list'")
        reasons = ", ".join(f"{count} {what}" for what, count in self.bad.most_common())
        hint = ""
        if keep_report is not None and self._bad_count.limit.allows_all:
            hint = f"all are in {keep_report()}"
        problem = f"none of its images could be packed: {reasons}; {found.first_bad}"
        raise InputError(problem, path=found.input, hint=hint)

    def warnings(self, ids: Keys) -> list[str]:
        """Return a line for each thing in the list that is probably a mistake. Sorts *ids*, those that are packed."""
        warnings = []
        if self._many_labels and not self.params.pack_label:
            images = counted(self._many_labels, "image has", "images have")
            advice = "; keep all with pack_label=1" if self._takes_vectors else ""
            warnings.append(f"{images} several labels, only the first is stored{advice}")
        warnings += self._inexact.warnings()
        if self.params.engine == "auto" and self.totals.engine == "pillow":
            from im2rec.images.engine import opencv_problem  # noqa: PLC0415 - takes 0.1 s, and is rarely needed

            warnings += filter(None, [opencv_problem()])
        if self._backslashes:
            images = counted(self._backslashes, "missing image")
            warnings.append(f"paths of {images} have backslashes, which separate no folders here; write /")
        ids.sort()
        repeated = ids[1:][ids[1:] == ids[:-1]]
        if len(repeated):
            lines = counted(len(repeated), "line repeats", "lines repeat")
            warnings.append(f"{lines} an id, {repeated[0]} for one; by key, the last is read")
        return warnings

    def summary(self, ids: Keys, *, seconds: float, **more: object) -> PackSummary:
        """Return the summary of the run that packed *ids*; *more* are fields that the counter does not fill."""
        return dataclasses.replace(
            self.totals,
            bad=dict(self.bad.most_common()),
            notes=dict(self.notes.most_common()),
            warnings=self.warnings(ids),
            seconds=round(seconds, 3),
            images_per_s=round((self.totals.images - self.totals.resumed) / max(seconds, 1e-9), 1),
            **more,  # type: ignore[arg-type]
        )
