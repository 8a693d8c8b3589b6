"""Scans: blocks of records found by their part heads, and the damaged ranges between them."""

from __future__ import annotations

import random
import struct
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import CountingSource, bounds, image_payload, joined, part, scanned_blocks

from im2rec.format.heads import FIRST, LAST, MAGIC, WHOLE
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.recordio import BytesSource, encode_record
from im2rec.storage.blocks import FRONT_BYTES, Damage, RecordBlock
from im2rec.storage.scan import scan_damaged


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


# Records that end at damage


class Found(NamedTuple):
    """Result of a scan: offsets of the records, of the doubtful ones among them, and the damaged ranges."""

    offsets: list[int]
    doubtful: list[int]
    damage: list[tuple[int, int]]
    problems: list[str]


def found_in(data: bytes, **options: Any) -> Found:
    offsets, doubtful, damage, problems = [], [], [], []
    for item in scan_damaged(BytesSource(data), **options):
        if isinstance(item, RecordBlock):
            offsets += item.offsets
            doubtful += [item.offsets[row] for row in sorted(item.doubtful)]
        else:
            damage.append((item.start, item.end))
            problems.append(item.error.problem)
    return Found(offsets, doubtful, damage, problems)


JPEG = b"\xff\xd8\xff\xe0" + b"jpeg" * 5 + b"\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n" + b"data" * 5 + b"\0\0\0\0IEND\xaeB`\x82"
GARBAGE = b"\xff" * 8
LABELS = [1.0, 2.0, 3.0]
ENDS: dict[str, tuple[bytes, bool]] = {  # frames, and whether nothing proves that they are whole
    "a JPEG with its end": (encode_record(image_payload(1, content=JPEG)), False),
    "a JPEG without its end": (encode_record(image_payload(1, content=JPEG[:-1])), True),
    "a JPEG after label vectors": (encode_record(image_payload(1, LABELS, content=JPEG)), False),
    "a JPEG without its end after label vectors": (encode_record(image_payload(1, LABELS, JPEG[:-2])), True),
    "a JPEG of several parts": (encode_record(image_payload(1, content=JPEG[:8] + MAGIC * 2 + JPEG)), False),
    "a PNG with its end": (encode_record(image_payload(1, content=PNG)), False),
    "a PNG with more after its end": (encode_record(image_payload(1, content=PNG + b"\0")), True),
    "another content": (encode_record(image_payload(1, content=b"RGB" * 30)), True),
    "labels alone": (encode_record(image_payload(1, LABELS, b"")), True),
    "no image header": (encode_record(b"any bytes"), True),
    "more labels than the record holds": (encode_record(struct.pack("<IfQQ", 2**32 - 1, 0, 1, 0) + b"abcd"), True),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_record_in_front_of_damage_is_doubtful_unless_its_content_shows_its_end(case: str) -> None:
    frame, is_doubtful = ENDS[case]
    start, end = len(ONE), len(ONE) + len(frame)

    found = found_in(ONE + frame + GARBAGE + TWO)

    assert [0, start, end + 8] == found.offsets
    assert [start] * is_doubtful == found.doubtful
    assert [(end, end + 8)] == found.damage


@pytest.mark.parametrize("case", ENDS)
def test_a_doubtful_record_is_part_of_the_damage_if_it_is_dropped(case: str) -> None:
    frame, is_doubtful = ENDS[case]
    start, end = len(ONE), len(ONE) + len(frame)

    found = found_in(ONE + frame + GARBAGE + TWO, drop_doubtful=True)

    assert ([0, end + 8] if is_doubtful else [0, start, end + 8]) == found.offsets
    assert [] == found.doubtful
    assert [(start if is_doubtful else end, end + 8)] == found.damage


def test_a_dropped_record_joins_the_damage_after_it_which_has_the_error() -> None:
    *_, damage, _ = scan_damaged(BytesSource(ONE + encode_record(b"any bytes") + GARBAGE + TWO), drop_doubtful=True)

    assert isinstance(damage, Damage)
    assert len(ONE) == damage.start
    assert "record 1, byte 32: expected the magic 0a 23 d7 ce, found ff ff ff ff" == str(damage.error)


PLAIN = encode_record(image_payload(1, content=b"RGB" * 30))
PROOFS = {
    "the next record": PLAIN + TWO + GARBAGE + ONE,
    "the end of the file": GARBAGE + PLAIN,
    "a first part without the others": PLAIN + part(FIRST, b"abcd") + GARBAGE + ONE,
    "a head whose data is cut": PLAIN + part(WHOLE, bytes(100))[:50],
    "a head with a wrong flag": PLAIN + part(5, b"abcd") + ONE,
    "the length word of a head whose magic is wrong": PLAIN + b"?" + part(WHOLE, b"abcdef")[1:] + ONE,
}


@pytest.mark.parametrize("case", PROOFS)
def test_a_head_at_its_end_proves_a_record_whatever_follows_the_head(case: str) -> None:
    data = PROOFS[case]

    assert data.index(PLAIN) not in found_in(data).doubtful
    assert data.index(PLAIN) in found_in(data, drop_doubtful=True).offsets


NO_PROOFS = {
    "a later part": PLAIN + part(LAST, b"abcd") + ONE,
    "a wrong magic and a length word that leads nowhere": PLAIN + b"?" + part(WHOLE, b"abcdef")[1:] + b"???" + ONE,
    "zeros": PLAIN + bytes(8) + ONE,
    "zeros up to the end": PLAIN + bytes(400),
    "one byte too many": PLAIN + b"\0" + ONE + TWO,
    "three bytes at the end of the file": PLAIN + b"\0\0\0",
}


@pytest.mark.parametrize("case", NO_PROOFS)
def test_a_record_is_doubtful_where_no_head_is_at_its_end(case: str) -> None:
    found = found_in(NO_PROOFS[case])

    assert 0 == found.offsets[0]
    assert [0] == found.doubtful
    assert 0 not in found_in(NO_PROOFS[case], drop_doubtful=True).offsets


# Length words


@pytest.mark.parametrize("thorough", [False, True])
def test_a_length_that_became_larger_loses_its_record_alone(thorough: bool) -> None:
    payloads = [image_payload(n, content=bytes([65 + n]) * (10 + n)) for n in range(5)]
    at, data = bounds(payloads), joined(payloads)
    for ordinal in range(4):
        size = len(payloads[ordinal])
        for length in range(size, at[-1] - at[ordinal] - 8):
            changed = bytearray(data)
            changed[at[ordinal] + 4 : at[ordinal] + 8] = struct.pack("<I", length)
            end = at[ordinal] + 8 + (length + 3 & -4)
            if end == at[ordinal + 1] or (end in at and not thorough):
                continue  # the first nothing can tell but the content; the second only the data between
            found = found_in(bytes(changed), thorough=thorough)
            assert [*at[:ordinal], *at[ordinal + 1 : -1]] == found.offsets
            assert [(at[ordinal], at[ordinal + 1])] == found.damage
            assert [] == found.doubtful


def test_a_length_that_covers_whole_records_is_seen_by_a_thorough_scan() -> None:
    payloads = [b"a" * 20, b"b" * 21, b"c" * 22, b"d" * 23]
    at, data = bounds(payloads), bytearray(joined(payloads))
    data[at[1] + 4 : at[1] + 8] = struct.pack("<I", at[3] - at[1] - 8)

    assert [at[0], at[1], at[3]] == found_in(bytes(data)).offsets  # only the data of the record shows it
    found = found_in(bytes(data), thorough=True)
    assert ([at[0], at[2], at[3]], [], [(at[1], at[2])]) == found[:3]
    problem = f"its length word says that it ends at byte {at[3]}, but another part starts at byte 60"
    assert [problem] == found.problems


def test_a_length_that_covers_all_the_rest_is_seen_by_a_thorough_scan() -> None:
    payloads = [bytes([65 + n]) * (5000 + n) for n in range(40)]
    at, data = bounds(payloads), bytearray(joined(payloads))
    data[4:8] = struct.pack("<I", at[-1] - 8)

    assert [0] == found_in(bytes(data)).offsets
    assert (at[1:-1], [], [(0, at[1])]) == found_in(bytes(data), thorough=True)[:3]


def test_a_length_that_became_smaller_makes_its_record_doubtful_or_damage() -> None:
    payloads = [image_payload(n, content=b"\xaa" * 40) for n in range(4)]
    at, data = bounds(payloads), joined(payloads)
    for length in range(len(payloads[1])):
        changed = bytearray(data)
        changed[at[1] + 4 : at[1] + 8] = struct.pack("<I", length)
        found = found_in(bytes(changed))
        assert {at[0], at[2], at[3]} <= set(found.offsets)
        assert at[1] in found.doubtful or at[1] not in found.offsets or length == 0
        assert {*found.offsets} - {at[1]} == {at[0], at[2], at[3]}
        if length % 4 and length > 24:
            assert at[1] not in found.offsets  # what would be its padding is not zero


def test_padding_that_is_not_zero_is_damage_and_the_record_after_it_is_found() -> None:
    bad, damage = part(WHOLE, b"abcde", padding=b"\0\1\0"), (12, 28)
    problem = "expected zero padding, found 00 01 00"

    assert ([0, 28], [], [damage], [problem]) == found_in(ONE + bad + TWO)
    assert ([0], [], [damage], [problem]) == found_in(ONE + bad)
    assert ([0, 36], [], [(12, 36)], [problem]) == found_in(ONE + bad + GARBAGE + TWO)
    split = part(FIRST, b"abcd") + part(LAST, b"e", padding=b"\7\7\7")
    assert ([0, 36], [], [(12, 36)], ["expected zero padding, found 07 07 07"]) == found_in(ONE + split + TWO)


def test_a_record_of_which_bytes_were_lost_is_found_out_by_its_padding() -> None:
    # Its length word reaches a few bytes into the next record; what is there would be its padding.
    data = part(WHOLE, b"x" * 29)[:30] + ONE + TWO + ONE

    found = found_in(data)

    assert [30, 42, 58] == found.offsets
    assert [(0, 30)] == found.damage


# Bytes that were added, removed or moved


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("change", [*range(-9, 0), *range(1, 10)])
def test_bytes_added_or_removed_lose_the_record_they_are_in_and_no_other(change: int, thorough: bool) -> None:
    payloads = [image_payload(n, content=bytes([65 + n]) * (60 + n)) for n in range(5)]
    at, data = bounds(payloads), joined(payloads)
    for ordinal in range(5):
        place = at[ordinal] + 50
        moved = data[:place] + b"+" * change + data[place - min(change, 0) :]
        others = [*at[:ordinal], *[offset + change for offset in at[ordinal + 1 : -1]]]

        found = found_in(moved, thorough=thorough)

        assert others == [offset for offset in found.offsets if offset not in found.doubtful]
        assert {at[ordinal]} >= set(found.doubtful)


@pytest.mark.parametrize("change", [1, 2, 3])
def test_each_loss_of_bytes_begins_another_grid(change: int) -> None:
    frame = encode_record(image_payload(1, content=b"c" * 36))  # 68 bytes
    data = frame * 3 + frame[:-change] + frame * 2 + frame[:-change] + frame * 2
    second, third = 4 * 68 - change, 7 * 68 - 2 * change

    found = found_in(data)

    assert [0, 68, 136, second, second + 68, third, third + 68] == found.offsets
    assert [(3 * 68, second), (second + 2 * 68, third)] == found.damage
    assert [] == found.doubtful


def test_two_damaged_ranges_that_touch_are_one() -> None:
    bad = part(WHOLE, b"abcde", padding=b"\1\1\1")

    found = found_in(ONE + bad + bad + GARBAGE + bad + TWO)

    assert ([0, 68], [(12, 68)]) == (found.offsets, found.damage)
    assert ["expected zero padding, found 01 01 01"] == found.problems  # the first one


def test_each_error_counts_the_records_before_it() -> None:
    data = GARBAGE + ONE * 3 + GARBAGE + ONE * 9000 + GARBAGE + ONE

    errors = [item.error.record for item in scan_damaged(BytesSource(data)) if isinstance(item, Damage)]
    assert [0, 3, 9003] == errors


@pytest.mark.parametrize("count", [8191, 8192, 8193, 8194, 16_384])
def test_damage_at_the_border_of_two_blocks_changes_no_record(count: int) -> None:
    empty, cover = encode_record(b""), part(WHOLE, ONE + GARBAGE)
    whole = [8 * n for n in range(count)]
    for bad, inside in (
        (GARBAGE, []),
        (part(FIRST, b""), []),
        (part(WHOLE, b"abcde", padding=b"\1\1\1"), []),
        (cover + GARBAGE, [8 * count + 8]),  # a record, dropped because it covers another one
    ):
        after = [8 * count + len(bad) + offset for offset in whole]
        assert [*whole, *inside, *after] == found_in(empty * count + bad + empty * count).offsets


# Indexes


def test_an_index_shows_which_length_became_smaller() -> None:
    payloads = [image_payload(n, content=b"\xaa" * 40) for n in range(4)]
    at, data = bounds(payloads), bytearray(joined(payloads))
    data[at[1] + 4 : at[1] + 8] = struct.pack("<I", 40)
    listed = np.array(at[:-1], np.int64)

    assert [at[1]] == found_in(bytes(data)).doubtful
    found = found_in(bytes(data), listed=listed)
    assert ([at[0], at[2], at[3]], [], [(at[1], at[2])]) == found[:3]
    assert ["the length word says 40 bytes, and the index has the next record elsewhere"] == found.problems


def test_an_index_of_another_file_loses_no_record() -> None:
    payloads = [image_payload(n, content=b"\xaa" * 40) for n in range(4)]
    at, data = bounds(payloads), joined(payloads)

    for listed in ([4], [8, 80, 800], [at[1] + 4], [10**9]):
        assert at[:-1] == found_in(data, listed=np.array(listed, np.int64)).offsets


# Thorough scans


INNER = joined([b"thumb", b"nail", b"x" * 9])  # records in the data of an image, off the grid


def test_what_looks_like_records_in_an_image_is_data_in_a_file_without_damage() -> None:
    data = encode_record(b"p" + INNER + b"icture") + ONE + TWO

    found = found_in(data, thorough=True)

    assert (3, [], []) == (len(found.offsets), found.doubtful, found.damage)


def test_what_looks_like_records_in_an_image_is_doubtful_in_a_damaged_file_and_so_is_the_image() -> None:
    image = encode_record(b"p" + INNER + b"icture")
    data = ONE + image + TWO + GARBAGE + ONE

    assert [0, 12, 12 + len(image)] == found_in(data).offsets[:3]
    found = found_in(data, thorough=True)
    inner = [21, 21 + 16, 21 + 28]
    assert [0, 12, *inner, 12 + len(image)] == found.offsets[:6]
    assert [12, *inner] == [offset for offset in found.doubtful if offset < 12 + len(image)]
    dropped = found_in(data, thorough=True, drop_doubtful=True)
    assert [offset for offset in found.offsets if offset not in found.doubtful] == dropped.offsets


def test_offsets_of_a_thorough_scan_ascend_though_records_are_in_one_another() -> None:
    images = joined([b"p" + INNER + b"%d" % n for n in range(5)])

    found = found_in(images + GARBAGE + images, thorough=True)

    assert found.offsets == sorted({*found.offsets})
    assert 40 == len(found.offsets)


def test_whole_records_in_a_large_payload_are_found_and_the_outer_one_is_damage() -> None:
    payloads = [b"x" * 100_000, b"inside", b"y" * 50_000, b"z" * 10]
    at, data = bounds(payloads), bytearray(joined(payloads))
    data[4:8] = struct.pack("<I", at[-1] - 8)
    data += ONE

    found = found_in(bytes(data), thorough=True)

    assert ([*at[1:-1], at[-1]], [], [(0, at[1])]) == found[:3]


def test_a_magic_by_chance_in_the_data_of_a_large_record_is_no_damage() -> None:
    data = part(WHOLE, b"abcd" + MAGIC + b"\xff" * 5000) + TWO

    assert ([0, 5016], [], []) == found_in(data, thorough=True)[:3]


def test_a_last_part_with_a_damaged_flag_is_doubtful_and_the_first_part_damage() -> None:
    image = image_payload(1, content=b"\xff\xd8\xff" + b"a" * 41 + MAGIC + b"rest" * 9)
    frame = bytearray(encode_record(image))
    last = frame.rindex(MAGIC)
    frame[last + 7] &= 0x1F  # the last part is a whole record now

    found = found_in(ONE + bytes(frame) + TWO)

    assert [0, 12 + last, 12 + len(frame)] == found.offsets
    assert [12 + last] == found.doubtful
    assert [(12, 12 + last)] == found.damage
    dropped = found_in(ONE + bytes(frame) + TWO, drop_doubtful=True)
    assert ([0, 12 + len(frame)], [(12, 12 + len(frame))]) == (dropped.offsets, dropped.damage)
    assert ["may be a part of the record before it"] != dropped.problems  # the first error is the first part's


def test_a_record_after_a_first_part_is_whole_if_it_has_an_image_header() -> None:
    following = encode_record(image_payload(2, content=b"abc"))

    found = found_in(ONE + part(FIRST, b"abcd") + following + TWO)

    assert ([0, 24, 24 + len(following)], []) == found[:2]


# Bytes that are read


HOSTILE = {
    "first parts": lambda n: part(FIRST, b"") * n,
    "first and middle parts in turns": lambda n: (part(FIRST, b"") + part(2, b"")) * n,
    "a record of empty parts": lambda n: part(FIRST, b"") + part(2, b"") * n + part(LAST, b""),
    "a record without a last part": lambda n: part(FIRST, b"") + part(2, b"") * n,
    "heads of which each claims the rest": lambda n: b"".join(
        MAGIC + struct.pack("<I", 8 * (n - 1 - k)) for k in range(n)
    ),
    "the same off the grid": lambda n: b"x" + b"".join(MAGIC + struct.pack("<I", 8 * (n - 1 - k)) for k in range(n)),
    "empty records with garbage between": lambda n: (encode_record(b"") + b"GARBAGE!") * n,
    "empty records with a byte between": lambda n: (encode_record(b"") + b"?") * n,
    "records in an image": lambda n: encode_record(b"x" + encode_record(b"") * n) + GARBAGE,
    "bad padding": lambda n: part(WHOLE, b"a", padding=b"\1\1\1") * n,
    "lengths beyond the file": lambda n: (MAGIC + b"\xff\xff\xff\x1f") * n,
    "no head at all": lambda n: b"GARBAGE!" * n,
}


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("case", HOSTILE)
def test_twice_the_heads_take_twice_the_reads(case: str, thorough: bool) -> None:
    def costs(count: int) -> tuple[int, int]:
        source = CountingSource(HOSTILE[case](count))
        for _ in scan_damaged(source, thorough=thorough):
            pass
        return len(source.reads), sum(min(size, max(0, source.size - at)) for at, size in source.reads)

    (reads, size), (more_reads, more_size) = costs(4000), costs(8000)

    assert more_reads <= 2.2 * reads + 10
    assert more_size <= 2.2 * size + 1_000_000


def test_a_thorough_scan_reads_every_byte_of_a_good_file_once() -> None:
    source = CountingSource(joined([b"x" * 100_000] * 40))

    list(scan_damaged(source))
    assert sum(size for _, size in source.reads) < 500_000
    source.reads.clear()
    list(scan_damaged(source, thorough=True))
    assert source.size <= sum(size for _, size in source.reads) < 1.3 * source.size
