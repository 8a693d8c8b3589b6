"""What published readers make of a face-recognition set, each by its own rule for choosing records.

Source: insightface recognition/arcface_torch/dataset.py, ``MXFaceDataset``; recognition/vpl/dataset.py;
recognition/arcface_mxnet/image_iter.py, ``FaceImageIter``; mxnet src/io/iter_image_recordio_2.cc; DALI readers.mxnet.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from im2rec.errors import counted
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.insightface import HEADER_KEY, RANGE_LABELS
from im2rec.inspection.face_report import ARCFACE, MAX_FAILURES, ProfileReader
from im2rec.inspection.range_check import RangeCheck
from im2rec.inspection.set_records import SetRecords
from im2rec.storage.record_map import NO_KEY

ALL_KEYS, FROM_HEADER, BY_IDENTITIES, ALL_RECORDS = (
    "all keys",
    "1 .. label[0] - 1",
    "those that identity records label[0] .. label[1] - 1 name",
    "all records",
)


class ListedKeys:
    """The keys of an index in order, and the ordinal of the record of each."""

    def __init__(self, listed: Keys) -> None:
        self._ordinals = np.argsort(listed, kind="stable")
        keys = listed[self._ordinals]
        count = int(np.searchsorted(keys, np.uint64(NO_KEY)))
        self.keys, self._ordinals = keys[:count], self._ordinals[:count]

    @property
    def repeated(self) -> Offsets:
        """Ordinals of the records whose key an earlier one has too."""
        return self._ordinals[1 + np.flatnonzero(self.keys[1:] == self.keys[:-1])]

    def find(self, key: int) -> int | None:
        """Return the ordinal of the record with *key*, the last if several have it; None if none is listed.

        Readers keep the records in a dict by key, in which a line replaces an earlier one.
        """
        place = int(np.searchsorted(self.keys, np.uint64(key), "right")) - 1
        return int(self._ordinals[place]) if place >= 0 and self.keys[place] == key else None

    def between(self, first: int, stop: int) -> tuple[Keys, Offsets]:
        """Return the keys from *first* to before *stop*, and the ordinals of their records."""
        bounds = [min(max(0, key), NO_KEY) for key in (first, stop)]
        low, high = np.searchsorted(self.keys, np.array(bounds, np.uint64))
        return self.keys[low:high], self._ordinals[low:high]


def published_readers(
    records: SetRecords,
    index: ListedKeys | None,
    ranges: RangeCheck | None,
    *,
    is_damaged: bool = False,
    has_moved: bool = False,
) -> list[ProfileReader]:
    """Return what each published reader makes of *records* with the keys in the *index*, None without one.

    *ranges* are those of the identity records by these keys. No reader takes a file that *is_damaged*, and none that
    needs the index a file that *has_moved* records, elsewhere than it says.
    """
    rules: tuple[tuple[str, Callable[[str, SetRecords, ListedKeys, int], ProfileReader]], ...] = (
        (ARCFACE, _by_flag),
        ("vpl", _by_two_labels),
    )
    names = [name for name, _ in rules] + ["FaceImageIter", "DALI", "ImageRecordIter"]
    if is_damaged:
        return [ProfileReader(name, "none", False, None, problem="the file is damaged") for name in names]
    every = _all_records("ImageRecordIter", records)
    if index is None or has_moved:
        problem = "there is no index that it can use" if index is None else "the offsets in the index are wrong"
        return [ProfileReader(name, "none", False, None, problem=problem) for name in names[:-1]] + [every]
    dali = _all_keys("DALI", records, index, by_key=False)
    header = index.find(HEADER_KEY)
    if header is None:
        problem = "the index has no key 0: KeyError: 0"
        return [ProfileReader(name, "none", False, None, problem=problem) for name in names[:-2]] + [dali, every]
    first = [rule(name, records, index, header) for name, rule in rules]
    return [*first, _by_identities("FaceImageIter", records, index, header, ranges), dali, every]


def _by_flag(name: str, records: SetRecords, index: ListedKeys, header: int) -> ProfileReader:
    if not records.flags[header]:
        return _all_keys(name, records, index)
    return _from_header(name, records, index, header)


def _by_two_labels(name: str, records: SetRecords, index: ListedKeys, header: int) -> ProfileReader:
    if records.flags[header] != RANGE_LABELS:
        return _all_keys(name, records, index)
    return _from_header(name, records, index, header)


def _all_keys(name: str, records: SetRecords, index: ListedKeys, *, by_key: bool = True) -> ProfileReader:
    keys, ordinals = index.between(0, NO_KEY)
    return _judged(ProfileReader(name, ALL_KEYS, False, len(keys)), records, keys, ordinals, by_key=by_key)


def _all_records(name: str, records: SetRecords) -> ProfileReader:
    empty = int(np.sum(~records.is_image))
    problem = _holds_no_image(empty) if empty else None
    return ProfileReader(name, ALL_RECORDS, not empty, len(records.is_image), problem=problem)


def _from_header(name: str, records: SetRecords, index: ListedKeys, header: int) -> ProfileReader:
    label = _first_label(records, header)
    if label is None or not np.isfinite(label):
        return ProfileReader(name, FROM_HEADER, False, None, problem="key 0 has no first label that is a number")
    stop = int(label)
    keys, ordinals = index.between(1, stop)
    count = max(0, stop - 1)
    missing = count - len(np.unique(keys))
    return _judged(ProfileReader(name, FROM_HEADER, False, count, missing), records, keys, ordinals)


def _first_label(records: SetRecords, ordinal: int) -> float | None:
    """The first label of a record with a vector; None if it is neither an image nor a range."""
    if records.is_image[ordinal]:
        return float(records.labels[np.count_nonzero(records.is_image[:ordinal])])
    rows = np.flatnonzero(records.range_ordinals == ordinal)
    return float(records.range_labels[rows[0], 0]) if len(rows) else None


def _judged(
    found: ProfileReader, records: SetRecords, keys: Keys, ordinals: Offsets, *, by_key: bool = True
) -> ProfileReader:
    """Add to *found* whether the records with *keys*, at *ordinals*, are all images, and all that there are.

    A reader that looks up each record *by_key* reads one of those of the same key alone.
    """
    is_image = records.is_image[ordinals]
    empty, images = keys[~is_image], int(np.count_nonzero(records.is_image))
    found.without_picture = empty[:MAX_FAILURES].tolist()
    left_out = images - int(np.count_nonzero(is_image))
    if not found.count:
        found.problem = "it gets no images, without an error"
    elif found.not_in_index:
        found.problem = f"{counted(found.not_in_index, 'key is', 'keys are')} not in the index"
    elif len(empty):
        found.problem = _holds_no_image(len(empty))
    elif by_key and (again := int(np.count_nonzero(keys[1:] == keys[:-1]))):
        found.problem = f"{counted(again, 'record has', 'records have')} the key of another, and one of them is read"
    elif left_out:
        found.problem = f"it leaves out {counted(left_out, 'image')}"
    found.takes = found.problem is None
    return found


def _holds_no_image(count: int) -> str:
    return counted(count, "record holds no image", "records hold no image")


def _by_identities(
    name: str, records: SetRecords, index: ListedKeys, header: int, ranges: RangeCheck | None
) -> ProfileReader:
    if not records.flags[header]:
        return _all_keys(name, records, index)
    found = ProfileReader(name, BY_IDENTITIES, False, None)
    rows = np.flatnonzero(records.range_ordinals == header)
    if not len(rows):
        found.problem = "it takes the label vector of key 0 for a header record"
        return found
    labels = records.range_labels[rows[0]]
    first, stop = (int(label) if np.isfinite(label) else 0 for label in labels)
    keys, ordinals = index.between(first, stop)
    is_identity = np.isin(ordinals, records.range_ordinals)
    if ranges is None or not len(keys):
        found.problem = "the header record names no identity records"
    elif not is_identity.all():
        found.problem = f"key {keys[~is_identity][0]} is no identity record"
    elif missing := stop - first - len(np.unique(keys)):
        found.problem = f"{counted(missing, 'identity record is', 'identity records are')} missing"
    elif not ranges.is_full.all():
        row = int(np.argmin(ranges.is_full))
        found.problem = f"identity record {ranges.keys[row]} {ranges.reason(row)}"
    elif ranges.repeated or ranges.uncovered:
        found.problem = f"it reads {counted(ranges.repeated, 'image')} twice, and leaves out {ranges.uncovered:,}"
    else:
        found.count = int(np.count_nonzero(records.is_image))
    found.takes = found.problem is None
    return found
