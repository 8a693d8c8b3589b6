"""The files of a pack while they are written: the ``.rec``, its index, perhaps its digest, and the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from im2rec.packing.report import PackedChunk, report_lines, report_path
from im2rec.storage.checkpoints import Checkpoints
from im2rec.storage.journal import Journal, State
from im2rec.storage.output import AtomicFile, remove_leftover
from im2rec.storage.writer import RecordWriter


class PartialPack:
    """The partial files of the pack *target*, cut to what *state* describes, or new without one.

    ``checkpoints`` saves their states in *journal*, which is locked; ``writer`` writes the records. ``report`` is made
    with the first bad image. ``is_consistent`` is set to False by :meth:`write`, and to True by the caller when the
    progress that it offers is that of the files again; only then a state may be saved. Raises OutputError.
    """

    def __init__(self, target: Path, journal: Journal, state: State | None, *, force: bool, digest: bool) -> None:
        sizes = state.sizes if state else {}
        records = state.progress["records"] if state else 0
        self._report_path = report_path(target)
        self.report: AtomicFile | None = None
        self.is_consistent = True
        self.writer = RecordWriter(target, force=force, digest=digest, journal=journal, sizes=sizes, records=records)
        self.checkpoints = Checkpoints(journal, state)
        try:
            for file in self.writer.growing_files():
                self.checkpoints.add(file)
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

    def write(self, chunk: PackedChunk) -> None:
        """Write the records and the bad images of *chunk*. Raises OutputError."""
        self.is_consistent = False
        for key, frame in chunk.frames:
            self.writer.write_frame(frame, key=key)
        if bad := chunk.bad:
            (self.report or self._open_report()).write(report_lines(bad))

    def leave(self, how: Callable[[AtomicFile], None]) -> None:
        """Close all files, and leave them as *how* does: ``AtomicFile.keep`` or ``AtomicFile.discard``."""
        self.checkpoints.close()
        self.writer.leave(how)
        if self.report is not None:
            how(self.report)
