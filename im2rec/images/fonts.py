"""Text in images: how wide it is and how it is drawn."""

from __future__ import annotations

import functools
import unicodedata

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_SPELT = {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
_SIGNS = {"\N{MULTIPLICATION SIGN}": "x", "\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{MINUS SIGN}": "-"}
_DRAWN = "·"  # by Pillow's own font, which has ASCII and little more


@functools.cache
def default_font(size: int) -> Font:
    """Return Pillow's own font, of which letters are *size* pixels high."""
    return ImageFont.load_default(size)


def text_length(text: str, size: int) -> float:
    """Return the width in pixels of one line of *text* whose letters are *size* pixels high."""
    return default_font(size).getlength(drawable(text))


def draw_text(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, color: str) -> None:
    """Draw one line of *text*, *size* pixels high, with its left upper corner at *place*."""
    draw.text(place, drawable(text), color, default_font(size))


def drawable(text: str) -> str:
    """Return *text* as Pillow's own font can draw it, which has ASCII alone: without accents, the rest as ``?``."""
    return "".join(map(_drawable_letter, unicodedata.normalize("NFC", text)))


def _drawable_letter(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isprintable() else "?"
    if letter in _DRAWN:
        return letter
    base = unicodedata.normalize("NFKD", letter)
    plain = "".join(part for part in base if not unicodedata.combining(part))
    return (_SPELT | _SIGNS).get(letter, plain if plain.isascii() and plain.isprintable() else "?")
