"""Which records of a face-recognition set hold images, and which hold ranges of keys.

The layout of such sets is described in :mod:`im2rec.format.insightface`. The header record may be anywhere in a file,
and most writers put it behind the images. Classes are those of the labels of images: the ranges of identity records may
be rounded, and a class that was written in two runs has two of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError, counted
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.insightface import HEADER_KEY, RANGE_LABELS
from im2rec.format.irheader import Labels, label_text
from im2rec.storage.files import INSPECT, PathLike
from im2rec.storage.reader import RecordFile
from im2rec.storage.record_labels import RecordLabels

Classes = npt.NDArray[np.int64]


class RangeRecords(NamedTuple):
    """The records of a file with two labels and no content: *ordinals* (int64), *keys* (uint64), labels (n, 2)."""

    ordinals: Offsets
    keys: Keys
    ranges: Labels

    @property
    def is_header(self) -> npt.NDArray[np.bool_]:
        """True for a header record; all others are identity records."""
        return np.asarray(self.keys == HEADER_KEY)


@dataclasses.dataclass(frozen=True)
class SetHeader:
    """The header record of a set, at *ordinal*: the keys of the identity records are those from *first* to *stop* - 1.

    The keys of the images are those from 1 to *first* - 1.
    """

    ordinal: int
    first: int
    stop: int

    @property
    def images(self) -> int:
        """Number of images by the header."""
        return self.first - 1

    @property
    def identities(self) -> int:
        """Number of identity records by the header."""
        return self.stop - self.first


def range_records(labels: RecordLabels, keys: Keys) -> RangeRecords:
    """Return the records of *labels* with two labels and no content; *keys* are those of all records, or the ids."""
    return _range_records(labels, keys.__getitem__)


def range_records_of(rec: RecordFile) -> RangeRecords:
    """Return the records of *rec* with two labels and no content. Raises what :attr:`RecordFile.labels` raises."""
    return _range_records(rec.labels, rec.keys_of)


def _range_records(labels: RecordLabels, keys_of: Callable[[Offsets], Keys]) -> RangeRecords:
    empty = np.asarray(labels.without_content)
    ordinals = empty[labels.flags[empty] == RANGE_LABELS]
    starts = labels.starts_of(ordinals)
    ranges = labels.values[starts[:, None] + np.arange(RANGE_LABELS)]
    return RangeRecords(ordinals, keys_of(ordinals), ranges)


def find_header(records: RangeRecords, path: PathLike | None = None) -> SetHeader | None:
    """Return the header record; None if there is none. Raises InputError if there are several, or one that is no range.

    *path* is that of the file, for the error.
    """
    rows = np.flatnonzero(records.is_header)
    if not len(rows):
        return None
    row = int(rows[0])
    shown = [_shown(records.ranges[row]) for row in rows[:2]]
    if len(rows) > 1:
        where = f"records {records.ordinals[rows[0]]} and {records.ordinals[rows[1]]}"
        raise InputError(f"has {len(rows)} header records; {where} say {' and '.join(shown)}", path=path, hint=INSPECT)
    first, stop = records.ranges[row].tolist()
    is_whole = all(number.is_integer() and abs(number) < 2**53 for number in (first, stop))  # False for NaN and inf
    if not is_whole or not 1 <= first <= stop:
        problem = f"the header record (record {records.ordinals[row]}) says {shown[0]}, which is no range of keys"
        raise InputError(problem, path=path, hint=INSPECT)
    return SetHeader(int(records.ordinals[row]), int(first), int(stop))


def _shown(numbers: Labels) -> str:
    return f"[{', '.join(map(label_text, numbers.tolist()))})"


def are_classes(labels: Labels) -> npt.NDArray[np.bool_]:
    """Return True for each label that is a class: a whole number from 0 on."""
    with np.errstate(invalid="ignore"):
        return np.asarray((labels >= 0) & (labels == np.floor(labels)) & np.isfinite(labels))


def classes_of(rec: RecordFile, images: Offsets) -> Classes:
    """Return the class of each of *images* (int64): its label, or the first of its vector.

    Raises InputError for a label that is no class: negative, or no whole number.
    """
    first = rec.labels.first_of(images)
    return as_classes(first, images, rec.path)


def as_classes(first_labels: Labels, ordinals: Offsets, path: PathLike) -> Classes:
    """Return *first_labels*, those of the records at *ordinals* of *path*, as classes (int64).

    Raises InputError for a label that is no class: negative, or no whole number.
    """
    with np.errstate(invalid="ignore"):
        is_wrong = ~(are_classes(first_labels) & (first_labels < 2.0**53))
    if is_wrong.any():
        row = int(is_wrong.argmax())
        others = counted(int(is_wrong.sum()), "record has a label", "records have a label")
        problem = f"{others} that is no class; first: record {ordinals[row]}, {first_labels[row]:g}"
        raise InputError(problem, path=path, hint="classes are whole numbers from 0 on")
    return first_labels.astype(np.int64)
