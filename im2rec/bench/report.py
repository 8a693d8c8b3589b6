"""The report of a run of bench, and a chart of images per second over threads. All rates are in images per second."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from im2rec.bench.advice import Advice
from im2rec.bench.timing import Rate
from im2rec.images.sheet import Font, png_bytes


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage alone on one thread; *share* is its part of the time that one image takes in all, from 0 to 1."""

    name: str
    rate: Rate
    share: float


@dataclasses.dataclass(frozen=True)
class ThreadCountResult:
    """The *whole* with a number of threads (or worker processes), and full decoding alone with as many.

    *full_decode* decodes all pixels of each image; it is None if it was not timed.
    """

    threads: int
    whole: Rate
    full_decode: Rate | None


@dataclasses.dataclass(frozen=True)
class ReadSpeed:
    """Bytes per second of reading alone on one thread; those from the disk are None if the cache could not be emptied.

    *source* is where the work itself read from: ``memory``, ``disk`` or ``unknown``. *in_memory_before* is the share of
    the input that was cached before the run, from 0 to 1, None if unknown.
    """

    source: str
    in_memory_before: float | None
    memory_in_order: float
    memory_shuffled: float | None
    disk_in_order: float | None
    disk_shuffled: float | None


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another library on the same file, in turns with ours. If it failed, *rate* is None and *note* the reason."""

    name: str
    version: str
    rate: Rate | None
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The results that both kinds of bench have. Times are in seconds, *peak_memory* in bytes, None if unknown.

    *turns* is our own rate with the most threads, measured in turns with the *peers*; None without peers.
    """

    input: str
    records: int
    pictures: str
    engine: str
    jpeg_decoder: str
    cpus: int
    seconds_each: float
    opening_s: float
    first_s: float
    read: ReadSpeed
    stages: list[Stage]
    threads: list[ThreadCountResult]
    peak_memory: int | None
    left_out: int = 0
    advice: Advice
    turns: Rate | None = None
    peers: list[Peer] = dataclasses.field(default_factory=list)
    plot: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class IteratorReport(Report):
    """The results of a bench of the iterator.

    *kernel* names the compiled JPEG decoder, or says why there is none. *declined* counts the sample images that it
    left to the ordinary decoder, by reason.
    """

    data_shape: list[int]
    batch_size: int
    dtype: str
    kernel: str
    declined: dict[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackReport(Report):
    """The results of a bench of packing.

    *opening_s* is the time to read the list, *first_s* the time from there until the first image is packed.
    """

    root: str


@dataclasses.dataclass(frozen=True)
class DryRunReport:
    """The plan of a dry run, which measures nothing."""

    input: str
    records: int
    threads: list[int]
    plot: str
    dry_run: bool = True


def stages_with_shares(rates: Mapping[str, Rate], whole: Rate | None) -> list[Stage]:
    """Return the stages of *rates*, each with its share of the time that an image takes on one thread.

    That time is the one of the *whole*, or the sum of the stages if it is longer or *whole* is None.
    """
    total = sum(1 / rate.median for rate in rates.values())
    if whole is not None:
        total = max(total, 1 / whole.median)
    return [Stage(name, rate, 1 / rate.median / total) for name, rate in rates.items()]


RateLines = Mapping[str, Mapping[int, Rate]]  # name of the line -> number of threads -> rate

_WIDTH, _HEIGHT = 880, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 150, 60, 70  # margins, in pixels
_BACKGROUND, _FOREGROUND, _GRID = "#ffffff", "#202020", "#e0e0e0"
_COLORS = ("#c0392b", "#1f6fb2", "#2e8b57")
_FONT_SIZE, _TITLE_SIZE = 14, 17
_TICKS = 5
_DOT_RADIUS = 4
_PADDING = 24  # between the axes and the first and last number of threads
_LABEL_GAP = 2.6 * _FONT_SIZE  # between two labels of two lines of text each


def draw_plot(lines: RateLines, title: str, unit: str) -> bytes:
    """Return a PNG file with a line for each name of *lines*: its median rates over the number of *unit*.

    *unit* is a plural noun, such as ``threads``. Vertical bars show the middle half of the repetitions.
    """
    chart = Image.new("RGB", (_WIDTH, _HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(chart)
    font, title_font = ImageFont.load_default(_FONT_SIZE), ImageFont.load_default(_TITLE_SIZE)
    draw.text((_LEFT, 16), title, _FOREGROUND, title_font)
    counts = sorted({count for line in lines.values() for count in line})
    top = _axis_end(max(rate.high for line in lines.values() for rate in line.values()))
    _draw_axes(draw, counts, top, unit, font)
    label_ys: list[float] = []
    for (name, line), color in zip(lines.items(), _COLORS, strict=False):
        points = [(_x(count, counts), _y(rate.median, top)) for count, rate in sorted(line.items())]
        draw.line(points, color, 3)
        for (x, y), (_, rate) in zip(points, sorted(line.items()), strict=True):
            draw.line([(x, _y(rate.low, top)), (x, _y(rate.high, top))], color, 1)
            draw.ellipse((x - _DOT_RADIUS, y - _DOT_RADIUS, x + _DOT_RADIUS, y + _DOT_RADIUS), color)
        x, y = points[-1]
        y = _clear_of(y, label_ys)
        label_ys.append(y)
        draw.text((x + 12, y), f"{name}\n{line[max(line)].median:,.0f}", color, font, anchor="lm")
    return png_bytes(chart)


def _draw_axes(draw: ImageDraw.ImageDraw, counts: list[int], top: float, unit: str, font: Font) -> None:
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = _y(value, top)
        draw.line([(_LEFT, y), (_WIDTH - _RIGHT, y)], _GRID if tick else _FOREGROUND, 1)
        draw.text((_LEFT - 10, y), f"{value:,.0f}", _FOREGROUND, font, anchor="rm")
    for count in counts:
        x = _x(count, counts)
        draw.line([(x, _HEIGHT - _BOTTOM), (x, _HEIGHT - _BOTTOM + 5)], _FOREGROUND, 1)
        draw.text((x, _HEIGHT - _BOTTOM + 10), str(count), _FOREGROUND, font, anchor="ma")
    draw.text(((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 28), unit, _FOREGROUND, font, anchor="ma")
    draw.text((_LEFT - 10, _TOP - 8), "images/s", _FOREGROUND, font, anchor="rb")


def _x(count: int, counts: list[int]) -> float:
    """Return the x of *count* threads on a logarithmic axis over *counts*; a single count is in the middle."""
    low, high = math.log2(counts[0]), math.log2(counts[-1])
    share = (math.log2(count) - low) / (high - low) if high > low else 0.5
    return _LEFT + _PADDING + share * (_WIDTH - _LEFT - _RIGHT - 2 * _PADDING)


def _y(rate: float, top: float) -> float:
    """Return the y of *rate* on a linear axis from 0 to *top*."""
    return _HEIGHT - _BOTTOM - rate / top * (_HEIGHT - _TOP - _BOTTOM)


def _clear_of(y: float, taken: list[float]) -> float:
    """Return *y*, moved down as far as a label there needs so as not to overlap the labels at *taken*."""
    for other in sorted(taken):
        if abs(y - other) < _LABEL_GAP:
            y = other + _LABEL_GAP
    return y


def _axis_end(value: float) -> float:
    """Return the next number above *value* that divides into :data:`_TICKS` round steps."""
    unit = 10.0 ** math.floor(math.log10(max(value, 1e-9) / _TICKS))
    return next(step * unit * _TICKS for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * unit * _TICKS >= value)
