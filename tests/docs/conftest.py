"""Fixtures of the tests of pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_helpers import prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages begin with, made once: tests copy it."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(folder)
    return folder
