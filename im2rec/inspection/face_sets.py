"""Face-recognition sets: their identities, and header, identity records, index and property compared with the images.

Source: insightface recognition/arcface_mxnet and arcface_torch/dataset.py, ``MXFaceDataset``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from im2rec.errors import InputError, counted
from im2rec.format.indexfile import Keys
from im2rec.format.insightface import HEADER_KEY, PROPERTY_NAME, Property, parse_property
from im2rec.format.irheader import label_text
from im2rec.format.listfile import EXACT_INTEGERS
from im2rec.inspection.face_report import FaceHeader, IdentityRecords, InsightFaceSet, histogram
from im2rec.inspection.range_check import RangeCheck, coverage_problems
from im2rec.inspection.report import HEADER_LOST, HEADERLESS_FACES, INSIGHTFACE, ImageStatistics
from im2rec.inspection.set_records import ImagesByKey, SetRecords, label_counts
from im2rec.inspection.spread import Spread, spread
from im2rec.storage.files import PathLike, read_file
from im2rec.storage.identities import RangeRecords, SetHeader, are_classes, find_header
from im2rec.storage.record_map import NO_KEY

_ROUNDED = f"keys above {EXACT_INTEGERS:,} are rounded in labels"
_SHOWN = 40


class PropertyFile(NamedTuple):
    """The property file beside a set: its *text*, and its numbers, or the *problem* why there are none."""

    path: Path
    text: str
    numbers: Property | None
    problem: str


def read_property(path: PathLike) -> PropertyFile | None:
    """Read the property file beside the set at *path*; None if there is none, or none that can be read."""
    beside = Path(path).parent / PROPERTY_NAME
    try:
        content = read_file(beside)
    except (InputError, OSError):
        return None
    text = content.decode("utf-8", "replace").strip()[:_SHOWN]
    try:
        return PropertyFile(beside, text, parse_property(content), "")
    except InputError as error:
        return PropertyFile(beside, text, None, f"{beside}, line {error.line}: {error.problem}")


class FaceKind(NamedTuple):
    """What speaks for a face-recognition set: the *kind*, empty if nothing does; its header; a *problem* with that."""

    kind: str
    header: SetHeader | None = None
    problem: str = ""


def face_kind(ranges: RangeRecords, *, has_classes: bool, has_property: bool, header_lost: bool) -> FaceKind:
    """Decide on the kind of a set with these *ranges*.

    *has_classes* is True if the labels of all images are classes, *has_property* if there is a property file,
    *header_lost* if the index lists a header record that is lost.
    """
    others = ~ranges.is_header
    try:
        header, problem = find_header(ranges), ""
    except InputError as error:
        header, problem = None, error.problem
    if header is not None or (problem and (has_property or others.any())):
        return FaceKind(INSIGHTFACE, header, problem)
    if problem or not has_classes:
        return FaceKind("")
    if header_lost:
        return FaceKind(HEADER_LOST)
    if others.any():
        first, stop = ranges.ranges.T
        with np.errstate(invalid="ignore"):
            are_ranges = (first >= 1) & (first < stop) & (stop <= ranges.keys.astype(np.float32))
        if not has_property and not are_ranges.all():
            return FaceKind("")
        problem = f"{counted(int(others.sum()), 'identity record')}, and no header record"
        return FaceKind(HEADERLESS_FACES, None, problem)
    return FaceKind(HEADERLESS_FACES if has_property else "")


class FaceInput(NamedTuple):
    """What is known of a set: its *path*, its *records*, the *keys* of all, and those *listed* in the index, if any.

    *images* are those of *records* by key, *checked* are its identity records, None if there are none. *found* is the
    kind of the set, *beside* the property file. *is_damaged* is True if records are lost or doubtful.
    """

    path: PathLike
    records: SetRecords
    keys: Keys
    listed: Keys | None
    images: ImagesByKey
    checked: RangeCheck | None
    found: FaceKind
    beside: PropertyFile | None
    statistics: ImageStatistics
    is_damaged: bool


def face_set(known: FaceInput) -> InsightFaceSet:
    """Return identities and records of the set *known*; what does not agree becomes problems, one line each.

    Records of a damaged file are counted, and not compared with what header and property say.
    """
    images, header = known.images, known.found.header
    distinct, counts = label_counts(images.labels)
    run_labels, runs = label_counts(images.labels[images.starts])
    identities = known.checked.summary() if known.checked else None
    classes = int(distinct[-1]) + 1 if are_classes(distinct).all() else len(distinct)
    split = run_labels[runs > 1]
    result = InsightFaceSet(
        images=len(images.keys),
        identities=len(distinct),
        sum=_sum(known, identities.count if identities else 0),
        property=known.beside.text if known.beside else None,
        problems=[known.found.problem] if known.found.problem else [],
        config=[],
        header_record=FaceHeader(header.ordinal, header.first, header.stop) if header else None,
        identity_records=identities,
        images_per_identity=spread(counts),
        histogram=histogram(counts),
        runs=len(images.starts),
        identities_in_runs=len(split),
        highest_key=int(known.keys.max()),
        remarks=_remarks(known, identities, float(split[0]) if len(split) else None, len(split)),
    )
    result.problems += _label_problems(images)
    if not known.is_damaged:
        folder = os.fspath(Path(known.path).parent)
        result.config = [
            f'config.rec = "{folder}"',
            f"config.num_classes = {classes}",
            f"config.num_image = {result.images}",
        ]
        result.problems += header_problems(known, result) + _range_problems(identities) + _index_problems(known)
        result.problems += property_problems(known, result, classes)
    return result


def _sum(known: FaceInput, identities: int) -> str:
    records, images = len(known.records.is_image), len(known.images.keys)
    headers = int(known.records.ranges(known.keys).is_header.sum())
    others = records - images - headers - identities
    parts = [counted(records, "record")]
    parts += [counted(headers, "header")] if headers else []
    parts += [counted(identities, "identity", "identities")] if identities else []
    parts += [f"{counted(others, 'other')} without an image"] if others else []
    return f"{' - '.join(parts)} = {counted(images, 'image')}"


def _label_problems(images: ImagesByKey) -> list[str]:
    """A problem if labels are finite and yet no classes; those that are not finite are named for every kind of set."""
    wrong = np.flatnonzero(np.isfinite(images.labels) & ~are_classes(images.labels))
    if not len(wrong):
        return []
    first = f"record {images.ordinals(wrong[:1])[0]}, {label_text(float(images.labels[wrong[0]]))}"
    return [f"{counted(len(wrong), 'image has a label', 'images have labels')} of no class; first: {first}"]


def header_problems(known: FaceInput, result: InsightFaceSet) -> list[str]:
    """Return what the header record says and is not so, a sentence each."""
    header, keys = known.found.header, known.images.keys
    if header is None:
        return []
    identity_records = result.identity_records.count if result.identity_records else 0
    claims = (("images", header.images, result.images), ("identities", header.identities, identity_records))
    problems = [
        f"the header record says {said:,} {what}, there are {there:,}" for what, said, there in claims if said != there
    ]
    if header.stop > EXACT_INTEGERS and problems:
        problems[0] += f" ({_ROUNDED})"
    if header.images == result.images and (int(keys[0]), int(keys[-1])) != (1, header.images):
        problems.append(f"the header record says images 1 to {header.images:,}, their keys are {keys[0]} to {keys[-1]}")
    return problems


def _range_problems(identities: IdentityRecords | None) -> list[str]:
    if identities is None:
        return []
    problems = []
    if identities.wrong:
        does = "does" if identities.wrong == 1 else "do"
        records = counted(identities.wrong, "identity record")
        problems.append(f"{records} {does} not fit the images; first: {identities.first_wrong}")
    return problems + coverage_problems(identities.uncovered_images, identities.repeated_images)


def _index_problems(known: FaceInput) -> list[str]:
    """A problem if the index leaves out images."""
    if known.listed is None:
        return []
    left_out = int(np.sum(known.listed[known.records.is_image] == NO_KEY))
    return [f"the index does not list {counted(left_out, 'image')}"] if left_out else []


def property_problems(known: FaceInput, result: InsightFaceSet, classes: int) -> list[str]:
    """Compare the property file with the set: its classes are the highest label + 1, or the identity records."""
    file = known.beside
    if file is None:
        return []
    if file.numbers is None:
        return [file.problem]
    numbers, problems = file.numbers, []
    identity_records = result.identity_records.count if result.identity_records else 0
    if numbers.classes != classes and numbers.classes != max(classes, identity_records):
        claim = counted(numbers.classes, "class", "classes")
        problems.append(f"says {claim}, the labels of the images {classes:,}")
    statistics = known.statistics
    for edge, said, measured in (
        ("high", numbers.height, statistics.heights),
        ("wide", numbers.width, statistics.widths),
    ):
        if measured is not None and not measured.smallest == measured.largest == said:
            problems.append(f"says {said} pixels {edge}, the images have {_range(measured)}")
    if numbers.images is not None and numbers.images != result.images:
        problems.append(f"says {counted(numbers.images, 'image')}, there are {result.images:,}")
    return [f"{file.path}: {problem}" for problem in problems]


def _range(sizes: Spread) -> str:
    return f"{sizes.smallest}" if sizes.smallest == sizes.largest else f"{sizes.smallest} to {sizes.largest}"


def _remarks(known: FaceInput, identities: IdentityRecords | None, split: float | None, splits: int) -> list[str]:
    notes = []
    if known.found.kind == HEADER_LOST:
        notes.append("the header record is lost: readers that start from it cannot read what is left")
    elif known.is_damaged:
        lost = "" if known.found.header else "; a header record may be among what is lost"
        notes.append(f"counts are of what is whole; header and property are not compared with it{lost}")
    has_ranges = known.found.header is not None or identities is not None
    if split is not None and has_ranges:
        have = counted(splits, "identity has", "identities have")
        notes.append(f"{have} images in several runs of keys; the first has label {label_text(split)}")
    if identities is not None and identities.unordered:
        notes.append(f"{counted(identities.unordered, 'identity record is', 'identity records are')} out of order")
    above = int(np.sum(known.keys > EXACT_INTEGERS)) if has_ranges else 0
    if above:
        rounded = identities.rounded if identities else 0
        not_used = f": {counted(rounded, 'range', 'ranges')} not used" if rounded else ""
        notes.append(
            f"{counted(above, 'key is', 'keys are')} above {EXACT_INTEGERS:,}, and rounded in labels{not_used}"
        )
    return notes


def reader_warning(known: FaceInput) -> str:
    """Return a warning if published readers, which look up key 0, do not find what they expect; else an empty text."""
    if known.listed is None or not known.found.kind or known.found.kind == HEADER_LOST:
        return ""
    if known.found.header is not None:
        key = known.listed[known.found.header.ordinal]
        if key == HEADER_KEY:
            return ""
        has = "does not list it" if key == NO_KEY else f"has it under key {key}"
        return f"published readers look up the header record by key 0, and the index {has}"
    rows = np.flatnonzero(known.listed == HEADER_KEY)
    if not len(rows):
        return "the index has no key 0: published readers look it up first, and stop (KeyError: 0)"
    row = int(rows[0])
    if not known.records.is_image[row] or not known.records.flags[row]:
        return ""
    label = float(known.images.labels[known.images.place(np.zeros(1, np.uint64))[0]])
    images = max(0, int(label) - 1) if np.isfinite(label) else 0
    return (
        "published readers take the label vector of key 0 for a header record:"
        f" arcface_torch gets {counted(images, 'image') if images else 'no images'}, without an error"
    )
