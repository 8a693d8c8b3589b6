"""Seeded ``.rec`` files to be damaged, and edits of them that remember where every byte came from."""

from __future__ import annotations

import bisect
import functools
import io
import itertools
import random
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.recordio import encode_record

# The format, written once more, so that a mistake in im2rec cannot be in both.
MAGIC = b"\x0a\x23\xd7\xce"
HEAD_BYTES = 8
WHOLE, FIRST, MIDDLE, LAST = range(4)
MOST = (1 << 29) - 1  # bytes of data that a length word can say

LONGEST = 5000  # bytes of an inserted, removed, zeroed or overwritten range
_WORD = struct.Struct("<II")


class Head(NamedTuple):
    """A part head of the original: offset, flag, length of the data, and the ordinal of its record."""

    offset: int
    flag: int
    length: int
    record: int

    @property
    def starts_record(self) -> bool:
        return self.flag in (WHOLE, FIRST)


class Original:
    """An undamaged file: its payloads and bytes, and every part head in it."""

    def __init__(self, kind: str, payloads: list[bytes], keys: list[int]) -> None:
        self.kind, self.payloads, self.keys = kind, payloads, keys
        self.frames = [encode_record(payload) for payload in payloads]
        self.data = b"".join(self.frames)
        self.starts = [0, *itertools.accumulate(map(len, self.frames))]
        self.heads = list(self._heads())
        self.parts: list[list[Head]] = [[] for _ in payloads]
        for head in self.heads:
            self.parts[head.record].append(head)

    @property
    def index(self) -> bytes:
        return b"".join(b"%d\t%d\n" % pair for pair in zip(self.keys, self.starts, strict=False))

    @property
    def keys_are_ids(self) -> bool:
        return self.keys != list(range(len(self.keys)))

    @property
    def all_images(self) -> bool:
        return self.kind == "images"

    def _heads(self) -> Iterator[Head]:
        at, record = 0, -1
        while at < len(self.data):
            word = _WORD.unpack_from(self.data, at)[1]
            flag, length = word >> 29, word & MOST
            record += flag in (WHOLE, FIRST)
            yield Head(at, flag, length, record)
            at += HEAD_BYTES + (length + 3 & -4)


# Original files.


@functools.cache
def images() -> list[bytes]:
    """Small images of three kinds, none like another."""
    made = []
    for number in range(48):
        rng = np.random.default_rng(number)
        kind = ("JPEG", "JPEG", "JPEG", "JPEG", "PNG", "BMP")[number % 6]
        side = (24, 48) if kind == "JPEG" else (12, 28)
        size = (*rng.integers(*side, 2), 3)
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, size).astype(np.uint8)).save(buffer, kind)
        made.append(buffer.getvalue())
    return made


def image_record(rng: random.Random, id_: int) -> bytes:
    return encode_image_record(IRHeader(0, float(rng.randrange(10)), id_), rng.choice(images()))


def vector_record(rng: random.Random, id_: int) -> bytes:
    labels = [rng.random() if rng.random() < 0.8 else 0.0 for _ in range(rng.randrange(1, 12))]
    content = rng.choice([b"", b"", rng.choice(images()), rng.randbytes(rng.randrange(1, 900))])
    return encode_image_record(IRHeader(0, labels, id_), content)


def split_record(rng: random.Random, id_: int) -> bytes:
    """A payload with aligned magics: some adjacent, some at its start or end."""
    pieces = []
    for _ in range(rng.randrange(1, 6)):
        pieces.append(rng.randbytes(4 * rng.choice([0, 0, 1, rng.randrange(200)])))
        pieces.append(MAGIC * rng.choice([1, 1, 2, 3]))
    content = b"".join(pieces) + rng.randbytes(rng.choice([0, 1, 2, 3, rng.randrange(400)]))
    if rng.random() < 0.1:
        return MAGIC + content  # no image header in it
    return encode_image_record(IRHeader(0, 1.0, id_), content)


def noise_record(rng: random.Random, id_: int, size: int | None = None) -> bytes:
    return encode_image_record(
        IRHeader(0, 2.0, id_), rng.randbytes(rng.randrange(1000, 3000) if size is None else size)
    )


def large_record(rng: random.Random, id_: int) -> bytes:
    """A payload of 100 to 300 KB: random bytes, with many aligned magics, with magics elsewhere, or with none."""
    content = bytearray(rng.randbytes(rng.randrange(100_000, 300_000)))
    how = rng.randrange(3)
    for _ in range(rng.choice([3, 30, 300]) if how else 0):
        at = rng.randrange(len(content) - 4) & -4
        at += 0 if how == 1 else rng.randrange(1, 4)
        content[at : at + 4] = MAGIC
    return encode_image_record(IRHeader(0, 3.0, id_), bytes(content))


def mixed_record(rng: random.Random, id_: int) -> bytes:
    return rng.choice([image_record, vector_record, split_record, noise_record, noise_record])(rng, id_)


def or_large(rng: random.Random, id_: int) -> bytes:
    return large_record(rng, id_) if rng.random() < 0.25 else rng.choice([noise_record, image_record])(rng, id_)


_RECORDS: dict[str, Callable[[random.Random, int], bytes]] = {
    "images": image_record,
    "vectors": vector_record,
    "split": split_record,
    "large": or_large,
    "equal": lambda rng, id_: noise_record(rng, id_, 1500),
    "mixed": mixed_record,
}
KINDS = list(_RECORDS)


def make_original(rng: random.Random, kind: str) -> Original:
    """Return a file of 10 to 60 records of *kind*; its index has ids or ordinals as keys."""
    count = rng.randrange(10, 20) if kind == "large" else rng.randrange(10, 61)
    first = rng.choice([1, 1000, 5_000_000_000])
    ids = rng.sample(range(first, first + 10 * count), count)
    if rng.random() < 0.15:  # a list that repeats images
        ids = [rng.choice(ids[: count // 2]) for _ in ids]
    ids = sorted(ids) if rng.random() < 0.7 else ids
    payloads = [_RECORDS[kind](rng, id_) for id_ in ids]
    if kind in ("mixed", "vectors") and rng.random() < 0.5:
        payloads[rng.randrange(1, count)] = b""
    # Where sizes are equal, only ids tell lines apart.
    return Original(kind, payloads, ids if kind == "equal" or rng.random() < 0.5 else list(range(count)))


# Damaged files.


class Piece(NamedTuple):
    """Bytes of a damaged file.

    *source* is the offset in the original of what they were copied from, None for bytes that never were in it. *place*
    is the offset in the original of the bytes that they stand for, None for inserted ones.
    """

    data: bytes
    source: int | None
    place: int | None

    def cut(self, start: int, stop: int) -> Piece:
        source, place = (None if at is None else at + start for at in (self.source, self.place))
        return Piece(self.data[start:stop], source, place)


def overlaid(contents: list[Piece], places: list[Piece]) -> list[Piece]:
    """Return the bytes of *contents* in the places of *places*, which are as long."""
    result = []
    contents, places = list(reversed(contents)), list(reversed(places))
    while contents and places:
        content, place = contents.pop(), places.pop()
        size = min(len(content.data), len(place.data))
        result.append(content.cut(0, size)._replace(place=place.place))
        if size < len(content.data):
            contents.append(content.cut(size, len(content.data)))
        if size < len(place.data):
            places.append(place.cut(size, len(place.data)))
    return result


class Damaged:
    """A file under damage: its pieces, and edits of them."""

    def __init__(self, original: Original) -> None:
        self.original = original
        self.pieces = [Piece(original.data, 0, 0)]
        self.done: list[str] = []

    @functools.cached_property
    def data(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)

    @property
    def size(self) -> int:
        return sum(len(piece.data) for piece in self.pieces)

    @functools.cached_property
    def offsets(self) -> list[int]:
        return [0, *itertools.accumulate(len(piece.data) for piece in self.pieces)][:-1]

    def part(self, start: int, stop: int) -> list[Piece]:
        """Return the pieces of the bytes from *start* to *stop*."""
        result = []
        for offset, piece in zip(self.offsets, self.pieces, strict=True):
            low, high = max(start - offset, 0), min(stop - offset, len(piece.data))
            if low < high:
                result.append(piece.cut(low, high))
        return result

    def replace(self, start: int, stop: int, pieces: Iterable[Piece]) -> None:
        """Put *pieces* in place of the bytes from *start* to *stop*."""
        self.pieces = [*self.part(0, start), *pieces, *self.part(stop, self.size)]
        self.pieces = [piece for piece in self.pieces if piece.data]
        vars(self).pop("data", None)
        vars(self).pop("offsets", None)

    def insert(self, at: int, data: bytes) -> None:
        self.replace(at, at, [Piece(data, None, None)])

    def overwrite(self, start: int, data: bytes) -> None:
        """Put *data* over the bytes from *start* on, at most up to the end of the file."""
        stop = min(start + len(data), self.size)
        self.replace(start, stop, overlaid([Piece(data[: stop - start], None, None)], self.part(start, stop)))

    def heads(self, size: int = HEAD_BYTES) -> dict[int, Head]:
        """Return the part heads of the original whose first *size* bytes are intact, by their offsets now."""
        found = {}
        heads, starts = self.original.heads, [head.offset for head in self.original.heads]
        for offset, piece in zip(self.offsets, self.pieces, strict=True):
            if piece.source is None:
                continue
            stop = piece.source + len(piece.data)
            first = bisect.bisect_right(starts, piece.source - size)
            for head in heads[first : bisect.bisect_left(starts, stop)]:
                now = offset + head.offset - piece.source
                if now >= 0 and self.data[now : now + size] == self.original.data[head.offset : head.offset + size]:
                    found[now] = head
        return dict(sorted(found.items()))
