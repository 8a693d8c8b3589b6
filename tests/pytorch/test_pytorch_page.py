"""The examples of docs/pytorch.md print what the page says."""

from __future__ import annotations

from pathlib import Path

from page_helpers import check_examples

PAGE = Path(__file__).parents[2] / "docs" / "pytorch.md"


def test_every_example_prints_what_the_page_says(tmp_path: Path) -> None:
    check_examples(PAGE.read_text(encoding="utf-8"), tmp_path)
