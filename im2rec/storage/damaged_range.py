"""Damaged ranges of a ``.rec`` as the results of commands give them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from im2rec.schema import described
from im2rec.storage.scan import Damage


@dataclasses.dataclass
class DamagedRange:
    """A range of bytes without a whole record."""

    start: int = described("First damaged byte, from the start of the file.")
    end: int = described("First byte after the damaged ones.")
    records_before: int = described("Whole records before the damage.")
    problem: str = described("Problem in a sentence.")
    lost: int | None = described("Records that were lost here, by `recover`; null if nothing tells.", None)
    lost_keys: list[int] = described("Ids or keys of the records that were lost here, as far as known.", factory=list)


def damaged_ranges(damage: Iterable[Damage], size: int) -> list[DamagedRange]:
    """Return the ranges of *damage*, which a scan has found in a file of *size* bytes."""
    return [DamagedRange(item.start, item.end, item.error.record or 0, describe(item, size)) for item in damage]


def describe(damage: Damage, size: int) -> str:
    """Return in a sentence what is wrong in a damaged range of a file of *size* bytes."""
    shift = (damage.end - damage.start) % 4 if damage.end < size else 0
    return damage.error.problem + (f"; records after it are {shift} bytes off the 4-byte grid" if shift else "")
