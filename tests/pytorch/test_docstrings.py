"""The examples in the docstrings of the datasets are run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_helpers import check_docstring, prepare

import im2rec.torch


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare(folder)
    return folder


@pytest.mark.parametrize("name", im2rec.torch.__all__)
def test_the_example_of_a_dataset_prints_what_its_docstring_says(
    name: str, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(prepared)

    assert check_docstring(name, getattr(im2rec.torch, name)) > 0
