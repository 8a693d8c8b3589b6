"""Index files (``.idx``): one line ``key TAB offset`` for each record of a ``.rec``, in file order.

``offset`` is the byte offset of the record's first part. Keys are image ids (written by ``im2rec.py`` and by this
package) or ordinals (written by ``rec2idx.py``); they need be neither sorted nor unique.

Source: mxnet python/mxnet/recordio.py, ``MXIndexedRecordIO``; spec of the C++ reader in dmlc-core
src/io/indexed_recordio_split.cc.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from im2rec.errors import IndexFormatError

Keys = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]

MAX_KEY = 2**64 - 1
MAX_OFFSET = 2**63 - 1
_BLOCK_BYTES = 64 << 10  # takes 0.5 MB of memory with its parsed numbers; larger blocks are hardly faster
_MAX_LINE_BYTES = 64 << 10  # far above the 42 bytes of the longest line; more is a file of another kind
_DIGITS = b"0123456789"


def index_line(key: int, offset: int) -> bytes:
    """Return the index line of a record: its *key*, and the *offset* in bytes at which it starts."""
    return b"%d\t%d\n" % (key, offset)


def index_lines(keys: Keys, offsets: Offsets) -> bytes:
    """Return the index lines of many records: their *keys*, and the *offsets* in bytes at which they start."""
    return b"".join(map(b"%d\t%d\n".__mod__, zip(keys.tolist(), offsets.tolist(), strict=True)))


def read_index(stream: BinaryIO, *, max_lines: int | None = None) -> tuple[Keys, Offsets]:
    """Read an index from the seekable binary *stream*; return its keys (uint64) and offsets (int64) in line order.

    As in MXNet's C++ reader, fields may be separated by any blanks, and blank lines are skipped. Raises
    IndexFormatError with the line number for any other line: fields that are not numbers, a missing or a third field,
    a key above 2**64 - 1, a negative offset or one above 2**63 - 1. Raises it before anything is parsed for more than
    *max_lines* lines that are not blank, and for a line of more than 64 KiB.
    """
    # Counted first, so that the two arrays are allocated once, at their final size.
    lines = _count_lines(stream, max_lines)
    keys, offsets = np.empty(lines, np.uint64), np.empty(lines, np.int64)
    count = 0
    for block_keys, block_offsets in index_blocks(stream):
        keys[count : count + len(block_keys)] = block_keys
        offsets[count : count + len(block_keys)] = block_offsets
        count += len(block_keys)
    return keys[:count], offsets[:count]


def index_blocks(stream: BinaryIO) -> Iterator[tuple[Keys, Offsets]]:
    """Yield keys (uint64) and offsets (int64) of *stream* in blocks of some thousand lines, in line order.

    *stream* is a seekable binary stream. Accepts and raises what :func:`read_index` does, without a limit of lines.
    """
    stream.seek(0)
    line = 1
    for block in _line_blocks(stream):
        keys, offsets = _parse_plain(block) or _parse_lines(block, line)
        yield np.asarray(keys, np.uint64), np.asarray(offsets, np.int64)
        line += block.count(b"\n")


def _count_lines(stream: BinaryIO, max_lines: int | None) -> int:
    """Return an upper bound of the lines of *stream* that are not blank. Raises IndexFormatError as read_index() does.

    Its first lines are parsed, so that a large file of another kind is refused at once.
    """
    stream.seek(0)
    if (first := next(_line_blocks(stream), None)) is not None:
        _parse_plain(first) or _parse_lines(first, 1)
    stream.seek(0)
    lines, unfinished = 1, 0
    while block := stream.read(_BLOCK_BYTES):
        line_feeds = block.count(b"\n")
        unfinished = len(block) - block.rfind(b"\n") - 1 if line_feeds else unfinished + len(block)
        lines += line_feeds
        if unfinished > _MAX_LINE_BYTES:
            raise _long_line(lines)
        if max_lines is not None and lines > max_lines + 1:  # the last line may be empty
            _refuse_more_lines(stream, max_lines)
            return max_lines  # the others are blank
    return lines


def _refuse_more_lines(stream: BinaryIO, max_lines: int) -> None:
    """Raise IndexFormatError if *stream*, which is read to its end, has more than *max_lines* that are not blank."""
    stream.seek(0)
    lines = 0
    for block in _line_blocks(stream):
        lines += sum(bool(line.strip()) for line in block.split(b"\n"))
        if lines > max_lines:
            raise IndexFormatError(f"has more lines than the .rec can hold records, which are at most {max_lines}")


def _long_line(line: int | None) -> IndexFormatError:
    return IndexFormatError(f"expected a key and an offset, found more than {_MAX_LINE_BYTES} bytes", line=line)


def _line_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of *stream* in blocks of whole lines; the last line of the file may lack its line feed.

    Raises IndexFormatError for a line of more than ``_MAX_LINE_BYTES``, with its number if it is the first.
    """
    unfinished: list[bytes] = []  # joined once, as appending to one bytes object would take quadratic time
    unfinished_bytes, line = 0, 1 if stream.tell() == 0 else None
    while block := stream.read(_BLOCK_BYTES):
        lines, line_feed, rest = block.rpartition(b"\n")
        if line_feed:
            yield b"".join([*unfinished, lines, line_feed])
            unfinished.clear()
            unfinished_bytes, line = 0, None
        unfinished.append(rest)
        unfinished_bytes += len(rest)
        if unfinished_bytes > _MAX_LINE_BYTES:
            raise _long_line(line)
    if last := b"".join(unfinished):
        yield last


def _parse_plain(block: bytes) -> tuple[Keys, Offsets] | None:
    """Parse a block of lines ``digits TAB digits LF``, 20 times faster than :func:`_parse_lines`; None for others."""
    separators = block.translate(None, _DIGITS)
    lines = len(separators) // 2
    if separators != b"\t\n" * lines or not block.endswith(b"\n"):
        return None
    numbers = np.fromstring(block, np.uint64, sep=" ")
    # An empty field gives one number less, and numpy turns larger numbers into 2**64 - 1 without an error.
    if len(numbers) != 2 * lines or numbers.max() == MAX_KEY or numbers[1::2].max() > MAX_OFFSET:
        return None
    return numbers[::2], numbers[1::2].astype(np.int64)


def _parse_lines(block: bytes, first_line: int) -> tuple[list[int], list[int]]:
    """Parse *block* line by line; *first_line* is the number of its first line in the file, for error messages."""
    keys, offsets = [], []
    for line, text in enumerate(block.split(b"\n"), first_line):
        fields = text.split()
        if not fields:
            continue
        if len(fields) != 2 or any(field.strip(_DIGITS) for field in fields):
            raise IndexFormatError(f"expected a key and an offset, found {_shown(text.strip())}", line=line)
        key, offset = map(_parse_number, fields)
        if key > MAX_KEY:
            raise IndexFormatError(f"the key {key} is above 2^64 - 1", line=line)
        if offset > MAX_OFFSET:
            raise IndexFormatError(f"the offset {offset} is above 2^63 - 1", line=line)
        keys.append(key)
        offsets.append(offset)
    return keys, offsets


def _shown(text: bytes) -> str:
    """Return the start of *text* in quotes, at most 40 characters of it; bytes that are no text take four each."""
    start = text[:40]
    return repr(start if start.decode("latin-1").isprintable() and start.isascii() else text[:10])[1:]  # without the b


def _parse_number(field: bytes) -> int:
    # int() raises ValueError above 4300 digits. A number with more than 100 is too large whatever the rest of them is.
    return int(field.lstrip(b"0")[:100] or b"0")
