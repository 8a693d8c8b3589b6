"""Records of an open ``.rec`` one after the other, from any offset on, for MXNet's ``read()``."""

from __future__ import annotations

import os
import threading
import weakref

from im2rec.errors import CorruptRecordError
from im2rec.format.recordio import measure, read_record
from im2rec.format.resync import RecordFinder
from im2rec.storage.files import INSPECT, InputFile

_WINDOW_BYTES = 64 << 10  # read at once: then most records need no call of the system of their own


class SequentialReader:
    """Reads records from a position that moves behind each of them; threads that share it get each record once.

    After damage it continues with the next whole record. A forked child has a position of its own.
    """

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self._offset = 0  # of the record that is next, or that was the last one
        self._ordinal: int | None = 0  # of that record; None where it is not known
        self._is_counted = True  # from the start of the file: an index may leave records out
        self._is_read = self._is_damaged = False  # that record is the last one: the next call passes over it
        self._window, self._base = b"", 0
        self._lock = threading.Lock()
        _READERS.add(self)

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self._file.size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on, from the window if it has them; fewer at the end of the file."""
        start = offset - self._base
        if start < 0 or start + size > len(self._window):
            if size > _WINDOW_BYTES:
                return self._file.read_at(offset, size)
            self._window, self._base, start = self._file.read_at(offset, _WINDOW_BYTES), offset, 0
        return self._window[start : start + size]

    def seek(self, offset: int, ordinal: int | None, *, is_read: bool = False) -> None:
        """Make the record at *offset* the next one, or with *is_read* the one after it."""
        with self._lock:
            self._offset, self._ordinal, self._is_counted = offset, ordinal, False
            self._is_read, self._is_damaged = is_read, False

    def skip(self, offset: int) -> None:
        """Make the first whole record behind the damaged one at *offset* the next one."""
        with self._lock:
            self._offset, self._ordinal, self._is_damaged = offset, None, True

    def next(self) -> bytes | None:
        """Return the next payload, or None at the end of the file.

        Raises CorruptRecordError for a damaged record; the next call then returns the first whole one behind it.
        """
        with self._lock:
            try:
                self._pass_over()
                if self._offset == self.size:
                    return None
                payload, end = read_record(self, self._offset)
            except CorruptRecordError as error:
                self._is_damaged = True
                error.path, error.record = self._file.path, self._ordinal
                error.hint = error.hint or INSPECT
                raise
            self._move(end)
            return payload

    def _pass_over(self) -> None:
        """Move behind the record that was read last by its offset, or that was damaged. Raises CorruptRecordError."""
        if self._is_damaged:
            start = RecordFinder(self).first(self._offset + 1, self.size, self._offset)
            self._offset, self._ordinal = self.size if start is None else start, None
        elif self._is_read:
            self._move(measure(self, self._offset).end)
        self._is_read = self._is_damaged = False

    def _move(self, end: int) -> None:
        self._offset = end
        self._ordinal = self._ordinal + 1 if self._is_counted and self._ordinal is not None else None

    def _forget_lock(self) -> None:
        self._lock = threading.Lock()


_READERS: weakref.WeakSet[SequentialReader] = weakref.WeakSet()


def _unlock_in_child() -> None:
    for reader in list(_READERS):  # a thread that the child lacks may have held the lock
        reader._forget_lock()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_unlock_in_child)
