"""Part heads in a stretch of bytes: which are valid, which hold no other, and where whole records start."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import pytest
from helpers import bounds, joined, part

from im2rec.format.heads import FIRST, LAST, MAGIC, MIDDLE, WHOLE, HeadTable, aligned_magics, image_record_heads
from im2rec.format.recordio import encode_record


def table_of(data: bytes, shift: int = 0, base: int = 0, size: int | None = None) -> HeadTable:
    return HeadTable(data, shift, base, base + len(data) if size is None else size)


class Start(NamedTuple):
    """A row of the result of :meth:`HeadTable.record_starts`."""

    offset: int
    is_followed: bool
    is_unsure: bool


def starts_of(table: HeadTable) -> list[Start]:
    return [Start(*row) for row in zip(*(column.tolist() for column in table.record_starts()), strict=True)]


def head(flag: int, length: int) -> bytes:
    return MAGIC + struct.pack("<I", flag << 29 | length)


# Magics


@pytest.mark.parametrize("shift", range(4))
def test_magics_are_found_on_one_grid_only(shift: int) -> None:
    data = b"xxxx" + b"." * shift + MAGIC + b"1234" + MAGIC + b"5" + MAGIC + b"6789"

    assert [4 + shift, 12 + shift] == aligned_magics(data, shift).tolist()
    assert [17 + shift] == aligned_magics(data, (shift + 1) % 4).tolist()
    assert [] == aligned_magics(data, (shift + 2) % 4).tolist()


def test_a_magic_without_room_for_a_length_word_is_left_out() -> None:
    for cut in range(8):
        assert [] == aligned_magics((MAGIC + b"1234")[:cut]).tolist()
        assert [0] == aligned_magics(MAGIC + b"1234" + MAGIC + b"1234"[: cut % 4]).tolist()
    assert [0] == aligned_magics(MAGIC + b"1234").tolist()
    assert [2] == aligned_magics(b"ab" + MAGIC + b"1234", 2).tolist()
    assert [] == aligned_magics(b"ab" + MAGIC + b"123", 2).tolist()
    assert np.int64 == aligned_magics(MAGIC + b"1234").dtype


# Valid heads


VALID = {
    "a whole record of no bytes": head(WHOLE, 0),
    "a whole record up to the end": head(WHOLE, 5) + b"abcde\0\0\0",
    "a first part": head(FIRST, 4) + b"abcd",
    "a middle part": head(MIDDLE, 0),
    "a last part with padding": head(LAST, 1) + b"a\0\0\0",
}
INVALID = {
    "flag 4": head(4, 0),
    "flag 7": head(7, 4) + b"abcd",
    "one word beyond the end": head(WHOLE, 5) + b"abcd",
    "half a gigabyte": head(WHOLE, 2**29 - 1) + b"abcd",
    "a first part with padding": head(FIRST, 3) + b"abc\0",
    "a middle part with padding": head(MIDDLE, 5) + b"abcde\0\0\0",
    "another magic": b"JPEG\0\0\0\0",
}


@pytest.mark.parametrize("case", VALID)
def test_a_valid_head_has_a_row_with_offset_flag_and_end(case: str) -> None:
    table = table_of(VALID[case], base=40)

    assert 1 == len(table)
    assert [40] == table.offsets.tolist()
    assert [40 + len(VALID[case])] == table.ends.tolist()
    assert [VALID[case][7] >> 5] == table.flags.tolist()


@pytest.mark.parametrize("case", INVALID)
def test_a_wrong_head_has_no_row(case: str) -> None:
    assert 0 == len(table_of(INVALID[case]))
    table = table_of(encode_record(b"before") + INVALID[case])
    assert [0] == table.offsets.tolist()


def test_the_end_of_a_part_may_be_beyond_the_bytes_at_hand_but_not_beyond_the_file() -> None:
    data = head(WHOLE, 100)

    assert [148] == table_of(data, base=40, size=148).ends.tolist()
    assert 0 == len(table_of(data, base=40, size=147))


def test_a_part_may_have_up_to_half_a_gigabyte() -> None:
    data = head(LAST, 2**29 - 1)

    assert [2**29 + 8] == table_of(data, size=2**29 + 8).ends.tolist()
    assert 0 == len(table_of(data, size=2**29 + 7))


def test_heads_off_the_grid_are_those_of_their_shift() -> None:
    data = encode_record(b"on") + b"x" + encode_record(b"off") + encode_record(b"off")

    assert [0] == table_of(data).offsets.tolist()
    assert [113, 125] == table_of(data, 1, base=100).offsets.tolist()
    assert 0 == len(table_of(data, 2)) == len(table_of(data, 3))


def test_nothing_has_no_heads() -> None:
    for data in (b"", b"x", MAGIC, b"x" * 100):
        assert 0 == len(table_of(data))
        assert [] == starts_of(table_of(data))


def test_a_part_is_intact_if_no_other_valid_head_is_in_its_data() -> None:
    inner, wrong = encode_record(b"in"), head(5, 0)
    data = part(WHOLE, b"abcd" + inner) + part(WHOLE, b"abcd" + wrong) + part(FIRST, b"") + part(LAST, inner)
    offsets = {0: False, 12: True, 24: True, 44: True, 52: False, 60: True}

    table = table_of(data)

    assert offsets == dict(zip(table.offsets.tolist(), table.is_intact.tolist(), strict=True))


def test_the_last_part_at_hand_is_intact_as_far_as_is_known() -> None:
    assert [True] == table_of(head(WHOLE, 100) + b"abcd", size=1000).is_intact.tolist()
    assert [False, True] == table_of(head(WHOLE, 100) + head(WHOLE, 4), size=1000).is_intact.tolist()


# Heads of image records


def image_head(flag: int = WHOLE, labels: int = 0, id2: int = 0, length: int = 2**29 - 1) -> bytes:
    return head(flag, length) + struct.pack("<IfQQ", labels, 1.5, 7, id2)


def test_heads_of_image_records_are_known_by_their_header_whatever_their_length() -> None:
    data = b"abcd" + image_head() + b"x" * 8 + image_head(FIRST, 1 << 20, length=0)

    assert [4, 44] == image_record_heads(data).tolist()
    for cut in range(1, 32):
        assert [4] == image_record_heads(data[:-cut]).tolist()
    assert [] == image_record_heads(b"x" + data).tolist()
    assert [] == image_record_heads(b"").tolist() == image_record_heads(MAGIC + b"1234").tolist()


@pytest.mark.parametrize(
    "wrong",
    [
        *(image_head(flag) for flag in (MIDDLE, LAST, 4, 7)),
        *(image_head(id2=id2) for id2 in (1, 1 << 31, 1 << 32, 1 << 63)),
        *(image_head(labels=labels) for labels in ((1 << 20) + 1, 2**32 - 1)),
        b"JPEG" + image_head()[4:],
    ],
)
def test_a_magic_before_anything_else_is_no_head_of_an_image_record(wrong: bytes) -> None:
    assert [] == image_record_heads(b"abcd" + wrong + b"tail").tolist()


# Starts of records


def test_every_record_of_a_file_starts_and_is_followed() -> None:
    payloads = [b"", b"a", MAGIC, b"abcd" + MAGIC * 3 + b"x", b"last"]
    data = joined(payloads)

    assert [Start(100 + at, True, False) for at in bounds(payloads)[:-1]] == starts_of(table_of(data, base=100))


WHOLE_RECORD, SPLIT = encode_record(b"whole"), encode_record(b"abcd" + MAGIC + b"x")
CHAINS: dict[str, tuple[bytes, list[Start]]] = {
    "a record before garbage": (WHOLE_RECORD + b"GARBAGE!", [Start(0, False, False)]),
    "a split record before garbage": (SPLIT + b"GARBAGE!", [Start(0, True, False)]),
    "a record before a later part": (WHOLE_RECORD + part(LAST, b""), [Start(0, False, False)]),
    "a record before a first part": (
        WHOLE_RECORD + part(FIRST, b"") + SPLIT,
        [Start(0, True, False), Start(24, True, False)],
    ),
    "a first part alone": (part(FIRST, b"abcd"), []),
    "a first part before a whole record": (part(FIRST, b"abcd") + WHOLE_RECORD, [Start(12, True, False)]),
    "a first part before garbage": (part(FIRST, b"") + b"GARBAGE!" + part(LAST, b""), []),
    "later parts alone": (part(MIDDLE, b"") + part(LAST, b""), []),
    "no last part": (part(FIRST, b"") + part(MIDDLE, b"") * 3, []),
    "no last part before a record": (part(FIRST, b"") + part(MIDDLE, b"") + SPLIT, [Start(16, True, False)]),
    "a record after a last part": (part(LAST, b"") + WHOLE_RECORD, [Start(8, True, False)]),
    "a head in a whole record": (part(WHOLE, b"abcd" + WHOLE_RECORD + b"x"), [Start(12, False, False)]),
    "a head in a first part": (part(FIRST, b"abcd" + WHOLE_RECORD) + part(LAST, b""), [Start(12, False, False)]),
    "a head in a last part": (part(FIRST, b"") + part(LAST, WHOLE_RECORD + b"x"), [Start(16, False, False)]),
    "a head in a middle part": (
        part(FIRST, b"") + part(MIDDLE, b"abcd" + WHOLE_RECORD) + part(LAST, b""),
        [Start(20, False, False)],
    ),
    "a last part after garbage": (
        part(FIRST, b"abcd") + bytes(4) + part(LAST, b"") + WHOLE_RECORD,
        [Start(24, True, False)],
    ),
    "two first parts": (part(FIRST, b"") + SPLIT, [Start(8, True, False)]),
    "a record before a head whose part is cut": (WHOLE_RECORD + head(WHOLE, 100), [Start(0, True, False)]),
    "a record before a first part with padding": (WHOLE_RECORD + head(FIRST, 3) + b"abc\0", [Start(0, True, False)]),
    "a record before a later part that is cut": (WHOLE_RECORD + head(LAST, 100), [Start(0, False, False)]),
    "a record before a wrong flag": (WHOLE_RECORD + head(4, 0), [Start(0, False, False)]),
    "many parts": (encode_record(MAGIC * 9), [Start(0, True, False)]),
}


@pytest.mark.parametrize("case", CHAINS)
def test_records_start_where_all_their_parts_are_there_and_intact(case: str) -> None:
    data, expected = CHAINS[case]

    assert expected == starts_of(table_of(data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (WHOLE_RECORD, [Start(0, False, True)]),
        (WHOLE_RECORD + SPLIT, [Start(0, True, False), Start(16, True, True)]),
        (part(FIRST, b"abcd"), [Start(0, False, True)]),
        (part(FIRST, b"") + part(MIDDLE, b"") * 2, [Start(0, True, True)]),
        (head(WHOLE, 900) + b"abcd", [Start(0, False, True)]),
        (part(LAST, b""), []),
        (WHOLE_RECORD + b"GARBAGE!", [Start(0, False, True)]),
        (WHOLE_RECORD + b"GARBAGE!" + WHOLE_RECORD, [Start(0, False, False), Start(24, False, True)]),
    ],
)
def test_a_record_is_unsure_if_the_bytes_at_hand_end_before_it_is_clear(data: bytes, expected: list[Start]) -> None:
    assert expected == starts_of(table_of(data, size=1000))


def test_the_starts_of_many_parts_are_found_in_one_pass() -> None:
    # With a walk for each head, the first parts alone would take a thousand steps each.
    data = part(FIRST, b"") * 1000 + part(MIDDLE, b"") * 1000 + part(LAST, b"")

    assert [Start(8 * 999, True, False)] == starts_of(table_of(data))
