"""The run of a merge: batches of images are hashed, compared with those before, and copied."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np

from im2rec.errors import InputError, counted
from im2rec.format.insightface import PROPERTY_NAME, check_exact, property_text, range_bytes
from im2rec.format.mapfile import map_head, map_rows
from im2rec.parallel import available_cpus, run_ordered
from im2rec.progress import Progress
from im2rec.rewriting.class_plan import ClassPlan, plan_names, plan_offsets, plan_same
from im2rec.rewriting.contents import hash_contents
from im2rec.rewriting.copying import batches
from im2rec.rewriting.detection_sets import refuse_detection, some_rows
from im2rec.rewriting.face_parts import VECTOR_AT_KEY_0, foreign_property, property_of_input, size_of_image
from im2rec.rewriting.merge_order import MergeOrder
from im2rec.rewriting.merge_report import MergeOptions, MergeSummary
from im2rec.rewriting.merged_rows import RowCounts, RowWriter
from im2rec.rewriting.output import NewSet, check_outputs
from im2rec.rewriting.same_images import MergedRows, SameImages
from im2rec.rewriting.sources import Source
from im2rec.storage.classes import classes_path, classes_text
from im2rec.storage.companions import KEYS_MAP, LABELS_MAP, SAME_MAP, beside, index_to_write
from im2rec.storage.digest import digest_path
from im2rec.storage.output import AtomicFile

_BATCH_BYTES, _BATCH_ROWS = 4 << 20, 1 << 13  # of frames that are hashed and copied at once
_LABEL_COLUMNS = ("label", "source", "old_label")


def companions_of(target: Path) -> list[Path]:
    """Return the paths of the files, besides index, digest and property, that a merge may write beside *target*."""
    return [*(beside(target, suffix) for suffix in (LABELS_MAP, KEYS_MAP, SAME_MAP)), classes_path(target)]


class Merge:
    """A merge of *sources* to *target*. Raises what :func:`merge` does."""

    def __init__(
        self,
        sources: Sequence[Source],
        target: Path,
        options: MergeOptions,
        *,
        force: bool,
        digest: bool,
        dry_run: bool,
    ) -> None:
        self._sources, self._target, self._options = sources, target, options
        self._force, self._digest, self._dry_run = force, digest, dry_run
        if not any(source.images for source in sources):
            raise InputError("none of the sets holds an image", path=sources[0].path)
        self._header = any(source.header for source in sources) if options.header is None else options.header
        self._refuse_detection()
        self._plan = self._make_plan()
        self._order = MergeOrder(sources, self._plan, grouped=self._header)
        if self._header and not options.drop_same:
            check_exact(self._order.rows, int(np.sum(self._order.counts > 0)))
        self._warnings = [*(line for source in sources for line in source.warnings), *self._plan.warnings]
        self._property = self._make_property()
        self._companions = companions_of(target)
        if self._property:
            self._companions.append(target.with_name(PROPERTY_NAME))
        self._first_key = 1 if self._header else 0
        self._counts = RowCounts(len(self._order.counts), self._first_key, header=self._header)
        self._same: SameImages | None = None
        self._files: list[Path] = []

    def _refuse_detection(self) -> None:
        if self._header or not self._options.same_labels:
            for source in self._sources:
                hint = (
                    "--same-labels"
                    + (" and --no-header merge" if self._header else " merges")
                    + " such sets as they are"
                )
                refuse_detection(source.rec, source.ordinals_of(some_rows(source.images)), hint=hint)

    def _make_plan(self) -> ClassPlan:
        if self._options.classes is not None:
            return plan_names(self._sources, self._options.classes)
        return (plan_same if self._options.same_labels else plan_offsets)(self._sources)

    def _make_property(self) -> bytes:
        """Return the content of the property file; nothing if none is written, of a damaged image with a warning."""
        sizes = {source.size: source for source in reversed(self._sources) if source.size}
        first = next((source for source in self._sources if source.size), None)
        size = first.size if first else None
        if size is None and self._header:
            with_images = next(source for source in self._sources if source.images)
            size = size_of_image(with_images.rec, with_images.first_image, self._warnings)
        if size is None:
            self._warnings += foreign_property(self._target, [source.property_path for source in self._sources])
            return b""
        kept = list(property_of_input(self._target.with_name(PROPERTY_NAME), [source.path for source in self._sources]))
        if kept:
            self._warnings += kept
            return b""
        for (height, width), source in sizes.items():
            if first is not None and (height, width) != size:
                new = f"{first.property_path}: {size[0]} x {size[1]}, which the new one says"
                self._warnings.append(f"{source.property_path}: images of {height} x {width}, and {new}")
        return property_text(len(self._order.counts), *size)

    def work(self, progress: Progress) -> None:
        """Merge, or do all but write. Raises CorruptRecordError, InputError, OutputError."""
        if self._dry_run:
            files = [self._target, index_to_write(self._target), digest_path(self._target), *self._companions]
            check_outputs(files, force=self._force)
            self._copy(None, progress)
            self._files = self._files_of_dry_run()
            return
        output = NewSet(self._target, self._companions, force=self._force, digest=self._digest)
        with contextlib.closing(output):
            self._copy(output, progress)
            if self._header:
                first_keys = self._counts.first_keys
                output.write_ranges(first_keys, self._counts.images, len(first_keys))
            self._write_companions(output)
            self._files = output.publish()

    def _copy(self, output: NewSet | None, progress: Progress) -> None:
        """Find the images that are there twice, and write the others to *output*."""
        same_map = beside(self._target, SAME_MAP)
        same_file: AtomicFile | None = None

        def write_same(piece: bytes) -> None:
            nonlocal same_file
            if output is not None:
                same_file = same_file or output.open(same_map)
                same_file.write(piece)

        if self._options.find_same:
            drop, first_key = self._options.drop_same, self._first_key
            self._same = SameImages(self._sources, self._order, drop=drop, first_key=first_key, write=write_same)
        writer: RowWriter | None = None
        if output is not None:
            writer = RowWriter(self._sources, output.writer, output.open(beside(self._target, KEYS_MAP)))
        with contextlib.closing(self._batches()) as batches:
            for rows in batches:
                kept = rows.chosen(self._same.find(rows)) if self._same else rows
                keys = self._counts.add(kept, kept.sizes)
                if writer is not None:
                    writer.write(kept, keys)
                progress(self._counts.images, (rows.first + len(rows)) / self._order.rows)

    def _batches(self) -> Generator[MergedRows]:
        """Yield all rows in batches of some megabytes, with hashes if they are needed, made in threads ahead."""
        if not self._options.find_same:
            yield from self._unhashed()
            return
        workers = min(2, available_cpus())
        yield from run_ordered(self._hashed, self._unhashed(), workers=workers, processes=False, name=str)

    def _unhashed(self) -> Iterator[MergedRows]:
        first = 0
        for sources, ordinals in self._order.chunks():
            labels, sizes = np.empty(len(sources), np.int64), np.empty(len(sources), np.int64)
            for source in np.unique(sources).tolist():
                chosen = sources == source
                labels[chosen] = self._order.labels(source, ordinals[chosen])
                sizes[chosen] = self._sources[source].rec.frame_sizes(ordinals[chosen])
            for rows in batches(sizes, _BATCH_BYTES, _BATCH_ROWS):
                yield MergedRows(first + rows.start, sources[rows], ordinals[rows], labels[rows], sizes[rows])
            first += len(sources)

    def _hashed(self, rows: MergedRows) -> MergedRows:
        hashes = np.empty(len(rows), np.uint64)
        for source in np.unique(rows.sources).tolist():
            chosen = rows.sources == source
            hashes[chosen] = hash_contents(self._sources[source].rec, rows.ordinals[chosen])
        return dataclasses.replace(rows, hashes=hashes)

    def _write_companions(self, output: NewSet) -> None:
        if self._changes_labels:
            labels_file = output.open(beside(self._target, LABELS_MAP))
            labels_file.write(map_head(_LABEL_COLUMNS))
            for source, new in zip(self._sources, self._plan.labels, strict=True):
                old = np.flatnonzero(source.counts)
                for piece in map_rows(new[old], [source.text] * len(old), old):
                    labels_file.write(piece)
        if self._plan.names is not None:
            output.open(classes_path(self._target)).write(classes_text(self._plan.names))
        if self._property:
            output.open(self._target.with_name(PROPERTY_NAME)).write(self._property)

    @property
    def _changes_labels(self) -> bool:
        return not self._options.same_labels

    def _files_of_dry_run(self) -> list[Path]:
        target = self._target
        files = [target, index_to_write(target), *([digest_path(target)] if self._digest else [])]
        files += [beside(target, KEYS_MAP), *([beside(target, SAME_MAP)] if self._same and self._same.count else [])]
        files += [beside(target, LABELS_MAP)] if self._changes_labels else []
        files += [classes_path(target)] if self._plan.names is not None else []
        return files + ([target.with_name(PROPERTY_NAME)] if self._property else [])

    def summary(self) -> MergeSummary:
        """Return the result, without its time."""
        same, identities = self._same, len(self._counts.first_keys) if self._header else 0
        if self._header and self._dry_run:
            check_exact(self._counts.images, identities)
        offsets: Sequence[int | None] = self._plan.offsets or [None] * len(self._sources)
        pairs = zip(self._sources, offsets, strict=True)
        return MergeSummary(
            sets=[source.described(offset) for source, offset in pairs],
            out=os.fspath(self._target),
            images=self._counts.images,
            classes=int(np.sum(self._counts.labels > 0)),
            identities=identities,
            header=self._header,
            is_sorted=self._order.is_sorted,
            same=same.count if same else None,
            same_other_class=same.other_class if same else 0,
            same_within=same.within if same else 0,
            dropped=self._order.rows - self._counts.images,
            same_images=same.listed if same else [],
            bytes_out=self._counts.nbytes + (range_bytes(identities) if self._header else 0),
            files=[os.fspath(file) for file in self._files],
            warnings=[*self._warnings, *self._more_warnings()],
            dry_run=self._dry_run,
        )

    def _more_warnings(self) -> Iterator[str]:
        """Yield what published readers of the merged set may stumble over."""
        flags = frozenset().union(*(source.flags for source in self._sources))
        if len(flags) > 1:
            kinds = " and ".join("single labels" if not flag else f"vectors of {flag}" for flag in sorted(flags)[:3])
            yield f"the sets have {kinds}: readers that stack the labels of a batch fail"
        first = next(source for source in self._sources if source.images)
        if not self._header and first.first_has_vector:
            yield VECTOR_AT_KEY_0
        emptied = int(np.sum((self._order.counts > 0) & (self._counts.labels == 0)))
        if emptied:
            classes = counted(emptied, "class has", "classes have")
            yield f"{classes} no images left, as all were dropped (im2rec select --relabel numbers the others anew)"
