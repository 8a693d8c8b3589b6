"""Survey of a ``.rec``: the header and first bytes of every record, a sample of images, the index, and any damage.

No payload is read whole: a survey reads about 100 bytes of each record. Every offset of an index is compared with the
records found.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError
from im2rec.format.detection import are_detection_labels
from im2rec.format.heads import HEAD_BYTES
from im2rec.format.insightface import RANGE_LABELS
from im2rec.format.irheader import BAD_LABELS, HEADER_BYTES, SHORT_PAYLOAD
from im2rec.images.signatures import EMPTY, NOT_AN_IMAGE
from im2rec.inspection.contents import count_contents
from im2rec.inspection.distributions import (
    ClassCounts,
    Distributions,
    Histogram,
    Sampled,
    histogram,
    histogram_of_counts,
)
from im2rec.inspection.face_profile import ImageMisfits, without_images
from im2rec.inspection.face_sets import read_property
from im2rec.inspection.face_survey import Surveyed, add_faces
from im2rec.inspection.ids import id_statistics, missing_ids
from im2rec.inspection.image_sample import SAMPLE_SIZE, SHEET_IMAGES, IdentityRows, evenly_spaced, image_statistics
from im2rec.inspection.index_check import Compared, compare_index
from im2rec.inspection.kinds import DetectionCounts
from im2rec.inspection.label_columns import LabelColumns
from im2rec.inspection.labels import LabelCounts, class_statistics, odd_labels, unnamed_warning
from im2rec.inspection.problem_records import DOUBTFUL, NO_IMAGE, NOT_FINITE, UNREADABLE, OddRecords, sentences
from im2rec.inspection.report import DETECTION, FACE_KINDS, NO_HEADERS, NO_IMAGES, PLAIN, VECTORS, IndexCheck, Survey
from im2rec.inspection.set_records import NO_CONTENT, SetRecords
from im2rec.inspection.spread import spread
from im2rec.progress import Progress
from im2rec.storage.blocks import RecordBlock
from im2rec.storage.classes import ClassNames, class_names_beside
from im2rec.storage.damaged_range import DamageLog, damaged_ranges
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.foreign import check_kind, headerless_kind
from im2rec.storage.index import resolve_index
from im2rec.storage.index_match import FoundRecords
from im2rec.storage.opening import open_rec
from im2rec.storage.record_map import listed_offsets, scan_all


def survey(
    path: PathLike,
    *,
    index: PathLike | bool | None = None,
    every: bool = False,
    profile: bool = False,
    progress: Progress | None = None,
) -> Survey:
    """Survey the ``.rec`` at *path* and compare it with *index*, else the one next to it; with none if it is False.

    *every* reads the header of every image instead of a sample. *profile* checks what published readers of
    face-recognition sets assume. *progress* is called with the number of records so far
    and the share of the file that was scanned. Damage is listed, never raised. Raises InputError for a file that is
    missing, empty or not a RecordIO file, and for a given *index* that is missing.
    """
    return survey_whole(path, index=index, every=every, profile=profile, progress=progress).summary


class Findings(NamedTuple):
    """The *summary* of a survey, and what its sheet and its charts are made of.

    *rows* are those of a sheet by identity, None for a file that is no face-recognition set. *found* is for charts, and
    empty unless these were asked for.
    """

    summary: Survey
    rows: IdentityRows | None
    found: Distributions


def survey_whole(
    path: PathLike,
    *,
    index: PathLike | bool | None = None,
    every: bool = False,
    profile: bool = False,
    charts: bool = False,
    progress: Progress | None = None,
) -> Findings:
    """Return the :func:`survey` of a file with all that a sheet shows, and with *charts* all that a report shows."""
    if index is not None and not isinstance(index, bool):
        InputFile(index).close()  # raise for a wrong name before the long scan
    with open_rec(path) as file:
        check_kind(file)
        index_path = resolve_index(path, index)
        listed = listed_offsets(file, index_path)
        builder = scan_all(file, lambda: _SurveyBuilder(file, progress), listed=listed, careful=True)
        if progress:
            progress(builder.records, 1.0)  # also where the file ends with damage
        if not builder.records and not builder.damage:
            raise InputError("holds no records", path=file.path)
        beside = read_property(file.path)
        misfits = ImageMisfits(beside) if profile else None
        result = builder.survey(file, every=every, misfits=misfits)
        found, doubtful, records = builder.found(), builder.doubtful, builder.set_records()
        distributions, odd = builder.charts(found, records) if charts else Distributions(), builder.odd
        del builder, listed  # frees their other arrays, before the index needs as much memory
        compared = Compared(IndexCheck(None, "not compared"))
        if index is not False:
            compared = compare_index(file, found, index_path, result.damage, doubtful)
            if compared.check.state in ("agrees", "partial"):
                result.lost = compared.check.damaged
            if compared.missing is not None:
                result.damage, result.damaged_ranges = damaged_ranges([compared.missing], file.size), 1
        result.index = compared.check
        rows: IdentityRows | None = None
        if result.images:
            rows = add_faces(result, Surveyed(records, found.offsets, found.ids, compared, beside, misfits))
        elif profile:
            result.profile = without_images()
        _add_problems(result, file, odd if result.headerless is None else OddRecords(), records, found, doubtful)
        return Findings(result, rows, distributions)


def _add_problems(
    result: Survey, file: InputFile, odd: OddRecords, records: SetRecords, found: FoundRecords, doubtful: list[int]
) -> None:
    """Add to *result* the records with a problem, and a sentence on each kind before those on a face set."""
    if result.set_kind not in FACE_KINDS and result.headerless is None:
        odd.add_earlier(NO_IMAGE, records.range_ordinals.tolist())
    odd.add(DOUBTFUL, doubtful)
    if result.lost is None and result.headerless is None:
        result.missing_ids = missing_ids(found.ids, result.damage, result.damaged_ranges)
    result.problems_by_record = odd.listed(file, records, found, has_ids=result.headerless is None)
    result.problems[:0] = sentences(odd.counts, result.problems_by_record)


class _SurveyBuilder:
    """Counts, and 32 bytes per record in growing arrays, collected while a file is scanned."""

    def __init__(self, file: InputFile, progress: Progress | None = None) -> None:
        self._file, self._progress = file, progress
        self.records = 0
        self._parts: dict[int, int] = {}
        self.labels: Counter[int] = Counter()
        self.label_counts, self.label_columns, self.odd = LabelCounts(), LabelColumns(), OddRecords()
        self.contents: Counter[str] = Counter()
        self.damage = DamageLog()
        self.doubtful: list[int] = []
        self.offsets, self.ids, self.sizes, self.flags = array("q"), array("Q"), array("q"), array("I")
        self.vectors = 0
        self.detection = DetectionCounts()
        self._looked_at: tuple[Sampled, ClassCounts | None, ClassNames | None] | None = None
        # Of the records with two labels and no content: header and identity records of face-recognition sets.
        self._range_ordinals, self._range_labels = [np.empty(0, np.int64)], [np.empty((0, RANGE_LABELS), np.float32)]

    def add(self, piece: RecordBlock) -> None:
        """Add a block of records."""
        file = self._file
        sizes = np.array(piece.sizes, np.int64)
        header = piece.headers
        has_header = sizes >= HEADER_BYTES
        flags = np.where(has_header, header["flag"], 0).astype(np.uint32)
        lengths = sizes - HEADER_BYTES - 4 * flags.astype(np.int64)
        fits = has_header & (lengths >= 0)
        ranges = np.flatnonzero(fits & (lengths == 0) & (flags == RANGE_LABELS))
        if len(ranges):
            self._range_ordinals.append(self.records + ranges)
            self._range_labels.append(header["vector"][ranges])
        self._add_odd(SHORT_PAYLOAD, ~has_header)
        self._add_odd(BAD_LABELS, has_header & ~fits)
        self._add_odd(NO_IMAGE, fits & (lengths == 0) & (flags != RANGE_LABELS))
        self.labels.update(_counts(flags[fits]))
        vector = fits & (flags > 0)
        self.vectors += int(np.sum(vector))
        objects = vector & are_detection_labels(flags, header["vector"])
        self.detection.add(flags[objects], header["vector"][objects])
        labels, images = np.where(flags > 0, header["vector"][:, 0], header["label"]), fits & (lengths > 0)
        self.label_columns.add(piece, flags, images)
        odd = odd_labels(piece, flags, images)
        contents, no_images = count_contents(file, piece, flags, np.where(fits, lengths, -1), odd)
        self.contents.update(contents)
        self.odd.add(NOT_AN_IMAGE, [self.records + row for row in no_images])
        odd_values = {self.records + row: odd[row] for row in sorted(odd)}
        self.label_counts.add(labels[images], odd_values)
        self.odd.add(NOT_FINITE, list(odd_values), [f"{label:g}" for label in odd_values.values()])
        self.offsets.extend(piece.offsets)
        self.ids.frombytes(header["id"].astype(np.uint64).tobytes())
        self.sizes.extend(piece.sizes)
        self.flags.frombytes(np.where(fits, flags, NO_CONTENT).astype(np.uint32).tobytes())
        self._parts.update({self.records + row: parts for row, parts in piece.split.items()})
        self.doubtful += [self.records + row for row in sorted(piece.doubtful)]
        self.records += len(sizes)
        if self._progress:
            self._progress(self.records, (piece.offsets[-1] + piece.sizes[-1]) / file.size)

    def _add_odd(self, problem: str, is_odd: npt.NDArray[np.bool_]) -> None:
        self.odd.add(problem, (self.records + np.flatnonzero(is_odd)).tolist())

    def found(self) -> FoundRecords:
        """Return offset, end and id of all records."""
        offsets, sizes = np.asarray(self.offsets), np.asarray(self.sizes)
        ends = offsets + HEAD_BYTES + (sizes + 3 & -4)
        for row, parts in self._parts.items():
            ends[row] += 4 * (parts - 1)
        return FoundRecords(offsets, ends, np.asarray(self.ids))

    def set_records(self) -> SetRecords:
        """Return what is known of the records as those of a face-recognition set."""
        flags, sizes = np.asarray(self.flags), np.asarray(self.sizes)
        fits = flags != NO_CONTENT
        is_image = fits & (sizes > HEADER_BYTES + 4 * np.where(fits, flags, 0).astype(np.int64))
        ranges = np.concatenate(self._range_ordinals), np.concatenate(self._range_labels)
        return SetRecords(is_image, self.label_counts.first_labels, flags, *ranges)

    def survey(self, file: InputFile, *, every: bool, misfits: ImageMisfits | None) -> Survey:
        """Return the survey, with no index compared yet; *misfits* takes note of every image that is looked at."""
        headerless = headerless_kind(file, self.offsets)
        if headerless is not None:
            return self._without_headers(file, headerless)
        bad = self.odd.counts[SHORT_PAYLOAD] + self.odd.counts[BAD_LABELS] + self.odd.counts[NOT_AN_IMAGE]
        images = self.records - bad - self.contents[EMPTY]
        kind = self._kind(images)
        ordinals = evenly_spaced(self.records, self.records if every else SAMPLE_SIZE)
        chosen = ((n, self.offsets[n], self.flags[n]) for n in ordinals if self.flags[n] != NO_CONTENT)
        sampled = Sampled()
        statistics = image_statistics(file, chosen, misfits.seen if misfits else None, sampled)
        sizes, has_header = np.asarray(self.sizes), np.asarray(self.flags) != NO_CONTENT
        names, unusable = class_names_beside(file.path)
        counts = self.label_counts.classes() if images and kind != DETECTION else None
        classes = class_statistics(counts, names) if counts is not None else None
        self._looked_at = sampled, counts, names
        self.odd.add(UNREADABLE, list(sampled.unreadable), list(sampled.unreadable.values()))
        self.odd.counts[UNREADABLE] = statistics.unreadable
        warnings = [f"{unusable}; labels have no names" if unusable else "", unnamed_warning(classes, names)]
        return Survey(
            input=os.fspath(file.path),
            size=file.size,
            records=self.records,
            set_kind=kind,
            images=images,
            payload_bytes=spread(sizes) if self.records else None,
            split_records=len(self._parts),
            label_widths=dict(sorted(self.labels.items())),
            class_statistics=classes,
            label_columns=self.label_columns.columns() if kind == VECTORS else [],
            ids=id_statistics(np.asarray(self.ids)[has_header]) if has_header.any() else None,
            contents=dict(self.contents.most_common()),
            image_statistics=statistics,
            index=IndexCheck(None, "none"),
            damage=damaged_ranges(self.damage, file.size),
            damaged_ranges=len(self.damage),
            damaged_bytes=self.damage.nbytes,
            doubtful=len(self.doubtful),
            problems=self.label_counts.problems(),
            detection=self.detection.summary() if kind == DETECTION else None,
            warnings=[line for line in warnings if line],
        )

    def charts(self, found: FoundRecords, records: SetRecords) -> Distributions:
        """Return the distributions of the survey that was made, and some of the images among the records *found*."""
        offsets = found.offsets[records.is_image]
        shown = [int(offsets[row]) for row in evenly_spaced(len(offsets), SHEET_IMAGES)]
        distributions = Distributions(content_bytes=self._content_bytes(), shown=shown)
        if self._looked_at is not None:  # records without image headers are not looked at
            sampled, distributions.classes, distributions.names = self._looked_at
            distributions.objects = histogram_of_counts(self.detection.objects)
            distributions.add_sampled(sampled)
        return distributions

    def _content_bytes(self) -> Histogram | None:
        """Return the distribution of the sizes of all contents that are not empty."""
        sizes, flags = np.array(self.sizes), np.asarray(self.flags)
        sizes -= HEADER_BYTES
        rows = np.flatnonzero(flags)
        sizes[rows] -= 4 * flags[rows].astype(np.int64)  # below 0 for a record without content
        return histogram(sizes[sizes > 0])

    def _without_headers(self, file: InputFile, payloads: str) -> Survey:
        """Return the survey of records without image headers, of which nothing but the sizes is known."""
        return Survey(
            input=os.fspath(file.path),
            size=file.size,
            records=self.records,
            set_kind=f"{NO_HEADERS}: their payloads are {payloads}",
            images=0,
            payload_bytes=spread(np.asarray(self.sizes)),
            split_records=len(self._parts),
            label_widths={},
            class_statistics=None,
            ids=None,
            contents={payloads: self.records},
            image_statistics=image_statistics(file, ()),
            index=IndexCheck(None, "none"),
            damage=damaged_ranges(self.damage, file.size),
            damaged_ranges=len(self.damage),
            damaged_bytes=self.damage.nbytes,
            doubtful=len(self.doubtful),
            problems=[],
            headerless=payloads,
        )

    def _kind(self, images: int) -> str:
        if not images:
            return NO_IMAGES
        if not self.vectors:
            return PLAIN
        return DETECTION if self.detection.records == self.vectors else VECTORS


def _counts(values: npt.NDArray[Any]) -> dict[Any, int]:
    distinct, counts = np.unique(values, return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))
