"""One line of a list to one framed record: the work that runs in parallel."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from im2rec.augment.draws import hash64
from im2rec.build.pack_params import PackParams
from im2rec.errors import Im2RecError, ImageError, ListFormatError, RecordTooLargeError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.listfile import ListEntry
from im2rec.format.recordio import encode_record
from im2rec.images.codec import AS_STORED, EMPTY, NOT_AN_IMAGE, decode, orientation, sniff
from im2rec.images.engine import AUTO, RANDOM, auto_interpolation, center_square, load_engine, resized_short
from im2rec.storage.paths import reason

BAD_LINE, MISSING, UNREADABLE, TOO_LARGE = "bad list line", "missing", "unreadable", "too large for a record"
NOT_TURNED = "EXIF orientation not applied"


class Bad(NamedTuple):
    """An image that is not in the ``.rec``: its line in the list, and why; *reason* is a stable word for counting."""

    line: int
    id: int | None
    path: str | None
    reason: str
    detail: str


@dataclasses.dataclass
class Chunk:
    """What some lines of a list became: (id, frame) for each record, in list order, and what there is to report."""

    frames: list[tuple[int, bytes]] = dataclasses.field(default_factory=list)
    bad: list[Bad] = dataclasses.field(default_factory=list)
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    bytes_in: int = 0
    lines: int = 0


def pack_chunk(entries: Sequence[ListEntry | ListFormatError], root: str, params: PackParams) -> Chunk:
    """Read, decode, crop, resize, encode and frame the pictures of *entries*; a bad one is reported, never raised."""
    chunk = Chunk(lines=len(entries))
    for entry in entries:
        if isinstance(entry, ListFormatError):
            chunk.bad.append(Bad(entry.line or 0, None, None, BAD_LINE, entry.problem))
            continue
        try:
            content = _read(root, entry.path)
            chunk.bytes_in += len(content)
            stored, note = store_image(content, entry.id, params)
            chunk.frames.append((entry.id, encode_record(_payload(entry, stored, params))))
        except ImageError as error:
            chunk.bad.append(Bad(entry.line, entry.id, entry.path, error.reason, error.problem))
        except RecordTooLargeError as error:
            chunk.bad.append(Bad(entry.line, entry.id, entry.path, TOO_LARGE, error.problem))
        else:
            chunk.notes.update([note] if note else [])
    return chunk


def _read(root: str, path: str) -> bytes:
    try:
        with open(os.path.join(root, path), "rb") as stream:  # noqa: PTH118, PTH123 - three times faster than Path
            return stream.read()
    except FileNotFoundError:
        raise ImageError("no such file", reason=MISSING) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ImageError(reason(error) if isinstance(error, OSError) else str(error), reason=UNREADABLE) from None


def store_image(content: bytes, id_: int, params: PackParams) -> tuple[bytes, str]:
    """The encoded picture to be stored for *content*, and a note on it, or an empty text. Raises ImageError.

    Source: mxnet tools/im2rec.py, ``image_encode``; tools/im2rec.cc for ``inter_method`` and the crop before it.
    """
    if params.unchanged:
        kind = sniff(content)
        if kind in (EMPTY, NOT_AN_IMAGE):
            raise ImageError(f"the file is {kind}", reason=kind)
        return content, NOT_TURNED if orientation(content) != 1 else ""
    image, note = decode(content, params.color)
    if params.color == AS_STORED and orientation(content) != 1:
        note = note or NOT_TURNED
    engine = load_engine(params.engine)
    if params.center_crop:
        image = center_square(image)
    height, width = image.shape[:2]
    if params.resize > 0 and min(height, width) != params.resize:
        new = resized_short(width, height, params.resize)
        image = engine.resize(image, *new, _interpolation((width, height), new, id_, params))
    return engine.encode(image, params.encoding, quality=params.quality, png_level=params.png_level), note


def _interpolation(old: tuple[int, int], new: tuple[int, int], id_: int, params: PackParams) -> int:
    if params.inter_method == AUTO:
        return auto_interpolation(old, new)
    if params.inter_method == RANDOM:
        return hash64(id_) % 5  # of the id alone: the same in any part and with any number of workers
    return params.inter_method


def _payload(entry: ListEntry, stored: bytes, params: PackParams) -> bytes:
    """The record's payload; of several labels all with ``pack_label``, else the first.

    Source: mxnet tools/im2rec.cc, which also puts the first label of a vector into the header.
    """
    if params.pack_label and len(entry.labels) > 1:
        header = IRHeader(0, entry.labels, entry.id)
        return encode_image_record(header, stored, label_field=entry.labels[0])
    return encode_image_record(IRHeader(0, entry.labels[0], entry.id), stored)


def as_error(bad: Bad, list_path: str) -> Im2RecError:
    """*bad* as the error that ends a run."""
    place = f"{list_path}, line {bad.line}"
    what = f"{bad.path}: " if bad.path else ""
    return ImageError(f"{place}: {what}{bad.detail}", reason=bad.reason, hint="--on-error skip packs the rest")
