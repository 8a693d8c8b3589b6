"""What published readers of face-recognition sets assume, checked for every record: ``inspect --profile insightface``.

Sets without a header record are read whole, so the assumptions on header and identity records are not theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from im2rec.errors import ImageError, counted
from im2rec.format.insightface import HEADER_KEY, RANGE_LABELS
from im2rec.format.irheader import label_text
from im2rec.format.listfile import EXACT_INTEGERS
from im2rec.images.codec import ImageInfo
from im2rec.inspection.face_readers import ListedKeys, published_readers
from im2rec.inspection.face_report import MAX_FAILURES, InsightFaceSet, ProfileCheck, ProfileFailure
from im2rec.inspection.face_sets import FaceInput, PropertyFile, header_problems
from im2rec.inspection.range_check import coverage_problems
from im2rec.inspection.report import HEADER_LOST, IndexCheck
from im2rec.inspection.set_records import ImagesByKey, label_counts
from im2rec.storage.identities import are_classes
from im2rec.storage.record_map import NO_KEY

PROFILE = "insightface"
INDEX, KEY_0, HEADER, NUMBERS = "index", "key 0", "header record", "exact numbers"
KEYS, RANGES, RUNS, CLASSES = "keys of images", "ranges", "one run for each identity", "classes"
LABELS, IMAGES, PROPERTY = "labels of one length", "images", "property"
_MAX_LABEL = 2**62
RULES = (INDEX, KEY_0, HEADER, NUMBERS, KEYS, RANGES, RUNS, CLASSES, LABELS, IMAGES, PROPERTY)


class ImageMisfits:
    """Images whose headers cannot be read, or that have another size than the property file *beside* says."""

    def __init__(self, beside: PropertyFile | None) -> None:
        numbers = beside.numbers if beside is not None else None
        self._size = (numbers.width, numbers.height) if numbers is not None else None
        self.listed: list[tuple[int, str]] = []
        self.count = 0

    def seen(self, ordinal: int, found: ImageInfo | ImageError) -> None:
        """Note what was *found* of the image in the record *ordinal*."""
        if isinstance(found, ImageError):
            self._add(ordinal, str(found))
        elif self._size is not None and (found.width, found.height) != self._size:
            said = "{} x {}".format(*self._size)
            self._add(ordinal, f"is an image of {found.width} x {found.height}, property says {said}")

    def _add(self, ordinal: int, detail: str) -> None:
        self.count += 1
        if self.count <= MAX_FAILURES:
            self.listed.append((ordinal, detail))


class _Failures:
    """Failures of one check after the other: all are counted, and the first are kept."""

    def __init__(self, known: FaceInput) -> None:
        self._known = known
        self.result = ProfileCheck(PROFILE, [])

    def add(self, rule: str, details: Iterable[str], count: int | None = None) -> None:
        """Add *count* failures, or as many as there are *details*, that no single record is to blame for."""
        kept = list(details)
        self.result.failed += len(kept) if count is None else count
        self._keep(ProfileFailure(rule, detail) for detail in kept)

    def add_records(
        self, rule: str, ordinals: npt.NDArray[np.int64], detail: Callable[[int], str], count: int | None = None
    ) -> None:
        """Add a failure for each of the records *ordinals*; ``detail(row)`` is what is wrong with one of them."""
        self.result.failed += len(ordinals) if count is None else count
        room = MAX_FAILURES - len(self.result.profile_failures)
        keys = self._known.keys[ordinals[:room]].tolist()
        found = enumerate(zip(ordinals[:room].tolist(), keys, strict=True))
        self._keep(ProfileFailure(rule, detail(row), record, key) for row, (record, key) in found)

    def _keep(self, failures: Iterable[ProfileFailure]) -> None:
        for failure in failures:
            if len(self.result.profile_failures) < MAX_FAILURES:
                self.result.profile_failures.append(failure)


def without_images() -> ProfileCheck:
    """Return the check of a file that holds no images."""
    return ProfileCheck(PROFILE, [], 1, [ProfileFailure(IMAGES, "the file holds no images")])


def check_profile(known: FaceInput, faces: InsightFaceSet, index: IndexCheck, misfits: ImageMisfits) -> ProfileCheck:
    """Check the set *known* by what published readers assume; *index* is the comparison with the index.

    *faces* are the facts on it, *misfits* images that do not fit, of those that were looked at.
    """
    failures, checked = _Failures(known), known.checked
    listed = ListedKeys(known.listed) if known.listed is not None else None
    _check_index(failures, known, index, listed)
    _check_key_0(failures, known)
    if known.found.header is not None or known.found.problem:
        failures.add(HEADER, [known.found.problem] if known.found.problem else header_problems(known, faces))
        _check_keys(failures, known)
        _check_runs(failures, known.images)
    if checked is not None:
        wrong = np.flatnonzero(~checked.fits)
        failures.add_records(RANGES, checked.ordinals[wrong], lambda row: checked.reason(int(wrong[row])))
        failures.add(RANGES, coverage_problems(checked.uncovered, checked.repeated))
    elif known.found.header is not None:
        failures.add(RANGES, coverage_problems(len(known.images.keys), 0))
    _check_classes(failures, known)
    _check_labels(failures, known)
    rows = np.array([ordinal for ordinal, _ in misfits.listed], np.int64)
    failures.add_records(IMAGES, rows, lambda row: misfits.listed[row][1], misfits.count)
    _check_property(failures, known)
    failures.result.readers = published_readers(
        known.records, listed, checked, is_damaged=known.is_damaged, has_moved=bool(index.moved)
    )
    return failures.result


def _check_index(failures: _Failures, known: FaceInput, index: IndexCheck, listed: ListedKeys | None) -> None:
    if known.listed is None or listed is None:
        lacking = "no index was looked at" if index.state == "not compared" else "there is no index"
        problem = f"{lacking}, and published readers look up records by key"
        failures.add(INDEX, [f"the index is wrong: {index.problem}" if index.state == "wrong" else problem])
        return
    if index.moved and not known.is_damaged:
        failures.add(INDEX, [f"{counted(index.moved, 'record is', 'records are')} elsewhere than the index says"])
    unlisted = np.flatnonzero(known.listed == NO_KEY)
    failures.add_records(INDEX, unlisted, lambda _: "is not in the index")
    failures.add_records(INDEX, listed.repeated, lambda _: "has the key of another record")


def _check_key_0(failures: _Failures, known: FaceInput) -> None:
    """Readers look up key 0 first; a flag above 0 makes it a header record."""
    keys, header = known.keys if known.listed is None else known.listed, known.found.header
    if header is not None and keys[header.ordinal] not in (HEADER_KEY, NO_KEY):
        key = keys[header.ordinal]
        said = f"is the header record, and has key {key} in the index"
        failures.add_records(KEY_0, np.array([header.ordinal]), lambda _: said)
        return
    rows = np.flatnonzero(keys == HEADER_KEY)[:1]
    if not len(rows):
        is_lost = known.found.kind == HEADER_LOST
        lost = "the header record, which readers look up first, is lost"
        failures.add(KEY_0, [lost if is_lost else "no record has key 0, which readers look up first"])
        return
    flag, is_image = int(known.records.flags[rows[0]]), bool(known.records.is_image[rows[0]])
    if is_image and flag:
        failures.add_records(KEY_0, rows, lambda _: "is an image with a label vector, and taken for a header")
    elif not is_image and flag != RANGE_LABELS:
        failures.add_records(KEY_0, rows, lambda _: "holds no image, and no two labels either")


def _check_keys(failures: _Failures, known: FaceInput) -> None:
    """The images have the keys from 1 to the header's first - 1, and labels hold all keys exactly."""
    header, records = known.found.header, known.records
    highest = int(known.keys.max())
    if highest + 1 > EXACT_INTEGERS:
        failures.add(NUMBERS, [f"labels hold whole numbers up to {EXACT_INTEGERS:,}, and keys go up to {highest:,}"])
    if header is None:
        return
    low, high = known.images.place(np.array([1, header.first], np.uint64))
    failures.add(
        KEYS,
        *_gaps(known.images.keys[low:high], 1, header.first, "no image has key {}", "no image has the keys {} to {}"),
    )
    outside = np.flatnonzero(records.is_image & ((known.keys < 1) | (known.keys >= header.first)))
    said = f"is an image, and images have the keys 1 to {header.images} by the header record"
    failures.add_records(KEYS, outside, lambda _: said)
    inside = np.flatnonzero(~records.is_image & (known.keys >= 1) & (known.keys < header.first))
    failures.add_records(KEYS, inside, lambda _: f"holds no image, and readers read the keys 1 to {header.images}")


def _gaps(found: npt.NDArray[np.uint64], first: int, stop: int, one: str, many: str) -> tuple[list[str], int]:
    """Return a sentence on each stretch of numbers from *first* to before *stop* that are not *found*; how many.

    *found* ascend, and may repeat. Only the first sentences are made.
    """
    if not len(found):
        ends, count = [(first, stop - 1)] * (first < stop), int(first < stop)
    else:
        rows = np.flatnonzero(np.diff(found) > 1)
        before, behind = (first, int(found[0]) - 1), (int(found[-1]) + 1, stop - 1)
        between = [(int(found[row]) + 1, int(found[row + 1]) - 1) for row in rows[:MAX_FAILURES]]
        ends = [end for end in (before, *between, behind) if end[0] <= end[1]]
        count = len(rows) + (before[0] <= before[1]) + (behind[0] <= behind[1])
    return [one.format(low) if low == high else many.format(low, high) for low, high in ends], count


def _check_runs(failures: _Failures, images: ImagesByKey) -> None:
    """The triplet reader finds a class by its number among the identity records, so there is one for each."""
    labels = images.labels[images.starts]
    order = np.argsort(labels, kind="stable")
    again = order[1:][labels[order][1:] == labels[order][:-1]]
    again.sort()
    said = "begins another run of images with label {}"
    failures.add_records(
        RUNS, images.ordinals(images.starts[again]), lambda row: said.format(label_text(float(labels[again[row]])))
    )


def _check_classes(failures: _Failures, known: FaceInput) -> None:
    """Labels are whole numbers from 0 on, all of them used, up to the classes that the property file gives."""
    labels, is_class = known.images.labels, are_classes(known.images.labels)
    wrong = np.flatnonzero(~is_class)
    failures.add_records(
        CLASSES, known.images.ordinals(wrong), lambda row: f"has the label {labels[wrong[row]]:g}, which is no class"
    )
    classes = known.beside.numbers.classes if known.beside and known.beside.numbers else None
    distinct, _ = label_counts(labels[is_class])
    if classes is not None:
        above = np.flatnonzero(is_class & (labels >= classes))
        said = f"has the label {{}}, and property says {counted(classes, 'class', 'classes')}"
        ordinals = known.images.ordinals(above)
        failures.add_records(CLASSES, ordinals, lambda row: said.format(label_text(float(labels[above[row]]))))
    stop = int(distinct[-1]) + 1 if len(distinct) else 0
    stop = min(stop if classes is None else classes, _MAX_LABEL)
    used = distinct[distinct < stop].astype(np.uint64)
    failures.add(CLASSES, *_gaps(used, 0, stop, "no image has label {}", "no image has the labels {} to {}"))


def _check_labels(failures: _Failures, known: FaceInput) -> None:
    """All images have labels of the same length, as readers make batches of them."""
    flags = known.records.flags[known.records.is_image]
    lengths, counts = np.unique(flags, return_counts=True)
    usual = int(lengths[counts.argmax()])
    if len(lengths) == 1:
        return
    others = np.flatnonzero(known.records.is_image)[flags != usual]
    failures.add_records(
        LABELS,
        others,
        lambda row: f"has {_length(int(known.records.flags[others[row]]))}, most images {_length(usual)}",
    )


def _check_property(failures: _Failures, known: FaceInput) -> None:
    """The property file can be parsed, and says how many images there are if it says that at all."""
    if known.beside is None:
        return
    numbers, images = known.beside.numbers, len(known.images.keys)
    if numbers is None:
        failures.add(PROPERTY, [known.beside.problem])
    elif numbers.images is not None and numbers.images != images:
        failures.add(PROPERTY, [f"{known.beside.path}: says {counted(numbers.images, 'image')}, there are {images:,}"])


def _length(flag: int) -> str:
    return f"a vector of {counted(flag, 'label')}" if flag else "1 label"
