"""Contact sheets: small images in rows of ten, with two lines of text below each, and perhaps one above each row."""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from im2rec.images.codec import Image as Pixels

COLUMNS = 10
CELL = 128  # pixels per side of the square for the image
TEXT_HEIGHT = 30  # pixels for the two lines below it
HEADING_HEIGHT = 18  # pixels for the line above a row of tiles, where rows have one
MARGIN = 8  # pixels between cells and around the sheet
_BACKGROUND, _TEXT, _FRAME, _ERROR = "#ffffff", "#202020", "#d8d8d8", "#c02020"
_FONT_PIXELS = 12
_MAX_LABELS = 3  # shown of a label vector
_SPELT = {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Tile(NamedTuple):
    """One cell of a sheet: a fitted image, or None and the *reason*, and the two *lines* of text below it."""

    image: Image.Image | None
    reason: str
    lines: tuple[str, str]


def labels_text(labels: Sequence[float], name: str | None = None) -> str:
    """Return the first three *labels* as text, with an ellipsis if there are more, and the *name* of a class."""
    if name:
        return f"{number_text(labels[0])} {name}"
    return " ".join(map(number_text, labels[:_MAX_LABELS])) + (" ..." if len(labels) > _MAX_LABELS else "")


def number_text(number: float) -> str:
    """Return *number* in six digits, or in full if it is a whole number: a label above a million is not ``1e+06``."""
    number = float(number)  # NumPy warns of infinities below
    return f"{number:.0f}" if number == number // 1 else f"{number:g}"


def fitted(pixels: Pixels) -> Image.Image:
    """Scale *pixels*, uint8 (height, width, 3), to the size at which a cell shows them.

    A large image is reduced until its longer edge fills the cell. A small one is enlarged by a whole factor, so that
    each of its pixels is a square.
    """
    image = Image.fromarray(pixels)
    scale = CELL / max(image.size)
    size = tuple(max(1, round(edge * (scale if scale < 1 else math.floor(scale)))) for edge in image.size)
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return image.resize((size[0], size[1]), method)


def draw_sheet(tiles: Sequence[Tile | None], title: str, *, together: int = 1) -> bytes:
    """Draw *tiles* row by row, below a line with *title*; return a PNG file.

    None leaves a cell empty. Of so many cells as *together* says, which divides ten, the gaps are narrow.
    """
    columns = max(1, min(COLUMNS, len(tiles)))
    rows = [("", tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return _drawn(rows, title, 0, together)


def draw_rows(rows: Sequence[tuple[str, Sequence[Tile]]], title: str) -> bytes:
    """Return a PNG file of *rows* of at most ``COLUMNS`` tiles, with text above each, below a line with *title*."""
    return _drawn(rows, title, HEADING_HEIGHT)


def _drawn(
    rows: Sequence[tuple[str, Sequence[Tile | None]]], title: str, heading_height: int, together: int = 1
) -> bytes:
    columns = max((len(tiles) for _, tiles in rows), default=1)
    column_step, row_step = CELL + MARGIN, heading_height + CELL + TEXT_HEIGHT + MARGIN
    font = ImageFont.load_default(_FONT_PIXELS)
    title = drawable(title)
    headings = [drawable(heading) for heading, _ in rows]
    top = MARGIN + 2 * _FONT_PIXELS
    widest = max(map(round, map(font.getlength, [title, *headings])))
    width = max(MARGIN + columns * column_step, widest + 2 * MARGIN)
    sheet = Image.new("RGB", (width, top + len(rows) * row_step), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), title, _TEXT, font)
    for row, (heading, (_, tiles)) in enumerate(zip(headings, rows, strict=True)):
        upper = top + row * row_step
        draw.text((MARGIN, upper), heading, _TEXT, font)
        for column, tile in enumerate(tiles):
            if tile is not None:
                left = MARGIN + column * column_step - column % together * (MARGIN - 1)
                _draw_tile(sheet, draw, tile, left, upper + heading_height, font)
    return png_bytes(sheet)


def _draw_tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, left: int, upper: int, font: Font) -> None:
    frame = _ERROR if tile.image is None else _FRAME
    draw.rectangle((left, upper, left + CELL - 1, upper + CELL - 1), outline=frame)
    if tile.image is None:
        _draw_centred(draw, tile.reason, left, upper + CELL // 2 - _FONT_PIXELS, font, _ERROR)
    else:
        sheet.paste(tile.image, (left + (CELL - tile.image.width) // 2, upper + (CELL - tile.image.height) // 2))
    for line, text in enumerate(tile.lines):
        _draw_centred(draw, text, left, upper + CELL + 2 + line * (_FONT_PIXELS + 2), font, _TEXT)


def png_bytes(image: Image.Image) -> bytes:
    """Encode *image* as a PNG file."""
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def drawable(text: str) -> str:
    """Return *text* as Pillow's own font can draw it, which has ASCII alone: without accents, the rest as ``?``."""
    return "".join(map(_drawable_letter, unicodedata.normalize("NFC", text)))


def _drawable_letter(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isprintable() else "?"
    base = unicodedata.normalize("NFKD", letter)
    plain = "".join(part for part in base if not unicodedata.combining(part))
    return _SPELT.get(letter, plain if plain.isascii() and plain.isprintable() else "?")


def _draw_centred(draw: ImageDraw.ImageDraw, text: str, left: int, upper: int, font: Font, color: str) -> None:
    """Draw *text* in the middle of a cell's width, shortened to fit it."""
    text = drawable(text)
    while font.getlength(text) > CELL:
        text = text.removesuffix("…")[:-1] + "…"
    draw.text((left + (CELL - font.getlength(text)) / 2, upper), text, color, font)
