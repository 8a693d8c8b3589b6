"""Counts of a run of pack: what a worker is given and gives back, the limit of bad images, and the final report.

No image library is needed for these, and none is imported.
"""

from __future__ import annotations

import array
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from im2rec.errors import Im2RecError, ImageError, InputError, ListFormatError, ParameterError
from im2rec.format.irheader import float32
from im2rec.format.listfile import ListEntry
from im2rec.packing.list_reader import Entry
from im2rec.packing.params import PackParams
from im2rec.storage.files import AtomicFile, writing

BAD_LINE, MISSING, UNREADABLE, TOO_LARGE = "bad list line", "missing", "unreadable", "too large for a record"


@dataclasses.dataclass(frozen=True)
class BadImage:
    """An image that is not in the ``.rec``: its line in the list, and why; *reason* is a stable word for counting."""

    line: int
    id: int | None
    path: str | None
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"line {self.line}: {f'{self.path}: ' if self.path else ''}{self.detail}"


@dataclasses.dataclass
class PackedChunk:
    """What some lines of a list became: (id, frame) for each record, in list order, and what there is to report."""

    frames: list[tuple[int, bytes]] = dataclasses.field(default_factory=list)
    lines: list[BadImage | None] = dataclasses.field(default_factory=list)  # None for one that is packed
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    bytes_in: int = 0
    seconds: float = 0.0
    engine: str = ""
    jpeg_decoder: str = ""
    kernel: str = ""

    @property
    def bad(self) -> list[BadImage]:
        """The lines that are not packed, in list order."""
        return [line for line in self.lines if line is not None]


def bad_line(error: ListFormatError) -> BadImage:
    """The row of the report for a line that cannot be read."""
    return BadImage(error.line or 0, None, None, BAD_LINE, error.problem)


def as_error(bad: BadImage, list_path: str) -> Im2RecError:
    """*bad* as the error that ends a run."""
    return ImageError(f"{list_path}, {bad}", reason=bad.reason, hint="--on-error skip packs the rest")


DEFAULT = "10%"
SHARE_FROM_LINES = 100  # of fewer lines a share says little
ROOT_LINES = 10  # so many missing at the very start: the root is wrong


class TooManyBadError(Im2RecError):
    """More images are bad than the run was told to put up with."""


@dataclasses.dataclass(frozen=True)
class BadLimit:
    """The most bad images a run may have: *number* of them, or that many percent of the lines so far."""

    number: float
    percent: bool

    @classmethod
    def parse(cls, text: str) -> BadLimit:
        """Read ``"25"`` or ``"10%"``. Raises ParameterError."""
        word = text.strip()
        try:
            limit = cls(float(word.removesuffix("%")) if word.endswith("%") else int(word), word.endswith("%"))
        except ValueError:
            limit = cls(-1, percent=False)
        # Written so that NaN is refused too.
        if not limit.number >= 0 or (limit.percent and not limit.number <= 100):
            raise ParameterError(f"--max-bad={text} must be a number of images, or a percentage such as {DEFAULT}")
        return limit

    def passed(self, bad: int, lines: int) -> bool:
        """Whether *bad* images among *lines* lines are too many."""
        if self.percent:
            return lines >= SHARE_FROM_LINES and 100 * bad > self.number * lines
        return bad > self.number


class BadCount:
    """Bad images in list order, held against a limit line by line: the same line stops the run however it is cut."""

    def __init__(self, limit: BadLimit) -> None:
        self.limit = limit
        self.lines = self.bad = 0
        self._missing = 0

    def add(self, bad: BadImage | None) -> None:
        """Count one line, None for one that is packed. Raises TooManyBadError."""
        self.lines += 1
        if bad is None:
            return
        self.bad += 1
        self._missing += bad.reason == MISSING
        if self.lines == self._missing == ROOT_LINES:
            problem = f"the first {ROOT_LINES} images are all missing, {bad.path} for one"
            raise TooManyBadError(problem, hint="is ROOT the folder that the paths of the list start from?")
        if self.limit.passed(self.bad, self.lines):
            shown = f"{self.limit.number:g}%" if self.limit.percent else f"{self.limit.number:g}"
            problem = (
                f"line {bad.line}: {self.bad:,} of {self.lines:,} images are bad, more than --max-bad {shown} allows"
            )
            raise TooManyBadError(
                f"{problem}; this one: {bad.path or 'the line'}: {bad.detail}", hint="raise --max-bad to go on"
            )


EXACT_INTEGERS = 2**24  # float32 holds every integer up to here


@dataclasses.dataclass
class PackSummary:
    """What :func:`pack` did."""

    list_path: str
    images: int = 0
    bad: dict[str, int] = dataclasses.field(default_factory=dict)
    first_bad: BadImage | None = None
    notes: dict[str, int] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    images_per_s: float = 0.0
    workers: int = 1
    engine: str = ""
    jpeg_decoder: str = ""
    kernel: str = ""
    files: list[str] = dataclasses.field(default_factory=list)
    report: str | None = None
    dry_run: bool = False


class BadReport:
    """``OUT.bad.jsonl``: a JSON object for each image left out, written aside; a clean run removes an old one."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(out.name + ".bad.jsonl")
        self._file: AtomicFile | None = None

    def add(self, bad: list[BadImage]) -> None:
        """Append one line for each of *bad*."""
        for row in bad:
            self._file = self._file or AtomicFile(self.path, force=True)
            self._file.write(json.dumps(dataclasses.asdict(row)).encode() + b"\n")

    def finish(self) -> None:
        """Bring it to the disk, while the ``.rec`` can still be given up."""
        if self._file is not None:
            self._file.finish()

    def __enter__(self) -> BadReport:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is not None:
            self._file.__exit__(kind, None, None)
        elif kind is None:
            with writing(self.path):
                self.path.unlink(missing_ok=True)


class PackCounter:
    """Counts as the chunks come in, 8 bytes a record: what the summary and its warnings are made of."""

    def __init__(self, params: PackParams, list_path: str, *, fail: bool, max_bad: BadLimit) -> None:
        self.params = params
        self.fail = fail
        self.count = BadCount(max_bad)
        self.found = PackSummary(list_path)
        self.bad: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.ids = array.array("Q")
        self.many_labels = 0
        self.rounded: ListEntry | None = None

    def watched(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Pass *entries* on, looking at their labels."""
        for entry in entries:
            if isinstance(entry, ListEntry):
                self.many_labels += len(entry.labels) > 1
                if self.rounded is None and any(_rounds(label) for label in entry.labels):
                    self.rounded = entry
            yield entry

    def add(self, chunk: PackedChunk) -> None:
        """Count *chunk*. Raises the first bad image where one is too many, TooManyBadError at the limit."""
        found, bad = self.found, chunk.bad
        if bad and self.fail:
            raise as_error(bad[0], found.list_path)
        for line in chunk.lines:
            self.count.add(line)
        found.first_bad = found.first_bad or next(iter(bad), None)
        # As the workers found them: importing them here takes 0.1 s.
        found.engine, found.jpeg_decoder = chunk.engine or found.engine, chunk.jpeg_decoder or found.jpeg_decoder
        if not found.kernel.startswith("numba"):  # the last word of all workers, and of any that uses it
            found.kernel = chunk.kernel
        found.images += len(chunk.frames)
        found.bytes_in += chunk.bytes_in
        found.bytes_out += sum(len(frame) for _, frame in chunk.frames)
        self.bad.update(row.reason for row in bad)
        self.notes.update(chunk.notes)
        self.ids.extend(id_ for id_, _ in chunk.frames)

    def refuse_nothing(self) -> None:
        """Raise InputError when not one image came through; an empty part of a list is fine."""
        found = self.found
        if found.images or (not self.bad and self.params.nsplit > 1):
            return
        if found.first_bad is None:
            raise InputError(f"{found.list_path}: lists no images", hint="make one with 'im2rec make-list'")
        counted = ", ".join(f"{count} {what}" for what, count in self.bad.most_common())
        raise InputError(f"{found.list_path}: none of its images could be packed: {counted}; {found.first_bad}")

    def warnings(self) -> list[str]:
        """One line for each thing that is probably not meant."""
        found = []
        if self.many_labels and not self.params.pack_label:
            found.append(
                f"{self.many_labels} images have several labels, only the first is stored; keep all with pack_label=1"
            )
        if self.rounded is not None:
            labels = ", ".join(f"{label:.17g}" for label in self.rounded.labels if _rounds(label))
            found.append(f"line {self.rounded.line}: float32 cannot hold the label {labels}; it is rounded")
        if self.ids:
            ids = np.sort(np.frombuffer(self.ids, np.uint64))
            doubled = ids[1:][ids[1:] == ids[:-1]]
            if len(doubled):
                lines = f"{len(doubled):,} lines repeat an id" if len(doubled) > 1 else "1 line repeats an id"
                found.append(f"{lines}, {doubled[0]} for one; by key, the last is read")
        return found

    def summary(self, *, seconds: float, **more: object) -> PackSummary:
        """Everything counted, as the caller gets it."""
        return dataclasses.replace(
            self.found,
            bad=dict(self.bad.most_common()),
            notes=dict(self.notes.most_common()),
            warnings=self.warnings(),
            seconds=round(seconds, 3),
            images_per_s=round(self.found.images / max(seconds, 1e-9), 1),
            **more,  # type: ignore[arg-type]
        )


def _rounds(label: float) -> bool:
    """Whether *label* is an integer that float32 would change."""
    return abs(label) > EXACT_INTEGERS and label.is_integer() and float(float32(label)) != label
