"""Contact sheets: small images in rows of ten, with two lines of text under each."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from im2rec.images.codec import Image as Pixels

COLUMNS = 10
CELL = 128  # pixels a side, for the image alone
TEXT_HEIGHT = 30  # two lines below it
MARGIN = 8
_PAPER, _INK, _FAINT, _ALARM = "#ffffff", "#202020", "#d8d8d8", "#c02020"
_FONT_PIXELS = 12
_LABELS = 3  # shown of a vector
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Tile(NamedTuple):
    """One image of the sheet, fitted to a cell, or None with the reason; and its two lines of text."""

    image: Image.Image | None
    reason: str
    lines: tuple[str, str]


def labels_text(labels: Sequence[float]) -> str:
    """The first *labels*, as far as there is room."""
    return " ".join(f"{label:g}" for label in labels[:_LABELS]) + (" ..." if len(labels) > _LABELS else "")


def fitted(height_width_3: Pixels) -> Image.Image:
    """An image, uint8 (height, width, 3), at the size a cell shows it.

    The longer edge fills the cell; a tiny image is enlarged in whole steps, so that its pixels can be seen.
    """
    image = Image.fromarray(height_width_3)
    scale = CELL / max(image.size)
    size = tuple(max(1, round(edge * (scale if scale < 1 else math.floor(scale)))) for edge in image.size)
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return image.resize((size[0], size[1]), method)


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
        if shown.image is None:
            draw.rectangle((left, upper, left + CELL - 1, upper + CELL - 1), outline=_ALARM)
            _centred(draw, shown.reason, left, upper + CELL // 2 - _FONT_PIXELS, font, _ALARM)
        else:
            draw.rectangle((left, upper, left + CELL - 1, upper + CELL - 1), outline=_FAINT)
            inset = (CELL - shown.image.width) // 2, (CELL - shown.image.height) // 2
            sheet.paste(shown.image, (left + inset[0], upper + inset[1]))
        for line, text in enumerate(shown.lines):
            _centred(draw, text, left, upper + CELL + 2 + line * (_FONT_PIXELS + 2), font, _INK)
    return png_bytes(sheet)


def png_bytes(image: Image.Image) -> bytes:
    """A PNG file of *image*."""
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def _centred(draw: ImageDraw.ImageDraw, text: str, left: int, upper: int, font: Font, ink: str) -> None:
    """*text* in the middle of a cell, shortened to fit it."""
    while font.getlength(text) > CELL and len(text) > 1:
        text = text.removesuffix("…")[:-1] + "…"
    draw.text((left + (CELL - font.getlength(text)) / 2, upper), text, ink, font)
