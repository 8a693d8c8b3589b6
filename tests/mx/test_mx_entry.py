"""The ways in: a script that says ``import mxnet`` runs as Python itself would run it, with all that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import write_rec
from image_helpers import names_in

import im2rec
from im2rec.mx.missing import PURPOSE

ROOT = str(Path(im2rec.__file__).parents[1])
FOLDER = str(Path(im2rec.__file__).parent / "mx" / "path")
RUN = ("-m", "im2rec.mx")


def python(*words: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in *folder*, where this very im2rec is found as an installed one is."""
    variables = {**os.environ, "PYTHONPATH": ROOT, "PYTHONIOENCODING": "utf-8", **environment}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, encoding="utf-8", timeout=120
    )


def output(*words: object, folder: Path, **environment: str) -> list[str]:
    ran = python(*words, folder=folder, **environment)
    assert (0, "") == (ran.returncode, ran.stderr)
    return ran.stdout.splitlines()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


WORKERS = """
import multiprocessing, os, subprocess, sys
import mxnet as mx
from mxnet.recordio import MXIndexedRecordIO

class Reader(MXIndexedRecordIO):
    pass

def first(method):
    return method, mx.recordio.unpack(reader.read_idx(0))[1].decode(), reader.read() is not None

def of(record):
    return type(record).__name__, record.note, record.read_idx(1) == record.read()

def start(record):
    global reader
    reader = record

if __name__ == "__main__":
    record = Reader("a.idx", "a.rec", "r")
    record.note = sys.argv[1]
    for method in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context(method)
        with context.Pool(2, start, (record,)) as pool:
            print(*pool.map(first, [method]), *pool.map(of, [record]))
    print(subprocess.check_output([sys.executable, "-c", "import mxnet; print(mxnet.__version__)"], text=True).strip())
"""
WAYS = {
    "by the launcher": (*RUN, "{script}"),
    "as a module": (*RUN, "-m", "package.work"),
    "by PYTHONPATH": ("{script}",),
}


@pytest.mark.parametrize("way", WAYS)
def test_workers_of_every_start_method_and_programs_find_mxnet_and_the_script(way: str, tmp_path: Path) -> None:
    import multiprocessing  # noqa: PLC0415 - for the methods of this system alone

    script = write(tmp_path / "package" / "work.py", WORKERS)
    write_rec(tmp_path / "a.rec", [bytes(24) + b"zero", b"same", b"same"])
    path = os.pathsep.join([FOLDER, ROOT]) if way == "by PYTHONPATH" else ROOT
    words = [word.format(script=script) for word in WAYS[way]]

    expected = [
        f"('{method}', 'zero', True) ('Reader', 'note', True)" for method in multiprocessing.get_all_start_methods()
    ]
    assert [*expected, "1.9.1"] == output(*words, "note", folder=tmp_path, PYTHONPATH=path)


def test_modules_are_the_same_objects_under_all_their_names(tmp_path: Path) -> None:
    script = """
import importlib, pickle, sys
import mxnet.recordio
from mxnet import recordio
from mxnet.recordio import IRHeader
import mxnet as mx, mxnet.base
import im2rec.mx, im2rec.mx.recordio, im2rec.errors
assert mx is im2rec.mx is sys.modules["mxnet"]
assert recordio is mx.recordio is im2rec.mx.recordio is sys.modules["mxnet.recordio"] is mxnet.recordio
assert importlib.import_module("mxnet.recordio") is recordio and recordio.__spec__.name == "im2rec.mx.recordio"
import mxnet.io.io, mxnet.image.image as images, mxnet.gluon.data.vision.datasets
from mxnet.ndarray.ndarray import NDArray
from mxnet.io import io
assert io is mxnet.io.io is mx.io is im2rec.mx.io and io.__spec__.name == "im2rec.mx.io" and images is mx.image
assert NDArray is mx.nd.NDArray is mx.nd.ndarray.NDArray and mx.gluon.data.vision.datasets is mx.gluon.data.vision
assert mx.MXNetError is mxnet.base.MXNetError is im2rec.errors.Im2RecError
assert pickle.loads(b"cmxnet.recordio\\nMXIndexedRecordIO\\n.") is recordio.MXIndexedRecordIO
assert "1.8" < mx.__version__ and {"recordio", "nd", "cpu"} <= set(dir(mx)), dir(mx)
"""
    assert [] == output(*RUN, write(tmp_path / "a.py", script), folder=tmp_path)


CONTENTS = (
    "Context, MXNetError, base, context, cpu, cpu_pinned, current_context, gluon, gpu, image, img, io, nd, ndarray,"
    " num_gpus, recordio"
)
VISION = "mx.gluon.data.vision"
OTHERS = {
    "base": "MXNetError",
    "context": "Context, cpu, cpu_pinned, current_context, gpu, num_gpus",
    "gluon.data.dataset": "ArrayDataset, Dataset, RecordFileDataset, SimpleDataset",
    "recordio": "IRHeader, MXIndexedRecordIO, MXRecordIO, pack, pack_img, struct, unpack, unpack_img",
}


@pytest.mark.parametrize(
    ("line", "kind", "found"),
    [
        ("mx.mod", "AttributeError", f"mx has no mod: {PURPOSE}; mx has {CONTENTS}"),
        ("mx.sym.Variable('data')", "AttributeError", f"mx has no sym: {PURPOSE}; mx has {CONTENTS}"),
        ("from mxnet import autograd", "ModuleNotFoundError", f"mx has no autograd: {PURPOSE}; mx has {CONTENTS}"),
        ("from im2rec.mx import autograd", "ModuleNotFoundError", f"mx has no autograd: {PURPOSE}; mx has {CONTENTS}"),
        ("import mxnet.optimizer", "ModuleNotFoundError", f"mx has no optimizer: {PURPOSE}; mx has {CONTENTS}"),
        ("import mxnet.symbol.op as op", "ModuleNotFoundError", f"mx has no symbol: {PURPOSE}; mx has {CONTENTS}"),
        ("from mxnet.gluon import nn", "ModuleNotFoundError", f"mx.gluon has no nn: {PURPOSE}; mx.gluon has data"),
        (
            "import mxnet.images",
            "ModuleNotFoundError",
            f"mx has no images: {PURPOSE}; did you mean image? mx has {CONTENTS}",
        ),
        ("import mxnet.random", "ModuleNotFoundError", f"mx has no random: {PURPOSE}; mx has {CONTENTS}"),
        *[
            (
                f"from mxnet.{module} import nothing",
                "ModuleNotFoundError",
                f"mx.{module} has no nothing: {PURPOSE}; mx.{module} has {there}",
            )
            for module, there in OTHERS.items()
        ],
        (
            "mx.context.nothing",
            "AttributeError",
            f"mx.context has no nothing: {PURPOSE}; mx.context has {OTHERS['context']}",
        ),
        (
            "from mxnet.gluon.data.vision import transforms",
            "ModuleNotFoundError",
            f"{VISION} has no transforms: torchvision.transforms has the same ones; {VISION} has ImageRecordDataset",
        ),
    ],
)
def test_a_name_that_is_not_there_is_refused_with_what_is(line: str, kind: str, found: str, tmp_path: Path) -> None:
    script = f"import mxnet as mx\nassert not hasattr(mx, 'sym')\n{line}"
    ran = python(*RUN, write(tmp_path / "a.py", script), folder=tmp_path)

    assert (1, f"{kind}: {found}") == (ran.returncode, ran.stderr.splitlines()[-1])


def test_nothing_is_called_mxnet_unasked(tmp_path: Path) -> None:
    write(tmp_path / "mxnet" / "__init__.py", "__version__ = 'real'\n")
    write(tmp_path / "mxnet" / "recordio.py", "pack = 'real'\n")
    script = (
        "import im2rec.mx, mxnet, mxnet.recordio; print(mxnet.__version__, mxnet.recordio.pack, im2rec.mx.__version__)"
    )

    assert ["real real 1.9.1"] == output("-c", script, folder=tmp_path)
    # One in the folder of the script comes first in sys.path, as Python has it; behind it comes ours.
    assert ["real"] == output(*RUN, write(tmp_path / "a.py", "import mxnet; print(mxnet.__version__)"), folder=tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "mxnet").rename(tmp_path / "real" / "mxnet")
    found = os.pathsep.join([ROOT, str(tmp_path / "real")])
    assert ["1.9.1"] == output(*RUN, tmp_path / "a.py", folder=tmp_path, PYTHONPATH=found)


def test_path_prints_a_folder_that_holds_nothing_but_mxnet(tmp_path: Path) -> None:
    assert [FOLDER] == output(*RUN, "--path", folder=tmp_path)
    assert ["mxnet"] == names_in(Path(FOLDER))
    assert ["__init__.py"] == [name for name in names_in(Path(FOLDER) / "mxnet") if name != "__pycache__"]


# As Python itself.

STATE = """
import sys
print(sys.argv, sys.path[0], __name__, __file__, __spec__ and __spec__.name, __package__, sys.flags.optimize)
print(type(__loader__).__name__, sys.modules["__main__"].__dict__ is globals(), __doc__)
"""


def both(*words: object, folder: Path, options: tuple[str, ...] = ()) -> tuple[subprocess.CompletedProcess[str], ...]:
    """Run *words* by Python, and by the launcher."""
    return python(*options, *words, folder=folder), python(*options, *RUN, *words, folder=folder)


@pytest.mark.parametrize("options", [(), ("-O",), ("-X", "utf8"), ("-W", "error")])
@pytest.mark.parametrize("words", [("a.py",), ("sub/a.py", "-m", "--x"), ("-m", "sub.a", "1"), ("-m", "sub"), ("sub",)])
def test_a_script_finds_what_python_gives_it(words: tuple[str, ...], options: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("a.py", "sub/a.py", "sub/__init__.py", "sub/__main__.py"):
        write(tmp_path / name, STATE)
    if words[0] == "-m":
        (tmp_path / "sub" / "__init__.py").write_text("")

    by_python, by_launcher = both(*words, folder=tmp_path, options=options)
    assert "" == by_python.stderr == by_launcher.stderr
    assert by_python.stdout == by_launcher.stdout != ""


def test_an_archive_and_compiled_code_are_run(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("__main__.py", "import sys, mxnet; print(sys.argv, mxnet.__version__)")
    assert ["['a.zip', '1'] 1.9.1"] == output(*RUN, "a.zip", 1, folder=tmp_path)

    write(tmp_path / "b.py", "import sys, mxnet; print(sys.argv, mxnet.__version__)")
    output("-c", "import py_compile; py_compile.compile('b.py', 'b.pyc')", folder=tmp_path)
    assert ["['b.pyc'] 1.9.1"] == output(*RUN, "b.pyc", folder=tmp_path)


@pytest.mark.parametrize(
    "script",
    [
        "raise SystemExit(3)",
        "import sys; sys.exit('bye')",
        "def f():\n    raise ValueError('here')\nf()",
        "def",
        "x = '\\ud800'; print(1 / 0)",
        "import subject",
        "raise KeyboardInterrupt",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise OSError('later') from error",
        "import sys\nsys.excepthook = lambda *_: print('own', file=sys.stderr)\n1 / 0",
        "import threading\nthreading.Timer(0.1, lambda: print(__name__, STATE)).start()\nSTATE = 'kept'",
        "import atexit, pickle\natexit.register(lambda: print(pickle.dumps(f)))\ndef f(): pass",
    ],
)
def test_a_script_ends_as_by_python(script: str, tmp_path: Path) -> None:
    write(tmp_path / "a.py", script)
    write(tmp_path / "subject.py", "import nothing_of_this_name")

    by_python, by_launcher = both("a.py", folder=tmp_path)
    assert by_python.stderr == by_launcher.stderr
    assert (by_python.returncode, by_python.stdout) == (by_launcher.returncode, by_launcher.stdout)


@pytest.mark.parametrize("words", [("no.py",), ("-m", "no"), ("-m", "no.such"), ("-m", "empty"), ("empty",)])
def test_what_cannot_be_run_is_named_as_by_python(words: tuple[str, ...], tmp_path: Path) -> None:
    write(tmp_path / "empty" / "__init__.py", "")

    by_python, by_launcher = both(*words, folder=tmp_path)
    assert by_python.stderr == by_launcher.stderr != ""
    assert by_python.returncode == by_launcher.returncode != 0


@pytest.mark.parametrize("script", ["import sys, mxnet; print(sys.argv[1:], __file__)", "1 / 0"])
@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="this system has no such file")
def test_a_script_that_can_be_read_only_once_is_run(script: str, tmp_path: Path) -> None:
    (tmp_path / "mxnet.py").touch()  # for Python itself
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, str(tmp_path)]), "PYTHONIOENCODING": "utf-8"}
    by_python, by_launcher = (
        subprocess.run(
            [sys.executable, *words, "/dev/stdin", "1"],
            cwd=tmp_path,
            env=variables,
            input=script,
            capture_output=True,
            text=True,
            timeout=120,
        )
        for words in ((), RUN)
    )

    assert (by_python.returncode, by_python.stdout) == (by_launcher.returncode, by_launcher.stdout)
    assert by_python.stderr.splitlines()[-1:] == by_launcher.stderr.splitlines()[-1:]
    assert "" != by_launcher.stdout + by_launcher.stderr


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("mxnet", 1, "No module named mxnet.__main__; 'mxnet' is a package and cannot be directly executed"),
        ("mxnet.recordio", 0, ""),
        ("mxnet.foo", 1, "Error while finding module specification for 'mxnet.foo' (ModuleNotFoundError: mx has no"),
    ],
)
def test_modules_of_mxnet_are_run_or_refused_as_by_python(name: str, code: int, says: str, tmp_path: Path) -> None:
    ran = python(*RUN, "-m", name, folder=tmp_path)

    assert (code, "") == (ran.returncode, ran.stdout)
    assert ran.stderr.startswith(f"{sys.executable}: {says}") if says else "" == ran.stderr
    assert "Traceback" not in ran.stderr


def test_options_that_are_none_and_no_words_show_the_usage(tmp_path: Path) -> None:
    ran = python(*RUN, "-x", "a.py", folder=tmp_path)
    assert (2, "") == (ran.returncode, ran.stdout)
    assert "-x is no option here; those of Python go before the first -m\nUsage: python -m im2rec.mx" in ran.stderr
    assert 2 == python(*RUN, "-m", folder=tmp_path).returncode

    usage = output(*RUN, folder=tmp_path)
    assert "Usage: python -m im2rec.mx [-m] SCRIPT [ARGUMENTS]" == usage[0]
    assert usage == output(*RUN, "--help", folder=tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_checkout_in_the_current_folder_is_found_by_children_too(tmp_path: Path) -> None:
    (tmp_path / "im2rec").symlink_to(Path(im2rec.__file__).parent, target_is_directory=True)
    script = (
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import mxnet, im2rec; print(im2rec.__file__)'])"
    )
    write(tmp_path / "scripts" / "a.py", script)

    found = output(*RUN, "scripts/a.py", folder=tmp_path, PYTHONPATH="")
    assert [str(tmp_path / "im2rec" / "__init__.py")] == found


def test_without_the_folder_of_the_script_in_sys_path_mxnet_is_found_all_the_same(tmp_path: Path) -> None:
    script = write(tmp_path / "a.py", "import sys, mxnet; print(mxnet.__version__, sys.path[0] == sys.argv[1])")

    assert ["1.9.1 True"] == output(*RUN, script, FOLDER, folder=tmp_path, PYTHONSAFEPATH="1") or sys.version_info < (
        3,
        11,
    )


def test_a_profiler_runs_the_script(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "def work():\n    import mxnet\n    return 1\nprint(work())")
    lines = output("-m", "cProfile", *RUN, "a.py", folder=tmp_path)

    assert "1" == lines[0]
    assert any("a.py" in line and "(work)" in line for line in lines)
