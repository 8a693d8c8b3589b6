"""Loops over RecordIterDataset that end by Ctrl-C or by a kill leave no process and no shared memory behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from image_helpers import DEADLINE_S, processes, until
from iterator_helpers import SHAPE, a_rec

SHARED_MEMORY = Path("/dev/shm")
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
LOOP = """
import sys
from torch.utils.data import DataLoader
from im2rec.torch import RecordIterDataset

def main():
    path, shape, method, workers, backend = sys.argv[1], *map(eval, sys.argv[2:])
    ds = RecordIterDataset(path, batch_size=3, data_shape=shape, backend=backend, preprocess_threads=2, verbose=False)
    given = {"multiprocessing_context": method, "persistent_workers": True} if workers else {}
    loader = DataLoader(ds, batch_size=None, num_workers=workers, **given)
    while True:
        for number, _ in enumerate(loader):
            if number == 2:
                print("looping", flush=True)

if __name__ == "__main__":
    main()
"""


def shared_memory() -> set[str]:
    return {path.name for path in SHARED_MEMORY.iterdir()} if SHARED_MEMORY.exists() else set()


@pytest.mark.parametrize(
    ("method", "workers", "backend", "number"),
    [
        (None, 0, "processes", signal.SIGINT),
        ("fork", 2, "processes", signal.SIGINT),
        ("spawn", 2, "threads", signal.SIGINT),
        ("fork", 2, "processes", signal.SIGKILL),
    ],
)
def test_nothing_is_left_behind(
    tmp_path: Path, method: str | None, workers: int, backend: str, number: signal.Signals
) -> None:
    script = tmp_path / "loop.py"
    script.write_text(LOOP)
    rec = a_rec(tmp_path, 30, "a.rec")
    before = shared_memory()
    words = [str(rec), repr(SHAPE), repr(method), repr(workers), repr(backend)]
    with subprocess.Popen(
        [sys.executable, script, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert "looping\n" == process.stdout.readline()
        group = processes(group=process.pid)
        assert len(group) > 1
        # Ctrl-C reaches the whole group; a kill the parent alone.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        _, errors = process.communicate(timeout=DEADLINE_S)
    until(lambda: not processes(group=process.pid), "all processes of the group end")

    assert -number == process.returncode
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" == errors.strip().splitlines()[-1]
    left = shared_memory() - before  # other tests may run at the same time: names have the number of their process
    assert not [name for name in left if {*re.findall(r"\d+", name)} & {*map(str, group)}]
