"""Write a ``.rec`` file together with its ``.idx``, and if asked for with its digest."""

from __future__ import annotations

import contextlib
import logging
import numbers
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from im2rec.errors import OutputError, ParameterError, as_bytes
from im2rec.format.digestfile import encode_digest
from im2rec.format.indexfile import MAX_KEY, Keys, Offsets, index_blocks, index_line, index_lines
from im2rec.format.recordio import encode_record
from im2rec.storage import disk
from im2rec.storage.companions import index_to_write
from im2rec.storage.digest import FollowingHasher, Hasher, digest_path
from im2rec.storage.files import InputFile, PathLike, open_binary, reading
from im2rec.storage.journal import Journal, lock_output, refuse_claimed
from im2rec.storage.output import AtomicFile, publish, refuse_existing, remove_leftover, writing

_LINES = 1 << 13  # of an index, written at once
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

    def number(self) -> None:
        """Replace the keys of all lines so far by their numbers from 0, for records that turn out to have no ids.

        Takes 8 bytes of memory a line. Raises OutputError, InputError.
        """
        offsets = np.concatenate([np.empty(0, np.int64), *(offsets for _, offsets in self.blocks())])
        with writing(self.path):
            disk.truncate(self.raw, 0)
        self.size = 0
        for start in range(0, len(offsets), _LINES):
            piece = offsets[start : start + _LINES]
            self.add(np.arange(start, start + len(piece), dtype=np.uint64), piece)


class RecordWriter:
    """Appends records to a new ``.rec`` and its index; all files appear under their names on :meth:`close`.

    >>> payload = im2rec.encode_image_record(im2rec.IRHeader(0, 1.0, 7), b"the encoded image")
    >>> with im2rec.RecordWriter("out.rec") as writer:
    ...     offset = writer.write(payload, key=7)
    >>> with im2rec.open("out.rec") as rec:
    ...     print(len(rec), rec.by_key(7).content)
    1 b'the encoded image'

    With *digest* the digest ``out.rec.digest`` is the third file, hashed in threads as the records are written. All are
    written under temporary names in the same folder, and a journal beside them is locked: a second writer of the same
    file is refused, and what a killed process left is written over. ``close()`` removes an old digest and an old index,
    then renames the ``.rec``, the ``.idx`` and the digest: a kill in between leaves at worst a ``.rec`` without them,
    never one with those of another file. After an exception in the block, or ``discard()``, nothing is left, nor of a
    writer that is never closed, which a warning says. Use a writer in one thread and one process only; it cannot be
    pickled.

    Inside im2rec, *journal*, with the *sizes* of the partial files by name and the number of *records* in them, is
    given by a run that can go on: the journal is its own then, which it closes, and after a failing write it calls
    :meth:`leave`. See :mod:`im2rec.storage.journal`.

    Raises OutputError when one of the files exists, unless *force*, when another process is writing them, when a run
    that is unfinished has left records beside it, and when one cannot be written. An old digest counts without *digest*
    too, as it is that of another file.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        force: bool = False,
        digest: bool = False,
        journal: Journal | None = None,
        sizes: Mapping[str, int] | None = None,
        records: int = 0,
    ) -> None:
        self.path = Path(path)
        self._force = force
        self._is_resumable = journal is not None
        refuse_existing([self.path], force=True)  # before other names are made of one that may have none, as "."
        self.index_path, self.digest_path = index_to_write(path), digest_path(path)
        sizes = sizes or {}
        self.offset = sizes.get(self.path.name, 0)  # of the next record: counted, as tell() would be a system call
        self.records = records
        with contextlib.ExitStack() as stack:
            self._owner_pid = os.getpid()
            own = lock_output(self.path) if journal is None else None
            self._remove_journal = weakref.finalize(self, _remove_own, own, self._owner_pid)
            stack.callback(self._remove_journal)
            remove_leftover(self.digest_path)
            if own is not None:  # else the run has removed what an earlier one left, unless it goes on
                refuse_claimed(self.index_path, self.path)
                remove_leftover(self.path)
                remove_leftover(self.index_path)
                refuse_existing([self.path, self.index_path, self.digest_path], force=force)
            self._rec = AtomicFile(self.path, force=force, locked=False, size=self.offset)
            stack.callback(self._rec.keep if records else self._rec.discard)
            self._index = IndexWriter(self.index_path, force=force, size=sizes.get(self.index_path.name, 0))
            stack.callback(self._index.keep if records else self._index.discard)
            self._digest = AtomicFile(self.digest_path, force=force) if digest else None
            self._hasher = (FollowingHasher(self._rec) if records else Hasher()) if digest else None
            stack.pop_all()  # no error: the files stay open
        self._closed = self._failed = False
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
                self._give_up()
        self.offset += len(frame)
        self.records += 1
        return offset

    def write_frames(self, pieces: Iterable[bytes | bytearray], keys: Keys, sizes: Offsets) -> None:
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
                self._give_up()
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
            self._index.number()
            self._failed = False
        finally:
            if self._failed:
                self._give_up()

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
        try:
            self.finish()
            self.publish()
        finally:
            self.discard()

    def finish(self) -> None:
        """Write all files to the disk, under their temporary names; then only :meth:`publish` is left to do.

        Raises OutputError.
        """
        self._check_open()
        self._closed = self._failed = True  # failed until all files have their names
        self._rec.finish()
        self._index.finish()
        if self._digest is not None and self._hasher is not None:
            self._digest.write(encode_digest(self._hasher.finish(self.records)))
            self._digest.finish()

    def publish(self) -> None:
        """Give the finished files their names. Raises OutputError, which says what stands under the names then."""
        files = self.output_files()
        publish([file.path for file in files], old=[self.digest_path, self.index_path], force=self._force, files=files)
        self._failed = False

    def growing_files(self) -> list[AtomicFile]:
        """Return the ``.rec`` and the index."""
        return [self._rec, self._index]

    def output_files(self) -> list[AtomicFile]:
        """Return all files, the ``.rec`` first."""
        return [file for file in (self._rec, self._index, self._digest) if file is not None]

    def discard(self) -> None:
        """Remove the temporary files; existing files under the final names stay. Calling it twice is allowed."""
        self.leave(AtomicFile.discard)
        self._remove_journal()

    def _give_up(self) -> None:
        """Discard the writer after an error, or close it and let the run that can go on decide what stays."""
        if self._is_resumable:
            self._closed = True
        else:
            self.discard()

    def leave(self, how: Callable[[AtomicFile], None]) -> None:
        """Close the files, and leave them as *how* does: ``AtomicFile.keep`` or ``AtomicFile.discard``."""
        self._closed = True
        self._reminder.detach()
        if self._hasher is not None:
            self._hasher.close()
        for file in self.output_files():
            how(file)

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


def _remove_own(journal: Journal | None, owner: int) -> None:
    if journal is not None and os.getpid() == owner:
        journal.remove()


def _warn_of_unclosed(path: Path, owner: int) -> None:
    if os.getpid() == owner:
        _LOG.warning("%s: was never closed: nothing is written (use it in a with block, or call close())", path)
