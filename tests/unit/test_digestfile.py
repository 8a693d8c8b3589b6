"""Digest files: the text that is written, and one error with its line for everything else."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from helpers import message_of, peak_bytes

from im2rec.errors import DigestFormatError
from im2rec.format import digestfile
from im2rec.format.digestfile import MAX_DIGEST_BYTES, FileDigest, count_blocks, encode_digest, parse_digest


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


DIGEST = FileDigest(10_000, 7, 12, sha256(b"all"), (sha256(b"0"), sha256(b"1"), sha256(b"2")), 4096)
LINES = [
    b"im2rec digest 1",
    b"size 10000",
    b"records 7",
    b"damaged 12",
    b"block 4096",
    b"sha256 " + sha256(b"all").hex().encode(),
    *(sha256(number).hex().encode() for number in (b"0", b"1", b"2")),
]


def ended(lines: list[bytes]) -> bytes:
    """Return *lines* with the last line that belongs to them."""
    text = b"".join(line + b"\n" for line in lines)
    return text + b"end " + hashlib.sha256(text).hexdigest().encode() + b"\n"


def with_line(number: int, line: bytes) -> bytes:
    """Return a digest whose line *number*, from 1, is *line*, and whose last line agrees with that."""
    return ended([*LINES[: number - 1], line, *LINES[number:]])


def test_a_digest_is_lines_of_text_that_end_with_the_hash_of_themselves() -> None:
    assert ended(LINES) == encode_digest(DIGEST)
    assert DIGEST == parse_digest(ended(LINES))


def test_the_blocks_cover_the_file_and_the_last_ends_with_it() -> None:
    assert [(0, 4096), (4096, 8192), (8192, 10_000)] == [DIGEST.block_range(number) for number in range(3)]
    assert [0, 1, 1, 2] == [count_blocks(size, 4096) for size in (0, 1, 4096, 4097)]


def test_a_digest_of_an_empty_file_has_no_blocks() -> None:
    empty = FileDigest(0, 0, 0, sha256(b""), ())
    assert empty == parse_digest(encode_digest(empty))


A = b"a" * 64
WRONG = {
    b"": "line 1: expected 'im2rec digest 1', found '' (it is no digest)",
    b"\xff\xfe\x00binary": "line 1: expected 'im2rec digest 1', found '\\xff\\xfe\\x00binary' (it is no digest)",
    b"x" * 1000: f"line 1: expected 'im2rec digest 1', found '{'x' * 40}' (it is no digest)",
    with_line(
        1, b"im2rec digest 1\r"
    ): "line 1: expected 'im2rec digest 1', found 'im2rec digest 1\\r' (it is no digest)",
    with_line(1, b"im2rec digest 2"): "line 1: is a digest of version 2, and version 1 alone is known"
    " (use a newer im2rec)",
    b"im2rec digest 1\nsize 5\n": "ends before its sixth line is complete (it was cut short)",
    with_line(2, b"size -1"): "line 2: expected 'size' and a number, found 'size -1'",
    with_line(2, b"size 010000"): "line 2: expected 'size' and a number, found 'size 010000'",
    with_line(2, b"size 10_000"): "line 2: expected 'size' and a number, found 'size 10_000'",
    with_line(2, b"size  10000"): "line 2: expected 'size' and a number, found 'size  10000'",
    with_line(2, b"size"): "line 2: expected 'size' and a number, found 'size'",
    with_line(2, b"size \xb2"): "line 2: expected 'size' and a number, found 'size \\xb2'",
    with_line(2, b"bytes 10000"): "line 2: expected 'size' and a number, found 'bytes 10000'",
    with_line(2, b"size " + b"9" * 19): "line 2: size '9999999999999999999' is above 2^63 - 1",
    with_line(2, b"size " + b"9" * 100_000): f"line 2: size '{'9' * 40}' is above 2^63 - 1",
    with_line(
        2, b"size 9223372036854775807"
    ): "expected 2,251,799,813,685,248 lines for blocks and one more after line 6,"
    " found 4 lines (it was cut short, or changed)",
    with_line(2, b"size 12289"): "expected 4 lines for blocks and one more after line 6, found 4 lines"
    " (it was cut short, or changed)",
    with_line(3, b"records 1251"): "line 3: records 1251 do not fit in 10,000 bytes",
    with_line(4, b"damaged 10001"): "line 4: damaged 10001 is more than the size, 10000",
    with_line(5, b"block 0"): "line 5: block 0 is not a power of 2 from 4096 to 8388608",
    with_line(5, b"block 2048"): "line 5: block 2048 is not a power of 2 from 4096 to 8388608",
    with_line(5, b"block 12288"): "line 5: block 12288 is not a power of 2 from 4096 to 8388608",
    with_line(5, b"block 16777216"): "line 5: block 16777216 is not a power of 2 from 4096 to 8388608",
    with_line(
        6, b"sha256 " + A[:63]
    ): f"line 6: expected 'sha256' and 64 hexadecimal digits, found 'sha256 {'a' * 33}'",
    with_line(6, b"sha1 " + A): f"line 6: expected 'sha256' and 64 hexadecimal digits, found 'sha1 {'a' * 35}'",
    with_line(7, A.upper()): f"line 7: expected 64 hexadecimal digits, found '{'A' * 40}'",
    with_line(9, b" " + A[1:]): f"line 9: expected 64 hexadecimal digits, found ' {'a' * 39}'",
    with_line(8, b""): "line 8: expected 64 hexadecimal digits, found ''",
    ended(LINES)[
        :-1
    ]: "expected 3 lines for blocks and one more after line 6, found 4 lines (it was cut short, or changed)",
    ended(LINES) + b"\n": "expected 3 lines for blocks and one more after line 6, found 5 lines"
    " (it was cut short, or changed)",
    ended(LINES) + b"x": "expected 3 lines for blocks and one more after line 6, found 5 lines"
    " (it was cut short, or changed)",
}


@pytest.mark.parametrize("data", WRONG)
def test_anything_else_is_one_error_with_its_line(data: bytes) -> None:
    assert WRONG[data] == message_of(parse_digest, data)


@pytest.mark.parametrize("place", [20, 30, 45, 80, 130, 200, 300, -10])
def test_a_changed_digit_is_found_by_the_last_line(place: int) -> None:
    data = bytearray(ended(LINES))
    data[place] = ord("1") if data[place] != ord("1") else ord("2")

    assert "line" in message_of(parse_digest, bytes(data))


def test_a_digest_that_is_too_long_is_refused_before_it_is_split() -> None:
    data = b"im2rec digest 1\n" + bytes(MAX_DIGEST_BYTES)
    message = "has 67,108,880 bytes, more than the 67,108,864 of the longest digest"

    assert message == message_of(parse_digest, data)


def test_a_file_of_many_lines_is_refused_without_a_list_of_them() -> None:
    data = ended(LINES) + b"\n" * (4 << 20)

    assert 16 << 20 > peak_bytes(lambda: message_of(parse_digest, data))


def test_the_largest_digest_is_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digestfile, "MAX_DIGEST_BYTES", len(ended(LINES)))
    assert DIGEST == parse_digest(encode_digest(DIGEST))

    longer = dataclasses.replace(DIGEST, records=10)
    with pytest.raises(DigestFormatError, match="more than the"):
        parse_digest(encode_digest(longer))
