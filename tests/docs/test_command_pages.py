"""The pages of the commands: their examples are run as they stand."""

import shutil
from pathlib import Path

import pytest
from page_helpers import prepare, run_page

from im2rec.cli.group import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare(folder)
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_on_the_page_of_a_command_prints_what_the_page_says(
    name: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (DOCS / "commands" / f"{name}.md").read_text(encoding="utf-8")
    folder = Path(shutil.copytree(prepared, tmp_path / "pages"))
    monkeypatch.setenv("IM2REC_CACHE", str(folder / "cache"))

    run_page(page, folder)


def test_every_page_of_a_command_is_of_one_that_there_is() -> None:
    assert sorted(COMMANDS) == sorted(path.stem for path in (DOCS / "commands").glob("*.md"))
