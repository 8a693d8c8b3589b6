"""Label vectors of detection sets: widths of the header and of an object, then the objects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


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
