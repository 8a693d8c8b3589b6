"""A chart of images a second against threads."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from im2rec.bench.timing import Rate

Lines = Mapping[str, Mapping[int, Rate]]

_WIDTH, _HEIGHT = 880, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 150, 60, 70  # margins, in pixels
_PAPER, _INK, _FAINT = "#ffffff", "#202020", "#e0e0e0"
_COLORS = ("#c0392b", "#1f6fb2", "#2e8b57")
_FONT, _TITLE = 14, 17
_TICKS = 5
_DOT = 4


def draw_plot(lines: Lines, title: str, unit: str) -> bytes:
    """A PNG file: one line for each name of *lines*, its rates by number of *unit* (``threads``, ``workers``).

    Upright bars are the middle half of the repetitions.
    """
    chart = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    draw = ImageDraw.Draw(chart)
    font, large = ImageFont.load_default(_FONT), ImageFont.load_default(_TITLE)
    draw.text((_LEFT, 16), title, _INK, large)
    counts = sorted({count for line in lines.values() for count in line})
    top = _round_up(max(rate.high for line in lines.values() for rate in line.values()))
    _axes(draw, counts, top, unit, font)
    ends: list[float] = []
    for (name, line), color in zip(lines.items(), _COLORS, strict=False):
        points = [(_x(count, counts), _y(rate.median, top)) for count, rate in sorted(line.items())]
        draw.line(points, color, 3)
        for (x, y), (_, rate) in zip(points, sorted(line.items()), strict=True):
            draw.line([(x, _y(rate.low, top)), (x, _y(rate.high, top))], color, 1)
            draw.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), color)
        x, y = points[-1]
        y = _apart(y, ends)
        ends.append(y)
        draw.text((x + 12, y), f"{name}\n{line[max(line)].median:,.0f}", color, font, anchor="lm")
    encoded = io.BytesIO()
    chart.save(encoded, "PNG")
    return encoded.getvalue()


def _axes(
    draw: ImageDraw.ImageDraw,
    counts: list[int],
    top: float,
    unit: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = _y(value, top)
        draw.line([(_LEFT, y), (_WIDTH - _RIGHT, y)], _FAINT if tick else _INK, 1)
        draw.text((_LEFT - 10, y), f"{value:,.0f}", _INK, font, anchor="rm")
    for count in counts:
        x = _x(count, counts)
        draw.line([(x, _HEIGHT - _BOTTOM), (x, _HEIGHT - _BOTTOM + 5)], _INK, 1)
        draw.text((x, _HEIGHT - _BOTTOM + 10), str(count), _INK, font, anchor="ma")
    draw.text(((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 28), unit, _INK, font, anchor="ma")
    draw.text((_LEFT - 10, _TOP - 8), "images/s", _INK, font, anchor="rb")


def _x(count: int, counts: list[int]) -> float:
    """Twice as many are always as far apart, and a single number stands in the middle."""
    low, high = math.log2(counts[0]), math.log2(counts[-1])
    share = (math.log2(count) - low) / (high - low) if high > low else 0.5
    inner = 24
    return _LEFT + inner + share * (_WIDTH - _LEFT - _RIGHT - 2 * inner)


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM)


def _apart(y: float, taken: list[float]) -> float:
    """*y*, or the nearest place further down whose two lines of text stand clear of those at *taken*."""
    step = 2.6 * _FONT
    for other in sorted(taken):
        if abs(y - other) < step:
            y = other + step
    return y


def _round_up(value: float) -> float:
    """The next number above *value* that divides into :data:`_TICKS` round parts."""
    unit = 10.0 ** math.floor(math.log10(max(value, 1e-9) / _TICKS))
    return next(step * unit * _TICKS for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * unit * _TICKS >= value)
