"""What libjpeg would say of a damaged JPEG, for machines that lack simplejpeg, by which im2rec asks it.

Pillow decodes with libjpeg as well, but hides its warnings: of a file whose data ends early, or whose bits are
flipped, it gives pixels as if all were well. The compiled decoder stops at the first damage, where libjpeg reads on and
may find that the data ends early, or nothing that it warns of. So a file that the compiled decoder refuses is read once
more here, code by code, and the first thing that libjpeg would warn of is the verdict.

libjpeg-turbo reads most of a scan by a fast loop, which takes a code that does not exist for a zero and does not warn
of it. Near the end of a file, and where a marker comes up, it reads by a slow one, which warns. What the two have
fetched ahead decides whether bytes are left over, so it is counted as they do it, with a bit buffer of 64 bits.

This is plain Python: it takes about 20 ms for an image of 40 kB, and few files are damaged.

Source: ITU-T T.81, annexes B, C and F; libjpeg-turbo jdhuff.c, ``decode_mcu_fast``, ``decode_mcu_slow`` and
``jpeg_fill_bit_buffer``; jdmarker.c, ``next_marker``; simplejpeg in its strict mode, which ends at the first warning.
"""

from __future__ import annotations

import bisect
import functools
import re
from typing import NamedTuple

import numpy as np

from im2rec.images.jpeg import CUT, END_OF_IMAGE, NO_END, STRAY
from im2rec.jpeg.markers import (
    EOI,
    SOS,
    HuffmanSpec,
    JpegHeader,
    ParsedSegments,
    RefusedError,
    complete,
    read_header,
    take,
)

SOUND, UNKNOWN = "", None
_NO_MARKER_LEFT = "no marker left"
_WITHOUT_DATA = (0x01, *range(0xD0, 0xD8))  # markers that begin no segment: TEM, RST0 to RST7
_STANDARD_TABLES = (0x00, 0x01, 0x10, 0x11)
_SKIPPED = (0xDC, *range(0xE0, 0xF0), 0xFE)  # behind the scan: DNL, APP0 to APP15, COM
_MARKER, _STUFFED = re.compile(rb"\xff+[\x01-\xfe]"), re.compile(rb"\xff+\0")
_LONGEST_CODE = 16
_FAST_BYTES = 512  # for each block of an MCU: with fewer left in the file, the slow loop reads it
_FAST_LOW, _FAST_FILL = 16, 6  # with no more than 16 bits the fast loop fetches six bytes
_SLOW_LOW = 57  # the slow loop fetches bytes until it has as many bits
_LOOK = 8  # bits of a code that the slow loop looks at together

_Codes = list[int]  # see _codes
_Blocks = list[tuple[_Codes, _Codes]]  # of an MCU, the codes of DC and AC


def verdict(content: bytes) -> str | None:
    """``SOUND``, or what is wrong with a JPEG: ``STRAY``, ``NO_END`` or ``CUT``; ``UNKNOWN`` for Pillow to say.

    Unknown is a file that libjpeg refuses, or one of a kind that the compiled decoder does not take.
    """
    found = _first_warning(content)
    if found == _NO_MARKER_LEFT:
        # With the end marker in place a whole image is sound, one whose data ends early is not.
        return NO_END if _first_warning(content + END_OF_IMAGE) == SOUND else CUT
    return found


def _first_warning(content: bytes) -> str | None:
    head, start = read_header(content)
    if head.reason:
        return _segments(content, 2, SOS)
    end = _MARKER.search(content, start)
    if end is None:
        return _NO_MARKER_LEFT
    return _segments(content, end.start(), EOI, _scan(content, start, end.start(), head))


def _segments(content: bytes, at: int, last: int, warning: str = SOUND) -> str | None:
    """Read the segments from *at* on up to the marker *last*; return the first *warning*, or UNKNOWN.

    libjpeg reads on after a warning, and refuses a file for what comes later as well.
    """
    found = ParsedSegments(frame=b"" if last == SOS else b"there has been one")
    while True:
        mark = _MARKER.search(content, at)
        if mark is None:
            return UNKNOWN if last == SOS else warning or _NO_MARKER_LEFT
        warning = warning or (STRAY if mark.start() > at else SOUND)
        marker, at = content[mark.end() - 1], mark.end()
        if marker in _WITHOUT_DATA:
            continue
        if marker == EOI:
            return warning if last == EOI else UNKNOWN
        end = at + int.from_bytes(content[at : at + 2], "big")
        data = content[at + 2 : end]
        try:
            if marker == SOS:
                for place in _STANDARD_TABLES:  # which libjpeg has where a file has none
                    found.huffman.setdefault(place, HuffmanSpec(b"", b""))
                complete(found, data)
                return warning or UNKNOWN
            if marker not in _SKIPPED or last == SOS:
                take(found, marker, data)
        except RefusedError:
            return UNKNOWN
        if end < at + 2 <= len(content):
            return UNKNOWN
        at = end


class _Scan(NamedTuple):
    """The data of a scan without byte stuffing."""

    data: bytes
    size: int
    fast: int  # the fast loop reads an MCU where no more bytes than these have been fetched
    stops: list[int]  # where it gives up: at bytes that are stuffed with more than one 0xFF, and behind the last


def _scan(content: bytes, start: int, end: int, head: JpegHeader) -> str:
    """The first warning in the scan whose data is from *start* to *end*, where a marker is."""
    codes = [(_codes(component.dc), _codes(component.ac)) for component in head.components]
    blocks = codes[:1] * (head.luma_v * head.luma_h) + codes[1:]
    mcus = -(-head.height // (8 * head.luma_v)) * -(-head.width // (8 * head.luma_h))
    scan = _unstuffed(content, start, end, len(content) - _FAST_BYTES * len(blocks))
    used = fetched = 0  # bits, bytes
    for _ in range(mcus):
        quick = _fast_mcu(scan, blocks, used, fetched) if fetched <= scan.fast else None
        place = quick or _slow_mcu(scan, blocks, used, fetched)
        if isinstance(place, str):
            return place
        used, fetched = place
    return STRAY if fetched < scan.size else SOUND


def _unstuffed(content: bytes, start: int, end: int, limit: int) -> _Scan:
    """The data from *start* to *end*. The fast loop begins no MCU with a byte of the file past *limit*."""
    data, stops, removed, fast = content[start:end], [], 0, limit - start
    for stuffed in _STUFFED.finditer(data):
        more = len(stuffed.group()) - 1
        if stuffed.end() <= limit - start:
            fast -= more
        elif stuffed.start() < limit - start:
            fast = stuffed.start() - removed  # the byte is fetched as a whole
        if more > 1:
            stops.append(stuffed.start() - removed)
        removed += more
    data = _STUFFED.sub(b"\xff", data)
    return _Scan(data + bytes(32), len(data), min(fast, len(data)), [*stops, len(data)])


@functools.lru_cache(maxsize=32)
def _codes(spec: HuffmanSpec) -> _Codes:
    """By the next 16 bits, the length and the symbol of the code that they begin with, length << 8 | symbol; or 0."""
    table = np.zeros(1 << _LONGEST_CODE, np.int64)
    at = number = 0
    for bits, count in enumerate(spec.counts, start=1):
        width = 1 << (_LONGEST_CODE - bits)
        for symbol in spec.symbols[number : number + count]:
            table[at : at + width] = bits << 8 | symbol
            at += width
        number += count
    return [int(entry) for entry in table]


def _entry(data: bytes, codes: _Codes, used: int) -> int:
    """The entry of the code that begins at bit *used*."""
    at = used >> 3
    return codes[(data[at] << 16 | data[at + 1] << 8 | data[at + 2]) >> (8 - (used & 7)) & 0xFFFF]


_NO_CODE = (_LONGEST_CODE + 1) << 8  # so many bits are read before libjpeg knows that there is none


def _fast_mcu(scan: _Scan, blocks: _Blocks, used: int, fetched: int) -> tuple[int, int] | None:
    """Read an MCU: the bits used and the bytes fetched after it; None where the fast loop gives up."""
    data, stop = scan.data, scan.stops[bisect.bisect_left(scan.stops, fetched)]
    for codes in blocks:
        k = 0
        while k < 64:
            if 8 * fetched - used <= _FAST_LOW:
                fetched += _FAST_FILL
            entry = _entry(data, codes[k > 0], used) or _NO_CODE
            used += entry >> 8
            bits = entry & (15 if k else 255)
            if bits:
                if 8 * fetched - used <= _FAST_LOW:
                    fetched += _FAST_FILL
                used += bits
            elif k and entry & 0xF0 != 0xF0:
                break
            k += (entry >> 4 & 15) + 1 if k else 1
            if fetched > stop:
                return None
        if fetched > stop:
            return None
    return used, fetched


def _slow_mcu(scan: _Scan, blocks: _Blocks, used: int, fetched: int) -> tuple[int, int] | str:
    """The same of the slow loop, or the warning."""
    data, size = scan.data, scan.size
    for codes in blocks:
        k = 0
        while k < 64:
            fetched = _filled(used, fetched, size, _LOOK)
            look = _LOOK if 8 * fetched - used >= _LOOK else 0
            entry = _entry(data, codes[k > 0], used) or _NO_CODE
            length, bits = entry >> 8, entry & (15 if k else 255)
            # A code that does not lie in the bits looked at is read further bit by bit.
            first = length if length <= look else look + 1
            for step in (first, *(1,) * (length - first), bits):
                fetched = _filled(used, fetched, size, step)
                used += step
                if used > 8 * fetched:
                    return CUT
            if entry == _NO_CODE:
                return STRAY
            if k and not bits and entry & 0xF0 != 0xF0:
                break
            k += (entry >> 4 & 15) + 1 if k else 1
    return used, fetched


def _filled(used: int, fetched: int, size: int, wanted: int) -> int:
    """The bytes fetched when *wanted* bits are asked for."""
    have = 8 * fetched - used
    return fetched if have >= wanted else min(size, fetched + (_SLOW_LOW - have + 7) // 8)
