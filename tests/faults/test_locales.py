"""Names of files in locales that are not UTF-8: a list is bytes, and names the same files in all of them."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import image_payload, write_rec
from image_helpers import encoded, names_in, texture

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="names are text, or UTF-8, elsewhere"),
    pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="the names of these tests are UTF-8"),
]

FOLDERS = ("größe".encode(), "é".encode(), "日本".encode(), b"\xff not UTF-8")  # in the order of make-list
LOCALES = {"ASCII": ("C", ""), "Latin-1": ("en_US", "ISO-8859-1"), "GBK": ("zh_CN", "GBK"), "Big5": ("zh_TW", "BIG5")}


@functools.cache
def environment(folder: Path, name: str) -> dict[str, str]:
    """Return the variables of the locale *name*, made in *folder*; the test is skipped where it cannot be made."""
    language, encoding = LOCALES[name]
    variables = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": language}
    if encoding:
        variables |= {"LOCPATH": str(folder), "LC_ALL": f"{language}.{encoding}"}
        made = folder / variables["LC_ALL"]
        if shutil.which("localedef"):
            subprocess.run(["localedef", "-i", language, "-f", encoding, made], check=False, capture_output=True)
        if not made.exists():
            pytest.skip(f"the locale {made.name} cannot be made here")
    return variables


def run(variables: dict[str, str], *words: object) -> str:
    """Run ``im2rec`` with the environment *variables*, and return its standard output."""
    line = [sys.executable, "-m", "im2rec", *map(os.fspath, words)]  # type: ignore[arg-type, call-overload]
    done = subprocess.run(line, env=variables, capture_output=True, check=False, timeout=60)
    assert b"" == done.stderr
    assert done.returncode in (0, 3)
    return done.stdout.decode(errors="replace")


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("locales")


@pytest.fixture(params=LOCALES)
def variables(request: pytest.FixtureRequest, locales: Path) -> dict[str, str]:
    """The environment of each locale."""
    return environment(locales, request.param)


def images_below(root: Path) -> None:
    content = encoded(texture(), "JPEG")
    for name in FOLDERS:
        folder = root / os.fsdecode(name)
        folder.mkdir(parents=True)
        (folder / "ä 1.jpg").write_bytes(content)


def test_lists_packs_and_extractions_are_the_same_in_every_locale(tmp_path: Path, variables: dict[str, str]) -> None:
    # Names in the arguments too: Python decodes these by the locale.
    root, lists, recs, out = (tmp_path / name for name in ("ü", "lists", "recs", "out ö"))
    images_below(root)
    for folder in (lists, recs):
        folder.mkdir()
    listed = b"".join(b"%d\t%d\t%s/\xc3\xa4 1.jpg\n" % (n, n, name) for n, name in enumerate(FOLDERS))

    run(variables, "make-list", root, "--prefix", lists / "ä", "--json")
    assert listed == (lists / "ä.lst").read_bytes()
    classes = b"".join(name + b"\n" for name in FOLDERS)
    assert classes == (lists / "ä.classes.txt").read_bytes()
    run(variables, "make-list", root, "--prefix", lists / "again", "--classes", lists / "ä.classes.txt", "--json")
    assert listed == (lists / "again.lst").read_bytes()

    for words in (["unchanged=1"], ["resize=8"]):
        summary = json.loads(
            run(variables, "pack", lists / "ä.lst", root, recs / "ä.rec", *words, "--workers", "1", "--force", "--json")
        )
        assert (4, {}, 0) == (summary["images"], summary["bad"], summary["outside"])
    assert 4 == json.loads(run(variables, "inspect", recs / "ä.rec", "--json"))["records"]

    run(variables, "extract", recs / "ä.rec", out, "--classes", lists / "ä.classes.txt", "--json")
    assert {*FOLDERS, b".im2rec-extract.json", "ä.lst".encode()} == {os.fsencode(path.name) for path in out.iterdir()}
    names = [line.split(b"\t")[2] for line in (out / "ä.lst").read_bytes().splitlines()]
    assert [name + b"/%d.jpg" % n for n, name in enumerate(FOLDERS)] == names


def test_a_missing_file_is_missing_and_its_name_is_the_same_in_every_report(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    root = tmp_path / "root"
    images_below(root)
    (tmp_path / "l.lst").write_bytes("0\t0\té/ä 1.jpg\n1\t0\té/ö.jpg\n2\t0\t../ö.jpg\n".encode())
    words = ["pack", tmp_path / "l.lst", root, tmp_path / "o.rec", "unchanged=1", "--workers", "1"]
    expected = [
        {"line": 2, "id": 1, "path": "é/ö.jpg", "reason": "missing", "detail": "no such file"},
        {"line": 3, "id": 2, "path": "../ö.jpg", "reason": "missing", "detail": "no such file"},
    ]
    for dry_run in (["--dry-run"], []):
        summary = json.loads(run(variables, *words, "--json", *dry_run))
        assert expected[0] == summary["first_bad"]
        assert (1, 3) == (summary["outside"], summary["outside_line"])
    lines = (tmp_path / "o.rec.bad.jsonl").read_text(encoding="ascii").splitlines()
    assert expected == [json.loads(line) for line in lines]
    run(variables, *words, "--force")  # the table is printed, whatever the terminal can show


def test_an_extraction_goes_on_in_another_locale(tmp_path: Path, variables: dict[str, str]) -> None:
    content = encoded(texture(), "JPEG")
    rec = write_rec(tmp_path / "ü.rec", [image_payload(n, float(n), content) for n in range(2)])
    (tmp_path / "c.txt").write_text("größe\n日本\n", encoding="utf-8")
    words = ["extract", rec, tmp_path / "out", "--classes", tmp_path / "c.txt", "--json"]
    run({**os.environ, "PYTHONUTF8": "1"}, *words)
    (tmp_path / "out").rename(tmp_path / "out.im2rec-partial")  # as after a kill before the last rename

    assert 2 == json.loads(run(variables, *words))["resumed"]
    assert {"größe", "日本"} < set(names_in(tmp_path / "out"))
