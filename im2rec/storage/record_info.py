"""Header fields and sizes of records, read without their contents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from im2rec.errors import CorruptRecordError
from im2rec.format.heads import HEAD_BYTES, WHOLE
from im2rec.format.irheader import HEADER_BYTES, RawHeader, parse_header
from im2rec.format.recordio import BytesSource, Source, measure, parse_head, read_start
from im2rec.storage.files import InputFile
from im2rec.storage.spans import RecordSpan, group_nearby

FRONT_BYTES = HEAD_BYTES + HEADER_BYTES
GAP_BYTES, MAX_READ_BYTES = 4096, 256 << 10  # of bytes between headers that are read too, and of one read


class RecordInfo(NamedTuple):
    """The header fields of a record, and the size of its payload in bytes."""

    header: RawHeader
    size: int


def read_infos(file: InputFile, offsets: Iterable[int]) -> Iterator[RecordInfo | CorruptRecordError]:
    """Yield the info of the record at each of the ascending *offsets*; an error, with its offset, for a damaged one."""
    fronts = (RecordSpan(0, offset, offset + FRONT_BYTES) for offset in offsets)
    for run in group_nearby(fronts, gap=GAP_BYTES, max_bytes=MAX_READ_BYTES):
        start, stop = run[0].start, run[-1].stop
        source = BytesSource(file.read_at(start, stop - start), start, file.size)
        for _, offset, _ in run:
            yield _read_info(file, source, offset)


def _read_info(file: InputFile, source: Source, offset: int) -> RecordInfo | CorruptRecordError:
    try:
        part = parse_head(source.read_at(offset, HEAD_BYTES), offset, file.size)
        if part.flag == WHOLE:
            return RecordInfo(parse_header(source.read_at(part.start, min(part.length, HEADER_BYTES))), part.length)
        extent = measure(file, offset)
        return RecordInfo(parse_header(read_start(file, offset, HEADER_BYTES)), extent.size)
    except CorruptRecordError as error:
        error.offset = offset if error.offset is None else error.offset
        return error
