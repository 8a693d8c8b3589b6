"""``im2rec pack --profile insightface`` from the command line."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from face_pack_helpers import FILES, as_by_identity, as_published, keyed_records
from image_helpers import encoded, im2rec, names_in, texture, typed

PEOPLE = {"Zoë Zander": 3, "Ada Alder": 2, "Ben": 1}


@pytest.fixture(autouse=True)
def here(here: Path) -> Path:
    """A current directory with a folder for each person, with blanks and other letters in its name."""
    for name, count in PEOPLE.items():
        (here / "my faces" / name).mkdir(parents=True)
        for number in range(count):
            (here / "my faces" / name / f"{number} é.jpg").write_bytes(
                encoded(texture(16, 16, seed=len(name) + number))
            )
    return here


def test_a_folder_for_each_person_becomes_a_training_set(here: Path) -> None:
    assert 0 == typed("make-list 'my faces' --shuffle --seed 3").code
    code, out, err = typed("pack --profile insightface 'my faces.lst' 'my faces' 'die Mengé'")

    assert (0, "") == (code, err)
    lines = out.splitlines()
    assert "packed 6 images of my faces.lst" == lines[0]
    assert "  identities  3, with 1 to 3 images (median 2); 16 x 16 pixels" == lines[1]
    assert "  list        in the form of im2rec, brought into the order of its labels" == lines[2]
    assert "next: im2rec inspect 'die Mengé/train.rec' --profile insightface" == lines[-1]
    assert len(lines) <= 13
    assert max(map(len, lines)) <= 80
    assert sorted([*FILES, "train.classes.txt"]) == names_in(here / "die Mengé")
    assert "Ada Alder\nBen\nZoë Zander\n" == (here / "die Mengé" / "train.classes.txt").read_text()

    records = keyed_records(here / "die Mengé")
    found = as_published(records)
    assert found == as_by_identity(records)
    assert [0, 0, 1, 2, 2, 2] == [label for _, label, _ in found]
    people = [sorted(path.read_bytes() for path in (here / "my faces" / name).iterdir()) for name in sorted(PEOPLE)]
    assert [sorted(content for _, label, content in found if label == number) for number in range(3)] == people


def face_list(here: Path, aligned: str = "1") -> None:
    paths = sorted((here / "my faces").rglob("*.jpg"))
    people = sorted(PEOPLE)
    lines = [f"{aligned}\t{path.relative_to(here)}\t{people.index(path.parent.name)}\n" for path in reversed(paths)]
    (here / "faces.lst").write_text("".join(lines))


def test_a_list_of_face2rec2_is_told_by_its_lines(here: Path) -> None:
    face_list(here)
    code, out, _ = typed("pack --profile insightface faces.lst . set")
    assert 0 == code
    assert "  list        in the form of face2rec2, brought into the order of its labels" in out.splitlines()


def test_faces_that_are_not_aligned_are_refused_unless_told_otherwise(here: Path) -> None:
    face_list(here, "0")
    code, out, err = typed("pack --profile insightface faces.lst . set")
    assert (4, "") == (code, out)
    expected = "the face is marked as not aligned (aligned 0), and im2rec aligns none; there are 6 such lines"
    assert f"im2rec: faces.lst, line 1: {expected} (--unaligned-as-is takes the images as they are)\n" == err
    assert not Path("set").exists()
    assert 0 == typed("pack --profile insightface faces.lst . set --unaligned-as-is").code


@pytest.mark.parametrize(("count", "images"), [(1, "1 image"), (2, "2 images")])
def test_identities_of_equally_many_images_are_said_to_have_that_many_each(count: int, images: str) -> None:
    lines = [f"1\tmy faces/Zoë Zander/{number} é.jpg\t{label}\n" for number in range(count) for label in (4, 7)]
    Path("faces.lst").write_text("".join(lines))
    out = typed("pack --profile insightface faces.lst . set").out
    assert f"  identities  2, with {images} each; 16 x 16 pixels" in out.splitlines()


def test_without_header_it_is_said(here: Path) -> None:
    face_list(here)
    code, out, _ = typed("pack --profile insightface faces.lst . set --no-header")
    assert 0 == code
    assert "; 16 x 16 pixels; without header record" in " ".join(out.split())
    assert list(range(6)) == list(keyed_records(here / "set"))


@pytest.mark.parametrize("option", ["--no-header", "--unaligned-as-is"])
def test_its_options_belong_to_the_profile(here: Path, option: str) -> None:
    face_list(here)
    code, out, err = typed(f"pack faces.lst . set.rec {option}")
    assert (2, "") == (code, out)
    assert err.startswith(f"im2rec: {option} belongs to --profile insightface (")


@pytest.mark.parametrize(
    ("words", "unchanged"),
    [
        ("", True),
        ("pack_label=1 label_width=1 max_pixels=1000", True),
        ("unchanged=1", True),
        ("unchanged=0", False),
        ("quality=95", False),
        ("resize=8", False),
    ],
)
def test_files_are_stored_unchanged_unless_a_key_says_how_they_are_encoded(
    here: Path, words: str, unchanged: bool
) -> None:
    face_list(here)
    code, out, _ = typed(f"pack --profile insightface faces.lst . set --workers 1 {words}")
    assert 0 == code
    assert unchanged == ("stored unchanged" in out)
    contents = {path.read_bytes() for path in (here / "my faces").rglob("*.jpg")}
    assert unchanged == (contents == {content for _, _, content in as_published(keyed_records(here / "set"))})


def test_images_that_are_left_out_are_exit_3_with_a_report_and_their_identity(here: Path) -> None:
    face_list(here)
    (here / "my faces" / "Ben" / "0 é.jpg").write_bytes(b"text")
    code, out, err = typed("pack --profile insightface faces.lst . set")
    assert (3, "") == (code, err)
    text = " ".join(out.split())
    assert "2, with 2 to 3 images (median 2.5); 1 more has only bad images, and no class; 16 x 16 pixels" in text
    assert "1 not an image; first: line 4, my faces/Ben/0 é.jpg; all in set/train.rec.bad.jsonl" in text
    assert "next: cat set/train.rec.bad.jsonl" == out.splitlines()[-1]
    assert [0, 0, 1, 1, 1] == [label for _, label, _ in as_published(keyed_records(here / "set"))]


def test_a_dry_run_names_the_files_and_the_command_without_it(here: Path) -> None:
    face_list(here)
    code, out, _ = typed("pack --profile insightface faces.lst . 'a set' --dry-run")
    assert 0 == code
    assert "would pack 6 images of faces.lst" == out.splitlines()[0]
    assert "would write a set/train.rec, a set/train.idx, a set/train.labels.tsv, a set/property" in " ".join(
        out.split()
    )
    assert "next: im2rec pack --profile insightface faces.lst . 'a set'" == out.splitlines()[-1]
    assert ["faces.lst", "my faces"] == names_in(here)


def test_json_has_the_facts_of_the_set(here: Path) -> None:
    face_list(here)
    code, out, _ = typed("pack --profile insightface faces.lst . set --json")
    assert 0 == code
    assert {
        "list_form": "face2rec2",
        "reordered": True,
        "identities": 3,
        "identities_left_out": 0,
        "images_least": 1,
        "images_median": 2.0,
        "images_most": 3,
        "has_header": True,
        "height": 16,
        "width": 16,
        "other_sizes": 0,
    } == json.loads(out)["faces"]


def test_a_set_that_exists_is_replaced_with_force_only(here: Path) -> None:
    face_list(here)
    assert 0 == typed("pack --profile insightface faces.lst . set").code
    code, _, err = typed("pack --profile insightface faces.lst . set")
    assert 1 == code
    assert err.startswith("im2rec: set/train.rec: exists already (replace it with --force, or choose another name)")
    assert 0 == typed("pack --profile insightface faces.lst . set --force").code


def test_inputs_that_are_missing_and_outputs_that_cannot_be_are_one_line(here: Path) -> None:
    face_list(here)
    (here / "a file").write_text("")
    for words, code, expected in (
        ("no.lst . set", 4, "no.lst: cannot be read: no such file or directory (check the path)"),
        ("faces.lst nowhere set", 4, "nowhere: cannot be read: no such file or directory (check the path)"),
        ("faces.lst . 'a file'", 1, "a file: is not a folder (name a folder to write to)"),
        ("faces.lst . 'a file/set'", 1, "a file: is not a folder (name a folder to write to)"),
        (
            "faces.lst . set nsplit=2",
            2,
            "nsplit=2 excludes a set of --profile insightface, whose identities are in one",
        ),
        ("'my faces' . set", 4, "my faces: is a folder (name a file)"),
    ):
        ran = typed(f"pack --profile insightface {words}")
        assert (code, "", 1) == (ran.code, ran.out, ran.err.count("\n")), ran.err
        assert ran.err.startswith(f"im2rec: {expected}")
    assert ["a file", "faces.lst", "my faces"] == names_in(here)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_one_line(here: Path) -> None:
    face_list(here)
    (here / "closed").mkdir(mode=0o500)
    ran = im2rec("pack", "--profile", "insightface", "faces.lst", ".", "closed/set")
    assert (1, "") == (ran.code, ran.out)
    assert ran.err.startswith("im2rec: closed/set: cannot be written: permission denied")
    shutil.rmtree(here / "closed")
