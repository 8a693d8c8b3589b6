"""Smallest, median and largest of some numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from im2rec.schema import Number, described, whole


@dataclasses.dataclass
class Spread:
    """Smallest, median and largest of some whole numbers."""

    smallest: int = described("Smallest of the numbers.")
    median: Number = described("Median of the numbers.")
    largest: int = described("Largest of the numbers.")


def spread(values: npt.ArrayLike) -> Spread:
    """Return smallest, median and largest of *values*, whole numbers, which must not be empty."""
    array = np.asarray(values)
    return Spread(int(array.min()), whole(float(np.median(array))), int(array.max()))
