"""Scans: blocks of records found by their part heads, and the damaged ranges between them."""

from __future__ import annotations

import random

import pytest
from helpers import CountingSource, bounds, image_payload, joined, part, scanned_blocks

from im2rec.format.heads import FIRST, MAGIC, WHOLE
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.recordio import BytesSource, encode_record
from im2rec.storage.scan import FRONT_BYTES, Damage, RecordBlock, scan_damaged


def scanned(data: bytes) -> list[object]:
    """Return the offsets of the whole records, and (start, end, message) of each damage, in file order."""
    items: list[object] = []
    for item in scan_damaged(BytesSource(data)):
        items += item.offsets if isinstance(item, RecordBlock) else [(item.start, item.end, str(item.error))]
    return items


def test_a_block_has_offsets_sizes_first_bytes_and_part_counts() -> None:
    payloads = [b"one", MAGIC + b"two" + bytes(100), image_payload(7, content=b"pict") + MAGIC * 3]
    data = joined(payloads)

    (block,) = scanned_blocks(BytesSource(data))

    assert bounds(payloads)[:-1] == block.offsets
    assert list(map(len, payloads)) == block.sizes
    assert {1: 2, 2: 4} == block.split
    assert (3, FRONT_BYTES) == block.fronts.shape
    assert data[:64] == block.fronts[0].tobytes()  # a short record and the start of the next one
    assert payloads[1][:56] == block.fronts[1].tobytes()[8:]  # a split record's payload is joined again
    assert payloads[2] == block.fronts[2].tobytes()[8 : 8 + len(payloads[2])]
    assert not any(block.fronts[2].tobytes()[8 + len(payloads[2]) :])


def test_an_empty_record_at_the_end_has_one_part() -> None:
    (block,) = scanned_blocks(BytesSource(joined([b"one", b""])))

    assert [0, 12] == block.offsets
    assert {} == block.split


def test_a_block_has_the_image_header_of_each_record() -> None:
    payloads = [image_payload(7, 1.5), encode_image_record(IRHeader(0, [2, 3, 4], 8, 9), MAGIC)]

    (block,) = scanned_blocks(BytesSource(joined(payloads)))

    assert [0, 3] == block.headers["flag"].tolist()
    assert [1.5, 0.0] == block.headers["label"].tolist()
    assert [7, 8] == block.headers["id"].tolist()
    assert [0, 9] == block.headers["id2"].tolist()
    assert [2, 3] == block.headers["vector"][1].tolist()


def test_the_first_bytes_of_the_last_record_end_with_zeros() -> None:
    (block,) = scanned_blocks(BytesSource(joined([b"a" * 100, b"end"])))

    assert (encode_record(b"end") + bytes(52)) == block.fronts[1].tobytes()


def test_a_file_without_records_has_no_blocks() -> None:
    assert [] == scanned_blocks(BytesSource(b""))
    assert [] == list(scan_damaged(BytesSource(b""), thorough=True))


def test_many_records_come_in_blocks_of_bounded_size() -> None:
    payloads = [b"x" * (n % 5) for n in range(20_000)]

    blocks = scanned_blocks(BytesSource(joined(payloads)))

    assert [8192, 8192, 3616] == [len(block.offsets) for block in blocks]
    assert bounds(payloads)[:-1] == [offset for block in blocks for offset in block.offsets]
    assert list(map(len, payloads)) == [size for block in blocks for size in block.sizes]


def test_records_up_to_4096_bytes_are_read_in_windows_and_of_larger_ones_the_start_alone() -> None:
    small = CountingSource(joined([b"x" * 4096] * 100))
    large = CountingSource(joined([b"x" * 4097] * 100))

    scanned_blocks(small)
    scanned_blocks(large)

    # The 4 bytes before a record end with the padding of the one before.
    assert [(0, 2**18 + 4), (64 * 4104 - 4, 2**18 + 4)] == small.reads
    padding = (100 * 4108 - 3, 3)  # of the last record
    assert [(0, 2**18 + 4), *((n * 4108 - 4, 68) for n in range(64, 100)), padding] == large.reads


def test_records_of_mixed_sizes_are_all_found() -> None:
    rng = random.Random(5)
    payloads = [rng.randbytes(rng.choice([0, 3, 24, 100, 4095, 4097, 300_000])) for _ in range(150)]

    blocks = scanned_blocks(BytesSource(joined(payloads)))

    assert bounds(payloads)[:-1] == [offset for block in blocks for offset in block.offsets]
    assert list(map(len, payloads)) == [size for block in blocks for size in block.sizes]


def test_damage_comes_after_all_records_before_it() -> None:
    data = joined([b"x"] * 10_000)

    *blocks, damage, more, rest = scan_damaged(BytesSource(data + b"GARBAGE!" + data))

    assert [8192, 1808] == [len(block.offsets) for block in blocks if isinstance(block, RecordBlock)]
    assert isinstance(damage, Damage)
    assert "record 10000, byte 120000: expected the magic 0a 23 d7 ce, found 47 41 52 42" == str(damage.error)
    assert [8192, 1808] == [len(block.offsets) for block in (more, rest) if isinstance(block, RecordBlock)]


ONE, TWO = encode_record(b"one"), encode_record(b"second!!")
MAGIC_IS = "expected the magic 0a 23 d7 ce, found"
CUT_SHORT = "expected 8 bytes of data and padding, found 1 (the file was cut short; make or fetch it again)"
NEW_RECORD = "expected a middle or last part of the record at byte 12, found a new record"
DAMAGED: dict[str, tuple[bytes, list[object]]] = {
    "at the start": (b"GARBAGE!" + ONE + TWO, [(0, 8, f"record 0, byte 0: {MAGIC_IS} 47 41 52 42"), 8, 20]),
    "one byte": (b"?" + ONE + TWO + ONE, [(0, 1, f"record 0, byte 0: {MAGIC_IS} 3f 0a 23 d7"), 1, 13, 29]),
    "between": (ONE + b"GARBAGE!" + ONE + TWO, [0, (12, 20, f"record 1, byte 12: {MAGIC_IS} 47 41 52 42"), 20, 32]),
    "off the grid": (
        ONE + b"XYZ" + TWO + ONE + TWO,
        [0, (12, 15, f"record 1, byte 12: {MAGIC_IS} 58 59 5a 0a"), 15, 31, 43],
    ),
    "at the end": (ONE + TWO[:9], [0, (12, 21, f"record 1, byte 20: {CUT_SHORT}")]),
    "twice": (
        ONE + TWO + b"....." + ONE * 4 + b"\0\0\0\0" + ONE + TWO + ONE,
        [
            *(0, 12, (28, 33, f"record 2, byte 28: {MAGIC_IS} 2e 2e 2e 2e")),
            *(33, 45, 57, 69, (81, 85, f"record 6, byte 81: {MAGIC_IS} 00 00 00 00")),
            *(85, 97, 113),
        ],
    ),
    "a start without end": (ONE + part(FIRST, b"aaaa") + TWO, [0, (12, 24, f"record 1, byte 24: {NEW_RECORD}"), 24]),
    "nothing but garbage": (b"GARBAGE!", [(0, 8, f"record 0, byte 0: {MAGIC_IS} 47 41 52 42")]),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_scan_resumes_after_damage_and_reports_its_range(case: str) -> None:
    data, expected = DAMAGED[case]

    assert expected == scanned(data)


@pytest.mark.parametrize("added", [12, 40], ids=["inside record 2", "inside record 3"])
def test_a_length_that_became_larger_is_the_damage_and_not_the_record_it_ends_in(added: int) -> None:
    data = bytearray(joined([b"a" * 20, b"b" * 20, b"c" * 20, b"d" * 20]))
    data[28 + 4] += added
    problem = f"the length word says {20 + added} bytes, but another record starts at byte 56"

    assert [0, (28, 56, f"record 1, byte 32: {problem}"), 56, 84] == scanned(bytes(data))


def test_bytes_lost_from_a_record_are_its_damage_and_not_that_of_the_next() -> None:
    data = joined([b"a" * 20, b"b" * 40, b"c" * 20, b"d" * 20])
    data = data[:50] + data[53:]  # record 1 now ends inside record 2, which starts at byte 73
    problem = "the length word says 40 bytes, but another record starts at byte 73"

    assert [0, (28, 73, f"record 1, byte 32: {problem}"), 73, 101] == scanned(data)


def test_records_inside_an_image_are_not_taken_for_others_when_damage_follows() -> None:
    image = b"p" + ONE * 4 + b"icture"
    damage = (64, 72, f"record 1, byte 64: {MAGIC_IS} 47 41 52 42")

    assert [0, damage, 72, 84] == scanned(encode_record(image) + b"GARBAGE!" + ONE * 2)


def test_a_record_before_an_unfinished_one_is_not_the_damage_whatever_it_contains() -> None:
    data = part(WHOLE, b"abcd" + ONE) + part(FIRST, b"aaaa") + b"GARBAGE!"

    assert [0, (24, 44, f"record 1, byte 36: {MAGIC_IS} 47 41 52 42")] == scanned(data)


def test_a_scan_ends_when_damage_contains_a_record_and_is_followed_by_a_cut_head() -> None:
    data = part(WHOLE, ONE) + MAGIC + b"\0\0"
    problem = "the length word says 12 bytes, but another record starts at byte 8"
    cut = "expected 8 bytes of part head, found 6 (the file was cut short; make or fetch it again)"

    assert [(0, 8, f"record 0, byte 4: {problem}"), 8, (20, 26, f"record 1, byte 20: {cut}")] == scanned(data)


def test_damages_and_records_cover_the_file_without_gaps() -> None:
    data = b"??" + ONE + TWO + ONE + b"!!!" + TWO + ONE + TWO + b"...." + ONE[:5]
    covered = 0
    for item in scan_damaged(BytesSource(data)):
        if isinstance(item, Damage):
            assert covered == item.start < item.end
            covered = item.end
        else:
            assert covered == item.offsets[0]
            covered = item.offsets[-1] + 8 + (item.sizes[-1] + 3 & -4)
    assert len(data) == covered
