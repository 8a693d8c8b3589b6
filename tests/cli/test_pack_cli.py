"""``im2rec pack`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from image_helpers import KEPT, Ran, im2rec, names_in, pixels_of, records_of, typed, write_images, write_list

from im2rec.cli import _needs_workers

NAMES = ["cats/1.jpg", "cats/2.jpg", "dogs/3.png"]


@pytest.fixture(autouse=True)
def here(here: Path) -> Path:
    """A current directory with the first user's files: image.lst with four labels per line, and root."""
    write_images(here / "root", NAMES, height=300, width=400)
    write_list(here / "image.lst", NAMES, first_id=5, labels="1\t2\t3\t4")
    return here


def shapes(rec: str) -> list[tuple[int, ...]]:
    return [pixels_of(record.content).shape for record in records_of(Path(rec))]


# The lines of the project's first user.


def test_the_first_users_command_works(here: Path) -> None:
    code, out, err = typed("pack image.lst root out.rec resize=256 label_width=4", "--workers", "1")

    warning = "warning: 3 images have several labels, only the first is stored; keep all with pack_label=1\n"
    assert (0, warning) == (code, err)
    lines = out.splitlines()
    assert "packed 3 images of image.lst" == lines[0]
    assert "next: im2rec inspect out.rec" == lines[-1]
    assert ["image.lst", "out.idx", "out.rec", "root"] == names_in(here)
    assert [(256, 341, 3), (256, 341, 3), (256, 340, 3)] == shapes("out.rec")
    assert [(0, 1.0, 5), (0, 1.0, 6), (0, 1.0, 7)] == [
        (record.header.flag, record.header.label, record.header.id) for record in records_of(Path("out.rec"))
    ]


def test_the_command_of_mxnets_manual_works_without_the_word_pack(here: Path) -> None:
    (here / "root").rename(here / "image_root_dir")
    code, _, err = typed("image.lst image_root_dir output.bin resize=256")
    assert 0 == code
    assert 1 == err.count("warning: ")
    assert ["image.lst", "image_root_dir", "output.bin", "output.idx"] == names_in(here)

    code, out, err = im2rec("inspect", "output.bin")
    assert (0, "") == (code, err)
    assert out.startswith("output.bin: 3 records, 3 images, ")
    assert "  labels    3 with 1 label\n" in out
    assert "output.idx: agrees; its keys are ids" in out


def test_the_labels_of_the_manual_are_all_kept_with_pack_label(here: Path) -> None:
    code, _, err = im2rec(
        *["pack", "image.lst", "root", "out.rec", "resize=16", "label_width=4", "pack_label=1", "--workers", "1"]
    )

    assert (0, "") == (code, err)
    assert [[1, 2, 3, 4]] * 3 == [record.header.label.tolist() for record in records_of(here / "out.rec")]


# Keys, values and options.

WRONG = {
    "rezise=256": "unknown key 'rezise' (the nearest known key is 'resize')",
    "centre_crop=1": "unknown key 'centre_crop' (the nearest known key is 'center_crop')",
    "workers=2": "unknown key 'workers'",
    "=3": "unknown key ''",
    "resize": "'resize' is not KEY=VALUE (write resize=VALUE)",
    "resize 256": "'resize' is not KEY=VALUE (write resize=VALUE)",
    "blah": "'blah' is not KEY=VALUE (write KEY=VALUE, as in resize=VALUE)",
    "resize=256 resize=224": "resize is given twice: 256 and 224 (give it once)",
    "resize=big": "resize=big must be an integer",
    "resize=-5": "resize=-5 must be -1 to 65535 (",
    "encoding=.gif": "encoding=.gif must be .jpg, .png or .bmp (",
    "unchanged=1 resize=256": "unchanged=1 excludes resize=256 (",
    "part=2 nsplit=2": "part=2 must be below nsplit=2 (parts count from 0)",
}


def test_invalid_keys_and_values_are_exit_2(here: Path) -> None:
    for words, expected in WRONG.items():
        code, out, err = im2rec("pack", "image.lst", "root", "out.rec", *words.split())
        assert (2, "", 1) == (code, out, err.count("\n"))
        assert f"im2rec: {expected}" == err.rstrip("\n")[: len(f"im2rec: {expected}")]
    assert ["image.lst", "root"] == names_in(here)


def test_a_key_may_be_given_twice_with_the_same_value() -> None:
    assert 0 == typed("pack image.lst root out.rec resize=16 resize=16 --workers 1").code


def test_options_may_be_given_anywhere_among_the_arguments() -> None:
    assert 0 == typed("pack --workers 1 image.lst --quiet root out.rec resize=-1 --json encoding=.png").code
    assert [(300, 400, 3), (301, 401, 3), (302, 402, 3)] == shapes("out.rec")


# Its output.


def test_images_outside_of_root_are_a_row_of_the_summary_and_two_facts_of_json(here: Path) -> None:
    write_list(here / "out.lst", ["1.jpg", "../dogs/3.png", str(here / "root" / "dogs" / "3.png")])
    row = "  outside  2 paths lead out of ROOT, line 2 first (--outside refuse omits them)"
    words = "pack out.lst root/cats out.rec unchanged=1 --workers 1 --force"

    assert row in typed(words).out.splitlines()
    assert {"outside": 2, "outside_line": 2}.items() <= json.loads(typed(f"{words} --json").out).items()
    write_list(here / "out.lst", ["1.jpg", "../dogs/3.png"])
    assert "  outside  1 path leads out of ROOT, line 2 first" in typed(words).out
    refused = typed(f"{words} --outside refuse")
    assert 3 == refused.code
    assert "1 outside ROOT; first: line 2, ../dogs/3.png; all in out.rec.bad.jsonl" in " ".join(refused.out.split())
    assert "  outside" not in refused.out


def test_json_has_every_fact_of_the_summary(here: Path) -> None:
    (here / "root" / "cats" / "2.jpg").write_bytes(b"hello")
    code, out, err = typed("pack image.lst root out.rec unchanged=1 --workers 2 --json")
    summary = json.loads(out)

    assert 3 == code
    assert 1 == err.count("\n")
    sizes = sum((here / "root" / name).stat().st_size for name in NAMES)
    assert summary.pop("seconds") >= 0
    assert summary.pop("images_per_s") > 0
    first = summary.pop("first_bad")
    assert {
        "schema": 2,
        "command": "pack",
        "input": "image.lst",
        "images": 2,
        "resumed": 0,
        "resumed_line": None,
        "bad": {"not an image": 1},
        "notes": {},
        "warnings": ["3 images have several labels, only the first is stored; keep all with pack_label=1"],
        "bytes_in": sizes,
        "bytes_out": (here / "out.rec").stat().st_size,
        "workers": 2,
        "engine": "",
        "kernel": "",
        "files": ["out.rec", "out.idx"],
        "report": "out.rec.bad.jsonl",
        "dry_run": False,
        "outside": 0,
        "outside_line": None,
        "faces": None,
    } == {key: value for key, value in summary.items() if key != "jpeg_decoder"}
    assert summary["jpeg_decoder"] in ("simplejpeg", "pillow")
    row = json.loads((here / "out.rec.bad.jsonl").read_text())
    assert {
        "line": 2,
        "id": 6,
        "path": "cats/2.jpg",
        "reason": "not an image",
        "detail": "holds no image that can be read",
    } == row
    assert first == row


def test_a_bad_image_is_left_out_reported_and_exit_3(here: Path) -> None:
    (here / "root" / "cats" / "2.jpg").unlink()
    code, out, _ = typed("pack image.lst root out.rec resize=16 --workers 1")

    assert 3 == code
    assert "packed 2 images of image.lst\n" in out
    assert "  left out  1 missing; first: line 2, cats/2.jpg; all in out.rec.bad.jsonl\n" in out
    assert [5, 7] == [record.header.id for record in records_of(here / "out.rec")]


def test_on_error_fail_is_exit_1_and_no_rec_appears(here: Path) -> None:
    (here / "root" / "cats" / "2.jpg").unlink()
    ran = typed("pack image.lst root o.rec --on-error fail --workers 1")

    hint = "--on-error skip packs the rest; 1 image so far is kept, and the same command goes on"
    assert Ran(1, "", f"im2rec: image.lst, line 2: cats/2.jpg: no such file ({hint})\n") == ran
    assert ["image.lst", *KEPT, "root"] == names_in(here)


def test_the_summary_names_the_engine() -> None:
    _, out, _ = typed("pack image.lst root out.rec resize=16 engine=pillow --workers 1")
    assert "engine pillow, JPEGs decoded by " in out

    _, out, _ = typed("pack image.lst root out.rec unchanged=1 --force")
    assert "stored unchanged" in out


def test_a_dry_run_reports_missing_files_and_writes_nothing(here: Path) -> None:
    (here / "root" / "cats" / "2.jpg").unlink()
    code, out, err = typed("pack image.lst root out.rec resize=16 --dry-run")

    assert 3 == code
    assert 1 == err.count("\n")
    assert "would pack 2 images of image.lst\n" in out
    assert "1 missing; first: line 2, cats/2.jpg" in out
    assert "  would write  out.rec, out.idx\n" in out
    assert ["image.lst", "root"] == names_in(here)


def test_an_output_of_any_name_gets_its_index(here: Path) -> None:
    for out, index in {"a.rec": "a.idx", "b.bin": "b.idx", "c": "c.idx", "d.v2.rec": "d.v2.idx"}.items():
        assert 0 == im2rec("pack", "image.lst", "root", out, "unchanged=1").code
        assert (here / out).is_file()
        assert 3 == len((here / index).read_text().splitlines())


def test_the_list_is_never_the_output(here: Path) -> None:
    before = (here / "image.lst").read_bytes()
    code, _, err = typed("pack image.lst root image.lst unchanged=1 --force")

    assert code in (1, 2)
    assert 1 == err.count("\n")
    assert before == (here / "image.lst").read_bytes()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pack a.lst root o.rec resize=256 --workers 2", True),
        ("A.LST root o.rec", True),
        ("pack --help", False),
        ("pack a.lst root o.rec unchanged=1", False),
        ("pack a.lst root o.rec --workers=1", True),
        ("pack a.lst root o.rec --workers 1", True),
        ("inspect o.rec", False),
        ("", False),
    ],
)
def test_workers_are_started_early_for_commands_that_need_them(line: str, expected: bool) -> None:
    assert expected is _needs_workers(line.split())


# Class names.


def test_the_class_names_beside_the_list_are_copied_beside_the_output(here: Path) -> None:
    (here / "image.classes.txt").write_text("cats\ndogs\n")
    words = "pack image.lst root out.rec resize=16 -q"
    code, out, _ = typed(f"{words} --dry-run")
    assert (0, True) == (code, out.splitlines()[-1].endswith("out.rec, out.idx, out.classes.txt"))
    assert ["image.classes.txt", "image.lst", "root"] == names_in(here)

    code, out, _ = im2rec(*words.split(), "--json")
    assert (0, ["out.rec", "out.idx", "out.classes.txt"]) == (code, json.loads(out)["files"])
    assert "cats\ndogs\n" == (here / "out.classes.txt").read_text()
    _, out, _ = im2rec(*words.split(), "--force", "--json")
    assert ["out.rec", "out.idx"] == json.loads(out)["files"]


def test_other_class_names_beside_the_output_need_force(here: Path) -> None:
    (here / "image.classes.txt").write_text("cats\ndogs\n")
    (here / "out.classes.txt").write_text("mine\n")
    expected = "im2rec: out.classes.txt: exists already (replace it with --force, or choose another name)\n"
    assert Ran(1, "", expected) == typed("pack image.lst root out.rec resize=16 -q")
    assert "mine\n" == (here / "out.classes.txt").read_text()
    assert not (here / "out.rec").exists()

    assert 0 == typed("pack image.lst root out.rec resize=16 -q --force").code
    assert "cats\ndogs\n" == (here / "out.classes.txt").read_text()


def test_all_parts_of_a_pack_share_the_class_names(here: Path) -> None:
    (here / "image.classes.txt").write_text("cats\ndogs\n")
    for part in (0, 1):
        assert 0 == typed(f"pack image.lst root out.rec resize=16 nsplit=2 part={part} -q").code

    assert [f"out.rec.part00{part}{end}" for part in (0, 1) for end in ("", ".idx", ".json")] == [
        name for name in names_in(here) if "part" in name
    ]
    assert "out.classes.txt" in names_in(here)


def test_the_class_names_are_never_written_over_the_list(here: Path) -> None:
    (here / "image.lst").rename(here / "out.classes.txt")
    code, _, err = typed("pack out.classes.txt root out.rec resize=16 -q --force")

    assert (1, "im2rec: out.classes.txt: is the list itself (choose another name for the output)\n") == (code, err)


def test_a_pack_that_fails_leaves_no_class_names(here: Path) -> None:
    (here / "image.classes.txt").write_text("cats\ndogs\n")
    (here / "root" / "cats" / "1.jpg").write_bytes(b"text")

    assert 1 == typed("pack image.lst root out.rec resize=16 -q --on-error fail").code
    assert ["image.classes.txt", "image.lst", "root"] == names_in(here)
