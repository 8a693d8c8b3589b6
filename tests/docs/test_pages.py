"""Pages with commands and their output: all of them are run as they stand."""

import shutil
from pathlib import Path

import pytest
from page_helpers import ROOT, prepare, run_page


@pytest.mark.parametrize("name", ["faces.md"])
def test_a_page_that_begins_with_the_sample_data_prints_what_it_says(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")

    assert run_page((ROOT / "docs" / name).read_text(encoding="utf-8"), tmp_path) >= 4


@pytest.mark.parametrize("name", ["damaged.md"])
def test_a_page_that_begins_with_what_was_made_of_it_prints_what_it_says(name: str, tmp_path: Path) -> None:
    prepare(tmp_path)

    assert run_page((ROOT / "docs" / name).read_text(encoding="utf-8"), tmp_path) >= 4
