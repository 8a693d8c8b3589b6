"""Small charts: histograms as SVG, and named bars as a table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from im2rec.errors import counted
from im2rec.inspection.distributions import Histogram
from im2rec.inspection.html.page import Child, element, named

Show = Callable[[float], str]
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 320, 4, 316, 36, 124, 144  # of the chart and of its bars
_MOST_TICKS = 5
# By the first digit of the distance of edges: numbers of edges that are 1, 2 or 5 times a power of ten together.
_MULTIPLES = {"1": (1, 2, 5), "2": (1, 5), "5": (1, 2, 4)}
_LETTER = 6.2  # about the width of a digit, in a font of 11 pixels
_MIN_BAR = 1.5  # the height of a bar of one among a million


def chart(title: str, text: str, drawn: Histogram | None, show: Show, counted_as: Callable[[int], str]) -> Element:
    """Return a card with *title*, the range of the numbers in words, *text*, and a histogram where they differ.

    ``show(number)`` is a number with its unit, ``counted_as(count)`` a count with its noun.
    """
    is_flat = drawn is None or len([count for count in drawn.counts if count]) < 2
    svg = None if drawn is None or is_flat else _svg(title, text, drawn, show, counted_as)
    return element("div", element("h3", title), element("p", text, class_="small muted"), svg, class_="card")


def images_text(count: int) -> str:
    """Return *count* with its noun, for charts that count images."""
    return counted(count, "image")


def _svg(title: str, text: str, drawn: Histogram, show: Show, counted_as: Callable[[int], str]) -> Element:
    highest = max(drawn.counts)
    places = [_place(drawn, edge) for edge in drawn.edges]
    bars = []
    for number, count in enumerate(drawn.counts):
        if not count:
            continue
        left, right = places[number], places[number + 1]
        height = max(_MIN_BAR, count / highest * (_BOTTOM - _TOP))
        bar = {"x": left + 0.5, "y": _BOTTOM - height, "width": max(right - left - 1, 0.5), "height": height}
        where = show(drawn.edges[number])
        where += "" if drawn.is_single else f" to below {show(drawn.edges[number + 1])}"
        bars.append(_shape("rect", bar, element("title", f"{where}: {counted_as(count)}"), class_="bar"))
    return element(
        "svg",
        _line(_LEFT, _TOP, _RIGHT, _TOP, "axis"),
        _text(_LEFT, 11, "start", counted_as(highest)),
        *bars,
        _line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis"),
        *_ticks(drawn, show),
        *_median(drawn, show),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"Histogram: {title.lower()}, {text}",
    )


def _place(drawn: Histogram, value: float) -> float:
    """Return the x coordinate of *value*."""
    first, last = (_scaled(drawn, edge) for edge in (drawn.edges[0], drawn.edges[-1]))
    return _LEFT + (_scaled(drawn, value) - first) / (last - first) * (_RIGHT - _LEFT)


def _scaled(drawn: Histogram, value: float) -> float:
    if not drawn.is_log:
        return value
    return math.log10(value) if value > 0 else math.log10(drawn.edges[1]) - 0.3  # 0 has a bar as wide as 1 has


def _ticks(drawn: Histogram, show: Show) -> Iterable[Element]:
    """Yield marks at some round numbers, with their names. Where each bar is one number, they are below its middle."""
    for edge in _ticked(drawn, show):
        place, name = _middle(drawn, edge), show(edge)
        yield _line(place, _BOTTOM, place, _BOTTOM + 4, "axis")
        yield _text(_kept_inside(place, len(name) * _LETTER / 2), _BOTTOM + 16, "middle", name)


def _ticked(drawn: Histogram, show: Show) -> list[float]:
    """Return as many edges as there is room for: multiples of 1, 2 or 5 times a power of ten, or powers of ten."""
    edges = drawn.edges[:-1] if drawn.is_single else drawn.edges
    room = (_RIGHT - _LEFT) / (max(len(show(edge)) for edge in edges) * _LETTER + 12)
    most = max(2, min(_MOST_TICKS, int(room)))
    if drawn.is_log:
        powers = [edge for edge in edges if edge > 0 and math.log10(edge).is_integer()]
        some = powers if len(powers) > 1 else edges
        return some[:: -(-len(some) // most)]
    step = edges[1] - edges[0] if len(edges) > 1 else 1.0
    numbers = [round(edge / step) for edge in edges]
    every_of = _MULTIPLES[f"{step:e}"[0]]
    for every in (factor * 10**power for power in itertools.count() for factor in every_of):
        found = [edge for edge, number in zip(edges, numbers, strict=True) if number % every == 0]
        if len(found) <= most:
            return found if len(found) > 1 else [edges[0], edges[-1]]
    raise AssertionError("no multiple is above all numbers")


def _median(drawn: Histogram, show: Show) -> Iterable[Element]:
    place, name = _middle(drawn, drawn.median), f"median {show(drawn.median)}"
    yield _line(place, _TOP - 6, place, _BOTTOM, "median")
    yield _text(_kept_inside(place, len(name) * _LETTER / 2), _TOP - 11, "middle", name, "median-text")


def _middle(drawn: Histogram, value: float) -> float:
    return _place(drawn, value + 0.5 if drawn.is_single else value)


def _kept_inside(place: float, half: float) -> float:
    """Return the middle of a text, half of which is *half* wide, that is to be at *place*."""
    return min(max(place, _LEFT + half), _RIGHT - half)


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    return _shape("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2}, class_=class_)


def _text(x: float, y: float, anchor: str, text: str, class_: str | None = None) -> Element:
    return _shape("text", {"x": x, "y": y}, text, text_anchor=anchor, class_=class_)


def _shape(tag: str, numbers: dict[str, float], *children: Child, **attributes: str | None) -> Element:
    return element(tag, *children, **{name: f"{number:.4g}" for name, number in numbers.items()}, **attributes)


class Bar(NamedTuple):
    """A bar for a *number* of things: its *name*, and in *foreign* what the file itself calls it."""

    name: str
    number: int
    foreign: str = ""


def bars(rows: Sequence[Bar], caption: str) -> Element:
    """Return a table of names, bars and counts; the bars are lengths below the largest count."""
    highest = max((bar.number for bar in rows), default=1)
    lines = [
        element(
            "tr",
            element("th", named(bar.name, bar.foreign), scope="row"),
            element("td", element("i", style=f"width:{100 * bar.number / highest:.3g}%")),
            element("td", f"{bar.number:,}"),
        )
        for bar in rows
    ]
    return element("table", element("caption", caption, class_="hidden"), element("tbody", *lines), class_="bars")


def bar_card(title: str, rows: Sequence[Bar], text: str = "", *, wide: bool = False) -> Element:
    """Return a card with *title*, *text*, and a bar for each of *rows*."""
    note = element("p", text, class_="small muted") if text else None
    return element("div", element("h3", title), note, bars(rows, title), class_="card wide" if wide else "card")
