"""Views of single records: the first ones of a file, and those with given keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers import GOLDEN, golden_json, image_payload, message_of, write_rec
from image_helpers import encoded, texture

from im2rec.format.recordio import encode_record
from im2rec.inspection.show import RecordView, ShownRecords, first_records, records_by_key

JPEG = encoded(texture(24, 36))


def test_a_view_holds_location_header_and_image_of_a_record(tmp_path: Path) -> None:
    payloads = [image_payload(7, 3.5, JPEG), image_payload(9, [1, 2, 3], b"")]
    first, second = first_records(write_rec(tmp_path / "a.rec", payloads), 5).shown

    assert RecordView(0, 0, len(payloads[0]), 7, 0, [3.5], "JPEG", len(JPEG), 36, 24, 3) == first
    assert RecordView(1, len(encode_record(payloads[0])), 36, 9, 3, [1, 2, 3], "empty", 0, None, None, None) == second


def test_at_most_the_given_number_of_records_is_shown(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, 0) for n in range(5)])

    assert [0, 1, 2] == [view.record for view in first_records(rec, 3).shown]
    assert 5 == len(first_records(rec, 5).shown) == len(first_records(rec, 6).shown)


def test_golden_records_are_shown_as_recorded() -> None:
    expected = [
        (record["ordinal"], record["offset"], record["header"]["id"], record["content_length"], *size)
        for record in golden_json("pass_through")["records"]
        for size in [[record["decoded"][key] for key in ("width", "height", "channels")]]
    ]
    assert expected == [
        (view.record, view.offset, view.id, view.content_bytes, view.width, view.height, view.channels)
        for view in first_records(GOLDEN / "pass_through.rec", 100).shown
    ]


def test_labels_that_are_not_finite_are_shown() -> None:
    labels = first_records(GOLDEN / "labels.rec", 100).shown[8].labels

    assert [str(np.float32(0.1).item()), "inf", "-0.0"] == list(map(str, labels))


def test_a_payload_too_short_for_a_header_is_shown_as_such(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [b"plain bytes"])

    view = RecordView(0, 0, 11, None, None, [], "no image header", 11, None, None, None)
    assert ShownRecords(str(rec), [view]) == first_records(rec, 1)


def test_an_image_with_a_damaged_header_has_no_size(tmp_path: Path) -> None:
    (view,) = first_records(write_rec(tmp_path / "a.rec", [image_payload(0, 0, JPEG[:20])]), 1).shown

    assert ("JPEG", 20) == (view.content, view.content_bytes)
    assert view.width is None


def test_damage_after_the_requested_records_is_ignored(tmp_path: Path) -> None:
    frames = [encode_record(image_payload(n, 0)) for n in range(3)]
    (tmp_path / "a.rec").write_bytes(b"".join(frames) + b"\xff" * 8)

    found = first_records(tmp_path / "a.rec", 3)
    assert (3, [], False) == (len(found.shown), found.warnings, found.met_damage)


def test_damage_before_a_requested_record_is_a_warning_and_the_records_after_it_are_shown(tmp_path: Path) -> None:
    frames = [encode_record(image_payload(n, 0)) for n in range(4)]
    rec, step = tmp_path / "a.rec", len(frames[0])
    rec.write_bytes(frames[0] + b"\xff" * step + frames[2] + frames[3])

    found = first_records(rec, 2)

    assert [(0, 0, 0), (1, 2 * step, 2)] == [(view.record, view.offset, view.id) for view in found.shown]
    problem = "expected the magic 0a 23 d7 ce, found ff ff ff ff"
    assert [f"{rec}: damaged: bytes {step} to {2 * step}, after 1 record: {problem}"] == found.warnings
    assert found.met_damage


def test_damage_up_to_the_end_is_a_warning_and_what_there_is_is_shown(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, 0) for n in range(3)], index=False)
    rec.write_bytes(rec.read_bytes()[:-4])

    found = first_records(rec, 5)

    assert [0, 1] == [view.record for view in found.shown]
    problem = "expected 32 bytes of data and padding, found 28"
    assert [f"{rec}: damaged: bytes 80 to 116, after 2 records: {problem}"] == found.warnings
    assert found.met_damage


def test_labels_longer_than_the_record_are_a_warning_with_record_and_byte(tmp_path: Path) -> None:
    payloads = [image_payload(0, 0), image_payload(1, [1, 2, 3], b"")[:-4], image_payload(2, 0)]
    rec = write_rec(tmp_path / "a.rec", payloads, index=False)

    found = first_records(rec, 3)

    assert [(0, 0), (2, 2)] == [(view.record, view.id) for view in found.shown]
    problem = f"{rec}, record 1, byte {40 + 8}: expected 3 labels after the header, found 2"
    assert [problem] == [warning.partition(" (")[0] for warning in found.warnings]
    assert found.met_damage


def test_records_are_found_by_key_in_the_order_of_the_keys(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, n, JPEG) for n in (30, 10, 20)], keys=[30, 10, 20])

    assert [(2, 20), (0, 30)] == [(view.record, view.id) for view in records_by_key(rec, [20, 30]).shown]


def test_without_an_index_ids_are_keys(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, n, JPEG) for n in (30, 10)], index=False)

    assert [1] == [view.record for view in records_by_key(rec, [10]).shown]


def test_of_several_records_with_a_key_the_last_is_shown_and_their_number_said(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(id_, n) for n, id_ in enumerate([7, 8, 7])])
    found = records_by_key(path, [8, 7], index=False)
    assert [1, 2] == [view.record for view in found.shown]
    assert [f"{path}: 2 records have the key 7; the last of them is shown"] == found.warnings


def test_a_missing_key_is_an_error_with_the_range_of_keys(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, n, JPEG) for n in (30, 10)], keys=[30, 10])

    assert f"{rec}: no record has the key 11 (keys run from 10 to 30)" == message_of(records_by_key, rec, [10, 11])


def test_keys_are_looked_up_in_the_given_index(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, n, JPEG) for n in (30, 10)])
    (tmp_path / "by_id.idx").write_bytes(b"30\t0\n10\t%d\n" % (rec.stat().st_size // 2))

    assert [0] == [view.record for view in records_by_key(rec, [30], tmp_path / "by_id.idx").shown]
    assert f"{rec}: no record has the key 30 (keys run from 0 to 1)" == message_of(records_by_key, rec, [30])
