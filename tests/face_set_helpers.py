"""Helpers of the tests on face-recognition sets: the golden ones, and small sets record by record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from image_helpers import encoded, texture

import im2rec
from im2rec.format.indexfile import Offsets
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.storage.identities import SetHeader, find_header, range_records_of
from im2rec.storage.writer import RecordWriter

GOLDEN = Path(__file__).parent / "golden" / "insightface"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text())
FACE = encoded(texture(16, 16))
Row = tuple[int, Any, bytes]  # key, label, content


def written(folder: Path, rows: Iterable[Row], *, prop: str = "", ids: dict[int, int] | None = None) -> Path:
    """A set of *rows*, in their order in the file; *ids* are those of records by key, where they differ from it."""
    folder.mkdir(parents=True, exist_ok=True)
    with RecordWriter(folder / "train.rec") as writer:
        for key, label, content in rows:
            header = IRHeader(0, label, (ids or {}).get(key, key))
            writer.write(encode_image_record(header, content), key=key)
    if prop:
        (folder / "property").write_text(prop)
    return folder / "train.rec"


def images(*labels: float, first: int = 1) -> list[Row]:
    return [(key, float(label), FACE) for key, label in enumerate(labels, first)]


def ranges(key: int, *pairs: tuple[float, float]) -> list[Row]:
    return [(number, list(pair), b"") for number, pair in enumerate(pairs, key)]


def header(first: float, stop: float) -> Row:
    return 0, [first, stop], b""


SIX = images(0, 0, 0, 1, 1, 2)  # keys 1 to 6
SIX_RANGES = ranges(7, (1, 4), (4, 6), (6, 7))


class FaceSet(NamedTuple):
    """Ordinals of the images and of the identity records of a file, in file order, and its header record."""

    images: Offsets
    identities: Offsets
    header: SetHeader | None


def face_set_of(rec: im2rec.RecordFile) -> FaceSet:
    """The kinds of all records of *rec*."""
    ranges = range_records_of(rec)
    header = find_header(ranges, rec.path)
    images = np.setdiff1d(np.arange(rec.total), rec.labels.without_content)
    return FaceSet(images, ranges.ordinals[~ranges.is_header], header)
