"""What the pictures of a sample are like."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from im2rec.images.codec import sniff


def jpeg_share(contents: Sequence[bytes]) -> float:
    """The share of JPEGs."""
    return sum(sniff(content) == "JPEG" for content in contents) / len(contents)


def typical(contents: Sequence[bytes], sizes: Sequence[tuple[int, int]]) -> str:
    """Typical pictures, in words; *sizes* are width and height of each."""
    width, height = (round(statistics.median(edge)) for edge in zip(*sizes, strict=True))
    share = jpeg_share(contents)
    kind = "JPEG" if share == 1 else "no JPEG" if share == 0 else f"{share:.0%} JPEG"
    return f"{width} x {height}, {kind}, {statistics.mean(map(len, contents)) / 1000:.3g} kB"
