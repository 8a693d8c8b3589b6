"""An error as ``--json`` prints it: one object on stdout, beside the line on stderr."""

from __future__ import annotations

import dataclasses
import json
import os
import sys

from im2rec.cli.streams import discard_output
from im2rec.errors import BadRecordError, Im2RecError, ImageError, OutputError, RecordTooLargeError
from im2rec.schema import SCHEMA, as_json, described

# The kind of an error follows from the exit code, and with exit code 1 from the class: the first that fits counts.
_KIND_OF_CODE = {2: "usage", 4: "input", 5: "damaged", 130: "interrupted", 143: "terminated"}
_KIND_OF_CLASS: tuple[tuple[type[BaseException], str], ...] = (
    (OutputError, "output"),
    (BadRecordError, "image"),
    (ImageError, "image"),
    (RecordTooLargeError, "image"),
    (Im2RecError, "failed"),
    (OSError, "system"),
    (MemoryError, "system"),
    (BaseException, "internal"),
)
_PLACE = ("record", "line", "offset")  # attributes of our errors; numpy's integers, which they may be, are no JSON
KINDS = {
    "usage": "the words of the command are wrong",
    "input": "an input is missing, unreadable, of the wrong kind or without images",
    "damaged": "a `.rec` is damaged",
    "output": "an output exists, or cannot be written",
    "image": "an image, or the label of a record, cannot be used",
    "failed": "the work ended for another reason, which the message gives",
    "system": "the operating system failed, or there is not enough memory",
    "internal": "a fault of im2rec",
    "interrupted": "Ctrl-C",
    "terminated": "SIGTERM or SIGHUP",
}


@dataclasses.dataclass(frozen=True)
class ErrorObject:
    """An error: what, where, and what to do."""

    kind: str = described(f"`{'`, `'.join(KINDS)}`.")
    message: str = described("The problem, without place and hint.")
    path: str | None = described("Path of the file that is meant.")
    record: int | None = described("Ordinal of the record in its file, from 0.")
    line: int | None = described("Line of the file, from 1.")
    byte: int | None = described("Byte, from the start of the file.")
    hint: str | None = described("The next step.")
    exit: int = described("Exit code of the command.")


@dataclasses.dataclass(frozen=True)
class ErrorResult:
    """The object of a command that ended with an error."""

    error: ErrorObject = described("The error.")


def print_error_object(error: BaseException, message: str, hint: str, code: int) -> None:
    """Print *error*, which ends the command with exit code *code*, on stdout; a closed stdout does not matter."""
    kind = _KIND_OF_CODE.get(code) or next(name for class_, name in _KIND_OF_CLASS if isinstance(error, class_))
    path = getattr(error, "path", None) if isinstance(error, Im2RecError) else None
    record, line, byte = (None if (n := getattr(error, name, None)) is None else int(n) for name in _PLACE)
    shown = ErrorObject(
        kind=kind,
        message=message,
        path=None if path is None else os.fspath(path),
        record=record,
        line=line,
        byte=byte,
        hint=hint or None,
        exit=code,
    )
    try:
        sys.stdout.write(json.dumps({"schema": SCHEMA, **as_json(ErrorResult(shown))}) + "\n")
        sys.stdout.flush()
    except OSError:
        discard_output()
