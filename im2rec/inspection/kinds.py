"""Counts of the label vectors of detection sets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.inspection.report import DetectionSet
from im2rec.inspection.spread import Spread


class DetectionCounts:
    """Running counts of the header widths, object widths and objects per image of detection labels."""

    def __init__(self) -> None:
        self.records = 0
        self.objects: Counter[int] = Counter()  # images by the number of their objects
        self._shapes: Counter[tuple[int, int]] = Counter()

    def add(self, flags: npt.NDArray[Any], vector: npt.NDArray[np.float32]) -> None:
        """Count vectors by their lengths and first two labels, as ``are_detection_labels`` takes them."""
        self.records += len(flags)
        for (header, width, length), count in Counter(zip(*vector.T.tolist(), flags.tolist(), strict=True)).items():
            self._shapes[int(header), int(width)] += count
            self.objects[(length - int(header)) // int(width)] += count

    def summary(self) -> DetectionSet:
        """Return the counts as plain data; at least one vector must have been added."""
        objects = sorted(self.objects.elements())
        return DetectionSet(
            header_widths=sorted({header for header, _ in self._shapes}),
            object_widths=sorted({width for _, width in self._shapes}),
            objects=sum(objects),
            objects_per_image=Spread(objects[0], objects[len(objects) // 2], objects[-1]),
        )
