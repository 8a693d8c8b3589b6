"""Run a script as Python itself does, with ``mxnet`` importable in it and in every process that it starts.

The script runs in this process and becomes its ``__main__``, as the children of multiprocessing look for their
functions there. They, and other programs, find ``mxnet`` by ``sys.path`` and ``PYTHONPATH``.

Source: CPython's Modules/main.c and Lib/runpy.py, for what is in ``sys`` and in ``__main__``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import zipfile
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

FOLDER = str(Path(__file__).parent / "path")  # holds nothing but a package mxnet
_ROOT = str(Path(__file__).parents[2])  # the folder of im2rec

_USAGE = """\
Usage: python -m im2rec.mx [-m] SCRIPT [ARGUMENTS]
       python -m im2rec.mx --path

Runs SCRIPT, or with -m a module, in which `import mxnet` is im2rec.mx: it reads and writes MXNet's data without MXNet.
With --path, prints the folder that does the same in PYTHONPATH.
"""


def main() -> None:
    """Run what the words of the command line name, or print the folder or the usage. Raises SystemExit."""
    words = sys.argv[1:]
    if words == ["--path"]:
        sys.stdout.write(FOLDER + "\n")
    elif not words or words[0] in ("-h", "--help"):
        sys.stdout.write(_USAGE)
    elif words[0] == "-m" and len(words) > 1:
        _run_module(words[1], words[2:])
    elif words[0].startswith("-"):
        _fail(f"{words[0]} is no option here; those of Python go before the first -m\n{_USAGE.rstrip()}", 2)
    else:
        _run_script(words[0], words[1:])


def _run_script(path: str, arguments: list[str]) -> None:
    """Run the file at *path*, or ``__main__.py`` in a folder or an archive, as ``python path`` does."""
    sys.argv[:] = [path, *arguments]
    file = os.path.abspath(path)  # noqa: PTH100 - links are not followed
    # A pipe can be read only once: it is not opened to see if it is an archive.
    is_container = os.path.isdir(file) or (os.path.isfile(file) and zipfile.is_zipfile(file))  # noqa: PTH112, PTH113
    _make_importable(file if is_container else os.path.dirname(os.path.realpath(path)))  # noqa: PTH120 - as text
    if is_container:
        spec = PathFinder.find_spec("__main__", [file])
        if spec is None:
            _fail(f"can't find '__main__' module in {file!r}", 1)
        _execute(_main_module(spec))
        return
    loader = (SourcelessFileLoader if file.endswith(".pyc") else SourceFileLoader)("__main__", file)
    try:
        content = loader.get_data(file)
    except OSError as error:
        problem = f"can't open file {file!r}: [Errno {error.errno}] {error.strerror}"
        _fail(problem, 2, program=sys.orig_argv[0])  # said by the interpreter, which knows itself by the word typed
    module = ModuleType("__main__")
    vars(module).update(__file__=file, __loader__=loader, __package__=None, __spec__=None, __cached__=None)
    _execute(module, content)


def _run_module(name: str, arguments: list[str]) -> None:
    """Run the module or package *name*, as ``python -m name`` does."""
    sys.argv[:] = ["-m", *arguments]
    _make_importable(None)
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = _found_main(name)
            if spec is None:
                _fail(f"No module named {name}.__main__; {name!r} is a package and cannot be directly executed", 1)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        _fail(f"Error while finding module specification for {name!r} ({type(error).__name__}: {error})", 1)
    if spec is None:
        _fail(f"No module named {name}", 1)
    sys.argv[0] = spec.origin or name
    _execute(_main_module(spec))


def _found_main(package: str) -> ModuleSpec | None:
    """Return the spec of the module that ``-m package`` runs, None if there is none."""
    name = f"{package}.__main__"
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise


def _main_module(spec: ModuleSpec) -> ModuleType:
    """Return the module ``__main__`` for the module of *spec*, which multiprocessing imports by its name."""
    module = ModuleType("__main__")
    vars(module).update(
        __file__=spec.origin, __loader__=spec.loader, __package__=spec.parent, __spec__=spec, __cached__=spec.cached
    )
    return module


def _make_importable(folder: str | None) -> None:
    """Let this process and its children import ``mxnet`` and im2rec; *folder* is that of the script, None with -m."""
    is_safe = sys.flags.isolated or getattr(sys.flags, "safe_path", False)  # then sys.path has no folder of the script
    if not is_safe and folder is not None:
        sys.path[0] = folder
    added = [FOLDER]
    if not _is_found():  # it is a checkout in the current folder, which was in sys.path until now
        added.append(_ROOT)
    first = 0 if is_safe else 1
    sys.path[first:] = [*added, *(path for path in sys.path[first:] if path not in added)]
    inherited = os.environ.get("PYTHONPATH")
    others = inherited.split(os.pathsep) if inherited else []
    os.environ["PYTHONPATH"] = os.pathsep.join([*added, *(path for path in others if path not in added)])


def _is_found() -> bool:
    """True if a new process that has this ``sys.path`` and these finders imports this very im2rec."""
    specs = (finder.find_spec("im2rec", None) for finder in sys.meta_path)
    spec = next((spec for spec in specs if spec is not None), None)
    return spec is not None and spec.origin == importlib.import_module("im2rec").__file__


def _execute(module: ModuleType, content: bytes = b"") -> None:
    """Make *module* ``__main__`` and run its code; its errors leave this process as if Python had run it.

    *content* is that of the file of a script.
    """
    sys.modules["__main__"] = module
    try:
        exec(_code(module, content), vars(module))  # noqa: S102 - the script that the user names
    except BaseException:
        _hide_own_frames()
        raise


def _code(module: ModuleType, content: bytes) -> CodeType:
    loader: Any = module.__loader__
    name = module.__spec__.name if module.__spec__ is not None else "__main__"
    if module.__spec__ is None and isinstance(loader, SourceFileLoader):
        # Not get_code(), which would write a .pyc beside the script.
        return loader.source_to_code(content, loader.path)
    code: CodeType | None = loader.get_code(name)
    if code is None:
        _fail(f"No code object available for {name}", 1)
    return code


def _hide_own_frames() -> None:
    """Let the traceback that is about to be printed begin with the script."""
    hook = sys.excepthook

    def shortened(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        frame = trace
        while frame is not None and frame.tb_frame.f_code is not _execute.__code__:
            frame = frame.tb_next
        start = trace if frame is None else frame.tb_next
        if isinstance(error, SyntaxError):  # raised by the compiler: only our own frames and importlib's are left
            start = _first_in_script(start)
        hook(kind, error.with_traceback(start), start)

    sys.excepthook = shortened


def _first_in_script(trace: TracebackType | None) -> TracebackType | None:
    own = {_code.__code__.co_filename, "<frozen importlib._bootstrap_external>", "<frozen importlib._bootstrap>"}
    while trace is not None and trace.tb_frame.f_code.co_filename in own:
        trace = trace.tb_next
    return trace


def _fail(problem: str, code: int, program: str = "") -> NoReturn:
    sys.stderr.write(f"{program or sys.executable}: {problem}\n")
    raise SystemExit(code)
