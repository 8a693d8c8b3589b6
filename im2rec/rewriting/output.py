"""A new ``.rec`` with its index and the files beside it, which get their names together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from im2rec.errors import OutputError
from im2rec.storage import disk
from im2rec.storage.classes import SUFFIX, classes_path
from im2rec.storage.output import AtomicFile, refuse_existing, remove_leftover, writing
from im2rec.storage.writer import RecordWriter

LABELS_MAP, KEYS_MAP, SAME_MAP = ".labels.tsv", ".keys.tsv", ".same.tsv"


def beside(rec: Path, suffix: str) -> Path:
    """Return the path of a file beside *rec*: ``train.keys.tsv`` for ``train.rec`` and the suffix ``.keys.tsv``."""
    classes = classes_path(rec)
    return classes.with_name(classes.name.removesuffix(SUFFIX) + suffix)


class NewSet:
    """The ``.rec`` *target*, locked, with its index, perhaps its digest, and other files beside it.

    *companions* are the paths of all files that may be written beside it. An earlier one never stands beside the new
    ``.rec``: those that :meth:`open` has not opened are removed, too. ``writer`` takes the records.

    Raises OutputError if one of the files exists, unless *force*, is being written, or cannot be written. Close it
    after use: what :meth:`publish` has not given a name is removed then.
    """

    def __init__(self, target: Path, companions: Sequence[Path], *, force: bool, digest: bool) -> None:
        self._companions = companions
        self._files: list[AtomicFile] = []
        refuse_existing([*companions], force=force)
        self.writer = RecordWriter(target, force=force, digest=digest)
        try:
            for path in companions:
                remove_leftover(path)
        except BaseException:
            self.close()
            raise

    def open(self, path: Path) -> AtomicFile:
        """Return the new file *path*, one of the companions, to be written. Raises OutputError."""
        file = AtomicFile(path, force=True)  # it was refused, unless it may be replaced, before the first record
        self._files.append(file)
        return file

    def publish(self) -> list[Path]:
        """Write all files to the disk, give them their names, and return these. Raises OutputError.

        The companions of an earlier ``.rec`` are removed before the new one has its name.
        """
        self.writer.finish()
        for file in self._files:
            file.finish()  # a full disk is found before the .rec gets its name
        for path in self._companions:
            with writing(path):
                disk.remove(path)
        self.writer.publish()
        try:
            for file in self._files:
                file.rename()
        except OutputError as error:
            error.hint = f"{self.writer.path} and its index are complete, and this file is missing beside it"
            raise
        disk.sync_folder(self.writer.path.parent)
        return [*(file.path for file in self.writer.output_files()), *(file.path for file in self._files)]

    def close(self) -> None:
        """Remove what has no name yet, and end the lock. Calling it twice is allowed."""
        for file in self._files:
            file.discard()
        self.writer.discard()
