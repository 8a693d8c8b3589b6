"""The command as a program: interrupted at any place, its standard streams closed, full, or read only in part."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from helpers import image_payload, write_rec
from image_helpers import POSIX, PROC, Ran, a_list_of_images, ended, im2rec, names_in, started

FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
ON_IMPORT = """
import signal, sys
class Interrupter:
    def find_spec(self, name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.{number})
sys.meta_path.insert(0, Interrupter())
"""
AT_PRINTING = """
import signal
from im2rec.cli import console
real = console.print_result
console.print_result = lambda text: (signal.raise_signal(signal.SIGINT), real(text))
"""
AT_EXIT = "import atexit, signal; atexit.register(signal.raise_signal, signal.SIGINT)"


def run_with(before: str, *words: object) -> Ran:
    """Run ``im2rec`` as a program with the Python code *before* in front."""
    with started(*words, before=f"exec({before!r})") as process:
        return ended(process)


@POSIX
@pytest.mark.parametrize(
    "module",
    ["im2rec.workers", "im2rec.cli.group", "im2rec.cli.exit_codes", "im2rec.cli.pack", "numpy", "im2rec.format"],
)
@pytest.mark.parametrize(("number", "code", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_a_signal_while_modules_are_imported_is_one_line(
    tmp_path: Path, module: str, number: str, code: int, word: str
) -> None:
    listed, root = a_list_of_images(tmp_path)
    words = ["pack", str(listed), str(root), str(tmp_path / "o.rec")]

    # By the time that a pack imports numpy it is known to be a command that goes on.
    how = "go on" if module == "numpy" else "begin again"
    expected = Ran(code, "", f"im2rec: {word}; to {how}: im2rec {' '.join(words)}\n")
    assert expected == run_with(ON_IMPORT.format(module=module, number=number), *words)


@POSIX
def test_ctrl_c_while_the_result_is_printed_says_that_the_work_is_done(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    ran = run_with(AT_PRINTING, "pack", listed, root, tmp_path / "o.rec", "-q")

    expected = Ran(130, "", "im2rec: interrupted; the work is done, and only its summary may be missing\n")
    assert expected == ran
    assert {"o.rec", "o.idx"} < set(names_in(tmp_path))


@POSIX
def test_ctrl_c_while_the_program_exits_changes_nothing() -> None:
    ran = run_with(AT_EXIT, "--version")

    assert (0, "") == (ran.code, ran.err)


@PROC
@pytest.mark.parametrize("number", ["SIGHUP", "SIGTERM", "SIGINT"])
def test_an_ignored_signal_to_the_whole_group_ends_neither_the_command_nor_its_workers(
    tmp_path: Path, number: str
) -> None:
    listed, root = a_list_of_images(tmp_path, 40)
    words = ("pack", listed, root, tmp_path / "o.rec", "resize=16", "--workers", "2", "-q")
    # Sent by the command itself while workers are at work: no test has to hit the moment.
    before = f"""
import os, signal
signal.signal(signal.{number}, signal.SIG_IGN)
from im2rec.storage import writer
real = writer.RecordWriter.write_frame

writer.RecordWriter.write_frame = lambda *a, **k: (os.killpg(0, signal.{number}), real(*a, **k))[1]
"""
    ran = run_with(before, *words)

    assert (0, "") == (ran.code, ran.err)
    assert {"o.rec", "o.idx"} < set(names_in(tmp_path))


# Standard output.


def cut_rec(tmp_path: Path) -> Path:
    path = write_rec(tmp_path / "cut.rec", [image_payload(n, n) for n in range(5)])
    path.write_bytes(path.read_bytes()[:-20])
    return path


def with_stdout(stdout: int | IO[bytes], *words: object) -> tuple[int, str]:
    """Exit code and stderr of the command with that *stdout*."""
    line = [sys.executable, "-m", "im2rec", *map(str, words)]
    done = subprocess.run(line, stdout=stdout, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stderr.decode()


@POSIX
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_has_read_enough_does_not_change_the_exit_code(tmp_path: Path, more: list[str]) -> None:
    listed, root = a_list_of_images(tmp_path, 3)
    listed.write_text(listed.read_text() + "9\t0\tmissing.jpg\n")
    read, write = os.pipe()
    os.close(read)
    try:
        assert (5, "") == with_stdout(write, "inspect", cut_rec(tmp_path), *more)
        assert 4 == with_stdout(write, "inspect", tmp_path / "no.rec", *more)[0]
        words = ("pack", listed, root, tmp_path / "o.rec", "unchanged=1", "--max-bad", "50%", "-q")
        assert (3, "") == with_stdout(write, *words, *more)
        for words in (("--help",), ("--version",), ("pack", "--help"), ("pack",), ("completion", "bash")):
            assert (0, "") == with_stdout(write, *words)
    finally:
        os.close(write)


@FULL
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_full_disk_under_stdout_is_an_error_that_says_that_the_files_are_complete(
    tmp_path: Path, more: list[str]
) -> None:
    listed, root = a_list_of_images(tmp_path, 3)
    with Path("/dev/full").open("wb") as full:
        code, err = with_stdout(full, "pack", listed, root, tmp_path / "o.rec", "unchanged=1", "-q", *more)

    hint = "the work is done, and every file that it writes is complete"
    line = f"im2rec: the result cannot be printed on standard output: no space left on device ({hint})\n"
    assert (1, line) == (code, err)
    assert {"o.rec", "o.idx"} < set(names_in(tmp_path))


@FULL
def test_help_that_cannot_be_printed_is_an_error_of_one_line() -> None:
    line = "im2rec: the result cannot be printed on standard output: no space left on device (free some space)\n"
    with Path("/dev/full").open("wb") as full:
        for words in (["--help"], ["pack", "--help"], ["completion", "bash"]):
            assert (1, line) == with_stdout(full, *words)


@FULL
def test_a_full_disk_under_stderr_does_not_stop_the_work_nor_change_its_exit_code(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 3)
    with Path("/dev/full").open("wb") as full:
        for words, code in ((["pack", listed, root, tmp_path / "o.rec"], 0), (["inspect", "no.rec"], 4)):
            line = [sys.executable, "-m", "im2rec", *map(str, words)]
            assert code == subprocess.run(line, stdout=subprocess.DEVNULL, stderr=full, check=False).returncode
    assert {"o.rec", "o.idx"} < set(names_in(tmp_path))


@POSIX
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams_do_not_stop_the_work_and_no_file_gets_their_numbers(
    tmp_path: Path, closed: tuple[int, ...]
) -> None:
    listed, root = a_list_of_images(tmp_path, 3)
    assert 0 == im2rec("pack", listed, root, tmp_path / "expected.rec", "resize=16").code
    # A library that prints to descriptor 1 and 2 for every image, in the command and its workers.
    before = "import os; from im2rec.storage import output; real = output.AtomicFile.write\n"
    before += "def write(*a): os.write(1, b'by a library'), os.write(2, b'by a library'); return real(*a)\n"
    before += "output.AtomicFile.write = write"
    program = f"exec({before!r}); from im2rec.cli import main; main()"
    words = ["pack", listed, root, tmp_path / "o.rec", "resize=16", "-q"]
    code = f"import os, sys; [os.close(n) for n in {closed}]; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    line = [sys.executable, "-c", code, "-c", program, *map(str, words)]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    assert 0 == done.returncode, done.stderr
    for suffix in (".rec", ".idx"):
        assert (tmp_path / f"expected{suffix}").read_bytes() == (tmp_path / f"o{suffix}").read_bytes()
