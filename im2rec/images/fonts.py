"""Text in images: how wide it is and how it is drawn, in any script that a font of the system has.

Pillow's own font, which is there everywhere, has ASCII and little more. For other letters the usual fonts of Linux,
macOS and Windows are looked for, when a text needs one; ``IM2REC_FONT=FILE`` names one that comes before them. A letter
that none of them has is drawn without its accent, or as ``?``.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import unicodedata
from typing import NamedTuple

from PIL import ImageDraw, ImageFont, features

_LOG = logging.getLogger(__name__)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
VARIABLE = "IM2REC_FONT"


class FontFile(NamedTuple):
    """A font: the *name* of its file, which Pillow looks for in the folders of the system, or a path, and a *number*.

    The number counts the fonts in one file, from 0.
    """

    name: str
    number: int = 0


# Those of many scripts first, so that the texts of a sheet are in few fonts; then those of one.
USUAL = (
    *map(FontFile, ("LiberationSans-Regular.ttf", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "FreeSans.ttf")),
    *map(FontFile, ("segoeui.ttf", "arial.ttf", "Arial.ttf", "Arial Unicode.ttf")),  # Windows, macOS
    FontFile("NotoSansCJK-Regular.ttc", 2),  # 2 has the Chinese forms of shared letters, 0 the Japanese ones
    *map(FontFile, ("NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf")),
    *map(FontFile, ("msyh.ttc", "meiryo.ttc", "malgun.ttf", "simsun.ttc")),
    *map(FontFile, ("PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc", "GeezaPro.ttc")),
    *map(FontFile, ("NotoSansArabic-Regular.ttf", "NotoSansHebrew-Regular.ttf", "NotoSansDevanagari-Regular.ttf")),
    *map(FontFile, ("NotoSansThai-Regular.ttf", "Nirmala.ttc", "Nirmala.ttf", "LeelawUI.ttf", "Thonburi.ttc")),
)
_SPELT = {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
_SIGNS = {
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{NO-BREAK SPACE}": " ",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
}  # drawn so even if a font has them: for one of these alone, a text is not set in another font than those around it
_NO_GLYPH = "\U0010ffff"  # no character, so every font draws its box for it
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


class _Run(NamedTuple):
    """A stretch of a line of *text* in one *font*."""

    font: Font
    text: str
    direction: str | None


def text_length(text: str, size: int) -> float:
    """Return the width in pixels of one line of *text* whose letters are *size* pixels high."""
    return _length(_runs(text, size, _candidates()))


@functools.lru_cache(maxsize=10_000)
def _length(runs: tuple[_Run, ...]) -> float:
    return sum(run.font.getlength(run.text, direction=run.direction) for run in runs)


def draw_text(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, color: str) -> None:
    """Draw one line of *text*, *size* pixels high, with its left upper corner at *place*."""
    left, top = place
    baseline = top + _ascent(size)
    for run in _runs(text, size, _candidates()):
        draw.text((left, baseline), run.text, color, run.font, anchor="ls", direction=run.direction)
        left += run.font.getlength(run.text, direction=run.direction)


@functools.cache
def _default_font(size: int) -> Font:
    """Return Pillow's own font, of which letters are *size* pixels high."""
    return ImageFont.load_default(size)


@functools.cache
def _ascent(size: int) -> int:
    """Return the pixels from the top of a line of text to the foot of its letters."""
    font = _default_font(size)
    return font.getmetrics()[0] if isinstance(font, ImageFont.FreeTypeFont) else size


def _plain(letter: str) -> str:
    """Return *letter* in ASCII: without its accent, or ``?``."""
    if letter in _JOINERS:
        return ""
    if letter.isascii():
        return letter if letter.isprintable() else "?"
    base = unicodedata.normalize("NFKD", letter)
    plain = "".join(part for part in base if not unicodedata.combining(part))
    return (_SPELT | _SIGNS).get(letter, plain if plain.isascii() and plain.isprintable() else "?")


def _candidates() -> tuple[FontFile, ...]:
    named = os.environ.get(VARIABLE)
    return (FontFile(named), *USUAL) if named else USUAL


@functools.lru_cache(maxsize=10_000)
def _runs(text: str, size: int, candidates: tuple[FontFile, ...]) -> tuple[_Run, ...]:
    """Return *text* in the first font that has all its letters; if there is none, in those that have its parts."""
    own = _default_font(size)
    if text.isascii() and text.isprintable():
        return (_Run(own, text, None),)
    text = "".join(_cleaned(letter) for letter in unicodedata.normalize("NFC", text))
    fonts = itertools.chain([own], (_opened(file, size) for file in candidates))  # opened one by one
    for font in fonts:
        if font is not None and all(_has(font, letter) for letter in text):
            return (_Run(font, text, _direction(font, text)),)
    return _in_parts(text, size, candidates)


def _in_parts(text: str, size: int, candidates: tuple[FontFile, ...]) -> tuple[_Run, ...]:
    """Return the letters of *text* in the fonts that have them, as few as possible; others as Pillow's own has them."""
    own = _default_font(size)
    parts: list[tuple[Font, str]] = [(own, "")]
    for letter in text:
        found = _font_of(letter, size, candidates, parts[-1][0])
        font, shown = (own, _plain(letter)) if found is None else (found, letter)
        if parts[-1][0] is font:
            parts[-1] = font, parts[-1][1] + shown
        else:
            last, before = parts[-1]
            if _is_right_to_left(before):  # a blank at the end of that would be drawn at its left, before it
                parts[-1:] = [(last, before.rstrip(" ")), (own, " " * (len(before) - len(before.rstrip(" "))))]
            parts.append((font, shown))
    runs = tuple(_Run(font, part, _direction(font, part)) for font, part in parts if part)
    return runs[::-1] if _is_right_to_left(text) else runs


def _font_of(letter: str, size: int, candidates: tuple[FontFile, ...], last: Font) -> Font | None:
    """Return a font that has *letter*: the one that was used *last*, if possible; None if there is none."""
    for font in (last, _default_font(size)):
        if _has(font, letter):
            return font
    opened = (_opened(file, size) for file in candidates)
    return next((each for each in opened if each is not None and _has(each, letter)), None)


@functools.cache
def _opened(file: FontFile, size: int) -> Font | None:
    """Return the font *file*; None if it is not there, or is none."""
    font = _found(file)
    return None if font is None else font.font_variant(size=size)


@functools.cache
def _found(file: FontFile) -> ImageFont.FreeTypeFont | None:
    """Return the font *file* in any size. It is looked for once, as Pillow walks through all folders of fonts."""
    try:
        return ImageFont.truetype(file.name, index=file.number)
    except (OSError, ValueError) as error:
        if file.name == os.environ.get(VARIABLE):
            _LOG.warning("%s=%s is not used: %s", VARIABLE, file.name, error)
        return None


@functools.lru_cache(maxsize=50_000)
def _has(font: Font, letter: str) -> bool:
    """True if *font* has *letter*, and Pillow can set it: a script from right to left needs the library Raqm."""
    if letter in _JOINERS:
        return _is_set_by_raqm(font)
    if unicodedata.bidirectional(letter) in ("R", "AL") and not _has_raqm():
        return False
    return _drawn(font, letter) != _drawn(font, _NO_GLYPH)


@functools.lru_cache(maxsize=1000)
def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    # Raqm would put a dotted circle under a mark that stands alone.
    mask = (_basic(font) if isinstance(font, ImageFont.FreeTypeFont) else font).getmask(letter, "L")
    return mask.size, bytes(mask)


@functools.cache
def _basic(font: ImageFont.FreeTypeFont) -> ImageFont.FreeTypeFont:
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def _has_raqm() -> bool:
    return bool(features.check("raqm") and features.check("fribidi"))


def _cleaned(letter: str) -> str:
    """Return *letter* as it is to be drawn: nothing for marks that only choose a variant or turn the direction."""
    if letter in _SIGNS or letter.isprintable():
        return "" if "\ufe00" <= letter <= "\ufe0f" else _SIGNS.get(letter, letter)
    if unicodedata.category(letter) == "Cf":
        return letter if letter in _JOINERS and _has_raqm() else ""
    return _plain(letter)


def _direction(font: Font, text: str) -> str | None:
    """Return the direction of *text* as Raqm is told it, if that sets *font*."""
    if not _is_set_by_raqm(font):
        return None
    return "rtl" if _is_right_to_left(text) else "ltr"


def _is_set_by_raqm(font: Font) -> bool:
    return isinstance(font, ImageFont.FreeTypeFont) and font.layout_engine == ImageFont.Layout.RAQM


def _is_right_to_left(text: str) -> bool:
    """True if *text* has letters of scripts from right to left, and none of others."""
    kinds = set(map(unicodedata.bidirectional, text))
    return bool(kinds & {"R", "AL"}) and "L" not in kinds
