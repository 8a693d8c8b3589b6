"""Labels of a ``.rec``: images by class, range and gaps, class names, and values that are no finite numbers."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

from im2rec.errors import counted
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.irheader import HEADER_BYTES, label_text, not_finite_problem
from im2rec.inspection.distributions import ClassCounts
from im2rec.inspection.report import ClassStatistics, LabelCount
from im2rec.schema import whole
from im2rec.storage.blocks import FRONT_BYTES, RecordBlock
from im2rec.storage.classes import ClassNames

MAX_LISTED = 500_000  # classes in the object of --json: twice those of the largest face sets in use
LABELS_START = HEAD_BYTES + HEADER_BYTES  # from the start of a record
FRONT_LABELS = (FRONT_BYTES - LABELS_START) // 4  # of a vector, in the first bytes of a record

Labels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class LabelCounts:
    """The first labels of the records with an image, and the number of those with a label that is not finite."""

    def __init__(self) -> None:
        self._first_labels = array("f")
        self._not_finite = 0
        self._first_not_finite = (0, 0.0)  # ordinal of the record, label

    def add(self, first_labels: Labels, odd: dict[int, float]) -> None:
        """Count a block: the first label of each image, and by ordinal the labels that :func:`odd_labels` has found."""
        self._first_labels.frombytes(first_labels.astype(np.float32).tobytes())
        if odd and not self._not_finite:
            self._first_not_finite = min(odd.items())
        self._not_finite += len(odd)

    @property
    def first_labels(self) -> Labels:
        """The first label of each image (float32), in file order."""
        return np.asarray(self._first_labels)

    def classes(self) -> ClassCounts | None:
        """Return the distinct finite labels with the images of each; None if there are none."""
        labels = np.asarray(self._first_labels)
        labels = labels[np.isfinite(labels)] if self._not_finite else labels
        return ClassCounts(*np.unique(labels, return_counts=True)) if len(labels) else None

    def problems(self) -> list[str]:
        """Return a line on the labels that are not finite, if there are any."""
        if not self._not_finite:
            return []
        return [not_finite_problem(self._not_finite, *self._first_not_finite)]


def class_statistics(classes: ClassCounts, names: ClassNames | None) -> ClassStatistics:
    """Return the statistics of *classes*, with their *names* where there are some."""
    distinct, counts = classes
    is_whole = bool(np.all(np.floor(distinct) == distinct))
    lowest, highest = whole(float(distinct[0])), whole(float(distinct[-1]))
    listed = zip(distinct[:MAX_LISTED].tolist(), counts[:MAX_LISTED].tolist(), strict=True)

    def count_of(number: int) -> LabelCount:
        label = float(distinct[number])
        return LabelCount(whole(label), int(counts[number]), names.name_of(label) if names else None)

    return ClassStatistics(
        count=len(distinct),
        rarest=count_of(int(counts.argmin())),
        most_common=count_of(len(counts) - 1 - int(counts[::-1].argmax())),
        whole_numbers=is_whole,
        lowest_label=lowest,
        highest_label=highest,
        unused=int(highest) - int(lowest) + 1 - len(distinct) if is_whole else None,
        images_by_label={label_text(label): count for label, count in listed},
        classes_file=str(names.path) if names else None,
    )


def unnamed_warning(classes: ClassStatistics | None, names: ClassNames | None) -> str:
    """Return a warning if some of *classes* have no name in *names*; else an empty text."""
    if classes is None or names is None:
        return ""
    if not classes.whole_numbers or classes.lowest_label < 0:
        return f"{names.path}: names classes from 0 on, and some labels are no such numbers"
    if classes.highest_label < len(names.names):
        return ""
    count = counted(len(names.names), "class", "classes")
    return f"{names.path}: names {count}, and the labels go up to {classes.highest_label}: does it belong here?"


def odd_labels(block: RecordBlock, flags: npt.NDArray[np.uint32], images: Mask) -> dict[int, float]:
    """Return, by row of *block*, the first label that is not finite among those in the first bytes of each record.

    *flags* are the lengths of the label vectors; only the rows *images* are looked at. Of a longer vector than the
    first bytes hold nothing is looked at.
    """
    headers = block.headers
    odd: dict[int, float] = {}
    single = images & (flags == 0) & ~np.isfinite(headers["label"])
    odd.update({row: float(headers["label"][row]) for row in np.flatnonzero(single).tolist()})
    rows = np.flatnonzero(images & (flags > 0) & (flags <= FRONT_LABELS))
    if len(rows):
        vectors = np.ascontiguousarray(block.fronts[rows, LABELS_START:FRONT_BYTES]).view("<f4")
        vectors = np.where(np.arange(FRONT_LABELS) < flags[rows, None], vectors, np.float32(0))
        odd.update(not_finite(rows, vectors))
    return odd


def not_finite(rows: npt.NDArray[np.int64], vectors: Labels) -> dict[int, float]:
    """Return, by number in *rows*, the first label that is not finite of each of *vectors* that has one."""
    wrong = ~np.isfinite(vectors)
    found = np.flatnonzero(wrong.any(axis=1)).tolist()
    return {int(rows[number]): float(vectors[number, wrong[number].argmax()]) for number in found}
