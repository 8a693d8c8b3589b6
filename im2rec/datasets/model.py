"""What the readers give: pictures and their labels, a file at a time."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError

Bytes = npt.NDArray[np.uint8]


class Batch(NamedTuple):
    """The pictures of one file, in its order.

    *pixels* is uint8 (count, height, width, channels), one channel or R G B, *labels* uint8 (count, n): the class, of
    CIFAR-100 the fine and the coarse one.
    """

    pixels: Bytes
    labels: Bytes


@dataclasses.dataclass
class Dataset:
    """A set that was read: the *version* of its files, the batches of every split, and the names of its classes."""

    version: str
    splits: dict[str, list[Batch]]
    classes: list[str]
    coarse_classes: list[str] = dataclasses.field(default_factory=list)

    def images(self) -> dict[str, int]:
        """The number of pictures in each split."""
        return {split: sum(len(batch.labels) for batch in batches) for split, batches in self.splits.items()}


def check_labels(labels: Bytes, classes: int, place: str, what: str = "label") -> None:
    """Raise InputError, which names *place*, when one of *labels* (count,) is not below *classes*."""
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        row = int(wrong[0])
        raise InputError(f"{place}, row {row}: expected a {what} of 0 to {classes - 1}, found {labels[row]}")
