"""Damaged files: a seeded slice of damages.py, and the worst kinds of damage by hand, each read in every way."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.damage_kinds import DAMAGES, Case, make_case
from faults.damage_oracle import Truth
from faults.damage_ways import WAYS
from faults.damaged_files import (
    FIRST,
    HEAD_BYTES,
    KINDS,
    LAST,
    MAGIC,
    MIDDLE,
    MOST,
    WHOLE,
    Damaged,
    Original,
    Piece,
    images,
    make_original,
    overlaid,
)
from faults.damages import Outcome, Result, run_case, run_numbers, table

from im2rec.format.irheader import IRHeader, encode_image_record

SEED, CASES = 17, 150
CHUNK = 30
FAST = ("scan", "recover", "open")


@pytest.mark.parametrize("first", range(0, CASES, CHUNK))
def test_every_untouched_record_is_given_out_and_none_that_never_was(first: int) -> None:
    outcomes = run_numbers(
        SEED, list(range(first, first + CHUNK)), [way for way in WAYS if way in ("scan", "open", "recover")]
    )

    assert [] == [f"case {o.number}: {problem}" for o in outcomes for problem in o.problems]


# The worst kinds of damage, by hand. Each touches the records that are listed with it, in a file of 12 images (with ids
# as keys, or with ordinals), of records of equal sizes, or of records of many kinds, one of them split into parts.

# Ordinals of a record of four parts, of one of 100 KB, of a BMP that ends in zeros, and of one without any payload.
SPLIT, LARGE, BMP, EMPTY = 4, 6, 8, 10


def a_file(kind: str) -> Original:
    contents = images()[:12]
    if kind == "equal":
        contents = [bytes([65 + number]) * 120 for number in range(12)]
    if kind == "parts":
        contents = [bytes([65 + number]) * (100 + number) for number in range(12)]
        contents[SPLIT] = MAGIC.join(bytes([65 + number]) * 80 for number in range(4))
        contents[LARGE] = b"large" * 20_000
        header = struct.pack("<2s6I2H6I", b"BM", 102, 0, 54, 40, 4, 4, 1, 24, *[0] * 6)
        contents[BMP] = header + bytes(48)
    payloads = [encode_image_record(IRHeader(0, 1.0, 500 + id_), content) for id_, content in enumerate(contents)]
    if kind == "parts":
        payloads[EMPTY] = b""
    keys = range(12) if kind == "ordinals" else range(500, 512)
    return Original("mixed" if kind in ("equal", "parts") else "images", payloads, list(keys))


class Hand:
    """A file to be damaged, with the offsets of its records and parts."""

    def __init__(self, kind: str) -> None:
        self.file = Damaged(a_file(kind))
        self.starts = self.file.original.starts
        self.parts = [[head.offset for head in heads] for heads in self.file.original.parts]

    def length_word(self, at: int, length: int, flag: int = WHOLE) -> None:
        self.file.overwrite(at + 4, struct.pack("<I", flag << 29 | length))

    def move(self, start: int, stop: int, to: int) -> None:
        """Move the bytes from *start* to *stop*, which are before *to*, so that they end at *to*."""
        moved = self.file.part(start, stop)
        self.file.replace(start, to, [*self.file.part(stop, to), *moved])

    def put(self, contents: list[Piece], at: int) -> None:
        """Put *contents* over the bytes from *at* on."""
        stop = at + sum(len(piece.data) for piece in contents)
        self.file.replace(at, stop, overlaid(contents, self.file.part(at, stop)))


def one_bit_of_a_magic(it: Hand) -> None:
    it.file.overwrite(it.starts[5], b"\x0b")


def a_zeroed_length_word(it: Hand) -> None:
    it.length_word(it.starts[5], 0)


def a_length_that_swallows_the_next_record(it: Hand) -> None:
    it.length_word(it.starts[5], it.starts[7] - it.starts[5] - HEAD_BYTES)


def a_length_that_swallows_all_records_to_the_end(it: Hand) -> None:
    it.length_word(it.starts[5], it.starts[12] - it.starts[5] - HEAD_BYTES)


def a_length_that_ends_in_the_middle_of_a_later_record(it: Hand) -> None:
    it.length_word(it.starts[5], it.starts[8] - it.starts[5] - 100)


def a_length_beyond_the_end_of_the_file(it: Hand) -> None:
    it.length_word(it.starts[5], MOST)


def a_length_that_ends_at_a_middle_part(it: Hand) -> None:
    it.length_word(it.starts[3], it.parts[SPLIT][2] - it.starts[3] - HEAD_BYTES)


def a_length_that_shrank_by_four(it: Hand) -> None:
    it.length_word(it.starts[5], len(it.file.original.payloads[5]) - 4)


def a_length_that_shrank_by_one(it: Hand) -> None:
    it.length_word(it.starts[5], len(it.file.original.payloads[5]) - 1)


def a_first_part_that_ends_at_the_third(it: Hand) -> None:
    it.length_word(it.parts[SPLIT][0], it.parts[SPLIT][2] - it.parts[SPLIT][0] - HEAD_BYTES, FIRST)


def a_middle_part_that_calls_itself_whole(it: Hand) -> None:
    it.length_word(it.parts[SPLIT][1], 80, WHOLE)


def a_middle_part_that_calls_itself_last(it: Hand) -> None:
    it.length_word(it.parts[SPLIT][1], 80, LAST)


def a_last_part_that_calls_itself_middle(it: Hand) -> None:
    it.length_word(it.parts[SPLIT][3], 80, MIDDLE)


def a_whole_record_that_calls_itself_first(it: Hand) -> None:
    it.length_word(it.starts[5], len(it.file.original.payloads[5]), FIRST)


def the_last_part_cut_off_a_record_in_the_middle(it: Hand) -> None:
    it.file.replace(it.parts[SPLIT][3], it.starts[SPLIT + 1], [])


def one_byte_inserted_into_a_record(it: Hand) -> None:
    it.file.insert(it.starts[5] + 50, b"x")


def forty_bytes_inserted_into_a_record(it: Hand) -> None:
    it.file.insert(it.starts[5] + 50, b"x" * 40)


def two_bytes_inserted_into_a_bmp(it: Hand) -> None:
    it.file.insert(it.starts[BMP] + 90, b"xx")


def one_byte_inserted_before_a_head(it: Hand) -> None:
    it.file.insert(it.starts[5], b"x")


def four_bytes_inserted_between_magic_and_length(it: Hand) -> None:
    it.file.insert(it.starts[5] + 4, b"1234")


def eight_zeros_inserted_between_magic_and_length(it: Hand) -> None:
    it.file.insert(it.starts[5] + 4, bytes(8))


def one_byte_inserted_before_the_last_whole_record(it: Hand) -> None:
    it.file.replace(it.starts[11] + 40, it.file.size, [])
    it.file.insert(it.starts[9] + 50, b"x")


def one_byte_inserted_before_a_record_in_front_of_damage(it: Hand) -> None:
    it.file.overwrite(it.starts[SPLIT + 1], b"no head!")
    it.file.insert(it.starts[SPLIT - 1] + 50, b"x")


def one_record_that_stayed_while_those_around_it_moved(it: Hand) -> None:
    moved = it.file.part(it.starts[2] + 30, it.starts[5] - 10)
    it.file.overwrite(it.starts[6], b"no head!")
    it.file.replace(it.starts[2] + 30, it.starts[5], [*it.file.part(it.starts[5] - 10, it.starts[5]), *moved])


def one_byte_inserted_and_three_records_later_removed(it: Hand) -> None:
    it.file.insert(it.starts[2] + 50, b"x")
    at = it.starts[7] + 50
    it.file.replace(at, at + 1, [])


def the_first_bytes_of_the_file_lost(it: Hand) -> None:
    it.file.replace(0, 33, [])


def the_first_records_of_the_file_lost(it: Hand) -> None:
    it.file.replace(0, it.starts[4], [])


def a_hole_of_zeros_from_head_to_head(it: Hand) -> None:
    it.file.overwrite(it.starts[3], bytes(it.starts[6] - it.starts[3]))


def a_hole_of_zeros_from_record_to_record(it: Hand) -> None:
    start, stop = it.starts[3] + 40, it.starts[6] + 16
    it.file.overwrite(start, bytes(stop - start))


def records_from_the_start_over_the_middle_of_another(it: Hand) -> None:
    it.put(it.file.part(it.starts[1], it.starts[3]), it.starts[LARGE] + 24)
    it.put(it.file.part(it.starts[3], it.starts[3] + 60), it.starts[7] + 24)


def a_download_that_ends_early(it: Hand) -> None:
    it.file.replace(it.starts[11] + 20, it.file.size, [])


def a_download_that_ends_in_a_head(it: Hand) -> None:
    it.file.replace(it.starts[11] + 6, it.file.size, [])


def a_download_that_ends_in_padding(it: Hand) -> None:
    it.file.replace(it.file.size - 1, it.file.size, [])


def a_download_that_ends_in_the_first_record(it: Hand) -> None:
    it.file.replace(60, it.file.size, [])


def two_records_removed_from_head_to_head(it: Hand) -> None:
    it.file.replace(it.starts[3], it.starts[5], [])


def two_records_doubled_from_head_to_head(it: Hand) -> None:
    it.file.replace(it.starts[5], it.starts[5], it.file.part(it.starts[3], it.starts[5]))


def two_records_doubled_inside_another(it: Hand) -> None:
    at = it.starts[9] + 61
    it.file.replace(at, at, it.file.part(it.starts[3], it.starts[5]))


def two_blocks_swapped(it: Hand) -> None:
    it.move(it.starts[1], it.starts[3], it.starts[9])


def two_blocks_swapped_in_the_middle_of_records(it: Hand) -> None:
    it.move(it.starts[1] + 64, it.starts[4] + 64, it.starts[9] + 64)


def two_blocks_swapped_off_the_grid(it: Hand) -> None:
    it.move(it.starts[1] + 61, it.starts[4] + 62, it.starts[9] + 63)


def a_doubled_tail(it: Hand) -> None:
    it.file.replace(it.file.size, it.file.size, it.file.part(it.starts[7] + 30, it.file.size))


def a_doubled_file(it: Hand) -> None:
    it.file.replace(it.file.size, it.file.size, it.file.part(0, it.file.size))


def whole_records_inside_a_large_one(it: Hand) -> None:
    it.put(it.file.part(it.starts[8], it.starts[11]), it.starts[LARGE] + 40_000)
    it.file.overwrite(it.starts[8], bytes(it.starts[11] - it.starts[8]))


DONE_BY_HAND: list[tuple[Callable[[Hand], None], str, set[int]]] = [
    (one_bit_of_a_magic, "images", {5}),
    (a_zeroed_length_word, "images", {5}),
    (a_length_that_swallows_the_next_record, "images", {5}),
    (a_length_that_swallows_all_records_to_the_end, "images", {5}),
    (a_length_that_ends_in_the_middle_of_a_later_record, "images", {5}),
    (a_length_beyond_the_end_of_the_file, "images", {5}),
    (a_length_that_ends_at_a_middle_part, "parts", {3}),
    (a_length_that_shrank_by_four, "images", {5}),
    (a_length_that_shrank_by_four, "parts", {5}),
    (a_length_that_shrank_by_one, "images", {5}),
    (a_length_that_shrank_by_one, "parts", {5}),
    (a_first_part_that_ends_at_the_third, "parts", {SPLIT}),
    (a_middle_part_that_calls_itself_whole, "parts", {SPLIT}),
    (a_middle_part_that_calls_itself_last, "parts", {SPLIT}),
    (a_last_part_that_calls_itself_middle, "parts", {SPLIT}),
    (a_whole_record_that_calls_itself_first, "parts", {5}),
    (the_last_part_cut_off_a_record_in_the_middle, "parts", {SPLIT}),
    (one_byte_inserted_into_a_record, "images", {5}),
    (one_byte_inserted_into_a_record, "parts", {5}),
    (one_byte_inserted_into_a_record, "equal", {5}),
    (forty_bytes_inserted_into_a_record, "images", {5}),
    (forty_bytes_inserted_into_a_record, "parts", {5}),
    (two_bytes_inserted_into_a_bmp, "parts", {BMP}),
    (one_byte_inserted_before_a_head, "images", set()),
    (four_bytes_inserted_between_magic_and_length, "images", {5}),
    (eight_zeros_inserted_between_magic_and_length, "images", {5}),
    (one_byte_inserted_before_the_last_whole_record, "images", {9, 11}),
    (one_byte_inserted_before_a_record_in_front_of_damage, "parts", {SPLIT - 1, SPLIT + 1}),
    (one_record_that_stayed_while_those_around_it_moved, "images", {2, 4, 6}),
    (one_byte_inserted_and_three_records_later_removed, "images", {2, 7}),
    (one_byte_inserted_and_three_records_later_removed, "parts", {2, 7}),
    (the_first_bytes_of_the_file_lost, "images", {0}),
    (the_first_bytes_of_the_file_lost, "ordinals", {0}),
    (the_first_records_of_the_file_lost, "ordinals", {0, 1, 2, 3}),
    (the_first_records_of_the_file_lost, "parts", {0, 1, 2, 3}),
    (a_hole_of_zeros_from_head_to_head, "images", {3, 4, 5}),
    (a_hole_of_zeros_from_record_to_record, "images", {3, 4, 5, 6}),
    (records_from_the_start_over_the_middle_of_another, "parts", {7, LARGE}),
    (a_download_that_ends_early, "images", {11}),
    (a_download_that_ends_in_a_head, "images", {11}),
    (a_download_that_ends_in_padding, "parts", {11}),
    (a_download_that_ends_in_the_first_record, "images", set(range(12))),
    (two_records_removed_from_head_to_head, "images", {3, 4}),
    (two_records_removed_from_head_to_head, "equal", {3, 4}),
    (two_records_removed_from_head_to_head, "parts", {3, 4}),
    (two_records_removed_from_head_to_head, "ordinals", {3, 4}),
    (two_records_doubled_from_head_to_head, "images", set()),
    (two_records_doubled_from_head_to_head, "equal", set()),
    (two_records_doubled_from_head_to_head, "ordinals", set()),
    (two_records_doubled_inside_another, "images", {9}),
    (two_records_doubled_inside_another, "equal", {9}),
    (two_blocks_swapped, "images", set()),
    (two_blocks_swapped, "equal", set()),
    (two_blocks_swapped, "ordinals", set()),
    (two_blocks_swapped_in_the_middle_of_records, "images", {1, 4, 9}),
    (two_blocks_swapped_off_the_grid, "images", {1, 4, 9}),
    (two_blocks_swapped_off_the_grid, "equal", {1, 4, 9}),
    (a_doubled_tail, "images", set()),
    (a_doubled_file, "images", set()),
    (whole_records_inside_a_large_one, "parts", {LARGE}),
]


def words(damage: Callable[[Hand], None]) -> str:
    return damage.__name__.replace("_", " ")


@pytest.mark.parametrize(
    ("damage", "kind", "touched"), DONE_BY_HAND, ids=[f"{words(d)}, {kind}" for d, kind, _ in DONE_BY_HAND]
)
def test_all_other_records_are_given_out_after(
    damage: Callable[[Hand], None], kind: str, touched: set[int], tmp_path: Path
) -> None:
    it = Hand(kind)
    damage(it)
    case = Case(words(damage), it.file)

    assert set(range(12)) - touched == Truth(it.file).expected
    assert [] == run_case(case, 0, tmp_path, WAYS).problems


# The oracle itself.


@pytest.mark.parametrize("name", DAMAGES)
def test_the_pieces_of_a_damaged_file_are_its_bytes(name: str) -> None:
    for number in range(20):
        rng = random.Random(number)
        original = make_original(rng, KINDS[number % len(KINDS)])
        file = Damaged(original)
        DAMAGES[name](rng, file)

        for piece in file.pieces:
            if piece.source is not None:
                assert original.data[piece.source : piece.source + len(piece.data)] == piece.data
        assert file.size == len(file.data)


def test_the_oracle_knows_every_record_of_a_file_that_is_whole() -> None:
    original = make_original(random.Random(1), "mixed")
    truth = Truth(Damaged(original))

    assert dict(zip(original.starts, range(len(original.payloads)), strict=False)) == truth.whole
    assert ({}, {}, set()) == (truth.changed, truth.odd, truth.unprovable)


def test_a_case_is_the_same_whichever_others_are_made() -> None:
    assert make_case(3, 41).file.data == make_case(3, 41).file.data
    assert make_case(3, 41).file.data != make_case(4, 41).file.data


def test_less_than_one_case_in_a_hundred_cannot_be_told_by_the_file() -> None:
    truths = [Truth(make_case(1, number).file) for number in range(200)]

    assert sum(bool(truth.odd or truth.exempt_records or truth.unlisted) for truth in truths) < 2


def test_the_table_has_a_row_for_each_damage_and_one_for_what_nothing_can_tell() -> None:
    outcomes = [Outcome(number, "doubled", "images", [], {}) for number in range(3)]
    outcomes += [Outcome(3, "zeroed", "images", [], {}), Outcome(4, "zeroed", "images", ["whole parts removed"], {})]
    for outcome in outcomes:
        outcome.results.update({("scan", index): Result(untouched=50, given=50) for index in (True, False)})
        outcome.results.update({("open", index): Result(untouched=50, given=50 - index) for index in (True, False)})
    outcomes[-1].results["open", True].odd = 1

    assert [
        "| damage | cases | untouched records | open, % | never were | doubtful | changed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| zeroed | 1 | 50 | 98.00 / 100 | 0 | 0 | 0 |",
        "| doubled | 3 | 150 | 98.00 / 100 | 0 | 0 | 0 |",
        "| all of these | 4 | 200 | 98.00 / 100 | 0 | 0 | 0 |",
        "| what nothing in the file can tell | 1 | 50 | 98.00 / 100 | 1 | 0 | 0 |",
    ] == table(outcomes, ("scan", "open")).splitlines()
