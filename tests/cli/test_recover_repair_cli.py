"""``im2rec recover --repair-from``: a file restored from two copies, by its digest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from image_helpers import im2rec, names_in, typed
from recovery_helpers import some_ids, starts, whole_file

from im2rec.storage.digest import write_digest

pytestmark = pytest.mark.usefixtures("here")

REPAIRED = """\
wrote o.rec: a.rec as it was
  blocks    0 of 1 are right in a.rec
  repaired  1 block: bytes 0 to 6800
  digest    a.rec.digest
  bytes     6.8 kB, in TIME
  written   o.rec, o.rec.digest, o.idx
next: im2rec inspect o.rec --verify
"""


@pytest.fixture(autouse=True)
def _copies(here: Path) -> None:
    """Two copies of a file: a.rec with a flipped byte and its digest, b.rec without."""
    (here / "a.rec").write_bytes(whole_file())
    write_digest(here / "a.rec")
    (here / "a.rec").write_bytes(flipped(100))
    (here / "b.rec").write_bytes(whole_file())


def flipped(at: int) -> bytes:
    data = bytearray(whole_file())
    data[at] ^= 1
    return bytes(data)


def test_the_file_is_restored_with_its_index_and_its_digest(here: Path) -> None:
    done = im2rec("recover", "a.rec", "o.rec", "--repair-from", "b.rec")

    assert (3, REPAIRED, "") == (done.code, re.sub(r"\d\.\d s\b", "TIME", done.out), done.err)
    assert whole_file() == (here / "o.rec").read_bytes()
    lines = b"".join(b"%d\t%d\n" % pair for pair in zip(some_ids(), starts(), strict=True))
    assert lines == (here / "o.idx").read_bytes()
    assert (here / "a.rec.digest").read_bytes() == (here / "o.rec.digest").read_bytes()


def test_a_file_that_is_as_it_was_is_exit_code_0(here: Path) -> None:
    (here / "a.rec").write_bytes(whole_file())

    assert 0 == typed("recover a.rec o.rec --repair-from b.rec -q").code


def test_blocks_that_are_wrong_in_both_copies_are_named_with_exit_code_5(here: Path) -> None:
    (here / "a.rec").write_bytes(flipped(starts()[3]))
    (here / "b.rec").write_bytes(flipped(starts()[3])[:-1])
    done = typed("recover a.rec o.rec --repair-from b.rec")

    assert 5 == done.code
    assert ": a.rec with damage that neither copy can repair" in done.out
    assert "  bad      1 block: bytes 0 to 6800\n" in done.out
    assert 19 == (here / "o.idx").read_bytes().count(b"\n")


def test_a_dry_run_writes_nothing(here: Path) -> None:
    before = names_in(here)
    done = typed("recover a.rec o.rec --repair-from b.rec --dry-run")

    assert 3 == done.code
    assert "  would write  o.rec, o.rec.digest, o.idx\n" in done.out
    assert before == names_in(here)


@pytest.mark.parametrize("more", ["--list l.lst", "--report r.json", "--no-idx", "--idx a.idx", "--doubtful drop"])
def test_options_for_what_is_whole_are_wrong_usage(here: Path, more: str) -> None:
    before = names_in(here)
    done = typed(f"recover a.rec o.rec --repair-from b.rec {more}")

    assert (2, "") == (done.code, done.out)
    assert f"{more.split(maxsplit=1)[0]} is for what is whole in IN" in done.err
    assert before == names_in(here)


def test_without_a_digest_the_error_says_how_to_make_one(here: Path) -> None:
    (here / "a.rec.digest").unlink()
    done = typed("recover a.rec o.rec --repair-from b.rec")

    assert (4, "") == (done.code, done.out)
    assert "has no digest beside it" in done.err


def test_the_index_of_a_copy_is_never_replaced(here: Path) -> None:
    (here / "a.idx").write_bytes(b"old")
    done = typed("recover a.rec a.bin --repair-from b.rec --force")

    assert (1, "im2rec: a.idx: is the input itself (choose another name for the output)\n") == (done.code, done.err)
    assert b"old" == (here / "a.idx").read_bytes()
