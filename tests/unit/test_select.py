"""Records of a set are selected to a new one: which ones, in which order, and what is around them."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from face_set_helpers import face_set_of
from helpers import image_payload, message_of, write_rec

import im2rec
from im2rec.errors import InputError
from im2rec.format.insightface import range_frames
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.recordio import encode_record
from im2rec.rewriting.select import select
from im2rec.rewriting.select_report import SelectSummary
from im2rec.rewriting.selected_set import SelectOptions

GOLDEN = Path(__file__).parent.parent / "golden" / "insightface"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
JPEG = b"\xff\xd8\xff\xe0", b"\xff\xd9"


def content(number: int) -> bytes:
    return JPEG[0] + b"image %d" % number + JPEG[1]


def a_rec(path: Path, labels: Sequence[Any], keys: Sequence[int] | None = None) -> Path:
    """A set without a header record: an image for each label."""
    path.parent.mkdir(exist_ok=True)
    numbers = range(len(labels)) if keys is None else keys
    payloads = [
        image_payload(key, label, content(row)) for row, (key, label) in enumerate(zip(numbers, labels, strict=True))
    ]
    return write_rec(path, payloads, keys=numbers)


def a_face_set(folder: Path, labels: Sequence[float]) -> Path:
    """A set with header and identity records, of which the images of each class follow one another."""
    folder.mkdir()
    begins = [key for key, label in enumerate(labels, 1) if key == 1 or labels[key - 2] != label]
    with im2rec.RecordWriter(folder / "train.rec") as writer:
        for key, label in enumerate(labels, 1):
            writer.write(image_payload(key, label, content(key)), key=key)
        for key, frame in range_frames(begins, len(labels), len(begins)):
            writer.write_frame(frame, key=key)
    (folder / "property").write_bytes(b"%d,24,20" % len(begins))
    return folder / "train.rec"


def selected(rec: Path, out: Path, *, force: bool = False, **options: Any) -> SelectSummary:
    out.parent.mkdir(exist_ok=True)
    return select(rec, out, SelectOptions(**options), force=force)


def payloads_of(path: Path) -> list[bytes]:
    with im2rec.open(path) as rec:
        return [rec.payload(ordinal) for ordinal in range(rec.total)]


def keys_of(path: Path) -> list[int]:
    with im2rec.open(path) as rec:
        return [int(key) for key in rec.keys]


def labels_of(path: Path) -> list[float]:
    with im2rec.open(path) as rec:
        return [float(label) for label in rec.labels.first]


def rows_of(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Which images.

FILTERS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "label": ({"labels": (3,)}, [3, 8]),
    "labels": ({"labels": (3, 1)}, [1, 3, 6, 8]),
    "range": ({"label_ranges": ((2, 3),)}, [2, 3, 7, 8]),
    "range or label": ({"label_ranges": ((2, 3),), "labels": (0,)}, [0, 2, 3, 5, 7, 8, 10, 11]),
    "id": ({"ids": (101, 109)}, [1, 9]),
    "key": ({"keys": (4, 5)}, [4, 5]),
    "at least": ({"min_images": 3}, [0, 5, 10, 11]),
    "at most": ({"max_images": 2}, [1, 2, 3, 4, 6, 7, 8, 9]),
    "between": ({"min_images": 2, "max_images": 3}, [1, 2, 3, 4, 6, 7, 8, 9]),
    "listed": ({"listed": np.array([3, 11], np.uint64)}, [3, 11]),
    "dropped": ({"dropped": np.arange(9, dtype=np.uint64)}, [9, 10, 11]),
    "dropped images do not count": ({"dropped": np.array([0, 5], np.uint64), "min_images": 3}, []),
    "both lists": ({"listed": np.array([1, 2], np.uint64), "dropped": np.array([2, 5], np.uint64)}, [1]),
    "all must pass": ({"labels": (0, 1), "min_images": 3, "ids": (100, 101, 105)}, [0, 5]),
    "all of each class": ({"per_class": 99}, list(range(12))),
    "a sample of all": ({"sample": "100%"}, list(range(12))),
}


@pytest.mark.parametrize("case", FILTERS)
def test_images_that_pass_all_filters_are_copied_in_file_order(tmp_path: Path, case: str) -> None:
    options, expected = FILTERS[case]
    labels = [0, 1, 2, 3, 4] * 2 + [0, 0]
    payloads = [image_payload(100 + row, float(label), content(row)) for row, label in enumerate(labels)]
    rec = write_rec(tmp_path / "a.rec", payloads, keys=range(12))
    if not expected:
        assert f"{rec}: none of its 12 images is chosen (choose by fewer options)" == message_of(
            selected, rec, tmp_path / "o.rec", **options
        )
        return

    summary = selected(rec, tmp_path / "o.rec", **options)

    assert [payloads[row] for row in expected] == payloads_of(tmp_path / "o.rec")
    assert (12, len(expected)) == (summary.all_images, summary.images)
    assert 12 - len(expected) == sum(summary.not_selected.values())
    assert (tmp_path / "o.rec").stat().st_size == summary.bytes_out


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"labels": (9,)}, "no image has the label 9"),
        ({"label_ranges": ((8, 9),)}, "no image has a label from 8 to 9"),
        ({"ids": (4, 77)}, "no image has the id 77"),
        ({"keys": (77,)}, "no record has the key 77"),
        ({"listed": np.array([77], np.uint64)}, "none of its 5 images is chosen"),
    ],
)
def test_a_filter_that_no_image_passes_is_an_error_and_nothing_is_written(
    tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    rec = a_rec(tmp_path / "a.rec", [0, 1, 2, 3, 4])

    assert message_of(selected, rec, tmp_path / "o.rec", **options).startswith(f"{rec}: {problem}")
    assert {"a.rec", "a.idx"} == files_in(tmp_path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"min_images": 0}, "min_images=0 must be 1 or more"),
        ({"min_images": 5, "max_images": 4}, "min_images=5 is more than max_images=4"),
        ({"label_ranges": ((5, 4),)}, "the labels 5-4 are no range"),
        ({"per_class": 0}, "per_class=0 must be 1 or more"),
        ({"sample": "0"}, "sample=0 must be a number from 1 on, or a percentage: 5000, 10%"),
        ({"sample": "101%"}, "sample=101% must be a number from 1 on, or a percentage: 5000, 10%"),
        ({"sample": "nan%"}, "sample=nan% must be a number from 1 on, or a percentage: 5000, 10%"),
        ({"header": True, "shuffle": True}, "--header and --shuffle contradict each other"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], problem: str) -> None:
    assert message_of(SelectOptions, **options).startswith(problem)


def test_a_sample_is_the_same_everywhere_and_another_one_for_another_seed(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [row // 10 for row in range(100)])
    selected(rec, tmp_path / "5.rec", sample="5")
    selected(rec, tmp_path / "5%.rec", sample="5%")
    selected(rec, tmp_path / "other.rec", sample="5", seed=1)

    assert [34, 48, 49, 63, 96] == [int(row[1]) for row in rows_of(tmp_path / "5.keys.tsv")[1:]]
    assert payloads_of(tmp_path / "5.rec") == payloads_of(tmp_path / "5%.rec")
    assert payloads_of(tmp_path / "5.rec") != payloads_of(tmp_path / "other.rec")
    assert 1 == selected(rec, tmp_path / "one.rec", sample="0.001%").images


def test_some_images_of_each_class_are_drawn(tmp_path: Path) -> None:
    labels = [0] * 9 + [1] * 2 + [2] * 5
    rec = a_rec(tmp_path / "a.rec", labels[::-1])
    summary = selected(rec, tmp_path / "o.rec", per_class=3)
    selected(rec, tmp_path / "other.rec", per_class=3, seed=1)

    assert {0.0: 3, 1.0: 2, 2.0: 3} == collections.Counter(labels_of(tmp_path / "o.rec"))
    assert sorted(labels_of(tmp_path / "o.rec"), reverse=True) == labels_of(tmp_path / "o.rec")
    assert payloads_of(tmp_path / "o.rec") != payloads_of(tmp_path / "other.rec")
    assert {"beyond those kept of each class": 8} == summary.not_selected


def test_a_shuffled_set_has_the_same_records_in_an_order_of_the_seed(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", range(50))
    selected(rec, tmp_path / "o.rec", shuffle=True)
    selected(rec, tmp_path / "again.rec", shuffle=True)
    selected(rec, tmp_path / "other.rec", shuffle=True, seed=1)

    found = payloads_of(tmp_path / "o.rec")
    assert found != payloads_of(rec)
    assert sorted(found) == sorted(payloads_of(rec))
    assert found == payloads_of(tmp_path / "again.rec")
    assert found != payloads_of(tmp_path / "other.rec")
    assert list(range(50)) == keys_of(tmp_path / "o.rec")
    old = [int(row[1]) for row in rows_of(tmp_path / "o.keys.tsv")[1:]]
    assert [payloads_of(rec)[key] for key in old] == found


# Keys, ids and labels.


def test_keys_that_count_from_0_do_so_again_and_a_table_leads_back(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [0, 1, 2, 3])
    summary = selected(rec, tmp_path / "o.rec", labels=(1, 3))

    assert [0, 1] == keys_of(tmp_path / "o.rec")
    assert [["key", "old_key"], ["0", "1"], ["1", "3"]] == rows_of(tmp_path / "o.keys.tsv")
    assert summary.new_keys
    with im2rec.open(tmp_path / "o.rec") as out:
        assert [1, 3] == [record.header.id for record in out]


def test_other_keys_stay_and_nothing_is_said_of_readers_of_face_sets(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [0, 1, 2, 3], keys=[5, 0, 7, 9])
    summary = selected(rec, tmp_path / "o.rec", labels=(0, 3))

    assert [5, 9] == keys_of(tmp_path / "o.rec")
    assert {"o.rec", "o.idx", "a.rec", "a.idx"} == files_in(tmp_path)
    assert [] == summary.warnings


def test_the_loss_of_key_0_is_told_of_a_face_set(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [0, 1, 2, 3], keys=[5, 0, 7, 9])
    (tmp_path / "property").write_text("4,20,10")
    for folder in ("without", "with"):
        (tmp_path / folder).mkdir()

    (warning,) = selected(rec, tmp_path / "without" / "o.rec", labels=(0, 3)).warnings
    assert warning.startswith("no record of the output has the key 0")
    assert [] == selected(rec, tmp_path / "with" / "o.rec", labels=(1, 3)).warnings


def test_new_keys_are_ids_too(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [0, 1, 2, 3], keys=[5, 0, 7, 9])
    selected(rec, tmp_path / "o.rec", labels=(0, 3), renumber=True)

    assert [image_payload(0, 0.0, content(0)), image_payload(1, 3.0, content(3))] == payloads_of(tmp_path / "o.rec")
    assert [["key", "old_key"], ["0", "5"], ["1", "9"]] == rows_of(tmp_path / "o.keys.tsv")


def test_the_index_has_no_key_twice(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [0, 1, 2, 3], keys=[5, 5, 7, 9])
    selected(rec, tmp_path / "o.rec", labels=(0, 1, 3))

    assert [0, 1, 2] == keys_of(tmp_path / "o.rec")


def test_keys_are_those_of_the_index_and_without_one_the_ids(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(100 + row, 1.0, content(row)) for row in range(4)])
    selected(rec, tmp_path / "o.rec", keys=(2,))
    selected(rec, tmp_path / "ids.rec", keys=(102,), index=False)

    assert payloads_of(tmp_path / "o.rec") == payloads_of(tmp_path / "ids.rec") == payloads_of(rec)[2:3]
    assert [102] == keys_of(tmp_path / "ids.rec")


def test_classes_are_numbered_anew_in_the_order_of_their_labels(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [7, 3, 7, 12, 0.5, 9])
    summary = selected(rec, tmp_path / "o.rec", relabel=True, keys=(0, 1, 2, 4, 5))

    assert [2, 1, 2, 0, 3] == labels_of(tmp_path / "o.rec")
    expected = [["label", "old_label"], ["0", "0.5"], ["1", "3"], ["2", "7"], ["3", "9"]]
    assert expected == rows_of(tmp_path / "o.labels.tsv")
    assert (5, 4, True) == (summary.all_classes, summary.classes, summary.relabelled)


def test_only_the_first_of_a_label_vector_is_numbered_anew(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [[5, 0.5, 7], 9, [9, 0.25]])
    selected(rec, tmp_path / "o.rec", relabel=True)

    with im2rec.open(tmp_path / "o.rec") as out:
        assert [[0, 0.5, 7], [1], [1, 0.25]] == [np.atleast_1d(record.header.label).tolist() for record in out]


@pytest.mark.parametrize("option", ["relabel", "header", "per_class", "min_images", "max_images"])
def test_the_classes_of_a_set_for_detection_are_not_counted(tmp_path: Path, option: str) -> None:
    boxes = [2.0, 5.0, 1.0, 0.1, 0.1, 0.5, 0.5]
    rec = a_rec(tmp_path / "in" / "a.rec", [boxes, boxes, [*boxes, *boxes[2:]]])
    out = tmp_path / "out" / "o.rec"
    value = True if option in ("relabel", "header") else 2 if option == "min_images" else 9
    assert f"{rec}: is a set for detection" in message_of(selected, rec, out, **{option: value})
    assert not out.exists()

    selected(rec, out, keys=(0, 2))
    with im2rec.open(rec) as old, im2rec.open(out) as new:
        assert [old.payload(0), old.payload(2)] == [new.payload(0), new.payload(1)]


def test_labels_without_gaps_stay_and_no_table_is_written(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [1, 0, 2])

    assert not selected(rec, tmp_path / "o.rec", relabel=True).relabelled
    assert {"o.rec", "o.idx", "a.rec", "a.idx"} == files_in(tmp_path)
    assert rec.read_bytes() == (tmp_path / "o.rec").read_bytes()


def test_class_names_are_carried_over_and_follow_new_labels(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [2, 0, 2, 3])
    (tmp_path / "a.classes.txt").write_text("ant\nbee\ncät\ndog\n", encoding="utf-8")
    selected(rec, tmp_path / "same.rec", labels=(2, 3))
    selected(rec, tmp_path / "new.rec", labels=(2, 3), relabel=True)

    assert (tmp_path / "a.classes.txt").read_bytes() == (tmp_path / "same.classes.txt").read_bytes()
    assert "cät\ndog\n" == (tmp_path / "new.classes.txt").read_text(encoding="utf-8")


def test_class_names_that_do_not_fit_are_told_and_not_copied(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [2, 0, 5])
    names = tmp_path / "a.classes.txt"
    names.write_text("ant\nbee\ncat\n")
    summary = selected(rec, tmp_path / "o.rec", relabel=True)
    assert [f"{names}: has no name for the label 5; the class names are not copied"] == summary.warnings
    assert not (tmp_path / "o.classes.txt").exists()

    names.write_text("ant\nant\n")
    summary = selected(rec, tmp_path / "p.rec")
    assert "is on two lines" in summary.warnings[0]
    assert not (tmp_path / "p.classes.txt").exists()


# Sets with a header record.


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_of_each_golden_set_all_images_are_selected_byte_for_byte(tmp_path: Path, name: str) -> None:
    expected, rec = EXPECTED[name], GOLDEN / name / "train.rec"
    summary = selected(rec, tmp_path / "out" / "train.rec")

    images = [record for record in expected["records"] if record["kind"] == "image"]
    with im2rec.open(rec) as old, im2rec.open(tmp_path / "out" / "train.rec") as new:
        found = face_set_of(new)
        by_offset = {int(offset): old.payload(row) for row, offset in enumerate(old.offsets)}
        kept = sorted(images, key=lambda record: record["labels"][0]) if name == "face2rec2" else images
        assert [by_offset[record["offset"]] for record in kept] == [new.payload(row) for row in found.images.tolist()]
        if expected["header"] is None:
            assert found.header is None
            assert list(range(12)) == new.keys.tolist()
        else:
            assert found.header is not None
            assert (13, 17) == (found.header.first, found.header.stop)
            assert [*range(1, 13), 0, *range(13, 17)] == new.keys.tolist()
            check_ranges(new)
    assert (name == "face2rec2") == summary.is_sorted
    assert b"4,16,16\n" == (tmp_path / "out" / "property").read_bytes()


def check_ranges(rec: im2rec.RecordFile) -> None:
    """The header names the identity records, and each of these the keys of all images of one class."""
    found = face_set_of(rec)
    assert found.header is not None
    classes = []
    for key in range(found.header.first, found.header.stop):
        first, stop = rec.by_key(key).header.label
        labels = {float(np.ravel(rec.by_key(image).header.label)[0]) for image in range(int(first), int(stop))}
        assert 1 == len(labels)
        classes += labels
    assert len(classes) == len(set(classes))


def test_a_face_set_gets_new_ranges_and_its_own_property(tmp_path: Path) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 0, 1, 2, 2, 3, 3, 3, 3])
    summary = selected(rec, tmp_path / "out" / "train.rec", min_images=2, relabel=True)

    with im2rec.open(tmp_path / "out" / "train.rec") as new:
        check_ranges(new)
        assert [*range(1, 10), 0, 10, 11, 12] == new.keys.tolist()
        assert [0, 0, 0, 1, 1, 2, 2, 2, 2] == new.labels.first[:9].tolist()
        assert [1, 2, 3, 5, 6, 7, 8, 9, 10] == new.labels.ids[:9].tolist()
    assert b"3,24,20\n" == (tmp_path / "out" / "property").read_bytes()
    assert (True, 3, 5) == (summary.header, summary.classes, summary.range_records)
    assert {"in smaller classes": 1} == summary.not_selected
    names = {"train.rec", "train.idx", "train.labels.tsv", "train.keys.tsv", "property"}
    assert names == files_in(tmp_path / "out") == {Path(file).name for file in summary.files}


def test_ids_of_a_face_set_are_its_keys_on_request(tmp_path: Path) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 1, 1])
    selected(rec, tmp_path / "out" / "train.rec", ids=(2, 4), renumber=True)

    with im2rec.open(tmp_path / "out" / "train.rec") as new:
        assert new.keys.tolist() == new.labels.ids.tolist() == [1, 2, 0, 3, 4]


def test_gaps_in_the_labels_of_a_face_set_are_told(tmp_path: Path) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 1, 2])
    summary = selected(rec, tmp_path / "out" / "train.rec", labels=(0, 2))

    assert ["the labels of its 2 classes go up to 2"] == [line.partition(":")[0] for line in summary.warnings]
    assert b"3,24,20\n" == (tmp_path / "out" / "property").read_bytes()


@pytest.mark.parametrize("options", [{"header": False}, {"shuffle": True}])
def test_without_a_header_record_the_keys_count_from_0(tmp_path: Path, options: dict[str, Any]) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 1, 1])
    summary = selected(rec, tmp_path / "out" / "train.rec", **options)

    assert [0, 1, 2, 3] == keys_of(tmp_path / "out" / "train.rec")
    assert sorted(payloads_of(rec)[:4]) == sorted(payloads_of(tmp_path / "out" / "train.rec"))
    assert (False, True) == (summary.header, summary.had_header)
    assert b"2,24,20\n" == (tmp_path / "out" / "property").read_bytes()


def test_a_header_record_can_be_made_for_a_set_without_one(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "in" / "a.rec", [1, 0, 1, 0])
    summary = selected(rec, tmp_path / "out" / "train.rec", header=True)

    assert summary.is_sorted
    assert [1, 2, 3, 4, 0, 5, 6] == keys_of(tmp_path / "out" / "train.rec")
    assert [payloads_of(rec)[row] for row in (1, 3, 0, 2)] == payloads_of(tmp_path / "out" / "train.rec")[:4]
    assert "no property file is written" in summary.warnings[0]


def test_the_size_of_the_images_is_read_from_the_first_one_without_a_property_file(tmp_path: Path) -> None:
    rec = tmp_path / "train.rec"
    for name in ("train.rec", "train.idx"):
        (tmp_path / name).write_bytes((GOLDEN / "scalar" / name).read_bytes())
    selected(rec, tmp_path / "out" / "train.rec")

    assert b"4,16,16\n" == (tmp_path / "out" / "property").read_bytes()


def test_the_property_file_of_the_input_is_never_replaced(tmp_path: Path) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 1, 1])
    summary = selected(rec, rec.with_name("small.rec"), labels=(0,), force=True)

    assert f"{rec.with_name('property')}: is that of {rec}, and stays" in summary.warnings[0]
    assert b"2,24,20" == rec.with_name("property").read_bytes()


def test_a_property_file_of_another_set_is_replaced_on_request_only(tmp_path: Path) -> None:
    rec, out = a_face_set(tmp_path / "in", [0, 0, 1, 1]), tmp_path / "out" / "train.rec"
    out.parent.mkdir()
    (out.parent / "property").write_text("9,9,9\n")

    assert f"{out.parent / 'property'}: exists already" in message_of(selected, rec, out)
    assert {"property"} == files_in(out.parent)
    selected(rec, out, force=True)
    assert b"2,24,20\n" == (out.parent / "property").read_bytes()


def test_a_property_file_that_stays_beside_a_set_without_one_is_told(tmp_path: Path) -> None:
    rec, out = a_rec(tmp_path / "in" / "a.rec", [7, 8]), tmp_path / "out" / "o.rec"
    out.parent.mkdir()
    (out.parent / "property").write_text("5,112,112\n")
    (warning,) = selected(rec, out).warnings
    assert warning.startswith(f"{out.parent / 'property'}: stays, and says nothing of {out}")
    assert (out.parent / "property").read_text() == "5,112,112\n"


def test_a_property_file_that_is_none_is_told_and_not_used(tmp_path: Path) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 1, 1])
    rec.with_name("property").write_text("class,height\n")
    summary = selected(rec, tmp_path / "out" / "train.rec")

    assert f"{rec.with_name('property')}, line 1: expected classes,height,width" in summary.warnings[0]


@pytest.mark.parametrize("label", [-1, 0.5, float("nan")])
def test_labels_that_are_no_classes_are_refused_in_a_face_set(tmp_path: Path, label: float) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, label])

    assert "1 record has a label that is no class; first: record 2" in message_of(selected, rec, tmp_path / "o.rec")
    selected(rec, tmp_path / "o.rec", labels=(0,))


def test_more_keys_than_float32_holds_are_refused_with_a_header_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 1, 1])
    monkeypatch.setattr("im2rec.format.insightface.EXACT_INTEGERS", 6)

    assert "write the set without them (--no-header)" in message_of(selected, rec, tmp_path / "out" / "train.rec")
    selected(rec, tmp_path / "out" / "train.rec", header=False)


def test_a_vector_at_key_0_that_readers_mistake_for_a_header_is_told(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [[0, 1], [1, 1]])

    assert ["the record of key 0 has a label vector"] == [
        line.partition(",")[0] for line in selected(rec, tmp_path / "o.rec").warnings
    ]


# Files.


def test_a_dry_run_writes_nothing_and_says_what_would_be(tmp_path: Path) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 1, 2])
    options = SelectOptions(labels=(0, 2), relabel=True)
    (tmp_path / "out").mkdir()
    dry = select(rec, tmp_path / "out" / "train.rec", options, dry_run=True, digest=True)
    assert set() == files_in(tmp_path / "out")

    done = select(rec, tmp_path / "out" / "train.rec", options, digest=True)
    assert sorted(done.files) == sorted(dry.files)
    assert {Path(file).name for file in done.files} == files_in(tmp_path / "out")
    for summary in (dry, done):
        summary.seconds, summary.dry_run, summary.files = 0, False, []
    assert dry == done


def test_files_of_an_earlier_selection_never_stand_beside_the_new_one(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "in" / "a.rec", [7, 8, 9])
    rec.with_name("a.classes.txt").write_text("\n".join("abcdefghij") + "\n")
    out = tmp_path / "out" / "o.rec"
    selected(rec, out, labels=(8, 9), relabel=True)
    assert {"o.rec", "o.idx", "o.labels.tsv", "o.keys.tsv", "o.classes.txt"} == files_in(out.parent)

    rec.with_name("a.classes.txt").unlink()
    assert f"{out}: exists already" in message_of(selected, rec, out)
    selected(rec, out, force=True)
    assert {"o.rec", "o.idx"} == files_in(out.parent)


@pytest.mark.parametrize(
    "name", ["o.rec", "o.idx", "o.rec.digest", "o.labels.tsv", "o.keys.tsv", "o.same.tsv", "o.classes.txt"]
)
def test_any_file_of_an_earlier_selection_is_replaced_on_request_only(tmp_path: Path, name: str) -> None:
    rec, out = a_rec(tmp_path / "in" / "a.rec", [7, 8, 9]), tmp_path / "out" / "o.rec"
    out.parent.mkdir()
    out.with_name(name).write_text("an old file")

    assert f"{out.with_name(name)}: exists already" in message_of(selected, rec, out)
    assert {name} == files_in(out.parent)
    selected(rec, out, force=True)
    assert {"o.rec", "o.idx"} == files_in(out.parent)
    assert rec.read_bytes() == out.read_bytes()


@pytest.mark.parametrize("name", ["a.rec", "a.bin", "a", "link.rec"])
def test_an_output_that_belongs_to_the_input_is_refused(tmp_path: Path, name: str) -> None:
    rec = a_rec(tmp_path / "a.rec", [7, 8, 9])
    (tmp_path / "link.rec").symlink_to(rec)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    if name == "a":
        (tmp_path / "a.classes.txt").write_text("x\n")
        before["a.classes.txt"] = b"x\n"

    assert f"belongs to the input {rec}" in message_of(selected, rec, tmp_path / name, force=True)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["a.bin", "a", "a.rec.digest", "a.classes.txt"])
def test_no_file_is_written_that_would_be_beside_an_input_without_one(tmp_path: Path, name: str) -> None:
    rec = a_rec(tmp_path / "a.rec", [7, 8, 9])
    (tmp_path / "a.idx").unlink()
    assert f"belongs to the input {rec}" in message_of(selected, rec, tmp_path / name)
    assert {"a.rec"} == files_in(tmp_path)
    selected(rec, tmp_path / "b.rec")
    selected(rec, tmp_path / "other" / "a.rec")


def test_a_range_of_labels_may_end_above_all_of_float32(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [7, 8, 9])
    assert 2 == selected(rec, tmp_path / "out" / "o.rec", label_ranges=((8, 1e300),)).images


def test_a_record_that_is_no_image_is_counted(tmp_path: Path) -> None:
    payloads = [image_payload(1, 1.0, content(1)), image_payload(2, 1.0, b""), b"short"]
    rec = write_rec(tmp_path / "a.rec", payloads)
    summary = selected(rec, tmp_path / "o.rec")

    assert payloads[:1] == payloads_of(tmp_path / "o.rec")
    assert {"without an image": 1} == summary.left_out
    assert {"too short for an image header": 1} == summary.problem_records


def test_whole_records_of_a_damaged_file_are_selected(tmp_path: Path) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 0, 1, 1, 1])
    payloads = payloads_of(rec)
    data = bytearray(rec.read_bytes())
    size = len(encode_record(payloads[0]))
    data[size : size + 4] = b"oops"  # of the second image
    rec.write_bytes(data)
    summary = selected(rec, tmp_path / "out" / "train.rec")

    assert (1, 1, 5) == (summary.damaged_ranges, summary.lost, summary.images)
    with im2rec.open(tmp_path / "out" / "train.rec") as new:
        check_ranges(new)
        assert [payloads[row] for row in (0, 2, 3, 4, 5)] == [new.payload(row) for row in range(5)]


def test_a_face_set_whose_header_record_is_lost_gets_a_new_one(tmp_path: Path) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 0, 1, 1, 1])
    with im2rec.open(rec) as old:
        offset = int(old.offsets[old.ordinal_of(0)])
    data = bytearray(rec.read_bytes())
    data[offset : offset + 4] = b"oops"
    rec.write_bytes(data)
    summary = selected(rec, tmp_path / "out" / "train.rec")

    assert (True, True, 1, 6) == (summary.had_header, summary.header, summary.damaged_ranges, summary.images)
    with im2rec.open(tmp_path / "out" / "train.rec") as new:
        check_ranges(new)


def test_keys_of_lists_that_no_image_has_are_counted(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [7, 8, 9])
    lists = {"listed": np.array([0, 1, 7, 8], np.uint64), "dropped": np.array([1, 50], np.uint64)}
    summary = selected(rec, tmp_path / "o.rec", **lists)

    assert (1, 3) == (summary.images, summary.missing_keys)
    assert [
        f"{rec}: no image has 2 keys of the --list; first: 7",
        f"{rec}: no image has 1 key of the --drop; first: 50",
    ] == summary.warnings


def test_header_and_identity_records_have_no_keys_of_images(tmp_path: Path) -> None:
    rec = a_face_set(tmp_path / "in", [0, 0, 1, 1])
    summary = selected(rec, tmp_path / "out" / "train.rec", dropped=np.array([0, 1, 5], np.uint64))

    assert (3, 2) == (summary.images, summary.missing_keys)


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    rec, seen = a_rec(tmp_path / "a.rec", [0, 1, 2]), list[tuple[int, float]]()
    select(rec, tmp_path / "o.rec", progress=lambda count, share: seen.append((count, share)))

    assert (3, 1.0) == seen[-1]
    assert [share for _, share in seen] == sorted(share for _, share in seen)


def test_a_header_of_another_width_is_no_header_record(tmp_path: Path) -> None:
    payloads = [encode_image_record(IRHeader(0, [1.0, 2.0, 3.0], 0), b""), image_payload(1, 0.0, content(1))]
    rec = write_rec(tmp_path / "a.rec", payloads)
    summary = selected(rec, tmp_path / "o.rec")

    assert (False, {"without an image": 1}) == (summary.had_header, summary.left_out)


@pytest.mark.parametrize("at", [0, 6, 20, 39])
def test_damage_that_only_the_copy_meets_is_as_any_other(tmp_path: Path, at: int) -> None:
    payloads = [image_payload(row, 1.0, JPEG[0] + b"%d" % (row % 10) + JPEG[1]) for row in range(3000)]
    rec = write_rec(tmp_path / "a.rec", payloads)
    size = len(encode_record(payloads[0]))
    assert 40 == size
    selected(rec, tmp_path / "before.rec")  # which fills the cache
    status = rec.stat()
    data = bytearray(rec.read_bytes())
    data[size * 1500 + at] ^= 0x55  # magic, length word, id (which is no damage), padding
    rec.write_bytes(data)
    os.utime(rec, ns=(status.st_atime_ns, status.st_mtime_ns))
    summary = selected(rec, tmp_path / "o.rec")

    assert (0 if at == 20 else 1, 3000 - (at != 20)) == (summary.damaged_ranges, summary.images)
    whole = [rec.read_bytes()[size * row : size * (row + 1)] for row in range(3000) if at == 20 or row != 1500]
    assert b"".join(whole) == (tmp_path / "o.rec").read_bytes()


def test_records_that_the_index_leaves_out_are_not_selected_and_told(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [0, 1, 2, 3])
    index = rec.with_suffix(".idx")
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:2]))
    summary = selected(rec, tmp_path / "o.rec")

    assert (2, 2) == (summary.all_images, summary.images)
    assert f"{index}: lists only some of the records of {rec}" in summary.warnings[0]
    assert "--no-idx" in summary.warnings[0]
    assert 4 == selected(rec, tmp_path / "all.rec", index=False).images


def test_the_index_of_another_file_is_refused(tmp_path: Path) -> None:
    rec = a_rec(tmp_path / "a.rec", [0, 1, 2, 3])
    rec.with_suffix(".idx").write_bytes(b"50\t4\n60\t20\n70\t84\n")

    assert f"{rec.with_suffix('.idx')}: " in (message := message_of(selected, rec, tmp_path / "o.rec"))
    assert "--no-idx" in message
    assert 4 == selected(rec, tmp_path / "o.rec", index=False).images


def test_a_missing_folder_of_the_output_is_made_and_not_left_behind_by_an_error(tmp_path: Path) -> None:
    rec, out = a_face_set(tmp_path / "a", [0, 0, 1]), tmp_path / "new" / "folder" / "b.rec"
    with pytest.raises(InputError):
        select(rec, out, SelectOptions(labels=(7,)))
    select(rec, out, SelectOptions(labels=(0,)), dry_run=True)
    assert not (tmp_path / "new").exists()

    select(rec, out, SelectOptions(labels=(0,)))
    assert {"b.rec", "b.idx", "property"} <= files_in(out.parent)


@pytest.mark.parametrize(
    ("ranges", "problem"),
    [
        ([[4, 6], [4, 7]], "has 2 header records; records 5 and 6 say [4, 6) and [4, 7)"),
        ([[4.5, 6]], "the header record (record 5) says [4.5, 6), which is no range of keys"),
    ],
)
def test_a_wrong_header_record_is_told_and_made_anew(tmp_path: Path, ranges: list[list[float]], problem: str) -> None:
    payloads = [image_payload(key, label, content(key)) for key, label in ((1, 0), (2, 0), (3, 1))]
    payloads += [encode_image_record(IRHeader(2, pair, key), b"") for key, pair in ((4, [1, 3]), (5, [3, 4]))]
    payloads += [encode_image_record(IRHeader(2, pair, 0), b"") for pair in ranges]
    rec = write_rec(tmp_path / "a.rec", payloads, keys=[1, 2, 3, 4, 5, *[0] * len(ranges)])

    summary = selected(rec, tmp_path / "out" / "b.rec")
    assert f"{rec}: {problem}; it is not copied" in summary.warnings
    with im2rec.open(tmp_path / "out" / "b.rec") as found:
        check_ranges(found)
