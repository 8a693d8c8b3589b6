"""`inspect --profile insightface`: what published readers assume, by record, and what each of them makes of a set."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from face_set_helpers import EXPECTED, FACE, GOLDEN, SIX, SIX_RANGES, Row, header, images, ranges, written
from image_helpers import encoded, im2rec, texture

from im2rec.inspection import face_profile
from im2rec.inspection.face_report import ProfileCheck, ProfileReader
from im2rec.inspection.survey import survey
from im2rec.mx import recordio

WHOLE = [*SIX, *SIX_RANGES, header(7, 10)]


def checked(rec: Path, *, every: bool = True) -> ProfileCheck:
    profile = survey(rec, profile=True, every=every).profile
    assert profile is not None
    assert profile.failed >= len(profile.profile_failures)
    assert all(failure.rule in face_profile.RULES for failure in profile.profile_failures)
    return profile


def failures(rec: Path) -> list[tuple[str, int | None, str]]:
    """Rule, key and detail of each failure."""
    return [(failure.rule, failure.key, failure.detail) for failure in checked(rec).profile_failures]


def reader(check: ProfileCheck, name: str) -> ProfileReader:
    (found,) = [one for one in check.readers if one.name == name]
    return found


NUMBERS = [0, 1, 2, 3, 7, -1, 0.5, 2.0**24, 2.0**53, 2.0**64, 3e38, -3e38, float("nan"), float("inf"), -float("inf")]
KEYS = [0, 0, 1, 2, 3, 4, 5, 2**24, 2**24 + 1, 2**40, 2**63, 2**64 - 2]
PROPERTIES = ["", "3,16,16", "0,0,0", f"{10**17},1,1", "3,16,16\n2", "other"]

# Golden sets.

CLEAN = ["header_last", "scalar", "no_header", "relabel"]


@pytest.mark.parametrize("name", CLEAN)
def test_a_golden_set_that_readers_take_has_no_failures(name: str) -> None:
    check = checked(GOLDEN / name / "train.rec")

    assert ([], 0) == (check.profile_failures, check.failed)
    assert all(reader(check, one).takes for one in ("arcface_torch", "vpl", "FaceImageIter"))
    code, out, _ = im2rec("inspect", GOLDEN / name / "train.rec", "--profile", "insightface")
    assert 0 == code
    assert "  profile     insightface: all that published readers assume is so\n" in out
    assert "  readers     arcface_torch, vpl, FaceImageIter" in out
    assert len(out.splitlines()) <= 24


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_arcface_torch_gets_the_records_that_its_rule_gives(name: str) -> None:
    expected, found = EXPECTED[name]["published_reader"], reader(checked(GOLDEN / name / "train.rec"), "arcface_torch")

    assert expected["rule"] == found.rule
    assert expected["count"] == found.count
    assert expected["not_in_index"] == found.not_in_index
    assert expected["without_picture"] == found.without_picture
    is_read = expected["count"] == EXPECTED[name]["images"] and not found.without_picture
    assert is_read == found.takes


def by_published_rule(rec: Path) -> list[int]:
    """The keys that `MXFaceDataset` reads, found by its own few lines. Raises what they raise."""
    record = recordio.MXIndexedRecordIO(str(rec.with_suffix(".idx")), str(rec), "r")
    try:
        first, _ = recordio.unpack(record.read_idx(0))
        keys = list(range(1, int(first.label[0]))) if first.flag > 0 else list(record.keys)
        for key in keys:
            _, content = recordio.unpack(record.read_idx(key))
            assert content, f"key {key} holds no image"
        return keys
    finally:
        record.close()


BROKEN: dict[str, list[Row]] = {
    "whole": WHOLE,
    "without key 0": WHOLE[:-1],
    "header too high": [*WHOLE[:-1], header(8, 10)],
    "header too low": [*WHOLE[:-1], header(6, 10)],
    "a key is missing": [*SIX[:2], *SIX[3:], *SIX_RANGES, header(7, 10)],
    "without header": images(0, 1, 2, first=0),
    "without header, from 1": images(0, 1, 2),
    "vectors without header": [(key, [9.0, 0.0, 0.0], FACE) for key in range(3)],
    "two labels without header": [(key, [float(key), 1.0], FACE) for key in range(3)],
}


@pytest.mark.parametrize("name", [*BROKEN, *CLEAN, "no_header_vector", "face2rec2"])
def test_what_is_said_of_arcface_torch_is_what_its_lines_do(tmp_path: Path, name: str) -> None:
    rec = written(tmp_path, BROKEN[name]) if name in BROKEN else GOLDEN / name / "train.rec"
    found = reader(checked(rec), "arcface_torch")
    try:
        keys = by_published_rule(rec)
    except (KeyError, AssertionError):
        assert not found.takes
        assert found.count is None or found.not_in_index or found.without_picture
    else:
        assert len(keys) == found.count
        assert found.takes == (len(keys) == survey(rec).images)


# Each assumption.


def test_a_set_that_breaks_nothing_has_no_failures(tmp_path: Path) -> None:
    assert [] == failures(written(tmp_path, WHOLE, prop="3,16,16"))


def test_key_0_has_to_be_in_the_index(tmp_path: Path) -> None:
    rec = written(tmp_path, images(0, 1))
    assert [("key 0", None, "no record has key 0, which readers look up first")] == failures(rec)
    assert "the index has no key 0: KeyError: 0" == reader(checked(rec), "FaceImageIter").problem


def test_a_vector_at_key_0_is_named(tmp_path: Path) -> None:
    rec = written(tmp_path, [(key, [float(key), 1.0], FACE) for key in range(3)])
    assert [("key 0", 0, "is an image with a label vector, and taken for a header")] == failures(rec)


def test_a_record_without_image_at_key_0_has_two_labels(tmp_path: Path) -> None:
    found = failures(written(tmp_path, [(0, 3.0, b""), *images(0, 1)]))
    assert ("key 0", 0, "holds no image, and no two labels either") in found


def test_a_set_without_index_fails(tmp_path: Path) -> None:
    rec = written(tmp_path, WHOLE)
    rec.with_suffix(".idx").unlink()

    assert [("index", None, "there is no index, and published readers look up records by key")] == failures(rec)
    assert ["ImageRecordIter"] == [one.name for one in checked(rec).readers if one.rule != "none"]
    assert 3 == im2rec("inspect", rec, "--profile", "insightface").code


def test_a_cut_set_is_taken_by_no_reader_and_its_header_is_named_as_lost(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "header_last", tmp_path / "cut")
    rec = tmp_path / "cut" / "train.rec"
    rec.write_bytes(rec.read_bytes()[:5170])
    check = checked(rec)

    assert ("key 0", None, "the header record, which readers look up first, is lost") in failures(rec)
    assert {"the file is damaged"} == {one.problem for one in check.readers}
    assert 5 == im2rec("inspect", rec, "--profile", "insightface").code


def test_an_index_that_is_not_to_be_used_fails(tmp_path: Path) -> None:
    out = im2rec("inspect", written(tmp_path, WHOLE), "--profile", "insightface", "--no-idx").out
    assert "no index was looked at" in out


def test_a_wrong_index_fails(tmp_path: Path) -> None:
    rec = written(tmp_path, WHOLE)
    rec.with_suffix(".idx").write_text("0\t4\n1\t8\n")
    ((rule, _, detail),) = failures(rec)
    assert "index" == rule
    assert detail.startswith("the index is wrong: ")


def test_records_that_the_index_leaves_out_are_named(tmp_path: Path) -> None:
    rec = written(tmp_path, WHOLE)
    lines = rec.with_suffix(".idx").read_text().splitlines(keepends=True)
    rec.with_suffix(".idx").write_text("".join(line for line in lines if not line.startswith(("3\t", "8\t"))))
    check = checked(rec)

    assert [("index", 3, "is not in the index"), ("index", 8, "is not in the index")] == failures(rec)
    assert "1 key is not in the index" == reader(check, "arcface_torch").problem
    assert "1 identity record is missing" == reader(check, "FaceImageIter").problem


def test_an_index_of_images_alone_is_for_dali_alone(tmp_path: Path) -> None:
    rec = written(tmp_path, WHOLE)
    lines = rec.with_suffix(".idx").read_text().splitlines(keepends=True)
    rec.with_suffix(".idx").write_text("".join(lines[:6]))
    check = checked(rec)

    assert ["DALI"] == [one.name for one in check.readers if one.takes]
    assert 5 == check.failed  # the four records behind the images, and key 0


def test_a_header_under_another_key_of_the_index_is_named(tmp_path: Path) -> None:
    rec = written(tmp_path, WHOLE)
    offsets = [line.split("\t")[1] for line in rec.with_suffix(".idx").read_text().splitlines()]
    rec.with_suffix(".idx").write_text("".join(f"{n}\t{offset}\n" for n, offset in enumerate(offsets)))
    assert ("key 0", 0, "is the header record, and has key 9 in the index") in failures(rec)


def test_two_records_of_one_key_are_named(tmp_path: Path) -> None:
    rec = written(tmp_path, [*images(0, 1, first=0), (1, 1.0, FACE)])
    assert [("index", 1, "has the key of another record")] == failures(rec)


def test_of_two_records_of_one_key_readers_take_the_last(tmp_path: Path) -> None:
    repeated = checked(written(tmp_path / "image", [*SIX, (5, 1.0, FACE), *SIX_RANGES, header(7, 10)]))
    said = "1 record has the key of another, and one of them is read"
    assert (said, 0) == (reader(repeated, "arcface_torch").problem, reader(repeated, "arcface_torch").not_in_index)

    headers = checked(written(tmp_path / "header", [*WHOLE, header(7, 11)]))
    assert "1 identity record is missing" == reader(headers, "FaceImageIter").problem


def test_dali_reads_records_of_one_key_by_their_offsets(tmp_path: Path) -> None:
    assert reader(checked(written(tmp_path, [*images(0, 1, first=0), (1, 1.0, FACE)])), "DALI").takes


def test_offsets_of_an_older_file_fail(tmp_path: Path) -> None:
    rec = written(tmp_path, WHOLE)
    lines = [line.split("\t") for line in rec.with_suffix(".idx").read_text().splitlines()]
    rec.with_suffix(".idx").write_text("".join(f"{key}\t{int(offset) + 4}\n" for key, offset in lines))
    check = checked(rec)

    assert [("index", None, "10 records are elsewhere than the index says")] == failures(rec)
    assert not any(one.takes for one in check.readers)
    assert "the offsets in the index are wrong" == reader(check, "arcface_torch").problem


def test_a_header_without_identity_records_fails(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, header(7, 7)])
    assert [("ranges", None, "6 images are in the range of no identity record")] == failures(rec)
    assert not reader(checked(rec), "FaceImageIter").takes


def test_no_row_says_that_there_is_one_more_failure_in_place_of_the_failure(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, *ranges(7, (1, 4), (4, 6), (1, 2)), header(7, 10)])
    out = im2rec("inspect", rec, "--profile", "insightface").out
    assert (2, False) == (out.count("\n  failed"), "--json lists all" in out)


def test_keys_between_images_are_those_of_images(tmp_path: Path) -> None:
    rows = [*SIX[:2], *SIX[3:4], *ranges(7, (1, 3), (4, 5)), header(5, 7)]
    found = failures(written(tmp_path, rows))

    assert ("keys of images", None, "no image has key 3") in found
    assert ("header record", None, "the header record says 4 images, there are 3") in found


def test_images_behind_the_keys_of_the_header_are_named(tmp_path: Path) -> None:
    rec = written(tmp_path, [*WHOLE[:-1], header(6, 9)])

    said = "is an image, and images have the keys 1 to 5 by the header record"
    assert ("keys of images", 6, said) in failures(rec)
    check = checked(rec)
    assert "it leaves out 1 image" == reader(check, "arcface_torch").problem
    assert "key 6 is no identity record" == reader(check, "FaceImageIter").problem


def test_identity_records_among_the_keys_of_images_are_named(tmp_path: Path) -> None:
    rec = written(tmp_path, [*WHOLE[:-1], header(8, 10)])

    assert ("keys of images", 7, "holds no image, and readers read the keys 1 to 7") in failures(rec)
    assert "1 record holds no image" == reader(checked(rec), "arcface_torch").problem


def test_every_range_that_does_not_fit_is_named(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, *ranges(7, (1, 3), (3, 6), (6, 8)), header(7, 10)])
    expected = [
        ("ranges", 8, "says [3, 6): images of 2 identities"),
        ("ranges", 9, "says [6, 8): no image has 1 of them"),
    ]

    assert expected == failures(rec)
    found = reader(checked(rec), "FaceImageIter").problem
    assert "identity record 9 says [6, 8): no image has 1 of them" == found


def test_images_in_no_range_and_in_several_fail(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, *ranges(7, (1, 4), (2, 4), (6, 7)), header(7, 10)])
    expected = [
        ("ranges", None, "2 images are in the range of no identity record"),
        ("ranges", None, "2 images are in the ranges of several identity records"),
    ]

    assert expected == failures(rec)
    assert "it reads 2 images twice, and leaves out 2" == reader(checked(rec), "FaceImageIter").problem


def test_face_image_iter_reads_a_range_of_two_identities(tmp_path: Path) -> None:
    rec = written(tmp_path, [*SIX, *ranges(7, (1, 3), (3, 7)), header(7, 9)])
    assert reader(checked(rec), "FaceImageIter").takes


def test_every_run_but_the_first_of_an_identity_is_named() -> None:
    rec = GOLDEN / "face2rec2" / "train.rec"
    (failure,) = checked(rec).profile_failures

    assert (11, 12, "begins another run of images with label 0") == (failure.record, failure.key, failure.detail)
    assert 3 == im2rec("inspect", rec, "--profile", "insightface").code


def test_runs_do_not_matter_without_a_header(tmp_path: Path) -> None:
    assert [] == failures(written(tmp_path, images(0, 1, 0, 1, 2, first=0), prop="3,16,16"))


def test_labels_that_are_no_classes_are_named(tmp_path: Path) -> None:
    found = failures(written(tmp_path, images(0, -1, 1.5, 1, first=0)))
    expected = [
        ("classes", 1, "has the label -1, which is no class"),
        ("classes", 2, "has the label 1.5, which is no class"),
    ]
    assert expected == found


def test_labels_beyond_and_below_the_classes_of_property_are_named(tmp_path: Path) -> None:
    found = failures(written(tmp_path, images(0, 3, 7, first=0), prop="6,16,16"))
    expected = [
        ("classes", 2, "has the label 7, and property says 6 classes"),
        ("classes", None, "no image has the labels 1 to 2"),
        ("classes", None, "no image has the labels 4 to 5"),
    ]
    assert expected == found


def test_a_property_file_of_huge_numbers_takes_no_memory(tmp_path: Path) -> None:
    found = failures(written(tmp_path, images(0, first=0), prop=f"{10**17},16,16"))
    assert [("classes", None, f"no image has the labels 1 to {10**17 - 1}")] == found


def test_labels_of_another_length_are_named(tmp_path: Path) -> None:
    rows: list[Row] = [*images(0, 1, first=0), (2, [1.0, 0.0], FACE)]
    assert [("labels of one length", 2, "has a vector of 2 labels, most images 1 label")] == failures(
        written(tmp_path, rows)
    )


def test_images_of_another_size_and_unreadable_ones_are_named(tmp_path: Path) -> None:
    small, broken = encoded(texture(12, 16)), FACE[:4] + bytes(300)
    rows: list[Row] = [*images(0, first=0), (1, 0.0, small), (2, 0.0, broken), (3, 0.0, b"some text")]
    found = failures(written(tmp_path, rows, prop="1,16,16"))

    assert ("images", 1, "is an image of 16 x 12, property says 16 x 16") == found[0]
    assert ("images", 2) == found[1][:2]
    assert ("images", 3, "holds no image") == found[2]


def test_a_property_file_of_another_count_fails(tmp_path: Path) -> None:
    found = failures(written(tmp_path, images(0, first=0), prop="1,16,16\n7\n"))
    assert [("property", None, f"{tmp_path / 'property'}: says 7 images, there are 1")] == found


def test_numbers_that_float32_cannot_hold_fail() -> None:
    found = failures(GOLDEN / "above_2_24" / "train.rec")

    assert "exact numbers" in {rule for rule, _, _ in found}
    assert ("keys of images", None, "no image has the keys 1 to 16777210") in found
    assert ("keys of images", 16777223, "holds no image, and readers read the keys 1 to 16777223") in found
    assert [16777225, 16777226] == [key for rule, key, _ in found if rule == "ranges"]


def test_other_files_are_told_what_they_lack(tmp_path: Path) -> None:
    rec = written(tmp_path, [(key, [2, 5, 0, 0.1, 0.2, 0.3, 0.4], FACE) for key in range(1, 3)])
    code, out, _ = im2rec("inspect", rec, "--profile", "insightface")

    assert 3 == code
    assert "  kind      detection vectors\n" in out
    assert "no record has key 0" in out


def test_a_file_without_images_ends_with_4_as_ever(tmp_path: Path) -> None:
    rec = written(tmp_path, [(0, [1, 2], b""), (1, [-1, 1], b"")])
    code, out, _ = im2rec("inspect", rec, "--profile", "insightface")

    assert 4 == code
    assert "  failed    the file holds no images\n" in out


def test_a_million_failures_are_counted_and_a_thousand_named(tmp_path: Path) -> None:
    rec = written(tmp_path, [*images(*[-1] * 1200, first=0)])
    check = checked(rec, every=False)

    assert (1200, 1000) == (check.failed, len(check.profile_failures))
    out = im2rec("inspect", rec, "--profile", "insightface").out
    assert "1,197 failures; --json lists" in out
    assert out.rstrip().endswith("--profile insightface --json")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(4))
def test_no_numbers_however_wrong_stop_the_profile(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    for number in range(12):
        rows: list[Row] = []
        for _ in range(draw.randrange(1, 9)):
            vector = [draw.choice(NUMBERS) for _ in range(draw.choice([1, 2, 2, 2, 7]))]
            label = draw.choice([draw.choice(NUMBERS), vector])
            rows.append((draw.choice(KEYS), label, draw.choice([b"", FACE, FACE, b"no image"])))
        rec = written(tmp_path / str(number), rows, prop=draw.choice(PROPERTIES))
        if draw.random() < 0.2:
            rec.write_bytes(rec.read_bytes()[: -draw.randrange(1, 30)])
        code, out, err = im2rec("inspect", rec, "--profile", "insightface", "--sheet", rec.with_suffix(".png"))
        assert code in (3, 4, 5), err
        assert len(out.splitlines()) <= 24


# The command line.


def test_json_has_readers_and_failures(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "no_header_vector", tmp_path / "Gesichter ä")
    code, out, _ = im2rec("inspect", tmp_path / "Gesichter ä" / "train.rec", "--profile", "insightface", "--json")
    profile: dict[str, Any] = json.loads(out)["profile"]

    assert 3 == code
    assert {"rule": "key 0", "record": 0, "key": 0} == {
        k: profile["profile_failures"][0][k] for k in ("rule", "record", "key")
    }
    assert [("arcface_torch", False), ("vpl", True)] == [(one["name"], one["takes"]) for one in profile["readers"][:2]]


def test_without_the_profile_nothing_is_said_of_it() -> None:
    found = survey(GOLDEN / "scalar" / "train.rec")
    assert found.profile is None


def test_the_profile_is_for_the_summary() -> None:
    rec = GOLDEN / "scalar" / "train.rec"
    assert 2 == im2rec("inspect", rec, "--profile", "insightface", "--head", 1).code
    assert 2 == im2rec("inspect", rec, "--profile", "other").code


def test_a_set_of_plain_labels_gets_its_identities_with_the_profile(tmp_path: Path) -> None:
    rec = written(tmp_path, images(0, 1, 1, first=0))
    found = survey(rec, profile=True)

    assert "plain images" == found.set_kind
    assert found.insightface is not None
    assert 2 == found.insightface.identities
    assert np.isclose(1.5, found.insightface.images_per_identity.median)  # type: ignore[union-attr]
