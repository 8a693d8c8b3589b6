"""Errors: each message is one complete line, and pickling keeps every attribute."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from im2rec import errors
from im2rec.errors import (
    BadRecordError,
    CorruptRecordError,
    DigestFormatError,
    FileError,
    IdxFormatError,
    Im2RecError,
    ImageError,
    IndexFormatError,
    InputError,
    LineError,
    ListFormatError,
    OutputError,
    ParameterError,
    RecordTooLargeError,
    TextFormatError,
)

ERROR_CLASSES = [
    BadRecordError,
    CorruptRecordError,
    DigestFormatError,
    FileError,
    IdxFormatError,
    Im2RecError,
    ImageError,
    IndexFormatError,
    InputError,
    LineError,
    ListFormatError,
    OutputError,
    ParameterError,
    RecordTooLargeError,
    TextFormatError,
]


def corrupt(**location: Any) -> CorruptRecordError:
    error = CorruptRecordError("expected 8 bytes, found 3", offset=location.get("offset"), hint="fetch it again")
    error.path, error.record = location.get("path"), location.get("record")
    return error


def test_every_error_class_derives_from_im2recerror() -> None:
    defined = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}

    assert set(ERROR_CLASSES) == defined
    assert all(issubclass(kind, Im2RecError) for kind in defined)


def test_a_parameter_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^resize=x must be an integer$"):
        raise ParameterError("resize=x must be an integer")


def test_the_hint_follows_the_problem_in_parentheses() -> None:
    assert "out.rec: exists already" == str(OutputError("out.rec: exists already"))
    assert "out.rec: exists already (use --force)" == str(OutputError("out.rec: exists already", hint="use --force"))


def test_a_corrupt_record_error_names_the_known_parts_of_its_location() -> None:
    rest = "expected 8 bytes, found 3 (fetch it again)"

    assert rest == str(corrupt())
    assert f"byte 0: {rest}" == str(corrupt(offset=0))
    assert f"record 0, byte 88: {rest}" == str(corrupt(record=0, offset=88))
    assert f"{Path('a/train.rec')}: {rest}" == str(corrupt(path=Path("a/train.rec")))
    assert f"train.rec, record 7, byte 88: {rest}" == str(corrupt(path="train.rec", record=7, offset=88))


def test_a_bad_record_error_names_file_record_id_and_byte() -> None:
    error = BadRecordError("the image does not decode", reason="does not decode")
    error.path, error.record, error.id, error.offset = "train.rec", 7, 12, 88

    assert "the image does not decode" == str(BadRecordError("the image does not decode"))
    assert "train.rec, record 7, id 12, byte 88: the image does not decode" == str(error)
    assert str(error) == str(pickle.loads(pickle.dumps(error)))
    assert "does not decode" == pickle.loads(pickle.dumps(error)).reason


def test_a_line_error_names_path_and_line() -> None:
    error = ListFormatError("found 'x'", line=3, hint="mend it")

    assert "line 3: found 'x' (mend it)" == str(error)
    error.path = "a.lst"
    assert "a.lst, line 3: found 'x' (mend it)" == str(error)
    error.line = None
    assert "a.lst: found 'x' (mend it)" == str(error)


def test_pickling_and_copying_keep_the_message_and_every_attribute() -> None:
    for kind in ERROR_CLASSES:
        error = kind("what is wrong", hint="what to do")
        for name, value in {"path": Path("x.rec"), "record": 7, "offset": 88, "line": 5, "reason": "empty"}.items():
            if hasattr(error, name):
                setattr(error, name, value)
        for duplicate in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert kind is type(duplicate)
            assert str(error) == str(duplicate)
            assert vars(error) == vars(duplicate)
