"""Kinds of damage, half of them aimed at part heads, and cases: each a damaged file of a seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import NamedTuple

from faults.damaged_files import HEAD_BYTES, KINDS, MOST, Damaged, Head, Original, make_original, overlaid

LONGEST = 5000  # bytes of an inserted, removed, zeroed or overwritten range

# Damages anywhere.


def _somewhere(rng: random.Random, file: Damaged) -> int:
    """Return an offset: half of the time of any byte, else in or near any record, whatever its size."""
    if rng.random() < 0.5:
        return rng.randrange(file.size)
    heads = file.heads()
    starts = [at for at, head in heads.items() if head.starts_record] or [0]
    at = rng.choice(starts)
    record = heads[at].record if heads else 0
    frame = len(file.original.frames[record])
    return min(max(0, at + rng.randrange(-16, frame + 16)), file.size - 1)


def _length(rng: random.Random, most: int = LONGEST) -> int:
    return min(most, int(2 ** rng.uniform(0, 12.3)))


def _range(rng: random.Random, file: Damaged) -> tuple[int, int]:
    """Return start and stop of a range; one in five begins and ends at borders of disk blocks."""
    start, length = _somewhere(rng, file), _length(rng)
    if rng.random() < 0.2 and file.size > 1024:
        start, length = start & -512, rng.choice([512, 512, 1024, 4096])
    return start, min(file.size, start + length)


def flip_bit(rng: random.Random, file: Damaged, at: int | None = None) -> str:
    at = _somewhere(rng, file) if at is None else at
    bit = rng.randrange(8)
    file.overwrite(at, bytes([file.data[at] ^ 1 << bit]))
    return f"bit {bit} of byte {at} flipped"


def cut_end(rng: random.Random, file: Damaged) -> str:
    at = max(1, _somewhere(rng, file))
    file.replace(at, file.size, [])
    return f"cut at byte {at}"


def cut_front(rng: random.Random, file: Damaged) -> str:
    at = min(_somewhere(rng, file), file.size // 2)
    file.replace(0, at, [])
    return f"the first {at} bytes cut off"


def zero(rng: random.Random, file: Damaged) -> str:
    start, stop = _range(rng, file)
    file.overwrite(start, bytes(stop - start))
    return f"bytes {start} to {stop} zeroed"


def insert(rng: random.Random, file: Damaged) -> str:
    at, length = _somewhere(rng, file), rng.randrange(1, 9) if rng.random() < 0.5 else _length(rng)
    file.insert(at, rng.randbytes(length))
    return f"{length} bytes inserted at {at}"


def remove(rng: random.Random, file: Damaged) -> str:
    start, stop = _range(rng, file)
    if rng.random() < 0.4:
        stop = min(file.size, start + rng.randrange(1, 9))
    file.replace(start, stop, [])
    return f"bytes {start} to {stop} removed"


def overwrite(rng: random.Random, file: Damaged) -> str:
    start, stop = _range(rng, file)
    file.overwrite(start, rng.randbytes(stop - start))
    return f"bytes {start} to {stop} overwritten at random"


def overwrite_from_file(rng: random.Random, file: Damaged) -> str:
    start, stop = _range(rng, file)
    other = rng.randrange(max(1, file.size - (stop - start)))
    other = other & -4 if rng.random() < 0.5 else other
    file.replace(start, stop, overlaid(file.part(other, other + stop - start), file.part(start, stop)))
    return f"bytes {start} to {stop} overwritten by those from {other} on"


def swap_equal(rng: random.Random, file: Damaged) -> str:
    start, stop = _range(rng, file)
    other = _somewhere(rng, file)
    other = other & -512 if start % 512 == 0 else other
    length = min(stop - start, abs(other - start), file.size - other)
    return _swap(file, *sorted([(start, start + length), (other, other + length)]))


def swap_unequal(rng: random.Random, file: Damaged) -> str:
    points = sorted(_somewhere(rng, file) for _ in range(2))
    a, b = points[0], min(points[0] + _length(rng), points[1])
    return _swap(file, (a, b), (points[1], min(file.size, points[1] + _length(rng))))


def _swap(file: Damaged, first: tuple[int, int], second: tuple[int, int]) -> str:
    one, two, between = file.part(*first), file.part(*second), file.part(first[1], second[0])
    if first[1] - first[0] == second[1] - second[0]:
        one, two = overlaid(one, two), overlaid(two, one)
    file.replace(first[0], second[1], [*two, *between, *one])
    return f"bytes {first[0]} to {first[1]} swapped with bytes {second[0]} to {second[1]}"


def double(rng: random.Random, file: Damaged) -> str:
    start, stop = _range(rng, file)
    file.replace(stop, stop, file.part(start, stop))
    return f"bytes {start} to {stop} doubled"


def double_tail(rng: random.Random, file: Damaged) -> str:
    start = _somewhere(rng, file)
    file.replace(file.size, file.size, file.part(start, file.size))
    return f"the bytes from {start} on doubled"


# Damages aimed at part heads and length words.


def _a_head(rng: random.Random, file: Damaged) -> tuple[int, Head]:
    """Return an intact head and its offset: one in two of any part, else the first of any record."""
    heads = list(file.heads().items())
    starts = [pair for pair in heads if pair[1].starts_record]
    return rng.choice(starts if starts and rng.random() < 0.5 else heads)


def _set_length(file: Damaged, at: int, head: Head, length: int) -> str:
    file.overwrite(at + 4, struct.pack("<I", head.flag << 29 | length))
    return f"the length word at {at + 4} set from {head.length} to {length}"


def flip_in_head(rng: random.Random, file: Damaged) -> str:
    at, _ = _a_head(rng, file)
    return flip_bit(rng, file, at + rng.choice([rng.randrange(4), 7, 4, 5, rng.randrange(4, 8)]))


def swallow(rng: random.Random, file: Damaged) -> str:
    """Raise a length so that the part ends where a later record ends: it contains one record or several."""
    at, head = _a_head(rng, file)
    starts = [now for now, other in file.heads().items() if now > at and other.starts_record]
    ends = [*starts[1:], file.size] if starts else []
    if not ends:
        return raise_length(rng, file)
    end = rng.choice(ends[: rng.choice([1, 1, 3, 8])])
    return _set_length(file, at, head, min(MOST, end - at - HEAD_BYTES - rng.choice([0, 0, 1, 3])))


def raise_to_head(rng: random.Random, file: Damaged) -> str:
    """Raise a length so that the part ends at the head of a part that does not follow it."""
    at, head = _a_head(rng, file)
    later = [now for now in file.heads() if now > at + HEAD_BYTES + head.length + 3][:12]
    return _set_length(file, at, head, rng.choice(later) - at - HEAD_BYTES) if later else raise_length(rng, file)


def raise_length(rng: random.Random, file: Damaged) -> str:
    at, head = _a_head(rng, file)
    more = rng.choice([rng.randrange(1, 4), 4, 8, _length(rng), _length(rng), file.size, MOST])
    return _set_length(file, at, head, min(MOST, head.length + more))


def shrink_length(rng: random.Random, file: Damaged) -> str:
    at, head = _a_head(rng, file)
    less = rng.choice([rng.randrange(1, 4), 4, 8, rng.randrange(head.length + 1), head.length])
    return _set_length(file, at, head, max(0, head.length - less))


def zero_head(rng: random.Random, file: Damaged) -> str:
    at, _ = _a_head(rng, file)
    start, stop = rng.choice([(0, 8), (0, 4), (4, 8), (-4, 12)])
    file.overwrite(max(0, at + start), bytes(stop - start))
    return f"the head at {at} zeroed, bytes {start} to {stop} of it"


def insert_at_head(rng: random.Random, file: Damaged) -> str:
    at = _a_head(rng, file)[0] + rng.choice([0, 0, 4, 8, rng.randrange(9)])
    data = rng.choice([rng.randbytes, bytes])(rng.choice([1, 2, 3, 4, 5, 8, 512, _length(rng)]))
    file.insert(min(at, file.size), data)
    return f"{len(data)} bytes inserted at {at}, at a head"


def remove_at_head(rng: random.Random, file: Damaged) -> str:
    at = _a_head(rng, file)[0] + rng.choice([0, 0, 4, 8, -1, rng.randrange(9)])
    start = max(0, at)
    stop = min(file.size, start + rng.choice([1, 2, 3, 4, 8, 512, _length(rng)]))
    file.replace(start, stop, [])
    return f"bytes {start} to {stop} removed, at a head"


def cut_at_head(rng: random.Random, file: Damaged) -> str:
    at = max(1, _a_head(rng, file)[0] + rng.choice([0, 4, 8, -1, -3, -4]))
    if rng.random() < 0.5:
        file.replace(0, min(at, file.size // 2), [])
        return f"cut off at the front before byte {at}, at a head"
    file.replace(at, file.size, [])
    return f"cut at byte {at}, at a head"


def _records(rng: random.Random, file: Damaged) -> tuple[int, int]:
    """Return start and stop of one or several frames in a row."""
    borders = [at for at, head in file.heads().items() if head.starts_record] + [file.size]
    first = rng.randrange(len(borders) - 1)
    return borders[first], borders[min(len(borders) - 1, first + rng.choice([1, 1, 2, 5]))]


def swap_records(rng: random.Random, file: Damaged) -> str:
    first, second = sorted([_records(rng, file), _records(rng, file)])
    return _swap(file, (first[0], min(first[1], second[0])), second)


def double_records(rng: random.Random, file: Damaged) -> str:
    start, stop = _records(rng, file)
    to = rng.choice([stop, _records(rng, file)[0], _somewhere(rng, file)])
    file.replace(to, to, file.part(start, stop))
    return f"the records from {start} to {stop} doubled at {to}"


def remove_records(rng: random.Random, file: Damaged) -> str:
    start, stop = _records(rng, file)
    if rng.random() < 0.05:  # whole parts, of one record or of two
        later = [at for at in file.heads() if at > start]
        stop = rng.choice(later[:8] or [stop])
    file.replace(start, stop, [])
    return f"bytes {start} to {stop} removed, from head to head"


ANYWHERE: dict[str, Callable[[random.Random, Damaged], str]] = {
    "bit flipped": flip_bit,
    "cut at the end": cut_end,
    "cut at the front": cut_front,
    "zeroed": zero,
    "inserted": insert,
    "removed": remove,
    "overwritten": overwrite,
    "overwritten from the file": overwrite_from_file,
    "swapped, equal lengths": swap_equal,
    "swapped, other lengths": swap_unequal,
    "doubled": double,
    "tail doubled": double_tail,
}
AT_HEADS: dict[str, Callable[[random.Random, Damaged], str]] = {
    "head: bit flipped": flip_in_head,
    "head: length swallows records": swallow,
    "head: length to another head": raise_to_head,
    "head: length raised": raise_length,
    "head: length shrunk": shrink_length,
    "head: zeroed": zero_head,
    "head: inserted": insert_at_head,
    "head: removed": remove_at_head,
    "head: cut": cut_at_head,
    "head: records swapped": swap_records,
    "head: records doubled": double_records,
    "head: records removed": remove_records,
}
DAMAGES = {**ANYWHERE, **AT_HEADS}
SEVERAL = "two or three of these"


class Case(NamedTuple):
    """A damaged file of a seed: the kind of its damage, and the oracle's view of it."""

    damage: str
    file: Damaged

    @property
    def original(self) -> Original:
        return self.file.original


def make_case(seed: int, number: int, damage: str | None = None, kind: str | None = None) -> Case:
    """Return case *number* of *seed*: always the same, whichever others are made."""
    rng = random.Random(f"{seed}-{number}")
    original = make_original(rng, kind or rng.choice(KINDS))
    file = Damaged(original)
    count = rng.choices([1, 2, 3], [17, 2, 1])[0] if damage is None else 1
    name = ""
    for _ in range(count):
        if file.size == 0 or not file.heads():
            break
        name = damage or rng.choice(list(rng.choice([ANYWHERE, AT_HEADS])))
        file.done.append(DAMAGES[name](rng, file))
    return Case(SEVERAL if len(file.done) > 1 else name, file)
