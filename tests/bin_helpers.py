"""Helpers of the tests of verification files: the golden files, and pickles that would take time or memory."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from im2rec.format.binfile import BinContent
from im2rec.format.recordio import Source

BINS = Path(__file__).parent / "golden" / "insightface" / "bins"
EXPECTED: dict[str, Any] = json.loads((BINS / "expected.json").read_text(encoding="utf-8"))
ACCEPTED: dict[str, dict[str, Any]] = EXPECTED["accept"]
REFUSED: dict[str, dict[str, Any]] = EXPECTED["refuse"]
OURS = BINS / "py312_p4_bytes.bin"  # equal byte for byte to what we write


def expected_hashes(name: str) -> list[str]:
    """Return the SHA-256 of each image of the golden file *name*."""
    hashes: list[str] = EXPECTED["pictures"] * ACCEPTED[name]["times"]
    return hashes


def expected_same(name: str) -> list[bool]:
    """Return the truth values of the golden file *name*."""
    same: list[bool] = EXPECTED["issame"] * ACCEPTED[name]["times"]
    return same


def hashes_of(contents: Iterable[bytes]) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents]


def contents_of(found: BinContent, source: Source) -> list[bytes]:
    """Return the bytes of all images that were *found* in *source*."""
    return [content if isinstance(content, bytes) else content.read(source) for content in found.contents]


def bin_bytes(contents: Iterable[bytes], same: Iterable[bool], protocol: int = 4) -> bytes:
    """Return a verification file as published code writes it."""
    return pickle.dumps((list(contents), list(same)), protocol)


def skip_where_pickle_differs(items: int) -> None:
    """Skip a comparison with pickles of this Python, if it ends a list of so many *items* by another opcode.

    Python 3.15 writes the last one of 1001 items by APPEND; those before write APPENDS, as verification files have it.
    """
    if items > 1000 and items % 1000 == 1 and not pickle.dumps([0] * 1001, 4).endswith(b"e."):
        pytest.skip("this Python pickles the last item of such a list otherwise, which reads the same")


_LONG = b"B" + (300).to_bytes(4, "little") + b"x" * 300
_ENCODE = b"c_codecs\nencode\n"
_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
_FROM_BUFFER = b"cnumpy.core.numeric\n_frombuffer\n"
_U1 = b"cnumpy\ndtype\nU\2u1K\0K\1\x87R"

# Pickles that would take time or memory, or leave what is allowed, and a word of the line that refuses each.
BOMBS: dict[str, tuple[bytes, str]] = {
    "one long content, named many times": (b"\x80\2(]" + _LONG + b"q\0(" + b"h\0" * 100_000 + b"e]t.", "more values"),
    "many lists": (b"\x80\2" + b"]" * 100_000 + b".", "more values"),
    "a name of bytes": (b"\x80\2](c" + b"\1" * 300 + b"\n" + b"\xf0\x90\x80\x80" * 300 + b"\ne].", "\\x01"),
    "many marks": (b"\x80\2" + b"(" * 100_000 + b".", "more values"),
    "tuples nested many deep": (b"\x80\2)" + b"\x85" * 100_000 + b".", "more values"),
    "tuples that share their items": (b"\x80\2)" + b"2\x86" * 64 + b".", "DUP"),
    "tuples that name their items twice": (b"\x80\2)q\0" + b"h\0h\0\x86q\0" * 100 + b".", "a tuple of 2"),
    "a list in itself": (b"\x80\2]q\0(h\0h\0e.", "image 0 is a list of 2"),
    "a number of many digits": (b"L" + b"9" * 100_000 + b"L\n.", "cannot be followed"),
    "a number of many digits in a list": (b"(lL" + b"9" * 100_000 + b"L\na.", "cannot be followed"),
    "an integer of many digits": (b"(lI" + b"9" * 100_000 + b"\na.", "cannot be followed"),
    "a memo number of many digits": (b"(lp" + b"9" * 100_000 + b"\n.", "cannot be followed"),
    "a memo number that is asked for in many digits": (b"(lg" + b"9" * 100_000 + b"\n.", "cannot be followed"),
    "a memo number in digits": (b"(lp4000000000\n.", "numbers a value 4,000,000,000"),
    "a negative memo number": (b"(lp-1\n.", "cannot be followed"),
    "a memo number of four bytes": (b"\x80\2]r\xff\xff\xff\xff.", "numbers a value 4,294,967,295"),
    "contents longer than the file": (b"\x80\2]\x8e" + b"\xff" * 7 + b"\0a.", "ends before"),
    "a string of negative length": (b"\x80\2]T\xff\xff\xff\xffa.", "ends before"),
    "a bytearray longer than the file": (b"\x80\5]\x96" + b"\xff" * 7 + b"\0a.", "ends before"),
    "a frame longer than the file": (b"\x80\4\x95" + b"\xff" * 8 + b"]].", "ends before"),
    "a large shape before any content": (
        b"\x80\2]" + _RECONSTRUCT + b"J\0\0\0\x7f\x85U\1b\x87Ra.", "2,130,706,432 elements"),
    "a shape of a huge number": (
        b"\x80\2]" + _RECONSTRUCT + b"\x8a\xff" + b"\x7f" * 255 + b"\x85U\1b\x87Ra.", "too many"),
    "a shape of more elements than there are": (
        b"\x80\2]" + _RECONSTRUCT + b"K\0\x85U\1b\x87R(K\1J\0\0\0\x7f\x85" + _U1 + b"I00\nU\3abctba.", "cannot be"),
    "a shape of many dimensions": (
        b"\x80\2]" + _FROM_BUFFER + b"(U\1a(" + b"K\1" * 65 + b"t" + _U1 + b"U\1CtRa.", "cannot be followed"),
    "a shape of negative edges": (
        b"\x80\2]" + _FROM_BUFFER + b"(U\1aJ\xff\xff\xff\xffJ\xff\xff\xff\xff\x86" + _U1 + b"U\1CtRa.", "cannot be"),
    "a call with many arguments": (b"\x80\2]" + _ENCODE + b"(" + b"N" * 9 + b"tRa.", "cannot be followed"),
    "a bytearray of a length": (b"\x80\2]cbuiltins\nbytearray\nJ\0\0\0\x7f\x85Ra.", "cannot be followed"),
    "a text in another encoding": (b"\x80\2]" + _ENCODE + b"X\2\0\0\0abX\5\0\0\0rot13\x86Ra.", "cannot be followed"),
    "a state of plain data": (b"\x80\2](Nb.", "cannot be followed"),
    "a state of an allowed name": (b"\x80\2]" + _ENCODE + b"]ba.", "something else"),
    "an allowed name in another module": (b"\x80\2]cnumpy\n_reconstruct\n.", "names numpy._reconstruct"),
    "a dotted name": (b"\x80\4]\x8c\5numpy\x8c\x0edtype.__call__\x93.", "names numpy.dtype.__call__"),
    "a module and a name that are cut elsewhere": (
        b"\x80\4]\x8c\x0anumpy.core\x8c\x17multiarray._reconstruct\x93.", "names numpy.core.multiarray._reconstruct"),
    "a name that is no text": (b"\x80\4]NN\x93.", "cannot be followed"),
    "a set": (b"\x80\4\x8f.", "EMPTY_SET"),
    "an instance": (b"\x80\2](iposix\nsystem\n.", "INST"),
    "an extension": (b"\x80\2]\x82\1.", "EXT1"),
    "a persistent id": (b"\x80\2]Pabc\n.", "PERSID"),
    "a buffer outside of the file": (b"\x80\5]\x97.", "NEXT_BUFFER"),
    "a new object": (b"\x80\2])\x81.", "NEWOBJ"),
    "an unknown opcode": (b"\x80\2]\xff.", "0xff"),
    "a protocol that does not exist": (b"\x80\x09].", "is no"),
}  # fmt: skip
