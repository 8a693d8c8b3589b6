"""Repair a ``.rec`` by its digest: each block from whichever of two copies has the right bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from im2rec.errors import CorruptRecordError, InputError
from im2rec.format.digestfile import FileDigest, encode_digest
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.recovery.reindex import write_index
from im2rec.schema import BYTES_OUT, DRY_RUN, FILES, INPUT, SECONDS, described
from im2rec.storage.companions import find_index, index_to_write
from im2rec.storage.digest import digest_path, find_digest, load_digest
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.journal import lock_output
from im2rec.storage.opening import open_rec
from im2rec.storage.output import AtomicFile, publish, refuse_existing, refuse_same_file, remove_leftover

_SECTOR_BYTES = 4096  # around places that a disk cannot read, so much is read at once
_INDEX_SHARE = 0.1  # of the progress
_MAX_RUNS = 8  # runs of sectors that differ between the copies: 256 combinations, and hashing each takes 10 ms


@dataclasses.dataclass
class ByteRange:
    """A range of bytes."""

    start: int = described("First byte of the range, from the start of the file.")
    end: int = described("First byte after the range.")


@dataclasses.dataclass
class RepairSummary:
    """The result of :func:`repair`."""

    input: str = described(INPUT)
    other: str = described("The second copy, as it was given.")
    digest: str = described("Path of the digest.")
    size: int = described("Size of the `.rec` in bytes, as the digest gives it.")
    records: int = described("Whole records in the input, as the digest gives them.")
    blocks: int = described("Blocks in the digest.")
    good_blocks: int = described("Blocks whose bytes are right in the input.", 0)
    repaired_blocks: int = described("Blocks that were put right: from the second copy, or from another place.", 0)
    bad_blocks: int = described("Blocks whose bytes are right in neither copy.", 0)
    repaired_ranges: list[ByteRange] = described("Ranges of bytes that were put right.", factory=list)
    bad_ranges: list[ByteRange] = described("Ranges of bytes that are right in neither copy.", factory=list)
    bytes_out: int = described(BYTES_OUT, 0)
    seconds: float = described(SECONDS, 0.0)
    files: list[str] = described(FILES, factory=list)
    dry_run: bool = described(DRY_RUN, False)


def repair(
    rec: PathLike,
    other: PathLike,
    out: PathLike,
    digest: PathLike | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> RepairSummary:
    """Write *out* with the size of *digest*, and each block as *rec* or else *other*, a second copy, has it right.

    *digest* is by default the one beside *rec*, else the one beside *other*. The copies may be longer or shorter than
    the digest says: where bytes were added or removed in one, the blocks behind that place are found too. Of a block
    that is right in neither copy and cannot be put together from both, *out* gets the bytes of *rec* as far as it has
    them, and ``bad_ranges`` of the result lists it. The digest is written beside *out* too, by which a third copy can
    repair the rest; an old index there is removed. *progress* is called with the number of blocks so far and the share
    of all.

    Raises InputError when a file cannot be opened or there is no digest, DigestFormatError when that cannot be read,
    OutputError when *out* is one of the copies, or exists, or has a digest or an index, unless *force*.
    """
    started = time.monotonic()
    found = _digest_of(rec, other, digest)
    wanted, target = load_digest(found), Path(out)
    outputs = [target, digest_path(target), index_to_write(target)]
    for path in (rec, other, found):
        refuse_same_file(target, path)
    refuse_same_file(outputs[1], found)
    refuse_existing(outputs, force=force)
    result = RepairSummary(
        os.fspath(rec), os.fspath(other), os.fspath(found), wanted.size, wanted.records, len(wanted.blocks)
    )
    result.files, result.dry_run = [os.fspath(path) for path in outputs[:2]], dry_run
    with open_rec(rec) as first, open_rec(other) as second:
        blocks = _reported(_blocks([first, second], wanted, result), result.blocks, progress)
        if dry_run:
            deque(blocks, maxlen=0)
        else:
            result.bytes_out = _write(blocks, wanted, outputs, force=force)
    result.seconds = round(time.monotonic() - started, 3)
    return result


def repair_with_index(
    rec: PathLike,
    other: PathLike,
    out: PathLike,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> RepairSummary:
    """Do what :func:`repair` does, and write the index of *out*, of all that is whole there.

    The index is not written if no record of *out* is whole. Raises OutputError also where it would replace the index of
    one of the copies.
    """
    index = index_to_write(out)
    for path in filter(None, (find_index(rec), find_index(other))):
        refuse_same_file(index, path)
    report = begin_phase(progress, Phase("comparing", "block", 0.0, 1.0 if dry_run else 1 - _INDEX_SHARE))
    result = repair(rec, other, out, force=force, dry_run=dry_run, progress=report)
    with contextlib.suppress(CorruptRecordError, InputError):
        if not dry_run:
            write_index(out, index, progress=begin_phase(progress, Phase("indexing", "record", 1 - _INDEX_SHARE)))
        result.files.append(os.fspath(index))
    return result


def _reported(blocks: Iterator[bytes], count: int, progress: Progress | None) -> Iterator[bytes]:
    for number, data in enumerate(blocks, 1):
        yield data
        if progress:
            progress(number, number / count)


def _write(blocks: Iterator[bytes], digest: FileDigest, outputs: list[Path], *, force: bool) -> int:
    """Write the ``.rec`` and its digest, and remove the index of an old one: *outputs*, in this order.

    Returns the size of the ``.rec`` in bytes.
    """
    target, digest_target, index = outputs
    with contextlib.ExitStack() as stack:
        stack.callback(lock_output(target).remove)
        files = []
        for path in (target, digest_target):
            files.append(AtomicFile(path, force=force))
            stack.callback(files[-1].discard)
        remove_leftover(index)
        for data in blocks:
            files[0].write(data)
        files[1].write(encode_digest(digest))
        for file in files:
            file.finish()
        refuse_existing(outputs, force=force)  # written by another program meanwhile
        publish([target, digest_target], old=[digest_target, index], force=force, files=files)
    return digest.size


def _digest_of(rec: PathLike, other: PathLike, digest: PathLike | None) -> Path:
    found = Path(digest) if digest is not None else find_digest(rec) or find_digest(other)
    if found is None:
        problem = f"has no digest beside it, by which its good blocks are known, and neither has {os.fspath(other)}"
        hint = f"on a copy that is whole 'im2rec digest' makes one; name it {digest_path(rec).name}"
        raise InputError(problem, path=rec, hint=hint)
    return found


def _blocks(files: list[InputFile], digest: FileDigest, result: RepairSummary) -> Iterator[bytes]:
    """Yield the bytes of each block, and count and list it in *result*."""
    for number, expected in enumerate(digest.blocks):
        start, end = digest.block_range(number)
        mine = _read(files[0], start, end)
        if _is_right(mine, expected):
            result.good_blocks += 1
            yield mine
            continue
        data = _repaired(files, mine, digest, number)
        if data is not None:
            result.repaired_blocks += 1
            _extend(result.repaired_ranges, start, end)
            yield data
        else:
            result.bad_blocks += 1
            _extend(result.bad_ranges, start, end)
            yield _filled(mine, _read(files[1], start, end), end - start)


def _repaired(files: list[InputFile], mine: bytes, digest: FileDigest, number: int) -> bytes | None:
    """Return the right bytes of the block *number*, of which *mine* are the wrong ones of the first file; else None.

    They are looked for in the second file, in both as far from the end as they should be, which is where bytes that
    were added or removed before have moved them to, and in combinations of both.
    """
    expected, (start, end) = digest.blocks[number], digest.block_range(number)
    other = _read(files[1], start, end)
    if _is_right(other, expected):
        return other
    for file in files:
        shift = file.size - digest.size
        if shift and _is_right(moved := _read(file, start + shift, end + shift), expected):
            return moved
    return _combined(mine, other, expected) if len(mine) == len(other) == end - start else None


def _is_right(data: bytes, expected: bytes) -> bool:
    return hashlib.sha256(data).digest() == expected


def _read(file: InputFile, start: int, end: int) -> bytes:
    """Return the bytes *start* to *end* of *file*, as far as it has them; zeros where the disk cannot read them."""
    if start < 0 or start >= file.size:
        return b""
    try:
        return file.read_at(start, end - start)
    except InputError:
        pass
    pieces = []
    for offset in range(start, min(end, file.size), _SECTOR_BYTES):
        length = min(_SECTOR_BYTES, end - offset, file.size - offset)
        try:
            pieces.append(file.read_at(offset, length))
        except InputError:
            pieces.append(bytes(length))
    return b"".join(pieces)


def _combined(mine: bytes, other: bytes, expected: bytes) -> bytes | None:
    """Return the block that *mine* and *other*, each damaged in other sectors of it, make together; else None."""
    rows = -(-len(mine) // _SECTOR_BYTES)
    sectors = [
        np.frombuffer(data.ljust(rows * _SECTOR_BYTES, b"\0"), np.uint8).reshape(rows, _SECTOR_BYTES)
        for data in (mine, other)
    ]
    differing = np.flatnonzero((sectors[0] != sectors[1]).any(axis=1))
    # A few sectors are each tried alone, as the damage to one copy may touch that to the other; more of them in runs.
    borders = np.arange(1, len(differing))
    if len(differing) > _MAX_RUNS:
        borders = np.flatnonzero(np.diff(differing) > 1) + 1
    runs = np.split(differing, borders)
    if len(runs) > _MAX_RUNS:
        return None
    for chosen in itertools.product((False, True), repeat=len(runs)):
        mixed = sectors[0].copy()
        for run in itertools.compress(runs, chosen):
            mixed[run] = sectors[1][run]
        data = mixed.tobytes()[: len(mine)]
        if _is_right(data, expected):
            return data
    return None


def _filled(mine: bytes, other: bytes, size: int) -> bytes:
    """Return *size* bytes: *mine*, then those that only *other* has, then zeros."""
    return (mine + other[len(mine) :]).ljust(size, b"\0")


def _extend(ranges: list[ByteRange], start: int, end: int) -> None:
    """Add the bytes *start* to *end* to *ranges*, joined with the last of them if that ends at *start*."""
    if ranges and ranges[-1].end == start:
        ranges[-1].end = end
    else:
        ranges.append(ByteRange(start, end))
