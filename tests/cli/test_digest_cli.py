"""``im2rec digest`` and ``pack --digest`` from the command line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from helpers import bounds, image_payload, joined, write_rec
from image_helpers import Ran, a_list_of_images, encoded, im2rec, names_in, texture

from im2rec.storage.digest import load_digest

pytestmark = pytest.mark.usefixtures("here")

PAYLOADS = [image_payload(100 + n, n % 3, encoded(texture(60, 60, seed=n), "PNG")) for n in range(12)]
DATA = joined(PAYLOADS)
STARTS = bounds(PAYLOADS)
RESULT = f"""\
a.rec: 12 records, {len(DATA) / 1000:.1f} kB
  sha256   {hashlib.sha256(DATA).hexdigest()}
  hashes   1 block of 8 MiB
  time     TIME
  written  a.rec.digest
next: im2rec inspect a.rec --verify
"""


def test_the_summary_is_a_table_and_the_command_that_compares(here: Path) -> None:
    write_rec(here / "a.rec", PAYLOADS, index=False)
    code, out, err = im2rec("digest", "a.rec")
    lines = ["  time     TIME" if line.startswith("  time ") else line for line in out.splitlines()]

    assert (0, RESULT, "") == (code, "\n".join(lines) + "\n", err)
    assert ["a.rec", "a.rec.digest"] == names_in(here)
    assert load_digest(here / "a.rec.digest").sha256.hex() in out


def test_the_digest_of_a_damaged_file_says_so_with_exit_code_5(here: Path) -> None:
    (here / "a.rec").write_bytes(DATA[:-8])
    lost = STARTS[12] - STARTS[11] - 8
    code, out, err = im2rec("digest", "a.rec")

    assert 5 == code
    assert f"  damaged  {lost:,} bytes in no whole record\n" in out
    assert out.endswith("next: im2rec inspect a.rec\n")
    expected = f"a.rec: {lost:,} bytes of it are in no whole record; the digest is that of the damaged file"
    assert f"warning: {expected}\n" == err
    assert (11, lost) == (load_digest(here / "a.rec.digest").records, load_digest(here / "a.rec.digest").damaged_bytes)


def test_a_dry_run_writes_nothing_and_an_existing_digest_needs_force(here: Path) -> None:
    write_rec(here / "a.rec", PAYLOADS, index=False)
    code, out, _ = im2rec("digest", "a.rec", "--out", "d", "--dry-run")
    assert (0, ["a.rec"]) == (code, names_in(here))
    assert "would write  d\n" in out
    assert out.endswith("next: im2rec digest a.rec --out d\n")

    assert 0 == im2rec("digest", "a.rec").code
    expected = "im2rec: a.rec.digest: exists already (replace it with --force, or choose another name)\n"
    assert Ran(1, "", expected) == im2rec("digest", "a.rec")
    assert 0 == im2rec("digest", "a.rec", "--force").code


# pack --digest.


def test_pack_writes_the_digest_of_what_it_packs(here: Path) -> None:
    listed, root = a_list_of_images(here, 5)
    code, out, _ = im2rec("pack", listed, root, "o.rec", "--digest")
    assert 0 == code
    assert "  written  o.rec, o.idx, o.rec.digest\n" in out
    assert 0 == im2rec("digest", "o.rec", "--out", "again").code
    assert (here / "again").read_bytes() == (here / "o.rec.digest").read_bytes()


def test_pack_removes_the_digest_of_the_file_that_it_replaces(here: Path) -> None:
    listed, root = a_list_of_images(here, 3)
    assert 0 == im2rec("pack", listed, root, "o.rec", "--digest").code
    (here / "o.rec").unlink()
    (here / "o.idx").unlink()
    for words in ((), ("--dry-run",)):
        code, out, err = im2rec("pack", listed, root, "o.rec", *words)
        assert (1, "") == (code, out)
        assert "im2rec: o.rec.digest: exists already" in err

    code, out, _ = im2rec("pack", listed, root, "o.rec", "--force")
    assert 0 == code
    assert "  written  o.rec, o.idx\n" in out
    assert not (here / "o.rec.digest").exists()


def test_a_list_with_the_name_of_the_digest_is_not_replaced(here: Path) -> None:
    listed, root = a_list_of_images(here, 3)
    listed = listed.rename(here / "o.rec.digest")
    code, _, err = im2rec("pack", listed, root, "o.rec", "--force")

    assert (1, True) == (code, listed.exists())
    assert "is the list itself" in err
