"""What people search for is found: mkdocs.yml says where words end, and the pages have their words."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTING = re.search(r"separator: '(.+)'", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("label = rec.by_key(7).header.label", "by_key"),
        ("written   photos.classes.txt", "classes"),
        ("im2rec bin list pairs.bin", "bin"),
        ("rand_crop=1", "rand_crop"),
        ("brightness=0.3", "0.3"),
        ("`--digest`|`--verify`", "verify"),
    ],
)
def test_a_word_of_code_is_found_by_itself(text: str, word: str) -> None:
    assert SETTING is not None
    assert word in re.split(SETTING[1], text)


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("resume a pack that was killed --resume --restart", "commands/pack.md"),
        ("bad images", "commands/pack.md"),
        ("multi-label vector", "commands/pack.md"),
        ("multi-label multilabel label vector", "format.md"),
        ("class names", "format.md"),
        ("verify a copy checksum", "commands/digest.md"),
    ],
)
def test_the_words_of_a_question_are_on_the_page_that_answers_it(words: str, page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").lower()

    assert [] == [word for word in words.split() if word not in text]
