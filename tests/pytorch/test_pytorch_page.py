"""The examples of docs/pytorch.md and of the README's section on PyTorch print what the pages say."""

from __future__ import annotations

from pathlib import Path

from page_helpers import check_examples, prepare

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "pytorch.md"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_example_prints_what_the_page_says(tmp_path: Path) -> None:
    check_examples(PAGE.read_text(encoding="utf-8"), tmp_path)


def test_the_torch_examples_of_the_readme_print_what_the_readme_says(tmp_path: Path) -> None:
    prepare(tmp_path)
    section = README[README.index("## You have a PyTorch loop") :].split("\n## ")[0]

    check_examples(section, tmp_path)
