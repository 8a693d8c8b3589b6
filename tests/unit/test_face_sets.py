"""Face-recognition sets as `inspect` sees them: golden sets of every writer, and what does not agree in others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from face_set_helpers import EXPECTED, FACE, GOLDEN, SIX, SIX_RANGES, Row, header, images, ranges, written
from image_helpers import im2rec

from im2rec.inspection.face_report import FaceHeader, InsightFaceSet, histogram
from im2rec.inspection.report import HEADER_LOST, HEADERLESS_FACES, INSIGHTFACE, VECTORS, Survey
from im2rec.inspection.set_rows import histogram_text, set_rows
from im2rec.inspection.spread import Spread
from im2rec.inspection.survey import survey


def faces_of(found: Survey) -> InsightFaceSet:
    assert found.insightface is not None
    return found.insightface


# Golden sets.


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_counts_of_each_golden_set_are_those_of_its_writer(name: str) -> None:
    expected, found = EXPECTED[name], survey(GOLDEN / name / "train.rec")
    faces = faces_of(found)

    assert (INSIGHTFACE if expected["header"] else HEADERLESS_FACES) == found.set_kind
    assert (expected["images"], expected["classes"]) == (faces.images, faces.identities)
    assert expected["identity_records"] == (faces.identity_records.count if faces.identity_records else 0)
    places = [record["kind"] for record in expected["records"]]
    head = FaceHeader(places.index("header"), *expected["header"]) if expected["header"] else None
    assert head == faces.header_record
    assert Spread(3, 3, 3) == faces.images_per_identity
    assert {"2-3": 4} == faces.histogram
    assert "4,16,16" == (faces.property or "").splitlines()[0]


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"above_2_24"}))
def test_a_golden_set_with_nothing_wrong_ends_with_exit_code_0(name: str) -> None:
    code, out, _ = im2rec("inspect", GOLDEN / name / "train.rec")

    assert [] == survey(GOLDEN / name / "train.rec").problems
    assert 0 == code
    assert "problem" not in out
    assert "  arcface     config.num_classes = 4\n" in out
    assert len(out.splitlines()) <= 24
    assert max(len(line) for line in out.splitlines() if str(GOLDEN) not in line) <= 80


def test_an_identity_in_two_runs_is_a_note_and_no_problem() -> None:
    faces = faces_of(survey(GOLDEN / "face2rec2" / "train.rec"))

    assert (5, 1) == (faces.runs, faces.identities_in_runs)
    assert ["1 identity has images in several runs of keys; the first has label 0"] == faces.remarks


def test_rounded_ranges_are_not_compared_and_a_wrong_header_is_named() -> None:
    found = survey(GOLDEN / "above_2_24" / "train.rec")
    faces = faces_of(found)

    assert faces.identity_records is not None
    assert (4, 0, 3) == (faces.identity_records.count, faces.identity_records.wrong, faces.identity_records.rounded)
    rounded = "(keys above 16,777,216 are rounded in labels)"
    assert [f"the header record says 16,777,223 images, there are 12 {rounded}"] == found.problems
    assert ["10 keys are above 16,777,216, and rounded in labels: 3 ranges not used"] == faces.remarks
    assert 16777226 == faces.highest_key
    assert 3 == im2rec("inspect", GOLDEN / "above_2_24" / "train.rec").code


def test_a_vector_at_key_0_is_warned_of_as_readers_take_it_for_a_header() -> None:
    code, _, err = im2rec("inspect", GOLDEN / "no_header_vector" / "train.rec")
    assert 0 == code
    assert "take the label vector of key 0 for a header record: arcface_torch gets no images" in err


# The header record.


@pytest.mark.parametrize("place", range(5))
def test_the_header_is_found_at_any_place(tmp_path: Path, place: int) -> None:
    rows = [*SIX, *SIX_RANGES]
    rows.insert(place * len(rows) // 4, header(7, 10))
    found = survey(written(tmp_path, rows))

    assert INSIGHTFACE == found.set_kind
    assert [] == found.problems
    assert "10 records - 1 header - 3 identities = 6 images" == faces_of(found).sum


def test_without_an_index_the_header_is_found_by_its_id(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, *SIX_RANGES, header(7, 10)])
    rec.with_suffix(".idx").unlink()
    found = survey(rec)

    assert INSIGHTFACE == found.set_kind
    assert [] == found.problems + found.warnings


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ([header(float("nan"), 10)], r"the header record (record 9) says [nan, 10), which is no range of keys"),
        ([header(10, 7)], r"the header record (record 9) says [10, 7), which is no range of keys"),
        ([header(7.5, 10)], r"the header record (record 9) says [7.5, 10), which is no range of keys"),
        ([(0, [7, 10], b""), (0, [8, 10], b"")], r"has 2 header records; records 9 and 10 say [7, 10) and [8, 10)"),
        ([header(7, 11)], "the header record says 4 identities, there are 3"),
        ([header(9, 12)], "the header record says 8 images, there are 6"),
    ],
)
def test_a_header_that_is_wrong_is_a_problem_and_no_crash(tmp_path: Path, headers: list[Row], problem: str) -> None:
    rec = written(tmp_path, [*SIX, *SIX_RANGES, *headers])
    found = survey(rec)

    assert INSIGHTFACE == found.set_kind
    assert [problem] == found.problems
    assert 3 == im2rec("inspect", rec).code


def test_images_whose_keys_are_not_those_of_the_header_are_a_problem(tmp_path: Path) -> None:
    rows = [*images(0, 0, 1, first=3), *ranges(6, (3, 5), (5, 6)), header(4, 6)]
    assert ["the header record says images 1 to 3, their keys are 3 to 5"] == survey(written(tmp_path, rows)).problems


def test_one_empty_record_of_two_labels_makes_no_face_set(tmp_path: Path) -> None:
    rows: list[Row] = [(0, [0.5, 0.1], b""), (1, [0.5, 0.25], FACE), (2, [0.25, 1.0], FACE)]
    found = survey(written(tmp_path, rows))

    assert VECTORS == found.set_kind
    assert ["1 record without an image: record 0 (id 0, byte 0)"] == found.problems


# Identity records.


@pytest.mark.parametrize(
    ("pairs", "problems"),
    [
        (
            [(1, 4), (4, 7), (6, 7)],
            ["1 identity record does not fit the images; first: record 7, key 8, says [4, 7): images of 2 identities"],
        ),
        (
            [(1, 4), (4, 6), (6, 9)],
            ["1 identity record does not fit the images; first: record 8, key 9, says [6, 9): no image has 2 of them"],
        ),
        (
            [(1, 1), (4, 6), (-1, 7)],
            ["2 identity records do not fit the images; first: record 6, key 7, says [1, 1): no range of keys"],
        ),
        ([(1, 3), (4, 6), (6, 7)], []),
        ([(1, 4), (1, 4), (4, 6)], []),
        (
            [(1, float("nan")), (4, 6), (6, 7)],
            ["1 identity record does not fit the images; first: record 6, key 7, says [1, nan): no range of keys"],
        ),
    ],
)
def test_ranges_that_do_not_fit_the_images_are_counted_and_the_first_is_named(
    tmp_path: Path, pairs: list[tuple[float, float]], problems: list[str]
) -> None:
    found = survey(written(tmp_path, [*SIX, *ranges(7, *pairs), header(7, 10)])).problems
    assert problems == [line for line in found if "fit the images" in line]


def test_images_in_no_range_and_in_several_are_counted(tmp_path: Path) -> None:
    found = survey(written(tmp_path, [*SIX, *ranges(7, (1, 4), (2, 4), (6, 7)), header(7, 10)])).problems
    assert [
        "2 images are in the range of no identity record",
        "2 images are in the ranges of several identity records",
    ] == found


def test_identity_records_out_of_order_are_a_note(tmp_path: Path) -> None:
    found = survey(written(tmp_path, [*SIX, *ranges(7, (4, 6), (1, 4), (6, 7)), header(7, 10)]))
    assert [] == found.problems
    assert ["1 identity record is out of order"] == faces_of(found).remarks


def test_identity_records_without_a_header_are_a_problem(tmp_path: Path) -> None:
    found = survey(written(tmp_path, [*SIX, *SIX_RANGES]))

    assert HEADERLESS_FACES == found.set_kind
    assert ["3 identity records, and no header record"] == found.problems


def test_images_in_any_order_of_the_file_are_compared_by_their_keys(tmp_path: Path) -> None:
    rows = [SIX[n] for n in (5, 0, 4, 1, 3, 2)]
    found = survey(written(tmp_path, [*rows, *SIX_RANGES, header(7, 10)]))
    assert ([], 3) == (found.problems, faces_of(found).runs)


def test_keys_are_those_of_the_index_where_ids_are_old(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, *SIX_RANGES, header(7, 10)], ids={1: 100, 2: 7, 3: 55})
    assert [] == survey(rec).problems


# Labels and classes.


def test_labels_that_are_no_classes_are_a_problem_with_the_first_of_them(tmp_path: Path) -> None:
    found = survey(written(tmp_path, [*images(0, -1, 0.5), *ranges(4, (1, 2), (2, 3), (3, 4)), header(4, 7)]))
    assert ["2 images have labels of no class; first: record 1, -1"] == found.problems


def test_images_of_each_identity_are_summarised(tmp_path: Path) -> None:
    rec = written(tmp_path, images(*[0] * 5, 1, 2, 2, 9, first=0), prop="10,16,16")
    faces = faces_of(survey(rec))

    assert Spread(1, 1.5, 5) == faces.images_per_identity
    assert {"1": 2, "2-3": 1, "4-7": 1} == faces.histogram
    assert "config.num_classes = 10" in faces.config
    out = im2rec("inspect", rec).out
    assert "  identities  4; images of each: 1 least, 1.5 median, 5 most\n" in out
    assert "  histogram   1 image: 2, 2-3: 1, 4-7: 1\n" in out


def test_a_histogram_has_powers_of_two_and_no_empty_ranges() -> None:
    assert {"1": 1, "4-7": 2, "1024-2047": 1} == histogram(np.array([1, 4, 7, 1024]))
    assert {"8-15": 1, "16-31": 1} == histogram(np.array([15, 16]))


def test_a_histogram_that_is_too_long_gets_fewer_ranges() -> None:
    long = {f"{1 << n}-{(2 << n) - 1}" if n else "1": 1000 + n for n in range(16)}
    text = histogram_text(long, 65)

    assert len(text) <= 65
    assert sum(long.values()) == sum(int(part.split(": ")[1].replace(",", "")) for part in text.split(", "))
    assert text.startswith("1-")


# The property file, and the index.


@pytest.mark.parametrize(
    "text", ["3,16,16", "3,16,16\n", "3,16,16\n6\n", "3,16,16\n6\nshuffled\n2021-01-01 10:00:00\n"]
)
def test_all_forms_of_a_property_file_agree(tmp_path: Path, text: str) -> None:
    assert [] == survey(written(tmp_path, [*SIX, *SIX_RANGES, header(7, 10)], prop=text)).problems


def test_a_property_file_may_count_identity_records_as_merged_sets_have_them(tmp_path: Path) -> None:
    rows = [*images(0, 1, 0), *ranges(4, (1, 2), (2, 3), (3, 4)), header(4, 7)]
    assert [] == survey(written(tmp_path, rows, prop="3,16,16")).problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2,16,16", "says 2 classes, the labels of the images 3"),
        ("4,16,16", "says 4 classes, the labels of the images 3"),
        ("3,16,16\n7", "says 7 images, there are 6"),
    ],
)
def test_a_property_file_that_differs_is_a_problem(tmp_path: Path, text: str, problem: str) -> None:
    found = survey(written(tmp_path, images(0, 0, 0, 1, 1, 2, first=0), prop=text))
    assert [f"{tmp_path / 'property'}: {problem}"] == found.problems


def test_a_property_file_of_another_kind_makes_no_face_set(tmp_path: Path) -> None:
    found = survey(written(tmp_path, images(0, 1, first=0), prop="owner=somebody"))
    assert ("plain images", None, []) == (found.set_kind, found.insightface, found.problems)


def test_an_index_without_the_header_record_is_warned_of(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, *SIX_RANGES, header(7, 10)])
    lines = rec.with_suffix(".idx").read_text().splitlines(keepends=True)
    rec.with_suffix(".idx").write_text("".join(lines[:6]))
    found = survey(rec)

    assert INSIGHTFACE == found.set_kind
    assert [] == found.problems
    assert ["published readers look up the header record by key 0, and the index does not list it"] == found.warnings


def test_an_index_of_ordinals_is_warned_of(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, *SIX_RANGES, header(7, 10)])
    offsets = [line.split("\t")[1] for line in rec.with_suffix(".idx").read_text().splitlines()]
    rec.with_suffix(".idx").write_text("".join(f"{n}\t{offset}\n" for n, offset in enumerate(offsets)))
    found = survey(rec)

    assert (INSIGHTFACE, []) == (found.set_kind, found.problems)
    assert ["published readers look up the header record by key 0, and the index has it under key 9"] == found.warnings


def test_an_index_without_an_image_is_a_problem(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, *SIX_RANGES, header(7, 10)])
    lines = rec.with_suffix(".idx").read_text().splitlines(keepends=True)
    rec.with_suffix(".idx").write_text("".join(lines[:2] + lines[3:]))
    assert ["the index does not list 1 image"] == survey(rec).problems


def test_keys_from_1_without_a_header_are_warned_of(tmp_path: Path) -> None:
    found = survey(written(tmp_path, SIX, prop="3,16,16"))
    assert HEADERLESS_FACES == found.set_kind
    assert ["the index has no key 0: published readers look it up first, and stop (KeyError: 0)"] == found.warnings


# Damaged sets.


def cut(tmp_path: Path, name: str, keep: int, *, index: bool = True) -> Path:
    """A golden set of which only the first *keep* bytes are left."""
    shutil.copytree(GOLDEN / name, tmp_path / name)
    rec = tmp_path / name / "train.rec"
    rec.write_bytes(rec.read_bytes()[:keep])
    if not index:
        rec.with_suffix(".idx").unlink()
    return rec


@pytest.mark.parametrize("keep", [5170, 5164, 5100, 4400])
def test_a_cut_set_says_that_its_header_record_is_lost(tmp_path: Path, keep: int) -> None:
    rec = cut(tmp_path, "header_last", keep)
    found = survey(rec)

    assert HEADER_LOST == found.set_kind
    assert [] == found.problems
    assert ["the header record is lost: readers that start from it cannot read what is left"] == faces_of(found).remarks
    assert [] == faces_of(found).config
    assert 5 == im2rec("inspect", rec).code


def test_a_cut_set_without_index_says_that_a_header_may_be_lost(tmp_path: Path) -> None:
    found = survey(cut(tmp_path, "header_last", 4400, index=False))

    assert HEADERLESS_FACES == found.set_kind
    assert [] == found.problems
    (note,) = faces_of(found).remarks
    assert "a header record may be among what is lost" in note


def test_a_damaged_set_whose_first_image_is_lost_has_not_lost_a_header(tmp_path: Path) -> None:
    rec = cut(tmp_path, "no_header", 10_000)
    content = bytearray(rec.read_bytes())
    content[0:40] = bytes(40)
    rec.write_bytes(content)
    assert HEADERLESS_FACES == survey(rec).set_kind


def test_counts_of_a_damaged_set_are_not_compared_with_its_header(tmp_path: Path) -> None:
    rec = cut(tmp_path, "relabel", 4400)
    found = survey(rec)

    assert INSIGHTFACE == found.set_kind
    assert [] == found.problems
    assert any("counts are of what is whole" in note for note in faces_of(found).remarks)


def test_no_configuration_is_shown_for_a_set_that_arcface_torch_does_not_take(tmp_path: Path) -> None:
    taken = GOLDEN / "header_last" / "train.rec"
    refused = Path(shutil.copy(taken, tmp_path))  # without its index
    found = [survey(taken, profile=True), survey(refused, profile=True), survey(refused)]

    assert ["arcface" in dict(set_rows(each)) for each in found] == [True, False, True]
