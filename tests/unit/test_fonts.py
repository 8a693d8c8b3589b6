"""Text in images: which font draws which letters, and letters that no font has."""

from __future__ import annotations

import itertools
import random
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, features

from im2rec.images import fonts
from im2rec.images.fonts import FontFile, draw_text, text_length

Pixels = np.ndarray[Any, Any]
_TABLES = itertools.count()  # no two fake tables are equal, as what was set in one is remembered


def drawn(text: str, size: int = 16) -> Pixels:
    """A white image with *text* on it, (height, width)."""
    image = Image.new("L", (400, 40), 255)
    draw_text(ImageDraw.Draw(image), (4, 4), text, size, "black")
    return np.asarray(image)


class FakeFont:
    """A font that has ASCII and *letters*, each ten pixels wide."""

    def __init__(self, letters: str) -> None:
        self._letters = letters

    def getmask(self, letter: str, _mode: str) -> Any:
        has_it = letter.isascii() or letter in self._letters
        return Image.new("L", (1, 1) if has_it else (10, 10)).im

    def getlength(self, text: str, direction: str | None = None) -> float:
        assert direction is None
        return 10.0 * len(text)


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without fonts."""
    monkeypatch.setattr(fonts, "USUAL", ())
    monkeypatch.delenv("IM2REC_FONT", raising=False)


@pytest.mark.usefixtures("no_fonts")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Vögel & Fische", "Vogel & Fische"),
        ("Vo\u0308gel", "Vogel"),  # as macOS writes file names
        ("Straße Œuf Łódź", "Strasse OEuf Lodz"),
        ("猫 한 ひ", "? ? ?"),
        ("caf\udce9\n", "caf??"),
        ("a…", "a..."),
        ("12 \N{MULTIPLICATION SIGN} 3 \N{EN DASH} 4", "12 x 3 - 4"),
        ("one\xa0word", "one word"),
        ("\N{CAT FACE}\N{VARIATION SELECTOR-16} cat", "? cat"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe", "gnp.exe"),
        ("\N{CAT FACE}\N{ZERO WIDTH JOINER}\N{CAT FACE} a\N{ZERO WIDTH JOINER}b", "?? ab"),
        ("", ""),
    ],
)
def test_letters_that_no_font_has_are_drawn_as_their_nearest_or_a_question_mark(text: str, shown: str) -> None:
    assert np.array_equal(drawn(shown), drawn(text))
    assert text_length(shown, 12) == text_length(text, 12)


@pytest.mark.parametrize("text", ["Vögel", "кошка", "γάτα", "北京大学", "ねこ", "고양이", "قطة سوداء"])
def test_names_in_other_scripts_are_drawn_with_a_font_of_the_system(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = drawn(text)
    length = text_length(text, 16)
    monkeypatch.setattr(fonts, "USUAL", ())
    plain = drawn(text)
    if np.array_equal(shown, plain):
        pytest.skip(f"no usual font of this system has the letters of {text}, or Pillow cannot set them")

    columns = np.flatnonzero((shown < 255).any(axis=0))
    rows = np.flatnonzero((shown < 255).any(axis=1))
    assert 2 <= columns[0]
    assert columns[-1] <= 4 + length + 2
    assert 4 <= rows[0]
    assert rows[-1] <= 4 + 21  # the step from line to line


def test_letters_that_join_are_joined() -> None:
    if not (features.check("raqm") and features.check("fribidi")):
        pytest.skip("this Pillow is without Raqm or FriBidi")
    if np.array_equal(drawn("\N{ARABIC LETTER BEH}"), drawn("?")):
        pytest.skip("no usual font of this system has Arabic letters")
    beh = "\N{ARABIC LETTER BEH}"

    assert text_length(beh * 3, 16) < text_length(f"{beh} {beh} {beh}", 16) - 2 * text_length(" ", 16)


def fake_table(monkeypatch: pytest.MonkeyPatch, **letters: str) -> list[str]:
    """Make a table of fake fonts, and return the list that gets the names of those that are opened."""
    asked: list[str] = []
    made = {name: FakeFont(each) for name, each in letters.items()}

    def opened(file: FontFile, _size: int) -> FakeFont | None:
        asked.append(file.name)
        return made.get(file.name)

    monkeypatch.delenv("IM2REC_FONT", raising=False)
    monkeypatch.setattr(fonts, "_opened", opened)
    table = next(_TABLES)
    monkeypatch.setattr(fonts, "USUAL", tuple(FontFile(name, table) for name in ("missing", *letters)))
    return asked


@pytest.mark.parametrize("has_raqm", [False, True])
def test_a_script_from_right_to_left_needs_raqm(monkeypatch: pytest.MonkeyPatch, *, has_raqm: bool) -> None:
    fake_table(monkeypatch, both="قطة猫")
    monkeypatch.setattr(fonts, "_has_raqm", lambda: has_raqm)

    assert (30.0 if has_raqm else text_length("???", 12)) == text_length("قطة", 12)
    assert 10.0 == text_length("猫", 12)


def test_the_first_font_of_the_table_that_has_all_letters_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_table(monkeypatch, greek="γάτα", both="γάτα猫", han="猫")

    assert 0 < text_length("cat 3", 12)
    assert [] == asked  # no font is looked for without need
    assert 40.0 == text_length("γάτα", 12)
    assert ["missing", "greek"] == asked
    del asked[:]
    assert 60.0 == text_length("γάτα 猫", 12)
    assert ["missing", "greek", "both"] == asked


def test_a_text_that_no_font_has_as_a_whole_is_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_table(monkeypatch, greek="γάτα", han="猫")

    assert 60.0 == text_length("γάτα猫 ", 12)
    assert 50.0 + text_length("?", 12) == text_length("γάτα한猫", 12)


def test_a_text_of_both_directions_keeps_its_blanks_between_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_at: list[tuple[float, str]] = []
    fake_table(monkeypatch, arabic="قطة", han="猫")
    monkeypatch.setattr(fonts, "_has_raqm", lambda: True)
    draw = SimpleNamespace(text=lambda place, text, *_, **__: drawn_at.append((place[0], text)))
    draw_text(draw, (0, 0), "قطة 猫.rec", 12, "black")  # type: ignore[arg-type]

    blank = text_length(" ", 12)
    assert [(0, "قطة"), (30, " "), (30 + blank, "猫.rec")] == drawn_at


def test_the_font_that_the_user_names_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_table(monkeypatch, han="猫")
    monkeypatch.setenv("IM2REC_FONT", "mine.ttf")

    assert 10.0 == text_length("猫", 12)
    assert ["mine.ttf", "missing", "han"] == asked


@pytest.mark.usefixtures("no_fonts")
def test_a_named_font_that_is_none_is_named_once_and_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("missing.ttf", "text ü.ttf"):
        path = tmp_path / name
        if name != "missing.ttf":
            path.write_text("no font")
        monkeypatch.setenv("IM2REC_FONT", str(path))
        caplog.clear()
        assert text_length("?", 12) == text_length("猫", 12)
        assert text_length("??", 12) == text_length("猫猫", 12)
        assert 1 == len(caplog.messages)
        assert caplog.messages[0].startswith(f"IM2REC_FONT={path} is not used: ")


def test_no_text_fails_to_be_drawn() -> None:
    rng = random.Random(1)
    for _ in range(60):
        text = "".join(chr(rng.randrange(rng.choice((0x100, 0x3000, 0x10000, 0x110000)))) for _ in range(8))
        drawn(text)
        drawn(unicodedata.normalize("NFD", text))
        assert 0 <= text_length(text, 12)
