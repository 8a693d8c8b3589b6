"""``index`` that is interrupted, and with input that is meant to harm."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from image_helpers import POSIX, im2rec, left_in
from recovery_helpers import damaged_rec, frame

from im2rec.errors import Im2RecError
from im2rec.recovery.reindex import write_index

# Sends SIGINT at the first write to an index.
AT_WRITE = """
import os, signal, sys
from im2rec.storage.output import AtomicFile
real = AtomicFile.write
def write(file, data):
    real(file, data)
    os.kill(os.getpid(), signal.SIGINT)
AtomicFile.write = write
from im2rec.cli import main
main(sys.argv[1:])
"""


@POSIX
def test_an_index_that_is_interrupted_leaves_the_old_one(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [*range(20)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    words = ["index", str(rec), "--force", "-q"]
    done = subprocess.run([sys.executable, "-c", AT_WRITE, *words], capture_output=True, text=True, check=False)

    assert (130, f"im2rec: interrupted; to begin again: im2rec {' '.join(words)}") == (
        done.returncode,
        done.stderr.strip(),
    )
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may write anywhere")
def test_a_read_only_folder_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [*range(20)])
    (tmp_path / "locked").mkdir(mode=0o500)
    done = im2rec("index", rec, "--out", tmp_path / "locked" / "o.idx")

    assert (1, "") == (done.code, done.out)
    assert "cannot be written: permission denied" in done.err


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_behind_a_record_give_an_index_or_an_error_of_ours(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    junk = b"".join(rng.choice((frame(1)[: rng.randrange(60)], rng.randbytes(9), frame(2))) for _ in range(20))
    (tmp_path / "a.rec").write_bytes(frame(0) + junk)
    with contextlib.suppress(Im2RecError):
        summary = write_index(tmp_path / "a.rec", reader=rng.choice((None, "dali")))
        assert summary.listed == Path(summary.out).read_bytes().count(b"\n")
    assert [] == left_in(tmp_path)
