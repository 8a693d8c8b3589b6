"""A new ``.rec`` with its index and the files beside it, which get their names together."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from im2rec.errors import OutputError, ParameterError
from im2rec.format.insightface import range_frames
from im2rec.storage import disk
from im2rec.storage.classes import classes_path, find_classes
from im2rec.storage.companions import find_index, index_to_write
from im2rec.storage.digest import digest_path
from im2rec.storage.output import AtomicFile, check_output_folder, refuse_existing, remove_leftover, writing
from im2rec.storage.output_folder import make_folders
from im2rec.storage.writer import RecordWriter

_RANGE_RECORDS = 1 << 13  # header and identity records that are written at once


def check_outputs(paths: list[Path], *, force: bool) -> None:
    """Raise OutputError for the first of *paths* that cannot become a file, or that is one already, unless *force*.

    Their folder may be missing, as a set often has one of its own.
    """
    if paths[0].parent.is_dir():
        refuse_existing(paths, force=force)
    else:
        check_output_folder(paths[0].parent)


def refuse_inputs(outputs: list[Path], inputs: Sequence[Path]) -> None:
    """Raise ParameterError if one of *outputs*, the ``.rec`` first, is one of *inputs* or a file beside that.

    Files that an input has not got count too: a new index would be taken for that of an input without one.
    Raises it also for a name that cannot be that of a ``.rec``, and OutputError for that of a folder.
    """
    target = outputs[0]
    check_outputs([target], force=True)  # "dir/" has no name to derive the other names from
    if target.suffix == ".idx":
        raise ParameterError(f"{target}: is the name of an index", hint="name the .rec")
    for written in outputs:
        for path in inputs:
            used = [file for file in (path, find_index(path), find_classes(path)) if file is not None and file.exists()]
            is_used = written.exists() and any(file.samefile(written) for file in used)
            if is_used or _would_be_beside(written, path):
                raise ParameterError(
                    f"{written}: belongs to the input {path}", hint="choose another name for the output"
                )


def _would_be_beside(written: Path, path: Path) -> bool:
    """True if *written* has the name of an index, a digest or class names of the ``.rec`` *path*, and its folder."""
    names = (path.with_name(path.name + ".idx"), index_to_write(path), digest_path(path), classes_path(path))
    if written.name not in [name.name for name in names] or not written.parent.is_dir():
        return False
    return path.parent.samefile(written.parent)


class NewSet:
    """The ``.rec`` *target*, locked, with its index, perhaps its digest, and other files beside it.

    *companions* are the paths of all files that may be written beside it. An earlier one never stands beside the new
    ``.rec``: those that :meth:`open` has not opened are removed, too. ``writer`` takes the records. The
    folder of *target* is made if it is missing.

    Raises OutputError if one of the files exists, unless *force*, is being written, or cannot be written. Close it
    after use: what :meth:`publish` has not given a name is removed then.
    """

    def __init__(self, target: Path, companions: Sequence[Path], *, force: bool, digest: bool) -> None:
        self._companions = companions
        self._files: list[AtomicFile] = []
        with contextlib.ExitStack() as stack:
            stack.enter_context(make_folders(target.parent))
            refuse_existing([*companions], force=force)
            self.writer = RecordWriter(target, force=force, digest=digest)
            stack.callback(self.writer.discard)
            for path in companions:
                remove_leftover(path)
            self._resources = stack.pop_all()  # no error: they stay until it is closed

    def open(self, path: Path) -> AtomicFile:
        """Return the new file *path*, one of the companions, to be written. Raises OutputError."""
        file = AtomicFile(path, force=True)  # it was refused, unless it may be replaced, before the first record
        self._files.append(file)
        return file

    def write_ranges(self, first_keys: Iterable[int], images: int, identities: int) -> None:
        """Write header and identity records; the arguments are those of ``range_frames``.

        Raises ParameterError, OutputError.
        """
        frames = range_frames(first_keys, images, identities)
        while block := list(itertools.islice(frames, _RANGE_RECORDS)):
            pieces, keys = [frame for _, frame in block], np.array([key for key, _ in block], np.uint64)
            self.writer.write_frames([b"".join(pieces)], keys, np.array(list(map(len, pieces)), np.int64))

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
        self._resources.close()
