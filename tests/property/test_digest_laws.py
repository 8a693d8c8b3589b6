"""Laws of digests over random input: the text is read back, and no change of it is read as another digest."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2rec.errors import DigestFormatError
from im2rec.format.digestfile import HASH_BYTES, FileDigest, count_blocks, encode_digest, parse_digest

HASH = st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES)


@st.composite
def digests(draw: st.DrawFn) -> FileDigest:
    block = 1 << draw(st.integers(12, 23))
    size = draw(st.integers(0, 5 * block))
    records, damaged = draw(st.integers(0, size // 8)), draw(st.integers(0, size))
    blocks = tuple(draw(HASH) for _ in range(count_blocks(size, block)))
    return FileDigest(size, records, damaged, draw(HASH), blocks, block)


@given(digests())
def test_a_digest_that_was_written_is_read_back(digest: FileDigest) -> None:
    assert digest == parse_digest(encode_digest(digest))


@given(digests(), st.data())
def test_a_digest_with_a_changed_removed_or_added_byte_is_refused(digest: FileDigest, data: st.DataObject) -> None:
    text = encode_digest(digest)
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.binary(min_size=0, max_size=2))
    changed = text[:place] + byte + text[place + 1 :]

    if changed == text:
        assert digest == parse_digest(changed)
        return
    with pytest.raises(DigestFormatError):
        parse_digest(changed)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_digest_or_one_error(rest: bytes, with_end: bool) -> None:
    data = b"im2rec digest 1\n" + rest
    if with_end:
        data += b"\nend " + hashlib.sha256(data + b"\n").hexdigest().encode() + b"\n"
    message = ""
    try:
        assert data == encode_digest(parse_digest(data))
    except DigestFormatError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
