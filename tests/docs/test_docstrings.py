"""The examples in the docstrings of the public names are run as they stand."""

import shutil
from pathlib import Path

import pytest
from page_helpers import check_docstring

import im2rec


@pytest.mark.parametrize("name", im2rec.__all__)
def test_the_example_of_a_public_name_prints_what_its_docstring_says(
    name: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(prepared, tmp_path / "docs"))

    assert check_docstring(name, getattr(im2rec, name)) > 0
