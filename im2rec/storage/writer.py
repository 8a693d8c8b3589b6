"""Write a ``.rec`` file together with its ``.idx``, and if asked for with its digest."""

from __future__ import annotations

import contextlib
import logging
import numbers
import os
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from im2rec.errors import OutputError, ParameterError, as_bytes
from im2rec.format.digestfile import encode_digest
from im2rec.format.indexfile import MAX_KEY, Keys, Offsets, index_blocks, index_line, index_lines
from im2rec.format.recordio import encode_record
from im2rec.storage.digest import Hasher, digest_path
from im2rec.storage.files import InputFile, PathLike, open_binary, reading
from im2rec.storage.index import index_to_write
from im2rec.storage.output import AtomicFile, refuse_existing, writing

_LOG = logging.getLogger(__name__)


class IndexWriter(AtomicFile):
    """An index that is written line by line or in blocks, and can be read while it is written."""

    def add(self, keys: Keys, offsets: Offsets) -> None:
        """Append the lines of many records: their *keys* (uint64) and *offsets* (int64). Raises OutputError."""
        self.write(index_lines(keys, offsets))

    def blocks(self) -> Iterator[tuple[Keys, Offsets]]:
        """Yield keys and offsets of all lines so far, in blocks of some thousand. Raises OutputError, InputError."""
        with writing(self.path):
            self._file.flush()
        with reading(self.temporary_path), open_binary(self.temporary_path) as stream:
            yield from index_blocks(stream)

    def numbered(self) -> IndexWriter:
        """Return a writer of the lines so far, with their numbers from 0 as keys; this one is discarded.

        For a writer that learns late that the records have no ids. Raises OutputError, InputError.
        """
        other = IndexWriter(self.path, force=self.force)
        count = 0
        for _, offsets in self.blocks():
            other.add(np.arange(count, count + len(offsets), dtype=np.uint64), offsets)
            count += len(offsets)
        self.discard()
        return other


class RecordWriter:
    """Appends records to a new ``.rec`` and its index; all files appear under their names on :meth:`close`.

    ::

        with im2rec.RecordWriter("out.rec") as writer:
            writer.write(payload, key=7)

    With *digest* the digest ``out.rec.digest`` is the third file, hashed in threads as the records are written. All are
    written under temporary names in the same folder. ``close()`` removes an old digest and an old index, then renames
    the ``.rec``, the ``.idx`` and the digest: a kill in between leaves at worst a ``.rec`` without them, never one with
    those of another file. After an exception in the block, or ``discard()``, nothing is left, nor of a writer that is
    never closed, which a warning says. Use a writer in one thread and one process only; it cannot be pickled.

    Raises OutputError when one of the files exists, unless *force*, and when one cannot be written. An old digest
    counts without *digest* too, as it is that of another file.
    """

    def __init__(self, path: PathLike, *, force: bool = False, digest: bool = False) -> None:
        self.path = Path(path)
        self._force = force
        refuse_existing([self.path], force=force)  # before other names are made of one that may have none, as "."
        self.index_path, self.digest_path = index_to_write(path), digest_path(path)
        refuse_existing([self.digest_path], force=force)
        self.offset = 0  # of the next record: counted, as tell() would be a system call for each record
        self.records = 0
        with contextlib.ExitStack() as stack:
            self._rec = stack.enter_context(AtomicFile(self.path, force=force))
            self._index = IndexWriter(self.index_path, force=force)
            stack.push(self._index)
            self._digest = AtomicFile(self.digest_path, force=force) if digest else None
            self._hasher = Hasher() if digest else None
            stack.pop_all()  # no error: the files stay open
        self._closed = self._failed = False
        self._owner_pid = os.getpid()
        self._reminder = weakref.finalize(self, _warn_of_unclosed, self.path, self._owner_pid)

    def write(self, payload: bytes, *, key: int) -> int:
        """Append *payload* as one record with index key *key*, 0 to 2**64 - 1, and return its offset in bytes.

        Raises RecordTooLargeError and, for a wrong key, ParameterError: nothing is written then, and the writer can be
        used further. Raises OutputError when writing fails; the writer is then discarded.
        """
        return self.write_frame(encode_record(payload), key=key)

    def write_frame(self, frame: bytes, *, key: int) -> int:
        """Append *frame*, a record that :func:`~im2rec.format.recordio.encode_record` returned, and return its offset.

        Raises the same errors as :meth:`write`, except RecordTooLargeError.
        """
        frame = as_bytes(frame, "a frame")
        self._check_open()
        if (type(key) is not int and not isinstance(key, numbers.Integral)) or not 0 <= key <= MAX_KEY:
            raise ParameterError(f"key={key} must be an integer from 0 to {MAX_KEY}")
        offset = self.offset
        # Until both writes have succeeded: half a frame, or one without its index line, must never be published.
        self._failed = True
        try:
            self._rec.write(frame)
            self._index.write(index_line(key, offset))
            if self._hasher is not None:
                self._hasher.update(frame)
            self._failed = False
        finally:
            if self._failed:
                self.discard()
        self.offset += len(frame)
        self.records += 1
        return offset

    def write_frames(self, pieces: Iterable[bytes], keys: Keys, sizes: Offsets) -> None:
        """Append the frames of many records at once, as they are.

        The *pieces*, of any lengths, joined are the frames. *keys* (uint64) and *sizes* (int64, in bytes) are those of
        each record. Raises OutputError when writing fails, and ParameterError when the pieces have another size than
        all frames together; the writer is then discarded, as it is after an error in *pieces*.
        """
        self._check_open()
        ends = self.offset + np.cumsum(sizes, dtype=np.int64)
        self._failed = True
        try:
            written = 0
            for piece in pieces:
                self._rec.write(piece)
                if self._hasher is not None:
                    self._hasher.update(piece)
                written += len(piece)
            if self.offset + written != ends[-1]:
                raise ParameterError(f"the frames have {ends[-1] - self.offset} bytes, and the pieces {written}")
            self._index.add(keys, ends - sizes)
            self._failed = False
        finally:
            if self._failed:
                self.discard()
        self.offset += written
        self.records += len(keys)

    def written(self) -> InputFile:
        """Open the records so far for reading. Raises OutputError, InputError."""
        self._check_open()
        return self._rec.reopen()

    def index_blocks(self) -> Iterator[tuple[Keys, Offsets]]:
        """Yield keys (uint64) and offsets (int64) of the records so far, in blocks of some thousand."""
        self._check_open()
        yield from self._index.blocks()

    def number_keys(self) -> None:
        """Replace the keys of all records so far by their ordinals. After an OutputError the writer is discarded."""
        self._check_open()
        self._failed = True
        try:
            self._index = self._index.numbered()
            self._failed = False
        finally:
            if self._failed:
                self.discard()

    def _check_open(self) -> None:
        if self._closed:
            raise OutputError("is closed", path=self.path, hint="open a new writer")
        self._check_owner()

    def close(self) -> None:
        """Write the files to the disk and give them their final names. Calling it twice is allowed.

        Raises OutputError, also when an earlier write has failed: then none of the files exists.
        """
        if self._failed:
            raise OutputError(
                "was discarded when a write failed", path=self.path, hint="no file exists under this name"
            )
        if self._closed:
            return
        self._check_owner()
        self._closed = self._failed = True  # failed until all files have their names
        try:
            self._rec.finish()
            self._index.finish()
            if self._digest is not None and self._hasher is not None:
                self._digest.write(encode_digest(self._hasher.finish(self.records)))
                self._digest.finish()
            paths = [self.path, self.index_path, self.digest_path]
            refuse_existing(paths, force=self._force)  # written by another program meanwhile
            for old in (self.digest_path, self.index_path):
                with writing(old):
                    old.unlink(missing_ok=True)
            self._rec.rename()
            self._index.rename()
            if self._digest is not None:
                self._digest.rename()
            self._failed = False
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the temporary files; existing files under the final names stay. Calling it twice is allowed."""
        self._closed = True
        self._reminder.detach()
        self._rec.discard()
        self._index.discard()
        if self._digest is not None:
            self._digest.discard()
        if self._hasher is not None:
            self._hasher.close()

    def _check_owner(self) -> None:
        if os.getpid() != self._owner_pid:  # a forked child, whose file is its parent's
            raise OutputError("belongs to another process", path=self.path, hint="write and close it in that one")

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __reduce__(self) -> str:
        raise TypeError(f"a RecordWriter ({os.fspath(self.path)}) cannot be pickled: it belongs to one process")


def _warn_of_unclosed(path: Path, owner: int) -> None:
    if os.getpid() == owner:
        _LOG.warning("%s: was never closed: nothing is written (use it in a with block, or call close())", path)
