"""The ``.rec`` that a script writes record by record, and its index if it has one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from im2rec.errors import OutputError
from im2rec.format.recordio import encode_record
from im2rec.storage.digest import digest_path
from im2rec.storage.files import PathLike
from im2rec.storage.journal import lock_output, refuse_claimed
from im2rec.storage.output import AtomicFile, publish, refuse_existing, remove_leftover


class RecordOutput:
    """A new ``.rec`` and its index, written aside; :meth:`close` gives both their names, in place of older files.

    If the process is killed before, the older files are as they were. A forked child cannot write, and closes nothing.
    After a write that fails nothing is left of the new files. Raises OutputError where one of them cannot be written,
    or another process is writing it.
    """

    def __init__(self, path: PathLike, index_path: PathLike | None = None) -> None:
        self.path = Path(path)
        self.offset = 0  # of the next record
        self._owner_pid = os.getpid()
        self._closed = False
        self.failed = False  # a write has failed, and the files are removed
        others = [] if index_path is None else [Path(index_path)]
        refuse_existing([self.path, *others], force=True)
        with contextlib.ExitStack() as stack:
            self._journal = lock_output(self.path)
            stack.callback(self._journal.remove)
            for other in others:
                refuse_claimed(other, self.path)
            remove_leftover(digest_path(path))  # those of the files themselves are written over
            self._rec = AtomicFile(self.path, force=True, locked=False)
            stack.callback(self._rec.discard)
            self._index = AtomicFile(others[0], force=True) if others else None
            stack.pop_all()  # no error: the files stay open

    def write(self, payload: bytes) -> int:
        """Append *payload* as one record, and return its offset.

        Raises RecordTooLargeError and ParameterError, after which nothing is written, and OutputError.
        """
        self.check_open()
        frame = encode_record(payload)
        self._append(self._rec, frame)
        offset = self.offset
        self.offset += len(frame)
        return offset

    def write_line(self, line: bytes) -> None:
        """Append *line* to the index. Raises OutputError."""
        self.check_open()
        assert self._index is not None
        self._append(self._index, line)

    def _append(self, file: AtomicFile, data: bytes) -> None:
        is_written = False
        try:
            file.write(data)
            is_written = True
        finally:
            if not is_written:  # half a record, or one without its line, must never have its name
                self.failed = True
                self._discard()

    def check_open(self) -> None:
        """Raise OutputError after :meth:`close`, after a write that failed, and in a forked child."""
        if self._closed:
            raise OutputError("is closed", path=self.path, hint="open a new writer")
        if os.getpid() != self._owner_pid:
            raise OutputError("belongs to another process", path=self.path, hint="write and close it in that one")

    def close(self) -> None:
        """Write the files to the disk and give them their names. Calling it twice is allowed.

        Raises OutputError, also when an earlier write has failed.
        """
        if self.failed:
            problem = "was discarded when a write failed"
            raise OutputError(problem, path=self.path, hint="what was there before is unchanged")
        if self._closed:
            return
        if os.getpid() != self._owner_pid:  # what a forked child closes are its copies, which lead nowhere
            self._close_files()
            self._journal.close()
            return
        files = [file for file in (self._rec, self._index) if file is not None]
        try:
            for file in files:
                file.finish()
            paths = [file.path for file in files]
            publish(paths, old=[digest_path(self.path), *paths[1:]], force=True, files=files)
        finally:
            self._discard()

    def _discard(self) -> None:
        """Close all files and remove those that have not got their names."""
        self._close_files()
        self._journal.remove()

    def _close_files(self) -> None:
        self._closed = True
        for file in (self._rec, self._index):
            if file is not None:
                file.discard()
