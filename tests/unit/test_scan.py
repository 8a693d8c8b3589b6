"""Scans: records found by their heads alone, and damaged ranges between them."""

from __future__ import annotations

import random

import pytest
from helpers import CountingSource, bounds, image_payload, joined, part

from im2rec.errors import CorruptRecordError
from im2rec.format.recordio import FIRST, MAGIC, BytesSource, encode_record
from im2rec.storage.scan import FRONT_BYTES, Damage, RecordBlock, scan, scan_damaged


def seen(data: bytes) -> list[object]:
    """Offsets of the records found, and (start, end, message) of damages, in order."""
    found: list[object] = []
    for item in scan_damaged(BytesSource(data)):
        found += item.offsets if isinstance(item, RecordBlock) else [(item.start, item.end, str(item.error))]
    return found


def test_a_block_tells_offsets_sizes_fronts_and_splits() -> None:
    payloads = [b"one", MAGIC + b"two" + bytes(100), image_payload(7, content=b"pict") + MAGIC * 3]
    data = joined(payloads)

    (block,) = scan(BytesSource(data))

    assert (bounds(payloads)[:-1], list(map(len, payloads))) == (block.offsets, block.sizes)
    assert {1: 2, 2: 4} == block.split
    assert (3, FRONT_BYTES) == block.fronts.shape
    assert data[:64] == block.fronts[0].tobytes()  # what follows a short record follows it in its front
    assert payloads[1][:56] == block.fronts[1].tobytes()[8:]  # a split record's payload is joined again
    assert payloads[2] == block.fronts[2].tobytes()[8 : 8 + len(payloads[2])]
    assert not any(block.fronts[2].tobytes()[8 + len(payloads[2]) :])


def test_a_file_without_records_has_no_blocks() -> None:
    assert [] == list(scan(BytesSource(b"")))
    assert [] == list(scan_damaged(BytesSource(b"")))


def test_many_records_come_in_blocks_of_bounded_size() -> None:
    payloads = [b"x" * (n % 5) for n in range(20_000)]

    blocks = list(scan(BytesSource(joined(payloads))))

    assert [8192, 8192, 3616] == [len(block.offsets) for block in blocks]
    assert bounds(payloads)[:-1] == [offset for block in blocks for offset in block.offsets]
    assert list(map(len, payloads)) == [size for block in blocks for size in block.sizes]


def test_small_records_are_read_in_windows_and_large_ones_are_not_read() -> None:
    small = CountingSource(joined([b"x" * 100] * 10_000))
    large = CountingSource(joined([b"x" * 20_000] * 500))

    for source, most_reads, most_bytes in ((small, 10, 2 * small.size), (large, 510, 64 * 510 + 2**18)):
        list(scan(source))
        assert len(source.reads) <= most_reads
        assert sum(size for _, size in source.reads) <= most_bytes


def test_records_of_mixed_sizes_are_all_found() -> None:
    rng = random.Random(5)
    payloads = [rng.randbytes(rng.choice([0, 3, 24, 100, 4095, 4097, 300_000])) for _ in range(150)]

    blocks = list(scan(BytesSource(joined(payloads))))

    assert bounds(payloads)[:-1] == [offset for block in blocks for offset in block.offsets]
    assert list(map(len, payloads)) == [size for block in blocks for size in block.sizes]


def test_a_scan_ends_at_the_first_damage_with_its_ordinal() -> None:
    data = joined([b"x"] * 10_000)
    blocks = scan(BytesSource(data + b"GARBAGE!" + data))

    assert [8192, 1808] == [len(next(blocks).offsets), len(next(blocks).offsets)]
    with pytest.raises(CorruptRecordError) as caught:
        next(blocks)
    assert "record 10000, byte 120000: expected the magic 0a 23 d7 ce, found 47 41 52 42" == str(caught.value)


ONE, TWO = encode_record(b"one"), encode_record(b"second!!")
MAGIC_IS = "expected the magic 0a 23 d7 ce, found"
CUT_SHORT = "expected 8 bytes of data and padding, found 1 (the file was cut short; make or fetch it again)"
NEW_RECORD = "expected a middle or last part of the record at byte 12, found a new record"
DAMAGED: dict[str, tuple[bytes, list[object]]] = {
    "at the start": (b"GARBAGE!" + ONE + TWO, [(0, 8, f"record 0, byte 0: {MAGIC_IS} 47 41 52 42"), 8, 20]),
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


def test_a_scan_goes_on_behind_damage_and_tells_its_range() -> None:
    for name, (data, expected) in DAMAGED.items():
        assert (name, expected) == (name, seen(data))


def test_a_length_that_grew_is_blamed_itself_and_not_the_record_it_ends_in() -> None:
    payloads = [b"a" * 20, b"b" * 20, b"c" * 20, b"d" * 20]
    data = bytearray(joined(payloads))
    data[28 + 4] += 12  # record 1 now ends in the middle of record 2

    assert [
        0,
        (28, 56, "record 1, byte 32: the length word says 32 bytes, but another record starts at byte 56"),
        56,
        84,
    ] == seen(bytes(data))
    with pytest.raises(CorruptRecordError, match=r"^record 1, byte 32: the length word says 32 bytes"):
        list(scan(BytesSource(bytes(data))))


def test_frames_inside_a_image_are_not_taken_for_records_when_damage_follows() -> None:
    image = b"p" + ONE * 4 + b"icture"

    assert [0, (64, 72, f"record 1, byte 64: {MAGIC_IS} 47 41 52 42"), 72, 84] == seen(
        encode_record(image) + b"GARBAGE!" + ONE * 2
    )


def test_damages_and_records_tile_the_file() -> None:
    data = b"??" + ONE + TWO + ONE + b"!!!" + TWO + ONE + TWO + b"...." + ONE[:5]
    at = 0
    for item in scan_damaged(BytesSource(data)):
        if isinstance(item, Damage):
            assert at == item.start < item.end
            at = item.end
        else:
            assert at == item.offsets[0]
            at = item.offsets[-1] + 8 + (item.sizes[-1] + 3 & -4)
    assert len(data) == at
