"""What a face-recognition set has besides images, of an existing file and for a new one: ranges and ``property``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from im2rec.errors import ImageError, InputError
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.insightface import HEADER_KEY, PROPERTY_NAME, RANGE_LABELS, parse_property, property_text
from im2rec.format.irheader import IRHeader, Labels
from im2rec.images.codec import image_info
from im2rec.rewriting.output import check_outputs
from im2rec.selection.filters import HeaderFile, class_numbers
from im2rec.selection.headers import EMPTY, VECTOR
from im2rec.storage.files import read_file, reading
from im2rec.storage.identities import RangeRecords, find_header
from im2rec.storage.reader import RecordFile

_MOST_BYTES = 1 << 16  # of a property file
VECTOR_AT_KEY_0 = (
    "the record of key 0 has a label vector, so some published readers of face sets take it for a header and find no"
    " images (--header writes one)"
)
_LOOKED_AT = 16  # records without content: whether one of them has a range


@dataclasses.dataclass(frozen=True)
class RangeOrdinals:
    """The records of a file with ranges of keys: their *ordinals* (int64), none in a set that has no header record.

    *problem* is that of a header record that is wrong, or of several, in words; else it is empty.
    """

    ordinals: Offsets
    problem: str = ""

    @property
    def has_header(self) -> bool:
        """True for a set with a header record, also if that is lost and identity records are left."""
        return len(self.ordinals) > 0


def find_range_records(rec: HeaderFile, keys: Keys) -> RangeOrdinals:
    """Return the records of *rec* with two labels and no content; *keys* (uint64) are those of all records."""
    empty = np.flatnonzero((rec.states & (EMPTY | VECTOR)) == (EMPTY | VECTOR))
    with_key = empty[keys[empty] == HEADER_KEY]
    if not any(_is_range(rec[ordinal].header) for ordinal in [*with_key.tolist(), *empty[:_LOOKED_AT].tolist()]):
        return RangeOrdinals(empty[:0])
    return RangeOrdinals(empty, _problem_of_header(rec, with_key))


def _problem_of_header(rec: HeaderFile, ordinals: Offsets) -> str:
    """Return in words why the header records at *ordinals* are wrong; an empty text if they are not."""
    headers = {ordinal: rec[ordinal].header for ordinal in ordinals.tolist()}
    ranges = {ordinal: header.label for ordinal, header in headers.items() if header.flag == RANGE_LABELS}
    keys = np.full(len(ranges), HEADER_KEY, np.uint64)
    labels = np.array(list(ranges.values()), np.float32).reshape(-1, RANGE_LABELS)
    try:
        find_header(RangeRecords(np.array(list(ranges), np.int64), keys, labels))
    except InputError as error:
        return error.problem
    return ""


def _is_range(header: IRHeader) -> bool:
    """True if *header* has two labels that may be keys, the first not above the second."""
    if header.flag != RANGE_LABELS:
        return False
    first, stop = map(float, header.label)
    return first.is_integer() and stop.is_integer() and first <= stop


def grouped(ordinals: Offsets, labels: Labels) -> tuple[Offsets, bool]:
    """Return *ordinals* so that the records of each class follow one another, and whether that changed their order.

    *labels* has the class of each. Where classes are in runs already, the order stays; else it is that of the labels.
    """
    numbers = class_numbers(labels)
    runs = int(np.sum(numbers[1:] != numbers[:-1])) + 1
    if runs == len(np.unique(numbers)):
        return ordinals, False
    return np.asarray(ordinals[np.argsort(labels, kind="stable")]), True


@dataclasses.dataclass
class NewProperty:
    """The property file of a new set: its *path* and *text*, or None and no text for a set without one."""

    path: Path | None = None
    text: bytes = b""
    warnings: list[str] = dataclasses.field(default_factory=list)


def property_beside(
    rec: HeaderFile, target: Path, last_class: float, image: int, *, has_header: bool, force: bool
) -> NewProperty:
    """Return the property file for *target*, a set made of *rec* whose largest class is *last_class*.

    Its height and width are those of the file beside *rec*, else those of the image at the ordinal *image*. A set
    without a header record gets one only if *rec* has one. Raises OutputError if one is there already, unless *force*.
    """
    path, source = target.with_name(PROPERTY_NAME), rec.path.with_name(PROPERTY_NAME)
    found = NewProperty()
    size = size_in_property(source, found.warnings)
    if size is None and has_header:
        size = size_of_image(rec, image, found.warnings)
    if size is None or not (last_class >= 0 and last_class.is_integer()):
        found.warnings += foreign_property(target, [source])
        return found
    if kept := list(property_of_input(path, [rec.path])):
        found.warnings += kept
        return found
    check_outputs([path], force=force)
    found.path, found.text = path, property_text(int(last_class) + 1, *size)
    return found


def property_of_input(path: Path, recs: Iterable[Path]) -> Iterator[str]:
    """Yield a warning if the property file *path* of a new set is that beside one of *recs*, of which it is made."""
    for rec in recs:
        source = rec.with_name(PROPERTY_NAME)
        if path.exists() and source.exists() and path.samefile(source):
            yield f"{path}: is that of {rec}, and stays: write the new set to a folder of its own"
            return


def foreign_property(target: Path, sources: Iterable[Path]) -> Iterator[str]:
    """Yield a warning if a new set *target* without a property file gets one beside it that is none of *sources*.

    It stays, as it may belong to another set in that folder.
    """
    path = target.with_name(PROPERTY_NAME)
    if path.exists() and not any(source.exists() and path.samefile(source) for source in sources):
        yield f"{path}: stays, and says nothing of {target}, which has no such file: remove it, or keep them apart"


def size_in_property(path: Path, warnings: list[str]) -> tuple[int, int] | None:
    """Return height and width in the property file *path*; None if there is none that can be read, with a warning."""
    if not path.is_file():
        return None
    try:
        with reading(path):
            content = parse_property(read_file(path, _MOST_BYTES))
    except InputError as error:
        error.path = path
        warnings.append(f"{error}; it is not used")
        return None
    return content.height, content.width


def size_of_image(rec: RecordFile, image: int, warnings: list[str]) -> tuple[int, int] | None:
    """Return height and width of the image at the ordinal *image* of *rec*; None if it is none, with a warning.

    Raises CorruptRecordError, InputError.
    """
    try:
        info = image_info(rec[image].content)
    except ImageError as error:
        warnings.append(f"{rec.path}: record {image}: {error}; no property file is written")
        return None
    return info.height, info.width
