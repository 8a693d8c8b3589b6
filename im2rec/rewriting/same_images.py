"""Images that are there twice among those that are merged: found, counted, and listed in a table."""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Callable, Sequence

import numpy as np

from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.mapfile import map_head, map_rows
from im2rec.hashing import Words
from im2rec.rewriting.contents import Mask, SameContents
from im2rec.rewriting.merge_order import MergeOrder
from im2rec.rewriting.sources import Source
from im2rec.schema import Number, described
from im2rec.storage.identities import Classes

MAX_LISTED = 1000
_COLUMNS = ("key", "label", "source", "old_key", "first_key", "first_label", "first_source", "first_old_key")


@dataclasses.dataclass
class SameImage:
    """An image that repeats an earlier one of the merged set, which is the first with its content."""

    key: int | None = described("Key in the merged set; null for an image that was dropped.")
    label: Number = described("Class in the merged set.")
    source: str = described("The set that it is in.")
    old_key: int = described("Key in that set.")
    first_key: int = described("Key of the first such image in the merged set.")
    first_label: int = described("Class of the first one in the merged set.")
    first_source: str = described("The set that the first one is in.")
    first_old_key: int = described("Key of the first one in that set.")


@dataclasses.dataclass(frozen=True)
class MergedRows:
    """Consecutive rows of a merge from *first* on: of each the number of its source, its ordinal there, its new label.

    *sizes* are those of the frames, in bytes. All arrays are int64; *hashes* (uint64) are those of the contents, or
    None.
    """

    first: int
    sources: Offsets
    ordinals: Offsets
    labels: Classes
    sizes: Offsets
    hashes: Words | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def chosen(self, rows: Mask) -> MergedRows:
        """Return the rows of a mask; *first* stays."""
        return MergedRows(self.first, self.sources[rows], self.ordinals[rows], self.labels[rows], self.sizes[rows])


class SameImages:
    """Counts the images that repeat the content of an earlier one, and lists them by *write*, in a table.

    With *drop* they have no keys, and :meth:`keys` gives the others those without gaps from *first_key* on. ``count``
    is their number, ``other_class`` that of those in another class than the first one, ``within`` that of those in the
    same set. Takes 8 bytes of memory a record, and 4 more for each that is dropped.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        order: MergeOrder,
        *,
        drop: bool,
        first_key: int,
        write: Callable[[bytes], None],
    ) -> None:
        self.count = self.other_class = self.within = 0
        self.listed: list[SameImage] = []
        self._sources, self._order, self._drop, self._first_key, self._write = sources, order, drop, first_key, write
        self._paths = [source.text for source in sources]
        self._table = SameContents(order.rows, self._equal)
        self._dropped = array("Q" if order.rows >= 2**32 else "I")

    def find(self, rows: MergedRows) -> Mask:
        """Return a mask of *rows* that is False for those to be dropped, and list those that repeat an earlier one.

        Raises CorruptRecordError, InputError, and what *write* raises.
        """
        assert rows.hashes is not None
        earlier = self._table.add(rows.first, rows.hashes)
        repeats = earlier >= 0
        if repeats.any():
            places = np.flatnonzero(repeats)
            if self._drop:
                self._dropped.extend((rows.first + places).tolist())
            self._list(rows.chosen(repeats), rows.first + places, earlier[places])
        return ~repeats if self._drop else np.ones(len(rows), np.bool_)

    def keys(self, rows: Offsets) -> Keys:
        """Return the new keys (uint64) of *rows*, none of which was dropped."""
        dropped = np.frombuffer(self._dropped, self._dropped.typecode) if self._dropped else np.empty(0, np.int64)
        before = np.searchsorted(dropped, rows.astype(dropped.dtype))
        return (self._first_key + rows - before).astype(np.uint64)

    def _list(self, repeated: MergedRows, rows: Offsets, first_rows: Offsets) -> None:
        sources, ordinals = self._order.located(first_rows)
        labels = np.empty(len(rows), np.int64)
        for source in np.unique(sources).tolist():
            chosen = sources == source
            labels[chosen] = self._order.labels(source, ordinals[chosen])
        keys: list[int | None] = [None] * len(rows) if self._drop else self.keys(rows).tolist()
        columns = (
            keys,
            repeated.labels.tolist(),
            [self._paths[source] for source in repeated.sources.tolist()],
            self._old_keys(repeated.sources, repeated.ordinals),
            self.keys(first_rows).tolist(),
            labels.tolist(),
            [self._paths[source] for source in sources.tolist()],
            self._old_keys(sources, ordinals),
        )
        for line in zip(*columns, strict=True):
            if len(self.listed) >= MAX_LISTED:
                break
            self.listed.append(SameImage(*line))
        if not self.count:
            self._write(map_head(_COLUMNS))
        for piece in map_rows(["" if key is None else key for key in keys], *columns[1:]):
            self._write(piece)
        self.count += len(rows)
        self.other_class += int(np.sum(labels != repeated.labels))
        self.within += int(np.sum(sources == repeated.sources))

    def _old_keys(self, sources: Offsets, ordinals: Offsets) -> list[int]:
        keys = np.empty(len(sources), np.uint64)
        for source in np.unique(sources).tolist():
            chosen = sources == source
            keys[chosen] = self._sources[source].rec.keys_of(ordinals[chosen])
        return keys.tolist()

    def _equal(self, rows: Offsets, earlier: Offsets) -> Mask:
        """Return which of *rows* have the content of the row of *earlier*, byte for byte."""
        pairs = zip(self._contents(rows), self._contents(earlier), strict=True)
        return np.array([one == other for one, other in pairs], np.bool_)

    def _contents(self, rows: Offsets) -> list[bytes]:
        sources, ordinals = self._order.located(rows)
        contents = [b""] * len(rows)
        for source in np.unique(sources).tolist():
            chosen = np.flatnonzero(sources == source)
            records = self._sources[source].rec.read_many(ordinals[chosen].tolist())
            for place, record in zip(chosen.tolist(), records, strict=True):
                contents[place] = record.content
        return contents
