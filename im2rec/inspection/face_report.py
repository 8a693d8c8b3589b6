"""What a survey says of a face-recognition set, as dataclasses: part of the object that ``inspect --json`` prints."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from im2rec.inspection.spread import Spread
from im2rec.schema import described

MAX_FAILURES = 1000  # in the object of --json
ARCFACE = "arcface_torch"  # the reader that the lines for a configuration are for


@dataclasses.dataclass
class FaceHeader:
    """The header record of a face-recognition set: two labels, without content, under key 0."""

    record: int = described("Ordinal of the header record in its file, from 0.")
    first: int = described("Its first label: the key of the first identity record, one above that of the last image.")
    stop: int = described("Its second label: one above the key of the last identity record.")


@dataclasses.dataclass
class IdentityRecords:
    """Comparison of the identity records with the images: each names a range of keys, those of one identity."""

    count: int = described("Identity records.")
    wrong: int = described("Those whose range names keys without images, or images of several identities.", 0)
    first_wrong: str | None = described("The first of these, in a sentence.", None)
    rounded: int = described("Those whose range is not compared, as float32 rounds keys above 2^24.", 0)
    unordered: int = described("Those whose range begins before that of the identity record before them.", 0)
    uncovered_images: int = described("Images in no range; 0 if some ranges are rounded.", 0)
    repeated_images: int = described("Images in more than one range; 0 if some ranges are rounded.", 0)


@dataclasses.dataclass
class InsightFaceSet:
    """Identities of a face-recognition set, its header and identity records, and lines for an arcface configuration."""

    images: int = described("Images.")
    identities: int = described("Identities: distinct labels of the images.")
    sum: str = described("The sum that explains the number of records.")
    property: str | None = described("Text of the property file.")
    problems: list[str] = described("Problems, a sentence each.")
    config: list[str] = described("Lines for the configuration of an arcface training; none of a damaged file.")
    header_record: FaceHeader | None = described("The header record.", None)
    identity_records: IdentityRecords | None = described("The identity records.", None)
    images_per_identity: Spread | None = described("Images of an identity.", None)
    histogram: dict[str, int] = described("Identities by number of images, in powers of two.", factory=dict)
    runs: int = described("Runs of images with the same label, in the order of their keys.", 0)
    identities_in_runs: int = described("Identities whose images are in more than one of these runs.", 0)
    highest_key: int | None = described("Highest key of a record.", None)
    remarks: list[str] = described("Facts that are no faults, a sentence each.", factory=list)


@dataclasses.dataclass
class ProfileReader:
    """A published reader of face-recognition sets, and what it makes of the file by its own rule."""

    name: str = described("Name of the reader.")
    rule: str = described("Keys that it reads.")
    takes: bool = described("Whether it reads all images, each once, and nothing else.")
    count: int | None = described("Records that it takes for images; null if it stops before it knows.")
    not_in_index: int = described("Keys among these that the index does not list.", 0)
    without_picture: list[int] = described(
        f"Keys among these of records without an image, the first {MAX_FAILURES:,} of them.", factory=list
    )
    problem: str | None = described("Reason why it does not take the set, in a sentence.", None)


@dataclasses.dataclass
class ProfileFailure:
    """Something that published readers assume and that is not so."""

    rule: str = described("Assumption, as a constant phrase.")
    detail: str = described("What was found, in a sentence.")
    record: int | None = described("Ordinal of the record in its file, from 0; null if no single one is meant.", None)
    key: int | None = described("Key of the record.", None)


@dataclasses.dataclass
class ProfileCheck:
    """Result of `--profile`."""

    name: str = described("Name of the profile.")
    readers: list[ProfileReader] = described("Published readers, and whether they take the set.")
    failed: int = described("Number of all failures.", 0)
    profile_failures: list[ProfileFailure] = described(
        f"Assumptions that do not hold, a failure for each record, the first {MAX_FAILURES:,} of them.", factory=list
    )


def histogram(counts: npt.NDArray[np.int64]) -> dict[str, int]:
    """Return how many of *counts*, all of them positive, are in each range of powers of two: ``{"2-3": 5}``."""
    if not len(counts):
        return {}
    powers = np.bincount(np.frexp(counts.astype(np.float64))[1] - 1)
    return {range_name(1 << power, (2 << power) - 1): int(count) for power, count in enumerate(powers) if count}


def range_name(first: int, last: int) -> str:
    """Return the name of a range of numbers in a histogram."""
    return str(first) if first == last else f"{first}-{last}"
