"""Damaged ranges of a ``.rec``: the log of a scan, which counts them all, and as the results of commands give them."""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from im2rec.errors import counted
from im2rec.format.indexfile import Offsets
from im2rec.schema import described
from im2rec.storage.blocks import Damage

MAX_LISTED = 10_000  # a hostile file of some megabytes may have a million ranges, and each takes a kilobyte
MAX_NAMED = 3  # in a table, and in warnings; the rest is counted
DAMAGE = f"Damaged ranges of bytes, the first {MAX_LISTED:,} of them; the records in them are lost."
DAMAGED_RANGES = "Number of all damaged ranges."
DAMAGED_BYTES = "Bytes in all damaged ranges."
DAMAGED_RECORDS = "Records that were left out because reading them whole showed that they are damaged."
LOST = "Records that the index lists and that are lost; null if no index tells."
DOUBTFUL = "Records that end at damage and that nothing proves to be whole; they count as records."


class DamageLog:
    """The damaged ranges of a scan, in file order: all are counted, the first ``MAX_LISTED`` are in the list *listed*.

    ``len()`` is the number of all, *nbytes* the bytes in them. Further ones take 16 bytes each.
    """

    def __init__(self, ranges: Iterable[Damage] = ()) -> None:
        self.listed: list[Damage] = []
        self._starts, self._ends = array("q"), array("q")
        for item in ranges:
            self.append(item)

    def append(self, item: Damage) -> None:
        """Add the next range."""
        if len(self.listed) < MAX_LISTED:
            self.listed.append(item)
        self._starts.append(item.start)
        self._ends.append(item.end)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Damage]:
        """Iterate over those that are listed."""
        return iter(self.listed)

    @property
    def starts(self) -> Offsets:
        """The first byte of every range (int64)."""
        return np.array(self._starts, np.int64)

    @property
    def ends(self) -> Offsets:
        """The first byte after every range (int64)."""
        return np.array(self._ends, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes in all ranges."""
        return int(np.sum(self.ends - self.starts))


@dataclasses.dataclass
class DamagedRange:
    """A range of bytes without a whole record."""

    start: int = described("First damaged byte, from the start of the file.")
    end: int = described("First byte after the damaged ones.")
    records_before: int = described("Records before the damage.")
    problem: str = described("Problem in a sentence.")
    lost: int | None = described("Records that were lost here, by `recover`; null if nothing tells.", None)
    lost_keys: list[int] = described("Ids or keys of the records that were lost here, as far as known.", factory=list)


def damaged_ranges(damage: Iterable[Damage], size: int) -> list[DamagedRange]:
    """Return the ranges of *damage*, which a scan has found in a file of *size* bytes."""
    return [DamagedRange(item.start, item.end, item.error.record or 0, describe(item, size)) for item in damage]


def describe(damage: Damage, size: int) -> str:
    """Return in a sentence what is wrong in a damaged range of a file of *size* bytes."""
    shift = (damage.end - damage.start) % 4 if damage.end < size else 0
    return damage.error.problem + (
        f"; records after it are {counted(shift, 'byte')} off the 4-byte grid" if shift else ""
    )


def named_ranges(ranges: Sequence[DamagedRange], count: int) -> list[str]:
    """Return a sentence on each of the first *ranges*, and one on how many more of *count* there are."""
    named = [named_range(bad) for bad in ranges[:MAX_NAMED]]
    more = count - len(named)
    return [*named, f"and {counted(more, 'more damaged range')}"] if more > 0 else named


def named_range(bad: DamagedRange) -> str:
    """Return in a sentence where the damage *bad* is, and what is wrong there."""
    where = f"byte {bad.start}" if bad.start == bad.end else f"bytes {bad.start} to {bad.end}"
    return f"{where}, after {counted(bad.records_before, 'record')}: {bad.problem}"
