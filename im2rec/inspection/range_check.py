"""The ranges of keys that identity records hold, compared with the images of a face-recognition set."""

from __future__ import annotations

import numpy as np

from im2rec.errors import counted
from im2rec.format.irheader import label_text
from im2rec.format.listfile import EXACT_INTEGERS
from im2rec.inspection.face_report import IdentityRecords
from im2rec.inspection.set_records import ImagesByKey
from im2rec.storage.identities import RangeRecords


class RangeCheck:
    """The *ranges* of identity records, by key, compared with *images*; *highest_key* is that of all records.

    Arrays, with a value for each identity record: ``ordinals`` and ``keys``; ``is_full``, True if each key of the range
    is that of one image; ``fits``, True if these are of one identity as well; ``is_exact``, True unless float32 may
    have rounded the range, as it does above 2**24. ``uncovered`` and ``repeated`` are the numbers of images in no range
    and in more than one.
    """

    def __init__(self, ranges: RangeRecords, images: ImagesByKey, highest_key: int) -> None:
        order = np.argsort(ranges.keys, kind="stable")
        self.keys, self.ordinals, self._labels = ranges.keys[order], ranges.ordinals[order], ranges.ranges[order]
        with np.errstate(invalid="ignore"):
            is_whole = (self._labels >= 0) & (self._labels == np.floor(self._labels)) & (self._labels < 2.0**53)
        self._is_range = is_whole.all(axis=1)
        self._first, self._stop = np.where(self._is_range, self._labels.T, 0).astype(np.int64)
        self.is_exact = (self._stop < EXACT_INTEGERS) | (highest_key <= EXACT_INTEGERS)
        low, high = images.place(self._first.astype(np.uint64)), images.place(self._stop.astype(np.uint64))
        self._missing = self._stop - self._first - (high - low)
        self.is_full = (self._missing == 0) & (high > low)
        last = max(0, len(images.keys) - 1)
        # Runs of one label that the range reaches into.
        self._runs = images.run(np.clip(high - 1, 0, None)) - images.run(np.minimum(low, last)) + 1
        self.fits = self.is_full & (self._runs == 1)
        by_place = np.argsort(low, kind="stable")
        low, high = low[by_place], np.maximum(low, high)[by_place]
        reached = np.concatenate(([0], np.maximum.accumulate(high)))
        self.uncovered = int(np.sum(np.clip(low - reached[:-1], 0, None)) + len(images.keys) - reached[-1])
        self.repeated = int(np.sum(np.clip(np.minimum(reached[:-1], high) - low, 0, None)))

    def reason(self, row: int) -> str:
        """Return what the identity record at *row* says, and why that does not fit the images."""
        says = f"says [{', '.join(map(label_text, self._labels[row].tolist()))}): "
        missing = int(self._missing[row])
        if not self._is_range[row] or self._stop[row] <= self._first[row]:
            return f"{says}no range of keys"
        if missing:
            return f"{says}no image has {missing:,} of them" if missing > 0 else f"{says}some of them occur twice"
        return f"{says}images of {int(self._runs[row]):,} identities"

    def summary(self) -> IdentityRecords:
        """Return the counts, with those of the ranges that are exact alone."""
        wrong = np.flatnonzero(self.is_exact & ~self.fits)
        found = IdentityRecords(len(self.keys), len(wrong), rounded=int(np.sum(~self.is_exact)))
        found.unordered = int(np.sum(self._first[1:] < self._first[:-1]))
        if len(wrong):
            row = int(wrong[0])
            found.first_wrong = f"record {self.ordinals[row]}, key {self.keys[row]}, {self.reason(row)}"
        if not found.rounded:
            found.uncovered_images, found.repeated_images = self.uncovered, self.repeated
        return found


def check_ranges(records: RangeRecords, images: ImagesByKey, highest_key: int) -> RangeCheck | None:
    """Compare the identity records among *records* with *images*; None if there are none."""
    others = ~records.is_header
    if not others.any():
        return None
    ranges = RangeRecords(records.ordinals[others], records.keys[others], records.ranges[others])
    return RangeCheck(ranges, images, highest_key)


def coverage_problems(uncovered: int, repeated: int) -> list[str]:
    """Return what is wrong with *uncovered* images in no range, and with *repeated* ones in several."""
    counts = ((uncovered, "the range of no identity record"), (repeated, "the ranges of several identity records"))
    return [f"{counted(count, 'image is', 'images are')} in {where}" for count, where in counts if count]
