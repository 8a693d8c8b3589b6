"""Index files: which lines are read, how wrong lines are reported, and that the block size makes no difference."""

from __future__ import annotations

import io

import numpy as np
import pytest
from helpers import index_text, message_of, peak_bytes

from im2rec.errors import IndexFormatError
from im2rec.format import indexfile
from im2rec.format.indexfile import index_blocks, index_line, index_lines, read_index


def read(text: bytes) -> tuple[list[int], list[int]]:
    keys, offsets = read_index(io.BytesIO(text))
    return keys.tolist(), offsets.tolist()


def test_a_line_is_key_tab_offset() -> None:
    assert b"7\t1024\n" == index_line(7, 1024)
    assert b"18446744073709551615\t9223372036854775804\n" == index_line(np.uint64(2**64 - 1), np.int64(2**63 - 4))


def test_many_lines_are_those_of_each_record() -> None:
    keys, offsets = np.array([7, 2**64 - 1], np.uint64), np.array([0, 2**63 - 4], np.int64)
    assert index_line(7, 0) + index_line(2**64 - 1, 2**63 - 4) == index_lines(keys, offsets)
    assert b"" == index_lines(keys[:0], offsets[:0])


def test_blocks_are_all_lines_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    text = index_text(range(0, 4000, 8)) + b" 5 7\n"
    monkeypatch.setattr(indexfile, "_BLOCK_BYTES", 1000)
    blocks = list(index_blocks(io.BytesIO(text)))

    assert len(blocks) > 3
    keys, offsets = read(text)
    assert (keys, offsets) == tuple([int(n) for block in blocks for n in block[column]] for column in (0, 1))
    assert {(np.dtype(np.uint64), np.dtype(np.int64))} == {(keys.dtype, offsets.dtype) for keys, offsets in blocks}


def test_keys_keep_the_order_of_the_lines_and_their_duplicates() -> None:
    assert ([30, 10, 20, 10, 0], [0, 16, 24, 48, 68]) == read(b"30\t0\n10\t16\n20\t24\n10\t48\n0\t68\n")


READABLE = {
    "empty": (b"", ([], [])),
    "blank lines": (b"\n1\t0\n\n \t \n2\t8\n\n", ([1, 2], [0, 8])),
    "last line not ended": (b"1\t0\n2\t8", ([1, 2], [0, 8])),
    "CRLF": (b"1\t0\r\n2\t8\r\n", ([1, 2], [0, 8])),
    "blanks for TABs": (b"1 0\n 2 \t 8 \n", ([1, 2], [0, 8])),
    "a TAB behind": (b"1\t0\t\n", ([1], [0])),
    "leading zeros": (b"007\t0016\n", ([7], [16])),
    "many leading zeros": (b"0" * 200 + b"7\t" + b"0" * 200 + b"\n", ([7], [0])),
    "many leading zeros, blanks": (b"0" * 200 + b"7 " + b"0" * 200 + b"\n", ([7], [0])),
    "the largest": (b"18446744073709551615\t9223372036854775807\n", ([2**64 - 1], [2**63 - 1])),
}


@pytest.mark.parametrize("case", READABLE)
def test_every_form_that_mxnets_readers_accept_is_read(case: str) -> None:
    text, expected = READABLE[case]

    assert expected == read(text)


WRONG = {
    b"x\t0\n": "expected a key and an offset, found 'x\\t0'",
    b"1\n": "expected a key and an offset, found '1'",
    b"1\t\n": "expected a key and an offset, found '1'",
    b"\t1\n": "expected a key and an offset, found '1'",
    b"1\t2\t3\n": "expected a key and an offset, found '1\\t2\\t3'",
    b"1\t-8\n": "expected a key and an offset, found '1\\t-8'",
    b"+1\t8\n": "expected a key and an offset, found '+1\\t8'",
    b"1_0\t8\n": "expected a key and an offset, found '1_0\\t8'",
    b"1.0\t8\n": "expected a key and an offset, found '1.0\\t8'",
    b"1\t0x8\n": "expected a key and an offset, found '1\\t0x8'",
    b"18446744073709551616\t0\n": "the key 18446744073709551616 is above 2^64 - 1",
    b"1\t9223372036854775808\n": "the offset 9223372036854775808 is above 2^63 - 1",
    # What a 32-bit ftell() or a full disk wrote (mxnet issue 8103).
    b"1\t18446744073709551615\n": "the offset 18446744073709551615 is above 2^63 - 1",
    b"9" * 5000 + b"\t0\n": f"the key {'9' * 100} is above 2^64 - 1",
    b"0\t" + b"9" * 5000 + b"\n": f"the offset {'9' * 100} is above 2^63 - 1",
    b"a" * 5000 + b"\t0\n": f"expected a key and an offset, found '{'a' * 40}'",
}


def test_a_line_that_is_not_key_and_offset_is_reported_with_its_number() -> None:
    for before, number in ((b"", 1), (b"5\t0\n\n6\t12\n", 4)):
        messages = {line: f"line {number}: {problem}" for line, problem in WRONG.items()}
        assert messages == {line: message_of(read, before + line + b"7\t24\n") for line in WRONG}


def test_an_index_cut_inside_its_last_line_is_reported_unless_a_number_remains() -> None:
    whole = b"1\t0\n20\t120\n"  # as left behind by a packer that was killed
    for cut, shown in ((5, "2"), (6, "20"), (7, "20")):
        assert f"line 2: expected a key and an offset, found '{shown}'" == message_of(read, whole[:cut])
    assert ([1, 20], [0, 1]) == read(whole[:8])  # a shorter number is a number: only the .rec can tell
    assert "line 1: expected a key and an offset, found '1'" == message_of(read, b"1")


def test_bytes_that_are_not_text_are_shown_in_few_columns() -> None:
    shown = "".join(f"\\x{byte:02x}" for byte in range(0xF0, 0xFA))
    assert f"line 1: expected a key and an offset, found '{shown}'" == message_of(read, bytes(range(0xF0, 0x100)) * 9)
    assert f"line 1: expected a key and an offset, found '{'x' * 40}'" == message_of(read, b"x" * 99)


def test_bytes_that_are_not_text_are_an_index_format_error() -> None:
    with pytest.raises(IndexFormatError, match=r"^line 2: expected a key and an offset, found .*xff"):
        read(b"1\t0\n\xff\xd8\t1\n")


@pytest.mark.parametrize("block_bytes", [1, 3, 64])
def test_blocks_of_any_size_read_the_same(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, offsets = [2**64 - 1, 0, 123456789, 7, 7], [0, 8, 4096, 2**40, 2**62]
    texts = [index_text(offsets, keys), index_text(offsets, keys).replace(b"\n", b"\r\n\n")[:-3]]
    monkeypatch.setattr(indexfile, "_BLOCK_BYTES", block_bytes)

    for text in texts:
        assert (keys, offsets) == read(text)
    with pytest.raises(IndexFormatError, match=r"^line 6: expected"):
        read(texts[0] + b"8\n")
    with pytest.raises(IndexFormatError, match=r"^line 10: expected"):
        read(texts[1] + b"\n8\n")


def test_a_line_longer_than_any_key_and_offset_is_refused_before_the_rest_is_read() -> None:
    expected = "expected a key and an offset, found more than 65536 bytes"
    for before, line in ((b"", 1), (b"1\t0\n\n", 3)):
        stream = io.BytesIO(before + b"9" * 50_000_000 + b"\t0\n")
        assert f"line {line}: {expected}" == message_of(read_index, stream)
        assert stream.tell() < 200_000


def test_a_file_of_another_kind_is_refused_by_its_first_line() -> None:
    stream = io.BytesIO(b"what\n" * 10_000_000)
    assert "line 1: expected a key and an offset, found 'what'" == message_of(read_index, stream)
    assert stream.tell() < 200_000


def test_more_lines_than_there_can_be_records_are_refused_before_they_are_parsed() -> None:
    stream = io.BytesIO(LONG + b"what\n")
    problem = "has more lines than the .rec can hold records, which are at most 5000"
    assert problem == message_of(read_index, stream, max_lines=5000)
    assert stream.tell() < 200_000
    assert COUNT == len(read_index(io.BytesIO(LONG), max_lines=COUNT)[0])
    assert COUNT == len(read_index(io.BytesIO(LONG.replace(b"\n", b"\r\n\n")), max_lines=COUNT)[0])


COUNT = 150_000  # lines, in many blocks
LONG = index_text(range(0, 12 * COUNT, 12))


def test_a_long_index_takes_16_bytes_a_record() -> None:
    keys, offsets = read_index(io.BytesIO(LONG))

    assert np.uint64 == keys.dtype
    assert np.int64 == offsets.dtype
    assert np.array_equal(np.arange(COUNT), keys)
    assert np.array_equal(12 * np.arange(COUNT), offsets)
    assert 16 * COUNT == keys.nbytes + offsets.nbytes
    assert peak_bytes(lambda: read_index(io.BytesIO(LONG))) < 16 * COUNT + 700_000


def test_lines_of_digits_alone_are_not_parsed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(indexfile, "_parse_lines")

    assert COUNT == len(read_index(io.BytesIO(LONG))[0])


def test_a_wrong_line_after_many_blocks_is_reported_with_its_number() -> None:
    with pytest.raises(IndexFormatError, match=f"^line {COUNT + 1}: expected a key and an offset, found 'end'$"):
        read(LONG + b"end\n")
