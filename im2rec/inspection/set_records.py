"""The records of a file as a face-recognition set: which hold images, and the images in the order of their keys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.insightface import HEADER_KEY
from im2rec.format.irheader import Labels
from im2rec.storage.identities import RangeRecords, are_classes
from im2rec.storage.record_map import NO_KEY

NO_CONTENT = 0xFFFFFFFF  # as the flag of a record that is too short for its header or labels
Counts = npt.NDArray[np.int64]
_DENSE = 4  # labels up to so many times the number of images are counted in an array of all labels


class SetRecords(NamedTuple):
    """Facts on all records, by ordinal, as a scan has found them.

    *is_image* (bool) and *flags* (uint32) are by ordinal, *labels* (float32) has the first label of each image, in file
    order. A flag is ``NO_CONTENT`` where the header or the labels do not fit in the record. *range_ordinals* (int64)
    are those of the records with two labels and no content, *range_labels* (records, 2) are their labels.
    """

    is_image: npt.NDArray[np.bool_]
    labels: Labels
    flags: npt.NDArray[np.uint32]
    range_ordinals: Offsets
    range_labels: Labels

    def ranges(self, keys: Keys) -> RangeRecords:
        """Return the records that hold ranges; *keys* are those of all records."""
        return RangeRecords(self.range_ordinals, keys[self.range_ordinals], self.range_labels)


def keys_of_set(records: SetRecords, ids: Keys, listed: Keys | None) -> Keys:
    """Return the key of each record (uint64): that in the index, or the id of a record that it does not list.

    *listed* are the keys in the index, ``NO_KEY`` where there is none; None without index. If the header record has its
    key as id and another one in the index, as in indexes of rec2idx.py, the ids are returned.
    """
    if listed is None:
        return ids
    keys = np.where(listed == NO_KEY, ids, listed) if (listed == NO_KEY).any() else listed
    rows = records.range_ordinals
    return ids if (ids[rows] == HEADER_KEY).any() and not (keys[rows] == HEADER_KEY).any() else keys


class ImagesByKey:
    """The images of a set in the order of their keys: ``keys`` (uint64), first ``labels`` (float32), and their runs.

    ``starts`` (int64) are the places at which a run begins: at an image with another label than the one before it.
    """

    def __init__(self, records: SetRecords, keys: Keys) -> None:
        self._is_image = records.is_image
        self.keys, self.labels = keys[records.is_image], records.labels
        self._order: Offsets | None = None
        if (self.keys[1:] < self.keys[:-1]).any():
            self._order = np.argsort(self.keys, kind="stable")
            self.keys, self.labels = self.keys[self._order], self.labels[self._order]
        changes = self.labels[1:] != self.labels[:-1]
        self.starts = np.concatenate((np.zeros(min(1, len(self.labels)), np.int64), np.flatnonzero(changes) + 1))

    def ordinals(self, places: npt.NDArray[np.int64]) -> Offsets:
        """Return the ordinals of the records of the images at *places*."""
        rows = places if self._order is None else self._order[places]
        return np.flatnonzero(self._is_image)[rows]

    def place(self, keys: Keys) -> Offsets:
        """Return the place of the first image whose key is not below each of *keys*."""
        return np.searchsorted(self.keys, keys.astype(np.uint64))

    def run(self, places: Offsets) -> Offsets:
        """Return the number of the run that the image at each of *places* is in, from 0."""
        return np.searchsorted(self.starts, places, side="right") - 1


def label_counts(labels: Labels) -> tuple[Labels, Counts]:
    """Return the distinct labels, ascending, and how often each of them occurs."""
    if len(labels) and are_classes(labels).all() and labels.max() < _DENSE * len(labels):
        counts = np.bincount(labels.astype(np.int64))
        classes = np.flatnonzero(counts)
        return classes.astype(np.float32), counts[classes].astype(np.int64)
    found, counts = np.unique(labels, return_counts=True)
    return found, counts.astype(np.int64)
