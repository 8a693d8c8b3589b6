"""The search for the next record after damage, and for records that the data of another one contains."""

from __future__ import annotations

import struct

import pytest
from helpers import CountingSource, bounds, joined, part

from im2rec.format import resync
from im2rec.format.heads import FIRST, LAST, MAGIC, MIDDLE, WHOLE
from im2rec.format.recordio import BytesSource, Source, encode_record, measure
from im2rec.format.resync import RecordFinder, follows_record, starts_record


def find_record(source: Source, begin: int, *, grid: int = 0) -> int | None:
    """Return the offset of the first record from *begin* on, found by a new finder."""
    return RecordFinder(source).first(begin, source.size, grid)


PAYLOADS = [b"one", b"two" + MAGIC, MAGIC + b"three", b"four"]
ONE, TWO, THREE, FOUR, END = bounds(PAYLOADS)


def test_the_next_record_is_found_from_any_byte() -> None:
    source = BytesSource(joined(PAYLOADS))

    starts = range(END + 4)
    expected = [next((offset for offset in (ONE, TWO, THREE, FOUR) if offset >= start), None) for start in starts]
    assert expected == [find_record(source, start) for start in starts]


def test_a_later_part_is_not_taken_for_a_record() -> None:
    frame = encode_record(b"abcd" + MAGIC + b"efgh" + MAGIC + b"ijkl")

    assert len(frame) == find_record(BytesSource(frame + encode_record(b"next")), 4)


def test_a_record_is_found_after_bytes_that_were_lost_or_added() -> None:
    for shift in (1, 2, 3):
        data = joined([b"first"]) + b"x" * shift + joined([b"second", b"third", b"fourth", b"fifth"])
        assert 16 + shift == find_record(BytesSource(data), 4)


def test_an_aligned_record_is_found_even_if_the_next_one_is_damaged() -> None:
    data = b"GARBAGE!" + joined([b"one", b"second"])[:-1]

    assert 8 == find_record(BytesSource(data), 0)


def test_off_the_grid_the_head_of_another_record_or_the_end_of_the_file_must_follow() -> None:
    data = b"x" + joined([b"one", b"two", b"three"])

    assert [1, 13, 25] == [find_record(BytesSource(data), begin) for begin in (0, 2, 14)]
    garbage = b"x" + joined([b"one", b"two"]) + b"GARBAGE!"
    assert [1, None] == [find_record(BytesSource(garbage), begin) for begin in (0, 2)]
    assert 13 == find_record(BytesSource(garbage), 2, grid=1)  # on the grid no other head is needed


def test_off_the_grid_a_head_whose_length_is_wrong_is_a_head_all_the_same() -> None:
    for length, expected in ((2**29 - 1, 1), (7 << 29, None)):
        data = b"x" + encode_record(b"one") + MAGIC + struct.pack("<I", length) + b"GARBAGE!"
        assert expected == find_record(BytesSource(data), 0)


def test_off_the_grid_the_heads_of_several_parts_prove_each_other() -> None:
    data = b"x" + encode_record(b"abcd" + MAGIC + b"x") + b"GARBAGE!"

    assert 1 == find_record(BytesSource(data), 0)


def test_off_the_grid_no_later_part_proves_a_record() -> None:
    for flag, expected in ((WHOLE, 1), (FIRST, 1), (MIDDLE, None), (LAST, None)):
        data = b"x" + encode_record(b"one") + part(flag, b"") + b"GARBAGE!"
        assert expected == RecordFinder(BytesSource(data)).first(0, 8, 0)


def test_the_grid_is_that_of_any_place_on_it() -> None:
    data = b"abc" + encode_record(b"one") + b"GARBAGE!"

    for grid in range(12):
        expected = 3 if grid % 4 == 3 else None
        assert expected == find_record(BytesSource(data), 0, grid=grid)
        finder = RecordFinder(BytesSource(data))
        assert expected == finder.first_on_grid(0, len(data), grid)


def test_records_off_the_grid_may_be_left_out() -> None:
    off, on = joined([b"one", b"two"]), encode_record(b"three")
    data = b"GARBAGE!" + off + b"xyz" + off + b"x" + on
    finder = RecordFinder(BytesSource(data))

    assert 8 == finder.first_on_grid(0, len(data), 0)
    assert 20 == finder.first_on_grid(12, len(data), 0)
    assert 35 == finder.first(21, len(data), 0)
    assert 60 == finder.first_on_grid(21, len(data), 0)


def test_a_search_is_from_the_first_offset_on_and_before_the_last() -> None:
    data = b"GARBAGE!" + encode_record(b"one") + encode_record(b"two")
    finder = RecordFinder(BytesSource(data))

    for begin in range(9):
        assert 8 == finder.first(begin, 9, 0)
        assert finder.first(begin, 8, 0) is None
    assert 20 == finder.first(9, 21, 0)
    assert finder.first(9, 20, 0) is None
    assert finder.first(8, 8, 0) is None


def test_parts_that_lead_nowhere_are_followed_once_however_many_heads_lead_to_them() -> None:
    # A first part whose data are heads of first parts with the same end, then middle parts without a last one.
    heads = b"".join(MAGIC + struct.pack("<I", FIRST << 29 | 8 * (49 - n)) for n in range(50))
    source = CountingSource(part(FIRST, heads) + part(MIDDLE, b"") * 20_000)

    assert find_record(source, 0) is None
    assert sum(size for _, size in source.reads) < 8 * source.size


def test_a_single_frame_inside_an_image_is_not_taken_for_a_record_of_the_file() -> None:
    # Not at a multiple of 4, so no writer cuts there. Only two heads that are chained prove another grid.
    for inside, found in (
        (joined([b"thumbnail"]), 52),
        (joined([b"thumbnail"]) + MAGIC, 52),
        (joined([b"thumb", b"nail"]), 9),
    ):
        image = b"p" + inside.ljust(37, b"\xff") + b"icture"
        data = joined([image, b"second", b"third"])
        assert found == find_record(BytesSource(data), 4)


def test_a_record_on_the_grid_is_found_even_between_garbage() -> None:
    data = b"GARBAGE!" + joined([b"left over"]) + b"GARBAGE!" + joined([b"one"])

    assert [8, 36] == [find_record(BytesSource(data), begin) for begin in (0, 9)]


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "_FIRST_WINDOW_BYTES", 64)
    monkeypatch.setattr(resync, "_MAX_WINDOW_BYTES", 64)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("payload", [b"one", b"o" * 100, b"ab" * 2 + MAGIC * 3, (b"o" * 60 + MAGIC) * 3], ids=len)
def test_a_record_is_found_across_the_border_of_two_windows(payload: bytes) -> None:
    for garbage in range(40, 140):
        source = BytesSource(b"g" * garbage + joined([payload, b"two", b"three"]))
        assert garbage == find_record(source, 0)
        assert garbage == find_record(source, garbage, grid=garbage + 1)


@pytest.mark.usefixtures("small_windows")
def test_a_record_that_is_not_whole_is_left_out_across_the_border_of_two_windows() -> None:
    chain = part(FIRST, b"o" * 60)
    for garbage in range(40, 140):
        on_grid = b"g" * (-garbage % 4)
        data = b"g" * garbage + chain + on_grid + b"GARBAGE!" + encode_record(b"two")
        assert len(data) - 12 == find_record(BytesSource(data), 0)
        followed_by_garbage = BytesSource(b"g" * garbage + encode_record(b"o" * 60) + b"GARBAGE!")
        assert (None if garbage % 4 else garbage) == find_record(followed_by_garbage, 0)


@pytest.mark.usefixtures("small_windows")
def test_any_ranges_may_be_asked_for_in_any_order() -> None:
    payloads = [bytes([n]) * (n % 50) for n in range(40)]
    finder = RecordFinder(BytesSource(joined(payloads)))
    starts = bounds(payloads)

    for ordinal in (30, 3, 4, 5, 39, 0, 38, 2):
        assert starts[ordinal] == finder.first(starts[ordinal] - 3 if ordinal else 0, starts[-1], 0)


def test_a_search_ends_where_a_file_was_cut_while_open() -> None:
    assert find_record(BytesSource(b"x" * 100, size=10**9), 0) is None
    assert find_record(BytesSource(MAGIC, size=10**9), 0) is None


# Heads at a place


def test_a_record_starts_where_the_head_of_a_first_or_only_part_is() -> None:
    for flag, expected in ((WHOLE, True), (FIRST, True), (MIDDLE, False), (LAST, False), (4, False), (7, False)):
        source = BytesSource(b"before!!" + part(flag, b"abcd"))
        assert expected == starts_record(source, 8)
        assert not starts_record(source, 4)
    for cut in range(8):
        assert not starts_record(BytesSource(encode_record(b"")[:cut]), 0)
    assert starts_record(BytesSource(MAGIC + b"\xff\xff\xff\x1f"), 0)  # even if the length is beyond the file


def test_a_record_is_followed_by_the_end_of_the_file_or_by_another_head() -> None:
    source = BytesSource(joined([b"one", b"two"]) + b"GARBAGE!")

    assert [True, True, False, True] == [follows_record(source, end) for end in (0, 12, 24, 32)]
    assert not follows_record(source, 36)


# Records inside the data of another one


OFF = joined([b"one", b"two"])  # two records that follow each other directly


def test_records_inside_are_those_off_the_grid_with_their_extents() -> None:
    data = part(WHOLE, b"x" + OFF + b"yz") + encode_record(b"next")
    finder = RecordFinder(BytesSource(data))

    assert [(9, 21), (21, 33)] == [(offset, extent.end) for offset, extent in finder.inside(8, 36, 0)]
    assert [] == list(finder.inside(8, 36, 9))  # on this grid they are not off it


def test_a_record_inside_may_be_followed_by_no_other_if_one_leads_to_it() -> None:
    data = part(WHOLE, b"x" + encode_record(b"alone") + b"wxyz" + OFF + b"GARBAGE!!")
    finder = RecordFinder(BytesSource(data))
    start = data.index(OFF)

    assert 1 == start % 4
    assert [start, start + 12] == [offset for offset, _ in finder.inside(8, len(data), 0)]


def test_a_record_inside_ends_inside() -> None:
    inner = joined([b"one", b"two", b"three"])
    data = b"12345678" + b"x" + inner + b"xyz"
    for stop, expected in ((49, [9, 21, 33]), (50, [9, 21, 33]), (48, [9, 21]), (33, [9, 21]), (32, [9]), (20, [])):
        finder = RecordFinder(BytesSource(data))
        assert expected == [offset for offset, _ in finder.inside(8, stop, 0)]


def test_records_that_overlap_inside_are_given_once() -> None:
    nested = joined([b"a" * 3 + OFF + b"b", b"c"])  # its data holds two records on yet another grid
    data = b"12345678" + b"x" + nested + b"xyz"

    assert [9, 45] == [offset for offset, _ in RecordFinder(BytesSource(data)).inside(8, len(data), 0)]


def test_records_off_the_grid_that_lead_beyond_a_place_cross_it() -> None:
    data = b"12345678" + b"x" + joined([b"one", b"two", b"three", b"four"])
    finder = RecordFinder(BytesSource(data))

    for stop in range(10, 21):
        assert 9 == finder.first_crossing(8, stop, 0)
    assert 9 == finder.first_crossing(8, 40, 0)
    assert finder.first_crossing(8, 21, 0) is None  # a record ends right there
    assert finder.first_crossing(8, 9, 0) is None
    assert finder.first_crossing(8, 40, 1) is None
    assert 21 == finder.first_crossing(10, 40, 0)


def test_records_that_end_before_a_place_do_not_cross_it() -> None:
    data = b"12345678" + b"x" + OFF + b"GARBAGE" + encode_record(b"one")

    assert RecordFinder(BytesSource(data)).first_crossing(8, 36, 0) is None


# Heads in the data of a record


def other_head(payload: bytes, *, before: bytes = b"") -> int | None:
    source = BytesSource(before + part(WHOLE, payload) + encode_record(b"next"))
    return RecordFinder(source).first_other_head(len(before), measure(source, len(before)))


INTACT = {
    "a record": encode_record(b"one"),
    "a first part": part(FIRST, b""),
    "a middle part": part(MIDDLE, b"abcd"),
    "a last part": part(LAST, b"x"),
    "a record after a magic": MAGIC + b"\xff" * 4 + encode_record(b"one"),
    "the inner one of two": part(WHOLE, b"abcd" + encode_record(b"in") + b"tail"),
}


@pytest.mark.parametrize("case", INTACT)
@pytest.mark.parametrize("front", [0, 4, 100, 20_000, 70_000, 3_000_000])
def test_a_part_head_in_the_data_of_a_record_is_found(case: str, front: int) -> None:
    inside = {"a record after a magic": 8, "the inner one of two": 12}.get(case, 0)
    expected = 8 + front + inside

    assert expected == other_head(b"x" * front + INTACT[case])
    assert expected == other_head(b"x" * front + INTACT[case] + b"tail")
    assert 20 + expected == other_head(b"x" * front + INTACT[case] + b"tail", before=joined([b"", b"one"]))


NO_HEAD = {
    "nothing": b"",
    "a magic without length word": b"abcd" + MAGIC,
    "a flag that does not exist": MAGIC + b"\xff\xff\xff\xff",
    "a part that is longer than the rest": MAGIC + struct.pack("<I", 20) + b"x" * 16,
    "a cut with padding": MAGIC + struct.pack("<I", FIRST << 29 | 3) + b"abcd",
    "a record off the grid": b"x" + encode_record(b"one"),
}


@pytest.mark.parametrize("case", NO_HEAD)
@pytest.mark.parametrize("front", [0, 16_000, 3_000_000])
def test_a_magic_that_starts_no_part_is_no_head(case: str, front: int) -> None:
    assert other_head(b"x" * front + NO_HEAD[case]) is None


IMAGE_HEAD = struct.pack("<IfQQ", 0, 1.0, 5, 0)
WRONG_LENGTH = MAGIC + struct.pack("<I", 2**29 - 1)


def test_the_head_of_an_image_record_is_found_even_if_its_length_is_wrong() -> None:
    for front in (0, 20_000, 3_000_000):
        assert 8 + front == other_head(b"x" * front + WRONG_LENGTH + IMAGE_HEAD)
    labels = struct.pack("<IfQQ", 1 << 20, 1.0, 5, 0)
    assert 12 == other_head(b"abcd" + WRONG_LENGTH + labels)
    first = MAGIC + struct.pack("<I", 2**30 - 1)
    assert 12 == other_head(b"abcd" + first + IMAGE_HEAD + b"more")


@pytest.mark.parametrize(
    "inside",
    [
        WRONG_LENGTH + IMAGE_HEAD[:-4],
        WRONG_LENGTH + IMAGE_HEAD[:-1] + b"\1",
        WRONG_LENGTH + struct.pack("<IfQQ", 0, 1.0, 5, 1),
        WRONG_LENGTH + struct.pack("<IfQQ", (1 << 20) + 1, 1.0, 5, 0),
        MAGIC + b"\xff\xff\xff\x7f" + IMAGE_HEAD,
        b"x" + WRONG_LENGTH + IMAGE_HEAD,
    ],
    ids=["cut", "id2 not zero", "id2 of 1", "too many labels", "a later part", "off the grid"],
)
def test_a_magic_before_what_is_no_image_header_is_no_head(inside: bytes) -> None:
    assert other_head(b"abcd" + inside) is None


def test_the_first_of_several_heads_is_found() -> None:
    one, image = encode_record(b"one"), WRONG_LENGTH + IMAGE_HEAD
    assert 8 == other_head(one + image) == other_head(image + one)
    assert 12 == other_head(b"abcd" + image + b"x" * 100 + one)


def test_more_magics_than_parts_are_other_heads() -> None:
    data = joined([b"one", b"two", b"abcd" + MAGIC])
    finder = RecordFinder(BytesSource(data))

    assert [True, True, True, False, False] == [
        finder.has_other_heads(0, len(data), parts) for parts in (0, 2, 3, 4, 5)
    ]
    assert not finder.has_other_heads(0, 24, 2)
    assert finder.has_other_heads(0, 40, 2)


def test_a_head_in_the_data_of_a_record_is_found_after_much_that_is_none() -> None:
    wrong = MAGIC + b"\xff" * 4

    assert 8 + 8 * 400_000 == other_head(wrong * 400_000 + encode_record(b"one"))
    assert other_head(wrong * 400_000 + b"tail") is None


def test_a_record_of_several_parts_has_another_head_if_it_has_more_magics_than_parts() -> None:
    for inside, found in ((b"abcd", False), (MAGIC, True), (b"abcd" * 5000 + MAGIC, True), (b"x" * 99, False)):
        data = encode_record(b"first") + part(FIRST, b"") + part(MIDDLE, b"abcd" * 9000) + part(LAST, inside + b"end")
        source = BytesSource(data + encode_record(b"next"))
        assert (16 if found else None) == RecordFinder(source).first_other_head(16, measure(source, 16))


# Steps


PATTERNS = {
    "first parts": lambda n: part(FIRST, b"") * n,
    "first and middle parts in turns": lambda n: (part(FIRST, b"") + part(MIDDLE, b"")) * n,
    "middle parts": lambda n: part(FIRST, b"") + part(MIDDLE, b"") * n,
    "parts of which each claims the rest": lambda n: b"".join(
        MAGIC + struct.pack("<I", FIRST << 29 | 8 * (n - 1 - k)) for k in range(n)
    ),
    "parts that are too long": lambda n: (MAGIC + struct.pack("<I", 2**29 - 1)) * n,
    "magics": lambda n: MAGIC * n,
}


@pytest.mark.parametrize("case", PATTERNS)
@pytest.mark.parametrize("shift", [0, 1])
def test_a_search_among_many_heads_reads_every_byte_a_few_times(case: str, shift: int) -> None:
    source = CountingSource(b"x" * shift + PATTERNS[case](20_000) + b"GARBAGE!")

    assert find_record(source, 0) is None
    assert sum(size for _, size in source.reads) < 8 * source.size
