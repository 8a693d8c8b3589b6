"""``im2rec select`` from the command line: its output, its exit codes, and the next command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import image_payload, write_rec
from image_helpers import Ran, command, encoded, im2rec, names_in, texture, typed

pytestmark = pytest.mark.usefixtures("here")

GOLDEN = Path(__file__).parent.parent / "golden" / "insightface"
SELECTED = """\
selected 9 of 12 images of in/train.rec
  classes    3 of 4, relabelled
  not taken  3 in the list of those to drop
  header     new, with 3 identity records; the images have the keys 1 to 9
  bytes      SIZE
  time       TIME
  written    small/train.rec, small/train.idx, small/train.labels.tsv,
             small/train.keys.tsv, small/property
next: im2rec inspect small/train.rec --profile insightface
"""
DRY = """\
would select 4 of 12 images of a.rec
  classes      2 of 4
  not taken    6 with another label, 2 not in the sample
  bytes        SIZE
  would write  o.rec, o.idx, o.rec.digest, o.keys.tsv
next: im2rec select a.rec o.rec --label 1-2 --sample 4 --digest
"""


def steady(text: str) -> str:
    """*text* without what differs from run to run."""
    return re.sub(r"\d+\.\d s\b", "TIME", re.sub(r"\d[\d.]* k?B", "SIZE", text))


@pytest.fixture(name="face_set")
def _face_set(here: Path) -> None:
    """A face set in the folder ``in``, and an empty folder ``small``."""
    for folder in ("in", "small"):
        (here / folder).mkdir()
    for name in ("train.rec", "train.idx", "property"):
        (here / "in" / name).write_bytes((GOLDEN / "header_last" / name).read_bytes())


@pytest.fixture(name="rec")
def _rec(here: Path) -> Path:
    return write_rec(here / "a.rec", [image_payload(row, float(row % 4), b"%d" % row) for row in range(12)])


@pytest.mark.usefixtures("face_set")
def test_a_cleaned_face_set_is_one_command(here: Path) -> None:
    (here / "noise.txt").write_text("1\tnoise\n2\n3\n")
    done = typed("select in/train.rec small/train.rec --drop noise.txt --min-images 2 --relabel")

    assert (0, SELECTED, "") == (done.code, steady(done.out), done.err)
    assert "label\told_label\n0\t1\n1\t2\n2\t3\n" == (here / "small" / "train.labels.tsv").read_text()
    assert "3,16,16\n" == (here / "small" / "property").read_text()
    checked = typed(done.out.splitlines()[-1].partition("im2rec ")[2])
    assert (0, True) == (checked.code, "all that published readers assume is so" in checked.out)


@pytest.mark.usefixtures("rec")
def test_a_dry_run_says_what_would_be_and_the_next_command_does_it(here: Path) -> None:
    line = "select a.rec o.rec --label 1-2 --sample 4 --digest"
    dry = typed(f"{line} --dry-run")
    assert (0, DRY, "") == (dry.code, steady(dry.out), dry.err)
    assert ["a.idx", "a.rec"] == names_in(here)

    assert 0 == typed(line).code
    assert ["a.idx", "a.rec", "o.idx", "o.keys.tsv", "o.rec", "o.rec.digest"] == names_in(here)
    assert '"state": "agrees"' in typed("inspect o.rec --json").out
    assert "every byte agrees" in typed("inspect o.rec --verify").out


OPTIONS = {
    "--label 3": 3,
    "--label 0-1 --label 3": 9,
    "--label nan --label 3": None,
    "--id 3 --id 5": 2,
    "--key 3": 1,
    "--list keys.lst": 2,
    "--min-images 3": 12,
    "--max-images 3 --per-class 2": 8,
    "--sample 25%": 3,
    "--shuffle --seed 7": 12,
    "--header --relabel --renumber": 12,
    "--no-idx --key 4": 1,
}


@pytest.mark.usefixtures("rec")
@pytest.mark.parametrize("options", OPTIONS)
def test_each_option_chooses_images(here: Path, options: str) -> None:
    (here / "keys.lst").write_text("4\t0\ta.jpg\n8\t0\tb.jpg\n")
    done = typed(f"select a.rec o.rec {options} --json")

    if OPTIONS[options] is None:
        assert (4, "im2rec: a.rec: no image has the label nan (run 'im2rec inspect' on it)\n") == (done.code, done.err)
        return
    found = json.loads(done.out)
    assert (OPTIONS[options], 12) == (found["images"], found["all_images"])
    assert 12 - found["images"] == sum(found["not_selected"].values())
    assert sorted(found["files"]) == [name for name in names_in(here) if name[0] == "o"]


ERRORS = {
    "select a.rec o.rec --label x": (2, "invalid value for '--label': 'x' is neither a number nor a range such as"),
    "select a.rec o.rec --label 2-1": (2, "the labels 2-1 are no range"),
    "select a.rec o.rec --sample some": (2, "sample=some must be a number from 1 on, or a percentage: 5000, 10%"),
    "select a.rec o.rec --header --shuffle": (2, "--header and --shuffle contradict each other"),
    "select a.rec a.rec --force": (2, "a.rec: belongs to the input a.rec"),
    "select a.rec o.idx": (2, "o.idx: is the name of an index"),
    "select a.rec": (2, ""),
    "select a.rec o.rec --min-images 4": (4, "a.rec: none of its 12 images is chosen"),
    "select gone.rec o.rec": (4, "gone.rec: cannot be read: no such file or directory"),
    "select gone.rec there.rec --force": (4, "gone.rec: cannot be read: no such file or directory"),
    "select text.txt o.rec": (4, "text.txt: "),
    "select a.rec o.rec --drop gone.txt": (4, "gone.txt: cannot be read: no such file or directory"),
    "select a.rec o.rec --list text.txt": (4, "text.txt, line 1: expected a key, a whole number, found 'no record'"),
    "select a.rec there.rec/o.rec": (1, "there.rec: is not a folder (name a folder to write to)"),
    "select a.rec there.rec": (1, "there.rec: exists already (replace it with --force, or choose another name)"),
    "select a.rec folder": (1, "folder: is a folder"),
}


@pytest.mark.usefixtures("rec")
@pytest.mark.parametrize("line", ERRORS)
def test_errors_are_one_line_with_their_exit_code_and_nothing_is_written(here: Path, line: str) -> None:
    (here / "text.txt").write_text("no record\n")
    (here / "there.rec").touch()
    (here / "folder").mkdir()
    before = names_in(here)
    done = typed(line)

    code, message = ERRORS[line]
    assert (code, "", 1) == (done.code, done.out, len(done.err.splitlines())), done
    assert message in done.err
    assert before == names_in(here)


@pytest.mark.usefixtures("rec")
def test_keys_that_no_image_has_are_exit_code_3(here: Path) -> None:
    (here / "noise.txt").write_text("1\n700\n800\n")
    done = typed("select a.rec o.rec --drop noise.txt")

    assert (3, "warning: a.rec: no image has 2 keys of the --drop; first: 700\n") == (done.code, done.err)
    assert done.out.startswith("selected 11 of 12 images of a.rec\n")


def test_a_damaged_file_is_exit_code_5_with_the_command_that_saves_it(rec: Path) -> None:
    data = bytearray(rec.read_bytes())
    data[36 * 4 : 36 * 4 + 4] = b"oops"
    rec.write_bytes(data)
    done = typed("select a.rec o.rec --label 0-3")

    assert 5 == done.code
    assert "  damaged   1 record lost\n" in done.out
    assert "1 damaged range, 36 B in all:" in done.out
    assert done.out.endswith("next: im2rec recover a.rec a_recovered.rec\n")
    assert '"damaged_ranges": 0' in typed("inspect o.rec --json").out


def test_names_with_blanks_and_other_letters_are_taken(here: Path, rec: Path) -> None:
    folder = here / "my faces ü"
    folder.mkdir()
    rec.rename(folder / "trän 1.rec")
    done = im2rec("select", folder / "trän 1.rec", folder / "kleiner Teil.rec", "--label", "2")

    assert 0 == done.code
    assert all(len(line) <= 80 for line in done.out.splitlines() if "/" not in line)
    assert {"kleiner Teil.rec", "kleiner Teil.idx", "kleiner Teil.keys.tsv"} < set(names_in(folder))


@pytest.mark.usefixtures("rec")
def test_a_pipe_that_is_closed_early_is_no_error(here: Path) -> None:
    words = [sys.executable, "-m", "im2rec", "select", "a.rec", "o.rec"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"" == process.stderr.read()
    assert {"o.rec", "o.idx"} < set(names_in(here))


@pytest.mark.usefixtures("rec")
def test_the_quiet_command_prints_the_result_alone(here: Path) -> None:
    done = command("select", "a.rec", "o.rec", "-q", cwd=here)

    assert Ran(0, steady(done.out), "") == done._replace(out=steady(done.out))
    assert "next:" not in done.out
    assert Ran(0, "", "") == command("select", "a.rec", "p.rec", "-qq", cwd=here)


DECODABLE = """\
selected 3 of 6 images of b.rec
  classes    2 of 2
  not taken  3 that cannot be decoded (2 cut short, 1 not an image)
  left out   1 record without an image
  bytes      SIZE
  time       TIME
  written    o.rec, o.idx
next: im2rec inspect o.rec
"""


@pytest.fixture(name="bad")
def _bad(here: Path) -> Path:
    """Six images, of which three do not decode, and a record without an image."""
    jpeg = encoded(texture(), quality=90)
    contents = [jpeg, jpeg[:-40], b"no image", jpeg, b"", jpeg[:-50], jpeg]
    payloads = [image_payload(10 + row, float(row % 2), content) for row, content in enumerate(contents)]
    return write_rec(here / "b.rec", payloads, keys=range(10, 17))


@pytest.mark.usefixtures("bad")
def test_images_that_do_not_decode_are_counted_by_reason_and_leave_the_exit_code_0() -> None:
    ran = typed("select b.rec o.rec --decodable --workers 1")

    assert (0, DECODABLE) == (ran.code, steady(ran.out))
    again = json.loads(typed("select b.rec p.rec --decodable --json").out)
    assert {"cut short": 2, "not an image": 1} == again["not_decoded"]
    assert [(1, 11), (2, 12), (5, 15)] == [(bad["record"], bad["id"]) for bad in again["failures"]]


def test_of_a_damaged_file_the_next_command_inspects_what_was_saved(bad: Path) -> None:
    bad.write_bytes(b"????" + bad.read_bytes()[4:])
    ran = typed("select b.rec o.rec --decodable --workers 1")

    assert 5 == ran.code
    assert "selected 2 of 5 images of b.rec\n  damaged    1 record lost\n" in ran.out
    assert ran.out.endswith("\nnext: im2rec inspect o.rec\n")
    assert 0 == typed("inspect o.rec --verify --workers 1").code


@pytest.mark.usefixtures("rec")
def test_workers_without_decodable_are_wrong_usage() -> None:
    expected = "im2rec: --workers is for --decodable (add --decodable, or leave it out)\n"
    assert Ran(2, "", expected) == typed("select a.rec o.rec --workers 2")


@pytest.mark.parametrize("option", ["--list", "--drop"])
@pytest.mark.parametrize("name", ["o.idx", "o.keys.tsv"])
def test_a_list_is_not_written_over(rec: Path, option: str, name: str) -> None:
    Path(name).write_text("1\n2\n")
    ran = im2rec("select", rec.name, "o.rec", option, name, "--force")

    assert (1, f"im2rec: {name}: is the list itself (choose another name for the output)\n") == (ran.code, ran.err)
    assert "1\n2\n" == Path(name).read_text()
    assert not Path("o.rec").exists()
