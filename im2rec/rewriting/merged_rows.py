"""The rows of a merge on their way to its files: copied, and counted."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.mapfile import map_head
from im2rec.rewriting.copying import NewHeaders, copy_records
from im2rec.rewriting.same_images import MergedRows
from im2rec.rewriting.sources import Counts, Source
from im2rec.storage.output import AtomicFile
from im2rec.storage.writer import RecordWriter

_COLUMNS = ("key", "source", "old_key")


class RowCounts:
    """Counts rows as they are written: images and bytes of their frames, and the images of each label.

    ``first_keys`` are the keys at which a label begins that is not that of the image before, for the identity records
    of a set with a header record (*header*), else none. The first key of all is *first_key*. There are *labels* labels.
    """

    def __init__(self, labels: int, first_key: int, *, header: bool) -> None:
        self.images = self.nbytes = 0
        self.labels: Counts = np.zeros(labels, np.int64)
        self.first_keys = array("Q")
        self._next_key, self._last_label, self._header = first_key, -1, header

    def add(self, rows: MergedRows, sizes: Offsets) -> Keys:
        """Count *rows*, whose frames have *sizes* bytes (int64), and return their keys (uint64)."""
        keys, labels = np.arange(len(rows), dtype=np.uint64) + np.uint64(self._next_key), rows.labels
        if len(rows):
            if self._header:  # else a set in any order would take 8 bytes of memory for nearly each record
                is_first = np.append(labels[0] != self._last_label, labels[1:] != labels[:-1])
                self.first_keys.extend(keys[is_first].tolist())
                self._last_label = int(labels[-1])
            distinct, counts = np.unique(labels, return_counts=True)
            self.labels[distinct] += counts
        self.images += len(rows)
        self.nbytes += int(np.sum(sizes))
        self._next_key += len(rows)
        return keys


class RowWriter:
    """Writes rows of *sources* to *writer*, and a line on each to *table*: its key, its set, and its key there."""

    def __init__(self, sources: Sequence[Source], writer: RecordWriter, table: AtomicFile) -> None:
        self._sources, self._writer, self._table = sources, writer, table
        self._lines = [_line_of(source) for source in sources]
        table.write(map_head(_COLUMNS))

    def write(self, rows: MergedRows, keys: Keys) -> None:
        """Copy the records of *rows* with their new labels and ids, *keys*. Raises what ``copy_records`` does."""
        old_keys = np.empty(len(rows), np.uint64)
        distinct = np.unique(rows.sources).tolist()
        if len(distinct) == 1:
            source = self._sources[distinct[0]].rec
            old_keys[:] = source.keys_of(rows.ordinals)
            copy_records(source, rows.ordinals, self._writer, keys, _headers(rows, keys))
        elif distinct:
            self._interleave(rows, keys, old_keys, distinct)
        columns = zip(rows.sources.tolist(), keys.tolist(), old_keys.tolist(), strict=True)
        self._table.write(b"".join([self._lines[source] % (key, old) for source, key, old in columns]))

    def _interleave(self, rows: MergedRows, keys: Keys, old_keys: Keys, distinct: list[int]) -> None:
        """Copy the records of several sources: those of each to memory, which is faster than each run of them."""
        sizes, starts = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        data: dict[int, bytes] = {}
        for number in distinct:
            chosen, source, copied = rows.sources == number, self._sources[number].rec, _Copied()
            part = rows.chosen(chosen)
            old_keys[chosen] = source.keys_of(part.ordinals)
            copy_records(source, part.ordinals, copied, keys[chosen], _headers(part, keys[chosen]))
            data[number], frames = b"".join(copied.pieces), np.concatenate(copied.sizes)
            sizes[chosen], starts[chosen] = frames, np.cumsum(frames) - frames
        borders = np.flatnonzero(rows.sources[1:] != rows.sources[:-1]) + 1
        pieces = [
            data[int(rows.sources[first])][int(starts[first]) : int(starts[stop - 1] + sizes[stop - 1])]
            for first, stop in itertools.pairwise([0, *borders.tolist(), len(rows)])
        ]
        self._writer.write_frames(pieces, keys, sizes)


class _Copied:
    """Frames in memory."""

    def __init__(self) -> None:
        self.pieces: list[bytes | bytearray] = []
        self.sizes: list[Offsets] = []

    def write_frames(self, pieces: Iterable[bytes | bytearray], _keys: Keys, sizes: Offsets) -> None:
        """Append frames."""
        self.pieces += pieces
        self.sizes.append(sizes)


def _headers(rows: MergedRows, keys: Keys) -> NewHeaders:
    return NewHeaders(keys, rows.labels.astype(np.float32))


def _line_of(source: Source) -> bytes:
    """Return the pattern of the lines on images of *source*: ``%`` is followed by their key and their old key."""
    path = source.text.encode("utf-8", "surrogateescape").replace(b"%", b"%%")
    return b"%%d\t%s\t%%d\n" % path
