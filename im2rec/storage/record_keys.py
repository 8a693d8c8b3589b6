"""The keys of records in file order, and the search for one of them."""

from __future__ import annotations

import numpy as np

from im2rec.format.indexfile import MAX_KEY, Keys, Offsets

_CHUNK = 1 << 16  # keys that are compared at once


class RecordKeys:
    """Keys of the records of a file, from 0 to 2**64 - 1, in file order; they need be neither sorted nor unique.

    Given as a uint64 array, or as a range where each key is one more than the key before, as in most sets: such a range
    takes no memory, however many records there are. *order* are the ordinals (int64) in ascending order of their keys,
    those of equal keys in file order; None if it is not known, or if the keys themselves ascend.
    """

    def __init__(self, keys: Keys | range, order: Offsets | None = None, *, ascend: bool | None = None) -> None:
        self._keys = keys
        self._order = order
        self._ascend = ascend

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def array(self) -> Keys:
        """The keys as a read-only uint64 array; that of a range is made when it is first needed."""
        if isinstance(self._keys, range):
            self._keys = np.uint64(self._keys.start) + np.arange(len(self._keys), dtype=np.uint64)
            self._ascend = True
        self._keys.flags.writeable = False
        return self._keys

    def of(self, ordinals: Offsets) -> Keys:
        """Return the keys (uint64) of the records at *ordinals* (int64, from 0); no array of all keys is made."""
        keys = self._keys
        return ordinals.astype(np.uint64) + np.uint64(keys.start) if isinstance(keys, range) else keys[ordinals]

    def compact(self) -> RecordKeys:
        """Return the same keys as a range if they are one, else with their order."""
        keys = self._keys
        if isinstance(keys, range) or not len(keys):
            return self
        first = int(keys[0])
        if first + len(keys) - 1 <= MAX_KEY and int(keys[-1]) == first + len(keys) - 1 and _rises_by_one(keys):
            return RecordKeys(range(first, first + len(keys)))
        self._sort()
        return self

    @property
    def stored(self) -> tuple[Keys | range, Offsets | None]:
        """The keys and their order as they were given or found: a range needs no array, ascending keys no order."""
        return self._keys, self._order

    def find_last(self, key: int) -> int | None:
        """Return the ordinal of the last record with *key*, or None if there is none."""
        if not 0 <= key <= MAX_KEY:
            return None
        keys = self._keys
        if isinstance(keys, range):
            return int(key) - keys.start if keys.start <= key < keys.stop and key == int(key) else None
        self._sort()
        after = int(np.searchsorted(keys, np.uint64(key), side="right", sorter=self._order))
        if not after:
            return None
        ordinal = after - 1 if self._order is None else int(self._order[after - 1])
        return ordinal if keys[ordinal] == key else None

    def _sort(self) -> None:
        """Find the order of an array of keys, unless it is known."""
        if self._ascend is None and self._order is None:
            keys = self.array
            self._ascend = all(_ascends(keys[at : at + _CHUNK + 1]) for at in range(0, len(keys), _CHUNK))
            if not self._ascend:
                self._order = np.argsort(keys, kind="stable")


def _rises_by_one(keys: Keys) -> bool:
    """True if each of *keys* is one more than the key before."""
    return all(np.all(np.diff(keys[at : at + _CHUNK + 1]) == 1) for at in range(0, len(keys), _CHUNK))


def _ascends(keys: Keys) -> bool:
    return bool(np.all(keys[:-1] <= keys[1:]))
