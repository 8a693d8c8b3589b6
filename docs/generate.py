"""Write docs/commands.md and docs/parameters.md from the commands and parameters themselves.

python docs/generate.py           write them
python docs/generate.py --check   only say whether they are as they should be (exit code 1 if not)
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from im2rec.cli.group import COMMANDS, group
from im2rec.datasets.sets import Cifar100Params
from im2rec.iterators.mnist import MNISTParams
from im2rec.iterators.text_params import CSVParams, LibSVMParams
from im2rec.packing.params import PackParams
from im2rec.params import parameter_docs
from im2rec.pipeline.params import GROUPS

DOCS = Path(__file__).parent
TABLES = (
    ("im2rec pack", PackParams),
    ("im2rec import", Cifar100Params),
    *((f"ImageRecordIter and im2rec iterate: {name}", kind) for name, kind in GROUPS.items()),
    ("MNISTIter and im2rec iterate --kind mnist", MNISTParams),
    ("CSVIter and im2rec iterate --kind csv", CSVParams),
    ("LibSVMIter and im2rec iterate --kind libsvm", LibSVMParams),
)


def commands_page() -> str:
    """The help of every command."""
    page = ["# Commands", "", "Generated from `--help` by `make docs`."]
    root = group.make_context("im2rec", [], terminal_width=80)
    for name in COMMANDS:
        command = group.get_command(root, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=root, terminal_width=80)
        page += ["", f"## im2rec {name}", "", "```text", command.get_help(context).rstrip(), "```"]
    return "\n".join(page) + "\n"


def parameters_page() -> str:
    """The tables of all KEY=VALUE parameters."""
    page = ["# Parameters", "", "Generated from their declarations by `make docs`."]
    for title, kind in TABLES:
        page += ["", f"## {title}", "", "| key | type | default | allowed | what it does | beside MXNet |"]
        page += ["|---|---|---|---|---|---|"]
        for row in parameter_docs(kind):
            page.append(f"| `{row.name}` | {row.type} | {row.default} | {row.allowed} | {row.doc} | {row.reference} |")
    return "\n".join(page) + "\n"


PAGES = {"commands.md": commands_page, "parameters.md": parameters_page}


def stale() -> list[str]:
    """The names of pages that are not what they should be."""
    return [
        name
        for name, page in PAGES.items()
        if not (DOCS / name).is_file() or (DOCS / name).read_text(encoding="utf-8") != page()
    ]


def main() -> None:
    """Write the pages, or check them."""
    names = stale()
    if "--check" in sys.argv[1:]:
        sys.exit(f"stale, run make docs: {', '.join(names)}" if names else 0)
    for name in names:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")


if __name__ == "__main__":
    main()
