"""Header fields and sizes of records, read without their contents."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from im2rec.errors import CorruptRecordError
from im2rec.format.heads import HEAD_BYTES, WHOLE
from im2rec.format.irheader import HEADER_BYTES, RawHeader, parse_header
from im2rec.format.recordio import measure, parse_head, read_start
from im2rec.storage.files import InputFile
from im2rec.storage.spans import RecordSpan, group_nearby

FRONT_BYTES = HEAD_BYTES + HEADER_BYTES
_GAP_BYTES, _MAX_READ_BYTES = 4096, 256 << 10  # of bytes between headers that are read too, and of one read


class RecordInfo(NamedTuple):
    """The header fields of a record, and the size of its payload in bytes."""

    header: RawHeader
    size: int


def read_fronts(file: InputFile, fronts: Iterable[RecordSpan]) -> Iterator[bytes]:
    """Yield the bytes of each of the ascending spans *fronts*, those of neighbours read together."""
    for run in group_nearby(fronts, gap=_GAP_BYTES, max_bytes=_MAX_READ_BYTES):
        base = run[0].start
        window = file.read_at(base, run[-1].stop - base)
        yield from [window[start - base : stop - base] for _, start, stop in run]


def read_infos(file: InputFile, offsets: Sequence[int]) -> Iterator[RecordInfo | CorruptRecordError]:
    """Yield the info of the record at each of the ascending *offsets*; an error, with its offset, for a damaged one."""
    fronts = read_fronts(file, (RecordSpan(0, offset, offset + FRONT_BYTES) for offset in offsets))
    yield from map(_info, itertools.repeat(file), offsets, fronts)


def _info(file: InputFile, offset: int, front: bytes) -> RecordInfo | CorruptRecordError:
    try:
        part = parse_head(front[:HEAD_BYTES], offset, file.size)
        if part.flag == WHOLE:
            return RecordInfo(parse_header(front[HEAD_BYTES : HEAD_BYTES + part.length]), part.length)
        extent = measure(file, offset)
        return RecordInfo(parse_header(read_start(file, offset, HEADER_BYTES)), extent.size)
    except CorruptRecordError as error:
        error.offset = offset if error.offset is None else error.offset
        return error
