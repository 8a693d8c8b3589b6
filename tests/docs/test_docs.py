"""The README is run, and the reference pages are what the commands and parameters say."""

import importlib.util
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
from page_helpers import BLOCK, check_examples, run_page

import im2rec
from im2rec.cli.group import COMMANDS, group

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = BLOCK.findall(README)
PYTHON_PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's first shell example has run."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")
    return folder


def test_every_command_of_the_readme_prints_what_the_readme_says(ran: Path) -> None:
    assert run_page(README, ran, in_processes=True) >= 10


def test_every_example_of_the_python_page_prints_what_the_page_says(tmp_path: Path) -> None:
    check_examples(PYTHON_PAGE, tmp_path)


def test_every_example_is_clean_for_strict_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    blocks = BLOCKS + BLOCK.findall(PYTHON_PAGE)
    examples = [code for kind, code in blocks if kind == "python" and not re.search("mxnet|torch", code)]
    for number, code in enumerate(examples):
        (tmp_path / f"example_{number}.py").write_text(code, encoding="utf-8")

    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    command = [sys.executable, "-m", "mypy", *settings, "--strict", "--no-error-summary", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ("", "") == (done.stdout, done.stderr)


def test_every_public_name_is_on_the_python_page_with_an_example() -> None:
    examples = "".join(code for kind, code in BLOCK.findall(PYTHON_PAGE) if kind == "python")

    assert [] == [name for name in im2rec.__all__ if not re.search(rf"\bim2rec\.{name}\b", examples)]


def test_the_readme_opens_with_the_two_make_commands() -> None:
    kind, block = BLOCKS[0]

    assert ("sh", ["make demo", "make test"]) == (kind, [line.split("  ")[0] for line in block.splitlines()])


def test_every_command_is_named_in_the_readme() -> None:
    assert [] == [name for name in COMMANDS if f"im2rec {name} " not in README]


def test_every_command_that_the_pages_show_without_its_output_has_options_and_keys_that_exist() -> None:
    """Blocks of ``sh`` are not run, as they install, download, or need a cluster; their lines are understood."""
    root, found = group.make_context("im2rec", []), 0
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        blocks = [block for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")) if kind in ("sh", "bash")]
        for line in "".join(blocks).replace("\\\n", " ").splitlines():
            words = list(itertools.takewhile(lambda word: word[0] not in "|&;<>", _shell_words(line)))
            if words[:1] == ["im2rec"] and "$" not in words[1]:
                name, command, arguments = group.resolve_command(root, words[1:])
                assert name in COMMANDS, line
                assert command is not None
                command.make_context(name, arguments, parent=root)
                found += 1
    assert found > 0


def test_no_page_installs_from_a_package_index_as_we_are_on_none_and_every_wheel_has_the_name_that_is_built() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

    assert [] == re.findall(r"pip install '?im2rec.*", text)
    assert {f"im2rec-{im2rec.__version__}-py3-none-any.whl"} == set(re.findall(r"im2rec-[\w.*-]+\.whl", text))


def _shell_words(line: str) -> list[str]:
    words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")  # the operators of a shell come as words
    words.whitespace_split = True
    return list(words)


def test_every_file_that_the_page_on_architecture_names_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+)`", page)

    assert len(named) > 50
    assert [] == [name for name in named if not any((ROOT / place / name).exists() for place in ("im2rec", "."))]


def test_every_module_is_on_the_page_on_architecture_by_its_name_or_its_folder() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    top = [path for path in (ROOT / "im2rec").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    names = [path.name if path.suffix else f"{path.name}/" for path in top if path.name != "__main__.py"]

    assert [] == [name for name in names if f"{name}`" not in page]


def test_the_page_on_the_python_api_is_generated_from_what_is_there(generator: ModuleType) -> None:
    assert generator.PAGES["docs/api.md"]() == (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_page_on_the_python_api_has_every_public_name_with_an_example() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    entries = {entry.partition("\n")[0]: entry for entry in page.split("\n### ")[1:]}
    names = [*im2rec.__all__, "RecordDataset", "RecordIterDataset", "PairDataset"]

    assert {"open", "Methods of all iterators"} == entries.keys() - set(names)
    assert [] == [name for name in names if "```pycon" not in entries[name] or name not in entries[name]]
    assert [] == re.findall(r":\w+:`.*|.*``\w.*``.*", page)  # no roles and quotes of reStructuredText


def test_the_page_of_parameters_is_generated_from_what_is_there(generator: ModuleType) -> None:
    assert generator.parameters_page() == (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")


def test_the_page_of_parameters_compares_them_with_mxnet_by_its_name(generator: ModuleType) -> None:
    assert [] == re.findall(r"\bours\b|the reference", generator.parameters_page())


def test_generated_pages_begin_with_what_they_are_for(generator: ModuleType) -> None:
    pages = [generator.PAGES[f"docs/{name}.md"]() for name in ("commands", "api", "parameters", "json")]

    assert [] == [
        page[:99] for page in pages if "by `make docs`" not in page.splitlines()[-1] or "make docs" in page[:999]
    ]


def test_the_keywords_for_type_checkers_are_generated_from_what_is_there(generator: ModuleType) -> None:
    module = ROOT / "im2rec" / "iterators" / "keywords.py"

    assert generator.keywords_module() == module.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_on_its_page_and_has_help(name: str) -> None:
    # Not the whole page: how help is laid out changes with click.
    page = (ROOT / "docs" / "commands" / f"{name}.md").read_text(encoding="utf-8")
    command = group.get_command(click.Context(group), name)

    assert command is not None
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [] == [option.name for option in options if not option.help or option.opts[-1] not in page]


@pytest.fixture
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_in_the_project_names_a_place_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = [name for name in listed.stdout.splitlines() if name.endswith((".py", ".md", ".toml", "Makefile", ".sh"))]
    found = [name for name in names if re.search(r"/(?:home|root|work)/\w", (ROOT / name).read_text(encoding="utf-8"))]

    assert [] == found
    assert names or not (ROOT / ".git").exists() or os.name == "nt"
