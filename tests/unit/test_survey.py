"""The survey of a .rec: kinds, contents, labels, images, index and damage, from headers and first bytes alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, index_text, message_of, peak_bytes, write_rec
from image_helpers import encoded, texture

import im2rec
from im2rec.format.heads import MAGIC
from im2rec.format.recordio import encode_record
from im2rec.inspection.image_sample import evenly_spaced
from im2rec.inspection.report import ClassStatistics, IdStatistics, IndexCheck, LabelCount
from im2rec.inspection.spread import Spread
from im2rec.inspection.survey import survey
from im2rec.storage.damaged_range import DamagedRange
from im2rec.storage.files import InputFile

MAGIC_LABEL = float(np.frombuffer(MAGIC, "<f4")[0])
JPEG, PNG = encoded(texture(24, 36)), encoded(texture(30, 20, 4), "PNG")


def payloads(*labels: Any, content: bytes = JPEG) -> list[bytes]:
    return [image_payload(id_, label, content) for id_, label in enumerate(labels)]


# What kind of set it is.

KINDS = {
    "plain images": payloads(0, 1, 2),
    "label vectors": payloads([1, 2, 3], [4, 5, 6]),
    "detection vectors": payloads([2, 5, 0, 0.1, 0.2, 0.3, 0.4], [2, 5, *([1, 0, 0, 1, 1] * 3)]),
    "InsightFace, with header and identity records": [
        image_payload(0, [4, 6], b""),
        *payloads(0, 0, 1),
        image_payload(4, [1, 3], b""),
        image_payload(5, [3, 4], b""),
    ],
    "no images": [image_payload(0, 1, b""), image_payload(1, 1, b"some text that is no picture")],
}


def test_the_kind_of_a_set_is_recognised(tmp_path: Path) -> None:
    assert {kind: kind for kind in KINDS} == {
        kind: survey(write_rec(tmp_path / f"{kind}.rec", payloads)).set_kind for kind, payloads in KINDS.items()
    }


def test_vectors_that_only_begin_like_detection_labels_are_plain_vectors(tmp_path: Path) -> None:
    for number, label in enumerate(
        [[2, 5, 1, 1, 1, 1], [2, 5, 0, 1, 1, 1, 1, 9], [2, 4, 0, 1, 1, 1], [1, 5, 0, 0, 0, 0]]
    ):
        rec = write_rec(tmp_path / f"{number}.rec", payloads(label))
        assert "label vectors" == survey(rec).set_kind, label


def test_header_and_identity_records_of_an_insightface_set_are_not_problems(tmp_path: Path) -> None:
    found = survey(write_rec(tmp_path / "a.rec", KINDS["InsightFace, with header and identity records"]))

    assert (6, 3) == (found.records, found.images)
    assert [] == found.problems
    assert {"JPEG": 3, "empty": 3} == found.contents
    assert (
        ClassStatistics(
            2,
            LabelCount(1, 1),
            LabelCount(0, 2),
            whole_numbers=True,
            highest_label=1,
            unused=0,
            images_by_label={"0": 2, "1": 1},
        )
        == found.class_statistics
    )


# Label vectors.


def columns(path: Path, *labels: Any) -> list[tuple[float, float, bool]]:
    found = survey(write_rec(path, payloads(*labels))).label_columns
    return [(column.lowest_label, column.highest_label, column.whole_numbers) for column in found]


def test_the_range_of_each_place_in_short_label_vectors_is_told(tmp_path: Path) -> None:
    rec = tmp_path / "a.rec"
    assert [(3, 11, True), (-0.25, 0.75, False)] == columns(rec, [3, 0.75], [11, 0.5], [4, -0.25])
    assert [(5, 5, True)] * 4 == columns(rec, [5, 5, 5, 5])
    assert [(1, 2, True), (0.5, 7, False)] == columns(rec, [1, 7], 3, [2, 0.5])
    for longer_or_mixed in ([[1, 2, 3, 4, 5]], [[1, 2], [1, 2, 3]], [1, 2], [[1, 2], [1] * 9]):
        assert [] == columns(rec, *longer_or_mixed)


def test_vectors_of_another_length_in_a_later_block_have_no_columns(tmp_path: Path) -> None:
    records = [*payloads(*[[1, 2]] * 9000, content=b"BM"), *payloads([1, 2, 3], content=b"BM")]
    assert [] == survey(write_rec(tmp_path / "a.rec", records)).label_columns
    assert 2 == len(survey(write_rec(tmp_path / "b.rec", [*records[:-1], records[0]])).label_columns)


def test_labels_that_are_not_finite_and_those_without_an_image_are_in_no_column(tmp_path: Path) -> None:
    nan, rec = float("nan"), tmp_path / "a.rec"
    assert [(1, 2, True), (0.5, 0.5, False)] == columns(rec, [1, nan], [2, 0.5])
    assert [] == columns(rec, [1, nan], [2, float("inf")])
    records = [*payloads([1, 0.5], [2, 0.5]), image_payload(9, [100, 200, 300], b"")]
    found = survey(write_rec(rec, records)).label_columns
    assert [1, 2] == [found[0].lowest_label, found[0].highest_label]


def test_face_and_detection_sets_have_no_columns(tmp_path: Path) -> None:
    vectors_in_faces = [image_payload(0, [4, 6], b""), *(image_payload(n, [n, 0], JPEG) for n in (1, 2, 3))]
    ranges = [image_payload(4, [1, 2], b""), image_payload(5, [2, 4], b"")]
    for number, records in enumerate([KINDS["detection vectors"], [*vectors_in_faces, *ranges]]):
        found = survey(write_rec(tmp_path / f"{number}.rec", records))
        assert found.set_kind != "label vectors"
        assert [] == found.label_columns


# Contents.


def test_contents_are_counted_by_their_first_bytes(tmp_path: Path) -> None:
    contents = [JPEG, PNG, JPEG, b"", b"hello", b"BM", encoded(texture(), "WEBP"), JPEG]
    records = [image_payload(n, n % 2, c) for n, c in enumerate(contents)]
    found = survey(write_rec(tmp_path / "a.rec", records))
    starts = [sum(map(len, map(encode_record, records[:n]))) for n in range(8)]

    assert {"JPEG": 3, "PNG": 1, "empty": 1, "not an image": 1, "BMP": 1, "WebP": 1} == found.contents
    assert (8, 6) == (found.records, found.images)
    assert [
        f"1 record without an image: record 3 (id 3, byte {starts[3]})",
        f"1 record with content that is not an image: record 4 (id 4, byte {starts[4]}) holds text",
        f"1 image with unreadable headers: record 5 (id 5, byte {starts[5]}): {found.problems_by_record[2].detail}",
    ] == found.problems


FOREIGN = {
    b"<!DOCTYPE html><title>404</title>": "an HTML page",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>': "an XML document",
    b"version https://git-lfs.github.com/spec/v1": "a git-LFS pointer",
    b'{"error": 404}': "a JSON file",
    b"Not Found": "text",
    b"%PDF-1.4": "a PDF document",
    bytes(50): "a file of zero bytes",
    b"\x07\x06\x05\x04\x03": "unknown data, which starts with 07 06 05 04",
    b"\x93NUMPY\x01\x00": "a NumPy array",
}


@pytest.mark.parametrize("width", [0, 2, 100])
def test_records_with_other_content_are_listed_with_what_they_hold(tmp_path: Path, width: int) -> None:
    label = [1.0] * width if width else 1.0
    rec = write_rec(
        tmp_path / "a.rec", [image_payload(n + 7, label, content) for n, content in enumerate([JPEG, *FOREIGN])]
    )
    found = survey(rec)

    assert list(FOREIGN.values()) == [bad.detail for bad in found.problems_by_record]
    assert ["not an image"] * len(FOREIGN) == [bad.problem for bad in found.problems_by_record]
    with im2rec.open(rec) as opened:
        assert opened.offsets[1:].tolist() == [bad.offset for bad in found.problems_by_record]
    assert list(range(1, 1 + len(FOREIGN))) == [bad.record for bad in found.problems_by_record]
    assert list(range(8, 8 + len(FOREIGN))) == [bad.id for bad in found.problems_by_record]


def test_the_first_records_of_each_kind_of_problem_are_listed_and_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.inspection.problem_records.MAX_PROBLEM_RECORDS", 3)
    contents = [JPEG, *[b"text", b"", JPEG[:8]] * 4]
    records = [image_payload(n, [1, 2] if n % 2 else 1, content) for n, content in enumerate(contents)]
    records.append(image_payload(99, float("nan"), JPEG))
    found = survey(write_rec(tmp_path / "a.rec", records))

    listed: dict[str, list[int]] = {}
    for bad in found.problems_by_record:
        listed.setdefault(bad.problem, []).append(bad.record)
    assert {
        "without an image": [2, 5, 8],
        "not an image": [1, 4, 7],
        "unreadable image header": [3, 6, 9],
        "label that is not finite": [13],
    } == listed
    assert ["4 records without", "4 records with content", "4 images with unreadable", "1 record has"] == [
        problem.partition(word)[0] + word
        for problem, word in zip(found.problems, ["without", "content", "unreadable", "has"], strict=True)
    ]


def test_contents_after_long_label_vectors_are_recognised(tmp_path: Path) -> None:
    labels = [list(range(width)) for width in (1, 5, 6, 7, 8, 100)]
    found = survey(write_rec(tmp_path / "a.rec", payloads(*labels)))

    assert {1: 1, 5: 1, 6: 1, 7: 1, 8: 1, 100: 1} == found.label_widths
    assert {"JPEG": 6} == found.contents
    assert 6 == found.image_statistics.sampled
    assert Spread(36, 36, 36) == found.image_statistics.widths


def test_classes_are_the_first_labels_of_records_with_an_image(tmp_path: Path) -> None:
    labels: list[Any] = [3, 3, 3, [7, 9], [7, 9], 5]
    records = [*payloads(*labels), image_payload(9, 1000, b"")]

    assert (
        ClassStatistics(
            3,
            LabelCount(5, 1),
            LabelCount(3, 3),
            whole_numbers=True,
            lowest_label=3,
            highest_label=7,
            unused=2,
            images_by_label={"3": 3, "5": 1, "7": 2},
        )
        == survey(write_rec(tmp_path / "a.rec", records)).class_statistics
    )
    halves = survey(write_rec(tmp_path / "b.rec", payloads(0.1, 1, 1))).class_statistics
    assert halves is not None
    assert (2, False, None, {"0.1": 1, "1": 2}) == (
        halves.count,
        halves.whole_numbers,
        halves.unused,
        halves.images_by_label,
    )


def test_the_lowest_labels_are_listed_where_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.inspection.labels.MAX_LISTED", 3)
    classes = survey(write_rec(tmp_path / "a.rec", payloads(9, 2, 5, 2, 1, 7))).class_statistics

    assert classes is not None
    assert {"1": 1, "2": 2, "5": 1} == classes.images_by_label
    assert (5, 9, 4) == (classes.count, classes.highest_label, classes.unused)


def test_labels_as_large_as_float32_holds_are_listed_in_full(tmp_path: Path) -> None:
    classes = survey(write_rec(tmp_path / "a.rec", payloads(2.0**30, 3.0e38, -5))).class_statistics

    assert classes is not None
    assert ["-5", "1073741824", str(int(np.float32(3e38)))] == list(classes.images_by_label)


NAN, INF = float("nan"), float("inf")
LONG = [0.0] * 30
NOT_FINITE: dict[str, tuple[list[Any], str]] = {
    "1 record has a label that is not a finite number; first: record 1, nan": ([1, NAN, 2], "1 2"),
    "2 records have a label that is not a finite number; first: record 0, inf": ([INF, 3, -INF], "3"),
    "1 record has a label that is not a finite number; first: record 2, -inf": ([[1, 2], [1, 2], [1, -INF]], "1"),
    "2 records have a label that is not a finite number; first: record 0, nan": ([[1, NAN], NAN, 4], "1 4"),
    # The eighth label is the last one in the first bytes of a record; behind it, a longer vector is read.
    "1 record has a label that is not a finite number; first: record 0, inf": ([[*LONG[:7], INF], LONG[:8]], "0"),
    "2 records have a label that is not a finite number; first: record 1, nan": (
        [LONG, [*LONG, NAN], [INF, *LONG]],
        "0",
    ),
}


def test_labels_that_are_not_finite_are_a_problem_and_no_classes(tmp_path: Path) -> None:
    for problem, (labels, expected) in NOT_FINITE.items():
        found = survey(write_rec(tmp_path / "a.rec", payloads(*labels)))
        assert [problem] == found.problems
        assert found.class_statistics is not None
        assert expected.split() == list(found.class_statistics.images_by_label), problem


def test_labels_none_of_which_is_finite_are_no_classes(tmp_path: Path) -> None:
    found = survey(write_rec(tmp_path / "a.rec", payloads(NAN, NAN)))

    assert found.class_statistics is None
    assert 1 == len(found.problems)


def test_bytes_after_short_vectors_and_labels_of_records_without_an_image_are_no_labels(tmp_path: Path) -> None:
    content = np.full(20, NAN, "<f4").tobytes()  # right after the labels
    records = [image_payload(0, [1, 2], content), image_payload(1, [NAN], b""), image_payload(2, NAN, b"")]
    found = survey(write_rec(tmp_path / "a.rec", [*records, *payloads(1)]))

    assert not [line for line in found.problems if "finite" in line]


def test_the_first_record_with_such_a_label_is_counted_over_all_blocks(tmp_path: Path) -> None:
    labels = [0.0] * 20_000
    labels[17_000] = labels[19_000] = NAN
    found = survey(write_rec(tmp_path / "a.rec", payloads(*labels, content=PNG[:40])))

    assert "2 records have a label that is not a finite number; first: record 17000, nan" in found.problems


# Class names.


def test_class_names_beside_the_file_name_the_rarest_and_the_most_common_class(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "photos_train.rec", payloads(0, 1, 1))
    (tmp_path / "photos.classes.txt").write_text("cat\ndog\n")
    found = survey(rec)

    assert found.class_statistics is not None
    assert str(tmp_path / "photos.classes.txt") == found.class_statistics.classes_file
    assert ("cat", "dog") == (found.class_statistics.rarest.name, found.class_statistics.most_common.name)
    assert [] == found.warnings


UNFIT: dict[str, tuple[list[float], str]] = {
    "cat\ndog\n": ([0, 2], "names 2 classes, and the labels go up to 2: does it belong here?"),
    "cat\n": ([1, 1], "names 1 class, and the labels go up to 1: does it belong here?"),
    "cat\ndog\nemu\n": ([0, 0.5], "names classes from 0 on, and some labels are no such numbers"),
    "a\nb\n": ([-1, 0], "names classes from 0 on, and some labels are no such numbers"),
}


def test_class_names_that_do_not_fit_the_labels_are_a_warning(tmp_path: Path) -> None:
    names = tmp_path / "a.classes.txt"
    for text, (labels, warning) in UNFIT.items():
        names.write_text(text)
        found = survey(write_rec(tmp_path / "a.rec", payloads(*labels)))
        assert [f"{names}: {warning}"] == found.warnings
        assert [] == found.problems


def test_class_names_that_cannot_be_read_are_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.classes.txt").write_text("cat\n\n")
    found = survey(write_rec(tmp_path / "a.rec", payloads(0)))

    problem = f"{tmp_path / 'a.classes.txt'}, line 2: is empty (one folder a line, line 1 is label 0)"
    assert [f"{problem}; labels have no names"] == found.warnings
    assert found.class_statistics is not None
    assert found.class_statistics.classes_file is None


def test_duplicate_ids_are_counted(tmp_path: Path) -> None:
    records = [image_payload(id_, 0, JPEG) for id_ in (7, 2**64 - 1, 7, 3, 7)]

    assert IdStatistics(3, 2**64 - 1, 2, 7) == survey(write_rec(tmp_path / "a.rec", records)).ids
    assert IdStatistics(0, 2, 0, None) == survey(write_rec(tmp_path / "b.rec", payloads(0, 1, 2))).ids


def test_payload_sizes_are_summarised(tmp_path: Path) -> None:
    records = [image_payload(n, 0, b"x" * size) for n, size in enumerate([100, 0, 1000])]
    found = survey(write_rec(tmp_path / "a.rec", records))

    assert Spread(24, 124, 1024) == found.payload_bytes
    assert found.size == (tmp_path / "a.rec").stat().st_size


def test_split_records_are_counted_and_their_images_recognised(tmp_path: Path) -> None:
    records = [
        *payloads(1),
        image_payload(5, 2, JPEG + b"\xff" * (-len(JPEG) % 4) + MAGIC * 2),
        image_payload(6, MAGIC_LABEL, PNG),
    ]
    found = survey(write_rec(tmp_path / "a.rec", records))

    assert (3, 2) == (found.records, found.split_records)
    assert {"JPEG": 2, "PNG": 1} == found.contents
    assert Spread(20, 36, 36) == found.image_statistics.widths
    assert {3: 2, 4: 1} == found.image_statistics.by_channels


def test_records_too_short_for_their_header_or_labels_are_a_problem_not_damage(tmp_path: Path) -> None:
    long = image_payload(2, [1, 2, 3], b"")[:-4]
    found = survey(write_rec(tmp_path / "a.rec", [b"short", b"", *payloads(1), long]))

    assert (4, 1) == (found.records, found.images)
    assert [] == found.damage
    start = 16 + 8 + len(encode_record(payloads(1)[0]))
    assert [
        "2 records too short for an image header; first: record 0 (byte 0)",
        f"1 record with labels longer than the record: record 3 (id 2, byte {start})",
    ] == found.problems
    assert [(0, None), (1, None), (3, 2)] == [(bad.record, bad.id) for bad in found.problems_by_record]


def test_ids_are_those_of_records_with_a_header_that_fits(tmp_path: Path) -> None:
    found = survey(write_rec(tmp_path / "a.rec", [JPEG, *payloads(1, 1), JPEG]))
    assert IdStatistics(0, 1, 0, None) == found.ids


# Images.


def test_image_sizes_and_channels_come_from_their_headers(tmp_path: Path) -> None:
    sizes = [(10, 40, 3), (20, 30, 1), (90, 20, 4)]
    contents = [encoded(texture(h, w, c), "PNG") for h, w, c in sizes]
    found = survey(
        write_rec(tmp_path / "a.rec", [image_payload(n, 0, c) for n, c in enumerate(contents)])
    ).image_statistics

    assert 3 == found.sampled
    assert (Spread(20, 30, 40), Spread(10, 20, 90)) == (found.widths, found.heights)
    assert {3: 1, 1: 1, 4: 1} == found.by_channels


def test_the_first_image_with_a_damaged_header_is_named_by_its_record(tmp_path: Path) -> None:
    records = [*payloads(0), image_payload(1, 0, JPEG[:30]), *payloads(0)]
    found = survey(write_rec(tmp_path / "a.rec", records)).image_statistics

    assert (3, 1) == (found.sampled, found.unreadable)
    assert str(found.first_unreadable).startswith("record 1, ")


def test_an_image_header_after_180_kb_of_metadata_is_found(tmp_path: Path) -> None:
    segment = b"\xff\xe2" + (60_000).to_bytes(2, "big") + bytes(59_998)
    long = JPEG[:2] + segment * 3 + JPEG[2:]
    found = survey(write_rec(tmp_path / "a.rec", [image_payload(0, 0, long)])).image_statistics

    assert 0 == found.unreadable
    assert Spread(36, 36, 36) == found.widths


def test_ordinals_are_evenly_spaced_from_the_first_to_the_last() -> None:
    assert [0, 1, 2] == evenly_spaced(3, 3)
    assert [0, 1, 2] == evenly_spaced(3, 10)
    assert [0, 2, 4, 6, 9] == evenly_spaced(10, 5)
    assert 1000 == len(set(evenly_spaced(1001)))
    many = evenly_spaced(10**9)
    assert 1000 == len(many)
    assert (0, 10**9 - 1) == (many[0], many[-1])


def test_the_headers_of_1000_images_or_of_all_are_read(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", payloads(*range(1003)))

    assert (1003, 1000) == (survey(rec).images, survey(rec).image_statistics.sampled)
    assert 1003 == survey(rec, every=True).image_statistics.sampled


def test_no_payload_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = JPEG + os.urandom(300_000)
    rec = write_rec(tmp_path / "a.rec", payloads(*range(20), content=big))
    sizes: list[int] = []
    real = InputFile.read_at

    def read_at(self: InputFile, offset: int, size: int) -> bytes:
        sizes.append(len(data := real(self, offset, size)))
        return data

    monkeypatch.setattr(InputFile, "read_at", read_at)
    assert 20 == survey(rec).images
    assert sum(sizes) < rec.stat().st_size // 10


def test_progress_reports_records_and_the_share_of_the_file_scanned(tmp_path: Path) -> None:
    calls: list[tuple[int, float]] = []
    survey(write_rec(tmp_path / "a.rec", payloads(*range(10))), progress=lambda *now: calls.append(now))

    assert 10 == calls[-1][0]
    assert 0.8 < calls[-1][1] <= 1


# The index.


def test_a_missing_index_is_no_problem(tmp_path: Path) -> None:
    assert IndexCheck(None, "none") == survey(write_rec(tmp_path / "a.rec", payloads(0, 1), index=False)).index


def test_an_index_that_agrees_is_reported_with_the_kind_of_its_keys(tmp_path: Path) -> None:
    records = [image_payload(id_, 0, JPEG) for id_ in (9, 8, 7)]
    expected = {(9, 8, 7): "ids", (0, 1, 2): "ordinals", (9, 1, 7): "neither ids nor ordinals (1 differ from the ids)"}
    for keys, kind in expected.items():
        found = survey(write_rec(tmp_path / "a.rec", records, keys=keys)).index
        assert IndexCheck(str(tmp_path / "a.idx"), "agrees", key_kind=kind, listed=3) == found


def test_an_index_in_another_order_than_the_file_agrees(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", payloads(0, 1, 2))
    lines = (tmp_path / "a.idx").read_bytes().splitlines(keepends=True)
    (tmp_path / "a.idx").write_bytes(b"".join(reversed(lines)))

    index = survey(rec).index
    assert ("agrees", "ids") == (index.state, index.key_kind)


def wrong_indices(step: int) -> dict[str, bytes]:
    return {
        "1 of its 3 offsets is not the start of a record, byte 4 for example": index_text([0, 4, 2 * step]),
        "1 record is in it twice": index_text([0, step, step, 2 * step]),
        "line 2: expected a key and an offset, found 'what'": b"0\t0\nwhat\n",
        "lists no records": b"",
        "has more lines than the .rec can hold records, which are at most": index_text(range(0, 4 * 2000, 4)),
        f"1 of its 4 offsets is not the start of a record, byte {2 * step + 4} for example": index_text(
            [0, step, 2 * step, 2 * step + 4]
        ),
    }


def test_a_wrong_index_is_reported_with_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.storage.index._MAX_LINES_LOST", 1999)  # in place of a million, which take a second
    rec = write_rec(tmp_path / "a.rec", payloads(0, 1, 2))
    step = rec.stat().st_size // 3
    for expected, text in wrong_indices(step).items():
        (tmp_path / "a.idx").write_bytes(text)
        found = survey(rec).index
        problem = str(found.problem).removeprefix(f"{tmp_path / 'a.idx'}").lstrip(":, ")
        assert ("wrong", expected) == (
            found.state,
            problem.partition(" at most")[0] + " at most" * (" at most" in problem),
        )
        assert str(tmp_path / "a.idx") == found.path


def test_a_record_that_the_index_lists_after_the_end_of_the_file_is_lost_and_the_index_is_not_blamed(
    tmp_path: Path,
) -> None:
    rec = write_rec(tmp_path / "a.rec", payloads(0, 1, 2, 3))
    step = rec.stat().st_size // 4
    rec.write_bytes(rec.read_bytes()[: 3 * step])

    found = survey(rec)

    assert IndexCheck(str(tmp_path / "a.idx"), "agrees", key_kind="ids", listed=3, damaged=1) == found.index
    problem = "the file ends here, but the index lists 1 more record"
    assert [DamagedRange(3 * step, 3 * step, 3, problem)] == found.damage
    assert (1, 3, 0) == (found.lost, found.records, found.doubtful)


@pytest.mark.parametrize("removed", [0, 2, 4])
def test_records_removed_from_a_file_that_looks_whole_are_lost_where_they_were(tmp_path: Path, removed: int) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, 0, JPEG + bytes(4 * n)) for n in range(6)])
    data, offsets = rec.read_bytes(), im2rec.open(rec).offsets.tolist()
    start, end = offsets[removed], [*offsets, len(data)][removed + 2]
    rec.write_bytes(data[:start] + data[end:])

    found = survey(rec)

    moved = 4 - removed
    assert IndexCheck(str(tmp_path / "a.idx"), "agrees", None, "ids", 4, damaged=2, moved=moved) == found.index
    where = "ends" if removed == 4 else "goes on"
    problem = f"the file {where} here, but the index lists 2 more records"
    assert [DamagedRange(start, start, removed, problem)] == found.damage
    assert (2, 1, 4) == (found.lost, found.damaged_ranges, found.records)
    with im2rec.open(rec, damaged="skip") as opened:  # the same rule
        assert [removed, removed + 1] == opened.lost.tolist()


def test_records_of_one_size_that_were_swapped_are_elsewhere(tmp_path: Path) -> None:
    ids = [15, 13, 18, 14, 16, 12]
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, 0, JPEG) for n in ids], keys=ids)
    ids[1:3] = ids[2], ids[1]
    write_rec(tmp_path / "b.rec", [image_payload(n, 0, JPEG) for n in ids], index=False).replace(rec)

    assert IndexCheck(str(tmp_path / "a.idx"), "agrees", None, "ids", 6, moved=2) == survey(rec).index


def test_ids_that_repeat_are_no_records_that_are_elsewhere(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, 0, JPEG) for n in (0, 1, 2, 3, 4, 0, 1, 2)])

    found = survey(rec)
    assert ("agrees", 8, 0, 0) == (found.index.state, found.index.listed, found.index.damaged, found.index.moved)
    assert [] == found.damage
    with im2rec.open(rec, damaged="skip") as opened:
        assert [] == opened.lost.tolist()


def test_without_an_index_nothing_says_how_many_records_are_lost(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", payloads(0, 1, 2, 3))
    rec.write_bytes(rec.read_bytes()[:-4])

    assert 1 == survey(rec).lost
    found = survey(rec, index=False)
    assert (None, 3, 1) == (found.lost, found.records, len(found.damage))


def test_records_that_end_at_damage_without_proof_are_counted_as_doubtful_too(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, 0, b"no image, no end") for n in range(4)], index=False)
    data = rec.read_bytes()
    third = 2 * len(data) // 4
    for damage, doubtful in ((b"\xff" * 8, 1), (b"\xff", 0)):  # the length word of a damaged head may lead on
        rec.write_bytes(data[:third] + damage + data[third + len(damage) :])
        found = survey(rec)
        assert (3, doubtful) == (found.records, found.doubtful)
        listed = [(bad.record, bad.id, bad.offset) for bad in found.problems_by_record if bad.problem == "doubtful"]
        assert [(1, 1, third // 2)] * doubtful == listed


def test_an_index_of_some_records_is_partial_and_what_it_leaves_out_is_counted(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(id_, 0, JPEG) for id_ in (10, 11, 12, 13)])
    step = rec.stat().st_size // 4
    name = str(tmp_path / "a.idx")
    for ordinals, keys, kind in (
        ([0, 1], [10, 11], "ids"),
        ([2, 3], [0, 1], "ordinals"),
        ([2, 3], [2, 3], "ordinals"),
        ([3, 1], [13, 11], "ids"),
        ([0, 3], [7, 13], "neither ids nor ordinals (1 differ from the ids)"),
    ):
        (tmp_path / "a.idx").write_bytes(index_text([n * step for n in ordinals], keys))
        assert IndexCheck(name, "partial", key_kind=kind, listed=2, unlisted=2) == survey(rec).index


def test_offsets_inside_damaged_bytes_are_counted_and_not_called_wrong(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", payloads(0, 1, 2, 3))
    step = rec.stat().st_size // 4
    data = bytearray(rec.read_bytes())
    data[step : step + 4] = data[2 * step : 2 * step + 4] = b"gone"
    rec.write_bytes(data)

    name = str(tmp_path / "a.idx")
    found = survey(rec)
    assert [(step, 3 * step)] == [(damage.start, damage.end) for damage in found.damage]
    assert IndexCheck(name, "agrees", key_kind="ids", listed=2, damaged=2) == found.index
    (tmp_path / "a.idx").write_bytes(index_text([step, 2 * step, 3 * step], [1, 2, 3]))
    assert IndexCheck(name, "partial", key_kind="ids", listed=1, unlisted=1, damaged=2) == survey(rec).index
    (tmp_path / "a.idx").write_bytes(index_text([0, 4, step]))
    assert "1 of its 3 offsets is not the start of a record, byte 4 for example" == survey(rec).index.problem


def test_every_offset_of_an_index_is_compared(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", payloads(*[0] * 999))
    step = rec.stat().st_size // 999
    offsets = list(range(0, 999 * step, step))
    offsets[517] += 4
    (tmp_path / "a.idx").write_bytes(index_text(offsets))

    assert (
        f"1 of its 999 offsets is not the start of a record, byte {offsets[517]} for example"
        == survey(rec).index.problem
    )


def test_a_given_index_is_compared_instead(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", payloads(0, 1), index=False)
    (tmp_path / "other").write_bytes(b"0\t4\n")

    index = survey(rec, index=tmp_path / "other").index
    assert (str(tmp_path / "other"), "wrong") == (index.path, index.state)
    assert IndexCheck(None, "not compared") == survey(rec, index=False).index
    assert message_of(survey, rec, index=tmp_path / "gone").startswith(f"{tmp_path / 'gone'}: cannot be read: no such")


# Damage.


def test_damage_is_listed_by_byte_range_and_the_survey_resumes_after_it(tmp_path: Path) -> None:
    frames = [encode_record(payload) for payload in payloads(*range(6))]
    frames[1] = b"\xff" * len(frames[1])
    frames[4] = b"\0\0\0\0" + frames[4][4:]
    size = len(frames[0])
    (tmp_path / "a.rec").write_bytes(b"".join(frames))
    found = survey(tmp_path / "a.rec")

    assert (4, 4) == (found.records, found.images)
    assert [(size, 2 * size, 1), (4 * size, 5 * size, 3)] == [(d.start, d.end, d.records_before) for d in found.damage]
    assert 2 * size == found.damaged_bytes
    assert IdStatistics(0, 5, 0, None) == found.ids
    assert all("magic" in piece.problem or "expected" in piece.problem for piece in found.damage)


def test_a_file_that_is_cut_short_is_damaged_to_its_end(tmp_path: Path) -> None:
    whole = b"".join(encode_record(payload) for payload in payloads(0, 1))
    (tmp_path / "a.rec").write_bytes(whole[:-10])
    found = survey(tmp_path / "a.rec")

    assert [(len(whole) // 2, len(whole) - 10, 1)] == [(d.start, d.end, d.records_before) for d in found.damage]
    assert 1 == found.records


def test_records_off_the_4_byte_grid_are_reported_as_such(tmp_path: Path) -> None:
    frames = [encode_record(payload) for payload in payloads(0, 1, 2)]
    (tmp_path / "a.rec").write_bytes(frames[0] + b"\r" + frames[1] + frames[2])
    found = survey(tmp_path / "a.rec")

    assert (3, 1) == (found.records, found.damaged_bytes)
    assert found.damage[0].problem.endswith("; records after it are 1 byte off the 4-byte grid")


def test_files_that_are_not_record_files_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello, world")

    assert f"{tmp_path / 'no'}: cannot be read: no such file or directory (check the path)" == message_of(
        survey, tmp_path / "no"
    )
    assert f"{tmp_path / 'empty'}: is empty: it holds no records (make or fetch it again)" == message_of(
        survey, tmp_path / "empty"
    )
    assert f"{tmp_path / 'text'}: is not a RecordIO file: it is a file of text (make or fetch it again)" == message_of(
        survey, tmp_path / "text"
    )
    assert message_of(survey, tmp_path).startswith(f"{tmp_path}: ")


def test_a_survey_takes_less_than_50_bytes_per_record(tmp_path: Path) -> None:
    count, frame = 150_000, encode_record(image_payload(0, 1.0, b""))
    ids = np.random.default_rng(0).permutation(count).astype("<u8")
    records = np.tile(np.frombuffer(frame, np.uint8), (count, 1))
    records[:, 16:24] = ids.view(np.uint8).reshape(-1, 8)
    path = tmp_path / "many.rec"
    path.write_bytes(records.tobytes())
    path.with_suffix(".idx").write_bytes(index_text(range(0, count * len(frame), len(frame)), ids.tolist()))
    survey(path)  # so that its imports are not measured

    assert peak_bytes(lambda: survey(path)) < 50 * count + 3_000_000  # a block of records, as Python objects
