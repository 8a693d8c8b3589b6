"""Helpers of tests of documentation pages: their blocks of code, and what these print."""

from __future__ import annotations

import contextlib
import doctest
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import image_helpers

import im2rec

ROOT = Path(__file__).parents[1]
CODE = "; echo $?"  # at the end of a line: the exit code
OWN_PROCESS = {"bench", "cache", "compile"}  # commands that depend on what a process has loaded and compiled
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)  # its kind and its text
# Runs each of the examples that come as a JSON list on stdin, with a new namespace; prints a list of what they print.
_RUN_EXAMPLES = """
import contextlib, io, json, sys
printed = []
for example in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(example, {"__name__": "__main__"})
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


def check_examples(page: str, folder: Path) -> None:
    """Run the Python examples of *page* in *folder*: each prints the block of text that follows it, and no warning.

    Addresses of objects are shown as ``0x...``.
    """
    blocks = BLOCK.findall(page)
    examples = [code for kind, code in blocks if kind == "python"]
    assert ["python", "text"] * len(examples) == [kind for kind, _ in blocks]

    command = [sys.executable, "-W", "error", "-c", _RUN_EXAMPLES]
    done = subprocess.run(command, cwd=folder, input=json.dumps(examples), capture_output=True, text=True)

    assert "" == done.stderr
    for (_, expected), printed in zip(blocks[1::2], json.loads(done.stdout), strict=True):
        assert expected == re.sub(r"0x[0-9a-f]+", "0x...", printed)


def run_page(page: str, folder: Path, *, with_torch: bool = False, in_processes: bool = False) -> int:
    """Run the examples of *page* in *folder*, in their order; return how many there were.

    Each line of a ``console`` block that begins with ``$ im2rec`` prints the lines below it, on stdout and stderr
    together; numbers may differ, as they depend on the machine and on versions. Each ``python`` block prints the
    ``text`` block that follows it: the same numbers, except in its first line. One that imports mxnet is run by
    ``python -m im2rec.mx``; those that use torch are left to tests/pytorch, which run them *with_torch*. On the pages
    *folder* is ``/data``. Commands run in this process, as most of their time would be that of starting Python, but for
    those of ``OWN_PROCESS``, or all of them *in_processes*.
    """
    blocks, count = BLOCK.findall(page), 0
    for at, (kind, block) in enumerate(blocks):
        if kind == "console":
            for command, output in transcript(block):
                if "damaged.rec" in command and not (folder / "damaged.rec").exists():
                    damage_a_copy(folder)
                printed = shown(run_command(command, folder, own_process=in_processes), folder)
                assert comparable(command, output) == comparable(command, printed), command
                if CODE in command:  # the one number that is the same everywhere
                    assert output.splitlines()[-1] == printed.splitlines()[-1], command
                count += 1
        elif kind == "python" and (with_torch or "torch" not in block):
            printed = _run_script(block, folder)
            assert "text" == blocks[at + 1][0]
            expected = blocks[at + 1][1]
            assert expected.splitlines()[1:] == printed.splitlines()[1:], block
            assert without_numbers(expected) == without_numbers(printed), block
            count += 1
    return count


def prepare(folder: Path) -> None:
    """Fill *folder* with the files that the pages begin with: what im2rec makes of ``sample_data``.

    These are the lists and class names of the photos, ``photos_train.rec`` with its index, ``damaged.rec``, the folder
    ``faces`` with a face-recognition set, and ``pairs.bin``.
    """
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")
    for words in (
        "make-list sample_data/photos --shuffle --split 0.9",
        "pack photos_train.lst sample_data/photos photos_train.rec resize=128",
        "make-list sample_data/faces",
        "pack --profile insightface faces.lst sample_data/faces faces",
        "bin make sample_data/pairs.txt sample_data/faces pairs.bin",
    ):
        run_command(f"im2rec {words} -q", folder)
    damage_a_copy(folder)


def damage_a_copy(folder: Path) -> None:
    """Make ``damaged.rec``: a copy of ``photos_train.rec`` with zeros for record 10 and the head of record 11."""
    for suffix in (".rec", ".idx"):
        shutil.copy(folder / f"photos_train{suffix}", folder / f"damaged{suffix}")
    with im2rec.open(folder / "photos_train.rec") as rec, (folder / "damaged.rec").open("r+b") as file:
        start, end = int(rec.offsets[10]), int(rec.offsets[11]) + 100
        file.seek(start)
        file.write(bytes(end - start))


def shown(printed: str, folder: Path) -> str:
    """*printed* as the pages show it: with ``/data`` in place of *folder*, and slashes between folders."""
    for name in sorted({str(folder), str(folder.resolve())}, key=len, reverse=True):
        printed = printed.replace(name, "/data").replace("\\", "/")
    return printed


def comparable(command: str, output: str) -> str:
    """*output* of *command* without what depends on the machine.

    Of ``im2rec bench`` the names of the rows are left, as what limits the speed may differ each time. Of ``im2rec
    compile`` it is the same whether the decoder had been compiled before. Paths of ``im2rec cache`` and ``im2rec
    compile`` may break a line elsewhere. The code of ``im2rec completion`` is click's; its first line is left.
    """
    output = without_numbers(output)
    words = command.split()
    if words[1] == "bench" and "--dry-run" not in words:
        rows = [re.match(r" {0,4}\S+", line) for line in output.partition("\nlimit: ")[0].splitlines()]
        return "\n".join(row[0] for row in rows if row and row[0] not in ("  kernel", "    the", "compiling"))
    if words[1] == "completion":
        return output.partition("\n")[0]
    if words[1] == "compile":
        output = re.sub(r"^compiling .*\n?", "", output, flags=re.MULTILINE)
        output = output.replace("the JPEG decoder is compiled already", "compiled the JPEG decoder")
        output = output.replace("would compile the", "compiled the").replace("would keep", "kept")
        output = output.replace(", loaded in", ", compiled in")
        output = re.sub(r"(?<=kept) +in .*?(?=\nnext:)", " in FOLDER", output, flags=re.DOTALL)
    return " ".join(output.split()) if words[1] in ("cache", "compile") else output


def transcript(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that is printed under it."""
    steps = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (step.partition("\n") for step in steps)]


def without_numbers(text: str) -> str:
    """*text* with what depends on machine and library versions, numbers and units of bytes, made equal."""
    text = re.sub(r"engine (?:opencv|pillow)(?:, JPEGs decoded by \w+)?", "ENGINE", text)
    text = re.sub(r"^  engine   \w+$", "  engine   ENGINE", text, flags=re.MULTILINE)
    text = re.sub(r"^  kernel   .+$", "  kernel   KERNEL", text, flags=re.MULTILINE)
    text = re.sub(r"digest   [0-9a-f]{16}", "digest   DIGEST", text)
    text = re.sub(r"sha256   [0-9a-f]{64}", "sha256   HASH", text)
    text = re.sub(r"[kMG]?B/s", "B/s", text)
    return re.sub(r"\d[\d.,]*\d|\d", "N", text)


def run_command(command: str, folder: Path, *, own_process: bool = False) -> str:
    """Run a line that begins with ``im2rec`` in *folder*; return what it prints, and below it ``; echo $?``.

    It runs in this process, unless it shall have its *own_process* or is one of ``OWN_PROCESS``.
    """
    line, _, rest = command.partition(CODE)
    words = shlex.split(line)
    assert ("im2rec", "") == (words[0], rest)
    if own_process or words[1] in OWN_PROCESS:
        return _printed(["-m", "im2rec", *words[1:]], folder, with_code=CODE in command)
    with _inside(folder):
        ran = image_helpers.im2rec(*words[1:])
    return ran.out + ran.err + (f"{ran.code}\n" if CODE in command else "")


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _run_script(code: str, folder: Path) -> str:
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    return _printed([*(["-m", "im2rec.mx"] if "import mxnet" in code else []), script.name], folder)


def _printed(words: list[str], folder: Path, *, with_code: bool = False) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    return done.stdout + done.stderr + (f"{done.returncode}\n" if with_code else "")


def check_docstring(name: str, value: object) -> int:
    """Run the examples in the docstring of *value*, which follow one another; return how many lines of code ran.

    They begin with ``import im2rec``. ``...`` in what is printed stands for anything.
    """
    docstring = inspect.getdoc(value)
    assert docstring is not None
    test = doctest.DocTestParser().get_doctest(docstring, {"im2rec": im2rec}, name, None, None)
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=failures.append)
    assert [] == failures, "".join(failures)
    return len(test.examples)
