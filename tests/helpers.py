"""Helpers of several test files: golden data, small ``.rec`` files, parts built by hand, and counted reads."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from im2rec.errors import CorruptRecordError, Im2RecError
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.recordio import BytesSource, Source, encode_record, read_records
from im2rec.storage.blocks import RecordBlock
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import scan_damaged

GOLDEN = Path(__file__).parent / "golden" / "recordio"
GOLDEN_RECS = sorted(path.stem for path in GOLDEN.glob("*.rec"))


def golden_json(name: str) -> Any:
    """Return the JSON description that was recorded with the golden file *name*."""
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def golden_bytes(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def part(flag: int, data: bytes, *, padding: bytes | None = None) -> bytes:
    """Return one part without the help of the encoder; *flag* and *padding* may be wrong on purpose."""
    tail = bytes(-len(data) % 4) if padding is None else padding
    return MAGIC + struct.pack("<I", flag << 29 | len(data)) + data + tail


def image_payload(id_: int, label: Any = 1.0, content: bytes = b"picture") -> bytes:
    """Return the payload of an image record."""
    return encode_image_record(IRHeader(0, label, id_), content)


def bounds(payloads: Iterable[bytes]) -> list[int]:
    """Return the offset of each record in a file of *payloads*, and the size of the file."""
    return [0, *itertools.accumulate(len(encode_record(payload)) for payload in payloads)]


def joined(payloads: Iterable[bytes]) -> bytes:
    """Return the bytes of a ``.rec`` that contains *payloads*."""
    return b"".join(map(encode_record, payloads))


def index_text(offsets: Iterable[int], keys: Iterable[int] | None = None) -> bytes:
    """Return the bytes of an ``.idx``; the keys are ordinals if not given."""
    pairs = enumerate(offsets) if keys is None else zip(keys, offsets, strict=True)
    return b"".join(b"%d\t%d\n" % pair for pair in pairs)


def write_rec(path: Path, payloads: Sequence[bytes], *, keys: Iterable[int] | None = None, index: bool = True) -> Path:
    """Write a ``.rec`` of *payloads* and, if *index*, its ``.idx``; the keys are ordinals if not given."""
    path.write_bytes(joined(payloads))
    if index:
        path.with_suffix(".idx").write_bytes(index_text(bounds(payloads)[:-1], keys))
    return path


def scanned_blocks(source: Source) -> list[RecordBlock]:
    """Return the blocks of a scan of *source*, which has no damage and no doubtful records."""
    items = list(scan_damaged(source))
    blocks = [item for item in items if isinstance(item, RecordBlock)]
    assert items == blocks
    assert not any(block.doubtful for block in blocks)
    return blocks


def read_until_damage(stream: BinaryIO) -> tuple[list[bytes], CorruptRecordError | None]:
    """Return the payloads before the first damage, and the error there, or None when there is no damage."""
    payloads = []
    try:
        for payload in read_records(stream):
            payloads.append(payload)  # noqa: PERF402 - list() would lose those before the error
    except CorruptRecordError as error:
        return payloads, error
    return payloads, None


def message_of(work: Callable[..., Any], *args: Any, **options: Any) -> str:
    """Return the message of the error of ours that ``work(*args, **options)`` raises."""
    with pytest.raises(Im2RecError) as caught:
        work(*args, **options)
    return str(caught.value)


class CountingSource(BytesSource):
    """Bytes in memory with a list of the (offset, size) of every read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def read_at(self, offset: int, size: int) -> bytes:
        self.reads.append((offset, size))
        return super().read_at(offset, size)


class Clock:
    """A replacement for the module ``time``: each reading advances the clock by ``tick``, as does ``advance()``."""

    def __init__(self) -> None:
        self.time, self.tick = 0.0, 0.0
        self._lock = threading.Lock()

    def perf_counter(self) -> float:
        self.advance(self.tick)
        return self.time

    def advance(self, seconds: float) -> None:
        with self._lock:
            self.time += seconds


@contextlib.contextmanager
def counted_reads(rec: RecordFile, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Collect the (offset, size) of every read that *rec* makes inside the block."""
    reads: list[tuple[int, int]] = []
    real = rec._file.read_at

    def read_at(offset: int, size: int) -> bytes:
        reads.append((offset, size))
        return real(offset, size)

    with monkeypatch.context() as patch:
        patch.setattr(rec._file, "read_at", read_at)
        yield reads


def peak_bytes(work: Callable[[], Any]) -> int:
    """Return the peak of the memory that Python and numpy allocated while *work* ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def digests(rec: RecordFile, ordinals: Iterable[int]) -> dict[int, str]:
    """Return the SHA-256 of each payload by ordinal. In this module, so that spawned processes can import it."""
    return {ordinal: hashlib.sha256(rec.payload(ordinal)).hexdigest() for ordinal in ordinals}


def send_digests(pipe: Any, rec: RecordFile, ordinals: list[int]) -> None:
    """Run in a child process: read *ordinals* of *rec* and send the digests of their payloads."""
    pipe.send(digests(rec, ordinals))
    pipe.close()
