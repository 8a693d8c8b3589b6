"""``im2rec join`` from the command line: its output, its exit codes, and the next command."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from image_helpers import Ran, a_list_of_images, im2rec, names_in, typed
from part_helpers import contents, packed_parts

from im2rec.packing.part_file import part_file_path

pytestmark = pytest.mark.usefixtures("here")

JOINED = """\
joined 7 records of 3 parts
  bytes    SIZE
  time     TIME
  written  o.rec, o.idx
next: im2rec inspect o.rec
"""
WITH_BAD = """\
would join 6 records of 3 parts
  left out     1 not an image when the parts were packed
  bytes        SIZE
  would write  o.rec, o.idx, o.rec.digest
next: im2rec join 'o.rec.part*' o.rec --digest
"""


def steady(text: str) -> str:
    """*text* without what differs from run to run."""
    return re.sub(r"\d+\.\d s\b", "TIME", re.sub(r"\d[\d.]* kB", "SIZE", text))


@pytest.fixture
def parts(here: Path) -> list[Path]:
    """Three parts of seven images in the current folder."""
    return packed_parts(*a_list_of_images(here, 7), Path("o.rec"), 3)


@pytest.mark.usefixtures("parts")
def test_all_parts_are_joined_and_the_next_command_inspects_the_result(here: Path) -> None:
    everything = shlex.join(name for name in names_in(here) if ".part" in name)
    done = typed(f"join {everything} o.rec")

    assert (0, JOINED, "") == (done.code, steady(done.out), done.err)
    assert '"state": "agrees"' in typed("inspect o.rec --json").out
    typed("pack l.lst root whole.rec unchanged=1 -qq")
    assert contents(Path("whole.rec")) == contents(Path("o.rec"))


def test_images_that_were_left_out_are_exit_code_3_and_the_report_is_the_next_command(here: Path) -> None:
    listed, root = a_list_of_images(here, 7)
    (root / "3.jpg").write_bytes(b"text")
    packed_parts(listed, root, Path("o.rec"), 3)
    dry = typed("join 'o.rec.part*' o.rec --digest --dry-run")
    assert (3, WITH_BAD, "") == (dry.code, steady(dry.out), dry.err)

    done = typed(shlex.join(shlex.split(dry.out.splitlines()[-1])[2:]))
    assert 3 == done.code
    assert "left out  1 not an image when the parts were packed; all in o.rec.bad.jsonl" in done.out
    assert done.out.endswith("next: cat o.rec.bad.jsonl\n")
    assert ["3.jpg"] == [json.loads(line)["path"] for line in Path("o.rec.bad.jsonl").read_text().splitlines()]


def test_errors_are_one_line_with_their_exit_code(parts: list[Path]) -> None:
    hint = "name the .rec to write as the last word"
    problem = "o.rec.part002: is the name of a part"
    assert Ran(2, "", f"im2rec: {problem} ({hint})\n") == im2rec("join", *parts)
    assert 2 == im2rec("join", parts[0]).code
    problem = "part 1 of 3 is missing: o.rec.part001"
    assert Ran(4, "", f"im2rec: {problem} (name it too)\n") == im2rec("join", parts[0], parts[2], "o.rec")
    Path("o.idx").touch()
    hint = "replace it with --force, or choose another name"
    assert Ran(1, "", f"im2rec: o.idx: exists already ({hint})\n") == im2rec("join", *parts, "o.rec")
    parts[2].write_bytes(b"")
    done = im2rec("join", *parts, "o.rec", "--force")
    assert (5, "") == (done.code, done.out)
    assert done.err.startswith("im2rec: o.rec.part002, byte 0: was cut short: it had ")
    part_file_path(parts[2]).unlink()
    assert 4 == im2rec("join", *parts, "o.rec", "--force").code


def test_an_interrupted_join_begins_again(here: Path, parts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    before = names_in(here)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("im2rec.storage.writer.RecordWriter.write_frames", interrupted)
        done = im2rec("join", *parts, "o.rec")
    words = "join o.rec.part000 o.rec.part001 o.rec.part002 o.rec"
    assert Ran(130, "", f"im2rec: interrupted; to begin again: im2rec {words}\n") == done
    assert before == names_in(here)
    assert 0 == typed(words).code


def test_the_next_command_after_a_part_joins_all_parts(here: Path) -> None:
    a_list_of_images(here, 4)
    last = [typed(f"pack l.lst root o.rec unchanged=1 nsplit=2 part={part}").out.splitlines()[-1] for part in (0, 1)]

    assert ["next: im2rec join 'o.rec.part*' o.rec"] * 2 == last
