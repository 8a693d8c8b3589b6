"""``recover`` that is interrupted or killed, on full disks, and with input that is meant to harm."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk_helpers import fill_disk
from helpers import peak_bytes
from image_helpers import POSIX, Ran, im2rec, left_in, names_in
from recovery_helpers import damaged_rec, frame

from im2rec.errors import Im2RecError
from im2rec.format.recordio import MAGIC
from im2rec.recovery.recover import RecoverOptions, recover

JUNK = b"\x55" * 40
# Sends the signal {number} at the second write to the file {name}.
AT_WRITE = """
import os, signal, sys
from im2rec.recovery import copying
copying._RUN_BYTES = 1000
from im2rec.storage.output import AtomicFile
real, count = AtomicFile.write, 0
def write(file, data):
    global count
    real(file, data)
    count += file.path.name == {name!r}
    if count == 2: os.kill(os.getpid(), signal.{number})
AtomicFile.write = write
from im2rec.cli import main
main(sys.argv[1:])
"""


def old_files(folder: Path) -> dict[str, bytes]:
    for name in ("o.rec", "o.idx", "r.json"):
        (folder / name).write_bytes(b"the old " + name.encode())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def killed(number: str, name: str, *words: object) -> subprocess.CompletedProcess[str]:
    code = AT_WRITE.format(number=number, name=name)
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False)


@POSIX
@pytest.mark.parametrize("name", ["o.rec", "o.idx"])
@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_a_run_that_is_ended_in_the_middle_leaves_every_name_as_it_was(tmp_path: Path, number: str, name: str) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, 1, JUNK, *range(3, 20)])
    before = old_files(tmp_path)
    words = ["recover", rec, tmp_path / "o.rec", "--force", "--report", tmp_path / "r.json", "-q"]
    done = killed(number, name, *words)

    if number == "SIGKILL":
        assert -signal.SIGKILL == done.returncode
        left = ["o.idx.im2rec-partial", "o.rec.im2rec-journal", "o.rec.im2rec-partial", "r.json.im2rec-partial"]
        assert left == sorted(set(names_in(tmp_path)) - set(before))
    else:
        assert {"SIGINT": 130, "SIGTERM": 143}[number] == done.returncode
        assert f"to begin again: im2rec {' '.join(map(str, words))}\n" in done.stderr
        assert set(names_in(tmp_path)) == set(before)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}
    assert 5 == im2rec(*words).code  # and what a killed run left does not stop the next one, nor stays
    assert sorted(before) == names_in(tmp_path)
    assert b"".join(map(frame, [0, 1, *range(3, 20)])) == (tmp_path / "o.rec").read_bytes()


@pytest.mark.parametrize("fails", ["write", "flush"])
@pytest.mark.parametrize("name", ["o.rec", "o.idx", "r.json"])
def test_a_full_disk_is_an_error_that_names_the_file_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fails: str
) -> None:
    fill_disk(monkeypatch, name, fails)
    rec = damaged_rec(tmp_path / "a.rec", [0, 1, JUNK, *range(3, 20)])
    ran = im2rec("recover", rec, tmp_path / "o.rec", "--report", tmp_path / "r.json")

    why = "cannot be written: no space left on device (no file exists under this name)"
    assert Ran(1, "", f"im2rec: {tmp_path / name}: {why}\n") == ran
    assert ["a.idx", "a.rec"] == names_in(tmp_path)


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may write anywhere")
def test_a_read_only_folder_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [*range(20)])
    (tmp_path / "locked").mkdir(mode=0o500)
    done = im2rec("recover", rec, tmp_path / "locked" / "o.rec")

    assert (1, "") == (done.code, done.out)
    assert "cannot be written: permission denied" in done.err


# Input that is meant to harm.

HEAD = struct.Struct("<4sI")


def hostile(rng: random.Random) -> bytes:
    """Bytes made of heads with all kinds of flags and lengths, whole records, and junk."""
    pieces = []
    for _ in range(rng.randrange(1, 60)):
        kind = rng.randrange(4)
        if kind == 0:
            pieces.append(HEAD.pack(MAGIC, rng.choice((0, 1, 4, 8, 40, 2**20, 2**29 - 1)) | rng.randrange(8) << 29))
        elif kind == 1:
            pieces.append(frame(rng.randrange(10)))
        elif kind == 2:
            pieces.append(rng.randbytes(rng.randrange(20)))
        else:
            pieces.append(frame(1)[: rng.randrange(100)])
    return b"".join(pieces)


@pytest.mark.parametrize("seed", range(40))
def test_any_bytes_and_any_index_and_list_give_a_result_or_an_error_of_ours(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    rec = tmp_path / "a.rec"
    rec.write_bytes(frame(0) + hostile(rng))
    offsets = sorted(rng.randrange(2 ** rng.choice((10, 14, 62))) for _ in range(rng.randrange(30)))
    (tmp_path / "a.idx").write_bytes(b"".join(b"%d\t%d\n" % (rng.randrange(50), at) for at in offsets))
    (tmp_path / "a.lst").write_bytes(rng.choice((b"", b"1\t2\tx\n" * 5, b"\xff\xfe\n", b"1000\t0\ta\n")))
    lists = (None, tmp_path / "a.lst")
    with contextlib.suppress(Im2RecError):
        recover(rec, tmp_path / "o.rec", RecoverOptions(list=rng.choice(lists)), force=True)
    assert [] == left_in(tmp_path)


def test_claims_of_enormous_lengths_take_no_memory(tmp_path: Path) -> None:
    rec = tmp_path / "a.rec"
    rec.write_bytes(frame(0) + (HEAD.pack(MAGIC, 2**29 - 1) + HEAD.pack(MAGIC, 1 << 29 | 2**29 - 4)) * 500 + frame(1))

    assert peak_bytes(lambda: recover(rec, tmp_path / "o.rec")) < 20 << 20
    assert frame(0) + frame(1) == (tmp_path / "o.rec").read_bytes()
