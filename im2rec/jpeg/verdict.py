"""The verdict of libjpeg on a damaged JPEG, for machines without simplejpeg, through which im2rec asks libjpeg itself.

Pillow decodes with libjpeg as well, but hides its warnings: for a file whose data ends early, or has flipped bits, it
returns pixels without an error. The compiled decoder stops at the first damage, where libjpeg continues, and may find
that the data ends early, or nothing that it warns of. So a file that the compiled decoder refuses is read again here,
code by code, and the first thing of which libjpeg would warn is the verdict.

libjpeg-turbo reads most of a scan by a fast loop, which takes a code that does not exist for a zero, without a warning.
Near the end of a file, and at a marker, it reads by a slow loop, which warns. Whether bytes are left over at the end
depends on how many bytes each of them has prefetched into its bit buffer, which has 64 bits, so this is counted too.

This is plain Python: it takes about 20 ms for an image of 40 kB, and few files are damaged.

Source: ITU-T T.81, annexes B, C and F; libjpeg-turbo jdhuff.c, ``decode_mcu_fast``, ``decode_mcu_slow`` and
``jpeg_fill_bit_buffer``; jdmarker.c, ``next_marker``; simplejpeg in its strict mode, which stops at the first warning.
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
    apply_segment,
    finish_header,
    read_header,
)

SOUND, UNKNOWN = "", None
_NO_MARKER_LEFT = "no marker left"
_WITHOUT_DATA = (0x01, *range(0xD0, 0xD8))  # markers that begin no segment: TEM, RST0 to RST7
_STANDARD_TABLES = (0x00, 0x01, 0x10, 0x11)
_IGNORED_AFTER_SCAN = (0xDC, *range(0xE0, 0xF0), 0xFE)  # DNL, APP0 to APP15, COM
# Both take time by the length of the data; \xff+ alone would begin anew at each byte of a long run of 0xFF.
_MARKER, _STUFFED = re.compile(rb"\xff[\x01-\xfe]"), re.compile(rb"(?<!\xff)\xff+\0")
_LONGEST_CODE = 16
_FAST_BYTES = 512  # for each block of an MCU; with fewer left in the file, the slow loop reads it (BUFSIZE of jdhuff.c)
_FAST_LOW, _FAST_FILL = 16, 6  # with 16 bits or fewer in its buffer, the fast loop fetches six bytes
_SLOW_LOW = 57  # the slow loop fetches bytes until it has at least 57 bits (MIN_GET_BITS of jdhuff.c)
_LOOKAHEAD = 8  # bits of a code that the slow loop looks up at once (HUFF_LOOKAHEAD of jdhuff.h)

_Codes = list[int]  # see _code_table
_Blocks = list[tuple[_Codes, _Codes]]  # the DC and the AC codes of each block of an MCU


def verdict(content: bytes) -> str | None:
    """``SOUND``, or the damage of a JPEG: ``STRAY``, ``NO_END`` or ``CUT``; or ``UNKNOWN``.

    It is unknown for a file that libjpeg refuses, and for a kind of JPEG that the compiled decoder does not support;
    Pillow has to decide then.
    """
    warning = _first_warning(content)
    if warning == _NO_MARKER_LEFT:
        # With an end marker appended a whole image is sound, and one whose data ends early is not.
        return NO_END if _first_warning(content + END_OF_IMAGE) == SOUND else CUT
    return warning


def _first_warning(content: bytes) -> str | None:
    head, start = read_header(content)
    if head.reason:
        return _warning_in_segments(content, 2, SOS)
    end = _find_marker(content, start)
    if end is None:
        return _NO_MARKER_LEFT
    return _warning_in_segments(content, end[0], EOI, _warning_in_scan(content, start, end[0], head))


def _find_marker(content: bytes, at: int) -> tuple[int, int] | None:
    """The offset of the first marker from *at* on, with its fill bytes, and that of its code; None if there is none."""
    found = _MARKER.search(content, at)
    if found is None:
        return None
    start = found.start()
    while start > at and content[start - 1] == 0xFF:
        start -= 1
    return start, found.end() - 1


def _warning_in_segments(content: bytes, at: int, last: int, warning: str = SOUND) -> str | None:
    """Read the segments from *at* on up to the marker *last*; return the first warning, or UNKNOWN.

    *warning* is one that comes before these segments. libjpeg continues after a warning, and may refuse the file for
    what comes later, so the segments are read either way.
    """
    parsed = ParsedSegments(frame=b"" if last == SOS else b"already read")
    while True:
        mark = _find_marker(content, at)
        if mark is None:
            return UNKNOWN if last == SOS else warning or _NO_MARKER_LEFT
        warning = warning or (STRAY if mark[0] > at else SOUND)
        marker, at = content[mark[1]], mark[1] + 1
        if marker in _WITHOUT_DATA:
            continue
        if marker == EOI:
            return warning if last == EOI else UNKNOWN
        end = at + int.from_bytes(content[at : at + 2], "big")
        data = content[at + 2 : end]
        try:
            if marker == SOS:
                for table in _STANDARD_TABLES:  # libjpeg uses those of T.81, annex K.3, if a file has none
                    parsed.huffman.setdefault(table, HuffmanSpec(b"", b""))
                finish_header(parsed, data)
                return warning or UNKNOWN
            if marker not in _IGNORED_AFTER_SCAN or last == SOS:
                apply_segment(parsed, marker, data)
        except RefusedError:
            return UNKNOWN
        if end < at + 2 <= len(content):
            return UNKNOWN
        at = end


class _Scan(NamedTuple):
    """The data of a scan without byte stuffing."""

    data: bytes
    size: int
    fast: int  # the fast loop reads an MCU only if no more bytes than these have been fetched
    stops: list[int]  # offsets at which it gives up: bytes stuffed with more than one 0xFF, and the end


def _warning_in_scan(content: bytes, start: int, end: int, head: JpegHeader) -> str:
    """The first warning for the scan whose data lies from *start* to *end*, the offset of a marker; or SOUND."""
    codes = [(_code_table(component.dc), _code_table(component.ac)) for component in head.components]
    blocks = codes[:1] * (head.luma_v * head.luma_h) + codes[1:]
    mcus = -(-head.height // (8 * head.luma_v)) * -(-head.width // (8 * head.luma_h))
    scan = _remove_stuffing(content, start, end, len(content) - _FAST_BYTES * len(blocks))
    used = fetched = 0  # bits used, bytes fetched into the bit buffer
    for _ in range(mcus):
        quick = _read_mcu_fast(scan, blocks, used, fetched) if fetched <= scan.fast else None
        progress = quick or _read_mcu_slow(scan, blocks, used, fetched)
        if isinstance(progress, str):
            return progress
        used, fetched = progress
    return STRAY if fetched < scan.size else SOUND


def _remove_stuffing(content: bytes, start: int, end: int, limit: int) -> _Scan:
    """The data from *start* to *end* without stuffing.

    The fast loop starts no MCU once a byte at *limit* or later is fetched; all three are offsets in *content*.
    """
    data, stops, removed, fast = content[start:end], [], 0, limit - start
    for stuffed in _STUFFED.finditer(data):
        more = len(stuffed.group()) - 1
        if stuffed.end() <= limit - start:
            fast -= more
        elif stuffed.start() < limit - start:
            fast = stuffed.start() - removed  # a stuffed byte is fetched as a whole, so not even it
        if more > 1:
            stops.append(stuffed.start() - removed)
        removed += more
    data = _STUFFED.sub(b"\xff", data)
    return _Scan(data + bytes(32), len(data), min(fast, len(data)), [*stops, len(data)])


@functools.lru_cache(maxsize=32)
def _code_table(spec: HuffmanSpec) -> _Codes:
    """A table indexed by the next 16 bits: length << 8 | symbol of the code that they start with, or 0 if none."""
    table = np.zeros(1 << _LONGEST_CODE, np.int64)
    at = number = 0
    for bits, count in enumerate(spec.counts, start=1):
        width = 1 << (_LONGEST_CODE - bits)
        for symbol in spec.symbols[number : number + count]:
            table[at : at + width] = bits << 8 | symbol
            at += width
        number += count
    return [int(entry) for entry in table]


def _code_at(data: bytes, codes: _Codes, used: int) -> int:
    """The table entry of the code that starts at bit *used*."""
    at = used >> 3
    return codes[(data[at] << 16 | data[at + 1] << 8 | data[at + 2]) >> (8 - (used & 7)) & 0xFFFF]


_NO_CODE = (_LONGEST_CODE + 1) << 8  # libjpeg reads 17 bits before it finds that there is no such code


def _read_mcu_fast(scan: _Scan, blocks: _Blocks, used: int, fetched: int) -> tuple[int, int] | None:
    """Read an MCU as ``decode_mcu_fast``: the bits used and bytes fetched after it; None if the fast loop gives up."""
    data, stop = scan.data, scan.stops[bisect.bisect_left(scan.stops, fetched)]
    for codes in blocks:
        k = 0
        while k < 64:
            if 8 * fetched - used <= _FAST_LOW:
                fetched += _FAST_FILL
            entry = _code_at(data, codes[k > 0], used) or _NO_CODE
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


def _read_mcu_slow(scan: _Scan, blocks: _Blocks, used: int, fetched: int) -> tuple[int, int] | str:
    """Read an MCU as ``decode_mcu_slow``: the bits used and bytes fetched after it, or the warning."""
    data, size = scan.data, scan.size
    for codes in blocks:
        k = 0
        while k < 64:
            fetched = _fill_bit_buffer(used, fetched, size, _LOOKAHEAD)
            looked_up = _LOOKAHEAD if 8 * fetched - used >= _LOOKAHEAD else 0
            entry = _code_at(data, codes[k > 0], used) or _NO_CODE
            length, bits = entry >> 8, entry & (15 if k else 255)
            # A code longer than the look-up is read on bit by bit, and the buffer may be refilled at each.
            first = length if length <= looked_up else looked_up + 1
            for step in (first, *(1,) * (length - first), bits):
                fetched = _fill_bit_buffer(used, fetched, size, step)
                used += step
                if used > 8 * fetched:
                    return CUT
            if entry == _NO_CODE:
                return STRAY
            if k and not bits and entry & 0xF0 != 0xF0:
                break
            k += (entry >> 4 & 15) + 1 if k else 1
    return used, fetched


def _fill_bit_buffer(used: int, fetched: int, size: int, needed: int) -> int:
    """The number of bytes fetched once the bit buffer has had to provide *needed* bits."""
    bits_left = 8 * fetched - used
    return fetched if bits_left >= needed else min(size, fetched + (_SLOW_LOW - bits_left + 7) // 8)
