"""Sets for face recognition that are packed from small lists, and what published readers make of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers import GOLDEN
from image_helpers import encoded, records_of, texture
from pack_helpers import PackCase

from im2rec.format.irheader import ImageRecord
from im2rec.packing.face_pack import FaceOptions, pack_faces
from im2rec.packing.pack import PackOptions
from im2rec.packing.report import PackSummary
from im2rec.storage.index import index_keys

GOLDEN_SETS = GOLDEN.parent / "insightface"
FILES = ["property", "train.idx", "train.labels.tsv", "train.rec"]


@dataclasses.dataclass
class FaceCase(PackCase):
    """A list that is packed as a set into the folder *out*."""

    faces: FaceOptions = FaceOptions()  # noqa: RUF009 - it is frozen

    def pack(self, out: Path | None = None, *, progress: Any = None, **options: Any) -> PackSummary:
        """Pack the list, with one worker unless *options* say otherwise."""
        chosen = PackOptions(**{"workers": 1, "max_bad": "100%", **options})
        return pack_faces(self.listed, self.root, out or self.out, self.params, chosen, self.faces, progress=progress)


def a_case(folder: Path, labels: Sequence[object] = (7, 3, 7, 3, 20, 7), *, bad: Sequence[int] = ()) -> FaceCase:
    """A list in the order of *labels*; the images of the lines *bad*, from 0, are text."""
    root = folder / "root ä"
    root.mkdir(exist_ok=True)
    for number in range(len(labels)):
        content = b"text" if number in bad else encoded(texture(8, 8, seed=number))
        (root / f"{number}.jpg").write_bytes(content)
    listed = folder / "l.lst"
    listed.write_text("".join(f"{100 + n}\t{label}\t{n}.jpg\n" for n, label in enumerate(labels)))
    return FaceCase(listed, root, folder / "set")


def keyed_records(folder: Path) -> dict[int, ImageRecord]:
    """The records of a set by their keys, in order of the file."""
    keys = index_keys(folder / "train.idx").tolist()
    return dict(zip(keys, records_of(folder / "train.rec"), strict=True))


def as_published(records: dict[int, ImageRecord]) -> list[tuple[int, float, bytes]]:
    """Key, class and content of each image, as arcface_torch finds them: by the record with the key 0.

    Source: insightface recognition/arcface_torch/dataset.py, ``MXFaceDataset``.
    """
    header = records[0].header
    keys = range(1, int(header.label[0])) if header.flag > 0 else list(records)
    found = []
    for key in keys:
        label = records[key].header.label
        found.append((key, float(label if records[key].header.flag == 0 else label[0]), records[key].content))
    return found


def as_by_identity(records: dict[int, ImageRecord]) -> list[tuple[int, float, bytes]]:
    """The same, as the older trainers find them: by the identity records.

    Source: insightface recognition/arcface_mxnet/image_iter.py, ``FaceImageIter``.
    """
    found = []
    for identity in range(*map(int, records[0].header.label)):
        assert records[identity].content == b""
        for key in range(*map(int, records[identity].header.label)):
            label = records[key].header.label
            found.append((key, float(label if records[key].header.flag == 0 else label[0]), records[key].content))
    return found
