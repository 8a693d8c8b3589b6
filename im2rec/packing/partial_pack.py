"""The files of a pack while they are written: the ``.rec``, its index, perhaps its digest, the report, companions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from im2rec.packing.report import PackedChunk, report_lines, report_path
from im2rec.storage.checkpoints import Checkpoints
from im2rec.storage.journal import Journal, State
from im2rec.storage.output import AtomicFile, remove_leftover
from im2rec.storage.writer import RecordWriter


class Companions(NamedTuple):
    """The files that a face-recognition set has besides: the map of labels, which grows with the records, and others.

    The *others* are written when all images are packed.
    """

    label_map: Path
    others: tuple[Path, ...]

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [self.label_map, *self.others]


class Ending(NamedTuple):
    """What is written behind the images of a face-recognition set: keys and frames of *records*, and to the companions.

    *map_lines* end the map of labels; *files* has the content of each other companion.
    """

    map_lines: bytes
    records: Iterable[tuple[int, bytes]]
    files: Mapping[Path, bytes]


class PartialPack:
    """The partial files of the pack *target*, cut to what *state* describes, or new without one.

    ``checkpoints`` saves their states in *journal*, which is locked; ``writer`` writes the records. ``report`` is made
    with the first bad image. ``is_consistent`` is set to False by :meth:`write`, and to True by the caller when the
    progress that it offers is that of the files again; only then a state may be saved. *companions* are those of a
    face-recognition set. Raises OutputError.
    """

    def __init__(
        self,
        target: Path,
        journal: Journal,
        state: State | None,
        *,
        force: bool,
        digest: bool,
        companions: Companions | None = None,
    ) -> None:
        sizes = state.sizes if state else {}
        records = state.progress["records"] if state else 0
        self._report_path = report_path(target)
        self.report: AtomicFile | None = None
        self.companions: list[AtomicFile] = []  # the map of labels, then, at the end, the others
        self.is_consistent = True
        self.writer = RecordWriter(target, force=force, digest=digest, journal=journal, sizes=sizes, records=records)
        self.checkpoints = Checkpoints(journal, state)
        try:
            for file in self.writer.growing_files():
                self.checkpoints.add(file)
            if companions is not None:
                self._open_companion(companions.label_map, sizes.get(companions.label_map.name, 0))
            if self._report_path.name in sizes:
                self._open_report(sizes[self._report_path.name])
            else:
                remove_leftover(self._report_path)  # made behind the last state
        except BaseException:
            self.leave(AtomicFile.keep if state else AtomicFile.discard)
            raise

    def _open_report(self, size: int = 0) -> AtomicFile:
        self.report = AtomicFile(self._report_path, force=True, locked=False, size=size)
        self.checkpoints.add(self.report)
        return self.report

    def _open_companion(self, path: Path, size: int = 0) -> AtomicFile:
        file = AtomicFile(path, force=True, locked=False, size=size)
        self.companions.append(file)
        self.checkpoints.add(file)
        return file

    def write(self, chunk: PackedChunk) -> None:
        """Write the records and the bad images of *chunk*. Raises OutputError."""
        self.is_consistent = False
        for key, frame in chunk.frames:
            self.writer.write_frame(frame, key=key)
        if bad := chunk.bad:
            (self.report or self._open_report()).write(report_lines(bad))
        if chunk.map_lines:
            self.companions[0].write(chunk.map_lines)

    def write_ending(self, ending: Ending) -> None:
        """Write what follows the images. Raises OutputError."""
        self.is_consistent = False
        for key, frame in ending.records:
            self.writer.write_frame(frame, key=key)
        self.companions[0].write(ending.map_lines)
        for path, content in ending.files.items():
            self._open_companion(path).write(content)

    def leave(self, how: Callable[[AtomicFile], None]) -> None:
        """Close all files, and leave them as *how* does: ``AtomicFile.keep`` or ``AtomicFile.discard``."""
        self.checkpoints.close()
        self.writer.leave(how)
        for file in self.companions:
            how(file)
        if self.report is not None:
            how(self.report)
