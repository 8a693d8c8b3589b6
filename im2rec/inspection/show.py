"""Views of single records: the first ones of a file, or those with given keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from im2rec.errors import CorruptRecordError, ImageError
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.irheader import HEADER_BYTES, decode_image_record
from im2rec.format.recordio import read_record
from im2rec.images.codec import image_info
from im2rec.images.signatures import sniff
from im2rec.schema import INPUT, WARNINGS, Number, described, whole
from im2rec.storage.files import InputFile, PathLike, with_path
from im2rec.storage.foreign import START_BYTES, check_kind, kind_without_header
from im2rec.storage.opening import open_rec
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import Damage, scan_damaged

_NO_HEADER = "no image header"


@dataclasses.dataclass
class RecordView:
    """One record: its location, header and content; None where there is no value."""

    record: int = described("Ordinal of the record in its file, from 0.")
    offset: int = described("First byte of the record, from the start of its file.")
    bytes: int = described("Size of the payload in bytes.")
    id: int | None = described("Id in the image header; null if there is none.")
    flag: int | None = described("Length of the label vector; 0 is a single label.")
    labels: list[Number] = described("Labels of the record.")
    content: str = described("Kind of the content.")
    content_bytes: int = described("Size of the content in bytes.")
    width: int | None = described("Width of the stored image in pixels.")
    height: int | None = described("Height of the stored image in pixels.")
    channels: int | None = described("Channels of the stored image.")


@dataclasses.dataclass
class ShownRecords:
    """The records that ``--head`` or ``--key`` show."""

    input: str = described(INPUT)
    shown: list[RecordView] = described("The records that were asked for.")
    warnings: list[str] = described(WARNINGS, factory=list)
    damaged: bool = described("Whether damage was met on the way.", False)


def first_records(path: PathLike, count: int) -> ShownRecords:
    """Return the first *count* whole records of the file, without using an index, and a warning for damage before them.

    No more of the file is scanned than is needed. Raises InputError.
    """
    result = ShownRecords(str(path), [])
    with open_rec(path) as file:
        check_kind(file)
        ordinal = 0
        for item in scan_damaged(file):
            if isinstance(item, Damage):
                where = f"{path}: bytes {item.start} to {item.end} are damaged"
                result.warnings.append(f"{where}: {item.error.problem}")
                result.damaged = True
                continue
            for offset in item.offsets[: count - len(result.shown)]:
                _show(file, ordinal, offset, result)
                ordinal += 1
            if len(result.shown) == count:
                break
    return result


def _show(file: InputFile, ordinal: int, offset: int, result: ShownRecords) -> None:
    """Add the record at *offset* to *result*, or a warning if reading all of it shows that it is damaged."""
    try:
        result.shown.append(record_view(ordinal, offset, read_record(file, offset)[0]))
    except CorruptRecordError as error:
        error.record = ordinal
        result.warnings.append(str(with_path(error, file.path)))
        result.damaged = True


class _KeyedFile(RecordFile):
    """A file of which ``inspect --key`` shows records."""

    _without_index = "--no-idx"
    _logs_unlisted = False


def records_by_key(path: PathLike, keys: Iterable[int], index: PathLike | bool | None = None) -> ShownRecords:
    """Return the records with these index keys, in the order of *keys*; with *index* False the keys are the ids.

    Of several with one key it is the last, as in RecordFile, and a warning says so.

    Raises InputError, IndexFormatError, CorruptRecordError.
    """
    with _KeyedFile(path, index=index) as rec:
        result = ShownRecords(str(path), [])
        for key in keys:
            ordinal = rec.ordinal_of(key)
            result.shown.append(record_view(ordinal, int(rec.offsets[ordinal]), rec.payload(ordinal)))
            if (count := int(np.sum(rec.keys == np.uint64(key)))) > 1:
                result.warnings.append(f"{path}: {count:,} records have the key {key}; the last of them is shown")
        return result


def record_view(ordinal: int, offset: int, payload: bytes) -> RecordView:
    """Return a view of *payload*, that of record *ordinal* at *offset*. Raises CorruptRecordError for wrong labels."""
    view = RecordView(ordinal, offset, len(payload), None, None, [], _NO_HEADER, len(payload), None, None, None)
    if len(payload) < HEADER_BYTES:
        return view
    if (kind := kind_without_header(payload[:START_BYTES], len(payload))) is not None:
        view.content = f"{_NO_HEADER}, but {kind}"
        return view
    try:
        header, content = decode_image_record(payload)
    except CorruptRecordError as error:
        error.offset, error.record = offset + HEAD_BYTES, ordinal
        raise
    view.id, view.flag = header.id, header.flag
    view.labels = [whole(float(label)) for label in (header.label if header.flag else [header.label])]
    view.content, view.content_bytes = sniff(content), len(content)
    try:
        info = image_info(content)
    except ImageError:
        return view
    view.width, view.height, view.channels = info.width, info.height, info.channels
    return view
