"""The result of a survey as dataclasses: the object that ``inspect --json`` prints."""

from __future__ import annotations

import dataclasses

from im2rec.inspection.digest_check import DigestCheck
from im2rec.inspection.face_report import InsightFaceSet, ProfileCheck
from im2rec.inspection.spread import Spread
from im2rec.schema import CLASSES_FILE, DRY_RUN, IMAGES, INPUT, WARNINGS, Number, described
from im2rec.selection.decoding import Verification
from im2rec.storage.damaged_range import DAMAGE, DAMAGED_BYTES, DAMAGED_RANGES, DOUBTFUL, LOST, DamagedRange

PLAIN, VECTORS, DETECTION = "plain images", "label vectors", "detection vectors"
NO_HEADERS = "records without image headers"
INSIGHTFACE, NO_IMAGES = "InsightFace, with header and identity records", "no images"
HEADERLESS_FACES, HEADER_LOST = "InsightFace, without header record", "InsightFace, its header record lost"
MAX_PROBLEM_RECORDS = 1000  # of a kind
FACE_KINDS = INSIGHTFACE, HEADERLESS_FACES, HEADER_LOST


@dataclasses.dataclass
class LabelCount:
    """A label and the number of records that have it."""

    label: Number = described("The label.")
    records: int = described("Records that have the label.")
    name: str | None = described("Name of the class; null if no class names are beside the file.", None)


@dataclasses.dataclass
class LabelColumn:
    """The labels at one place of the label vectors of images, without those that are not finite."""

    lowest_label: Number = described("Lowest label.")
    highest_label: Number = described("Highest label.")
    whole_numbers: bool = described("Whether all are whole numbers.")


@dataclasses.dataclass
class ClassStatistics:
    """Statistics of the first labels of records with an image, taken as classes."""

    count: int = described("Distinct labels.")
    rarest: LabelCount = described("The rarest label.")
    most_common: LabelCount = described("The most common label.")
    whole_numbers: bool = described("Whether all labels are whole numbers, as those of classes are.")
    lowest_label: Number = described("Lowest label.", 0)
    highest_label: Number = described("Highest label.", 0)
    unused: int | None = described(
        "Whole numbers from the lowest to the highest label that no image has; null if labels are no whole numbers.",
        None,
    )
    images_by_label: dict[str, int] = described(
        "Images by label, for all labels or for the 500,000 lowest ones.", factory=dict
    )
    classes_file: str | None = described(CLASSES_FILE, None)


@dataclasses.dataclass
class IdStatistics:
    """Statistics of the ids in the image headers."""

    lowest: int = described("Lowest id.")
    highest: int = described("Highest id.")
    duplicates: int = described("Records whose id an earlier record has too.")
    first_duplicate: int | None = described("Lowest id that several records have.")


@dataclasses.dataclass
class MissingIds:
    """Ids that are missing at the damage of a file in which all others count up by one."""

    count: int = described("Number of the missing ids, and so probably of the lost records.")
    lowest: int = described("Lowest missing id.")
    highest: int = described("Highest missing id.")


@dataclasses.dataclass
class ImageStatistics:
    """Sizes in pixels and channels from the headers of some images, with `--all` of all images."""

    sampled: int = described("Images whose headers were read.")
    widths: Spread | None = described("Widths in pixels.")
    heights: Spread | None = described("Heights in pixels.")
    by_channels: dict[int, int] = described("Images by number of channels.")
    unreadable: int = described("Images whose headers cannot be read.")
    first_unreadable: str | None = described("The first of these, and why its header cannot be read.")
    jpeg_quality: Spread | None = described("Qualities of JPEGs, estimated from their quantisation tables.", None)
    orientations: dict[int, int] = described(
        "Images by EXIF orientation, without those that are upright.", factory=dict
    )


@dataclasses.dataclass
class IndexCheck:
    """Comparison of an index with its ``.rec``. The counts are 0 for a wrong index."""

    path: str | None = described("Path of the file that is meant.")
    state: str = described("`none`, `agrees`, `partial` (lists only some records), `wrong`, or `not compared`.")
    problem: str | None = described("Problem in a sentence.", None)
    key_kind: str | None = described("Kind of the keys of the index: ids, ordinals, or neither.", None)
    listed: int = described("Whole records that the index lists.", 0)
    unlisted: int = described("Whole records that the index leaves out.", 0)
    damaged: int = described("Records that the index lists and that are not in the file any more.", 0)
    moved: int = described("Records that the index lists and that start at another byte of the file now.", 0)


@dataclasses.dataclass
class DetectionSet:
    """Layout of the label vectors of a detection set."""

    header_widths: list[int] = described("Numbers before the objects: all values that occur.")
    object_widths: list[int] = described("Numbers of an object: all values that occur.")
    objects: int = described("Objects in all images.")
    objects_per_image: Spread = described("Objects in an image.")


@dataclasses.dataclass(frozen=True)
class ProblemRecord:
    """A record with which something is wrong, as far as its header and its first bytes tell."""

    record: int = described("Ordinal of the record in its file, from 0.")
    offset: int = described("First byte of the record, from the start of its file.")
    id: int | None = described("Id in the image header; null if there is no header.")
    problem: str = described(
        "`doubtful`, `without an image`, `too short for an image header`, `labels longer than the record`,"
        " `not an image`, `unreadable image header`, or `label that is not finite`."
    )
    detail: str | None = described("More on the problem: what content that is no image looks like; null if unknown.")


@dataclasses.dataclass
class Survey:
    """Result of :func:`~im2rec.inspection.survey.survey` for one file."""

    input: str = described(INPUT)
    size: int = described("Size of the `.rec` in bytes.")
    records: int = described("Whole records in the input.")
    set_kind: str = described(
        f"Kind of the set: `{PLAIN}`, `{VECTORS}`, `{DETECTION}`, `{INSIGHTFACE}`, `{HEADERLESS_FACES}`,"
        f" `{HEADER_LOST}`, `{NO_IMAGES}`, `{NO_HEADERS}`."
    )
    images: int = described(IMAGES)
    payload_bytes: Spread | None = described("Sizes of the payloads in bytes.")
    split_records: int = described("Records that are split in parts, because their payload contains the magic.")
    label_widths: dict[int, int] = described("Records by length of their label vector; 0 is a single label.")
    class_statistics: ClassStatistics | None = described("Statistics of the first labels, taken as classes.")
    ids: IdStatistics | None = described("Statistics of the ids.")
    contents: dict[str, int] = described("Records by kind of their content.")
    image_statistics: ImageStatistics = described("Sizes and channels of the images.")
    index: IndexCheck = described("Comparison with the index.")
    damage: list[DamagedRange] = described(DAMAGE)
    damaged_bytes: int = described(DAMAGED_BYTES)
    problems: list[str] = described("Problems, a sentence each.")
    insightface: InsightFaceSet | None = described("Facts on a face-recognition set.", None)
    detection: DetectionSet | None = described("Facts on a detection set.", None)
    profile: ProfileCheck | None = described("Result of `--profile`.", None)
    verification: Verification | None = described("Result of `--verify`.", None)
    digest_check: DigestCheck | None = described("Comparison with the digest, by `--verify`.", None)
    sheet: str | None = described("Path of the contact sheet.", None)
    html: str | None = described("Path of the HTML report.", None)
    warnings: list[str] = described(WARNINGS, factory=list)
    doubtful: int = described(DOUBTFUL, 0)
    problems_by_record: list[ProblemRecord] = described(
        f"Records with a problem, the first {MAX_PROBLEM_RECORDS:,} of each kind.", factory=list
    )
    label_columns: list[LabelColumn] = described(
        "Range of each place in the label vectors of images, if all are of one length up to 4; empty for face and"
        " detection sets.",
        factory=list,
    )
    missing_ids: MissingIds | None = described(
        "Ids that are missing at the damage; null if an index tells what is lost, or the ids do not count up by one"
        " everywhere else.",
        None,
    )
    lost: int | None = described(LOST, None)
    damaged_ranges: int = described(DAMAGED_RANGES, 0)
    headerless: str | None = described("Kind of the payloads, if the records have no image headers.", None)
    dry_run: bool = described(DRY_RUN, False)
