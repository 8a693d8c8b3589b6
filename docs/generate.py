"""Generate docs/commands.md, docs/parameters.md and im2rec/iterators/keywords.py from the commands and parameters.

python docs/generate.py           write the files that are out of date
python docs/generate.py --check   write nothing; exit with 1 and their names if any file is out of date
"""

from __future__ import annotations

import dataclasses
import sys
import textwrap
import types
import typing
from pathlib import Path
from typing import Any

import click

from im2rec.cli.group import COMMANDS, group
from im2rec.datasets.sets import Cifar100Params
from im2rec.iterators.mnist import MNISTParams
from im2rec.iterators.text_params import CSVParams, LibSVMParams
from im2rec.packing.params import PackParams
from im2rec.params import parameter_docs
from im2rec.pipeline.params import GROUPS, ImageRecordParams

ROOT = Path(__file__).parents[1]
TABLES = (
    ("im2rec pack", PackParams),
    ("im2rec import", Cifar100Params),
    *((f"ImageRecordIter and im2rec iterate: {name}", kind) for name, kind in GROUPS.items()),
    ("MNISTIter and im2rec iterate --kind mnist", MNISTParams),
    ("CSVIter and im2rec iterate --kind csv", CSVParams),
    ("LibSVMIter and im2rec iterate --kind libsvm", LibSVMParams),
)

KEYWORDS = {"ImageRecord": ImageRecordParams, "MNIST": MNISTParams, "CSV": CSVParams, "LibSVM": LibSVMParams}
ACCEPTED_TYPES = {int: "int | str", float: "float | str", bool: "bool | int | str", tuple: "Sequence[int] | int | str"}


def commands_page() -> str:
    """Return the page with the help of every command, 80 columns wide."""
    page = ["# Commands", "", "Generated from `--help` by `make docs`."]
    root = group.make_context("im2rec", [], terminal_width=80)
    for name in COMMANDS:
        command = group.get_command(root, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=root, terminal_width=80)
        page += ["", f"## im2rec {name}", "", "```text", command.get_help(context).rstrip(), "```"]
    return "\n".join(page) + "\n"


def parameters_page() -> str:
    """Return the page with the tables of all KEY=VALUE parameters."""
    page = ["# Parameters", "", "Generated from their declarations by `make docs`."]
    for title, kind in TABLES:
        page += ["", f"## {title}", "", "| key | type | default | allowed | what it does | compared with MXNet |"]
        page += ["|---|---|---|---|---|---|"]
        for row in parameter_docs(kind):
            page.append(f"| `{row.name}` | {row.type} | {row.default} | {row.allowed} | {row.doc} | {row.reference} |")
    return "\n".join(page) + "\n"


def keywords_module() -> str:
    """Return a module with a TypedDict of the parameters of each iterator, for type checkers and editors."""
    module = [
        '"""Keywords of the iterators, for type checkers and editors, which alone read this module.',
        "",
        "Generated from the declarations of the parameters by `make docs`.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import Sequence",
        "from os import PathLike",
        "from typing import TYPE_CHECKING, TypedDict",
        "",
        "if TYPE_CHECKING:",
        "    from typing_extensions import Required",
    ]
    for name, kind in KEYWORDS.items():
        module += ["", "", f"class {name}Keywords(TypedDict, total=False):", f'    """Parameters of {name}Iter."""', ""]
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            module.append(f"    {field.name}: {accepted_type(field, hints[field.name])}")
            module += textwrap.wrap(
                f'"""{field.metadata["doc"]}"""', 120, initial_indent="    ", subsequent_indent="    "
            )
    return "\n".join(module) + "\n"


def accepted_type(field: dataclasses.Field[Any], hint: Any) -> str:
    """Return the annotation of a parameter as source text; every value may also be given as a string."""
    is_optional = isinstance(hint, types.UnionType)
    declared = typing.get_args(hint)[0] if is_optional else hint
    text = "str" if field.metadata["choices"] else "str | PathLike[str]"
    accepted = ACCEPTED_TYPES.get(typing.get_origin(declared) or declared, text) + (" | None" if is_optional else "")
    return f"Required[{accepted}]" if field.default is dataclasses.MISSING else accepted


PAGES = {
    "docs/commands.md": commands_page,
    "docs/parameters.md": parameters_page,
    "im2rec/iterators/keywords.py": keywords_module,
}


def outdated_files() -> list[str]:
    """Return the names of files that are missing or differ from what would be generated."""
    return [
        name
        for name, page in PAGES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != page()
    ]


def main() -> None:
    """Write the outdated files, or with ``--check`` only report them."""
    names = outdated_files()
    if "--check" in sys.argv[1:]:
        sys.exit(f"out of date, run make docs: {', '.join(names)}" if names else 0)
    for name in names:
        (ROOT / name).write_text(PAGES[name](), encoding="utf-8")


if __name__ == "__main__":
    main()
