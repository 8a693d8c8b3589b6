"""Maps beside a new set, from its labels or keys to those of the sets that it was made of: tables with TABs.

The first line holds the names of the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt

_LINES = 1 << 13  # are formatted at once


def map_lines(names: Sequence[str], *columns: Sequence[Any] | npt.NDArray[Any]) -> Iterator[bytes]:
    """Yield a table in pieces of some thousand lines: the *names* of the columns, then their values.

    The *columns* are of equal length: arrays or sequences of whole numbers, or of texts without TABs and line breaks.
    """
    yield map_head(names)
    yield from map_rows(*columns)


def map_head(names: Sequence[str]) -> bytes:
    """Return the first line of a table: the *names* of its columns."""
    return "\t".join(names).encode() + b"\n"


def map_rows(*columns: Sequence[Any] | npt.NDArray[Any]) -> Iterator[bytes]:
    """Yield the lines of a table behind the first one, as :func:`map_lines` does."""
    for start in range(0, len(columns[0]), _LINES):
        part = [_listed(column[start : start + _LINES]) for column in columns]
        lines = ("\t".join(map(str, row)) for row in zip(*part, strict=True))
        yield "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _listed(values: Any) -> list[Any]:
    """Return the elements of an array as Python's numbers, which are ten times faster to format."""
    return list(values.tolist() if hasattr(values, "tolist") else values)
