"""Ids in the image headers of a ``.rec``: their range, those that repeat, and those that are missing at damage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from im2rec.format.heads import HEAD_BYTES
from im2rec.format.indexfile import Keys
from im2rec.format.irheader import HEADER_BYTES
from im2rec.inspection.report import IdStatistics, MissingIds
from im2rec.storage.damaged_range import DamagedRange

_SMALLEST = HEAD_BYTES + HEADER_BYTES  # bytes of a record with an image header


def id_statistics(ids: Keys) -> IdStatistics:
    """Return statistics of *ids*, which are sorted in place."""
    ids.sort()
    repeats = ids[1:] == ids[:-1]
    count = int(np.count_nonzero(repeats))
    return IdStatistics(int(ids[0]), int(ids[-1]), count, int(ids[repeats.argmax()]) if count else None)


def missing_ids(ids: Keys, damage: Sequence[DamagedRange], count: int) -> MissingIds | None:
    """Return the ids that are missing at the damaged ranges *damage*, *count* in all, of a file without index.

    *ids* (uint64) are those of all records, in file order. None unless they count up by one through the whole file, but
    for gaps at damage, and as many records as ids are missing there could have lain in the damaged bytes. None, too, if
    the file begins or ends with damage, as the number of records lost there is not known.
    """
    if not damage or len(damage) != count or not 0 < damage[0].records_before <= damage[-1].records_before < len(ids):
        return None
    steps = ids[1:] - ids[:-1]  # wrap around where ids fall
    gaps = np.flatnonzero(steps != 1)
    if not len(gaps) or 2 * len(gaps) > len(steps) or (ids[1:] <= ids[:-1]).any():
        return None
    places, inverse = np.unique([bad.records_before for bad in damage], return_inverse=True)
    room = np.bincount(inverse, [(bad.end - bad.start) // _SMALLEST for bad in damage])
    missing = steps[gaps] - np.uint64(1)
    if not np.isin(gaps + 1, places).all() or (missing > room[np.searchsorted(places, gaps + 1)]).any():
        return None
    return MissingIds(int(missing.sum()), int(ids[gaps[0]]) + 1, int(ids[gaps[-1] + 1]) - 1)


def missing_text(missing: MissingIds) -> str:
    """Return how many records are probably lost, and which ids tell so."""
    if missing.count == 1:
        which = f"id {missing.lowest} is missing"
    elif missing.count == missing.highest - missing.lowest + 1:
        which = f"ids {missing.lowest} to {missing.highest} are missing"
    else:
        which = f"so many ids from {missing.lowest} to {missing.highest} are missing"
    return f"probably {missing.count:,}, as {which}"
