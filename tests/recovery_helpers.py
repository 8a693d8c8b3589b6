"""Damaged files and bad disks for the tests of ``recover`` and ``index``."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from helpers import bounds, image_payload, joined, write_rec

from im2rec.format.recordio import encode_record
from im2rec.storage.files import InputFile

JPEG = b"\xff\xd8\xff\xe0", b"\xff\xd9"


class BadDisk:
    """Replaces ``InputFile._pread``: a read that meets one of *ranges* fails with the error *number*."""

    def __init__(self, real: Callable[[InputFile, int, int, int], bytes]) -> None:
        self.ranges: Sequence[tuple[int, int]] = []
        self.number = errno.EIO
        self.failures = 0
        self._real = real

    def pread(self, file: InputFile, handle: int, size: int, offset: int) -> bytes:
        if any(offset < end and start < offset + size for start, end in self.ranges):
            self.failures += 1
            raise OSError(self.number, os.strerror(self.number))
        return self._real(file, handle, size, offset)


def jpeg_payload(id_: int, size: int = 300, label: Any = 1.0) -> bytes:
    """The payload of an image record whose content begins and ends as a JPEG does, with *size* random bytes between."""
    return image_payload(id_, label, JPEG[0] + random.Random(id_).randbytes(size) + JPEG[1])


def some_payloads(count: int = 20, size: int = 300) -> list[bytes]:
    """Payloads with the ids 1000, 1003, 1006, ..."""
    return [jpeg_payload(1000 + 3 * number, size) for number in range(count)]


def some_ids(count: int = 20) -> list[int]:
    return [1000 + 3 * number for number in range(count)]


def damaged_rec(path: Path, pieces: Sequence[bytes | int], count: int = 20) -> Path:
    """Write a file of *pieces*, bytes and the numbers of records, and beside it the index of the undamaged file."""
    payloads = some_payloads(count)
    write_rec(path, payloads, keys=some_ids(count))
    path.write_bytes(b"".join(encode_record(payloads[item]) if isinstance(item, int) else item for item in pieces))
    return path


def frame(number: int) -> bytes:
    """The frame of record *number* of :func:`some_payloads`."""
    return encode_record(some_payloads(number + 1)[number])


def starts(count: int = 20) -> list[int]:
    """The offsets of the records of an undamaged file."""
    return bounds(some_payloads(count))[:-1]


def whole_file(count: int = 20) -> bytes:
    return joined(some_payloads(count))
