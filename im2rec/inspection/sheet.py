"""A contact sheet: small pictures of a ``.rec``, evenly spread, with id and label under each."""

from __future__ import annotations

import array
import contextlib
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from im2rec.errors import CorruptRecordError, ImageError
from im2rec.format.irheader import ImageRecord, decode_image_record
from im2rec.format.recordio import read_record
from im2rec.images.codec import COLOR, decode
from im2rec.inspection.pictures import sample
from im2rec.storage.paths import AsideFile, InputFile, PathLike
from im2rec.storage.reader import check_kind
from im2rec.storage.scan import whole_records

PICTURES = 60  # ten in a row, six rows: every one still tells what it shows
COLUMNS = 10
CELL = 128  # pixels a side, for the picture alone
TEXT_HEIGHT = 30  # two lines below it
MARGIN = 8
_PAPER, _INK, _FAINT, _ALARM = "#ffffff", "#202020", "#d8d8d8", "#c02020"
_FONT_PIXELS = 12


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


class Tile(NamedTuple):
    """One picture of the sheet: uint8 pixels (height, width, 3), or None with the reason, and its two lines of text."""

    picture: Image.Image | None
    reason: str
    lines: tuple[str, str]


def tile(record: ImageRecord) -> Tile:
    """What the sheet shows for *record*; a picture that cannot be decoded is shown as such."""
    header, content = record
    labels = [header.label] if header.flag == 0 else list(header.label)
    text = " ".join(f"{label:g}" for label in labels[:3]) + (" ..." if len(labels) > 3 else "")
    lines = (f"id {header.id}", f"{'label' if len(labels) == 1 else 'labels'} {text}")
    try:
        height_width_3 = decode(content, COLOR, at_least=(CELL, CELL)).pixels
    except ImageError as error:
        return Tile(None, error.reason, lines)
    picture = Image.fromarray(height_width_3)
    # The longer edge fills the cell; a tiny picture is enlarged in whole steps, so that its pixels can be seen.
    scale = CELL / max(picture.size)
    size = tuple(max(1, round(edge * (scale if scale < 1 else math.floor(scale)))) for edge in picture.size)
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return Tile(picture.resize((size[0], size[1]), method), "", lines)


def draw_sheet(tiles: Sequence[Tile], title: str) -> bytes:
    """A PNG file of *tiles*, row by row, under a line of *title*."""
    columns = max(1, min(COLUMNS, len(tiles)))
    rows = -(-len(tiles) // columns)
    step, drop = CELL + MARGIN, CELL + TEXT_HEIGHT + MARGIN
    font = ImageFont.load_default(_FONT_PIXELS)
    top = MARGIN + 2 * _FONT_PIXELS
    width = max(MARGIN + columns * step, round(font.getlength(title)) + 2 * MARGIN)
    sheet = Image.new("RGB", (width, top + rows * drop), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), title, _INK, font)
    for number, shown in enumerate(tiles):
        left, upper = MARGIN + number % columns * step, top + number // columns * drop
        if shown.picture is None:
            draw.rectangle((left, upper, left + CELL - 1, upper + CELL - 1), outline=_ALARM)
            _centred(draw, shown.reason, left, upper + CELL // 2 - _FONT_PIXELS, font, _ALARM)
        else:
            draw.rectangle((left, upper, left + CELL - 1, upper + CELL - 1), outline=_FAINT)
            inset = (CELL - shown.picture.width) // 2, (CELL - shown.picture.height) // 2
            sheet.paste(shown.picture, (left + inset[0], upper + inset[1]))
        for line, text in enumerate(shown.lines):
            _centred(draw, text, left, upper + CELL + 2 + line * (_FONT_PIXELS + 2), font, _INK)
    encoded = io.BytesIO()
    sheet.save(encoded, "PNG")
    return encoded.getvalue()


def _centred(
    draw: ImageDraw.ImageDraw,
    text: str,
    left: int,
    upper: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    ink: str,
) -> None:
    """*text* in the middle of a cell, shortened to fit it."""
    while font.getlength(text) > CELL and len(text) > 1:
        text = text.removesuffix("…")[:-1] + "…"
    draw.text((left + (CELL - font.getlength(text)) / 2, upper), text, ink, font)
