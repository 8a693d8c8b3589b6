"""Select records of a ``.rec`` by key, label and size of the class."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, IndexFormatError, InputError, ParameterError
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import Labels, float32
from im2rec.selection.headers import LEFT_OUT, NO_IMAGE, Mask, ScannedFile
from im2rec.storage.files import INSPECT, with_path
from im2rec.storage.index import find_index, sorted_index
from im2rec.storage.index_match import FoundRecords
from im2rec.storage.reader import KEEP
from im2rec.storage.record_map import match_lines

_WITHOUT_INDEX = "with --no-idx the keys are the ids"
Ordinals = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Selection:
    """Filters on the images of a file; an image is selected if it passes all of them.

    *keys* are those of the index beside the file; they are ids when there is no index, and if *index* is False.
    *labels* are compared with the first label. *min_images* drops the classes that have fewer images in the whole file,
    whatever the other filters select. *head* keeps the first images that pass the other filters. *doubtful* ``drop``
    leaves out records that end at damage and that nothing proves to be whole. Raises ParameterError.
    """

    head: int | None = None
    keys: tuple[int, ...] = ()
    labels: tuple[float, ...] = ()
    min_images: int | None = None
    index: bool = True
    doubtful: str = KEEP

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(map(float, self.labels)))
        for name, value in (("head", self.head), ("min_images", self.min_images)):
            if value is not None and value < 1:
                raise ParameterError(f"{name}={value} must be 1 or more")


@dataclasses.dataclass(frozen=True)
class SelectedRecords:
    """The result of a selection: the *ordinals* of the records, in file order.

    *repeats_id* is True for a record if another selected one has the same id. *images* counts the images of the whole
    file, *left_out* the records without an image that pass the filters, by the reasons of ``LEFT_OUT``. *lost_keys* are
    keys that were asked for and whose records are lost in damaged bytes.
    """

    ordinals: Ordinals
    repeats_id: Mask
    images: int
    left_out: dict[str, int]
    lost_keys: list[int] = dataclasses.field(default_factory=list)


def select_records(rec: ScannedFile, selection: Selection) -> SelectedRecords:
    """Return the images of *rec* that pass the filters of *selection*.

    Raises InputError when there are none or the file lacks a key or label of the filters, CorruptRecordError when the
    records of all keys are lost, IndexFormatError when the index belongs to another file.
    """
    images, lost_keys = rec.states & NO_IMAGE == 0, list[int]()
    matching = np.ones(len(rec), np.bool_)
    if selection.keys:
        mask, lost_keys = _with_keys(rec, selection.keys, index_lines(rec, index=selection.index))
        matching &= mask
        if lost_keys and not mask.any():
            problem = f"no record has the key {lost_keys[0]}: it is lost in damaged bytes"
            raise with_path(CorruptRecordError(problem, hint=INSPECT), rec.path)
    if selection.labels:
        matching &= _with_labels(rec, selection.labels, images)
    selected = matching & images
    if selection.min_images:
        selected &= _in_large_classes(rec.first_labels, images, selection.min_images)
    ordinals = np.flatnonzero(selected)
    if selection.head and len(ordinals) > selection.head:
        ordinals = ordinals[: selection.head]
        matching[int(ordinals[-1]) + 1 :] = False  # records after the last image of --head are not reported
    count = int(np.sum(images))
    if not len(ordinals):
        if count:
            raise InputError(f"none of its {count} images is chosen", path=rec.path, hint="choose by fewer options")
        raise InputError("holds no images", path=rec.path, hint=INSPECT)
    left_out = {why: int(np.sum(matching & (rec.states & bit > 0))) for bit, why in LEFT_OUT.items()}
    left_out = {why: n for why, n in left_out.items() if n}
    return SelectedRecords(ordinals, _repeated(rec.keys[ordinals]), count, left_out, lost_keys)


def class_numbers(labels: Labels) -> npt.NDArray[np.uint32]:
    """Return a number for each label that is equal for labels of one class: 0 and -0 are one, and so are all NaNs."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(labels), np.float32(np.nan), labels + np.float32(0)).view(np.uint32)


def _with_keys(rec: ScannedFile, selected: Sequence[int], lines: IndexLines) -> tuple[Mask, list[int]]:
    """Return a mask of the records with one of the keys *selected*, and those keys whose records are lost.

    Raises InputError for a key that is missing.
    """
    keys = lines.keys
    matches = np.isin(keys, _as_keys(selected))
    present = set(np.unique(keys[matches]).tolist())
    missing = [key for key in selected if key not in present]
    # Without an index nobody knows which records there were.
    lost = missing if rec.damage and not lines.are_listed else [k for k in missing if k in set(lines.lost.tolist())]
    if unknown := [key for key in missing if key not in lost]:
        hint = f"keys run from {keys.min()} to {keys.max()}"
        if 0 < len(keys) < len(rec):
            hint += f"; the index lists {len(keys)} of {len(rec)} records; {_WITHOUT_INDEX}"
        raise InputError(f"no record has the key {unknown[0]}", path=rec.path, hint=hint)
    mask = np.zeros(len(rec), np.bool_)
    mask[lines.ordinals[matches]] = True
    return mask, lost


def _as_keys(numbers: Sequence[int]) -> Keys:
    """Return *numbers* as uint64, without those that are no key: NumPy raises an error for 2**64."""
    return np.array([key for key in numbers if 0 <= key < 2**64], np.uint64)


class IndexLines(NamedTuple):
    """Lines of an index: *keys* (uint64) and *ordinals* (int64) of records, and the keys of those that are *lost*.

    *are_listed* is False if there is no index: the keys are ids then.
    """

    keys: Keys
    ordinals: Ordinals
    lost: Keys
    are_listed: bool


def index_lines(rec: ScannedFile, *, index: bool = True) -> IndexLines:
    """Return the lines of the index beside *rec*; the ids of its records if there is none or *index* is False.

    Raises IndexFormatError for an index that cannot be parsed or belongs to another file.
    """
    path = find_index(rec.path) if index else None
    if path is None:
        return IndexLines(rec.keys, np.arange(len(rec)), np.empty(0, np.uint64), are_listed=False)
    try:
        return _lines_of(rec, *sorted_index(path, rec.size))
    except IndexFormatError as error:
        error.hint = "; ".join(filter(None, (error.hint, _WITHOUT_INDEX)))
        raise with_path(error, path) from None


def _lines_of(rec: ScannedFile, keys: Keys, offsets: Offsets) -> IndexLines:
    """Return the lines of an index of *rec* as it was before any damage, with the records that they mean."""
    ordinals = np.arange(len(rec))
    found = FoundRecords(rec.offsets, rec.offsets + rec.frame_sizes(ordinals), rec.keys)
    is_damaged = len(rec.damage) > 0
    match = match_lines(keys, offsets, found, rec.doubtful.tolist(), is_damaged=is_damaged)
    if match is None:
        raise _other_index(int(offsets[int(np.isin(offsets, rec.offsets).argmin())]))
    rows = np.flatnonzero(match.lines >= 0)
    lost = np.delete(keys, match.lines[rows])
    # As in RecordFile, the key of a record that belongs to no line is its id.
    all_keys = np.concatenate([keys[match.lines[rows]], rec.keys[match.extra]])
    return IndexLines(all_keys, np.concatenate([rows, match.extra]), lost, are_listed=True)


def _other_index(offset: int) -> IndexFormatError:
    return IndexFormatError(f"no record starts at byte {offset}", hint="it belongs to another file")


def _with_labels(rec: ScannedFile, selected: Sequence[float], images: Mask) -> Mask:
    """Return a mask of the records with one of the labels *selected*. Raises InputError for one without an image."""
    numbers, selected_numbers = class_numbers(rec.first_labels), class_numbers(float32(selected))
    missing = np.flatnonzero(~np.isin(selected_numbers, numbers[images]))
    if len(missing):
        raise InputError(f"no image has the label {selected[missing[0]]:g}", path=rec.path, hint=INSPECT)
    return np.isin(numbers, selected_numbers)


def _in_large_classes(labels: Labels, images: Mask, min_images: int) -> Mask:
    """Return a mask of the records in classes of at least *min_images* images."""
    numbers = class_numbers(labels)
    distinct, counts = np.unique(numbers[images], return_counts=True)
    return np.isin(numbers, distinct[counts >= min_images])


def _repeated(ids: Keys) -> Mask:
    """Return a mask of the ids that occur more than once."""
    ordered = np.sort(ids)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(ids, np.unique(repeated)) if len(repeated) else np.zeros(len(ids), np.bool_)
