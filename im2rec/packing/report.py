"""What packing counts as it goes, and what it tells in the end."""

from __future__ import annotations

import array
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from im2rec.errors import InputError
from im2rec.format.irheader import float32
from im2rec.format.listfile import ListEntry
from im2rec.packing.bad_limit import BadCount, BadLimit
from im2rec.packing.chunk import Bad, Chunk, as_error
from im2rec.packing.list_reader import Entry
from im2rec.packing.params import PackParams
from im2rec.storage.files import AsideFile, writing

EXACT_INTEGERS = 2**24  # float32 holds every integer up to here


@dataclasses.dataclass
class PackSummary:
    """What :func:`pack` did."""

    list_path: str
    images: int = 0
    bad: dict[str, int] = dataclasses.field(default_factory=dict)
    first_bad: Bad | None = None
    notes: dict[str, int] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    images_per_s: float = 0.0
    workers: int = 1
    engine: str = ""
    jpeg_decoder: str = ""
    files: list[str] = dataclasses.field(default_factory=list)
    report: str | None = None
    dry_run: bool = False


class BadReport:
    """``OUT.bad.jsonl``: a JSON object for each image left out, written aside; a clean run removes an old one."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(out.name + ".bad.jsonl")
        self._file: AsideFile | None = None

    def add(self, bad: list[Bad]) -> None:
        """Append one line for each of *bad*."""
        if bad and self._file is None:
            self._file = AsideFile(self.path, force=True)
        for row in bad:
            assert self._file is not None
            self._file.write(json.dumps(dataclasses.asdict(row)).encode() + b"\n")

    def finish(self) -> None:
        """Bring it to the disk, while the ``.rec`` can still be given up."""
        if self._file is not None:
            self._file.finish()

    def __enter__(self) -> BadReport:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if self._file is not None:
            self._file.__exit__(kind, None, None)
        elif kind is None:
            with writing(self.path):
                self.path.unlink(missing_ok=True)


class Tally:
    """Counts as the chunks come in, 8 bytes a record: what the summary and its warnings are made of."""

    def __init__(self, params: PackParams, list_path: str, *, fail: bool, max_bad: BadLimit) -> None:
        self.params = params
        self.list_path = list_path
        self.fail = fail
        self.count = BadCount(max_bad)
        self.images = self.bytes_in = self.bytes_out = 0
        self.engine = self.jpeg_decoder = ""  # as the workers found them; importing them here takes 0.1 s
        self.bad: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.first_bad: Bad | None = None
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

    def add(self, chunk: Chunk) -> None:
        """Count *chunk*. Raises the first bad image where one is too many, TooManyBadError at the limit."""
        if chunk.bad and self.fail:
            raise as_error(chunk.bad[0], self.list_path)
        bad = iter(chunk.bad)
        for good in chunk.good:
            self.count.add(good, None if good else next(bad))
        if chunk.bad and self.first_bad is None:
            self.first_bad = chunk.bad[0]
        self.engine = chunk.engine or self.engine
        self.jpeg_decoder = chunk.jpeg_decoder or self.jpeg_decoder
        self.images += len(chunk.frames)
        self.bytes_in += chunk.bytes_in
        self.bytes_out += sum(len(frame) for _, frame in chunk.frames)
        self.bad.update(bad.reason for bad in chunk.bad)
        self.notes.update(chunk.notes)
        self.ids.extend(id_ for id_, _ in chunk.frames)

    def refuse_nothing(self) -> None:
        """Raise InputError when not one image came through; an empty part of a list is fine."""
        if self.images or (not self.bad and self.params.nsplit > 1):
            return
        if self.first_bad is None:
            raise InputError(f"{self.list_path}: lists no images", hint="make one with 'im2rec make-list'")
        bad = self.first_bad
        counted = ", ".join(f"{count} {what}" for what, count in self.bad.most_common())
        what = f"{bad.path}: " if bad.path else ""
        raise InputError(
            f"{self.list_path}: none of its images could be packed: {counted}; line {bad.line}: {what}{bad.detail}"
        )

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
        return PackSummary(
            list_path=self.list_path,
            engine=self.engine,
            jpeg_decoder=self.jpeg_decoder,
            images=self.images,
            bad=dict(self.bad.most_common()),
            first_bad=self.first_bad,
            notes=dict(self.notes.most_common()),
            warnings=self.warnings(),
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            seconds=round(seconds, 3),
            images_per_s=round(self.images / max(seconds, 1e-9), 1),
            **more,  # type: ignore[arg-type]
        )


def _rounds(label: float) -> bool:
    """Whether *label* is an integer that float32 would change."""
    return abs(label) > EXACT_INTEGERS and label.is_integer() and float(float32(label)) != label
