"""Lines of an index and the records that a scan has found: which record is that of which line."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest

from im2rec.storage.index_match import FoundRecords, Match, keys_are_ids, match_index

SIZES = [40, 52, 48, 64, 44, 60, 56, 72, 68, 76]  # all different
COUNT = len(SIZES)
IDS = [107, 103, 109, 101, 105, 108, 102, 106, 104, 110]
OFFSETS = [0, *itertools.accumulate(SIZES)]


class Rec:
    """The records of a file as a scan finds them, which are moved, copied and removed."""

    def __init__(self, sizes: Sequence[int] = SIZES, ids: Sequence[int] = IDS) -> None:
        self.offsets, self.ends, self.ids = [], [], []  # type: ignore[var-annotated]
        self.add(sizes, ids)

    def add(self, sizes: Sequence[int], ids: Sequence[int], gap: int = 0) -> None:
        """Append records after *gap* damaged bytes."""
        for size, id_ in zip(sizes, ids, strict=True):
            self.offsets.append((self.ends[-1] if self.ends else 0) + gap)
            self.ends.append(self.offsets[-1] + size)
            self.ids.append(id_)
            gap = 0

    def found(self) -> FoundRecords:
        return FoundRecords(
            np.array(self.offsets, np.int64), np.array(self.ends, np.int64), np.array(self.ids, np.uint64)
        )


def of(ordinals: Sequence[int | str], gaps: dict[int, int] | None = None) -> FoundRecords:
    """Return the records with these *ordinals* of the file, in this order; *gaps* are the bytes before some places."""
    rec = Rec([], [])
    for place, ordinal in enumerate(ordinals):
        number = int(ordinal)
        rec.add([SIZES[number]], [IDS[number]], (gaps or {}).get(place, 0))
    return rec.found()


def matched(
    found: FoundRecords, keys: Sequence[int] = IDS, offsets: Sequence[int] = OFFSETS[:-1], **options: Sequence[int]
) -> Match:
    return match_index(np.array(keys, np.uint64), np.array(offsets, np.int64), found, **options)


KEYS = {
    "ids": IDS,
    "ordinals": list(range(COUNT)),
    "neither": [n * 1000 + 5 for n in range(COUNT)],
    "equal": [4] * COUNT,
}
ORDERS: dict[str, tuple[list[int], dict[int, int]]] = {  # ordinals in the order of the file, and damaged bytes
    "nothing changed": ([*range(10)], {}),
    "a record lost": ([0, 1, 2, 3, 5, 6, 7, 8, 9], {4: SIZES[4]}),
    "a record lost, and bytes": ([0, 1, 2, 3, 5, 6, 7, 8, 9], {4: SIZES[4] - 3}),
    "a record lost, and bytes added": ([0, 1, 2, 3, 5, 6, 7, 8, 9], {4: SIZES[4] + 17}),
    "the last but one lost": ([0, 1, 2, 3, 4, 5, 6, 7, 9], {8: SIZES[8]}),
    "the last but one lost, and bytes": ([0, 1, 2, 3, 4, 5, 6, 7, 9], {8: SIZES[8] - 5}),
    "the last lost": ([0, 1, 2, 3, 4, 5, 6, 7, 8], {}),
    "a record removed": ([0, 1, 2, 3, 5, 6, 7, 8, 9], {}),
    "records removed": ([0, 1, 6, 7, 8, 9], {}),
    "the first removed": ([1, 2, 3, 4, 5, 6, 7, 8, 9], {}),
    "bytes added in front": ([*range(10)], {0: 100}),
    "three losses": ([0, 2, 3, 5, 6, 8, 9], {1: 9, 3: 77, 5: 1}),
    "the end cut off": ([0, 1, 2, 3, 4], {}),
    "blocks swapped": ([0, 1, 6, 7, 8, 4, 5, 2, 3, 9], {}),
    "halves swapped": ([5, 6, 7, 8, 9, 0, 1, 2, 3, 4], {}),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("case", ORDERS)
def test_each_record_has_its_line_wherever_it_is(case: str, kind: str) -> None:
    ordinals, gaps = ORDERS[case]

    match = matched(of(ordinals, gaps), KEYS[kind])

    assert ordinals == match.lines.tolist()
    assert ([], False, True) == (match.extra.tolist(), match.has_gaps, match.fits)
    assert np.int64 == match.lines.dtype


def test_records_in_any_order_have_the_lines_of_their_ids() -> None:
    for seed in range(20):
        ordinals = random.Random(seed).sample(range(COUNT), COUNT - seed % 3)
        match = matched(of(ordinals))
        assert ordinals == match.lines.tolist()
        assert match.fits


def test_copies_belong_to_no_line() -> None:
    for keys in (KEYS["ids"], KEYS["ordinals"]):
        match = matched(of([0, 1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9]), keys)
        assert [0, 1, 2, 3, -1, -1, -1, 4, 5, 6, 7, 8, 9] == match.lines.tolist()
        assert [4, 5, 6] == match.extra.tolist()


def test_of_copies_the_one_in_its_place_has_the_line() -> None:
    tail = of([5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert [5, 0, 1, 2, 3, 4, -1, 6, 7, 8, 9] == matched(tail).lines.tolist()  # none is in place: the first
    in_place = of([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5])
    assert [*range(10), -1] == matched(in_place).lines.tolist()
    after = of([5, 1, 2, 3, 4, 5], {1: SIZES[0] - SIZES[5] + 1000})
    found = FoundRecords(after.offsets - np.array([0, 1000, 1000, 1000, 1000, 1000]), after.ends, after.ids)
    assert -1 == matched(found).lines.tolist()[0]


def test_of_copies_one_that_is_not_doubtful_has_the_line() -> None:
    found = of([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2])

    assert [0, 1, -1, 3, 4, 5, 6, 7, 8, 9, 2] == matched(found, doubtful=[2]).lines.tolist()
    assert [*range(10), -1] == matched(found, doubtful=[10]).lines.tolist()
    assert [*range(10), -1] == matched(found, doubtful=[2, 10]).lines.tolist()


def test_a_record_at_the_offset_of_a_line_with_the_id_of_another_is_that_of_the_other() -> None:
    sizes = [48] * 6
    rec = Rec(sizes, [13, 11, 12, 10, 14, 15])  # 0 and 3 changed places
    match = matched(rec.found(), range(10, 16), [48 * n for n in range(6)])

    assert [3, 1, 2, 0, 4, 5] == match.lines.tolist()


def test_an_id_that_is_no_key_is_no_reason_to_lose_a_record_in_its_place() -> None:
    found = of([*range(10)])
    found.ids[4] = 12345  # damaged

    assert [*range(10)] == matched(found).lines.tolist()


def test_a_moved_record_whose_id_is_no_key_has_no_line_where_keys_are_ids() -> None:
    found = of([0, 1, 2, 3, 4, 6, 7, 8, 9], {5: 9})
    found.ids[5] = 12345

    lines = matched(found).lines.tolist()

    assert [0, 1, 2, 3, 4, -1, 7, 8, 9] == lines


def test_records_with_one_id_are_told_apart_by_their_places() -> None:
    ids = [1, 2, 1, 3, 1, 4, 2, 5, 6, 7]
    for ordinals, gaps in ORDERS.values():
        found = of(ordinals, gaps)
        renamed = found._replace(ids=np.array([ids[n] for n in ordinals], np.uint64))
        assert ordinals == matched(renamed, ids).lines.tolist()


def test_records_of_one_size_are_told_apart_by_their_ids() -> None:
    offsets = [48 * n for n in range(COUNT)]
    rec = Rec([48] * 8, [IDS[n] for n in (0, 1, 3, 4, 5, 6, 7, 9)])

    assert [0, 1, 3, 4, 5, 6, 7, 9] == matched(rec.found(), IDS, offsets).lines.tolist()


def test_no_record_has_two_lines_and_no_line_two_records() -> None:
    rng = random.Random(1)
    for _ in range(200):
        count = rng.randrange(1, 12)
        sizes, ids = rng.choices([8, 12, 16], k=count), rng.choices(range(6), k=count)
        offsets = [0, *itertools.accumulate(sizes)][:-1]
        order = rng.choices(range(count), k=rng.randrange(1, 15))
        rec = Rec([], [])
        for n in order:
            rec.add([sizes[n]], [ids[n]], rng.choice([0, 0, 3]))
        keys = rng.choice([ids, list(range(count))])

        match = matched(rec.found(), keys, offsets)

        given = [line for line in match.lines.tolist() if line >= 0]
        assert len(given) == len({*given})
        assert {*given} <= {*range(count)}
        assert {*match.extra.tolist()} <= {row for row, line in enumerate(match.lines.tolist()) if line < 0}


# Records that the index does not list


def test_records_between_the_listed_ones_are_gaps_and_not_extra() -> None:
    listed = [0, 2, 4, 6, 8]
    match = matched(of([*range(10)]), [IDS[n] for n in listed], [OFFSETS[n] for n in listed])

    assert [0, -1, 1, -1, 2, -1, 3, -1, 4, -1] == match.lines.tolist()
    assert ([], True, True) == (match.extra.tolist(), match.has_gaps, match.fits)


# Indexes of other files


@pytest.mark.parametrize("kind", KEYS)
def test_an_index_fits_if_its_records_have_the_sizes_that_it_gives(kind: str) -> None:
    for ordinals in ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [3], [9, 8, 7, 0, 1]):
        if kind == "ids" or ordinals[-1] != 1:
            assert matched(of(ordinals), KEYS[kind]).fits


def test_an_index_with_one_wrong_offset_does_not_fit() -> None:
    for change in (4, -4):
        offsets = [at + change * (n == 4) for n, at in enumerate(OFFSETS[:-1])]
        assert not matched(of([*range(10)]), IDS, offsets).fits


def test_an_index_of_another_file_does_not_fit() -> None:
    found = of([*range(10)])
    others = [20 + 52 * n for n in range(COUNT)]
    for keys in (IDS, [n + 500 for n in range(COUNT)], [4] * COUNT):
        match = matched(found, keys, others)
        assert not (match.fits and sum(line >= 0 for line in match.lines.tolist()) > 2)


def test_an_index_and_no_records_do_not_fit() -> None:
    match = matched(Rec([], []).found())

    assert ([], [], False) == (match.lines.tolist(), match.extra.tolist(), match.fits)


# Kinds of keys


def kind_of(keys: Sequence[int], found: FoundRecords, offsets: Sequence[int] = OFFSETS[:-1]) -> bool:
    return keys_are_ids(np.array(keys, np.uint64), np.array(offsets, np.int64), found)


def test_keys_are_ids_if_those_of_most_records_in_place_agree() -> None:
    found = of([*range(10)])

    assert kind_of(IDS, found)
    assert kind_of([*IDS[:6], 90, 91, 92, 93], found)
    assert not kind_of([*IDS[:4], 90, 91, 92, 93, 94, 95], found)
    assert not kind_of(range(COUNT), found)
    assert not kind_of([4] * COUNT, found)


def test_keys_are_ids_if_the_same_numbers_are_in_a_file_whose_records_moved() -> None:
    moved = of([*range(10)], {0: 3})

    assert kind_of(IDS, moved)
    assert not kind_of([n + 500 for n in IDS], moved)
    assert kind_of([*IDS[:5], 90, 91, 92, 93, 94], moved)
    assert not kind_of([*IDS[:4], 90, 91, 92, 93, 94, 95], moved)


def test_keys_that_count_are_ordinals_unless_the_ids_count_too() -> None:
    shuffled = Rec(SIZES, [3, 0, 5, 1, 9, 7, 2, 8, 6, 4]).found()
    counted = Rec(SIZES, range(COUNT)).found()

    assert not kind_of(range(COUNT), shuffled, [at + 4 for at in OFFSETS[:-1]])
    assert kind_of(range(COUNT), counted, [at + 4 for at in OFFSETS[:-1]])


def test_without_records_keys_are_not_ids() -> None:
    assert not kind_of(IDS, Rec([], []).found())


# Costs


def test_a_million_lines_in_place_are_matched_without_a_loop_over_them() -> None:
    count = 100_000
    ids = np.arange(count, dtype=np.uint64)
    offsets = np.arange(count, dtype=np.int64) * 48
    found = FoundRecords(np.delete(offsets, 500), np.delete(offsets + 48, 500), np.delete(ids, 500))

    match = match_index(ids, offsets, found)

    assert np.array_equal(np.delete(np.arange(count), 500), match.lines)
