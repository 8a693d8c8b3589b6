"""Sets of label vectors for detection, whose first number is no class: it must not be changed."""

from __future__ import annotations

import numpy as np

from im2rec.errors import InputError
from im2rec.format.detection import are_detection_labels
from im2rec.format.indexfile import Offsets
from im2rec.storage.reader import RecordFile

_LOOKED_AT = 64  # images whose labels tell the kind of the set


def some_rows(images: int) -> Offsets:
    """Return the rows (int64, ascending) of a few of so many images, evenly spread."""
    return np.unique(np.linspace(0, images - 1, _LOOKED_AT).astype(np.int64)) if images else np.empty(0, np.int64)


def refuse_detection(rec: RecordFile, images: Offsets, *, hint: str) -> None:
    """Raise InputError with *hint* if the images of *rec* at the ordinals *images* have label vectors for detection.

    Such a vector begins with the width of its header, which stands where other sets have the class. *images* are those
    of :func:`some_rows`, and all of them have such vectors in a set for detection. Raises CorruptRecordError for one
    that is damaged.
    """
    for ordinal in images.tolist():
        header = rec[ordinal].header
        if not header.flag:
            return
        labels = np.append(np.asarray(header.label, np.float32).ravel(), np.float32(0))[None, :2]
        if not are_detection_labels(np.array([header.flag], np.uint32), labels)[0]:
            return
    if len(images):
        problem = "is a set for detection: the first number of its label vectors is no class, but their header's width"
        raise InputError(problem, path=rec.path, hint=hint)
