"""The digest of a ``.rec``: made from a file or while one is written, found by name, and compared with a file."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from im2rec.errors import DigestFormatError, InputError, counted
from im2rec.format.digestfile import (
    BLOCK_BYTES,
    MAX_DIGEST_BYTES,
    FileDigest,
    count_blocks,
    encode_digest,
    parse_digest,
)
from im2rec.parallel import StartedJob, WorkerThreads, available_cpus, run_ordered
from im2rec.progress import Progress
from im2rec.schema import DRY_RUN, FILES, INPUT, SECONDS, WARNINGS, described
from im2rec.storage.companions import find_index
from im2rec.storage.files import Closeable, InputFile, PathLike, read_file, reading, with_path
from im2rec.storage.foreign import check_kind
from im2rec.storage.journal import locked_beside
from im2rec.storage.opening import open_rec
from im2rec.storage.output import AtomicFile, refuse_existing, refuse_same_file
from im2rec.storage.record_map import ScannedRecords, listed_offsets, scan_all

SUFFIX = ".digest"
_PIECE_BYTES = 1 << 20  # read and hashed at once: hashing so much takes far longer than handing it to a thread
_AHEAD_BYTES = 16 << 20  # the most that waits for each thread
_WARM_BYTES = 16 << 20  # so much is hashed ahead of the scan, which then finds it in memory
_MAX_THREADS = 8  # compare blocks; more would hash faster than any disk delivers


def digest_path(path: PathLike) -> Path:
    """Return the path of the digest of the ``.rec`` at *path*: ``train.rec.digest`` for ``train.rec``."""
    path = Path(path)
    return path.with_name(path.name + SUFFIX)


def find_digest(path: PathLike) -> Path | None:
    """Return the path of the digest beside the ``.rec`` at *path*; None if there is none."""
    found = digest_path(path)
    return found if found.is_file() else None


def load_digest(path: PathLike) -> FileDigest:
    """Read the digest at *path*. Raises InputError, and DigestFormatError with path and line."""
    try:
        with reading(path):
            data = read_file(path, MAX_DIGEST_BYTES)
        return parse_digest(data)
    except DigestFormatError as error:
        raise with_path(error, path) from None


class Hasher(Closeable):
    """Makes the digest of bytes that are passed to :meth:`update` in order, in two threads of its own.

    One hashes the whole, the other the blocks. ``update()`` waits only while 16 MiB are not hashed yet.
    """

    def __init__(self, block_bytes: int = BLOCK_BYTES) -> None:
        self._whole, self._blocks = _WholeHash(), _BlockHashes(block_bytes)
        self._size = 0
        self._waiting: list[bytes | bytearray] = []  # joined to a piece that is worth the way to a thread
        self._waiting_bytes = 0
        # A pool of one thread for each, as pieces must be hashed in order.
        self._threads = [WorkerThreads(1, "im2rec-digest") for _ in (self._whole, self._blocks)]
        self._jobs: deque[tuple[StartedJob[Any, None], int]] = deque()  # each with the size of its piece
        self._unhashed = 0  # bytes in them

    def update(self, data: bytes | bytearray) -> None:
        """Append *data*."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _PIECE_BYTES:
            self._send()

    def finish(self, records: int, damaged_bytes: int = 0) -> FileDigest:
        """Return the digest of all bytes; in them are *records* and, outside of these, *damaged_bytes*."""
        self._send()
        self._wait(0)
        self.close()
        blocks = self._blocks.finish()
        return FileDigest(self._size, records, damaged_bytes, self._whole.finish(), blocks, self._blocks.block_bytes)

    def _send(self) -> None:
        piece = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self._size += len(piece)
        for threads, hashes in zip(self._threads, (self._whole, self._blocks), strict=True):
            self._jobs.append((threads.start(_update, hashes, [piece]), len(piece)))
            self._unhashed += len(piece)
        self._wait(2 * _AHEAD_BYTES)

    def _wait(self, most: int) -> None:
        """Wait until fewer than *most* bytes are not hashed yet, or none, those of both threads together."""
        while self._jobs and self._unhashed >= most:
            job, size = self._jobs.popleft()
            job.results()
            self._unhashed -= size

    def close(self) -> None:
        """End the threads. Calling it twice is allowed."""
        for threads in self._threads:
            threads.shut_down(wait=True)


class FollowingHasher:
    """A hasher of the file of *output*, which has content already: a thread reads it, behind what is being written.

    It has the methods of :class:`Hasher`; :meth:`update` only counts.
    """

    def __init__(self, output: AtomicFile) -> None:
        self._output = output
        self._hasher = Hasher()
        self._file = output.reopen()
        self._threads = WorkerThreads(1, "im2rec-follow")
        self._jobs: list[StartedJob[int, None]] = []
        self._behind = self._sent = 0
        self._advance()

    def update(self, piece: bytes | bytearray) -> None:
        """Note that *piece* was written to the file."""
        self._behind += len(piece)
        if self._behind >= BLOCK_BYTES:
            self._advance()

    def finish(self, records: int) -> FileDigest:
        """Return the digest of the whole file, of *records*. Raises OutputError, InputError."""
        self._advance()
        for job in self._jobs:
            job.results()
        self._file.close()  # Windows renames no file that is open
        return self._hasher.finish(records)

    def _advance(self) -> None:
        """Have all hashed that is in the file by now."""
        end = self._output.flush()
        self._jobs.append(self._threads.start(self._hash, end, [self._sent]))
        self._sent, self._behind = end, 0

    def _hash(self, end: int, start: int) -> None:
        for piece in self._file.pieces(start, end):
            self._hasher.update(piece)

    def close(self) -> None:
        """End the threads. Calling it twice is allowed."""
        self._threads.shut_down(wait=True)
        self._file.close()
        self._hasher.close()


class _WholeHash:
    """The SHA-256 of everything."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, piece: bytes) -> None:
        self._hash.update(piece)

    def finish(self) -> bytes:
        return self._hash.digest()


class _BlockHashes:
    """The SHA-256 of every *block_bytes*."""

    def __init__(self, block_bytes: int) -> None:
        self.block_bytes = block_bytes
        self._finished: list[bytes] = []
        self._hash, self._missing = hashlib.sha256(), block_bytes

    def update(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            self._hash.update(view[: self._missing])
            taken = min(self._missing, len(view))
            view, self._missing = view[taken:], self._missing - taken
            if not self._missing:
                self._end_block()

    def finish(self) -> tuple[bytes, ...]:
        if self._missing < self.block_bytes:
            self._end_block()
        return tuple(self._finished)

    def _end_block(self) -> None:
        self._finished.append(self._hash.digest())
        self._hash, self._missing = hashlib.sha256(), self.block_bytes


def _update(hashes: _WholeHash | _BlockHashes, piece: bytes) -> None:
    hashes.update(piece)


class _HashingFile(InputFile):
    """A file all of which is hashed in order, a little ahead of what is read of it.

    So a disk reads the file once, from its start to its end: what a scan reads was read a moment ago.
    """

    def __init__(self, path: PathLike, hasher: Hasher, report: Callable[[float], None]) -> None:
        """*report* is called with the share of the file that was hashed."""
        super().__init__(path)
        self._hasher, self._report = hasher, report
        self._hashed = 0

    def read_at(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on; fewer only at the end of the file. Raises InputError."""
        if offset + size > self._hashed:
            self.hash_to(offset + size + _WARM_BYTES)
        return super().read_at(offset, size)

    def hash_to(self, end: int) -> None:
        """Hash all bytes up to *end*, or to the end of the file. Raises InputError, also if the file was cut."""
        while self._hashed < min(end, self.size):
            expected = min(_PIECE_BYTES, self.size - self._hashed)
            piece = super().read_at(self._hashed, expected)
            if len(piece) != expected:
                problem = f"had {self.size:,} bytes when it was opened, and now ends at {self._hashed + len(piece):,}"
                raise InputError(problem, path=self.path, hint="wait until it is written, and begin again")
            self._hasher.update(piece)
            self._hashed += expected
            self._report(self._hashed / self.size)


def make_digest(path: PathLike, *, block_bytes: int = BLOCK_BYTES, progress: Progress | None = None) -> FileDigest:
    """Return the digest of the ``.rec`` at *path*, which may be damaged: records are counted while it is hashed.

    They are those that ``im2rec inspect`` counts. *progress* is called with the number of records so far and the share
    of the file that was hashed. Raises InputError when the file cannot be read, or is cut meanwhile, or went through
    text mode.
    """
    with InputFile(path) as file:
        listed = listed_offsets(file, find_index(path))
    scanned = ScannedRecords()

    def new() -> ScannedRecords:
        nonlocal scanned
        scanned = ScannedRecords()
        return scanned

    def report(share: float) -> None:
        if progress:
            progress(scanned.records, share)

    with Hasher(block_bytes) as hasher, _HashingFile(path, hasher, report) as hashing:
        scan_all(hashing, new, listed=listed, careful=True)
        hashing.hash_to(hashing.size)
        report(1.0)  # with the records that the scan has found since the last piece
        return hasher.finish(scanned.records, scanned.damage.nbytes)


def find_blocks(file: InputFile, digest: FileDigest, *, progress: Progress | None = None) -> Iterator[int | None]:
    """Yield for each block of *digest* the offset at which *file* has exactly its bytes, or None; threads hash them.

    A block is looked for in its place, and in a file of another size also as far from the end as it should be: bytes
    that were added or removed before it have moved it there. *progress* is called with the number of blocks so far and
    their share of all. Raises InputError.
    """
    blocks, shift = len(digest.blocks), file.size - digest.size

    def find(number: int) -> int | None:
        start, end = digest.block_range(number)
        for moved in dict.fromkeys((0, shift)):
            if start + moved >= 0 and hash_range(file, start + moved, end + moved) == digest.blocks[number]:
                return start + moved
        return None

    workers = min(available_cpus(), _MAX_THREADS)
    results = run_ordered(find, range(blocks), workers=workers, processes=False, name=str)
    with contextlib.closing(results):
        for done, place in enumerate(results, 1):
            if progress:
                progress(done, done / blocks)
            yield place


def hash_range(file: InputFile, start: int, end: int) -> bytes:
    """Return the SHA-256 of the bytes of *file* from *start* to *end*, of fewer if it ends before.

    Raises InputError.
    """
    found = hashlib.sha256()
    for piece in file.pieces(start, end):
        found.update(piece)
    return found.digest()


@dataclasses.dataclass
class DigestSummary:
    """The result of :func:`write_digest`."""

    input: str = described(INPUT)
    size: int = described("Size of the `.rec` in bytes.")
    blocks: int = described("Blocks in the digest.")
    block_bytes: int = described("Size of a block in bytes.")
    records: int | None = described("Whole records in the input; null in a dry run.", None)
    damaged_bytes: int | None = described("Bytes outside of whole records; null in a dry run.", None)
    sha256: str | None = described("SHA-256 of the input in hexadecimal digits; null in a dry run.", None)
    seconds: float = described(SECONDS, 0.0)
    bytes_per_s: float = described("Bytes of the input per second.", 0.0)
    files: list[str] = described(FILES, factory=list)
    warnings: list[str] = described(WARNINGS, factory=list)
    dry_run: bool = described(DRY_RUN, False)


def write_digest(
    path: PathLike,
    out: PathLike | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> DigestSummary:
    """Write the digest of the ``.rec`` at *path*, damaged or not, to *out*, by default beside it.

    *progress* is that of :func:`make_digest`. Raises InputError for a file that is missing, empty or not a RecordIO
    file, OutputError when *out* exists, unless *force*, or another run is writing it, or is *path* itself.
    """
    started = time.monotonic()
    target = digest_path(path) if out is None else Path(out)
    with open_rec(path) as file:
        check_kind(file)
        size = file.size
    refuse_same_file(target, path)
    refuse_existing([target], force=force)
    summary = DigestSummary(
        os.fspath(path), size, count_blocks(size), BLOCK_BYTES, files=[os.fspath(target)], dry_run=dry_run
    )
    if dry_run:
        return summary
    with locked_beside(Path(path), target), AtomicFile(target, force=force) as written:
        digest = make_digest(path, progress=progress)
        written.write(encode_digest(digest))
    summary.size, summary.blocks = digest.size, len(digest.blocks)
    summary.records, summary.damaged_bytes = digest.records, digest.damaged_bytes
    summary.sha256 = digest.sha256.hex()
    seconds = time.monotonic() - started
    summary.seconds, summary.bytes_per_s = round(seconds, 3), round(digest.size / max(seconds, 1e-9), 1)
    if digest.damaged_bytes:
        summary.warnings.append(
            f"{os.fspath(path)}: {counted(digest.damaged_bytes, 'byte')} of it are in no whole record;"
            " the digest is that of the damaged file"
        )
    return summary
