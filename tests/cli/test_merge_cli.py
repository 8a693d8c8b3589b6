"""``im2rec merge`` from the command line: its output, its exit codes, and the next command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from image_helpers import Ran, command, im2rec, names_in, typed
from merge_helpers import a_set, faces, images_of

import im2rec as library

pytestmark = pytest.mark.usefixtures("here")

GOLDEN = Path(__file__).parent.parent / "golden" / "insightface"
MERGED = """\
merged 2 sets: 7 images of 5 classes
  sets         a/train.rec: 3 images of 2 classes, labels from 0
               b/train.rec: 4 images of 3 classes, labels from 2
  same images  3 repeat an earlier one, none dropped, 3 of another class; all in
               out/train.same.tsv
               as key 1 of b/train.rec (label 2) and key 1 of a/train.rec (label
               0)
  header       made anew, with 5 identity records
  bytes        SIZE
  time         TIME
  written      out/train.rec, out/train.idx, out/train.keys.tsv,
               out/train.same.tsv, out/train.labels.tsv, out/property
next: im2rec inspect out/train.rec --profile insightface
"""
DRY = """\
would merge 2 sets: 5 images of 4 classes
  sets         a.rec: 2 images of 2 classes, labels from 0
               b.rec: 4 images of 2 classes, labels from 2
  same images  1 repeats an earlier one, all dropped, 1 within one set
               as key 3 of b.rec (label 3) and key 1 of b.rec (label 3)
  bytes        SIZE
  would write  o.rec, o.idx, o.keys.tsv, o.same.tsv, o.labels.tsv
next: im2rec merge a.rec b.rec o.rec --drop-same
"""


def steady(text: str) -> str:
    """*text* without what differs from run to run."""
    return re.sub(r"\d+\.\d s\b", "TIME", re.sub(r"\d[\d.]* k?B", "SIZE", text))


def two_sets() -> tuple[Path, Path]:
    """Two sets without header; an image of the second is there twice."""
    a = a_set(Path("a.rec"), [(0, 0.0, b"a"), (1, 1.0, b"b")])
    return a, a_set(Path("b.rec"), [(0, 0.0, b"c"), (1, 1.0, b"d"), (2, 1.0, b"e"), (3, 1.0, b"d")])


def test_face_sets_are_merged_by_one_command(here: Path) -> None:
    faces(Path("a/train.rec"), [0, 0, 1], b"x", size="2,16,16")
    faces(Path("b/train.rec"), [0, 0, 1, 2], b"x", size="3,16,16\n")
    (here / "out").mkdir()
    done = typed("merge a/train.rec b/train.rec out/train.rec")

    assert (0, MERGED, "") == (done.code, steady(done.out), done.err)
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert ["property", "train.idx", "train.keys.tsv", "train.labels.tsv", "train.rec", "train.same.tsv"] == names_in(
        here / "out"
    )


@pytest.mark.parametrize("pair", [("face2rec2", "header_last"), ("scalar", "relabel"), ("no_header", "scalar")])
def test_a_merged_face_set_is_as_published_readers_assume(here: Path, pair: tuple[str, str]) -> None:
    (here / "out").mkdir()
    for name in pair:
        shutil.copytree(GOLDEN / name, here / name)
    done = typed(f"merge {pair[0]}/train.rec {pair[1]}/train.rec out/train.rec")
    shown = typed(done.out.splitlines()[-1].removeprefix("next: im2rec "))

    assert (0, 0) == (done.code, shown.code), shown


def test_a_dry_run_shows_the_same_and_the_command_without_it(here: Path) -> None:
    two_sets()
    before = names_in(here)
    dry = typed("merge a.rec b.rec o.rec --drop-same --dry-run")

    assert (0, DRY, "") == (dry.code, steady(dry.out), dry.err)
    assert before == names_in(here)
    assert 0 == typed(dry.out.splitlines()[-1].removeprefix("next: im2rec ")).code
    assert [b"a", b"b", b"c", b"d", b"e"] == [content for *_, content in images_of(Path("o.rec"))]


def test_more_than_three_sets_are_counted() -> None:
    names = [f"{n}.rec" for n in range(5)]
    for name in names:
        a_set(Path(name), [(0, 0.0, name.encode()), (1, 0.0, b"2" + name.encode())])
    lines = im2rec("merge", *names, "o.rec", "--no-same").out.splitlines()

    assert "merged 5 sets: 10 images of 5 classes" == lines[0]
    assert "           and 2 more sets of 4 images" == " " * 11 + lines[4].strip()
    assert not any("same images" in line for line in lines)


def test_damage_is_exit_code_5_and_the_next_command_saves_the_rest() -> None:
    _, b = two_sets()
    with library.open(b) as rec:
        at = int(rec.offsets[2])
    with b.open("r+b") as file:
        file.seek(at)
        file.write(b"\0\0\0\0")
    done = typed("merge a.rec b.rec o.rec")

    assert 5 == done.code
    assert "b.rec: 1 damaged range, 36 B in all:" in done.out
    assert f"bytes {at} to {at + 36}, after 2 records" in done.out
    assert "next: im2rec recover b.rec b_recovered.rec" == done.out.splitlines()[-1]
    assert 5 == len(images_of(Path("o.rec")))


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        ("merge a.rec o.rec", 2, "a merge needs two or more sets, and the name of the new one (name them before OUT)"),
        ("merge a.rec", 2, "a missing argument"),
        ("merge a.rec b.rec a.rec o.rec", 2, "a.rec: is named twice (name each set once)"),
        ("merge a.rec b.rec b.rec", 2, "b.rec: belongs to the input b.rec (choose another name for the output)"),
        ("merge a.rec gone.rec o.rec", 4, "gone.rec: cannot be read: no such file or directory (check the path)"),
        ("merge a.rec empty.rec o.rec", 4, "empty.rec: "),
        ("merge a.rec b.rec there.rec", 1, "there.rec: exists already (replace it with --force, or"),
        ("merge a.rec b.rec b.rec/o.rec", 1, "b.rec: is not a folder (name a folder to write to)"),
        ("merge a.rec b.rec o.rec --classes gone.txt", 4, "gone.txt: cannot be read: no such file or directory"),
        ("merge a.rec b.rec o.rec --classes c.txt", 4, "a.rec: has no class names beside it, as NAME.classes.txt"),
        (
            "merge a.rec b.rec o.rec --classes c.txt --same-labels",
            2,
            "--classes and --same-labels contradict each other",
        ),
        ("merge a.rec b.rec o.rec --drop-same --no-same", 2, "--drop-same and --no-same contradict each other"),
    ],
)
def test_errors_are_one_line_with_their_exit_code(here: Path, words: str, code: int, problem: str) -> None:
    two_sets()
    Path("empty.rec").touch()
    Path("there.rec").touch()
    Path("c.txt").write_text("one\ntwo\n")
    before = names_in(here)
    done = typed(words)

    assert (code, "", 1) == (done.code, done.out, done.err.count("\n"))
    assert problem in done.err or problem == "a missing argument"
    assert before == names_in(here)


def test_names_with_blanks_and_letters_of_all_kinds_are_taken() -> None:
    a, b = two_sets()
    folder = Path("ein Ordner ☃")
    folder.mkdir()
    for path in (a, a.with_suffix(".idx")):
        path.rename(folder / path.name)
    done = im2rec("merge", folder / "a.rec", b, folder / "ö ut.rec", "--digest")

    assert 0 == done.code
    assert "next: im2rec inspect 'ein Ordner ☃/ö ut.rec'" == done.out.splitlines()[-1]
    assert {"ö ut.keys.tsv", "ö ut.rec.digest"} < set(names_in(folder))


def test_json_has_the_images_that_are_there_twice() -> None:
    two_sets()
    found = json.loads(typed("merge a.rec b.rec o.rec --json").out)

    expected = {"key": 5, "label": 3, "source": "b.rec", "old_key": 3}
    expected |= {"first_key": 3, "first_label": 3, "first_source": "b.rec", "first_old_key": 1}
    assert [expected] == found["same_images"]
    assert (1, 0, 1, 0) == tuple(found[key] for key in ("same", "same_other_class", "same_within", "dropped"))


def test_a_reader_that_leaves_does_not_stop_the_merge(here: Path) -> None:
    two_sets()
    line = f"{sys.executable} -m im2rec merge a.rec b.rec o.rec | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False, cwd=here)

    assert ("merged 2 sets: 6 images of 4 classes\n", "") == (done.stdout, done.stderr)
    assert 6 == len(images_of(Path("o.rec")))


def test_the_program_gives_help_without_words_and_by_its_option() -> None:
    without, asked = command("merge"), command("merge", "--help")
    assert Ran(0, asked.out, "") == without
    assert "im2rec merge ms1mv3/train.rec own/train.rec merged/train.rec --drop-same" in asked.out
