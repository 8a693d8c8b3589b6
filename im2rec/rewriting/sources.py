"""The sets that are merged: their images, in which classes they are, and what is left out of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, InputError, ParameterError
from im2rec.format.indexfile import Offsets
from im2rec.format.insightface import PROPERTY_NAME
from im2rec.format.irheader import label_text
from im2rec.format.listfile import EXACT_INTEGERS
from im2rec.rewriting.face_parts import size_in_property
from im2rec.schema import described
from im2rec.storage.classes import ClassNames, class_names_beside
from im2rec.storage.damaged_range import DAMAGE, DAMAGED_BYTES, DAMAGED_RANGES, DOUBTFUL, DamagedRange, damaged_ranges
from im2rec.storage.files import INSPECT, PathLike, name_text, reading, with_path
from im2rec.storage.identities import SetHeader, classes_of, find_header, range_records_of
from im2rec.storage.reader import RAISE, SKIP, RecordFile
from im2rec.storage.record_labels import Flags

CHUNK = 1 << 16  # records that are looked at at once
_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
Counts = npt.NDArray[np.int64]
Ordinals = npt.NDArray[np.uint32] | Offsets


@dataclasses.dataclass
class MergedSet:
    """An input of a merge, as ``--json`` prints it."""

    path: str = described("The set, as it was given.")
    images: int = described("Images in it.")
    classes: int = described("Classes with images in it.")
    first_label: int | None = described("New label of the class 0; null if the labels are given by names.")
    header: bool = described("Whether it has a header record.")
    identities: int = described("Identity records in it.")
    without_image: int = described("Other records without an image, which were left out.")
    damage: list[DamagedRange] = described(DAMAGE, factory=list)
    damaged_ranges: int = described(DAMAGED_RANGES, 0)
    damaged_bytes: int = described(DAMAGED_BYTES, 0)
    doubtful: int = described(DOUBTFUL, 0)


class Source:
    """A set that is merged, open for reading: the ``.rec`` at *path* with its index.

    ``counts`` (int64) has the number of images of each class, from class 0 to the largest; ``flags`` are those of the
    images: 0 for a single label, else the number of labels in the vector. ``names`` are the class names beside it, and
    ``size`` is height and width in its property file; each may be None. ``warnings`` says which files beside it are no
    use. If *skip*, the file is scanned for damage, and what is whole is merged. Raises InputError, for a label that is
    no class too, CorruptRecordError, IndexFormatError.
    """

    def __init__(self, path: PathLike, *, skip: bool = False) -> None:
        self.path, self.warnings = Path(path), list[str]()
        self.rec = _open(path, skip=skip)
        self.warnings += filter(None, [self.rec.unlisted])
        try:
            self._find_images()
            self._count()
        except BaseException:
            self.close()
            raise
        self.names = self._find_names()
        self.size = size_in_property(self.property_path, self.warnings)

    def _find_images(self) -> None:
        rec = self.rec
        ranges = range_records_of(rec)
        try:
            self.header: SetHeader | None = find_header(ranges, self.path)
        except InputError as error:
            error.hint = "make it anew: im2rec select writes the same images with a right one"
            raise
        self.identities = len(ranges.ordinals) - int(np.sum(ranges.is_header))
        empty = np.asarray(rec.labels.without_content)
        self.without_image = len(empty) - len(ranges.ordinals)
        is_image = np.ones(rec.total, np.bool_)
        is_image[empty] = False
        is_image[rec.lost] = False
        self.images = int(np.sum(is_image))
        if self.is_damaged and len(rec.lost) == rec.total:
            problem = CorruptRecordError("holds no whole records", offset=int(rec.damage[0].start), hint=INSPECT)
            raise with_path(problem, self.path)
        # Those of nearly all sets follow one another.
        self._first = int(is_image.argmax()) if self.images else 0
        self._ordinals: Ordinals | None = None
        if not is_image[self._first : self._first + self.images].all():
            ordinals = np.flatnonzero(is_image)
            self._ordinals = ordinals.astype(np.uint32) if rec.total < 2**32 else ordinals

    def _count(self) -> None:
        self.counts: Counts = np.zeros(0, np.int64)
        flags: set[int] = set()
        for ordinals in self.chunks():
            classes = classes_of(self.rec, ordinals)
            if classes.max() > EXACT_INTEGERS:
                row = int(classes.argmax())
                problem = (
                    f"has the label {label_text(float(classes[row]))}, and labels are exact up to {EXACT_INTEGERS:,}"
                )
                raise InputError(problem, path=self.path, hint="number its classes anew: im2rec select --relabel")
            counts = np.bincount(classes, minlength=len(self.counts))
            counts[: len(self.counts)] += self.counts
            self.counts = counts
            flags.update(np.unique(self._flags_of(ordinals)).tolist())
        self.flags = frozenset(flags)

    def _flags_of(self, ordinals: Offsets) -> Flags:
        return self.rec.labels.flags[ordinals]

    @property
    def first_image(self) -> int:
        """Ordinal of the first image, of a set that has images."""
        return int(self.ordinals_of(np.zeros(1, np.int64))[0])

    @property
    def first_has_vector(self) -> bool:
        """True if the first image has a label vector."""
        return bool(self._flags_of(np.array([self.first_image]))[0])

    @property
    def text(self) -> str:
        """The path for a table."""
        return name_text(os.fspath(self.path)).translate(_ESCAPES)

    @property
    def largest(self) -> int:
        """The largest class, -1 for a set without images."""
        return len(self.counts) - 1

    @property
    def is_damaged(self) -> bool:
        """True if bytes of the file belong to no whole record, or if records of the index are lost."""
        return self.rec.damaged_ranges > 0 or len(self.rec.lost) > 0

    def ordinals_of(self, numbers: Offsets) -> Offsets:
        """Return the ordinals (int64) of images, which are numbered from 0 in file order."""
        return numbers + self._first if self._ordinals is None else self._ordinals[numbers].astype(np.int64)

    def chunks(self) -> Iterator[Offsets]:
        """Yield the ordinals (int64) of all images, some thousand at once."""
        for start in range(0, self.images, CHUNK):
            yield self.ordinals_of(np.arange(start, min(start + CHUNK, self.images)))

    def _find_names(self) -> ClassNames | None:
        names, problem = class_names_beside(self.path)
        if problem:
            self.warnings.append(f"{problem}; the class names are not used")
        return names

    @property
    def property_path(self) -> Path:
        """Path that the property file of the set has."""
        return self.path.with_name(PROPERTY_NAME)

    def described(self, first_label: int | None) -> MergedSet:
        """Return what ``--json`` says of the set, whose class 0 gets the label *first_label*."""
        rec = self.rec
        return MergedSet(
            path=os.fspath(self.path),
            images=self.images,
            classes=int(np.sum(self.counts > 0)),
            first_label=first_label,
            header=self.header is not None,
            identities=self.identities,
            without_image=self.without_image,
            damage=damaged_ranges(rec.damage, rec.size),
            damaged_ranges=rec.damaged_ranges,
            damaged_bytes=rec.damaged_bytes,
            doubtful=len(rec.doubtful),
        )

    def close(self) -> None:
        """Close the file. Calling it twice is allowed."""
        self.rec.close()


class _SetFile(RecordFile):
    """A set whose warnings go to the summary of the merge."""

    _without_index = "an index made anew by 'im2rec index'"
    _logs_unlisted = False


def _open(path: PathLike, *, skip: bool) -> RecordFile:
    """Open the set at *path* with its labels read; one that is damaged is scanned, and lost records are skipped.

    With an index little is read, until the labels or the records show that the file is damaged.
    """
    rec = _SetFile(path, damaged=SKIP if skip else RAISE)
    try:
        if skip or not (rec.damaged_ranges or len(rec.lost)):
            _ = rec.labels
            return rec
    except CorruptRecordError:
        if skip:
            rec.close()
            raise
    except BaseException:
        rec.close()
        raise
    rec.close()
    return _open(path, skip=True)


def check_inputs(paths: list[Path]) -> None:
    """Raise ParameterError unless *paths* are two or more files, each of them once; InputError if one is missing."""
    if len(paths) < 2:
        raise ParameterError("a merge needs two or more sets, and the name of the new one", hint="name them before OUT")
    for row, path in enumerate(paths):
        with reading(path):
            path.stat()
        if any(other.samefile(path) for other in paths[:row]):
            raise ParameterError(f"{path}: is named twice", hint="name each set once")
