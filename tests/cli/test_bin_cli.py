"""``im2rec bin list`` and ``im2rec bin verify`` from the command line: output, exit codes, next commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bin_helpers import ACCEPTED, BINS, BOMBS, OURS, REFUSED, bin_bytes
from helpers import image_payload, write_rec
from image_helpers import Ran, command, encoded, im2rec, names_in, texture, typed

pytestmark = pytest.mark.usefixtures("here")

LISTED = """\
my löw.bin: 6 pairs, 3 same, 3 different (50.0% same)
  folds    fewer than ten pairs: published evaluation has no folds of them
  images   12, 11 different: 12 JPEG
           16 x 16; 356 B to 392 B, median 376 B
  written  4.59 kB, protocol 4, images as bytes, answers as list of bool
next: im2rec bin verify 'my löw.bin'
"""
LISTED_102 = """\
102.bin: 102 pairs, 51 same, 51 different (50.0% same)
  folds    same 6, 6, 5, 4, 6, 5, 4, 6, 5, 4
           different 5, 5, 5, 6, 4, 5, 6, 4, 5, 6
  images   204, 11 different: 204 JPEG
           16 x 16; 356 B to 392 B, median 376 B
  doubles  96 pairs again, first 6, as 0
  written  7.15 kB, protocol 2, images as str, answers as list of numpy.int64
next: im2rec bin verify 102.bin
"""
VERIFIED_102 = """\
102.bin: 102 pairs, 2 problems
  decoded  204 of 204: 16 x 16
  problem  96 pairs are there again, first pair 6, which repeats pair 0
           ten does not divide 102 pairs: the first 2 folds have one more
next: im2rec bin list 102.bin
"""


def a_bin(path: Path, contents: list[bytes], same: list[bool]) -> Path:
    path.write_bytes(bin_bytes(contents, same))
    return path


def faces(count: int) -> list[bytes]:
    rng = np.random.default_rng(3)
    return [encoded(rng.integers(0, 256, (24, 24, 3)).astype(np.uint8), "PNG") for _ in range(count)]


def test_a_verification_file_is_listed_in_a_dozen_lines(here: Path) -> None:
    (here / "my löw.bin").write_bytes(OURS.read_bytes())
    assert Ran(0, LISTED, "") == im2rec("bin", "list", "my löw.bin")
    (here / "102.bin").write_bytes((BINS / "py27_np116_p2_102_pairs.bin").read_bytes())
    assert Ran(0, LISTED_102, "") == im2rec("bin", "list", "102.bin")
    assert Ran(3, VERIFIED_102, "") == im2rec("bin", "verify", "102.bin")


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_published_form_is_listed_and_verified(name: str) -> None:
    code, out, err = im2rec("bin", "list", BINS / name, "--json")
    assert (0, "") == (code, err)
    listed = json.loads(out)
    assert ("bin list", ACCEPTED[name]["pairs"]) == (listed["command"], listed["pairs"])
    code, out, err = im2rec("bin", "verify", BINS / name, "--json")
    assert (3, "", []) == (code, err, json.loads(out)["undecodable"])  # too few pairs


@pytest.mark.parametrize("words", [["list"], ["verify"], ["list", "--sheet", "sheet.png"]])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_to_be_refused_is_one_line_and_exit_code_4(name: str, words: list[str], here: Path) -> None:
    code, out, err = im2rec("bin", *words, BINS / name)

    assert (4, "", 1) == (code, out, err.count("\n"))
    assert err.startswith(f"im2rec: {BINS / name}")
    assert [] == list(here.iterdir())


def test_hostile_files_are_refused_by_the_program_itself_and_run_nothing(here: Path) -> None:
    for number, (data, _) in enumerate(BOMBS.values()):
        (here / f"{number}.bin").write_bytes(data)
        code, out, err = im2rec("bin", "list", f"{number}.bin")
        assert (4, "", 1) == (code, out, err.count("\n"))
    code, out, err = command("bin", "verify", BINS / "hostile_system.bin")
    assert (4, "", 1) == (code, out, err.count("\n"))
    assert "nobody may ever read this line" not in err


def test_a_sound_file_is_exit_code_0(here: Path) -> None:
    a_bin(here / "a.bin", faces(40), [True, False] * 10)

    expected = "a.bin: 20 pairs, sound\n  decoded  40 of 40: 24 x 24\nnext: im2rec bin list a.bin\n"
    assert Ran(0, expected, "") == im2rec("bin", "verify", "a.bin")
    assert Ran(0, "", "") == im2rec("bin", "verify", "a.bin", "-qq")
    code, out, _ = im2rec("bin", "list", "a.bin")
    assert 0 == code
    assert "  folds    ten of 2 pairs, 1 of them same in each\n" in out
    assert "  images   40, all different: 40 PNG\n" in out


def test_images_that_cannot_be_decoded_are_named_and_exit_code_3(here: Path) -> None:
    contents = faces(40)
    contents[3], contents[10], contents[21], contents[22] = b"text", contents[10][:-30], b"no", b"none"
    a_bin(here / "a.bin", contents, [True, False] * 10)
    code, out, err = im2rec("bin", "verify", "a.bin", "--workers", "2")

    assert (3, "") == (code, err)
    assert out.startswith("a.bin: 20 pairs, 1 problem\n  decoded  36 of 40: 24 x 24\n  failed   3 not an image, 1 ")
    for words in ("pair 1, second image: ", "pair 5, first image: ", "pair 10, second image: "):
        assert words in out
    assert "pair 11" not in out
    assert out.endswith("next: im2rec bin verify a.bin --json\n")
    found = json.loads(im2rec("bin", "verify", "a.bin", "--json").out)
    assert [(1, "second"), (5, "first"), (10, "second"), (11, "first")] == [
        (each["pair"], each["side"]) for each in found["undecodable"]
    ]


def test_output_is_80_columns_wide_and_a_dozen_lines_whatever_is_wrong(here: Path) -> None:
    contents = [encoded(texture(20 + n % 7, 20 + n % 5), ("PNG", "JPEG", "BMP")[n % 3]) for n in range(46)]
    contents[10:13] = b"no image", contents[0][:50], b"\xff\xd8\xff cut"
    contents[6:8], contents[8:10] = contents[4:6], [contents[5]] * 2
    path = a_bin(here / f"{'a long name ' * 6}.bin", contents, [True] * 12 + [False] * 11)
    path.write_bytes(path.read_bytes() + b"behind")

    for words in (["list"], ["verify"]):
        code, out, _ = im2rec("bin", *words, path)
        assert (0 if words == ["list"] else 3) == code
        lines = out.splitlines()
        assert all(len(line) <= 80 or str(path) in line or "next" in line for line in lines)
        assert len(lines) <= 13


def test_a_sheet_is_written_and_not_replaced_unless_forced(here: Path) -> None:
    (here / "a.bin").write_bytes(OURS.read_bytes())
    line = "bin list a.bin --sheet 'the sheet.png'"
    dry = typed(line + " --dry-run")
    assert "  would write  the sheet.png\n" in dry.out
    assert dry.out.endswith("next: im2rec bin list a.bin --sheet 'the sheet.png'\n")
    assert ["a.bin"] == names_in(here)
    done = typed(line)
    assert (0, "") == (done.code, done.err)
    assert "  sheet    the sheet.png\n" in done.out
    assert (here / "the sheet.png").read_bytes().startswith(b"\x89PNG")
    again = typed(line)
    assert (1, "", 1) == (again.code, again.out, again.err.count("\n"))
    assert 0 == typed(line + " --force").code
    assert 2 == im2rec("bin", "list", "a.bin", "--sheet", "a.jpg").code


def test_other_commands_name_the_command_for_verification_files(here: Path) -> None:
    for name in ACCEPTED:
        (here / "a.bin").write_bytes((BINS / name).read_bytes())
        problem = "is not a RecordIO file: it is a Python pickle, as InsightFace's verification files are"
        expected = Ran(4, "", f"im2rec: a.bin: {problem} (run 'im2rec bin list' on it)\n")
        assert expected == im2rec("inspect", "a.bin")
        assert expected == im2rec("extract", "a.bin", "out")


def test_a_rec_is_sent_to_inspect_and_missing_files_are_named(here: Path) -> None:
    write_rec(here / "a.rec", [image_payload(1)])
    problem = "is no verification file: it is a RecordIO file (.rec) (run 'im2rec inspect' on it)"
    assert Ran(4, "", f"im2rec: a.rec: {problem}\n") == im2rec("bin", "list", "a.rec")
    gone = "cannot be read: no such file or directory (check the path)"
    assert Ran(4, "", f"im2rec: gone.bin: {gone}\n") == im2rec("bin", "verify", "gone.bin")
    assert Ran(4, "", "im2rec: .: is a folder (name a file)\n") == im2rec("bin", "verify", ".")
    error = json.loads(im2rec("bin", "list", "gone.bin", "--json").out)["error"]
    assert ("input", "gone.bin", 4) == (error["kind"], error["path"], error["exit"])


def test_the_byte_of_a_problem_is_in_the_object_of_the_error() -> None:
    error = json.loads(im2rec("bin", "list", BINS / "cut_p4.bin", "--json").out)["error"]

    assert 2752 == error["byte"]


USAGE = {
    "lst": "im2rec: no command 'lst'; did you mean 'list'? (see 'im2rec bin --help')\n",
    "a.bin": "im2rec: no command 'a.bin'; for a verification file: im2rec bin list a.bin (see 'im2rec bin --help')\n",
}


@pytest.mark.parametrize("word", USAGE)
def test_a_word_that_is_no_command_is_answered_with_one(word: str) -> None:
    assert Ran(2, "", USAGE[word]) == im2rec("bin", word)


def test_a_verification_file_in_place_of_a_command_is_answered_with_the_command() -> None:
    expected = "im2rec: no command 'a.bin'; for a verification file: im2rec bin list a.bin (see 'im2rec --help')\n"
    assert Ran(2, "", expected) == im2rec("a.bin")


def test_an_option_before_the_command_is_answered_with_its_place() -> None:
    expected = "im2rec: no such option --sheet (options stand after the command: im2rec bin list ... --sheet)\n"
    assert Ran(2, "", expected) == im2rec("bin", "--sheet", "a.png", "list", "a.bin")


def test_help_of_the_group_and_of_its_commands_is_80_columns_wide() -> None:
    assert im2rec("bin") == im2rec("bin", "--help")
    for words in ([], ["list"], ["verify"]):
        code, out, err = im2rec("bin", *words, "--help")
        assert (0, "") == (code, err)
        assert out.startswith(" ".join(["Usage: im2rec bin", *words]))
        assert all(len(line) <= 80 for line in out.splitlines())
        assert not words or im2rec("bin", *words) == Ran(0, out, "")


def test_a_reader_that_has_read_enough_ends_the_command_quietly() -> None:
    line = f"{sys.executable} -m im2rec bin list {OURS} | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, check=False)

    assert (0, b"") == (done.returncode, done.stderr)
