"""Training sets of ``pack --profile insightface``, read by im2rec.mx as published trainers read theirs by MXNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from face_pack_helpers import FaceCase, a_case

from im2rec.mx import recordio
from im2rec.packing.face_pack import FaceOptions
from im2rec.packing.params import PackParams

Found = list[tuple[float, bytes]]
LABELS = ("40\t0.5", "2\t1.5", "40\t2.5", "7\t3.5")


def opened(folder: Path) -> recordio.MXIndexedRecordIO:
    return recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "r")


def image(rec: recordio.MXIndexedRecordIO, key: int) -> tuple[float, bytes]:
    header, content = recordio.unpack(rec.read_idx(key))
    return float(header.label if np.isscalar(header.label) else header.label[0]), content


def by_header(folder: Path) -> Found:
    """Source: insightface recognition/arcface_torch/dataset.py."""
    rec = opened(folder)
    header, _ = recordio.unpack(rec.read_idx(0))
    keys = range(1, int(header.label[0])) if header.flag > 0 else list(rec.keys)
    return [image(rec, key) for key in keys]


def by_identities(folder: Path) -> Found:
    """Source: insightface recognition/arcface_mxnet/image_iter.py and triplet_image_iter.py."""
    rec = opened(folder)
    header, _ = recordio.unpack(rec.read_idx(0))
    found = []
    for class_, identity in enumerate(range(int(header.label[0]), int(header.label[1]))):
        range_, content = recordio.unpack(rec.read_idx(identity))
        images = [image(rec, key) for key in range(int(range_.label[0]), int(range_.label[1]))]
        assert (b"", {class_}) == (content, {label for label, _ in images})
        found += images
    return found


def expected(case: FaceCase) -> Found:
    contents = [(case.root / f"{number}.jpg").read_bytes() for number in (1, 3, 0, 2)]
    return list(zip([0.0, 1.0, 2.0, 2.0], contents, strict=True))


@pytest.mark.parametrize("vectors", [False, True])
def test_both_rules_find_all_images_and_their_classes(tmp_path: Path, vectors: bool) -> None:
    case = a_case(tmp_path, LABELS)
    case.params = PackParams(unchanged=True, pack_label=vectors)
    case.pack()
    assert expected(case) == by_header(case.out)
    assert expected(case) == by_identities(case.out)


def test_a_set_without_header_is_taken_whole(tmp_path: Path) -> None:
    case = a_case(tmp_path, LABELS)
    case.faces = FaceOptions(header=False)
    case.pack()
    assert expected(case) == by_header(case.out)
