"""Draws among the records of a file: a sample, some of each class, an order; the same everywhere for one seed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from im2rec.errors import ParameterError
from im2rec.format.indexfile import Offsets
from im2rec.format.irheader import Labels
from im2rec.hashing import MASK, Words, absorb_array, hash64
from im2rec.selection.filters import class_numbers

_SAMPLE, _PER_CLASS, _SHUFFLE = 1, 2, 3  # by which draws with the same seed differ


class SampleSize(NamedTuple):
    """How many records are drawn: *number* of them, or if it is None, *percent* of all."""

    number: int | None = None
    percent: float = 100.0

    def of(self, records: int) -> int:
        """Return the number of records that are drawn of so many: at least one, at most all."""
        count = round(records * self.percent / 100) if self.number is None else self.number
        return min(records, max(1, count))


def parse_sample(text: str) -> SampleSize:
    """Return the size that *text* says: a whole number from 1 on, or a percentage as ``5%``. Raises ParameterError."""
    word = text.strip()
    try:
        if word.endswith("%"):
            percent = float(word[:-1])
            if 0 < percent <= 100 and math.isfinite(percent):
                return SampleSize(None, percent)
        elif int(word) >= 1:
            return SampleSize(int(word))
    except ValueError:
        pass
    raise ParameterError(f"sample={text} must be a number from 1 on, or a percentage: 5000, 10%")


def _hashes(ordinals: Offsets, seed: int, purpose: int) -> Words:
    """Return a number for each of *ordinals*, different for all of them."""
    return absorb_array(np.array(hash64(seed & MASK, purpose), np.uint64), ordinals.astype(np.uint64))


def sampled(ordinals: Offsets, size: SampleSize, seed: int) -> Offsets:
    """Return so many of the ascending *ordinals*, in ascending order."""
    count = size.of(len(ordinals))
    if count == len(ordinals):
        return ordinals
    rows = np.argpartition(_hashes(ordinals, seed, _SAMPLE), count - 1)[:count]
    return np.asarray(ordinals[np.sort(rows)])


def some_of_each_class(ordinals: Offsets, labels: Labels, most: int, seed: int) -> Offsets:
    """Return at most *most* of the ascending *ordinals* of each class, ascending; *labels* has the class of each."""
    numbers = class_numbers(labels)
    rows = np.lexsort((_hashes(ordinals, seed, _PER_CLASS), numbers))
    ordered = numbers[rows]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    sizes = np.diff(begins, append=len(rows))
    rank = np.arange(len(rows)) - np.repeat(begins, sizes)
    return np.asarray(ordinals[np.sort(rows[rank < most])])


def shuffled(ordinals: Offsets, seed: int) -> Offsets:
    """Return *ordinals* in the order that *seed* gives."""
    return np.asarray(ordinals[np.argsort(_hashes(ordinals, seed, _SHUFFLE))])
