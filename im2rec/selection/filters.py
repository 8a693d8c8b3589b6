"""Select records of a ``.rec`` by key, id, label, size of the class, and lists of keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, IndexFormatError, InputError, ParameterError
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import Labels, float32
from im2rec.selection.headers import LEFT_OUT, NO_IMAGE, LabelledFile, Mask, ScannedFile
from im2rec.storage.companions import find_index
from im2rec.storage.files import INSPECT, with_path
from im2rec.storage.index import sorted_index
from im2rec.storage.index_match import FoundRecords
from im2rec.storage.reader import KEEP
from im2rec.storage.record_map import match_lines

_WITHOUT_INDEX = "with --no-idx the keys are the ids"
Ordinals = npt.NDArray[np.int64]
HeaderFile = ScannedFile | LabelledFile
NO_KEYS: Keys = np.empty(0, np.uint64)
NO_ROWS: Ordinals = np.empty(0, np.int64)
_CHUNK = 1 << 20  # records that are looked at at once
# Why images do not pass.
BY_KEY, BY_ID, BY_LABEL, BY_HEAD = "with another key", "with another id", "with another label", "after the first ones"
NOT_LISTED, DROPPED = "not in the list", "in the list of those to drop"
IN_SMALL_CLASSES, IN_LARGE_CLASSES = "in smaller classes", "in larger classes"


@dataclasses.dataclass(frozen=True)
class Selection:
    """Filters on the images of a file; an image is selected if it passes all of them.

    *keys* are those of the index beside the file; they are ids when there is no index, and if *index* is False.
    *labels* are compared with the first label, and *label_ranges* are ranges of it, both ends included; a record passes
    if one of either fits. *ids* are those in the image headers. *listed* are keys too, of which some may be missing in
    the file, and records with one of the keys *dropped* do not pass. *min_images* drops the classes that have fewer
    images in the whole file, and *max_images* those that have more, whatever the other filters select; only images with
    *dropped* keys do not count. *head* keeps the first images that pass the other filters. *doubtful* ``drop`` leaves
    out records that end at damage and that nothing proves to be whole. Raises ParameterError.
    """

    head: int | None = None
    keys: tuple[int, ...] = ()
    labels: tuple[float, ...] = ()
    min_images: int | None = None
    index: bool = True
    doubtful: str = KEEP
    ids: tuple[int, ...] = ()
    label_ranges: tuple[tuple[float, float], ...] = ()
    max_images: int | None = None
    listed: Keys | None = dataclasses.field(default=None, compare=False)
    dropped: Keys | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(map(float, self.labels)))
        for name in ("head", "min_images", "max_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ParameterError(f"{name}={value} must be 1 or more")
        if self.min_images and self.max_images and self.min_images > self.max_images:
            raise ParameterError(f"min_images={self.min_images} is more than max_images={self.max_images}")
        for low, high in self.label_ranges:
            if not low <= high:
                raise ParameterError(f"the labels {low:g}-{high:g} are no range")


@dataclasses.dataclass(frozen=True)
class SelectedRecords:
    """The result of a selection: the *ordinals* of the records, in file order.

    *repeats_id* is True for a record if another selected one has the same id. *images* counts the images of the whole
    file, *left_out* the records without an image that pass the filters, by the reasons of ``LEFT_OUT``. *lost_keys* are
    keys that were asked for and whose records are lost in damaged bytes. *failed* counts the images that do not pass,
    by the first filter that they fail. *missing_listed* and *missing_dropped* (uint64) are the keys of lists that no
    image has.
    """

    ordinals: Ordinals
    repeats_id: Mask
    images: int
    left_out: dict[str, int]
    lost_keys: list[int] = dataclasses.field(default_factory=list)
    failed: dict[str, int] = dataclasses.field(default_factory=dict)
    missing_listed: Keys = dataclasses.field(default_factory=lambda: NO_KEYS)
    missing_dropped: Keys = dataclasses.field(default_factory=lambda: NO_KEYS)


def select_records(
    rec: HeaderFile, selection: Selection, lines: IndexLines | None = None, unreported: Ordinals | None = None
) -> SelectedRecords:
    """Return the images of *rec* that pass the filters of *selection*; *lines* are those of its index, if known.

    Records without an image at the ordinals *unreported* are not counted as left out. Raises InputError when
    there are none or the file lacks a key, id or label of the filters, CorruptRecordError when the records of all keys
    are lost, IndexFormatError when the index belongs to another file.
    """
    left = _Filtered(rec)
    if unreported is not None:
        left.matching[unreported] = False
    if selection.keys or selection.listed is not None or selection.dropped is not None:
        lines = lines or index_lines(rec, index=selection.index)
        left.by_keys(selection, lines)
    if selection.ids:
        left.keep(_with_ids(rec, selection.ids, left.images), BY_ID)
    if selection.labels or selection.label_ranges:
        left.keep(_with_labels(rec, selection, left.images), BY_LABEL)
    left.by_class_size(selection)
    ordinals = np.flatnonzero(left.selected)
    if selection.head and len(ordinals) > selection.head:
        # Records after the last image of --head are not reported.
        left.keep(np.arange(len(rec)) <= int(ordinals[selection.head - 1]), BY_HEAD)
        ordinals = ordinals[: selection.head]
    count = int(np.sum(left.images))
    if not len(ordinals):
        if count:
            raise InputError(f"none of its {count} images is chosen", path=rec.path, hint="choose by fewer options")
        raise InputError("holds no images", path=rec.path, hint=INSPECT)
    left_out = {why: int(np.sum(left.matching & (rec.states & bit > 0))) for bit, why in LEFT_OUT.items()}
    return SelectedRecords(
        ordinals,
        _repeated(rec.ids[ordinals]),
        count,
        {why: n for why, n in left_out.items() if n},
        left.lost_keys,
        left.failed,
        left.missing_listed,
        left.missing_dropped,
    )


class _Filtered:
    """What is left of the records of a file: ``matching`` are those of all kinds, ``selected`` the images.

    ``failed`` counts the images that have not passed, by the filter.
    """

    def __init__(self, rec: HeaderFile) -> None:
        self._rec = rec
        self.images: Mask = rec.states & NO_IMAGE == 0
        self._counting = self.images  # for the sizes of classes
        self.matching, self.selected = np.ones(len(rec), np.bool_), self.images.copy()
        self.failed: dict[str, int] = {}
        self.lost_keys: list[int] = []
        self.missing_listed = self.missing_dropped = NO_KEYS

    def keep(self, mask: Mask, why: str, *, reported: bool = True) -> None:
        """Leave out the records that are not in *mask*; those without an image stay if they are not *reported*."""
        before = int(np.sum(self.selected))
        self.selected &= mask
        if reported:
            self.matching &= mask
        if failed := before - int(np.sum(self.selected)):
            self.failed[why] = failed

    def by_keys(self, selection: Selection, lines: IndexLines) -> None:
        """Choose by keys and lists of keys. Raises what :func:`select_records` does."""
        if selection.keys:
            mask, self.lost_keys = _with_keys(self._rec, selection.keys, lines)
            if self.lost_keys and not mask.any():
                problem = f"no record has the key {self.lost_keys[0]}: it is lost in damaged bytes"
                raise with_path(CorruptRecordError(problem, hint=INSPECT), self._rec.path)
            self.keep(mask, BY_KEY)
        if selection.listed is not None:
            mask, self.missing_listed = self._among(selection.listed, lines)
            self.keep(mask, NOT_LISTED)
        if selection.dropped is not None:
            mask, self.missing_dropped = self._among(selection.dropped, lines)
            self._counting = self.images & ~mask
            self.keep(~mask, DROPPED)

    def _among(self, wanted: Keys, lines: IndexLines) -> tuple[Mask, Keys]:
        """Return a mask of the records with one of the keys *wanted*, and those keys that no image has."""
        mask = np.zeros(len(self._rec), np.bool_)
        mask[lines.ordinals[np.isin(lines.keys, wanted)]] = True
        return mask, np.setdiff1d(wanted, lines.keys[self.images[lines.ordinals]])

    def by_class_size(self, selection: Selection) -> None:
        """Leave out the images of classes that have too few or too many."""
        least, most = selection.min_images, selection.max_images
        if not least and not most:
            return
        numbers = class_numbers(self._rec.first_labels)
        ordered = np.sort(numbers[self._counting])
        begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else NO_ROWS
        distinct, counts = ordered[begins], np.diff(begins, append=len(ordered))
        del ordered  # which takes as much memory as the labels
        if least:
            self.keep(_is_among(numbers, distinct[counts >= least]), IN_SMALL_CLASSES, reported=False)
        if most:
            self.keep(_is_among(numbers, distinct[counts <= most]), IN_LARGE_CLASSES, reported=False)


def class_numbers(labels: Labels) -> npt.NDArray[np.uint32]:
    """Return a number for each label that is equal for labels of one class: 0 and -0 are one, and so are all NaNs."""
    with np.errstate(invalid="ignore"):
        numbers = labels + np.float32(0)
    numbers[np.isnan(numbers)] = np.nan
    return numbers.view(np.uint32)


def _is_among(numbers: npt.NDArray[np.uint32], ascending: npt.NDArray[np.uint32]) -> Mask:
    """Return a mask of the *numbers* that are among the *ascending* ones; unlike that of NumPy without sorting them."""
    mask = np.zeros(len(numbers), np.bool_)
    if len(ascending):
        for start in range(0, len(numbers), _CHUNK):
            part = numbers[start : start + _CHUNK]
            rows = np.minimum(np.searchsorted(ascending, part), len(ascending) - 1)
            mask[start : start + _CHUNK] = ascending[rows] == part
    return mask


def count_classes(labels: Labels) -> int:
    """Return the number of classes among *labels*."""
    numbers = class_numbers(labels)
    numbers.sort()
    return int(np.sum(numbers[1:] != numbers[:-1])) + min(1, len(numbers))


def _with_keys(rec: HeaderFile, selected: Sequence[int], lines: IndexLines) -> tuple[Mask, list[int]]:
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


def index_lines(rec: HeaderFile, *, index: bool = True) -> IndexLines:
    """Return the lines of the index beside *rec*; the ids of its records if there is none or *index* is False.

    Raises IndexFormatError for an index that cannot be parsed or belongs to another file.
    """
    if isinstance(rec, LabelledFile):
        return IndexLines(rec.keys, np.arange(len(rec)), NO_KEYS, are_listed=rec.index_path is not None)
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


def record_keys(rec: HeaderFile, lines: IndexLines) -> Keys:
    """Return the key of each record of *rec* (uint64) by *lines*; the id of one without a line."""
    if isinstance(rec, LabelledFile):
        return rec.keys
    keys = rec.ids.copy()
    keys[lines.ordinals] = lines.keys
    return keys


def _with_ids(rec: HeaderFile, selected: Sequence[int], images: Mask) -> Mask:
    """Return a mask of the records with one of the ids *selected*. Raises InputError for one without an image."""
    mask = np.isin(rec.ids, _as_keys(selected))
    present = set(rec.ids[mask & images].tolist())
    for id_ in selected:
        if id_ not in present:
            raise InputError(f"no image has the id {id_}", path=rec.path, hint=INSPECT)
    return np.asarray(mask)


def _with_labels(rec: HeaderFile, selection: Selection, images: Mask) -> Mask:
    """Return a mask of the records with a label of *selection*. Raises InputError for one without an image."""
    numbers, selected_numbers = class_numbers(rec.first_labels), class_numbers(float32(selection.labels))
    missing = np.flatnonzero(~np.isin(selected_numbers, numbers[images]))
    if len(missing):
        raise InputError(f"no image has the label {selection.labels[missing[0]]:g}", path=rec.path, hint=INSPECT)
    mask = np.isin(numbers, selected_numbers)
    for low, high in selection.label_ranges:
        is_inside = (rec.first_labels >= float32(low)) & (rec.first_labels <= float32(high))
        if not np.any(is_inside & images):
            raise InputError(f"no image has a label from {low:g} to {high:g}", path=rec.path, hint=INSPECT)
        mask |= is_inside
    return np.asarray(mask)


def _repeated(ids: Keys) -> Mask:
    """Return a mask of the ids that occur more than once."""
    ordered = np.sort(ids)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(ids, np.unique(repeated)) if len(repeated) else np.zeros(len(ids), np.bool_)
