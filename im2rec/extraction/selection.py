"""Which records of a ``.rec`` to take: one walk over all headers, and filters over what it found."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.errors import IndexFormatError, InputError, ParameterError
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import BAD_LABELS, HEADER_BYTES, SHORT_PAYLOAD, Labels, float32
from im2rec.storage.files import INSPECT, PathLike, with_path
from im2rec.storage.index import find_index, load_index
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import RecordBlock, check_kind, scan_file

# What a header says of its record, a bit each.
VECTOR, ONE_LABEL, LABEL_FIELD, LABEL_BITS, ID2, EMPTY, SHORT, LONG_LABELS = (1 << bit for bit in range(8))
NO_IMAGE = EMPTY | SHORT | LONG_LABELS
LEFT_OUT = {EMPTY: "without an image", SHORT: SHORT_PAYLOAD, LONG_LABELS: BAD_LABELS}
_NEGATIVE_ZERO, _PLAIN_NAN = np.uint32(0x80000000), np.uint32(0x7FC00000)

Bits = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Ordinals = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Selection:
    """Filters on the images of a file, all of which must let one through; *head* counts what the others left.

    *keys* are those of the index beside the file, else the ids. *labels* and *min_images* look at the first label;
    *min_images* counts all images of a class, chosen by the others or not.
    """

    head: int | None = None
    keys: tuple[int, ...] = ()
    labels: tuple[float, ...] = ()
    min_images: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(map(float, self.labels)))
        for name, value in (("head", self.head), ("min_images", self.min_images)):
            if value is not None and value < 1:
                raise ParameterError(f"{name}={value} must be 1 or more")


@dataclasses.dataclass(frozen=True)
class SelectedRecords:
    """What a selection gives: *ordinals* in file order, and for each whether its id stands there *doubled*.

    *images* counts those of the whole file, *left_out* the records that hold none, by the reasons of ``LEFT_OUT``.
    """

    ordinals: Ordinals
    doubled: Mask
    pictures: int
    left_out: dict[str, int]


class ScannedFile(RecordFile):
    """A ``.rec`` walked once, whatever index it has: 21 bytes a record.

    ``keys`` are the ids, ``labels`` (float32) the first labels, ``states`` (uint8) the bits that stand above.
    *progress* is called with the share that was walked. Raises InputError, CorruptRecordError.
    """

    labels: Labels
    states: Bits

    def __init__(self, path: PathLike, *, progress: Callable[[float], None] | None = None) -> None:
        self._progress = progress
        super().__init__(path, index=False)
        self._progress = None

    def _load(self) -> tuple[Keys, Offsets]:
        check_kind(self._file)
        columns: tuple[list[Any], ...] = ([], [], [], [])
        for block in scan_file(self._file):
            for column, values in zip(columns, _columns(block), strict=True):
                column.append(values)
            if self._progress:
                self._progress(block.offsets[-1] / self.size)
        offsets, ids, self.labels, self.states = map(_joined, columns)
        return ids, offsets

    def sizes(self, ordinals: Ordinals) -> npt.NDArray[np.int64]:
        """The bytes that records take in the file, framing included."""
        starts, stops = self._bounds(ordinals)
        return np.asarray(stops - starts)


def choose(rec: ScannedFile, wanted: Selection) -> SelectedRecords:
    """The images of *rec* that *wanted* lets through.

    Raises InputError when there are none, or a wanted key or label is not there; IndexFormatError for a foreign index.
    """
    images = rec.states & NO_IMAGE == 0
    matching = np.ones(len(rec), np.bool_)
    if wanted.keys:
        matching &= _with_keys(rec, wanted.keys)
    if wanted.labels:
        matching &= _with_labels(rec, wanted.labels, images)
    chosen = matching & images
    if wanted.min_images:
        chosen &= _in_large_classes(rec.labels, images, wanted.min_images)
    ordinals = np.flatnonzero(chosen)
    if wanted.head and len(ordinals) > wanted.head:
        ordinals = ordinals[: wanted.head]
        matching[int(ordinals[-1]) + 1 :] = False  # what stands behind was never looked for
    count = int(np.sum(images))
    if not len(ordinals):
        if count:
            raise InputError(f"{rec.path}: none of its {count} images is chosen", hint="choose by fewer options")
        raise InputError(f"{rec.path}: holds no images", hint=INSPECT)
    left_out = {why: int(np.sum(matching & (rec.states & bit > 0))) for bit, why in LEFT_OUT.items()}
    return SelectedRecords(ordinals, _doubled(rec.keys[ordinals]), count, {why: n for why, n in left_out.items() if n})


def class_numbers(labels: Labels) -> npt.NDArray[np.uint32]:
    """A number for each label, the same for labels of one class: 0 and -0 are one, and so is every NaN."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(labels), np.float32(np.nan), labels + np.float32(0)).view(np.uint32)


def lost_as_text(labels: npt.NDArray[np.uint32]) -> Mask:
    """Which of *labels*, float32 seen as bits, do not come back from a list: -0, and NaNs other than the plain one."""
    nan = np.isnan(labels.view(np.float32))
    return np.asarray((labels == _NEGATIVE_ZERO) | (nan & (labels != _PLAIN_NAN)))


def _columns(block: RecordBlock) -> tuple[Offsets, Keys, Labels, Bits]:
    """Offsets, ids, first labels and states of a block of records."""
    sizes, headers = np.array(block.sizes, np.int64), block.headers
    flags = headers["flag"]
    label_field, first = headers["label"].view("<u4"), headers["vector"][:, 0].view("<u4")
    labels = np.where(flags > 0, first, label_field).astype(np.uint32)
    content = sizes - HEADER_BYTES - 4 * flags.astype(np.int64)
    facts = {
        VECTOR: flags > 1,
        ONE_LABEL: flags == 1,
        LABEL_FIELD: (flags > 1) & (label_field != first),
        LABEL_BITS: (flags <= 1) & lost_as_text(labels),  # of vectors, who reads them looks at all labels
        ID2: headers["id2"] != 0,
        EMPTY: content == 0,
        LONG_LABELS: content < 0,
    }
    states = np.zeros(len(sizes), np.uint8)
    for bit, fact in facts.items():
        states[fact] |= bit
    # What stands in these fields is not theirs.
    short = sizes < HEADER_BYTES
    states[short] = SHORT
    labels[short] = _PLAIN_NAN
    return np.array(block.offsets, np.int64), headers["id"].astype(np.uint64), labels.view(np.float32), states


def _joined(column: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One array of the pieces, which are let go: never all columns are there twice."""
    array = np.concatenate(column)
    column.clear()
    return array


def _with_keys(rec: ScannedFile, wanted: Sequence[int]) -> Mask:
    keys, ordinals = _keys(rec)
    known = set(np.unique(keys[np.isin(keys, _as_keys(wanted))]).tolist())
    missing = [key for key in wanted if key not in known]
    if missing:
        hint = f"keys run from {keys.min()} to {keys.max()}" if len(keys) else "its index is empty"
        raise InputError(f"{rec.path}: no record has the key {missing[0]}", hint=hint)
    mask = np.zeros(len(rec), np.bool_)
    mask[ordinals[np.isin(keys, _as_keys(wanted))]] = True
    return mask


def _as_keys(wanted: Sequence[int]) -> Keys:
    return np.array([key for key in wanted if 0 <= key < 2**64], np.uint64)


def _keys(rec: ScannedFile) -> tuple[Keys, Ordinals]:
    """The keys of the index beside *rec* and the ordinals they stand for; ids when there is no index."""
    index = find_index(rec.path)
    if index is None:
        return rec.keys, np.arange(len(rec))
    keys, offsets = load_index(index)
    ordinals = np.searchsorted(rec.offsets, offsets)
    wrong = np.flatnonzero(rec.offsets[np.minimum(ordinals, len(rec) - 1)] != offsets)
    if len(wrong):
        error = IndexFormatError(f"no record starts at byte {offsets[wrong[0]]}", hint="it belongs to another file")
        raise with_path(error, index)
    return keys, ordinals


def _with_labels(rec: ScannedFile, wanted: Sequence[float], images: Mask) -> Mask:
    numbers, looked_for = class_numbers(rec.labels), class_numbers(float32(wanted))
    missing = np.flatnonzero(~np.isin(looked_for, numbers[images]))
    if len(missing):
        raise InputError(f"{rec.path}: no image has the label {wanted[missing[0]]:g}", hint=INSPECT)
    return np.isin(numbers, looked_for)


def _in_large_classes(labels: Labels, images: Mask, smallest: int) -> Mask:
    numbers = class_numbers(labels)
    distinct, counts = np.unique(numbers[images], return_counts=True)
    return np.isin(numbers, distinct[counts >= smallest])


def _doubled(ids: Keys) -> Mask:
    ordered = np.sort(ids)
    doubled = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(ids, np.unique(doubled)) if len(doubled) else np.zeros(len(ids), np.bool_)


def short_float(label: float) -> float:
    """The number with the fewest digits that is *label* again as float32: 0.1 for 0.10000000149011612."""
    if label.is_integer() or not math.isfinite(label):
        return label
    short = float(str(np.float32(label)))
    return short if np.float32(short) == label else label


def label_text(label: float) -> str:
    """*label* as a name: ``12``, ``0.1``, ``nan``, ``-inf``."""
    return str(int(label)) if label.is_integer() else str(short_float(label))
