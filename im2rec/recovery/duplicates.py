"""Find records that repeat an earlier one, in 8 bytes of memory a record.

Every record leaves a fingerprint of its first bytes and of some others. Only those that share one are read again, as a
whole, and compared by a hash.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from im2rec.format.heads import HEAD_BYTES
from im2rec.format.indexfile import Offsets
from im2rec.hashing import Words, absorb_array
from im2rec.storage.blocks import FRONT_BYTES

_WORD_BYTES = 8
_READ_BYTES = 8 << 20


class Fingerprints:
    """A number of 64 bits for each record, by which those that may be equal are found."""

    def __init__(self) -> None:
        self._numbers = array("Q")

    def add(self, fronts: npt.NDArray[np.uint8], sizes: Offsets, samples: Words) -> None:
        """Add records: their first bytes on disk (records, ``FRONT_BYTES``), payload sizes, and a number of each."""
        beyond = np.arange(FRONT_BYTES) >= (HEAD_BYTES + sizes)[:, None]  # bytes that are not of the record
        words = np.where(beyond, 0, fronts).astype(np.uint8).view("<u8")
        numbers = absorb_array(samples, sizes.astype(np.uint64))
        for column in range(words.shape[1]):
            numbers = absorb_array(numbers, words[:, column])
        self._numbers.frombytes(numbers.tobytes())

    def candidates(self) -> Offsets:
        """Return the ordinals of the records that share their number with another one, and forget all numbers."""
        numbers = np.frombuffer(self._numbers, np.uint64)
        self._numbers = array("Q")
        shared = np.sort(numbers)
        shared = np.unique(shared[1:][shared[1:] == shared[:-1]])
        if not len(shared):
            return np.empty(0, np.int64)
        chunks = range(0, len(numbers), 1 << 15)
        found = [start + np.flatnonzero(np.isin(numbers[start : start + (1 << 15)], shared)) for start in chunks]
        return np.concatenate(found)


def sample_words(data: bytes, starts: Offsets, sizes: Offsets) -> Words:
    """Return a number for each record in *data*: 8 bytes of the middle of its frame and its last 8 bytes, mixed.

    *starts* and *sizes* are those of the frames in *data*, which have 8 bytes at least.
    """
    numbers = np.zeros(len(starts), np.uint64)
    for at in (starts + (sizes - _WORD_BYTES) // 2, starts + sizes - _WORD_BYTES):
        bytes_ = np.frombuffer(data, np.uint8)[at[:, None] + np.arange(_WORD_BYTES)]
        numbers = absorb_array(numbers, bytes_.view("<u8")[:, 0])
    return numbers


def count_repeats(frames: Iterable[tuple[int, int]], read_at: Callable[[int, int], bytes]) -> int:
    """Return how many of *frames*, pairs of start and end, have the bytes of an earlier one of them."""
    hashes = array("Q")
    for start, end in frames:
        hashed = hashlib.blake2b(digest_size=_WORD_BYTES)
        for at in range(start, end, _READ_BYTES):
            hashed.update(read_at(at, min(_READ_BYTES, end - at)))
        hashes.append(int.from_bytes(hashed.digest(), "little"))
    return len(hashes) - len(np.unique(np.frombuffer(hashes, np.uint64)))
