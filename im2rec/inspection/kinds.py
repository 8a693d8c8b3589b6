"""Checks particular to InsightFace's face-recognition sets, and to detection sets."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.inspection.report import DetectionSet, ImageStatistics, InsightFaceSet, Spread
from im2rec.storage.files import PathLike, read_file

PROPERTY_NAME = "property"


def insightface_set(
    path: PathLike, first: tuple[float, float], counts: Counter[str], statistics: ImageStatistics
) -> InsightFaceSet:
    """Compare the header record and the property file of the set at *path* with what was counted.

    *first* contains the first two labels of record 0: the key of the first identity record, and that of the last one
    plus 1. *counts* has ``records``, ``images`` and ``identities``. Disagreements become problems, one line each.

    Source: insightface recognition/arcface_mxnet and arcface_torch/dataset.py, ``MXFaceDataset``.
    """
    images, identities = int(first[0]) - 1, int(first[1]) - int(first[0])
    problems = [
        f"the header record says {claimed:,} {name}, there are {counts[name]:,}"
        for name, claimed in (("images", images), ("identities", identities))
        if claimed != counts[name]
    ]
    text, problem = _check_property(Path(path).parent / PROPERTY_NAME, identities, statistics)
    folder = os.fspath(Path(path).parent)
    return InsightFaceSet(
        images=images,
        identities=identities,
        sum=f"{counts['records']:,} records - 1 header - {counts['identities']:,} identities"
        f" = {counts['records'] - 1 - counts['identities']:,} images",
        property=text,
        problems=problems + ([problem] if problem else []),
        config=[f'config.rec = "{folder}"', f"config.num_classes = {identities}", f"config.num_image = {images}"],
    )


def _check_property(path: Path, identities: int, statistics: ImageStatistics) -> tuple[str | None, str | None]:
    """The text of the property file next to the set, and its first disagreement with the set; None for either."""
    try:
        text = read_file(path).decode("utf-8", "replace").strip()
    except OSError:
        return None, None
    try:
        classes, height, width = (int(word) for word in text.split(","))
    except ValueError:
        return text[:40], f"{path}: expected classes,height,width, found {text[:40]!r}"
    if classes != identities:
        return text, f"{path}: says {classes:,} classes, the header record {identities:,}"
    for edge, claimed, measured in (("high", height, statistics.heights), ("wide", width, statistics.widths)):
        if measured is not None and not measured.smallest == measured.largest == claimed:
            return text, f"{path}: says {claimed} pixels {edge}, the images have {_range(measured)}"
    return text, None


def _range(sizes: Spread) -> str:
    return f"{sizes.smallest}" if sizes.smallest == sizes.largest else f"{sizes.smallest} to {sizes.largest}"


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
