"""The page on the Python API, from the signatures and docstrings of the public names.

The code is parsed, not run: so the classes that need PyTorch are read without it.
"""

from __future__ import annotations

import ast
import functools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import im2rec
from im2rec.pipeline.params import GROUPS

ROOT = Path(__file__).parents[1]
INTRODUCTION = """\
# Python API

Every public name: how it is called, what it does, what it raises, and an example. The [guide](python.md) explains how
the names are used together; other pages have the [parameters](parameters.md) of the iterators and the
[names of MXNet](mxnet.md). Each example begins with `import im2rec`, in a folder with the files that the
[README](../README.md) makes.

What is on this page is stable ([promises](promises.md)). Methods that are not on it are for im2rec itself, and may
change.
"""
# The sections of the page, each with its names.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Reading files": ("open", "RecordFile", "ImageRecord", "IRHeader", "decode"),
    "Writing files": ("RecordWriter", "encode_image_record", "decode_image_record"),
    "Records without files": ("encode_record", "decode_record", "read_records"),
    "Verification files": ("open_bin", "PairFile", "Pair"),
    "Batches": (
        "ImageRecordIter",
        "ImageRecordUInt8Iter",
        "ImageRecordInt8Iter",
        "MNISTIter",
        "CSVIter",
        "LibSVMIter",
        "DataBatch",
        "DataDesc",
        "CSRArray",
    ),
    "PyTorch": ("RecordDataset", "RecordIterDataset", "PairDataset"),
    "Errors": (
        "Im2RecError",
        "ParameterError",
        "InputError",
        "OutputError",
        "CorruptRecordError",
        "BadRecordError",
        "ImageError",
        "RecordTooLargeError",
        "ListFormatError",
        "IndexFormatError",
        "TextFormatError",
        "IdxFormatError",
    ),
}
# Base classes whose methods have a section of their own, once for all classes that inherit them.
SHARED = {"BatchIterator": "Methods of all iterators", "OrderedIterator": "Methods of all iterators"}
# Public for other modules of im2rec alone.
INTERNAL = {
    "RecordFile": "keys_of span spans frame_sizes read check_headers bytes_at end",
    "RecordWriter": (
        "write_frames written index_blocks number_keys finish publish growing_files output_files leave discarded"
    ),
    "PairFile": "number",
}
PARAMETERS = {"ImageRecord": f"imagerecorditer-and-im2rec-iterate-{next(iter(GROUPS)).lower()}"} | {
    kind: f"{kind.lower()}iter-and-im2rec-iterate---kind-{kind.lower()}" for kind in ("MNIST", "CSV", "LibSVM")
}
# Arguments that other modules of im2rec give.
INTERNAL_ARGUMENTS = {"journal", "sizes", "records: int = 0", "room", "verdict"}
# Names of types that are short in the code, as a caller knows them.
TYPES = {
    r"(?<!os\.)\bPathLike\b": "str | PathLike[str]",
    r"\bos\.|\bnpt?\.": "",
    r"\bKeys\b": "NDArray[uint64]",
    r"\bOffsets\b": "NDArray[int64]",
    r"\bArray\b": "NDArray",
}
_WIDTH = 88
_DEFINITIONS = (ast.ClassDef, ast.FunctionDef)


@functools.cache
def constants(path: Path) -> dict[str, str]:
    """Return the names in the module at *path* that stand for one number or text, with it as source text."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (source := _module_file(node.module or "")).is_file():
            given = constants(source)
            found |= {name.asname or name.name: given[name.name] for name in node.names if name.name in given}
        elif isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            is_tuple = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            pairs = zip(target.elts, value.elts, strict=True) if is_tuple else [(target, value)]
            found |= {ast.unparse(name): ast.unparse(each) for name, each in pairs if isinstance(each, ast.Constant)}
    return found


def _module_file(name: str) -> Path:
    return (ROOT / name.replace(".", "/")).with_suffix(".py")


@functools.cache
def guide() -> dict[str, str]:
    """Return a link to the first section of the guides with an example of a name, for each name."""
    found: dict[str, str] = {}
    for page in ("python.md", "pytorch.md"):
        for section in re.split(r"^#+ ", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.MULTILINE):
            heading, _, text = section.partition("\n")
            for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
                for name in re.findall(r"\w+", code):
                    found.setdefault(name, f"[{heading}]({page}#{anchor(heading)})")
    return found


@functools.cache
def titles() -> dict[str, str]:
    """Return the titles of the pages in the navigation of the site."""
    pages = re.findall(r"- ([^:\n]+): (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    return {page: title for title, page in pages}


@functools.cache
def definitions() -> dict[str, ast.ClassDef | ast.FunctionDef]:
    """Return the classes and functions of all modules by name; of two with one name, a public one is first.

    Each has an attribute ``path``, its module.
    """
    found: dict[str, ast.ClassDef | ast.FunctionDef] = {}
    homes = set(im2rec._NAMES_BY_MODULE)  # noqa: SLF001 - the list that __all__ is made of
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "im2rec").rglob("*.py")}
    for name in sorted(modules, key=lambda name: (name not in homes, ".mx." in name, name)):
        for node in ast.parse(modules[name].read_text(encoding="utf-8")).body:
            if isinstance(node, _DEFINITIONS):
                for inner in ast.walk(node):
                    vars(inner)["path"] = modules[name]
                found.setdefault(node.name, node)
    return found


def api_page() -> str:
    """Return the page: a section for each group of names, an entry for each name."""
    page = [INTRODUCTION]
    for title, names in SECTIONS.items():
        links = ", ".join(f"[{name}](#{anchor(name)})" for name in names)
        page += [f"* [{title}](#{anchor(title)}): {links}"]
    for title, names in SECTIONS.items():
        page += ["", f"## {title}"]
        module = "im2rec.torch" if title == "PyTorch" else "im2rec"
        for name in names:
            page += ["", *_entry(name, module)]
        if title == "Batches":
            page += ["", *_shared_entry("Methods of all iterators")]
    page += ["", "This page is generated from the docstrings by `make docs`, and its examples are run by the tests."]
    return "\n".join(page) + "\n"


def anchor(heading: str) -> str:
    """Return the anchor of *heading*, as GitHub and the site make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _entry(name: str, module: str) -> Iterator[str]:
    """Yield the lines of a public name: signature, docstring, then its methods."""
    yield f"### {name}"
    yield ""
    if name == "open":
        yield f"`im2rec.open` is the class {_link('RecordFile')} by another name."
        return
    node = definitions()[name]
    yield from _signature(f"{module}.{name}", node)
    yield ""
    yield _markdown(ast.get_docstring(node) or "", name)
    further = [f"In the guide: {guide()[name]}."]
    if isinstance(node, ast.ClassDef):
        bases = list(_bases(node))
        public = next((base.name for base in bases if base.name in _PUBLIC), "")
        if kind := _parameter_kind(node):
            further.append(f"[All parameters](parameters.md#{PARAMETERS[kind]}).")
        if public:
            further.append(f"Further methods: those of {_link(public)}.")
        elif any(base.name in SHARED for base in bases):
            further.append(f"Further methods: [those of all iterators](#{anchor(SHARED['BatchIterator'])}).")
    yield f"\n{' '.join(further)}"
    if isinstance(node, ast.ClassDef):
        yield from _members(name, [node, *([] if public else bases)])


def _shared_entry(title: str) -> Iterator[str]:
    yield f"### {title}"
    yield ""
    yield "`len(it)` is the number of batches of an epoch, and a `for` loop over an iterator is one epoch."
    yield "In a `with` statement an iterator is closed at the end."
    yield from _members("it", [definitions()[name] for name in SHARED])


def _members(owner: str, classes: list[ast.ClassDef | ast.FunctionDef]) -> Iterator[str]:
    """Yield an entry for each public method and property of *classes* that has a docstring, the first of each name."""
    seen = set(INTERNAL.get(owner, "").split())
    if any(class_.name in SHARED for class_ in classes) and owner != "it":
        seen |= {each.name for shared in SHARED for each in definitions()[shared].body if hasattr(each, "name")}
    for class_ in classes:
        for node in class_.body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or node.name in seen:
                continue
            seen.add(node.name)
            docstring = ast.get_docstring(node)
            if docstring and not any(ast.unparse(each).endswith(".setter") for each in node.decorator_list):
                yield f"\n#### {owner}.{node.name}\n"
                if _is_property(node):
                    yield f"`{_annotation(node.returns)}`. {_markdown(docstring, owner)}"
                else:
                    yield from _signature(f"{owner}.{node.name}", node)
                    yield f"\n{_markdown(docstring, owner)}"


def _is_property(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(each).rpartition(".")[2] in ("property", "cached_property") for each in node.decorator_list)


def _bases(node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """Yield the classes of im2rec that *node* inherits from, the nearest first."""
    for base in node.bases:
        name = ast.unparse(base).partition("[")[0]
        found = definitions().get(name)
        if isinstance(found, ast.ClassDef):
            yield found
            yield from _bases(found)


def _parameter_kind(node: ast.ClassDef) -> str:
    """Return the name of the declared parameters that the constructor of *node* takes, or nothing."""
    found = re.search(r"Unpack\[(\w+)Keywords\]", ast.unparse(_constructor(node) or ast.Pass()))
    return found[1] if found else ""


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    """Return the constructor of a class, its own or that of a base."""
    for class_ in (node, *_bases(node)):
        for each in class_.body:
            if isinstance(each, ast.FunctionDef) and each.name in ("__init__", "__new__"):
                return each
    return None


def _signature(name: str, node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    """Yield a block with how *node* is called: of kind ``py``, which is coloured like Python and is no example."""
    yield "```py"
    if isinstance(node, ast.ClassDef):
        yield from _call(name, _fields(node))
    else:
        is_static = any(ast.unparse(each) == "staticmethod" for each in node.decorator_list)
        is_method = "." in name.removeprefix("im2rec.") and not is_static
        yield from _call(name, _arguments(node, skip=int(is_method)), f" -> {_annotation(node.returns)}")
    yield "```"


def _fields(node: ast.ClassDef) -> list[str]:
    """Return the arguments of a constructor: those declared, or the fields of a named tuple."""
    if kind := _parameter_kind(node):
        required = [
            field.target.id
            for field in definitions()[f"{kind}Keywords"].body
            if isinstance(field, ast.AnnAssign) and "Required" in ast.unparse(field.annotation)
            if isinstance(field.target, ast.Name)
        ]
        return ["*", *required, "..."]
    constructor = _constructor(node)
    if constructor is not None:
        return _arguments(constructor, skip=1)
    return [ast.unparse(field) for field in node.body if isinstance(field, ast.AnnAssign)]


def _arguments(node: ast.FunctionDef, *, skip: int) -> list[str]:
    """Return the arguments of a function as text, without the first *skip*."""
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    texts = [_argument(each, default) for each, default in zip(positional, defaults, strict=True)][skip:]
    texts += ["*"] if given.kwonlyargs else []
    texts += [_argument(each, default) for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    texts += [f"**{given.kwarg.arg}"] if given.kwarg else []
    return [text for text in texts if not {text, text.partition(":")[0]} & INTERNAL_ARGUMENTS]


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {_annotation(argument.annotation)}" if argument.annotation else ""
    value = constants(vars(default)["path"]).get(ast.unparse(default), ast.unparse(default)) if default else ""
    return f"{argument.arg}{annotation}" + (" = " + value.replace("'", '"') if default else "")


def _annotation(node: ast.expr | None) -> str:
    text = "None" if node is None else ast.unparse(node)
    for pattern, replacement in TYPES.items():
        text = re.sub(pattern, replacement, text)
    return text


def _call(name: str, arguments: list[str], result: str = "") -> list[str]:
    """Return the lines of a call: one, or one for each argument if it is long."""
    line = f"{name}({', '.join(arguments)}){result}"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{name}(", *(f"    {argument}," for argument in arguments), f"){result}"]


def _markdown(docstring: str, owner: str) -> str:
    """Return *docstring* as Markdown: its examples in blocks, and links to the entries of this page.

    Paragraphs that begin with "Inside im2rec," are left out: they are on arguments that only other modules give.
    """
    paragraphs = []
    for paragraph in re.split(r"\n\n+", docstring):
        if paragraph.startswith(">>> "):
            paragraphs.append(f"```pycon\n{paragraph}\n```")
        elif paragraph != "::" and not paragraph.startswith("Inside im2rec, "):
            indented = paragraph.startswith("    ")
            text = textwrap.dedent(paragraph)
            paragraphs.append(f"```py\n{text}\n```" if indented else _inline(text, owner))
    return "\n\n".join(paragraphs)


def _inline(text: str, owner: str) -> str:
    """Return a paragraph with its roles and names as links, and its code in backticks."""
    powers = re.sub(r"\b2\*\*\d+( - 1)?", r"``\g<0>``", text.replace("\n", " "))  # which Markdown would make bold
    pieces = re.split(r"(``.+?``|:\w+:`.+?`)", powers)
    for at, piece in enumerate(pieces):
        if piece.startswith("``"):
            pieces[at] = piece[1:-1]
        elif role := re.fullmatch(r":(\w+):`~?(.+?)`", piece):
            pieces[at] = _role(role[1], role[2].rpartition(".")[2], owner)
        else:
            named = _NAME.sub(lambda found: _link(found[0]) if found[0] != owner else found[0], piece)
            pieces[at] = re.sub(r"\bdocs/(\w+\.md)", lambda found: f"[{titles()[found[1]]}]({found[1]})", named)
    return "\n".join(textwrap.wrap("".join(pieces), 120, break_long_words=False, break_on_hyphens=False))


def _role(kind: str, name: str, owner: str) -> str:
    """Return a link to what a role names: a method of *owner*, or a public name."""
    if kind == "meth":
        return f"[`{name}()`](#{anchor(f'{_owner_of(name, owner)}.{name}')})"
    return _link(name) if name in _PUBLIC and name != owner else f"`{name}`"


def _owner_of(method: str, owner: str) -> str:
    """Return the name in front of *method* in its heading: that of the class, or of the iterators."""
    node = definitions().get(owner)
    own = [node, *(base for base in _bases(node) if base.name not in SHARED)] if isinstance(node, ast.ClassDef) else []
    return owner if any(getattr(each, "name", "") == method for class_ in own for each in class_.body) else "it"


def _link(name: str) -> str:
    return f"[{name}](#{anchor(name)})"


_PUBLIC = {name for names in SECTIONS.values() for name in names}
# In prose only names that are no words of English: with two capitals, or with an underscore.
_NAME = re.compile(rf"\b({'|'.join(sorted(name for name in _PUBLIC if re.search(r'[A-Z].*[A-Z]|_', name)))})\b(?!\()")
