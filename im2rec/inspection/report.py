"""What a survey tells, as plain data: the object that ``inspect --json`` prints."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

PLAIN, VECTORS, DETECTION = "plain images", "label vectors", "detection vectors"
INSIGHTFACE, NO_IMAGES = "InsightFace, with header and identity records", "no images"


@dataclasses.dataclass
class Spread:
    """Smallest, median and largest of some numbers."""

    smallest: float
    median: float
    largest: float


@dataclasses.dataclass
class ClassStatistics:
    """The distinct first labels of the records with an image; counts of the rarest and the commonest."""

    count: int
    smallest: tuple[float, int]
    largest: tuple[float, int]
    whole_numbers: bool


@dataclasses.dataclass
class IdStatistics:
    """The ids in the headers; *duplicates* counts records whose id stands before them already."""

    lowest: int
    highest: int
    duplicates: int
    first_duplicate: int | None


@dataclasses.dataclass
class ImageStatistics:
    """Sizes in pixels and channels, as the headers of *looked_at* images say; *unreadable* have none."""

    looked_at: int
    width: Spread | None
    height: Spread | None
    channels: dict[int, int]
    unreadable: int
    first_unreadable: str | None
    jpeg_quality: Spread | None = None  # as estimated from the quantisation tables
    orientations: dict[int, int] = dataclasses.field(default_factory=dict)  # EXIF, of those that are not upright


@dataclasses.dataclass
class IndexCheck:
    """How an index stands to its ``.rec``: *state* is ``none``, ``agrees`` or ``wrong``; *keys* what they are."""

    path: str | None
    state: str
    problem: str | None = None
    keys: str | None = None


@dataclasses.dataclass
class DamagedRange:
    """Bytes *start* to *end* hold no whole record; *record* counts the whole records before them."""

    start: int
    end: int
    record: int
    problem: str


@dataclasses.dataclass
class InsightFaceSet:
    """What the header record claims, and the three lines an arcface configuration wants.

    *sum* is the subtraction that explains the number of records, *property* the text of the file of that name.
    """

    images: int
    identities: int
    sum: str
    property: str | None
    problems: list[str]
    config: list[str]


@dataclasses.dataclass
class DetectionSet:
    """Numbers in front of the objects of a label vector, numbers per object, and how many objects there are."""

    header_widths: list[int]
    object_widths: list[int]
    objects: int
    objects_per_image: Spread


@dataclasses.dataclass(frozen=True)
class Failure:
    """A record whose image cannot be decoded; *id* is None where the header is not there either."""

    record: int
    offset: int
    id: int | None
    reason: str
    detail: str


@dataclasses.dataclass
class Verification:
    """What decoding every image gave; *flaws* counts harmless ones, *without* records that hold no image."""

    decoded: int = 0
    without: int = 0
    failures: list[Failure] = dataclasses.field(default_factory=list)
    flaws: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Survey:
    """What :func:`survey` found in one file."""

    path: str
    size: int
    records: int
    kind: str
    images: int
    payload_bytes: Spread | None
    split_records: int
    labels: dict[int, int]
    classes: ClassStatistics | None
    ids: IdStatistics | None
    contents: dict[str, int]
    pictures: ImageStatistics
    index: IndexCheck
    damage: list[DamagedRange]
    damaged_bytes: int
    problems: list[str]
    insightface: InsightFaceSet | None = None
    detection: DetectionSet | None = None
    verification: Verification | None = None
    sheet: str | None = None


def spread(values: npt.ArrayLike) -> Spread:
    """Smallest, median and largest of *values*, which must not be empty."""
    array = np.asarray(values)
    return Spread(float(array.min()), float(np.median(array)), float(array.max()))
