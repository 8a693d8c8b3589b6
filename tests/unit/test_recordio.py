"""RecordIO framing: the bytes of a record, its extent and parts, and refused frames."""

from __future__ import annotations

import io
import struct

import pytest
from helpers import CountingSource, joined, message_of, part

from im2rec.errors import MAX_PAYLOAD, CorruptRecordError, RecordTooLargeError
from im2rec.format import recordio
from im2rec.format.heads import FIRST, LAST, MAGIC, MIDDLE, WHOLE
from im2rec.format.recordio import (
    BytesSource,
    Extent,
    Part,
    decode_record,
    encode_record,
    iter_parts,
    measure,
    parse_head,
    read_payload,
    read_record,
    read_records,
    read_start,
    single_part_end,
    single_part_length,
)

M = "0a23d7ce"
ON_DISK = {  # spec/recordio.md, section 6: bytes written by MXNet 1.9.1
    b"": f"{M} 00000000",
    b"a": f"{M} 01000000 61000000",
    b"abcd": f"{M} 04000000 61626364",
    b"abcde": f"{M} 05000000 6162636465000000",
    MAGIC: f"{M} 00000020 {M} 00000060",
    MAGIC + MAGIC: f"{M} 00000020 {M} 00000040 {M} 00000060",
    MAGIC + b"abc": f"{M} 00000020 {M} 03000060 61626300",
    b"abcd" + MAGIC + b"xy": f"{M} 04000020 61626364 {M} 02000060 78790000",
    b"abcd" + MAGIC: f"{M} 04000020 61626364 {M} 00000060",
    b"abcd" + MAGIC * 2 + b"e": f"{M} 04000020 61626364 {M} 00000040 {M} 01000060 65000000",
    b"abc" + MAGIC + b"x": f"{M} 08000000 616263 {M} 78",
    b"abcdef" + MAGIC + b"gh": f"{M} 0c000000 616263646566 {M} 6768",
    b"abcd" + MAGIC[:3]: f"{M} 07000000 61626364 0a23d7 00",
}


def test_payloads_are_framed_as_mxnet_frames_them() -> None:
    frames = {payload: bytes.fromhex(frame) for payload, frame in ON_DISK.items()}

    assert frames == {payload: encode_record(payload) for payload in frames}
    assert list(frames) == [decode_record(frame) for frame in frames.values()]


def test_an_aligned_magic_right_after_a_partial_one_is_found() -> None:
    payload = b"abcd" + b"e" + MAGIC[:3] + MAGIC + b"tail"

    assert [Part(FIRST, 8, 8), Part(LAST, 24, 4)] == list(iter_parts(BytesSource(encode_record(payload)), 0))


def test_payloads_are_cut_at_aligned_magics_only() -> None:
    payload = b"abcde" + MAGIC + b"fgh" + MAGIC

    assert [Part(FIRST, 8, 12), Part(LAST, 28, 0)] == list(iter_parts(BytesSource(encode_record(payload)), 0))
    assert payload == decode_record(encode_record(payload))


def test_the_largest_payload_is_framed_and_one_byte_more_is_refused() -> None:
    class Long(bytes):  # instead of allocating half a gigabyte
        def __len__(self) -> int:
            return MAX_PAYLOAD + 1

    with pytest.raises(RecordTooLargeError) as caught:
        encode_record(Long())

    assert "a payload of 536870912 bytes exceeds 536870911 (lower the quality, or resize)" == str(caught.value)
    head = struct.pack("<II", recordio.MAGIC_WORD, MAX_PAYLOAD)
    assert Part(WHOLE, 8, MAX_PAYLOAD) == parse_head(head, 0, 8 + 2**29)  # and it may end with the file


def test_the_end_of_a_part_counts_its_padding() -> None:
    assert [8, 12, 12, 12, 12, 16] == [Part(WHOLE, 8, length).end for length in range(6)]


CUT = " (the file was cut short; make or fetch it again)"
HEADS = {  # at byte 40 of a file of 52
    MAGIC[:3]: "byte 40: expected 8 bytes of part head, found 3" + CUT,
    b"": "byte 40: expected 8 bytes of part head, found 0" + CUT,
    b"JPEG\0\0\0\0": "byte 40: expected the magic 0a 23 d7 ce, found 4a 50 45 47",
    MAGIC + b"\0\0\0\xa0": "byte 44: expected a part flag from 0 to 3, found 5",
    MAGIC + b"\x05\0\0\0": "byte 48: expected 8 bytes of data and padding, found 4" + CUT,
    MAGIC + b"\xff\xff\xff\x1f": "byte 48: expected 536870912 bytes of data and padding, found 4" + CUT,
}


def test_a_wrong_head_is_reported_at_its_first_wrong_byte() -> None:
    assert HEADS == {head: message_of(parse_head, head, 40, 52) for head in HEADS}


def test_a_head_after_the_known_size_of_a_file_that_grew_is_an_error() -> None:
    message = "byte 48: expected 8 bytes of data and padding, found 0" + CUT
    assert message == message_of(parse_head, part(WHOLE, b"abcde")[:8], 40, 44)


BROKEN_CHAINS = {
    "middle first": (part(MIDDLE, b"aaaa") + part(LAST, b"b"), 0, "expected the start of a record, found a part with"),
    "last alone": (part(LAST, b"aaaa"), 0, "expected the start of a record, found a part with flag 3"),
    "no end": (part(FIRST, b"aaaa") + part(MIDDLE, b""), 20, "expected another part of the record, found the end of"),
    "two starts": (part(FIRST, b"aaaa") + part(FIRST, b"") + part(LAST, b""), 12, "expected a middle or last part of"),
    "padded first": (part(FIRST, b"aaaaa") + part(LAST, b"b"), 4, "expected a multiple of 4 bytes before a cut, fou"),
    "padded middle": (part(FIRST, b"") + part(MIDDLE, b"a") + part(LAST, b""), 12, "expected a multiple of 4 bytes"),
    "no magic": (part(FIRST, b"aaaa") + b"AAAABBBB", 12, "expected the magic 0a 23 d7 ce, found 41 41 41 41"),
    "cut head": (part(FIRST, b"aaaa") + MAGIC, 12, "expected 8 bytes of part head, found 4"),
    "wrong flag": (part(FIRST, b"aaaa") + part(7, b""), 16, "expected a part flag from 0 to 3, found 7"),
}


@pytest.mark.parametrize("case", BROKEN_CHAINS)
def test_parts_that_do_not_form_a_record_are_reported_at_the_wrong_byte(case: str) -> None:
    before = encode_record(b"before")
    frame, offset, problem = BROKEN_CHAINS[case]

    with pytest.raises(CorruptRecordError) as caught:
        read_record(BytesSource(before + frame), len(before))
    assert caught.value.problem.startswith(problem)
    assert len(before) + offset == caught.value.offset


def test_a_file_cut_while_it_is_open_is_reported_at_the_data() -> None:
    frame = encode_record(b"abcdefgh")
    source = BytesSource(frame[:-3], base=100, size=100 + len(frame))

    message = "byte 108: expected 8 bytes of data and padding, found 5 (the file was cut while open)"
    assert message == message_of(read_record, source, 100)


COVERED = {  # by the length word of the frame: the offset of the first part that it covers
    "records up to its end": (part(WHOLE, b"payload!" + joined([b"one", b"four"])), 16),
    "records in its middle": (part(WHOLE, b"payload!" + joined([b"one", b"four"]) + b"tail"), 16),
    "a record of several parts": (part(WHOLE, b"payload!" + encode_record(b"ab" * 4 + MAGIC)), 16),
    "a later part": (part(WHOLE, b"payload!" + part(LAST, b"abcd")), 16),
    "a record after a magic by chance": (part(WHOLE, MAGIC + b"\xff" * 4 + encode_record(b"one")), 16),
    "a record in a large payload": (part(WHOLE, b"x" * 8000 + encode_record(b"one") + b"x" * 5), 8008),
    "a record in a middle part": (
        part(FIRST, b"") + part(MIDDLE, b"abcd" + encode_record(b"one")) + part(LAST, b""),
        20,
    ),
    "a record in a last part": (part(FIRST, b"") + part(LAST, b"abcd" + encode_record(b"one") + b"x"), 20),
}


@pytest.mark.parametrize("case", COVERED)
def test_a_length_word_that_covers_other_parts_is_reported_with_the_first_of_them(case: str) -> None:
    frame, inside = COVERED[case]
    end = 100 + len(frame)

    problem = f"its length word says that it ends at byte {end}, but another part starts at byte {100 + inside}"
    assert f"byte 104: {problem}" == message_of(decode_record, frame, 100)


def test_a_magic_that_starts_no_part_is_data_in_a_single_part_and_damage_in_several() -> None:
    # Other programs cut no payloads; theirs have one part. Whoever wrote several parts has cut at every magic.
    for inside in (MAGIC, MAGIC + b"tail", MAGIC + b"\xff" * 4, b"a" * 8000 + MAGIC + b"\xff\0\0\0abc"):
        assert b"abcd" + inside == decode_record(part(WHOLE, b"abcd" + inside))
    frame = part(FIRST, b"abcd" + MAGIC + b"tail") + part(LAST, b"")
    assert "another part starts at byte 12" in message_of(decode_record, frame)


def test_padding_that_is_not_zero_is_an_error_at_its_byte() -> None:
    with pytest.raises(CorruptRecordError) as caught:
        decode_record(part(WHOLE, b"abcde", padding=b"\0\1\0"), offset=100)

    assert "byte 113: expected zero padding, found 00 01 00 (the length word may be damaged)" == str(caught.value)


def test_bytes_after_the_record_of_a_frame_are_an_error() -> None:
    frame = encode_record(b"abcd")

    with pytest.raises(CorruptRecordError, match=r"^byte 24: expected the end of the record, found 3 bytes$"):
        decode_record(frame + b"xyz", offset=12)


def test_padding_of_a_record_of_several_parts_is_checked_too() -> None:
    frame = part(FIRST, b"abcd") + part(LAST, b"e", padding=b"\0\0\7")

    message = "byte 21: expected zero padding, found 00 00 07 (the length word may be damaged)"
    assert message == message_of(decode_record, frame)


def test_only_part_heads_are_read_to_measure_a_record() -> None:
    source = CountingSource(encode_record(b"a" * 4000 + MAGIC + b"b" * 4000))

    assert [Part(FIRST, 8, 4000), Part(LAST, 4016, 4000)] == list(iter_parts(source, 0))
    assert [(0, 8), (4008, 8)] == source.reads
    assert Extent(8016, 8004, 2) == measure(source, 0)


def test_the_extent_of_a_record_is_its_end_its_payload_and_its_parts() -> None:
    for payload, parts in ((b"", 1), (b"abcde", 1), (MAGIC, 2), (b"abcd" + MAGIC * 3 + b"x", 4)):
        frame = encode_record(payload)
        source = BytesSource(frame + encode_record(b"next"), base=40)
        assert Extent(40 + len(frame), len(payload), parts) == measure(source, 40)
        assert payload == read_payload(source, 40, measure(source, 40))


def test_a_head_is_read_when_its_part_is_asked_for() -> None:
    source = CountingSource(part(FIRST, b"") + part(MIDDLE, b"") + b"GARBAGE!")
    parts = iter_parts(source, 0)

    assert [Part(FIRST, 8, 0), Part(MIDDLE, 16, 0)] == [next(parts), next(parts)]
    assert [(0, 8), (8, 8)] == source.reads
    assert message_of(next, parts).startswith("byte 16: expected the magic")


@pytest.mark.parametrize("count", [10, 20_000])
def test_the_heads_of_many_small_parts_are_read_together(count: int) -> None:
    payload = MAGIC * (count - 1)
    source = CountingSource(encode_record(payload))

    assert Extent(8 * count, len(payload), count) == measure(source, 0)
    assert len(source.reads) <= 8 + 8 * count // (64 << 10)
    assert payload == read_record(source, 0)[0]


def test_many_large_parts_are_measured_without_reading_their_data() -> None:
    source = CountingSource(encode_record((b"a" * 5000 + MAGIC) * 50))

    assert 51 == measure(source, 0).parts
    assert [(5008 * n, 8) for n in range(51)] == source.reads


def test_the_start_of_a_record_is_read_without_the_rest() -> None:
    payload = b"abcd" + MAGIC * 2 + b"e" * 4000
    source = CountingSource(encode_record(b"before") + encode_record(payload))

    for size in (0, 2, 4, 6, 8, 12, 13, 100, 5000):
        assert payload[:size] == read_start(source, 16, size)
    source.reads.clear()
    read_start(source, 16, 100)
    assert sum(size for _, size in source.reads) < 300
    source.reads.clear()
    assert b"abcd" == read_start(source, 16, 4)
    assert (24, 4) == source.reads[-1]  # no data of the second part


SPLIT = encode_record(b"abcd" + MAGIC)
LARGE = bytes(5000)  # above the size up to which bytes are searched without numpy
NOT_SINGLE = {
    "several parts": SPLIT,
    "nothing": b"",
    "no whole head": MAGIC + b"\0\0\0",
    "another magic": b"JPEG" + encode_record(b"abcd")[4:],
    "one record and more": encode_record(b"abcd") + encode_record(b""),
    "a cut record": encode_record(b"abcdefgh")[:-4],
    "padding that is not zero": part(WHOLE, b"abcde", padding=b"\0\0\1"),
}


@pytest.mark.parametrize("confirmed", [False, True])
def test_the_payload_of_a_single_part_ends_at_its_length(confirmed: bool) -> None:
    for payload in (b"", b"a", b"abc", b"abcd", b"abcde", LARGE, LARGE + b"x"):
        assert 8 + len(payload) == single_part_end(encode_record(payload), confirmed=confirmed)


@pytest.mark.parametrize("case", NOT_SINGLE)
def test_a_frame_that_is_not_a_single_whole_part_has_no_such_end(case: str) -> None:
    assert single_part_end(NOT_SINGLE[case], confirmed=True) is None
    assert single_part_end(NOT_SINGLE[case], confirmed=False) is None


def test_a_magic_inside_a_frame_counts_unless_the_next_record_is_confirmed() -> None:
    for frame in (part(WHOLE, MAGIC), part(WHOLE, b"abcd" + MAGIC + b"x"), part(WHOLE, LARGE + MAGIC)):
        assert single_part_end(frame, confirmed=False) is None
        assert single_part_end(frame, confirmed=True) is not None
    off_the_grid = part(WHOLE, LARGE + b"x" + MAGIC + b"yz")
    assert 8 + 5007 == single_part_end(off_the_grid, confirmed=False)


def test_the_length_of_a_single_part_is_read_from_its_head() -> None:
    for length, frame_bytes in ((0, 8), (1, 12), (4, 12), (5, 16)):
        assert length == single_part_length(part(WHOLE, bytes(length))[:8], frame_bytes)
        assert single_part_length(part(WHOLE, bytes(length))[:8], frame_bytes + 4) is None
        assert single_part_length(part(FIRST, bytes(length))[:8], frame_bytes) is None


def test_a_stream_is_read_from_its_start_whatever_its_position() -> None:
    stream = io.BytesIO(joined([b"one", b"two"]))
    stream.seek(7)

    assert [b"one", b"two"] == list(read_records(stream))


def test_a_stream_that_is_no_binary_file_is_refused() -> None:
    wrong = {"str": "train.rec", "bytes": joined([b"one"]), "a text file": io.StringIO("text")}

    for kind, stream in wrong.items():
        message = f"a stream must be a binary file, not {kind} (open the path with 'rb')"
        assert message == message_of(next, read_records(stream))  # type: ignore[arg-type]


def test_a_bytes_source_holds_only_its_range_of_the_file() -> None:
    source = BytesSource(b"abcdef", base=100, size=1000)

    assert 1000 == source.size
    assert b"cd" == source.read_at(102, 2)
    assert b"ef" == source.read_at(104, 50)
    assert b"" == source.read_at(106, 4)
    assert b"" == source.read_at(95, 10)
    assert 106 == BytesSource(b"abcdef", base=100).size


def test_offsets_above_4_gigabytes_are_read() -> None:
    far = 5 * 2**30
    source = BytesSource(encode_record(b"ab" + MAGIC) + encode_record(MAGIC + b"far"), base=far)

    assert (b"ab" + MAGIC, far + 16) == read_record(source, far)
    assert (MAGIC + b"far", far + 36) == read_record(source, far + 16)
