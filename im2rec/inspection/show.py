"""Single records, looked at one by one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

from im2rec.errors import CorruptRecordError, ImageError
from im2rec.format.irheader import HEADER_BYTES, decode_image_record
from im2rec.format.recordio import HEAD_BYTES, read_record
from im2rec.images.codec import image_info, sniff
from im2rec.storage.files import InputFile, PathLike, with_path
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import check_kind, scan

_NO_HEADER = "no image header"


@dataclasses.dataclass
class RecordView:
    """One record: where it is, what its header says, what its content is; sizes in pixels and bytes."""

    record: int
    offset: int
    bytes: int
    id: int | None
    flag: int | None
    labels: list[float]
    content: str
    content_bytes: int
    width: int | None
    height: int | None
    channels: int | None


def first_records(path: PathLike, count: int) -> list[RecordView]:
    """The first *count* records of the file, without an index. Raises InputError, CorruptRecordError."""
    views: list[RecordView] = []
    try:
        with InputFile(path) as file:
            check_kind(file)
            offsets = (offset for block in scan(file) for offset in block.offsets)
            for ordinal, offset in enumerate(itertools.islice(offsets, count)):
                views.append(view(ordinal, offset, read_record(file, offset)[0]))
    except CorruptRecordError as error:
        error.record = len(views)
        raise with_path(error, path) from None
    return views


def records_by_key(path: PathLike, keys: Iterable[int], index: PathLike | None = None) -> list[RecordView]:
    """The records with these index keys. Raises InputError, IndexFormatError, CorruptRecordError."""
    with RecordFile(path, index=index) as rec:
        found = [rec.ordinal_of(key) for key in keys]
        return [view(ordinal, int(rec.offsets[ordinal]), rec.payload(ordinal)) for ordinal in found]


def view(ordinal: int, offset: int, payload: bytes) -> RecordView:
    """What *payload*, the record *ordinal* at *offset*, holds."""
    shown = RecordView(ordinal, offset, len(payload), None, None, [], _NO_HEADER, len(payload), None, None, None)
    if len(payload) < HEADER_BYTES:
        return shown
    try:
        header, content = decode_image_record(payload)
    except CorruptRecordError as error:
        error.offset, error.record = offset + HEAD_BYTES, ordinal
        raise
    shown.id, shown.flag = header.id, header.flag
    shown.labels = [float(label) for label in header.label] if header.flag else [header.label]
    shown.content, shown.content_bytes = sniff(content), len(content)
    try:
        info = image_info(content)
    except ImageError:
        return shown
    shown.width, shown.height, shown.channels = info.width, info.height, info.channels
    return shown
