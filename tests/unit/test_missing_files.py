"""Why a file that a list names is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from im2rec.storage.missing_files import describe_missing


@pytest.mark.skipif(os.sep != "/", reason="backslashes separate folders")
def test_backslashes_explain_a_missing_file() -> None:
    assert "no such file" == describe_missing("sub/a.jpg")
    assert "no such file: its backslashes separate no folders here; write /" == describe_missing(r"sub\a.jpg")


def test_quotes_and_letters_in_another_encoding_explain_a_missing_file() -> None:
    quotes = "no such file: its quotes belong to the name; leave them out"
    encoding = "no such file: its letters are not UTF-8; save the list as UTF-8"

    assert [quotes, quotes, encoding] == list(map(describe_missing, ('"a b.jpg"', "'a.jpg'", "caf\udce9.jpg")))
    assert ["no such file"] * 3 == list(map(describe_missing, ('"', "a's", "café.jpg")))


def test_a_file_in_another_case_or_form_explains_a_missing_one(tmp_path: Path) -> None:
    for name in ("a.JPG", "img.jpg", "\u00e9.jpg", "o\u0308.jpg"):
        (tmp_path / name).touch()
    if (tmp_path / "A.jpg").exists() or (tmp_path / "e\u0301.jpg").exists():
        pytest.skip("this file system knows neither case nor form")

    case = "no such file: its file is {}; upper and lower case differ here"
    form = "no such file: its file has the accents of the name in another form; make the list anew"
    expected = {"a.jpg": case.format("a.JPG"), "IMG.JPG": case.format("img.jpg"), "b.jpg": "no such file"}
    expected |= {"e\u0301.jpg": form, "\u00f6.jpg": form, "a": "no such file"}
    assert expected == {name: describe_missing(name, tmp_path) for name in expected}


def test_a_path_that_starts_above_the_root_explains_a_missing_file(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "a.jpg").touch()
    above = "no such file: its path starts in the folder above ROOT; name that as ROOT"

    assert above == describe_missing("photos/cat/a.jpg", tmp_path / "photos")
    assert "no such file" == describe_missing("photos/cat/b.jpg", tmp_path / "photos")
    assert "no such file" == describe_missing("photos/cat/a.jpg")
    monkeypatch.chdir(tmp_path / "photos" / "cat")
    assert [above] * 2 == [
        describe_missing(path, root) for path, root in (("cat/a.jpg", "."), ("photos/cat/a.jpg", ".."))
    ]
