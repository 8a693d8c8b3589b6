"""The pages of the commands: their examples are run as they stand."""

import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from page_helpers import BLOCK, run_page, transcript

from im2rec.cli.group import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
SHOW_THE_KERNEL = ("bench", "compile")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_on_the_page_of_a_command_prints_what_the_page_says(
    name: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in SHOW_THE_KERNEL and (os.environ.get("IM2REC_KERNEL") == "0" or find_spec("numba") is None):
        pytest.skip("shows what is printed with the compiled decoder, which needs numba")
    page = (DOCS / "commands" / f"{name}.md").read_text(encoding="utf-8")
    folder = Path(shutil.copytree(prepared, tmp_path / "pages"))
    monkeypatch.setenv("IM2REC_CACHE", str(folder / "cache"))

    run_page(page, folder)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_a_command_has_two_examples_of_it(name: str) -> None:
    page = (DOCS / "commands" / f"{name}.md").read_text(encoding="utf-8")
    commands = [line for kind, block in BLOCK.findall(page) if kind == "console" for line, _ in transcript(block)]

    assert 2 <= len([line for line in commands if re.match(rf"im2rec {name}\b", line)])


def test_every_page_of_a_command_is_of_one_that_there_is() -> None:
    assert sorted(COMMANDS) == sorted(path.stem for path in (DOCS / "commands").glob("*.md"))
