"""``im2rec make-list`` from the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from image_helpers import GOLDEN_IMAGES, SAMPLE_PHOTOS, Ran, im2rec, names_in, typed

pytestmark = pytest.mark.usefixtures("here")


def photos(folder: Path, *names: str) -> Path:
    """A folder ``photos`` with empty files: making a list opens none of them."""
    for name in names or [f"{kind}/{n}.jpg" for kind in ("cats", "dogs") for n in range(10)]:
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder / "photos"


def test_the_first_users_command_works(here: Path) -> None:
    photos(here)
    code, out, err = typed("make-list photos/ --shuffle --split 0.9")

    assert (0, "") == (code, err)
    assert ["photos", "photos.classes.txt", "photos_test.lst", "photos_train.lst"] == names_in(here)
    assert [18, 2] == [len((here / f"photos_{part}.lst").read_text().splitlines()) for part in ("train", "test")]
    assert (
        "photos: 20 images in 2 classes\n"
        "  smallest  cats (10)\n"
        "  largest   dogs (10)\n"
        "  written   photos_train.lst (18), photos_test.lst (2), photos.classes.txt\n"
        "next: im2rec pack photos_train.lst photos photos_train.rec\n"
    ) == out


def test_the_sample_photos_become_lists(here: Path) -> None:
    code, out, _ = im2rec("make-list", SAMPLE_PHOTOS, "--json")
    summary = json.loads(out)

    assert 0 == code
    assert {"photos.lst": summary["images"]} == summary["lists"]
    assert {"bark", "clouds", "dunes", "pebbles", "water/lake"} == set(summary["class_images"])
    text = (here / "photos.lst").read_text(encoding="utf-8")
    assert "\tclouds/grey morning.jpg\n" in text
    assert "\twater/lake/brücke.jpg\n" in text


def test_json_has_every_fact_of_the_summary(here: Path) -> None:
    _, out, _ = im2rec("make-list", GOLDEN_IMAGES, "--split", "0.5,0.25,0.25", "--prefix", "l", "--json")

    mixed = "l_train.lst has images of 3 of the 5 classes; --shuffle or --stratify mixes them"
    assert {
        "schema": 2,
        "command": "make-list",
        "input": os.fspath(GOLDEN_IMAGES),
        "images": 8,
        "classes": 5,
        "class_images": {".": 1, "Dogs": 2, "cats": 2, "cats/inner": 1, "with space": 2},
        "left_out": {"hidden": 1, "other suffix": 1},
        "problems": [],
        "warnings": [mixed],
        "lists": {"l_train.lst": 4, "l_val.lst": 2, "l_test.lst": 2},
        "classes_file": "l.classes.txt",
        "dry_run": False,
        "left_out_suffixes": {".txt": 1},
        "classes_without_train": ["cats/inner", "with space"],
    } == json.loads(out)
    assert ["l.classes.txt", "l_test.lst", "l_train.lst", "l_val.lst"] == names_in(here)


OPTIONS = [
    ([], ["photos.lst"]),
    (["--split", "1"], ["photos.lst"]),
    (["--split", "0.8,0.1,0.1"], ["photos_test.lst", "photos_train.lst", "photos_val.lst"]),
    (["--split", "0.5, 0.5"], ["photos_test.lst", "photos_train.lst"]),
    (["--chunks", "3"], ["photos_0.lst", "photos_1.lst", "photos_2.lst"]),
    (["--stratify", "--split", "0.5"], ["photos_test.lst", "photos_train.lst"]),
]


def test_options_determine_which_lists_are_written(here: Path) -> None:
    photos(here)
    for options, expected in OPTIONS:
        assert 0 == im2rec("make-list", "photos", "--force", *options).code
        assert expected == sorted(path.name for path in here.glob("*.lst"))
        for path in here.glob("*.lst"):
            path.unlink()


def test_the_seed_determines_the_order(here: Path) -> None:
    photos(here)
    texts = []
    for options in ([], ["--seed", "100"], ["--seed", "7"]):
        assert 0 == im2rec("make-list", "photos", "--shuffle", "--force", *options).code
        texts.append((here / "photos.lst").read_text())

    assert texts[0] == texts[1] != texts[2]
    assert 1 == len({tuple(sorted(text.splitlines())) for text in texts})


def test_extensions_are_separated_by_commas(here: Path) -> None:
    photos(here, "a.JPG", "b.webp", "c.gif", "d.txt")
    code, out, _ = im2rec("make-list", "photos", "--exts", ".WebP, gif")

    assert 0 == code
    assert ["0\t0\tb.webp", "1\t0\tc.gif"] == (here / "photos.lst").read_text().splitlines()
    assert "  left out  2 other suffix: .jpg (1), .txt (1); list them with --exts\n" in out


def test_left_out_suffixes_are_counted_in_any_case_the_most_common_first(here: Path) -> None:
    photos(here, "a.jpg", "b.heic", "c.HEIC", "README", *(f"x.{number}" for number in range(9)))
    _, out, err = im2rec("make-list", "photos")

    shown = "12 other suffix: .heic (2), no suffix (1), .0 (1), .1 (1), .2 (1) and 6 more; list them with --exts"
    shown += " (convert HEIC to JPEG first)"  # as pack takes none
    assert "" == err
    assert f"  left out  {shown}" in " ".join(out.split()).replace("left out ", "  left out  ")


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be on Windows")
def test_a_name_that_cannot_be_listed_is_a_warning_and_exit_3(here: Path) -> None:
    photos(here, "a.jpg", "b\tc.jpg")
    code, out, err = im2rec("make-list", "photos")

    assert 3 == code
    assert "1 name cannot stand in a list" in out
    why = "name cannot stand in a list (a TAB, a line break, or a blank at an end); rename it"
    assert f"warning: 'b\\tc.jpg': {why}\n" == err
    assert ["0\t0\ta.jpg"] == (here / "photos.lst").read_text().splitlines()


def test_an_empty_part_is_a_warning(here: Path) -> None:
    photos(here, "a.jpg")
    code, _, err = im2rec("make-list", "photos", "--split", "0.9")

    assert (0, "warning: photos_test.lst is empty\n") == (code, err)


NO_INPUT = {
    "gone": "gone: cannot be read: no such file or directory (check the path)",
    "file": "file: is not a folder (name the folder that holds the images)",
    "empty": "empty: holds no images (.jpg, .jpeg, .png) (is it the right folder?)",
}


def test_a_root_that_cannot_be_used_is_exit_4(here: Path) -> None:
    (here / "file").touch()
    (here / "empty").mkdir()
    for root, expected in NO_INPUT.items():
        assert Ran(4, "", f"im2rec: {expected}\n") == im2rec("make-list", root)
    assert ["empty", "file"] == names_in(here)


WRONG = {
    "--split 0.9,0.2": "--split 0.9,0.2 adds up to 1.1, not to 1",
    "--split -0.1": "--split -0.1 must hold shares from 0 to 1",
    "--split 0.4,0.3,0.2,0.1": "--split 0.4,0.3,0.2,0.1 has 4 values (give one to three, as in 0.8,0.1,0.1)",
    "--chunks 0": "--chunks=0 must be 1 or more",
    "--chunks 30": "--chunks=30 leaves lists empty: 20 images, 1 in a list",
    "--exts ,": "--exts names no suffix (for one: --exts jpg,png)",
}


def test_invalid_options_are_exit_2(here: Path) -> None:
    photos(here)
    for words, expected in WRONG.items():
        assert Ran(2, "", f"im2rec: {expected}\n") == im2rec("make-list", "photos", *words.split())
    assert ["photos"] == names_in(here)


def test_many_lists_are_abbreviated_in_the_summary(here: Path) -> None:
    photos(here)
    _, out, _ = im2rec("make-list", "photos", "--chunks", "10")

    assert "photos_3.lst (2), and 6 more, photos.classes.txt" in " ".join(out.split())
    assert 10 == len(list(here.glob("*.lst")))


def test_a_prefix_without_a_file_name_is_an_error_of_one_line(here: Path) -> None:
    photos(here)
    code, out, err = typed("make-list photos --prefix .")

    assert code in (1, 2)
    assert "" == out
    assert 1 == err.count("\n")
    assert "internal error" not in err
