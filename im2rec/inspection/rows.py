"""The rows of the summary of a ``.rec``, which ``im2rec inspect`` prints and its HTML report shows.

Each row is a name and a value in words; one with an empty value has nothing to say. Checks that were asked for are in
``check_rows.py``, kinds of sets in ``set_rows.py``.
"""

from __future__ import annotations

from im2rec.errors import counted, human_size
from im2rec.images.sheet import number_text
from im2rec.images.wrapping import MAX_NAME, clipped
from im2rec.inspection.check_rows import MAX_ROWS, digest_rows, profile_rows, shortened, verified_rows
from im2rec.inspection.ids import missing_text
from im2rec.inspection.label_columns import columns_text
from im2rec.inspection.problem_records import doubtful_text
from im2rec.inspection.report import ClassStatistics, LabelCount, Survey
from im2rec.inspection.set_rows import note_rows, number, range_text, set_rows

Row = tuple[str, str]
_MOST_OUTPUTS = 1 << 24  # float32 cannot hold all labels above


def headline(summary: Survey) -> str:
    """Return the number of records and of images, and the size of the file."""
    counts = f"{counted(summary.records, 'record')}, {counted(summary.images, 'image')}"
    return f"{counts}, {human_size(summary.size)}"


def summary_rows(summary: Survey, *, lists: bool, most_failures: int = MAX_ROWS) -> list[Row]:
    """Return all rows on *summary* but those on damage; *lists* names the first of each kind of problem in rows, too.

    *most_failures* of the images that could not be decoded are named. Without *lists* there is a row for each fact, and
    none that is one of many.
    """
    rows = [
        ("kind", summary.set_kind),
        ("payloads", _payloads(summary)),
        ("labels", _labels(summary)),
        ("classes", "" if summary.insightface else _classes(summary)),
        ("ids", _ids(summary)),
        ("content", ", ".join(f"{count:,} {kind}" for kind, count in summary.contents.items())),
        ("reading", "by payload() of im2rec.open()" if summary.headerless else ""),
        *_images(summary),
        *set_rows(summary),
        ("index", _index(summary)),
    ]
    if lists:
        rows += shortened([("problem", problem) for problem in summary.problems], "problem")
        rows += note_rows(summary)
    rows += profile_rows(summary, lists=lists)
    rows += verified_rows(summary.verification, lists=lists, most=most_failures)
    rows += digest_rows(summary.digest_check, lists=lists)
    return rows


def damage_text(summary: Survey) -> str:
    """Return how much of a damaged file is whole, doubtful and lost; an empty text for a file without damage."""
    if not summary.damage:
        return ""
    if summary.missing_ids is not None:
        lost = f"lost: {missing_text(summary.missing_ids)}"
    elif summary.lost is None:
        lost = f"lost: unknown {'as the index is wrong' if summary.index.state == 'wrong' else 'without an index'}"
    else:
        lost = f"{summary.lost:,} lost of {summary.index.listed + summary.index.damaged:,} in the index"
    doubtful = doubtful_text(summary.doubtful, summary.problems_by_record)
    return f"{counted(summary.records - summary.doubtful, 'whole record')}, {doubtful}, {lost}"


def _payloads(summary: Survey) -> str:
    if summary.payload_bytes is None:
        return ""
    split = f"; {counted(summary.split_records, 'record')} split in parts" if summary.split_records else ""
    return range_text(summary.payload_bytes, human_size) + split


def _labels(summary: Survey) -> str:
    names = ("1 label" if width == 0 else f"a vector of {counted(width, 'label')}" for width in summary.label_widths)
    kinds = [f"{count:,} with {name}" for name, count in zip(names, summary.label_widths.values(), strict=True)]
    if len(summary.label_columns) > 1 and len(kinds) == 1 and not summary.insightface:
        return f"{kinds[0]}: {columns_text(summary.label_columns)}"
    return ", ".join(kinds[:4]) + (f", and {len(kinds) - 4} more widths" if len(kinds) > 4 else "")


def _classes(summary: Survey) -> str:
    classes = summary.class_statistics
    if classes is None:
        return ""
    if not classes.whole_numbers:
        extremes = f"{number_text(classes.lowest_label)} to {number_text(classes.highest_label)}"
        return f"{counted(classes.count, 'distinct value')}, {extremes}, not all of them whole numbers"
    rarest, common = classes.rarest, classes.most_common
    if classes.count == 1:
        return f"1: {_class(rarest)}"
    labels = f"labels {classes.lowest_label} to {classes.highest_label}"
    extremes = f"rarest {_class(rarest)} ({rarest.records:,}), most common {_class(common)} ({common.records:,})"
    if classes.lowest_label == 0 and not classes.unused:
        return f"{classes.count:,}, {labels}; {extremes}"
    # Not a comma: "7, labels 3 to 11" is read as if 7 outputs were enough.
    unused = f", {classes.unused:,} of these unused" if classes.unused else ""
    return f"{classes.count:,}; {labels}{unused}: {_classifier_needs(classes)}; {extremes}"


def _classifier_needs(classes: ClassStatistics) -> str:
    """Return what labels that are not 0 to n - 1 mean for a network that tells the classes apart."""
    if classes.lowest_label < 0:
        return "a classifier needs labels from 0 on (select --relabel)"
    if classes.highest_label >= _MOST_OUTPUTS:
        return "too high for a classifier (select --relabel)"
    return f"a classifier needs {int(classes.highest_label) + 1:,} outputs (or select --relabel)"


def _class(count: LabelCount) -> str:
    return f"label {count.label}" if count.name is None else clipped(count.name, MAX_NAME)


def _ids(summary: Survey) -> str:
    if summary.ids is None:
        return ""
    count = summary.ids.duplicates
    repeated = f"; {counted(count, 'duplicate')}, the first of id {summary.ids.first_duplicate}" if count else ""
    return f"{summary.ids.lowest} to {summary.ids.highest}{repeated or ', all different'}"


def _images(summary: Survey) -> list[tuple[str, str]]:
    images = summary.image_statistics
    if images.widths is None or images.heights is None:
        return []
    channels = ", ".join(f"{count:,} with {counted(number, 'channel')}" for number, count in images.by_channels.items())
    turns = ", ".join(f"{count:,} with orientation {turn}" for turn, count in images.orientations.items())
    return [
        ("images", f"{images.sampled:,} looked at: {channels}"),
        ("width", range_text(images.widths, number)),
        ("height", range_text(images.heights, number)),
        ("quality", f"{range_text(images.jpeg_quality, number)} (estimated)" if images.jpeg_quality else ""),
        ("EXIF", f"{turns}: not all readers turn them" if turns else ""),
    ]


def _index(summary: Survey) -> str:
    index = summary.index
    if index.state == "not compared":
        return "not compared, because of --no-idx"
    if index.path is None:
        return "none beside it; not needed, but opening then scans the file"
    if index.state == "wrong":
        return f"{index.path}: WRONG: {index.problem}; without it the .rec is scanned"
    found = f"lists {index.listed:,} of {summary.records:,} records" if index.unlisted else "agrees"
    keys = f"; its keys are {index.key_kind}" if index.key_kind else ""
    lost = f"; {_of_it(index.damaged)} lost" if index.damaged else ""
    moved = f"; {_of_it(index.moved)} elsewhere in the file now" if index.moved else ""
    return f"{index.path}: {found}{keys}{lost}{moved}"


def _of_it(count: int) -> str:
    return f"{counted(count, 'record')} of it {'is' if count == 1 else 'are'}"
