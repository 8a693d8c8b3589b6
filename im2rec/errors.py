"""The package's exceptions: each message is one line with the problem, its location and the next step.

Also three functions that modules of every layer need: :func:`counted`, :func:`human_size` and :func:`as_bytes`.
"""

from __future__ import annotations

import os
from typing import Any


class Im2RecError(Exception):
    """Base class of all errors that this package raises on purpose.

    ``str(error)`` is one complete line: location, *problem* and, in parentheses, *hint*, the next step.
    There is only one positional argument, so that an error raised in a worker process unpickles in the parent.
    """

    # Pairs (word, attribute): str() starts with the word and the value of each attribute that is not None.
    _location_fields: tuple[tuple[str, str], ...] = ()

    def __init__(self, problem: str, *, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint

    def location(self) -> str:
        """Return the known location fields, as in ``"train.rec, record 7, byte 88"``; empty when none is known."""
        fields = [(word, getattr(self, name)) for word, name in self._location_fields]
        return ", ".join(f"{word}{value}" for word, value in fields if value is not None)

    def __str__(self) -> str:
        location = f"{self.location()}: " if self.location() else ""
        return f"{location}{self.problem}" + (f" ({self.hint})" if self.hint else "")


class ParameterError(Im2RecError, ValueError):
    """A parameter is unknown, missing, of the wrong type or out of range.

    *unknown* is the name of a parameter that does not exist, else None.
    """

    unknown: str | None = None


class FileError(Im2RecError):
    """A file or folder cannot be used.

    *path* is None if there is none, or if the problem names several. *line*, from 1, and *offset*, in bytes from the
    start of the file, are None where the file as a whole is meant.
    """

    _location_fields = (("", "path"), ("line ", "line"), ("byte ", "offset"))

    def __init__(
        self,
        problem: str,
        *,
        path: str | os.PathLike[str] | None = None,
        line: int | None = None,
        offset: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(problem, hint=hint)
        self.path = path
        self.line = line
        self.offset = offset


class InputError(FileError):
    """An input file or folder is missing, unreadable, of the wrong kind, or without images."""


class OutputError(FileError):
    """An output file or folder exists already, or cannot be written."""


class LineError(Im2RecError):
    """A line of a text file cannot be parsed.

    *line* counts from 1. *path* is None until it is set by the function that opened the file.
    """

    _location_fields = (("", "path"), ("line ", "line"))
    path: str | os.PathLike[str] | None = None

    def __init__(self, problem: str, *, line: int | None = None, hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.line = line


class ListFormatError(LineError):
    """A line of a ``.lst`` file does not consist of id, labels and path."""


class IndexFormatError(LineError):
    """An ``.idx`` file cannot be parsed, or does not belong to its ``.rec`` file."""


class DigestFormatError(LineError):
    """A digest of a ``.rec`` cannot be parsed; *line* is None where the file as a whole is wrong."""


class TextFormatError(LineError):
    """A line of a CSV or LibSVM file is not a row of numbers of the expected width."""


class IdxFormatError(InputError):
    """The bytes of an MNIST file do not match its header.

    *path* is None until it is set by the function that opened the file.
    """


class ImageError(Im2RecError):
    """The bytes of one image cannot be decoded; *reason* is a short constant text by which errors are counted.

    *path* and *line* locate the list line that names the image, where packing ends at it; they are None elsewhere.
    """

    _location_fields = (("", "path"), ("line ", "line"))
    path: str | os.PathLike[str] | None = None
    line: int | None = None

    def __init__(self, problem: str, *, reason: str = "does not decode", hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.reason = reason


# In bytes: the length of a part has 29 bits, and MXNet's writer refuses a payload that does not fit in one part.
MAX_PAYLOAD = 2**29 - 1


class RecordTooLargeError(Im2RecError):
    """A payload has more than ``MAX_PAYLOAD`` bytes, the most that a record can hold."""


def counted(number: int, what: str, many: str = "") -> str:
    """Return *number* with its noun, for messages: ``1 image``, ``1,234 images``.

    *many* is the plural if it is not with an s; both may go on, as in ``counted(n, "image has", "images have")``.
    """
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def human_size(bytes_: float) -> str:
    """Return *bytes_* in three digits with a decimal unit: ``1.23 kB``."""
    if bytes_ < 1000:
        return f"{bytes_:.0f} B"
    for unit in ("kB", "MB", "GB"):
        bytes_ /= 1000
        if bytes_ < 999.5:
            return f"{bytes_:.3g} {unit}"
    terabytes = bytes_ / 1000
    return f"{terabytes:.3g} TB" if terabytes < 999.5 else f"{terabytes:,.0f} TB"


def as_bytes(data: Any, name: str) -> bytes:
    """Return *data* as bytes: itself if it is bytes, a copy of a bytearray, a memoryview or a flat array of uint8.

    *name* is what the message calls it: "an image". Raises ParameterError for everything else, an array of pixels too.
    """
    if isinstance(data, bytes):
        return data
    try:
        view = memoryview(data)
    except TypeError:
        raise ParameterError(f"{name} must be bytes, not {type(data).__name__}") from None
    if view.ndim != 1 or view.itemsize != 1:
        found = f"an array of shape {view.shape} and format {view.format!r}"
        raise ParameterError(f"{name} must be bytes, not {found}", hint="encode pixels first")
    return view.tobytes()


def check_payload(payload: bytes) -> None:
    """Raise RecordTooLargeError when *payload* has more than ``MAX_PAYLOAD`` bytes."""
    if len(payload) > MAX_PAYLOAD:
        problem = f"a payload of {len(payload)} bytes exceeds {MAX_PAYLOAD}"
        raise RecordTooLargeError(problem, hint="lower the quality, or resize")


class CorruptRecordError(Im2RecError):
    """The bytes at a known offset are not a valid record.

    *offset* counts bytes from the start of the file. The reader sets *path* and *record*, the ordinal from 0; both are
    None while unknown.
    """

    _location_fields = (("", "path"), ("record ", "record"), ("byte ", "offset"))
    path: str | os.PathLike[str] | None = None
    record: int | None = None

    def __init__(self, problem: str, *, offset: int | None = None, hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.offset = offset


DAMAGED_RECORD = "damaged"  # reason of a BadRecordError that reports a CorruptRecordError


class BadRecordError(Im2RecError):
    """A record gives no image or no label, or is damaged.

    *reason* is a short constant text by which errors are counted. *path*, *record* (ordinal in that file, from 0), *id*
    (the image id) and *offset* (bytes from the start of the file) locate the record; each is None while unknown.
    """

    _location_fields = (("", "path"), ("record ", "record"), ("id ", "id"), ("byte ", "offset"))
    path: str | os.PathLike[str] | None = None
    record: int | None = None
    id: int | None = None
    offset: int | None = None

    def __init__(self, problem: str, *, reason: str = "", hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.reason = reason
