from __future__ import annotations

from pathlib import Path

import pytest
from helpers import message_of

from im2rec.selection.key_lists import read_keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (b"7\n3\n7\n", [3, 7]),
        (b"7\t0\ta b.jpg\r\n3\t1\tc.jpg\r\n", [3, 7]),
        (b"\xef\xbb\xbf7 noise\n\n# comment\n  3", [3, 7]),
        (b"18446744073709551615\n0\n", [0, 2**64 - 1]),
        (b"000000000000000000007\n", None),
        (b"12\rx\r", None),
        (b"key\told_key\n", None),
        (b"-1\n", None),
        (b"1.0\n", None),
        (b"18446744073709551616\n", None),
        ("٣\n".encode(), None),
        (b"a/1.jpg\n", None),
    ],
)
def test_the_first_word_of_each_line_is_a_key(tmp_path: Path, text: bytes, keys: list[int] | None) -> None:
    path = tmp_path / "noise.txt"
    path.write_bytes(text)
    if keys is not None:
        assert keys == read_keys(path).tolist()
        return
    assert f"{path}, line " in (message := message_of(read_keys, path))
    assert "expected a key, a whole number, found '" in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "lists no keys"),
        (b"\n# all\n", "lists no keys"),
        (b"\x0a\x23\xd7\xce\0", "is a RecordIO file, not a list"),
    ],
)
def test_a_file_that_lists_nothing_is_refused(tmp_path: Path, text: bytes, problem: str) -> None:
    path = tmp_path / "noise.txt"
    path.write_bytes(text)

    assert f"{path}: {problem}" in message_of(read_keys, path)
    assert f"{tmp_path / 'gone'}: cannot be read" in message_of(read_keys, tmp_path / "gone")
