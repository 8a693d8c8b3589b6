"""``im2rec index`` from the command line: its output, its exit codes, and the next command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from helpers import image_payload, index_text, write_rec
from image_helpers import Ran, im2rec, names_in, typed
from recovery_helpers import damaged_rec, some_payloads, starts

pytestmark = pytest.mark.usefixtures("here")

JUNK = b"\x55" * 40
INDEXED = """\
listed 3 of 5 records of faces.rec
  keys      ids
  left out  2 records with labels and no image
  bytes     16 B
  time      TIME
  written   faces.dali.idx
next: im2rec inspect faces.rec --idx faces.dali.idx
"""


def steady(text: str) -> str:
    """*text* without what differs from run to run."""
    return re.sub(r"\d+\.\d s\b", "TIME", text)


def test_the_index_for_dali_is_written_beside_the_other_one(here: Path) -> None:
    payloads = [image_payload(0, [4.0, 5.0], b""), *(image_payload(n, 0.0) for n in (1, 2, 3))]
    write_rec(here / "faces.rec", [*payloads, image_payload(4, [1.0, 4.0], b"")])
    done = typed("index faces.rec --for dali")

    assert (0, INDEXED, "") == (done.code, steady(done.out), done.err)
    assert '"state": "wrong"' not in typed(shlex.join(shlex.split(INDEXED.splitlines()[-1])[2:]), "--json").out


def test_the_index_of_a_damaged_file_names_the_ranges_and_the_command_that_saves_the_records(here: Path) -> None:
    damaged_rec(here / "a.rec", [0, 1, 2, JUNK, *range(5, 20)])
    done = im2rec("index", "a.rec", "--force")

    assert 5 == done.code
    assert "  damaged  bytes 1020 to 1060, after 3 records: " in done.out
    assert done.out.endswith("next: im2rec recover a.rec saved.rec\n")
    assert 18 == (here / "a.idx").read_bytes().count(b"\n")


def test_ordinals_are_written_on_request(here: Path) -> None:
    write_rec(here / "a.rec", some_payloads(), index=False)
    assert 0 == typed("index a.rec --keys ordinal --out o.idx").code

    assert index_text(starts()) == (here / "o.idx").read_bytes()
    assert ["a.rec", "o.idx"] == names_in(here)


def test_the_next_command_after_an_index_is_one_that_works(here: Path) -> None:
    write_rec(here / "-a.rec", some_payloads(3), index=False)
    for more in ("", "--out o.idx"):
        done = typed(f"index ./-a.rec {more}")
        assert '"state": "agrees"' in typed(shlex.join(shlex.split(done.out.splitlines()[-1])[2:]), "--json").out


def test_an_existing_index_and_files_of_another_kind_are_errors_of_one_line(here: Path) -> None:
    write_rec(here / "a.rec", some_payloads(3))
    hint = "replace it with --force, or choose another name"
    assert Ran(1, "", f"im2rec: a.idx: exists already ({hint})\n") == im2rec("index", "a.rec")
    (here / "l.rec").write_text("1\t0\tx.jpg\n")
    done = im2rec("index", "l.rec")
    assert (4, "") == (done.code, done.out)
    assert "is not a RecordIO file: it is a list (.lst)" in done.err


def test_a_file_that_went_through_text_mode_is_refused(here: Path) -> None:
    data = write_rec(here / "b.rec", [image_payload(n, 1.0, b"\x89PNG\r\n\x1a\n" + bytes(99)) for n in range(5)])
    (here / "a.rec").write_bytes(data.read_bytes().replace(b"\r\n", b"\n"))
    done = im2rec("index", "a.rec")

    assert 4 == done.code
    assert "went through text mode" in done.err
