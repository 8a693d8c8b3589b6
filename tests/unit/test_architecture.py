"""The folders are the architecture: imports, also those inside functions, lead to lower layers only."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import im2rec

ROOT = Path(im2rec.__file__).parent
# Lowest layer first. A group imports from itself and from groups in the lines before its own.
LAYERS = (
    ("errors", "hashing", "library_output", "progress", "schema"),
    ("workers",),
    ("process_pool",),
    ("folders", "params", "parallel", "format", "images"),
    ("storage", "jpeg"),
    ("augment", "selection"),
    ("text", "pipeline", "packing", "inspection", "extraction", "recovery", "datasets", "verification", "rewriting"),
    ("iterators",),
    ("runs", "mx", "torch"),
    ("bench",),
    ("cli",),
)
LAYER_OF = {group: number for number, layer in enumerate(LAYERS) for group in layer}
FACADE = ("im2rec", "im2rec.__main__")  # re-export the public names, and start the command line


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.py"))}
TREES = {module: ast.parse(source) for module, source in SOURCES.items()}


def imported(module: str) -> Iterator[str]:
    """Yield the name of everything that *module* imports; ``from a import b`` gives a.b if that is a module."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in SOURCES else str(node.module)


def group_of(module: str) -> str:
    return module.split(".")[1]


MODULES = [module for module in SOURCES if module not in FACADE]


def test_every_group_of_modules_has_a_layer() -> None:
    assert set(LAYER_OF) == {group_of(module) for module in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_its_own_group_and_lower_layers_only(module: str) -> None:
    own = group_of(module)
    others = [other for other in imported(module) if other in SOURCES]
    assert [] == [other for other in others if other in FACADE]
    assert [] == [other for other in others if group_of(other) != own and LAYER_OF[group_of(other)] >= LAYER_OF[own]]


def test_there_are_no_import_cycles() -> None:
    graph = {module: {other for other in imported(module) if other in SOURCES} for module in MODULES}

    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the modules of a cycle


def test_only_the_command_line_imports_click() -> None:
    assert {"cli"} == {group_of(module) for module in MODULES if "click" in imported(module)}


@pytest.mark.parametrize("module", [module for module in MODULES if group_of(module) == "format"])
def test_the_modules_of_format_open_no_file(module: str) -> None:
    names = {node.id for node in ast.walk(TREES[module]) if isinstance(node, ast.Name)}

    assert set() == {"open", "os", "pathlib", "mmap", "tempfile"} & (names | {*imported(module)})


def test_what_every_writing_command_imports_does_not_load_numpy() -> None:
    """Workers for packing are forked from a process that has not started NumPy's threads, and the help is quick."""
    code = "import sys, im2rec.storage.output; print('numpy' in sys.modules)"
    assert "False\n" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
