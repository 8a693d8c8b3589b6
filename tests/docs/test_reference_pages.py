"""The pages on exit codes and environment variables agree with the code."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from page_helpers import BLOCK, CODE, transcript

from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.group import COMMANDS

ROOT = Path(__file__).parents[2]
EXIT_CODES = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
ENVIRONMENT = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
# Names of the environment of any program: ours, and those of others that im2rec reads or sets.
VARIABLE = re.compile(r"_?(IM2REC|NUMBA|XDG|MALLOC|OPENBLAS|TQDM)_[A-Z_]+|RANK|WORLD_SIZE|LOCALAPPDATA|PYTHONPATH")


def commands() -> Iterator[tuple[str, str]]:
    """The names of the commands with the source of their modules, which name the codes that they return."""
    modules = {name: module for name, (module, _) in COMMANDS.items() if name != "bin"}
    modules |= {f"bin {name}": f"im2rec.cli.bin_{name}" for name in ("list", "make", "extract", "verify")}
    for name, module in modules.items():
        yield name, inspect.getsource(importlib.import_module(module))


def test_the_page_on_exit_codes_has_all_of_them() -> None:
    assert [code.value for code in ExitCode] == [
        int(code) for code in re.findall(r"^\| \[(\d+)\]", EXIT_CODES, re.MULTILINE)
    ]


def test_the_page_on_exit_codes_says_which_command_returns_3_and_5() -> None:
    rows = re.findall(r"^\| `([\w -]+)` \|(.*)\|(.*)\|$", EXIT_CODES, re.MULTILINE)
    listed = {name: (bool(problems.strip()), bool(damaged.strip())) for name, problems, damaged in rows}

    returned = {name: ("ExitCode.PROBLEMS" in source, "ExitCode.DAMAGED" in source) for name, source in commands()}
    assert {name: codes for name, codes in returned.items() if any(codes)} == listed


def test_each_section_of_the_page_on_exit_codes_has_an_example_that_ends_with_its_code() -> None:
    for code in (code for code in ExitCode if code < ExitCode.INTERRUPTED):
        section = re.split(rf"^## {code.value}: ", EXIT_CODES, flags=re.MULTILINE)[1].partition("\n## ")[0]
        ((command, output),) = [each for kind, block in BLOCK.findall(section) for each in transcript(block)]
        assert CODE in command
        assert str(code.value) == output.splitlines()[-1]  # test_examples.py runs it


def test_the_page_on_environment_variables_has_all_that_are_read_or_set() -> None:
    named = {
        node.value
        for path in (ROOT / "im2rec").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value)
    }

    assert {"IM2REC_CACHE", "IM2REC_KERNEL", "RANK"} <= named
    described = re.findall(rf"`(({VARIABLE.pattern}))`", ENVIRONMENT)
    assert named == {name for name, *_ in described if name != "NUMBA_BOUNDSCHECK"}  # which numba alone reads
