"""What is particular to face-recognition sets made by InsightFace, and to detection sets."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.inspection.report import DetectionSet, ImageStatistics, InsightFaceSet, Spread
from im2rec.storage.files import PathLike

PROPERTY_NAME = "property"


def insightface_set(
    path: PathLike, first: tuple[float, float], counts: Counter[str], statistics: ImageStatistics
) -> InsightFaceSet:
    """What the header record of the set at *path* claims, against what was counted.

    *first* holds the first two labels of record 0: the key of the first identity record, and the key behind the last.
    *counts* has ``records``, ``images`` and ``identities``. Problems are told, a line each.

    Source: insightface recognition/arcface_mxnet and arcface_torch/dataset.py, ``MXFaceDataset``.
    """
    images, identities = int(first[0]) - 1, int(first[1]) - int(first[0])
    problems = [
        f"the header record says {claimed:,} {what}, there are {counts[what]:,}"
        for what, claimed in (("images", images), ("identities", identities))
        if claimed != counts[what]
    ]
    said, problem = _property(Path(path).parent / PROPERTY_NAME, identities, statistics)
    folder = os.fspath(Path(path).parent)
    return InsightFaceSet(
        images=images,
        identities=identities,
        sum=f"{counts['records']:,} records - 1 header - {counts['identities']:,} identities"
        f" = {counts['records'] - 1 - counts['identities']:,} images",
        property=said,
        problems=problems + ([problem] if problem else []),
        config=[f'config.rec = "{folder}"', f"config.num_classes = {identities}", f"config.num_image = {images}"],
    )


def _property(path: Path, identities: int, statistics: ImageStatistics) -> tuple[str | None, str | None]:
    """What the property file beside the set says, and how that does not agree."""
    try:
        said = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None, None
    try:
        classes, height, width = (int(word) for word in said.split(","))
    except ValueError:
        return said[:40], f"{path}: expected classes,height,width, found {said[:40]!r}"
    if classes != identities:
        return said, f"{path}: says {classes:,} classes, the header record {identities:,}"
    for edge, claimed, found in (("high", height, statistics.height), ("wide", width, statistics.width)):
        if found is not None and not found.smallest == found.largest == claimed:
            return said, f"{path}: says {claimed} pixels {edge}, the images have {_range(found)}"
    return said, None


def _range(found: Spread) -> str:
    return f"{found.smallest:g}" if found.smallest == found.largest else f"{found.smallest:g} to {found.largest:g}"


def looks_like_detection(flags: npt.NDArray[np.uint32], vector: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Whether label vectors start with header width A >= 2 and object width B >= 5, and the rest is whole objects.

    *flags* are their lengths, *vector* (records, 2) their first two labels.

    Source: mxnet src/io/iter_image_det_recordio.cc and image_det_aug_default.cc, ``ImageDetLabel``.
    """
    with np.errstate(invalid="ignore"):
        first, second = vector[:, 0], vector[:, 1]
        header = np.where((first >= 2) & (first <= flags), first, 2).astype(np.int64)
        width = np.where((second >= 5) & (second <= flags), second, 5).astype(np.int64)
        right = (first == header) & (second == width) & (flags >= 7)
    return np.asarray(right & ((flags.astype(np.int64) - header) % width == 0))


class DetectionCounts:
    """Header widths, object widths and objects per image of the detection vectors seen so far."""

    def __init__(self) -> None:
        self.records = 0
        self._shapes: Counter[tuple[int, int]] = Counter()
        self._objects: Counter[int] = Counter()

    def add(self, flags: npt.NDArray[Any], vector: npt.NDArray[np.float32]) -> None:
        """Take in the lengths and first two labels of vectors that :func:`looks_like_detection`."""
        self.records += len(flags)
        for (header, width, length), count in Counter(zip(*vector.T.tolist(), flags.tolist(), strict=True)).items():
            self._shapes[int(header), int(width)] += count
            self._objects[(length - int(header)) // int(width)] += count

    def summary(self) -> DetectionSet:
        """What was seen."""
        objects = sorted(self._objects.elements())
        return DetectionSet(
            header_widths=sorted({header for header, _ in self._shapes}),
            object_widths=sorted({width for _, width in self._shapes}),
            objects=sum(objects),
            objects_per_image=Spread(objects[0], objects[len(objects) // 2], objects[-1]),
        )
