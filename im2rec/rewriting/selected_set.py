"""The records that a selection takes, in their order, with their new keys and labels, and the files beside them."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from im2rec.errors import CorruptRecordError, InputError, ParameterError, counted
from im2rec.format.indexfile import Keys, Offsets
from im2rec.format.insightface import HEADER_KEY, PROPERTY_NAME, check_exact, range_bytes
from im2rec.format.irheader import Labels, label_text
from im2rec.format.listfile import EXACT_INTEGERS
from im2rec.format.mapfile import map_lines
from im2rec.progress import Progress
from im2rec.rewriting.copying import NewHeaders, copy_records
from im2rec.rewriting.detection_sets import refuse_detection, some_rows
from im2rec.rewriting.face_parts import VECTOR_AT_KEY_0, find_range_records, grouped, property_beside
from im2rec.rewriting.output import NewSet
from im2rec.rewriting.select_report import SelectSummary
from im2rec.selection.decoding import DAMAGED_RECORD, Verification, decode_records
from im2rec.selection.draws import SampleSize, parse_sample, sampled, shuffled, some_of_each_class
from im2rec.selection.filters import HeaderFile, Selection, count_classes, index_lines, record_keys, select_records
from im2rec.selection.headers import EMPTY, LEFT_OUT, NO_IMAGE, ONE_LABEL, VECTOR, LabelledFile
from im2rec.storage.classes import class_names_beside, classes_path, classes_text
from im2rec.storage.companions import KEYS_MAP, LABELS_MAP, SAME_MAP, beside, index_to_write
from im2rec.storage.damaged_range import MAX_NAMED, damaged_ranges
from im2rec.storage.digest import digest_path
from im2rec.storage.files import INSPECT, with_path
from im2rec.storage.identities import as_classes

_PART = 1 << 13  # records that are looked at, or written, at once
NOT_DRAWN, OVER_PER_CLASS = "not in the sample", "beyond those kept of each class"
UNDECODABLE = "that cannot be decoded"


@dataclasses.dataclass(frozen=True)
class SelectOptions(Selection):
    """Options of a selection: the filters of :class:`~im2rec.selection.filters.Selection`, and the form of the output.

    *decodable* leaves out images that cannot be decoded: those that have passed the filters are decoded, in *workers*
    processes and up to *max_pixels*, as :func:`~im2rec.selection.decoding.decode_records` does. *per_class* keeps at
    most so many images of each class, and *sample* so many of all, as ``5000``, or a share, as ``10%``; both are drawn
    by *seed*, after all this and in this order. *shuffle* writes the records in the order that *seed* gives. *relabel*
    gives the classes new labels from 0 on, in the order of the old ones; *renumber* gives the images new keys and ids.
    *header* writes a header record and identity records, or none; None writes them if the file has them, but not
    shuffled. Raises ParameterError.
    """

    per_class: int | None = None
    sample: str | None = None
    shuffle: bool = False
    seed: int = 0
    relabel: bool = False
    renumber: bool = False
    header: bool | None = None
    decodable: bool = False
    workers: int | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_class is not None and self.per_class < 1:
            raise ParameterError(f"per_class={self.per_class} must be 1 or more")
        for name in ("workers", "max_pixels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ParameterError(f"{name}={value} must be 1 or more")
            if value is not None and not self.decodable:
                option = f"--{name.replace('_', '-')}"
                raise ParameterError(f"{option} is for --decodable", hint="add --decodable, or leave it out")
        if self.header and self.shuffle:
            problem = "--header and --shuffle contradict each other: with a header record the images are by class"
            raise ParameterError(problem, hint="leave one of them out")
        self.sample_size()

    @property
    def counts_classes(self) -> bool:
        """True if the labels must be classes, as they are counted or numbered anew."""
        return self.relabel or any(number is not None for number in (self.per_class, self.min_images, self.max_images))

    def sample_size(self) -> SampleSize | None:
        """Return the size of the sample, if there is one. Raises ParameterError."""
        return None if self.sample is None else parse_sample(self.sample)


def files_of(target: Path) -> list[Path]:
    """Return the paths of the ``.rec``, its index and its digest: an old digest is removed in any case."""
    return [target, index_to_write(target), digest_path(target)]


def companions_of(target: Path) -> list[Path]:
    """Return the paths of the tables to the old labels and keys, of the class names, and of the table of a merge.

    The last is never written, but one that is there belongs to an earlier set of that name.
    """
    return [beside(target, LABELS_MAP), beside(target, KEYS_MAP), classes_path(target), beside(target, SAME_MAP)]


class SelectedSet:
    """A selection of records of *file* for *target*.

    *verifying* begins the phase in which images are decoded, and returns the function that shows how far it is. Raises
    the errors of ``select()``.
    """

    def __init__(
        self, file: HeaderFile, target: Path, options: SelectOptions, verifying: Callable[[], Progress]
    ) -> None:
        self._file, self._target, self._options = file, target, options
        lines = index_lines(file, index=options.index)
        self._lost = len(lines.lost) if lines.are_listed else None
        all_keys = record_keys(file, lines)
        self._ranges = find_range_records(file, all_keys)
        self._selected = select_records(file, options, lines, unreported=self._ranges.ordinals)
        self._failed = dict(self._selected.failed)
        self._header = self._ranges.has_header and not options.shuffle if options.header is None else options.header
        ordinals, self._verified = self._selected.ordinals, None if not options.decodable else Verification()
        if self._verified is not None:
            ordinals = self._decodable(ordinals, self._verified, verifying())
        ordinals = self._drawn(ordinals)
        if self._header or options.counts_classes:
            hint = "leave out --relabel, --header, --per-class, --min-images and --max-images"
            refuse_detection(file, ordinals[some_rows(len(ordinals))], hint=hint)
        if self._header:
            as_classes(file.first_labels[ordinals], ordinals, file.path)  # raises the error
        self._old_labels = np.unique(file.first_labels[ordinals] + np.float32(0))  # -0 and 0 are one
        self._classes = len(self._old_labels)
        if self._header:
            check_exact(len(ordinals), self._classes)
        self.ordinals, self._is_sorted = ordinals, False
        if options.shuffle:
            self.ordinals = shuffled(ordinals, options.seed)
        elif self._header:
            self.ordinals, self._is_sorted = grouped(ordinals, file.first_labels[ordinals])
        self._old_keys = all_keys[self.ordinals]
        self._had_key_0 = bool(np.any(all_keys == HEADER_KEY))
        self._keys = self._new_keys(all_keys)
        self._labels = self._new_labels()
        self.companions: list[Path] = []
        self._property = self._class_names = b""
        problem = self._ranges.problem
        self._warnings = [f"{file.path}: {problem}; it is not copied"] if problem else []
        self._bytes_out = 0

    def _decodable(self, ordinals: Offsets, found: Verification, progress: Progress) -> Offsets:
        """Return those of *ordinals* whose images can be decoded, and add what is found to *found*."""
        file, options, count = self._file, self._options, len(ordinals)
        parts = (ordinals[row : row + _PART] for row in range(0, count, _PART))  # lists of all would take 80 bytes each
        records = (pair for part in parts for pair in zip(part.tolist(), file.offsets[part].tolist(), strict=True))
        found.add(
            decode_records(
                file.path,
                records,
                workers=options.workers,
                max_pixels=options.max_pixels,
                report=lambda done, _: progress(done, done / count),
            )
        )
        bad = [failure for failure in found.failures if failure.reason == DAMAGED_RECORD]
        if bad and isinstance(file, LabelledFile):
            error = CorruptRecordError(bad[0].detail, offset=bad[0].offset, hint=INSPECT)
            raise with_path(error, file.path)  # a scan, which comes next, finds out what is damaged
        kept = np.setdiff1d(ordinals, np.array([failure.record for failure in found.failures], np.int64))
        if not len(kept):
            problem = "no image that passes the other filters can be decoded"
            raise InputError(problem, path=file.path, hint="inspect --verify says why")
        return self._counted(kept, ordinals, UNDECODABLE)

    def _drawn(self, ordinals: Offsets) -> Offsets:
        """Return those of *ordinals* that are drawn, in file order."""
        seed = self._options.seed
        if self._options.per_class is not None:
            labels = self._file.first_labels[ordinals]
            ordinals = self._counted(
                some_of_each_class(ordinals, labels, self._options.per_class, seed), ordinals, OVER_PER_CLASS
            )
        if (size := self._options.sample_size()) is not None:
            ordinals = self._counted(sampled(ordinals, size, seed), ordinals, NOT_DRAWN)
        return ordinals

    def _counted(self, kept: Offsets, of: Offsets, why: str) -> Offsets:
        if len(kept) < len(of):
            self._failed[why] = len(of) - len(kept)
        return kept

    def _new_keys(self, all_keys: Keys) -> Keys:
        """Return the keys of the records in their order; the old ones where nothing asks for others."""
        count = len(self.ordinals)
        if self._header:
            return np.arange(1, count + 1, dtype=np.uint64)
        counts_from_0 = self._options.renumber or self._ranges.has_header
        if not counts_from_0:
            images = np.delete(all_keys, self._ranges.ordinals)
            counts_from_0 = bool(np.array_equal(images, np.arange(len(images))))
            counts_from_0 = counts_from_0 or len(np.unique(self._old_keys)) < count
        return np.arange(count, dtype=np.uint64) if counts_from_0 else self._old_keys

    def _new_labels(self) -> Labels | None:
        """Return the new labels of the records in their order; None if all keep theirs. Raises ParameterError."""
        if not self._options.relabel or np.array_equal(self._old_labels, np.arange(self._classes)):
            return None
        if self._classes > EXACT_INTEGERS:
            problem = f"{self._classes:,} classes are more than the labels that float32 holds: {EXACT_INTEGERS:,}"
            raise ParameterError(problem, hint="select fewer classes")
        labels = self._file.first_labels[self.ordinals]
        return np.searchsorted(self._old_labels, labels).astype(np.float32)

    def prepare_companions(self, *, force: bool) -> None:
        """Find out which files are written beside the output. Raises OutputError if one may not be."""
        self._class_names = self._make_class_names()
        last = float(self._classes - 1 if self._labels is not None else self._old_labels[-1])
        first_image = int(self.ordinals[0])
        found = property_beside(self._file, self._target, last, first_image, has_header=self._header, force=force)
        self._property = found.text
        self._warnings += found.warnings
        self.companions = companions_of(self._target)
        if found.path is not None:
            self.companions.append(found.path)

    def _make_class_names(self) -> bytes:
        """Return the class names for the output; nothing without names that fit, which a warning says."""
        names, problem = class_names_beside(self._file.path)
        if names is None:
            self._warnings += [f"{problem}; the class names are not copied"] if problem else []
            return b""
        if self._labels is None:
            return classes_text(names.names)
        kept = [names.name_of(float(label)) for label in self._old_labels.tolist()]
        if None in kept:
            label = self._old_labels[kept.index(None)]
            self._warnings.append(f"{names.path}: has no name for the label {label:g}; the class names are not copied")
            return b""
        return classes_text([name for name in kept if name is not None])

    @property
    def _changes_keys(self) -> bool:
        return self._keys is not self._old_keys and not np.array_equal(self._keys, self._old_keys)

    def planned_files(self, *, digest: bool) -> list[Path]:
        """Return the paths of the files that are written."""
        rec, index, digest_file = files_of(self._target)
        contents = (self._labels is not None, self._changes_keys, self._class_names, b"", self._property)
        written = [path for path, content in zip(self.companions, contents, strict=False) if content]
        return [rec, index, *([digest_file] if digest else []), *written]

    def write(self, output: NewSet, report: Callable[[int, float], None]) -> None:
        """Write all records and the files beside them. Raises CorruptRecordError, InputError, OutputError."""
        count = len(self.ordinals)
        headers = NewHeaders(self._keys if self._options.renumber else None, self._labels)
        copy_records(
            self._file,
            self.ordinals,
            output.writer,
            self._keys,
            headers,
            report=lambda done: report(done, done / count),
        )
        if self._header:
            output.write_ranges(self._first_keys().tolist(), count, self._classes)
        self._bytes_out = output.writer.offset
        planned = self.planned_files(digest=False)
        labels_map, keys_map, names, _ = companions_of(self._target)
        if labels_map in planned:
            old_labels = list(map(label_text, self._old_labels.tolist()))
            _write_all(output, labels_map, map_lines(("label", "old_label"), range(self._classes), old_labels))
        if keys_map in planned:
            _write_all(output, keys_map, map_lines(("key", "old_key"), self._keys, self._old_keys))
        if self._class_names:
            _write_all(output, names, [self._class_names])
        if self._property:
            _write_all(output, self.companions[-1], [self._property])

    def _first_keys(self) -> Keys:
        """Return the key of the first image of each class, of records that are grouped by class."""
        labels = self._file.first_labels[self.ordinals]
        return self._keys[np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))]

    def summary(self) -> SelectSummary:
        """Return the counts of the selection."""
        file, selected = self._file, self._selected
        verified, without_image = self._verified, [LEFT_OUT[EMPTY]] if self._verified is None else selected.left_out
        failures = [] if verified is None else verified.failures
        return SelectSummary(
            input=os.fspath(file.path),
            out=os.fspath(self._target),
            records=len(file),
            all_images=selected.images,
            images=len(self.ordinals),
            all_classes=count_classes(file.first_labels[file.states & NO_IMAGE == 0]),
            classes=self._classes,
            header=self._header,
            had_header=self._ranges.has_header,
            is_sorted=self._is_sorted,
            relabelled=self._labels is not None,
            new_keys=self._changes_keys,
            not_selected=self._failed,
            left_out={why: count for why, count in selected.left_out.items() if why in without_image},
            problem_records={why: count for why, count in selected.left_out.items() if why not in without_image},
            range_records=len(self._ranges.ordinals),
            missing_keys=len(selected.missing_listed) + len(selected.missing_dropped),
            bytes_out=self._bytes_out or self._expected_bytes(),
            warnings=[*filter(None, [file.unlisted]), *self._key_warnings(), *self._warnings, *self._reader_warnings()],
            damage=damaged_ranges(file.damage, file.size),
            damaged_ranges=file.damaged_ranges,
            damaged_bytes=file.damaged_bytes,
            lost=self._lost,
            doubtful=len(file.doubtful),
            not_decoded=None if verified is None else dict(Counter(each.reason for each in failures).most_common()),
            failures=failures,
        )

    def _expected_bytes(self) -> int:
        """Return the size of the output, if no new id or label makes a frame longer, which is very rare."""
        ranges = range_bytes(self._classes) if self._header else 0
        parts = (self.ordinals[row : row + _PART] for row in range(0, len(self.ordinals), _PART))
        return sum(int(np.sum(self._file.frame_sizes(part))) for part in parts) + ranges

    def _key_warnings(self) -> Iterator[str]:
        """Yield lines on keys that were asked for and that no image has."""
        path, selected = self._file.path, self._selected
        for key in selected.lost_keys[:MAX_NAMED]:
            yield f"{path}: no record has the key {key}: it is lost in damaged bytes"
        if (more := len(selected.lost_keys) - MAX_NAMED) > 0:
            yield f"{path}: {counted(more, 'more key')} of lost records"
        for option, keys in (("list", selected.missing_listed), ("drop", selected.missing_dropped)):
            if len(keys):
                yield f"{path}: no image has {counted(len(keys), 'key')} of the --{option}; first: {keys[0]}"

    def _reader_warnings(self) -> Iterator[str]:
        """Yield what readers of the new set may stumble over."""
        has_key_0 = self._header or bool(np.any(self._keys == HEADER_KEY))
        is_of_faces = len(self._ranges.ordinals) > 0 or self._file.path.with_name(PROPERTY_NAME).exists()
        if is_of_faces and self._had_key_0 and not has_key_0:
            yield (
                "no record of the output has the key 0, which published readers of face sets look for first"
                " (--renumber gives keys from 0)"
            )
        row = int(np.argmax(self._keys == HEADER_KEY))
        if not self._header and has_key_0 and self._file.states[self.ordinals[row]] & (VECTOR | ONE_LABEL):
            yield VECTOR_AT_KEY_0
        if self._header and self._labels is None and self._old_labels[-1] != self._classes - 1:
            yield (
                f"the labels of its {self._classes:,} classes go up to {self._old_labels[-1]:g}: trainers need as many"
                " outputs (--relabel closes the gaps)"
            )


def _write_all(output: NewSet, path: Path, pieces: Iterable[bytes]) -> None:
    file = output.open(path)
    for piece in pieces:
        file.write(piece)
