"""The files that a pack writes, and what stays of them for a later run when it is cut short.

The ``.rec``, its index and the report of bad images grow together, and with them the map of labels of a
face-recognition set. After every chunk of lines they and the counts of the run describe the same lines of the list;
such a state is saved in the journal (:mod:`im2rec.storage.checkpoints`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from im2rec.errors import Im2RecError, OutputError, counted
from im2rec.format.digestfile import encode_digest
from im2rec.format.indexfile import Keys
from im2rec.packing.identity import differences
from im2rec.packing.list_reader import ListPosition
from im2rec.packing.part_file import part_file_path, write_part_file
from im2rec.packing.partial_pack import Companions, Ending, PartialPack
from im2rec.packing.report import PackedChunk, first_in_report, report_path
from im2rec.storage import disk
from im2rec.storage.checkpoints import last_state
from im2rec.storage.classes import ClassesCopy
from im2rec.storage.companions import index_to_write
from im2rec.storage.digest import digest_path, make_digest
from im2rec.storage.files import InputFile
from im2rec.storage.index import index_keys
from im2rec.storage.journal import Journal, State, refuse_claimed
from im2rec.storage.output import (
    AtomicFile,
    give_name,
    partial_path,
    publish,
    refuse_existing,
    remove_leftover,
    writing,
)

_RESTART = "begin again with restart=True"
_PROGRESS = {"identity", "libraries", "position", "records", "counts", "has_digest", "complete"}  # in every state


class PackOutput:
    """The output *target* of a pack that is described by *identity* (:func:`im2rec.packing.identity.identity`).

    The constructor locks it, and finds out whether an earlier run with the same identity was cut short: ``counts`` and
    ``position`` are those that it had reached then, else None. With *restart* what such a run has left is removed, with
    *resume* there must be such a run. ``is_complete`` is True if only the files' names were missing::

        with PackOutput(Path("out.rec"), identity) as output:
            output.add(chunk, position, counts)
            output.complete(position, counts)

    *companions* are the files that a face-recognition set has besides; *stale* are those that only an older set can
    have.

    If the block ends by an error, the records of all chunks stay for a later run. Raises OutputError, for a run of
    another identity too, of which nothing is removed.
    """

    def __init__(
        self,
        target: Path,
        identity: Mapping[str, Any],
        *,
        force: bool = False,
        digest: bool = False,
        restart: bool = False,
        resume: bool = False,
        companions: Companions | None = None,
        stale: Sequence[Path] = (),
    ) -> None:
        self.target, self.identity, self.force = target, dict(identity), force
        self._companions = companions
        self._paths = [target, index_to_write(target), *(companions.paths if companions else [])]
        self._digest_path, self._report_path = digest_path(target), report_path(target)
        self._nsplit = self.identity.get("nsplit", 1)
        # What describes an old .rec: removed in any case, before the new one gets its name.
        self._old = [self._digest_path, *([part_file_path(target)] if self._nsplit > 1 else []), *stale]
        self._has_digest = digest
        self._files: PartialPack | None = None
        self._libraries: dict[str, str] = {}
        self._progress: dict[str, Any] = {}
        self._journal = Journal(target)
        try:
            self._state = self._earlier(restart=restart, resume=resume)
            if not self.is_complete:
                refuse_existing([*self._paths, *self._old], force=force)
        except BaseException:
            if self._journal.synced or self._journal.latest or self._journal.is_unreadable:
                self._journal.close()
            else:
                self._journal.remove()
            raise

    def _earlier(self, *, restart: bool, resume: bool) -> State | None:
        state = None if restart else last_state(self._journal)
        if self._journal.is_unreadable and not restart:
            problem = "is the journal of an unfinished pack, and cannot be read"
            raise OutputError(problem, path=self._journal.journal_path, hint=_RESTART)
        if state is not None and state.progress and not state.progress.keys() >= _PROGRESS:
            hint = "finish it by its own command, or remove this file"
            raise OutputError("is not the journal of a pack", path=self._journal.journal_path, hint=hint)
        if state is None or not _is_worth_keeping(state.progress):
            if resume:
                problem = "no unfinished pack of it is there to go on from"
                raise OutputError(problem, path=self.target, hint="leave out resume=True")
            if restart:  # an output that is not to be replaced is no reason to remove what is there
                refuse_existing([*self._paths, *self._old], force=self.force)
            refuse_claimed(self._paths[1], self.target)
            self._journal.clear()  # first, as it describes what is removed
            for path in (*self._paths, *self._old, self._report_path):
                remove_leftover(path)
            return None
        self._refuse_other(state.progress["identity"], self.identity)
        self._check_files(state)
        self._journal.sync()  # before the first change that builds on the state
        return state

    def _check_files(self, state: State) -> None:
        """Raise OutputError if a file is not there as *state* says, under its final name if all were complete."""
        complete = state.progress["complete"]
        for name, size in state.sizes.items():
            path = self.target.with_name(name)
            found = path if complete and not partial_path(path).exists() else partial_path(path)
            found_size = found.stat().st_size if found.is_file() else 0
            if found_size < size or (complete and found_size > size):
                problem = f"has {found_size:,} bytes, and the journal of an unfinished pack says {size:,}"
                raise OutputError(problem, path=found, hint=_RESTART)

    def _refuse_other(self, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Raise OutputError if a value of *now* differs from that of the unfinished pack."""
        if (difference := next(differences(begun, now), None)) is not None:
            problem = f"an unfinished pack of it was begun with {difference}"
            raise OutputError(problem, path=self.target, hint=f"give the same words, or {_RESTART}")

    @property
    def counts(self) -> dict[str, Any] | None:
        """The counts of an earlier run, or None."""
        if self._state is None:
            return None
        return {**self._state.progress["counts"], "first_bad": self._first_bad()}

    def _first_bad(self) -> dict[str, Any] | None:
        """Return the first bad image of an earlier run, which its report has: it may be too long for a journal."""
        if self._state is None or self._report_path.name not in self._state.sizes:
            return None
        partial = partial_path(self._report_path)
        return first_in_report(partial if partial.exists() else self._report_path)

    @property
    def position(self) -> ListPosition | None:
        """The place in the list that an earlier run had reached, or None."""
        return ListPosition(*self._state.progress["position"]) if self._state else None

    @property
    def is_complete(self) -> bool:
        """True if an earlier run had written everything, and was cut short before all files had their names."""
        return self._state is not None and self._state.progress["complete"]

    def __enter__(self) -> PackOutput:
        if self._state is None:
            try:
                self._open()
            except BaseException:
                self._journal.remove()
                raise
        return self

    def _open(self) -> PartialPack:
        """Open the files, cut to what the state describes. Raises OutputError."""
        self._libraries = self._state.progress["libraries"] if self._state else {}
        self._files = PartialPack(
            self.target,
            self._journal,
            self._state,
            force=self.force,
            digest=self._has_digest,
            companions=self._companions,
        )
        return self._files

    def add(self, chunk: PackedChunk, position: ListPosition, counts: Mapping[str, Any]) -> None:
        """Write the records and the bad images of *chunk*; the list is packed up to *position* then, with *counts*.

        Raises OutputError, also if the libraries of the workers are not those of the unfinished pack.
        """
        if self._files is None and self._state is not None:
            self._refuse_other(self._state.progress["libraries"], chunk.libraries)
        files = self._files or self._open()
        files.write(chunk)
        self._libraries = chunk.libraries
        self._progress = self._progress_at(files, position, counts)
        files.is_consistent = True
        files.checkpoints.offer(self._progress)

    def _progress_at(
        self, files: PartialPack, position: ListPosition, counts: Mapping[str, Any], *, complete: bool = False
    ) -> dict[str, Any]:
        return {
            "identity": self.identity,
            "libraries": self._libraries,
            "position": position,
            "records": files.writer.records,
            "counts": counts,
            "has_digest": self._has_digest,
            "complete": complete,
        }

    def label_map(self) -> bytes:
        """Return the map of labels that an earlier run has written, up to its state. Raises InputError, OutputError."""
        if self._state is None or self._companions is None:
            return b""
        path = self._companions.label_map
        partial = partial_path(path)
        with InputFile(partial if partial.exists() else path) as file:
            return file.read_at(0, self._state.sizes.get(path.name, 0))

    def complete(
        self,
        position: ListPosition,
        counts: Mapping[str, Any],
        classes: ClassesCopy | None = None,
        ending: Ending | None = None,
    ) -> Keys:
        """Write all files to the disk, give them their names, write *classes*, and return the keys of the index.

        An *ending* is written behind the images, unless all was written already. Raises OutputError.
        """
        if self._state is not None and self.is_complete:
            files, progress = None, self._state.progress
            has_report = self._report_path.name in self._state.sizes
        else:
            files = self._files or self._open()
            progress = self._finish(files, position, counts, ending)
            has_report = files.report is not None
        has_digest = progress["has_digest"]
        index = self._paths[1]
        # Read before the end: what takes time behind the last rename could be interrupted, with nothing left to do.
        keys = index_keys(partial_path(index) if partial_path(index).exists() else index)
        paths = [*self._paths, *([self._digest_path] if has_digest else [])]
        open_files = [*files.writer.output_files(), *files.companions] if files else []
        old = [*self._old, *self._paths[1:], *([self._report_path] if self.force else [])]
        publish(paths, old=old, force=self.force, files=open_files, advise=False)
        self._publish_report(has_report=has_report)
        if self._has_digest and not has_digest:  # of the complete state of a run without --digest
            with AtomicFile(self._digest_path, force=True) as file:
                file.write(encode_digest(make_digest(self.target)))
        if classes is not None:
            classes.write()
        if self._nsplit > 1:
            self._write_part_file(progress)
        self._journal.remove()
        return keys

    def _finish(
        self, files: PartialPack, position: ListPosition, counts: Mapping[str, Any], ending: Ending | None
    ) -> dict[str, Any]:
        """Write all *files* to the disk, then the state that they are complete; return its progress."""
        if ending is not None:
            files.write_ending(ending)
        files.writer.finish()
        files.is_consistent = False  # what follows is finished by the next run, and no other state
        self._progress = self._progress_at(files, position, counts, complete=True)
        files.checkpoints.finish(self._progress)
        return self._progress

    def _write_part_file(self, progress: Mapping[str, Any]) -> None:
        same_in_all = {name: value for name, value in self.identity.items() if name not in ("nsplit", "part")}
        write_part_file(
            self.target,
            {**same_in_all, "libraries": progress["libraries"]},
            nsplit=self._nsplit,
            part=self.identity.get("part", 0),
            records=progress["records"],
            bad=progress["counts"]["bad"],
        )

    def keep_report(self) -> Path:
        """Give the report its name although no image could be packed, and return its path. Raises OutputError."""
        if self._files is not None and self._files.report is not None:
            self._files.is_consistent = False  # there is no state without the report
            self._files.report.finish()
            self._publish_report(has_report=True)
        return self._report_path

    def _publish_report(self, *, has_report: bool) -> None:
        """Give the report its name, or remove that of an earlier run."""
        if self._files is not None and self._files.report is not None:
            self._files.report.rename()
        elif has_report and partial_path(self._report_path).exists():
            give_name(self._report_path, force=True)
        elif not has_report:
            with writing(self._report_path):
                disk.remove(self._report_path)
        disk.sync_folder(self.target.parent)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if kind is None:
            self._leave(AtomicFile.keep)
            return
        kept = self._last_progress()
        if not _is_worth_keeping(kept):
            self._leave(AtomicFile.discard)
            self._journal.remove()
            return
        self._leave(AtomicFile.keep)
        self._journal.close()
        if isinstance(error, Im2RecError) and error.hint != _RESTART:
            images = counted(kept["records"], "image so far is kept", "images so far are kept")
            error.hint = "; ".join(filter(None, (error.hint, f"{images}, and the same command goes on")))

    def _last_progress(self) -> Mapping[str, Any]:
        """Save a last state, if the files are those of one; return the progress that the next run finds."""
        found = self._state.progress if self._state else {}
        if self._files is None:
            return found
        if self._files.is_consistent and self._progress:
            with contextlib.suppress(Im2RecError):  # on a full disk; the state before it stays
                self._files.checkpoints.save(self._progress)
        return self._files.checkpoints.saved or found

    def _leave(self, how: Callable[[AtomicFile], None]) -> None:
        if self._files is not None:
            self._files.leave(how)


def _is_worth_keeping(progress: Mapping[str, Any]) -> bool:
    """True if there is something to go on from: records, or the files of a part without any that lack their names."""
    return bool(progress.get("records") or progress.get("complete"))
