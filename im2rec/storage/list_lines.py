"""Read a list file line by line, in bounded memory, and refuse files that are no lists before lines are parsed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import BinaryIO

from im2rec.errors import Im2RecError, InputError, ListFormatError
from im2rec.format.heads import MAGIC
from im2rec.format.listfile import MAX_LINE_BYTES
from im2rec.storage.files import NotAFileError, PathLike, open_binary, reading, reason, with_path

_BLOCK_BYTES = 64 << 10  # takes 0.5 MB of memory as short lines; larger blocks are no faster
_KIND_BYTES = 4096  # of a file's start, which tell what it is
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@contextlib.contextmanager
def opened_list(path: PathLike) -> Iterator[BinaryIO]:
    """Open the list *path*, for a ``with`` block. Raises InputError if it cannot be read, or is something else."""
    with reading(path), _open(path) as stream:
        _check_kind(path, stream.read(_KIND_BYTES))
        stream.seek(0)
        yield stream


def _open(path: PathLike) -> BinaryIO:
    try:
        return open_binary(path)
    except NotAFileError as error:
        raise InputError(f"{reason(error)}: a list is read twice", path=path, hint="save it to a file first") from None


def _check_kind(path: PathLike, start: bytes) -> None:
    """Raise InputError for a file that begins with *start* and is a ``.rec``, UTF-16, or no text at all."""
    if start.startswith(MAGIC):
        raise InputError("is a RecordIO file, not a list", path=path, hint="name the .lst instead")
    even, odd = set(start[:512:2]), set(start[1:512:2])
    if start.startswith(_UTF16_MARKS) or (odd and (even == {0}) != (odd == {0})):  # ASCII: every second byte is zero
        raise InputError("is UTF-16 text, as PowerShell's '>' writes it", path=path, hint="save it as UTF-8")
    if b"\0" in start:
        raise InputError("is not a list: it contains zero bytes, which no text does", path=path, hint="name a .lst")


def list_lines(path: PathLike, stream: BinaryIO, *, end: int | None = None, first: int = 1) -> Iterator[bytes]:
    """Yield the lines of *stream* up to offset *end*, with their ends: LF, CR LF or, as on old Macs, CR.

    A byte order mark at the start of the file is left out. *first* is the number of the first line, for errors.
    Raises ListFormatError for a line of more than ``MAX_LINE_BYTES`` bytes.
    """
    if stream.tell() == 0:
        stream.seek(mark_bytes(stream))
    begun: list[bytes] = []  # the blocks of a line whose end has not been read
    begun_bytes = 0
    while block := _read(stream, _BLOCK_BYTES, end):
        begun.append(block)
        begun_bytes += len(block)
        if b"\n" in block or b"\r" in block:
            *lines, rest = b"".join(begun).splitlines(keepends=True)
            if rest.endswith(b"\n"):  # after CR, an LF may follow in the next block
                lines, rest = [*lines, rest], b""
            yield from lines
            first += len(lines)
            begun, begun_bytes = [rest], len(rest)
        if begun_bytes > MAX_LINE_BYTES:
            raise _too_long(path, first)
    yield from b"".join(begun).splitlines(keepends=True)


def mark_bytes(stream: BinaryIO) -> int:
    """Return the number of bytes of the byte order mark at the start of *stream*: 3, or 0 if there is none."""
    stream.seek(0)
    return len(_UTF8_MARK) if stream.read(len(_UTF8_MARK)) == _UTF8_MARK else 0


def _read(stream: BinaryIO, size: int, end: int | None) -> bytes:
    """Return up to *size* bytes of *stream*, none from offset *end* on."""
    return stream.read(size if end is None else max(0, min(size, end - stream.tell())))


def _too_long(path: PathLike, number: int | None) -> Im2RecError:
    problem = f"{'the line' if number else 'a line'} is longer than {MAX_LINE_BYTES >> 20} MiB"
    return with_path(ListFormatError(problem, line=number, hint="is it a list?"), path)


def next_line(path: PathLike, stream: BinaryIO, border: int) -> int:
    """Return the offset of the first line that starts after *border*, the offset where two parts of a list meet.

    A line that starts exactly at *border* belongs to the part before it; for 0, where no part is before, it is the
    first line. Raises ListFormatError if no line starts within ``MAX_LINE_BYTES`` bytes.

    Source: dmlc-core src/io/input_split_base.cc and line_split.cc.
    """
    if border == 0:
        return 0
    stream.seek(border)
    while block := stream.read(_BLOCK_BYTES):
        ends = [at for at in (block.find(b"\n"), block.find(b"\r")) if at >= 0]
        if ends:
            start = stream.tell() - len(block) + min(ends) + 1
            stream.seek(start - 1)
            return start + (stream.read(2) == b"\r\n")
        if stream.tell() - border > MAX_LINE_BYTES:
            raise _too_long(path, None)
    return stream.tell()


def line_count(stream: BinaryIO, end: int) -> int:
    """Count the line ends, of any kind, in the first *end* bytes; the last of these bytes ends a line."""
    stream.seek(0)
    count, last = 0, b""
    while block := _read(stream, _BLOCK_BYTES, end):
        count += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n") - (last + block[:1] == b"\r\n")
        last = block[-1:]
    return count
