"""The examples of docs/pytorch.md and of the README's section on PyTorch print what the pages say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from page_helpers import BLOCK, check_examples

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "pytorch.md"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_example_prints_what_the_page_says(tmp_path: Path) -> None:
    check_examples(PAGE.read_text(encoding="utf-8"), tmp_path)


def test_the_torch_examples_of_the_readme_print_what_the_readme_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sample_data" / "photos", tmp_path / "sample_data" / "photos")
    transcript = next(block for kind, block in BLOCK.findall(README) if kind == "console")
    for command in re.findall(r"^\$ im2rec (.*)", transcript, re.MULTILINE)[:2]:  # make-list, pack
        subprocess.run(
            [sys.executable, "-m", "im2rec", *command.split()], cwd=tmp_path, check=True, capture_output=True
        )
    section = README[README.index("## You have a PyTorch loop") :].split("\n## ")[0]

    check_examples(section, tmp_path)
