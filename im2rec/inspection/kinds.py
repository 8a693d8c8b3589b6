"""Label vectors of detection sets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.inspection.report import DetectionSet
from im2rec.inspection.spread import Spread


def are_detection_labels(flags: npt.NDArray[np.uint32], vector: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return True for each label vector that has the layout of detection labels.

    It starts with a header width of at least 2 and an object width of at least 5, and after its header it consists of
    whole objects, at least one. *flags* are the lengths of the vectors, *vector* (records, 2) their first two labels.

    Source: mxnet src/io/iter_image_det_recordio.cc and image_det_aug_default.cc, ``ImageDetLabel``.
    """
    with np.errstate(invalid="ignore"):
        first, second = vector[:, 0], vector[:, 1]
        header = np.where((first >= 2) & (first <= flags), first, 2).astype(np.int64)
        width = np.where((second >= 5) & (second <= flags), second, 5).astype(np.int64)
        is_valid = (first == header) & (second == width) & (flags >= 7)
    return np.asarray(is_valid & ((flags.astype(np.int64) - header) % width == 0))


class DetectionCounts:
    """Running counts of the header widths, object widths and objects per image of detection labels."""

    def __init__(self) -> None:
        self.records = 0
        self._shapes: Counter[tuple[int, int]] = Counter()
        self._objects: Counter[int] = Counter()

    def add(self, flags: npt.NDArray[Any], vector: npt.NDArray[np.float32]) -> None:
        """Count vectors by their lengths and first two labels, as passed to :func:`are_detection_labels`."""
        self.records += len(flags)
        for (header, width, length), count in Counter(zip(*vector.T.tolist(), flags.tolist(), strict=True)).items():
            self._shapes[int(header), int(width)] += count
            self._objects[(length - int(header)) // int(width)] += count

    def summary(self) -> DetectionSet:
        """Return the counts as plain data; at least one vector must have been added."""
        objects = sorted(self._objects.elements())
        return DetectionSet(
            header_widths=sorted({header for header, _ in self._shapes}),
            object_widths=sorted({width for _, width in self._shapes}),
            objects=sum(objects),
            objects_per_image=Spread(objects[0], objects[len(objects) // 2], objects[-1]),
        )
