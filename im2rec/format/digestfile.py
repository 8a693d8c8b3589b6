"""Digest files: the sizes, counts and SHA-256 of a ``.rec`` and of each of its blocks, as lines of text.

::

    im2rec digest 1
    size 20000000
    records 1234
    damaged 0
    block 8388608
    sha256 5d41...
    9b74...
    1f40...
    c157...
    end 7d79...

The lines are in this order, in ASCII, each with a line feed. ``size`` is that of the ``.rec`` in bytes, ``records`` the
number of whole records in it, ``damaged`` the number of bytes outside of them. ``sha256`` is the SHA-256 of the whole
file, as ``sha256sum`` prints it. The lines of 64 digits are the SHA-256 of each ``block`` bytes of the file, the last
of which is shorter where the size demands it. ``end`` is the SHA-256 of all lines above it, so that damage to the
digest is not taken for damage to the file.
"""

from __future__ import annotations

import dataclasses
import hashlib

from im2rec.errors import DigestFormatError, counted

BLOCK_BYTES = 8 << 20
MIN_BLOCK_BYTES = 4096  # of a digest that is read; what reads blocks holds several of them in memory
MAX_DIGEST_BYTES = 64 << 20  # enough for a million blocks, which are 8.8 TB
HASH_BYTES = 32
_FIRST_LINE = b"im2rec digest 1"
_NAMES = ("size", "records", "damaged", "block")
_FIRST_BLOCK_LINE = len(_NAMES) + 3  # counted from 1, as in messages
_MAX_NUMBER = 2**63 - 1
_RECORD_BYTES = 8  # the least that a record takes in a file
_DIGITS, _HEX_DIGITS = b"0123456789", b"0123456789abcdef"


@dataclasses.dataclass(frozen=True)
class FileDigest:
    """The contents of a digest file.

    *size* is that of the ``.rec`` in bytes, *records* the number of whole records in it, *damaged_bytes* the number of
    bytes outside of them. *sha256*, of the whole file, and *blocks*, of each *block_bytes* of it, are 32 bytes each.
    """

    size: int
    records: int
    damaged_bytes: int
    sha256: bytes
    blocks: tuple[bytes, ...]
    block_bytes: int = BLOCK_BYTES

    def block_range(self, number: int) -> tuple[int, int]:
        """Return the offsets in bytes at which the block *number*, from 0, starts and ends."""
        start = number * self.block_bytes
        return start, min(start + self.block_bytes, self.size)


def count_blocks(size: int, block_bytes: int = BLOCK_BYTES) -> int:
    """Return the number of blocks in a file of *size* bytes."""
    return -(-size // block_bytes)


def encode_digest(digest: FileDigest) -> bytes:
    """Return the bytes of a digest file that :func:`parse_digest` reads."""
    numbers = (digest.size, digest.records, digest.damaged_bytes, digest.block_bytes)
    lines = [
        _FIRST_LINE.decode(),
        *(f"{name} {number}" for name, number in zip(_NAMES, numbers, strict=True)),
        f"sha256 {digest.sha256.hex()}",
        *(block.hex() for block in digest.blocks),
    ]
    text = "".join(f"{line}\n" for line in lines).encode()
    return text + _end_line(text) + b"\n"


def parse_digest(data: bytes) -> FileDigest:
    """Return what the bytes of a digest file say.

    Raises DigestFormatError, with the line if one is wrong, for anything that :func:`encode_digest` does not write, and
    for more than ``MAX_DIGEST_BYTES``. The memory needed is a small multiple of the size of *data*.
    """
    if len(data) > MAX_DIGEST_BYTES:
        raise DigestFormatError(f"has {len(data):,} bytes, more than the {MAX_DIGEST_BYTES:,} of the longest digest")
    lines = data.split(b"\n", _FIRST_BLOCK_LINE - 1)
    _check_first_line(lines[0])
    if len(lines) < _FIRST_BLOCK_LINE:
        raise DigestFormatError("ends before its sixth line is complete", hint="it was cut short")
    size, records, damaged, block = (
        _number(text, name, line) for line, (name, text) in enumerate(zip(_NAMES, lines[1:5], strict=True), 2)
    )
    _check_numbers(size, records, damaged, block)
    sha256 = _hash(lines[5], b"sha256 ", 6)
    rest, blocks = lines[6], count_blocks(size, block)
    # Counted first, so that no list is made of more lines than there should be.
    if rest.count(b"\n") != blocks + 1 or not rest.endswith(b"\n"):
        found = rest.count(b"\n") + (not rest.endswith(b"\n"))
        problem = (
            f"expected {counted(blocks, 'line')} for blocks and one more after line 6, found {counted(found, 'line')}"
        )
        raise DigestFormatError(problem, hint="it was cut short, or changed")
    *hashes, end, _ = rest.split(b"\n")
    parsed = tuple(_hash(text, b"", line) for line, text in enumerate(hashes, _FIRST_BLOCK_LINE))
    if end != _end_line(data[: -len(end) - 1]):
        problem = f"expected 'end' and the SHA-256 of the lines above, found {_shown(end)}"
        raise DigestFormatError(problem, line=_FIRST_BLOCK_LINE + blocks, hint="a line of it was changed")
    return FileDigest(size, records, damaged, sha256, parsed, block)


def _end_line(text: bytes) -> bytes:
    return b"end " + hashlib.sha256(text).hexdigest().encode()


def _check_first_line(line: bytes) -> None:
    if line == _FIRST_LINE:
        return
    name, _, version = line.rpartition(b" ")
    if name == _FIRST_LINE.rpartition(b" ")[0] and version.isdigit():
        problem = f"is a digest of version {version[:20].decode()}, and version 1 alone is known"
        raise DigestFormatError(problem, line=1, hint="use a newer im2rec")
    raise DigestFormatError(f"expected {_shown(_FIRST_LINE)}, found {_shown(line)}", line=1, hint="it is no digest")


def _number(text: bytes, name: str, line: int) -> int:
    found, _, digits = text.partition(b" ")
    is_number = digits and not digits.strip(_DIGITS) and (digits == b"0" or not digits.startswith(b"0"))
    if found != name.encode() or not is_number:
        raise DigestFormatError(f"expected '{name}' and a number, found {_shown(text)}", line=line)
    # int() raises ValueError above 4300 digits, and takes quadratic time below.
    if len(digits) > len(str(_MAX_NUMBER)) or int(digits) > _MAX_NUMBER:
        raise DigestFormatError(f"{name} {_shown(digits)} is above 2^63 - 1", line=line)
    return int(digits)


def _check_numbers(size: int, records: int, damaged: int, block: int) -> None:
    if records > size // _RECORD_BYTES:
        raise DigestFormatError(f"records {records} do not fit in {counted(size, 'byte')}", line=3)
    if damaged > size:
        raise DigestFormatError(f"damaged {damaged} is more than the size, {size}", line=4)
    if not MIN_BLOCK_BYTES <= block <= BLOCK_BYTES or block & (block - 1):
        raise DigestFormatError(f"block {block} is not a power of 2 from {MIN_BLOCK_BYTES} to {BLOCK_BYTES}", line=5)


def _hash(text: bytes, before: bytes, line: int) -> bytes:
    digits = text.removeprefix(before)
    if not text.startswith(before) or len(digits) != 2 * HASH_BYTES or digits.strip(_HEX_DIGITS):
        what = f"'{before.decode().strip()}' and " if before else ""
        raise DigestFormatError(f"expected {what}64 hexadecimal digits, found {_shown(text)}", line=line)
    return bytes.fromhex(digits.decode())


def _shown(text: bytes) -> str:
    """Return the start of *text* in quotes, at most 40 bytes of it."""
    return repr(text[:40])[1:]  # without the b
