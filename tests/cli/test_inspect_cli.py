"""The command ``im2rec inspect``: its tables, JSON and exit codes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from helpers import GOLDEN, GOLDEN_RECS, image_payload, index_text, write_rec
from image_helpers import Ran, encoded, im2rec, names_in, texture

from im2rec.format.recordio import encode_record

pytestmark = pytest.mark.usefixtures("here")

PASS_THROUGH = GOLDEN / "pass_through.rec"


def images(count: int) -> list[bytes]:
    return [image_payload(n, n % 3, encoded(texture(seed=n))) for n in range(count)]


def rows(out: str) -> dict[str, str]:
    """The rows of a table by name, with continued lines joined."""
    values: dict[str, str] = {}
    for line in out.splitlines()[1:]:
        if line.startswith("next: "):
            break
        name, _, value = line.strip().partition("  ")
        if line.startswith("   "):
            values[list(values)[-1]] += " " + line.strip()
        else:
            values[name] = value.strip()
    return values


def test_the_survey_of_a_golden_file_agrees_with_its_record() -> None:
    code, out, err = im2rec("inspect", PASS_THROUGH)

    assert (0, "") == (code, err)
    found = rows(out)
    assert "plain images" == found["kind"]
    assert "8 with 1 label" == found["labels"]
    assert "3, labels 0 to 2; rarest label 2 (2), most common label 1 (3)" == found["classes"]
    assert "93 to 100, all different" == found["ids"]
    assert "5 PNG, 3 JPEG" == found["content"]
    assert "8 looked at: 4 with 3 channels, 3 with 1 channel, 1 with 4 channels" == found["images"]
    assert "7 to 24, median 14" == found["width"]
    assert "6 to 20, median 11" == found["height"]
    assert found["index"].endswith("pass_through.idx: agrees; its keys are ids")


RANGES: dict[str, list[float]] = {
    "1: label 7": [7, 7],
    "2, labels 0 to 1; rarest label 1 (1), most common label 0 (2)": [0, 0, 1],
    "3; labels 1 to 5, 2 of these unused: a classifier needs 6 outputs (or select --relabel);"
    " rarest label 4 (1), most common label 1 (2)": [1, 1, 4, 5],
    "2; labels 1 to 1000000, 999,998 of these unused: a classifier needs 1,000,001 outputs (or select --relabel);"
    " rarest label 1000000 (1), most common label 1 (2)": [1, 1000000, 1],
    "2; labels 0 to 2, 1 of these unused: a classifier needs 3 outputs (or select --relabel);"
    " rarest label 0 (1), most common label 2 (2)": [0, 2, 2],
    "2; labels 0 to 16777216, 16,777,215 of these unused: too high for a classifier (select --relabel);"
    " rarest label 0 (1), most common label 16777216 (1)": [0, 1 << 24],
    "2; labels -1 to 1, 1 of these unused: a classifier needs labels from 0 on (select --relabel);"
    " rarest label -1 (1), most common label 1 (1)": [-1, 1],
    "3 distinct values, 0.1 to 2, not all of them whole numbers": [0.1, 0.5, 2],
}


def test_the_classes_are_shown_with_their_range_and_gaps(here: Path) -> None:
    for expected, labels in RANGES.items():
        write_rec(here / "a.rec", [image_payload(n, label, encoded(texture())) for n, label in enumerate(labels)])
        assert expected == rows(im2rec("inspect", "a.rec").out)["classes"]


VECTORS: dict[str, list[list[float]]] = {
    "2 with a vector of 2 labels: whole 3 to 11; 0.00123 to 0.998": [[3, 0.001234], [11, 0.99809]],
    "2 with a vector of 3 labels: whole 100000 to 16777216; all 0; 0.5 to 12345.7": [
        [1e5, 0, 0.5],
        [1 << 24, 0, 12345.7],
    ],
    "1 with a vector of 1 label": [[3]],
    "1 with a vector of 2 labels, 1 with a vector of 3 labels": [[3, 4], [3, 4, 5]],
}


def test_the_places_of_label_vectors_are_shown_with_their_ranges(here: Path) -> None:
    for expected, labels in VECTORS.items():
        write_rec(here / "a.rec", [image_payload(n, label, encoded(texture())) for n, label in enumerate(labels)])
        assert expected == rows(im2rec("inspect", "a.rec").out)["labels"]


def test_labels_that_are_not_finite_are_a_problem_and_exit_code_3(here: Path) -> None:
    write_rec(
        here / "a.rec", [image_payload(n, label, encoded(texture())) for n, label in enumerate([1, float("nan")])]
    )
    code, out, _ = im2rec("inspect", "a.rec")

    assert (3, "1 record has a label that is not a finite number; first: record 1, nan") == (code, rows(out)["problem"])


def test_class_names_take_the_place_of_label_numbers_and_misfits_are_warnings(here: Path) -> None:
    write_rec(here / "a.rec", [image_payload(n, label, encoded(texture())) for n, label in enumerate([1, 2, 2])])
    (here / "a.classes.txt").write_text("ant\nbee\ncat\n")
    code, out, err = im2rec("inspect", "a.rec", "-q")
    assert (0, "") == (code, err)
    needs = "2; labels 1 to 2: a classifier needs 3 outputs (or select --relabel)"
    assert f"{needs}; rarest bee (1), most common cat (2)" == rows(out)["classes"]

    (here / "a.classes.txt").write_text("ant\nbee\n")
    code, out, err = im2rec("inspect", "a.rec", "-q")
    warning = "a.classes.txt: names 2 classes, and the labels go up to 2: does it belong here?"
    assert (0, f"warning: {warning}\n") == (code, err)
    assert f"{needs}; rarest bee (1), most common label 2 (2)" == rows(out)["classes"]


def test_the_survey_of_every_golden_file_fits_24_lines() -> None:
    for name in GOLDEN_RECS:
        code, out, err = im2rec("inspect", GOLDEN / f"{name}.rec")
        assert code in (0, 3, 4), name
        assert "" == err
        assert len(out.splitlines()) <= 24


def test_json_has_the_numbers_of_the_table() -> None:
    found = json.loads(im2rec("inspect", PASS_THROUGH, "--json").out)

    assert (2, "inspect", 2972, 8, 8, "plain images") == tuple(
        found[key] for key in ("schema", "command", "size", "records", "images", "set_kind")
    )
    assert {"PNG": 5, "JPEG": 3} == found["contents"]
    assert {"lowest": 93, "highest": 100, "duplicates": 0, "first_duplicate": None} == found["ids"]
    assert {"smallest": 114, "median": 142, "largest": 869} == found["payload_bytes"]
    assert ("agrees", [], 0) == (found["index"]["state"], found["damage"], found["damaged_bytes"])


def test_a_file_needs_no_index(here: Path) -> None:
    write_rec(here / "any name", images(3), index=False)
    code, out, _ = im2rec("inspect", "any name")

    assert 0 == code
    assert "none beside it; not needed, but opening then scans the file" == rows(out)["index"]
    assert "next: im2rec inspect 'any name' --head 3" == out.splitlines()[-1]
    assert ["any name"] == names_in(here)


def test_a_wrong_index_is_reported_with_exit_3(here: Path) -> None:
    rec = write_rec(here / "a.rec", images(3))
    (here / "a.idx").write_bytes(index_text([0, 4, 8, 12]))
    code, out, _ = im2rec("inspect", rec)

    assert 3 == code
    assert "WRONG: 3 of its 4 offsets are not the start of a record, byte 4 for example" in rows(out)["index"]


def test_records_that_are_elsewhere_are_a_problem_of_which_the_next_command_is_a_new_index(here: Path) -> None:
    payloads = images(6)
    rec = write_rec(here / "a.rec", payloads)
    write_rec(here / "b.rec", [*payloads[:2], payloads[3], payloads[2], *payloads[4:]], index=False).replace(rec)
    code, out, _ = im2rec("inspect", "a.rec")

    assert 3 == code
    assert "a.idx: agrees; its keys are ids; 2 records of it are elsewhere in the file now" == rows(out)["index"]
    assert "next: im2rec index a.rec --out a.idx --force" == out.splitlines()[-1]
    assert 0 == im2rec("index", "a.rec", "--out", "a.idx", "--force").code
    assert 0 == im2rec("inspect", "a.rec").code


def test_another_index_can_be_given(here: Path) -> None:
    write_rec(here / "a.rec", images(3))
    (here / "b.idx").write_bytes(index_text([0]))

    assert 0 == im2rec("inspect", "a.rec").code
    code, out, _ = im2rec("inspect", "a.rec", "--idx", "b.idx")
    assert (0, "b.idx: lists 1 of 3 records; its keys are ids") == (code, rows(out)["index"])
    assert "not compared, because of --no-idx" == rows(im2rec("inspect", "a.rec", "--no-idx").out)["index"]
    assert 2 == im2rec("inspect", "a.rec", "--no-idx", "--idx", "b.idx").code
    expected = "im2rec: c.idx: cannot be read: no such file or directory (check the path)\n"
    assert Ran(4, "", expected) == im2rec("inspect", "a.rec", "--idx", "c.idx")


def test_damage_is_reported_first_with_exit_5_and_whole_records_are_surveyed(here: Path) -> None:
    frames = [encode_record(payload) for payload in images(6)]
    starts = [sum(map(len, frames[:n])) for n in range(7)]
    frames[2] = b"\xff" * len(frames[2])
    (here / "a.rec").write_bytes(b"".join(frames))
    code, out, err = im2rec("inspect", "a.rec")

    assert (5, "") == (code, err)
    assert out.startswith("a.rec: 5 records, 5 images, ")
    assert "damaged" == next(iter(rows(out)))
    assert rows(out)["damaged"].startswith(
        "5 whole records, 0 doubtful, lost: probably 1, as id 2 is missing 1 damaged range, "
    )
    assert f"in all: bytes {starts[2]} to {starts[3]}, after 2 records: expected the magic" in rows(out)["damaged"]


def test_the_first_record_with_a_problem_is_named_and_so_is_the_first_that_is_doubtful(here: Path) -> None:
    page = b"<html><title>404 Not Found</title></html>"
    payloads = [image_payload(n + 50, n, page if n in (1, 3) else encoded(texture())) for n in range(6)]
    starts = [sum(map(len, map(encode_record, payloads[:n]))) for n in range(7)]
    data = write_rec(here / "a.rec", payloads, index=False).read_bytes()
    code, out, _ = im2rec("inspect", "a.rec")
    where = f"record 1 (id 51, byte {starts[1]}) holds an HTML page"
    assert 3 == code
    assert f"2 records with content that is not an image; first: {where}" == rows(out)["problem"]

    (here / "a.rec").write_bytes(data[: starts[4]] + bytes(starts[5] - starts[4]) + data[starts[5] :])
    code, out, _ = im2rec("inspect", "a.rec")
    assert 5 == code
    assert (
        "4 whole records, 1 doubtful (record 3, id 53), lost: probably 1, as id 54 is missing" in rows(out)["damaged"]
    )
    listed = json.loads(im2rec("inspect", "a.rec", "--json").out)["problems_by_record"]
    assert [(3, 53, "doubtful", None), (1, 51, "not an image", "an HTML page")] == [
        (bad["record"], bad["id"], bad["problem"], bad["detail"]) for bad in listed[:2]
    ]


def test_rows_that_matter_less_are_left_out_where_there_are_too_many(here: Path) -> None:
    payloads = [
        image_payload(
            n, n % 3, encoded(texture(seed=n), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0")
        )
        for n in range(30)
    ]
    frames = [encode_record(payload) for payload in [*payloads, *(image_payload(9, 1, b"text") for _ in range(9))]]
    frames[1:20:2] = [b"bad!" + frame[4:] for frame in frames[1:20:2]]
    write_rec(here / "a.rec", [*payloads, *(image_payload(9, 1, b"text") for _ in range(9))])
    (here / "a.rec").write_bytes(b"".join(frames))
    code, out, _ = im2rec("inspect", "a.rec", "--verify", "--workers", "1", "--sheet", "s.png")

    assert 5 == code
    assert len(out.splitlines()) <= 24
    assert {"damaged", "kind", "labels", "index", "problem", "decoded", "failed", "sheet"} <= rows(out).keys()
    assert "EXIF" not in rows(out)


def test_head_shows_the_first_records() -> None:
    code, out, err = im2rec("inspect", PASS_THROUGH, "--head", "2")

    assert (0, "") == (code, err)
    assert (
        "record 0 at byte 0, id 100, label 0\n"
        "  content  PNG, 13 x 9, 3 channels, 90 B\n"
        "record 1 at byte 124, id 99, label 1\n"
        "  content  JPEG, 20 x 12, 3 channels, 845 B\n"
        f"next: im2rec inspect {PASS_THROUGH} --verify\n"
    ) == out


def test_key_shows_the_record_with_that_key() -> None:
    _, out, _ = im2rec("inspect", PASS_THROUGH, "--key", "93", "--key", "100")

    assert ["record 7 at byte 2820, id 93, label 1", "record 0 at byte 0, id 100, label 0"] == [
        line for line in out.splitlines() if line.startswith("record")
    ]


def test_label_vectors_are_shown_up_to_eight(here: Path) -> None:
    write_rec(here / "a.rec", [image_payload(0, list(range(10)), encoded(texture())), image_payload(1, [1, 2], b"")])
    _, out, _ = im2rec("inspect", "a.rec", "--head", "2")

    assert "id 0, labels 0 1 2 3 4 5 6 7 and 2 more" in " ".join(out.split())
    assert "id 1, labels 1 2 content empty, 0 B" in " ".join(out.split())


def test_single_records_can_be_printed_as_json() -> None:
    found = json.loads(im2rec("inspect", PASS_THROUGH, "--head", "1", "--json").out)

    assert {"schema": 2, "command": "inspect", "input": str(PASS_THROUGH)} == {
        key: found[key] for key in ("schema", "command", "input")
    }
    (record,) = found["shown"]
    expected = {"record": 0, "offset": 0, "id": 100, "labels": [0], "content": "PNG", "width": 13, "height": 9}
    assert expected == {key: record[key] for key in expected}


def test_a_set_without_images_is_surveyed_with_exit_4() -> None:
    code, out, err = im2rec("inspect", GOLDEN / "plain.rec")

    assert (4, "") == (code, err)
    assert "records without image headers: their payloads are text" == rows(out)["kind"]


# Images that do not decode.

JPEG = encoded(texture(), quality=90)


def with_bad_images(path: Path, good: int, bad: int) -> Path:
    """A set of *good* images that decode, and behind them *bad* ones that do not."""
    contents = [JPEG] * good + [JPEG[:-40]] * bad
    return write_rec(path, [image_payload(row, 1.0, content) for row, content in enumerate(contents)])


def verified(rec: object, *words: object) -> list[str]:
    """The lines of ``inspect --verify``; there are at most 24."""
    lines = im2rec("inspect", rec, "--verify", "--workers", "1", *words).out.splitlines()
    assert len(lines) <= 24
    return lines


def test_after_failures_the_next_command_writes_what_decodes(here: Path) -> None:
    with_bad_images(here / "a b.rec", 2, 1)
    following = verified("a b.rec")[-1]

    assert "next: im2rec select 'a b.rec' 'a b_decodable.rec' --decodable" == following
    assert 0 == im2rec(*shlex.split(following)[2:]).code
    assert 0 == im2rec("inspect", "a b_decodable.rec", "--verify", "--workers", "1").code


def test_the_next_command_of_a_damaged_file_with_failures_takes_its_whole_records(here: Path) -> None:
    rec = with_bad_images(here / "a.rec", 3, 1)
    rec.write_bytes(b"????" + rec.read_bytes()[4:])
    following = verified("a.rec")[-1]

    assert "next: im2rec select a.rec a_decodable.rec --decodable" == following
    assert 5 == im2rec(*shlex.split(following)[2:]).code
    again = im2rec("inspect", "a_decodable.rec", "--verify", "--workers", "1")
    assert (0, True) == (again.code, "  decoded   2 images; 0 failures\n" in again.out)


def test_the_next_command_keeps_the_limit_of_pixels_and_does_without_an_index_that_was_not_used(here: Path) -> None:
    rec = write_rec(here / "a.rec", [image_payload(row, 0.0, encoded(texture(8, 8 * row))) for row in (1, 2)])
    select = "next: im2rec select a.rec a_decodable.rec --decodable"
    assert f"{select} --max-pixels 100" == verified("a.rec", "--max-pixels", 100)[-1]
    assert f"{select} --no-idx --max-pixels 100" == verified("a.rec", "--max-pixels", 100, "--no-idx")[-1]

    rec.with_suffix(".idx").write_text("0\t4\n1\t8\n")
    assert f"{select} --no-idx --max-pixels 100" == (following := verified("a.rec", "--max-pixels", 100)[-1])
    assert 0 == im2rec(*shlex.split(following)[2:]).code


def test_a_file_of_which_no_image_decodes_has_all_failures_for_its_next_command(here: Path) -> None:
    with_bad_images(here / "a.rec", 0, 2)
    assert "next: im2rec inspect a.rec --verify --json" == verified("a.rec")[-1]


def test_the_command_that_lists_all_problems_has_the_options_that_these_follow_from(here: Path) -> None:
    rec = write_rec(here / "a.rec", [image_payload(row, 0.0, encoded(texture(8, 16))) for row in (1, 2)])
    rec.with_suffix(".idx").rename(here / "b c.idx")
    following = verified("a.rec", "--max-pixels", 100, "--idx", "b c.idx", "--all")[-1]

    assert "next: im2rec inspect a.rec --verify --idx 'b c.idx' --all --max-pixels 100 --json" == following
    assert 2 == len(json.loads(im2rec(*shlex.split(following)[2:]).out)["verification"]["failures"])
    without = verified("a.rec", "--max-pixels", 100, "--no-idx")[-1]
    assert "next: im2rec inspect a.rec --verify --no-idx --max-pixels 100 --json" == without


def test_problems_without_an_index_are_looked_for_without_it_again(here: Path) -> None:
    write_rec(here / "a.rec", [image_payload(0, 0.0, encoded(texture(8, 8))), image_payload(1, 0.0, b"")])

    assert "next: im2rec inspect a.rec --verify --no-idx" == im2rec("inspect", "a.rec", "--no-idx").out.splitlines()[-1]


@pytest.mark.parametrize("bad", range(1, 16))
def test_failures_are_shown_as_far_as_there_is_room_and_a_single_one_is_never_hidden(here: Path, bad: int) -> None:
    with_bad_images(here / "a.rec", 1, bad)
    lines = verified("a.rec")

    shown = [line for line in lines if line.startswith("  failed ")]
    more = [line.split()[1] for line in lines if line.startswith("  more ")]
    assert bad == len(shown) + (int(more[0]) if more else 0)
    assert "1" not in more
    assert min(bad, 8) <= len(shown)
