"""The rows of a summary on face-recognition sets and detection sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from im2rec.errors import counted
from im2rec.inspection.face_report import (
    ARCFACE,
    FaceHeader,
    IdentityRecords,
    InsightFaceSet,
    ProfileCheck,
    ProfileFailure,
    ProfileReader,
    range_name,
)
from im2rec.inspection.report import Survey
from im2rec.inspection.spread import Spread

_HISTOGRAM_WIDTH = 65  # characters: one line of a table of 80 columns
_MAX_NOTES = 2


def set_rows(summary: Survey) -> list[tuple[str, str]]:
    """Return the rows on the kind of set that *summary* is of; none for other files."""
    if summary.insightface is not None:
        return _face_rows(summary.insightface, summary.profile)
    if summary.detection is not None:
        boxes = summary.detection
        widths = ", ".join(map(str, boxes.object_widths))
        objects = f"{boxes.objects:,} of {widths} numbers each; {range_text(boxes.objects_per_image, number)} per image"
        return [("objects", objects), ("header", f"{', '.join(map(str, boxes.header_widths))} numbers before them")]
    return []


def note_rows(summary: Survey) -> list[tuple[str, str]]:
    """Return the first facts on a set that are no faults."""
    notes = summary.insightface.remarks if summary.insightface is not None else []
    return [("note", note) for note in notes[:_MAX_NOTES]]


def _face_rows(faces: InsightFaceSet, profile: ProfileCheck | None) -> list[tuple[str, str]]:
    # Lines for a training that would fail help nobody; without --profile it is not known who reads the set.
    is_refused = profile is not None and any(each.name == ARCFACE and not each.takes for each in profile.readers)
    agrees = faces.property and not faces.problems and faces.config
    return [
        ("faces", faces.sum),
        ("identities", _identities(faces)),
        ("histogram", histogram_text(faces.histogram, _HISTOGRAM_WIDTH) if faces.histogram else ""),
        ("header", _header(faces.header_record)),
        ("ranges", _ranges(faces.identity_records)),
        ("property", f"agrees: {faces.property}" if agrees else faces.property or ""),
        *[("arcface", line) for line in faces.config if not is_refused],
    ]


def _identities(faces: InsightFaceSet) -> str:
    images = faces.images_per_identity
    if images is None:
        return ""
    if images.smallest == images.largest:
        return f"{faces.identities:,}, with {counted(images.smallest, 'image')} each"
    images_of = f"{images.smallest:,} least, {images.median:,} median, {images.largest:,} most"
    return f"{faces.identities:,}; images of each: {images_of}"


def _header(header: FaceHeader | None) -> str:
    if header is None:
        return ""
    return f"record {header.record}: {header.first - 1:,} images, {header.stop - header.first:,} identities"


def _ranges(identities: IdentityRecords | None) -> str:
    if identities is None:
        return ""
    compared = identities.count - identities.rounded
    fitting = f"{counted(compared, 'identity record')}, {identities.wrong:,} of them wrong"
    if not identities.wrong:
        fitting = f"{counted(compared, 'identity record fits', 'identity records fit')} the images" if compared else ""
    rounded = f"{identities.rounded:,} not compared, as float32 rounds their keys" if identities.rounded else ""
    return "; ".join(filter(None, (fitting, rounded)))


def histogram_text(histogram: Mapping[str, int], width: int) -> str:
    """Return *histogram*, which is not empty, as a line of at most *width* characters, with fewer ranges if needed."""
    ranges = [(*_ends(name), count) for name, count in histogram.items()]
    while True:
        names = [range_name(first, last) for first, last, _ in ranges]
        names[0] += " image" if names[0] == "1" else " images"
        text = ", ".join(f"{name}: {count:,}" for name, (_, _, count) in zip(names, ranges, strict=True))
        if len(text) <= width or len(ranges) == 1:
            return text
        pairs = [ranges[at : at + 2] for at in range(0, len(ranges), 2)]
        ranges = [(some[0][0], some[-1][1], sum(count for _, _, count in some)) for some in pairs]


def _ends(name: str) -> tuple[int, int]:
    first, _, last = name.partition("-")
    return int(first), int(last or first)


def failure_text(failure: ProfileFailure) -> str:
    """Return what is wrong, and with which record."""
    if failure.record is None:
        return failure.detail
    return f"record {failure.record}, key {failure.key} {failure.detail}"


def readers_text(readers: Sequence[ProfileReader]) -> str:
    """Return which of *readers* take a set, and why the others do not."""
    takers = [reader.name for reader in readers if reader.takes]
    reasons: dict[str, list[str]] = {}
    for reader in readers:
        if reader.problem is not None:
            reasons.setdefault(reader.problem, []).append(reader.name)
    others = [f"not {', '.join(names)} ({reason})" for reason, names in reasons.items()]
    return "; ".join([*([", ".join(takers)] if takers else []), *others])


def number(value: float) -> str:
    """Return *value* in six digits."""
    return f"{value:g}"


def range_text(spread: Spread, show: Callable[[float], str]) -> str:
    """Return *spread* in words, each number as *show* gives it."""
    if spread.smallest == spread.largest:
        return f"all {show(spread.smallest)}"
    return f"{show(spread.smallest)} to {show(spread.largest)}, median {show(spread.median)}"
