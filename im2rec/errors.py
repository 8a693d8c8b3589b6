"""What can go wrong, as one small family: every error says what, where and what to do."""

from __future__ import annotations

import os


class Im2RecError(Exception):
    """Base of all errors this package raises on purpose.

    ``str()`` is one complete line. *hint* is the next step, shown in parentheses at its end.
    One positional argument only, so that an error raised in a worker process pickles back whole.
    """

    _place: tuple[tuple[str, str], ...] = ()  # the attributes that say where, each behind the word before its value

    def __init__(self, problem: str, *, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint

    def where(self) -> str:
        """As much of the place as is known, for the front of the line; empty when the problem names it."""
        known = [(word, getattr(self, name)) for word, name in self._place]
        return ", ".join(f"{word}{value}" for word, value in known if value is not None)

    def __str__(self) -> str:
        place = f"{self.where()}: " if self.where() else ""
        return f"{place}{self.problem}" + (f" ({self.hint})" if self.hint else "")


class ParameterError(Im2RecError, ValueError):
    """A parameter is unknown, missing, of the wrong type or out of range."""


class InputError(Im2RecError):
    """An input is missing, unreadable, of the wrong kind, or holds no images."""


class OutputError(Im2RecError):
    """An output exists already, or cannot be written."""


class LineError(Im2RecError):
    """A line of a text file cannot be read; *line* counts from 1, *path* is filled in by who opened the file."""

    _place = (("", "path"), ("line ", "line"))
    path: str | os.PathLike[str] | None = None

    def __init__(self, problem: str, *, line: int | None = None, hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.line = line


class ListFormatError(LineError):
    """A line of a ``.lst`` file is not ``id, labels, path``."""


class IndexFormatError(LineError):
    """An ``.idx`` file cannot be read, or does not belong to its ``.rec``."""


class TextFormatError(LineError):
    """A line of a CSV or LibSVM file is not a row of numbers of the width that is asked for."""


class IdxFormatError(InputError):
    """The bytes of an MNIST file are not what its header says; *path* is filled in by who opened the file."""

    _place = (("", "path"),)
    path: str | os.PathLike[str] | None = None


class ImageError(Im2RecError):
    """The bytes of one image cannot be decoded; *reason* is a stable word for counting."""

    def __init__(self, problem: str, *, reason: str = "does not decode", hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.reason = reason


MAX_PAYLOAD = 2**29 - 1  # bytes: a part's length has 29 bits, and the reference refuses what does not fit one part


class RecordTooLargeError(Im2RecError):
    """A payload is longer than the format can hold."""


def check_payload(payload: bytes) -> None:
    """Raise RecordTooLargeError when *payload* has more than ``MAX_PAYLOAD`` bytes."""
    if len(payload) > MAX_PAYLOAD:
        problem = f"a payload of {len(payload)} bytes exceeds {MAX_PAYLOAD}"
        raise RecordTooLargeError(problem, hint="lower the quality, or resize")


class CorruptRecordError(Im2RecError):
    """The bytes at a known place are not a valid record.

    *offset* counts bytes from the start of the file; the reader fills in *path* and *record* (ordinal, from 0).
    """

    _place = (("", "path"), ("record ", "record"), ("byte ", "offset"))
    path: str | os.PathLike[str] | None = None
    record: int | None = None

    def __init__(self, problem: str, *, offset: int | None = None, hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.offset = offset


DAMAGED_RECORD = "damaged"  # the reason of a BadRecordError whose bytes are not a valid record


class BadRecordError(Im2RecError):
    """A record is whole, or not even that, but gives no image or no label; *reason* is a stable word for counting.

    *path*, *record* (ordinal in that file, from 0), *id* (None when unknown) and *offset* (bytes) say where it is.
    """

    _place = (("", "path"), ("record ", "record"), ("id ", "id"), ("byte ", "offset"))
    path: str | os.PathLike[str] | None = None
    record: int | None = None
    id: int | None = None
    offset: int | None = None

    def __init__(self, problem: str, *, reason: str = "", hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.reason = reason
