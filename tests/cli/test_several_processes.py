"""Processes that share the data by WORLD_SIZE and RANK, as a launcher sets them: disjoint, complete, equally long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from image_helpers import DEADLINE_S
from iterator_helpers import a_rec

RANKS, RECORDS, BATCH = 4, 41, 5

# The program of each process: its arguments are the .rec and, as JSON, the parameters that the test varies.
TRAIN = """
import json
import os
import sys

import im2rec

it = im2rec.ImageRecordIter(
    path_imgrec=sys.argv[1],
    data_shape=(3, 6, 8),
    batch_size=5,
    num_parts=int(os.environ["WORLD_SIZE"]),
    part_index=int(os.environ["RANK"]),
    preprocess_threads=1,
    verbose=False,
    **json.loads(sys.argv[2]),
)
epochs = []
with it:
    for epoch in range(2):
        batches = [batch.index[: len(batch.index) - batch.pad].tolist() for batch in it]
        epochs.append({"length": len(it), "batches": batches})
print(json.dumps(epochs))
"""


def ranks_of(rec: Path, **params: Any) -> list[Any]:
    """Run all processes at the same time and return the two epochs of each: lists of batches of ids."""
    running = []
    for rank in range(RANKS):
        environment = {**os.environ, "WORLD_SIZE": str(RANKS), "RANK": str(rank)}
        line = [sys.executable, "-c", TRAIN, str(rec), json.dumps(params)]
        running.append(subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    ranks = []
    for process in running:
        out, err = process.communicate(timeout=DEADLINE_S)
        assert (0, b"") == (process.returncode, err)
        ranks.append(json.loads(out))
    return ranks


@pytest.mark.parametrize(
    "params",
    [{"shuffle": False}, {"shuffle": True}, {"shuffle": True, "shuffle_scope": "part", "last_batch": "keep"}],
    ids=["file order", "shuffled", "each part shuffled"],
)
def test_ranks_are_disjoint_complete_and_have_equally_many_batches(tmp_path: Path, params: dict[str, Any]) -> None:
    ranks = ranks_of(a_rec(tmp_path, RECORDS), **params)

    for epoch in range(2):
        seen = [[id_ for batch in rank[epoch]["batches"] for id_ in batch] for rank in ranks]
        assert list(range(100, 100 + RECORDS)) == sorted(id_ for ids in seen for id_ in ids)
        assert {10, 11} == set(map(len, seen))
        assert [-(-11 // BATCH)] * RANKS == [len(rank[epoch]["batches"]) for rank in ranks]
        assert [3] * RANKS == [rank[epoch]["length"] for rank in ranks]
    if params["shuffle"]:
        assert ranks[0][0]["batches"] != ranks[0][1]["batches"]


def test_a_discarded_last_batch_is_discarded_in_all_ranks(tmp_path: Path) -> None:
    ranks = ranks_of(a_rec(tmp_path, RECORDS), shuffle=True, last_batch="discard")

    assert [[[5, 5], [5, 5]]] * RANKS == [[list(map(len, epoch["batches"])) for epoch in rank] for rank in ranks]
