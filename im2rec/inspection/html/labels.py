"""The part of a report on labels: images by class, or by label where there are many classes."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from im2rec.errors import counted
from im2rec.format.irheader import label_text
from im2rec.images.sheet import number_text
from im2rec.inspection.distributions import ClassCounts, Distributions, histogram
from im2rec.inspection.html.charts import Bar, bar_card, chart, images_text
from im2rec.inspection.html.page import element, section
from im2rec.inspection.report import FACE_KINDS, PLAIN, Survey
from im2rec.inspection.set_rows import number, range_text
from im2rec.inspection.spread import spread
from im2rec.storage.classes import ClassNames, class_name

MAX_BARS = 30  # classes with a bar each
_EXTREMES = 10  # of the largest and the smallest classes
_EXACT = 2.0**62  # above, whole numbers do not fit in 64 bits


class _Nouns(NamedTuple):
    """What a label stands for: *one* of them, and *many*."""

    one: str
    many: str


_CLASSES, _IDENTITIES = _Nouns("class", "classes"), _Nouns("identity", "identities")
_VALUES = _Nouns("value", "values")  # labels that are no whole numbers


def labels_section(summary: Survey, found: Distributions) -> Element | None:
    """Return the part on the labels of *summary*; None for a file without images."""
    charts: list[Element] = []
    extremes: list[Element] = []
    if summary.insightface is None and set(summary.label_widths) - {0}:
        charts.append(_widths(summary))
    if summary.detection is not None:
        text = range_text(summary.detection.objects_per_image, number)
        charts.append(chart("Objects of an image", text, found.objects, number, images_text))
    elif found.classes is not None:
        nouns, note = _nouns(summary), ""
        if summary.set_kind not in (PLAIN, *FACE_KINDS):
            note = ", by the first label of each vector"
        if len(found.classes.labels) <= MAX_BARS:
            charts.append(_all_classes(found.classes, found.names, nouns, note))
        else:
            charts.append(_by_label(found.classes, note))
            if nouns is not _VALUES:
                charts.append(_sizes(found.classes, nouns))
                extremes = _extremes(found.classes, found.names, nouns)
    if not charts:
        return None
    return section("labels", "Labels", element("div", *charts, *extremes, class_="two" if extremes else "cards"))


def _nouns(summary: Survey) -> _Nouns:
    if summary.insightface is not None:
        return _IDENTITIES
    classes = summary.class_statistics
    return _CLASSES if classes is None or classes.whole_numbers else _VALUES


def _widths(summary: Survey) -> Element:
    widths = summary.label_widths
    most = sorted(widths, key=lambda width: -widths[width])[:MAX_BARS]
    rows = [Bar("single label" if width == 0 else f"vector of {width:,}", widths[width]) for width in sorted(most)]
    more = len(widths) - len(rows)
    return bar_card("Labels of a record", rows, f"and {counted(more, 'more width')}" if more else "")


def _all_classes(classes: ClassCounts, names: ClassNames | None, nouns: _Nouns, note: str) -> Element:
    count = len(classes.labels)
    rows = _class_bars(classes, np.arange(count), names)
    return bar_card(f"Images by {nouns.one}", rows, f"{counted(count, *nouns)}{note}", wide=True)


def _by_label(classes: ClassCounts, note: str) -> Element:
    """Return how many images have which labels, of many."""
    labels = classes.labels.astype(np.float64)
    is_whole = bool((np.floor(labels) == labels).all() and np.abs(labels).max() < _EXACT)
    by_label = histogram(labels.astype(np.int64) if is_whole else labels, classes.images)
    text = f"labels {number_text(labels[0])} to {number_text(labels[-1])}{note}"
    return chart("Images by label", text, by_label, number_text, images_text)


def _sizes(classes: ClassCounts, nouns: _Nouns) -> Element:
    """Return how many classes have how many images."""
    text = f"{counted(len(classes.labels), *nouns)}; images of each: {range_text(spread(classes.images), _whole)}"
    title = f"Images of {'an' if nouns is _IDENTITIES else 'a'} {nouns.one}"
    return chart(title, text, histogram(classes.images), _whole, lambda count: counted(count, *nouns))


def _extremes(classes: ClassCounts, names: ClassNames | None, nouns: _Nouns) -> list[Element]:
    """Return the largest and the smallest of many classes; of those of one size the lowest labels."""
    found = []
    for heading, sizes in ((f"Largest {nouns.many}", -classes.images), (f"Smallest {nouns.many}", classes.images)):
        rows = np.argsort(sizes, kind="stable")[:_EXTREMES]
        found.append(bar_card(heading, _class_bars(classes, rows, names)))
    return found


def _class_bars(classes: ClassCounts, rows: npt.NDArray[np.int64], names: ClassNames | None) -> list[Bar]:
    pairs = zip(classes.labels[rows].tolist(), classes.images[rows].tolist(), strict=True)
    return [Bar(label_text(label), images, class_name(names, [label]) or "") for label, images in pairs]


def _whole(number: float) -> str:
    return f"{number:,.0f}"
