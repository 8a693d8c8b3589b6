"""Views of single records: the first ones of a file, or those with given keys."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from im2rec.errors import CorruptRecordError, ImageError, InputError
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.irheader import HEADER_BYTES, decode_image_record
from im2rec.format.recordio import read_record
from im2rec.images.codec import image_info
from im2rec.images.signatures import sniff
from im2rec.schema import INPUT, WARNINGS, Number, described, whole
from im2rec.storage.blocks import Damage, RecordBlock
from im2rec.storage.damaged_range import DamageLog, damaged_ranges, named_ranges
from im2rec.storage.files import InputFile, PathLike, with_path
from im2rec.storage.foreign import START_BYTES, check_kind, kind_without_header
from im2rec.storage.index import resolve_index
from im2rec.storage.opening import open_rec
from im2rec.storage.reader import SKIP, RecordFile
from im2rec.storage.record_map import listed_offsets
from im2rec.storage.scan import scan_damaged

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
    met_damage: bool = described("Whether damage was met on the way.", False)


def first_records(path: PathLike, count: int, index: PathLike | bool | None = None) -> ShownRecords:
    """Return the first *count* whole records of the file, and warnings that name the damage before the last of them.

    No more of a whole file is read than is needed, and no index. If damage is met, every byte up to the last of the
    records is read, with *index* as in :func:`~im2rec.inspection.survey.survey`: these are the records that it counts.
    Raises InputError.
    """
    with open_rec(path) as file:
        check_kind(file)
        result = _first_records(file, scan_damaged(file), count)
        if result.met_damage:
            listed = listed_offsets(file, resolve_index(path, index))
            result = _first_records(file, scan_damaged(file, listed=listed, thorough=True), count)
    result.input = str(path)
    return result


def _first_records(file: InputFile, items: Iterable[RecordBlock | Damage], count: int) -> ShownRecords:
    """Return the first *count* of the records of a scan."""
    result, damage, ordinal = ShownRecords("", []), DamageLog(), 0
    for item in items:
        if isinstance(item, Damage):
            damage.append(item)
            continue
        for offset in item.offsets:
            if len(result.shown) < count:
                _show(file, ordinal, offset, result)
                ordinal += 1
        if len(result.shown) == count:
            break
    _name_damage(file, damage.listed, len(damage), result)
    return result


def _name_damage(file: InputFile | RecordFile, damage: Iterable[Damage], count: int, result: ShownRecords) -> None:
    """Add warnings that name the first of *count* ranges of *damage* to *result*."""
    if count:
        ranges = damaged_ranges(damage, file.size)
        result.warnings += [f"{file.path}: damaged: {line}" for line in named_ranges(ranges, count)]
        result.met_damage = True


def _show(file: InputFile, ordinal: int, offset: int, result: ShownRecords) -> None:
    """Add the record at *offset* to *result*, or a warning if reading all of it shows that it is damaged."""
    try:
        result.shown.append(record_view(ordinal, offset, read_record(file, offset)[0]))
    except CorruptRecordError as error:
        error.record = ordinal
        result.warnings.append(str(with_path(error, file.path)))
        result.met_damage = True


class _KeyedFile(RecordFile):
    """A file of which ``inspect --key`` shows records."""

    _without_index = "--no-idx"
    _logs_unlisted = False


def records_by_key(path: PathLike, keys: Iterable[int], index: PathLike | bool | None = None) -> ShownRecords:
    """Return the records with these index keys, in the order of *keys*; with *index* False the keys are the ids.

    Of several with one key it is the last, as in RecordFile, and a warning says so. In a damaged file warnings name the
    damage, and the keys of records that are lost; the others are shown.

    Raises InputError, IndexFormatError, and CorruptRecordError if none of the records can be shown.
    """
    wanted = list(keys)
    if resolve_index(path, index) is not None:  # else only a full scan tells ordinals, and that no record has a key
        with _KeyedFile(path, index=index) as rec, contextlib.suppress(CorruptRecordError):
            if not rec.damage:
                return _records_by_key(rec, wanted)
    with _KeyedFile(path, index=index, damaged=SKIP) as rec:
        return _records_by_key(rec, wanted)


def _records_by_key(rec: RecordFile, keys: Sequence[int]) -> ShownRecords:
    """Return the records of *rec* with these *keys*. With ``damaged="raise"`` errors are raised, else warnings."""
    result = ShownRecords(str(rec.path), [])
    _name_damage(rec, rec.damage, rec.damaged_ranges, result)
    problem: CorruptRecordError | None = None
    for key in keys:
        try:
            ordinal = rec.ordinal_of(key)
            result.shown.append(record_view(ordinal, int(rec.offsets[ordinal]), rec.payload(ordinal)))
        except CorruptRecordError as error:
            problem = error
        except InputError as error:
            if not rec.damage or rec.index_path is not None:
                raise
            problem = CorruptRecordError(f"{error.problem}: its record may be lost in damaged bytes")
        else:
            if (count := int(np.sum(rec.keys == np.uint64(key)))) > 1:
                result.warnings.append(f"{rec.path}: {count:,} records have the key {key}; the last of them is shown")
            continue
        problem.path = rec.path
        if rec.damaged != SKIP:
            raise problem
        result.warnings.append(f"key {key}: {problem}")
        result.met_damage = True
    if problem is not None and not result.shown:
        raise problem
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
