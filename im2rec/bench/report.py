"""The report of a run of bench, and a chart of images per second over threads. All rates are in images per second."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from im2rec.bench.advice import Advice
from im2rec.bench.timing import Rate
from im2rec.images.fonts import Font, draw_text
from im2rec.images.sheet import png_bytes
from im2rec.schema import DRY_RUN, ENGINE, JPEG_DECODER, KERNEL, PEAK_MEMORY, described
from im2rec.storage.damaged_range import DAMAGED_BYTES, DAMAGED_RANGES, DAMAGED_RECORDS, DOUBTFUL, LOST


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage alone on one thread."""

    name: str = described("Name of the thing that the object is about.")
    rate: Rate = described("Images per second.")
    share: float = described("Its part of the time that one image takes in all, from 0 to 1.")


@dataclasses.dataclass(frozen=True)
class ThreadCountResult:
    """The *whole* with a number of threads (or worker processes), and full decoding alone with as many."""

    threads: int = described("Threads or processes that worked.")
    whole: Rate = described("Images per second of the whole.")
    full_decode: Rate | None = described("Images per second of decoding all pixels alone; null if it was not timed.")


@dataclasses.dataclass(frozen=True)
class ReadSpeed:
    """Bytes per second of reading alone on one thread; None from the disk if the cache could not be emptied."""

    source: str = described("Where the work itself read from: `memory`, `disk` or `unknown`.")
    in_memory_before: float | None = described("Share of the input that was cached before the run; null if unknown.")
    memory_in_order: float = described("Bytes per second from memory, in file order.")
    memory_shuffled: float | None = described("Bytes per second from memory, shuffled.")
    disk_in_order: float | None = described("Bytes per second from the disk, in file order.")
    disk_shuffled: float | None = described("Bytes per second from the disk, shuffled.")


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another library on the same file, in turns with ours. If it failed, *rate* is None and *note* the reason."""

    name: str = described("Name of the thing that the object is about.")
    version: str = described("Version of the thing that the object is about.")
    rate: Rate | None = described("Images per second; null if it failed.")
    note: str = described("Remark, or the reason why it failed.", "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The results that both kinds of bench have. Times are in seconds, *peak_memory* in bytes, None if unknown."""

    input: str = described("The `.rec` or the list, as it was given.")
    records: int = described("Records of the input, or lines of the list.")
    image_description: str = described("Typical size, kind and bytes of the images.")
    engine: str = described(ENGINE)
    jpeg_decoder: str = described(JPEG_DECODER)
    cpus: int = described("CPUs that the process may use.")
    seconds_each: float = described("Seconds for each measurement.")
    opening_s: float = described("Seconds to open the `.rec` or to read the list.")
    first_s: float = described("Seconds from there to the first batch or the first packed image.")
    read: ReadSpeed = described("Reading alone.")
    stages: list[Stage] = described("Each stage alone, on one thread.")
    by_threads: list[ThreadCountResult] = described("The whole with each number of threads or workers.")
    peak_memory: int | None = described(PEAK_MEMORY)
    without_result: int = described("Records or lines that gave no image.", 0)
    advice: Advice = described("What limits the speed, and what to try.")
    turns: Rate | None = described("Our own rate in turns with the peers; null without peers.", None)
    peers: list[Peer] = described("Other libraries on the same file.", factory=list)
    plot: str = described("Path of the chart; empty if none is drawn.", "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class IteratorReport(Report):
    """The results of a bench of the iterator."""

    data_shape: list[int] = described("Shape of an image or a row.")
    batch_size: int = described("Rows in a batch.")
    dtype: str = described("Type of the numbers in a batch.")
    kernel: str = described(KERNEL)
    declined: dict[str, int] = described("Sample images that the compiled decoder leaves to another one, by reason.")
    damaged_ranges: int = described(DAMAGED_RANGES, 0)
    damaged_bytes: int = described(DAMAGED_BYTES, 0)
    lost: int | None = described(LOST, None)
    doubtful: int = described(DOUBTFUL, 0)
    damaged_records: int = described(DAMAGED_RECORDS, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackReport(Report):
    """The results of a bench of packing."""

    root: str = described("The folder ROOT, as it was given.")


@dataclasses.dataclass(frozen=True)
class DryRunReport:
    """The plan of a dry run, which measures nothing."""

    input: str = described("The `.rec` or the list, as it was given.")
    records: int = described("Records of the input, or lines of the list.")
    thread_counts: list[int] = described("Numbers of threads or workers to time.")
    plot: str = described("Path of the chart; empty if none is drawn.")
    dry_run: bool = described(DRY_RUN, True)


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
    font = ImageFont.load_default(_FONT_SIZE)
    draw_text(draw, (_LEFT, 16), title, _TITLE_SIZE, _FOREGROUND)
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
