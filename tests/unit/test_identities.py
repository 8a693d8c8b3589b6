from __future__ import annotations

import json
from pathlib import Path

import pytest
from face_set_helpers import face_set_of

import im2rec
from im2rec.errors import InputError
from im2rec.storage.identities import classes_of

GOLDEN = Path(__file__).parent.parent / "golden" / "insightface"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_records_of_each_golden_set_are_told_apart(name: str) -> None:
    expected = EXPECTED[name]
    with im2rec.open(GOLDEN / name / "train.rec") as rec:
        found = face_set_of(rec)
        kinds = {record["offset"]: record["kind"] for record in expected["records"]}
        images = [int(rec.offsets[ordinal]) for ordinal in found.images]
        assert [offset for offset, kind in kinds.items() if kind == "image"] == images
        assert expected["identity_records"] == len(found.identities)
        labels = {record["offset"]: record["labels"][0] for record in expected["records"]}
        assert [labels[offset] for offset in images] == classes_of(rec, found.images).tolist()
        if expected["header"] is None:
            assert found.header is None
        else:
            assert found.header is not None
            assert expected["header"] == [found.header.first, found.header.stop]
            assert kinds[int(rec.offsets[found.header.ordinal])] == "header"


def written(path: Path, records: list[tuple[int, object, bytes]]) -> im2rec.RecordFile:
    with im2rec.RecordWriter(path) as writer:
        for key, label, content in records:
            writer.write(im2rec.encode_image_record(im2rec.IRHeader(0, label, key), content), key=key)
    return im2rec.open(path)


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        (
            [(0, [2, 3], b""), (1, 0.0, b"image"), (0, [2, 4], b"")],
            r"2 header records; records 0 and 2 say \[2, 3\) and \[2, 4\)",
        ),
        ([(0, [2, float("nan")], b""), (1, 0.0, b"image")], r"\(record 0\) says \[2, nan\), which is no range of keys"),
        ([(1, 0.0, b"image"), (0, [float("inf"), 3], b"")], r"\(record 1\) says \[inf, 3\)"),
        ([(0, [2.5, 3], b""), (1, 0.0, b"image")], r"says \[2.5, 3\)"),
        ([(0, [3, 2], b""), (1, 0.0, b"image")], r"says \[3, 2\)"),
        ([(0, [0, 2], b""), (1, 0.0, b"image")], r"says \[0, 2\)"),
    ],
)
def test_a_header_record_that_is_wrong_is_named(
    tmp_path: Path, records: list[tuple[int, object, bytes]], problem: str
) -> None:
    with written(tmp_path / "a.rec", records) as rec, pytest.raises(InputError, match=problem) as caught:
        face_set_of(rec)
    assert rec.path == caught.value.path


def test_a_record_of_two_labels_with_content_at_key_0_is_an_image(tmp_path: Path) -> None:
    with written(tmp_path / "a.rec", [(0, [2, 3], b"image"), (1, [0, 1], b"image")]) as rec:
        found = face_set_of(rec)
    assert found.header is None
    assert [0, 1] == found.images.tolist()


@pytest.mark.parametrize("label", [-1.0, 0.5, float("nan"), float("inf"), [float("nan"), 1]])
def test_a_label_that_is_no_class_is_named(tmp_path: Path, label: object) -> None:
    with written(tmp_path / "a.rec", [(0, 0.0, b"image"), (1, label, b"image")]) as rec:
        images = face_set_of(rec).images
        with pytest.raises(InputError, match="1 record has a label that is no class; first: record 1"):
            classes_of(rec, images)
