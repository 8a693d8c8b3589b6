"""Headers of TIFF files: size, kind of samples, orientation, and whether there are more pages.

Pillow opens only some kinds of TIFF and shows a turned size for those that are not upright, so the tags are read here.

Source: TIFF 6.0, section 2; the BigTIFF proposal, for files with offsets of 64 bits.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from im2rec.errors import ImageError
from im2rec.images.jpeg import ORIENTATION_TAG, ORIENTATIONS, UPRIGHT
from im2rec.images.signatures import RAW

GREY_0_IS_WHITE, GREY, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5  # photometric interpretations
UNSIGNED, SIGNED, FLOAT, UNTYPED, COMPLEX, COMPLEX_FLOAT = range(1, 7)  # sample formats
_SEPARATE = 2  # planar configuration
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_SHARED = 4  # times that all bytes of a file may be named as values; Pillow before 13 copies those of every tag
_REDUCED = 1  # bit of the subfile type: a thumbnail of another page
_MAX_BITS = 16
_MAX_TAGS = 0xFFFF
TOO_DEEP, UNSUPPORTED = "float or 32-bit image", "unsupported TIFF"

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIP_OFFSETS = 254, 256, 257, 258, 262, 273
_SAMPLES, _STRIP_SIZES, _PLANAR, _SUB_PAGES, _SAMPLE_FORMAT, _DNG_VERSION = 277, 279, 284, 330, 339, 50706
_TAGS = {_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIP_OFFSETS, ORIENTATION_TAG}
_TAGS |= {_SAMPLES, _STRIP_SIZES, _PLANAR, _SUB_PAGES, _SAMPLE_FORMAT, _DNG_VERSION}
_STRIPS = (_STRIP_OFFSETS, _STRIP_SIZES)
Tags = dict[int, tuple[int, ...]]


class TiffHeader(NamedTuple):
    """Tags of the first page of a TIFF; *width* and *height* before any orientation, *bits* those of one sample."""

    width: int
    height: int
    samples: int
    bits: int
    sample_format: int
    photometric: int
    is_separate: bool
    orientation: int
    end: int
    has_more_pages: bool
    is_raw: bool

    @property
    def described(self) -> str:
        """The samples in words, for messages."""
        kind = "signed " if self.sample_format == SIGNED else "inverted " if self.photometric == GREY_0_IS_WHITE else ""
        return f"{kind}{self.bits}-bit numbers" + (" in separate planes" if self.is_separate else "")

    @property
    def is_plain(self) -> bool:
        """True for the kinds of which Pillow gives the pixels of OpenCV."""
        if self.sample_format not in (UNSIGNED, UNTYPED):
            return False
        if self.bits > 8:
            return (self.bits, self.samples, self.photometric) == (16, 1, GREY)
        colors = {GREY_0_IS_WHITE: 1, GREY: 1, PALETTE: 1, RGB: 3}
        return self.samples == colors.get(self.photometric)

    @property
    def is_wrong_by_pillow(self) -> bool:
        """True for the kinds that Pillow opens, but decodes to wrong pixels."""
        if self.bits == 16:
            return self.is_separate or (self.samples == 1 and self.photometric == GREY_0_IS_WHITE)
        return self.bits not in (1, 2, 4, 8)

    @property
    def too_deep(self) -> str:
        """Name of the samples if no image of 8 or 16 bits can hold them, else empty."""
        if self.sample_format == FLOAT:
            return f"{self.bits}-bit floating-point numbers"
        if self.sample_format in (COMPLEX, COMPLEX_FLOAT):
            return "complex numbers"
        return f"{self.bits}-bit numbers" if self.bits > _MAX_BITS else ""


def check_storable(header: TiffHeader) -> None:
    """Raise ImageError for a TIFF whose numbers no image holds, and for a camera's raw file, a thumbnail in front."""
    if header.too_deep:
        problem = f"is a TIFF of {header.too_deep}: convert it to 8 or 16 bits first"
        raise ImageError(problem, reason=TOO_DEEP)
    if header.is_raw:
        name, remedy = RAW
        raise ImageError(f"is {name}: {remedy}", reason=name.split(" ", 1)[1])


def read_header(content: bytes) -> TiffHeader:
    """Return the header of the TIFF *content*. Raises ImageError if it is damaged, or not contained as a whole."""
    try:
        reader = _Reader(content)
        tags, next_page = reader.directory(reader.first)
        width, height = tags[_WIDTH][0], tags[_HEIGHT][0]
    except (struct.error, KeyError, IndexError, OverflowError):
        raise ImageError("has a damaged or cut TIFF header", reason="does not decode") from None
    return TiffHeader(
        width=width,
        height=height,
        samples=_value(tags, _SAMPLES, 1),
        bits=_value(tags, _BITS, 1),
        sample_format=_value(tags, _SAMPLE_FORMAT, UNSIGNED),
        photometric=_value(tags, _PHOTOMETRIC, GREY_0_IS_WHITE),
        is_separate=_value(tags, _PLANAR, 1) == _SEPARATE,
        orientation=orientation if (orientation := _value(tags, ORIENTATION_TAG, UPRIGHT)) in ORIENTATIONS else UPRIGHT,
        end=max(map(sum, zip(tags.get(_STRIP_OFFSETS, ()), tags.get(_STRIP_SIZES, ()), strict=False)), default=0),
        has_more_pages=reader.is_page(next_page),
        is_raw=_is_raw(content, tags, has_others=next_page > 0 or _SUB_PAGES in tags),
    )


def _is_raw(content: bytes, tags: Tags, *, has_others: bool) -> bool:
    """True for DNG and CR2, and if the first page is a thumbnail of another, as in NEF and ARW."""
    is_thumbnail = has_others and _value(tags, _SUBFILE, 0) & _REDUCED
    return _DNG_VERSION in tags or content.startswith(b"CR", 8) or bool(is_thumbnail)


def _value(tags: Tags, tag: int, default: int) -> int:
    return (tags.get(tag) or (default,))[0]


class _Reader:
    """Reads the directories of a TIFF, whose byte order and size of offsets are in its first bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.order = "<" if content.startswith(b"II") else ">"
        self.is_big = content[2:4] in (b"+\x00", b"\x00+")
        self.offset, self.count = ("Q", "Q") if self.is_big else ("I", "H")
        (self.first,) = self._unpack(self.offset, 8 if self.is_big else 4)

    def _unpack(self, format_: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + format_, self.content, at)

    def directory(self, at: int) -> tuple[Tags, int]:
        """Return the tags at *at* that are used here, and the offset of the next directory, 0 after the last.

        Of a tag with several values the first is returned, of those of strips all.
        """
        tags: Tags = {}
        (count,) = self._unpack(self.count, at)
        if count > _MAX_TAGS:  # only a damaged BigTIFF has more
            raise struct.error
        start = at + struct.calcsize(f"<{self.count}")
        entry_bytes, value_bytes = (20, 8) if self.is_big else (12, 4)
        end = start + entry_bytes * count
        (next_,) = self._unpack(self.offset, end)  # first, as it fails for a count beyond the file
        total, entries = (
            0,
            {},
        )  # by tag, as a damaged file may have the same one, of as many values as it has bytes, many times
        for entry in range(start, end, entry_bytes):
            tag, type_, length = self._unpack(f"HH{self.offset}", entry)
            size = length * _VALUE_BYTES.get(type_, 0)
            total += size if size > value_bytes else 0
            if tag in _TAGS and type_ in _TYPES:
                entries[tag] = _TYPES[type_], length, entry + 4 + value_bytes
        if total > _MOST_SHARED * len(self.content):
            raise struct.error
        for tag, (letter, length, place) in entries.items():
            size = length * struct.calcsize(f"<{letter}")
            if size > value_bytes:
                (place,) = self._unpack(self.offset, place)  # noqa: PLW2901 - they are elsewhere
            if place + size > len(self.content):
                raise struct.error
            tags[tag] = self._unpack(f"{length if tag in _STRIPS else min(1, length)}{letter}", place)
        return tags, next_

    def is_page(self, at: int) -> bool:
        """True if *at* is the offset of a directory that is no thumbnail of another page."""
        if not at:
            return False
        try:
            tags, _ = self.directory(at)
        except (struct.error, OverflowError):
            return False
        return not _value(tags, _SUBFILE, 0) & _REDUCED
