"""The records and files of InsightFace's face-recognition sets besides the images.

Such a set has three kinds of records. Images have the keys 1 to n. Behind them, an identity record for each class holds
the range of the keys of its images, and the header record, with key 0, holds the range of the keys of the identity
records; the range of the images follows from it. Both hold two labels, the first key and the key behind the last, and
no content. Labels are float32, so keys above 2**24 would be rounded in them.

Source: insightface src/data/face2rec2.py and recognition/arcface_mxnet/common/rec_builder.py for the writers;
recognition/arcface_torch/dataset.py and recognition/arcface_mxnet/image_iter.py for the readers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from im2rec.errors import InputError, ParameterError
from im2rec.format.heads import HEAD_BYTES, MAGIC_WORD
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.listfile import EXACT_INTEGERS

HEADER_KEY = 0
RANGE_LABELS = 2  # of header and identity records; image records with two labels have a content
REC_NAME, INDEX_NAME, PROPERTY_NAME = "train.rec", "train.idx", "property"
_MAX_PROPERTY_LINES = 4
_RANGE_FRAME = struct.Struct("<2I If2Q 2f")  # part head, image header, labels
_RANGE_BYTES = _RANGE_FRAME.size - HEAD_BYTES
_SHOWN = 40
_HINT = "write classes,height,width"


class Property(NamedTuple):
    """The content of a property file: how many classes, height and width of the images in pixels, perhaps how many."""

    classes: int
    height: int
    width: int
    images: int | None = None


def parse_property(text: bytes) -> Property:
    """Parse the content of a property file. Raises InputError with the line.

    The first line is ``classes,height,width``. The number of images may be the second line; then a word on the order
    and a time stamp may follow.

    Source: insightface python-package/insightface/data/rec_builder.py; recognition/arcface_mxnet/common/rec2shufrec.py.
    """
    lines = text.decode("utf-8", "replace").rstrip().splitlines() or [""]
    numbers = _whole_numbers(lines[0].split(","))
    if len(numbers) != 3:
        raise InputError(f"expected classes,height,width, found {lines[0][:_SHOWN]!r}", line=1, hint=_HINT)
    if len(lines) > _MAX_PROPERTY_LINES:
        problem = f"expected at most {_MAX_PROPERTY_LINES} lines, found {len(lines)}"
        raise InputError(problem, line=_MAX_PROPERTY_LINES + 1, hint=_HINT)
    images: int | None = None
    if len(lines) > 1:
        found = _whole_numbers([lines[1]])
        if not found:
            raise InputError(f"expected the number of images, found {lines[1][:_SHOWN]!r}", line=2, hint=_HINT)
        images = found[0]
    return Property(numbers[0], numbers[1], numbers[2], images)


def _whole_numbers(words: list[str]) -> list[int]:
    """Return *words* as numbers; nothing if one of them is no whole number of at most 18 digits."""
    stripped = [word.strip() for word in words]
    are_numbers = all(word.isascii() and word.isdecimal() and len(word) <= 18 for word in stripped)
    return [int(word) for word in stripped] if are_numbers else []


def property_text(classes: int, height: int, width: int) -> bytes:
    """Return the content of a property file, as all published readers take it: one line."""
    return b"%d,%d,%d\n" % (classes, height, width)


def range_payload(key: int, first: int, stop: int) -> bytes:
    """Return the payload of the header record or of an identity record: the keys from *first* to before *stop*."""
    return encode_image_record(IRHeader(RANGE_LABELS, [float(first), float(stop)], key), b"")


def _range_frame(key: int, first: int, stop: int) -> bytes:
    """Return the frame of :func:`range_payload`, 30 times as fast: large sets have two million identities.

    All numbers are at most 2**24, so none of their words is a magic, and the payload is in one part.
    """
    return _RANGE_FRAME.pack(MAGIC_WORD, _RANGE_BYTES, RANGE_LABELS, 0.0, key, 0, first, stop)


def range_bytes(identities: int) -> int:
    """Return the size in bytes of the header record and of *identities* identity records, with their frames."""
    return (1 + identities) * _RANGE_FRAME.size


def check_exact(images: int, identities: int) -> None:
    """Raise ParameterError if the keys of a set with header record are too large for the labels that hold them."""
    stop = images + 1 + identities
    if stop > EXACT_INTEGERS:
        problem = (
            f"{images:,} images and {identities:,} identities need keys up to {stop:,}, and the labels of header and"
            f" identity records are exact up to {EXACT_INTEGERS:,} only"
        )
        hint = "write the set without them (--no-header); published readers then take all records as images"
        raise ParameterError(problem, hint=hint)


def range_frames(first_keys: Iterable[int], images: int, identities: int) -> Iterator[tuple[int, bytes]]:
    """Yield key and frame of the header record, then of the *identities* identity records.

    The images have the keys from 1 to *images*, those of one identity without a gap. *first_keys* are the keys of the
    first image of each identity, in order. Raises ParameterError as :func:`check_exact` does.
    """
    check_exact(images, identities)
    key = images + 1
    yield HEADER_KEY, _range_frame(HEADER_KEY, key, key + identities)
    before: int | None = None
    for first in first_keys:
        if before is not None:
            yield key, _range_frame(key, before, first)
            key += 1
        before = first
    if before is not None:
        yield key, _range_frame(key, before, images + 1)
