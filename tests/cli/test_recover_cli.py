"""``im2rec recover`` from the command line: its output, its exit codes, and the next command."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from helpers import image_payload, write_rec
from image_helpers import Ran, im2rec, names_in, typed
from recovery_helpers import damaged_rec, some_ids, some_payloads

from im2rec.cli.recover import exit_code, render
from im2rec.recovery.report import RecoverSummary
from im2rec.storage.damaged_range import DamagedRange

pytestmark = pytest.mark.usefixtures("here")

JUNK = b"\x55" * 40
WHOLE = """\
wrote 20 records of a.rec
  whole    all: the file is not damaged
  bytes    6.8 kB, in TIME
  written  o.rec, o.idx
next: im2rec inspect o.rec
"""
LOST = """\
wrote 18 of 20 records of a.rec
  whole    18
  lost     2 of 20: ids 1009, 1012
  damaged  bytes 1020 to 1060, after 3 records: PROBLEM; 2 lost
  bytes    6.12 kB, in TIME
  written  o.rec, o.idx, lost.json
next: im2rec inspect o.rec --verify
"""
UNKNOWN = """\
would write 18 records of a.rec
  whole        18
  lost         unknown: there is no old index, and no --list, to tell
  damaged      bytes 1020 to 1060, after 3 records: PROBLEM
  bytes        6.12 kB, in TIME
  would write  o.rec, o.idx
next: im2rec recover a.rec o.rec --no-idx
"""


def steady(text: str) -> str:
    """*text* without what differs from run to run, and without the words of the scan, each damaged range on a line."""
    text = re.sub(r"\d+\.\d s\b", "TIME", text)
    text = re.sub(r"\n {9,}(?=\S)", " ", text)
    return re.sub(r"(records: ).*?(; \d+ lost)?\n", lambda found: f"{found[1]}PROBLEM{found[2] or ''}\n", text)


def test_a_whole_file_is_copied_and_said_to_be_whole(here: Path) -> None:
    write_rec(here / "a.rec", some_payloads(), keys=some_ids())
    done = im2rec("recover", "a.rec", "o.rec")

    assert (0, WHOLE, "") == (done.code, steady(done.out), done.err)
    assert (here / "a.rec").read_bytes() == (here / "o.rec").read_bytes()


def test_what_is_lost_is_named_and_the_exit_code_is_5(here: Path) -> None:
    damaged_rec(here / "a.rec", [0, 1, 2, JUNK, *range(5, 20)])
    done = im2rec("recover", "a.rec", "o.rec", "--report", "lost.json")

    assert (5, LOST, "") == (done.code, steady(done.out), done.err)
    assert [1009, 1012] == json.loads((here / "lost.json").read_text())["damage"][0]["lost_keys"]
    assert 5 != im2rec("inspect", "o.rec", "-qq").code


def test_the_copy_of_the_class_names_is_among_the_written_files(here: Path) -> None:
    write_rec(here / "a.rec", some_payloads(), keys=some_ids())
    (here / "a.classes.txt").write_text("cat\ndog\n")

    assert "  written  o.rec, o.idx, o.classes.txt\n" in im2rec("recover", "a.rec", "o.rec").out


def test_damage_of_unknown_cost_is_exit_code_5_and_damage_without_cost_3(here: Path) -> None:
    damaged_rec(here / "a.rec", [0, 1, 2, JUNK, *range(5, 20)])
    done = typed("recover a.rec o.rec --no-idx --dry-run")
    assert (5, UNKNOWN, "") == (done.code, steady(done.out), done.err)
    assert ["a.idx", "a.rec"] == names_in(here)

    damaged_rec(here / "a.rec", [0, 1, 2, JUNK, *range(3, 20)])
    done = typed("recover a.rec o.rec")
    assert (3, "") == (done.code, done.err)
    assert "  lost     none\n" in done.out
    assert 5 == typed("recover a.rec p.rec --no-idx").code
    (here / "a.lst").write_text("".join(f"{id_}\t0\tx.jpg\n" for id_ in some_ids()))
    assert 3 == typed("recover a.rec q.rec --no-idx --list a.lst").code


def test_the_old_index_may_have_another_name(here: Path) -> None:
    damaged_rec(here / "a.rec", [0, 1, 2, JUNK, *range(5, 20)])
    (here / "a.idx").rename(here / "old.idx")

    assert "lost     2 of 20: ids 1009, 1012" in typed("recover a.rec o.rec --idx old.idx").out
    assert 2 == typed("recover a.rec p.rec --idx old.idx --no-idx").code


def a_summary(**changed: object) -> RecoverSummary:
    paths = {"input": "a.rec", "out": "o.rec", "index_out": "o.idx", "lost_kind": "ids", "key_kind": "ids"}
    counts = {"size": 10**6, "bytes_out": 10**6, "records": 100, "written": 100, "listed": 100, "lost": 0}
    zeros = dict.fromkeys(("doubtful", "duplicates", "damaged_bytes", "unreadable_bytes"), 0)
    values: dict[str, object] = {**paths, **counts, **zeros, "unplaced_keys": [], "damage": [], **changed}
    return RecoverSummary(**values)  # type: ignore[arg-type]


A_RANGE = DamagedRange(100, 200, 5, "expected the magic 0a 23 d7 ce, found 00 00 00 00", 0, [])


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        (0, {}),
        (0, {"lost": None}),
        (3, {"damage": [A_RANGE]}),
        (5, {"damage": [A_RANGE], "lost": None}),
        (5, {"damage": [A_RANGE], "lost": 1}),
        (3, {"index_is_outdated": True}),
        (5, {"lost": 1}),
        (5, {"lost": 1, "index_is_outdated": True}),
        (5, {"damage": [A_RANGE], "doubtful": 1}),
        (5, {"damage": [A_RANGE], "doubtful": 1, "written": 99}),
    ],
)
def test_the_exit_code_follows_from_what_is_lost_doubtful_and_damaged(code: int, changed: dict[str, object]) -> None:
    assert code == exit_code(a_summary(**changed))


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("wrote 99 of 100 records of a.rec", {"damage": [A_RANGE], "records": 99, "written": 99, "lost": 1}),
        ("wrote 120 records of a.rec", {"damage": [A_RANGE], "records": 120, "written": 120, "duplicates": 20}),
        ("lost 1 of 100: id 7", {"damage": [A_RANGE], "lost": 1, "unplaced_keys": [7]}),
        ("lost 2 of 100: ids 7, 9", {"damage": [A_RANGE], "lost": 2, "unplaced_keys": [7, 9]}),
        (
            "damaged byte 100, after 5 records: expected",
            {"damage": [dataclasses.replace(A_RANGE, end=100, problem="expected")]},
        ),
        (
            "moved some records are not where a.idx says; the new index is right",
            {"index_is_outdated": True, "old_index": "a.idx"},
        ),
    ],
)
def test_the_table_says_what_is_right_for_each_kind_of_damage(line: str, changed: dict[str, object]) -> None:
    assert line in [" ".join(row.split()) for row in render(a_summary(**changed)).splitlines()]


def test_the_table_has_a_dozen_lines_of_80_columns_however_bad_it_is() -> None:
    ranges = [DamagedRange(n * 10**10, n * 10**10 + 5, 10**8, A_RANGE.problem, 3, [2**64 - 1] * 30) for n in range(50)]
    worst = a_summary(damage=ranges, doubtful=12_345, written=50, lost=1500, duplicates=17, unreadable_bytes=8192)
    text = render(worst)

    assert len(text.splitlines()) <= 13  # with its `next:` two more than usual: everything is wrong at once
    assert max(map(len, text.splitlines())) <= 80
    assert "12,345 doubtful, ending at damage: left out" in text
    assert "17 records, kept" in text
    assert "8.19 kB on the disk" in text
    assert "--report FILE, or --json, lists them" in text
    worst.written = worst.records
    assert "--doubtful drop leaves such out" in " ".join(render(worst).split())


def test_an_existing_file_is_an_error_of_one_line_and_a_file_of_another_kind_too(here: Path) -> None:
    write_rec(here / "a.rec", some_payloads(3))
    (here / "o.rec").write_bytes(b"old")
    hint = "replace it with --force, or choose another name"
    assert Ran(1, "", f"im2rec: o.rec: exists already ({hint})\n") == im2rec("recover", "a.rec", "o.rec")
    message = "im2rec: a.rec: is the input (choose another name for the output)\n"
    assert Ran(1, "", message) == im2rec("recover", "a.rec", "a.rec", "--force")
    (here / "l.rec").write_text("1\t0\tx.jpg\n")
    done = im2rec("recover", "l.rec", "p.rec")
    assert (4, "") == (done.code, done.out)
    assert "is not a RecordIO file: it is a list (.lst)" in done.err


def test_a_file_that_went_through_text_mode_is_refused(here: Path) -> None:
    data = write_rec(here / "b.rec", [image_payload(n, 1.0, b"\x89PNG\r\n\x1a\n" + bytes(99)) for n in range(5)])
    (here / "a.rec").write_bytes(data.read_bytes().replace(b"\r\n", b"\n"))
    done = im2rec("recover", "a.rec", "o.rec")
    assert 4 == done.code
    assert "went through text mode" in done.err
    assert ["a.rec", "b.idx", "b.rec"] == names_in(here)
