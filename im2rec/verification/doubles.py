"""Pairs and images that are in a verification file more than once, by their contents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

_DIGEST_BYTES = 16


class Doubles(NamedTuple):
    """Numbers of pairs, from 0, that judge an evaluation twice, or judge nothing.

    *with_itself* are pairs of an image and itself. *again* are pairs of the same two images as an earlier pair, in
    either order, each with the first such pair; *contrary* are those that say the opposite of it.
    """

    with_itself: list[int]
    again: list[tuple[int, int]]
    contrary: list[tuple[int, int]]


def content_digest(content: bytes) -> bytes:
    """Return the 16 bytes by which equal contents are found."""
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def find_doubles(digests: Sequence[bytes], same: Sequence[bool]) -> Doubles:
    """Return the doubles of the pairs whose images have *digests*, two for each of *same*."""
    found = Doubles([], [], [])
    seen: dict[frozenset[bytes], int] = {}
    for number, is_same in enumerate(same):
        key = frozenset(digests[2 * number : 2 * number + 2])
        if len(key) == 1:
            found.with_itself.append(number)
        earlier = seen.setdefault(key, number)
        if earlier != number:
            (found.again if same[earlier] == is_same else found.contrary).append((number, earlier))
    return found
