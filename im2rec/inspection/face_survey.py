"""The part of a survey that is on face-recognition sets: whether it is one, its identities, its profile, its sheet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from im2rec.format.indexfile import Keys, Offsets
from im2rec.images.sheet import COLUMNS
from im2rec.inspection.face_profile import ImageMisfits, check_profile
from im2rec.inspection.face_sets import FaceInput, PropertyFile, face_kind, face_set, reader_warning
from im2rec.inspection.image_sample import SHEET_ROWS, IdentityRows, SheetRow, evenly_spaced
from im2rec.inspection.index_check import Compared
from im2rec.inspection.range_check import check_ranges
from im2rec.inspection.report import DETECTION, Survey
from im2rec.inspection.set_records import ImagesByKey, SetRecords, keys_of_set, label_counts
from im2rec.storage.identities import are_classes


class Surveyed(NamedTuple):
    """What a survey has collected: facts on all *records*, their *offsets* and *ids*, and the index *compared*.

    *beside* is the property file, *misfits* are images that the profile refuses; None if no profile is asked for.
    """

    records: SetRecords
    offsets: Offsets
    ids: Keys
    compared: Compared
    beside: PropertyFile | None
    misfits: ImageMisfits | None


def add_faces(result: Survey, surveyed: Surveyed) -> IdentityRows | None:
    """Add to *result*, of a file with images, what there is to say of a face-recognition set, and check its profile.

    Returns the rows of a sheet by identity; None for a file that is no face-recognition set.
    """
    records, listed, beside = surveyed.records, surveyed.compared.keys, surveyed.beside
    keys = keys_of_set(records, surveyed.ids, listed)
    has_classes = result.set_kind != DETECTION and bool(are_classes(records.labels).all())
    kind = face_kind(
        records.ranges(keys),
        has_classes=has_classes,
        has_property=beside is not None and beside.numbers is not None,
        header_lost=surveyed.compared.header_lost,
    )
    if not kind.kind and surveyed.misfits is None:
        return None
    images, is_damaged = ImagesByKey(records, keys), bool(result.damage or result.doubtful)
    checked = check_ranges(records.ranges(keys), images, int(keys.max()))
    statistics = result.image_statistics
    known = FaceInput(result.input, records, keys, listed, images, checked, kind, beside, statistics, is_damaged)
    faces = face_set(known)
    if surveyed.misfits is not None:
        result.profile = check_profile(known, faces, surveyed.compared.check, surveyed.misfits)
    if kind.kind:
        result.set_kind, result.label_columns = kind.kind, []
        result.problems += faces.problems
        result.warnings += [warning] if (warning := reader_warning(known)) else []
    elif not has_classes:
        return None
    result.insightface = faces
    return _sheet_rows(images, surveyed.offsets)


def _sheet_rows(images: ImagesByKey, offsets: Offsets) -> IdentityRows:
    """Evenly spread identities, and evenly spread images of each."""
    distinct, counts = label_counts(images.labels)
    rows = []
    for number in evenly_spaced(len(distinct), SHEET_ROWS):
        places = np.flatnonzero(images.labels == distinct[number])
        chosen = places[evenly_spaced(len(places), COLUMNS)]
        where = offsets[images.ordinals(chosen)].tolist()
        rows.append(SheetRow(float(distinct[number]), int(counts[number]), where))
    return IdentityRows(len(distinct), rows)
