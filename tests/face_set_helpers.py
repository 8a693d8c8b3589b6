"""Helpers of the tests on face-recognition sets: the golden ones, and small sets record by record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from image_helpers import encoded, texture

from im2rec.format.irheader import IRHeader, encode_image_record
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
