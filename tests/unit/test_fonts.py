"""Text in images: letters that a font lacks."""

from __future__ import annotations

import pytest

from im2rec.images.fonts import drawable


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
    ],
)
def test_letters_that_the_font_lacks_are_drawn_as_their_nearest_or_a_question_mark(text: str, shown: str) -> None:
    assert shown == drawable(text)
