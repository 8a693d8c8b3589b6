"""Ways of reading a damaged file: each takes its path, beside which there may be an index, and gives out payloads."""

from __future__ import annotations

import collections
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from faults.damaged_files import HEAD_BYTES, LAST, MAGIC, MOST, WHOLE

import im2rec
from im2rec.errors import CorruptRecordError
from im2rec.extraction.extract import TAR, ExtractOptions, extract
from im2rec.extraction.resumable_folder import MARKER
from im2rec.format.irheader import HEADER_BYTES
from im2rec.format.recordio import BytesSource
from im2rec.recovery.recover import recover
from im2rec.storage.scan import RecordBlock, scan_damaged

Payloads = collections.Counter[bytes]


@dataclass
class Given:
    """The payloads that one way of reading gave, and those of them that it counts as doubtful.

    *counted_doubtful* is their number, where only that is known.
    *lines* maps ordinals to payloads where the ordinals are the lines of an index. *error* is the error that ended it.
    """

    payloads: Payloads = field(default_factory=collections.Counter)
    doubtful: Payloads = field(default_factory=collections.Counter)
    counted_doubtful: int | None = None
    lines: dict[int, bytes] | None = None
    error: str = ""


def read_scan(path: Path, *, use_index: bool = True) -> Given:
    """Read by ``scan_damaged``, on which all others are built; payloads are cut out by the framing alone."""
    data, given, listed = path.read_bytes(), Given(), None
    if use_index and (index := path.with_suffix(".idx")).exists():
        listed = np.array([int(line.split()[1]) for line in index.read_bytes().splitlines()], np.int64)
    for item in scan_damaged(BytesSource(data), listed=listed, thorough=True):
        if isinstance(item, RecordBlock):
            for row, offset in enumerate(item.offsets):
                payload, _ = framed(data, offset)
                given.payloads[payload] += 1
                given.doubtful[payload] += row in item.doubtful
    return given


def framed(data: bytes, offset: int) -> tuple[bytes, int]:
    """Return payload and end of the record at *offset*, by its part heads; padding is not looked at."""
    pieces = []
    while True:
        assert data[offset : offset + 4] == MAGIC, f"no part starts at byte {offset}"
        word = int.from_bytes(data[offset + 4 : offset + 8], "little")
        flag, length = word >> 29, word & MOST
        pieces.append(data[offset + HEAD_BYTES : offset + HEAD_BYTES + length])
        offset += HEAD_BYTES + (length + 3 & -4)
        if flag in (WHOLE, LAST) or offset >= len(data):
            return MAGIC.join(pieces), offset


def read_open(path: Path) -> Given:
    given = Given(lines={} if path.with_suffix(".idx").exists() else None)
    with im2rec.open(path, damaged="skip") as rec:
        lost, doubtful = set(rec.lost.tolist()), set(rec.doubtful.tolist())
        assert len(rec) == rec.total - len(lost), f"{len(rec)} records, {rec.total} in all and {len(lost)} lost"
        for ordinal in set(range(rec.total)) - lost:
            try:
                payload = rec.payload(ordinal)
            except CorruptRecordError as error:
                given.error = given.error or f"a record that is not among the lost ones: {error}"
                continue
            given.payloads[payload] += 1
            given.doubtful[payload] += ordinal in doubtful
            if given.lines is not None:
                given.lines[ordinal] = payload
    return given


def read_without_doubtful(path: Path) -> Payloads:
    """Return the payloads that ``open`` gives with ``doubtful="drop"``."""
    with im2rec.open(path, damaged="skip", doubtful="drop") as rec:
        return collections.Counter(rec.payload(o) for o in set(range(rec.total)) - set(rec.lost.tolist()))


def read_recover(path: Path) -> Given:
    """Return the records of the file that ``recover`` writes, and check its index."""
    out = path.with_name("recovered.rec")
    summary = recover(path, out)
    data = out.read_bytes()
    payloads: list[bytes] = []
    ends = [0]
    while ends[-1] < len(data):
        payload, end = framed(data, ends[-1])
        payloads.append(payload)
        ends.append(end)
    keys = [int.from_bytes(payload[8:16], "little") for payload in payloads]
    if any(len(payload) < HEADER_BYTES for payload in payloads):
        keys = list(range(len(payloads)))
    index = b"".join(b"%d\t%d\n" % pair for pair in zip(keys, ends, strict=False))
    assert ends[-1] == len(data), "the recovered file does not end at the end of a record"
    assert index == out.with_suffix(".idx").read_bytes(), "the index of the recovered file is wrong"
    assert len(payloads) == summary.written, "the number of records that were written is wrong"
    return Given(Payloads(payloads), counted_doubtful=summary.doubtful)


def read_extract(path: Path) -> Given:
    """Return the contents that ``extract`` writes: to shards beside an index, else to folders."""
    given, folder = Given(), path.with_name("extracted")
    if path.with_suffix(".idx").exists():
        extract(path, folder, ExtractOptions(to=TAR))
        for shard in folder.glob("*.tar"):
            with tarfile.open(shard) as tar:
                members = [member for member in tar if not member.name.endswith((".cls", ".json"))]
                given.payloads.update(tar.extractfile(member).read() for member in members)  # type: ignore[union-attr]
        return given
    extract(path, folder)
    others = (f"{path.stem}.lst", MARKER)
    given.payloads.update(file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name not in others)
    return given


def read_iterator(path: Path) -> Given:
    """Return the ids in the batches of ImageRecordIter, each as text."""
    given = Given()
    with im2rec.ImageRecordIter(
        path_imgrec=path, data_shape=(3, 8, 8), batch_size=7, on_error="skip", preprocess_threads=1
    ) as batches:
        for batch in batches:
            ids = batch.index[: len(batch.index) - batch.pad].tolist()
            given.payloads.update(str(id_).encode() for id_ in ids)
    return given


READERS: dict[str, Callable[..., Given]] = {
    "scan": read_scan,
    "recover": read_recover,
    "extract": read_extract,
    "open": read_open,
    "iterator": read_iterator,
}
WAYS = tuple(READERS)
