"""The order of the images in a merged set: one set behind the other, or grouped by classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from im2rec.format.indexfile import Offsets
from im2rec.rewriting.class_plan import ClassPlan
from im2rec.rewriting.sources import CHUNK, Ordinals, Source
from im2rec.storage.identities import Classes, classes_of


class MergeOrder:
    """The rows of a merged set: from 0, one for each image of *sources*, whose new labels are those of *plan*.

    With *grouped*, the images of each class follow one another, in the order of the sets: if they do not do so when
    the sets are put behind each other, the rows are ordered by label, and ``is_sorted`` is True. That takes 4 bytes of
    memory a record, and as much again while the order is made.
    """

    def __init__(self, sources: Sequence[Source], plan: ClassPlan, *, grouped: bool) -> None:
        self._sources, self._plan = sources, plan
        self.counts = plan.counts(sources)
        self.rows = int(np.sum(self.counts))
        # Images are numbered through all sets.
        self._first = np.cumsum([0, *(source.images for source in sources)])
        self._numbers: Ordinals | None = None
        self.is_sorted = grouped and self._count_runs() > int(np.sum(self.counts > 0))
        if self.is_sorted:
            self._numbers = self._sorted()

    def labels(self, source: int, ordinals: Offsets) -> Classes:
        """Return the new labels (int64) of the images of a source at *ordinals*."""
        return np.asarray(self._plan.labels[source][classes_of(self._sources[source].rec, ordinals)])

    def _count_runs(self) -> int:
        """Return how many runs of one label the sets have behind each other."""
        runs, last = 0, -1
        for labels in self._labels():
            runs += int(np.sum(labels[1:] != labels[:-1])) + (int(labels[0]) != last)
            last = int(labels[-1])
        return runs

    def _labels(self) -> Iterator[Classes]:
        for number, source in enumerate(self._sources):
            for ordinals in source.chunks():
                yield self.labels(number, ordinals)

    def _sorted(self) -> Ordinals:
        """Return the numbers of all images ordered by label, those of one label in their order: a counting sort."""
        numbers: Ordinals = np.empty(self.rows, np.uint32) if self.rows < 2**32 else np.empty(self.rows, np.int64)
        free = np.cumsum(self.counts) - self.counts  # the next row of each label
        first = 0
        for labels in self._labels():
            by_label = np.argsort(labels, kind="stable")
            ordered = labels[by_label]
            starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
            sizes = np.diff(starts, append=len(ordered))
            numbers[free[ordered] + np.arange(len(ordered)) - np.repeat(starts, sizes)] = first + by_label
            free[ordered[starts]] += sizes
            first += len(labels)
        return numbers

    def located(self, rows: Offsets) -> tuple[Offsets, Offsets]:
        """Return for each of *rows* the number of its source, and its ordinal there (both int64)."""
        numbers = rows if self._numbers is None else self._numbers[rows].astype(np.int64)
        sources = np.searchsorted(self._first, numbers, side="right") - 1
        ordinals = np.empty(len(rows), np.int64)
        for source in np.unique(sources).tolist():
            chosen = sources == source
            ordinals[chosen] = self._sources[source].ordinals_of(numbers[chosen] - self._first[source])
        return sources, ordinals

    def chunks(self) -> Iterator[tuple[Offsets, Offsets]]:
        """Yield :meth:`located` of all rows, some thousand at once."""
        for start in range(0, self.rows, CHUNK):
            yield self.located(np.arange(start, min(start + CHUNK, self.rows)))
