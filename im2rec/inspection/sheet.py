"""A contact sheet: small pictures of a ``.rec``, evenly spread, with id and label under each."""

from __future__ import annotations

import array
import contextlib

from im2rec.errors import CorruptRecordError, ImageError
from im2rec.format.irheader import ImageRecord, decode_image_record
from im2rec.format.recordio import read_record
from im2rec.images.codec import COLOR, decode
from im2rec.images.sheet import CELL, Tile, draw_sheet, fitted, label_text
from im2rec.inspection.image_sample import sample
from im2rec.storage.files import AsideFile, InputFile, PathLike
from im2rec.storage.index import check_kind
from im2rec.storage.scan import whole_records

PICTURES = 60  # ten in a row, six rows: every one still tells what it shows


def write_sheet(path: PathLike, out: PathLike, *, force: bool = False) -> None:
    """Draw a sheet of the ``.rec`` at *path*, damaged or not, into the PNG file *out*.

    Raises InputError, OutputError when *out* exists and *force* is not given.
    """
    with contextlib.closing(InputFile(path)) as file:
        check_kind(file)
        offsets = array.array("q", whole_records(file))
        tiles = [shown for ordinal in sample(len(offsets), PICTURES) if (shown := _tile_at(file, offsets[ordinal]))]
        title = f"{file.path.name}: {len(tiles):,} of {len(offsets):,} records, evenly spread"
    with AsideFile(out, force=force) as sheet:
        sheet.write(draw_sheet(tiles, title))


def _tile_at(file: InputFile, offset: int) -> Tile | None:
    """The tile of the record at *offset*; None where there is no picture to show."""
    try:
        record = decode_image_record(read_record(file, offset)[0])
    except CorruptRecordError:
        return None
    return tile(record) if record.content else None


def tile(record: ImageRecord) -> Tile:
    """What the sheet shows for *record*; a picture that cannot be decoded is shown as such."""
    header, content = record
    labels = [header.label] if header.flag == 0 else list(header.label)
    lines = (f"id {header.id}", f"{'label' if len(labels) == 1 else 'labels'} {label_text(labels)}")
    try:
        height_width_3 = decode(content, COLOR, at_least=(CELL, CELL)).pixels
    except ImageError as error:
        return Tile(None, error.reason, lines)
    return Tile(fitted(height_width_3), "", lines)
