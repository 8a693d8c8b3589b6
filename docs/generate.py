"""Generate the pages on commands, parameters, Python and JSON, and im2rec/iterators/keywords.py, from the code itself.

python docs/generate.py           write the files that are out of date
python docs/generate.py --check   write nothing; exit with 1 and their names if any file is out of date
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import api_page
import click

from im2rec.bench.report import DryRunReport, IteratorReport, PackReport
from im2rec.cli.cache import CacheSummary
from im2rec.cli.compile import CompileSummary
from im2rec.cli.error_object import KINDS, ErrorObject, ErrorResult
from im2rec.cli.group import COMMANDS, group
from im2rec.cli.iterate import ListedParams
from im2rec.datasets.importing import ImportSummary
from im2rec.datasets.sets import Cifar100Params
from im2rec.extraction.extract import ExtractSummary
from im2rec.inspection.report import Survey
from im2rec.inspection.show import RecordView, ShownRecords
from im2rec.iterators.mnist import MNISTParams
from im2rec.iterators.text_params import CSVParams, LibSVMParams
from im2rec.packing.join import JoinSummary
from im2rec.packing.make_list import ListSummary
from im2rec.packing.params import PackParams
from im2rec.packing.report import PackSummary
from im2rec.params import ParameterDoc, parameter_docs
from im2rec.pipeline.params import GROUPS, ImageRecordParams
from im2rec.recovery.repair import RepairSummary
from im2rec.recovery.report import IndexSummary, RecoverSummary
from im2rec.rewriting.merge_report import MergeSummary
from im2rec.rewriting.select_report import SelectSummary
from im2rec.runs.draws_sheet import DrawsSheet
from im2rec.runs.replay import ReplayedRecord
from im2rec.runs.run import RunSummary
from im2rec.schema import SCHEMA, Key, as_json, keys_of
from im2rec.storage.digest import DigestSummary
from im2rec.verification.check import BinCheck
from im2rec.verification.extract import BinExtractSummary
from im2rec.verification.listing import BinListing
from im2rec.verification.make import BinMakeSummary

ROOT = Path(__file__).parents[1]
HELP_MARK = "<!-- Generated from --help by make docs: -->"
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

# The objects of --json: what is typed, and the dataclass of the result.
RESULTS: dict[str, type[Any]] = {
    "im2rec make-list": ListSummary,
    "im2rec pack": PackSummary,
    "im2rec join": JoinSummary,
    "im2rec merge": MergeSummary,
    "im2rec inspect": Survey,
    "im2rec inspect --head, --key": ShownRecords,
    "im2rec iterate": RunSummary,
    "im2rec iterate --replay": ReplayedRecord,
    "im2rec iterate --sheet-draws": DrawsSheet,
    "im2rec iterate --list-params": ListedParams,
    "im2rec bench": IteratorReport,
    "im2rec bench LIST ROOT": PackReport,
    "im2rec bench --dry-run": DryRunReport,
    "im2rec extract": ExtractSummary,
    "im2rec select": SelectSummary,
    "im2rec recover": RecoverSummary,
    "im2rec recover --repair-from": RepairSummary,
    "im2rec index": IndexSummary,
    "im2rec import": ImportSummary,
    "im2rec bin list": BinListing,
    "im2rec bin make": BinMakeSummary,
    "im2rec bin extract": BinExtractSummary,
    "im2rec bin verify": BinCheck,
    "im2rec digest": DigestSummary,
    "im2rec compile": CompileSummary,
    "im2rec cache": CacheSummary,
}
PARAMETERS_INTRODUCTION = """\
# Parameters

The KEY=VALUE parameters of `pack`, `import` and the iterators: what each does, its values, and how it compares with
MXNet's parameter of the same name. On the command line a parameter is typed as `shuffle=1`; in Python it is a keyword,
as `shuffle=True`, whose value may be text, too. An unknown key, or a value that is not allowed, is an error that names
the key. The help of a command lists its parameters, and `im2rec iterate --list-params` those of the iterators.

In the last column *MXNet* is MXNet 1.9.1 with its `im2rec.py`, *the C++ tool* the `im2rec` that MXNet builds, and
*im2rec only* a parameter that neither has. The reasons are in [Differences from MXNet](differences.md).
"""
JSON_INTRODUCTION = f"""\
# JSON

What the commands print with `--json`: the keys of each object, their types and what they mean.

With `--json` a command prints one object on a line of stdout, with `-q` and `-qq` too. It has `schema`, which is
{SCHEMA}, `command`, the name of the command, and the keys of the tables below. Within a schema number keys are added,
never taken or changed.

* Every key is always there. It is null where there is no value and the type says "or null".
* A key has the same type in all objects: a count, a size or a place is an integer; a number may have a decimal point;
  an "object of integers" has names that depend on the data, such as reasons, and integers as values.
* A number that JSON has no word for, NaN or an infinity, is null.
* `input` is the input of the command, and `records`, `images` and `damage` mean the same in all commands.

Not of this schema: the manifest of `iterate --dump`, which has a number of its own, and `OUT.bad.jsonl` of `pack`,
each line of which is a [BadImage](#badimage).
"""


def commands_table() -> str:
    """Return the page that lists the commands, with a link to the page of each."""
    page = ["# Commands", "", "The page of each command has examples, and the help that its `--help` prints.", ""]
    page += ["| command | what it does |", "|---|---|"]
    page += [f"| [`im2rec {name}`](commands/{name}.md) | {help_} |" for name, (_, help_) in COMMANDS.items()]
    return "\n".join([*page, "", generated_note("the help of the commands")]) + "\n"


def generated_note(source: str) -> str:
    """Return the last line of a page that is generated from *source*."""
    return f"This page is generated from {source} by `make docs`."


def command_page(name: str) -> str:
    """Return the page of the command *name*: what is written there by hand, and below it the help, 80 columns wide.

    All that stands below ``HELP_MARK`` is generated.
    """
    path = ROOT / "docs" / "commands" / f"{name}.md"
    written = path.read_text(encoding="utf-8").partition(HELP_MARK)[0].rstrip() if path.is_file() else ""
    root = group.make_context("im2rec", [], terminal_width=80)
    command = group.get_command(root, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=root, terminal_width=80)
    page = [written or f"# im2rec {name}", "", HELP_MARK, "", "## Help", "", *_help(command, context)]
    for inner, subcommand in _subcommands(command, context):
        below = click.Context(subcommand, info_name=inner, parent=context, terminal_width=80)
        page += ["", f"### Help of im2rec {name} {inner}", "", *_help(subcommand, below)]
    return "\n".join(page) + "\n"


def _help(command: click.Command, context: click.Context) -> list[str]:
    return ["```text", command.get_help(context).rstrip(), "```"]


def _subcommands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield the names and commands of a group; of any other command none."""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            assert subcommand is not None
            yield name, subcommand


def parameters_page() -> str:
    """Return the page with the tables of all KEY=VALUE parameters."""
    page = [PARAMETERS_INTRODUCTION.rstrip()]
    for title, kind in TABLES:
        page += ["", f"## {title}", "", "| key | what it does | values | compared with MXNet |", "|---|---|---|---|"]
        for row in parameter_docs(kind):
            page.append(f"| `{row.name}` | {row.doc} | {_values(row)} | {_comparison(row)} |")
    return "\n".join([*page, "", generated_note("the declarations of the parameters")]) + "\n"


def _values(row: ParameterDoc) -> str:
    """Return the type, the allowed values and the default of a parameter in a few words."""
    kind = row.allowed if row.type == "text" and row.allowed else ": ".join(filter(None, (row.type, row.allowed)))
    if row.default in ("", "required", "not set"):
        return ", ".join(filter(None, (kind, row.default)))
    return f"{kind}; default {row.default}"


def _comparison(row: ParameterDoc) -> str:
    """Return how a parameter compares with MXNet's, with names instead of "ours" and "the reference"."""
    text = re.sub(r"^ours\b", "im2rec only", row.reference)
    text = text.replace("none is ours", "none works in im2rec only").replace("as the reference", "as in MXNet")
    return text.replace("the reference", "MXNet")


def json_page() -> str:
    """Return the page with the keys of all objects that ``--json`` prints."""
    shown = RecordView(0, 0, 869, 100, 0, [3], "JPEG", 845, 20, 12, 3)
    example = {"schema": SCHEMA, "command": "inspect", **as_json(ShownRecords("train.rec", [shown]))}
    failed = ErrorResult(ErrorObject("input", "is a folder", "photos", None, None, None, "name a file", 4))
    page = [JSON_INTRODUCTION, "`im2rec inspect train.rec --head 1 --json` prints, here on several lines:", ""]
    page += ["```json", json.dumps(example, indent=2), "```"]
    for title, kind in RESULTS.items():
        page += ["", f"## {title}", "", *_keys_table(kind)]
    page += [
        "",
        "## Errors",
        "",
        "A command that fails prints an object with `schema` and `error`, beside the line on stderr:",
        "`im2rec inspect photos --json` for a folder, here on several lines.",
        "",
    ]
    page += ["```json", json.dumps({"schema": SCHEMA, **as_json(failed)}, indent=2), "```"]
    page += ["", *_keys_table(ErrorObject), "", "| kind | meaning |", "|---|---|"]
    page += [f"| `{kind}` | {meaning} |" for kind, meaning in KINDS.items()]
    page += ["", "## Objects"]
    for name, kind in sorted(_inner_objects().items()):
        page += ["", f"### {name}", "", *_keys_table(kind)]
    return "\n".join([*page, "", generated_note("the declarations of the results")]) + "\n"


def _keys_table(kind: type[Any]) -> list[str]:
    rows = [f"| `{key.name}` | {_json_type(key)} | {key.meaning} |" for key in keys_of(kind)]
    return ["| key | type | meaning |", "|---|---|---|", *rows]


def _json_type(key: Key) -> str:
    before, noun, _ = key.type_name.rpartition("object")
    name = f"{before}[{key.holds.__name__}](#{key.holds.__name__.lower()})" if key.holds and noun else key.type_name
    return f"{name} or null" if key.is_optional else name


def _inner_objects() -> dict[str, type[Any]]:
    """Return the dataclasses of all objects inside the results, by name."""
    pending, inner = list(RESULTS.values()), {}
    while pending:
        for key in keys_of(pending.pop()):
            if key.holds is not None and key.holds.__name__ not in inner:
                inner[key.holds.__name__] = key.holds
                pending.append(key.holds)
    return inner


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


PAGES: dict[str, Callable[[], str]] = {
    "docs/commands.md": commands_table,
    **{f"docs/commands/{name}.md": functools.partial(command_page, name) for name in COMMANDS},
    "docs/api.md": api_page.api_page,
    "docs/parameters.md": parameters_page,
    "docs/json.md": json_page,
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
