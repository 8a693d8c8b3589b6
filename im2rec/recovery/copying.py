"""Copy whole records, byte for byte: neighbours in large runs, around bytes that the disk cannot read."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from im2rec.errors import InputError
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.irheader import HEADER_BYTES
from im2rec.parallel import ThreadsEndedError
from im2rec.recovery.duplicates import Fingerprints, sample_words
from im2rec.recovery.losses import Gap, OldIndex
from im2rec.recovery.salvage import SalvagingFile
from im2rec.storage.blocks import Damage, RecordBlock
from im2rec.storage.damaged_range import DamagedRange, describe

_RUN_BYTES = 8 << 20  # the most that is read and written at once


class Output(Protocol):
    """Where frames are copied to: a :class:`~im2rec.storage.writer.RecordWriter`, or nowhere."""

    def write_frames(self, pieces: Iterable[bytes], keys: Keys, sizes: Offsets) -> None:
        """Append frames; the *pieces* joined are all of them, *keys* and *sizes* those of each."""


class Nowhere:
    """The output of a dry run: what would be written is only counted."""

    def __init__(self) -> None:
        self.records = self.offset = 0
        self.ids = array("Q")

    def write_frames(self, pieces: Iterable[bytes], keys: Keys, sizes: Offsets) -> None:
        """Count frames as a RecordWriter would write them."""
        self.offset += sum(map(len, pieces))
        self.records += len(sizes)
        self.ids.frombytes(keys.tobytes())


class Copier:
    """Copies the records of blocks to *out*, and keeps what is known of them and of the damage between them.

    *index*, if there is one, receives the offsets of all records. With *drop_doubtful* doubtful records are left out.
    """

    def __init__(self, file: SalvagingFile, out: Output, index: OldIndex | None, *, drop_doubtful: bool) -> None:
        self.records = self.doubtful = 0
        self.damage: list[DamagedRange] = []
        self.dropped_ids: list[int] = []
        self.all_have_headers = True
        self.fingerprints = Fingerprints()
        self._file, self._out, self._index = file, out, index
        self._drops_doubtful = drop_doubtful
        self._gaps: list[tuple[int | None, int | None]] = []
        self._is_stopped = False
        self._last_id: int | None = None

    @property
    def gaps(self) -> list[Gap]:
        """The ids around each of the ranges of ``damage``."""
        return list(map(Gap._make, self._gaps))

    def add_damage(self, start: int, end: int, problem: str) -> None:
        """Note the damaged bytes *start* to *end*, which come after all records so far."""
        last = self.damage[-1] if self.damage else None
        if last is not None and last.records_before == self.records and last.end >= start:
            last.end = max(end, last.end)
            return
        self.damage.append(DamagedRange(start, end, self.records, problem))
        self._gaps.append((self._last_id, None))

    def stop(self) -> None:
        """End the work of a thread in :meth:`take` soon, by an error."""
        self._is_stopped = True

    def take(self, piece: RecordBlock | Damage) -> int:
        """Copy the records of a block, or note damage; return the offset after it. Raises InputError, OutputError."""
        if isinstance(piece, Damage):
            self.add_damage(piece.start, piece.end, describe(piece, self._file.size))
            return piece.end
        return self._add(piece)

    def _add(self, block: RecordBlock) -> int:
        """Copy the records of *block* and return the offset after them."""
        batch = _Batch(block)
        is_doubtful = np.zeros(len(batch.sizes), np.bool_)
        is_doubtful[list(block.doubtful)] = True
        for first, stop in batch.runs(is_doubtful if self._drops_doubtful else None):
            if first < stop:
                self._copy(batch, first, stop, is_doubtful)
            else:
                self._drop(batch, first)
        return batch.end(len(batch.sizes) - 1)

    def _drop(self, batch: _Batch, row: int) -> None:
        """Leave out the doubtful record *row*."""
        self.records += 1
        self.doubtful += 1
        self.dropped_ids.append(int(batch.ids[row]))
        self._note(batch, row, row + 1)

    def _copy(self, batch: _Batch, first: int, stop: int, is_doubtful: np.ndarray) -> None:
        """Copy the records *first* to *stop* of *batch*, which follow one another without a gap."""
        if self._is_stopped:
            raise ThreadsEndedError("the copy was ended")
        start, end = batch.start(first), batch.end(stop - 1)
        # A single record may be longer. It is read twice: before it is written, all of it must have proved readable.
        is_long = end - start > _RUN_BYTES
        data = b""
        for data in self._pieces(start, end):  # noqa: B007 - a single piece, unless it is long
            pass
        for row, after in self._readable(batch, first, stop):
            if row == after:
                self.add_damage(batch.start(row), batch.end(row), "the disk cannot read it")
                continue
            begin, frames = batch.start(row), batch.frames[row:after]
            if is_long:
                pieces, samples = self._pieces(begin, batch.end(after - 1)), np.zeros(1, np.uint64)
            else:
                pieces = iter([data[begin - start : batch.end(after - 1) - start]])
                samples = sample_words(data, batch.offsets[row:after] - start, frames)
            self._out.write_frames(pieces, batch.ids[row:after], frames)
            self.fingerprints.add(batch.block.fronts[row:after], batch.sizes[row:after], samples)
            self.records += after - row
            self.doubtful += int(np.sum(is_doubtful[row:after]))
            self._note(batch, row, after)

    def _note(self, batch: _Batch, row: int, after: int) -> None:
        """Note ids and offsets of the records *row* to *after* of *batch*."""
        has_headers = batch.sizes[row:after] >= HEADER_BYTES
        self.all_have_headers = self.all_have_headers and bool(has_headers.all())
        if self._gaps and self.damage[-1].records_before == self.records - (after - row):
            self._gaps[-1] = self._gaps[-1][0], int(batch.ids[row])
        self._last_id = int(batch.ids[after - 1])
        if self._index is not None:
            self._index.add(batch.offsets[row:after], batch.ids[row:after] if self.all_have_headers else None)

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes *start* to *end* in pieces; padding that is cut off at the end of the file is zero."""
        for at in range(start, end, _RUN_BYTES):
            size = min(_RUN_BYTES, end - at)
            data = self._file.read_at(at, size)
            if len(data) < size:
                if at + len(data) < self._file.size:
                    raise InputError("became shorter while it was read", path=self._file.path, hint="run it again")
                data = data.ljust(size, b"\0")
            yield data

    def _readable(self, batch: _Batch, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield runs of readable records among *first* to *stop*, and ``(row, row)`` for each one that is not."""
        if self._file.unreadable_within(batch.start(first), batch.end(stop - 1)) is None:
            yield first, stop
            return
        begin = first
        for row in range(first, stop):
            if self._file.unreadable_within(batch.start(row), batch.end(row)) is not None:
                if begin < row:
                    yield begin, row
                yield row, row
                begin = row + 1
        if begin < stop:
            yield begin, stop


class _Batch:
    """A block of records with arrays of their offsets, payload sizes and frame sizes, in bytes, and their ids."""

    def __init__(self, block: RecordBlock) -> None:
        self.block, self._ends = block, block.ends
        self.offsets, self.sizes = np.array(block.offsets, np.int64), np.array(block.sizes, np.int64)
        self.frames = self._ends - self.offsets
        self.ids = block.headers["id"].astype(np.uint64)

    def start(self, row: int) -> int:
        """Offset at which record *row* starts."""
        return int(self.offsets[row])

    def end(self, row: int) -> int:
        """Offset at which record *row* ends."""
        return int(self._ends[row])

    def runs(self, left_out: np.ndarray | None) -> Iterator[tuple[int, int]]:
        """Yield first and stop row of runs of at most 8 MiB, or of one record, in which each record follows another.

        ``(row, row)`` stands for a record that is *left_out*.
        """
        is_border = self.offsets[1:] != self._ends[:-1]
        if left_out is not None:
            is_border |= left_out[1:] | left_out[:-1]
        for first, stop in itertools.pairwise([0, *(np.flatnonzero(is_border) + 1).tolist(), len(self.offsets)]):
            if left_out is not None and left_out[first]:
                yield first, first
                continue
            row = first
            while row < stop:
                limit = self.offsets[row] + _RUN_BYTES
                after = row + max(1, int(np.searchsorted(self._ends[row:stop], limit, side="right")))
                yield row, after
                row = after
