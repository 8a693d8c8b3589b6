"""The distributions of a survey, from which the charts of its HTML report are drawn: counts of ranges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.format.irheader import Labels
from im2rec.storage.classes import ClassNames

MAX_BARS = 24
_LONG_TAIL = 10  # times the median: above, the largest number leaves the others in one or two bars of equal width
_STEPS = (1, 2, 5)


class Histogram(NamedTuple):
    """Counts of numbers between neighbouring *edges*, of which the upper one is excluded.

    There is one more of *edges* than of *counts*. They are equally far apart, or with *is_log* 1, 2, 5, 10, 20 and so
    on, with 0 before them where it occurs. With *is_single* they are one apart, and each bar is one whole number.
    """

    edges: list[float]
    counts: list[int]
    median: float
    is_log: bool
    is_single: bool


class ClassCounts(NamedTuple):
    """The distinct first *labels* of the images (float32), ascending, and the number of *images* of each (int64)."""

    labels: Labels
    images: npt.NDArray[np.int64]


@dataclasses.dataclass
class Sampled:
    """Numbers from the headers of the images that a survey looks at: sizes in pixels, and qualities of JPEGs.

    *unreadable* are the ordinals of the first images whose headers cannot be read, and the reasons.
    """

    widths: list[int] = dataclasses.field(default_factory=list)
    heights: list[int] = dataclasses.field(default_factory=list)
    qualities: list[int] = dataclasses.field(default_factory=list)
    unreadable: dict[int, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Distributions:
    """Distributions of the numbers behind a survey. Each is None where there are no numbers.

    *widths*, *heights*, *aspects* (width by height) and *qualities* are those of the images that were looked at,
    *content_bytes* (of encoded images), *objects* (of an image of a detection set) and *classes* those of all.
    *shown* has the offsets of up to 60 records with images, evenly spread.
    """

    widths: Histogram | None = None
    heights: Histogram | None = None
    aspects: Histogram | None = None
    qualities: Histogram | None = None
    content_bytes: Histogram | None = None
    objects: Histogram | None = None
    classes: ClassCounts | None = None
    names: ClassNames | None = None
    shown: list[int] = dataclasses.field(default_factory=list)

    def add_sampled(self, sampled: Sampled) -> None:
        """Add the distributions of the images that were looked at."""
        widths, heights = np.array(sampled.widths), np.array(sampled.heights)
        self.widths, self.heights = histogram(widths), histogram(heights)
        self.aspects = histogram(widths / heights if len(heights) else heights)
        self.qualities = histogram(np.array(sampled.qualities))


def histogram_of_counts(counts: Mapping[int, int]) -> Histogram | None:
    """Return the distribution of whole numbers, of which *counts* has how often each occurs."""
    return histogram(np.array(list(counts)), np.array(list(counts.values())))


def histogram(values: npt.NDArray[Any], weights: npt.NDArray[np.int64] | None = None) -> Histogram | None:
    """Return the distribution of *values*, in at most about ``MAX_BARS`` bars; None of no values.

    Values must be finite. Whole numbers, of an integer type, are never split. *weights* is how often each occurs.
    """
    if not len(values):
        return None
    lowest, highest, middle = values.min(), values.max(), _median(values, weights)
    is_whole = values.dtype.kind in "iu"
    is_log = bool(lowest >= 0 and highest > _LONG_TAIL * middle and (is_whole or lowest > 0))
    edges = _log_edges(lowest, highest) if is_log else _even_edges(float(lowest), float(highest), is_whole=is_whole)
    bars = np.searchsorted(np.array(edges), values, "right") - 1
    counts = np.bincount(np.clip(bars, 0, len(edges) - 2), weights, len(edges) - 1)
    is_single = is_whole and not is_log and edges[1] - edges[0] == 1
    return Histogram(edges, [int(count) for count in counts], middle, is_log, is_single)


def _median(values: npt.NDArray[Any], weights: npt.NDArray[np.int64] | None) -> float:
    if weights is None:
        return float(np.median(values))
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])


def _even_edges(lowest: float, highest: float, *, is_whole: bool) -> list[float]:
    """Return edges at multiples of 1, 2 or 5 times a power of ten, the last one above *highest*."""
    rough = (highest - lowest) / MAX_BARS
    if is_whole:
        rough = max(rough, 1 / 2)  # rounded up to 1
    elif rough <= abs(highest) * 1e-6:  # float32 tells no more numbers apart
        rough = max(abs(highest), 1.0) / 100
    power = math.floor(math.log10(rough))
    step = next(step for step in (1, 2, 5, 10) if step * 10.0**power >= rough)
    if is_whole and power < 0:
        step, power = 1, 0
    # Multiplied or divided by a whole number, so that an edge is 0.3 and not 0.30000000000000004.
    unit = 10 ** abs(power)

    def edge(number: int) -> float:
        return float(number * step * unit if power >= 0 else number * step / unit)

    first = math.floor(lowest / edge(1))
    while edge(first) > lowest:
        first -= 1
    last = first + 1
    while edge(last) <= highest:
        last += 1
    return [edge(number) for number in range(first, last + 1)]


def _log_edges(lowest: float, highest: float) -> list[float]:
    """Return edges 1, 2, 5, 10 and so on; before them 0, if *lowest* is 0."""
    power = math.floor(math.log10(lowest)) if lowest > 0 else 0
    edges = [0.0] if lowest == 0 else []
    while not edges or edges[-1] <= highest:
        edges += [float(step * 10**power if power >= 0 else step / 10**-power) for step in _STEPS]
        power += 1
    while len(edges) > 2 and edges[-2] > highest:
        edges.pop()
    while len(edges) > 2 and edges[1] <= lowest:
        edges.pop(0)
    return edges
