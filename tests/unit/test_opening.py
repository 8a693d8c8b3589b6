"""Names under which there is no ``.rec``: what was probably meant, the same in every command."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import image_payload, message_of, write_rec
from image_helpers import encoded, im2rec, texture

import im2rec as package

SEVERAL = "name one .rec, such as a.rec; the iterators take several, joined by ';' or as a pattern"
NO_FILE, FOLDER = "cannot be read: no such file or directory", "is a folder"
NAMES = {
    "a": (NO_FILE, "did you mean a.rec?"),
    "a.rec;b.rec": (NO_FILE, SEVERAL),
    "a.rec,b.rec": (NO_FILE, SEVERAL),
    "*.rec": (NO_FILE, SEVERAL),
    "c.rec": (NO_FILE, "check the path"),
    "c*.rec": (NO_FILE, "check the path"),
    "c;d": (NO_FILE, "check the path"),
    "folder": (FOLDER, f"name a file in it, such as {Path('folder', 'd.rec')}"),
    "empty": (FOLDER, "name a file"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "empty"):
        (tmp_path / name).mkdir()
    for name in ("a.rec", "b.rec", "folder/e.rec", "folder/d.rec"):
        write_rec(tmp_path / name, [image_payload(1, 0, encoded(texture()))])
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_name_without_a_file_is_an_error_with_what_was_meant(name: str) -> None:
    expected = "{}: {} ({})".format(name, *NAMES[name])
    assert expected == message_of(package.open, name)
    for words in (["inspect", name], ["inspect", name, "--head", "1"], ["extract", name, "out"]):
        code, out, err = im2rec(*words)
        assert (4, "", f"im2rec: {expected}\n") == (code, out, err)


def test_the_iterators_say_it_too(here: Path) -> None:
    assert "im2rec: a: cannot be read: no such file or directory (did you mean a.rec?)\n" == im2rec("iterate", "a").err
    err = im2rec("iterate", "a.rec,b.rec").err
    assert f"im2rec: a.rec,b.rec: cannot be read: no such file or directory ({SEVERAL})\n" == err
    write_rec(here / "c;d.rec", [image_payload(1, 0, encoded(texture()))])
    assert 0 == im2rec("inspect", "c;d.rec").code
