"""The report of a run of bench, and a chart of images a second against threads; every rate is in images a second."""

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
    """One stage alone on one thread; *share* is what it has of the time that an image takes in all, from 0 to 1."""

    name: str
    rate: Rate
    share: float


@dataclasses.dataclass(frozen=True)
class ThreadCountResult:
    """The *whole* on some threads (or worker processes), and decoding all of each image on as many.

    *full_decode* is None where it was not timed.
    """

    threads: int
    whole: Rate
    full_decode: Rate | None


@dataclasses.dataclass(frozen=True)
class ReadSpeed:
    """Reading alone on one thread; bytes a second. *disk* is None when memory held everything and would not forget it.

    *source* says where the work itself got its bytes: ``memory``, ``disk``, ``unknown``.
    """

    source: str
    in_memory_before: float | None
    memory_in_order: float
    memory_shuffled: float | None
    disk_in_order: float | None
    disk_shuffled: float | None


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another library on the same file, in turns with ours; *rate* is None when it failed, and *note* says why."""

    name: str
    version: str
    rate: Rate | None
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What both kinds of run tell. Times are in seconds, *peak_memory* in bytes (None where nothing tells it).

    *turns* is ours on the most threads, in turns with the *peers*; without peers None.
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
    """What was found about an iterator.

    *kernel* names the compiled JPEG decoder, or says why there is none; *declined* counts the images of the sample
    that it left to the other one, by reason.
    """

    data_shape: list[int]
    batch_size: int
    dtype: str
    kernel: str
    declined: dict[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackReport(Report):
    """What was found about packing: *opening_s* is reading the list, *first_s* until the first image is packed."""

    root: str


@dataclasses.dataclass(frozen=True)
class Planned:
    """What a dry run tells: nothing was measured."""

    input: str
    records: int
    threads: list[int]
    plot: str
    dry_run: bool = True


def shares(alone: Mapping[str, Rate], whole: Rate | None) -> list[Stage]:
    """The stages with their shares of the time of the *whole* on one thread, or of their sum where that is longer."""
    total = sum(1 / stage.median for stage in alone.values())
    if whole is not None:
        total = max(total, 1 / whole.median)
    return [Stage(name, stage, 1 / stage.median / total) for name, stage in alone.items()]


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
    return png_bytes(chart)


def _axes(draw: ImageDraw.ImageDraw, counts: list[int], top: float, unit: str, font: Font) -> None:
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
