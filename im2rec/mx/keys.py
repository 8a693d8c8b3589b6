"""The index of a ``.rec`` as MXNet reads it: keys of any type, in any order, with some records left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from im2rec.errors import CorruptRecordError, IndexFormatError, InputError, ParameterError
from im2rec.format.recordio import read_record
from im2rec.storage.files import INSPECT, InputFile, PathLike, open_binary, reading, with_path
from im2rec.storage.index import belongs, load_index
from im2rec.storage.reader import RecordFile


class Place(NamedTuple):
    """The offset of a record, and its ordinal where it is known."""

    offset: int
    ordinal: int | None


class _IndexedFile(RecordFile):
    _logs_unlisted = False  # an index of some records is what its maker wanted
    _without_index = "an index made anew by 'im2rec index'"


class KeyedRecords:
    """The records of *file* by the keys of the index at *index_path*, which *key_type* makes of the text of a line.

    Integer keys are those of a :class:`RecordFile`, in arrays. Other keys, and an index that a RecordFile refuses, as
    it lists records twice or none, are read line by line into a dictionary; blank lines are passed over. Raises
    InputError, and IndexFormatError for lines that are no index, and for an index of another file.
    """

    def __init__(self, file: InputFile, index_path: PathLike, key_type: Callable[[str], Any]) -> None:
        self._file, self._index_path, self._key_type = file, index_path, key_type
        self._rec: RecordFile | None = None
        self._lines: list[tuple[Any, int]] | None = None
        self.made: dict[Any, int] | None = None  # what offsets() has returned
        if file.size == 0 or key_type is not int:
            self._load_lines(None)
            return
        try:
            self._rec = _IndexedFile(file.path, index=index_path)
        except IndexFormatError as error:
            self._load_lines(error)

    def _load_lines(self, refusal: IndexFormatError | None) -> None:
        """Read all lines; if most of them name no record, raise *refusal*, or an error of that."""
        self._lines = self._read_lines()
        self.made = dict(self._lines)
        offsets = np.unique(np.array([*self.made.values()], np.int64))
        if len(offsets) and not belongs(self._file, offsets):
            problem = "no records start where it says that they do"
            raise refusal or with_path(IndexFormatError(problem, hint="it is of another file"), self._index_path)

    def _read_lines(self) -> list[tuple[Any, int]]:
        lines = []
        with reading(self._index_path), open_binary(self._index_path) as stream:
            for number, line in enumerate(stream, 1):
                text = line.decode("utf-8", "surrogateescape").strip()
                if not text:
                    continue
                fields = text.split("\t" if "\t" in text else None)
                try:
                    lines.append((self._key_type(fields[0].strip()), _offset(fields[1])))
                except (ValueError, IndexError):
                    problem = f"expected a key, a TAB and an offset, found {text[:40]!r}"
                    raise with_path(IndexFormatError(problem, line=number), self._index_path) from None
        return lines

    def offsets(self) -> dict[Any, int]:
        """Return the offset of each key; the last of several lines with one key counts."""
        if self.made is None:
            keys, offsets = load_index(self._index_path, self._file.size)
            self.made = dict(zip(keys.tolist(), offsets.tolist(), strict=True))
        return self.made

    def keys(self) -> list[Any]:
        """Return the keys in the order of the lines; one that is there twice is returned twice."""
        if self._lines is not None:
            return [key for key, _ in self._lines]
        keys, _ = load_index(self._index_path, self._file.size)
        return list(keys.tolist())

    def find(self, key: Hashable) -> Place:
        """Return the place of the record with *key*, the last one in the index. Raises KeyError, TypeError."""
        hash(key)  # TypeError for a list and an array, which no dictionary has as a key either
        if self._rec is None:
            offsets = self.offsets()
            if key not in offsets:
                raise self._missing(key)
            return Place(offsets[key], None)
        try:
            ordinal = self._rec.ordinal_of(key)  # type: ignore[arg-type]
        except (InputError, ParameterError):
            raise self._missing(key) from None
        return Place(int(self._rec.offsets[ordinal]), ordinal)

    def _missing(self, key: Hashable) -> KeyError:
        return KeyError(f"{self._file.path}: no record has the key {key!r} in {self._index_path}")

    def payload(self, place: Place) -> bytes:
        """Return the payload of the record at *place*. Raises CorruptRecordError with path, record and byte."""
        if self._rec is not None and place.ordinal is not None:
            return self._rec.payload(place.ordinal)
        try:
            return read_record(self._file, place.offset)[0]
        except CorruptRecordError as error:
            error.path, error.hint = self._file.path, error.hint or INSPECT
            raise

    def close(self) -> None:
        """Close the file of the records. Calling it twice is allowed."""
        if self._rec is not None:
            self._rec.close()


def _offset(text: str) -> int:
    offset = int(text)
    if not 0 <= offset < 2**63:
        raise ValueError
    return offset
