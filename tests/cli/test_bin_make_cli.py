"""``im2rec bin make`` and ``im2rec bin extract`` from the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from image_helpers import POSIX, Ran, im2rec, names_in, typed
from pair_helpers import FACE_ROOT, FACES, GOLDEN_BIN, face, paired

from im2rec.format.binfile import encode_bin

pytestmark = pytest.mark.usefixtures("here")

MADE = """\
made 20 pairs
  list     labels: my pairs.txt
  pairs    10 same, 10 different
  images   40 JPEG files
  pixels   16 x 16; stored as they are, not aligned
  bytes    SIZE
  time     TIME
  written  o ü.bin
next: im2rec bin list 'o ü.bin'
"""
EXTRACTED = """\
extracted 6 pairs of lfw.bin
  pairs    3 same, 3 different
  images   11 JPEG files for 12 images of pairs
  bytes    SIZE
  list     my faces/pairs.txt
  time     TIME
  written  my faces
next: im2rec bin make 'my faces/pairs.txt' 'my faces' 'my faces_again.bin'
"""
FEW = "warning: 6 pairs are too few for the ten folds of published evaluation\n"


def steady(text: str) -> str:
    """*text* without what differs from run to run."""
    return re.sub(r"\d+\.\d s\b", "TIME", re.sub(r"\d[\d.]* kB", "SIZE", text))


@pytest.fixture
def listed(here: Path) -> Path:
    """A list of 20 pairs, and the folder ``root`` of their images, in the current folder."""
    path, _ = paired(here)
    return path.rename(here / "my pairs.txt")


@pytest.mark.usefixtures("listed")
def test_a_file_is_made_and_the_next_command_lists_it(here: Path) -> None:
    dry = typed("bin make 'my pairs.txt' root 'o ü.bin' --dry-run")
    assert (0, "") == (dry.code, dry.err)
    assert "would make 20 pairs\n" in dry.out
    assert "  would write  o ü.bin\n" in dry.out
    assert ["my pairs.txt", "root"] == names_in(here)

    done = typed(shlex.join(shlex.split(dry.out.splitlines()[-1])[2:]))
    assert (0, MADE, "") == (done.code, steady(done.out), done.err)


def test_a_file_is_extracted_and_the_next_command_makes_it_again(here: Path) -> None:
    shutil.copy(GOLDEN_BIN, "lfw.bin")
    done = typed("bin extract lfw.bin 'my faces'")
    assert (0, EXTRACTED, "") == (done.code, steady(done.out), done.err)

    again = typed(shlex.join(shlex.split(done.out.splitlines()[-1])[2:]))
    assert (0, FEW) == (again.code, again.err)
    assert GOLDEN_BIN.read_bytes() == (here / "my faces_again.bin").read_bytes()


def test_every_form_can_be_chosen(here: Path) -> None:
    for form, name in (("lfw", "lfw_blanks"), ("labels", "label"), ("two-lines", "two_lines_folds")):
        done = im2rec(
            "bin", "make", FACES / "pairs" / f"{name}.txt", FACE_ROOT, here / "o.bin", "--form", form, "--force"
        )
        assert (0, FEW) == (done.code, done.err)
        assert GOLDEN_BIN.read_bytes() == (here / "o.bin").read_bytes()
    done = im2rec("bin", "make", FACES / "pairs" / "label.txt", FACE_ROOT, "x.bin", "--form", "csv")
    assert (4, "") == (done.code, done.out)
    assert "label.txt, line 1: expected 3 fields, found 1 (lines of this list are path1,path2,same)" in done.err


@pytest.mark.usefixtures("listed")
def test_errors_are_one_line_with_their_exit_code(here: Path) -> None:
    (here / "root" / "005.jpg").unlink()
    missing = "my pairs.txt, line 3: 005.jpg: no such file (is ROOT the folder that the paths start from?)"
    assert Ran(4, "", f"im2rec: {missing}\n") == typed("bin make 'my pairs.txt' root o.bin")
    error = json.loads(typed("bin make 'my pairs.txt' root o.bin --json").out)["error"]
    assert (4, "my pairs.txt", 3) == (error["exit"], error["path"], error["line"])
    assert 4 == typed("bin make nowhere.txt root o.bin").code
    assert 4 == typed("bin make 'my pairs.txt' nowhere o.bin").code
    assert 4 == typed("bin extract nowhere.bin d").code
    assert 4 == typed("bin extract 'my pairs.txt' d").code
    assert 2 == typed("bin make 'my pairs.txt' root").code
    assert 2 == typed("bin make 'my pairs.txt' root o.bin --form lwf").code
    Path("o.bin").touch()
    hint = "replace it with --force, or choose another name"
    assert Ran(1, "", f"im2rec: o.bin: exists already ({hint})\n") == typed("bin make 'my pairs.txt' root o.bin")
    assert Ran(1, "", "im2rec: no folder/o.bin: the folder no folder is missing (make it first)\n") == typed(
        "bin make 'my pairs.txt' root 'no folder/o.bin'"
    )
    others = "im2rec: root: exists already and is not empty (choose another folder)\n"
    assert Ran(1, "", others) == im2rec("bin", "extract", GOLDEN_BIN, "root")
    assert 0 == im2rec("bin", "extract", GOLDEN_BIN, "d").code
    again = "im2rec: d: exists already and is not empty (choose another folder, or replace it with --force)\n"
    assert Ran(1, "", again) == im2rec("bin", "extract", GOLDEN_BIN, "d")


def test_contents_that_are_no_images_are_exit_code_3(here: Path) -> None:
    (here / "o.bin").write_bytes(b"".join(encode_bin([face(1), b"text"], [True])))
    done = typed("bin extract o.bin d")
    holds = "1 file holds no image that can be read, first 000000_2.bin; they are written as they are stored"

    assert (3, f"warning: {holds}\n") == (done.code, done.err)
    assert done.out.endswith("next: im2rec bin verify o.bin\n")


@pytest.mark.usefixtures("listed")
def test_names_that_begin_with_a_dash_are_words_of_the_next_command() -> None:
    done = typed("bin make 'my pairs.txt' root -- -o.bin")
    assert done.out.endswith("next: im2rec bin list ./-o.bin\n")
    done = im2rec("bin", "extract", "--", "./-o.bin", "-d")
    assert done.out.endswith("next: im2rec bin make ./-d/pairs.txt ./-d ./-d_again.bin\n")


@pytest.mark.usefixtures("listed")
def test_json_has_all_that_the_table_has() -> None:
    made = json.loads(typed("bin make 'my pairs.txt' root o.bin --json").out)
    assert ("bin make", 20, 10, "labels", {"16 x 16": 40}) == tuple(
        made[key] for key in ("command", "pairs", "same", "form", "sizes")
    )
    done = json.loads(typed("bin extract o.bin d --json").out)
    assert ("bin extract", 20, 40, 0) == tuple(done[key] for key in ("command", "pairs", "images", "reused"))


@pytest.mark.usefixtures("listed")
def test_quiet_leaves_out_the_next_command_and_twice_the_result() -> None:
    assert "next:" not in typed("bin make 'my pairs.txt' root o.bin -q").out
    assert Ran(0, "", "") == typed("bin extract o.bin d -qq")


def test_no_line_is_wider_than_the_terminal(here: Path) -> None:
    path, _ = paired(here)
    for number in range(9):
        (here / "root" / f"{number:03}.jpg").write_bytes(
            face(number, 100 + number, kind="PNG" if number % 2 else "BMP")
        )
    made = im2rec("bin", "make", path.name, "root", "o.bin")
    done = typed("bin extract o.bin d")

    for out in (made.out, done.out, typed("bin make --help").out, typed("bin extract --help").out):
        assert max(map(len, out.splitlines())) <= 80
    assert max(made.out.count("\n"), done.out.count("\n")) <= 12


@POSIX
@pytest.mark.usefixtures("listed")
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    for words in ("bin make 'my pairs.txt' root o.bin", "bin extract o.bin d"):
        line = f"{shlex.quote(sys.executable)} -m im2rec {words} | head -n 1"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment)
        assert (1, "") == (done.stdout.count("\n"), done.stderr)
    assert Path("o.bin").exists()
    assert Path("d/pairs.txt").exists()
