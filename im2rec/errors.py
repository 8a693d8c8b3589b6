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

    >>> try:
    ...     im2rec.open("gone.rec")
    ... except im2rec.Im2RecError as error:
    ...     print(error)
    ...     print([error.location(), error.problem, error.hint])
    gone.rec: cannot be read: no such file or directory (check the path)
    ['gone.rec', 'cannot be read: no such file or directory', 'check the path']
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

    It is a ValueError, too. *unknown* is the name of a parameter that does not exist, else None.

    >>> im2rec.CSVIter(data_csv="rows.csv", data_shape=3, batch_size=0)
    Traceback (most recent call last):
        ...
    im2rec.errors.ParameterError: batch_size=0 must be 1 to 2147483647 (Rows of a batch.)
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
    """An input file or folder is missing, unreadable, of the wrong kind, or without images.

    *path* is None if there is none, or if the problem names several. *line*, from 1, and *offset*, in bytes from the
    start of the file, are None where the file as a whole is meant.

    >>> im2rec.open("gone.rec")
    Traceback (most recent call last):
        ...
    im2rec.errors.InputError: gone.rec: cannot be read: no such file or directory (check the path)
    """


class OutputError(FileError):
    """An output file or folder exists already, or cannot be written: *path* is its name, if there is one.

    >>> im2rec.RecordWriter("photos_train.rec")
    Traceback (most recent call last):
        ...
    im2rec.errors.OutputError: photos_train.rec: exists already (replace it with force=True, or choose another name)
    """


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
    """A line of a ``.lst`` file does not consist of id, labels and path; *path* and *line*, from 1, say which.

    >>> im2rec.ImageRecordIter(
    ...     path_imgrec="photos_train.rec", path_imglist="photos.classes.txt", data_shape=(3, 28, 28), batch_size=1
    ... )
    Traceback (most recent call last):
        ...
    im2rec.errors.ListFormatError: photos.classes.txt, line 1: expected id, labels and path, found 1 field (...)
    """


class IndexFormatError(LineError):
    """An ``.idx`` file cannot be parsed, or does not belong to its ``.rec`` file; *path* and *line*, from 1, say where.

    >>> im2rec.open("photos_train.rec", index="pairs.bin")
    Traceback (most recent call last):
        ...
    im2rec.errors.IndexFormatError: pairs.bin, line 1: expected a key and an offset, found ...
    """


class DigestFormatError(LineError):
    """A digest of a ``.rec`` cannot be parsed; *line* is None where the file as a whole is wrong."""


class TextFormatError(LineError):
    """A line of a CSV or LibSVM file is not a row of numbers of the expected width; *path* and *line* say which.

    >>> with im2rec.CSVIter(data_csv="photos.classes.txt", data_shape=3, batch_size=1) as it:
    ...     batch = it.next()
    Traceback (most recent call last):
        ...
    im2rec.errors.TextFormatError: photos.classes.txt, line 1: expected a number in column 1, found 'bark' (...)
    """


class IdxFormatError(InputError):
    """The bytes of an MNIST file do not match its header; *path* is the file.

    >>> im2rec.MNISTIter(image="photos_train.rec", label="photos_train.idx")
    Traceback (most recent call last):
        ...
    im2rec.errors.IdxFormatError: photos_train.rec: expected the magic 2051 of images, found 0a 23 d7 ce (...)
    """


class ImageError(Im2RecError):
    """The bytes of one image cannot be decoded; *reason* is a short constant text by which errors are counted.

    *path* and *line* locate the list line that names the image, where packing ends at it; they are None elsewhere.

    >>> try:
    ...     im2rec.decode(b"no image")
    ... except im2rec.ImageError as error:
    ...     print(error.reason)
    not an image
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
    """A payload has more than 2**29 - 1 bytes, the most that a record can hold.

    >>> im2rec.encode_record(bytes(2**29))
    Traceback (most recent call last):
        ...
    im2rec.errors.RecordTooLargeError: a payload of 536870912 bytes exceeds 536870911 (lower the quality, or resize)
    """


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

    >>> with im2rec.open("damaged.rec") as rec:
    ...     try:
    ...         rec[10]
    ...     except im2rec.CorruptRecordError as error:
    ...         print(error.path, error.record, error.offset == rec.offsets[10])
    damaged.rec 10 True
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

    >>> with im2rec.ImageRecordIter(path_imgrec="damaged.rec", data_shape=(3, 112, 112), batch_size=8) as it:
    ...     try:
    ...         batches = [batch.index for batch in it]
    ...     except im2rec.BadRecordError as error:
    ...         print(error.path, error.record, error.reason)
    damaged.rec 10 damaged
    """

    _location_fields = (("", "path"), ("record ", "record"), ("id ", "id"), ("byte ", "offset"))
    path: str | os.PathLike[str] | None = None
    record: int | None = None
    id: int | None = None
    offset: int | None = None

    def __init__(self, problem: str, *, reason: str = "", hint: str = "") -> None:
        super().__init__(problem, hint=hint)
        self.reason = reason
