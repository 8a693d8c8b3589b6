"""Every example in the documentation is run: here, or by the test that the table names."""

import re
import shutil
from pathlib import Path

import pytest
from page_helpers import BLOCK, run_page, transcript

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
}
# Python, console sessions and docstrings are run. Blocks of the other kinds are shown: signatures (py), what a program
# prints (text), and what cannot be run here, as it installs something or needs a cluster (sh: its commands are parsed).
RUN = {"python", "console", "pycon"}
SHOWN = {"py", "text", "json", "sh", "bash", "dockerfile", "yaml", "toml", "csv", "diff"}
# Pages whose examples are run by a test of their own, which names the page; those of all other pages are run here.
RUN_BY = {
    "README.md": "tests/docs/test_docs.py",
    "docs/api.md": "tests/docs/test_docstrings.py",
    "docs/commands/": "tests/docs/test_command_pages.py",
    "docs/mxnet.md": "tests/mx/test_mx_page.py",
    "docs/python.md": "tests/docs/test_docs.py",
    "docs/pytorch.md": "tests/pytorch/test_pytorch_page.py",
    "docs/recipes/": "tests/docs/test_recipes.py",
}
# Pages with examples that use torch, which no test without it can run.
RUN_WITH_TORCH = {"README.md", "docs/pytorch.md", "docs/api.md"}
# Pages that make their files themselves; the others begin with what the README makes.
FROM_SAMPLE_DATA = {"docs/faces.md"}


def owner_of(page: str) -> str | None:
    """The name of the test that runs *page*, if it is not this one."""
    return RUN_BY.get(page) or RUN_BY.get(f"{page.rpartition('/')[0]}/")


def kinds_of(text: str) -> set[str]:
    return {kind for kind, _ in BLOCK.findall(text)}


HERE = [page for page, text in PAGES.items() if owner_of(page) is None and RUN & kinds_of(text)]


@pytest.mark.parametrize("page", HERE)
def test_every_example_prints_what_the_page_says(page: str, prepared: Path, tmp_path: Path) -> None:
    if page in FROM_SAMPLE_DATA:
        shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    else:
        shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    blocks = BLOCK.findall(PAGES[page])
    commands = sum(len(transcript(block)) for kind, block in blocks if kind == "console")

    assert commands + sum(kind == "python" for kind, _ in blocks) == run_page(PAGES[page], tmp_path) > 0


def test_every_page_with_examples_that_is_not_run_here_is_named_by_the_test_that_runs_it() -> None:
    for page, text in PAGES.items():
        owner = owner_of(page)
        if owner is not None and RUN & kinds_of(text):
            test = (ROOT / owner).read_text(encoding="utf-8")
            words = page.rpartition("/")[0].rpartition("/")[2] if page not in RUN_BY else Path(page).name
            assert words in test or page == "docs/api.md", f"{page}: {owner}"


def test_every_example_that_uses_torch_is_on_a_page_that_is_run_with_it() -> None:
    for page, text in PAGES.items():
        if any(kind in ("python", "pycon") and "torch" in block for kind, block in BLOCK.findall(text)):
            # tests/pytorch/test_recipes_with_torch.py runs recipes by these words.
            is_recipe = page.startswith("docs/recipes/") and "im2rec.torch import" in text
            assert page in RUN_WITH_TORCH or is_recipe, page


def test_every_example_of_the_readme_that_uses_torch_is_in_its_section_on_pytorch() -> None:
    """Of the README that section alone is run with it, by tests/pytorch/test_pytorch_page.py."""
    readme = PAGES["README.md"]
    section = readme[readme.index("## You have a PyTorch loop") :].split("\n## ")[0]
    examples = [block for kind, block in BLOCK.findall(readme) if kind in ("python", "pycon") and "torch" in block]

    assert [] != examples
    assert [] == [block for block in examples if block not in section]


def test_every_block_of_code_says_of_what_kind_it_is() -> None:
    for page, text in PAGES.items():
        fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
        assert set(fences[1::2]) <= {""}, page
        assert set(fences[::2]) <= RUN | SHOWN, page


def test_lists_and_tables_have_an_empty_line_before_them() -> None:
    """Without it GitHub shows a list, and the site a paragraph."""
    for page, text in PAGES.items():
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for before, line in zip(prose.splitlines(), prose.splitlines()[1:], strict=False):
            if re.match(r"([*-]|\d+\.) |\|", line) and not re.match(r"\s*([*-]|\d+\.) |\||\s|$", before):
                pytest.fail(f"{page}: {line}")
