"""The command ``im2rec bench``: its tables, the advice, the next command, its files and its errors."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from helpers import image_payload, write_rec
from image_helpers import POSIX, Ran, a_list_of_images, im2rec, names_in
from iterator_helpers import a_rec, image
from PIL import Image

pytestmark = pytest.mark.usefixtures("ticking")

LOUD = ("--seconds", "0.02", "--threads", "1")
QUICK = (*LOUD, "--quiet")
NUMBER = r"\d[\d,.]*"
ITERATOR = f"""\
a\\.rec: 7 images of 10 x 8, no JPEG, {NUMBER} kB
  batches  5 x 3 x 8 x 8 float32
  engine   \\w+, JPEGs decoded by \\w+
  kernel   (?:numba [\\d.]+|none: .+)
  opening  {NUMBER} m?s; the first batch {NUMBER} m?s later
  reading  .*
(?:           .*
)*(?:  memory   {NUMBER} MB at most, with 1 thread
)?  alone, 1 thread    images/s   middle half of runs     of time
    reading       .*%
    decoding      .*%
    augmenting    .*%
    normalising   .*%
(?:    the rest      .*%
)?  together, threads  images/s   middle half of runs   full decode
    1             .*% of it
limit: [^\n]+
(?:  [^\n]+
)*"""
PACK = f"""\
l\\.lst: 3 images of 3\\d x 2\\d, JPEG, {NUMBER} kB
  engine   \\w+, JPEGs decoded by \\w+
  opening  {NUMBER} m?s; packing with 1 worker: the first image {NUMBER} m?s later
  reading  .*
(?:           .*
)*  alone, 1 worker    images/s   middle half of runs     of time
    reading       .*%
    decoding      .*%
    resizing      .*%
    encoding      .*%
    writing       .*%
(?:    the rest      .*%
)?  together, workers  images/s   middle half of runs
    1             .*
limit: [^\n]+
(?:  [^\n]+
)*"""


@pytest.fixture(autouse=True)
def _files(here: Path) -> None:
    a_rec(here, 7, "a.rec")
    a_list_of_images(here)


def next_command(done: Ran) -> list[str]:
    return shlex.split(done.out.splitlines()[-1].removeprefix("next: "))


def test_the_report_of_an_iterator_fits_on_one_screen() -> None:
    done = im2rec("bench", "a.rec", "--batch-size", "5", *QUICK)

    assert (0, "") == (done.code, done.err)
    assert re.fullmatch(ITERATOR, done.out), done.out
    lines = done.out.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)


def test_a_list_gives_the_report_of_packing_and_leaves_no_file() -> None:
    done = im2rec("bench", "l.lst", "root", "resize=25", *QUICK)

    assert (0, "") == (done.code, done.err)
    assert re.fullmatch(PACK, done.out), done.out
    assert ["a.idx", "a.rec", "l.lst", "root"] == names_in(Path())


def test_the_next_command_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.bench.iterator.available_cpus", lambda: 1)
    monkeypatch.setattr("im2rec.bench.pack.available_cpus", lambda: 1)
    iterating = im2rec("bench", "a.rec", "--batch-size", "5", "rand_mirror=1", "preprocess_threads=9", *LOUD)
    assert ["iterate", "a.rec", "rand_mirror=1", "--batch-size", "5", "preprocess_threads=1"] == next_command(
        iterating
    )[1:]
    assert 0 == im2rec(*next_command(iterating)[1:], "-q").code

    packing = im2rec("bench", "l.lst", "root", "resize=25", *LOUD)
    assert ["pack", "l.lst", "root", "l.rec", "resize=25", "--workers", "1"] == next_command(packing)[1:]
    assert 0 == im2rec(*next_command(packing)[1:], "-q").code


def test_the_next_command_tries_more_threads_if_they_are_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.bench.iterator.available_cpus", lambda: 6)
    monkeypatch.setattr("im2rec.bench.read_speed.source_of", lambda *_: "memory")
    done = im2rec("bench", "a.rec", "shuffle=1", *LOUD)

    assert ["im2rec", "bench", "a.rec", "shuffle=1", "--threads", "1,2,4,6"] == next_command(done)


def test_json_is_one_object_of_stable_keys() -> None:
    common = {
        "schema",
        "command",
        "input",
        "records",
        "image_description",
        "engine",
        "jpeg_decoder",
        "cpus",
        "seconds_each",
    }
    common |= {
        "opening_s",
        "first_s",
        "read",
        "stages",
        "by_threads",
        "peak_memory",
        "without_result",
        "advice",
        "turns",
    }
    common |= {"peers", "plot"}
    damage = ("damaged_ranges", "damaged_bytes", "damaged_records", "lost", "doubtful")
    rate = {"median", "low", "high", "repetitions"}
    for words, more in (
        (["a.rec"], {"data_shape", "batch_size", "dtype", "kernel", "declined", *damage}),
        (["l.lst", "root"], {"root"}),
    ):
        done = im2rec("bench", *words, *QUICK, "--json")
        data = json.loads(done.out)
        assert (0, 2, "bench", words[0]) == (done.code, data["schema"], data["command"], data["input"])
        assert common | more == data.keys()
        assert {"limit", "sentence", "keys", "threads"} == data["advice"].keys()
        assert all(
            {"name", "rate", "share"} == stage.keys() and rate == stage["rate"].keys() for stage in data["stages"]
        )
        assert all({"threads", "whole", "full_decode"} == row.keys() for row in data["by_threads"])


def test_a_plot_is_written_and_replaced_only_with_force() -> None:
    for words in (["a.rec"], ["l.lst", "root"]):
        done = im2rec("bench", *words, *QUICK, "--plot", "p.png")
        assert "  written  p.png" in done.out.splitlines()
        with Image.open("p.png") as chart:
            assert ("PNG", (880, 520)) == (chart.format, chart.size)
        again = im2rec("bench", *words, *QUICK, "--plot", "p.png")
        assert (1, "im2rec: p.png: exists already (replace it with --force, or choose another name)\n") == (
            again.code,
            again.err,
        )
        assert 0 == im2rec("bench", *words, *QUICK, "--plot", "p.png", "--force").code
        Path("p.png").unlink()


def test_a_dry_run_measures_and_writes_nothing() -> None:
    before = names_in(Path())
    again = "next: im2rec bench a.rec --plot p.png --threads 1,3\n"
    planned = f"would bench 7 records of a.rec\n  threads      1, 3\n  would write  p.png\n{again}"
    assert Ran(0, planned, "") == im2rec("bench", "a.rec", "--plot", "p.png", "--threads", "1,3", "--dry-run")
    planned = "would bench 3 lines of l.lst\n  workers  2\nnext: im2rec bench l.lst root --threads 2\n"
    assert Ran(0, planned, "") == im2rec("bench", "l.lst", "root", "--threads", "2", "--dry-run")
    assert before == names_in(Path())


def test_skipped_records_are_reported_once_and_give_exit_code_3() -> None:
    write_rec(Path("odd.rec"), [image_payload(n, 1, b"text" if n == 2 else image(n)) for n in range(4)])
    done = im2rec("bench", "odd.rec", *QUICK)

    assert 3 == done.code
    assert "  skipped  1 record that gave no image" in done.out.splitlines()
    assert 1 == done.err.count("further ones are only counted")


@POSIX
def test_a_peer_that_is_missing_is_refused_before_the_work() -> None:
    refused = Ran(4, "", f"im2rec: {sys.executable}: has no mxnet (name the Python that has mxnet)\n")

    assert refused == im2rec("bench", "a.rec", *QUICK, "--against", f"mxnet={sys.executable}")


@POSIX
def test_a_peer_that_does_not_run_is_reported_and_gives_exit_code_3() -> None:
    Path("python").write_text(f'#!/bin/sh\n[ "$1" = -c ] || exec {sys.executable} "$@"\n')  # claims to have mxnet
    Path("python").chmod(0o755)
    done = im2rec("bench", "a.rec", *QUICK, "--against", f"mxnet={Path.cwd() / 'python'}")

    assert 3 == done.code
    assert "  in turns, 1 thread" in done.out
    assert "    mxnet ended: ModuleNotFoundError: No module named 'mxnet'" in done.out.splitlines()


@pytest.mark.usefixtures("progress_at_once")
def test_progress_counts_the_measurements() -> None:
    done = im2rec("bench", "a.rec", *LOUD)

    assert "timing reading: 1 step (" in done.err
    assert re.search(r"^timing iterating, 1 thread: \d+ steps \(\d+%\)", done.err, re.MULTILINE)
    assert "steps (100%)" in done.err


ERRORS = {
    "no file": (["no.rec"], 4, "no.rec: cannot be read: no such file or directory (check the path)"),
    "no root": (["l.lst"], 2, "ROOT is missing (im2rec bench LIST ROOT [KEY=VALUE]...)"),
    "a key for a root": (["l.lst", "resize=3"], 2, "ROOT is missing (im2rec bench LIST ROOT [KEY=VALUE]...)"),
    "a root of nothing": (
        ["l.lst", "."],
        4,
        ".: none of the images below it could be packed: 3 no such file or directory (check ROOT)",
    ),
    "a key of packing": (["a.rec", "quality=3"], 2, "unknown key 'quality'"),
    "an unknown key": (["l.lst", "root", "resze=3"], 2, "unknown key 'resze' (the nearest known key is 'resize')"),
    "threads": (["a.rec", "--threads", "1,x"], 2, "--threads 1,x must be numbers from 1 on, joined by commas"),
    "no threads": (["a.rec", "--threads", "0"], 2, "--threads 0 must be numbers from 1 on, joined by commas"),
    "no time": (["a.rec", "--seconds", "0"], 2, "--seconds 0 must be above 0"),
    "no peer": (["a.rec", "--against", "mxnet"], 2, "--against mxnet must be NAME=PYTHON, joined by commas"),
    "another peer": (["a.rec", "--against", "a=b"], 2, "--against a=b must name mxnet or dali"),
    "no Python": (
        ["a.rec", "--against", "dali=/no/python"],
        4,
        "/no/python: is not a program that can be run (name the Python that has dali)",
    ),
    "a batch size for a list": (
        ["l.lst", "root", "--batch-size", "3"],
        2,
        "--against, --batch-size and --data-shape are for a .rec (leave them out)",
    ),
    "no folder for the plot": (
        ["a.rec", "--plot", "no/p.png"],
        1,
        "no/p.png: the folder no is missing (make it first)",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_and_its_exit_code_and_writes_nothing(case: str) -> None:
    words, code, message = ERRORS[case]
    before = names_in(Path())
    done = im2rec("bench", *words)

    assert (code, "") == (done.code, done.out)
    assert done.err.startswith(f"im2rec: {message}")
    assert 1 == done.err.count("\n")
    assert before == names_in(Path())


def test_bare_bench_shows_its_help() -> None:
    done = im2rec("bench")

    assert (0, "") == (done.code, done.err)
    assert im2rec("bench", "--help").out == done.out
