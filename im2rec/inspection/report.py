"""The result of a survey as dataclasses: the object that ``inspect --json`` prints."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

PLAIN, VECTORS, DETECTION = "plain images", "label vectors", "detection vectors"
NO_HEADERS = "records without image headers"
INSIGHTFACE, NO_IMAGES = "InsightFace, with header and identity records", "no images"


@dataclasses.dataclass
class Spread:
    """Smallest, median and largest of some numbers."""

    smallest: float
    median: float
    largest: float


@dataclasses.dataclass
class ClassStatistics:
    """Statistics of the first labels of records with an image, taken as classes.

    *smallest* and *largest* are (label, records) of the rarest class and of the most common one.
    """

    count: int
    smallest: tuple[float, int]
    largest: tuple[float, int]
    whole_numbers: bool


@dataclasses.dataclass
class IdStatistics:
    """Statistics of the ids in the image headers; *duplicates* counts records whose id an earlier record has too."""

    lowest: int
    highest: int
    duplicates: int
    first_duplicate: int | None


@dataclasses.dataclass
class ImageStatistics:
    """Sizes in pixels and channels from the headers of *looked_at* images, *unreadable* of which cannot be read."""

    looked_at: int
    width: Spread | None
    height: Spread | None
    channels: dict[int, int]
    unreadable: int
    first_unreadable: str | None
    jpeg_quality: Spread | None = None  # estimated from the quantisation tables
    orientations: dict[int, int] = dataclasses.field(default_factory=dict)  # by EXIF orientation, without upright ones


@dataclasses.dataclass
class IndexCheck:
    """Comparison of an index with its ``.rec``.

    *state* is ``agrees``, ``partial`` (it lists only some of the records), ``wrong``, ``none`` (there is none) or ``not
    compared``. *problem* says what is wrong. *keys* describes what its keys are: ids, ordinals, or neither. *listed*
    counts the whole records that it lists, *unlisted* those that it leaves out, and *damaged* its offsets inside
    damaged bytes; all are 0 for a wrong one.
    """

    path: str | None
    state: str
    problem: str | None = None
    keys: str | None = None
    listed: int = 0
    unlisted: int = 0
    damaged: int = 0


@dataclasses.dataclass
class DamagedRange:
    """A range of bytes, *start* to *end*, without a whole record; *record* is the number of whole records before it."""

    start: int
    end: int
    record: int
    problem: str


@dataclasses.dataclass
class InsightFaceSet:
    """Claims of the header record of a face-recognition set, and three lines for an arcface configuration.

    *sum* is the subtraction that explains the number of records; *property* is the text of the property file.
    """

    images: int
    identities: int
    sum: str
    property: str | None
    problems: list[str]
    config: list[str]


@dataclasses.dataclass
class DetectionSet:
    """Layout of the label vectors of a detection set: numbers before the objects, numbers per object, and objects."""

    header_widths: list[int]
    object_widths: list[int]
    objects: int
    objects_per_image: Spread


@dataclasses.dataclass(frozen=True)
class Failure:
    """A record whose image cannot be decoded; *id* is None if its header cannot be read either."""

    record: int
    offset: int
    id: int | None
    reason: str
    detail: str


@dataclasses.dataclass
class Verification:
    """Result of decoding every image; *flaws* counts harmless flaws, *without* counts records without an image."""

    decoded: int = 0
    without: int = 0
    failures: list[Failure] = dataclasses.field(default_factory=list)
    flaws: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Survey:
    """Result of :func:`~im2rec.inspection.survey.survey` for one file.

    *headerless* says what the payloads are if the records have no image headers; else it is None.
    """

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
    headerless: str | None = None


def spread(values: npt.ArrayLike) -> Spread:
    """Return smallest, median and largest of *values*, which must not be empty."""
    array = np.asarray(values)
    return Spread(float(array.min()), float(np.median(array)), float(array.max()))
