"""What packing hands to a worker and gets back. No library of pictures is needed to know it, and none is imported."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from im2rec.errors import Im2RecError, ImageError, ListFormatError
from im2rec.format.listfile import ListEntry
from im2rec.packing.params import PackParams

BAD_LINE, MISSING, UNREADABLE, TOO_LARGE = "bad list line", "missing", "unreadable", "too large for a record"


@dataclasses.dataclass(frozen=True)
class Bad:
    """An image that is not in the ``.rec``: its line in the list, and why; *reason* is a stable word for counting."""

    line: int
    id: int | None
    path: str | None
    reason: str
    detail: str


@dataclasses.dataclass
class Chunk:
    """What some lines of a list became: (id, frame) for each record, in list order, and what there is to report."""

    frames: list[tuple[int, bytes]] = dataclasses.field(default_factory=list)
    bad: list[Bad] = dataclasses.field(default_factory=list)
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    bytes_in: int = 0
    seconds: float = 0.0
    engine: str = ""
    jpeg_decoder: str = ""
    good: list[bool] = dataclasses.field(default_factory=list)  # line by line


def work_on(
    entries: Sequence[ListEntry | ListFormatError], root: str, params: PackParams, *, verify: bool = False
) -> Chunk:
    """Import :func:`im2rec.packing.encode.pack_chunk` in the worker only: the parent starts 0.1 s sooner."""
    from im2rec.packing.encode import pack_chunk  # noqa: PLC0415

    return pack_chunk(entries, root, params, verify=verify)


def bad_line(error: ListFormatError) -> Bad:
    """The row of the report for a line that cannot be read."""
    return Bad(error.line or 0, None, None, BAD_LINE, error.problem)


def as_error(bad: Bad, list_path: str) -> Im2RecError:
    """*bad* as the error that ends a run."""
    place = f"{list_path}, line {bad.line}"
    what = f"{bad.path}: " if bad.path else ""
    return ImageError(f"{place}: {what}{bad.detail}", reason=bad.reason, hint="--on-error skip packs the rest")
