"""``bin make`` and ``bin extract`` that are killed or interrupted, and on folders that cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from image_helpers import POSIX, im2rec, left_in, names_in
from pair_helpers import GOLDEN_BIN, paired

from im2rec.verification.extract import extract_bin
from im2rec.verification.make import make_bin

# Sends the signal in the first argument at the third content that is written to a file, or at the rename of the last.
STOPPED = """
import os, sys
from im2rec.storage import disk, output, output_folder
from im2rec.verification import extract, make
number, where = int(sys.argv[1]), sys.argv[2]
count = 0
def stop(*_):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), number)
real_contents, real_sniff, real_sync, real_publish = (
    make._Contents.__getitem__, extract.sniff, disk.sync_file_system, output.give_name
)
def contents(self, index):
    stop()
    return real_contents(self, index)
def sniff(content):
    stop()
    return real_sniff(content)
def at_end(*words, **options):
    os.kill(os.getpid(), number)
if where == "middle":
    make._Contents.__getitem__, extract.sniff = contents, sniff
else:
    disk.sync_file_system = output.give_name = at_end
from im2rec.cli import main
main(sys.argv[3:])
"""


def stopped(number: int, where: str, *words: object) -> tuple[int, str]:
    """Run ``im2rec`` with *words* until it is sent the signal *number*; return its exit code and stderr."""
    line = [sys.executable, "-c", STOPPED, str(number), where, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr.strip()


@POSIX
@pytest.mark.parametrize("where", ["middle", "end"])
@pytest.mark.parametrize("old", [False, True])
def test_a_make_that_is_killed_leaves_the_old_file_and_can_be_repeated(where: str, old: bool, tmp_path: Path) -> None:
    path, root = paired(tmp_path)
    make_bin(path, root, tmp_path / "expected.bin")
    out = tmp_path / "o.bin"
    if old:
        out.write_bytes(b"old")
    words = ["bin", "make", path, root, out, *(["--force"] if old else [])]

    assert -signal.SIGKILL == stopped(signal.SIGKILL, where, *words)[0]
    assert old == out.exists()
    assert not old or out.read_bytes() == b"old"
    assert 0 == im2rec(*words).code
    assert (tmp_path / "expected.bin").read_bytes() == out.read_bytes()
    assert [] == left_in(tmp_path)


@POSIX
@pytest.mark.parametrize("where", ["middle", "end"])
@pytest.mark.parametrize("old", [False, True])
def test_an_extract_that_is_killed_leaves_the_old_folder_and_can_be_repeated(
    where: str, old: bool, tmp_path: Path
) -> None:
    extract_bin(GOLDEN_BIN, tmp_path / "expected")
    expected = {file.name: file.read_bytes() for file in (tmp_path / "expected").iterdir()}
    path, root = paired(tmp_path, 2)
    make_bin(path, root, tmp_path / "other.bin")
    out = tmp_path / "d"
    if old:
        extract_bin(tmp_path / "other.bin", out)
    before = names_in(out) if old else []
    words = ["bin", "extract", GOLDEN_BIN, out, *(["--force"] if old else [])]

    assert -signal.SIGKILL == stopped(signal.SIGKILL, where, *words)[0]
    assert (old, before) == (out.exists(), names_in(out) if old else [])
    assert 0 == im2rec(*words).code
    assert expected == {file.name: file.read_bytes() for file in out.iterdir()}
    assert [] == left_in(tmp_path)


@POSIX
@pytest.mark.parametrize("where", ["middle", "end"])
def test_an_interrupt_leaves_nothing_and_says_how_to_begin_again(where: str, tmp_path: Path) -> None:
    path, root = paired(tmp_path)
    before = names_in(tmp_path)
    for words in (["bin", "make", path, root, tmp_path / "o.bin"], ["bin", "extract", GOLDEN_BIN, tmp_path / "d"]):
        again = f"im2rec: interrupted; to begin again: im2rec {' '.join(map(str, words))}"
        assert (130, again) == stopped(signal.SIGINT, where, *words)
        assert before == names_in(tmp_path)


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may write anywhere")
def test_a_read_only_folder_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    for words in (["make", tmp_path / "no list", tmp_path], ["extract", GOLDEN_BIN]):
        done = im2rec("bin", *words, tmp_path / "locked" / "out")
        assert (1, "") == (done.code, done.out)
        assert "cannot be written: permission denied" in done.err
